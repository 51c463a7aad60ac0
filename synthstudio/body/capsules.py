"""Whether limbs run into each other, one's own or two people's, by capsules along the bones: a
quick test.

A capsule is a segment with a radius. Each person's are fitted to its own skin in the identity
pose, where every bone's axes are the world's, and follow one bone. Of two parts that a joint
connects only the halves away from it are compared. What is right to the millimetre is the mesh,
and `benchmarks.touch` asks that; this is for a draw that must choose among candidates.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synthstudio.body.atlas import load_atlas, rest_of
from synthstudio.body.poses import BONES, posed_chain, rotations_of
from synthstudio.core.arrays import F64, Intp
from synthstudio.core.scene import PARTS
from synthstudio.core.spec import FrozenDict, Phenotype

_SLABS = {"trunk": 7, "head": 3}
_FULL = 0.99
"""A slab contains this fraction of its skin."""
_LIMBS = (
    ("upper_arm", "upperarm01", "lowerarm01"),
    ("forearm", "lowerarm01", "wrist"),
    ("thigh", "upperleg01", "lowerleg01"),
    ("shin", "lowerleg01", "foot"),
)
_FINGERS = (("wrist", "finger2-2"), ("wrist", "finger5-2"), ("finger3-1", "finger3-3"))
_FINGER_M = 0.017
_SPINE = ("root", "spine05", "spine04", "spine03", "spine02", "spine01")
JOINED = (
    ("trunk", "upper_arm"),
    ("head", "upper_arm"),
    ("upper_arm", "forearm"),
    ("forearm", "hand"),
    ("trunk", "thigh"),
    ("thigh", "shin"),
    ("shin", "foot"),
)
_FAR_OK = frozenset({("trunk", "upper_arm"), ("head", "upper_arm"), ("trunk", "thigh")})
"""Neighbours of which the far half is compared."""


USUAL_BODY = Phenotype(gender=0.5, age=0.62, muscle=0.5, weight=0.5, height=0.38, proportions=0.5)
"""The body for which the library's poses are verified free of penetration."""
_CLOSER_M = 0.01


@dataclass(frozen=True, kw_only=True, eq=False)
class Frames:
    """A body in a pose, or in several (...), in its own frame: bones and capsules."""

    heads_m: F64  # (..., B, 3) of bones
    turns: F64  # (..., B, 3, 3) of bones, from the identity pose
    ends_m: F64  # (2, ..., N, 3) of capsules
    radius_m: F64  # (N,)


def frames(phenotype: Phenotype, rotations: F64) -> Frames:
    """Bones and capsules of a body with those `poses.bone_rotations` (..., B, 3, 3)."""
    bone, ends_m, radius_m = _fitted(phenotype)
    heads, turns = _heads_m(phenotype, rotations)
    rotated = np.einsum("...nij,enj->e...ni", turns[..., bone, :, :], ends_m)
    ends = heads[..., bone, :] + rotated
    return Frames(heads_m=heads, turns=turns, ends_m=ends, radius_m=radius_m)


Pairs = tuple[Intp, Intp]
"""Places (K,) and (K,) of capsules."""


def overlaps_m(a: Frames, b: Frames, pairs: Pairs) -> F64:
    """How deep capsules of two bodies overlap (..., K), negative where they are apart."""
    first, second = pairs
    return a.radius_m[first] + b.radius_m[second] - _segments_apart_m(a.ends_m, b.ends_m, pairs)


@functools.cache
def parts() -> tuple[str, ...]:
    """Return the part of each capsule: trunk, head, left_forearm and the like."""
    return tuple(part for part, _ in _order())


def self_penetrations_m(
    phenotype: Phenotype,
    poses: Sequence[Mapping[str, float]],
    *,
    like: tuple[FrozenDict, ...] = (),
) -> list[float]:
    """Return how deep the deepest two capsules overlap in each pose; 0 where none do.

    What touches in one of the poses `like` on the usual body may touch: that depth, less
    `_CLOSER_M`, is taken off the pair's own.
    """
    depth = _overlaps_m(phenotype, poses)
    if like:
        usual = np.max([_usual_overlaps_m(pose) for pose in like], axis=0)
        depth = depth - np.maximum(usual - _CLOSER_M, 0.0)
    deepest: list[float] = np.maximum(depth.max(axis=1), 0.0).tolist()
    return deepest


@functools.lru_cache(maxsize=512)
def _usual_overlaps_m(angles_rad: FrozenDict) -> F64:
    return np.asarray(_overlaps_m(USUAL_BODY, [angles_rad])[0])


def _overlaps_m(phenotype: Phenotype, poses: Sequence[Mapping[str, float]]) -> F64:
    """(P, K) how deep each pair overlaps in each pose, negative where they are apart."""
    posed = frames(phenotype, rotations_of(poses))
    return overlaps_m(posed, posed, own_pairs())


def _heads_m(phenotype: Phenotype, rotations: F64) -> tuple[F64, F64]:
    """Each bone's head (..., B, 3) and whole turn (..., B, 3, 3)."""
    chain = rest_of(phenotype).chain
    skinning, turns = posed_chain(chain, rotations)
    moved = np.einsum("...bij,bj->...bi", skinning[..., :3], chain.heads_m)
    return moved + skinning[..., 3], turns


@functools.lru_cache(maxsize=512)
def _fitted(phenotype: Phenotype) -> tuple[Intp, F64, F64]:
    """Of a body's N capsules the bone (N,) that each follows, their ends (2, N, 3) from that bone's
    head in the identity pose, and their radii (N,)."""
    skin = rest_of(phenotype).rest_m.astype(np.float64)
    heads, _ = _heads_m(phenotype, np.tile(np.eye(3), (len(BONES), 1, 1)))
    place = {name: k for k, name in enumerate(BONES)}
    found = list(_pieces(lambda bone: heads[place[bone]], skin))
    bone = np.array([place[name] for name, _, _ in found])
    ends = np.stack([e for _, e, _ in found], axis=1) - heads[bone]
    return bone, ends, np.array([r for *_, r in found])


