"""More tops: with collars, with other necks and sleeves, short ones, and coats to the shins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from synthstudio.body.clothes.bottoms import belt, close, lined, liner, skirt_cut
from synthstudio.body.clothes.cloth import Cut
from synthstudio.body.clothes.garment_mesh import Basis, Places, places
from synthstudio.body.clothes.panels import panelled, pocketed
from synthstudio.body.clothes.tailor import (
    FAR,
    Field,
    Shape,
    Tailored,
    armhole,
    hem_line,
    legs,
    neckline,
    on_arm,
    sleeve_end,
    step,
    suit,
)
from synthstudio.body.clothes.tops import buttoned, collar, sleeved, top_cut, wrapped
from synthstudio.core.scene import F32

_SEGMENTS = {  # of a digit: across -1..1, up -1..1, half its length, upright or not
    "top": (0, 1, False), "middle": (0, 0, False), "bottom": (0, -1, False),
    "upper_left": (-1, 0.5, True), "upper_right": (1, 0.5, True),
    "lower_left": (-1, -0.5, True), "lower_right": (1, -0.5, True),
}  # fmt: skip
_DIGITS = (
    "top bottom upper_left upper_right lower_left lower_right", "upper_right lower_right",
    "top middle bottom upper_right lower_left", "top middle bottom upper_right lower_right",
    "middle upper_left upper_right lower_right", "top middle bottom upper_left lower_right",
    "top middle bottom upper_left lower_left lower_right", "top upper_right lower_right",
    "top middle bottom upper_left upper_right lower_left lower_right",
    "top middle bottom upper_left upper_right lower_right",
)  # fmt: skip


def sleeved_field(shape: Shape, drop_m: float, vee_m: float) -> Field:
    """Return the field of a top with a hem, a neckline and sleeves (none below 5 cm)."""

    def inside(p: Places) -> F32:
        trunk = np.minimum(neckline(p, drop_m, vee_m), hem_line(p, shape["hem"]))
        return np.minimum(trunk, sleeved(p, shape["sleeve"])).astype(np.float32)

    return inside


def polo(base: Basis, shape: Shape) -> Tailored:
    """Short sleeves, a collar and three buttons."""
    inside = sleeved_field(shape, -0.004, 0.03)
    body = top_cut(base, inside, thick_m=0.009, flare_m=0.012, tucked=False)
    body = buttoned(body, base, apart_m=0.05, low_m=0.32)
    return Tailored(pieces=(body, collar(base)), inside=inside)


def v_neck_sweater(base: Basis, shape: Shape) -> Tailored:
    """Knitted, long sleeves, open in front down to the breast bone."""
    inside = sleeved_field(shape, 0.0, shape["vee"])
    body = top_cut(base, inside, thick_m=0.013, flare_m=0.010, tucked=False)
    return Tailored(pieces=(replace(body, passes=9, folds_m=0.012, rim_m=0.010),), inside=inside)


def turtleneck(base: Basis, shape: Shape) -> Tailored:
    """Long sleeves and a rolled collar up the neck."""
    inside = sleeved_field(shape, -0.030, 0.0)

    def roll(p: Places) -> F32:
        below = neckline(p, -0.034)
        made: F32 = np.minimum(below, 0.052 - below).astype(np.float32)
        return made

    weave, p = suit(base, roll)
    rise = np.clip(neckline(p, -0.034) / 0.052, 0, 1)
    offset = 0.009 + 0.009 * np.sin(np.pi * rise)
    minimum = np.full(len(offset), 0.004)
    neck = Cut(weave=weave, offset_m=offset, min_m=minimum, passes=5, folds_m=0.0, rim_m=0.006)
    body = top_cut(base, inside, thick_m=0.008, flare_m=0.008, tucked=False)
    return Tailored(pieces=(replace(body, passes=8), neck), inside=inside)


def blouse(base: Basis, shape: Shape) -> Tailored:
    """Wide sleeves, `puff` metres, drawn together at the wrist, and a wide neck."""
    inside = sleeved_field({"sleeve": 0.46, **shape}, 0.030, 0.02)
    body = top_cut(base, inside, thick_m=0.008, flare_m=0.016, tucked=False)
    p = places(base.atlas, body.weave.rows)
    full = step(p.down_arm, 0.06, 0.30) * step(p.down_arm, 0.455, 0.40)
    offset = body.offset_m * (1 - 0.5 * on_arm(p) * step(p.down_arm, 0.40, 0.45))
    offset = offset + on_arm(p) * shape["puff"] * full
    return Tailored(pieces=(replace(body, offset_m=offset),), inside=inside)


def crop_top(base: Basis, shape: Shape) -> Tailored:
    """Ends above the waist."""
    inside = sleeved_field(shape, 0.020, 0.0)
    body = top_cut(base, inside, thick_m=0.007, flare_m=0.0, tucked=False)
    offset, minimum = np.full(len(body.offset_m), 0.010), np.full(len(body.offset_m), 0.004)
    body = replace(body, offset_m=offset, min_m=minimum, level_hem=None)
    return Tailored(pieces=(body,), inside=inside)


def sports_bra(base: Basis, shape: Shape) -> Tailored:
    """Close, with straps, down to below the chest."""

    def inside(p: Places) -> F32:
        neck = neckline(p, 0.085, 0.0)
        trunk = np.minimum(neck, hem_line(p, shape["hem"]))
        return np.minimum(trunk, armhole(p, 0.118)).astype(np.float32)

    return Tailored(pieces=(close(base, inside, off_m=0.005),), inside=inside)


def raglan_shirt(base: Basis, shape: Shape) -> Tailored:
    """A T-shirt with sleeves and shoulders of the second material."""
    inside = sleeved_field(shape, 0.010, 0.0)

    def sleeves(p: Places) -> F32:
        x, _, z = p.at.T
        seam = np.abs(x) - 0.074 - 0.52 * np.maximum(0.53 - z, 0)
        return np.where(on_arm(p), FAR, seam).astype(np.float32)

    body = top_cut(base, inside, thick_m=0.009, flare_m=0.013, tucked=False)
    return Tailored(pieces=(panelled(base, body, sleeves),), inside=inside)


def numbered_shirt(base: Basis, shape: Shape) -> Tailored:
    """A team's shirt: a number on chest and back and cuffs of the second material."""
    inside = sleeved_field(shape, 0.012, 0.03)
    number = round(shape["number"])

    def marks(p: Places) -> F32:
        x, y, z = p.at.T
        side = np.where(y < -0.02, x, -x)  # read from outside, in front as behind
        first = _digit(side + 0.048, z - 0.225, number // 10)
        second = _digit(side - 0.048, z - 0.225, number % 10)
        cuffs = p.down_arm - shape["sleeve"] + 0.022
        return np.where(on_arm(p), cuffs, np.maximum(first, second)).astype(np.float32)

    body = top_cut(base, inside, thick_m=0.009, flare_m=0.014, tucked=False)
    return Tailored(pieces=(panelled(base, body, marks),), inside=inside)


def _digit(across: F32, up: F32, value: int) -> F32:
    """Return how far places lie inside the strokes of a digit 6 cm wide and 11 cm high."""
    wide, high, half = 0.022, 0.042, 0.010
    inside = np.full(len(across), -FAR)
    for name in _DIGITS[value].split():
        at_x, at_z, upright = _SEGMENTS[name]
        dx, dz = np.abs(across - at_x * wide), np.abs(up - at_z * high)
        long = half + (0.5 * high if upright else wide)
        stroke = np.minimum(half - dx, long - dz) if upright else np.minimum(half - dz, long - dx)
        inside = np.maximum(inside, stroke)
    made: F32 = inside.astype(np.float32)
    return made


def basketball_jersey(base: Basis, shape: Shape) -> Tailored:
    """No sleeves, wide armholes, long, with broad edges of the second material."""

    def inside(p: Places) -> F32:
        neck = neckline(p, 0.030, 0.05)
        trunk = np.minimum(neck, hem_line(p, shape["hem"]))
        return np.minimum(trunk, armhole(p, 0.128)).astype(np.float32)

    def edges(p: Places) -> F32:
        from_edge = np.minimum(neckline(p, 0.030, 0.05), armhole(p, 0.128))
        sides = np.abs(p.at[:, 0]) - 0.118
        return np.maximum(0.022 - from_edge, np.where(p.at[:, 2] < 0.30, sides, -FAR)).astype(
            np.float32
        )

    body = top_cut(base, inside, thick_m=0.011, flare_m=0.020, tucked=False)
    return Tailored(pieces=(panelled(base, body, edges),), inside=inside)


def track_jacket(base: Basis, shape: Shape) -> Tailored:
    """Closed by a zip, a low collar, a stripe down each sleeve, tight cuffs and waist."""
    inside = sleeved_field({"sleeve": 0.468, **shape}, -0.022, 0.0)

    def stripes(p: Places) -> F32:
        x, y, z = p.at.T
        upper, lower = np.minimum(p.down_arm, 0.253), np.maximum(p.down_arm - 0.253, 0)
        outwards = np.abs(x) - 0.165 - 0.67 * upper - 0.53 * lower
        outwards = outwards + z - 0.427 + 0.74 * upper + 0.54 * lower
        sleeve = 0.012 - np.abs(y + 0.016 + 0.71 * lower)
        zip_ = np.where(y < -0.03, 0.0045 - np.abs(x), -FAR)
        trunk = np.maximum(zip_, 0.030 - (z - shape["hem"]))
        on_sleeve = np.where(outwards > 0, sleeve, -FAR)
        return np.where(on_arm(p), on_sleeve, trunk).astype(np.float32)

    body = top_cut(base, inside, thick_m=0.012, flare_m=0.010, tucked=False)
    p = places(base.atlas, body.weave.rows)
    low = step(p.at[:, 2], shape["hem"] + 0.05, shape["hem"] + 0.02) * (1 - on_arm(p))
    cuff = on_arm(p) * step(p.down_arm, 0.42, 0.46)
    offset = body.offset_m - 0.010 * low - 0.008 * cuff
    return Tailored(
        pieces=(panelled(base, replace(body, offset_m=offset), stripes),), inside=inside
    )


def gi(base: Basis, shape: Shape) -> Tailored:
    """A wrap-over jacket of heavy cotton with wide sleeves and a knotted belt, for judo."""
    deep = 0.17

    def upper(p: Places) -> F32:
        trunk = np.minimum(neckline(p, 0.004, deep), hem_line(p, 0.045))
        return np.minimum(trunk, sleeve_end(p, shape["sleeve"])).astype(np.float32)

    def lower(p: Places) -> F32:
        x, y, _ = p.at.T
        slit = np.where(y < 0, np.abs(x - 0.03) - 0.008, FAR)
        return np.minimum(legs(p, 0.075, -0.20), slit).astype(np.float32)

    def lapel(p: Places) -> F32:
        x, y, z = p.at.T
        edge = neckline(p, 0.004, deep)
        cross = np.where(z > 0.06, 0.028 - np.abs(x - 0.75 * (z - 0.33)), -FAR)
        down = np.where(z < 0.345, cross, -FAR)
        return np.where(y < 0.0, np.maximum(0.034 - edge, down), 0.034 - edge).astype(np.float32)

    top = top_cut(base, upper, thick_m=0.015, flare_m=0.018, tucked=False, taper=0.06)
    z = places(base.atlas, top.weave.rows).at[:, 2]
    hang = None if top.hang is None else top.hang * step(z, 0.05, 0.15)
    top = replace(top, passes=7, rim_m=0.010, level_hem=None, hang=hang)
    cloth_lapel = pocketed(base, top, lapel, thick_m=0.006)
    tail = skirt_cut(base, lower, 0.03, 0.075, offset_m=0.026)
    return Tailored(
        pieces=(cloth_lapel, tail, belt(base, 0.042, 0.086, 0.036), _knot(base)), inside=upper
    )


def _knot(base: Basis) -> Cut:
    """Return the two ends of a belt that hang down in front."""

    def ends(p: Places) -> F32:
        x, y, z = p.at.T
        slant = np.abs(np.abs(x) - 0.03 - 0.30 * (0.06 - z))
        strip = np.minimum(0.016 - slant, np.minimum(0.075 - z, z + 0.105))
        return np.where((y < -0.02) & ~on_arm(p), strip, -FAR).astype(np.float32)

    weave, p = suit(base, ends)
    count = len(p.at)
    return Cut(
        weave=weave,
        offset_m=np.full(count, 0.050),
        min_m=np.full(count, 0.030),
        passes=3,
        folds_m=0.0,
        rim_m=0.006,
        second=True,
    )


def tunic(base: Basis, shape: Shape) -> Tailored:
    """A long straight top to above or below the knee, slit in front of nothing: a kurta."""

    def upper(p: Places) -> F32:
        trunk = np.minimum(neckline(p, -0.004, 0.05), hem_line(p, 0.05))
        return np.minimum(trunk, sleeve_end(p, shape["sleeve"])).astype(np.float32)

    def lower(p: Places) -> F32:
        return legs(p, 0.085, shape["hem"]).astype(np.float32)

    top = top_cut(base, upper, thick_m=0.012, flare_m=0.012, tucked=False)
    top = replace(top, level_hem=None)
    tail = skirt_cut(base, lower, 0.02, 0.085, offset_m=0.026)
    return Tailored(pieces=(buttoned(top, base, apart_m=0.05, low_m=0.25), tail), inside=upper)


def long_coat(base: Basis, shape: Shape) -> Tailored:
    """To the knees or shins, without a belt."""
    return wrapped(base, shape["hem"], width_m=0.05, belted=False)


def strap_dress(base: Basis, shape: Shape) -> Tailored:
    """Thin straps, bare shoulders and a wide skirt."""

    def upper(p: Places) -> F32:
        x, y, z = p.at.T
        line = 0.385 - 0.25 * np.maximum(y, 0) - z
        straps = np.where(z < 0.56, 0.009 - np.abs(np.abs(x) - 0.088), -FAR)
        trunk = np.minimum(np.maximum(line, straps), hem_line(p, 0.05))
        return np.where(on_arm(p), -FAR, np.minimum(trunk, armhole(p, 0.150))).astype(np.float32)

    return _skirted(base, upper, shape["hem"], width_m=shape["width"])


def long_dress(base: Basis, shape: Shape) -> Tailored:
    """To the ankles, with or without sleeves."""

    def upper(p: Places) -> F32:
        trunk = np.minimum(neckline(p, 0.015, 0.02), hem_line(p, 0.05))
        return np.minimum(trunk, sleeved(p, shape["sleeve"], 0.143)).astype(np.float32)

    return _skirted(base, upper, shape["hem"], width_m=0.05)


def shirt_dress(base: Basis, shape: Shape) -> Tailored:
    """A shirt that goes on as a skirt below its belt."""

    def upper(p: Places) -> F32:
        trunk = np.minimum(neckline(p, -0.004, 0.03), hem_line(p, 0.05))
        return np.minimum(trunk, sleeve_end(p, shape["sleeve"])).astype(np.float32)

    made = _skirted(base, upper, shape["hem"], width_m=0.03, thick_m=0.010)
    under, top, ring = made.pieces
    band = belt(base, 0.042, 0.080, 0.026)
    pieces = (under, buttoned(top, base), ring, collar(base), band)
    return replace(made, pieces=pieces)


def _skirted(
    base: Basis, upper: Field, hem_m: float, *, width_m: float, thick_m: float = 0.007
) -> Tailored:
    """Return a fitted top and a skirt to `hem_m` of one cloth, with shorts under it."""

    def lower(p: Places) -> F32:
        return legs(p, 0.085, hem_m).astype(np.float32)

    top = top_cut(base, upper, thick_m=thick_m, flare_m=0.004, tucked=True)
    return Tailored(
        pieces=(liner(base), top, skirt_cut(base, lower, width_m, 0.085)),
        inside=lambda p: np.maximum(upper(p), lower(p)),
        hides=lambda p: np.maximum(upper(p), lined(p)),
    )
