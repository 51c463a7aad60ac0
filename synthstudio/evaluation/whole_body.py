"""AP of whole bodies, by part, as in COCO-WholeBody's evaluation.

For each part OKS is computed over its joints with their sigmas, the area is the person's, and
people without a labelled joint of the part are ignored: evaluation/myeval_*.py of
github.com/jin-s13/COCO-WholeBody.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from synthstudio.core import whole_body
from synthstudio.core.arrays import F64, I64
from synthstudio.core.safe_json import read_list
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.whole_body import SKELETON
from synthstudio.evaluation.precision import Truth, average_precision
from synthstudio.formats import checked
from synthstudio.formats.coco.dialects import joined_keypoints
from synthstudio.formats.coco.file import read_entries
from synthstudio.formats.exchange import HALF_PX

PARTS = ("body", "foot", "face", "left_hand", "right_hand", "hands", "whole")
"""Evaluated parts; `hands` is the mean of both, as in papers."""


def whole_body_precision(
    truth: Truth, xy: F64, score: F64, *, image: I64 | None = None
) -> dict[str, dict[str, float]]:
    """AP and the like (precision.NAMES) of each of PARTS; arguments as of `average_precision`."""
    sigmas = get_skeleton(SKELETON).sigmas
    out = {
        part: average_precision(
            replace(truth, xy=truth.xy[:, at], known=truth.known[:, at]),
            xy[:, at],
            score,
            sigmas=sigmas[at],
            image=image,
        )
        for part, at in (whole_body.PARTS | {"whole": slice(0, len(sigmas))}).items()
    }
    left, right = out["left_hand"], out["right_hand"]
    out["hands"] = {name: (left[name] + right[name]) / 2 for name in left}
    return {part: out[part] for part in PARTS}


def evaluate_files(annotations: Path, results: Path) -> dict[str, dict[str, float]]:
    """The same for a COCO-WholeBody file and a results file in its format; FormatError."""
    pictures: set[int] = set()
    image, points, area, box = [], [], [], []
    for key, entry in read_entries(annotations):
        if key == "images":
            with checked.reading(str(annotations)):
                pictures.add(checked.integer(entry["id"]))
        elif key == "annotations" and not entry.get("iscrowd"):
            with checked.reading(f"{annotations}, annotation {str(entry.get('id'))[:40]}"):
                image.append(checked.integer(entry["image_id"]))
                points.append(joined_keypoints(entry))
                area.append(checked.number(entry["area"], 1e12))
                box.append(checked.box(entry["bbox"]))
    labels = np.array(points, np.float64).reshape(len(points), -1, 3)
    truth = Truth(
        image=np.array(image, np.int64),
        xy=labels[..., :2] + HALF_PX,
        known=labels[..., 2] > 0,
        area=np.array(area, np.float64),
        box=np.array(box, np.float64).reshape(-1, 4),
    )
    xy, score, found = _results(results, pictures)
    return whole_body_precision(truth, xy, score, image=found)


def _results(path: Path, pictures: set[int]) -> tuple[F64, F64, I64]:
    """(D, 133, 2) continuous pixels, (D,) scores and (D,) image numbers of a results file."""
    points, score, image = [], [], []
    for span in read_list(path):
        with checked.reading(f"{path}, byte {span.start}"):
            entry = span.value
            number = checked.integer(entry["image_id"])
            points.append(joined_keypoints(entry, result=True))
            score.append(checked.number(entry["score"]))
            image.append(number)
            if number not in pictures:
                raise ValueError(f"image {number} is not in the annotations")
    xy = np.array(points, np.float64).reshape(len(points), -1, 3)[..., :2] + HALF_PX
    return xy, np.array(score, np.float64), np.array(image, np.int64)
