"""Hair: the head's own skin raised, a shell grown round it, or both. It covers only the scalp."""

import functools
from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from synthstudio.body.clothes.cloth import Cut
from synthstudio.body.clothes.garment_mesh import (
    Basis,
    GarmentMesh,
    Places,
    anchored,
    clipped,
    places,
    places_of,
    weave_of,
)
from synthstudio.body.clothes.tailor import Shape, Tailored, sheet, step, tube
from synthstudio.core.arrays import F32, F64, I32, Array, Intp
from synthstudio.core.scene import PARTS

SCALP = 1 << PARTS.index("scalp")
CENTRE_M = (0.0, -0.030, 0.660)  # of the skull
_HAIRLINE_DEG = (0, 30, 45, 57, 64, 74, 86, 98, 115, 140, 180)
_HAIRLINE_M = (0.722, 0.721, 0.708, 0.690, 0.656, 0.648, 0.668, 0.640, 0.606, 0.598, 0.596)
_COLUMNS, _DOME_ROWS, _DROP_ROW_M = 72, 14, 0.012


def azimuth(at: F32) -> F32:
    """Return (V,) degrees round the head from straight ahead, 0..180 on both sides."""
    return np.asarray(np.degrees(np.arctan2(np.abs(at[:, 0]), -(at[:, 1] - CENTRE_M[1]))))


def hairline(at: F32) -> Array:
    """Return (V,) metres above the hairline (negative: face, ears' root and neck)."""
    return at[:, 2] - np.interp(azimuth(at), _HAIRLINE_DEG, _HAIRLINE_M)


def strands(at: F32) -> F32:
    """Return (V, 3) (cos phi, sin phi, theta) about the crown; theta grows on below the skull."""
    d = at - np.array(CENTRE_M)
    low = np.maximum(-d[:, 2], 0)
    d = d / np.maximum(np.linalg.norm(d, axis=1, keepdims=True), 1e-9)
    # The crown lies behind the top of the skull.
    up = np.array((0.0, 0.42, 0.91))
    back = np.array((0.0, 0.91, -0.42))
    phi = np.arctan2(d[:, 0], d @ back)
    theta = np.arccos(np.clip(d @ up, -1, 1)) + 3 * low
    return np.stack([np.cos(phi), np.sin(phi), theta], axis=1).astype(np.float32)


def curls(at: F32) -> F32:
    """Return (V, 3) places in which strand noise is as fine along as across."""
    d = (at - np.array(CENTRE_M)) / 0.11
    return np.asarray(d * [2.3, 2.3, 20.0], np.float32)


def bald_m(at: F32, bald: float) -> Array:
    """Return (V,) metres inside the bald part of a head: over the temples (0), all the top (1)."""
    x, y, z = at.T
    back = -0.100 + 0.150 * bald + (0.45 - 0.3 * bald) * (np.abs(x) - 0.03)
    above = z - (0.704 - 0.012 * bald - 0.5 * np.maximum(-0.03 - y, 0))
    soft = 90.0  # a rounded corner where both lines meet
    return np.asarray(-np.logaddexp(-soft * above, -soft * (back - y)) / soft)


def nowhere(p: Places) -> F32:
    """Return a field that hides nothing."""
    return np.full(len(p.at), -1, np.float32)


@functools.lru_cache(maxsize=4)
def head_faces(base: Basis, *, ears: bool) -> I32:
    """Return the triangles of the head's outer skin, with or without the ears."""
    atlas = base.atlas
    keep = np.isin(atlas.part, [PARTS.index(n) for n in ("head", "scalp", "neck")])
    keep &= atlas.skin_face
    for mask, unwanted in (("ears", not ears), ("inside-mouth", True)):
        if unwanted:
            keep &= ~(atlas.masks[mask][atlas.body_faces] > 0.5).any(axis=1)
    return atlas.body_faces[keep]


