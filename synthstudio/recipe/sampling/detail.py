"""How finely clothes are cut: as finely as the picture can show."""

from __future__ import annotations

import numpy as np

from synthstudio.core.camera import NEAR_M, Camera
from synthstudio.core.spec import Detail

FINE_FROM_PX = 300
"""People who stand at least so high in the picture wear fine clothes: below it one cannot tell
coarse ones at a glance."""
_STATURE_M = 1.75


def detail_at(camera: Camera, x_m: float, y_m: float) -> Detail:
    """Return the detail for a person at that place on the floor; whatever the pose."""
    depth_m = float(camera.to_camera(np.array([x_m, y_m, _STATURE_M / 2]))[2])
    height_px = _STATURE_M * camera.focal_px / max(depth_m, NEAR_M)
    return "fine" if height_px >= FINE_FROM_PX else "coarse"
