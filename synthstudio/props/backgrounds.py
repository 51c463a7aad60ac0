"""What is seen where no surface is: a photo, a panorama, or a gradient."""

from __future__ import annotations

import math

import cv2
import numpy as np

from synthstudio.core.camera import Camera
from synthstudio.core.errors import AssetError, explain
from synthstudio.core.images import linear_to_srgb_u8, resample, toned
from synthstudio.core.scene import F32, F64, U8
from synthstudio.core.spec import HdriBackdrop, PhotoBackdrop, PlainBackdrop, RoomBackdrop, Vec3

MID_GREY = 0.18
"""The linear reflectance that photographers expose for."""


def photo_backdrop(spec: PhotoBackdrop, rgb: U8, camera: Camera) -> U8:
    """Return (H, W, 3) sRGB: the crop of the photo `rgb` (h, w, 3), scaled to the frame."""
    height, width = rgb.shape[:2]
    x0, y0, x1, y1 = spec.crop_px
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise AssetError(
            explain(
                "the crop does not lie in the photo",
                where=spec.asset.name,
                expected=f"a part of {width} x {height} pixels",
                got=f"crop_px {spec.crop_px}",
                then="The photo is not the one the frame was drawn with.",
            )
        )
    out = resample(rgb, spec.crop_px, (camera.width_px, camera.height_px))
    return np.ascontiguousarray(out[:, ::-1]) if spec.mirrored else out


def panorama_backdrop(spec: HdriBackdrop, radiance: F32, camera: Camera, *, exposure: float) -> U8:
    """Return (H, W, 3) sRGB: what the camera sees of a panorama (h, w, 3), infinitely far away.

    Light is radiance x spec.gain x exposure, toned as the renderer tones it. At yaw 0 the
    middle column of the panorama lies along world +y, its first row looks up.
    """
    radiance = _shrink(radiance, camera)
    h, w = radiance.shape[:2]
    column, row = _places(view_directions(camera), spec.yaw_rad, (w, h))
    # One column more on either side, so that bilinear taps wrap round.
    wrapped = np.concatenate([radiance[:, -1:], radiance, radiance[:, :1]], axis=1)
    seen = cv2.remap(
        wrapped,
        (column + 1).astype(np.float32),
        np.clip(row, 0, h - 1).astype(np.float32),
        cv2.INTER_LINEAR,
    )
    return linear_to_srgb_u8(toned(seen * np.float32(spec.gain * exposure)))


def plain_backdrop(spec: PlainBackdrop, camera: Camera, *, exposure: float = 1.0) -> U8:
    """Return (H, W, 3) sRGB: a gradient in linear light from the top row to the bottom row."""
    return _gradient(spec.top_rgb, spec.bottom_rgb, camera, exposure)


def sky_backdrop(spec: RoomBackdrop, camera: Camera, *, exposure: float = 1.0) -> U8:
    """Return (H, W, 3) sRGB: the plain sky that is seen over a room's walls or floor."""
    return _gradient(spec.sky_rgb, spec.sky_rgb, camera, exposure)


def turned_panorama(radiance: F32, yaw_rad: float) -> F32:
    """Return the panorama turned by `yaw_rad` about z (left is positive), for lighting."""
    w = radiance.shape[1]
    shift = -yaw_rad / (2 * math.pi) * w
    whole = math.floor(shift)
    part = np.float32(shift - whole)
    near = np.roll(radiance, whole, axis=1)
    out: F32 = near * (1 - part) + np.roll(near, 1, axis=1) * part
    return out


def panorama_gain(radiance: F32) -> float:
    """Return the gain that brings a panorama's median luminance, by solid angle, to mid grey."""
    h = radiance.shape[0]
    luminance = radiance.astype(np.float64) @ np.array([0.2126, 0.7152, 0.0722])
    weight = np.repeat(np.sin((np.arange(h) + 0.5) / h * np.pi), radiance.shape[1])
    flat = luminance.ravel()
    order = np.argsort(flat, kind="stable")
    total = np.cumsum(weight[order])
    median = flat[order[np.searchsorted(total, total[-1] / 2)]]
    return float(MID_GREY / max(median, 1e-6))


def view_directions(camera: Camera) -> F64:
    """Return (H, W, 3) unit world directions through the centres of the pixels."""
    x = (np.arange(camera.width_px) + 0.5 - camera.K[0, 2]) / camera.focal_px
    y = (np.arange(camera.height_px) + 0.5 - camera.K[1, 2]) / camera.focal_px
    rays = np.empty((camera.height_px, camera.width_px, 3))
    rays[..., 0], rays[..., 1], rays[..., 2] = x, y[:, None], 1
    rays = rays @ camera.world_to_camera[:3, :3]
    unit: F64 = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    return unit


def _places(directions: F64, yaw_rad: float, size: tuple[int, int]) -> tuple[F64, F64]:
    """Return the column and row index (pixel centres at whole numbers) of each direction."""
    left = np.arctan2(-directions[..., 0], directions[..., 1]) - yaw_rad
    up = np.arcsin(np.clip(directions[..., 2], -1, 1))
    column = (0.5 - left / (2 * np.pi)) % 1 * size[0] - 0.5
    return column, (0.5 - up / np.pi) * size[1] - 0.5


def _shrink(radiance: F32, camera: Camera) -> F32:
    """Average whole blocks of a panorama that is much finer than the camera's pixels."""
    h, w = radiance.shape[:2]
    block = int(w / (2 * math.pi) / camera.focal_px)
    if block < 2:
        return radiance
    size = (max(2, w // block), max(1, h // block))
    return np.asarray(cv2.resize(radiance, size, interpolation=cv2.INTER_AREA), np.float32)


def _gradient(top: Vec3, bottom: Vec3, camera: Camera, exposure: float) -> U8:
    share = ((np.arange(camera.height_px) + 0.5) / camera.height_px)[:, None]
    rows = linear_to_srgb_u8((np.array(top) * (1 - share) + np.array(bottom) * share) * exposure)
    shape = (camera.height_px, camera.width_px, 3)
    return np.ascontiguousarray(np.broadcast_to(rows[:, None], shape))
