"""Sewing: a piece of cloth put on one posed person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from synthstudio.body.atlas import BareBody
from synthstudio.body.clothes.cloth import Cloth, Settle
from synthstudio.body.clothes.hang import hung_m
from synthstudio.body.clothes.texture import along_m
from synthstudio.body.clothes.weave import Basis, cross_of, length, unit
from synthstudio.core.scene import F32, F64, I32, U32

STATURE_M = 1.660  # of the template, so that one pattern scale fits every stature
_MAX_PUSH_M = 0.05
_HAIR_OVER_M = 0.030  # at most
_LIMP = 0.75  # how far hanging hair turns towards straight down
_HEM_PASSES, _LAST_PASSES, _COORD_PASSES = 14, 2, 6


@dataclass(frozen=True, kw_only=True, eq=False)
class Wearer:
    """A posed person as cloth needs it."""

    vertices_m: F32  # (N, 3)
    rest_m: F32  # (N, 3) scaled to the template's stature
    normals: F32  # (N, 3) of the skin
    plane_m: F32  # (N,) vertex . normal: how far its tangent plane is from the origin
    rest_joints_m: F64  # (2, 6, 3) scaled alike
    bone_deltas: F32  # (B, 3, 3)
    scale: float  # stature over the template's


@dataclass(frozen=True, kw_only=True, eq=False)
class Sewn:
    """A piece of cloth on a person, in the person's frame."""

    vertices_m: F32
    normals: F32
    faces: I32
    coords: F32
    covers: U32
    tint: F32 | None
    studs_m: F32  # (B, 3) where buttons sit
    studs_out: F32  # (B, 3) unit, outwards


def wearer_of(base: Basis, bare: BareBody) -> Wearer:
    """Return what sewing needs of a posed body."""
    rest = bare.rest_m * np.float32(STATURE_M / bare.stature_m)
    normals = unit(base.normal_sum @ cross_of(bare.vertices_m, base.corner))
    return Wearer(
        vertices_m=bare.vertices_m,
        rest_m=rest,
        normals=normals,
        plane_m=np.einsum("ij,ij->i", bare.vertices_m, normals),
        rest_joints_m=(base.joint_rows @ rest.astype(np.float64)).reshape(2, 6, 3),
        bone_deltas=bare.bone_deltas.astype(np.float32),
        scale=bare.stature_m / STATURE_M,
    )


def sewn(cloth: Cloth, wearer: Wearer, *, loose: float, phase: float, over_m: float = 0.0) -> Sewn:
    """Put a piece of cloth on a person. `loose` scales its offset, `phase` shifts its folds;
    hair lies over clothes that reach `over_m` off the shoulders.
    """
    rest = cloth.rows @ wearer.rest_m
    v = _settled(_draped(cloth, wearer, rest, loose, phase), cloth.settle, wearer, over_m)
    normals = cloth.normal_sum @ cross_of(v, cloth.corner)
    normals = unit(cloth.mean @ normals if cloth.passes > 1 else normals)
    edge = cloth.rim[:, 0]
    beyond = unit(v[edge] - (cloth.mean @ v)[edge])  # away from the cloth, in its surface
    coords = _coords(cloth, wearer, rest) if cloth.coords is None else cloth.coords
    return Sewn(
        vertices_m=np.vstack([v, v[edge] - normals[edge] * np.float32(cloth.rim_m)]),
        normals=np.vstack([normals, unit(beyond - np.float32(0.5) * normals[edge])]),
        faces=cloth.all_faces,
        coords=np.vstack([coords, coords[edge]]).astype(np.float32),
        covers=cloth.covers,
        tint=None if cloth.tint is None else np.vstack([cloth.tint, cloth.tint[edge]]),
        studs_m=v[cloth.studs],
        studs_out=normals[cloth.studs],
    )


