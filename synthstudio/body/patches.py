"""Joint patches: a fixed set of points on the body's exterior surface around every joint.

A joint's centre is inside the limb, so its visibility is decided on these points.
They are chosen once on the default person and stored as (face, barycentric, area share), so
they ride on every body and pose.
"""

import functools
import hashlib
import itertools
import os
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from synthstudio.body import landmarks
from synthstudio.body.anny_model import cache_folder
from synthstudio.body.atlas import Atlas, frozen, load_atlas
from synthstudio.body.landmarks import KINDS, cross
from synthstudio.core.arrays import F32, F64, I32, I64, U8, Bool
from synthstudio.core.rng import stream
from synthstudio.core.scene import PARTS, JointPatches
from synthstudio.core.skeleton import JOINTS, get_skeleton, joint_kind

VERSION = "1"  # of the recipe below: part of the cache key
DIRECTIONS = 128  # over the whole sphere, so 64 over the half that a point faces
EXTERIOR = 0.3  # least cosine-weighted share of directions that leave the body
_CANDIDATES = 16  # for each point that is kept
_LLOYD = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class PatchTable:
    """Points of every joint on the body's triangles. Arrays are read-only."""

    face: I32  # (J, N) place in Atlas.body_faces
    barycentric: F64  # (J, N, 3)
    weights: F64  # (J, N) area shares, each joint's sum is 1
    part: U8  # (J, N) place in PARTS


@functools.cache
def patches(skeleton_name: str, points: int = 96, seed: int = 0) -> PatchTable:
    """Return the patch table of a skeleton; the same arguments give the same table everywhere.

    It is built in seconds and kept beside Anny's cache under the hash of all that decides it.
    Other seeds give fresh points, for the audit. RecipeError for an unknown skeleton.
    """
    wanted = get_skeleton(skeleton_name).joints
    # Faces and hands take most of the building: bodies have a table without them.
    body = tuple(name for name in JOINTS if name not in landmarks.LANDMARKS)
    joints = body if set(wanted) <= set(body) else JOINTS
    rows = [joints.index(name) for name in wanted]
    table = _whole(joints, points, seed)
    return PatchTable(**{name: frozen(array[rows]) for name, array in vars(table).items()})


def posed_patches(table: PatchTable, vertices_m: F32, faces: I32) -> JointPatches:
    """Return the points on posed vertices (V, 3); `faces` are those of the atlas (F, 3)."""
    corners = vertices_m[faces[table.face]].astype(np.float64)  # (J, N, 3 corners, 3)
    points = (table.barycentric[:, :, None, :] @ corners)[:, :, 0]
    a, b = corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0]
    normals = np.cross(a, b)
    # A triangle may shrink to nothing in a deep bend; it then faces nowhere and weighs nothing.
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    return JointPatches(points_m=points, normals=normals, weights=table.weights, part=table.part)


@functools.cache
def _whole(joints: tuple[str, ...], points: int, seed: int) -> PatchTable:
    atlas = load_atlas()
    path = cache_folder() / f"synthstudio-patches-{_key(atlas, joints, points, seed)}.npz"
    table = _read(path) or _build(atlas, joints, points, seed)
    if not path.exists():
        _write(path, table)
    return table


def _key(atlas: Atlas, joints: tuple[str, ...], points: int, seed: int) -> str:
    digest = hashlib.blake2b(digest_size=16)
    weights = atlas.joint_weights[[JOINTS.index(name) for name in joints]]
    for array in (atlas.template_m, atlas.body_faces, atlas.part, weights.data, weights.indices):
        digest.update(array.tobytes())
    kinds = [KINDS[joint_kind(joint)] for joint in joints]
    rules = (
        VERSION,
        joints,
        points,
        seed,
        DIRECTIONS,
        EXTERIOR,
        _CANDIDATES,
        _LLOYD,
        [(own.radius_m, own.parts, own.skin) for own in kinds],
    )
    digest.update(repr(rules).encode())
    return digest.hexdigest()


def _read(path: Path) -> PatchTable | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            return PatchTable(**{name: data[name] for name in PatchTable.__dataclass_fields__})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        path.unlink(missing_ok=True)
        return None


def _write(path: Path, table: PatchTable) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **vars(table))
        Path(name).replace(path)
    except OSError:  # a full disk costs the cache, not the frame
        Path(name).unlink(missing_ok=True)


