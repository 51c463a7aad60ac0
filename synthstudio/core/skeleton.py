"""Skeletons: joints, edges, flips, sigmas and the anatomical place of each joint.

`SKELETONS` can be drawn and labelled; `FOREIGN` are those of other data sets, which rows are
converted to and imported with (formats/joints.py). Others are custom skeletons,
defined in the data set (own_skeletons.py); `get_skeleton` resolves all of them.
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
    both,
    joint_kind,
)

__all__ = ["COLOURS", "FOREIGN", "JOINTS", "SKELETONS", "Skeleton", "get_skeleton"]


def _left(*kinds: str) -> tuple[str, ...]:
    return tuple(f"left_{kind}" for kind in kinds)


def _right(*kinds: str) -> tuple[str, ...]:
    return tuple(f"right_{kind}" for kind in kinds)


_FOOT = ("big_toe", "small_toe", "heel")
_FEET = _left(*_FOOT) + _right(*_FOOT)
_ARM = ("shoulder", "elbow", "wrist")
_LEG = ("hip", "knee", "ankle")
_ABOVE = {
    "ear": "eye", "shoulder": "ear", "elbow": "shoulder", "wrist": "elbow", "hip": "shoulder",
    "knee": "hip", "ankle": "knee", **dict.fromkeys(_FOOT, "ankle"),
}  # fmt: skip
_LIMBS = {
    f"{side}_{kind}": f"{side}_{parent}"
    for kind, parent in _ABOVE.items()
    for side in ("left", "right")
}
_PARENTS = {**dict.fromkeys(both("eye"), "nose"), **_LIMBS}
# Edges drawn in addition to those to parents: COCO's own skeleton has these too.
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
    """`undrawn`: joint -> a parent without an edge."""
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
        places=tuple(_PLACES[joint_kind(j)] for j in joints),
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
"""All joints of SKELETONS, each once: those that the body models."""

# A trunk or head joint takes the sigma of the joints it is near.
_SIGMAS = SIGMAS | dict.fromkeys(("pelvis", "spine"), SIGMAS["hip"])
_SIGMAS |= dict.fromkeys(("thorax", "neck", "upper_neck", "head_top"), SIGMAS["shoulder"])
_BY_KIND = "COCO's for limbs; trunk and head as the nearest limb joint's (CrowdPose's choice)"


def _foreign(name: str, joints: tuple[str, ...], trunk: dict[str, str]) -> Skeleton:
    limbs = {j: p for j, p in _LIMBS.items() if j.endswith((*_ARM[1:], *_LEG[1:]))}
    sigmas = tuple(_SIGMAS[joint_kind(j)] for j in joints)
    return _make(name, joints, sigmas, _BY_KIND, parents=limbs | trunk, cross=())


_FROM_NECK = {"head_top": "neck", **dict.fromkeys(both("shoulder", "hip"), "neck")}
_FROM_PELVIS = dict.fromkeys(both("hip"), "pelvis") | dict.fromkeys(both("shoulder"), "thorax")
_LEGS_ACROSS = _right(*reversed(_LEG)) + _left(*_LEG)
_ARMS_ACROSS = _right(*reversed(_ARM)) + _left(*_ARM)
_COLUMN = ("spine", "thorax", "nose", "head_top")  # each hangs on the one before
_FACE = ("right_ear", "left_ear", "nose", "right_eye", "left_eye")

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
    "crowdpose14": _foreign("crowdpose14", (*both(*_ARM, *_LEG), "head_top", "neck"), _FROM_NECK),
    "mpii16": _foreign(
        "mpii16",
        (*_LEGS_ACROSS, "pelvis", "thorax", "upper_neck", "head_top", *_ARMS_ACROSS),
        {"thorax": "pelvis", "upper_neck": "thorax", "head_top": "upper_neck", **_FROM_PELVIS},
    ),
    "ochuman19": _foreign(
        "ochuman19",
        (*_right(*_ARM), *_left(*_ARM), *_right(*_LEG), *_left(*_LEG), "head_top", "neck", *_FACE),
        {**_FROM_NECK, "nose": "neck", **{j: _PARENTS[j] for j in both("eye", "ear")}},
    ),
    "lsp14": _foreign("lsp14", (*_LEGS_ACROSS, *_ARMS_ACROSS, "neck", "head_top"), _FROM_NECK),
    "h36m17": _foreign(
        "h36m17",
        ("pelvis", *_right(*_LEG), *_left(*_LEG), *_COLUMN, *_left(*_ARM), *_right(*_ARM)),
        dict(zip(_COLUMN, ("pelvis", *_COLUMN), strict=False)) | _FROM_PELVIS,
    ),
}


def get_skeleton(name: str) -> Skeleton:
    """The built-in skeleton of that name, or the custom one of that definition; RecipeError."""
    if is_own(name):
        return parse_own(name)
    found = SKELETONS.get(name) or FOREIGN.get(name)
    if found is None:
        known = " or ".join([*SKELETONS, *FOREIGN])
        raise RecipeError("unknown skeleton", where="skeleton", expected=known, got=name[:80])
    return found
