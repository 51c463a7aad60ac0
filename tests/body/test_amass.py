"""The AMASS reader: by hand, against BVH by other code, and one clear error for all else."""

import functools
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from walks import stroll

from benchmarks import joint_angles
from synthstudio.body import amass, motion
from synthstudio.body.recording import LEG_M, MAX_FRAMES, Motion
from synthstudio.core.arrays import F64
from synthstudio.core.errors import AssetError

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
    out = np.zeros((frames, 156))
    out[:, :3] = Rotation.from_matrix(STANDING).as_rotvec()
    for name, turn in turns_deg.items():
        at = 3 * NAMES.index(name)
        out[:, at : at + 3] = np.radians(turn)
    return out


def smpl_h(poses, trans=None, fps=30.0):
    return {
        "trans": np.zeros((len(poses), 3)) if trans is None else trans,
        "gender": np.array("female"),
        "mocap_framerate": np.array(fps),
        "betas": np.zeros(16),
        "dmpls": np.zeros((len(poses), 8)),
        "poses": poses,
    }


def smpl_x(poses, trans=None, fps=30.0):
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


def write(path, members, *, packed=False):
    (np.savez_compressed if packed else np.savez)(path, **members)
    return path


Members = dict[str, NDArray[np.generic]]
HANGING = {"left_shoulder": (0, 0, -90), "right_shoulder": (0, 0, 90)}
OFFSET_M = np.array([0.4, -0.2, 0.1])


@functools.cache
def stroll_poses() -> F64:
    return poses_of(stroll())


def taken(folder: Path, members: Members, name: str = "walk_poses.npz") -> Motion:
    return motion.read(write(folder / name, members))


def angles(moves: Motion, frame: int = 0) -> dict[str, float]:
    moved = motion.retarget(moves)
    found = joint_angles.angles_of(motion.bone_turns(moved.bones, moved.whole[frame]))
    return {name: float(np.degrees(value)) for name, value in found.items()}


def test_who_stands_in_a_t_pose_faces_minus_y_with_the_left_hand_at_plus_x(tmp_path):
    moves = taken(tmp_path, smpl_h(pose(), fps=120.0))
    assert (moves.frames, moves.fps, moves.leg_m) == (5, 120.0, pytest.approx(LEG_M))
    at, role = moves.places_m()[0], moves.roles
    assert at[role["left_wrist"], 0] > 0.5 and at[role["right_wrist"], 0] < -0.5
    assert at[role["head"], 2] > at[role["hips"], 2] > at[role["left_ankle"], 2] + 0.8
    assert at[role["left_toe"], 1] < at[role["left_ankle"], 1] - 0.1


def test_hanging_arms_are_the_neutral_pose_and_a_knee_bends_alone(tmp_path):
    stands = taken(tmp_path, smpl_h(pose(**HANGING)))
    assert max(map(abs, angles(stands).values())) < 1e-3
    bent = angles(taken(tmp_path, smpl_h(pose(left_knee=(90, 0, 0), **HANGING))))
    assert bent.pop("left_knee_flexion") == pytest.approx(90, abs=1e-3)
    assert max(map(abs, bent.values())) < 1e-3


@pytest.mark.parametrize(
    ("joint", "turn", "angle", "sign"),
    [
        ("left_elbow", (0, -70, 0), "left_elbow_flexion", 1),
        ("right_elbow", (0, 70, 0), "right_elbow_flexion", 1),
        ("right_hip", (-60, 0, 0), "right_hip_flexion", 1),
        ("left_hip", (0, 0, 30), "left_hip_abduction", 1),
        ("right_hip", (0, 0, -30), "right_hip_abduction", 1),
        ("left_ankle", (-15, 0, 0), "left_ankle_flexion", 1),
        ("spine2", (20, 0, 0), "spine_flexion", 1),
        ("head", (0, 25, 0), "neck_turn", 1),
    ],
)
def test_one_joint_is_one_angle(joint, turn, angle, sign, tmp_path):
    found = angles(taken(tmp_path, smpl_h(pose(**HANGING, **{joint: turn}))))
    assert found[angle] == pytest.approx(sign * sum(map(abs, turn)), abs=0.1), found
    others = {name: value for name, value in found.items() if name != angle}
    assert max(map(abs, others.values())) < 0.1, found


@pytest.mark.parametrize("layout", [smpl_h, smpl_x])
def test_a_walk_from_bvh_is_the_same_walk(layout, tmp_path):
    moves = taken(tmp_path, layout(stroll_poses(), stroll().root_m + OFFSET_M))
    assert (moves.frames, moves.fps) == (stroll().frames, 30.0)
    np.testing.assert_allclose(moves.root_m - OFFSET_M, stroll().root_m, atol=1e-9)
    ours, theirs = motion.retarget(moves), motion.retarget(stroll())
    assert ours.bones == theirs.bones
    step = np.swapaxes(ours.whole, 2, 3) @ theirs.whole
    apart = Rotation.from_matrix(step.reshape(-1, 3, 3)).magnitude()
    assert np.degrees(apart.max()) < 0.01


def fault(path: Path) -> str:
    with pytest.raises(AssetError) as error:
        amass.read_amass(path)
    assert str(error.value).startswith(str(path.name)), error.value
    return str(error.value)


