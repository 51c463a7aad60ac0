"""How each garment is cut: smooth fields over template coordinates, positive where cloth is.

Lengths are metres on the template (ground -0.895, crotch about -0.08, waist 0.10, neck 0.50,
top of the head 0.76); see weave.py for joints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from synthstudio.body.cloth import Cut
from synthstudio.body.weave import Basis, Places, Weave, clipped, places, weave_of
from synthstudio.core.scene import F32

Shape = Mapping[str, float]
Field = Callable[[Places], F32]
_FAR = np.float32(1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Tailored:
    """A garment before it is compiled: its pieces, and the field of what it hides below."""

    pieces: tuple[Cut, ...]
    inside: Field
    margin_m: float = 0.015  # skin this far inside is not drawn


def step(value: F32, low: float, high: float) -> F32:
    """Return the smooth step of `value` from 0 at `low` to 1 at `high` (or falling)."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _on_arm(p: Places) -> F32:
    return p.arm > 0.4


def _neck(p: Places, drop_m: float, vee_m: float = 0.0) -> F32:
    """Return height below a round neckline; `vee_m` deepens it at the front."""
    x, y, z = p.at.T
    line = 0.522 + 0.55 * (y + 0.01) + 1.1 * np.maximum(np.abs(x) - 0.062, 0) - drop_m
    notch = vee_m * np.clip(1 - np.abs(x) / 0.075, 0, 1) * (y < 0)
    return line - notch - z


def _hem(p: Places, z_m: float) -> F32:
    return np.where(_on_arm(p), _FAR, p.at[:, 2] - z_m)


def _sleeve(p: Places, length_m: float) -> F32:
    return np.where(_on_arm(p), length_m - p.down_arm, _FAR)


def _armhole(p: Places, width_m: float) -> F32:
    x, z = np.abs(p.at[:, 0]), p.at[:, 2]
    return width_m + 0.2 * np.maximum(0.43 - z, 0) - x


def _legs(p: Places, waist_m: float, hem_m: float) -> F32:
    z = p.at[:, 2]
    return np.where(_on_arm(p), -_FAR, np.minimum(waist_m - z, z - hem_m))


def _cut_from(base: Basis, group: str, field: Field) -> Weave:
    weave = weave_of(base.atlas, base.atlas.groups[group])
    return clipped(weave, field(places(base.atlas, weave.rows)))


def _suit(base: Basis, field: Field) -> tuple[Weave, Places]:
    weave = _cut_from(base, "tights", field)
    return weave, places(base.atlas, weave.rows)


# Tops ---------------------------------------------------------------------------------------


def _top(
    base: Basis, field: Field, *, thick_m: float, flare_m: float, tucked: bool, taper: float = 0.25
) -> Cut:
    """Return a shirt's body: hangs wider towards hem and cuffs, above trousers unless tucked."""
    weave, p = _suit(base, field)
    z = p.at[:, 2]
    trunk = 1 - step(p.arm, 0.05, 0.5)
    low = trunk * step(z, 0.20, 0.02)
    cuff = (1 - trunk) * step(p.down_arm, 0.02, 0.16)
    waist = 0.0 if tucked else 0.010
    offset = thick_m + flare_m * (0.5 * low + 0.5 * cuff) + waist * low
    if tucked:
        offset = offset + (0.005 - offset) * low
    least = np.where(trunk > 0.5, 0.004 + (0 if tucked else 0.010) * low, 0.003)
    hang = trunk * step(z, 0.42, 0.34)
    if tucked:
        hang = hang * step(z, 0.08, 0.14)
    return Cut(weave=weave, offset_m=offset, least_m=least, passes=6, hang=hang, taper=taper)


def t_shirt(base: Basis, shape: Shape) -> Tailored:
    """Short sleeves, round or V neck."""

    def inside(p: Places) -> F32:
        neck = _neck(p, 0.0, shape["vee"])
        return np.minimum(
            np.minimum(neck, _hem(p, shape["hem"])), _sleeve(p, shape["sleeve"])
        ).astype(np.float32)

    return Tailored(
        pieces=(_top(base, inside, thick_m=0.009, flare_m=0.014, tucked=False),), inside=inside
    )


def tank_top(base: Basis, shape: Shape) -> Tailored:
    """No sleeves."""

    def inside(p: Places) -> F32:
        neck = _neck(p, 0.022, shape["vee"])
        return np.minimum(np.minimum(neck, _hem(p, shape["hem"])), _armhole(p, 0.140)).astype(
            np.float32
        )

    return Tailored(
        pieces=(_top(base, inside, thick_m=0.007, flare_m=0.010, tucked=False),), inside=inside
    )


