"""Limbs are moved out of their own body, and only those that lie in it."""

import numpy as np
import pytest
from samples import sampled

from benchmarks import touch
from synthstudio.body import untangle
from synthstudio.body.atlas import bare_body, load_atlas
from synthstudio.body.pose_library import library
from synthstudio.body.poses import LIMITS_RAD
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import JOINTS
from synthstudio.core.spec import Phenotype

WIDE = Phenotype(gender=0.9, age=0.7, muscle=0.4, weight=0.95, height=0.4, proportions=0.4)
USUAL = Phenotype(gender=0.5, age=0.62, muscle=0.5, weight=0.5, height=0.38, proportions=0.5)
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
    return max((m for *_, m in touch.self_touches(posed, JOINTS)), default=0.0)


def test_a_hand_in_the_belly_comes_out():
    assert _deepest_m(USUAL, IN_THE_BELLY) > 0.04
    out, left_m = untangle.resolve_self_intersection(USUAL, IN_THE_BELLY)
    assert _deepest_m(USUAL, out) < touch.SOFT_M
    assert left_m == untangle.deepest_own_m(USUAL, out) <= untangle.DEEP_M
    moved = {name for name in out if out[name] != IN_THE_BELLY.get(name, 0.0)}
    assert moved
    assert all(name.startswith("left_") for name in moved)  # what is not involved stays
    assert (out, left_m) == untangle.resolve_self_intersection(USUAL, IN_THE_BELLY)


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
