"""Does a network look away from what hides people? Attention on it against its area. NumPy.

Two questions, for an *area share* has two meanings:

* Of the window: attention that knows nothing at all puts as much mass on the occluder as its
  share of the window is large. Joints lie on people, so attention that only looks for joints puts
  more there; less than half of that share is therefore hard to reach.
* Of the person: of the mass on the person (seen or not), which share lies on the hidden part,
  against that part's share of the person. Attention that follows the body and does not care what
  covers it has 1 here, wherever the person stands.

The control is the same mask moved by half the person's box. In the window it is wrapped about the
edges and mostly falls on background, where attention is low for another reason; so it says little
alone. On the person only what falls on the *visible* part counts, against that part: attention
that looks away from nothing but the occluder has 1. Letters: P people, J joints, h, w cells.
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
    """P people: sums over their counted joints, and what even attention would have summed to.

    `mass` on the occluder and `moved` on the moved mask, both against `share`: what attention
    spread over the window puts there. `hidden_mass` and `hidden_share`: the same of hidden joints
    alone. `own`, `own_even`: on the person's hidden part, and what attention spread over the
    person puts there; `control`, `control_even`: on the moved mask's part of the visible person,
    and what attention spread over that puts there; 0 where the silhouette is not known.
    """

    mass: F64
    moved: F64
    share: F64
    hidden_mass: F64
    hidden_share: F64
    own: F64
    own_even: F64
    control: F64
    control_even: F64
    group: I64


@dataclass(frozen=True, kw_only=True)
class Example:
    """What a network attended to for one joint. Places are shares of the window, x y.

    `picture` (H, W, 3) what it saw; `pixels` (h, w) attention, None without; `belief` (h, w) its
    answer, `peaks` (K, 2) the separate peaks of it; `cover` (h, w) what is hidden; `poses`
    (K, J, 2) of the bank with their `weights` (K,).
    """

    picture: U8
    joint: int
    true: F64
    said: F64
    belief: F64
    peaks: F64
    cover: F64
    pixels: F64 | None
    poses: F64 | None
    weights: F64 | None
    cause: str
    frame: int
    instance: int


def gaze(
    pixels: F64, cover: F64, which: Bools, *, hidden: Bools, body: F64, half: I64, group: I64
) -> Gaze:
    """Return what P people's attention `pixels` (P, J, h, w) puts on `cover` (P, h, w: 0 to 1).

    `which` (P, J): joints that count; `hidden`: those among them that are hidden. `body`
    (P, h, w: 0 to 1): the silhouette, also where it is covered; NaN where nobody knows it. `half`
    (P, 2): half of the person's box in cells, x y.
    """
    looked, from_hidden = (
        (pixels * joints[..., None, None]).sum(1) for joints in (which, which & hidden)
    )  # (P, h, w)
    area = cover.mean((1, 2))
    known = np.isfinite(body).all((1, 2)) & (np.nan_to_num(body).sum((1, 2)) > 0)
    whole = np.where(known[:, None, None], np.maximum(body, cover), 0.0)
    open_part = whole - np.where(known[:, None, None], cover, 0.0)
    shifted = _moved(cover, half)  # (P, 4, h, w)
    own, own_even = _on(looked, whole - open_part, whole)
    moved_on = [_on(looked, shifted[:, k] * open_part, open_part) for k in range(4)]
    control, control_even = np.mean(moved_on, 0)
    return Gaze(
        mass=(looked * cover).sum((1, 2)),
        moved=(looked[:, None] * shifted).sum((2, 3)).mean(1),
        share=area * which.sum(1),
        hidden_mass=(from_hidden * cover).sum((1, 2)),
        hidden_share=area * (which & hidden).sum(1),
        own=own,
        own_even=own_even,
        control=control,
        control_even=control_even,
        group=group,
    )


def _moved(cover: F64, half: I64) -> F64:
    """Return (P, 4, h, w) each mask right, left, down and up by half a box, about the edges."""
    out = np.zeros((len(cover), 4, *cover.shape[1:]))
    for p, (x, y) in enumerate(np.maximum(half, 1)):
        for k, way in enumerate(((0, x), (0, -x), (y, 0), (-y, 0))):
            out[p, k] = np.roll(cover[p], way, (0, 1))
    return out


def _on(looked: F64, part: F64, whole: F64) -> tuple[F64, F64]:
    """Return (P,) the mass on a part, and what the mass on the whole would put there if even."""
    size, mass = whole.sum((1, 2)), (looked * whole).sum((1, 2))
    even = mass * part.sum((1, 2)) / np.where(size > 0, size, 1.0)
    return (looked * part).sum((1, 2)), even


def shunning(gazes: Sequence[Gaze]) -> dict[str, Any]:
    """Return mass over even mass on the occluder, on the moved mask, and their difference.

    1 is attention that does not care; each with an interval over groups of frames. Of the window;
    under "hidden_joints" of hidden joints alone; under "person" of the person (see above), {}
    without silhouettes. {"people": 0} when nobody is hidden enough.
    """
    if not gazes or not any((g.share > 0).any() for g in gazes):
        return {"people": 0}
    _, group = np.unique(np.concatenate([g.group for g in gazes]), return_inverse=True)

    def sums(name: str) -> F64:
        values = np.concatenate([getattr(g, name) for g in gazes])
        return np.asarray(np.bincount(group, values), np.float64)[None]

    share = sums("share")
    told: dict[str, Any] = {"people": int(sum((g.share > 0).sum() for g in gazes))}
    told |= _against((sums("mass"), share), (sums("moved"), share))
    found = ratio_interval(sums("hidden_mass"), sums("hidden_share"), seed=_SEED)
    told["hidden_joints"] = _plain(found)
    own, control = (sums("own"), sums("own_even")), (sums("control"), sums("control_even"))
    told["person"] = _against(own, control) if own[1].any() else {}
    return told


def _against(ours: tuple[F64, F64], moved: tuple[F64, F64]) -> dict[str, Any]:
    return {
        "on_occluder": _plain(ratio_interval(*ours, seed=_SEED)),
        "on_moved_mask": _plain(ratio_interval(*moved, seed=_SEED)),
        "difference": _plain(paired_interval(ours, moved, seed=_SEED)),
    }


def _plain(found: Interval) -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high}
