"""Removal of self-penetration: least squares over joint angles, evaluated on the skin.

A draw keeps limbs apart by capsules (body/capsules.py), which are rounder than people; what they
miss lies in the skin, most often a hand or a forearm in the trunk or thigh of a wide body. Here
vertices of one part under the skin of another are pushed out along its normal by a few degrees of
the arms, or of legs and trunk where no arm is involved, within the joint limits.
"""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from synthstudio.body.atlas import load_atlas, normals_at, posed_skin_m, some_vertices_m
from synthstudio.body.capsules import JOINED, side_and_limb
from synthstudio.body.poses import LIMITS_RAD
from synthstudio.core.arrays import F64, I32, Bool, Intp
from synthstudio.core.scene import PARTS
from synthstudio.core.spec import BoneTurn, Phenotype

DEEP_M = 0.018
"""Parts deeper than this are moved out; by benchmarks.touch, which measures otherwise, 2 cm."""
_LIES_M = 0.009
"""Allowed remaining depth of a moved part: touching skin yields."""
_HEAD, _TRUNK = "head", "trunk"
_BANDS = {_HEAD: ("head", "scalp", "neck"), _TRUNK: ("torso", "pelvis")} | {
    f"{side}_{limb}": (f"{side}_{limb}",)
    for side in ("left", "right")
    for limb in ("upper_arm", "forearm", "hand", "thigh", "shin", "foot")
}
_JOINED = [set(pair) for pair in JOINED if _HEAD not in pair]
_FROM_JOINT_M = {"upper_arm": ("shoulder", 0.18), "thigh": ("hip", 0.25)}
"""Of what joins the trunk, or the other thigh, skin this near its joint folds with it."""
_STRIDES = {"head": 3, "hand": 2, "foot": 2}
"""Of what has many small faces, every so many vertices are tested; of penetrating hands
all, for a fingertip alone may lie deepest."""
_BELOW = 0.5
"""The least cosine between a skin's normal and the way back to it from a point below."""
_SEEN_M = 0.12
_ROUNDS, _ROWS = 12, 24
_NEAR_M = 0.003
_ARM_RAD = {
    "shoulder_flexion": 0.3,
    "shoulder_abduction": 0.3,
    "shoulder_rotation": 0.3,
    "elbow_flexion": 0.3,
    "wrist_flexion": 0.2,
}
_LEG_RAD = {
    "hip_flexion": 0.15,
    "hip_abduction": 0.15,
    "hip_rotation": 0.15,
    "knee_flexion": 0.15,
}
_TRUNK_RAD = {"spine_flexion": 0.15, "spine_side_bend": 0.1}
"""Angles that move, and by how much for a residual of 1."""
_FARTHEST_RAD, _ROUND_RAD = 0.6, 0.1
_STEP, _DIGITS = 1e-4, 4
_MARKS = 50
_HANDS_M = 0.0003
"""Both hands on one object keep their relative position to within about this."""


@dataclass(frozen=True, eq=False)
class _Contact:
    """Points of one part under another's skin: vertices, their nearest there, its normals."""

    a: str
    b: str
    points: Intp  # (N,) the deepest first
    nearest: Intp  # (N,)
    normals: F64  # (N, 3)
    depths_m: F64  # (N,)


def deepest_own_m(
    phenotype: Phenotype, angles_rad: dict[str, float], turns: tuple[BoneTurn, ...] = ()
) -> float:
    """Largest depth of one part of a body in another, by the skin; `turns` as in `bare_body`."""
    return _deepest(_contacts(phenotype, angles_rad, turns))


def resolve_self_intersection(
    phenotype: Phenotype, angles_rad: dict[str, float], *, both_hands: bool = False
) -> tuple[dict[str, float], float]:
    """Return the angles without self-penetration, or the freest found.

    And how deep the deepest part still lies. Angles stay as they are where nothing lies deeper than
    `DEEP_M`. `both_hands`: the hands keep their places to each other, for what both of them hold.
    """
    initial = dict(angles_rad)
    found = _contacts(phenotype, initial)
    best, minimum = initial, _deepest(found)
    if minimum <= DEEP_M:
        return initial, minimum
    hands_m = None
    if both_hands:
        hands_m = _between(some_vertices_m(phenotype, _palms(), [initial])[:, 0])
    for one_way in (False, True):
        now, depth = _searched(phenotype, initial, found, hands_m, one_way)
        if depth < minimum:
            best, minimum = now, depth
        if minimum <= DEEP_M:
            break
    return best, minimum


