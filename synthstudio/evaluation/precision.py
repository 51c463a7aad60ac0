"""Average precision by OKS (pycocotools) and Ex-OKS; matching of people found without boxes.

That of whole bodies is by part, as in COCO-WholeBody's evaluation: for each part OKS is computed
over its joints with their sigmas, the area is the person's, and people without a labelled joint of
the part are ignored (evaluation/myeval_*.py of github.com/jin-s13/COCO-WholeBody).
"""

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np

from synthstudio.core import whole_body
from synthstudio.core.arrays import F64, I64, Bool
from synthstudio.core.masks import object_similarity
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.whole_body import SKELETON

MIN_OKS = 0.1
"""Minimum OKS of a match; all joints of unmatched people count as missed."""
NAMES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
"""The metrics of pycocotools' keypoint evaluation, in its order."""
_SUMMARISED = 20
"""Detections of a picture that count, as in pycocotools, or as many as the people of one."""


@dataclass(frozen=True, kw_only=True)
class Detections:
    """D people found without boxes, matched or not: `image` (D,) numbers, `xy` (D, J, 2) continuous
    pixels, NaN where a joint was not found, `joint_score` (D, J), 0 there, and `score` (D,)."""

    image: I64
    xy: Annotated[F64, "J", 2]
    joint_score: Annotated[F64, "J"]
    score: F64

    def __len__(self) -> int:
        return len(self.image)


def assign(similarity: F64, *, minimum: float = MIN_OKS) -> I64:
    """(P,) indices of found people (of D) for P true ones, -1 for none; `similarity` (D, P).
    Hungarian assignment; pairs below `minimum` are no match."""
    from scipy.optimize import linear_sum_assignment  # slow to import

    rows, columns = linear_sum_assignment(-similarity)
    out = np.full(similarity.shape[1], -1, np.int64)
    fine = similarity[rows, columns] >= minimum
    out[columns[fine]] = rows[fine]
    return out


def match(
    found: Detections,
    image: I64,
    truth: F64,
    known: Bool,
    area: F64,
    *,
    sigmas: F64,
    minimum: float = MIN_OKS,
) -> I64:
    """(P,) indices into `found` of P true people in pictures `image` (P,), -1 for none."""
    out = np.full(len(truth), -1, np.int64)
    for number in np.unique(image):
        here, there = np.flatnonzero(image == number), np.flatnonzero(found.image == number)
        similarity = object_similarity(
            found.xy[there], truth[here], known[here], area[here], sigmas
        )
        places = assign(similarity, minimum=minimum)
        out[here] = np.where(places >= 0, there[places] if len(there) else -1, -1)
    return out


@dataclass(frozen=True, kw_only=True)
class Truth:
    """P people: `image` (P,) numbers of their pictures, `xy` (P, J, 2) continuous pixels, `known`
    (P, J), `area` (P,) and `box` (P, 4: x y w h) in pixels: amodal, so that an occluder does not
    increase the weight of an error."""

    image: I64
    xy: F64
    known: Bool
    area: F64
    box: F64


@dataclass(frozen=True, kw_only=True)
class Presence:
    """For Ex-OKS: `window` (P, 4: x0 y0 x1 y1) that the network saw; `inside` (P, J): the joint
    is in it; `claimed` (P, J): predicted to."""

    window: F64
    inside: Bool
    claimed: Bool


@dataclass(frozen=True, kw_only=True)
class Matches:
    """Matched predictions (D), best score first, for bootstrap draws. `hit`, `counts` (T, D) at OKS
    0.5 to 0.95: matched, and not ignored. `people`: counted people per image of `images`."""

    hit: Bool
    counts: Bool
    image: I64
    images: I64
    people: I64