@functools.lru_cache(maxsize=4)
def cap(base: Basis) -> tuple[GarmentMesh, Places]:
    """Return the head's skin above the hairline, ears left out."""
    weave = weave_of(base.atlas, head_faces(base, ears=False), fine=base.fine)
    at = places(base.atlas, weave.rows).at
    field = hairline(at) + 0.0022 * np.sin(700 * at[:, 0] + 5 * np.sin(410 * at[:, 2]))
    weave = clipped(weave, field.astype(np.float32))
    return weave, places_of(base.atlas, weave)


def lumps(at: Array) -> F32:
    """Return (V,) smooth noise in -1..1 with features of 2 to 4 cm."""
    x, y, z = at.T
    made: F32 = (
        np.sin(130 * x + 3 * np.sin(90 * z))
        + np.sin(150 * y + 2 * np.sin(110 * x))
        + np.sin(120 * z + 3 * np.sin(80 * y))
    ) / 3
    return made


def short_hair(base: Basis, shape: Shape) -> Tailored:
    """A cap of hair, `thick` metres at the top."""
    weave, p = cap(base)
    deep = step(hairline(p.at), 0.0, 0.035)
    top = step(p.z, 0.66, 0.75)
    offset = 0.0008 + deep * (0.35 + 0.65 * top) * shape["thick"] * (1 + 0.25 * lumps(p.at))
    return Tailored(pieces=(tress(weave, p.at, offset, passes=2),), inside=nowhere)


def cropped_hair(base: Basis, shape: Shape) -> Tailored:
    weave, p = cap(base)
    return Tailored(pieces=(tress(weave, p.at, shape["thick"], passes=1),), inside=nowhere)


def afro_hair(base: Basis, shape: Shape) -> Tailored:
    weave, p = cap(base)
    deep = step(hairline(p.at), -0.005, 0.05)
    offset = 0.002 + deep * shape["thick"] * (1 + 0.10 * lumps(1.3 * p.at))
    round_ = tress(weave, p.at, offset, passes=4)
    return Tailored(pieces=(replace(round_, coords=curls(p.at)),), inside=nowhere)


def bun_hair(base: Basis, shape: Shape) -> Tailored:
    """Hair combed back close to the skull, and a bun `size` metres in radius behind."""
    weave, p = cap(base)
    offset = 0.0015 + step(hairline(p.at), 0.0, 0.03) * 0.007
    ball, faces = _ball(14, 9) if base.fine else _ball(10, 6)
    size = shape["size"]
    lumps = 1 + 0.07 * np.sin(7 * np.arctan2(ball[:, 0], ball[:, 2]) + 5 * ball[:, 1])
    centre = np.array((0.0, 0.062 + 0.55 * size, 0.640 + shape["height"]))
    at = (ball * [1, 0.8, 1] * size * lumps[:, None] + centre).astype(np.float32)
    bun = anchored(base, at, faces, skull(base))
    return Tailored(
        pieces=(tress(weave, p.at, offset, passes=2), tress(bun, at, 0.0, passes=0)),
        inside=nowhere,
    )


def long_hair(base: Basis, shape: Shape, *, curl_m: float = 0.0) -> Tailored:
    """Hair over the ears that falls to `length` metres below the chin; `fringe` over the brow."""
    made = shell(base, shape["length"], shape["volume"], shape["fringe"], curl_m=curl_m)
    weave = clipped(*made)
    at = places(base.atlas, weave.rows, weave.shift_m).at
    return Tailored(pieces=(tress(weave, at, 0.0, passes=0, limp=True),), inside=nowhere)


def tress(
    weave: GarmentMesh, at: F32, offset: float | Array, *, passes: int, limp: bool = False
) -> Cut:
    hangs = {"limp": limp, "rim_m": 0.006 if limp else 0.0, "folds_m": 0.0, "level": False}
    look = {"covers": SCALP, "coords": strands(at)}
    return sheet(weave, offset, 0.0004, passes=passes, **hangs, **look)


