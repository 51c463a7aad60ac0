"""Motion blur: the picture of moving people is the mean of sharp ones over the exposure.

The accumulation buffer of Haeberli and Akeley (SIGGRAPH 1990): it models a sensor, including hidden
objects that come into view, shadows that move and limbs before limbs, none of which a blur along
velocities in the finished picture has (McGuire, Hennessy, Bukowski and Osman, "A reconstruction
filter for plausible motion blur", I3D 2012, where these are guessed).
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from synthstudio.core.arrays import F32, F64, U8
from synthstudio.core.camera import NEAR_M
from synthstudio.core.images import linear_to_srgb_u8, srgb_to_linear
from synthstudio.core.scene import Scene, max_motion_px, scene_at
from synthstudio.render import shadow
from synthstudio.render.pack import pack

STEP_PX = 2.0
"""Maximum motion in the picture between two moments, up to `MAX` moments."""
MAX = 20
MIN_PX = 0.5
"""Smaller motions are drawn sharp."""
_AROUND_M = 0.5
"""Beyond this distance from moving surfaces and their shadows, light is constant."""


def exposed(
    still: U8,
    scene: Scene,
    velocities: Sequence[F32 | None],
    exposure_s: float,
    draw: Callable[[Scene], U8],
) -> U8 | None:
    """(H, W, 3) sRGB of the scene exposed so long about its moment; None: nothing moves visibly.

    `velocities` (V, 3) metres a second for each of the scene's surfaces, None for what is still;
    `draw` gives a scene's picture and `still` (H, W, 3) is that of its moment. Light is averaged
    linearly over moments at even distances; a pixel that is alike in all of them keeps its bytes
    of `still`.
    """
    far = max_motion_px(scene.camera, scene.surfaces, velocities, exposure_s)
    if far < MIN_PX:
        return None
    count = min(max(2, math.ceil(far / STEP_PX)), MAX)
    times = ((np.arange(count) + 0.5) / count - 0.5) * exposure_s
    # One grid of shadows for all moments: else edges of shadows that stand would waver.
    ends = [scene_at(scene, velocities, float(t)) for t in (times[0], times[-1])]
    box = scene.shadow_box_m if scene.shadow_box_m is not None else _shadow_box(ends)
    window = _window_px(scene, velocities, ends)
    scene = dataclasses.replace(scene, shadow_box_m=box, window_px=window)
    total = np.zeros(still.shape, np.float32)
    low, high = np.full_like(still, 255), np.zeros_like(still)
    for time in times:
        now = draw(scene_at(scene, velocities, float(time)))
        np.minimum(low, now, out=low)
        np.maximum(high, now, out=high)
        total += srgb_to_linear(now)
    mean = linear_to_srgb_u8(total / np.float32(count))
    return np.where((low != high).any(axis=2)[..., None], mean, still)


def _shadow_box(scenes: Sequence[Scene]) -> F64 | None:
    """(2, 3) the bounds of the casters of all scenes; None without casters."""
    found = [shadow.casters(pack(scene)) for scene in scenes]
    boxes = np.array([thrown.box_m for thrown in found if thrown is not None])
    return np.stack([boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)]) if len(boxes) else None


def _window_px(
    scene: Scene, velocities: Sequence[F32 | None], ends: Sequence[Scene]
) -> tuple[int, int, int, int]:
    """(x0, y0, x1, y1) the pixels that may change: about moving surfaces and their shadows."""
    camera, light = scene.camera, scene.light
    moves = [
        end.surfaces[k].vertices_m
        for end in ends
        for k, d in enumerate(velocities)
        if d is not None
    ]
    low = np.min([v.min(axis=0) for v in moves], axis=0).astype(np.float64) - _AROUND_M
    high = np.max([v.max(axis=0) for v in moves], axis=0).astype(np.float64) + _AROUND_M
    low[2] = max(low[2], 0.0)
    corners = np.stack([low, high])[shadow.CORNERS, np.arange(3)]
    sun = np.asarray(light.sun_direction, np.float64)
    if sun[2] > shadow.LOWEST_SUN and np.any(np.asarray(light.sun_rgb) > 0):
        fallen = corners - sun * (corners[:, 2:] / sun[2])
        corners = np.concatenate([corners, fallen])
    seen = camera.to_camera(corners)
    if seen[:, 2].min() < NEAR_M:
        return 0, 0, camera.width_px, camera.height_px
    px = np.clip(camera.project(seen), 0, [camera.width_px, camera.height_px])
    (x0, y0), (x1, y1) = np.floor(px.min(axis=0)), np.ceil(px.max(axis=0))
    return int(x0), int(y0), int(x1), int(y1)
