"""The AMASS reader: by hand, against BVH by other code, and one clear error for all else."""

import functools
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from amass_files import NAMES, pose, poses_of, smpl_h, smpl_x, write
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from walk_bvh import walk_bvh
from walk_measures import SHAPES, bone_heads

from synthstudio.body import amass, motion
from synthstudio.body.bvh import parse_bvh
from synthstudio.body.poses import BONES
from synthstudio.body.recording import LEG_M, MAX_FRAMES, Motion
from synthstudio.core.errors import AssetError
from synthstudio.core.scene import F64

Members = dict[str, NDArray[np.generic]]
HANGING = {"left_shoulder": (0, 0, -90), "right_shoulder": (0, 0, 90)}
OFFSET_M = np.array([0.4, -0.2, 0.1])


@functools.cache
def stroll() -> Motion:
    return parse_bvh(walk_bvh(), where="stroll")


@functools.cache
def stroll_poses() -> F64:
    return poses_of(stroll())


def taken(folder: Path, members: Members, name: str = "walk_poses.npz") -> Motion:
    return motion.read(write(folder / name, members))


def pointing(moves: Motion, frame: int = 0) -> dict[str, F64]:
    """Return limb -> where the default person's own points, in the file's directions."""
    whole = motion.retarget(moves).whole[frame]
    heads = bone_heads(whole, SHAPES[1])
    ends = {"shoulder": ("upperarm01", "lowerarm01"), "elbow": ("lowerarm01", "wrist"),
            "hip": ("upperleg01", "lowerleg01"), "knee": ("lowerleg01", "foot")}  # fmt: skip
    out = {}
    for side, s in (("left", "L"), ("right", "R")):
        for joint, (first, last) in ends.items():
            along = heads[BONES.index(f"{last}.{s}")] - heads[BONES.index(f"{first}.{s}")]
            out[f"{side}_{joint}"] = along / np.linalg.norm(along)
    return out


def angles(moves: Motion, frame: int = 0) -> dict[str, float]:
    moved = motion.retarget(moves)
    found = motion.angles_of(motion.bone_turns(moved.bones, moved.whole[frame]))
    return {name: float(np.degrees(value)) for name, value in found.items()}


# By hand ------------------------------------------------------------------------------------


def test_who_stands_in_a_t_pose_faces_minus_y_with_the_left_hand_at_plus_x(tmp_path):
    moves = taken(tmp_path, smpl_h(pose(), fps=120.0))
    assert (moves.frames, moves.fps, moves.leg_m) == (5, 120.0, pytest.approx(LEG_M))
    at, role = moves.places_m()[0], moves.roles
    assert at[role["left_wrist"], 0] > 0.5 and at[role["right_wrist"], 0] < -0.5
    assert at[role["head"], 2] > at[role["hips"], 2] > at[role["left_ankle"], 2] + 0.8
    assert at[role["left_toe"], 1] < at[role["left_ankle"], 1] - 0.1
    limbs = pointing(moves)
    for limb, along in {"left_shoulder": (1, 0, 0), "right_elbow": (-1, 0, 0),
                        "left_hip": (0, 0, -1), "right_knee": (0, 0, -1)}.items():  # fmt: skip
        assert limbs[limb] @ along > np.cos(np.radians(3)), limb


def test_hanging_arms_are_the_neutral_pose_and_a_knee_bends_alone(tmp_path):
    stands = taken(tmp_path, smpl_h(pose(**HANGING)))
    assert max(map(abs, angles(stands).values())) < 1e-3
    bent = angles(taken(tmp_path, smpl_h(pose(left_knee=(90, 0, 0), **HANGING))))
    assert bent.pop("left_knee_flexion") == pytest.approx(90, abs=1e-3)
    assert max(map(abs, bent.values())) < 1e-3
    moves = taken(tmp_path, smpl_h(pose(left_knee=(90, 0, 0), **HANGING)))
    assert pointing(moves)["left_knee"] @ (0, 1, 0) > np.cos(np.radians(3))  # back
    assert pointing(moves)["right_knee"] @ (0, 0, -1) > np.cos(np.radians(3))


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


# By a second method -------------------------------------------------------------------------


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


# Layouts and faults -------------------------------------------------------------------------


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
    assert told.startswith("a.npz: poses: frame 41: a joint jumps as none can")
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
    assert "not as long as its head says" in fault(path)
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
