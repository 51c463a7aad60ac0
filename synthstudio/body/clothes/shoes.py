"""How shoes are cut: uppers from the suit's feet, and flat soles below them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from synthstudio.body.clothes.cloth import Cut
from synthstudio.body.clothes.tailor import FAR, Shape, Tailored, step, suit
from synthstudio.body.clothes.weave import Basis, Places, Weave, basis, clipped, places
from synthstudio.core.scene import F32

_SOLE_M = -0.872  # the lowest point of the suit
_WELT_M = _SOLE_M + 0.014  # uppers end and soles begin
_FEET = ("foot.L", "foot.R")


def sneakers(base: Basis, shape: Shape) -> Tailored:
    """Thick flat soles in the second material."""
    return _shoes(base, shape["top"], thick_m=shape["sole"], offset_m=0.0065, heel_m=0.0)


def low_shoes(base: Basis, shape: Shape) -> Tailored:
    """Thin soles with a small heel, cut out over the instep by `open` metres."""
    return _shoes(
        base, shape["top"], thick_m=0.007, offset_m=0.004, heel_m=0.012, open_m=shape["open"]
    )


def boots(base: Basis, shape: Shape) -> Tailored:
    """Up the shin to `top` metres above the ankle joint."""
    return _shoes(base, shape["top"], thick_m=0.014, offset_m=0.011, heel_m=0.012)


def _shoes(
    base: Basis,
    top_m: float,
    *,
    thick_m: float,
    offset_m: float,
    heel_m: float,
    open_m: float = 0.0,
) -> Tailored:
    """Return uppers to `top_m` above the ankle joint and soles `thick_m` below the foot."""

    def inside(p: Places) -> F32:
        _, y, z = p.at.T
        top = -0.796 + top_m - 0.35 * np.clip(-y, 0, 0.08)
        vamp = np.maximum(top - open_m * step(y, 0.02, -0.06) - z, -y - 0.150)
        return np.where(z < -0.45, vamp if open_m else top - z, -FAR).astype(np.float32)

    def from_welt(of: Basis, up: float, over_m: float) -> Weave:
        weave, p = suit(of, inside)
        weave = replace(weave, shift_m=_tread(p, thick_m, heel_m))
        return clipped(weave, over_m + up * (p.at[:, 2] - _WELT_M))

    # The sole reaches up round the upper, so that no gap can open between them. It is always
    # fine: people stand on it, at the same height in every detail.
    upper, sole = from_welt(base, 1, 0.0), from_welt(basis(base.atlas), -1, 0.006)
    below = _SOLE_M - thick_m - 0.5 * heel_m
    shaft = step(places(base.atlas, upper.rows).at[:, 2], -0.79, -0.72)
    return Tailored(
        pieces=(
            _leather(upper, offset_m + 0.004 * shaft, passes=5),
            _leather(sole, np.full(sole.rows.shape[0], offset_m + 0.0035), passes=1, second=True),
        ),
        inside=lambda p: np.where(p.at[:, 2] < below, FAR, inside(p)),
    )


def _tread(p: Places, thick_m: float, heel_m: float) -> F32:
    """Return (V, 3) how soles differ from feet: flat, thick, wider, with a raised toe."""
    x, y, z = p.at.T
    low = step(z, _WELT_M + 0.004, _WELT_M - 0.010)
    flat = _SOLE_M - thick_m + 0.008 * step(y, -0.14, -0.21) - heel_m * step(y, -0.02, 0.0)
    along = np.array((0.12, -0.99))  # the foot's own direction in x and y, left side
    centre = np.array((0.176, -0.07))
    side = np.where(x < 0, -1, 1)
    d = np.stack([x * side - centre[0], y - centre[1]], 1)
    across = d - (d @ along)[:, None] * along
    reach = np.maximum(np.linalg.norm(d * [1.0, 0.4], axis=1), 1e-6)[:, None]
    out = (0.004 * low)[:, None] * (0.7 * across + 0.3 * d) / reach
    # A toe box: the mitten's flat toes are lifted.
    box = 0.009 * step(y, -0.10, -0.16) * step(z, _WELT_M, _WELT_M + 0.02)
    return np.stack([out[:, 0] * side, out[:, 1], low * (flat - z) + box], 1).astype(np.float32)


def _leather(weave: Weave, offset: F32, *, passes: int, second: bool = False) -> Cut:
    return Cut(
        weave=weave,
        offset_m=offset,
        least_m=np.full(len(offset), 0.003),
        passes=passes,
        folds_m=0.0,
        second=second,
        split=second,
        bones=_FEET,
    )
