"""CONTRIBUTING's recipes: what they name exists; nightly, they are followed in a copy. The first
line of a block names its file (a new one, its end, or one of its dicts)."""

import os
import re
import shlex
import shutil
import textwrap

import pytest
import yaml
from printed import ROOT, blocks, check_command
from programs import python

RECIPES = {
    title: text
    for title, _, text in (
        part.partition("\n")
        for part in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("\n## ")
    )
    if title.startswith("Add ")
}
PLACE = re.compile(r"# (?P<file>\S+), (a new file|at the end|in (?P<table>\w+))\n")
LEAVES = {
    "Add an object kind": "lectern.png",
    "Add a skeleton": "neck.png",
    "Add a pose": "taxi.png",
}


def placed(block, root):
    """The file that a block names in its first line, and its text with the block in it."""
    place = PLACE.match(block)
    assert place, block.splitlines()[0]
    path, text = root / place["file"], block[place.end() :]
    if place["table"]:
        table = re.compile(rf"^({place['table']}\b[^\n]*= \{{)(\n|\}}\n)", re.M)
        before = path.read_text(encoding="utf-8")
        assert len(table.findall(before)) == 1, place[0]
        text = table.sub(
            lambda found: f"{found[1]}\n{text}" + "}\n" * found[2].startswith("}"), before
        )
    elif "at the end" in place[0]:
        blank = "\n\n" if path.suffix == ".py" else "\n"
        text = path.read_text(encoding="utf-8") + blank + text
    else:
        assert not path.exists(), path
    return place["file"], text


def test_the_page_has_a_recipe_for_each():
    assert {title.split()[-1] for title in RECIPES} == {
        "kind", "exporter", "skeleton", "pose", "head", "loss"
    }  # fmt: skip


@pytest.mark.parametrize("title", RECIPES)
def test_what_a_recipe_names_exists(title):
    for language, block in blocks(RECIPES[title]):
        text = textwrap.dedent(block)
        for line in text.splitlines() if language == "sh" else ():
            check_command(line)
        if language in ("python", "yaml"):
            name, whole = placed(text, ROOT)
            if name.endswith(".py"):
                compile(whole, name, "exec")
            else:
                assert yaml.safe_load(whole)


def copied(folder):
    being_written = shutil.ignore_patterns("*.pyc.*")  # by other tests; whole bytecode is taken
    for name in ("synthstudio", "tests", "tools", "scenes", "benchmarks", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=being_written)
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def run(line, root):
    words = shlex.split(line)
    if words[0] == "make":
        rules = (root / "Makefile").read_text(encoding="utf-8")
        rule = re.search(rf"^{words[1]}:.*\n\t\$\(BIN\)/(.*)", rules, re.M)
        assert rule, line
        words = rule[1].split()
    if words[0] == "pytest":
        words[1:1] = ["-q", "-n0", "-p", "no:cacheprovider"]
    module = [] if words[0] == "python" else ["-m", words[0]]
    mine = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = python(*module, *words[1:], cwd=root, env={**mine, "PYTHONPATH": str(root)})
    assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert words[0] != "pytest" or re.search(r"\d passed|^\.+ ", done.stdout, re.M), done.stdout


@pytest.mark.nightly("minutes in a copy of the package; what recipes name is checked above")
@pytest.mark.timeout(0)
@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_works_as_written(title, tmp_path):
    root, written = copied(tmp_path), []
    for language, block in blocks(RECIPES[title]):
        text = textwrap.dedent(block)
        if language == "sh":
            for line in text.splitlines():
                run(line, root)
        elif language:
            name, whole = placed(text, root)
            (root / name).write_text(whole, encoding="utf-8")
            written.append(name)
    code = [name for name in written if name.endswith(".py")]
    for check in ("check", "format --check") if code else ():
        run(f"ruff {check} {shlex.join(code)}", root)
    if title in LEAVES:
        assert (root / LEAVES[title]).stat().st_size > 10_000
