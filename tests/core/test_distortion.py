"""Laws of the lens: OpenCV's projection, undone to the last digits, and nothing seen twice."""

import dataclasses
import math

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from synthstudio.core.camera import Camera
from synthstudio.core.distortion import (
    LEAST_SLOPE,
    distorted,
    folds,
    greatest_radius,
    radius_of,
    slopes,
    undistorted,
    undistorted_scale,
)
from synthstudio.core.rng import stream

LENSES = [(-0.3, 0.0), (-0.3, 0.1), (0.3, 0.0), (0.1, -0.2), (-0.9, 0.3), (0.0, 0.0)]
COEFFICIENT = st.integers(-1000, 1000).map(lambda n: n / 1000)


def _camera(k: tuple[float, float] | None, **changes: object) -> Camera:
    made = Camera(
        width_px=320, height_px=240, focal_px=300.0, position_m=(0.4, -3.0, 1.6), yaw_rad=0.3,
        pitch_rad=-0.2, roll_rad=0.1, centre_px=(150.0, 125.5), distortion=k,
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


@pytest.mark.parametrize("k", LENSES)
def test_opencv_projects_the_same(k):
    camera = _camera(k)
    least = np.array([-0.5, -0.4, 1.0])
    points = stream(1, "points").uniform(least, [0.5, 0.4, 6.0], (500, 3))
    radius = np.hypot(points[:, 0], points[:, 1]) / points[:, 2]
    points = points[radius < greatest_radius(k)]
    assert len(points) > 300
    theirs, _ = cv2.projectPoints(
        points, np.zeros(3), np.zeros(3), camera.K, np.array([*k, 0.0, 0.0])
    )
    np.testing.assert_allclose(camera.project(points), theirs[:, 0], atol=1e-9)


@given(COEFFICIENT, COEFFICIENT, st.floats(-4, 4), st.floats(-4, 4))
def test_what_is_bent_is_straightened(k1, k2, x, y):
    xy = np.array([[x, y], [x / 10, y / 10], [0.0, 0.0]])
    there = distorted((k1, k2), xy)
    np.testing.assert_allclose(undistorted((k1, k2), there), xy, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(distorted((k1, k2), undistorted((k1, k2), xy)), xy, atol=1e-9)


@given(COEFFICIENT, COEFFICIENT)
def test_the_radius_always_rises(k1, k2):
    radius = np.linspace(0, 5, 2001)
    assert (np.diff(radius_of((k1, k2), radius)) >= 0.99 * LEAST_SLOPE * radius[1]).all()
    along, across = slopes((k1, k2), radius)
    assert (along >= LEAST_SLOPE).all() and (across >= 0.99 * LEAST_SLOPE).all()


@given(COEFFICIENT, COEFFICIENT)
def test_where_it_folds_is_where_the_slope_ends(k1, k2):
    most = greatest_radius((k1, k2))
    assume(math.isfinite(most))
    s = most * most
    assert 1 + 3 * k1 * s + 5 * k2 * s * s == pytest.approx(LEAST_SLOPE, abs=1e-6)
    end = float(radius_of((k1, k2), np.array(most)))
    assert folds((k1, k2), end * 1.001) and not folds((k1, k2), end * 0.999)


@pytest.mark.parametrize("k", LENSES)
def test_the_pinhole_sees_all_and_nowhere_coarser(k):
    camera = _camera(k, focal_px=520.0)
    assert not folds(k, math.hypot(170, 125.5) / 520)
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


def test_a_barrel_sees_more_and_a_pincushion_less():
    middle = {"centre_px": None}
    assert all(s > 1.04 for s in _camera((-0.3, 0.0), **middle).spread)
    assert all(s < 0.96 for s in _camera((0.3, 0.0), **middle).spread)


@given(k1=COEFFICIENT, k2=COEFFICIENT, most=st.integers(1, 20).map(lambda n: n / 10))
def test_scales_of_many_radii_are_those_of_each(k1: float, k2: float, most: float) -> None:
    square = np.linspace(0, most, 301)
    radius = np.sqrt(square)
    each = undistorted((k1, k2), np.stack([radius, 0 * radius], axis=-1))[:, 0]
    np.testing.assert_allclose(undistorted_scale((k1, k2), square) * radius, each, atol=1e-9)
