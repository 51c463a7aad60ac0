"""Spots of the body where another person's hand may lie, as vertices of the skin."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthstudio.body.atlas import load_atlas
from synthstudio.body.poses import BONES
from synthstudio.core.scene import F64, PARTS
from synthstudio.core.skeleton import JOINTS

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
    round: NDArray[np.intp]  # (N,) vertices whose mean normal is the spot's


@functools.cache
def spot(name: str) -> Spot:
    atlas = load_atlas()
    points = atlas.template_m.astype(np.float64)
    origin, way, parts = _ray(name)
    own = np.isin(atlas.vertex_part, [PARTS.index(part) for part in parts])
    skin = np.unique(atlas.body_faces[atlas.skin_face])
    skin = skin[own[skin]]
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
    """Return a spot's ray, and the parts whose skin it may meet."""
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
