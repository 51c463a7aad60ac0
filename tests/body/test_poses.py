"""Anatomical angles, limits and the authored library."""

import functools
from importlib.resources import files

import numpy as np
import pytest
import yaml
from samples import sampled

from benchmarks import touch
from synthstudio.body import capsules, untangle
from synthstudio.body.atlas import bare_body, load_atlas
from synthstudio.body.pose_library import hands, library, read_library
from synthstudio.body.poses import BONES, HAND_ANGLES, LIMITS_RAD, bone_rotations
from synthstudio.core.errors import RecipeError
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import JOINTS as EVERY
from synthstudio.core.skeleton import SKELETONS
from synthstudio.core.spec import FrozenDict, Phenotype

PERSON = Phenotype(gender=0.5, age=0.62, muscle=0.5, weight=0.5, height=0.38, proportions=0.5)
JOINTS = SKELETONS["coco23"].joints
POSES = library()
TEXT = files("synthstudio.body").joinpath("poses.yaml").read_text(encoding="utf-8")
OWN = [pose.name for pose in read_library({"poses.yaml": TEXT})]
ATHLETIC = [pose for pose in POSES if pose.athletic]
LEFT, RIGHT = (1.0, 0, 0), (-1.0, 0, 0)
FRONT, BACK = (0, -1.0, 0), (0, 1.0, 0)
UP = (0, 0, 1.0)
RAISED = {"left_shoulder_flexion": np.pi / 2, "right_shoulder_flexion": np.pi / 2}
SEATED = {"left_hip_flexion": np.pi / 2, "right_hip_flexion": np.pi / 2}
ARMS_OUT = {"left_shoulder_abduction": 0.4, "right_shoulder_abduction": 0.4}
BENT_ELBOWS = {"left_elbow_flexion": np.pi / 2, "right_elbow_flexion": np.pi / 2}


def _places(angles):
    atlas = load_atlas()
    body = bare_body(atlas, PERSON, angles)
    out = dict(zip(JOINTS, body.joints_m[: len(JOINTS)], strict=True))
    for name in (f"finger{f}-3.{s}" for f in (1, 2, 3, 5) for s in "LR"):
        weight = atlas.weights[:, [BONES.index(name)]].toarray()[:, 0]
        out[name] = body.vertices_m[weight > 0.6].mean(axis=0)
    eye = atlas.groups["left_eye"]
    front = np.unique(eye)[np.argsort(atlas.template_m[np.unique(eye), 1])[:5]]
    out["pupil"] = body.vertices_m[front].mean(axis=0)
    return out


@pytest.mark.parametrize(
    ("angle", "degrees", "base", "joint", "direction"),
    [
        ("left_shoulder_flexion", 40, {}, "left_wrist", FRONT),
        ("left_shoulder_abduction", 40, {}, "left_wrist", LEFT),
        ("left_shoulder_rotation", 40, BENT_ELBOWS, "left_wrist", RIGHT),
        ("left_clavicle_elevation", 20, {}, "left_shoulder", UP),
        ("left_clavicle_protraction", 20, {}, "left_shoulder", FRONT),
        ("left_elbow_flexion", 40, {}, "left_wrist", FRONT),
        ("left_forearm_pronation", 60, {}, "finger1-3.L", RIGHT),
        ("left_wrist_flexion", 40, {}, "finger3-3.L", RIGHT),
        ("left_wrist_deviation", 20, {}, "finger3-3.L", FRONT),
        ("left_finger_curl", 40, {}, "finger3-3.L", RIGHT),
        ("left_thumb_curl", 40, {}, "finger1-3.L", BACK),
        ("left_index_curl", 40, {}, "finger2-3.L", RIGHT),
        ("left_finger_spread", 12, {}, "finger5-3.L", BACK),
        ("left_thumb_spread", 20, {}, "finger1-3.L", UP),
        ("left_thumb_opposition", 40, {}, "finger1-3.L", RIGHT),
        ("left_shoulder_horizontal_adduction", 30, RAISED, "left_wrist", RIGHT),
        ("left_hip_horizontal_abduction", 30, SEATED, "left_knee", LEFT),
        ("left_hip_flexion", 40, {}, "left_knee", FRONT),
        ("left_hip_abduction", 30, {}, "left_ankle", LEFT),
        ("left_hip_rotation", 30, {}, "left_big_toe", RIGHT),
        ("left_knee_flexion", 40, {}, "left_ankle", BACK),
        ("left_ankle_flexion", 20, {}, "left_big_toe", UP),
        ("left_toe_extension", 40, {}, "left_big_toe", UP),
        ("spine_flexion", 40, {}, "nose", FRONT),
        ("spine_side_bend", 30, {}, "nose", LEFT),
        ("spine_turn", 30, {}, "nose", LEFT),
        ("neck_flexion", 30, {}, "nose", (0, 0, -1.0)),
        ("neck_side_bend", 30, {}, "nose", LEFT),
        ("neck_turn", 30, {}, "nose", LEFT),
        ("root_pitch", 30, {}, "nose", FRONT),
        ("root_roll", 30, {}, "nose", LEFT),
        ("gaze_turn", 30, {}, "pupil", LEFT),
        ("gaze_lift", 20, {}, "pupil", UP),
    ],
)
def test_each_sign_moves_a_joint_where_anatomy_says(angle, degrees, base, joint, direction):
    minimum = 0.002 if joint == "pupil" else 0.008
    before, after = _places(base), _places({**base, angle: np.radians(degrees)})
    assert (after[joint] - before[joint]) @ direction > minimum
    back = _places({**base, angle: -np.radians(degrees) / 4})
    assert (back[joint] - before[joint]) @ direction < 0
    if angle.startswith("left_"):
        other = angle.replace("left_", "right_")
        right = joint.replace("left_", "right_").replace(".L", ".R")
        flipped = np.array(direction) * (-1, 1, 1)
        after = _places({**base, other: np.radians(degrees)})
        assert (after[right] - before[right]) @ flipped > minimum


