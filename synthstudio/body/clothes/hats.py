"""Hats: domes cut from the head of the template, with peaks and brims, and a headscarf. They cover
the scalp."""

from typing import Any

import numpy as np
from scipy import sparse

from synthstudio.body.clothes.cloth import Cut
from synthstudio.body.clothes.garment_mesh import (
    Basis,
    GarmentMesh,
    Places,
    anchored,
    boundary_edges,
    clipped,
    compact,
    edges_of,
    places,
    weave_of,
)
from synthstudio.body.clothes.hair import SCALP, azimuth, head_faces, nowhere, shell, skull
from synthstudio.body.clothes.tailor import Shape, Tailored, sheet, step, tube
from synthstudio.core.arrays import F32, I32
from synthstudio.core.scene import PARTS

_FRONT_Y_M, _BACK_Y_M = -0.13, 0.06
_DRAPED = SCALP | sum(
    1 << PARTS.index(part) for part in ("neck", "torso", "left_upper_arm", "right_upper_arm")
)
"""Parts covered by a headscarf; the hidden ears are not included."""


def _above(at: F32, front_m: float, back_m: float) -> F32:
    slope = (back_m - front_m) / (_BACK_Y_M - _FRONT_Y_M)
    return at[:, 2] - (front_m + (at[:, 1] - _FRONT_Y_M) * slope)


def dome(base: Basis, front_m: float, back_m: float) -> tuple[GarmentMesh, Places, F32]:
    weave = weave_of(base.atlas, head_faces(base, ears=True), fine=base.fine)
    at = places(base.atlas, weave.rows).at
    weave = clipped(weave, _above(at, front_m, back_m).astype(np.float32))
    p = places(base.atlas, weave.rows)
    return weave, p, _above(p.at, front_m, back_m)


def hat(weave: GarmentMesh, offset: float | F32, **more: Any) -> Cut:
    more = {"rim_m": 0.006, "folds_m": 0.0, "covers": SCALP, "level": False, **more}
    return sheet(weave, offset, 0.003, **more)


def stiff(weave: GarmentMesh, *, rim_m: float = 0.003) -> Cut:
    """Return a brim or a peak: it keeps its form."""
    return hat(weave, 0.0, passes=0, rim_m=rim_m)


def worn(front_m: float, back_m: float, *pieces: Cut) -> Tailored:
    """A hat whose edge is so high: hair is not drawn from 3 cm above it on, skin is everywhere."""

    def inside(p: Places) -> F32:
        return np.where(p.z > 0.6, _above(p.at, front_m, back_m), -1).astype(np.float32)

    return Tailored(pieces=pieces, inside=inside, hides=nowhere)


def beanie(base: Basis, shape: Shape) -> Tailored:
    """Knitted, down to the ears, with a turned-up band; `slouch` metres of room on top."""
    weave, _, above = dome(base, 0.700, 0.628)
    offset = 0.014 + shape["slouch"] * step(above, 0.03, 0.10)
    band, _, height = dome(base, 0.698, 0.626)
    band = clipped(band, (0.036 - height).astype(np.float32))
    edge = hat(band, 0.019, passes=8, rim_m=0.008)
    return worn(0.700, 0.628, hat(weave, offset, passes=8), edge)


def cap(base: Basis, shape: Shape) -> Tailored:
    """A baseball cap; its peak reaches `peak` metres."""
    weave, p, above = dome(base, 0.702, 0.668)
    offset = 0.011 + 0.010 * step(above, 0.0, 0.05)
    edge = brim(weave, p.at, (0.008, 0.5), reach_m=shape["peak"], fade_deg=(42, 72))
    return worn(0.702, 0.668, hat(weave, offset, passes=10), stiff(edge))


def hard_hat(base: Basis, shape: Shape) -> Tailored:
    """A builder's helmet with a brim all round, widest in front."""
    weave, p, above = dome(base, 0.706, 0.676)
    ridge = 0.006 * step(np.abs(p.x), 0.016, 0.010)
    offset = 0.026 + 0.012 * step(above, 0.0, 0.04) + ridge * step(above, 0.03, 0.06)
    edge = brim(weave, p.at, (0.018, 0.35), reach_m=0.034, fade_deg=(50, 400))
    return worn(0.706, 0.676, hat(weave, offset, passes=8, rim_m=0.012), stiff(edge, rim_m=0.004))


def helmet(base: Basis, shape: Shape) -> Tailored:
    """For cycling: long to the back, with ribs and a peakless edge above the ears."""
    weave, p, above = dome(base, 0.706, 0.648)
    ribs = 0.5 + 0.5 * np.cos(2 * np.pi * p.x / 0.052)
    back = step(p.y, -0.03, 0.06)
    offset = shape["thick"] * (0.75 + 0.25 * step(above, 0.0, 0.03)) + 0.012 * back
    offset = offset + 0.010 * ribs * step(above, 0.02, 0.045)
    return worn(0.706, 0.648, hat(weave, offset, passes=5, rim_m=0.014))


