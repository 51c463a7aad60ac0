"""Diagnostics of a network: how ORN reads its pose bank, occlusion-sensitivity maps, latency.

Sensitivity maps follow PARE (Kocabas et al. 2021): a grey patch slides over a person;
`not_under_patch` is the fraction of added error at joints outside the patch.
Letters: J joints, h, w cells, K poses, R, C rows and columns of patch positions.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthstudio.core.arrays import F64, I64, U8, Bool

PATCH_GREY = 114


@dataclass(frozen=True, kw_only=True)
class AttentionExample:
    """One joint; positions x y in 0..1 of the window. `picture` (H, W, 3); `heatmap` (h, w), its
    `peaks` (K, 2); `cover` (h, w): the occluder; `poses` (K, J, 2) of the bank, `weights` (K,)."""

    picture: U8
    joint: int
    true: F64
    predicted: F64
    heatmap: F64
    peaks: F64
    cover: F64
    poses: F64 | None
    weights: F64 | None
    cause: str
    frame: int
    instance: int


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """`increase` (R, C, J) of the error, NaN for excluded joints; `under` (R, C, J): the
    patch touches the joint; `left`, `top`: corners of patches in the `picture` (H, W, 3)."""

    increase: F64
    under: Bool
    left: I64
    top: I64
    patch: int
    picture: U8

    @property
    def map(self) -> F64:
        """(R, C) mean increase over joints."""
        return np.asarray(np.nanmean(self.increase, -1))


def occlusion_sensitivity(
    error: Callable[[U8], F64], picture: U8, xy: F64, *, known: Bool, patch: int, stride: int
) -> Sensitivity:
    """Slide a patch over a picture (H, W, 3). `error`: K pictures -> (K, J) errors; `xy` (J, 2);
    `known` (J,): included joints."""
    high, wide = picture.shape[:2]
    left, top = np.arange(0, wide - patch + 1, stride), np.arange(0, high - patch + 1, stride)
    before = error(picture[None])[0]
    rows, under = [], []
    for y in top:
        covered = np.repeat(picture[None], len(left), 0)
        for k, x in enumerate(left):
            covered[k, y : y + patch, x : x + patch] = PATCH_GREY
        rows.append(error(covered) - before)
        inside = (xy[:, 1] >= y) & (xy[:, 1] < y + patch)
        under.append([(inside & (xy[:, 0] >= x) & (xy[:, 0] < x + patch)) for x in left])
    return Sensitivity(
        increase=np.where(known, np.stack(rows), np.nan),
        under=np.array(under),
        left=left,
        top=top,
        patch=patch,
        picture=picture,
    )


def sensitivity_summary(maps: Sequence[Sensitivity]) -> dict[str, Any]:
    """Mean and highest increase, and the fraction of added error at joints elsewhere."""
    if not maps:
        return {"people": 0}
    added = [np.where(np.isfinite(m.increase), np.maximum(m.increase, 0), 0) for m in maps]
    total = sum(float(a.sum()) for a in added)
    elsewhere = sum(float(a[~m.under].sum()) for a, m in zip(added, maps, strict=True))
    grown = np.concatenate([m.increase[np.isfinite(m.increase)] for m in maps])
    under = np.concatenate([m.increase[m.under & np.isfinite(m.increase)] for m in maps])
    return {
        "people": len(maps),
        "mean": float(grown.mean()),
        "max": float(max(np.nanmax(m.map) for m in maps)),
        "under_patch": float(under.mean()) if len(under) else float("nan"),
        "not_under_patch": elsewhere / total if total else float("nan"),
    }


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds a call over `rounds` calls: mean, median, 95th and 99th percentile."""

    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    rounds: int


def latency(call: Callable[[], object], *, rounds: int = 30, warm_up: int = 3) -> Latency:
    """Time `call`, which must be synchronous, after `warm_up` uncounted calls."""
    for _ in range(warm_up):
        call()
    elapsed_s = np.empty(rounds)
    for k in range(rounds):
        start = time.perf_counter()
        call()
        elapsed_s[k] = time.perf_counter() - start
    p50, p95, p99 = (float(v) for v in np.percentile(elapsed_s, [50, 95, 99]) * 1000)
    mean_ms = float(elapsed_s.mean() * 1000)
    return Latency(mean_ms=mean_ms, p50_ms=p50, p95_ms=p95, p99_ms=p99, rounds=rounds)
