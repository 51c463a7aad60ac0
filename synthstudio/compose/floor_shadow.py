"""Shadow of an upright picture on the floor z = 0.

Beside its footprint the sky's light is lost as before a wide wall (form factor of a floor point),
within it most of all light. The sun's shadow is that of the picture turned to face the sun, several
times one behind another.
"""

import cv2
import numpy as np

from synthstudio.core.arrays import F32, F64, U8
from synthstudio.core.camera import Camera
from synthstudio.core.scene import Shadow
from synthstudio.core.spec import CutoutSpec

_UP = np.array([0.0, 0.0, 1.0])
_LOWEST_SUN = 0.02
_EDGE_PX = 1.0
_PENUMBRA = 0.012
"""Blur of a sun shadow, as a share of the picture's height."""
_FAINTEST = 0.02
"""Lost share of the sky's light below which it counts as none."""
_REACH = 4.0
"""How far from its footprint the sky's loss reaches, in shorter sides of the picture."""
_CORNERS = np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)], np.float64)
_DEEP, _DEEP_M = 0.8, 0.25
"""Depth of the footprint, as a share of the width and at most: bicycles are seen from the side."""
_SLICES = 4
_UNDER, _UNDER_M = 0.8, 0.08
"""Lost share of all light within the footprint, and how far from it none is."""


def standing_shadow(
    spec: CutoutSpec, alpha: U8, camera: Camera, *, sun: F64 = _UP, sun_share: float = 0.0
) -> Shadow | None:
    """The shadow of a cut-out that stands on the floor; None: none in the frame.

    `alpha` (h, w): of the picture, cropped and mirrored as it is shown; `sun`: unit vector (3,)
    towards it; `sun_share`: of the floor's light, 0 to 1.
    """
    (left, top), (width, height) = spec.top_left_px, spec.size_px
    foot = camera.floor_m(np.array([left + width / 2, top + height]))
    depth = float(camera.to_camera(np.array([*foot, 0.0]))[2])
    if not depth > 0:  # over the horizon
        return None
    wide, tall = width * depth / camera.focal_px, height * depth / camera.focal_px
    across = camera.world_to_camera[0, :2] / np.linalg.norm(camera.world_to_camera[0, :2])
    away, deep = np.array([-across[1], across[0]]), min(_DEEP * wide, _DEEP_M)  # of the camera
    steps = np.linspace(0, deep, _SLICES)
    slices = [_sun_quad_m(foot, (wide, tall), sun) + step * away for step in steps]
    reach = _REACH * min(wide, tall) + wide
    box = _window(np.concatenate([*slices, foot + reach * _CORNERS]), camera)
    if any(side.start == side.stop for side in box):
        return None
    y, x = np.mgrid[box]
    floor = camera.floor_m(np.stack([x, y], axis=-1) + 0.5)
    touching = np.flatnonzero(alpha[-max(1, len(alpha) // 8) :].any(axis=0))
    ends = (touching[[0, -1]] / alpha.shape[1] - 0.5) * wide
    along, behind = (floor - foot) @ across, (floor - foot) @ away
    beyond = np.maximum(0, np.maximum(-behind, behind - deep))
    # Metres from what touches the floor, and from what the whole picture stands over.
    from_foot = np.hypot(beyond, np.maximum(0, np.maximum(ends[0] - along, along - ends[1])))
    from_below = np.hypot(beyond, np.maximum(0, np.abs(along) - wide / 2))
    sky = 0.5 * (1 - from_foot / np.hypot(from_foot, min(wide, tall))) - _FAINTEST
    dark = (1 - sun_share) * np.maximum(0, sky)
    if sun_share > 0 and sun[2] > _LOWEST_SUN:
        blocked = [_sun_blocked(alpha, quad, camera)[box] for quad in slices]
        dark += sun_share * np.maximum.reduce([*blocked, 1 - from_below / _UNDER_M])
    dark = np.nan_to_num(np.maximum(dark, _UNDER * (1 - from_foot / _UNDER_M)))
    light = 1 - np.asarray(cv2.GaussianBlur(dark.astype(np.float32), (0, 0), _EDGE_PX), np.float32)
    points = np.concatenate([floor, np.zeros_like(floor[..., :1])], axis=-1)
    return Shadow(
        left_px=box[1].start,
        top_px=box[0].start,
        light=light,
        floor_depth_m=camera.to_camera(points)[..., 2].astype(np.float32),
    )


def _sun_quad_m(foot_m: F64, size_m: tuple[float, float], sun: F64) -> F64:
    """(4, 2) floor points where the sun casts the corners of the picture turned to face it."""
    slide = sun[:2] / max(_LOWEST_SUN, sun[2])
    flat = float(np.hypot(*slide))
    across = np.array([-slide[1], slide[0]]) / flat if flat > 1e-3 else np.array([1.0, 0.0])
    ends = foot_m + np.outer((-0.5, 0.5, 0.5, -0.5), across) * size_m[0]
    ends[:2] -= slide * size_m[1]  # of the upper corners
    return ends


def _window(points_m: F64, camera: Camera) -> tuple[slice, slice]:
    """Rows and columns around floor points (n, 2); all if one is not before the camera."""
    seen = camera.floor_px(points_m)
    size = (camera.width_px, camera.height_px)
    if not np.isfinite(seen).all():
        return slice(0, size[1]), slice(0, size[0])
    (x0, y0), (x1, y1) = (np.clip(v, 0, size).astype(int) for v in (seen.min(0), seen.max(0) + 1))
    return slice(int(y0), int(y1)), slice(int(x0), int(x1))


def _sun_blocked(alpha: U8, ends_m: F64, camera: Camera) -> F32:
    """(H, W) of the frame: the share of the sun that the picture hides from the floor."""
    out = np.zeros((camera.height_px, camera.width_px), np.float32)
    seen = camera.floor_px(ends_m).astype(np.float32)
    if not np.isfinite(seen).all() or abs(cv2.contourArea(seen)) < 1:
        return out
    rows, columns = alpha.shape
    corners = np.array([(0, 0), (columns, 0), (columns, rows), (0, rows)], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, seen)
    cv2.warpPerspective(alpha.astype(np.float32) / 255, matrix, out.shape[::-1], dst=out)
    sigma = max(0.8, _PENUMBRA * float(np.ptp(seen[:, 1])))
    return np.asarray(cv2.GaussianBlur(out, (0, 0), sigma), np.float32)
