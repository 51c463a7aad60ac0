"""How tops, coats, dresses and whole garments are cut."""

from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from synthstudio.body.clothes.bottoms import (
    WAIST_M,
    belt,
    close,
    leg_cut,
    lined,
    liner,
    skirt_cut,
)
from synthstudio.body.clothes.cloth import Cut
from synthstudio.body.clothes.garment_mesh import Basis, Places, parted, places
from synthstudio.body.clothes.tailor import (
    FAR,
    Field,
    Shape,
    Tailored,
    armhole,
    hem_line,
    intersection,
    legs,
    legs_field,
    neckline,
    on_arm,
    pocketed,
    resampled,
    sheet,
    sleeved,
    step,
    studs_at,
    suit,
    top_field,
    union,
)
from synthstudio.core.arrays import F32, Array


def top_cut(
    base: Basis, field: Field, *, thick_m: float, flare_m: float, tucked: bool, taper: float = 0.12
) -> Cut:
    """Return a shirt's body: hangs wider towards hem and cuffs, above trousers unless tucked."""
    weave, p = suit(base, field)
    trunk = 1 - step(p.arm, 0.05, 0.5)
    low = trunk * step(p.z, 0.20, 0.02)
    cuff = (1 - trunk) * step(p.down_arm, 0.02, 0.16)
    waist = 0.0 if tucked else 0.014
    offset = thick_m + flare_m * (0.5 * low + 0.5 * cuff) + waist * low
    if tucked:
        offset = offset + (0.005 - offset) * low
    minimum = np.where(trunk > 0.5, 0.004 + (0 if tucked else 0.010) * low, 0.003)
    hang = trunk * step(p.z, 0.42, 0.34)
    if tucked:
        hang = hang * step(p.z, 0.08, 0.14)
    hem = np.zeros_like(p.z) if tucked else trunk * step(p.z, 0.08, 0.03) - 0.5
    return sheet(weave, offset, minimum, passes=6, hang=hang, taper=taper, level_hem=hem)


def plain_top(
    base: Basis, shape: Shape, *, drop_m: float, thick_m: float, flare_m: float, **more: Any
) -> Tailored:
    """One piece, with or without sleeves and a V neck; `more`: fields of its Cut."""
    inside = top_field(drop_m, shape.get("vee", 0.0), shape["hem"], shape.get("sleeve", 0.0))
    body = top_cut(base, inside, thick_m=thick_m, flare_m=flare_m, tucked=False)
    return Tailored(pieces=(replace(body, **more),), inside=inside)


t_shirt = partial(plain_top, drop_m=0.012, thick_m=0.009, flare_m=0.014)
tank_top = partial(plain_top, drop_m=0.022, thick_m=0.007, flare_m=0.010)
sweater = partial(
    plain_top, drop_m=0.0, thick_m=0.015, flare_m=0.012, passes=9, folds_m=0.012, rim_m=0.012
)
v_neck_sweater = partial(
    plain_top, drop_m=0.0, thick_m=0.013, flare_m=0.010, passes=9, folds_m=0.012, rim_m=0.010
)


def shirt(base: Basis, shape: Shape) -> Tailored:
    """Long sleeves, collar, placket and buttons; tucked in when `tucked` is 0.5 or more."""
    inside = top_field(-0.004, 0.03, shape["hem"], shape["sleeve"])
    tucked = shape["tucked"] >= 0.5
    body = buttoned(top_cut(base, inside, thick_m=0.009, flare_m=0.010, tucked=tucked), base)
    return Tailored(pieces=(body, collar(base)), inside=inside)


