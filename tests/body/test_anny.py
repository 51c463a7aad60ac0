"""Dressed people in the world."""

import dataclasses

import numpy as np
import pytest

from synthstudio.body import anny as module
from synthstudio.body.anny import load
from synthstudio.body.atlas import bare_body, load_atlas
from synthstudio.body.patches import patches
from synthstudio.body.pose_library import library
from synthstudio.body.poses import LIMITS_RAD
from synthstudio.body.wardrobe import garments
from synthstudio.core.errors import RecipeError
from synthstudio.core.scene import NO_PART
from synthstudio.core.skeleton import SKELETONS
from synthstudio.core.spec import (
    GarmentSpec,
    Look,
    Material,
    PersonSpec,
    Phenotype,
    PoseSpec,
)

JOINTS = SKELETONS["coco23"].joints


def _garment(kind):
    found = next(g for g in garments() if g.kind == kind)
    shape = {name: low + (high - low) / 2 for name, (low, high) in found.shape.items()}
    return GarmentSpec(kind=kind, shape=shape, material=Material(kind="cloth"))


def _person(pose_name="stand_relaxed", **changes):
    pose = next(pose for pose in library() if pose.name == pose_name)
    kinds = ("t_shirt", "trousers", "sneakers", "short_hair")
    person = PersonSpec(
        identity="someone",
        phenotype=Phenotype(
            gender=0.0, age=0.6, muscle=0.5, weight=0.5, height=0.4, proportions=0.5
        ),
        look=Look(skin_rgb=(0.5, 0.3, 0.2), hair_rgb=(0.1, 0.1, 0.1), iris_rgb=(0.2, 0.2, 0.4)),
        pose=PoseSpec(name=pose.name, family=pose.family, angles_rad=pose.angles_rad),
        outfit=tuple(_garment(kind) for kind in kinds),
    )
    return dataclasses.replace(person, **changes)


def _lowest(posed):
    return min(
        s.vertices_m[s.faces if s.drawn is None else s.faces[s.drawn]][..., 2].min()
        for s in posed.surfaces
        if s.drawn is None or s.drawn.any()
    )


def _forget():
    module._bare.cache_clear()
    module._dressed.cache_clear()


def test_people_face_minus_y_with_their_left_at_plus_x():
    posed = load().posed(_person(), instance=1)
    at = dict(zip(JOINTS, posed.joints_m, strict=True))
    assert at["left_hip"][0] > 0 > at["right_hip"][0]
    assert at["nose"][1] < at["left_ear"][1]


@pytest.mark.parametrize("pose", [pose.name for pose in library()])
def test_every_pose_stands_on_the_floor_after_its_drop(pose):
    body, person = load(), _person(pose)
    down = dataclasses.replace(person, position_m=(0.3, -0.2, body.drop_m(person)), yaw_rad=1.0)
    posed = body.posed(down, instance=1)
    assert _lowest(posed) == pytest.approx(0, abs=2e-6)
    assert all(np.isfinite(surface.vertices_m).all() for surface in posed.surfaces)


def test_shoes_count_for_the_drop():
    body, person = load(), _person()
    barefoot = dataclasses.replace(
        person, outfit=tuple(g for g in person.outfit if g.kind != "sneakers")
    )
    assert 0.005 < body.drop_m(person) - body.drop_m(barefoot) < 0.06


def test_joints_are_the_regressors_and_do_not_depend_on_clothes():
    body, person = load(), _person("throw")
    bare = bare_body(load_atlas(), person.phenotype, person.pose.angles_rad)
    np.testing.assert_array_equal(body.joints_m(person), bare.joints_m)
    placed = dataclasses.replace(person, position_m=(1.0, 2.0, 3.0))
    np.testing.assert_allclose(
        body.joints_m(placed), bare.joints_m + np.array([1, 2, 3]), atol=1e-12
    )


def test_yaw_turns_to_the_left():
    body = load()
    turned = body.joints_m(_person(yaw_rad=np.pi / 2))
    at = dict(zip(JOINTS, turned, strict=True))
    # From facing -y, a quarter turn to one's own left (+x at yaw 0) faces +x.
    assert at["nose"][0] > at["left_ear"][0] + 0.03
    assert at["left_shoulder"][1] > at["right_shoulder"][1]


