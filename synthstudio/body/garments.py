"""How each garment is cut: smooth fields over template coordinates, positive where cloth is.

Lengths are metres on the template (ground -0.895, crotch about -0.08, waist 0.10, neck 0.50,
top of the head 0.76); see weave.py for joints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from synthstudio.body.cloth import Cut
from synthstudio.body.weave import Basis, Places, Weave, clipped, places, scored, weave_of
from synthstudio.core.scene import F32

Shape = Mapping[str, float]
Field = Callable[[Places], F32]
_FAR = np.float32(1.0)
_WAIST_M = 0.012  # of trousers off the skin: more than a shirt that is tucked in


@dataclass(frozen=True, kw_only=True, eq=False)
class Tailored:
    """A garment before it is compiled: its pieces, and the fields of what it hides below."""

    pieces: tuple[Cut, ...]
    inside: Field  # > 0 under the garment
    hides: Field | None = None  # > 0 where skin is not drawn; None: well inside `inside`


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
    base: Basis, field: Field, *, thick_m: float, flare_m: float, tucked: bool, taper: float = 0.12
) -> Cut:
    """Return a shirt's body: hangs wider towards hem and cuffs, above trousers unless tucked."""
    weave, p = _suit(base, field)
    z = p.at[:, 2]
    trunk = 1 - step(p.arm, 0.05, 0.5)
    low = trunk * step(z, 0.20, 0.02)
    cuff = (1 - trunk) * step(p.down_arm, 0.02, 0.16)
    waist = 0.0 if tucked else 0.014
    offset = thick_m + flare_m * (0.5 * low + 0.5 * cuff) + waist * low
    if tucked:
        offset = offset + (0.005 - offset) * low
    least = np.where(trunk > 0.5, 0.004 + (0 if tucked else 0.010) * low, 0.003)
    hang = trunk * step(z, 0.42, 0.34)
    if tucked:
        hang = hang * step(z, 0.08, 0.14)
    hem = trunk * step(z, 0.02, -0.01)
    return Cut(
        weave=weave,
        offset_m=offset,
        least_m=least,
        passes=6,
        hang=hang,
        taper=taper,
        level_hem=np.zeros_like(hem) if tucked else hem - 0.5,
    )


def t_shirt(base: Basis, shape: Shape) -> Tailored:
    """Short sleeves, round or V neck."""

    def inside(p: Places) -> F32:
        neck = _neck(p, 0.012, shape["vee"])
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
    """Long sleeves, collar, placket and buttons; tucked in when `tucked` is 0.5 or more."""

    def inside(p: Places) -> F32:
        return np.minimum(
            np.minimum(_neck(p, -0.004, 0.03), _hem(p, shape["hem"])),
            _sleeve(p, shape["sleeve"]),
        ).astype(np.float32)

    tucked = shape["tucked"] >= 0.5
    body = _buttoned(_top(base, inside, thick_m=0.009, flare_m=0.010, tucked=tucked), base)
    return Tailored(pieces=(body, _collar(base)), inside=inside)


def _collar(base: Basis, *, thick_m: float = 0.0) -> Cut:
    """Return a turned-down collar with two points, open at the front."""

    def leaf(p: Places) -> F32:
        x, y, _ = p.at.T
        below = _neck(p, -0.014)
        front = step(y, 0.0, -0.05)
        points = 0.016 * front * step(np.abs(x), 0.055, 0.03)
        width = np.minimum(below, 0.036 + points - below)
        gap = np.abs(x) - 0.003 - 0.42 * np.maximum(below - 0.004, 0)
        return np.where(y < -0.02, np.minimum(width, gap), width).astype(np.float32)

    weave, p = _suit(base, leaf)
    below = _neck(p, -0.014)
    offset = 0.005 + thick_m + 0.014 * step(below, 0.004, 0.036)
    least = np.full(len(offset), 0.003)
    return Cut(weave=weave, offset_m=offset, least_m=least, passes=3, folds_m=0.0, rim_m=0.004)


def _buttoned(cut: Cut, base: Basis, *, apart_m: float = 0.085) -> Cut:
    """Return a top with the line of a placket down its front, and buttons on it."""
    weave = cut.weave
    half_m, line_m = 0.014, 0.002
    for at_m in (half_m - line_m, half_m, half_m + line_m):
        p = places(base.atlas, weave.rows)
        weave = scored(weave, np.where(p.at[:, 1] < -0.03, at_m - np.abs(p.at[:, 0]), -_FAR))
    p = places(base.atlas, weave.rows)
    x, y, z = p.at.T
    near = np.clip(1 - np.abs(np.abs(x) - half_m) / (0.5 * line_m), 0, 1) * (y < -0.03)
    tint = np.repeat((1 - 0.5 * near)[:, None], 3, axis=1)
    wanted = np.arange(0.43, float(z.min()) + 0.02, -apart_m)
    front = np.where(y < -0.03, 0.0, _FAR)
    studs = [int(np.argmin(np.hypot(x, z - h) + front)) for h in wanted]
    return replace(
        _resampled(cut, weave, p, base), tint=tint.astype(np.float32), studs=np.array(studs)
    )


