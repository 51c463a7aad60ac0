"""Where people are: from a file, from a person detector of transformers, or the whole picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

from synthstudio.core.errors import FormatError, ModelError
from synthstudio.core.safe_json import BEGIN, read_list
from synthstudio.inference.sources import (
    F64,
    U8,
    Boxes,
    Picture,
    Source,
    box_of,
    boxes_of,
    coco_boxes,
    score_of,
    whole,
)

Find = Callable[[Picture], Boxes]
_PERSON = 1
"""The category of people in COCO's results files."""


def own_boxes(picture: Picture) -> Boxes:
    """Return the boxes that a picture came with; the whole picture when it came without."""
    if picture.boxes is not None:
        return picture.boxes
    high, wide = picture.rgb.shape[:2]
    return Boxes(xywh=np.array([[0.0, 0.0, wide, high]]), score=np.ones(1))


def boxes_from(path: Path, source: Source, *, least: float = 0.0) -> Find:
    """Return what looks boxes up in a COCO annotations or results file.

    Annotations name their pictures by file name (photos, COCO files) or by frame number (videos,
    data sets); results by `image_id`: the COCO file's id, the frame's number, or the photo's
    place in its folder, from 0. Boxes with a score below `least` are left out. FormatError.
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

    def find(picture: Picture) -> Boxes:
        found = by_number.get(picture.number)
        if named:
            found = by_name.get(picture.name) or by_end.get(PurePosixPath(picture.name).name)
        if found is None:
            return Boxes(xywh=np.zeros((0, 4)), score=np.zeros(0))
        use = np.flatnonzero(found.score >= least)
        return Boxes(xywh=found.xywh[use], score=found.score[use])

    return find


def _starts_a_list(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["


def _results(path: Path) -> dict[int, Boxes]:
    found: dict[int, list[tuple[F64, float, int]]] = {}
    for number, span in enumerate(s for s in read_list(path) if s is not BEGIN):
        entry: Any = span.value
        where = f"{path}: entry {number}"
        if not isinstance(entry, dict):
            raise FormatError("this is no result", where=where, got=repr(entry)[:80])
        if entry.get("category_id", _PERSON) == _PERSON:
            row = (box_of(entry, where), score_of(entry, where), number)
            found.setdefault(whole(entry.get("image_id"), where), []).append(row)
    return {image: boxes_of(rows) for image, rows in found.items()}


def check_found(count: int, path: Path) -> None:
    """FormatError when a file of boxes named nobody in the pictures that were looked at."""
    if not count:
        raise FormatError(
            "no box of this file belongs to any of the pictures",
            where=str(path),
            expected="the pictures' file names or numbers, and scores above --sure",
        )


class Detector:
    """A person detector of `transformers`: anything that AutoModelForObjectDetection opens."""

    def __init__(self, name: str, *, device: torch.device, least: float = 0.5) -> None:
        """Open a name or a local folder; ModelError when it cannot be, or knows no person."""
        from transformers import AutoImageProcessor, AutoModelForObjectDetection

        try:
            self._prepare: Any = AutoImageProcessor.from_pretrained(name)  # type: ignore[no-untyped-call]
            model: Any = AutoModelForObjectDetection.from_pretrained(name)
        except (OSError, ValueError, ImportError, KeyError) as error:
            raise ModelError(
                "the detector cannot be loaded",
                where=name,
                expected="a name or folder of transformers with an object detector",
                got=str(error)[:200],
            ) from error
        names = {int(k): str(v) for k, v in model.config.id2label.items()}
        self._labels = [k for k, v in names.items() if v.lower() == "person"]
        if not self._labels:
            raise ModelError(
                "the detector knows no label person",
                where=name,
                got=", ".join(list(names.values())[:8]),
            )
        self._model, self._device, self._least = model.to(device).eval(), device, least

    def __call__(self, picture: Picture) -> Boxes:
        """Return the people of a picture, those surest first; boxes end at its edges."""
        rgb: U8 = picture.rgb
        high, wide = rgb.shape[:2]
        inputs = self._prepare(images=rgb, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            said = self._model(**inputs)
        found = self._prepare.post_process_object_detection(
            said, threshold=self._least, target_sizes=[(high, wide)]
        )[0]
        use = torch.isin(found["labels"].cpu(), torch.tensor(self._labels))
        corners = found["boxes"].cpu()[use].double().numpy().reshape(-1, 4)
        corners = np.clip(corners, 0, [wide, high, wide, high])
        score = found["scores"].cpu()[use].double().numpy()
        sides = corners[:, 2:] - corners[:, :2]
        order = np.argsort(-score, kind="stable")
        order = order[(sides[order] > 1).all(-1)]
        return Boxes(
            xywh=np.concatenate([corners[:, :2], sides], -1)[order], score=score[order].clip(0, 1)
        )