def headband(base: Basis, shape: Shape) -> Tailored:
    """A band round forehead and nape, `width` metres high."""
    weave, _, above = dome(base, 0.700, 0.640)
    weave = clipped(weave, (shape["width"] - above).astype(np.float32))
    band = hat(weave, 0.0165, passes=8)
    return Tailored(pieces=(band,), inside=nowhere, hides=nowhere)


def headscarf(base: Basis, shape: Shape) -> Tailored:
    """A hijab: over hair, ears and throat down to the shoulders; the face stays free."""
    made, _ = shell(base, shape["length"], 0.010, 0.0)
    at = places(base.atlas, made.rows, made.shift_m).at
    drawn_in = _throat(at)
    made = anchored(base, drawn_in, made.faces, skull(base))
    x, y, z = drawn_in.T
    oval = np.hypot(x / 0.068, (z - 0.628) / np.where(z > 0.628, 0.080, 0.099))
    face = np.where(y < -0.035, 1 - oval, -1.0)
    hem = z - (0.545 - shape["length"])
    weave = clipped(made, np.minimum(-0.05 * face, hem).astype(np.float32))
    falls = {"passes": 4, "folds_m": 0.006, "rim_m": 0.006, "level": False, "limp": True}
    cloth = sheet(weave, 0.0, 0.003, covers=_DRAPED, **falls)
    return Tailored(pieces=(cloth,), inside=nowhere, hides=nowhere)


def _throat(at: F32) -> F32:
    """The shell's places drawn in under the chin and spread again over the shoulders."""
    _, y, z = at.T
    low = step(z, 0.600, 0.535)
    front = step(y, 0.0, -0.06)
    neck = np.array((0.0, -0.040, 0.0))
    narrow = 1 - low * (0.10 + 0.34 * front)
    wide = 1 + 0.9 * step(z, 0.525, 0.43)
    scaled = (at - neck) * np.stack([narrow * wide, narrow * wide, np.ones_like(z)], 1) + neck
    return np.asarray(scaled, np.float32)


def brim(
    weave: GarmentMesh,
    at: F32,
    droop: tuple[float, float],
    *,
    reach_m: float,
    fade_deg: tuple[int, int],
) -> GarmentMesh:
    """Return a brim: the dome's edge drawn outwards in rings, less beyond `fade_deg`.

    `droop` is (metres from the skull at which it starts, share of its reach that it falls).
    """
    edges, _ = boundary_edges(weave.faces, edges_of(weave.faces, len(at)))
    turn = azimuth(at)
    low, high = fade_deg
    keep = (turn[edges] < high).all(axis=1)
    edges = edges[keep]
    used, inverse = np.unique(edges, return_inverse=True)
    a, b = inverse.reshape(-1, 2).T
    rings, count = 5, len(used)
    out = at[used] * [1, 1, 0] - np.array((0.0, -0.02, 0.0))
    out = out / np.linalg.norm(out, axis=1, keepdims=True)
    radial = out
    out = 0.35 * out + 0.65 * np.array((0.0, -1.0, 0.0)) if high < 180 else out
    reach = reach_m * (1 - step(turn[used], low, high) * (0.7 if high > 180 else 1.0))
    shift, faces = [], []
    for ring in range(rings):
        share = ring / (rings - 1)
        fall = droop[1] * share * reach * (0.35 + 0.65 * step(turn[used], 0, 60))
        start = radial * droop[0]
        shift.append(start + out * (share * reach)[:, None] - np.outer(fall, (0, 0, 1)))
        if ring:
            i, j = (ring - 1) * count, ring * count
            faces += [np.stack([a + i, b + j, b + i], 1), np.stack([a + i, a + j, b + j], 1)]
    rows = sparse.csr_array(sparse.vstack([weave.rows[used]] * rings, format="csr"))
    return compact(
        GarmentMesh(
            rows=rows,
            faces=np.concatenate(faces).astype(np.int32),
            shift_m=np.concatenate(shift).astype(np.float32),
        )
    )


_FRONT_M, _BACK_M = 0.704, 0.668
_ALL_ROUND = (500, 600)  # degrees beyond which a brim ends: never


def _brimmed(
    base: Basis, offset: F32, reach_m: float, droop: float, *, band: bool = False
) -> Tailored:
    weave, p, _ = dome(base, _FRONT_M, _BACK_M)
    edge = brim(weave, p.at, (0.017, droop), reach_m=reach_m, fade_deg=_ALL_ROUND)
    crown = hat(weave, offset, passes=8, panel=_ribbon if band else None)
    return worn(_FRONT_M, _BACK_M, crown, stiff(edge))


