"""Cloth: what is fixed when a garment is cut, and how it is sewn onto one posed person.

Letters: N atlas vertices, V garment vertices, F faces, E boundary edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree

from synthstudio.body.atlas import BareBody
from synthstudio.body.hang import Hang, hang_of, hung_m
from synthstudio.body.weave import (
    Basis,
    Places,
    Weave,
    along_chain,
    boundary_edges,
    corner_sum,
    covered_parts,
    neighbour_mean,
    places,
)
from synthstudio.core.scene import F32, F64, I32, U32

STATURE_M = 1.660  # of the template, so that one pattern scale fits every stature
_SMOOTHING = 0.6
_ANCHORS = 3
_MAX_PUSH_M = 0.05
_EARS_M, _LIMP = 0.635, 0.75  # template height from which hair hangs, and how limp it is
_COVER_RADIUS_M = 0.075
_HEM_PASSES, _LAST_PASSES = 14, 2
_NONE = np.zeros(0, np.intp)
_HALF_WIDTH_M, _HALF_DEPTH_M = 0.155, 0.105  # of the trunk
_ARM_RADIUS_M, _LEG_RADIUS_M = 0.05, 0.08


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """What a garment's builder decides about one piece of cloth."""

    weave: Weave
    offset_m: F32  # (V,) from the base surface at loose = 1
    least_m: F32  # (V,) never nearer to the skin than this
    passes: int = 5  # smoothing
    folds_m: float = 0.010
    rim_m: float = 0.008  # depth of the edge turned inwards
    radius_m: float = _COVER_RADIUS_M  # how far below it parts count as covered
    second: bool = False  # drawn with the second material
    tint: F32 | None = None  # (V, 3)
    covers: int | None = None  # this set of parts instead of those near it
    coords: F32 | None = None  # (V, 3) fixed texture space instead of rest metres
    level: bool = True  # cloth lies flat on what faces up; hair and hats do not
    hang: F32 | None = None  # (V,) how much it hangs off what sticks out, 0..1; see hang.py
    taper: float = 0.2  # how fast it draws in below that, metres a metre
    bones: tuple[str, str] = ("head", "head")  # that turn the weave's shift, left and right
    wraps_trunk: bool = False  # texture space goes round the trunk, also where legs pull
    limp: bool = False  # long hair: gravity pulls what hangs below the ears
    studs: NDArray[np.intp] | None = None  # vertices that carry a button
    level_hem: F32 | None = None  # (V,) positive where the cloth forgets the limbs under it


@dataclass(frozen=True, kw_only=True, eq=False)
class Settle:
    """How loose cloth finds the skin under it in a pose."""

    moving: NDArray[np.intp]  # (M,) vertices that move
    least_m: F32  # (M,) above the skin
    skin: NDArray[np.intp]  # vertices they may lie on
    smooth: sparse.csr_array  # (M, V)
    rounds: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Cloth:
    """One piece of cloth, ready to be sewn onto anybody."""

    rows: sparse.csr_array  # (V, N)
    faces: I32  # (F, 3)
    all_faces: I32  # (F + rim, 3); rim vertices follow the V own ones
    rim: I32  # (E, 2)
    covers: U32  # (F + rim,)
    offset_m: F32  # (V, 1)
    least_m: F32  # (V,)
    normal_sum: sparse.csr_array  # (V, F)
    mean: sparse.csr_array  # (V, V) of neighbours, for normals
    smooth: sparse.csr_array  # (V, V) one smoothing pass
    anchors: NDArray[np.intp]  # (V, 4) nearest skin vertices of the template
    across_m: F32  # (V,) first texture coordinate
    arm: F32  # (V,)
    side: I32  # (V,) 0 left, 1 right
    crease: F32  # (V, 3) phases of folds
    fade: F32  # (V,) folds fade towards hems
    passes: int
    folds_m: float
    rim_m: float
    second: bool
    tint: F32 | None
    coords: F32 | None
    level: float
    hang: Hang | None
    where: Places  # the V vertices on the template
    shift_m: F32 | None
    bones: tuple[int, int]
    drop_m: F32 | None  # (V,) of limp hair below the ears
    settle: Settle | None
    studs: NDArray[np.intp] | None
    hem: NDArray[np.intp]  # (H,) vertices that are smoothed much more
    hem_smooth: sparse.csr_array  # (H, V)


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
    faces: I32
    coords: F32
    covers: U32
    tint: F32 | None
    studs_m: F32 | None  # (S, 3) where buttons sit
    studs_out: F32 | None  # (S, 3) unit, outwards


