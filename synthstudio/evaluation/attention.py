"""Attention on occluders against an even spread, and occlusion-sensitivity maps.

Ratios of mass to even mass: over the window (attention that ignores everything has 1; joints lie
on people, so below 0.5 is hard to reach) and over the person, seen or not (attention that follows
the body whatever covers it has 1). The control is the mask moved by half the person's box; on the
person only its part on the visible body counts.

Sensitivity maps follow PARE (Kocabas et al. 2021): a grey patch slides over a person; `elsewhere`
is the share of added error at joints the patch does not touch.
Letters: P people, J joints, h, w cells, R, C rows and columns of patch places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.evaluation.intervals import paired_interval, ratio_interval

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Bools = NDArray[np.bool_]
LEAST_SHARE = 0.03
"""People whose occluder covers less of the window than this do not count."""
_SEED = 2021
PATCH_GREY = 114


@dataclass(frozen=True, kw_only=True)
class AttentionMass:
    """Sums over P people's counted joints: `mass` on the occluder and `moved` on the moved mask
    against the even `share` of the window; `hidden_*`: of hidden joints alone; `own`, `own_even`:
    on the person's hidden part; `control`, `control_even`: on the moved mask's part of the visible
    person; 0 for unknown silhouettes."""

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
class AttentionExample:
    """Attention for one joint; places are shares of the window, x y. `picture` (H, W, 3); `pixels`
    (h, w) attention; `heatmap` (h, w) and its `peaks` (K, 2); `cover` (h, w): the occluder; `poses`
    (K, J, 2) of the bank with `weights` (K,)."""

    picture: U8
    joint: int
    true: F64
    predicted: F64
    heatmap: F64
    peaks: F64
    cover: F64
    pixels: F64 | None
    poses: F64 | None
    weights: F64 | None
    cause: str
    frame: int
    instance: int


def attention_mass(
    pixels: F64, cover: F64, which: Bools, *, hidden: Bools, body: F64, half: I64, group: I64
) -> AttentionMass:
    """The mass of attention `pixels` (P, J, h, w) on `cover` (P, h, w: 0 to 1). `which`, `hidden`
    (P, J): joints that count, and hidden ones; `body` (P, h, w): whole silhouettes, NaN unknown;
    `half` (P, 2): half of the box in cells, x y."""
    total, from_hidden = (
        (pixels * joints[..., None, None]).sum(1) for joints in (which, which & hidden)
    )  # (P, h, w)
    area = cover.mean((1, 2))
    known = np.isfinite(body).all((1, 2)) & (np.nan_to_num(body).sum((1, 2)) > 0)
    whole = np.where(known[:, None, None], np.maximum(body, cover), 0.0)
    open_part = whole - np.where(known[:, None, None], cover, 0.0)
    shifted = _shifted(cover, half)  # (P, 4, h, w)
    own, own_even = _mass_on(total, whole - open_part, whole)
    moved_on = [_mass_on(total, shifted[:, k] * open_part, open_part) for k in range(4)]
    control, control_even = np.mean(moved_on, 0)
    return AttentionMass(
        mass=(total * cover).sum((1, 2)),
        moved=(total[:, None] * shifted).sum((2, 3)).mean(1),
        share=area * which.sum(1),
        hidden_mass=(from_hidden * cover).sum((1, 2)),
        hidden_share=area * (which & hidden).sum(1),
        own=own,
        own_even=own_even,
        control=control,
        control_even=control_even,
        group=group,
    )


def _shifted(cover: F64, half: I64) -> F64:
    """(P, 4, h, w) each mask right, left, down and up by half a box, wrapped about the edges."""
    out = np.zeros((len(cover), 4, *cover.shape[1:]))
    for p, (x, y) in enumerate(np.maximum(half, 1)):
        for k, shift in enumerate(((0, x), (0, -x), (y, 0), (-y, 0))):
            out[p, k] = np.roll(cover[p], shift, (0, 1))
    return out


def _mass_on(attention: F64, part: F64, whole: F64) -> tuple[F64, F64]:
    """(P,) the mass on a part, and what the mass on the whole would put there if even."""
    size, mass = whole.sum((1, 2)), (attention * whole).sum((1, 2))
    even = mass * part.sum((1, 2)) / np.where(size > 0, size, 1.0)
    return (attention * part).sum((1, 2)), even


def attention_ratios(masses: Sequence[AttentionMass]) -> dict[str, Any]:
    """Mass over even mass on the occluder and the moved mask, and their difference, with intervals
    over groups: of the window, of hidden joints, and of the person ({} without silhouettes).
    {"people": 0} when nobody is occluded enough."""
    if not any((mass.share > 0).any() for mass in masses):
        return {"people": 0}
    _, group = np.unique(np.concatenate([mass.group for mass in masses]), return_inverse=True)

    def sums(name: str) -> F64:
        values = np.concatenate([getattr(mass, name) for mass in masses])
        return np.asarray(np.bincount(group, values), np.float64)[None]

    share = sums("share")
    out: dict[str, Any] = {"people": int(sum((mass.share > 0).sum() for mass in masses))}
    out |= _with_control((sums("mass"), share), (sums("moved"), share))
    out["hidden_joints"] = vars(
        ratio_interval(sums("hidden_mass"), sums("hidden_share"), seed=_SEED)
    )
    own, control = (sums("own"), sums("own_even")), (sums("control"), sums("control_even"))
    out["person"] = _with_control(own, control) if own[1].any() else {}
    return out


def _with_control(ours: tuple[F64, F64], moved: tuple[F64, F64]) -> dict[str, Any]:
    return {
        "on_occluder": vars(ratio_interval(*ours, seed=_SEED)),
        "on_moved_mask": vars(ratio_interval(*moved, seed=_SEED)),
        "difference": vars(paired_interval(ours, moved, seed=_SEED)),
    }


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """`increase` (R, C, J) of the error, NaN for joints that do not count; `under` (R, C, J): the
    patch touches the joint; `left`, `top`: corners of patches in the `picture` (H, W, 3)."""

    increase: F64
    under: Bools
    left: I64
    top: I64
    patch: int
    picture: U8

    @property
    def map(self) -> F64:
        """(R, C) mean increase over joints."""
        return np.asarray(np.nanmean(self.increase, -1))


def occlusion_sensitivity(
    error: Callable[[U8], F64], picture: U8, xy: F64, *, known: Bools, patch: int, stride: int
) -> Sensitivity:
    """Slide a patch over a picture (H, W, 3). `error`: K pictures -> (K, J) errors; `xy` (J, 2);
    `known` (J,): joints that count. ValueError when the patch does not fit or no joint counts."""
    high, wide = picture.shape[:2]
    if not 0 < patch <= min(high, wide) or stride < 1 or not known.any():
        raise ValueError(f"a patch of {patch} px, stride {stride}, in {wide} x {high} px")
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
    """Mean and highest increase, and the share of all added error at joints elsewhere."""
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
        "elsewhere": elsewhere / total if total else float("nan"),
    }