def _searched(
    phenotype: Phenotype,
    initial: dict[str, float],
    found: list[_Contact],
    hands_m: F64 | None,
    one_way: bool,
) -> tuple[dict[str, float], float]:
    """The freest angles along the search from `initial`, and the remaining depth."""
    best, minimum, now = initial, _deepest(found), initial
    moving: dict[str, float] = {}
    for _ in range(_ROUNDS):
        for contact in found:
            moving |= _angles_of(contact)
        rows = _one_way(found) if one_way else [(c, np.arange(len(c.points))) for c in found]
        contacts = [(contact, own[:_ROWS]) for contact, own in rows]
        now = _nearer(phenotype, initial, now, contacts, moving, hands_m)
        found = _contacts(phenotype, now)
        depth = _deepest(found)
        if depth < minimum:
            best, minimum = now, depth
        if depth <= DEEP_M - 0.002:
            break
    return best, minimum


# What lies where ---------------------------------------------------------------------------


@functools.cache
def _bands() -> dict[str, tuple[Intp, I32]]:
    """Each band's vertices and its faces, which count among them."""
    atlas = load_atlas()
    faces, out = atlas.skin_faces, {}
    for name, parts in _BANDS.items():
        own = np.isin(atlas.vertex_part, [PARTS.index(part) for part in parts])
        used = faces[own[faces].all(axis=1)]
        vertices, local = np.unique(used, return_inverse=True)
        out[name] = (vertices.astype(np.intp), local.reshape(-1, 3).astype(np.int32))
    return out


@functools.cache
def _rim(band: str) -> Bool:
    """Which of a band's vertices its neighbours share: there its skin does not end."""
    own, faces = _bands()[band]
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    forth, back = edges @ (len(own), 1), edges @ (1, len(own))
    out = np.zeros(len(own), bool)
    out[edges[np.isin(forth, back, invert=True)]] = True
    return out


@functools.cache
def _skin() -> tuple[Intp, Intp, tuple[slice, ...]]:
    """The vertices of all bands one after another, the place of each one's band, and each band."""
    owns = [own for own, _ in _bands().values()]
    counts = [len(own) for own in owns]
    slices = itertools.starmap(slice, itertools.pairwise([0, *itertools.accumulate(counts)]))
    return np.concatenate(owns), np.arange(len(owns)).repeat(counts), tuple(slices)


@functools.cache
def _tested(b: str) -> Bool:
    """Which of those vertices, every so many of a band, may lie in the band `b`."""
    every, _, bands = _skin()
    out = np.zeros(len(every), np.bool_)
    for a, band in zip(_BANDS, bands, strict=True):
        (side, limb), (other, on) = side_and_limb(a), side_and_limb(b)
        same = not side or not other or side == other
        joined = same and {limb, on} in _JOINED and on != _TRUNK
        # A trunk is tested the other way round.
        if a != b and limb != _TRUNK and not {limb, on} <= {_HEAD, _TRUNK} and not joined:
            out[band][:: _STRIDES.get(limb, 1)] = True
    return out


