"""CONTRIBUTING's recipes, followed word for word in a copy of the package.

A block of a recipe names its file in its first line (a new file, at its end, or in one of its
dicts); the lines of its sh blocks are run.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RECIPES = {
    title: text
    for title, _, text in (
        part.partition("\n")
        for part in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("\n## ")
    )
    if title.startswith("Add ")
}
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.M | re.S)
PLACE = re.compile(r"# (?P<file>\S+), (a new file|at the end|in (?P<table>\w+))\n")
LEAVES = {"Add an occluder": "lectern.png", "Add a skeleton": "neck.png", "Add a pose": "taxi.png"}


def copied(folder: Path) -> Path:
    """The package with what its tests need."""
    being_written = shutil.ignore_patterns("*.pyc.*")  # by other tests; whole bytecode is taken
    for name in ("synthstudio", "tests", "tools", "scenes", "benchmarks", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=being_written)
    for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def put(block: str, root: Path) -> str:
    """Put a block where its first line says; return the file's name."""
    place = PLACE.match(block)
    assert place, block.splitlines()[0]
    path, text = root / place["file"], block[place.end() :]
    if place["table"]:
        before = path.read_text(encoding="utf-8")
        table = re.compile(rf"^({place['table']}\b[^\n]*= \{{)(\n|\}}\n)", re.M)
        assert len(table.findall(before)) == 1, place[0]
        after = table.sub(
            lambda found: f"{found[1]}\n{text}" + "}\n" * found[2].startswith("}"), before
        )
    elif "at the end" in place[0]:
        blank = "\n\n" if path.suffix == ".py" else "\n"
        after = path.read_text(encoding="utf-8") + blank + text
    else:
        assert not path.exists(), path
        after = text
    path.write_text(after, encoding="utf-8")
    return place["file"]


def run(line: str, root: Path) -> None:
    """Run a command of the page in the copy, by this Python."""
    words = shlex.split(line)
    if words[0] == "make":
        rule = re.search(
            rf"^{words[1]}:.*\n\t\$\(BIN\)/(.*)", (root / "Makefile").read_text(), re.M
        )
        assert rule, line
        words = rule[1].split()
    if words[0] == "pytest":
        words[1:1] = ["-q", "-n0", "-p", "no:cacheprovider"]
    module = [] if words[0] == "python" else ["-m", words[0]]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    }
    done = subprocess.run(
        [sys.executable, *module, *words[1:]],
        cwd=root,
        env={**environment, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert words[0] != "pytest" or re.search(r"\d passed|^\.+ ", done.stdout, re.M), done.stdout


def test_the_page_has_a_recipe_for_each() -> None:
    assert {title.split()[-1] for title in RECIPES} == {"occluder", "exporter", "skeleton", "pose"}


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_works_as_written(title: str, tmp_path: Path) -> None:
    root = copied(tmp_path)
    written = []
    for _, language, block in BLOCK.findall(RECIPES[title]):
        text = textwrap.dedent(block)
        if language == "sh":
            for line in text.splitlines():
                run(line, root)
        else:
            written.append(put(text, root))
    code = [name for name in written if name.endswith(".py")]
    for check in ("check", "format --check") if code else ():
        run(f"ruff {check} {shlex.join(code)}", root)
    if title in LEAVES:
        assert (root / LEAVES[title]).stat().st_size > 10_000
