"""CONTRIBUTING's recipes: what they name exists, and their blocks fit into its files.

A block of a recipe names its file in its first line (a new file, at its end, or in one of its
dicts).
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
import yaml
from printed import ROOT, blocks, check_command

RECIPES = {
    title: text
    for title, _, text in (
        part.partition("\n")
        for part in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("\n## ")
    )
    if title.startswith("Add ")
}
PLACE = re.compile(r"# (?P<file>\S+), (a new file|at the end|in (?P<table>\w+))\n")


def placed(block: str, root: Path) -> tuple[str, str]:
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


@pytest.mark.parametrize("title", RECIPES)
def test_what_a_recipe_names_exists(title: str) -> None:
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
