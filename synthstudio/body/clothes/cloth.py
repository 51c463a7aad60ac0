"""Cloth: the data of a garment's piece independent of person and pose.

Letters: N atlas vertices, V garment vertices, F faces, E boundary edges.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from synthstudio.body.clothes import garment_mesh as meshes
from synthstudio.body.clothes.garment_mesh import Basis, GarmentMesh, Places
from synthstudio.body.clothes.hang import Hang, hang_of
from synthstudio.core.arrays import F32, F64, I32, U32, Array, Bool, Intp

EARS_M = 0.635  # template height from which long hair hangs
_HEAD_M = 0.53  # on the template: what lies higher on average is worn on the head
_PASS = 0.6  # of the way to the neighbours' mean: the pass that Cut.passes counts
_HEM_PASSES, _LAST_PASSES, _COORD_PASSES = 14, 2, 6
_COVER_RADIUS_M = 0.075
_NONE, _NOTHING = np.zeros(0, np.intp), np.zeros(0, np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """The design of one piece of cloth, from a garment's builder."""

    weave: GarmentMesh
    offset_m: F32  # (V,) from the base surface at loose = 1
    min_m: F32  # (V,) never nearer to the skin than this
    passes: int = 5  # smoothing
    folds_m: float = 0.015
    rim_m: float = 0.008  # depth of the edge turned inwards; 0: a bare edge
    radius_m: float = _COVER_RADIUS_M  # how far below it parts count as covered
    second: bool = False  # drawn with the second material
    split: bool = False  # its triangles are small in coarse detail, too
    tint: F32 | None = None  # (V, 3)
    covers: int | None = None  # this set of parts instead of those near it
    coords: F32 | None = None  # (V, 3) fixed texture space instead of rest metres
    level: bool = True  # cloth lies flat on what faces up; hair and hats do not
    hang: F32 | None = None  # (V,) how much it hangs off what sticks out, 0..1; see hang.py
    taper: float = 0.2  # how fast it draws in below that, metres a metre
    bones: tuple[str, str] = ("head", "head")  # that turn the weave's shift, left and right
    wraps_trunk: bool = False  # texture space goes round the trunk, also where legs pull
    limp: bool = False  # long hair: gravity pulls what hangs below the ears
    studs: Intp | None = None  # vertices that carry a button
    level_hem: F32 | None = None  # (V,) positive where the cloth forgets the limbs under it
    panel: Callable[[Places], F32] | None = None  # positive where the other material is drawn


@dataclass(frozen=True, kw_only=True, eq=False)
class Rounds:
    """Numbers of smoothing passes."""

    cloth: int
    hem: int
    last: int  # after the skin has pushed single vertices out
    coords: int
    normals: int  # with Cloth.mean
    shading: int  # of the normals that are drawn


@dataclass(frozen=True, kw_only=True, eq=False)
class DrapeConstraint:
    """How loose cloth is placed on the skin under it in a pose."""

    moving: Intp  # (M,) vertices that move
    min_m: F32  # (M,) above the skin; of hair: above clothes under it
    skin: Intp  # vertices that may support them
    smooth: sparse.csr_array  # (M, V)
    rounds: int
    hair: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Cloth:
    """One piece of cloth, ready to be fitted to any person."""

    cut: Cut
    rows: sparse.csr_array  # (V, N)
    corner: Intp  # (3, F)
    all_faces: I32  # (F + rim, 3); rim vertices follow the V own ones
    rim: I32  # (E, 2)
    covers: U32  # (F + rim,)
    offset_m: F32  # (V,)
    min_m: F32  # (V,)
    normal_sum: sparse.csr_array  # (V, F)
    mean: sparse.csr_array  # (V, V) towards the neighbours', for normals
    smooth: sparse.csr_array  # (V, V) one smoothing pass
    edge_mean: sparse.csr_array  # (E, V) rows of `mean` where the rim begins
    anchors: Intp  # (3, V) nearest skin vertices of the template
    across_m: F32  # (V,) first texture coordinate; (0,) where coords are fixed
    arm: F32  # (V,)
    sleeves: tuple[Intp, Intp]  # left and right vertices of an arm
    side: I32  # (V,) 0 left, 1 right
    crease: F32  # (3, V) phases of folds; (0,) without folds
    fade: F32  # (V,) folds fade towards hems; (0,) without folds
    rounds: Rounds
    coords: F32 | None  # (3, V)
    hang: Hang | None
    where: Places  # the V vertices on the template
    shift_m: F32 | None  # (3, V)
    bones: tuple[int, int]
    drop_m: F32 | None  # (V,) of limp hair below the ears
    settle: DrapeConstraint | None
    on_head: bool  # hair, hats and what the face wears
    panel: Bool | None = None  # (F + rim,) faces drawn with the other material
    parted: sparse.csr_array | None = None  # (W, V) drawn: cut along the panel's edges, W > V
    hem: Intp  # (H,) vertices that are smoothed much more
    hem_smooth: sparse.csr_array  # (H, V)