@lru_cache(maxsize=8)
def collar(base: Basis, *, thick_m: float = 0.0) -> Cut:
    """Return a turned-down collar with two points, open at the front."""

    def leaf(p: Places) -> F32:
        below = neckline(p, -0.014)
        front = step(p.y, 0.0, -0.05)
        points = 0.016 * front * step(np.abs(p.x), 0.055, 0.03)
        width = np.minimum(below, 0.036 + points - below)
        gap = np.abs(p.x) - 0.003 - 0.42 * np.maximum(below - 0.004, 0)
        return np.asarray(np.where(p.y < -0.02, np.minimum(width, gap), width), np.float32)

    weave, p = suit(base, leaf)
    below = neckline(p, -0.014)
    offset = 0.005 + thick_m + 0.014 * step(below, 0.004, 0.036)
    return sheet(weave, offset, 0.003, passes=3, folds_m=0.0, rim_m=0.004)


def buttoned(cut: Cut, base: Basis, *, apart_m: float = 0.085, low_m: float = -1.0) -> Cut:
    """Return a top with the line of a placket down its front to `low_m`, and buttons on it."""
    weave = cut.weave
    half_m, line_m = 0.014, 0.002
    for at_m in (half_m - line_m, half_m, half_m + line_m):
        p = places(base.atlas, weave.rows)
        line = np.where(p.y < -0.03, at_m - np.abs(p.x), -FAR)
        weave, _ = parted(weave, line)
    p = places(base.atlas, weave.rows)
    x, y, z = p.at.T
    near = np.clip(1 - np.abs(np.abs(x) - half_m) / (0.5 * line_m), 0, 1) * (y < -0.03)
    near = near * (z > low_m)
    tint = np.repeat((1 - 0.5 * near)[:, None], 3, axis=1)
    wanted = np.arange(0.43, max(float(z.min()) + 0.02, low_m), -apart_m)
    made, studs = resampled(cut, weave, p, base), studs_at(p, 0.0, wanted)
    return replace(made, tint=tint.astype(np.float32), studs=studs)


def hoodie(base: Basis, shape: Shape) -> Tailored:
    """A sweater with a hood that lies on the back."""
    plain = sweater(base, shape)
    weave, p = suit(base, _hood)
    back = step(p.y, -0.05, 0.03)
    rise = np.clip(neckline(p, -0.02) / (0.05 + 0.08 * back), 0, 1)
    offset = 0.014 + (0.012 + 0.030 * back) * np.sin(np.pi * (0.25 + 0.7 * rise))
    hood = sheet(weave, offset, 0.016, passes=6, rim_m=0.012, level=False)
    return replace(plain, pieces=(*plain.pieces, hood))


def _hood(p: Places) -> F32:
    below = neckline(p, -0.02)
    back = step(p.y, -0.05, 0.03)
    gap = np.where(p.y < -0.03, np.abs(p.x) - 0.008 - 0.25 * np.maximum(below, 0), FAR)
    width = np.minimum(below, 0.05 + 0.08 * back - below)
    return intersection(width, gap)


def coat(base: Basis, shape: Shape, *, width_m: float = 0.03, belted: bool = True) -> Tailored:
    """Long-sleeved, buttoned to the waist; its tail is `width_m` wider at the ankles than there."""
    upper = top_field(0.004, 0.05, 0.045, 0.475)

    def lower(p: Places) -> F32:
        slit = np.where(p.y < 0, np.abs(p.x) - 0.008, FAR)
        return intersection(legs(p, 0.075, shape["hem"]), slit)

    top = top_cut(base, upper, thick_m=0.021, flare_m=0.006, tucked=False, taper=0.06)
    z = places(base.atlas, top.weave.rows).z
    hang = None if top.hang is None else top.hang * step(z, 0.05, 0.15)
    top = replace(top, passes=9, rim_m=0.012, level_hem=None, hang=hang)
    tail = skirt_cut(base, lower, width_m, 0.075, offset_m=0.030)
    tail = replace(tail, min_m=tail.min_m + 0.018, passes=10)
    band = (belt(base, 0.040, 0.082, 0.043),) if belted else ()
    return Tailored(
        pieces=(buttoned(top, base, apart_m=0.11), tail, collar(base, thick_m=0.014), *band),
        inside=upper,  # the tail may swing open
    )


