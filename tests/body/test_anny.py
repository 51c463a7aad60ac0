"""Dressed people in the world."""

import dataclasses

import numpy as np
import pytest
from samples import sampled
from wardrobe_people import person

from synthstudio.body import anny as module
from synthstudio.body.anny import load
from synthstudio.body.atlas import bare_body, load_atlas
from synthstudio.body.pose_library import library
from synthstudio.core.spec import PoseSpec


def _person(pose_name="stand_relaxed", **changes):
    kinds = ("t_shirt", "trousers", "sneakers", "short_hair")
    return dataclasses.replace(person("man", pose_name, *kinds), **changes)


def _lowest(posed):
    return min(
        s.vertices_m[s.faces if s.drawn is None else s.faces[s.drawn]][..., 2].min()
        for s in posed.surfaces
        if s.drawn is None or s.drawn.any()
    )


def _forget():
    module._bare.cache_clear()
    module._dressed.cache_clear()


@pytest.mark.parametrize("pose", sampled((pose.name for pose in library()), 8))
def test_every_pose_stands_on_the_floor_after_its_drop(pose):
    body, who = load(), _person(pose)
    down = dataclasses.replace(who, position_m=(0.3, -0.2, body.drop_m(who)), yaw_rad=1.0)
    posed = body.posed(down, instance=1)
    assert _lowest(posed) == pytest.approx(0, abs=2e-6)
    assert all(np.isfinite(surface.vertices_m).all() for surface in posed.surfaces)


def test_joints_are_the_regressors_and_do_not_depend_on_clothes():
    body, who = load(), _person("throw")
    bare = bare_body(load_atlas(), who.phenotype, who.pose.angles_rad)
    np.testing.assert_array_equal(body.joints_m(who), bare.joints_m[:23])
    placed = dataclasses.replace(who, position_m=(1.0, 2.0, 3.0))
    np.testing.assert_allclose(
        body.joints_m(placed), bare.joints_m[:23] + np.array([1, 2, 3]), atol=1e-12
    )


def test_yaw_and_position_move_everything_rigidly():
    body, who = load(), _person("kick")
    here = body.posed(who, instance=1)
    there = body.posed(
        dataclasses.replace(who, position_m=(3.0, -2.0, 0.9), yaw_rad=0.7), instance=2
    )
    c, s = np.cos(0.7), np.sin(0.7)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])

    def moved(points):
        return points @ turn.T + (3.0, -2.0, 0.9)

    np.testing.assert_allclose(there.joints_m, moved(here.joints_m), atol=1e-12)
    np.testing.assert_allclose(there.kinematic_joints_m, moved(here.kinematic_joints_m), atol=1e-12)
    np.testing.assert_allclose(there.patches.points_m, moved(here.patches.points_m), atol=2e-6)
    cosine = ((here.patches.normals @ turn.T) * there.patches.normals).sum(axis=-1)
    assert cosine.min() > 1 - 1e-4
    for one, other in zip(here.surfaces, there.surfaces, strict=True):
        np.testing.assert_allclose(other.vertices_m, moved(one.vertices_m), atol=2e-6)
        np.testing.assert_array_equal(other.faces, one.faces)
        if one.normals is not None:
            np.testing.assert_allclose(other.normals, one.normals @ turn.T, atol=1e-6)
        assert (one.instance, other.instance) == (1, 2)


def test_cached_and_fresh_answers_are_the_same_bytes():
    body, who = load(), _person("lunge", position_m=(0.5, 0.5, 0.8), yaw_rad=-0.4)
    _forget()
    drop_first = body.drop_m(who)
    one = body.posed(who, instance=1)
    _forget()
    other = body.posed(who, instance=1)
    assert body.drop_m(who) == drop_first
    np.testing.assert_array_equal(one.joints_m, other.joints_m)
    np.testing.assert_array_equal(one.patches.points_m, other.patches.points_m)
    for a, b in zip(one.surfaces, other.surfaces, strict=True):
        assert a.vertices_m.tobytes() == b.vertices_m.tobytes()


def test_hanging_arms_have_palms_to_the_thighs_and_thumbs_ahead():
    hanging = PoseSpec(name="test", family="test", angles_rad={})
    left, right = load().palms_m(_person(pose=hanging))
    assert left[:3, 2] @ [-1, 0, 0] > 0.95 and right[:3, 2] @ [1, 0, 0] > 0.95
    assert left[:3, 0] @ [0, -1, 0] > 0.9 and right[:3, 0] @ [0, -1, 0] > 0.9
    assert left[:3, 1] @ [0, 0, 1] > 0.9, "to the wrist"
    assert right[:3, 1] @ [0, 0, 1] < -0.9, "to the fingertips"
