"""Outerwear: open and closed jackets, vests, aprons and bibs; scarves, gloves and wristbands."""

from dataclasses import replace

import numpy as np

from synthstudio.body.clothes.bottoms import belt, close
from synthstudio.body.clothes.cloth import Cut
from synthstudio.body.clothes.garment_mesh import Basis, Places, clipped, places, weave_of
from synthstudio.body.clothes.hair import nowhere
from synthstudio.body.clothes.tailor import (
    FAR,
    Field,
    Shape,
    Tailored,
    armhole,
    cut_from,
    hem_line,
    intersection,
    legs,
    neckline,
    on_arm,
    sheet,
    sleeved,
    step,
    studs_at,
    suit,
    top_field,
    union,
)
from synthstudio.body.clothes.tops import collar, top_cut
from synthstudio.core.arrays import F32
from synthstudio.core.scene import PARTS


def _open(p: Places, half_m: F32 | float) -> F32:
    """How far places are from the open front, `half_m` to each side."""
    return np.asarray(np.where(p.y < -0.025, np.abs(p.x) - half_m, FAR))


def _over(base: Basis, field: Field, *, thick_m: float, flare_m: float = 0.006) -> Cut:
    made = top_cut(base, field, thick_m=thick_m, flare_m=flare_m, tucked=False, taper=0.06)
    low = step(places(base.atlas, made.weave.rows).z, 0.14, 0.04)
    offset = made.offset_m + 0.014 * low * (made.min_m > 0.0035)
    return replace(made, offset_m=offset, passes=8, rim_m=0.010, level_hem=None)


def _jacket(half: Field, hem_m: float, *, drop_m: float = 0.0, sleeve_m: float = 0.46) -> Field:
    """The field of a top with an open front; a sleeve below 5 cm is none."""
    return lambda p: intersection(
        neckline(p, drop_m), hem_line(p, hem_m), sleeved(p, sleeve_m, 0.146), _open(p, half(p))
    )


def _opening(least_m: float, slope: float, from_m: float) -> Field:
    """Half an opening's width: `least_m`, and from the height `from_m` up wider."""
    return lambda p: np.asarray(least_m + slope * np.maximum(p.z - from_m, 0), np.float32)


def open_shirt(base: Basis, shape: Shape) -> Tailored:
    def half(p: Places) -> F32:
        return (0.050 + 0.06 * (0.45 - p.z)).astype(np.float32)

    inside = _jacket(half, -0.06, sleeve_m=shape["sleeve"])
    body = _over(base, inside, thick_m=0.019, flare_m=0.014)
    return Tailored(pieces=(body, collar(base, thick_m=0.014)), inside=inside)


def cardigan(base: Basis, shape: Shape) -> Tailored:
    def half(p: Places) -> F32:
        return np.asarray(0.022 + 0.05 * np.clip((p.z - 0.25) / 0.25, 0, 1), np.float32)

    inside = _jacket(half, shape["hem"])
    body = replace(_over(base, inside, thick_m=0.022), folds_m=0.010, rim_m=0.014)
    return Tailored(pieces=(body,), inside=inside)


def _below_lapels(p: Places) -> F32:
    """Half the width of a suit jacket's opening: to its button, and away below."""
    return np.asarray(
        0.003 + 0.19 * np.maximum(p.z - 0.13, 0) + 0.35 * np.maximum(0.09 - p.z, 0), np.float32
    )


def blazer(base: Basis, shape: Shape) -> Tailored:
    """A suit jacket with lapels, closed by a button at the waist."""
    inside = _jacket(_below_lapels, -0.065)

    def leaf(p: Places) -> F32:
        wide = 0.060 * step(p.z, 0.15, 0.34) * step(p.z, 0.50, 0.40) + 0.012 * step(p.z, 0.38, 0.46)
        edge = np.abs(p.x) - _below_lapels(p)
        strip = intersection(edge, wide - edge, p.z - 0.15, neckline(p, 0.006))
        front = np.where(p.y < -0.025, strip, -FAR)
        behind = np.minimum(neckline(p, -0.004), 0.045 - neckline(p, -0.004))
        return union(front, np.where(p.y > -0.03, behind, -FAR))

    lapel = sheet(suit(base, leaf)[0], 0.029, 0.020, passes=6, folds_m=0.0, rim_m=0.006)
    body = replace(_over(base, inside, thick_m=0.021, flare_m=0.002), folds_m=0.010)
    studs = studs_at(places(base.atlas, body.weave.rows), 0.012, (0.11,))
    return Tailored(pieces=(replace(body, studs=studs), lapel), inside=inside)