def dress(
    base: Basis, shape: Shape, *, drop_m: float = 0.02, vee_m: float = 0.03, width_m: float = 0.0
) -> Tailored:
    """A fitted top and a skirt of one cloth, `width` or `width_m` wider at the ankles."""
    upper = top_field(drop_m, vee_m, 0.05, shape["sleeve"], 0.143)
    return skirted(base, upper, shape["hem"], width_m=shape.get("width", width_m))


def skirted(
    base: Basis, upper: Field, hem_m: float, *, width_m: float, thick_m: float = 0.007
) -> Tailored:
    """Return a fitted top and a skirt to `hem_m` of one cloth, with shorts under it."""
    lower = legs_field(0.085, hem_m)
    top = top_cut(base, upper, thick_m=thick_m, flare_m=0.004, tucked=True)
    return Tailored(
        pieces=(liner(base), top, skirt_cut(base, lower, width_m, 0.085)),
        inside=lambda p: np.maximum(upper(p), lower(p)),
        hides=lambda p: np.maximum(upper(p), lined(p)),
    )


def sports_top(base: Basis, shape: Shape) -> Tailored:
    """A close top, without sleeves or with some, that ends at the hips."""
    inside = top_field(0.02, 0.0, shape["hem"], shape["sleeve"])
    return Tailored(pieces=(close(base, inside, off_m=0.006),), inside=inside)


def leotard(base: Basis, shape: Shape) -> Tailored:
    """A close top and briefs in one; `leg`: the height of the leg's edge at the hip's side."""

    def inside(p: Places) -> F32:
        side = np.maximum(np.abs(p.x) - 0.03, 0)
        edge = np.minimum(-0.115 + 0.55 * side, shape["leg"] + 0.10)
        return intersection(
            neckline(p, 0.025, 0.01), hem_line(p, edge), sleeved(p, shape["sleeve"])
        )

    return Tailored(pieces=(close(base, inside),), inside=inside)


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


def _top(shape: Shape, drop_m: float, vee_m: float) -> Field:
    return top_field(drop_m, vee_m, shape["hem"], shape["sleeve"])


def polo(base: Basis, shape: Shape) -> Tailored:
    inside = _top(shape, -0.004, 0.03)
    body = top_cut(base, inside, thick_m=0.009, flare_m=0.012, tucked=False)
    body = buttoned(body, base, apart_m=0.05, low_m=0.32)
    return Tailored(pieces=(body, collar(base)), inside=inside)


def turtleneck(base: Basis, shape: Shape) -> Tailored:
    inside = _top(shape, -0.030, 0.0)

    def roll(p: Places) -> F32:
        below = neckline(p, -0.034)
        return intersection(below, 0.052 - below)

    weave, p = suit(base, roll)
    rise = np.clip(neckline(p, -0.034) / 0.052, 0, 1)
    offset = 0.009 + 0.009 * np.sin(np.pi * rise)
    neck = sheet(weave, offset, 0.004, passes=5, folds_m=0.0, rim_m=0.006)
    body = top_cut(base, inside, thick_m=0.008, flare_m=0.008, tucked=False)
    return Tailored(pieces=(replace(body, passes=8), neck), inside=inside)


def blouse(base: Basis, shape: Shape) -> Tailored:
    """Wide sleeves, `puff` metres, drawn together at the wrist, and a wide neck."""
    inside = _top({"sleeve": 0.46, **shape}, 0.030, 0.02)
    body = top_cut(base, inside, thick_m=0.008, flare_m=0.016, tucked=False)
    p = places(base.atlas, body.weave.rows)
    full = step(p.down_arm, 0.06, 0.30) * step(p.down_arm, 0.455, 0.40)
    offset = body.offset_m * (1 - 0.5 * on_arm(p) * step(p.down_arm, 0.40, 0.45))
    offset = offset + on_arm(p) * shape["puff"] * full
    return Tailored(pieces=(replace(body, offset_m=offset),), inside=inside)


