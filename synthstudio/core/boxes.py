"""Boxes of people: which of many that overlap are kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


def keep_best(boxes: F64, score: F64, *, overlap: float) -> I64:
    """The numbers of boxes (D, 4: x0 y0 x1 y1), the best first, without those that overlap a better
    one by an IoU above `overlap`."""
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