def test_angles_have_their_size():
    """A knee bent by 70 degrees turns the shin by 70 degrees, and so for the other hinges."""
    for angle, bone in [
        ("left_knee_flexion", "lowerleg01.L"),
        ("right_elbow_flexion", "lowerarm01.R"),
        ("left_hip_flexion", "upperleg01.L"),
        ("left_ankle_flexion", "foot.L"),
    ]:
        still, bent = (
            bare_body(load_atlas(), PERSON, angles).bone_deltas[BONES.index(bone)]
            for angles in ({}, {angle: np.radians(70)})
        )
        turn = np.degrees(np.arccos((np.trace(bent @ still.T) - 1) / 2))
        assert turn == pytest.approx(70, abs=0.05)


@functools.cache
def _bare(name):
    pose = next(pose for pose in library() if pose.name == name)
    return bare_body(load_atlas(), PERSON, pose.angles_rad)


@pytest.mark.parametrize("name", sampled([*OWN, *(pose.name for pose in ATHLETIC)], 8))
def test_no_part_runs_through_another(name):
    deep = [(a, b, d) for a, b, d in touch.self_touches(_bare(name), JOINTS) if d > touch.SOFT_M]
    assert not deep


def test_capsules_see_what_the_meshes_see():
    """The quick test of the draw: it tells a hand in the belly, and lets every library pose be."""
    poses = [ARMS_OUT | IN_THE_BELLY, ARMS_OUT]
    belly, out = capsules.self_penetrations_m(PERSON, poses)
    assert belly > 0.03
    assert out < 0.01
    for pose in POSES:
        same = (FrozenDict(pose.angles_rad),)
        (depth,) = capsules.self_penetrations_m(PERSON, [pose.angles_rad], like=same)
        assert depth <= 0.0101, pose.name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {family: x, left_knee_flexion_deg: 200}", "a: left_knee_flexion_deg.*limits"),
        ("a: {family: x, left_knee_deg: 2}", "a: left_knee_deg.*unknown angle"),
        ("a: {family: x, left_knee_flexion: 2}", "a: left_knee_flexion: not an angle"),
        ("a: {family: x, left_knee_flexion_deg: soon}", "not an angle"),
        ("a: {family: x, left_knee_flexion_deg: .nan}", "limits"),
        ("a: {family: x}\n  a: {family: y}", "a stands twice"),
        ("a: {family: x, both_knee_flexion_deg: 3, left_knee_flexion_deg: 2}", "twice"),
        ("a: {left_knee_flexion_deg: 3}", "a: family.*required"),
        ("jump: {family: x, airborne: sideways}", "jump: airborne.*upright.*tumbling.*sideways"),
        ("a: {family: x, sits: true}", "sits: not an angle"),
        ("a: {family: x, left_hand: star}\nhands: {fist: {}}", "unknown shape.*fist.*star"),
        ("a: {family: x", "not readable as YAML"),
    ],
)
def test_a_wrong_entry_is_named(text, message):
    with pytest.raises(RecipeError, match=message):
        read_library({"mine.yaml": f"poses:\n  {text}"})


