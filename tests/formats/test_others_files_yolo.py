"""YOLO folders as people have them: what is read, what is reported, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from synthstudio.core.errors import FormatError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.formats.imports import Imported, import_from

LINE = "0 0.5 0.5 0.4 0.4" + " 0.5 0.5 2" * 17
FLIP = get_skeleton("coco17").flip.tolist()


def taken(
    tmp_path: Path,
    *names: str,
    head: dict[str, Any] | None = None,
    text: str = LINE,
    more: dict[str, str] | None = None,
) -> Imported:
    """Import a folder with a picture and a label file for each name below its images folder."""
    root = tmp_path / "in"
    for name in names or ("images/train/a.jpg",):
        label = name.replace("images/", "labels/")
        for path in (root / name, root / label):
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48)).save(root / name, "JPEG")
        (root / label).with_suffix(".txt").write_text(text, "utf-8")
    config = {"kpt_shape": [17, 3], "train": "images/train", "names": ["person"], **(head or {})}
    (root / "data.yaml").write_text(yaml.safe_dump(config))
    for name, content in (more or {}).items():
        (root / name).write_text(content)
    return import_from("yolo", root, tmp_path / "out")


READ: dict[str, tuple[dict[str, Any], tuple[int, int], str]] = {
    "plain": ({}, (1, 1), ""),
    "nested": ({"names": ("images/train/a.jpg", "images/train/s/t/b.jpg")}, (2, 2), ""),
    "train is val": ({"head": {"val": "images/train"}}, (1, 1), ""),
    "train holds val": (
        {
            "names": ("images/a.jpg", "images/val/b.jpg"),
            "head": {"train": "images", "val": "images/val"},
        },
        (2, 2),
        "",
    ),
    "path": ({"names": ("v2/images/train/a.jpg",), "head": {"path": "v2"}}, (1, 1), ""),
    "path is the folder": ({"head": {"path": "../in"}}, (1, 1), ""),
    "path with old folders beside it": (
        {"names": ("images/train/a.jpg", "v2/images/train/b.jpg"), "head": {"path": "./v2"}},
        (1, 1),
        "",
    ),
    "roboflow": (
        {"names": ("train/images/a.jpg",), "head": {"train": "../train/images"}},
        (1, 1),
        "",
    ),
    "list of folders": (
        {
            "names": ("images/x/a.jpg", "images/y/b.jpg"),
            "head": {"train": ["images/x", "images/y"]},
        },
        (2, 2),
        "",
    ),
    "list of pictures": (
        {"head": {"train": "train.txt"}, "more": {"train.txt": "./images/train/a.jpg\n"}},
        (1, 1),
        "",
    ),
    "class 0.0": ({"text": LINE.replace("0 ", "0.0 ", 1)}, (1, 1), ""),
    "byte order mark": ({"text": "\ufeff" + LINE}, (1, 1), ""),
    "crlf": ({"text": LINE + "\r\n\r\n"}, (1, 1), ""),
    "empty": ({"text": ""}, (1, 0), ""),
    "box alone": ({"text": "0 0.5 0.5 0.4 0.4"}, (1, 1), ""),
    "rounded beyond the side": (
        {"text": LINE.replace(" 0.5 0.5 2", " 1.004 0.5 1", 1)},
        (1, 1),
        "",
    ),
    "several classes": (
        {"head": {"names": {0: "person", 1: "dog"}}, "text": f"{LINE}\n1{LINE[1:]}"},
        (1, 1),
        "1 x line of another class",
    ),
    "a short line": ({"text": f"{LINE}\n0 0.5 0.5"}, (1, 1), "1 x annotation: a line has 56"),
    "no number": ({"text": f"{LINE}\nx"}, (1, 1), "1 x annotation: could not convert"),
    "a class without a name": ({"head": {"names": ["0"]}}, (1, 1), ""),
    "flip_idx": ({"head": {"flip_idx": FLIP}}, (1, 1), ""),
    "a damaged picture": (
        {"more": {"images/train/z.jpg": "x"}},
        (1, 1),
        "1 x picture: this is not a picture",
    ),
    "another format": ({"more": {"images/train/z.tif": "x"}}, (1, 1), "1 x file ending in .tif"),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_read_and_reported(name, tmp_path) -> None:
    given, counts, note = READ[name]
    given = dict(given)
    made = taken(tmp_path, *given.pop("names", ()), **given)
    assert (made.frames, made.people) == counts
    assert note in " ".join(made.notes) and bool(made.left_out) == bool(note)


REFUSED = {
    "another class": ({"head": {"names": ["dog"]}}, "which class is person"),
    "flip_idx against names": (
        {"head": {"kpt_names": {0: list(get_skeleton("coco17").joints)}, "flip_idx": [*range(17)]}},
        "flip_idx is not that",
    ),
    "path elsewhere": ({"head": {"path": "/nowhere/coco"}}, "path: /nowhere/coco"),
    "outside": ({"head": {"train": "../../images"}}, "leads out"),
    "no split": ({"head": {"train": None}}, "no train, val or test"),
    "no folder": ({"head": {"train": "images/none"}}, "no such folder"),
    "nobody readable": ({"text": "0 0.5"}, "56 numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_named(name, tmp_path) -> None:
    given, told = REFUSED[name]
    with pytest.raises(FormatError, match=told):
        taken(tmp_path, **given)
    assert not (tmp_path / "out").exists()
