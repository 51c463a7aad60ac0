"""How tops, coats and dresses are cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from synthstudio.body.clothes.bottoms import belt, close, lined, liner, skirt_cut
from synthstudio.body.clothes.cloth import Cut
from synthstudio.body.clothes.garment_mesh import Basis, Places, places, scored
from synthstudio.body.clothes.panels import resampled
from synthstudio.body.clothes.tailor import (
    FAR,
    Field,
    Shape,
    Tailored,
    armhole,
    hem_line,
    legs,
    neckline,
    sleeve_end,
    step,
    suit,
)
from synthstudio.core.scene import F32


def top_cut(
    base: Basis, field: Field, *, thick_m: float, flare_m: float, tucked: bool, taper: float = 0.12
) -> Cut:
    """Return a shirt's body: hangs wider towards hem and cuffs, above trousers unless tucked."""
    weave, p = suit(base, field)
    z = p.at[:, 2]
    trunk = 1 - step(p.arm, 0.05, 0.5)
    low = trunk * step(z, 0.20, 0.02)
    cuff = (1 - trunk) * step(p.down_arm, 0.02, 0.16)
    waist = 0.0 if tucked else 0.014
    offset = thick_m + flare_m * (0.5 * low + 0.5 * cuff) + waist * low
    if tucked:
        offset = offset + (0.005 - offset) * low
    minimum = np.where(trunk > 0.5, 0.004 + (0 if tucked else 0.010) * low, 0.003)
    hang = trunk * step(z, 0.42, 0.34)
    if tucked:
        hang = hang * step(z, 0.08, 0.14)
    hem = trunk * step(z, 0.08, 0.03)
    return Cut(
        weave=weave,
        offset_m=offset,
        min_m=minimum,
        passes=6,
        hang=hang,
        taper=taper,
        level_hem=np.zeros_like(hem) if tucked else hem - 0.5,
    )


def t_shirt(base: Basis, shape: Shape) -> Tailored:
    """Short sleeves, round or V neck."""

    def inside(p: Places) -> F32:
        neck = neckline(p, 0.012, shape["vee"])
        return np.minimum(
            np.minimum(neck, hem_line(p, shape["hem"])), sleeve_end(p, shape["sleeve"])
        ).astype(np.float32)

    return Tailored(
        pieces=(top_cut(base, inside, thick_m=0.009, flare_m=0.014, tucked=False),), inside=inside
    )


def tank_top(base: Basis, shape: Shape) -> Tailored:
    """No sleeves."""

    def inside(p: Places) -> F32:
        neck = neckline(p, 0.022, shape["vee"])
        return np.minimum(np.minimum(neck, hem_line(p, shape["hem"])), armhole(p, 0.140)).astype(
            np.float32
        )

    return Tailored(
        pieces=(top_cut(base, inside, thick_m=0.007, flare_m=0.010, tucked=False),), inside=inside
    )


def shirt(base: Basis, shape: Shape) -> Tailored:
    """Long sleeves, collar, placket and buttons; tucked in when `tucked` is 0.5 or more."""

    def inside(p: Places) -> F32:
        return np.minimum(
            np.minimum(neckline(p, -0.004, 0.03), hem_line(p, shape["hem"])),
            sleeve_end(p, shape["sleeve"]),
        ).astype(np.float32)

    tucked = shape["tucked"] >= 0.5
    body = buttoned(top_cut(base, inside, thick_m=0.009, flare_m=0.010, tucked=tucked), base)
    return Tailored(pieces=(body, collar(base)), inside=inside)


def collar(base: Basis, *, thick_m: float = 0.0) -> Cut:
    """Return a turned-down collar with two points, open at the front."""

    def leaf(p: Places) -> F32:
        x, y, _ = p.at.T
        below = neckline(p, -0.014)
        front = step(y, 0.0, -0.05)
        points = 0.016 * front * step(np.abs(x), 0.055, 0.03)
        width = np.minimum(below, 0.036 + points - below)
        gap = np.abs(x) - 0.003 - 0.42 * np.maximum(below - 0.004, 0)
        made: F32 = np.where(y < -0.02, np.minimum(width, gap), width).astype(np.float32)
        return made

    weave, p = suit(base, leaf)
    below = neckline(p, -0.014)
    offset = 0.005 + thick_m + 0.014 * step(below, 0.004, 0.036)
    minimum = np.full(len(offset), 0.003)
    return Cut(weave=weave, offset_m=offset, min_m=minimum, passes=3, folds_m=0.0, rim_m=0.004)


def buttoned(cut: Cut, base: Basis, *, apart_m: float = 0.085, low_m: float = -1.0) -> Cut:
    """Return a top with the line of a placket down its front to `low_m`, and buttons on it."""
    weave = cut.weave
    half_m, line_m = 0.014, 0.002
    for at_m in (half_m - line_m, half_m, half_m + line_m):
        p = places(base.atlas, weave.rows)
        weave = scored(weave, np.where(p.at[:, 1] < -0.03, at_m - np.abs(p.at[:, 0]), -FAR))
    p = places(base.atlas, weave.rows)
    x, y, z = p.at.T
    near = np.clip(1 - np.abs(np.abs(x) - half_m) / (0.5 * line_m), 0, 1) * (y < -0.03)
    near = near * (z > low_m)
    tint = np.repeat((1 - 0.5 * near)[:, None], 3, axis=1)
    wanted = np.arange(0.43, max(float(z.min()) + 0.02, low_m), -apart_m)
    front = np.where(y < -0.03, 0.0, FAR)
    studs = [int(np.argmin(np.hypot(x, z - h) + front)) for h in wanted]
    return replace(
        resampled(cut, weave, p, base), tint=tint.astype(np.float32), studs=np.array(studs)
    )


