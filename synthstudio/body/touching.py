"""Contact of two people: palms and spots carried by bones, skin penetration depth, and the
interactions of meetings.yaml.

Spots of the body where another person's hand may lie are vertices of the skin.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from synthstudio.body import capsules
from synthstudio.body.atlas import BareBody, load_atlas, normals_at
from synthstudio.body.capsules import Frames
from synthstudio.body.pose_library import angles_of, hands, loaded, typed
from synthstudio.body.poses import BONES, bone_rotations
from synthstudio.core.arrays import F64, Intp
from synthstudio.core.catalogue import Interaction, Role, Touch
from synthstudio.core.errors import RecipeError
from synthstudio.core.scene import PARTS
from synthstudio.core.skeleton import JOINTS
from synthstudio.core.spec import PersonSpec

SKIN_M = 0.015
"""From a palm's origin, the middle of a bar, back to the skin."""
_HOLLOW_M = 0.005
"""Between two palms: balls and heels of the hands touch first."""
_LIES_M = 0.005
_CLOTH_M, _ASIDE_M = 0.045, 0.025
"""Clothes over a spot: maximum thickness, and radius of the search."""
_SKIN_NEAR_M = 0.08
_BELOW = 0.6
"""The least cosine between a skin's normal and the way back to it from a point below."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Posed:
    """A person's body in its own frame, and the vertices of what it wears."""

    bare: BareBody
    palms: F64  # (2, 4, 4) left, right: GeometryQueries.palms_m
    worn_m: F64  # (N, 3)
    drop_m: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Anchor:
    """A point carried by a bone, with two directions, in the bone's own axes."""

    who: int
    bone: int
    point_m: F64
    out: F64  # out of the palm or the skin
    fingers: F64

    def at(self, frames: Frames) -> tuple[F64, F64, F64]:
        turn = frames.turns[..., self.bone, :, :]
        return (
            frames.heads_m[..., self.bone, :] + turn @ self.point_m,
            turn @ self.out,
            turn @ self.fingers,
        )


Pair = tuple[PersonSpec, PersonSpec]


def farthest_m(
    people: Pair,
    touches: tuple[Touch, ...],
    posed: Callable[[PersonSpec], Posed],
    lift_m: float,
) -> float:
    """Return the largest distance of a palm from its target, or from so high over it."""
    placed = [placed_frames(person) for person in people]
    gaps = []
    for touch in touches:
        (p, *_), (q, *_) = (
            end.at(placed[end.who]) for end in anchors(people, touch, posed, lift_m)
        )
        gaps.append(float(np.linalg.norm(p - q)))
    return max(gaps)


def deepest_m(a: F64, b: F64) -> float:
    """Return the approximate depth of one skin's vertices (V, 3) in the other; 0 if apart."""
    return max(_below_m(a, b), _below_m(b, a))


def _below_m(points: F64, vertices: F64) -> float:
    """How deep the deepest of the points lies under a skin, by its nearest vertices."""
    skin = load_atlas().skin
    low, high = vertices[skin].min(axis=0), vertices[skin].max(axis=0)
    own = points[skin]
    own = own[((own > low) & (own < high)).all(axis=1)]
    if not len(own):
        return 0.0
    low, high = own.min(axis=0) - _SKIN_NEAR_M, own.max(axis=0) + _SKIN_NEAR_M
    skin = skin[((vertices[skin] >= low) & (vertices[skin] <= high)).all(axis=1)]
    away, nearest = cKDTree(vertices[skin]).query(own, distance_upper_bound=_SKIN_NEAR_M)
    near = np.isfinite(away)
    nearest = skin[nearest[near]]
    back = vertices[nearest] - own[near]
    depth = (back * normals_at(vertices, load_atlas().skin_faces, nearest)).sum(axis=1)
    depth[depth < _BELOW * away[near]] = 0.0
    return float(depth.max(initial=0.0))


# In the world ------------------------------------------------------------------------------


def _turn(yaw_rad: float) -> F64:
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def world_skin_m(person: PersonSpec, bare: BareBody) -> F64:
    """Return (V, 3) vertices of a bare body in the world."""
    rotated = bare.vertices_m.astype(np.float64) @ _turn(person.yaw_rad).T
    return np.asarray(rotated + np.array(person.position_m))


def moved(frames: Frames, yaw_rad: float, position_m: F64) -> Frames:
    turn = _turn(yaw_rad)
    return Frames(
        heads_m=frames.heads_m @ turn.T + position_m,
        turns=turn @ frames.turns,
        ends_m=frames.ends_m @ turn.T + position_m,
        radius_m=frames.radius_m,
    )


