"""docs/studio_editor.md has the editor's list of keys; docs/studio.md shows every page."""

import itertools
import json
import re
from pathlib import Path

from PIL import Image

from synthstudio.review.risk.review_fields import REVIEW_FIELDS
from synthstudio.studio.settings import PAGES

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "studio.md"
EDITOR = ROOT / "docs" / "studio_editor.md"
LIST = ROOT / "synthstudio" / "studio" / "editor" / "js" / "keys.js"
SIZES = {"": (1440, 900), "_phone": (390, 844)}


def keys_of_the_editor() -> list[tuple[str, str]]:
    """Return (key, what it does) of the list that `?` shows."""
    found = re.search(r"^export const KEYS = (\[.*?^\]);", LIST.read_text("utf-8"), re.M | re.S)
    assert found, f"no list of keys in {LIST.name}"
    groups = json.loads(re.sub(r",\s*\]", "]", found[1]))
    return [(key, does) for _, rows in groups for _, key, _, does in rows if key]


def table(keys: list[tuple[str, str]]) -> str:
    return "\n".join(f"| {_cell(key)} | {does} |" for key, does in keys)


def _cell(key: str) -> str:
    return " · ".join(f"`{part}`" for part in key.split(" · "))


def test_the_table_of_keys_is_the_editors() -> None:
    text = EDITOR.read_text("utf-8")
    reported = re.search(
        r"<!-- keys:.*?-->\n\n\| key .*?\n\|---\|---\|\n(.*?)\n\n<!-- /keys -->", text, re.S
    )
    assert reported
    assert reported[1] == table(keys_of_the_editor()), (
        "paste the output of `table` into docs/studio_editor.md"
    )


def test_the_fields_of_the_review_are_named() -> None:
    text = DOCS.read_text("utf-8")
    assert [name for name in REVIEW_FIELDS if f"`{name}`" not in text] == []


def test_every_page_has_a_picture_that_is_small() -> None:
    for page, (which, size) in itertools.product(PAGES, SIZES.items()):
        path = ROOT / "docs" / "images" / f"studio_{page}{which}.png"
        assert f"images/{path.name}" in DOCS.read_text("utf-8")
        assert path.stat().st_size < 300_000
        with Image.open(path) as picture:
            assert picture.size == size
