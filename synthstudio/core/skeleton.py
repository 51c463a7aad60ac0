"""Skeletons are data: joints, how they connect, flips, sigmas and where each joint lies.

`SKELETONS` can be drawn and labelled; `FOREIGN` are those of other data sets, which rows are
converted to and imported with (formats/joints.py). Whoever needs others makes their own, which
are values that data sets carry (own_skeletons.py); `get_skeleton` resolves all of them.
"""

from __future__ import annotations

import numpy as np

from synthstudio.core import whole_body
from synthstudio.core.errors import RecipeError
from synthstudio.core.own_skeletons import is_own, parse_own
from synthstudio.core.skeleton_value import (
    COCO17,
    COCO_SIGMAS,
    COCO_SOURCE,
    COLOURS,
    SIGMAS,
    Skeleton,
    joint_kind,
)

__all__ = ["COLOURS", "FOREIGN", "JOINTS", "SKELETONS", "Skeleton", "get_skeleton"]

_FEET = (
    "left_big_toe",
    "left_small_toe",
    "left_heel",
    "right_big_toe",
    "right_small_toe",
    "right_heel",
)
_PARENTS = {
    "left_eye": "nose",
    "right_eye": "nose",
    "left_ear": "left_eye",
    "right_ear": "right_eye",
    "left_shoulder": "left_ear",
    "right_shoulder": "right_ear",
    "left_elbow": "left_shoulder",
    "right_elbow": "right_shoulder",
    "left_wrist": "left_elbow",
    "right_wrist": "right_elbow",
    "left_hip": "left_shoulder",
    "right_hip": "right_shoulder",
    "left_knee": "left_hip",
    "right_knee": "right_hip",
    "left_ankle": "left_knee",
    "right_ankle": "right_knee",
    "left_big_toe": "left_ankle",
    "left_small_toe": "left_ankle",
    "left_heel": "left_ankle",
    "right_big_toe": "right_ankle",
    "right_small_toe": "right_ankle",
    "right_heel": "right_ankle",
}
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
    "pelvis": "between the hip joints",
    "spine": "half way from the pelvis to the thorax",
    "thorax": "between the shoulder joints",
    "neck": "base of the neck",
    "upper_neck": "where the neck meets the head",
    "head_top": "crown of the head",
} | whole_body.places()
_FOOT_SIGMAS = (0.068, 0.066, 0.066, 0.092, 0.094, 0.094)