@lru_cache(maxsize=128)
def compiled(base: Basis, cut: Cut) -> Cloth:
    rows, faces = cut.weave.rows, cut.weave.faces
    count, fine = rows.shape[0], base.fine or cut.split
    where = meshes.places_of(base.atlas, cut.weave)
    if cut.panel is not None:
        return _panelled(base, cut, compiled(base, replace(cut, panel=None)), cut.panel(where))
    hem = np.flatnonzero(cut.level_hem > 0) if cut.level_hem is not None else _NONE
    edge, beside, mean, hoop, normal_sum = _topology(cut.weave)
    rim, beside = (edge, beside) if cut.rim_m else (edge[:0], beside[:0])
    if cut.covers is None:
        covers = meshes.covered_parts(base, where, faces, cut.radius_m)
    else:
        covers = np.full(len(faces), cut.covers, np.uint32)
    drop = np.maximum(EARS_M - where.at[:, 2], 0) if cut.limp else None
    share, rounds = _rounds(cut.passes, fine=fine)
    smooth = meshes.towards(hoop, share)
    names = base.atlas.bone_names
    arm, right = on_limb(where.arm), where.at[:, 0] < 0
    blur = meshes.towards(mean, 0.5 if fine else 0.25)
    return Cloth(
        cut=cut,
        rows=rows,
        corner=np.ascontiguousarray(faces.T, np.intp),
        all_faces=np.vstack([faces, _rim_faces(rim, count)]),
        rim=rim,
        covers=_with_rim(covers, beside),
        offset_m=cut.offset_m.astype(np.float32),
        min_m=cut.min_m.astype(np.float32),
        normal_sum=normal_sum,
        mean=blur,
        smooth=smooth,
        edge_mean=blur[rim[:, 0]],
        anchors=meshes.anchors_of(base, where.at),
        across_m=_NOTHING
        if cut.coords is not None
        else across_m(where, mean, trunk_only=cut.wraps_trunk, passes=3 if fine else 1),
        arm=arm,
        sleeves=(np.flatnonzero((arm > 0) & ~right), np.flatnonzero((arm > 0) & right)),
        side=right.astype(np.int32),
        crease=_crease(where) if cut.folds_m else _NOTHING,
        fade=_fade(where.at, edge) if cut.folds_m else _NOTHING,
        rounds=rounds,
        coords=None if cut.coords is None else np.ascontiguousarray(cut.coords.T),
        where=where,
        shift_m=None if cut.weave.shift_m is None else np.ascontiguousarray(cut.weave.shift_m.T),
        bones=(names.index(cut.bones[0]), names.index(cut.bones[1])),
        drop_m=drop,
        settle=_settle(base, cut, where, smooth),
        on_head=bool(where.at[:, 2].mean() > _HEAD_M),
        hem=hem,
        hem_smooth=smooth[hem],
        hang=None if cut.hang is None else hang_of(where, cut.hang, taper=cut.taper),
    )


@lru_cache(maxsize=64)
def _topology(weave: GarmentMesh) -> tuple[Any, ...]:
    """Boundary edges and the faces beside them, both `neighbour_means` and the `corner_sum`."""
    edges = meshes.edges_of(weave.faces, weave.rows.shape[0])
    edge, beside = meshes.boundary_edges(weave.faces, edges)
    means = meshes.neighbour_means(edges, edge)
    return edge, beside, *means, meshes.corner_sum(weave.faces, weave.rows.shape[0])