def shirt(base: Basis, shape: Shape) -> Tailored:
    """Long sleeves, collar and button placket; tucked in when `tucked` is 0.5 or more."""

    def inside(p: Places) -> F32:
        return np.minimum(
            np.minimum(_neck(p, -0.004, 0.02), _hem(p, shape["hem"])),
            _sleeve(p, shape["sleeve"]),
        ).astype(np.float32)

    tucked = shape["tucked"] >= 0.5
    body = _top(base, inside, thick_m=0.009, flare_m=0.010, tucked=tucked)
    return Tailored(pieces=(body,), inside=inside)


def sweater(base: Basis, shape: Shape) -> Tailored:
    """Long sleeves in thick cloth with a round neck."""

    def inside(p: Places) -> F32:
        return np.minimum(
            np.minimum(_neck(p, -0.006), _hem(p, shape["hem"])), _sleeve(p, shape["sleeve"])
        ).astype(np.float32)

    body = _top(base, inside, thick_m=0.015, flare_m=0.012, tucked=False)
    return Tailored(pieces=(replace(body, passes=9, folds_m=0.012, rim_m=0.012),), inside=inside)


# Bottoms ------------------------------------------------------------------------------------


def _bottom(base: Basis, field: Field, *, width_m: float, from_m: float) -> Cut:
    """Return trousers: `width_m` more room around the leg below `from_m`."""
    weave, p = _suit(base, field)
    z = p.at[:, 2]
    inner = step(np.abs(p.at[:, 0]), 0.02, 0.07)
    room = width_m * step(z, -0.05, from_m) + 0.3 * width_m * step(z, -0.35, -0.6)
    hang = step(z, 0.06, 0.0) * (0.35 + 0.65 * inner)
    return Cut(
        weave=weave,
        offset_m=0.008 + room * (0.4 + 0.6 * inner),
        least_m=np.full(len(z), 0.004),
        passes=8,
        hang=hang,
        taper=0.13,
    )


def trousers(base: Basis, shape: Shape) -> Tailored:
    """Long legs, `width` metres of room."""

    def inside(p: Places) -> F32:
        return _legs(p, 0.075, shape["hem"]).astype(np.float32)

    cut = _bottom(base, inside, width_m=shape["width"], from_m=-0.35)
    return Tailored(pieces=(cut,), inside=inside)


def shorts(base: Basis, shape: Shape) -> Tailored:
    """Legs that end above or at the knee."""

    def inside(p: Places) -> F32:
        return _legs(p, 0.075, shape["hem"]).astype(np.float32)

    cut = _bottom(base, inside, width_m=shape["width"], from_m=-0.2)
    return Tailored(pieces=(cut,), inside=inside)


def skirt(base: Basis, shape: Shape) -> Tailored:
    """A ring of cloth round both legs."""

    def inside(p: Places) -> F32:
        return _legs(p, 0.075, shape["hem"]).astype(np.float32)

    return Tailored(
        pieces=(_skirt(base, inside, shape["width"], 0.075),), inside=inside, margin_m=0.12
    )


def _skirt(base: Basis, field: Field, width_m: float, waist_m: float) -> Cut:
    weave = _cut_from(base, "skirt", field)
    z = places(base.atlas, weave.rows).at[:, 2]
    offset = 0.009 + width_m * step(z, 0.0, -0.5)
    least = np.full(len(z), 0.006)
    return Cut(weave=weave, offset_m=offset, least_m=least, passes=3, radius_m=0.30, folds_m=0.006)


# Shoes --------------------------------------------------------------------------------------


def shoes(base: Basis, shape: Shape) -> Tailored:
    """Uppers to `top` metres above the ankle joint, and soles in the second material."""

    def inside(p: Places) -> F32:
        x, y, z = p.at.T
        top = -0.796 + shape["top"] - 0.35 * np.clip(-y, 0, 0.08)
        return np.where(z < -0.55, top - z, -_FAR).astype(np.float32)

    weave, p = _suit(base, inside)
    above = p.at[:, 2] - (_SOLE_M + 0.016)
    upper, sole = clipped(weave, above), clipped(weave, -above)
    count, under = upper.rows.shape[0], sole.rows.shape[0]
    return Tailored(
        pieces=(
            Cut(
                weave=upper,
                offset_m=np.full(count, 0.007),
                least_m=np.full(count, 0.004),
                passes=4,
                folds_m=0.0,
            ),
            Cut(
                weave=sole,
                offset_m=np.full(under, 0.010),
                least_m=np.full(under, 0.004),
                passes=2,
                folds_m=0.0,
                second=True,
            ),
        ),
        inside=inside,
    )


_SOLE_M = -0.872  # the lowest point of the suit
