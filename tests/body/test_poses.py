"""Anatomical angles, limits and the authored library."""

import numpy as np
import pytest

from synthstudio.body.atlas import bare_body, load_atlas
from synthstudio.body.poses import (
    BONES,
    LIMITS_RAD,
    bone_rotations,
    library,
    mirrored,
    read_library,
)
from synthstudio.core.errors import RecipeError
from synthstudio.core.scene import PARTS
from synthstudio.core.skeleton import SKELETONS
from synthstudio.core.spec import Phenotype

PERSON = Phenotype(gender=0.5, age=0.62, muscle=0.5, weight=0.5, height=0.38, proportions=0.5)
JOINTS = SKELETONS["coco23"].joints
LEFT, RIGHT = (1.0, 0, 0), (-1.0, 0, 0)
FRONT, BACK = (0, -1.0, 0), (0, 1.0, 0)
UP = (0, 0, 1.0)
BENT_ELBOWS = {"left_elbow_flexion": np.pi / 2, "right_elbow_flexion": np.pi / 2}


def _places(angles):
    """Return joints by name, and the mean of the vertices that mainly follow some bones."""
    atlas = load_atlas()
    body = bare_body(atlas, PERSON, angles)
    out = dict(zip(JOINTS, body.joints_m, strict=True))
    for name in ("finger3-3.L", "finger3-3.R", "finger1-3.L", "finger1-3.R"):
        weight = atlas.weights[:, [BONES.index(name)]].toarray()[:, 0]
        out[name] = body.vertices_m[weight > 0.6].mean(axis=0)
    eye = atlas.groups["left_eye"]
    front = np.unique(eye)[np.argsort(atlas.template_m[np.unique(eye), 1])[:5]]
    out["pupil"] = body.vertices_m[front].mean(axis=0)
    return out


def test_bones_and_their_order_are_those_of_annys_rig():
    from synthstudio.body import poses

    atlas = load_atlas()
    assert atlas.bone_names == BONES
    parents = tuple(BONES.index(parent) if parent else -1 for _, parent in poses._CHAIN)
    assert atlas.bone_parents == parents


def test_limb_places_are_those_of_the_template():
    from synthstudio.body import poses

    atlas = load_atlas()
    heads = atlas.model()["bone_poses"][0, :, :3, 3].numpy()
    for bone, place in [
        ("upperarm01.L", poses._SHOULDER),
        ("lowerarm01.L", poses._ELBOW),
        ("wrist.L", poses._WRIST),
        ("upperleg01.L", poses._HIP),
        ("lowerleg01.L", poses._KNEE),
        ("foot.L", poses._ANKLE),
    ]:
        np.testing.assert_allclose(heads[BONES.index(bone)], place, atol=2e-4)


@pytest.mark.parametrize("shape", [PERSON, Phenotype(gender=1, age=1, muscle=0.2, weight=0.9,
                                                     height=0.2, proportions=0.8)])  # fmt: skip
def test_all_angles_zero_hang_arms_and_legs_straight(shape):
    at = dict(zip(JOINTS, bare_body(load_atlas(), shape, {}).joints_m, strict=True))
    for side in ("left_", "right_"):
        for upper, lower in (("hip", "knee"), ("knee", "ankle"), ("elbow", "wrist")):
            limb = at[side + lower] - at[side + upper]
            # The joints of the regressor lie beside the bones' heads, so not to the degree.
            assert -limb[2] / np.linalg.norm(limb) > np.cos(np.radians(10)), (side, upper)
        foot = at[side + "big_toe"] - at[side + "heel"]
        assert foot[1] < 0


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
    least = 0.002 if joint == "pupil" else 0.008
    before, after = _places(base), _places({**base, angle: np.radians(degrees)})
    assert (after[joint] - before[joint]) @ direction > least
    back = _places({**base, angle: -np.radians(degrees) / 4})
    assert (back[joint] - before[joint]) @ direction < 0
    if angle.startswith("left_"):
        other = angle.replace("left_", "right_")
        right = joint.replace("left_", "right_").replace(".L", ".R")
        flipped = np.array(direction) * (-1, 1, 1)
        after = _places({**base, other: np.radians(degrees)})
        assert (after[right] - before[right]) @ flipped > least


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


def test_the_clavicle_takes_its_share_and_the_arm_keeps_its_angle():
    still, raised = (
        bare_body(load_atlas(), PERSON, angles).bone_deltas
        for angles in ({}, {"left_shoulder_abduction": np.radians(120)})
    )

    def turn(bone):
        place = BONES.index(bone)
        return np.degrees(np.arccos((np.trace(raised[place] @ still[place].T) - 1) / 2))

    assert turn("clavicle.L") == pytest.approx(0.25 * (120 - 40), abs=0.1)
    assert turn("upperarm01.L") == pytest.approx(120, abs=0.1)
    assert turn("clavicle.R") == pytest.approx(0, abs=0.1)


def test_rotations_are_rotations():
    angles = {
        name: low + (0.1 + 0.8 * place / len(LIMITS_RAD)) * (high - low)
        for place, (name, (low, high)) in enumerate(LIMITS_RAD.items())
    }
    out = bone_rotations(angles)
    np.testing.assert_allclose(out @ out.transpose(0, 2, 1), np.tile(np.eye(3), (104, 1, 1)),
                               atol=1e-12)  # fmt: skip
    assert np.linalg.det(out).min() > 0.999