def placed_frames(person: PersonSpec) -> Frames:
    return moved(own_frames(person), person.yaw_rad, np.array(person.position_m))


def own_frames(person: PersonSpec) -> Frames:
    return capsules.frames(person.phenotype, bone_rotations(person.pose.angles_rad))


def anchors(
    people: Pair, touch: Touch, posed: Callable[[PersonSpec], Posed], lift_m: float
) -> tuple[Anchor, Anchor]:
    """The palm of a touch and what it lies on, by the skin; a spot `lift_m` over what is worn."""
    other = 1 - touch.of
    ends = []
    for who, name in ((touch.of, touch.palm), (other, touch.on)):
        body = posed(people[who])
        if name.endswith("palm"):
            ends.append(_palm(who, name, people[who], body))
        else:
            ends.append(_spot(who, spot(name), people[who], body, lift_m))
    return ends[0], ends[1]


def _palm(who: int, name: str, person: PersonSpec, body: Posed) -> Anchor:
    left = name == "left_palm"
    palm = body.palms[0 if left else 1]
    out, fingers = palm[:3, 2], palm[:3, 1] * (-1 if left else 1)
    bone = BONES.index(f"wrist.{'L' if left else 'R'}")
    point = palm[:3, 3] - (SKIN_M - _HOLLOW_M) * out
    return _carried(who, bone, (point, out, fingers), person)


def _spot(who: int, own: Spot, person: PersonSpec, body: Posed, lift_m: float) -> Anchor:
    vertices = body.bare.vertices_m.astype(np.float64)
    out = normals_at(vertices, load_atlas().skin_faces, own.round).mean(axis=0)
    out /= np.linalg.norm(out)
    way = body.worn_m - vertices[own.vertex]
    along = way @ out
    aside = np.linalg.norm(way - along[:, None] * out, axis=1)
    over = along[(aside < _ASIDE_M) & (along > 0) & (along < _CLOTH_M)]
    point = vertices[own.vertex] + (_LIES_M + lift_m + float(over.max(initial=0.0))) * out
    return _carried(who, own.bone, (point, out, out), person)


def _carried(who: int, bone: int, at: tuple[F64, F64, F64], person: PersonSpec) -> Anchor:
    frames = own_frames(person)
    back = frames.turns[bone].T
    point, out, fingers = at
    return Anchor(
        who=who,
        bone=bone,
        point_m=back @ (point - frames.heads_m[bone]),
        out=back @ out,
        fingers=back @ fingers,
    )


# Spots -------------------------------------------------------------------------------------------