def _resampled(cut: Cut, weave: Weave, p: Places, base: Basis) -> Cut:
    """Return `cut` on a finer weave: its values are taken from the nearest old vertices."""
    old = places(base.atlas, cut.weave.rows)
    near = cKDTree(old.at).query(p.at)[1]
    return replace(
        cut,
        weave=weave,
        offset_m=cut.offset_m[near],
        least_m=cut.least_m[near],
        hang=None if cut.hang is None else cut.hang[near],
        level_hem=None if cut.level_hem is None else cut.level_hem[near],
    )


def sweater(base: Basis, shape: Shape) -> Tailored:
    """Long sleeves in thick cloth with a round neck."""

    def inside(p: Places) -> F32:
        return np.minimum(
            np.minimum(_neck(p, 0.0), _hem(p, shape["hem"])), _sleeve(p, shape["sleeve"])
        ).astype(np.float32)

    body = _top(base, inside, thick_m=0.015, flare_m=0.012, tucked=False)
    return Tailored(pieces=(replace(body, passes=9, folds_m=0.012, rim_m=0.012),), inside=inside)


def hoodie(base: Basis, shape: Shape) -> Tailored:
    """A sweater with a hood that lies on the back."""
    plain = sweater(base, shape)
    weave, p = _suit(base, _hood)
    back = step(p.at[:, 1], -0.05, 0.03)
    rise = np.clip(_neck(p, -0.02) / (0.05 + 0.08 * back), 0, 1)
    offset = 0.014 + (0.012 + 0.030 * back) * np.sin(np.pi * (0.25 + 0.7 * rise))
    hood = Cut(
        weave=weave,
        offset_m=offset,
        least_m=np.full(len(offset), 0.016),
        passes=6,
        rim_m=0.012,
        level=False,
    )
    return replace(plain, pieces=(*plain.pieces, hood))


def _hood(p: Places) -> F32:
    x, y, _ = p.at.T
    below = _neck(p, -0.02)
    back = step(y, -0.05, 0.03)
    gap = np.where(y < -0.03, np.abs(x) - 0.008 - 0.25 * np.maximum(below, 0), _FAR)
    width = np.minimum(below, 0.05 + 0.08 * back - below)
    return np.minimum(width, gap).astype(np.float32)


def coat(base: Basis, shape: Shape) -> Tailored:
    """A long-sleeved coat to `hem`, buttoned to the waist, with a collar."""

    def upper(p: Places) -> F32:
        return np.minimum(
            np.minimum(_neck(p, 0.004, 0.05), _hem(p, 0.045)), _sleeve(p, 0.475)
        ).astype(np.float32)

    def lower(p: Places) -> F32:
        slit = np.where(p.at[:, 1] < 0, np.abs(p.at[:, 0]) - 0.008, _FAR)
        return np.minimum(_legs(p, 0.075, shape["hem"]), slit).astype(np.float32)

    top = _top(base, upper, thick_m=0.021, flare_m=0.006, tucked=False, taper=0.06)
    z = places(base.atlas, top.weave.rows).at[:, 2]
    hang = top.hang * step(z, 0.05, 0.15)
    top = replace(top, passes=9, rim_m=0.012, level_hem=None, hang=hang)
    tail = _skirt(base, lower, 0.03, 0.075, offset_m=0.030)
    tail = replace(tail, least_m=tail.least_m + 0.018, passes=10)
    return Tailored(
        pieces=(
            _buttoned(top, base, apart_m=0.11),
            tail,
            _collar(base, thick_m=0.014),
            _belt(base, 0.040, 0.082, 0.043),
        ),
        inside=upper,  # the tail may swing open
    )


def dress(base: Basis, shape: Shape) -> Tailored:
    """A fitted top and a skirt of one cloth."""

    def upper(p: Places) -> F32:
        arm = _armhole(p, 0.143) if shape["sleeve"] < 0.05 else _sleeve(p, shape["sleeve"])
        return np.minimum(np.minimum(_neck(p, 0.02, 0.03), _hem(p, 0.05)), arm).astype(np.float32)

    def lower(p: Places) -> F32:
        return _legs(p, 0.085, shape["hem"]).astype(np.float32)

    def inside(p: Places) -> F32:
        return np.maximum(upper(p), lower(p))

    def hides(p: Places) -> F32:
        return np.maximum(upper(p), _lined(p))

    top = _top(base, upper, thick_m=0.007, flare_m=0.004, tucked=True)
    return Tailored(
        pieces=(_liner(base), top, _skirt(base, lower, shape["width"], 0.085)),
        inside=inside,
        hides=hides,
    )


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
        offset_m=_WAIST_M + room * (0.4 + 0.6 * inner),
        least_m=np.full(len(z), 0.004),
        passes=8,
        hang=hang,
        taper=0.13,
    )