def average_precision(
    truth: Truth,
    xy: F64,
    score: F64,
    *,
    sigmas: F64,
    only: Bool | None = None,
    presence: Presence | None = None,
    image: I64 | None = None,
) -> dict[str, float]:
    """NAMES of predictions `xy` (P, J, 2) with `score` (P,), one a person; NaN: nothing to measure.

    `image` (D,): predictions are of people found in these pictures instead; not with `presence`.
    `only` (P, J): joints that count; people without one are ignored, as pycocotools does.
    `presence`: by Ex-OKS; people without a joint are dropped together with their predictions.
    """
    evaluator = _evaluated(
        truth, xy, score, sigmas=sigmas, only=only, presence=presence, image=image
    )
    if evaluator is None:
        return dict.fromkeys(NAMES, float("nan"))
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.accumulate()
        evaluator.params.maxDets = [_SUMMARISED]  # the only column it reads
        evaluator.summarize()
    return {
        n: float(v) if v >= 0 else float("nan") for n, v in zip(NAMES, evaluator.stats, strict=True)
    }


def matches(truth: Truth, xy: F64, score: F64, **how: Any) -> Matches | None:
    """Matched predictions among people of all sizes, for `intervals.average_precision`; None
    without a joint to measure. Arguments as of `average_precision`."""
    evaluator = _evaluated(truth, xy, score, **how, by_size=False)
    if evaluator is None:
        return None
    found = [e for e in evaluator.evalImgs if e is not None]
    scores = np.concatenate([e["dtScores"] for e in found])
    order = np.argsort(-scores, kind="mergesort")  # in pycocotools' order
    hit = np.concatenate([e["dtMatches"] for e in found], 1)[:, order] > 0
    ignored = np.concatenate([e["dtIgnore"] for e in found], 1)[:, order] > 0
    image = np.concatenate([np.full(len(e["dtScores"]), e["image_id"]) for e in found])
    return Matches(
        hit=hit & ~ignored,
        counts=~ignored,
        image=image[order].astype(np.int64),
        images=np.array([e["image_id"] for e in found], np.int64),
        people=np.array([(np.asarray(e["gtIgnore"]) == 0).sum() for e in found], np.int64),
    )


