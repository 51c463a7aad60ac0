"""AMASS files of our own: a motion turned into SMPL's axis-angles, by other code than the reader's.

`(x to the left, y up, z forward)` is the body's own frame in SMPL's zero pose, a T-pose; the
world is z up.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from synthstudio.body.recording import Motion
from synthstudio.core.scene import F64

# SMPL's first 22 joints: parent by its number, role in a Motion, as its paper's figure has them.
SMPL: dict[str, tuple[int, str]] = {
    "pelvis": (-1, "hips"),
    "left_hip": (0, "left_hip"), "right_hip": (0, "right_hip"), "spine1": (0, "spine"),
    "left_knee": (1, "left_knee"), "right_knee": (2, "right_knee"), "spine2": (3, "chest"),
    "left_ankle": (4, "left_ankle"), "right_ankle": (5, "right_ankle"), "spine3": (6, "chest2"),
    "left_foot": (7, "left_toe"), "right_foot": (8, "right_toe"), "neck": (9, "neck"),
    "left_collar": (9, "left_collar"), "right_collar": (9, "right_collar"), "head": (12, "head"),
    "left_shoulder": (13, "left_shoulder"), "right_shoulder": (14, "right_shoulder"),
    "left_elbow": (16, "left_elbow"), "right_elbow": (17, "right_elbow"),
    "left_wrist": (18, "left_wrist"), "right_wrist": (19, "right_wrist"),
}  # fmt: skip
NAMES = tuple(SMPL)
PARENTS = tuple(parent for parent, _ in SMPL.values())
STANDING = Rotation.from_rotvec([np.pi / 2, 0, 0]).as_matrix()
"""From the body's own frame (y up) to the world (z up): it faces -y there, its left is +x."""
_ARMS = ("shoulder", "elbow", "wrist")


def poses_of(motion: Motion, *, width: int = 156) -> F64:
    """Return the (F, width) poses of a motion in whose zero pose all limbs hang."""
    turns = motion.turns()
    whole = np.empty((motion.frames, len(NAMES), 3, 3))
    for place, (name, (_, role)) in enumerate(SMPL.items()):
        side, _, joint = name.partition("_")
        raised = np.eye(3)  # takes the T-pose to hanging arms, in the world's axes
        if joint in _ARMS:
            raised = Rotation.from_rotvec([0, np.pi / 2 * (1 if side == "left" else -1), 0])
            raised = raised.as_matrix()
        whole[:, place] = turns[:, motion.roles[role]] @ raised @ STANDING
    out = np.zeros((motion.frames, width))
    for place, parent in enumerate(PARENTS):
        above = whole[:, parent] if parent >= 0 else np.eye(3)[None]
        own = Rotation.from_matrix(np.swapaxes(above, 1, 2) @ whole[:, place])
        out[:, 3 * place : 3 * place + 3] = own.as_rotvec()
    return out


def pose(frames: int = 5, **turns_deg: tuple[float, float, float]) -> F64:
    """Return (F, 156): a person who stands in a T-pose but for joints that turn so, by name."""
    out = np.zeros((frames, 156))
    out[:, :3] = Rotation.from_matrix(STANDING).as_rotvec()
    for name, turn in turns_deg.items():
        at = 3 * NAMES.index(name)
        out[:, at : at + 3] = np.radians(turn)
    return out


def smpl_h(poses, trans=None, fps=30.0):
    """Return the members of a file as AMASS first published them."""
    return {
        "trans": np.zeros((len(poses), 3)) if trans is None else trans,
        "gender": np.array("female"),
        "mocap_framerate": np.array(fps),
        "betas": np.zeros(16),
        "dmpls": np.zeros((len(poses), 8)),
        "poses": poses,
    }


def smpl_x(poses, trans=None, fps=30.0):
    """Return the members of a "stageii" file; one of them is pickled, as in AMASS's own."""
    whole = np.zeros((len(poses), 165))
    whole[:, :66] = poses[:, :66]
    return {
        "gender": np.array("neutral"),
        "surface_model_type": np.array("smplx"),
        "mocap_frame_rate": np.array(fps),
        "mocap_time_length": np.array(len(poses) / fps),
        "markers_latent": np.zeros((2, 3)),
        "latent_labels": np.array(["LFHD", "RFHD"]),
        "markers_latent_vids": np.array({"LFHD": 3}, object),
        "trans": np.zeros((len(poses), 3)) if trans is None else trans,
        "poses": whole,
        "betas": np.zeros(16),
        "num_betas": np.array(16),
        "root_orient": whole[:, :3],
        "pose_body": whole[:, 3:66],
        "pose_hand": np.zeros((len(poses), 90)),
        "pose_jaw": np.zeros((len(poses), 3)),
        "pose_eye": np.zeros((len(poses), 6)),
    }


def write(path: Path, members: dict[str, NDArray[np.generic]], *, packed: bool = False) -> Path:
    (np.savez_compressed if packed else np.savez)(path, **members)  # type: ignore[arg-type]
    return path