def _panelled(base: Basis, cut: Cut, whole: Cloth, panel: F32) -> Cloth:
    """A piece whose faces are cut along the edges of its panel; it hangs as the whole."""
    keep = sparse.eye_array(len(panel), dtype=np.float32, format="csr")
    weave, inside = meshes.parted(GarmentMesh(rows=keep, faces=cut.weave.faces), panel)
    rim, beside = meshes.boundary_edges(
        weave.faces, meshes.edges_of(weave.faces, weave.rows.shape[0])
    )
    if not cut.rim_m:
        rim, beside = rim[:0], beside[:0]
    rows = sparse.csr_array(weave.rows @ whole.rows)
    where = meshes.places(base.atlas, rows)
    if cut.covers is None:
        covers = meshes.covered_parts(base, where, weave.faces, cut.radius_m)
    else:
        covers = np.full(len(weave.faces), cut.covers, np.uint32)
    return replace(
        whole,
        all_faces=np.vstack([weave.faces, _rim_faces(rim, len(where.at))]),
        rim=rim,
        covers=_with_rim(covers, beside),
        edge_mean=sparse.csr_array(weave.rows @ whole.mean)[rim[:, 0]],
        where=where,
        panel=_with_rim(inside, beside),
        parted=weave.rows,
    )


def _rounds(passes: int, *, fine: bool) -> tuple[float, Rounds]:
    """The share of one smoothing pass and how often it is done.

    A pass smooths as far as its triangles are long, so where these are twice as long a quarter
    of the passes does; fewer, stronger ones do the same as many weak ones.
    """
    scale, maximum = (1.0, 0.9) if fine else (0.25, 0.45)
    count = int(np.ceil(passes * _PASS * scale / maximum - 1e-9))
    share = passes * _PASS * scale / count if count else maximum

    def alike(number: int) -> int:
        return round(number * _PASS * scale / share)

    return share, Rounds(
        cloth=count,
        hem=alike(_HEM_PASSES),
        last=alike(_LAST_PASSES) if passes > 1 else 0,
        coords=alike(min(passes, _COORD_PASSES)),
        normals=2 if fine else 1,
        shading=1 if fine and passes > 1 else 0,
    )


def _settle(
    base: Basis, cut: Cut, where: Places, smooth: sparse.csr_array
) -> DrapeConstraint | None:
    z = where.at[:, 2]
    if cut.limp:
        moving = np.flatnonzero(z < EARS_M)
        minimum, skin, rounds = 0.25 * (EARS_M - z[moving]), base.shoulders, 2
    elif cut.wraps_trunk:
        moving = np.flatnonzero(z < 0.0)
        minimum, skin, rounds = cut.min_m[moving] + 0.006, base.legs, 2
    else:
        return None
    return DrapeConstraint(
        moving=moving,
        min_m=minimum.astype(np.float32),
        skin=skin,
        smooth=smooth[moving],
        rounds=rounds,
        hair=cut.limp,
    )


def _crease(where: Places) -> F32:
    """(3, V) fold phases: rings round limbs, slanted on the trunk."""
    x, y, z = where.at.T
    trunk = np.stack(
        [27 * z + 16 * np.abs(x), 30 * x + 15 * z + 13 * y, 13 * x + 10 * y - 9 * z], 1
    )
    arm = np.stack([38 * where.down_arm + 8 * y, 24 * where.down_arm + 14 * z, 22 * y + 9 * z], 1)
    leg = np.stack(
        [17 * where.down_leg + 25 * y, 13 * where.down_leg + 30 * x, 12 * y + 15 * where.down_leg],
        1,
    )
    on_arm, on_leg = on_limb(where.arm)[:, None], on_limb(where.leg)[:, None]
    made = (1 - on_arm) * ((1 - on_leg) * trunk + on_leg * leg) + on_arm * arm
    return np.ascontiguousarray(made.T, np.float32)


_FADE_M = 0.05
"""Folds fade out towards the boundary from this distance."""


def _fade(at: F32, rim: I32) -> F32:
    if not len(rim):
        return np.ones(len(at), np.float32)
    distance = cKDTree(at[rim[:, 0]]).query(at, distance_upper_bound=1.01 * _FADE_M)[0]
    return np.asarray(np.clip(distance / _FADE_M, 0.05, 1), np.float32)


