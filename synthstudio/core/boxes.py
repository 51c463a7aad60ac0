"""Boxes and joints of people of one picture: their overlap and OKS."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synthstudio.core.arrays import F64, I64, Bool


def nms(boxes: F64, score: F64, *, overlap: float) -> I64:
    """Non-maximum suppression: indices of boxes (D, 4: x0 y0 x1 y1), best first, without those that
    overlap a better one by an IoU above `overlap`."""
    order = np.argsort(-score, kind="stable")
    kept: list[int] = []
    area = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1)
    while len(order):
        best, order = order[0], order[1:]
        kept.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[order, :2])
        high = np.minimum(boxes[best, 2:], boxes[order, 2:])
        shared = (high - low).clip(0).prod(1)
        order = order[shared <= overlap * (area[best] + area[order] - shared)]
    return np.array(kept, np.int64)


def object_similarity(found: F64, truth: F64, known: Bool, area: F64, sigmas: F64) -> F64:
    """OKS (D, P) of found people (D, J, 2) and true ones (P, J, 2) over the joints `known` (P, J).

    COCO's formula with `area` (P,) in square pixels; a joint that was not found counts 0, and
    a person without a known joint has OKS 0.
    """
    squared = ((found[:, None] - np.where(known[..., None], truth, 0)) ** 2).sum(-1)
    scale = 2 * (2 * sigmas) ** 2 * (area[:, None] + np.spacing(1))
    similar = np.where(known, np.nan_to_num(np.exp(-squared / scale)), 0.0)
    return np.asarray(similar.sum(-1) / np.maximum(known.sum(-1), 1))


def box_overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes x, y, width, height; 0 where neither has an area."""
    wide, high = (max(0.0, min(a[k] + a[k + 2], b[k] + b[k + 2]) - max(a[k], b[k])) for k in (0, 1))
    union = a[2] * a[3] + b[2] * b[3] - wide * high
    return wide * high / union if union > 0 else 0.0
