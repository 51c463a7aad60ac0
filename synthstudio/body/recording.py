"""A recorded motion in the common form of all readers.

A reader is a plain function `(path) -> Motion`; `READERS` in body/motion.py lists them. Joints
are known by role (`hips`, `left_knee`, ...), axes are ours (x to the person's left, y back, z
up) and lengths are metres. Letters: F frames, J joints.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from synthstudio.core.arrays import F64
from synthstudio.core.errors import AssetError

MAX_FRAMES = 36_000  # five minutes at 120 a second
MAX_TURNS = 2_000_000  # frames times joints: 144 MB of rotations
FPS_RANGE = (1.0, 1000.0)
LEG_M = 0.85
"""Thigh and shin of a 1.73 m adult: 0.245 + 0.246 of stature (Winter 2009, after Drillis)."""
_MIN_LEG = 1e-6
_JUMP_RAD, _ENDS_S = np.radians(60), 0.1
_STRAY_RAD = np.radians(120)
"""Hands and toes have few markers: in CMU's walks they jump by 40 degrees within 1/120 s."""
_FASTEST, _FASTEST_ARM = np.radians(120_000), np.radians(400_000)
"""Above what joints reach in rad/s^2: a kick's knee comes to 2,000 degrees a second within 0.05 s,
a pitcher's shoulder to 7,000 within 0.03 s."""
_BACK = 0.8
"""Of what a joint turns in two steps, the least change between them that is a way back."""

