"""Checks of one person: places, boxes, limbs, sides. Conservative: what is clean stays unnamed."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.camera import NEAR_M
from synthstudio.core.distortion import distorted
from synthstudio.quality.findings import Finding
from synthstudio.quality.subject import F64, Subject, flip_of

I64 = NDArray[np.int64]

_BONES = (
    ("shoulder", "elbow", 0.17),
    ("elbow", "wrist", 0.145),
    ("hip", "knee", 0.245),
    ("knee", "ankle", 0.245),
    ("ankle", "heel", 0.06),
    ("ankle", "big_toe", 0.12),
)
_ACROSS = (
    ("left_shoulder", "right_shoulder", 0.22),
    ("left_hip", "right_hip", 0.12),
    ("left_shoulder", "left_hip", 0.29),
    ("right_shoulder", "right_hip", 0.29),
    ("left_eye", "right_eye", 0.037),
    ("left_ear", "right_ear", 0.085),
)
# Shares of stature (Drillis and Contini 1966, rounded to joint centres), upper values: a bone
# seen at length l says that the body is at least l / share long in the picture.
LIMB_TIMES = 3.5
"""A bone this many times as long as the longest other one allows is impossible in 2D."""
SIDES_TIMES_3D = 1.5
"""A left bone this many times as long as its right twin is impossible in 3D."""
_SMALL = 0.13  # shorter bones (feet, face) differ more: their ends lie on the skin
_LEAST_SIN = 0.35  # a triangle flatter than this says nothing about which way it turns
_SURE_SIN = 0.7
_FAR_OF_BOX = 0.6  # of the box's diagonal, beyond it
_FAR_OF_AMODAL = 0.1
_ONE_POINT = 0.004  # of the box's diagonal
_PROJECTION_PX = 0.51
_EDGE_PX = 0.5


def check_person(s: Subject) -> Iterator[Finding]:
    """Yield what is wrong with one person's joints and box."""
    for check in _CHECKS:
        yield from check(s)


def keypoint_key(s: Subject) -> bytes | None:
    """Return what two people with the same keypoints share; None below three joints."""
    known = s.labelled
    if known.sum() < 3:
        return None
    return np.where(known[:, None], np.round(s.px * 100), -1).astype(np.int64).tobytes()


def _found(s: Subject, kind: str, what: str, joint: np.integer[Any] | int | None = None) -> Finding:
    number = None if joint is None else int(joint)
    name = "" if number is None else f"{s.skeleton.joints[number]} "
    return Finding(
        kind=kind, where=s.where, what=name + what, joint=number, image=s.image, person=s.person
    )


def _inside(s: Subject) -> Iterator[Finding]:
    """v against the image: the same half pixel of slack that COCO's pixel indices have."""
    out = np.maximum(-s.px, s.px - (s.width, s.height)).max(axis=1)
    for j in np.flatnonzero(s.labelled & (out > _EDGE_PX)):
        x, y = s.px[j]
        kind = "visible_outside" if s.state[j] == 2 else "hidden_outside"
        yield _found(s, kind, f"at ({x:.1f}, {y:.1f}), image {s.width} x {s.height}", j)


def _box(s: Subject) -> Iterator[Finding]:
    if s.box is None or (s.state == 0).all():
        return
    x, y, w, h = s.box
    if w <= 0 or h <= 0:
        if s.area or (s.state == 2).any():
            yield _found(s, "box_empty", f"box {w:g} x {h:g}")
        return
    slack = 2.0
    if x < -slack or y < -slack or x + w > s.width + slack or y + h > s.height + slack:
        yield _found(s, "box_outside", f"box {s.box}, image {s.width} x {s.height}")


def _far(s: Subject) -> Iterator[Finding]:
    """Joints against the box: the amodal one of a drawn body holds all of them.

    A box that somebody drew round what is seen is given more room. Before things were pasted
    that was the amodal one: the modal one may be a sliver now.
    """
    rules = [(s.amodal_box, _FAR_OF_AMODAL), (s.box, _FAR_OF_BOX)]
    if s.amodal_box is not None and not s.drawn:
        rules = [(s.amodal_box, _FAR_OF_BOX)]
    for box, share in rules:
        if box is None or box[2] <= 0 or box[3] <= 0:
            continue
        x, y, w, h = box
        room = share * math.hypot(w, h) + 4
        checked = s.labelled
        if box is s.box and s.amodal_box is not None:
            checked = s.state == 2  # a hidden joint may lie far from what is seen
        out = np.maximum((x, y) - s.px, s.px - (x + w, y + h)).max(axis=1)
        for j in np.flatnonzero(checked & (out > room))[:1]:
            yield _found(s, "joint_far", f"{out[j]:.0f} px outside its box", j)
            return