def _set(name: str, value: NDArray[np.generic]) -> Members:
    return smpl_h(pose()) | {name: value}


def _at(name: str, value: float, size: tuple[int, int]) -> Members:
    members = smpl_h(pose())
    members[name] = members[name].copy()
    members[name][size] = value  # type: ignore[index]
    return members


def _without(*names: str) -> Members:
    return {k: v for k, v in smpl_x(pose()).items() if k not in names}


BROKEN: dict[str, tuple[Members, str]] = {
    "another archive": ({"a": np.zeros(3)}, "it has no poses; expected poses, or root_orient"),
    "a shape": ({"gender": np.array("male"), "betas": np.zeros(16)}, "shape.npz"),
    "a rate but no poses": (_without("poses", "pose_body"), "got mocap_frame_rate, root_orient, t"),
    "no places": (_without("trans"), "it has no trans"),
    "no rate": (_without("mocap_frame_rate"), "no frame rate; expected mocap_framerate or mocap_f"),
    "width of SMPL": (_set("poses", np.zeros((5, 72))), "(F, 156) of SMPL-H or (F, 165) of SMPL-X"),
    "flat poses": (_set("poses", np.zeros(780)), "wrong shape"),
    "wide places": (_set("trans", np.zeros((5, 4))), "wrong shape; expected numbers, (F, 3)"),
    "words": (_set("trans", np.full((5, 3), "1.0")), "trans: wrong shape"),
    "objects": (_set("poses", np.full((5, 156), None, object)), "poses.npy holds object"),
    "an object as rate": (_set("mocap_framerate", np.array(None, object)), "holds object"),
    "no frames": (smpl_h(pose(0)), "poses: wrong number of frames; expected 1 to 36,000; got 0"),
    "too many": (smpl_h(np.zeros((MAX_FRAMES + 1, 156), np.float16)), "got 36,001. Cut it up."),
    "fewer places": (_set("trans", np.zeros((4, 3))), "trans: places and poses differ"),
    "fewer bodies": (_without("poses") | {"pose_body": np.zeros((4, 63))}, "pose_body differ"),
    "nan": (_at("poses", np.nan, (3, 7)), "poses: frame 4: not a usable number; expected finite"),
    "inf": (_at("trans", np.inf, (1, 2)), "trans: frame 2: not a usable number"),
    "huge": (_at("trans", 1e300, (0, 0)), "at most 10000; got 1e+300"),
} | {
    f"rate {rate}": (_set("mocap_framerate", np.array(rate)), "mocap_framerate: wrong frame rate")
    for rate in (0.0, np.nan, 1001, "120", [1.0, 1.0])
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_clear_error(name, tmp_path):
    members, says = BROKEN[name]
    assert says in fault(write(tmp_path / "a.npz", members, packed=True))


def test_a_joint_that_jumps_is_named_with_its_frame(tmp_path):
    poses = stroll_poses().copy()
    poses[40, 3 * NAMES.index("left_knee")] += 2.0
    told = fault(write(tmp_path / "a.npz", smpl_h(poses)))
    assert told.startswith("a.npz: poses: frame 41: implausible jump of a joint")
    assert "got left_knee turns" in told
    poses[40] = stroll_poses()[40]
    poses[40:, :3] = _whole_turn_more(poses[40:, :3])  # the same pose by other numbers
    assert motion.read(write(tmp_path / "a.npz", smpl_h(poses))).frames == len(poses)


def _whole_turn_more(vectors: F64) -> F64:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors * (1 + 2 * np.pi / length)


def test_archives_that_are_none_cut_or_bombs(tmp_path, monkeypatch):
    path = write(tmp_path / "a.npz", smpl_h(stroll_poses()), packed=True)
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :]
    for data in (b"HIERARCHY", whole[:-30], whole[:middle], whole[:40], flipped):
        path.write_bytes(data)
        assert "no AMASS file that can be read" in fault(path)
    write(path, _set("poses", np.zeros((2_000_000, 15))), packed=True)
    assert "poses.npy unpacks to 240000128 bytes" in fault(path)
    head, lie = io.BytesIO(), {"descr": "<f8", "fortran_order": False, "shape": (10**12, 156)}
    np.lib.format.write_array_header_1_0(head, lie)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("poses.npy", head.getvalue())
    assert "another size than its header states" in fault(path)
    monkeypatch.setattr(amass, "MAX_BYTES", 100)
    (tmp_path / "empty.npz").write_bytes(b"")
    for name, says in (("a", "too large"), ("empty", "empty"), ("none", "no such file")):
        with pytest.raises(AssetError, match=says):
            amass.read_amass(tmp_path / f"{name}.npz")


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_whatever_is_changed_it_is_read_or_refused(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("any") / "a.npz"
    raw = bytearray(write(path, smpl_x(pose(2)), packed=data.draw(st.booleans())).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        gone = data.draw(st.sampled_from([0, 1, 1, 1, 40, 400]))
        raw[at : at + gone] = data.draw(st.binary(max_size=4) | st.just(b"\xff" * gone))
    path.write_bytes(raw)
    try:
        moves = amass.read_amass(path)
    except AssetError:
        return
    assert np.isfinite(moves.rotations).all() and np.isfinite(moves.places_m()).all()
