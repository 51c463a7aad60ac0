"""How deep surfaces lie inside each other, by Warp's signed distance; for tests and `physics`.

Nothing here knows the draw's own tests (hulls in core.hulls, capsules in body.capsules): what is
found by both is found twice.

Which parts of one body may not meet: every pair that no joint connects. Between neighbours the
skin about their joint folds, so of upper arms and thighs against the trunk only what is farther
from the joint than `_NEAR_M` is asked, and forearm against upper arm, shin against thigh and the
like not at all: joint limits hold those apart.
"""

import functools
from collections.abc import Iterator

import numpy as np
import warp as wp
from numpy.typing import NDArray

from synthstudio.body.atlas import BareBody, load_atlas
from synthstudio.core.arrays import F64, I32
from synthstudio.core.scene import PARTS
from synthstudio.render import runtime

SOFT_M = 0.02
"""Skin and cloth give way this much."""
REACH_M = 0.5
_BANDS = {
    "head": ("head", "scalp", "neck"),
    "trunk": ("torso", "pelvis"),
    **{
        f"{side}_{limb}": (f"{side}_{limb}",)
        for side in ("left", "right")
        for limb in ("upper_arm", "forearm", "hand", "thigh", "shin", "foot")
    },
}
_LIMBS = (
    ("trunk", "upper_arm"),
    ("upper_arm", "forearm"),
    ("forearm", "hand"),
    ("trunk", "thigh"),
    ("thigh", "shin"),
    ("shin", "foot"),
)
_NEAR_M = {"upper_arm": 0.18, "thigh": 0.25}


@wp.kernel
def depth_kernel(
    mesh: wp.uint64,
    points: wp.array(dtype=wp.vec3),
    reach: float,
    depth: wp.array(dtype=wp.float32),
):
    """Write how deep each point lies inside the closed mesh; 0 outside."""
    i = wp.tid()
    query = wp.mesh_query_point_sign_winding_number(mesh, points[i], reach)
    if query.result and query.sign < 0.0:
        at = wp.mesh_eval_position(mesh, query.face, query.u, query.v)
        depth[i] = wp.length(at - points[i])


def depths_m(points_m: F64, vertices_m: F64, faces: I32) -> NDArray[np.float32]:
    """Return (N,) how deep points (N, 3) lie inside a closed mesh; 0 outside it."""
    runtime.init("cpu")
    low, high = vertices_m.min(axis=0), vertices_m.max(axis=0)
    requested = np.flatnonzero(((points_m > low) & (points_m < high)).all(axis=1))
    out = np.zeros(len(points_m), np.float32)
    if not len(requested):
        return out
    middle = (low + high) / 2  # float32 is finest about the origin
    mesh = wp.Mesh(
        points=wp.array((vertices_m - middle).astype(np.float32), dtype=wp.vec3, device="cpu"),
        indices=wp.array(np.ascontiguousarray(faces).reshape(-1), dtype=wp.int32, device="cpu"),
        support_winding_number=True,
    )
    points = wp.array(
        (points_m[requested] - middle).astype(np.float32), dtype=wp.vec3, device="cpu"
    )
    found = wp.zeros(len(requested), dtype=wp.float32, device="cpu")
    wp.launch(
        depth_kernel,
        dim=len(requested),
        inputs=[mesh.id, points, REACH_M],
        outputs=[found],
        device="cpu",
    )
    out[requested] = found.numpy()
    return out


def closed(faces: I32, vertices: int) -> tuple[I32, list[NDArray[np.int64]]]:
    """Close a mesh (F, 3) of `vertices` vertices by a fan over each open rim.

    Returns the faces with the fans', whose hubs are vertices that follow the given ones, and the
    rim of each hub.
    """
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    forth, back = edges[:, 0] * vertices + edges[:, 1], edges[:, 1] * vertices + edges[:, 0]
    rim = edges[~np.isin(forth, back)]
    group = _connected(rim, vertices)
    fans, rims = [faces.astype(np.int32)], []
    for number in np.unique(group):
        own = rim[group == number]
        hub = np.full(len(own), vertices + len(rims))
        fans.append(np.stack([own[:, 1], own[:, 0], hub], axis=1).astype(np.int32))
        rims.append(np.unique(own))
    return np.concatenate(fans), rims


def pieces(faces: I32, vertices: int) -> NDArray[np.int64]:
    """Return (F,) the number of the connected piece that each face is of."""
    if not len(faces):
        return np.zeros(0, np.int64)
    corners = faces.astype(np.int64)
    edges = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]]])
    return _connected(edges, vertices)[: len(faces)]


