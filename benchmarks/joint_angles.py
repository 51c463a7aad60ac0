"""Anatomical angles read back from a motion's turns: what limits of joints are checked against."""

import math
from collections.abc import Callable

import numpy as np
from scipy.spatial.transform import Rotation

from synthstudio.body.motion import neutral_turns
from synthstudio.body.poses import BONES, LIMITS_RAD, PARENTS, rhythm_rad
from synthstudio.core.spec import BoneTurn


def angles_of(turns: tuple[BoneTurn, ...]) -> dict[str, float]:
    """Return the anatomical angles (names: body/poses.py) of what a motion turns, radians.

    Hinges are read along their own axis; a spine's or a neck's bones are taken together. Fingers
    are not told, nor the root, which no joint limits.
    """
    neutral, given = neutral_turns(), {turn.bone: turn.turn_rad for turn in turns}

    def plain(*bones: str) -> Rotation:
        """Return the product of bones' turns about plain axes: A = D0_parent L D0_b^T."""
        out = np.eye(3)
        for bone in bones:
            place = BONES.index(bone)
            if bone in given:
                own = Rotation.from_rotvec(given[bone]).as_matrix()
                out = out @ neutral[PARENTS[place]] @ own @ neutral[place].T
        return Rotation.from_matrix(out)

    out: dict[str, float] = {}
    for stem, bones in (
        ("spine", ("spine04", "spine03", "spine02", "spine01")),
        ("neck", ("neck01", "neck02", "head")),
    ):
        turn, flexion, side = plain(*bones).as_euler("ZXY")
        out |= {f"{stem}_flexion": flexion, f"{stem}_side_bend": side, f"{stem}_turn": turn}
    for side, s in (("left", "L"), ("right", "R")):
        own = _limb_angles(plain, 1.0 if s == "L" else -1.0, s)
        out |= {f"{side}_{name}": angle for name, angle in own.items()}
    return {name: float(angle) for name, angle in sorted(out.items())}


def _limb_angles(plain: Callable[..., Rotation], m: float, s: str) -> dict[str, float]:
    out = _ball("hip", plain(f"upperleg01.{s}"), m)
    out["knee_flexion"] = plain(f"lowerleg01.{s}").as_euler("XYZ")[0]
    out["ankle_flexion"] = -plain(f"foot.{s}").as_euler("XYZ")[0]
    out["toe_extension"] = -plain(f"toe1-1.{s}").as_euler("XYZ")[0]
    full = plain(f"clavicle.{s}", f"upperarm01.{s}")
    raised = math.acos(min(1.0, max(-1.0, full.as_matrix()[2, 2])))
    protraction, lift, _ = plain(f"clavicle.{s}").as_euler("ZYX")
    out["clavicle_protraction"] = -m * protraction
    out["clavicle_elevation"] = -m * lift - rhythm_rad(raised) if lift else 0.0
    out |= _ball("shoulder", full, m)
    out["elbow_flexion"] = -plain(f"lowerarm01.{s}").as_euler("XYZ")[0]
    twist = plain(f"lowerarm02.{s}").as_euler("ZYX")[0]
    more, flexion, deviation = plain(f"wrist.{s}").as_euler("ZYX")
    out["forearm_pronation"] = -m * (twist + more)
    return out | {"wrist_flexion": m * flexion, "wrist_deviation": -deviation}


def _ball(joint: str, turn: Rotation, m: float) -> dict[str, float]:
    """Return a hip's or shoulder's angles; of the two sets that mean the same, the likelier."""
    y, x, z = turn.as_euler("YXZ")
    sets = []
    for rotated in ((y, x, z), (y + math.pi, math.pi - x, z + math.pi)):
        a, b, c = ((t + math.pi) % (2 * math.pi) - math.pi for t in rotated)
        own = {"abduction": -m * a, "flexion": -b, "rotation": -m * c}
        sets.append({f"{joint}_{name}": angle for name, angle in own.items()})
    return min(sets, key=lambda own: _excess({f"left_{n}": v for n, v in own.items()}))


def limit_excess_rad(turns: tuple[BoneTurn, ...]) -> float:
    """Return how far the worst joint lies beyond body.poses.LIMITS_RAD; 0 inside all limits."""
    return _excess(angles_of(turns))


def _excess(angles: dict[str, float]) -> float:
    return max(
        (max(LIMITS_RAD[n][0] - a, a - LIMITS_RAD[n][1], 0.0) for n, a in angles.items()),
        default=0.0,
    )