def bomber_jacket(base: Basis, shape: Shape) -> Tailored:
    """Short and full, ribbed at waist, cuffs and neck, half open."""
    inside = _jacket(_opening(0.004, 0.13, 0.30), 0.0, drop_m=-0.012)

    def ribs(p: Places) -> F32:
        trunk = np.maximum(0.045 - p.z, 0.030 - neckline(p, -0.012))
        return np.where(on_arm(p), p.down_arm - 0.415, trunk).astype(np.float32)

    body = _over(base, inside, thick_m=0.026, flare_m=0.014)
    p = places(base.atlas, body.weave.rows)
    tight = np.where(on_arm(p), step(p.down_arm, 0.40, 0.44), step(p.z, 0.06, 0.02))
    body = replace(body, offset_m=(body.offset_m - 0.016 * tight).astype(np.float32), folds_m=0.018)
    return Tailored(pieces=(replace(body, panel=ribs),), inside=inside)


def puffer_jacket(base: Basis, shape: Shape, *, sleeve_m: float = 0.468) -> Tailored:
    """Quilted in thick rings, with a high collar."""
    half = _opening(0.003, 0.16, 0.42)
    inside = _jacket(half, shape["hem"], drop_m=-0.028, sleeve_m=sleeve_m)
    body = _over(base, inside, thick_m=0.024, flare_m=0.008)
    p = places(base.atlas, body.weave.rows)
    along = np.where(on_arm(p), p.down_arm, p.z)
    swell = np.abs(np.sin(np.pi * along / 0.085)) ** 0.7
    tint = np.repeat((0.62 + 0.38 * np.minimum(1, 2.2 * swell))[:, None], 3, axis=1)
    body = replace(
        body,
        offset_m=(body.offset_m + shape["thick"] * swell).astype(np.float32),
        passes=3,
        folds_m=0.008,
        rim_m=0.016,
        tint=tint.astype(np.float32),
    )
    return Tailored(pieces=(body,), inside=inside)


def waistcoat(base: Basis, shape: Shape) -> Tailored:
    """No sleeves, buttoned, open to the breast bone, with two points below."""

    def inside(p: Places) -> F32:
        points = np.where(p.y < 0, 0.30 * np.abs(np.abs(p.x) - 0.05) + 0.012, 0.030)
        low = hem_line(p, points.astype(np.float32))
        neck = neckline(p, 0.006, 0.0)
        vee = np.where(p.y < -0.025, np.abs(p.x) - 0.30 * np.maximum(p.z - 0.25, 0), FAR)
        return intersection(neck, vee, low, armhole(p, 0.132))

    body = replace(_over(base, inside, thick_m=0.015, flare_m=0.004), folds_m=0.008)
    heights_m = (0.235, 0.185, 0.135, 0.085)
    studs = studs_at(places(base.atlas, body.weave.rows), 0.01, heights_m)
    return Tailored(pieces=(replace(body, studs=studs),), inside=inside)


def sweater_vest(base: Basis, shape: Shape) -> Tailored:
    inside = top_field(0.010, 0.11, -0.02, 0.0, 0.136)
    body = replace(_over(base, inside, thick_m=0.016), folds_m=0.010, rim_m=0.012)
    return Tailored(pieces=(body,), inside=inside)


def hi_vis_vest(base: Basis, shape: Shape) -> Tailored:
    """A vest of a colour that is seen from afar, with bands that shine."""
    inside = _jacket(_opening(0.003, 0.12, 0.22), -0.06, drop_m=0.012, sleeve_m=0.0)

    def bands(p: Places) -> F32:
        rings = 0.024 - np.minimum(np.abs(p.z - 0.045), np.abs(p.z - 0.185))
        braces = np.where(p.z > 0.19, 0.022 - np.abs(np.abs(p.x) - 0.092), -FAR)
        return union(rings, braces)

    body = _over(base, inside, thick_m=0.023, flare_m=0.010)
    return Tailored(pieces=(replace(body, panel=bands),), inside=inside)


