"""docs/studio_editor.md has the list of keys of the editor."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EDITOR = ROOT / "docs" / "studio_editor.md"
LIST = ROOT / "synthstudio" / "studio" / "editor" / "js" / "keys.js"


def keys_of_the_editor():
    """Return (key, what it does) of the list that `?` shows."""
    found = re.search(r"^export const KEYS = (\[.*?^\]);", LIST.read_text("utf-8"), re.M | re.S)
    assert found, f"no list of keys in {LIST.name}"
    groups = json.loads(re.sub(r",\s*\]", "]", found[1]))
    return [(key, does) for _, rows in groups for _, key, _, does in rows if key]


def table(keys):
    return "\n".join(f"| {_cell(key)} | {does} |" for key, does in keys)


def _cell(key):
    return " · ".join(f"`{part}`" for part in key.split(" · "))


def test_the_table_of_keys_is_the_editors():
    text = EDITOR.read_text("utf-8")
    reported = re.search(
        r"<!-- keys:.*?-->\n\n\| key .*?\n\|---\|---\|\n(.*?)\n\n<!-- /keys -->", text, re.S
    )
    assert reported
    assert reported[1] == table(keys_of_the_editor()), (
        "paste the output of `table` into docs/studio_editor.md"
    )