def _build(atlas: Atlas, joints: tuple[str, ...], points: int, seed: int) -> PatchTable:
    corners = atlas.template_m.astype(np.float64)[atlas.body_faces]
    everywhere = atlas.joint_weights @ atlas.template_m.astype(np.float64)
    centres = everywhere[[JOINTS.index(name) for name in joints]]
    near = {
        name: _near_faces(atlas, corners, at, name)
        for name, at in zip(joints, centres, strict=True)
    }
    # Right patches are mirror images, so only the left ones need the test.
    tried = np.unique(np.concatenate([near[n] for n in joints if not n.startswith("right_")]))
    outside = tried[escape_share(corners, tried) > EXTERIOR]
    found: dict[str, tuple[I32, F64, F64]] = {}
    # The left one of each pair comes first, whatever the skeleton's order is.
    for name in sorted(joints, key=lambda joint: joint.startswith("right_")):
        centre = centres[joints.index(name)]
        if name.startswith("right_"):
            found[name] = _mirror(corners, near[name], found["left_" + name[6:]])
        else:
            faces = np.intersect1d(near[name], outside)
            found[name] = _patch(corners, faces, centre, name, points, seed)
    each = zip(*(found[name] for name in joints), strict=True)
    face, barycentric, weights = (np.stack(arrays) for arrays in each)
    return PatchTable(face=face, barycentric=barycentric, weights=weights, part=atlas.part[face])


def _near_faces(atlas: Atlas, corners: F64, centre: F64, joint: str) -> I64:
    """The faces of a joint's parts and side that may reach into its radius."""
    kind = KINDS[joint_kind(joint)]
    side = joint.removesuffix(joint_kind(joint)).rstrip("_")
    parts = [PARTS.index(name if name in PARTS else f"{side}_{name}") for name in kind.parts]
    middle = corners.mean(axis=1)
    reach = np.linalg.norm(corners - middle[:, None], axis=2).max(axis=1)
    close = np.linalg.norm(middle - centre, axis=1) < kind.radius_m + reach
    same_side = middle[:, 0] * {"left": 1, "right": -1, "": 0}[side] >= 0
    near = close & same_side & np.isin(atlas.part, parts)
    if kind.skin is not None:
        bones = [f"{bone}.{side[0].upper()}" for bone in kind.skin]
        strongest = atlas.weights.toarray().argmax(axis=1)
        own = np.isin(strongest, [atlas.bone_names.index(bone) for bone in bones])
        near &= own[atlas.body_faces].sum(axis=1) >= 2
    return np.flatnonzero(near)


def escape_share(corners: F64, wanted: I64) -> F64:
    """Return for the middles of the `wanted` faces the cosine-weighted share of directions
    that leave the mesh `corners` (F, 3, 3) without meeting another face."""
    origin = corners[wanted].mean(axis=1)
    normal = np.cross(
        corners[wanted, 1] - corners[wanted, 0], corners[wanted, 2] - corners[wanted, 0]
    )
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    total, free = np.zeros(len(wanted)), np.zeros(len(wanted))
    for direction in _sphere(DIRECTIONS):
        weight = np.maximum(normal @ direction, 0)
        ahead = np.flatnonzero(weight > 0)
        total += weight
        if len(ahead):
            weight[ahead[_blocked(corners, origin[ahead], wanted[ahead], direction)]] = 0
        free += weight
    return free / total


def _sphere(count: int) -> F64:
    """(count, 3) directions of a Fibonacci lattice on the sphere."""
    k = np.arange(count) + 0.5
    z = 1 - 2 * k / count
    phi = k * np.pi * (3 - np.sqrt(5))
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(phi), r * np.sin(phi), z], axis=1)


def _blocked(corners: F64, origin: F64, own: I64, direction: F64) -> Bool:
    """(M,) whether a ray from each origin along `direction` meets a face not its own.

    Seen along the direction the rays are points in a plane: each triangle tests those near it.
    """
    axis = np.eye(3)[np.argmin(np.abs(direction))]
    u = np.cross(direction, axis)
    frame = np.stack([u / np.linalg.norm(u), np.cross(direction, u / np.linalg.norm(u)), direction])
    points = origin @ frame.T
    triangles = corners @ frame.T
    low, high = triangles.min(axis=1), triangles.max(axis=1)
    reach = np.linalg.norm((high - low)[:, :2], axis=1) / 2 + 1e-9
    middle = (low + high)[:, :2] / 2
    found = cKDTree(points[:, :2]).query_ball_point(middle, reach, return_sorted=False)
    pair_face = np.repeat(np.arange(len(found)), [len(near) for near in found])
    pair_point = np.fromiter(itertools.chain.from_iterable(found), np.int64)
    p = points[pair_point]
    near = (p[:, 0] <= high[pair_face, 0]) & (p[:, 0] >= low[pair_face, 0])
    near &= (p[:, 1] <= high[pair_face, 1]) & (p[:, 1] >= low[pair_face, 1])
    near &= (p[:, 2] <= high[pair_face, 2]) & (own[pair_point] != pair_face)
    pair_face, pair_point, p = pair_face[near], pair_point[near], p[near]
    a, b, c = (triangles[pair_face, k] for k in range(3))
    w0, w1, w2 = cross(b - p, c - p), cross(c - p, a - p), cross(a - p, b - p)
    area = w0 + w1 + w2
    inside = (w0 * area >= 0) & (w1 * area >= 0) & (w2 * area >= 0) & (np.abs(area) > 1e-14)
    depth = w0 * a[:, 2] + w1 * b[:, 2] + w2 * c[:, 2]
    ahead = (depth - p[:, 2] * area) * np.sign(area) > 1e-6 * np.abs(area)
    hit = np.zeros(len(origin), bool)
    hit[pair_point[inside & ahead]] = True
    return hit