def wearer_of(base: Basis, bare: BareBody) -> Wearer:
    """Return what sewing needs of a posed body."""
    rest = bare.rest_m * np.float32(STATURE_M / bare.stature_m)
    normals = unit(base.normal_sum @ face_cross(bare.vertices_m, base.atlas.body_faces))
    return Wearer(
        vertices_m=bare.vertices_m,
        rest_m=rest,
        normals=normals,
        plane_m=np.einsum("ij,ij->i", bare.vertices_m, normals),
        rest_joints_m=(base.joint_rows @ rest.astype(np.float64)).reshape(2, 6, 3),
        bone_deltas=bare.bone_deltas.astype(np.float32),
        scale=bare.stature_m / STATURE_M,
    )


def compiled(base: Basis, cut: Cut) -> Cloth:
    """Work out everything about a piece of cloth that no person or pose changes."""
    rows, faces = cut.weave.rows, cut.weave.faces
    count = rows.shape[0]
    where = places(base.atlas, rows, cut.weave.shift_m)
    hem = np.flatnonzero(cut.level_hem > 0) if cut.level_hem is not None else _NONE
    rim = boundary_edges(faces)
    if cut.covers is None:
        covers = covered_parts(base, where, faces, cut.radius_m)
    else:
        covers = np.full(len(faces), cut.covers, np.uint32)
    mean = neighbour_mean(faces, count, along_edge=False)
    hoop = neighbour_mean(faces, count, along_edge=True)
    keep = sparse.eye_array(count, dtype=np.float32)
    drop = np.maximum(_EARS_M - where.at[:, 2], 0) if cut.limp else None
    smooth = sparse.csr_array(hoop * np.float32(_SMOOTHING) + keep * np.float32(1 - _SMOOTHING))
    names = base.atlas.bone_names
    return Cloth(
        rows=rows,
        faces=faces,
        all_faces=np.vstack([faces, _rim_faces(rim, count)]),
        rim=rim,
        covers=np.concatenate([covers, _rim_covers(covers, faces, rim)]),
        offset_m=cut.offset_m.astype(np.float32)[:, None],
        least_m=cut.least_m.astype(np.float32),
        normal_sum=corner_sum(faces, count),
        mean=sparse.csr_array((mean + keep) * np.float32(0.5)),
        smooth=smooth,
        anchors=base.skin[base.skin_tree.query(where.at, k=_ANCHORS)[1]],
        across_m=_across(where, mean, trunk_only=cut.wraps_trunk),
        arm=_blend(where.arm),
        side=(where.at[:, 0] < 0).astype(np.int32),
        crease=_crease(where),
        fade=_fade(where.at, rim),
        passes=cut.passes,
        folds_m=cut.folds_m,
        rim_m=cut.rim_m,
        second=cut.second,
        tint=None if cut.tint is None else cut.tint.astype(np.float32),
        coords=cut.coords,
        level=0.65 if cut.level else 0.0,
        where=where,
        shift_m=cut.weave.shift_m,
        bones=(names.index(cut.bones[0]), names.index(cut.bones[1])),
        drop_m=drop,
        settle=_settle(base, cut, where, smooth),
        studs=cut.studs,
        hem=hem,
        hem_smooth=smooth[hem],
        hang=None if cut.hang is None else hang_of(where, cut.hang, taper=cut.taper),
    )


