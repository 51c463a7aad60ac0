"""One piece from the neck to the legs, and trousers and skirts of other cuts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from synthstudio.body.clothes.bottoms import WAIST_M, belt, close, leg_cut, lined, liner, skirt_cut
from synthstudio.body.clothes.cloth import Cut
from synthstudio.body.clothes.garment_mesh import Basis, Places, places
from synthstudio.body.clothes.panels import panelled, pocketed
from synthstudio.body.clothes.shirts import sleeved_field
from synthstudio.body.clothes.tailor import (
    FAR,
    Field,
    Shape,
    Tailored,
    hem_line,
    legs,
    neckline,
    on_arm,
    sleeve_end,
    step,
    suit,
)
from synthstudio.body.clothes.tops import buttoned, collar, top_cut
from synthstudio.core.scene import F32


def jumpsuit(base: Basis, shape: Shape) -> Tailored:
    """Shirt and trousers in one, as overalls of work are, with a belt."""

    def upper(p: Places) -> F32:
        trunk = np.minimum(neckline(p, -0.004, 0.04), hem_line(p, 0.05))
        return np.minimum(trunk, sleeve_end(p, shape["sleeve"])).astype(np.float32)

    lower = _legs(0.085, shape["hem"])
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
    shirt = sleeved_field({"hem": 0.03, "sleeve": shape["sleeve"]}, 0.012, 0.0)
    lower = _legs(0.115, shape["hem"])

    def bib(p: Places) -> F32:
        x, y, z = p.at.T
        wide = np.where(y < 0, 0.098, 0.085 - 0.10 * np.maximum(z - 0.11, 0))
        high = np.where(y < 0, 0.345, 0.27)
        sheet = np.minimum(wide + 0.35 * np.maximum(0.17 - z, 0) - np.abs(x), high - z)
        straps = np.where(z > 0.24, 0.017 - np.abs(np.abs(x) - 0.080), -FAR)
        made = np.minimum(np.maximum(sheet, straps), z - 0.085)
        return np.where(on_arm(p), -FAR, made).astype(np.float32)

    weave, p = suit(base, bib)
    front = Cut(
        weave=weave,
        offset_m=np.full(len(p.at), 0.022),
        min_m=np.full(len(p.at), 0.015),
        passes=6,
        folds_m=0.004,
        rim_m=0.005,
    )
    inner = top_cut(base, shirt, thick_m=0.008, flare_m=0.004, tucked=True)
    inner = replace(inner, second=True, hang=None)
    legs_ = leg_cut(base, lower, width_m=0.014, from_m=-0.35)
    return Tailored(pieces=(inner, legs_, front), inside=lambda p: np.maximum(shirt(p), lower(p)))


def wetsuit(base: Basis, shape: Shape) -> Tailored:
    """Close rubber from the neck down, with sides of the second material."""

    def inside(p: Places) -> F32:
        trunk = np.minimum(neckline(p, -0.022), hem_line(p, shape["leg"]))
        return np.minimum(trunk, sleeve_end(p, shape["sleeve"])).astype(np.float32)

    def sides(p: Places) -> F32:
        x, _, z = p.at.T
        flank = np.abs(x) - 0.098 - 0.16 * np.clip(-z, 0, 0.5)
        return np.where(on_arm(p), 0.16 - p.down_arm, np.where(z < 0.36, flank, z - 0.43)).astype(
            np.float32
        )

    return Tailored(
        pieces=(panelled(base, close(base, inside, off_m=0.006), sides),), inside=inside
    )


# Trousers ---------------------------------------------------------------------------------


def _legs(waist_m: float, hem_m: float) -> Field:
    def inside(p: Places) -> F32:
        return legs(p, waist_m, hem_m).astype(np.float32)

    return inside


def _out(p: Places) -> F32:
    """Return metres outwards from the middle of the leg, which stands apart further below."""
    made: F32 = np.abs(p.at[:, 0]) - 0.105 - 0.085 * np.clip(-p.at[:, 2] / 0.8, 0, 1)
    return made


def _belted(base: Basis, cut: Cut, inside: Field) -> Tailored:
    return Tailored(pieces=(cut, belt(base, 0.040, 0.072, WAIST_M + 0.004)), inside=inside)


def wide_trousers(base: Basis, shape: Shape) -> Tailored:
    """Legs that fall straight from the hips, wide as a skirt."""
    inside = _legs(0.085, -0.80)
    cut = leg_cut(base, inside, width_m=shape["width"], from_m=-0.25)
    below = step(places(base.atlas, cut.weave.rows).at[:, 2], -0.35, -0.78)
    cut = replace(cut, offset_m=cut.offset_m + 0.6 * shape["width"] * below, taper=0.02)
    return _belted(base, cut, inside)


def flared_jeans(base: Basis, shape: Shape) -> Tailored:
    """Close down to the knee, wide below it."""
    inside = _legs(0.075, -0.81)
    cut = leg_cut(base, inside, width_m=0.0, from_m=-0.35)
    below = step(places(base.atlas, cut.weave.rows).at[:, 2], -0.42, -0.78)
    cut = replace(cut, offset_m=cut.offset_m + shape["flare"] * below, taper=0.25)
    return _belted(base, cut, inside)


def cargo_trousers(base: Basis, shape: Shape) -> Tailored:
    """Roomy, with a pocket on each thigh."""
    inside = _legs(0.075, shape["hem"])

    def pocket(p: Places) -> F32:
        _, y, z = p.at.T
        box = np.minimum(0.085 - np.abs(z + 0.30), 0.065 - np.abs(y + 0.01))
        made: F32 = np.minimum(box, _out(p) - 0.012).astype(np.float32)
        return made

    cut = leg_cut(base, inside, width_m=0.016, from_m=-0.35)
    return _belted(base, pocketed(base, cut, pocket, thick_m=0.016), inside)


def joggers(base: Basis, shape: Shape) -> Tailored:
    """Sweat trousers, drawn together at the ankles."""
    inside = _legs(0.085, -0.775)
    cut = leg_cut(base, inside, width_m=shape["width"], from_m=-0.25)
    z = places(base.atlas, cut.weave.rows).at[:, 2]
    cuff = step(z, -0.70, -0.735)
    offset: F32 = cut.offset_m + 0.012 * step(z, -0.52, -0.66) * (1 - cuff)
    hang = None if cut.hang is None else cut.hang * (1 - cuff)
    cut = replace(cut, offset_m=offset + cuff * (0.010 - offset), hang=hang, passes=6)
    return Tailored(pieces=(cut,), inside=inside)


def track_pants(base: Basis, shape: Shape) -> Tailored:
    """With a stripe of the second material down the outside of each leg."""
    inside = _legs(0.085, -0.79)

    def stripe(p: Places) -> F32:
        return np.where(_out(p) > 0, 0.019 - np.abs(p.at[:, 1] + 0.012), -FAR).astype(np.float32)

    cut = leg_cut(base, inside, width_m=shape["width"], from_m=-0.35)
    return Tailored(pieces=(panelled(base, cut, stripe),), inside=inside)


def cropped_trousers(base: Basis, shape: Shape) -> Tailored:
    """Legs that end at the calf."""
    inside = _legs(0.075, shape["hem"])
    cut = leg_cut(base, inside, width_m=0.008, from_m=-0.35, hang=0.7)
    return _belted(base, cut, inside)


def running_shorts(base: Basis, shape: Shape) -> Tailored:
    """Very short, wide, slit at the sides, with edges of the second material."""

    def inside(p: Places) -> F32:
        return legs(p, 0.075, shape["hem"]).astype(np.float32)

    def edge(p: Places) -> F32:
        z = p.at[:, 2]
        side = np.where(_out(p) > 0, 0.016 - np.abs(p.at[:, 1] + 0.012), -FAR)
        made: F32 = np.maximum(shape["hem"] + 0.018 - z, side).astype(np.float32)
        return made

    cut = leg_cut(base, inside, width_m=0.022, from_m=-0.15, hang=0.6)
    return Tailored(
        pieces=(liner(base), panelled(base, cut, edge)),
        inside=inside,
        hides=lambda p: np.maximum(lined(p), inside(p) - 0.03),
    )


# Skirts -----------------------------------------------------------------------------------


def pleated_skirt(base: Basis, shape: Shape) -> Tailored:
    """Pressed into folds from the waist down."""
    inside = _legs(0.085, shape["hem"])
    cut = skirt_cut(base, inside, 0.07, 0.085)
    x, y, z = places(base.atlas, cut.weave.rows).at.T
    turn = np.arctan2(x, -(y + 0.02))
    fold = np.abs(np.mod(turn * 20 / (2 * np.pi), 1) - 0.5) * 2
    deep = step(z, 0.07, -0.10)
    offset = cut.offset_m + 0.020 * deep * fold + 0.018 * step(z, 0.02, -0.2)
    tint = np.repeat((1 - 0.38 * deep * (1 - fold))[:, None], 3, axis=1).astype(np.float32)
    cut = replace(cut, offset_m=offset, passes=1, folds_m=0.0, tint=tint)
    return Tailored(pieces=(liner(base), cut), inside=inside, hides=lined)


def long_skirt(base: Basis, shape: Shape) -> Tailored:
    """To the ankles."""
    inside = _legs(0.085, shape["hem"])
    cut = skirt_cut(base, inside, shape["width"], 0.085)
    return Tailored(pieces=(liner(base), cut), inside=inside, hides=lined)


def mini_skirt(base: Basis, shape: Shape) -> Tailored:
    """High above the knee."""
    inside = _legs(0.075, shape["hem"])
    cut = skirt_cut(base, inside, shape["width"], 0.075)
    return Tailored(pieces=(liner(base), cut), inside=inside, hides=lined)