def test_yaw_and_position_move_everything_rigidly():
    body, person = load(), _person("kick")
    here = body.posed(person, instance=1)
    there = body.posed(
        dataclasses.replace(person, position_m=(3.0, -2.0, 0.9), yaw_rad=0.7), instance=2
    )
    c, s = np.cos(0.7), np.sin(0.7)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])

    def moved(points):
        return points @ turn.T + (3.0, -2.0, 0.9)

    np.testing.assert_allclose(there.joints_m, moved(here.joints_m), atol=1e-12)
    np.testing.assert_allclose(there.patches.points_m, moved(here.patches.points_m), atol=2e-6)
    cosine = ((here.patches.normals @ turn.T) * there.patches.normals).sum(axis=-1)
    assert cosine.min() > 1 - 1e-4
    for one, other in zip(here.surfaces, there.surfaces, strict=True):
        np.testing.assert_allclose(other.vertices_m, moved(one.vertices_m), atol=2e-6)
        np.testing.assert_array_equal(other.faces, one.faces)
        if one.normals is not None:
            np.testing.assert_allclose(other.normals, one.normals @ turn.T, atol=1e-6)
        assert (one.instance, other.instance) == (1, 2)


def test_the_whole_bare_body_takes_part_though_clothes_hide_some():
    atlas = load_atlas()
    surfaces = load().posed(_person(), instance=1).surfaces
    (skin,) = [s for s in surfaces if s.part is not None and len(s.faces) == len(atlas.body_faces)]
    np.testing.assert_array_equal(skin.faces, atlas.body_faces)
    np.testing.assert_array_equal(skin.part, atlas.part)
    assert 0.2 < skin.drawn.mean() < 0.95
    assert skin.part.max() < NO_PART


def test_patches_lie_on_the_posed_skin():
    atlas, body = load_atlas(), load()
    posed = body.posed(_person("squat_deep", position_m=(1.0, 2.0, 0.5), yaw_rad=2.0), instance=1)
    skin = next(s for s in posed.surfaces if len(s.faces) == len(atlas.body_faces))
    table = patches("coco23")
    corners = skin.vertices_m[skin.faces[table.face]].astype(float)
    expected = np.einsum("jnk,jnkx->jnx", table.barycentric, corners)
    np.testing.assert_allclose(posed.patches.points_m, expected, atol=1e-9)


def test_cached_and_fresh_answers_are_the_same_bytes():
    body, person = load(), _person("lunge", position_m=(0.5, 0.5, 0.8), yaw_rad=-0.4)
    _forget()
    drop_first = body.drop_m(person)
    one = body.posed(person, instance=1)
    _forget()
    other = body.posed(person, instance=1)
    assert body.drop_m(person) == drop_first
    np.testing.assert_array_equal(one.joints_m, other.joints_m)
    np.testing.assert_array_equal(one.patches.points_m, other.patches.points_m)
    for a, b in zip(one.surfaces, other.surfaces, strict=True):
        assert a.vertices_m.tobytes() == b.vertices_m.tobytes()


def test_one_person_is_posed_and_dressed_once():
    body, person = load(), _person("run_jog")
    _forget()
    body.drop_m(person)
    body.joints_m(dataclasses.replace(person, yaw_rad=1.0))
    body.posed(dataclasses.replace(person, position_m=(1.0, 0.0, 0.0)), instance=3)
    assert module._dressed.cache_info().misses == 1
    assert module._bare.cache_info().misses == 1
    body.drop_m(dataclasses.replace(person, identity="someone else"))
    assert module._dressed.cache_info().misses == 2


def test_fresh_patches_are_other_points_of_the_same_joints():
    body, person = load(), _person("wave", position_m=(1.0, 0.0, 0.9))
    own, fresh = body.posed(person, instance=1).patches, None
    fresh = body.fresh_patches(person, points=400, seed=1)
    assert fresh.points_m.shape == (23, 400, 3)
    gap = own.points_m.mean(axis=1) - fresh.points_m.mean(axis=1)
    assert np.linalg.norm(gap, axis=1).max() < 0.02
    same = body.fresh_patches(person, points=96, seed=0)
    np.testing.assert_array_equal(same.points_m, own.points_m)


def test_coco17_is_the_same_body_with_fewer_joints():
    person = _person("dance_step")
    short, whole = load("coco17").posed(person, instance=1), load().posed(person, instance=1)
    np.testing.assert_array_equal(short.joints_m, whole.joints_m[:17])
    np.testing.assert_array_equal(short.patches.points_m, whole.patches.points_m[:17])


def test_an_unknown_skeleton_is_an_error():
    with pytest.raises(RecipeError, match="coco99"):
        load("coco99")


def test_stature_does_not_depend_on_the_pose():
    body = load()
    tall, low = (body.posed(_person(pose), instance=1) for pose in ("stand_relaxed", "squat_deep"))
    assert tall.stature_m == low.stature_m
    assert 1.6 < tall.stature_m < 2.0


def test_every_pose_lies_within_the_limits():
    limits = LIMITS_RAD
    for pose in library():
        assert all(limits[k][0] <= v <= limits[k][1] for k, v in pose.angles_rad.items())
