"""COCO files as tools write them: validate, --fix and import share one set of rules."""

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


IDS = {
    "whole": (1, 2),
    "text": ("im1", "im2"),
    "large": (2**60, 2**60 + 1),
    "larger": (2**70, 2**70 + 1),
    "negative": (-1, -2),
    "float": (1.0, 2.0),
    "real": (1.5, 2.5),
    "true": (True, False),
    "lists": ([1, "a"], [2, "b"]),
    "mixed": (1, "1"),
}


@pytest.mark.parametrize("kind", IDS)
def test_ids_are_names_of_any_kind(kind, tmp_path) -> None:
    doc = document(tmp_path)
    first, second = IDS[kind]
    doc["images"][0]["id"], doc["images"][1]["id"] = first, second
    for entry in doc["annotations"]:
        entry["image_id"] = first if entry["image_id"] == 1 else second
    doc["annotations"][0]["id"], doc["annotations"][1]["id"] = first, second
    file = written(tmp_path, doc)
    assert not validate(file).errors
    made = taken(file, tmp_path / "out")
    assert (made.frames, made.people, made.notes) == (2, 3, [])


def change(table: str, **values: Any) -> Any:
    def apply(doc: Doc) -> None:
        doc[table][0].update(values)

    return apply


def drop(table: str, name: str) -> Any:
    return lambda doc: doc[table][0].pop(name)


TAKEN = {
    "no keypoints": drop("annotations", "keypoints"),
    "null keypoints": change("annotations", keypoints=None),
    "empty keypoints": change("annotations", keypoints=[]),
    "no area": drop("annotations", "area"),
    "null area": change("annotations", area=None),
    "no iscrowd": drop("annotations", "iscrowd"),
    "no bbox": drop("annotations", "bbox"),
    "no num_keypoints": drop("annotations", "num_keypoints"),
    "float sizes": change("images", width=160.0, height=120.0),
    "no size": lambda doc: [doc["images"][0].pop(n) for n in ("width", "height")],
    "null licences": lambda doc: doc.update(licenses=None),
    "odd licences": lambda doc: doc.update(licenses=[{"name": 3}, 4]),
    "unknown keys": change("annotations", score="NaN", attributes={"a": [1]}),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_loses_nothing_is_taken_by_all(name, tmp_path) -> None:
    doc = document(tmp_path)
    TAKEN[name](doc)
    file = written(tmp_path, doc)
    assert not validate(file).errors
    made = taken(file, tmp_path / "out")
    assert (made.frames, made.people) == (2, 3)


LEFT_OUT = {
    "v": (change("annotations", keypoints=[30, 30, 7] * 17), 2, 2, "v is 0, 1 or 2"),
    "too few": (change("annotations", keypoints=[1, 2, 2]), 2, 2, "51 numbers"),
    "no image": (change("annotations", image_id=9), 2, 2, "no such image"),
    "no category": (change("annotations", category_id=9), 2, 2, "no such category"),
    "area": (change("annotations", area="big"), 2, 2, "no number"),
    "box": (change("annotations", bbox=[1, 2, 3]), 2, 2, "x, y, w, h"),
    "size": (change("images", width=0), 1, 1, "not a whole number"),
    "another size": (change("images", width=150), 1, 1, "another size"),
    "no file": (change("images", file_name="c.jpg"), 1, 1, "no such file"),
    "climbs": (change("images", file_name="../c.jpg"), 1, 1, "leads out"),
    "no id": (drop("images", "id"), 1, 1, "no 'id'"),
    "no entry": (lambda doc: doc["annotations"].append(7), 2, 3, "annotation"),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_cannot_be_read_is_counted_and_the_rest_taken(name, tmp_path) -> None:
    plant, frames, people, told = LEFT_OUT[name]
    doc = document(tmp_path)
    plant(doc)
    file = written(tmp_path, doc)
    assert validate(file).errors
    made = taken(file, tmp_path / "out")
    assert (made.frames, made.people) == (frames, people)
    assert told in " ".join(made.left_out)
    validate(file, fix=tmp_path / "fixed.json")
    again = taken(tmp_path / "fixed.json", tmp_path / "again")
    assert (again.frames, again.people) == (frames, people)


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


@pytest.mark.nightly("2,000 mutations: the quick level has 200")
def test_validate_and_import_agree_on_many(tmp_path) -> None:
    for seed in range(1000, 3000):
        check_agreement(tmp_path / str(seed), seed)