def _evaluated(
    truth: Truth,
    xy: F64,
    score: F64,
    *,
    sigmas: F64,
    only: Bool | None = None,
    presence: Presence | None = None,
    image: I64 | None = None,
    by_size: bool = True,
) -> Any:
    """Run COCOeval up to matching; None without joints. `by_size`: also medium and large people."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    known = truth.known if only is None else truth.known & only
    counted: Bool = np.ones(len(truth.xy), bool)
    if presence is not None:
        counted = np.asarray(known.any(1))
    if not known.any():
        return None
    shown = counted if image is None else np.ones(len(xy), bool)
    pictures = (truth.image if image is None else image)[shown]
    crowd = int(np.unique(truth.image, return_counts=True)[1].max(initial=0))
    with contextlib.redirect_stdout(io.StringIO()):
        base, found = COCO(), COCO()
        base.dataset = _truth_file(truth, known, counted, np.union1d(truth.image, pictures))
        base.createIndex()
        if len(pictures):
            found = base.loadRes(_results_file(pictures, xy[shown], score[shown]))
        evaluator = COCOeval(base, found, "keypoints")
        evaluator.params.kpt_oks_sigmas = np.asarray(sigmas)
        evaluator.params.maxDets = [max(_SUMMARISED, crowd)]
        if not by_size:
            evaluator.params.areaRng = evaluator.params.areaRng[:1]
            evaluator.params.areaRngLbl = ["all"]
        if presence is not None:
            place = np.flatnonzero(counted)  # predictions are renumbered from 1
            evaluator.computeOks = _by_extended_oks(evaluator, truth, known, xy, presence, place)
        evaluator.evaluate()
    return evaluator


def _by_extended_oks(
    evaluator: Any, truth: Truth, known: Bool, xy: F64, presence: Presence, place: I64
) -> Callable[[int, int], Any]:
    """Replacement of COCOeval.computeOks: (image, category) -> (D, G) similarities."""

    def similarity(image: int, category: int) -> Any:
        people = [p["id"] - 1 for p in evaluator._gts[image, category]]
        detections = sorted(
            evaluator._dts[image, category], key=lambda a: -a["score"]
        )  # stable, as theirs
        rows = place[[a["id"] - 1 for a in detections[: evaluator.params.maxDets[-1]]]]
        if not people or not len(rows):
            return []
        oks = np.zeros((len(rows), len(people)))
        for k, p in enumerate(people):
            window, inside = presence.window[p], presence.inside[p]
            within = ((xy[rows] >= window[:2]) & (xy[rows] < window[2:])).all(-1)
            claimed = presence.claimed[rows] & within
            apart = extended_distance(xy[rows], claimed, truth.xy[p], inside, window=window[None])
            scale = 2 * (2 * evaluator.params.kpt_oks_sigmas) ** 2 * (truth.area[p] + np.spacing(1))
            oks[:, k] = np.exp(-(apart**2) / scale)[:, known[p]].mean(1)
        return oks

    return similarity


def _truth_file(truth: Truth, known: Bool, counted: Bool, pictures: I64) -> dict[str, object]:
    xy = np.nan_to_num(np.where(known[..., None], truth.xy - 0.5, 0))  # COCO: pixel indices
    points = np.concatenate([xy, 2 * known[..., None]], -1)
    return {
        "info": {},
        "images": [{"id": int(i)} for i in pictures],
        "annotations": [
            {
                "id": int(p) + 1,
                "image_id": int(truth.image[p]),
                "category_id": 1,
                "iscrowd": 0,
                "keypoints": points[p].ravel().tolist(),
                "num_keypoints": int(known[p].sum()),
                "area": float(truth.area[p]),
                "bbox": truth.box[p].tolist(),
            }
            for p in np.flatnonzero(counted)
        ],
        "categories": [{"id": 1, "name": "person"}],
    }


def _results_file(image: I64, xy: F64, score: F64) -> list[dict[str, object]]:
    points = np.concatenate([np.nan_to_num(xy) - 0.5, np.ones((*xy.shape[:2], 1))], -1)
    return [
        {
            "image_id": int(image[p]),
            "category_id": 1,
            "score": float(score[p]),
            "keypoints": points[p].ravel().tolist(),
        }
        for p in range(len(xy))
    ]


def extended_distance(
    predicted: F64, predicted_inside: Bool, truth: F64, truth_inside: Bool, *, window: F64
) -> F64:
    """(P, J) distances of Ex-OKS (Purkrabek & Matas 2024). Both inside: Euclidean; only the
    prediction, or only the truth, inside: its distance to the nearest edge of `window` (P, 4: x0 y0
    x1 y1); both outside: 0. Positions of joints outside may be NaN."""
    apart = np.linalg.norm(predicted - truth, axis=-1)
    wrong_in, wrong_out = _to_edge(predicted, window), _to_edge(truth, window)
    mixed = np.where(predicted_inside, wrong_in, wrong_out)
    both = np.where(predicted_inside & truth_inside, apart, mixed)
    return np.asarray(np.where(~predicted_inside & ~truth_inside, 0.0, both))


def _to_edge(xy: F64, window: F64) -> F64:
    x0, y0, x1, y1 = (window[:, None, k] for k in range(4))
    sides = np.stack([xy[..., 0] - x0, x1 - xy[..., 0], xy[..., 1] - y0, y1 - xy[..., 1]])
    return np.asarray(np.maximum(sides.min(0), 0.0))


WHOLE_BODY_PARTS = ("body", "foot", "face", "left_hand", "right_hand", "hands", "whole")
"""Evaluated parts of whole bodies; `hands` is the mean of both, as in papers."""


def whole_body_precision(
    truth: Truth, xy: F64, score: F64, *, image: I64 | None = None
) -> dict[str, dict[str, float]]:
    """AP and the like (NAMES) of each of WHOLE_BODY_PARTS; arguments as of `average_precision`."""
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
    return {part: out[part] for part in WHOLE_BODY_PARTS}
