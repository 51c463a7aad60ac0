"""Wear of neck, hands and feet: scarves, gloves, wristbands, socks, tights, sandals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from synthstudio.body.clothes.bottoms import SOLE_M, close, shoes
from synthstudio.body.clothes.garment_mesh import Basis, Places, clipped, places, weave_of
from synthstudio.body.clothes.hair import nowhere
from synthstudio.body.clothes.tailor import (
    FAR,
    Shape,
    Tailored,
    intersection,
    legs_field,
    neckline,
    on_arm,
    sheet,
    step,
    suit,
)
from synthstudio.core.scene import F32, PARTS

_WRIST_M = 0.475  # along the arm from the shoulder


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


_HAND = ("hand", "forearm")


def wristbands(base: Basis, shape: Shape) -> Tailored:
    def inside(p: Places) -> F32:
        band = 0.5 * shape["width"] - np.abs(p.down_arm - 0.435)
        return np.where(on_arm(p), band, -FAR).astype(np.float32)

    cut = close(base, inside, off_m=0.009)
    return Tailored(pieces=(replace(cut, passes=2),), inside=nowhere)


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

    held = {"passes": 2, "folds_m": 0.0, "rim_m": 0.003, "bones": ("foot.L", "foot.R")}
    cut = sheet(suit(base, straps)[0], 0.0045, 0.003, **held)
    return Tailored(pieces=(cut, sole), inside=nowhere)
