"""How alike people of one picture are: OKS of their joints, overlap of their boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]


def object_similarity(found: F64, truth: F64, known: Bools, area: F64, sigmas: F64) -> F64:
    """OKS (D, P) of found people (D, J, 2) and true ones (P, J, 2) over the joints `known` (P, J).

    COCO's formula with `area` (P,) in square pixels; a joint that was not found counts 0, and
    somebody without a known joint resembles nobody.
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