def _settle(base: Basis, cut: Cut, where: Places, smooth: sparse.csr_array) -> Settle | None:
    z = where.at[:, 2]
    if cut.limp:
        moving = np.flatnonzero(z < _EARS_M)
        least, skin, rounds = np.minimum(0.15 * (_EARS_M - z[moving]), 0.024), base.shoulders, 2
    elif cut.wraps_trunk:
        moving = np.flatnonzero(z < 0.0)
        least, skin, rounds = cut.least_m[moving] + 0.006, base.legs, 2
    else:
        return None
    return Settle(
        moving=moving,
        least_m=least.astype(np.float32),
        skin=skin,
        smooth=smooth[moving],
        rounds=rounds,
    )


def sewn(cloth: Cloth, wearer: Wearer, *, loose: float, phase: float) -> Sewn:
    """Put a piece of cloth on a person. `loose` scales its offset, `phase` shifts its folds."""
    v = cloth.rows @ wearer.vertices_m
    if cloth.shift_m is not None:
        v = v + _turned(cloth, wearer)
    rest = cloth.rows @ wearer.rest_m
    cross = face_cross(v, cloth.faces)
    normals = unit(cloth.mean @ (cloth.mean @ unit(cloth.normal_sum @ cross)))
    # Cloth lies on what faces up and hangs off what does not.
    lie = 1 - cloth.level * np.maximum(normals[:, 2:], 0)
    away = np.maximum(cloth.offset_m * loose, cloth.least_m[:, None])
    if cloth.hang is not None:
        hung = hung_m(cloth.hang, rest, wearer.rest_joints_m.reshape(-1, 3))
        away = away + (cloth.mean @ (cloth.mean @ hung))[:, None]
    v = v + normals * (away * lie)
    for _ in range(cloth.passes):
        v = cloth.smooth @ v
    for _ in range(_HEM_PASSES if len(cloth.hem) else 0):
        v[cloth.hem] = cloth.hem_smooth @ v
    if cloth.folds_m:
        v = v + normals * _folds(cloth, cross, rest, phase)[:, None]
    v = pushed_out(v, cloth.anchors, wearer, cloth.least_m)
    for _ in range(_LAST_PASSES if cloth.passes > 1 else 0):  # skin pushes in single vertices
        v = cloth.smooth @ v
    if cloth.settle is not None:
        v = _settled(v, cloth, wearer)
    inner = v[cloth.rim[:, 0]] - normals[cloth.rim[:, 0]] * np.float32(cloth.rim_m)
    coords = _coords(cloth, wearer, rest) if cloth.coords is None else cloth.coords
    return Sewn(
        vertices_m=np.vstack([v, inner]).astype(np.float32),
        faces=cloth.all_faces,
        coords=np.vstack([coords, coords[cloth.rim[:, 0]]]).astype(np.float32),
        covers=cloth.covers,
        tint=None if cloth.tint is None else np.vstack([cloth.tint, cloth.tint[cloth.rim[:, 0]]]),
        studs_m=None if cloth.studs is None else v[cloth.studs],
        studs_out=None if cloth.studs is None else normals[cloth.studs],
    )


def _turned(cloth: Cloth, wearer: Wearer) -> F32:
    """Return the weave's shift (V, 3) on this person, turned with its bones."""
    left, right = (wearer.bone_deltas[bone] for bone in cloth.bones)
    turned = cloth.shift_m @ left.T
    if cloth.bones[0] != cloth.bones[1]:
        turned = np.where(cloth.side[:, None], cloth.shift_m @ right.T, turned)
    if cloth.drop_m is not None:  # the part below the ears turns back towards straight down
        up = np.array((0, 0, 1), np.float32)
        turned = turned + _LIMP * cloth.drop_m[:, None] * (left @ up - up)
    return turned * np.float32(wearer.scale)


