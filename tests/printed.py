"""The code blocks of README, docs and CONTRIBUTING: commands are parsed by the command line itself,
Python is compiled, and its imports are looked up."""

import ast
import functools
import importlib
import inspect
import os
import re
import shlex
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from typer.main import get_command

ROOT = Path(__file__).resolve().parents[1]
GENERATED = {"cli.md"}
PAGES = {
    page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8")
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if page.name not in GENERATED and page.parent.name != "research"
}
SMALL = {
    "generate": ("--workers", "1", "--frames", "12"),
    "generate scenes/people.yaml": ("--workers", "1", "--frames", "40"),  # 20 moments: all splits
    "audit": ("--workers", "1", "--frames", "6"),
    "occlude": ("--workers", "1", "--each", "1"),
    "objects": ("--count", "6"),
    "robustness": ("--workers", "1", "--frames", "2", "--challenge", "dark"),
    "benchmark": ("--rounds", "5"),
    "experiment": ("--workers", "1", "--seeds", "1", "--steps", "2"),
}
MANY = ("--workers", "1", "--frames", "24")  # where the page asks for many: a query finds some
SHELL = ("sh", "bash", "shell", "console")
BLOCK = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```$|((?:^(?: {4}|\t)[^\n]*\n)+)", re.M | re.S)
IN_A_CLONE = re.compile(r"(scenes|docs|tests|tools|benchmarks|examples)/[\w./-]+$")


def blocks(text):
    """(language, text) of each block of code; "" where none is named, also for indented ones."""
    for _, language, fenced, indented in BLOCK.findall(text):
        yield language, fenced or indented


def commands(text):
    """The commands of a page's shell blocks in order, continued lines whole."""
    found = []
    for language, block in blocks(text):
        held = ""
        for line in block.splitlines(keepends=True) if language in SHELL else ():
            held += line
            if not line.rstrip().endswith("\\"):
                found += [held] if shlex.split(held, comments=True) else []
                held = ""
        assert not held, f"an unfinished command: {held}"
    return found


def added(argv):
    """Options that make a command's run small; the last of two options counts."""
    more = SMALL.get(" ".join(argv[:2]), SMALL.get(argv[0] if argv else "", ()))
    return MANY if more == SMALL["generate"] and "--frames" in argv else more


def run_small(argv, kept):
    """Be `synthstudio ...` with small settings; `kept` holds data sets that were made before."""
    from synthstudio.cli import main

    keep = argv[:1] == ["generate"] and argv[-2:-1] == ["--out"]
    same = kept / re.sub(r" --workers \d+", "", " ".join(argv)).replace("/", "%")
    if keep and same.is_dir():  # the same recipe gives the same bytes
        shutil.copytree(same, argv[-1])
        return
    sys.argv = ["synthstudio", *argv, *added(argv)]
    try:
        main()
    except SystemExit as stop:
        if stop.code:
            raise
    if keep:
        shutil.copytree(argv[-1], same)


def check_command(line):
    """AssertionError or a usage error unless all of a command exists: options, rules, files."""
    words = shlex.split(line.replace("\\\n", " "), comments=True)
    if words[0] == "make":
        rules = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
        assert {word for word in words[1:] if "=" not in word} <= set(rules), line
    elif words[:2] == ["python", "-m"]:
        module = ROOT / words[2].replace(".", "/")
        found = sorted(module.glob("*.py")) if module.is_dir() else [module.with_suffix(".py")]
        text = "".join(path.read_text(encoding="utf-8") for path in found)
        options = [word.split("=")[0] for word in words if word.startswith("--")]
        assert all(f'"{option}"' in text for option in options), line
    elif words[0] == "synthstudio":
        command, rest = command_of(words)
        assert not hasattr(command, "commands"), f"{line}: no such command"
        command.make_context("command", rest)
    else:
        known = (".", "export", "pip", "pytest", "sed")
        assert words[0] in known, f"{line}: nothing says how to check {words[0]}"
    for word in words:
        assert not IN_A_CLONE.match(word) or (ROOT / word).exists(), f"{line}: no {word}"


@functools.cache
def _program():
    from synthstudio.cli import app

    return get_command(app)


def command_of(words):
    """Typer's command that `synthstudio ...` calls, and the words that are left for it."""
    command, rest = _program(), words[1:]
    while rest and (inner := getattr(command, "commands", {}).get(rest[0])):
        command, rest = inner, rest[1:]
    return command, rest


def check_python(text, known, *, not_here=()):
    """Compile code and look up its imports, which `known` keeps, but those `not_here`."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in not_here:
            continue
        if isinstance(node, ast.Import):
            for name in node.names:
                module = importlib.import_module(name.name)
                top = importlib.import_module(name.name.split(".")[0])
                known[name.asname or name.name.split(".")[0]] = module if name.asname else top
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            for name in node.names:
                known[name.asname or name.name] = _taken(module, name.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            _value(node, known)
        elif isinstance(node, ast.Call) and callable(function := _value(node.func, known)):
            _check_keywords(node, function)


def _taken(module, name):
    """What `from module import name` gives: perhaps a module that nothing has imported yet."""
    if not hasattr(module, name):
        with suppress(ModuleNotFoundError):
            importlib.import_module(f"{module.__name__}.{name}")
    return getattr(module, name)


def _value(node, known):
    """What an expression such as `ss.Recipe.load` is; None where that is not known."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    base = _value(node.value, known) if isinstance(node, ast.Attribute) else None
    if not (inspect.ismodule(base) or inspect.isclass(base)):
        return None
    assert hasattr(base, node.attr), f"{ast.unparse(node)} does not exist"
    return getattr(base, node.attr)


def _check_keywords(call, function):
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # of functions in C
        return
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    wrong = {word.arg for word in call.keywords if word.arg} - set(parameters)
    assert not wrong, f"{ast.unparse(call)}: no parameter {wrong}"


def own_environment(folder, programs):
    """The environment of a reader whose home is `folder`/home and whose programs come first."""
    mine = {n: v for n, v in os.environ.items() if not n.startswith(("PYTEST_", "SYNTHSTUDIO_"))}
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**mine, "HOME": str(folder / "home"), "PATH": path, "NO_COLOR": "1"}