def skull(base: Basis) -> Intp:
    """Return the skull's vertices: hair moves with them, not with face and ears."""
    at = base.atlas.template_m[base.skin]
    part = base.atlas.vertex_part[base.skin]
    head = np.isin(part, [PARTS.index("head"), PARTS.index("scalp")])
    clear = (at[:, 2] > 0.60) & (base.atlas.masks["ears"][base.skin] < 0.2) & (azimuth(at) > 35)
    return base.skin[head & (clear | (at[:, 2] > 0.70))]


def shell(
    base: Basis, length_m: float, volume_m: float, fringe: float, *, curl_m: float = 0.0
) -> tuple[GarmentMesh, F32]:
    """A dome of hair that falls from its widest, and its edge's field; `curl_m`: of its locks."""
    bottom_m = 0.545 - length_m
    apart = 1 if base.fine else 2
    columns, rows, row_m = _COLUMNS // apart, _DOME_ROWS // apart, _DROP_ROW_M * apart
    drops = int(np.ceil((CENTRE_M[2] - bottom_m) / row_m)) + 2
    turn = np.linspace(-np.pi, np.pi, columns, endpoint=False)
    rise = np.linspace(np.pi / 2, 0, rows)
    psi = np.tile(turn, rows + drops)
    lift = np.repeat(np.concatenate([rise, np.zeros(drops)]), columns)
    fall = np.repeat(np.concatenate([np.zeros(rows), np.arange(1, drops + 1) * row_m]), columns)
    ahead = np.stack([np.sin(psi) * np.cos(lift), -np.cos(psi) * np.cos(lift), np.sin(lift)], 1)
    degrees = np.degrees(np.abs(psi))
    edge = _edge_m(degrees, bottom_m, fringe) + _ragged(psi, degrees, fringe)
    height = CENTRE_M[2] + 0.09 * np.sin(lift) - fall
    thick = 0.004 + (volume_m - 0.004) * step(
        height - np.where(degrees < 62, edge, 0.0), 0.0, 0.035
    )
    radius = _skull_radius(base, ahead) + thick
    low = step(fall, 0.0, 0.10)
    side = step(np.abs(np.sin(psi)), 0.5, 0.95)
    clumps = 0.0025 * np.sin(17 * psi + 3 * np.sin(5 * psi)) * (0.3 + low)
    # Over the ears, then in towards the neck and straight down.
    radius = radius + side * 0.012 * step(fall, -0.05, 0.03) + clumps
    radius = radius * (1 - 0.10 * step(fall, 0.04, 0.14))
    if curl_m:
        locks = np.stack([0.11 * ahead[:, 0], 0.11 * ahead[:, 1], height], 1)
        radius = radius + curl_m * lumps(1.6 * locks) * step(height - edge, -0.01, 0.02)
    at = np.array(CENTRE_M) + ahead * radius[:, None] - fall[:, None] * np.array((0, 0, 1))
    weave = anchored(base, at.astype(np.float32), _grid(rows + drops, columns), skull(base))
    return weave, (at[:, 2] - edge).astype(np.float32)


def _ragged(psi: Array, degrees: Array, fringe: float) -> Array:
    locks = 0.006 * np.sin(9 * psi + 2 * np.sin(4 * psi))
    front = (0.001 + 0.002 * fringe) * np.sin(31 * psi + 2 * np.sin(13 * psi))
    share = np.clip((degrees - 45) / 20, 0, 1)
    return np.asarray(front + share * (locks - front))


def _edge_m(degrees: Array, bottom_m: float, fringe: float) -> Array:
    brow = 0.722 - 0.042 * fringe
    return np.interp(
        degrees, (0, 30, 44, 54, 62, 80), (brow, brow, 0.703, 0.655, bottom_m + 0.03, bottom_m)
    )


