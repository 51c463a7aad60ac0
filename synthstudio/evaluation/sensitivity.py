"""Occlusion-sensitivity maps: a grey patch slides over a person; which joints go wrong, where?

After the analysis in PARE (Kocabas et al. 2021). A robust network goes wrong under the patch at
most; `elsewhere` is the share of the harm done to joints that the patch does not touch. The
network is a callable. Letters: R, C rows and columns of patch places, J joints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Bools = NDArray[np.bool_]
GREY = 114


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """`increase` (R, C, J): how much the error grew, in its unit; NaN for joints that do not count.

    `under` (R, C, J): the patch touches the joint. `left`, `top`: where patches begin, pixels of
    the `picture` (H, W, 3).
    """

    increase: F64
    under: Bools
    left: I64
    top: I64
    patch: int
    picture: U8

    @property
    def map(self) -> F64:
        """Return (R, C) the mean growth over joints."""
        return np.asarray(np.nanmean(self.increase, -1))


def sensitivity(
    error: Callable[[U8], F64], picture: U8, xy: F64, *, known: Bools, patch: int, stride: int
) -> Sensitivity:
    """Slide a patch over a picture (H, W, 3). `error` says (K, J) errors of K pictures.

    `xy` (J, 2) pixels, `known` (J,): joints that count. ValueError when the patch does not fit
    or no joint counts.
    """
    high, wide = picture.shape[:2]
    if not 0 < patch <= min(high, wide) or stride < 1 or not known.any():
        raise ValueError(f"a patch of {patch} px, stride {stride}, in {wide} x {high} px")
    left, top = np.arange(0, wide - patch + 1, stride), np.arange(0, high - patch + 1, stride)
    before = error(picture[None])[0]
    rows, under = [], []
    for y in top:
        covered = np.repeat(picture[None], len(left), 0)
        for k, x in enumerate(left):
            covered[k, y : y + patch, x : x + patch] = GREY
        rows.append(error(covered) - before)
        inside = (xy[:, 1] >= y) & (xy[:, 1] < y + patch)
        under.append([(inside & (xy[:, 0] >= x) & (xy[:, 0] < x + patch)) for x in left])
    grown = np.where(known, np.stack(rows), np.nan)
    return Sensitivity(
        increase=grown, under=np.array(under), left=left, top=top, patch=patch, picture=picture
    )


def summary(maps: Sequence[Sensitivity]) -> dict[str, Any]:
    """Return the mean and highest growth, and the share of all harm done to joints elsewhere."""
    if not maps:
        return {"people": 0}
    harm = [np.where(np.isfinite(m.increase), np.maximum(m.increase, 0), 0) for m in maps]
    total = sum(float(h.sum()) for h in harm)
    beside = sum(float(h[~m.under].sum()) for h, m in zip(harm, maps, strict=True))
    grown = np.concatenate([m.increase[np.isfinite(m.increase)] for m in maps])
    under = np.concatenate([m.increase[m.under & np.isfinite(m.increase)] for m in maps])
    return {
        "people": len(maps),
        "mean": float(grown.mean()),
        "max": float(max(np.nanmax(m.map) for m in maps)),
        "under_patch": float(under.mean()) if len(under) else float("nan"),
        "elsewhere": beside / total if total else float("nan"),
    }
