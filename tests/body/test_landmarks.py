"""Faces and hands: points lie where the mesh has eyes, lips, jaw and fingers, in every pose."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from synthstudio.body import landmarks
from synthstudio.body.atlas import bare_body, load_atlas
from synthstudio.body.patches import patches
from synthstudio.body.pose_library import library
from synthstudio.body.poses import BONES
from synthstudio.core import whole_body
from synthstudio.core.skeleton import JOINTS, SKELETONS
from synthstudio.core.spec import Phenotype

SKELETON = SKELETONS["coco133"]
MAN = Phenotype(gender=0.0, age=0.6, muscle=0.6, weight=0.5, height=0.4, proportions=0.5)
WOMAN = Phenotype(gender=1.0, age=0.9, muscle=0.3, weight=0.8, height=0.3, proportions=0.3)
CHILD = Phenotype(gender=1.0, age=0.2, muscle=0.5, weight=0.5, height=0.4, proportions=0.5)
PEOPLE = [MAN, WOMAN, CHILD]


def face_of(shape: Phenotype) -> np.ndarray:
    """(68, 3) in iBUG's order; x to the person's left, y back, z up."""
    at = dict(zip(JOINTS, bare_body(load_atlas(), shape, {}).joints_m, strict=True))
    return np.array([at[name] for name in whole_body.FACE])


def test_the_order_is_the_published_one():
    names, flip = SKELETON.joints, SKELETON.flip
    assert len(names) == 133
    assert names[:23] == SKELETONS["coco23"].joints
    assert names[23 + 8] == "chin"
    assert names[91] == "left_hand_root"
    assert names[91 + 8] == "left_forefinger4"
    assert names[112] == "right_hand_root"
    # Pairs of a mirror, from iBUG's figure of the 68 points.
    pairs = [(0, 16), (7, 9), (17, 26), (21, 22), (31, 35), (32, 34), (36, 45), (37, 44), (38, 43)]
    pairs += [(39, 42), (40, 47), (41, 46), (48, 54), (49, 53), (50, 52), (59, 55), (58, 56)]
    pairs += [(60, 64), (61, 63), (67, 65)]
    for a, b in pairs:
        assert (flip[23 + a], flip[23 + b]) == (23 + b, 23 + a)
    for middle in (8, 27, 30, 33, 51, 57, 62, 66):
        assert flip[23 + middle] == 23 + middle
    assert SKELETON.sigmas[23:91].sum() == pytest.approx(1.137)
    assert SKELETON.sigmas[91:112].sum() == SKELETON.sigmas[112:].sum() == pytest.approx(0.553)


@pytest.mark.parametrize("shape", PEOPLE)
def test_a_face_is_a_face(shape):
    p = face_of(shape)
    x, y, z = p.T
    assert (np.diff(x[:17]) > 0).all()  # from the person's right ear to the left one
    assert (np.diff(z[:9]) < 0.001).all() and (np.diff(z[8:17]) > -0.001).all()
    assert z[8] < z.min() + 0.001
    for brow, eye in (((17, 22), (36, 42)), ((22, 27), (42, 48))):
        assert (np.diff(x[slice(*brow)]) > 0).all()
        assert z[slice(*brow)].min() > z[slice(*eye)].max()
    assert (np.diff(z[27:31]) < 0).all()
    assert y.argmin() == 30  # the tip of the nose is foremost
    assert (np.diff(x[31:36]) > 0).all()
    assert z[27:31].min() > z[31:36].max() > z[48:].max()
    for first in (36, 42):  # clockwise as seen from in front: corner, upper lid, corner, lower lid
        ring = np.arange(first, first + 6)
        assert x[first] == x[ring].min() and x[first + 3] == x[ring].max()
        assert z[first + 1 : first + 3].min() > z[[first, first + 3]].mean()
        assert z[first + 4 : first + 6].max() < z[first + 1 : first + 3].min() - 0.004
        assert x[first + 1] < x[first + 2] and x[first + 5] < x[first + 4]
    assert (np.diff(x[48:55]) > 0).all() and (np.diff(x[[48, 59, 58, 57, 56, 55, 54]]) > 0).all()
    assert (np.diff(x[60:65]) > 0).all() and (np.diff(x[[60, 67, 66, 65, 64]]) > 0).all()
    assert z[49:54].min() > z[61:64].max() >= z[65:68].min() > z[55:60].max()


@pytest.mark.parametrize("shape", PEOPLE)
def test_lids_lie_at_the_eyeballs_and_points_on_the_skin(shape):
    atlas = load_atlas()
    body = bare_body(atlas, shape, {})
    at, vertices = dict(zip(JOINTS, body.joints_m, strict=True)), body.vertices_m.astype(float)
    skin = cKDTree(vertices[np.unique(atlas.body_faces[atlas.skin_face])])
    for name in whole_body.FACE:
        assert skin.query(at[name])[0] < 0.006, name  # to a vertex: those of a brow are 9 mm apart
    for side in ("left", "right"):
        ball = vertices[np.unique(atlas.groups[f"{side}_eye"])]
        middle = ball.mean(axis=0)
        radius = np.linalg.norm(ball - middle, axis=1).max()
        for k in (2, 3, 5, 6):
            gap = np.linalg.norm(at[f"{side}_eyelid_{k}"] - middle) - radius
            assert -0.001 < gap < 0.004


@pytest.mark.parametrize("shape", PEOPLE)
def test_a_hands_joints_are_the_heads_of_its_bones(shape):
    atlas = load_atlas()
    for pose in library()[::7]:
        body = bare_body(atlas, shape, pose.angles_rad)
        for hand in (whole_body.LEFT_HAND, whole_body.RIGHT_HAND):
            rows = [JOINTS.index(name) for name in hand]
            apart = np.linalg.norm(body.joints_m[rows] - body.kinematic_joints_m[rows], axis=1)
            assert apart.max() < 2e-5
    centres = {kind.bone for kind in landmarks.KINDS.values() if kind.centre}
    assert centres <= {bone.removesuffix(".L") for bone in BONES}


@pytest.mark.parametrize("shape", PEOPLE)
def test_fingers_run_outward_and_tips_lie_at_their_ends(shape):
    atlas = load_atlas()
    body = bare_body(atlas, shape, {})
    at, vertices = dict(zip(JOINTS, body.joints_m, strict=True)), body.vertices_m.astype(float)
    skin = np.unique(atlas.body_faces[atlas.skin_face])
    maximum = atlas.weights.toarray().argmax(axis=1)
    for side in ("left", "right"):
        root = at[f"{side}_hand_root"]
        for number, finger in enumerate(whole_body.FINGERS, 1):
            chain = np.array([root, *(at[f"{side}_{finger}{k}"] for k in range(1, 5))])
            out = np.linalg.norm(chain - root, axis=1)
            assert (np.diff(out) > 0).all(), finger
            bone = atlas.bone_names.index(f"finger{number}-3.{side[0].upper()}")
            own = vertices[skin[maximum[skin] == bone]]
            way = chain[4] - chain[3]
            along = (own - chain[3]) @ way / np.linalg.norm(way)
            beyond = along.max() - np.linalg.norm(way)
            assert -0.002 < beyond < 0.2 * np.linalg.norm(way), finger


def test_bodies_are_labelled_as_without_faces_and_hands():
    whole, body = patches("coco133"), patches("coco23")
    for name, array in vars(body).items():
        np.testing.assert_array_equal(getattr(whole, name)[:23], array)