_NEAR_M = 0.02
_ROUND_M = 0.035
_FRONT, _BACK = (0.0, -1.0, 0.0), (0.0, 1.0, 0.0)
_TRUNK: dict[str, tuple[float, float, tuple[float, float, float]]] = {
    "chest": (0.74, 0.5, _FRONT),
    "blade": (0.72, 0.45, _BACK),
    "waist": (0.3, 0.0, (1.0, 0.0, 0.0)),
    "loin": (0.25, 0.35, _BACK),
    "upper_back": (0.8, 0.0, _BACK),
    "lower_back": (0.3, 0.0, _BACK),
}
"""Name -> height from the hips (0) to the shoulders (1), how far to the left as a share of half
the shoulders' width, and the way out."""
_MIDDLE = ("upper_back", "lower_back")
_ARM: dict[str, tuple[float, tuple[float, float, float]]] = {
    "shoulder": (0.08, (0.5, 0.0, 0.9)),
    "upper_arm": (0.5, (0.7, 0.0, 0.7)),
}
"""Name -> how far from the shoulder (0) to the elbow (1), and the way out."""
NAMES = (
    *_MIDDLE,
    *(f"{s}_{n}" for s in ("left", "right") for n in (*_TRUNK, *_ARM) if n not in _MIDDLE),
)


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A vertex of the skin, the bone that moves it most, and the skin about it."""

    vertex: int
    bone: int
    round: Intp  # (N,) vertices whose mean normal is the spot's


@functools.cache
def spot(name: str) -> Spot:
    atlas = load_atlas()
    points = atlas.template_m.astype(np.float64)
    origin, way, parts = _ray(name)
    own = np.isin(atlas.vertex_part, [PARTS.index(part) for part in parts])
    skin = atlas.skin[own[atlas.skin]]
    along = (points[skin] - origin) @ way
    off = np.linalg.norm(points[skin] - origin - along[:, None] * way, axis=1)
    # The outermost skin about the ray: under an arm-pit there is more than one.
    near = np.flatnonzero((along > 0) & (off < max(_NEAR_M, float(off[along > 0].min()) + 1e-3)))
    vertex = int(skin[near[int(along[near].argmax())]])
    round_about = skin[np.linalg.norm(points[skin] - points[vertex], axis=1) < _ROUND_M]
    bone = int(atlas.weights[[vertex]].toarray()[0].argmax())
    assert atlas.bone_names == BONES
    return Spot(vertex=vertex, bone=bone, round=round_about)


def _ray(name: str) -> tuple[F64, F64, tuple[str, ...]]:
    atlas = load_atlas()
    joints = atlas.joint_weights @ atlas.template_m.astype(np.float64)
    at = dict(zip(JOINTS, joints, strict=True))
    side, _, stem = name.partition("_")
    stem, sign = (name, 1.0) if name in _MIDDLE else (stem, 1.0 if side == "left" else -1.0)
    flip = np.array([sign, 1.0, 1.0])
    if stem in _TRUNK:
        share, aside, out = _TRUNK[stem]
        hips = (at["left_hip"] + at["right_hip"]) / 2
        neck = (at["left_shoulder"] + at["right_shoulder"]) / 2
        half = float(at["left_shoulder"][0] - at["right_shoulder"][0]) / 2
        origin = hips + share * (neck - hips) + np.array([sign * aside * half, 0.0, 0.0])
        return origin, flip * np.array(out), ("torso", "pelvis")
    share, out = _ARM[stem]
    shoulder, elbow = at[f"{side}_shoulder"], at[f"{side}_elbow"]
    way = flip * np.array(out)
    way /= np.linalg.norm(way)
    return shoulder + share * (elbow - shoulder), way, (f"{side}_upper_arm", "torso")


# Interactions ----------------------------------------------------------------------------------

FILE = "meetings.yaml"
_PALMS, _WHO = ("left_palm", "right_palm"), ("first", "second")


@functools.cache
def meetings() -> tuple[Interaction, ...]:
    """Return the meetings, sorted by name; RecipeError names an invalid entry."""
    text = files("synthstudio.body").joinpath(FILE).read_text(encoding="utf-8")
    return read_meetings(text, FILE)


def read_meetings(text: str, where: str) -> tuple[Interaction, ...]:
    """Read `meetings` from a YAML text. An entry has

      roles: who does what; of each `poses` it may begin with and angles as in poses.yaml
      second: {ahead_m, left_m, turn_deg}   where the second stands and faces, as the first sees it
      touches: [[first, right_palm, left_blade], [second, left_palm, left_palm, along], ...]
      apart_m: [least, greatest], stand: circle or line, most: 4    for meetings without touches
      looks: true           at one another; mirrored_ok: false
    RecipeError for names that are not known and angles outside the joint's limits.
    """
    entries = loaded(text, where)["meetings"]
    return tuple(_meeting(name, e, f"{where}: {name}") for name, e in sorted(entries.items()))


def _meeting(name: str, entry: dict[str, Any], where: str) -> Interaction:
    second = entry.get("second", {})
    values = {key: value for key, value in entry.items() if key != "second"} | {
        "name": name,
        "roles": [_role(role, where) for role in entry["roles"]],
        "touches": [_touch(touch, where) for touch in entry.get("touches", [])],
        "ahead_m": second.get("ahead_m", 0.0),
        "left_m": second.get("left_m", 0.0),
        "turn_rad": math.radians(second.get("turn_deg", 0.0)),
    }
    own = typed(Interaction, values, where)
    pair = own.stand == "pair"
    odd = set(values) - {field.name for field in dataclasses.fields(Interaction)}
    if odd or pair != (len(own.roles) == 2) or pair == ("apart_m" in entry):
        raise RecipeError(
            "not a meeting",
            where=where,
            expected="two roles and second, or one role, stand (circle or line) and apart_m",
            got=f"{len(own.roles)} roles, {own.stand}, {', '.join(sorted(odd)) or 'no other key'}",
        )
    return own


def _role(entry: dict[str, Any], where: str) -> Role:
    angles = {key: value for key, value in entry.items() if key != "poses"}
    return Role(poses=tuple(entry["poses"]), angles_rad=angles_of(angles, where, hands()))


def _touch(value: list[str], where: str) -> Touch:
    who, palm, on, *fingers = value
    if palm not in _PALMS or on not in (*_PALMS, *NAMES):
        raise RecipeError(
            "not a touch",
            where=where,
            expected=f"{' or '.join(_PALMS)} on one of {', '.join((*_PALMS, *NAMES))}",
            got=repr(value)[:80],
        )
    values = {"of": _WHO.index(who), "palm": palm, "on": on, "fingers": "".join(fingers)}
    return typed(Touch, values, where)
