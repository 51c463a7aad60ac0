"""Rotation centres: bones keep their lengths, and centres lie where bones turn."""

import numpy as np

from synthstudio.body.atlas import bare_body, load_atlas
from synthstudio.core.skeleton import JOINTS
from synthstudio.core.spec import Phenotype

MAN = Phenotype(gender=0.0, age=0.6, muscle=0.6, weight=0.5, height=0.4, proportions=0.5)
SIDED = (
    ("shoulder", "elbow"),
    ("elbow", "wrist"),
    ("hip", "knee"),
    ("knee", "ankle"),
    ("ankle", "heel"),
    ("ankle", "big_toe"),
    ("ankle", "small_toe"),
    ("eye", "ear"),
)
BONES = [
    *((f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in SIDED),
    ("left_hip", "right_hip"),
    ("left_eye", "right_eye"),
    ("left_ear", "right_ear"),
    *(("nose", f"{side}_{b}") for side in ("left", "right") for b in ("eye", "ear")),
]


def lengths(joints_m: np.ndarray) -> np.ndarray:
    """(N, bones) metres of (N, J, 3)."""
    a, b = (joints_m[:, [JOINTS.index(bone[k]) for bone in BONES]] for k in (0, 1))
    return np.linalg.norm(a - b, axis=-1)


def test_a_joint_stays_where_its_bone_turns():
    straight, bent = (
        bare_body(load_atlas(), MAN, {"left_elbow_flexion": angle, "right_knee_flexion": angle})
        for angle in (0.0, 2.0)
    )
    for joint in ("left_elbow", "right_knee"):
        j = JOINTS.index(joint)
        apart = straight.kinematic_joints_m[j] - bent.kinematic_joints_m[j]
        assert np.linalg.norm(apart) < 1e-5
        assert np.linalg.norm(straight.joints_m[j] - bent.joints_m[j]) > 0.01
    wrist = JOINTS.index("left_wrist")
    moved = straight.kinematic_joints_m[wrist] - bent.kinematic_joints_m[wrist]
    assert np.linalg.norm(moved) > 0.2
