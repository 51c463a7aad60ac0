"""Who of the people found in a frame is who: for systems that find people without boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from synthstudio.core.similarity import object_similarity

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

LEAST_OKS = 0.1
"""Below it a found person is nobody's: all joints of a person who is left over are missed."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """D people found without boxes, whether they match somebody or not: `image` (D,) numbers of
    the pictures, `xy` (D, J, 2) continuous pixels, NaN where a joint was not found, `joint_score`
    (D, J), 0 there, and `score` (D,)."""

    image: I64
    xy: F64
    joint_score: F64
    score: F64

    def __len__(self) -> int:
        return len(self.image)


def assign(similarity: F64, *, least: float = LEAST_OKS) -> I64:
    """(P,) who of D found people is each of P true ones, -1 for nobody; `similarity` (D, P).

    One to one, with the highest sum of similarities (Hungarian assignment); pairs below `least`
    are no match.
    """
    rows, columns = linear_sum_assignment(-similarity)
    out = np.full(similarity.shape[1], -1, np.int64)
    fine = similarity[rows, columns] >= least
    out[columns[fine]] = rows[fine]
    return out


def match(found: Found, image: I64, truth: F64, known: Bools, area: F64, *, sigmas: F64) -> I64:
    """(P,) places in `found` of P true people in pictures `image` (P,), -1 for nobody."""
    out = np.full(len(truth), -1, np.int64)
    for number in np.unique(image):
        here, there = np.flatnonzero(image == number), np.flatnonzero(found.image == number)
        similarity = object_similarity(
            found.xy[there], truth[here], known[here], area[here], sigmas
        )
        places = assign(similarity)
        out[here] = np.where(places >= 0, there[places] if len(there) else -1, -1)
    return out