def _one_point(s: Subject) -> Iterator[Finding]:
    px = s.px[s.labelled]
    if len(px) < 4:
        return
    spread = float(np.ptp(px, axis=0).max())
    size = math.hypot(*s.box[2:]) if s.box else 0.0
    if spread <= max(1e-6, _ONE_POINT * size):
        yield _found(s, "joints_one_point", f"{len(px)} joints within {spread:.2f} px")


@dataclass(frozen=True)
class _Limbs:
    """B bones: joints `a` and `b` (B,), their share of stature, twin on the other side (B,).

    `apart` (B, B): whether two bones share no joint.
    """

    a: I64
    b: I64
    share: F64
    twin: I64
    apart: NDArray[np.bool_]


@functools.cache
def _limbs(joints: tuple[str, ...]) -> _Limbs:
    names = {name: j for j, name in enumerate(joints)}
    pairs = [(f"{s}_{a}", f"{s}_{b}", r) for a, b, r in _BONES for s in ("left", "right")]
    pairs += list(_ACROSS)
    have = [(names[a], names[b], r) for a, b, r in pairs if a in names and b in names]
    ends = np.array([(a, b) for a, b, _ in have], np.int64).reshape(-1, 2)
    flip = flip_of(joints)
    sets = [set(pair) for pair in ends.tolist()]
    twins = [{int(flip[a]), int(flip[b])} for a, b in ends]
    return _Limbs(
        a=ends[:, 0],
        b=ends[:, 1],
        share=np.array([r for _, _, r in have]),
        twin=np.array([sets.index(t) if t in sets else k for k, t in enumerate(twins)], np.int64),
        apart=np.array([[not x & y for y in sets] for x in sets], np.bool_).reshape(
            len(have), len(have)
        ),
    )


def _limb_2d(s: Subject) -> Iterator[Finding]:
    """Each bone says how long the body is at least; one that says far more than all is wrong.

    Only bones that share no joint with it are asked, and at least three of them.
    """
    limbs, known = _limbs(s.skeleton.known_as), s.labelled
    skeleton = known[limbs.a] & known[limbs.b]
    if skeleton.sum() < 4:
        return
    length = np.where(skeleton, np.hypot(*(s.px[limbs.a] - s.px[limbs.b]).T), 0.0)
    says = length / limbs.share
    others = limbs.apart & skeleton
    most = np.where(others, says, 0.0).max(axis=1)
    size = math.hypot(*s.box[2:]) if s.box else 0.0
    wrong = (
        skeleton & (others.sum(axis=1) >= 3) & (says > LIMB_TIMES * np.maximum(most, 0.75 * size))
    )
    if wrong.any():
        k = int(np.argmax(np.where(wrong, says, 0.0)))
        names = s.skeleton.joints
        sentence = f"{names[limbs.a[k]]} to {names[limbs.b[k]]} is {length[k]:.0f} px"
        limit = f"at most {most[k] * limbs.share[k]:.0f} by the rest of the body"
        yield _found(s, "limb_length", f"{sentence}, {limit}", limbs.b[k])


def _limb_3d(s: Subject) -> Iterator[Finding]:
    """In 3D a bone is as long as its twin on the other side and fits the rest of the body."""
    limbs = _limbs(s.skeleton.known_as)
    if s.camera_m is None or not len(limbs.a) or not np.isfinite(s.camera_m).all():
        return
    length = np.sqrt(((s.camera_m[limbs.a] - s.camera_m[limbs.b]) ** 2).sum(axis=1))
    median = float(np.median(length / limbs.share))
    times = np.where(limbs.share < _SMALL, 2.0, 1.0) * SIDES_TIMES_3D
    wrong = length > np.maximum(times * length[limbs.twin], 1e-3)
    wrong |= length > 1.5 * times * median * limbs.share
    if wrong.any():
        k = int(np.argmax(wrong))
        names = s.skeleton.joints
        sentence = f"{names[limbs.a[k]]} to {names[limbs.b[k]]} is {length[k]:.2f} m"
        yield _found(
            s, "limb_length", f"{sentence}, its twin {length[limbs.twin[k]]:.2f} m", limbs.b[k]
        )


