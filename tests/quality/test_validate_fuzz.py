"""Whatever stands in a COCO file, validate says so: it never raises, and --fix neither."""

import copy
import functools
import math
import tempfile
from pathlib import Path
from typing import Any

from coco_objects import to_coco
from hypothesis import given, settings
from hypothesis import strategies as st
from painted_frames import painted

from synthstudio.core.errors import FormatError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.rows import frame_row, instance_rows
from synthstudio.quality.repair import write_repaired
from synthstudio.quality.validate import validate_coco
from synthstudio.report.findings import write_coco_findings

HOSTILE = st.sampled_from(
    [None, True, -1, 0, 3, 1e308, -1e308, math.nan, math.inf, 2**70, "", "x", "../../etc/passwd",
     "\x00", [], {}, [[]], [None], {"size": [1, 1], "counts": "0"}, {"size": [10**9, 10**9]},
     {"size": [240, 320], "counts": "????"}, [1, 2, 3], [0] * 51, "0" * 3000, [[0, 0, 1, 1]]]
)  # fmt: skip


@functools.cache
def clean() -> dict[str, Any]:
    frames = [painted(i) for i in range(2)]
    samples = [(frame_row(f, f"{f.spec.index}.jpg"), instance_rows(f)) for f in frames]
    return to_coco(samples, get_skeleton("coco17"))


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["images", "annotations", "annotations", "categories"]),
        st.integers(0, 99),  # which entry
        st.integers(-1, 99),  # which field; -1: the entry itself
        st.integers(-3, 99),  # which part of a list; -3: the field goes, -2, -1: all of it
        HOSTILE,
    ),
    min_size=1,
    max_size=4,
)


def _damage(doc: dict[str, Any], edit: tuple[str, int, int, int, Any]) -> None:
    where, k, field, part, value = edit
    entries = doc[where]
    k %= len(entries)
    if field < 0 or not isinstance(entries[k], dict):
        entries[k] = copy.deepcopy(value)
        return
    name = sorted(entries[k])[field % len(entries[k])] if entries[k] else "id"
    had = entries[k].get(name)
    if part == -3:
        entries[k].pop(name, None)
    elif part >= 0 and isinstance(had, list) and had:
        had[part % len(had)] = copy.deepcopy(value)
    else:
        entries[k][name] = copy.deepcopy(value)


@settings(max_examples=30, deadline=None)
@given(EDITS)
def test_a_damaged_file_is_described_not_stumbled_over(edits):
    doc = copy.deepcopy(clean())
    for edit in edits:
        _damage(doc, edit)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = validate_coco(
            doc["categories"], lambda: doc["images"], lambda: doc["annotations"], folder=folder
        )
        assert found.findings.errors  # at least: no picture is there
        found.findings.text(), found.findings.as_json()
        write_coco_findings(
            found.findings,
            "x",
            doc["categories"],
            doc["images"],
            doc["annotations"],
            folder / "r.html",
            folder=folder,
        )
        head = {"categories": doc["categories"]}
        entries = [lambda: doc["images"], lambda: doc["annotations"]]
        try:
            write_repaired(head, *entries, folder / "m.json", left_out=set())
            written = ["m.json"]
        except FormatError:
            written = []
        assert sorted(p.name for p in folder.iterdir()) == [*written, "r.html"]
