"""How trousers, shorts and skirts are cut."""

from __future__ import annotations

import numpy as np

from synthstudio.body.clothes.cloth import Cut
from synthstudio.body.clothes.tailor import (
    FAR,
    Field,
    Shape,
    Tailored,
    cut_from,
    legs,
    on_arm,
    step,
    suit,
)
from synthstudio.body.clothes.weave import Basis, Places, places
from synthstudio.core.scene import F32

_OVER_BOOTS_M = 0.025  # of long legs off the skin where boots may be under them
_WAIST_M = 0.012  # of trousers off the skin: more than a shirt that is tucked in


def _bottom(base: Basis, field: Field, *, width_m: float, from_m: float, hang: float = 1.0) -> Cut:
    """Return trousers: `width_m` more room around the leg below `from_m`.

    Less `hang` keeps short legs, which have little weight, nearer to the thigh.
    """
    weave, p = suit(base, field)
    z = p.at[:, 2]
    inner = step(np.abs(p.at[:, 0]), 0.02, 0.07)
    room = width_m * step(z, -0.05, from_m) + 0.3 * width_m * step(z, -0.35, -0.6)
    low = step(z, -0.56, -0.68)
    hangs = hang * step(z, 0.06, 0.0) * (0.35 + 0.65 * inner)
    return Cut(
        weave=weave,
        offset_m=np.maximum(_WAIST_M + room * (0.4 + 0.6 * inner), _OVER_BOOTS_M * low),
        least_m=np.full(len(z), 0.004),
        passes=8,
        hang=hangs,
        taper=max(0.20 - 4 * width_m, 0.13),
    )


def belt(base: Basis, low_m: float, high_m: float, offset_m: float) -> Cut:
    """Return a band round the waist, in the second material."""

    def band(p: Places) -> F32:
        z = p.at[:, 2]
        return np.where(on_arm(p), -FAR, np.minimum(high_m - z, z - low_m)).astype(np.float32)

    weave, p = suit(base, band)
    count = len(p.at)
    return Cut(
        weave=weave,
        offset_m=np.full(count, offset_m),
        least_m=np.full(count, 0.8 * offset_m),
        passes=8,
        folds_m=0.0,
        rim_m=0.004,
        second=True,
    )


def trousers(base: Basis, shape: Shape) -> Tailored:
    """Long legs, `width` metres of room, and a belt in the second material."""

    def inside(p: Places) -> F32:
        return legs(p, 0.075, shape["hem"]).astype(np.float32)

    cut = _bottom(base, inside, width_m=shape["width"], from_m=-0.35)
    band = belt(base, 0.040, 0.072, _WAIST_M + 0.004)
    return Tailored(pieces=(cut, band), inside=inside)


def shorts(base: Basis, shape: Shape) -> Tailored:
    """Legs that end above or at the knee."""

    def inside(p: Places) -> F32:
        return legs(p, 0.075, shape["hem"]).astype(np.float32)

    cut = _bottom(base, inside, width_m=shape["width"], from_m=-0.2, hang=0.55)

    def hides(p: Places) -> F32:
        made: F32 = np.maximum(lined(p), inside(p) - 0.03)
        return made

    return Tailored(pieces=(liner(base), cut), inside=inside, hides=hides)


def skirt(base: Basis, shape: Shape) -> Tailored:
    """A ring of cloth round both legs."""

    def inside(p: Places) -> F32:
        return legs(p, 0.075, shape["hem"]).astype(np.float32)

    return Tailored(
        pieces=(liner(base), skirt_cut(base, inside, shape["width"], 0.075)),
        inside=inside,
        hides=lined,
    )


def lined(p: Places) -> F32:
    """Return the field of the shorts that `liner` makes."""
    return legs(p, 0.06, -0.17).astype(np.float32)


def liner(base: Basis) -> Cut:
    """Return close shorts under a skirt: nobody is ever nude, whatever the pose."""
    weave, p = suit(base, lined)
    count = len(p.at)
    return Cut(
        weave=weave, offset_m=np.full(count, 0.003), least_m=np.full(count, 0.002), folds_m=0.0
    )


def skirt_cut(
    base: Basis, field: Field, width_m: float, waist_m: float, *, offset_m: float = 0.012
) -> Cut:
    """Return a ring of cloth round both legs, `width_m` wider at the ankles than at the waist."""
    weave = cut_from(base, "skirt", field)
    z = places(base.atlas, weave.rows).at[:, 2]
    offset = offset_m + width_m * step(z, waist_m - 0.1, -0.5)
    least = np.full(len(z), 0.006)
    return Cut(
        weave=weave,
        offset_m=offset,
        least_m=least,
        passes=4,
        radius_m=0.30,
        folds_m=0.006,
        wraps_trunk=True,
    )
