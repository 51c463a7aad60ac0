"""Seeded mutations of a COCO file: validate, --fix and import share one set of rules."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from synthstudio.api.quality import validate
from synthstudio.core.errors import SynthStudioError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.formats.imports import Imported, import_from
from synthstudio.formats.skeleton_file import read_skeleton

JOINTS = list(get_skeleton("coco17").joints)
Doc = dict[str, Any]


def document(folder: Path) -> Doc:
    """A file of two pictures and three people, and its pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (160, 120), (90, 120, 60)).save(folder / name)
    flat = [v for j in range(17) for v in (30 + 3 * j, 20 + 5 * j % 60, 1 + j % 2)]
    person = {
        "category_id": 1, "iscrowd": 0, "bbox": [25, 15, 70, 80], "area": 5600,
        "keypoints": flat, "num_keypoints": 17,
    }  # fmt: skip
    other = {**person, "keypoints": [v + (k % 3 == 0) * 40 for k, v in enumerate(flat)]}
    return {
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": 160, "height": 120},
            {"id": 2, "file_name": "b.jpg", "width": 160, "height": 120},
        ],
        "annotations": [
            {"id": 11, "image_id": 1, **person},
            {"id": 12, "image_id": 1, **other, "bbox": [65, 15, 70, 80]},
            {"id": 13, "image_id": 2, **person},
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": list(JOINTS)}],
    }


def written(folder: Path, doc: Doc) -> Path:
    (folder / "a.json").write_text(json.dumps(doc))
    return folder / "a.json"


def taken(file: Path, out: Path) -> Imported:
    return import_from("coco", file, out)


VALUES = [
    None, True, 0, -1, 1.5, 160.0, 10**9, 2**70, float("nan"), float("inf"), "x", "", [], {},
    [1, 2], [[1, 2, 3]], {"size": [120, 160], "counts": "00"},
]  # fmt: skip


def mutated(doc: Doc, rng: random.Random) -> None:
    """Change, drop or repeat one value of the document."""
    table = rng.choice(["images", "annotations", "annotations", "categories"])
    entry = rng.choice(doc[table])
    name = rng.choice([*entry, "segmentation", "state", "K"])
    what = rng.choice(["value", "value", "drop", "twice", "joint", "entry"])
    if what == "value":
        entry[name] = rng.choice(VALUES)
    elif what == "drop":
        entry.pop(name, None)
    elif what == "twice":
        doc[table].append({**copy.deepcopy(entry), "x": rng.random()})
    elif what == "joint" and isinstance(entry.get("keypoints"), list) and entry["keypoints"]:
        entry["keypoints"][rng.randrange(len(entry["keypoints"]))] = rng.choice(VALUES)
    elif what == "entry":
        doc[table][doc[table].index(entry)] = rng.choice(VALUES)


def check_agreement(folder: Path, seed: int) -> str:
    """What validate passes, import takes whole; what --fix writes, import takes whole, and of the
    file only what the report counts is lost. Returns what happened."""
    rng = random.Random(seed)
    doc = document(folder)
    mutated(doc, rng)
    file, fixed = written(folder, doc), folder / "fixed.json"
    try:
        found = validate(file, fix=fixed)
    except SynthStudioError:
        assert not fixed.exists()
        with pytest.raises(SynthStudioError):
            taken(file, folder / "out")
        return "refused by both"
    own = {}
    if "unknown_skeleton" in found.as_json()["kinds"]:
        own["skeleton"] = read_skeleton(fixed, category="person")
    before = None
    try:
        before = import_from("coco", file, folder / "out", **own)
    except SynthStudioError:
        assert found.errors
    if before is not None and not found.errors:
        assert before.frames == len(doc["images"]) and "annotation:" not in str(before.left_out)
    left, counts = json.loads(fixed.read_text()), sum((found.fixed or {}).values())
    after = import_from("coco", fixed, folder / "again", **own)
    assert after.frames == len(left["images"])
    assert not {"annotation", "picture"} & after.left_out.errors.keys(), after.notes
    for table in ("images", "annotations"):
        assert len(doc[table]) - len(left[table]) <= counts
    if before is not None:
        assert after.frames >= before.frames and after.people >= before.people, found.fixed
    return "passed" if not found.errors else "mended" if before is not None else "only mended"


@pytest.mark.parametrize("part", range(4))
def test_validate_and_import_agree(part, tmp_path) -> None:
    for seed in range(50 * part, 50 * part + 50):
        check_agreement(tmp_path / str(seed), seed)
