"""How trousers, shorts, skirts, socks and tights are cut, and shoes: uppers from the suit's feet,
flat soles."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from synthstudio.body.clothes.cloth import Cut
from synthstudio.body.clothes.garment_mesh import Basis, GarmentMesh, Places, basis, clipped, places
from synthstudio.body.clothes.hair import nowhere
from synthstudio.body.clothes.tailor import (
    FAR,
    Field,
    Shape,
    Tailored,
    cut_from,
    intersection,
    legs_field,
    on_arm,
    pocketed,
    sheet,
    step,
    suit,
    union,
)
from synthstudio.core.arrays import F32

_OVER_BOOTS_M = 0.025  # of long legs off the skin where boots may be under them
WAIST_M = 0.012  # of trousers off the skin: more than a shirt that is tucked in


def leg_cut(base: Basis, field: Field, *, width_m: float, from_m: float, hang: float = 1.0) -> Cut:
    """Trousers, `width_m` roomier below `from_m`; less `hang` keeps short legs to the thigh."""
    weave, p = suit(base, field)
    inner = step(np.abs(p.x), 0.02, 0.07)
    room = width_m * step(p.z, -0.05, from_m) + 0.3 * width_m * step(p.z, -0.35, -0.6)
    low = step(p.z, -0.56, -0.68)
    hangs = hang * step(p.z, 0.06, 0.0) * (0.35 + 0.65 * inner)
    offset: F32 = np.maximum(WAIST_M + room * (0.4 + 0.6 * inner), _OVER_BOOTS_M * low)
    return sheet(weave, offset, 0.004, passes=8, hang=hangs, taper=max(0.20 - 4 * width_m, 0.13))


@lru_cache(maxsize=64)
def belt(base: Basis, low_m: float, high_m: float, offset_m: float) -> Cut:
    def band(p: Places) -> F32:
        return np.where(on_arm(p), -FAR, np.minimum(high_m - p.z, p.z - low_m)).astype(np.float32)

    weave, _ = suit(base, band)
    return sheet(weave, offset_m, 0.8 * offset_m, passes=8, folds_m=0.0, rim_m=0.004, second=True)


def trousers(base: Basis, shape: Shape, *, width_m: float = 0.0, hang: float = 1.0) -> Tailored:
    """Long legs, `width` or `width_m` metres of room, and a belt in the second material."""
    inside = legs_field(0.075, shape["hem"])
    width_m = shape.get("width", width_m)
    return _belted(base, leg_cut(base, inside, width_m=width_m, from_m=-0.35, hang=hang), inside)


def shorts(base: Basis, shape: Shape) -> Tailored:
    inside = legs_field(0.075, shape["hem"])
    cut = leg_cut(base, inside, width_m=shape["width"], from_m=-0.2, hang=0.55)
    return _over_liner(base, cut, inside)


def _over_liner(base: Basis, cut: Cut, inside: Field) -> Tailored:
    pieces = (liner(base), cut)
    return Tailored(
        pieces=pieces, inside=inside, hides=lambda p: np.maximum(lined(p), inside(p) - 0.03)
    )


def leggings(base: Basis, shape: Shape) -> Tailored:
    inside = legs_field(0.09, shape["hem"])
    return Tailored(pieces=(close(base, inside),), inside=inside)


def close(base: Basis, field: Field, *, off_m: float = 0.004) -> Cut:
    """Return cloth that follows the skin."""
    return sheet(suit(base, field)[0], off_m, 0.002, folds_m=0.0)


def skirt(base: Basis, shape: Shape, *, waist_m: float = 0.075) -> Tailored:
    inside = legs_field(waist_m, shape["hem"])
    cut = skirt_cut(base, inside, shape["width"], waist_m)
    return Tailored(pieces=(liner(base), cut), inside=inside, hides=lined)


lined = legs_field(0.06, -0.17)
"""The field of the shorts that `liner` makes."""


@lru_cache(maxsize=2)
def liner(base: Basis) -> Cut:
    """Return close shorts under a skirt: the body is covered in any pose."""
    return close(base, lined, off_m=0.003)


def skirt_cut(
    base: Basis, field: Field, width_m: float, waist_m: float, *, offset_m: float = 0.012
) -> Cut:
    """Return a ring of cloth round both legs, `width_m` wider at the ankles than at the waist."""
    weave = cut_from(base, "skirt", field)
    z = places(base.atlas, weave.rows).z
    offset = offset_m + width_m * step(z, waist_m - 0.1, -0.5)
    return sheet(weave, offset, 0.006, passes=4, radius_m=0.30, folds_m=0.006, wraps_trunk=True)


def _out(p: Places) -> F32:
    """Metres outwards from the middle of the leg, which stands apart further below."""
    return np.asarray(np.abs(p.x) - 0.105 - 0.085 * np.clip(-p.z / 0.8, 0, 1))


def _belted(base: Basis, cut: Cut, inside: Field) -> Tailored:
    return Tailored(pieces=(cut, belt(base, 0.040, 0.072, WAIST_M + 0.004)), inside=inside)


def wide_trousers(base: Basis, shape: Shape) -> Tailored:
    inside = legs_field(0.085, -0.80)
    cut = leg_cut(base, inside, width_m=shape["width"], from_m=-0.25)
    below = step(places(base.atlas, cut.weave.rows).z, -0.35, -0.78)
    cut = replace(cut, offset_m=cut.offset_m + 0.6 * shape["width"] * below, taper=0.02)
    return _belted(base, cut, inside)


def flared_jeans(base: Basis, shape: Shape) -> Tailored:
    inside = legs_field(0.075, -0.81)
    cut = leg_cut(base, inside, width_m=0.0, from_m=-0.35)
    below = step(places(base.atlas, cut.weave.rows).z, -0.42, -0.78)
    cut = replace(cut, offset_m=cut.offset_m + shape["flare"] * below, taper=0.25)
    return _belted(base, cut, inside)


def cargo_trousers(base: Basis, shape: Shape) -> Tailored:
    inside = legs_field(0.075, shape["hem"])

    def pocket(p: Places) -> F32:
        box = np.minimum(0.085 - np.abs(p.z + 0.30), 0.065 - np.abs(p.y + 0.01))
        return intersection(box, _out(p) - 0.012)

    cut = leg_cut(base, inside, width_m=0.016, from_m=-0.35)
    return _belted(base, pocketed(base, cut, pocket, thick_m=0.016), inside)


def joggers(base: Basis, shape: Shape) -> Tailored:
    """Sweat trousers, drawn together at the ankles."""
    inside = legs_field(0.085, -0.775)
    cut = leg_cut(base, inside, width_m=shape["width"], from_m=-0.25)
    z = places(base.atlas, cut.weave.rows).z
    cuff = step(z, -0.70, -0.735)
    offset: F32 = cut.offset_m + 0.012 * step(z, -0.52, -0.66) * (1 - cuff)
    hang = None if cut.hang is None else cut.hang * (1 - cuff)
    cut = replace(cut, offset_m=offset + cuff * (0.010 - offset), hang=hang, passes=6)
    return Tailored(pieces=(cut,), inside=inside)


def track_pants(base: Basis, shape: Shape) -> Tailored:
    inside = legs_field(0.085, -0.79)

    def stripe(p: Places) -> F32:
        return np.where(_out(p) > 0, 0.019 - np.abs(p.y + 0.012), -FAR).astype(np.float32)

    cut = leg_cut(base, inside, width_m=shape["width"], from_m=-0.35)
    return Tailored(pieces=(replace(cut, panel=stripe),), inside=inside)


def running_shorts(base: Basis, shape: Shape) -> Tailored:
    inside = legs_field(0.075, shape["hem"])

    def edge(p: Places) -> F32:
        side = np.where(_out(p) > 0, 0.016 - np.abs(p.y + 0.012), -FAR)
        return union(shape["hem"] + 0.018 - p.z, side)

    cut = leg_cut(base, inside, width_m=0.022, from_m=-0.15, hang=0.6)
    return _over_liner(base, replace(cut, panel=edge), inside)


def pleated_skirt(base: Basis, shape: Shape) -> Tailored:
    inside = legs_field(0.085, shape["hem"])
    cut = skirt_cut(base, inside, 0.07, 0.085)
    x, y, z = places(base.atlas, cut.weave.rows).at.T
    turn = np.arctan2(x, -(y + 0.02))
    fold = np.abs(np.mod(turn * 20 / (2 * np.pi), 1) - 0.5) * 2
    deep = step(z, 0.07, -0.10)
    offset = cut.offset_m + 0.020 * deep * fold + 0.018 * step(z, 0.02, -0.2)
    tint = np.repeat((1 - 0.38 * deep * (1 - fold))[:, None], 3, axis=1).astype(np.float32)
    cut = replace(cut, offset_m=offset, passes=1, folds_m=0.0, tint=tint)
    return Tailored(pieces=(liner(base), cut), inside=inside, hides=lined)


# Shoes -----------------------------------------------------------------------------------

SOLE_M = -0.872  # the lowest point of the suit
_WELT_M = SOLE_M + 0.014  # uppers end and soles begin
_FEET = ("foot.L", "foot.R")


def shoes(
    base: Basis, shape: Shape, *, offset_m: float, heel_m: float = 0.0, thick_m: float = 0.0
) -> Tailored:
    """Return uppers to `top` above the ankle joint, cut out over the instep by `open` metres, and
    soles of the second material, `sole` or `thick_m` below the foot."""
    thick_m, open_m = shape.get("sole", thick_m), shape.get("open", 0.0)
    inside = _shoe_field(shape["top"], open_m)
    weave, p = suit(base, inside)
    weave = replace(weave, shift_m=_tread(p, thick_m, heel_m))
    upper = clipped(weave, p.z - _WELT_M)
    below = SOLE_M - thick_m - 0.5 * heel_m
    shoe = inside if open_m else _shoe_field(0.0, 0.0)  # where nothing is cut out soles are alike
    shaft = step(places(base.atlas, upper.rows).z, -0.79, -0.72)
    return Tailored(
        pieces=(
            _leather(upper, offset_m + 0.004 * shaft, passes=5),
            _sole(basis(base.atlas, "fine"), shoe, thick_m, heel_m, offset_m + 0.0035),
        ),
        inside=lambda p: np.where(p.z < below, FAR, inside(p)),
    )


@lru_cache(maxsize=64)
def _shoe_field(top_m: float, open_m: float) -> Field:
    def inside(p: Places) -> F32:
        top = -0.796 + top_m - 0.35 * np.clip(-p.y, 0, 0.08)
        vamp = np.maximum(top - open_m * step(p.y, 0.02, -0.06) - p.z, -p.y - 0.150)
        return np.where(p.z < -0.45, vamp if open_m else top - p.z, -FAR).astype(np.float32)

    return inside


@lru_cache(maxsize=32)
def _sole(fine: Basis, field: Field, thick_m: float, heel_m: float, offset_m: float) -> Cut:
    """A sole that reaches up round the upper, fine in every detail: people stand on it."""
    weave, p = suit(fine, field)
    weave = replace(weave, shift_m=_tread(p, thick_m, heel_m))
    sole = clipped(weave, 0.006 - (p.z - _WELT_M))
    return _leather(sole, offset_m, passes=1, second=True)


def _tread(p: Places, thick_m: float, heel_m: float) -> F32:
    """(V, 3) how soles differ from feet: flat, thick, wider, with a raised toe."""
    low = step(p.z, _WELT_M + 0.004, _WELT_M - 0.010)
    flat = SOLE_M - thick_m + 0.008 * step(p.y, -0.14, -0.21) - heel_m * step(p.y, -0.02, 0.0)
    along = np.array((0.12, -0.99))  # the foot's own direction in x and y, left side
    centre = np.array((0.176, -0.07))
    side = np.where(p.x < 0, -1, 1)
    d = np.stack([p.x * side - centre[0], p.y - centre[1]], 1)
    across = d - (d @ along)[:, None] * along
    reach = np.maximum(np.linalg.norm(d * [1.0, 0.4], axis=1), 1e-6)[:, None]
    out = (0.004 * low)[:, None] * (0.7 * across + 0.3 * d) / reach
    # A toe box: the mitten's flat toes are lifted.
    box = 0.009 * step(p.y, -0.10, -0.16) * step(p.z, _WELT_M, _WELT_M + 0.02)
    return np.stack([out[:, 0] * side, out[:, 1], low * (flat - p.z) + box], 1).astype(np.float32)


def _leather(weave: GarmentMesh, offset: float | F32, *, passes: int, second: bool = False) -> Cut:
    more: dict[str, Any] = {"folds_m": 0.0, "second": second, "split": second, "bones": _FEET}
    return sheet(weave, offset, 0.003, passes=passes, **more)


def long_socks(base: Basis, shape: Shape) -> Tailored:
    def inside(p: Places) -> F32:
        return np.where(on_arm(p), -FAR, shape["top"] - p.z).astype(np.float32)

    cut = close(base, inside, off_m=0.0025)
    return Tailored(pieces=(replace(cut, passes=3),), inside=inside, hides=nowhere)


def tights(base: Basis, shape: Shape) -> Tailored:
    """Close cloth from the waist to the toes, worn under skirts."""
    inside = legs_field(0.05, -0.95)
    cut = sheet(suit(base, inside)[0], 0.0015, 0.001, folds_m=0.0)
    return Tailored(pieces=(cut,), inside=inside, hides=nowhere)


def sandals(base: Basis, shape: Shape) -> Tailored:
    _, sole = shoes(base, {"top": -0.02}, thick_m=0.010, offset_m=0.003).pieces

    def straps(p: Places) -> F32:
        toes = 0.016 - np.abs(p.y + 0.120)
        instep = 0.013 - np.abs(p.y + 0.055)
        ankle = np.where(p.y > -0.06, 0.009 - np.abs(p.z + 0.790 + 0.25 * p.y), -FAR)
        feet = np.where(p.z < -0.74, np.maximum(np.maximum(toes, instep), ankle), -FAR)
        return intersection(feet, p.z - SOLE_M - 0.012)

    held = {"passes": 2, "folds_m": 0.0, "rim_m": 0.003, "bones": _FEET}
    cut = sheet(suit(base, straps)[0], 0.0045, 0.003, **held)
    return Tailored(pieces=(cut, sole), inside=nowhere)
