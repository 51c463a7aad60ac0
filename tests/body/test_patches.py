"""Joint patches: where they lie, what they weigh, how they ride on the body."""

import numpy as np
import pytest

from synthstudio.body import patches as module
from synthstudio.body.atlas import bare_body, load_atlas
from synthstudio.body.landmarks import KINDS
from synthstudio.body.patches import patches, posed_patches
from synthstudio.body.pose_library import library
from synthstudio.core.scene import PARTS
from synthstudio.core.skeleton import JOINTS as ALL
from synthstudio.core.skeleton import SKELETONS, joint_kind
from synthstudio.core.spec import Phenotype

JOINTS = SKELETONS["coco23"].joints
PERSON = Phenotype(gender=0.5, age=0.62, muscle=0.5, weight=0.5, height=0.38, proportions=0.5)


def _rest(skeleton="coco23"):
    atlas = load_atlas()
    posed = posed_patches(patches(skeleton), atlas.template_m, atlas.body_faces)
    centres = atlas.joint_weights @ atlas.template_m.astype(float)
    return posed, centres[[ALL.index(name) for name in SKELETONS[skeleton].joints]]


@pytest.mark.parametrize("skeleton", SKELETONS)
def test_points_lie_within_the_radius_on_the_right_side(skeleton):
    posed, joints = _rest(skeleton)
    for place, joint in enumerate(SKELETONS[skeleton].joints):
        gap = np.linalg.norm(posed.points_m[place] - joints[place], axis=1)
        # A mirrored point is moved by the model's own asymmetry, 0.3 mm.
        reach = KINDS[joint_kind(joint)].radius_m
        assert 0.6 * reach < gap.max() < reach + 3e-4, joint
        side = {"left": 1, "right": -1}.get(joint.partition("_")[0], 0)
        assert (side * posed.points_m[place, :, 0] >= -0.006).all(), joint


def test_shapes_weights_and_parts():
    table = patches("coco23")
    assert table.face.shape == table.weights.shape == table.part.shape == (23, 96)
    np.testing.assert_allclose(table.weights.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(table.barycentric.sum(axis=2), 1, atol=1e-12)
    assert table.barycentric.min() >= 0
    assert table.weights.min() > 0
    np.testing.assert_array_equal(table.part, load_atlas().part[table.face])
    for place, joint in enumerate(JOINTS):
        for part in np.unique(table.part[place]):
            assert ("left_" in PARTS[part]) <= joint.startswith("left_")
            assert ("right_" in PARTS[part]) <= joint.startswith("right_")


def test_left_and_right_are_mirror_images():
    posed, _ = _rest()
    for left, joint in enumerate(JOINTS):
        if joint.startswith("left_"):
            right = JOINTS.index("right_" + joint[5:])
            points, normals = posed.points_m * (-1, 1, 1), posed.normals * (-1, 1, 1)
            np.testing.assert_allclose(points[right], posed.points_m[left], atol=1e-3)
            np.testing.assert_array_equal(posed.weights[right], posed.weights[left])
            cosine = (normals[right] * posed.normals[left]).sum(axis=1)
            assert np.average(cosine, weights=posed.weights[left]) > 0.97


def test_the_patch_stands_for_its_surface():
    """The weighted mean of 96 points agrees with the mean of 400 fresh ones."""
    atlas = load_atlas()
    posed, _ = _rest()
    fresh = posed_patches(patches("coco23", 400, 1), atlas.template_m, atlas.body_faces)
    for place, joint in enumerate(JOINTS):
        for values, others in ((posed.points_m, fresh.points_m), (posed.normals, fresh.normals)):
            one = np.average(values[place], axis=0, weights=posed.weights[place])
            two = np.average(others[place], axis=0, weights=fresh.weights[place])
            scale = KINDS[joint_kind(joint)].radius_m if values is posed.points_m else 1
            assert np.abs(one - two).max() < 0.08 * scale, joint
    assert not np.isin(fresh.points_m[0], posed.points_m[0]).any()


def test_patches_shun_the_mouth_and_the_back_of_the_eyes():
    atlas = load_atlas()
    posed, joints = _rest()
    mouth = atlas.masks["inside-mouth"] > 0.5
    for place in range(5):
        assert not mouth[atlas.body_faces[patches("coco23").face[place]]].all(axis=1).any()
    for joint in ("left_eye", "right_eye"):
        place = JOINTS.index(joint)
        eye = posed.points_m[place]
        on_ball = ~atlas.skin_face[patches("coco23").face[place]]
        assert 4 < on_ball.sum() < 40
        assert eye[on_ball, 1].max() < joints[place, 1] + 0.008  # the ball's front
        assert posed.normals[place][on_ball, 1].max() < 0.1


def test_posed_points_lie_on_their_faces_and_normals_are_the_faces_own():
    atlas, table = load_atlas(), patches("coco23")
    vertices = bare_body(atlas, PERSON, library()[0].angles_rad).vertices_m
    posed = posed_patches(table, vertices, atlas.body_faces)
    for place, point in [(0, 0), (7, 40), (22, 95)]:
        a, b, c = vertices[atlas.body_faces[table.face[place, point]]].astype(float)
        weights = table.barycentric[place, point]
        np.testing.assert_allclose(
            posed.points_m[place, point], weights @ np.stack([a, b, c]), atol=1e-12
        )
        normal = np.cross(b - a, c - a)
        np.testing.assert_allclose(
            posed.normals[place, point], normal / np.linalg.norm(normal), atol=1e-12
        )


def test_a_damaged_file_is_built_again_and_never_unpickled(tmp_path):
    table = patches("coco23")
    path = tmp_path / "table.npz"
    module._write(path, table)
    read = module._read(path)
    for name, array in vars(table).items():
        np.testing.assert_array_equal(getattr(read, name), array)
    path.write_bytes(path.read_bytes()[:1000])
    assert module._read(path) is None
    assert not path.exists()
    np.savez(path, face=np.array([{}], object))
    assert module._read(path) is None
