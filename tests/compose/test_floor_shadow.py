"""Shadows of cut-outs: where they fall, by points projected one by one."""

import dataclasses

import numpy as np
import pytest

from synthstudio.compose import blend
from synthstudio.compose.floor_shadow import standing_shadow
from synthstudio.core.arrays import F64
from synthstudio.core.camera import Camera
from synthstudio.core.scene import NO_PART, CutoutLayer, Rendering
from synthstudio.core.spec import AssetRef, CutoutSpec

CAMERA = Camera(
    position_m=(0.0, -4.0, 1.5),
    yaw_rad=0.0,
    pitch_rad=-0.2,
    roll_rad=0.0,
    focal_px=500.0,
    width_px=640,
    height_px=480,
)
DEPTH_M = float(CAMERA.to_camera(np.array([0.5, 0.0, 0.0]))[2])
TALL_M, WIDE_M = 0.8, 0.4
ALPHA = np.full((40, 20), 255, np.uint8)


def px(*point_m: float) -> tuple[int, int]:
    """Row and column of a world point."""
    x, y = CAMERA.project(CAMERA.to_camera(np.array(point_m)))
    return int(y), int(x)


def standing() -> CutoutSpec:
    """A box as a picture, its foot at world (0.5, 0, 0)."""
    row, column = px(0.5, 0.0, 0.0)
    wide, tall = (round(side * CAMERA.focal_px / DEPTH_M) for side in (WIDE_M, TALL_M))
    return CutoutSpec(
        asset=AssetRef(name="box.png", sha256="0" * 64),
        kind="box",
        top_left_px=(float(column - wide // 2), float(row - tall)),
        size_px=(wide, tall),
        depth_m=DEPTH_M,
        stands=True,
    )


def light_map(sun: F64, share: float) -> F64:
    """(H, W) transmitted light of the frame."""
    shadow = standing_shadow(standing(), ALPHA, CAMERA, sun=sun, sun_share=share)
    out = np.ones((CAMERA.height_px, CAMERA.width_px))
    if shadow is not None:
        h, w = shadow.light.shape
        out[shadow.top_px : shadow.top_px + h, shadow.left_px : shadow.left_px + w] = shadow.light
    return out


@pytest.mark.parametrize("side", [-1, 1])
def test_sun_shadow_falls_away_from_the_sun(side: int) -> None:
    sun = np.array([side * 0.8, 0.0, 0.6])
    light = light_map(sun, 0.7)
    for height in (0.2, 0.4, 0.7):  # of points of the picture's middle line
        reach = side * height * 0.8 / 0.6
        assert 0.15 < light[px(0.5 - reach, 0.0, 0.0)] < 0.31
        assert light[px(0.5 + reach + side * 0.3, 0.0, 0.0)] > 0.9
    beyond = side * (TALL_M * 0.8 / 0.6 + 0.2)
    assert light[px(0.5 - beyond, 0.0, 0.0)] > 0.97


def test_sky_shadow_is_darkest_at_the_foot_and_ends() -> None:
    light = light_map(np.array([0.0, 0.0, 1.0]), 0.0)
    row = [light[px(0.5 - WIDE_M / 2 - away, 0.1, 0.0)] for away in (0.02, 0.1, 0.3, 0.8, 2.2)]
    assert row == sorted(row)
    assert row[0] < 0.65
    assert row[-1] == 1
    assert (light[: px(0.0, 500.0, 0.0)[0]] == 1).all()  # nothing above the horizon


def test_shadow_falls_on_floor_and_backdrop_alone_and_changes_no_label() -> None:
    shape = (CAMERA.height_px, CAMERA.width_px)
    spec = standing()
    shadow = standing_shadow(spec, ALPHA, CAMERA, sun=np.array([-0.8, 0.0, 0.6]), sun_share=0.7)
    assert shadow is not None
    layer = CutoutLayer(
        instance=9,
        left_px=0,
        top_px=0,
        rgb=np.zeros((1, 1, 3), np.uint8),
        alpha=np.zeros((1, 1), np.float32),
        depth_m=DEPTH_M,
    )
    depth = np.full(shape, np.inf, np.float32)
    row, column = px(0.8, 0.0, 0.0)
    h, w = shadow.light.shape
    window = (slice(shadow.top_px, shadow.top_px + h), slice(shadow.left_px, shadow.left_px + w))
    depth[window] = shadow.floor_depth_m  # a drawn floor
    depth[row - 2 : row + 3, column : column + 5] = DEPTH_M - 0.5  # somebody before it
    bare = Rendering(
        rgb=np.full((*shape, 3), 180, np.uint8),
        depth_m=depth,
        instance=np.zeros(shape, np.int32),
        part=np.full(shape, NO_PART, np.uint8),
    )
    out = blend.over(bare, (dataclasses.replace(layer, shadow=shadow),))
    assert out.rgb[row, column - 3, 0] < 140  # the floor
    assert (out.rgb[row - 2 : row + 3, column : column + 5] == 180).all()
    changed = (out.rgb != bare.rgb).any(axis=2)
    inside = np.zeros(shape, np.bool_)
    inside[window] = shadow.light < blend.LIT
    assert changed.any()
    assert not (changed & ~inside).any()
    for name in ("depth_m", "instance", "part"):
        assert np.array_equal(getattr(out, name), getattr(bare, name))