def test_mirroring_twice_is_nothing():
    for pose in library():
        assert mirrored(mirrored(pose.angles_rad)) == pose.angles_rad


def test_an_unknown_angle_is_an_error():
    with pytest.raises(RecipeError, match="left_knee_bend"):
        bone_rotations({"left_knee_bend": 0.1})


# The library ---------------------------------------------------------------------------------


def test_the_library_is_large_enough_sorted_and_inside_the_limits():
    poses = library()
    assert len(poses) >= 28
    assert len({pose.family for pose in poses}) >= 12
    assert [pose.name for pose in poses] == sorted({pose.name for pose in poses})
    for pose in poses:
        for name, value in pose.angles_rad.items():
            low, high = LIMITS_RAD[name]
            assert low <= value <= high, (pose.name, name)


def test_families_hold_both_seats_and_floors():
    needs = {pose.family: pose.needs for pose in library()}
    assert needs["sit"] == "seat"
    assert {family for family, need in needs.items() if need == "seat"} == {"sit"}


def _centre_of_mass(vertices, faces):
    corners = vertices[faces].astype(float)
    volume = np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
    return (corners.sum(axis=1) * volume[:, None]).sum(axis=0) / (4 * volume.sum())


def _support(name):
    """Return the pose's centre of mass and the ground contact's box, metres, on the floor."""
    atlas = load_atlas()
    pose = next(pose for pose in library() if pose.name == name)
    vertices = bare_body(atlas, PERSON, pose.angles_rad).vertices_m
    skin = np.unique(atlas.body_faces[atlas.skin_face])
    floor = vertices[skin, 2].min()
    low = skin[vertices[skin, 2] < floor + 0.04]
    return _centre_of_mass(vertices, atlas.body_faces[atlas.skin_face]), vertices[low]


STATIC = [p.name for p in library() if p.family not in ("run", "sit")]


@pytest.mark.parametrize("name", STATIC)
def test_bodies_at_rest_do_not_fall_over(name):
    mass, contact = _support(name)
    assert (mass[:2] > contact[:, :2].min(axis=0) - 0.02).all()
    assert (mass[:2] < contact[:, :2].max(axis=0) + 0.02).all()


STANDING = ("stand", "hands_on_hips", "arms_crossed", "squat", "carry", "phone", "wave", "bend",
            "hands_behind_head", "look_around", "push", "reach_forward", "lunge")  # fmt: skip


@pytest.mark.parametrize("name", [p.name for p in library() if p.family in STANDING])
def test_both_feet_are_on_the_ground_in_standing_poses(name):
    _, contact = _support(name)
    atlas = load_atlas()
    pose = next(pose for pose in library() if pose.name == name)
    vertices = bare_body(atlas, PERSON, pose.angles_rad).vertices_m
    for side in ("left_foot", "right_foot"):
        foot = vertices[np.isin(atlas.vertex_part, PARTS.index(side))]
        assert foot[:, 2].min() < contact[:, 2].min() + 0.02, side


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "poses:\n  a: {family: x, left_knee_flexion_deg: 200}",
            "a: left_knee_flexion_deg.*limits",
        ),
        ("poses:\n  a: {family: x, left_knee_deg: 2}", "a: left_knee_deg.*unknown angle"),
        ("poses:\n  a: {family: x, left_knee_flexion: 2}", "a: left_knee_flexion: not an angle"),
        ("poses:\n  a: {family: x, left_knee_flexion_deg: soon}", "not an angle"),
        ("poses:\n  a: {family: x, left_knee_flexion_deg: .nan}", "limits"),
        ("poses:\n  a: {family: x}\n  a: {family: y}", "a stands twice"),
        ("poses:\n  a: {family: x, both_knee_flexion_deg: 3, left_knee_flexion_deg: 2}", "twice"),
        ("poses:\n  a: {left_knee_flexion_deg: 3}", "a: wrong family"),
        ("poses:\n  a: {family: x, needs: sofa}", "sofa"),
        ("poses:\n  a: [1]", "a: wrong kind"),
        ("poses: &p\n  a: {family: x}\nrelaxed: *p", "aliases"),
        ("pose: {}", "not a pose library"),
        ("poses: {a: {family: x", "not readable as YAML"),
        ("[1, 2]", "not a pose library"),
        ("poses:\n  ? [a, b]\n  : {family: x}", "named entries|not readable"),
    ],
)
def test_a_wrong_entry_is_named(text, message):
    with pytest.raises(RecipeError, match=message):
        read_library(text, where="mine.yaml")


def test_both_and_relaxed_fill_in_what_a_pose_does_not_name():
    text = """
relaxed: {both_elbow_flexion_deg: 10}
poses:
  a: {family: x, left_elbow_flexion_deg: 20, both_knee_flexion_deg: 30}
"""
    (pose,) = read_library(text, where="mine.yaml")
    degrees = {name: round(np.degrees(value)) for name, value in pose.angles_rad.items()}
    assert degrees == {
        "left_elbow_flexion": 20,
        "right_elbow_flexion": 10,
        "left_knee_flexion": 30,
        "right_knee_flexion": 30,
    }
