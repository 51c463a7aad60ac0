"""Boxes of people: from a file, or the whole image (finder.py finds people)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from synthstudio.core.errors import FormatError
from synthstudio.core.safe_json import BEGIN, read_list
from synthstudio.formats import checked
from synthstudio.inference.sources import (
    Boxes,
    Source,
    SourceImage,
    box_id,
    coco_boxes,
    make_boxes,
    read_box,
)

FindPeople = Callable[[SourceImage], Boxes]
_PERSON = 1
"""The category of people in COCO results files."""


def source_boxes(image: SourceImage) -> Boxes:
    """The boxes that an image came with; the whole image when it came without."""
    if image.boxes is not None:
        return image.boxes
    height, width = image.rgb.shape[:2]
    return Boxes(xywh=np.array([[0.0, 0.0, width, height]]), score=np.ones(1))


def boxes_from_file(path: Path, source: Source, *, min_score: float = 0.0) -> FindPeople:
    """Look boxes up in a COCO annotations or results file; FormatError for a bad one.

    Annotations are matched by file name (photos, COCO files) or by frame number (videos, data
    sets); results by `image_id`: the COCO file's id, the frame's number, or the photo's index in
    its folder. Boxes with a score below `min_score` are left out.
    """
    if not path.is_file():
        raise FormatError("there is no such file", where=str(path))
    if _starts_a_list(path):
        by_number, by_name = _results(path), {}
    else:
        names, by_number = coco_boxes(path)
        by_name = {name: by_number.get(number) for number, name in names.items()}
    named = bool(by_name) and source.kind in ("photos", "coco")
    ends = Counter(PurePosixPath(name).name for name in by_name)
    by_end = {
        PurePosixPath(n).name: b for n, b in by_name.items() if ends[PurePosixPath(n).name] == 1
    }

    def find(image: SourceImage) -> Boxes:
        found = by_number.get(image.number)
        if named:
            found = by_name.get(image.name) or by_end.get(PurePosixPath(image.name).name)
        if found is None:
            return Boxes(xywh=np.zeros((0, 4)), score=np.zeros(0))
        use = np.flatnonzero(found.score >= min_score)
        return Boxes(xywh=found.xywh[use], score=found.score[use])

    return find


def _starts_a_list(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["


def _results(path: Path) -> dict[int, Boxes]:
    found: dict[int, list[tuple[list[float], float, int]]] = {}
    for number, span in enumerate(s for s in read_list(path) if s is not BEGIN):
        entry: Any = span.value
        with checked.reading(f"{path}: entry {number}"):
            if entry.get("category_id", _PERSON) == _PERSON:
                row = read_box(entry, number)
                found.setdefault(box_id(entry["image_id"]), []).append(row)
    return {image: make_boxes(rows) for image, rows in found.items()}


def check_found(count: int, path: Path) -> None:
    """FormatError when a file of boxes has none for the images."""
    if not count:
        raise FormatError(
            "no box of this file belongs to any of the images",
            where=str(path),
            expected="the images' file names or numbers, and scores above --sure",
        )