def apron(base: Basis, shape: Shape) -> Tailored:
    """From the chest to the knees in front, with bands round neck and waist."""

    def upper(p: Places) -> F32:
        bib = np.minimum(0.100 + 0.25 * np.maximum(0.20 - p.z, 0) - np.abs(p.x), 0.385 - p.z)
        straps = np.where(p.z > 0.36, 0.010 - np.abs(np.abs(p.x) - 0.082), -FAR)
        front = np.where(p.y < -0.005, np.maximum(bib, straps), -FAR)
        return np.where(on_arm(p), -FAR, np.minimum(front, p.z - 0.055)).astype(np.float32)

    def lower(p: Places) -> F32:
        front = np.where(p.y < 0.0, 0.150 - np.abs(p.x), -FAR)
        return intersection(legs(p, 0.085, shape["hem"]), front)

    body = replace(_over(base, upper, thick_m=0.032, flare_m=0.0), folds_m=0.006, rim_m=0.005)
    edges = {"passes": 4, "folds_m": 0.006, "rim_m": 0.005}
    weave = cut_from(base, "skirt", lower)
    tail = sheet(weave, 0.036, 0.030, **edges, radius_m=0.30, wraps_trunk=True)
    band = replace(belt(base, 0.055, 0.082, 0.040), second=False)
    return Tailored(pieces=(body, tail, band), inside=upper)  # what is below may swing


# Neck and hands ------------------------------------------------------------------------------

_WRIST_M = 0.475  # along the arm from the shoulder
_HAND = ("hand", "forearm")


def scarf(base: Basis, shape: Shape) -> Tailored:
    """Wound round the neck; one end hangs `end` metres down the chest."""

    def ring(p: Places) -> F32:
        below = neckline(p, -0.040)
        return intersection(below, 0.075 - below)

    def tail(p: Places) -> F32:
        strip = np.minimum(
            0.045 - np.abs(p.x - 0.055), np.minimum(0.50 - p.z, p.z - 0.45 + shape["end"])
        )
        return np.where((p.y < -0.02) & ~on_arm(p), strip, -FAR).astype(np.float32)

    weave, p = suit(base, ring)
    rise = np.clip(neckline(p, -0.040) / 0.075, 0, 1)
    turns = np.sin(2 * np.pi * (1.5 * rise + 0.6 * np.arctan2(p.x, -p.y) / np.pi))
    offset = 0.030 + 0.016 * np.sin(np.pi * rise) + 0.006 * turns
    wound = sheet(weave, offset, 0.016, passes=3, folds_m=0.004, rim_m=0.020, level=False)
    end = sheet(suit(base, tail)[0], 0.044, 0.034, folds_m=0.006, rim_m=0.012)
    return Tailored(pieces=(wound, end), inside=nowhere)


def gloves(base: Basis, shape: Shape) -> Tailored:
    def inside(p: Places) -> F32:
        return np.where(on_arm(p), p.down_arm - _WRIST_M + shape["cuff"], -FAR).astype(np.float32)

    hands = [PARTS.index(f"{side}_{part}") for side in ("left", "right") for part in _HAND]
    faces = base.atlas.body_faces[np.isin(base.atlas.part, hands)]
    weave = weave_of(base.atlas, faces, fine=False)
    weave = clipped(weave, inside(places(base.atlas, weave.rows)))
    p = places(base.atlas, weave.rows)
    offset = 0.0030 + 0.004 * step(p.down_arm, _WRIST_M + 0.03, _WRIST_M)
    cut = sheet(weave, offset, 0.0015, passes=1, folds_m=0.0, rim_m=0.003, level=False)
    return Tailored(pieces=(cut,), inside=inside, hides=nowhere)


def wristbands(base: Basis, shape: Shape) -> Tailored:
    def inside(p: Places) -> F32:
        band = 0.5 * shape["width"] - np.abs(p.down_arm - 0.435)
        return np.where(on_arm(p), band, -FAR).astype(np.float32)

    cut = close(base, inside, off_m=0.009)
    return Tailored(pieces=(replace(cut, passes=2),), inside=nowhere)