_NEEDED = (
    "hips",
    "spine",
    "head",
    *(
        f"{side}_{joint}"
        for side in ("left", "right")
        for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
    ),
)
_MIDDLE = ("hips", "spine", "chest", "chest2", "neck", "head")
_LIMB = ("collar", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "toe")
# Role -> joint in the naming schemes of BVH files and of SMPL (AMASS); {0} is Left or Right.
# Case does not matter.
_SCHEMES: dict[str, tuple[str, ...]] = {
    "hip, knee, ankle": (
        "Hips", "lowerback", "Chest", "Chest2", "Neck", "Head",
        "{0}Collar", "{0}Shoulder", "{0}Elbow", "{0}Wrist",
        "{0}Hip", "{0}Knee", "{0}Ankle", "{0}Toe",
    ),
    "up leg, leg, foot": (
        "Hips", "LowerBack", "Spine", "Spine1", "Neck1", "Head",
        "{0}Shoulder", "{0}Arm", "{0}ForeArm", "{0}Hand",
        "{0}UpLeg", "{0}Leg", "{0}Foot", "{0}ToeBase",
    ),
    "Spine, Spine1, Spine2": (
        "Hips", "Spine", "Spine1", "Spine2", "Neck", "Head",
        "{0}Shoulder", "{0}Arm", "{0}ForeArm", "{0}Hand",
        "{0}UpLeg", "{0}Leg", "{0}Foot", "{0}ToeBase",
    ),
    "SMPL": (
        "pelvis", "spine1", "spine2", "spine3", "neck", "head",
        "{0}_collar", "{0}_shoulder", "{0}_elbow", "{0}_wrist",
        "{0}_hip", "{0}_knee", "{0}_ankle", "{0}_foot",
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion:
    """A recorded motion: a skeleton of its own and its turns, in our axes and metres.

    `rotations[f, j]` turns joint j against its parent, from a zero pose in which all axes are
    the world's; `root_m` is where the hips are. `roles` names joints as the body knows them.
    """

    joints: tuple[str, ...]
    parents: tuple[int, ...]  # (J,) -1 for the root, which comes first
    offsets_m: F64  # (J, 3) from the parent in the zero pose
    rotations: F64  # (F, J, 3, 3)
    root_m: F64  # (F, 3)
    fps: float
    roles: dict[str, int]

    @property
    def frames(self) -> int:
        return len(self.root_m)

    @property
    def seconds(self) -> float:
        return (self.frames - 1) / self.fps

    def turns(self) -> F64:
        """Return (F, J, 3, 3): each joint's whole turn from the zero pose."""
        return whole_turns(self.rotations, self.parents)

    def places_m(self) -> F64:
        """Return (F, J, 3) where the joints are."""
        return joints_m(self.turns(), self.parents, self.offsets_m, self.root_m)

    @property
    def leg_m(self) -> float:
        """Return the length of thigh and shin, the mean of both legs."""
        return _leg(self.offsets_m, self.roles)


def whole_turns(rotations: F64, parents: tuple[int, ...]) -> F64:
    """(..., J, 3, 3) turns of joints from the zero pose, given those against their parents."""
    out = rotations.copy()
    for joint, parent in enumerate(parents):
        if parent >= 0:
            out[..., joint, :, :] = out[..., parent, :, :] @ rotations[..., joint, :, :]
    return out


def joints_m(turns: F64, parents: tuple[int, ...], offsets_m: F64, root_m: F64 | float) -> F64:
    """(F, J, 3) where joints are, by their parents' whole turns and offsets (J, 3) from these."""
    out = np.empty((*turns.shape[:2], 3))
    for joint, parent in enumerate(parents):
        if parent < 0:
            out[:, joint] = root_m
        else:
            out[:, joint] = out[:, parent] + turns[:, parent] @ offsets_m[joint]
    return out


def recorded(
    *,
    joints: tuple[str, ...],
    parents: tuple[int, ...],
    offsets: F64,
    rotations: F64,
    root: F64,
    fps: float,
    where: str,
    at: Callable[[int], str],
) -> Motion:
    """Return a motion given in a file's own axes and unit, brought into ours.

    The axes are read off the zero pose (which way are the legs, which side is left), the unit
    off the legs' length: files do not say them. AssetError names the joints that an unknown
    skeleton lacks, says that legs have no length or the zero pose does not stand, or names the
    frame to which a joint jumps as none can: `at` says where in the file a frame (from 0) is.
    """
    roles = roles_of(joints, where=where)
    leg = _leg(offsets, roles)
    if not leg > _MIN_LEG:
        raise AssetError(
            "the legs have no length",
            where=where,
            expected="offsets of knee and ankle",
            got=f"{leg:g}",
            then="Export the skeleton with its offsets.",
        )
    basis = _basis(parents, offsets, roles, where)
    used = _without_test_pose(rotations[:, sorted(roles.values())], fps)
    rotations, root = rotations[used], root[used]
    if (jump := _first_jump(parents, roles, rotations, fps)) is not None:
        joint, at_frame, turn_rad, count = jump
        frame = at_frame + (used.start or 0)
        raise AssetError(
            "implausible jump of a joint",
            where=at(frame),
            expected="frames that a person can follow (turns by whole multiples of 360 degrees "
            "are the same pose and do no harm)",
            got=f"{joints[joint]} turns {np.degrees(turn_rad):.0f} degrees within "
            f"{1 / fps:.3g} s before frame {frame + 1}; jumps in the whole file: {count}",
            then="Mend those frames, cut the recording there, or take the file out of the folder.",
        )
    scale = LEG_M / leg
    return Motion(
        joints=joints,
        parents=parents,
        offsets_m=scale * offsets @ basis.T,
        rotations=basis @ rotations @ basis.T,
        root_m=scale * root @ basis.T,
        fps=fps,
        roles=roles,
    )


def roles_of(joints: tuple[str, ...], *, where: str) -> dict[str, int]:
    """Return role -> joint; AssetError with the missing names of the best naming scheme."""
    at = {name.rpartition(":")[2].lower(): place for place, name in reversed([*enumerate(joints)])}
    lacking: list[tuple[int, str, list[str]]] = []
    for scheme, names in _SCHEMES.items():
        called = dict(zip(_MIDDLE, names[:6], strict=True))
        for side in ("Left", "Right"):
            for role, name in zip(_LIMB, names[6:], strict=True):
                called[f"{side.lower()}_{role}"] = name.format(side)
        missing = [called[role] for role in _NEEDED if called[role].lower() not in at]
        if not missing:
            return {role: at[n.lower()] for role, n in called.items() if n.lower() in at}
        lacking.append((len(missing), scheme, missing))
    _, scheme, missing = min(lacking)
    raise AssetError(
        "unknown skeleton: its joints are not recognised by name",
        where=where,
        expected=f"joints named as in one of {len(_SCHEMES)} schemes; of the nearest ({scheme})"
        f" it lacks {', '.join(missing[:16])}",
        got=", ".join(joints[:40])[:300],
        then="Rename the joints in the file.",
    )


def mirrored(motion: Motion) -> Motion:
    """Return the mirror image: left and right change places, paths turn the other way."""
    flip = np.array([-1.0, 1.0, 1.0])
    swap = {"left": "right", "right": "left"}
    roles = {}
    for role, joint in motion.roles.items():
        side, _, rest = role.partition("_")
        roles[f"{swap[side]}_{rest}" if side in swap else role] = joint
    return replace(
        motion,
        offsets_m=motion.offsets_m * flip,
        rotations=motion.rotations * flip[:, None] * flip,
        root_m=motion.root_m * flip,
        roles=roles,
    )


def _without_test_pose(rotations: F64, fps: float) -> slice:
    """The frames of (F, joints, 3, 3) between impossible jumps near its ends, often of a T-pose."""
    traces = np.einsum("fjab,fjab->fj", rotations[1:], rotations[:-1])
    jumps = np.flatnonzero((traces < 1 + 2 * np.cos(_JUMP_RAD)).any(axis=1))
    near = max(1, round(_ENDS_S * fps))
    first = max((int(j) + 1 for j in jumps if j < near), default=0)
    last = min(
        (int(j) + 1 for j in jumps if j >= len(rotations) - 1 - near), default=len(rotations)
    )
    return slice(first, last) if last > first else slice(None)


def _first_jump(
    parents: tuple[int, ...], roles: dict[str, int], rotations: F64, fps: float
) -> tuple[int, int, float, int] | None:
    """The first jump of (F, J, 3, 3) that no joint can make, of those the body follows: its joint,
    the frame before which it turns, by how much in radians, and the number of jumps.

    Turns are judged, so what an angle's number is does not matter. One counts if it is large in
    itself and its change from the turn before or after it is beyond what muscles can do.
    """
    found: list[tuple[int, int, float]] = []
    role_of = {joint: role.rpartition("_")[2] for role, joint in roles.items()}
    for joint in sorted(_followed(parents, roles)):
        own, role = rotations[:, joint], role_of.get(joint, "")
        step = Rotation.from_matrix(np.swapaxes(own[:-1], 1, 2) @ own[1:]).as_rotvec()
        turn = np.linalg.norm(step, axis=1)
        change = np.linalg.norm(np.diff(step, axis=0), axis=1)
        both = np.minimum(turn[:-1], turn[1:])
        back = (both > _JUMP_RAD) & (change > _BACK * (turn[:-1] + turn[1:]))
        maximum = np.where(back, _FASTEST, _FASTEST_ARM if role == "shoulder" else _FASTEST)
        sudden = np.zeros(len(turn) + 1, bool)  # between each turn and the next
        sudden[1:-1] = change * fps**2 > maximum
        large = turn > (_STRAY_RAD if role in ("wrist", "toe") else _JUMP_RAD)
        jumps = np.flatnonzero(large & (sudden[1:] | sudden[:-1]))
        found += [(int(k) + 1, joint, float(turn[k])) for k in jumps]
    if not found:
        return None
    frame, joint, turn_rad = min(found)
    return joint, frame, turn_rad, len(found)


def _followed(parents: tuple[int, ...], roles: dict[str, int]) -> set[int]:
    """The joints with a role, and those that they hang from."""
    out: set[int] = set()
    for joint in roles.values():
        while joint >= 0 and joint not in out:
            out.add(joint)
            joint = parents[joint]
    return out


def _leg(offsets: F64, roles: dict[str, int]) -> float:
    bones = [f"{side}_{joint}" for side in ("left", "right") for joint in ("knee", "ankle")]
    return float(sum(np.linalg.norm(offsets[roles[bone]]) for bone in bones) / 2)


def _basis(parents: tuple[int, ...], offsets: F64, roles: dict[str, int], where: str) -> F64:
    """The (3, 3) signed permutation that takes the file's axes to ours."""
    places = np.zeros_like(offsets)
    for joint, parent in enumerate(parents):
        if parent >= 0:
            places[joint] = places[parent] + offsets[joint]
    left, right = (
        places[[roles[f"{side}_hip"], roles[f"{side}_ankle"]]] for side in ("left", "right")
    )
    up = _axis(left[0] + right[0] - left[1] - right[1])
    across = _axis(left[0] - right[0])
    if abs(up @ across) > 0:
        raise AssetError(
            "the zero pose is not standing: up and sideways are undefined",
            where=where,
            expected="offsets of a person with its legs below its hips",
        )
    return np.stack([across, np.cross(up, across), up])


def _axis(along: F64) -> F64:
    out = np.zeros(3)
    place = int(np.argmax(np.abs(along)))
    out[place] = np.copysign(1.0, along[place])
    return out
