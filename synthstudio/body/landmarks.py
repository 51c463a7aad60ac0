"""Kinds of joints: the bones that carry them and the surface that shows them; and where the joints
of faces and hands lie on the mesh.

Every joint is a weighted mean of vertices, as the body's are, so it goes with phenotype, pose and
expression; where lids or lips are shut it is put on the line that is seen. A hand's joints are the
middles of the cubes that MakeHuman's rig hangs its bones on: exactly the heads of the finger bones,
in every pose. A face's points were picked by eye on the edge loops of the mesh, on the left; the
right ones are their mirror images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from synthstudio.core.arrays import F32, F64, I32
from synthstudio.core.skeleton import joint_kind
from synthstudio.core.whole_body import FACE, FINGERS, LEFT_HAND, RIGHT_HAND

LANDMARKS = FACE + LEFT_HAND + RIGHT_HAND
"""The joints placed by this module."""

_MIDDLE: dict[str, tuple[int, ...]] = {
    "nose_base": (343,),
    "upper_lip": (455,),
    "lower_lip": (492,),
    "upper_inner_lip": (520,),
    "lower_inner_lip": (523,),
}
_LEFT: dict[str, tuple[int, ...]] = {
    "nostril_1": (7119,),
    "nostril_2": (7054,),
    "eyelid_1": (6805,),
    "eyelid_2": (6784,),
    "eyelid_3": (6838,),
    "eyelid_4": (6850, 6853),
    "eyelid_5": (6831,),
    "eyelid_6": (6825,),
    "lip_1": (7249,),
    "lip_2": (11956,),
    "lip_3": (7210,),
    "lip_4": (7235, 7166),
    "lip_5": (7241,),
    "inner_lip_1": (7191, 7192),
    "inner_lip_2": (7262,),
    "inner_lip_3": (7265,),
}
"""Kind -> the vertices of MakeHuman's base mesh whose mean the point is."""
_BRIDGE = (132, 133, 134, 135, 131, 5063, 164, 201, 291, 5134, 294, 5054, 297)
_JAW = (
    12366, 12333, 12332, 12347, 11712, 7571, 7614, 7597, 7596, 7595, 7617, 10366, 7619, 7618,
    7616, 7620, 7621, 5225,
)  # fmt: skip
"""Edges along which points lie at equal steps: the ridge of the nose from between the eyes to its
tip; the outline of a face seen from in front, from before the ear at the eyes' height to the chin.
"""
_BROW_X_M = (0.0495, 0.0400, 0.0305, 0.0210, 0.0115)


_DIGITS = tuple(enumerate(FINGERS, 1))
_CUBES = {"hand_root": "hand"} | {
    f"{finger}{k}": f"finger-{number}-{k}" for number, finger in _DIGITS for k in range(1, 5)
}


@dataclass(frozen=True)
class JointKind:
    """What a kind of joint is carried and seen by. Names of bones and parts lack their side."""

    bone: str  # carries it
    radius_m: float  # reach of its patch on the default person
    parts: tuple[str, ...]  # of the body that its patch may lie on
    centre: bool = False  # it is the head of its bone
    skin: tuple[str, ...] | None = None  # bones that must move its patch most; None: any


KINDS: dict[str, JointKind] = {
    "nose": JointKind("head", 0.022, ("head",)),
    "eye": JointKind("head", 0.020, ("head",)),
    "ear": JointKind("head", 0.035, ("head",)),
    "shoulder": JointKind("upperarm01", 0.085, ("torso", "upper_arm"), centre=True),
    "elbow": JointKind("lowerarm01", 0.055, ("upper_arm", "forearm"), centre=True),
    "wrist": JointKind("wrist", 0.045, ("forearm", "hand"), centre=True),
    "hip": JointKind("upperleg01", 0.130, ("torso", "pelvis", "thigh"), centre=True),  # 74 mm deep
    "knee": JointKind("lowerleg01", 0.070, ("thigh", "shin"), centre=True),
    "ankle": JointKind("foot", 0.050, ("shin", "foot"), centre=True),
    "big_toe": JointKind("foot", 0.030, ("foot",)),
    "small_toe": JointKind("foot", 0.025, ("foot",)),
    "heel": JointKind("foot", 0.040, ("foot",)),
    "hand_root": JointKind("wrist", 0.045, ("forearm", "hand"), centre=True),
}
_FACE_RADII_M = {
    "jaw": 0.016, "chin": 0.016, "brow": 0.010, "nose_bridge": 0.010, "nostril": 0.009,
    "nose_base": 0.009, "eyelid": 0.008, "lip": 0.008, "upper_lip": 0.008, "lower_lip": 0.008,
    "inner_lip": 0.007, "upper_inner_lip": 0.007, "lower_inner_lip": 0.007,
}  # fmt: skip
"""A face's points lie on the skin; a finger's joints lie 6 to 10 mm under it."""
_FINGER_RADII_M = (0.018, 0.014, 0.013, 0.012)  # knuckles of a finger, tip; see _THUMB_RADII_M
_THUMB_RADII_M = (0.030, 0.018, 0.015, 0.013)


def _of_finger(number: int, k: int) -> JointKind:
    radii_m = _THUMB_RADII_M if number == 1 else _FINGER_RADII_M
    # The next finger is nearer than the own one's other side.
    skin = tuple(f"finger{number}-{bone}" for bone in (k - 1, k) if 1 <= bone <= 3)
    skin += (f"metacarpal{number - 1}",) if k == 1 else ()
    return JointKind(
        bone=f"finger{number}-{min(k, 3)}",
        radius_m=radii_m[k - 1],
        parts=("hand",),
        centre=k < 4,
        skin=skin if (number, k) != (1, 1) else None,
    )


