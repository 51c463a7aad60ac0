"""A pinhole camera: OpenCV axes (x right, y down, z forward), continuous pixels, metres."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import GeometryError

F64 = NDArray[np.float64]

NEAR_M = 0.05
"""Nothing nearer than this along z is drawn or labelled."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A camera as numbers that JSON can hold; matrices are derived.

    `position_m` in the world (z up). At yaw, pitch and roll 0 the camera looks along world +y
    with x to its right. Yaw turns left (about +z), pitch looks up, roll turns clockwise as
    seen from behind the camera; applied in the order roll, pitch, yaw.
    """

    width_px: int
    height_px: int
    focal_px: float
    position_m: tuple[float, float, float]
    yaw_rad: float
    pitch_rad: float
    roll_rad: float = 0.0
    centre_px: tuple[float, float] | None = None

    @cached_property
    def K(self) -> F64:
        """The (3, 3) intrinsics for continuous pixels."""
        cx, cy = self.centre_px or (self.width_px / 2, self.height_px / 2)
        return np.array([[self.focal_px, 0, cx], [0, self.focal_px, cy], [0, 0, 1]], np.float64)

    @cached_property
    def world_to_camera(self) -> F64:
        """The (4, 4) rigid transform from world to camera metres."""
        cy, sy = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        cp, sp = math.cos(self.pitch_rad), math.sin(self.pitch_rad)
        cr, sr = math.cos(self.roll_rad), math.sin(self.roll_rad)
        yaw = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
        pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        roll = np.array([[cr, 0, sr], [0, 1, 0], [-sr, 0, cr]])
        axes = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float64)  # rows: camera x, y, z
        rotation = axes @ (yaw @ pitch @ roll).T
        out = np.eye(4)
        out[:3, :3] = rotation
        out[:3, 3] = -rotation @ np.array(self.position_m)
        return out

    def to_camera(self, points_m: F64) -> F64:
        """World points (..., 3) in camera metres."""
        m = self.world_to_camera
        return np.asarray(points_m, np.float64) @ m[:3, :3].T + m[:3, 3]

    def to_world(self, points_m: F64) -> F64:
        """Camera points (..., 3) in world metres."""
        m = self.world_to_camera
        return (np.asarray(points_m, np.float64) - m[:3, 3]) @ m[:3, :3]

    def project(self, camera_m: F64) -> F64:
        """Camera points (..., 3) as pixels (..., 2); NaN nearer than the near plane."""
        camera_m = np.asarray(camera_m, np.float64)
        z = camera_m[..., 2]
        k = self.K
        with np.errstate(divide="ignore", invalid="ignore"):
            x = k[0, 0] * camera_m[..., 0] / z + k[0, 2]
            y = k[1, 1] * camera_m[..., 1] / z + k[1, 2]
        out = np.stack([x, y], axis=-1)
        out[~(z >= NEAR_M)] = np.nan
        return out

    def unproject(self, pixels: F64, depth_m: F64) -> F64:
        """Camera points (..., 3) of continuous pixels (..., 2) at z = depth_m (...)."""
        k = self.K
        pixels, depth_m = np.asarray(pixels, np.float64), np.asarray(depth_m, np.float64)
        x = (pixels[..., 0] - k[0, 2]) / k[0, 0] * depth_m
        y = (pixels[..., 1] - k[1, 2]) / k[1, 1] * depth_m
        return np.stack([x, y, np.broadcast_to(depth_m, x.shape)], axis=-1)

    def floor_m(self, pixels: F64) -> F64:
        """The (..., 2) world x, y of the floor z = 0 at pixels (..., 2); NaN over the horizon."""
        eye = np.array(self.position_m)
        pixels = np.asarray(pixels, np.float64)
        ray = self.to_world(self.unproject(pixels, np.ones(pixels.shape[:-1]))) - eye
        down = np.where(ray[..., 2] < -1e-9, ray[..., 2], np.nan)
        return np.asarray(eye[:2] - ray[..., :2] * (eye[2] / down)[..., None])

    @property
    def horizon_px(self) -> float:
        """The row of the horizon at the image's middle column (roll ignored)."""
        return float(self.K[1, 2] + self.focal_px * math.tan(self.pitch_rad))


def look_at(
    position_m: tuple[float, float, float], target_m: tuple[float, float, float]
) -> tuple[float, float]:
    """(yaw_rad, pitch_rad) of a camera at `position_m` that looks at `target_m`."""
    d = np.array(target_m, np.float64) - np.array(position_m, np.float64)
    flat = math.hypot(d[0], d[1])
    if flat + abs(d[2]) < 1e-9:
        raise GeometryError(
            "a camera cannot look at its own place", where="look_at", got=str(target_m)
        )
    return math.atan2(-d[0], d[1]), math.atan2(d[2], flat)