def sweater(base: Basis, shape: Shape) -> Tailored:
    """Long sleeves in thick cloth with a round neck."""

    def inside(p: Places) -> F32:
        return np.minimum(
            np.minimum(neckline(p, 0.0), hem_line(p, shape["hem"])), sleeve_end(p, shape["sleeve"])
        ).astype(np.float32)

    body = top_cut(base, inside, thick_m=0.015, flare_m=0.012, tucked=False)
    return Tailored(pieces=(replace(body, passes=9, folds_m=0.012, rim_m=0.012),), inside=inside)


def hoodie(base: Basis, shape: Shape) -> Tailored:
    """A sweater with a hood that lies on the back."""
    plain = sweater(base, shape)
    weave, p = suit(base, _hood)
    back = step(p.at[:, 1], -0.05, 0.03)
    rise = np.clip(neckline(p, -0.02) / (0.05 + 0.08 * back), 0, 1)
    offset = 0.014 + (0.012 + 0.030 * back) * np.sin(np.pi * (0.25 + 0.7 * rise))
    hood = Cut(
        weave=weave,
        offset_m=offset,
        min_m=np.full(len(offset), 0.016),
        passes=6,
        rim_m=0.012,
        level=False,
    )
    return replace(plain, pieces=(*plain.pieces, hood))


def _hood(p: Places) -> F32:
    x, y, _ = p.at.T
    below = neckline(p, -0.02)
    back = step(y, -0.05, 0.03)
    gap = np.where(y < -0.03, np.abs(x) - 0.008 - 0.25 * np.maximum(below, 0), FAR)
    width = np.minimum(below, 0.05 + 0.08 * back - below)
    made: F32 = np.minimum(width, gap).astype(np.float32)
    return made


def coat(base: Basis, shape: Shape) -> Tailored:
    """A long-sleeved coat to `hem`, buttoned to the waist, with a collar."""
    return wrapped(base, shape["hem"], width_m=0.03)


def wrapped(base: Basis, hem_m: float, *, width_m: float, belted: bool = True) -> Tailored:
    """Return a buttoned coat whose tail is `width_m` wider at the ankles than at the waist."""

    def upper(p: Places) -> F32:
        return np.minimum(
            np.minimum(neckline(p, 0.004, 0.05), hem_line(p, 0.045)), sleeve_end(p, 0.475)
        ).astype(np.float32)

    def lower(p: Places) -> F32:
        slit = np.where(p.at[:, 1] < 0, np.abs(p.at[:, 0]) - 0.008, FAR)
        return np.minimum(legs(p, 0.075, hem_m), slit).astype(np.float32)

    top = top_cut(base, upper, thick_m=0.021, flare_m=0.006, tucked=False, taper=0.06)
    z = places(base.atlas, top.weave.rows).at[:, 2]
    hang = None if top.hang is None else top.hang * step(z, 0.05, 0.15)
    top = replace(top, passes=9, rim_m=0.012, level_hem=None, hang=hang)
    tail = skirt_cut(base, lower, width_m, 0.075, offset_m=0.030)
    tail = replace(tail, min_m=tail.min_m + 0.018, passes=10)
    band = (belt(base, 0.040, 0.082, 0.043),) if belted else ()
    return Tailored(
        pieces=(buttoned(top, base, apart_m=0.11), tail, collar(base, thick_m=0.014), *band),
        inside=upper,  # the tail may swing open
    )


def dress(base: Basis, shape: Shape) -> Tailored:
    """A fitted top and a skirt of one cloth."""

    def upper(p: Places) -> F32:
        trunk = np.minimum(neckline(p, 0.02, 0.03), hem_line(p, 0.05))
        return np.minimum(trunk, sleeved(p, shape["sleeve"], 0.143)).astype(np.float32)

    def lower(p: Places) -> F32:
        return legs(p, 0.085, shape["hem"]).astype(np.float32)

    def inside(p: Places) -> F32:
        return np.maximum(upper(p), lower(p))

    def hides(p: Places) -> F32:
        return np.maximum(upper(p), lined(p))

    top = top_cut(base, upper, thick_m=0.007, flare_m=0.004, tucked=True)
    return Tailored(
        pieces=(liner(base), top, skirt_cut(base, lower, shape["width"], 0.085)),
        inside=inside,
        hides=hides,
    )


def sports_top(base: Basis, shape: Shape) -> Tailored:
    """A close top, without sleeves or with some, that ends at the hips."""

    def inside(p: Places) -> F32:
        trunk = np.minimum(neckline(p, 0.02), hem_line(p, shape["hem"]))
        return np.minimum(trunk, sleeved(p, shape["sleeve"])).astype(np.float32)

    return Tailored(pieces=(close(base, inside, off_m=0.006),), inside=inside)


def leotard(base: Basis, shape: Shape) -> Tailored:
    """A close top and briefs in one; `leg`: the height of the leg's edge at the hip's side."""

    def inside(p: Places) -> F32:
        side = np.maximum(np.abs(p.at[:, 0]) - 0.03, 0)
        edge = np.minimum(-0.115 + 0.55 * side, shape["leg"] + 0.10)
        trunk = np.minimum(neckline(p, 0.025, 0.01), hem_line(p, edge))
        return np.minimum(trunk, sleeved(p, shape["sleeve"])).astype(np.float32)

    return Tailored(pieces=(close(base, inside),), inside=inside)


def sleeved(p: Places, length_m: float, armhole_m: float = 0.140) -> F32:
    return armhole(p, armhole_m) if length_m < 0.05 else sleeve_end(p, length_m)
