"""Average precision over OKS, by pycocotools' own code; Ex-OKS for joints out of the picture."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

NAMES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
"""What pycocotools' keypoint evaluation summarises, in its order."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """P people: `image` (P,) numbers of their pictures, `xy` (P, J, 2) continuous pixels, `known`
    (P, J), `area` (P,) and `box` (P, 4: x y w h) in pixels: amodal, so that a hider does not make
    the same error count more (docs: design of evaluation by occlusion)."""

    image: I64
    xy: F64
    known: Bools
    area: F64
    box: F64


def average_precision(
    truth: Truth, xy: F64, score: F64, *, sigmas: F64, only: Bools | None = None
) -> dict[str, float]:
    """Return NAMES for answers `xy` (P, J, 2) with `score` (P,): one answer a person.

    `only` (P, J) leaves all other joints out of the truth (state, cause, ...); people without a
    joint left are ignored, as pycocotools does. -1 of pycocotools (nothing to measure) is NaN.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    known = truth.known if only is None else truth.known & only
    with contextlib.redirect_stdout(io.StringIO()):
        base = COCO()
        base.dataset = _truth_file(truth, known)
        base.createIndex()
        answers = _answers(truth, xy, score)
        found = base.loadRes(answers) if answers else None
        if found is None or not known.any():
            return dict.fromkeys(NAMES, float("nan"))
        run = COCOeval(base, found, "keypoints")
        run.params.kpt_oks_sigmas = np.asarray(sigmas)
        run.evaluate()
        run.accumulate()
        run.summarize()
    return {n: float(v) if v >= 0 else float("nan") for n, v in zip(NAMES, run.stats, strict=True)}


def _truth_file(truth: Truth, known: Bools) -> dict[str, object]:
    joints = truth.xy.shape[1]
    people = []
    for p in range(len(truth.image)):
        points = np.zeros((joints, 3))
        points[:, :2] = np.where(known[p][:, None], truth.xy[p] - 0.5, 0)  # COCO: pixel indices
        points[:, 2] = 2 * known[p]
        people.append(
            {
                "id": p + 1, "image_id": int(truth.image[p]), "category_id": 1, "iscrowd": 0,
                "keypoints": points.ravel().tolist(), "num_keypoints": int(known[p].sum()),
                "area": float(truth.area[p]), "bbox": truth.box[p].tolist(),
            }
        )  # fmt: skip
    images = [{"id": int(i)} for i in np.unique(truth.image)]
    return {
        "info": {}, "images": images, "annotations": people,
        "categories": [{"id": 1, "name": "person"}],
    }  # fmt: skip


def _answers(truth: Truth, xy: F64, score: F64) -> list[dict[str, object]]:
    points = np.concatenate([np.nan_to_num(xy) - 0.5, np.ones((*xy.shape[:2], 1))], -1)
    return [
        {
            "image_id": int(truth.image[p]), "category_id": 1, "score": float(score[p]),
            "keypoints": points[p].ravel().tolist(),
        }
        for p in range(len(xy))
    ]  # fmt: skip


def extended_distance(
    answer: F64, answer_inside: Bools, truth: F64, truth_inside: Bools, *, window: F64
) -> F64:
    """Return (P, J) the distances of Ex-OKS (Purkrabek & Matas 2024) of joints anywhere.

    `window` (P, 4: x0 y0 x1 y1) is the part of the picture that the network saw. Both inside:
    the usual distance. The truth outside and the answer inside: how far the answer is from the
    window's nearest edge; the other way round likewise for the truth; both outside: 0.
    """
    apart = np.linalg.norm(answer - truth, axis=-1)
    wrong_in, wrong_out = _to_edge(answer, window), _to_edge(truth, window)
    mixed = np.where(answer_inside, wrong_in, wrong_out)
    both = np.where(answer_inside & truth_inside, apart, mixed)
    return np.asarray(np.where(~answer_inside & ~truth_inside, 0.0, both))


def _to_edge(xy: F64, window: F64) -> F64:
    x0, y0, x1, y1 = (window[:, None, k] for k in range(4))
    sides = np.stack([xy[..., 0] - x0, x1 - xy[..., 0], xy[..., 1] - y0, y1 - xy[..., 1]])
    return np.asarray(np.maximum(sides.min(0), 0.0))
