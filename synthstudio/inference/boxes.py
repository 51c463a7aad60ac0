"""Boxes of people: from a file, from a transformers person detector, or the whole image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

from synthstudio.core.errors import FormatError, ModelError
from synthstudio.core.extras import import_extra
from synthstudio.core.safe_json import BEGIN, read_list
from synthstudio.inference.sources import (
    F64,
    U8,
    Boxes,
    Source,
    SourceImage,
    check_id,
    coco_boxes,
    make_boxes,
    read_box,
    read_score,
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
    found: dict[int, list[tuple[F64, float, int]]] = {}
    for number, span in enumerate(s for s in read_list(path) if s is not BEGIN):
        entry: Any = span.value
        where = f"{path}: entry {number}"
        if not isinstance(entry, dict):
            raise FormatError("not a COCO result", where=where, got=repr(entry)[:80])
        if entry.get("category_id", _PERSON) == _PERSON:
            row = (read_box(entry, where), read_score(entry, where), number)
            found.setdefault(check_id(entry.get("image_id"), where), []).append(row)
    return {image: make_boxes(rows) for image, rows in found.items()}


def check_found(count: int, path: Path) -> None:
    """FormatError when a file of boxes has none for the images."""
    if not count:
        raise FormatError(
            "no box of this file belongs to any of the images",
            where=str(path),
            expected="the images' file names or numbers, and scores above --sure",
        )


class Detector:
    """A `transformers` person detector: the name or folder of any AutoModelForObjectDetection.

    ModelError when it cannot be loaded, or has no label "person".
    """

    def __init__(self, name: str, *, device: torch.device, min_score: float = 0.5) -> None:
        transformers = import_extra("transformers", extra="train")
        try:
            self._processor: Any = transformers.AutoImageProcessor.from_pretrained(name)
            model: Any = transformers.AutoModelForObjectDetection.from_pretrained(name)
        except (OSError, ValueError, ImportError, KeyError) as error:
            raise ModelError(
                "the detector cannot be loaded",
                where=name,
                expected="the name or folder of a transformers object detector",
                got=str(error)[:200],
            ) from error
        names = {int(k): str(v) for k, v in model.config.id2label.items()}
        self._labels = [k for k, v in names.items() if v.lower() == "person"]
        if not self._labels:
            raise ModelError(
                "the detector has no label person",
                where=name,
                got=", ".join(list(names.values())[:8]),
            )
        self._model, self._device, self._min_score = model.to(device).eval(), device, min_score

    def __call__(self, image: SourceImage) -> Boxes:
        """People by falling score; boxes are clipped to the image."""
        rgb: U8 = image.rgb
        height, width = rgb.shape[:2]
        inputs = self._processor(images=rgb, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            outputs = self._model(**inputs)
        found = self._processor.post_process_object_detection(
            outputs, threshold=self._min_score, target_sizes=[(height, width)]
        )[0]
        use = torch.isin(found["labels"].cpu(), torch.tensor(self._labels))
        corners = found["boxes"].cpu()[use].double().numpy().reshape(-1, 4)
        corners = np.clip(corners, 0, [width, height, width, height])
        score = found["scores"].cpu()[use].double().numpy()
        sides = corners[:, 2:] - corners[:, :2]
        order = np.argsort(-score, kind="stable")
        order = order[(sides[order] > 1).all(-1)]
        return Boxes(
            xywh=np.concatenate([corners[:, :2], sides], -1)[order], score=score[order].clip(0, 1)
        )
