"""Where a camera's pixels look."""

from __future__ import annotations

import numpy as np

from synthstudio.core.camera import Camera
from synthstudio.core.scene import F32, F64


def world_rays(camera: Camera) -> tuple[F32, F32, F32]:
    """x, y, z (H, W) of world directions through the pixels' centres, any length."""
    x = ((np.arange(camera.width_px) + 0.5 - camera.K[0, 2]) / camera.focal_px)[None, :]
    y = ((np.arange(camera.height_px) + 0.5 - camera.K[1, 2]) / camera.focal_px)[:, None]
    turn = camera.world_to_camera[:3, :3]
    across, down, ahead = ((x * turn[0, k], y * turn[1, k], turn[2, k]) for k in range(3))
    return _sum(*across), _sum(*down), _sum(*ahead)


def _sum(row: F64, column: F64, constant: float) -> F32:
    return row.astype(np.float32) + (column + constant).astype(np.float32)