def _connected(edges: NDArray[np.int64], vertices: int) -> NDArray[np.int64]:
    """Return the number of each edge's connected piece."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(edges), bool)
    graph = coo_array((ones, (edges[:, 0], edges[:, 1])), shape=(vertices, vertices))
    labels: NDArray[np.int64] = connected_components(graph, directed=False)[1][edges[:, 0]]
    return labels


def with_hubs(vertices_m: F64, rims: list[NDArray[np.int64]]) -> F64:
    """Return the vertices and after them the middle of each rim."""
    hubs = [vertices_m[rim].mean(axis=0) for rim in rims]
    return np.concatenate([vertices_m, *[hub[None] for hub in hubs]])


def skin() -> I32:
    """Return the faces of the bare body without eyes and tongue."""
    atlas = load_atlas()
    return atlas.body_faces[atlas.skin_face]


@functools.cache
def _whole() -> tuple[I32, list[NDArray[np.int64]]]:
    return closed(skin(), len(load_atlas().template_m))


def depth_in_body_m(points_m: F64, vertices_m: F64) -> NDArray[np.float32]:
    """Return (N,) how deep points lie inside a bare body with these vertices."""
    faces, rims = _whole()
    return _compact_depths(points_m, with_hubs(np.asarray(vertices_m, np.float64), rims), faces)


def _compact_depths(points_m: F64, vertices_m: F64, faces: I32) -> NDArray[np.float32]:
    used, own = np.unique(faces, return_inverse=True)
    return depths_m(points_m, vertices_m[used], own.reshape(-1, 3).astype(np.int32))


@functools.cache
def _bands() -> dict[str, tuple[NDArray[np.int64], I32, list[NDArray[np.int64]]]]:
    """Return each band's vertices, its closed faces and the rims of the hubs."""
    atlas, faces = load_atlas(), skin()
    out = {}
    for name, parts in _BANDS.items():
        ids = [PARTS.index(part) for part in parts]
        own = faces[np.isin(atlas.vertex_part[faces], ids).any(axis=1)]
        vertices = np.unique(faces[np.isin(atlas.vertex_part[faces], ids).all(axis=1)])
        out[name] = (vertices, *closed(own, len(atlas.template_m)))
    return out


def _asked(a: str, b: str, at: dict[str, F64], places: F64) -> NDArray[np.bool_]:
    """Return which vertices of band `a` may not lie inside band `b`."""
    every = np.ones(len(places), bool)
    limb = a.partition("_")[2]
    same = "trunk" in (a, b) or a.partition("_")[0] == b.partition("_")[0]
    pairs = {limb, b if b in ("trunk", "head") else b.partition("_")[2]}
    if {a, b} == {"head", "trunk"}:
        return ~every
    if same and any(pairs == set(pair) for pair in _LIMBS if a != "trunk"):
        if b != "trunk":
            return ~every
        joint = "shoulder" if limb == "upper_arm" else "hip"
        far = np.linalg.norm(places - at[f"{a.partition('_')[0]}_{joint}"], axis=1)
        return far > _NEAR_M[limb]
    if a == "trunk" and b != "head":
        return ~every  # asked the other way round
    if {a, b} == {"left_thigh", "right_thigh"}:
        far = np.linalg.norm(places - at[f"{a.partition('_')[0]}_hip"], axis=1)
        return far > _NEAR_M["thigh"]
    return every


def self_touches(body: BareBody, joints: tuple[str, ...]) -> Iterator[tuple[str, str, float]]:
    """Yield (part, part inside which it lies, metres) for every pair that meets."""
    at = dict(zip(joints, body.joints_m, strict=False))
    vertices = body.vertices_m.astype(np.float64)
    for b, (_, faces, rims) in _bands().items():
        places = with_hubs(vertices, rims)
        low, high = places[faces].min(axis=(0, 1)), places[faces].max(axis=(0, 1))
        asked = {}
        for a, (own, _, _) in _bands().items():
            if a != b:
                own = own[((vertices[own] > low) & (vertices[own] < high)).all(axis=1)]
                asked[a] = own[_asked(a, b, at, vertices[own])]
        depths = _compact_depths(vertices[np.concatenate(list(asked.values()))], places, faces)
        ends = np.cumsum([len(own) for own in asked.values()])[:-1]
        for a, own_m in zip(asked, np.split(depths, ends), strict=True):
            deepest = float(own_m.max(initial=0.0))
            if deepest > 0:
                yield a, b, deepest
