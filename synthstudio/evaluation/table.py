"""What a network answered, beside what is true: one row a person. Letters: P people, J joints."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Bools = NDArray[np.bool_]
Words = NDArray[np.str_]


@dataclass(frozen=True, kw_only=True)
class Answers:
    """P people; places are continuous pixels of their pictures.

    `known` (P, J): labelled and inside the window that the network saw. `area`: of the amodal
    mask; `side`: the longer one of the amodal box; `box` (P, 4) x y w h. `window` (P, 4)
    x0 y0 x1 y1: what the network saw of the picture. `clean` (P,): the row of the same person in
    the same moment without occluders, or -1. `present`, `shares`, `quality`: what the network
    said, NaN where it says nothing; `shares` (P, J, 4) visible, self, person, object. `xyz_m`
    root-relative.
    """

    xy: F64  # (P, J, 2) answered
    score: F64  # (P, J) the chance to be right that the maps give
    peak: F64  # (P, J) the first map's highest value: the baseline for visibility
    present: F64  # (P, J)
    shares: F64  # (P, J, 4)
    quality: F64  # (P, J)
    xyz_m: F64  # (P, J, 3)
    true_xy: F64
    true_shares: F64  # (P, J, 5)
    true_xyz_m: F64
    known: Bools
    state: U8  # (P, J)
    cause: U8  # (P, J) place in core.labels.CAUSES
    ambiguous: Bools
    area: F64
    side: F64
    box: F64
    window: F64
    fraction: F64
    crowd: F64
    frame: I64
    instance: I64
    group: I64
    clean: I64
    variant: Words
    family: Words

    def __len__(self) -> int:
        """Return P."""
        return len(self.xy)


def some(answers: Answers, rows: NDArray[np.int64] | Bools) -> Answers:
    """Return some of the people; `clean` is renumbered, -1 where its row is not among them."""
    rows = np.flatnonzero(rows) if rows.dtype == bool else rows
    place = np.full(len(answers) + 1, -1, np.int64)
    place[rows] = np.arange(len(rows))
    parts = {f.name: getattr(answers, f.name)[rows] for f in fields(Answers)}
    parts["clean"] = place[parts["clean"]]
    return Answers(**parts)