def _settled(v: F32, cloth: Cloth, wearer: Wearer) -> F32:
    """Lay loose cloth or long hair on whatever skin is under it in this pose."""
    loose = cloth.settle
    tree = cKDTree(wearer.vertices_m[loose.skin])
    v = v.copy()
    for _ in range(loose.rounds):
        near = loose.skin[tree.query(v[loose.moving])[1]][:, None]
        for _ in range(2):
            v[loose.moving] = pushed_out(v[loose.moving], near, wearer, loose.least_m)
            v[loose.moving] = loose.smooth @ v
        v[loose.moving] = pushed_out(v[loose.moving], near, wearer, loose.least_m)
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
    return v + wearer.normals[anchors[row, deepest]] * move[:, None]


def face_cross(v: F32, faces: I32) -> F32:
    """Return (F, 3) face normals whose length is twice the area."""
    axes = np.ascontiguousarray(v.T)
    corner = np.ascontiguousarray(faces.T)
    a = axes[:, corner[0]]
    e, f = axes[:, corner[1]] - a, axes[:, corner[2]] - a
    out = np.empty((len(faces), 3), v.dtype)
    out[:, 0] = e[1] * f[2] - e[2] * f[1]
    out[:, 1] = e[2] * f[0] - e[0] * f[2]
    out[:, 2] = e[0] * f[1] - e[1] * f[0]
    return out


def unit(v: F32) -> F32:
    """Return vectors (V, 3) at length 1; zeros stay zeros."""
    return v / np.maximum(length(v), 1e-12)[:, None]


def length(v: F32) -> F32:
    """Return (V,) lengths of vectors (V, 3)."""
    return np.sqrt(np.einsum("ij,ij->i", v, v))


# Folds and texture space --------------------------------------------------------------------


def _folds(cloth: Cloth, cross: F32, rest: F32, phase: float) -> F32:
    """Return (V,) heights: ridges where the pose presses the cloth together."""
    posed, flat = length(cross), length(face_cross(rest, cloth.faces))
    pressed = np.clip(1 - posed / np.maximum(flat, 1e-9), 0, 0.6)
    pressed = (cloth.normal_sum @ pressed) / 6
    pressed = cloth.mean @ (cloth.mean @ pressed)
    a, b, c = cloth.crease.T
    warp = 0.9 * np.sin(c + 2 * phase)
    ridges = 1 - np.abs(np.sin(a + warp + phase)) - 0.5 * np.abs(np.sin(b - warp + 1.7 * phase))
    return (cloth.folds_m * cloth.fade * (0.25 + 1.6 * pressed) * ridges).astype(np.float32)


def _crease(where: Places) -> F32:
    """Return (V, 3) fold phases: rings round limbs, slanted on the trunk."""
    x, y, z = where.at.T
    trunk = np.stack([13 * z + 9 * np.abs(x), 17 * x + 7 * z + 9 * y, 11 * x + 8 * y - 6 * z], 1)
    arm = np.stack([38 * where.down_arm + 8 * y, 24 * where.down_arm + 14 * z, 22 * y + 9 * z], 1)
    leg = np.stack([30 * where.down_leg + 11 * y, 19 * where.down_leg + 13 * x, 14 * y + 9 * x], 1)
    on_arm, on_leg = _blend(where.arm)[:, None], _blend(where.leg)[:, None]
    return ((1 - on_arm) * ((1 - on_leg) * trunk + on_leg * leg) + on_arm * arm).astype(np.float32)


def _fade(at: F32, rim: I32) -> F32:
    if not len(rim):
        return np.ones(len(at), np.float32)
    distance = cKDTree(at[rim[:, 0]]).query(at)[0]
    return np.clip(distance / 0.05, 0.05, 1).astype(np.float32)


