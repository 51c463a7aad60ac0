"""Motions on Anny: angles, bones, planted feet. Stance is told from the file, not by the solver."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from walk_bvh import walk_bvh
from walk_measures import SHAPES, angle_errors_deg, bone_lengths_m, measured_cm, person

from synthstudio.body import anny, footing, motion
from synthstudio.body.bvh import parse_bvh
from synthstudio.body.pose_library import library
from synthstudio.body.poses import BONES, LIMITS_RAD, bone_rotations
from synthstudio.body.recording import Motion
from synthstudio.core.errors import AssetError
from synthstudio.core.spec import BoneTurn, PersonSpec

MOCAP = ("cmu_02_01", "cmu_07_01", "cmu_16_15", "cmu_35_01")


@functools.cache
def stroll() -> Motion:
    return parse_bvh(walk_bvh(), where="stroll")


@functools.cache
def cmu(folder: Path, name: str) -> Motion:
    return motion.read(folder / "mocap" / f"{name}.bvh")


# Angles ------------------------------------------------------------------------------------


def exact(monkeypatch: pytest.MonkeyPatch) -> PersonSpec:
    """Return a person whose legs are not levelled."""
    monkeypatch.setattr(footing, "STRAY_RAD", 0.0)
    return dataclasses.replace(person(SHAPES[1]), identity="exact")  # not from the cache


@pytest.mark.parametrize("name", MOCAP)
def test_copied_joints_are_within_one_degree_of_the_file(shared_data, name, monkeypatch):
    moves, frames = cmu(shared_data, name), range(0, cmu(shared_data, name).frames, 24)
    levelled = [
        anny.load().steps(person(SHAPES[1]), moves, times_s=(k / moves.fps,), mirror=False)[0]
        for k in frames
    ]
    directions = angle_errors_deg(moves, person(SHAPES[1]), frames)
    assert max(v for k, v in directions.items() if k.endswith("01")) < 1.0, directions
    who = exact(monkeypatch)
    errors = angle_errors_deg(moves, who, frames)
    assert max(errors.values()) < 0.25, errors  # forearms are two bones that part the twist
    for k, step in zip(frames, levelled, strict=True):  # and levelling moves no joint by more
        pure = anny.load().steps(who, moves, times_s=(k / moves.fps,), mirror=False)[0]
        for one, other in zip(step.turns, pure.turns, strict=True):
            pair = Rotation.from_rotvec([one.turn_rad, other.turn_rad])
            assert np.degrees((pair[0].inv() * pair[1]).magnitude()) < 1.0, one.bone


def test_bones_keep_their_length_over_a_clip():
    assert np.ptp(bone_lengths_m(stroll(), person()), axis=0).max() < 1e-6


def test_a_bone_named_in_turns_takes_that_turn_and_others_their_angles():
    angles = {"left_elbow_flexion": 1.0, "right_elbow_flexion": 1.0}
    turn = BoneTurn(bone="lowerarm01.L", turn_rad=(0.1, 0.2, 0.3))
    mixed = motion.with_turns(bone_rotations(angles), (turn,))
    at = BONES.index("lowerarm01.L")
    np.testing.assert_allclose(mixed[at], Rotation.from_rotvec((0.1, 0.2, 0.3)).as_matrix())
    np.testing.assert_array_equal(np.delete(mixed, at, 0), np.delete(bone_rotations(angles), at, 0))
    with pytest.raises(AssetError, match="rig lacks"):
        motion.with_turns(mixed, (BoneTurn(bone="tail", turn_rad=(0, 0, 0)),))


def test_between_frames_turns_are_on_the_shortest_arc():
    track = Rotation.from_rotvec([[0, 0, 0], [0, 0, 1.0], [0, 0, -3.0]]).as_matrix()
    half = Rotation.from_matrix(motion.sampled(track, 0.5)).as_rotvec()
    np.testing.assert_allclose(half, (0, 0, 0.5), atol=1e-12)
    over = Rotation.from_matrix(motion.sampled(track, 1.5)).as_rotvec()[2]
    assert abs(over) == pytest.approx(1 + (2 * np.pi - 4) / 2)  # through pi, not back through 0
    np.testing.assert_array_equal(motion.sampled(track, 9.0), track[-1])


def test_angles_can_be_read_back_and_limits_are_seen():
    stays = {k.name: k for k in library()}
    for name in ("stand_relaxed", "walk_left_contact", "squat_half"):
        angles = stays[name].angles_rad
        turns = bone_rotations(angles)
        vectors = Rotation.from_matrix(turns).as_rotvec()
        given = tuple(
            BoneTurn(bone=bone, turn_rad=tuple(v)) for bone, v in zip(BONES, vectors, strict=True)
        )
        read = motion.angles_of(given)
        for angle, value in read.items():
            assert value == pytest.approx(angles.get(angle, 0.0), abs=1e-6), (name, angle)
        assert motion.limit_excess_rad(given) == 0.0
    beyond = {"left_knee_flexion": LIMITS_RAD["left_knee_flexion"][1] + 0.2}
    vectors = Rotation.from_matrix(bone_rotations(beyond)).as_rotvec()
    knee = BoneTurn(bone="lowerleg01.L", turn_rad=tuple(vectors[BONES.index("lowerleg01.L")]))
    assert motion.limit_excess_rad((knee,)) == pytest.approx(0.2)


# Feet --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MOCAP)
def test_planted_feet_stay_where_they_are(shared_data, name):
    moves, shape = cmu(shared_data, name), SHAPES[MOCAP.index(name) % 2]
    found = measured_cm(person(shape), moves)
    assert found["frames"] > 8
    assert found["single"] < 0.5, found
    assert found["double"] < 3.0, found
    assert found["off"] < 1.0, found
    assert found["deepest"] > -1.0, found


def test_our_own_walk_too_and_its_mirror_image():
    for mirror in (False, True):
        found = measured_cm(person(SHAPES[1]), stroll(), mirror=mirror)
        assert found["single"] < 0.5, found
        assert found["double"] < 3.0, found
        assert found["off"] < 1.0, found


def test_a_step_faces_minus_y_and_paths_are_pure():
    body, who = anny.load(), person()
    one = body.steps(who, stroll(), times_s=(0.5, 1.0, 1.5), mirror=False)
    two = body.steps(who, stroll(), times_s=(0.5, 1.5), mirror=False)
    assert one[0] == two[0] and one[2] == two[1]
    assert one[0].root_m[:2] == (0.0, 0.0)
    x, y, _ = one[2].root_m
    assert y < -1.0 and abs(x) < 0.25 * abs(y)
    image = body.steps(who, stroll(), times_s=(0.5, 1.5), mirror=True)
    assert image[1].root_m[0] == pytest.approx(-two[1].root_m[0], abs=0.03)
