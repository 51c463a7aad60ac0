"""A label is one line: added in a copy of the package, it is everywhere where labels are."""

import json
import shutil
from pathlib import Path

import pytest
from programs import python

ROOT = Path(__file__).resolve().parents[1]
LINE = """\
    tilt: F64 = label("lean", null=True, within=(0, 9), of=lambda p: p.depth_m + 1)
"""
BEFORE = "    depth_rank: I32 = label("
FIND = """
import json, sys
from pathlib import Path

from exchange_sets import make_set, rows_of
from tools import docs

from synthstudio import Dataset
from synthstudio.core.errors import DatasetError
from synthstudio.dataset import rows
from synthstudio.dataset.query import parse
from synthstudio.dataset.matching import matching_people
from synthstudio.formats.export import export
from synthstudio.formats.imports import import_from
from synthstudio.quality.validate import validate_samples
from synthstudio.review.risk.table import people_table

out = Path(sys.argv[1])
stored = make_set(out / "set")
opened = Dataset(out / "set")
depth = opened.to_pandas()["depth_m"] + 1
people = list(opened.people())[0]
export("coco", stored, out / "coco")
(file, *_) = sorted((out / "coco" / "annotations").glob("*train.json"))
entries = json.loads(file.read_text())["annotations"]
import_from("coco", out / "coco" / "annotations", out / "again")
back = rows_of(out / "again")[1]
frames, instances = rows_of(out / "set")
mine = [row for row in instances if row["frame_index"] == frames[0]["index"]]
mine[0]["tilt"] = 10.0
table = rows.pa.Table.from_pylist(mine, rows.INSTANCE_SCHEMA)
try:
    rows.check_rows(table, len(stored.skeleton.joints), range(99), Path("instances"))
    refused = False
except DatasetError:
    refused = True
tilted = parse("tilt > 0", stored.skeleton.joints)
found = validate_samples([(frames[0], mine)], stored.skeleton).findings
print(json.dumps({
    "schema": str(rows.INSTANCE_SCHEMA.field("tilt").type),
    "pandas": bool((opened.to_pandas()["tilt"] == depth).all()),
    "people": bool((people.tilt == people.depth_m + 1).all()),
    "coco": all(e["tilt"] == e["depth_m"] + 1 for e in entries) and len(entries) > 3,
    "imported": all(row["tilt"] == row["depth_m"] + 1 for row in back) and len(back) > 9,
    "row checks": refused,
    "validation": found.counts["limits"] == 1,
    "queries": len(list(matching_people(stored, tilted))) == len(depth),
    "review": people_table(stored).number("tilt").tolist() == depth.tolist(),
    "docs": "| `tilt` | | float64 | | yes | `tilt` | lean |" in docs.conventions(),
}))
"""


@pytest.fixture
def copy(tmp_path):
    ignored = shutil.ignore_patterns("*.pyc.*", "weights")
    for name in ("synthstudio", "tools", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    path = tmp_path / "synthstudio" / "core" / "labels.py"
    before, after = path.read_text(encoding="utf-8").split(BEFORE)
    path.write_text(before + LINE + BEFORE + after, encoding="utf-8")
    return tmp_path


def test_a_label_is_one_line(copy):
    paths = [str(copy), str(ROOT / "tests")]
    code = f"import sys; sys.path[:0] = {paths}\n{FIND}"
    done = python("-c", code, copy / "out", cwd=copy)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("schema") == "double"
    assert found == dict.fromkeys(found, True)
