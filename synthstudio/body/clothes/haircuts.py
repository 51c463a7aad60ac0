"""More hair cuts: tails, plaits, curls, partings, half-bald and half-shaven heads.

As in hair.py each is the head's own skin raised, a shell round it, or both, and covers only the
scalp. A recipe gets them by name (`people.wardrobe.kinds`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from synthstudio.body.clothes.cloth import Cut
from synthstudio.body.clothes.garment_mesh import Basis, anchored, clipped, places
from synthstudio.body.clothes.hair import (
    bald_m,
    cap,
    curls,
    hairline,
    lumps,
    nowhere,
    shell,
    skull,
    tress,
)
from synthstudio.body.clothes.tailor import Shape, Tailored, step, tube
from synthstudio.core.scene import F32

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


def bob_hair(base: Basis, shape: Shape) -> Tailored:
    """Full and round, cut off level between ear and chin."""
    return _loose(base, shape, curl_m=0.0)


def curly_hair(base: Basis, shape: Shape) -> Tailored:
    """Locks that stand out, down to the shoulders."""
    made = _loose(base, shape, curl_m=0.30 * shape["volume"])
    (piece,) = made.pieces
    at = places(base.atlas, piece.weave.rows, piece.weave.shift_m).at
    return replace(made, pieces=(replace(piece, coords=curls(at)),))


def parted_hair(base: Basis, shape: Shape) -> Tailored:
    """Short, parted at the left and swept over, high before the forehead."""
    weave, p = cap(base)
    x, y, z = p.at.T
    deep = step(hairline(p.at), 0.0, 0.03)
    top = step(z, 0.685, 0.735)
    swept = step(x, 0.045, 0.015) * (0.75 + 0.25 * step(x, -0.07, 0.02))
    front = 0.55 + 0.45 * step(y, 0.02, -0.09)
    groove = 1 - 0.8 * np.exp(-(((x - 0.038) / 0.006) ** 2)) * step(y, 0.03, 0.0)
    full = top * front * (0.25 + 0.75 * swept) * groove
    offset = 0.001 + deep * (0.007 + shape["thick"] * full) * (1 + 0.12 * lumps(p.at))
    return Tailored(pieces=(tress(weave, p.at, offset, passes=2),), inside=nowhere)


def undercut_hair(base: Basis, shape: Shape) -> Tailored:
    """Shaven round the sides, long on top."""
    weave, p = cap(base)
    above = p.at[:, 2] - (0.700 - 0.10 * np.maximum(p.at[:, 1], 0))
    deep = step(above, -0.004, 0.040) * (0.45 + 0.55 * step(p.at[:, 1], 0.05, -0.09))
    deep = deep * step(hairline(p.at), 0.0, 0.025)
    offset = _SHAVEN_M + deep * shape["thick"] * (1 + 0.15 * lumps(p.at))
    return Tailored(pieces=(tress(weave, p.at, offset, passes=1),), inside=nowhere)


def mohawk_hair(base: Basis, shape: Shape) -> Tailored:
    """Shaven but for a crest from the forehead to the nape."""
    weave, p = cap(base)
    x, _, z = p.at.T
    crest = np.exp(-((x / 0.021) ** 4)) * step(z, 0.61, 0.74) * step(hairline(p.at), 0.0, 0.03)
    offset = _SHAVEN_M + crest * shape["thick"] * (1 + 0.10 * np.sin(260 * p.at[:, 1]))
    return Tailored(pieces=(tress(weave, p.at, offset, passes=1),), inside=nowhere)


def balding_hair(base: Basis, shape: Shape) -> Tailored:
    """A receding hairline (`bald` 0) up to a ring round a bald crown (1)."""
    weave, p = cap(base)
    ragged = 0.002 * np.sin(500 * p.at[:, 0] + 5 * np.sin(300 * p.at[:, 1]))
    weave = clipped(weave, (ragged - bald_m(p.at, shape["bald"])).astype(np.float32))
    p = places(base.atlas, weave.rows)
    inside = np.minimum(hairline(p.at), -bald_m(p.at, shape["bald"]))
    offset = 0.0008 + step(inside, 0.0, 0.02) * shape["thick"] * (1 + 0.2 * lumps(p.at))
    return Tailored(pieces=(tress(weave, p.at, offset, passes=2),), inside=nowhere)


def _loose(base: Basis, shape: Shape, *, curl_m: float) -> Tailored:
    made = shell(base, shape["length"], shape["volume"], shape["fringe"], curl_m=curl_m)
    weave = clipped(*made)
    at = places(base.atlas, weave.rows, weave.shift_m).at
    still = np.zeros(len(at))
    return Tailored(pieces=(tress(weave, at, still, passes=0, limp=True),), inside=nowhere)


def _combed(base: Basis) -> Cut:
    """Return hair combed close to the skull."""
    weave, p = cap(base)
    offset = 0.0015 + step(hairline(p.at), 0.0, 0.03) * 0.006
    return tress(weave, p.at, offset, passes=2)


def _tail(base: Basis, path: NDArray[np.float64], radius: NDArray[np.float64]) -> Cut:
    """Return hair along a path of the template, tied to the skull where it begins."""
    at, faces = tube(path, radius, columns=12 if base.fine else 7)
    near = skull(base)
    start = np.linalg.norm(base.atlas.template_m[near] - path[0], axis=1)
    weave = anchored(base, at, faces, near[np.argsort(start)[:24]])
    made = tress(weave, at, np.zeros(len(at)), passes=0, limp=True)
    around = np.tile(np.linspace(0, 2 * np.pi, len(at) // len(path), endpoint=False), len(path))
    down = np.repeat(
        np.cumsum(np.r_[0, np.linalg.norm(np.diff(path, axis=0), axis=1)]), len(at) // len(path)
    )
    coords: F32 = np.stack([np.cos(around), np.sin(around), 6 * down], 1).astype(np.float32)
    return replace(made, coords=coords, rim_m=0.0)
