"""Shared tools of all cuts: smooth fields over template coordinates, positive inside.

Lengths are metres on the template (ground -0.895, crotch about -0.08, waist 0.10, neck 0.50,
top of the head 0.76); see garment_mesh.py for joints.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from synthstudio.body.clothes.cloth import Cut
from synthstudio.body.clothes.garment_mesh import (
    Basis,
    GarmentMesh,
    Places,
    clipped,
    parted,
    places,
    places_of,
    weave_of,
)
from synthstudio.core.arrays import F32, I32, Array, Bool, Intp

Shape = Mapping[str, float]
Field = Callable[[Places], F32]
FAR = np.float32(1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Tailored:
    """A garment before it is compiled: its pieces, and the fields of what it hides below."""

    pieces: tuple[Cut, ...]
    inside: Field  # > 0 under the garment
    hides: Field | None = None  # > 0 where skin is not drawn; None: well inside `inside`


def step(value: Array, low: float, high: float) -> F32:
    """Return the smooth step of `value` from 0 at `low` to 1 at `high` (or falling)."""
    t: Array = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def intersection(*fields: Array) -> F32:
    return np.asarray(functools.reduce(np.minimum, fields), np.float32)


def union(*fields: Array) -> F32:
    return np.asarray(functools.reduce(np.maximum, fields), np.float32)


def sheet(weave: GarmentMesh, off_m: float | Array, min_m: float | Array, **more: Any) -> Cut:
    """A piece `off_m` off the skin, everywhere or (V,), and never nearer than `min_m`."""
    count = weave.rows.shape[0]
    return Cut(weave=weave, offset_m=np.full(count, off_m), min_m=np.full(count, min_m), **more)


def on_arm(p: Places) -> Bool:
    """Return (V,) what belongs to an arm, hand included."""
    return p.arm > 0.4


def neckline(p: Places, drop_m: float, vee_m: float = 0.0) -> F32:
    """Return height below a round neckline; `vee_m` deepens it at the front."""
    line = 0.522 + 0.55 * (p.y + 0.01) + 1.1 * np.maximum(np.abs(p.x) - 0.062, 0) - drop_m
    notch = vee_m * np.clip(1 - np.abs(p.x) / 0.075, 0, 1) * (p.y < 0)
    return np.asarray(line - notch - p.z)


def hem_line(p: Places, z_m: float | F32) -> F32:
    """Return height above a level hem; arms, which hang as low, are far inside."""
    return np.where(on_arm(p), FAR, p.z - z_m)


def armhole(p: Places, width_m: float) -> F32:
    """Return how far places are inside the armholes at `width_m` from the middle."""
    x, z = np.abs(p.x), p.z
    return np.asarray(width_m + 0.2 * np.maximum(0.43 - z, 0) - x)


def legs(p: Places, waist_m: float, hem_m: float) -> F32:
    """Return how far places are between waist and hem; arms are far outside."""
    return np.where(on_arm(p), -FAR, np.minimum(waist_m - p.z, p.z - hem_m))


@functools.lru_cache(maxsize=256)
def legs_field(waist_m: float, hem_m: float) -> Field:
    return lambda p: legs(p, waist_m, hem_m).astype(np.float32)


def sleeved(p: Places, length_m: float, armhole_m: float = 0.140) -> F32:
    """Return metres up the arm from the end of sleeves so long, or of armholes below 5 cm."""
    if length_m < 0.05:
        return armhole(p, armhole_m)
    return np.where(on_arm(p), length_m - p.down_arm, FAR)


@functools.lru_cache(maxsize=256)
def top_field(
    drop_m: float, vee_m: float, hem_m: float, sleeve_m: float, armhole_m: float = 0.140
) -> Field:
    return lambda p: intersection(
        neckline(p, drop_m, vee_m), hem_line(p, hem_m), sleeved(p, sleeve_m, armhole_m)
    )


@functools.lru_cache(maxsize=64)
def cut_from(base: Basis, group: str, field: Field) -> GarmentMesh:
    """Return the part of a group of the atlas's helper geometry where `field` is positive."""
    weave, where = _whole_group(base, group)
    return clipped(weave, field(where))