def _pairs(joints: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    return tuple(
        (j, joints.index("right_" + name.removeprefix("left_")))
        for j, name in enumerate(joints)
        if name.startswith("left_")
    )


def _make(
    name: str,
    joints: tuple[str, ...],
    sigmas: tuple[float, ...],
    source: str,
    *,
    parents: dict[str, str] = _PARENTS,
    cross: tuple[tuple[str, str], ...] = _CROSS,
    undrawn: dict[str, str] | None = None,
) -> Skeleton:
    """`undrawn`: joint -> a parent that no line is drawn to."""

    def place(joint: str) -> str:
        return _PLACES[joint.removeprefix("left_").removeprefix("right_")]

    hung = undrawn or {}
    up = tuple((j, (parents | hung)[j]) for j in joints if j in parents or j in hung)
    pairs = [(parent, j) for j, parent in up if j not in hung] + list(cross)
    return Skeleton(
        name=name,
        title=name,
        joints=joints,
        up=up,
        pairs=_pairs(joints),
        known_as=joints,
        sigmas=np.array(sigmas),
        sigma_source=source,
        places=tuple(place(j) for j in joints),
        edges=tuple((joints.index(a), joints.index(b)) for a, b in pairs),
    )


SKELETONS = {
    "coco17": _make("coco17", COCO17, COCO_SIGMAS, COCO_SOURCE),
    "coco23": _make(
        "coco23",
        COCO17 + _FEET,
        COCO_SIGMAS + _FOOT_SIGMAS,
        COCO_SOURCE + "; feet: COCO-WholeBody (Jin et al. 2020)",
    ),
    "coco133": _make(
        "coco133",
        COCO17 + _FEET + whole_body.FACE + whole_body.LEFT_HAND + whole_body.RIGHT_HAND,
        COCO_SIGMAS + _FOOT_SIGMAS + whole_body.FACE_SIGMAS + 2 * whole_body.HAND_SIGMAS,
        "COCO-WholeBody (Jin et al. 2020), evaluation/myeval_wholebody.py",
        parents=_PARENTS | whole_body.parents(),
        cross=_CROSS + whole_body.closing(),
        undrawn=dict.fromkeys(whole_body.FACE_ROOTS, "nose"),
    ),
}
JOINTS = tuple(dict.fromkeys(name for each in SKELETONS.values() for name in each.joints))
"""All joints of SKELETONS, each once: what the body has places and patches for."""

# A trunk or head joint takes the sigma of the joints it is near.
_SIGMAS = SIGMAS | dict.fromkeys(("pelvis", "spine"), SIGMAS["hip"])
_SIGMAS |= dict.fromkeys(("thorax", "neck", "upper_neck", "head_top"), SIGMAS["shoulder"])
_BY_KIND = "COCO's for limbs; trunk and head as the nearest limb joint's (CrowdPose's choice)"
_LEGS = {
    "left_knee": "left_hip",
    "right_knee": "right_hip",
    "left_ankle": "left_knee",
    "right_ankle": "right_knee",
}


def _foreign(name: str, joints: tuple[str, ...], trunk: dict[str, str]) -> Skeleton:
    arms = {j: p for j, p in _PARENTS.items() if j.endswith(("elbow", "wrist"))}
    sigmas = tuple(_SIGMAS[joint_kind(j)] for j in joints)
    return _make(name, joints, sigmas, _BY_KIND, parents=_LEGS | arms | trunk, cross=())


def _both(joint: str, parent: str) -> dict[str, str]:
    return {f"left_{joint}": parent, f"right_{joint}": parent}


_FROM_NECK = {"head_top": "neck", **_both("shoulder", "neck"), **_both("hip", "neck")}

FOREIGN = {
    "body12": _foreign(
        "body12",
        COCO17[5:],
        {
            "right_shoulder": "left_shoulder",
            "left_hip": "left_shoulder",
            "right_hip": "right_shoulder",
        },
    ),
    "crowdpose14": _foreign(
        "crowdpose14",
        (
            "left_shoulder",
            "right_shoulder",
            "left_elbow",
            "right_elbow",
            "left_wrist",
            "right_wrist",
            "left_hip",
            "right_hip",
            "left_knee",
            "right_knee",
            "left_ankle",
            "right_ankle",
            "head_top",
            "neck",
        ),
        _FROM_NECK,
    ),
    "mpii16": _foreign(
        "mpii16",
        (
            "right_ankle",
            "right_knee",
            "right_hip",
            "left_hip",
            "left_knee",
            "left_ankle",
            "pelvis",
            "thorax",
            "upper_neck",
            "head_top",
            "right_wrist",
            "right_elbow",
            "right_shoulder",
            "left_shoulder",
            "left_elbow",
            "left_wrist",
        ),
        {
            "thorax": "pelvis",
            "upper_neck": "thorax",
            "head_top": "upper_neck",
            **_both("hip", "pelvis"),
            **_both("shoulder", "thorax"),
        },
    ),
    "ochuman19": _foreign(
        "ochuman19",
        (
            "right_shoulder",
            "right_elbow",
            "right_wrist",
            "left_shoulder",
            "left_elbow",
            "left_wrist",
            "right_hip",
            "right_knee",
            "right_ankle",
            "left_hip",
            "left_knee",
            "left_ankle",
            "head_top",
            "neck",
            "right_ear",
            "left_ear",
            "nose",
            "right_eye",
            "left_eye",
        ),
        {
            **_FROM_NECK,
            "nose": "neck",
            **{j: p for j, p in _PARENTS.items() if j.endswith(("_eye", "_ear"))},
        },
    ),
    "lsp14": _foreign(
        "lsp14",
        (
            "right_ankle",
            "right_knee",
            "right_hip",
            "left_hip",
            "left_knee",
            "left_ankle",
            "right_wrist",
            "right_elbow",
            "right_shoulder",
            "left_shoulder",
            "left_elbow",
            "left_wrist",
            "neck",
            "head_top",
        ),
        _FROM_NECK,
    ),
    "h36m17": _foreign(
        "h36m17",
        (
            "pelvis",
            "right_hip",
            "right_knee",
            "right_ankle",
            "left_hip",
            "left_knee",
            "left_ankle",
            "spine",
            "thorax",
            "nose",
            "head_top",
            "left_shoulder",
            "left_elbow",
            "left_wrist",
            "right_shoulder",
            "right_elbow",
            "right_wrist",
        ),
        {
            "spine": "pelvis",
            "thorax": "spine",
            "nose": "thorax",
            "head_top": "nose",
            **_both("hip", "pelvis"),
            **_both("shoulder", "thorax"),
        },
    ),
}


def get_skeleton(name: str) -> Skeleton:
    """The skeleton of that name, or the own one whose definition it is; RecipeError for no such."""
    if is_own(name):
        return parse_own(name)
    found = SKELETONS.get(name) or FOREIGN.get(name)
    if found is None:
        known = " or ".join([*SKELETONS, *FOREIGN])
        raise RecipeError("unknown skeleton", where="skeleton", expected=known, got=name[:80])
    return found
