"""Where a person's joints are: world, camera and continuous pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.camera import Camera
from synthstudio.core.labels import F64

_GRID_PER_PX = float(1 << 20)


@dataclass(frozen=True, kw_only=True)
class JointPlaces:
    """One person's joints. `inside`: the centre lies in the frame, not before the near plane."""

    px: F64  # (J, 2) continuous pixels, also outside the frame; NaN before the near plane
    camera_m: F64  # (J, 3)
    world_m: F64  # (J, 3)
    inside: NDArray[np.bool_]  # (J,)


def place_joints(camera: Camera, joints_m: F64) -> JointPlaces:
    """Project world joints (J, 3) in metres.

    Pixels are snapped to 2^-20 px. Far below every tolerance, and then W - x is exact, so that
    a mirror undone gives the same bits.
    """
    world = np.asarray(joints_m, np.float64)
    inside_camera = camera.to_camera(world)
    pixels = np.round(camera.project(inside_camera) * _GRID_PER_PX) / _GRID_PER_PX
    return JointPlaces(
        px=pixels, camera_m=inside_camera, world_m=world, inside=in_frame(camera, pixels)
    )


def in_frame(camera: Camera, pixels: F64) -> NDArray[np.bool_]:
    """(...) whether continuous pixels (..., 2) lie in [0, W) x [0, H); NaN does not."""
    x, y = pixels[..., 0], pixels[..., 1]
    return (x >= 0) & (x < camera.width_px) & (y >= 0) & (y < camera.height_px)