KINDS.update(
    (kind, JointKind("head", _FACE_RADII_M[kind.rstrip("_12345678")], ("head",)))
    for kind in map(joint_kind, FACE)
)
KINDS |= {f"{finger}{k}": _of_finger(n, k) for n, finger in _DIGITS for k in range(1, 5)}


def landmark_weights(template_m: F32, faces: I32, groups: Mapping[str, Any]) -> F64:
    """(K, V) the weights of LANDMARKS; `faces` are the head's, `groups` those of the base mesh."""
    points = template_m.astype(np.float64)
    rows = _face_rows(points, faces)
    for side in ("left", "right"):
        for kind, cube in _CUBES.items():
            own = groups[f"joint-{side[0]}-{cube}"]["face_vertex_indices"].unique().tolist()
            rows[f"{side}_{kind}"] = dict.fromkeys(own, 1 / len(own))
    out = np.zeros((len(LANDMARKS), len(points)))
    for weights, joint in zip(out, LANDMARKS, strict=True):
        weights[list(rows[joint])] = list(rows[joint].values())
    return out


_PAIRS = [
    (LANDMARKS.index(f"{side}_{upper}"), LANDMARKS.index(f"{side}_{lower}"))
    for upper, lower in (("eyelid_2", "eyelid_6"), ("eyelid_3", "eyelid_5"))
    for side in ("left", "right")
] + [
    (LANDMARKS.index(upper), LANDMARKS.index(lower))
    for upper, lower in (
        ("left_inner_lip_2", "left_inner_lip_3"),
        ("upper_inner_lip", "lower_inner_lip"),
        ("right_inner_lip_2", "right_inner_lip_3"),
    )
]
_LIDS = 4  # of the pairs


def unfold(landmarks_m: F64, up: F64) -> F64:
    """(K, 3) LANDMARKS of which no lower lid or lip lies over its upper one along `up` (3,).

    Expressions push the mesh's lids and lips up to 4 mm into each other. What is seen then is one
    line: the edge of the upper lid, which lies over the lower one, and the middle between the lips.
    """
    upper, lower = np.array(_PAIRS).T
    over = np.maximum((landmarks_m[lower] - landmarks_m[upper]) @ up, 0.0)[:, None]
    raised = np.where(np.arange(len(_PAIRS)) < _LIDS, 0.0, 0.5)[:, None]
    out = landmarks_m.copy()
    out[upper] += raised * over * up
    out[lower] -= (1 - raised) * over * up
    return out


_Row = dict[int, float]  # vertex -> weight


def _face_rows(points: F64, faces: I32) -> dict[str, _Row]:
    own = np.unique(faces)  # the nearest to each vertex's mirror image is its other side's
    other = own[cKDTree(points[own]).query(points * (-1, 1, 1))[1]]
    rows = {kind: dict.fromkeys(v, 1 / len(v)) for kind, v in _MIDDLE.items()}
    rows |= {
        f"nose_bridge_{k}": row for k, row in enumerate(_steps(points, _BRIDGE, count=4), start=1)
    }
    *jaw, rows["chin"] = _steps(points, _JAW, count=9)
    left = {kind: dict.fromkeys(v, 1 / len(v)) for kind, v in _LEFT.items()}
    left |= {f"jaw_{k}": row for k, row in enumerate(jaw, start=1)}
    for kind, row in left.items():
        rows[f"left_{kind}"] = row
        rows[f"right_{kind}"] = {int(other[v]): w for v, w in row.items()}
    for k, x in enumerate(_BROW_X_M, start=1):
        rows[f"left_brow_{k}"] = _in_front(points, faces, x, _brow_z(x))
        rows[f"right_brow_{k}"] = _in_front(points, faces, -x, _brow_z(x))
    return rows


def _brow_z(x_m: float) -> float:
    """The height at which brows are drawn (render/kernels/materials.py), template metres."""
    t = (x_m - 0.010) / 0.042
    return 0.6665 + 0.0065 * t * (1.7 - 1.25 * t)


def _steps(points: F64, path: Sequence[int], *, count: int) -> list[_Row]:
    """Points at equal steps along a path of vertices, each between two of them."""
    length = np.linalg.norm(np.diff(points[list(path)], axis=0), axis=1)
    at = np.concatenate([[0.0], np.cumsum(length)])
    out = []
    for wanted in np.linspace(0.0, at[-1], count):
        k = min(int(np.searchsorted(at, wanted, side="right")) - 1, len(length) - 1)
        share = float((wanted - at[k]) / length[k])
        row = {path[k]: 1 - share, path[k + 1]: share}
        out.append({vertex: weight for vertex, weight in row.items() if weight > 0})
    return out


def _in_front(points: F64, faces: I32, x_m: float, z_m: float) -> _Row:
    """The skin's frontmost point at (x, z) of the template."""
    a, b, c = (points[faces[:, k]][:, [0, 2]] for k in range(3))
    p = np.array([x_m, z_m])
    area = cross(b - a, c - a)
    weights = np.stack([cross(b - p, c - p), cross(c - p, a - p), cross(a - p, b - p)], axis=1)
    weights /= np.where(area == 0, np.inf, area)[:, None]
    held = np.flatnonzero((weights >= 0).all(axis=1) & (weights.sum(axis=1) > 0.5))
    y = (weights[held] * points[faces[held], 1]).sum(axis=1)
    face = held[y.argmin()]
    return {int(v): float(w) for v, w in zip(faces[face], weights[face], strict=True)}


def cross(a: F64, b: F64) -> F64:
    """Return the cross products of vectors (..., 2)."""
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
