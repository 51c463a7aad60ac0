"""Anny's static data and bare bodies."""

import numpy as np
import pytest
import torch

from synthstudio.body.atlas import bare_body, load_atlas, rest_of
from synthstudio.body.pose_library import library
from synthstudio.body.poses import bone_rotations
from synthstudio.core.scene import PARTS
from synthstudio.core.skeleton import JOINTS as EVERY
from synthstudio.core.skeleton import SKELETONS
from synthstudio.core.spec import Phenotype
from synthstudio.recipe.sampling.people import mirrored

MAN = Phenotype(gender=0.0, age=0.6, muscle=0.6, weight=0.5, height=0.4, proportions=0.5)
WOMAN = Phenotype(gender=1.0, age=0.9, muscle=0.3, weight=0.8, height=0.3, proportions=0.3)
SHAPES = (MAN, WOMAN)
JOINTS = SKELETONS["coco23"].joints
POSES = {pose.name: pose for pose in library()}


def _volume(vertices, faces):
    corners = vertices[faces].astype(float)
    return np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6


def test_bodies_are_built_by_one_thread_which_is_given_back():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert load_atlas.__wrapped__().bone_names == load_atlas().bone_names
        assert rest_of.__wrapped__(MAN).stature_m == rest_of(MAN).stature_m
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_body_is_annys_own_mesh_and_faces_outward():
    atlas = load_atlas()
    assert atlas.template_m.shape == (19158, 3)
    np.testing.assert_array_equal(atlas.body_faces, atlas.model.faces.numpy())
    assert _volume(atlas.template_m, atlas.body_faces[atlas.skin_face]) > 0.05
    for group, faces in (("tights", 5300), ("left_eye", 140), ("tongue", 448)):
        assert len(atlas.groups[group]) == faces
    eye = atlas.groups["left_eye"]
    middle = atlas.template_m[eye].reshape(-1, 3).mean(axis=0)
    assert _volume(atlas.template_m - middle, eye) > 0  # closed and outward
    np.testing.assert_allclose(atlas.joint_weights.sum(axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(atlas.weights.sum(axis=1), 1, atol=1e-5)


def test_parts_lie_where_their_joints_are():
    atlas = load_atlas()
    assert set(np.unique(atlas.part)) == set(range(len(PARTS)))
    joints = atlas.joint_weights @ atlas.template_m.astype(float)
    centres = atlas.template_m[atlas.body_faces].mean(axis=1)
    for joint, expected in [
        ("left_elbow", {"left_upper_arm", "left_forearm"}),
        ("right_wrist", {"right_forearm", "right_hand"}),
        ("left_knee", {"left_thigh", "left_shin"}),
        ("right_ankle", {"right_shin", "right_foot"}),
        ("nose", {"head"}),
        ("left_big_toe", {"left_foot"}),
    ]:
        gap = np.linalg.norm(centres - joints[JOINTS.index(joint)], axis=1)
        near = {PARTS[p] for p in atlas.part[np.argsort(gap)[:60]]}
        assert near == expected, joint


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["squat_deep", "throw", "arms_crossed"])
def test_body_and_joints_equal_annys_own_forward_pass_and_regressor(shape, name):
    from anny.keypoints import KeypointsRegressor

    atlas = load_atlas()
    angles = POSES[name].angles_rad
    ours = bare_body(atlas, shape, angles)
    pose = torch.eye(4).repeat(1, len(atlas.bone_names), 1, 1)
    pose[0, :, :3, :3] = torch.from_numpy(bone_rotations(angles)).float()
    values = {label: getattr(shape, label) for label in atlas.model.phenotype_labels}
    theirs = atlas.model(pose_parameters=pose, phenotype_kwargs=values)
    np.testing.assert_allclose(ours.vertices_m, theirs["vertices"][0].numpy(), atol=2e-6)
    regressor = KeypointsRegressor.coco(atlas.model)
    exact = regressor.double()({"vertices": theirs["vertices"].double()})[0].numpy()
    named = dict(zip(regressor.labels, exact, strict=True))
    expected = np.stack([named[joint] for joint in JOINTS])
    np.testing.assert_allclose(ours.joints_m[:23], expected, atol=5e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["kick", "throw", "sit_legs_crossed"])
def test_mirrored_angles_give_mirrored_joints(shape, name):
    atlas, flip = load_atlas(), SKELETONS["coco133"].flip
    angles = POSES[name].angles_rad
    one = bare_body(atlas, shape, angles).joints_m
    other = bare_body(atlas, shape, mirrored(angles)).joints_m
    np.testing.assert_allclose(other[flip] * (-1, 1, 1), one, atol=1e-3)
    assert np.abs(other - one).max() > 0.05  # the pose itself is not symmetric


LIMBS = (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))


@pytest.mark.parametrize("shape", SHAPES)
def test_bones_keep_their_lengths_in_every_pose(shape):
    poses = [pose.angles_rad for pose in POSES.values()][::4]
    centres = np.stack([bare_body(load_atlas(), shape, p).kinematic_joints_m for p in poses])
    for side in ("left", "right"):
        for ends in LIMBS:
            a, b = (centres[:, EVERY.index(f"{side}_{end}")] for end in ends)
            assert np.ptp(np.linalg.norm(a - b, axis=1)) < 5e-4, (side, ends)


def test_a_joint_stays_where_its_bone_turns():
    straight, bent = (
        bare_body(load_atlas(), MAN, {"left_elbow_flexion": angle, "right_knee_flexion": angle})
        for angle in (0.0, 2.0)
    )
    for joint in ("left_elbow", "right_knee"):
        j = EVERY.index(joint)
        apart = straight.kinematic_joints_m[j] - bent.kinematic_joints_m[j]
        assert np.linalg.norm(apart) < 1e-5
        assert np.linalg.norm(straight.joints_m[j] - bent.joints_m[j]) > 0.01
    wrist = EVERY.index("left_wrist")
    moved = straight.kinematic_joints_m[wrist] - bent.kinematic_joints_m[wrist]
    assert np.linalg.norm(moved) > 0.2
