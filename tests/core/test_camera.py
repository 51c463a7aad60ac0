"""Laws of the camera: project and unproject undo each other, OpenCV agrees."""

import dataclasses
import math

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from synthstudio.core import camera as bend
from synthstudio.core.camera import NEAR_M, Camera, look_at
from synthstudio.core.errors import GeometryError
from synthstudio.core.rng import stream

ANGLE = st.floats(-3, 3)


def _camera(yaw=0.3, pitch=-0.2, roll=0.1):
    return Camera(
        width_px=640, height_px=480, focal_px=520.0, position_m=(0.4, -3.0, 1.6), yaw_rad=yaw,
        pitch_rad=pitch, roll_rad=roll,
    )  # fmt: skip


def test_look_at_puts_the_target_in_the_middle_and_never_looks_at_its_own_place():
    place, target = (1.0, -2.0, 1.5), np.array([-3.0, 4.0, 0.2])
    yaw, pitch = look_at(place, tuple(target))
    camera = dataclasses.replace(_camera(yaw, pitch, 0.0), position_m=place)
    np.testing.assert_allclose(camera.project(camera.to_camera(target)), [320, 240], atol=1e-9)
    with pytest.raises(GeometryError, match="the camera's position"):
        look_at((1.0, 2.0, 3.0), (1.0, 2.0, 3.0))
    assert math.isfinite(look_at((0, 0, 5), (0, 0, 0))[1])


def test_what_is_nearer_than_the_near_plane_has_no_pixel():
    points = np.array([[0, 0, NEAR_M * 0.99], [0, 0, -2.0], [0, 0, NEAR_M]])
    assert np.isnan(_camera().project(points)).all(axis=1).tolist() == [True, True, False]


def test_positive_yaw_turns_left_positive_pitch_looks_up_and_roll_is_clockwise():
    ahead = np.array([0.4, 5.0, 1.6])  # straight before the camera at yaw 0
    x0, y0 = _project(ahead, 0, 0, 0)
    assert _project(ahead, 0.1, 0, 0)[0] > x0
    assert _project(ahead, 0, 0.1, 0)[1] > y0
    right = np.array([1.4, 5.0, 1.6])
    assert _project(right, 0, 0, 0.1)[1] < _project(right, 0, 0, 0)[1]


def _project(point, yaw, pitch, roll):
    camera = _camera(yaw, pitch, roll)
    return tuple(camera.project(camera.to_camera(point)))


@given(ANGLE, st.floats(-1.5, 1.5), ANGLE)
def test_it_is_rigid_and_unproject_undoes_project(yaw, pitch, roll):
    camera = _camera(yaw, pitch, roll)
    m = camera.world_to_camera[:3, :3]
    np.testing.assert_allclose(m @ m.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(m) == pytest.approx(1)
    pixels = np.array([[0.0, 0.0], [320.5, 17.25], [-90.0, 700.0]])
    inside = camera.unproject(pixels, np.array([0.5, 3.0, 40.0]))
    np.testing.assert_allclose(camera.project(inside), pixels, atol=1e-9)
    np.testing.assert_allclose(camera.to_camera(camera.to_world(inside)), inside, atol=1e-9)


def test_horizon_is_where_far_level_points_land():
    camera = _camera(0.0, -0.15, 0.0)
    far = np.array([0.4, 1e7, 1.6])
    assert _project(far, 0.0, -0.15, 0.0)[1] == pytest.approx(camera.horizon_px, abs=1e-3)


LENSES = [(-0.3, 0.0), (-0.3, 0.1), (0.3, 0.0), (0.1, -0.2), (-0.9, 0.3), (0.0, 0.0)]
COEFFICIENT = st.integers(-1000, 1000).map(lambda n: n / 1000)


def _bent(k, **changes):
    made = Camera(
        width_px=320, height_px=240, focal_px=300.0, position_m=(0.4, -3.0, 1.6), yaw_rad=0.3,
        pitch_rad=-0.2, roll_rad=0.1, centre_px=(150.0, 125.5), distortion=k,
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


@pytest.mark.parametrize("k", LENSES)
def test_opencv_bends_the_same(k):
    camera = _bent(k)
    minimum = np.array([-0.5, -0.4, 1.0])
    points = stream(1, "points").uniform(minimum, [0.5, 0.4, 6.0], (500, 3))
    radius = np.hypot(points[:, 0], points[:, 1]) / points[:, 2]
    points = points[radius < bend.greatest_radius(k)]
    assert len(points) > 300
    theirs, _ = cv2.projectPoints(
        points, np.zeros(3), np.zeros(3), camera.K, np.array([*k, 0.0, 0.0])
    )
    np.testing.assert_allclose(camera.project(points), theirs[:, 0], atol=1e-9)


@given(COEFFICIENT, COEFFICIENT, st.floats(-4, 4), st.floats(-4, 4))
def test_what_is_bent_is_straightened(k1, k2, x, y):
    xy = np.array([[x, y], [x / 10, y / 10], [0.0, 0.0]])
    there = bend.distorted((k1, k2), xy)
    np.testing.assert_allclose(bend.undistorted((k1, k2), there), xy, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(
        bend.distorted((k1, k2), bend.undistorted((k1, k2), xy)), xy, atol=1e-9
    )


@given(COEFFICIENT, COEFFICIENT)
def test_the_radius_always_rises(k1, k2):
    radius = np.linspace(0, 5, 2001)
    assert (np.diff(bend.radius_of((k1, k2), radius)) >= 0.99 * bend.MIN_SLOPE * radius[1]).all()
    along, across = bend.slopes((k1, k2), radius)
    assert (along >= bend.MIN_SLOPE).all() and (across >= 0.99 * bend.MIN_SLOPE).all()


@given(COEFFICIENT, COEFFICIENT)
def test_where_it_folds_is_where_the_slope_ends(k1, k2):
    maximum = bend.greatest_radius((k1, k2))
    assume(math.isfinite(maximum))
    s = maximum * maximum
    assert 1 + 3 * k1 * s + 5 * k2 * s * s == pytest.approx(bend.MIN_SLOPE, abs=1e-6)
    end = float(bend.radius_of((k1, k2), np.array(maximum)))
    assert bend.folds((k1, k2), end * 1.001) and not bend.folds((k1, k2), end * 0.999)


@pytest.mark.parametrize("k", LENSES)
def test_the_pinhole_sees_all_and_nowhere_coarser(k):
    camera = _bent(k, focal_px=520.0)
    assert not bend.folds(k, math.hypot(170, 125.5) / 520)
    wide = camera.pinhole
    assert wide.distortion is None
    x, y = np.meshgrid(np.arange(0, 320.1, 0.5), np.arange(0, 240.1, 0.5))
    px = np.stack([x, y], axis=-1)
    seen = wide.project(camera.unproject(px, np.ones(px.shape[:-1])))
    assert seen.min() >= 1
    assert (seen.reshape(-1, 2).max(axis=0) <= [wide.width_px - 1, wide.height_px - 1]).all()
    for axis in (0, 1):
        step = np.linalg.norm(np.diff(seen, axis=axis), axis=-1)
        assert step.min() >= 0.5 * 0.995  # a pixel of the picture is at least one of the pinhole
