"""Skeletons are data: joints, how they connect, flips, sigmas and where each joint lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import RecipeError, explain

_COCO17 = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
_FEET = (
    "left_big_toe", "left_small_toe", "left_heel",
    "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip
_PARENTS = {
    "left_eye": "nose", "right_eye": "nose", "left_ear": "left_eye", "right_ear": "right_eye",
    "left_shoulder": "left_ear", "right_shoulder": "right_ear",
    "left_elbow": "left_shoulder", "right_elbow": "right_shoulder",
    "left_wrist": "left_elbow", "right_wrist": "right_elbow",
    "left_hip": "left_shoulder", "right_hip": "right_shoulder",
    "left_knee": "left_hip", "right_knee": "right_hip",
    "left_ankle": "left_knee", "right_ankle": "right_knee",
    "left_big_toe": "left_ankle", "left_small_toe": "left_ankle", "left_heel": "left_ankle",
    "right_big_toe": "right_ankle", "right_small_toe": "right_ankle", "right_heel": "right_ankle",
}  # fmt: skip
# The bones that are drawn besides the parents: COCO's own skeleton has these too.
_CROSS = (("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"), ("left_eye", "right_eye"))
_PLACES = {
    "nose": "tip of the nose",
    "eye": "centre of the eyeball's front",
    "ear": "tragus of the ear",
    "shoulder": "centre of the glenohumeral joint",
    "elbow": "centre of the elbow joint, between the epicondyles",
    "wrist": "centre of the wrist joint",
    "hip": "centre of the femoral head",
    "knee": "centre of the knee joint",
    "ankle": "centre of the ankle joint, between the malleoli",
    "big_toe": "tip of the big toe",
    "small_toe": "tip of the small toe",
    "heel": "back of the heel",
}
_COCO_SIGMAS = (
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072,
    0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
)  # fmt: skip
_FOOT_SIGMAS = (0.068, 0.066, 0.066, 0.092, 0.094, 0.094)


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """A named set of joints."""

    name: str
    joints: tuple[str, ...]
    sigmas: NDArray[np.float64]  # (J,) OKS constants
    sigma_source: str
    places: tuple[str, ...]  # where each joint lies anatomically
    bones: tuple[tuple[int, int], ...]  # pairs of joint numbers, for drawing and COCO

    @property
    def flip(self) -> NDArray[np.int64]:
        """Return (J,) the joint that each joint becomes in a mirror."""
        return np.array([self.joints.index(_mirror(name)) for name in self.joints])

    @property
    def parents(self) -> tuple[int | None, ...]:
        """Return the parent of each joint; None for the root."""
        names = (_PARENTS.get(name) for name in self.joints)
        return tuple(None if name is None else self.joints.index(name) for name in names)

    @property
    def sides(self) -> tuple[str, ...]:
        """Return "left", "right" or "middle" for each joint: left and right differ in colour."""
        return tuple(
            "left" if n.startswith("left_") else "right" if n.startswith("right_") else "middle"
            for n in self.joints
        )


COLOURS = {"left": (255, 140, 26), "right": (40, 140, 255), "middle": (240, 240, 240)}
"""sRGB by side, told apart by every common kind of colour vision."""


def _mirror(name: str) -> str:
    if name.startswith("left_"):
        return "right_" + name[5:]
    return "left_" + name[6:] if name.startswith("right_") else name


def _make(name: str, joints: tuple[str, ...], sigmas: tuple[float, ...], source: str) -> Skeleton:
    def place(joint: str) -> str:
        return _PLACES[joint.removeprefix("left_").removeprefix("right_")]

    pairs = [(_PARENTS[j], j) for j in joints if j in _PARENTS] + list(_CROSS)
    return Skeleton(
        name=name,
        joints=joints,
        sigmas=np.array(sigmas),
        sigma_source=source,
        places=tuple(place(j) for j in joints),
        bones=tuple((joints.index(a), joints.index(b)) for a, b in pairs),
    )


_SOURCE = "COCO keypoint evaluation (cocodataset.org/#keypoints-eval)"
SKELETONS = {
    "coco17": _make("coco17", _COCO17, _COCO_SIGMAS, _SOURCE),
    "coco23": _make(
        "coco23",
        _COCO17 + _FEET,
        _COCO_SIGMAS + _FOOT_SIGMAS,
        _SOURCE + "; feet: COCO-WholeBody (Jin et al. 2020)",
    ),
}


def skeleton(name: str) -> Skeleton:
    """Return the skeleton of that name; RecipeError if there is none."""
    if name not in SKELETONS:
        raise RecipeError(
            explain("unknown skeleton", where="skeleton", expected=" or ".join(SKELETONS), got=name)
        )
    return SKELETONS[name]
