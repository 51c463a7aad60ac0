"""Does a network look away from what hides people? Attention on it against its area. NumPy.

Attention that knows nothing of the occluder puts as much mass on it as its share of the window is
large, and more where it lies on the body, which attention prefers. The control is the same mask
moved by half the person's box, wrapped about the window: the same area at a place where nothing
hides anybody. Letters: P people, J joints, h, w cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.evaluation.bootstrap import Interval, paired_interval, ratio_interval

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Bools = NDArray[np.bool_]
LEAST_SHARE = 0.03
"""People whose occluder covers less of the window than this do not count."""
_SEED = 2021


@dataclass(frozen=True, kw_only=True)
class Gaze:
    """P people: sums over their counted joints. `mass` of the attention on the occluder, `moved`
    on the moved mask, `share` of the window that the occluder covers, once for each joint."""

    mass: F64
    moved: F64
    share: F64
    group: I64


@dataclass(frozen=True, kw_only=True)
class Example:
    """What a network attended to for one joint. Places are shares of the window, x y.

    `picture` (H, W, 3) what it saw; `pixels` (h, w) attention, None without; `belief` (h, w) its
    answer; `cover` (h, w) what is hidden; `poses` (K, J, 2) of the bank with their `weights` (K,).
    """

    picture: U8
    joint: int
    true: F64
    said: F64
    belief: F64
    cover: F64
    pixels: F64 | None
    poses: F64 | None
    weights: F64 | None
    cause: str
    frame: int
    instance: int


def gaze(pixels: F64, cover: F64, which: Bools, *, half: I64, group: I64) -> Gaze:
    """Return what P people's attention `pixels` (P, J, h, w) puts on `cover` (P, h, w: 0 to 1).

    `which` (P, J): joints that count. `half` (P, 2): half of the person's box in cells, x y.
    """
    h, w = cover.shape[-2:]
    count = which.sum(1)
    looked = (pixels * which[..., None, None]).sum(1)  # (P, h, w)
    moved = np.zeros(len(cover))
    for p in range(len(cover)):
        x, y = (max(int(v), 1) for v in half[p])
        ways = ((0, x), (0, -x), (y, 0), (-y, 0))
        at = [(looked[p] * np.roll(cover[p], way, (0, 1))).sum() for way in ways]
        moved[p] = np.mean(at)
    return Gaze(
        mass=(looked * cover).sum((1, 2)), moved=moved,
        share=cover.reshape(len(cover), h * w).mean(1) * count, group=group,
    )  # fmt: skip


def shunning(gazes: Sequence[Gaze]) -> dict[str, Any]:
    """Return mass over area share on the occluder, on the moved mask, and their difference.

    1 is attention that does not care; each with an interval over groups of frames. {"people": 0}
    when nobody is hidden enough.
    """
    parts = {name: np.concatenate([getattr(g, name) for g in gazes])
             for name in ("mass", "moved", "share", "group")} if gazes else {}  # fmt: skip
    if not parts or not (parts["share"] > 0).any():
        return {"people": 0}
    _, group = np.unique(parts["group"], return_inverse=True)

    def per_group(name: str) -> F64:
        return np.asarray(np.bincount(group, parts[name]), np.float64)[None]

    share = per_group("share")
    ours, moved = (per_group("mass"), share), (per_group("moved"), share)
    return {
        "people": int((parts["share"] > 0).sum()),
        "on_occluder": _plain(ratio_interval(*ours, seed=_SEED)),
        "on_moved_mask": _plain(ratio_interval(*moved, seed=_SEED)),
        "difference": _plain(paired_interval(ours, moved, seed=_SEED)),
    }


def _plain(found: Interval) -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high}