def _rim_faces(rim: I32, count: int) -> I32:
    if not len(rim):
        return np.zeros((0, 3), np.int32)
    copy = np.full(int(rim.max()) + 1, -1, np.int64)
    copy[rim[:, 0]] = count + np.arange(len(rim))
    a, b = rim.T
    inner_a, inner_b = copy[a], copy[b]
    return np.concatenate(
        [np.stack([b, a, inner_a], 1), np.stack([b, inner_a, inner_b], 1)]
    ).astype(np.int32)


def _with_rim(each: Array, beside: Intp) -> Array:
    """A value of each face (F,) and of the rim: that of the face `beside` it."""
    return np.concatenate([each, each[beside], each[beside]])


# Texture ---------------------------------------------------------------------------------

_HALF_WIDTH_M, _HALF_DEPTH_M = 0.155, 0.105  # of the trunk
_ARM_RADIUS_M, _LEG_RADIUS_M = 0.05, 0.08


def across_m(where: Places, mean: sparse.csr_array, *, trunk_only: bool, passes: int) -> F32:
    """Return (V,) metres round the trunk or limb; folded at flanks, so it has no seam."""
    x, y, z = where.at.T
    side = np.where(x < 0, -1, 1)
    trunk = _girth_m(_arc(x / _HALF_WIDTH_M, (y + 0.02) / _HALF_DEPTH_M))
    # Over the shoulders azimuths run together: straight across there.
    trunk = trunk + np.clip((z - 0.30) / 0.14, 0, 1) * (1.1 * x - trunk)
    elbow = np.clip((where.down_arm - 0.13) / 0.12, 0, 1)
    arm = _arc((z - 0.427 + 1.1 * (np.abs(x) - 0.165)), y + 0.015 + 0.07 * elbow) * _ARM_RADIUS_M
    leg = _arc(np.abs(x) - 0.11 - 0.075 * np.clip(-z / 0.8, 0, 1), y + 0.01) * _LEG_RADIUS_M
    on_arm, on_leg = on_limb(where.arm), 0 if trunk_only else on_limb(where.leg)
    out = (1 - on_arm) * ((1 - on_leg) * trunk + on_leg * side * (leg + 0.11)) + on_arm * arm
    for _ in range(passes):
        out = mean @ out
    return np.asarray(out, np.float32)


def _girth_m(angle: F32) -> F32:
    """The arc length of the trunk's ellipse from straight ahead to a parameter angle."""
    t = np.linspace(0, np.pi / 2, 91)
    speed = np.hypot(_HALF_WIDTH_M * np.cos(t), _HALF_DEPTH_M * np.sin(t))
    length = np.concatenate([[0], np.cumsum(0.5 * (speed[1:] + speed[:-1]) * (t[1] - t[0]))])
    return np.asarray(np.sign(angle) * np.interp(np.abs(angle), t, length))


def _arc(x: F32, y: F32) -> F32:
    """The angle from straight ahead (-y), folded back beyond a quarter turn."""
    angle = np.arctan2(x, -y)
    folded = np.sign(angle) * (np.pi - np.abs(angle))
    return np.where(np.abs(angle) > np.pi / 2, folded, angle)


def on_limb(weight: F32) -> F32:
    """Return 0..1: how much of a limb a skinning weight (V,) makes a vertex."""
    t = np.clip((weight - 0.3) / 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def along_m(rest: F32, arm: F32, sleeves: tuple[Intp, Intp], joints_m: F64) -> F32:
    """Return (V,) metres up the trunk or a leg, or up a sleeve, of a person's rest shape (3, V).

    `arm` (V,) 0..1, `sleeves` the left and right vertices of which it is not 0, `joints_m`
    (2, 6, 3) the person's joints.
    """
    along: F32 = rest[2].copy()
    for mine, joints in zip(sleeves, joints_m, strict=True):
        if len(mine):
            chain = joints[:3]
            down = chain[0, 2] - meshes.along_chain(rest[:, mine].T, chain)
            along[mine] += arm[mine] * (down.astype(np.float32) - along[mine])
    return along
