"""Laws of the camera: project and unproject undo each other, OpenCV agrees."""

import dataclasses
import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthstudio.core.camera import NEAR_M, Camera, look_at
from synthstudio.core.errors import GeometryError

ANGLE = st.floats(-3, 3)


def _camera(yaw=0.3, pitch=-0.2, roll=0.1):
    return Camera(
        width_px=640, height_px=480, focal_px=520.0, position_m=(0.4, -3.0, 1.6), yaw_rad=yaw,
        pitch_rad=pitch, roll_rad=roll,
    )  # fmt: skip


def test_opencv_projects_the_same():
    camera = _camera()
    m = camera.world_to_camera
    world = np.array([[0.1, 0.2, 1.0], [0.5, 1.0, 0.3], [-0.4, 0.0, 1.9]])
    pixels, _ = cv2.projectPoints(world, cv2.Rodrigues(m[:3, :3])[0], m[:3, 3], camera.K, None)
    np.testing.assert_allclose(camera.project(camera.to_camera(world)), pixels[:, 0], atol=1e-9)


def test_look_at_puts_the_target_in_the_middle_and_never_looks_at_its_own_place():
    place, target = (1.0, -2.0, 1.5), np.array([-3.0, 4.0, 0.2])
    yaw, pitch = look_at(place, tuple(target))
    camera = dataclasses.replace(_camera(yaw, pitch, 0.0), position_m=place)
    np.testing.assert_allclose(camera.project(camera.to_camera(target)), [320, 240], atol=1e-9)
    with pytest.raises(GeometryError, match="its own place"):
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