def _contacts(
    phenotype: Phenotype, angles: dict[str, float], turns: tuple[BoneTurn, ...] = ()
) -> list[_Contact]:
    at, joints = posed_skin_m(phenotype, angles, turns)
    every, of, bands = _skin()
    skin_m = np.take(at.T, every, axis=1)  # (3, V): whole rows are compared in no time
    begins = [band.start for band in bands]
    low = np.minimum.reduceat(skin_m, begins, axis=1)
    high = np.maximum.reduceat(skin_m, begins, axis=1)
    meeting = np.all((low[:, :, None] < high[:, None]) & (low[:, None] < high[:, :, None]), axis=0)
    found: list[_Contact] = []
    for place, b in enumerate(_BANDS):
        if not (meeting[:, place] & _tested(b)[begins]).any():
            continue
        (x, y, z), (x0, y0, z0), (x1, y1, z1) = skin_m, low[:, place], high[:, place]
        inside = (x > x0) & (x < x1) & (y > y0) & (y < y1) & (z > z0) & (z < z1)
        near = np.flatnonzero(inside & _tested(b))
        near = near[_far(b, near, skin_m, joints)]
        if not len(near):
            continue
        skin = cKDTree(skin_m[:, bands[place]].T, 32, compact_nodes=False, balanced_tree=False)
        first = {c.a: c for c in _below(near, b, at, skin)}
        hands = [k for k, a in enumerate(_BANDS) if a in first and a.endswith("hand")]
        if hands:
            near = np.flatnonzero(inside & np.isin(of, hands))
            first |= {c.a: c for c in _below(near, b, at, skin)}
        found += first.values()
    return sorted(found, key=lambda contact: list(_BANDS).index(contact.a))


def _far(b: str, near: Intp, skin_m: F64, joints: dict[str, F64]) -> Bool:
    """Which points of other bands are far enough from the joint that both bands share."""
    out, of = np.ones(len(near), np.bool_), _skin()[1][near]
    limbs = _FROM_JOINT_M if b == _TRUNK else {"thigh"} if b.endswith("thigh") else ()
    for side, limb in itertools.product(("left", "right"), limbs):
        joint, away = _FROM_JOINT_M[limb]
        own = np.flatnonzero(of == list(_BANDS).index(f"{side}_{limb}"))
        off = skin_m[:, near[own]].T - joints[f"{side}_{joint}"]
        out[own] = np.linalg.norm(off, axis=1) > away
    return out


def _below(near: Intp, b: str, at: F64, skin: cKDTree) -> Iterator[_Contact]:
    """Yield which of some vertices of other bands lie under the skin of `b`."""
    points, of = (each[near] for each in _skin()[:2])
    away, nearest = skin.query(at[points], distance_upper_bound=_SEEN_M)
    seen = np.flatnonzero(np.isfinite(away) & (away > _LIES_M * 0.99))  # no point is deeper
    seen = seen[np.logical_not(_rim(b)[nearest[seen]])]
    if not len(seen):
        return
    points, of, away, nearest = (each[seen] for each in (points, of, away, nearest))
    own, faces = _bands()[b]
    vertices, normals = own[nearest], normals_at(at[own], faces, nearest)
    depth = ((at[vertices] - at[points]) * normals).sum(axis=1)
    inside = np.flatnonzero((depth > _LIES_M) & (depth > _BELOW * away))
    inside = inside[np.argsort(-depth[inside], kind="stable")]
    for place in np.unique(of[inside]).tolist():
        rows = inside[of[inside] == place]
        yield _Contact(
            a=list(_BANDS)[place],
            b=b,
            points=points[rows],
            nearest=vertices[rows],
            normals=normals[rows],
            depths_m=depth[rows],
        )


def _deepest(found: list[_Contact]) -> float:
    return max((float(contact.depths_m[0]) for contact in found), default=0.0)


# What moves ----------------------------------------------------------------------------------


def _angles_of(contact: _Contact) -> Iterator[tuple[str, float]]:
    """Yield the angles that may part what lies in one another, and how far each likes to go."""
    bands = (contact.a, contact.b)
    arms = {side_and_limb(band)[0] for band in bands if band.endswith(("arm", "hand"))}
    if arms:
        for side in sorted(arms):
            yield from ((f"{side}_{name}", much) for name, much in _ARM_RAD.items())
        return
    for side in sorted({side_and_limb(band)[0] for band in bands} - {""}):
        yield from ((f"{side}_{name}", much) for name, much in _LEG_RAD.items())
    if contact.b in (_TRUNK, _HEAD):
        yield from _TRUNK_RAD.items()