def _ribbon(p: Places) -> F32:
    above = p.z - _FRONT_M - (p.y + 0.13) * (_BACK_M - _FRONT_M) / 0.19
    return (0.024 - above).astype(np.float32)


def sun_hat(base: Basis, shape: Shape) -> Tailored:
    """Straw with a wide brim and a ribbon."""
    _, _, above = dome(base, _FRONT_M, _BACK_M)
    offset = 0.019 + 0.006 * step(above, 0.0, 0.05)
    return _brimmed(base, offset, shape["brim"], 0.22, band=True)


def bucket_hat(base: Basis, shape: Shape) -> Tailored:
    _, _, above = dome(base, _FRONT_M, _BACK_M)
    offset = 0.019 + 0.008 * step(above, 0.0, 0.03) * step(above, 0.11, 0.08)
    return _brimmed(base, offset, shape["brim"], 0.95)


def fedora(base: Basis, shape: Shape) -> Tailored:
    """Felt: a high crown with a crease, a ribbon and a stiff brim."""
    _, p, above = dome(base, _FRONT_M, _BACK_M)
    high = step(above, 0.02, 0.07)
    crease = np.exp(-((p.x / 0.022) ** 2)) * step(above, 0.05, 0.08)
    pinch = np.exp(-(((np.abs(p.x) - 0.05) / 0.02) ** 2)) * step(p.y, -0.06, -0.10) * high
    offset = 0.019 + 0.032 * high - 0.026 * crease - 0.012 * pinch
    return _brimmed(base, offset, shape["brim"], 0.05, band=True)


def beret(base: Basis, shape: Shape) -> Tailored:
    weave, p, above = dome(base, 0.712, 0.664)
    wide = np.exp(-(((above - 0.045) / 0.030) ** 2))
    lean = 1 + 0.55 * np.clip(p.x / 0.08, -1, 1) + 0.25 * np.clip(p.y / 0.08, -1, 1)
    offset = 0.006 + shape["wide"] * wide * lean
    return worn(0.712, 0.664, hat(weave, offset, passes=6, rim_m=0.010))


def turban(base: Basis, shape: Shape) -> Tailored:
    """Cloth wound round the head, to a point above the brow."""
    weave, p, above = dome(base, 0.700, 0.640)
    wound = step(above, 0.0, 0.03) * step(above, 0.15, 0.09)
    folds = np.sin(2 * np.pi * (p.z + 0.75 * np.abs(p.x) * step(p.y, 0.05, -0.02)) / 0.026)
    offset = 0.014 + shape["thick"] * wound + 0.0055 * folds * wound
    shade = 1 - 0.30 * np.clip(-folds, 0, 1) * wound
    tint = np.repeat(shade[:, None], 3, axis=1).astype(np.float32)
    return worn(0.700, 0.640, hat(weave, offset, passes=2, rim_m=0.010, tint=tint))


def visor(base: Basis, shape: Shape) -> Tailored:
    weave, p, above = dome(base, 0.702, 0.668)
    edge = brim(weave, p.at, (0.012, 0.45), reach_m=shape["peak"], fade_deg=(42, 72))
    band = clipped(weave, (0.030 - above).astype(np.float32))
    pieces = (hat(band, 0.0150, passes=8), stiff(edge))
    return Tailored(pieces=pieces, inside=nowhere, hides=nowhere)


def swim_cap(base: Basis, shape: Shape) -> Tailored:
    weave, _, _ = dome(base, 0.700, 0.618)
    return worn(0.700, 0.618, hat(weave, 0.0085, passes=12, rim_m=0.003))


def headphones(base: Basis, shape: Shape) -> Tailored:
    turn = np.linspace(-np.pi / 2, np.pi / 2, 25)
    bow = np.stack(
        [0.098 * np.sin(turn), np.full_like(turn, -0.028), 0.668 + 0.112 * np.cos(turn)], 1
    )
    columns = 10 if base.fine else 6
    pieces = [_plain(base, *tube(bow, np.full(len(bow), 0.0065), columns=columns), second=False)]
    for side in (1.0, -1.0):
        deep = np.array((0.074, 0.080, 0.094, 0.104, 0.108))
        path = np.stack([side * deep, np.full(5, -0.026), np.full(5, 0.648)], 1)
        radius = shape["pad"] * np.array((0.95, 1.0, 1.0, 0.85, 0.02))
        pieces.append(_plain(base, *tube(path, radius, columns=2 * columns), second=True))
    return Tailored(pieces=tuple(pieces), inside=nowhere, hides=nowhere)


def _plain(base: Basis, at: F32, faces: I32, *, second: bool) -> Cut:
    weave = anchored(base, at, faces, skull(base))
    return hat(weave, 0.0, passes=0, rim_m=0.0, second=second)
