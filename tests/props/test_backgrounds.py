"""Backdrops: crops, gradients, and panoramas that lie where the camera model says."""

import math
from dataclasses import replace

import numpy as np
import pytest

from synthstudio.core.camera import Camera
from synthstudio.core.errors import AssetError
from synthstudio.core.spec import AssetRef, HdriBackdrop, Material, PhotoBackdrop, RoomBackdrop
from synthstudio.props.backgrounds import panorama_backdrop, photo_backdrop, room_surfaces

REF = AssetRef(sha256="0" * 64, name="a")
CAMERA = Camera(
    width_px=80, height_px=60, focal_px=70.0, position_m=(3.0, 1.0, 1.5), yaw_rad=0.4,
    pitch_rad=-0.2, roll_rad=0.1,
)  # fmt: skip


def _spot(azimuth: float, elevation: float, h: int = 128) -> np.ndarray:
    """A dark panorama with a smooth spot; azimuth from world +y to the left."""
    w = 2 * h
    row, column = np.mgrid[:h, :w] + 0.5
    left = (0.5 - column / w) * 2 * math.pi
    up = (0.5 - row / h) * math.pi
    cosine = np.sin(up) * math.sin(elevation)
    cosine += np.cos(up) * math.cos(elevation) * np.cos(left - azimuth)
    spot = np.exp(-((np.arccos(np.clip(cosine, -1, 1)) / 0.06) ** 2))
    return np.repeat(spot[..., None], 3, axis=-1).astype(np.float32) * 0.7


def _direction(azimuth: float, elevation: float) -> np.ndarray:
    flat = math.cos(elevation)
    return np.array([-math.sin(azimuth) * flat, math.cos(azimuth) * flat, math.sin(elevation)])


def _centroid(rgb: np.ndarray) -> np.ndarray:
    weight = rgb[..., 0].astype(float) ** 2
    y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]] + 0.5
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@pytest.mark.parametrize("turn", [0.0, 1.0, -2.5, 7.0])
@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.2, 0.1), (-0.25, -0.15)])
@pytest.mark.parametrize("yaw", [0.0, 0.4, math.pi, -3.1])
def test_a_bright_spot_lands_where_the_camera_projects_its_direction(turn, offset, yaw):
    camera = replace(CAMERA, yaw_rad=yaw)
    azimuth, elevation = yaw + offset[0], camera.pitch_rad + offset[1]
    spec = HdriBackdrop(asset=REF, yaw_rad=turn)
    seen = panorama_backdrop(spec, _spot(azimuth - turn, elevation), camera, exposure=1.0)
    far = np.array(camera.position_m) + 1e7 * _direction(azimuth, elevation)
    expected = camera.project(camera.to_camera(far))
    assert _centroid(seen) == pytest.approx(expected, abs=0.3)


def test_a_photo_is_cropped_and_scaled():
    photo = np.zeros((120, 200, 3), np.uint8)
    photo[30:90, 50:130] = np.arange(80, dtype=np.uint8)[None, :, None] * 3
    spec = PhotoBackdrop(asset=REF, crop_px=(50.0, 30.0, 130.0, 90.0))
    assert (photo_backdrop(spec, photo, CAMERA) == photo[30:90, 50:130]).all(), "1:1 is exact"
    mirrored = photo_backdrop(replace(spec, mirrored=True), photo, CAMERA)
    assert (mirrored == photo[30:90, 50:130][:, ::-1]).all()
    half = photo_backdrop(replace(spec, crop_px=(10.0, 0.0, 170.0, 120.0)), photo, CAMERA)
    assert half.shape == (60, 80, 3)


@pytest.mark.parametrize("crop", [(-1, 0, 5, 5), (0, 0, 201, 5), (5, 5, 5, 9), (math.nan, 0, 5, 5)])
def test_a_crop_outside_the_photo_is_refused(crop):
    spec, photo = PhotoBackdrop(asset=REF, crop_px=crop), np.zeros((120, 200, 3), np.uint8)
    with pytest.raises(AssetError, match="crop"):
        photo_backdrop(spec, photo, CAMERA)


ROOM = RoomBackdrop(
    size_m=(6.0, 4.0, 2.5),
    centre_m=(1.0, 2.0),
    floor=Material(pattern="planks"),
    wall=Material(pattern="bricks"),
)


def test_the_room_has_its_size_and_place():
    floor, walls = room_surfaces(ROOM)
    assert floor.vertices_m.min(axis=0) == pytest.approx([-2, 0, 0])
    assert floor.vertices_m.max(axis=0) == pytest.approx([4, 4, 0])
    assert walls.vertices_m.min(axis=0) == pytest.approx([-2, 0, 0])
    assert walls.vertices_m.max(axis=0) == pytest.approx([4, 4, 2.5])
    a, b, c = (walls.vertices_m[walls.faces[:, k]].astype(float) for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    assert area == pytest.approx(2 * (6 + 4) * 2.5)