def _skull_radius(base: Basis, ahead: F32) -> F32:
    d = base.atlas.template_m[skull(base)] - np.array(CENTRE_M)
    length = np.linalg.norm(d, axis=1)
    distance, near = cKDTree(d / length[:, None]).query(ahead, k=8)
    weight = 1 / (distance + 0.05) ** 2
    return np.asarray((weight * length[near]).sum(axis=1) / weight.sum(axis=1))


def _grid(rows: int, columns: int) -> I32:
    """The triangles of a tube, outward, closed at its first row."""
    k = np.arange(rows * columns).reshape(rows, columns)
    k[0] = 0
    a, b = k[:-1], np.roll(k, -1, axis=1)[:-1]
    c, d = k[1:], np.roll(k, -1, axis=1)[1:]
    upper = np.stack([a, c, b], 2)[1:].reshape(-1, 3)  # at the top they have no area
    return np.concatenate([upper, np.stack([b, c, d], 2).reshape(-1, 3)]).astype(np.int32)


def _ball(columns: int, rows: int) -> tuple[F32, I32]:
    turn = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    rise = np.linspace(np.pi / 2, -np.pi / 2, rows + 1)
    up, round_ = np.meshgrid(rise, turn, indexing="ij")
    at = np.stack([np.cos(up) * np.cos(round_), np.cos(up) * np.sin(round_), np.sin(up)], 2)
    k = np.arange((rows + 1) * columns).reshape(rows + 1, columns)
    a, b = k[:-1], np.roll(k, -1, axis=1)[:-1]
    c, d = k[1:], np.roll(k, -1, axis=1)[1:]
    faces = np.concatenate(
        [np.stack([a, c, b], 2)[1:].reshape(-1, 3), np.stack([b, c, d], 2)[:-1].reshape(-1, 3)]
    )
    return at.reshape(-1, 3).astype(np.float32), faces.astype(np.int32)


# Tails, plaits, curls, partings, half-bald and half-shaven heads


_SHAVEN_M = 0.0015


def ponytail_hair(base: Basis, shape: Shape) -> Tailored:
    """Hair combed back, and a tail that starts `height` above the nape's and falls `tail`."""
    top = 0.655 + shape["height"]
    t = np.linspace(0, 1, 14 if base.fine else 8)
    path = np.stack(
        [0 * t, 0.070 + 0.045 * np.sin(np.pi * np.clip(1.6 * t, 0, 1)) * (1 - 0.5 * t), 0 * t], 1
    )
    path[:, 2] = top + 0.02 * np.sin(np.pi * np.clip(2 * t, 0, 1)) - shape["tail"] * t**1.3
    radius = 0.030 * np.interp(t, (0, 0.12, 0.45, 0.85, 1), (0.45, 0.85, 1.0, 0.7, 0.15))
    return Tailored(pieces=(_combed(base), _tail(base, path, radius)), inside=nowhere)


def plaits_hair(base: Basis, shape: Shape) -> Tailored:
    """Hair parted in the middle and two plaits that fall before the shoulders."""
    t = np.linspace(0, 1, 25 if base.fine else 13)
    knots = 1 + 0.22 * np.abs(np.sin(9 * np.pi * t))
    radius = 0.020 * knots * np.interp(t, (0, 0.1, 0.9, 1), (0.8, 1.0, 0.8, 0.2))
    both = []
    for side in (-1, 1):
        out = side * np.interp(t, (0, 0.3, 1), (0.070, 0.088, 0.080))
        path = np.stack([out, np.interp(t, (0, 0.35, 1), (0.030, 0.0, -0.07)), 0 * t], 1)
        path[:, 2] = 0.620 - shape["tail"] * t
        both.append(_tail(base, path, radius))
    return Tailored(pieces=(_combed(base), *both), inside=nowhere)


def curly_hair(base: Basis, shape: Shape) -> Tailored:
    made = long_hair(base, shape, curl_m=0.30 * shape["volume"])
    (piece,) = made.pieces
    at = places(base.atlas, piece.weave.rows, piece.weave.shift_m).at
    return replace(made, pieces=(replace(piece, coords=curls(at)),))