def test_both_and_relaxed_fill_in_what_a_pose_does_not_name():
    text = """
relaxed: {both_elbow_flexion_deg: 10}
poses:
  a: {family: x, left_elbow_flexion_deg: 20, both_knee_flexion_deg: 30}
"""
    (pose,) = read_library({"mine.yaml": text})
    degrees = {name: round(np.degrees(value)) for name, value in pose.angles_rad.items()}
    knees = dict.fromkeys(("left_knee_flexion", "right_knee_flexion"), 30)
    assert degrees == {"left_elbow_flexion": 20, "right_elbow_flexion": 10} | knees


def test_rotations_are_rotations():
    angles = {
        name: low + (0.1 + 0.8 * place / len(LIMITS_RAD)) * (high - low)
        for place, (name, (low, high)) in enumerate(LIMITS_RAD.items())
    }
    out = bone_rotations(angles)
    np.testing.assert_allclose(out @ out.transpose(0, 2, 1), [np.eye(3)] * 104, atol=1e-12)
    assert np.linalg.det(out).min() > 0.999
    with pytest.raises(RecipeError, match="left_knee_bend"):
        bone_rotations({"left_knee_bend": 0.1})


def test_the_library_is_sorted_and_inside_the_limits():
    assert [pose.name for pose in POSES] == sorted({pose.name for pose in POSES})
    for pose in POSES:
        assert not (pose.stands and pose.airborne)
        for name, value in pose.angles_rad.items():
            low, high = LIMITS_RAD[name]
            assert low <= value <= high, (pose.name, name)
    assert all(shape.keys() <= set(HAND_ANGLES) for shape in hands().values())
    seated = {pose.family for pose in POSES if pose.seated_arms}
    assert seated == set(yaml.safe_load(TEXT)["seated_arms"])


# Limbs are moved out of their own body

WIDE = Phenotype(gender=0.9, age=0.7, muscle=0.4, weight=0.95, height=0.4, proportions=0.4)
IN_THE_BELLY = {
    "left_shoulder_rotation": 1.6,
    "left_elbow_flexion": 1.9,
    "left_shoulder_flexion": -0.1,
    "right_shoulder_abduction": 0.4,
}
SAMPLE = stream(3, "wide people").permutation(len(library()))[:40]


def _deepest_m(body, angles):
    """By signed distance to closed meshes: another way than the one under test."""
    posed = bare_body(load_atlas(), body, angles)
    return max((m for *_, m in touch.self_touches(posed, EVERY)), default=0.0)


def test_a_hand_in_the_belly_comes_out():
    assert _deepest_m(PERSON, IN_THE_BELLY) > 0.04
    out, left_m = untangle.resolve_self_intersection(PERSON, IN_THE_BELLY)
    assert _deepest_m(PERSON, out) < touch.SOFT_M
    assert left_m == untangle.deepest_own_m(PERSON, out) <= untangle.DEEP_M
    moved = {name for name in out if out[name] != IN_THE_BELLY.get(name, 0.0)}
    assert moved
    assert all(name.startswith("left_") for name in moved)  # what is not involved stays
    assert (out, left_m) == untangle.resolve_self_intersection(PERSON, IN_THE_BELLY)


def test_who_is_free_stays_as_they_are():
    angles = {"left_shoulder_abduction": 0.5, "right_shoulder_abduction": 0.5}
    assert untangle.deepest_own_m(WIDE, angles) < untangle.DEEP_M
    assert untangle.resolve_self_intersection(WIDE, angles)[0] == angles


@pytest.mark.parametrize("name", sampled((library()[k].name for k in SAMPLE), 8))
def test_wide_people_take_the_librarys_poses(name):
    angles = dict(next(pose for pose in library() if pose.name == name).angles_rad)
    out, _ = untangle.resolve_self_intersection(WIDE, angles)
    assert _deepest_m(WIDE, out) <= touch.SOFT_M
    for angle, value in out.items():
        low, high = LIMITS_RAD[angle]
        assert low - 1e-9 <= value <= high + 1e-9, angle
        assert abs(value - angles.get(angle, 0.0)) < np.radians(36), angle