def _patch(
    corners: F64, faces: I64, centre: F64, joint: str, points: int, seed: int
) -> tuple[I32, F64, F64]:
    """(N,) face, (N, 3) barycentric, (N,) area share of one joint."""
    radius_m = KINDS[joint_kind(joint)].radius_m
    rng = stream(seed, "joint patch", joint)
    triangle = corners[faces]
    area = np.linalg.norm(
        np.cross(triangle[:, 1] - triangle[:, 0], triangle[:, 2] - triangle[:, 0]), axis=1
    )
    # Faces reach beyond the radius, so draw more than is wanted and keep those inside.
    draws = 4 * _CANDIDATES * points
    pick = np.searchsorted(np.cumsum(area) / area.sum(), rng.random(draws), side="right")
    pick = np.minimum(pick, len(faces) - 1)
    s, t = np.sqrt(rng.random(draws)), rng.random(draws)  # uniform in a triangle
    barycentric = np.stack([1 - s, s * (1 - t), s * t], axis=1)
    place = np.einsum("nk,nkx->nx", barycentric, triangle[pick])
    keep = np.flatnonzero(np.linalg.norm(place - centre, axis=1) < radius_m)
    keep = keep[: _CANDIDATES * points]
    place = place[keep]
    chosen, share = _thin(place, centre, points)
    return (faces[pick[keep[chosen]]].astype(np.int32), barycentric[keep[chosen]], share)


def _thin(place: F64, centre: F64, points: int) -> tuple[I64, F64]:
    """(N,) evenly spread candidates and the share of candidates nearest to each.

    Farthest-point sampling from the candidate nearest to the joint, then Lloyd steps in which
    a point moves to the candidate nearest to its cell's mean.
    """
    chosen = [int(np.argmin(np.linalg.norm(place - centre, axis=1)))]
    gap = np.linalg.norm(place - place[chosen[0]], axis=1)
    while len(chosen) < points:
        chosen.append(int(np.argmax(gap)))
        gap = np.minimum(gap, np.linalg.norm(place - place[chosen[-1]], axis=1))
    picked = np.array(chosen)
    for _ in range(_LLOYD):
        cell = cKDTree(place[picked]).query(place)[1]
        count = np.bincount(cell, minlength=points)
        mean = np.stack([np.bincount(cell, place[:, k], points) for k in range(3)], axis=1)
        # Two candidates may coincide and leave a cell empty: its point then stays.
        mean = np.where(count[:, None] > 0, mean / np.maximum(count, 1)[:, None], place[picked])
        picked = cKDTree(place).query(mean)[1]
    cell = cKDTree(place[picked]).query(place)[1]
    return picked, np.bincount(cell, minlength=points) / len(place)


def _mirror(corners: F64, faces: I64, left: tuple[I32, F64, F64]) -> tuple[I32, F64, F64]:
    face, barycentric, share = left
    wanted = np.einsum("nk,nkx->nx", barycentric, corners[face]) * (-1, 1, 1)
    near = cKDTree(corners[faces].mean(axis=1)).query(wanted, k=min(24, len(faces)))[1]
    candidates = corners[faces[near]]  # (N, 24, 3, 3)
    weights = _barycentric(candidates, wanted[:, None, :])
    weights = np.maximum(weights, 0)
    weights /= weights.sum(axis=-1, keepdims=True)
    gap = np.linalg.norm((weights[..., None, :] @ candidates)[..., 0, :] - wanted[:, None], axis=2)
    best = np.argmin(gap, axis=1)
    rows = np.arange(len(wanted))
    return faces[near[rows, best]].astype(np.int32), weights[rows, best], share


def _barycentric(triangle: F64, point: F64) -> F64:
    """The barycentric coordinates (..., 3) of points projected into triangles' planes."""
    e0, e1 = triangle[..., 1, :] - triangle[..., 0, :], triangle[..., 2, :] - triangle[..., 0, :]
    d = point - triangle[..., 0, :]
    d00, d01, d11 = (e0 * e0).sum(-1), (e0 * e1).sum(-1), (e1 * e1).sum(-1)
    d20, d21 = (d * e0).sum(-1), (d * e1).sum(-1)
    scale = d00 * d11 - d01 * d01
    v, w = (d11 * d20 - d01 * d21) / scale, (d00 * d21 - d01 * d20) / scale
    return np.stack([1 - v - w, v, w], axis=-1)