def crop_top(base: Basis, shape: Shape) -> Tailored:
    inside = _top(shape, 0.020, 0.0)
    body = top_cut(base, inside, thick_m=0.007, flare_m=0.0, tucked=False)
    offset, minimum = np.full(len(body.offset_m), 0.010), np.full(len(body.offset_m), 0.004)
    body = replace(body, offset_m=offset, min_m=minimum, level_hem=None)
    return Tailored(pieces=(body,), inside=inside)


def sports_bra(base: Basis, shape: Shape) -> Tailored:
    inside = top_field(0.085, 0.0, shape["hem"], 0.0, 0.118)
    return Tailored(pieces=(close(base, inside, off_m=0.005),), inside=inside)


def raglan_shirt(base: Basis, shape: Shape) -> Tailored:
    """A T-shirt with sleeves and shoulders of the second material."""

    def sleeves(p: Places) -> F32:
        seam = np.abs(p.x) - 0.074 - 0.52 * np.maximum(0.53 - p.z, 0)
        return np.where(on_arm(p), FAR, seam).astype(np.float32)

    return plain_top(base, shape, drop_m=0.010, thick_m=0.009, flare_m=0.013, panel=sleeves)


def numbered_shirt(base: Basis, shape: Shape) -> Tailored:
    """A team's shirt: a number on chest and back and cuffs of the second material."""
    number = round(shape["number"])

    def marks(p: Places) -> F32:
        side = np.where(p.y < -0.02, p.x, -p.x)  # read from outside, in front as behind
        first = _digit(side + 0.048, p.z - 0.225, number // 10)
        second = _digit(side - 0.048, p.z - 0.225, number % 10)
        cuffs = p.down_arm - shape["sleeve"] + 0.022
        return np.where(on_arm(p), cuffs, np.maximum(first, second)).astype(np.float32)

    vee = {"vee": 0.03, **shape}
    return plain_top(base, vee, drop_m=0.012, thick_m=0.009, flare_m=0.014, panel=marks)


def _digit(across: Array, up: Array, value: int) -> F32:
    wide, high, half = 0.022, 0.042, 0.010
    inside = np.full(len(across), -FAR)
    for name in _DIGITS[value].split():
        at_x, at_z, upright = _SEGMENTS[name]
        dx, dz = np.abs(across - at_x * wide), np.abs(up - at_z * high)
        long = half + (0.5 * high if upright else wide)
        stroke = np.minimum(half - dx, long - dz) if upright else np.minimum(half - dz, long - dx)
        inside = np.maximum(inside, stroke)
    return union(inside)


def basketball_jersey(base: Basis, shape: Shape) -> Tailored:
    """No sleeves, wide armholes, long, with broad edges of the second material."""
    inside = top_field(0.030, 0.05, shape["hem"], 0.0, 0.128)

    def edges(p: Places) -> F32:
        from_edge = np.minimum(neckline(p, 0.030, 0.05), armhole(p, 0.128))
        sides = np.abs(p.x) - 0.118
        return union(0.022 - from_edge, np.where(p.z < 0.30, sides, -FAR))

    body = top_cut(base, inside, thick_m=0.011, flare_m=0.020, tucked=False)
    return Tailored(pieces=(replace(body, panel=edges),), inside=inside)


def track_jacket(base: Basis, shape: Shape) -> Tailored:
    """Closed by a zip, a low collar, a stripe down each sleeve, tight cuffs and waist."""
    inside = _top({"sleeve": 0.468, **shape}, -0.022, 0.0)

    def stripes(p: Places) -> F32:
        upper, lower = np.minimum(p.down_arm, 0.253), np.maximum(p.down_arm - 0.253, 0)
        outwards = np.abs(p.x) - 0.165 - 0.67 * upper - 0.53 * lower
        outwards = outwards + p.z - 0.427 + 0.74 * upper + 0.54 * lower
        sleeve = 0.012 - np.abs(p.y + 0.016 + 0.71 * lower)
        zip_ = np.where(p.y < -0.03, 0.0045 - np.abs(p.x), -FAR)
        trunk = np.maximum(zip_, 0.030 - (p.z - shape["hem"]))
        on_sleeve = np.where(outwards > 0, sleeve, -FAR)
        return np.where(on_arm(p), on_sleeve, trunk).astype(np.float32)

    body = top_cut(base, inside, thick_m=0.012, flare_m=0.010, tucked=False)
    p = places(base.atlas, body.weave.rows)
    low = step(p.z, shape["hem"] + 0.05, shape["hem"] + 0.02) * (1 - on_arm(p))
    cuff = on_arm(p) * step(p.down_arm, 0.42, 0.46)
    offset = body.offset_m - 0.010 * low - 0.008 * cuff
    return Tailored(pieces=(replace(body, offset_m=offset, panel=stripes),), inside=inside)


def gi(base: Basis, shape: Shape) -> Tailored:
    """A wrap-over jacket of heavy cotton with wide sleeves and a knotted belt, for judo."""
    deep = 0.17
    upper = top_field(0.004, deep, 0.045, shape["sleeve"])

    def lower(p: Places) -> F32:
        slit = np.where(p.y < 0, np.abs(p.x - 0.03) - 0.008, FAR)
        return intersection(legs(p, 0.075, -0.20), slit)

    def lapel(p: Places) -> F32:
        edge = neckline(p, 0.004, deep)
        cross = np.where(p.z > 0.06, 0.028 - np.abs(p.x - 0.75 * (p.z - 0.33)), -FAR)
        down = np.where(p.z < 0.345, cross, -FAR)
        return np.where(p.y < 0.0, np.maximum(0.034 - edge, down), 0.034 - edge).astype(np.float32)

    top = top_cut(base, upper, thick_m=0.015, flare_m=0.018, tucked=False, taper=0.06)
    z = places(base.atlas, top.weave.rows).z
    hang = None if top.hang is None else top.hang * step(z, 0.05, 0.15)
    top = replace(top, passes=7, rim_m=0.010, level_hem=None, hang=hang)
    cloth_lapel = pocketed(base, top, lapel, thick_m=0.006)
    tail = skirt_cut(base, lower, 0.03, 0.075, offset_m=0.026)
    return Tailored(
        pieces=(cloth_lapel, tail, belt(base, 0.042, 0.086, 0.036), _knot(base)), inside=upper
    )


def _knot(base: Basis) -> Cut:
    def ends(p: Places) -> F32:
        slant = np.abs(np.abs(p.x) - 0.03 - 0.30 * (0.06 - p.z))
        strip = np.minimum(0.016 - slant, np.minimum(0.075 - p.z, p.z + 0.105))
        return np.where((p.y < -0.02) & ~on_arm(p), strip, -FAR).astype(np.float32)

    weave, _ = suit(base, ends)
    return sheet(weave, 0.050, 0.030, passes=3, folds_m=0.0, rim_m=0.006, second=True)


def tunic(base: Basis, shape: Shape) -> Tailored:
    """A long straight top to above or below the knee, slit in front of nothing: a kurta."""
    upper = top_field(-0.004, 0.05, 0.05, shape["sleeve"])
    lower = legs_field(0.085, shape["hem"])
    top = top_cut(base, upper, thick_m=0.012, flare_m=0.012, tucked=False)
    top = replace(top, level_hem=None)
    tail = skirt_cut(base, lower, 0.02, 0.085, offset_m=0.026)
    return Tailored(pieces=(buttoned(top, base, apart_m=0.05, low_m=0.25), tail), inside=upper)


def strap_dress(base: Basis, shape: Shape) -> Tailored:
    def upper(p: Places) -> F32:
        line = 0.385 - 0.25 * np.maximum(p.y, 0) - p.z
        straps = np.where(p.z < 0.56, 0.009 - np.abs(np.abs(p.x) - 0.088), -FAR)
        trunk = np.minimum(np.maximum(line, straps), hem_line(p, 0.05))
        return np.where(on_arm(p), -FAR, np.minimum(trunk, armhole(p, 0.150))).astype(np.float32)

    return skirted(base, upper, shape["hem"], width_m=shape["width"])


def shirt_dress(base: Basis, shape: Shape) -> Tailored:
    """A shirt that goes on as a skirt below its belt."""
    upper = top_field(-0.004, 0.03, 0.05, shape["sleeve"])
    made = skirted(base, upper, shape["hem"], width_m=0.03, thick_m=0.010)
    under, top, ring = made.pieces
    band = belt(base, 0.042, 0.080, 0.026)
    pieces = (under, buttoned(top, base), ring, collar(base), band)
    return replace(made, pieces=pieces)


def jumpsuit(base: Basis, shape: Shape) -> Tailored:
    """Shirt and trousers in one, as overalls of work are, with a belt."""
    upper = top_field(-0.004, 0.04, 0.05, shape["sleeve"])
    lower = legs_field(0.085, shape["hem"])
    top = top_cut(base, upper, thick_m=0.012, flare_m=0.004, tucked=True)
    return Tailored(
        pieces=(
            buttoned(top, base),
            leg_cut(base, lower, width_m=0.014, from_m=-0.35),
            collar(base),
            replace(belt(base, 0.040, 0.078, WAIST_M + 0.008), second=False),
        ),
        inside=lambda p: np.maximum(upper(p), lower(p)),
    )


def overalls(base: Basis, shape: Shape) -> Tailored:
    """Dungarees: trousers with a bib and straps, over a T-shirt of the second material."""
    shirt = top_field(0.012, 0.0, 0.03, shape["sleeve"])
    lower = legs_field(0.115, shape["hem"])

    def bib(p: Places) -> F32:
        wide = np.where(p.y < 0, 0.098, 0.085 - 0.10 * np.maximum(p.z - 0.11, 0))
        high = np.where(p.y < 0, 0.345, 0.27)
        sheet = np.minimum(wide + 0.35 * np.maximum(0.17 - p.z, 0) - np.abs(p.x), high - p.z)
        straps = np.where(p.z > 0.24, 0.017 - np.abs(np.abs(p.x) - 0.080), -FAR)
        made = np.minimum(np.maximum(sheet, straps), p.z - 0.085)
        return np.where(on_arm(p), -FAR, made).astype(np.float32)

    front = sheet(suit(base, bib)[0], 0.022, 0.015, passes=6, folds_m=0.004, rim_m=0.005)
    inner = top_cut(base, shirt, thick_m=0.008, flare_m=0.004, tucked=True)
    inner = replace(inner, second=True, hang=None)
    legs_ = leg_cut(base, lower, width_m=0.014, from_m=-0.35)
    return Tailored(pieces=(inner, legs_, front), inside=lambda p: np.maximum(shirt(p), lower(p)))


def wetsuit(base: Basis, shape: Shape) -> Tailored:
    inside = top_field(-0.022, 0.0, shape["leg"], shape["sleeve"])

    def sides(p: Places) -> F32:
        flank = np.abs(p.x) - 0.098 - 0.16 * np.clip(-p.z, 0, 0.5)
        trunk = np.where(p.z < 0.36, flank, p.z - 0.43)
        return np.where(on_arm(p), 0.16 - p.down_arm, trunk).astype(np.float32)

    body = replace(close(base, inside, off_m=0.006), panel=sides)
    return Tailored(pieces=(body,), inside=inside)