def _belt(base: Basis, low_m: float, high_m: float, offset_m: float) -> Cut:
    """Return a band round the waist, in the second material."""

    def band(p: Places) -> F32:
        z = p.at[:, 2]
        return np.where(_on_arm(p), -_FAR, np.minimum(high_m - z, z - low_m)).astype(np.float32)

    weave, p = _suit(base, band)
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
        return _legs(p, 0.075, shape["hem"]).astype(np.float32)

    cut = _bottom(base, inside, width_m=shape["width"], from_m=-0.35)
    belt = _belt(base, 0.040, 0.072, _WAIST_M + 0.004)
    return Tailored(pieces=(cut, belt), inside=inside)


def shorts(base: Basis, shape: Shape) -> Tailored:
    """Legs that end above or at the knee."""

    def inside(p: Places) -> F32:
        return _legs(p, 0.075, shape["hem"]).astype(np.float32)

    cut = _bottom(base, inside, width_m=shape["width"], from_m=-0.2)

    def hides(p: Places) -> F32:
        return np.maximum(_lined(p), inside(p) - 0.03)

    return Tailored(pieces=(_liner(base), cut), inside=inside, hides=hides)


def skirt(base: Basis, shape: Shape) -> Tailored:
    """A ring of cloth round both legs."""

    def inside(p: Places) -> F32:
        return _legs(p, 0.075, shape["hem"]).astype(np.float32)

    return Tailored(
        pieces=(_liner(base), _skirt(base, inside, shape["width"], 0.075)),
        inside=inside,
        hides=_lined,
    )


def _lined(p: Places) -> F32:
    return _legs(p, 0.06, -0.17).astype(np.float32)


def _liner(base: Basis) -> Cut:
    """Return close shorts under a skirt: nobody is ever nude, whatever the pose."""
    weave, p = _suit(base, _lined)
    count = len(p.at)
    return Cut(
        weave=weave, offset_m=np.full(count, 0.003), least_m=np.full(count, 0.002), folds_m=0.0
    )


def _skirt(
    base: Basis, field: Field, width_m: float, waist_m: float, *, offset_m: float = 0.012
) -> Cut:
    weave = _cut_from(base, "skirt", field)
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


# Shoes --------------------------------------------------------------------------------------

_SOLE_M = -0.872  # the lowest point of the suit
_WELT_M = _SOLE_M + 0.014  # uppers end and soles begin
_FEET = ("foot.L", "foot.R")


def sneakers(base: Basis, shape: Shape) -> Tailored:
    """Thick flat soles in the second material."""
    return _shoes(base, shape["top"], thick_m=shape["sole"], offset_m=0.008, heel_m=0.0)


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
        return np.where(z < -0.45, vamp if open_m else top - z, -_FAR).astype(np.float32)

    weave, p = _suit(base, inside)
    weave = replace(weave, shift_m=_tread(p, thick_m, heel_m))
    above = p.at[:, 2] - _WELT_M
    # The sole reaches up round the upper, so that no gap can open between them.
    upper, sole = clipped(weave, above), clipped(weave, 0.006 - above)
    below = _SOLE_M - thick_m - 0.5 * heel_m
    shaft = step(places(base.atlas, upper.rows).at[:, 2], -0.79, -0.72)
    return Tailored(
        pieces=(
            _leather(upper, offset_m + 0.004 * shaft, passes=5),
            _leather(sole, np.full(sole.rows.shape[0], offset_m + 0.0035), passes=1, second=True),
        ),
        inside=lambda p: np.where(p.at[:, 2] < below, _FAR, inside(p)),
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
    box = 0.012 * step(y, -0.10, -0.16) * step(z, _WELT_M, _WELT_M + 0.02)
    return np.stack([out[:, 0] * side, out[:, 1], low * (flat - z) + box], 1).astype(np.float32)


def _leather(weave: Weave, offset: F32, *, passes: int, second: bool = False) -> Cut:
    return Cut(
        weave=weave,
        offset_m=offset,
        least_m=np.full(len(offset), 0.003),
        passes=passes,
        folds_m=0.0,
        second=second,
        bones=_FEET,
    )