def _pieces(at: Callable[[str], F64], skin: F64) -> Iterator[tuple[str, F64, float]]:
    """Yield each capsule's (bone, ends (2, 3), radius) in the order of `_order`."""
    for part, own in (("trunk", ("torso", "pelvis")), ("head", ("head", "scalp"))):
        points = skin[_vertices(own)]
        edges = np.linspace(points[:, 2].min(), points[:, 2].max(), _SLABS[part] + 1)
        bones = _SPINE if part == "trunk" else ("head",)
        for low, high in itertools.pairwise(edges):
            inside = points[(points[:, 2] >= low) & (points[:, 2] <= high)]
            bone = min(bones, key=lambda b: abs(at(b)[2] + 0.02 - (low + high) / 2))
            ends, radius = _slab(inside)
            yield bone, ends, radius
    for side, s in (("left", "L"), ("right", "R")):
        for limb, bone, end in _LIMBS:
            points, a, b = skin[_vertices((f"{side}_{limb}",))], at(f"{bone}.{s}"), at(f"{end}.{s}")
            along = (points - a) @ (b - a) / ((b - a) @ (b - a))
            off = np.linalg.norm(points - a - np.outer(along, b - a), axis=1)
            for half in (0, 1):
                near = (along > half / 2) & (along < half / 2 + 0.5)
                ends = np.stack([a + (b - a) * (half / 2), a + (b - a) * (half / 2 + 0.5)])
                yield f"{bone}.{s}", ends, float(off[near].mean())
        for bone, end in _FINGERS:
            ends = np.stack([at(f"{bone}.{s}"), at(f"{end}.{s}")])
            yield f"{bone}.{s}", ends, _FINGER_M
        points = skin[_vertices((f"{side}_foot",))]
        ends, radius = _slab(points)
        yield f"foot.{s}", ends, radius


def _slab(points: F64) -> tuple[F64, float]:
    """The lying capsule, along x or y, that fills the points' box."""
    low, high = np.quantile(points, (1 - _FULL, _FULL), axis=0)
    middle, half = (low + high) / 2, (high - low)[:2] / 2
    axis, radius = int(half.argmax()), float(half.min())
    reach = np.zeros(3)
    reach[axis] = half.max() - radius
    return np.stack([middle - reach, middle + reach]), radius


@functools.cache
def _vertices(parts: tuple[str, ...]) -> Intp:
    atlas = load_atlas()
    own = np.isin(atlas.vertex_part, [PARTS.index(part) for part in parts])
    return atlas.skin[own[atlas.skin]]


@functools.cache
def own_pairs() -> Pairs:
    every = _order()
    both = itertools.combinations(range(len(every)), 2)
    pairs = [(i, j) for i, j in both if _compared(every[i], every[j])]
    first, second = np.array(pairs, dtype=np.intp).T
    return first, second


def _order() -> list[tuple[str, bool]]:
    """Each capsule's part, and whether it is the half of a limb that is farther from the trunk."""
    out = [(part, True) for part, count in _SLABS.items() for _ in range(count)]
    for side in ("left", "right"):
        out += [(f"{side}_{limb}", far) for limb, *_ in _LIMBS for far in (False, True)]
        out += [(f"{side}_hand", True)] * len(_FINGERS) + [(f"{side}_foot", True)]
    return out


def _compared(a: tuple[str, bool], b: tuple[str, bool]) -> bool:
    (part_a, far_a), (part_b, far_b) = a, b
    if part_a == part_b:
        return False
    (side_a, limb_a), (side_b, limb_b) = side_and_limb(part_a), side_and_limb(part_b)
    if limb_a == limb_b == "thigh":
        return far_a and far_b
    if limb_a in ("trunk", "head") and limb_b in ("trunk", "head"):
        return False
    if side_a and side_b and side_a != side_b:
        return True
    joined = next((pair for pair in JOINED if {limb_a, limb_b} == set(pair)), None)
    return joined is None or (joined in _FAR_OK and far_a and far_b)


def side_and_limb(part: str) -> tuple[str, str]:
    side, _, limb = part.partition("_")
    return (side, limb) if side in ("left", "right") else ("", part)


def _segments_apart_m(p: F64, q: F64, pairs: Pairs) -> F64:
    """Least distances (..., K) between pairs of segments p and q, each (2, ..., N, 3).

    Ericson, Real-Time Collision Detection (2005), 5.1.9.
    """
    first, second = pairs
    d, e = p[1] - p[0], q[1] - q[0]
    a, g = ((d * d).sum(-1) + 1e-12)[..., first], ((e * e).sum(-1) + 1e-12)[..., second]
    d, e = d.take(first, axis=-2), e.take(second, axis=-2)
    r = p[0].take(first, axis=-2) - q[0].take(second, axis=-2)
    b, c, f = (d * e).sum(-1), (d * r).sum(-1), (e * r).sum(-1)
    s = np.clip((b * f - c * g) / np.maximum(a * g - b * b, 1e-12), 0, 1)
    t = (b * s + f) / g
    s = np.where(t < 0, np.clip(-c / a, 0, 1), np.where(t > 1, np.clip((b - c) / a, 0, 1), s))
    t = np.clip(t, 0, 1)
    return np.asarray(np.linalg.norm(r + s[..., None] * d - t[..., None] * e, axis=-1))