def _nearer(
    phenotype: Phenotype,
    initial: dict[str, float],
    now: dict[str, float],
    rows_of: list[tuple[_Contact, Intp]],
    moving: dict[str, float],
    hands_m: F64 | None,
) -> dict[str, float]:
    """The angles one damped step on, within their limits."""
    points = np.concatenate([contact.points[rows] for contact, rows in rows_of])
    nearest = np.concatenate([contact.nearest[rows] for contact, rows in rows_of])
    normals = np.concatenate([contact.normals[rows] for contact, rows in rows_of])
    depths = np.concatenate([contact.depths_m[rows] for contact, rows in rows_of])
    hands = _palms() if hands_m is not None else np.zeros(0, np.intp)
    vertices = np.concatenate([points, nearest, hands])
    count = len(points)
    poses = [now, *({**now, name: now.get(name, 0.0) + _STEP} for name in moving)]
    at = some_vertices_m(phenotype, vertices, poses)
    depth = ((at[count : 2 * count] - at[:count]) * normals[:, None]).sum(axis=-1)
    scale = np.array(list(moving.values()))
    strays = np.array([now.get(name, 0.0) - initial.get(name, 0.0) for name in moving])
    rows = [(depth[:, 1:] - depth[:, :1]) / _STEP / _NEAR_M, np.diag(1 / scale)]
    wanted = [(_LIES_M - 0.003 - depths) / _NEAR_M, -strays / scale]
    if hands_m is not None:
        apart = np.stack([_between(each) for each in at[2 * count :].swapaxes(0, 1)], axis=1)
        rows.append((apart[:, 1:] - apart[:, :1]) / _STEP / _HANDS_M)
        wanted.append((hands_m - apart[:, 0]) / _HANDS_M)
    step = np.linalg.lstsq(np.concatenate(rows), np.concatenate(wanted), rcond=None)[0]
    step *= min(1.0, _ROUND_RAD / max(float(np.abs(step).max()), _ROUND_RAD))
    out = dict(now)
    for name, change in zip(moving, step, strict=True):
        low, high = LIMITS_RAD[name]
        middle = initial.get(name, 0.0)
        low, high = max(low, middle - _FARTHEST_RAD), min(high, middle + _FARTHEST_RAD)
        value = round(now.get(name, 0.0) + float(change), _DIGITS)  # before the limits, which stay
        out[name] = min(max(value, low), high)
    return dict(sorted(out.items()))


def _one_way(found: list[_Contact]) -> Iterator[tuple[_Contact, Intp]]:
    """Yield contacts and the rows of each that push two parts the way its deepest point goes.

    Thin parts lie in each other from both sides: pushed both ways they would stay.
    """
    ways: dict[frozenset[str], tuple[str, F64]] = {}
    for contact in sorted(found, key=lambda contact: -contact.depths_m[0]):
        first, way = ways.setdefault(
            frozenset((contact.a, contact.b)), (contact.a, contact.normals[0])
        )
        along = contact.normals @ (way if first == contact.a else -way)
        rows = np.flatnonzero(along > 0)
        if len(rows):
            yield contact, rows


@functools.cache
def _palms() -> Intp:
    """Some vertices of the left hand, its wrist, the right hand and its wrist, as many each.

    Hands that keep both keep how they are turned to each other, too.
    """
    rest, out = load_atlas().template_m, []
    for side in ("left", "right"):
        hand, forearm = (_bands()[f"{side}_{limb}"][0] for limb in ("hand", "forearm"))
        out.append(hand[:: len(hand) // _MARKS][:_MARKS])
        away = np.linalg.norm(rest[forearm] - rest[hand].mean(axis=0), axis=1)
        out.append(forearm[np.argsort(away, kind="stable")[:_MARKS]])
    return np.concatenate(out)


def _between(at: F64) -> F64:
    """(6,) the ways from the right hand and wrist to the left ones, at `_palms`."""
    left, right = at.reshape(2, 2, _MARKS, 3).mean(axis=2)
    return np.asarray((left - right).ravel())
