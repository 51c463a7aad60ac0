"""docs/studio_keys.md has the list of keys of the editor."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EDITOR = ROOT / "docs" / "studio_keys.md"
LIST = ROOT / "synthstudio" / "studio" / "editor" / "js" / "keys.js"


def test_the_table_of_keys_is_the_editors():
    """The list is that which `?` shows: groups of rows (action, key, label, what it does)."""
    found = re.search(r"^export const KEYS = (\[.*?^\]);", LIST.read_text("utf-8"), re.M | re.S)
    groups = json.loads(re.sub(r",\s*\]", "]", found[1]))
    table = ""
    for key, does in ((key, does) for _, rows in groups for _, key, _, does in rows if key):
        table += f"| {' · '.join(f'`{part}`' for part in key.split(' · '))} | {does} |\n"
    reported = re.search(
        r"<!-- keys:.*?-->\n\n\| key .*?\n\|---\|---\|\n(.*?)\n<!-- /keys -->",
        EDITOR.read_text("utf-8"),
        re.S,
    )
    assert reported[1] == table, f"put this table into docs/studio_keys.md:\n{table}"