def _coords(cloth: Cloth, wearer: Wearer, rest: F32) -> F32:
    """Return (V, 3) rest metres: across (round limbs), along, through."""
    along = rest[:, 2].copy()
    for side in (0, 1):
        mine = (cloth.side == side) & (cloth.arm > 0)
        if mine.any():
            chain = wearer.rest_joints_m[side, :3]
            down = chain[0, 2] - along_chain(rest[mine], chain)
            along[mine] += cloth.arm[mine] * (down - along[mine])
    out = np.stack([cloth.across_m, along, rest[:, 1]], axis=1).astype(np.float32)
    for _ in range(min(cloth.passes, 6)):
        out = cloth.smooth @ out
    return out[:, [0, 2, 1]]


def _across(where: Places, mean: sparse.csr_array, *, trunk_only: bool) -> F32:
    """Return (V,) metres round the trunk or limb; folded at flanks, so it has no seam."""
    x, y, z = where.at.T
    side = np.where(x < 0, -1, 1)
    trunk = _girth_m(_arc(x / _HALF_WIDTH_M, (y + 0.02) / _HALF_DEPTH_M))
    # Over the shoulders azimuths run together: straight across there.
    trunk = trunk + np.clip((z - 0.30) / 0.14, 0, 1) * (1.1 * x - trunk)
    elbow = np.clip((where.down_arm - 0.13) / 0.12, 0, 1)
    arm = _arc((z - 0.427 + 1.1 * (np.abs(x) - 0.165)), y + 0.015 + 0.07 * elbow) * _ARM_RADIUS_M
    leg = _arc(np.abs(x) - 0.11 - 0.075 * np.clip(-z / 0.8, 0, 1), y + 0.01) * _LEG_RADIUS_M
    on_arm, on_leg = _blend(where.arm), 0 if trunk_only else _blend(where.leg)
    out = (1 - on_arm) * ((1 - on_leg) * trunk + on_leg * side * (leg + 0.11)) + on_arm * arm
    for _ in range(3):
        out = mean @ out
    return out.astype(np.float32)


def _girth_m(angle: F32) -> F32:
    """Return the arc length of the trunk's ellipse from straight ahead to a parameter angle."""
    t = np.linspace(0, np.pi / 2, 91)
    speed = np.hypot(_HALF_WIDTH_M * np.cos(t), _HALF_DEPTH_M * np.sin(t))
    length = np.concatenate([[0], np.cumsum(0.5 * (speed[1:] + speed[:-1]) * (t[1] - t[0]))])
    return np.sign(angle) * np.interp(np.abs(angle), t, length)


def _arc(x: F32, y: F32) -> F32:
    """Return the angle from straight ahead (-y), folded back beyond a quarter turn."""
    angle = np.arctan2(x, -y)
    folded = np.sign(angle) * (np.pi - np.abs(angle))
    return np.where(np.abs(angle) > np.pi / 2, folded, angle)


def _blend(weight: F32) -> F32:
    t = np.clip((weight - 0.3) / 0.5, 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


# Rims ---------------------------------------------------------------------------------------


def _rim_faces(rim: I32, count: int) -> I32:
    """Return quads that join each boundary edge to its copy inside, two triangles each."""
    if not len(rim):
        return np.zeros((0, 3), np.int32)
    copy = np.full(int(rim.max()) + 1, -1, np.int64)
    copy[rim[:, 0]] = count + np.arange(len(rim))
    a, b = rim.T
    inner_a, inner_b = copy[a], copy[b]
    return np.concatenate(
        [np.stack([b, a, inner_a], 1), np.stack([b, inner_a, inner_b], 1)]
    ).astype(np.int32)


def _rim_covers(covers: U32, faces: I32, rim: I32) -> U32:
    """Return (2 E,) what the rim covers: as much as the face at whose edge it is."""
    count = int(faces.max()) + 1
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    keys = start.astype(np.int64) * count + end
    order = np.argsort(keys)
    found = np.searchsorted(keys[order], rim[:, 0].astype(np.int64) * count + rim[:, 1])
    each = covers[order[found] // 3]
    return np.concatenate([each, each])