def _draped(cloth: Cloth, wearer: Wearer, rest: F32, loose: float, phase: float) -> F32:
    """Return (V, 3): off the body, smoothed, pushed out of the skin again and creased."""
    v: F32 = cloth.rows @ wearer.vertices_m
    if cloth.shift_m is not None:
        v = v + _turned(cloth, wearer)
    cross = cross_of(v, cloth.corner)
    normals = unit(cloth.mean @ (cloth.mean @ unit(cloth.normal_sum @ cross)))
    # Cloth lies on what faces up and hangs off what does not.
    lie = 1 - cloth.level * np.maximum(normals[:, 2:], 0)
    away = np.maximum(cloth.offset_m * np.float32(loose), cloth.least_m[:, None])
    if cloth.hang is not None:
        hung = hung_m(cloth.hang, rest, wearer.rest_joints_m.reshape(-1, 3))
        away = away + (cloth.mean @ (cloth.mean @ hung))[:, None]
    v = v + normals * (away * lie)
    for _ in range(cloth.passes):
        v = cloth.smooth @ v
    for _ in range(_HEM_PASSES if len(cloth.hem) else 0):
        v[cloth.hem] = cloth.hem_smooth @ v
    v = pushed_out(v, cloth.anchors, wearer, cloth.least_m)
    for _ in range(_LAST_PASSES if cloth.passes > 1 else 0):  # skin pushes in single vertices
        v = cloth.smooth @ v
    if cloth.folds_m:
        v = v + normals * _folds(cloth, cross, rest, phase)[:, None]
    return v


def _turned(cloth: Cloth, wearer: Wearer) -> F32:
    """Return the weave's shift (V, 3) on this person, turned with its bones."""
    left, right = (wearer.bone_deltas[bone] for bone in cloth.bones)
    turned = cloth.shift_m @ left.T
    if cloth.bones[0] != cloth.bones[1]:
        turned = np.where(cloth.side[:, None], cloth.shift_m @ right.T, turned)
    if cloth.drop_m is not None:  # the part below the ears turns back towards straight down
        up = np.array((0, 0, 1), np.float32)
        turned = turned + _LIMP * cloth.drop_m[:, None] * (left @ up - up)
    made: F32 = turned * np.float32(wearer.scale)
    return made


def _settled(v: F32, loose: Settle | None, wearer: Wearer, over_m: float) -> F32:
    """Lay loose cloth or long hair on whatever skin is under it in this pose."""
    if loose is None:
        return v
    tree = cKDTree(wearer.vertices_m[loose.skin])
    least, keep = loose.least_m, np.ones(3, np.float32)
    if loose.hair:  # it does not spread sideways over the shoulders
        least = np.minimum(least, np.float32(min(over_m, _HAIR_OVER_M) + 0.010))
        keep = np.array((0.15, 1, 1), np.float32)
    v = v.copy()
    for _ in range(loose.rounds):
        near = loose.skin[tree.query(v[loose.moving])[1]][:, None]
        for last in (False, False, True):
            before = v[loose.moving]
            v[loose.moving] = before + keep * (pushed_out(before, near, wearer, least) - before)
            if not last:
                v[loose.moving] = loose.smooth @ v
    return v


def pushed_out(v: F32, anchors: NDArray[np.intp], wearer: Wearer, least_m: F32) -> F32:
    """Move vertices out of the skin near them until they are `least_m` (V,) above it.

    `anchors` (V, K) are skin vertices near each; the one deepest above it decides.
    """
    height = np.einsum("ijk,ik->ij", wearer.normals[anchors], v)
    height -= wearer.plane_m[anchors]
    deepest = np.argmin(height, axis=1)
    row = np.arange(len(v))
    move = np.clip(least_m - height[row, deepest], 0, _MAX_PUSH_M)
    made: F32 = v + wearer.normals[anchors[row, deepest]] * move[:, None]
    return made


def _folds(cloth: Cloth, cross: F32, rest: F32, phase: float) -> F32:
    """Return (V,) heights: ridges where the pose presses the cloth together."""
    posed, flat = length(cross), length(cross_of(rest, cloth.corner))
    pressed = np.clip(1 - posed / np.maximum(flat, 1e-9), 0, 0.6)
    pressed = (cloth.normal_sum @ pressed) / 6
    pressed = cloth.mean @ (cloth.mean @ pressed)
    a, b, c = cloth.crease.T
    warp = 0.9 * np.sin(c + 2 * phase)
    ridges = (1 - np.abs(np.sin(a + warp + phase))) ** 2
    ridges += 0.7 * (1 - np.abs(np.sin(b - warp + 1.7 * phase))) ** 2 - 0.25
    made: F32 = (cloth.folds_m * cloth.fade * (0.25 + 2.0 * pressed) * ridges).astype(np.float32)
    return made


def _coords(cloth: Cloth, wearer: Wearer, rest: F32) -> F32:
    """Return (V, 3) rest metres across, through and along; along is as smooth as the cloth."""
    along = along_m(rest, cloth.arm, cloth.side, wearer.rest_joints_m)
    for _ in range(min(cloth.passes, _COORD_PASSES)):
        along = cloth.smooth @ along
    return np.stack([cloth.across_m, rest[:, 1], along], axis=1)