def parted_hair(base: Basis, shape: Shape) -> Tailored:
    """Short, parted at the left and swept over, high before the forehead."""
    weave, p = cap(base)
    deep = step(hairline(p.at), 0.0, 0.03)
    top = step(p.z, 0.685, 0.735)
    swept = step(p.x, 0.045, 0.015) * (0.75 + 0.25 * step(p.x, -0.07, 0.02))
    front = 0.55 + 0.45 * step(p.y, 0.02, -0.09)
    groove = 1 - 0.8 * np.exp(-(((p.x - 0.038) / 0.006) ** 2)) * step(p.y, 0.03, 0.0)
    full = top * front * (0.25 + 0.75 * swept) * groove
    offset = 0.001 + deep * (0.007 + shape["thick"] * full) * (1 + 0.12 * lumps(p.at))
    return Tailored(pieces=(tress(weave, p.at, offset, passes=2),), inside=nowhere)


def undercut_hair(base: Basis, shape: Shape) -> Tailored:
    weave, p = cap(base)
    above = p.z - (0.700 - 0.10 * np.maximum(p.y, 0))
    deep = step(above, -0.004, 0.040) * (0.45 + 0.55 * step(p.y, 0.05, -0.09))
    deep = deep * step(hairline(p.at), 0.0, 0.025)
    offset = _SHAVEN_M + deep * shape["thick"] * (1 + 0.15 * lumps(p.at))
    return Tailored(pieces=(tress(weave, p.at, offset, passes=1),), inside=nowhere)


def mohawk_hair(base: Basis, shape: Shape) -> Tailored:
    """Shaven but for a crest from the forehead to the nape."""
    weave, p = cap(base)
    crest = np.exp(-((p.x / 0.021) ** 4)) * step(p.z, 0.61, 0.74) * step(hairline(p.at), 0.0, 0.03)
    offset = _SHAVEN_M + crest * shape["thick"] * (1 + 0.10 * np.sin(260 * p.y))
    return Tailored(pieces=(tress(weave, p.at, offset, passes=1),), inside=nowhere)


def balding_hair(base: Basis, shape: Shape) -> Tailored:
    """A receding hairline (`bald` 0) up to a ring round a bald crown (1)."""
    weave, p = cap(base)
    ragged = 0.002 * np.sin(500 * p.x + 5 * np.sin(300 * p.y))
    weave = clipped(weave, (ragged - bald_m(p.at, shape["bald"])).astype(np.float32))
    p = places(base.atlas, weave.rows)
    inside = np.minimum(hairline(p.at), -bald_m(p.at, shape["bald"]))
    offset = 0.0008 + step(inside, 0.0, 0.02) * shape["thick"] * (1 + 0.2 * lumps(p.at))
    return Tailored(pieces=(tress(weave, p.at, offset, passes=2),), inside=nowhere)


@functools.lru_cache(maxsize=2)
def _combed(base: Basis) -> Cut:
    weave, p = cap(base)
    offset = 0.0015 + step(hairline(p.at), 0.0, 0.03) * 0.006
    return tress(weave, p.at, offset, passes=2)


def _tail(base: Basis, path: F64, radius: F64) -> Cut:
    at, faces = tube(path, radius, columns=12 if base.fine else 7)
    near = skull(base)
    start = np.linalg.norm(base.atlas.template_m[near] - path[0], axis=1)
    weave = anchored(base, at, faces, near[np.argsort(start)[:24]])
    made = tress(weave, at, 0.0, passes=0, limp=True)
    around = np.tile(np.linspace(0, 2 * np.pi, len(at) // len(path), endpoint=False), len(path))
    down = np.repeat(
        np.cumsum(np.r_[0, np.linalg.norm(np.diff(path, axis=0), axis=1)]), len(at) // len(path)
    )
    coords: F32 = np.stack([np.cos(around), np.sin(around), 6 * down], 1).astype(np.float32)
    return replace(made, coords=coords, rim_m=0.0)