@functools.lru_cache(maxsize=32)
def _whole_group(base: Basis, group: str) -> tuple[GarmentMesh, Places]:
    weave = weave_of(base.atlas, base.atlas.groups[group], fine=base.fine)
    return weave, places(base.atlas, weave.rows)


def studs_at(p: Places, x_m: float, heights_m: Iterable[float]) -> Intp:
    """The front's vertices nearest to `x_m` across at these heights."""
    front = np.where(p.y < -0.03, 0.0, FAR)
    return np.array([np.argmin(np.hypot(p.x - x_m, p.z - h) + front) for h in heights_m])


def suit(base: Basis, field: Field) -> tuple[GarmentMesh, Places]:
    """Return the part of the body suit where `field` is positive, and where it lies."""
    weave = cut_from(base, "tights", field)
    return weave, places_of(base.atlas, weave)


def tube(path_m: Array, radius_m: Array, *, columns: int, closed: bool = False) -> tuple[F32, I32]:
    """A round tube, outward, along (R, 3) of radii (R,); `closed`: its ends are joined."""
    along = np.roll(path_m, -1, axis=0) - np.roll(path_m, 1, axis=0)
    if not closed:
        along[0], along[-1] = path_m[1] - path_m[0], path_m[-1] - path_m[-2]
    along = along / np.linalg.norm(along, axis=1, keepdims=True)
    across = np.cross(along, np.eye(3)[np.argmin(np.abs(along).sum(axis=0))])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    turn = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None, :, None]
    ring = np.cos(turn) * across[:, None] + np.sin(turn) * np.cross(along, across)[:, None]
    at = path_m[:, None] + radius_m[:, None, None] * ring
    k = np.arange(len(path_m) * columns).reshape(len(path_m), columns)
    rows = np.vstack([k, k[:1]]) if closed else k
    a, b = rows[:-1], np.roll(rows, -1, axis=1)[:-1]
    c, d = rows[1:], np.roll(rows, -1, axis=1)[1:]
    faces = np.concatenate([np.stack(t, 2).reshape(-1, 3) for t in ((a, b, c), (b, d, c))])
    return at.reshape(-1, 3).astype(np.float32), faces.astype(np.int32)


# A second material, and what is sewn on


def resampled(cut: Cut, weave: GarmentMesh, p: Places, base: Basis) -> Cut:
    """Return `cut` on a finer weave: its values are taken from the nearest old vertices."""
    old = places(base.atlas, cut.weave.rows)
    near = cKDTree(old.at).query(p.at)[1]
    return replace(
        cut,
        weave=weave,
        offset_m=cut.offset_m[near],
        min_m=cut.min_m[near],
        hang=None if cut.hang is None else cut.hang[near],
        level_hem=None if cut.level_hem is None else cut.level_hem[near],
    )


def pocketed(base: Basis, cut: Cut, field: Field, *, thick_m: float) -> Cut:
    """Return the cut with pockets sewn on where `field` is positive, and a dark line round them."""
    line_m = 0.004
    weave = cut.weave
    for at_m in (0.0, line_m):
        p = places(base.atlas, weave.rows)
        weave, _ = parted(weave, (field(p) - at_m).astype(np.float32))
    p = places(base.atlas, weave.rows)
    depth = field(p)
    made = resampled(cut, weave, p, base)
    offset = made.offset_m + thick_m * (depth > 0.5 * line_m)
    seam = np.clip(1 - np.abs(depth - 0.5 * line_m) / line_m, 0, 1)
    tint: F32 = np.repeat((1 - 0.45 * seam)[:, None], 3, axis=1).astype(np.float32)
    return replace(made, offset_m=offset.astype(np.float32), tint=tint)