def _projected(s: Subject) -> Iterator[Finding]:
    if s.camera_m is None or s.K is None:
        return
    z = s.camera_m[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        plane = s.camera_m[:, :2] / z[:, None]
        if s.distortion is not None:
            plane = distorted((s.distortion[0, 0], s.distortion[0, 1]), plane)
        px = plane @ s.K[:2, :2].T + s.K[:2, 2]
    error = np.where(s.labelled & (z >= NEAR_M), np.abs(px - s.px).max(axis=1), 0.0)
    j = int(np.nanargmax(error)) if np.isfinite(error).any() else 0
    if not error[j] <= _PROJECTION_PX:
        flip = s.skeleton.flip
        mirrored = np.where(s.labelled[:, None], px[flip] - s.px, 0.0)
        sides = flip != np.arange(len(flip))
        if sides.any() and np.nanmax(np.abs(mirrored[sides])) <= _PROJECTION_PX:
            yield _found(s, "swapped", "left joints are where the right ones are in 3D")
            return
        yield _found(s, "projection", f"{error[j]:.1f} px from its 3D joint", j)


def _swapped_3d(s: Subject) -> Iterator[Finding]:
    """A head is rigid: from the right ear to the left, up and to the nose turn one way.

    Over a body with left and right swapped they turn the other way.
    """
    if s.camera_m is None:
        return
    names = {name: j for j, name in enumerate(s.skeleton.known_as)}
    wanted = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
    if not all(name in names for name in wanted):
        return
    nose, left_eye, right_eye, left_ear, right_ear = (s.camera_m[names[n]] for n in wanted)
    side = (left_eye - right_eye) + (left_ear - right_ear)
    ears = (left_ear + right_ear) / 2
    up, forward = (left_eye + right_eye) / 2 - nose, nose - ears
    volume = float(np.cross(side, up) @ forward)
    size = float(np.prod([np.linalg.norm(v) for v in (side, up, forward)]))
    if size > 0 and volume < -0.2 * size:
        yield _found(s, "swapped", "in 3D, the head's left and right are swapped")


def _turn(side: F64, down: F64) -> float:
    """Return the sine from `side` to `down`: positive when seen from the front, any way up."""
    size = float(np.linalg.norm(side) * np.linalg.norm(down))
    return float(side[0] * down[1] - side[1] * down[0]) / size if size else 0.0


def _swapped_2d(s: Subject) -> Iterator[Finding]:
    """Nose and eyes in sight, yet face and trunk both as seen from behind: sides are swapped.

    A trunk seen from its side says nothing; then the face has to be sure.
    """
    names = {name: j for j, name in enumerate(s.skeleton.known_as)}
    wanted = (
        "nose",
        "left_eye",
        "right_eye",
        "left_shoulder",
        "right_shoulder",
        "left_hip",
        "right_hip",
    )
    if s.camera_m is not None or not all(name in names for name in wanted):
        return
    at = [names[n] for n in wanted]
    if not (s.state[at[:3]] == 2).all() or not s.labelled[at[3:5]].all():
        return
    nose, left_eye, right_eye, left_sh, right_sh, left_hip, right_hip = (s.px[j] for j in at)
    face = _turn(left_eye - right_eye, nose - (left_eye + right_eye) / 2)
    if s.labelled[at[5:]].all():
        down = (left_hip + right_hip - left_sh - right_sh) / 2
    else:  # no hips: shoulders lie below the eyes
        down = (left_sh + right_sh - left_eye - right_eye) / 2
    wide = float(np.linalg.norm(left_sh - right_sh)) > 0.35 * float(np.linalg.norm(down))
    trunk = _turn(left_sh - right_sh, down)
    if face < -_LEAST_SIN and (trunk < -_LEAST_SIN if wide else face < -_SURE_SIN):
        yield _found(
            s,
            "swapped",
            "the face is in sight, but its sides are those of a person seen from behind",
        )


_CHECKS: tuple[Callable[[Subject], Iterator[Finding]], ...] = (
    _inside,
    _box,
    _far,
    _one_point,
    _limb_2d,
    _limb_3d,
    _projected,
    _swapped_3d,
    _swapped_2d,
)
