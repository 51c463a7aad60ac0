"""The further cameras of a group: about the people, clear of all items, all people in view."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from synthstudio.core.camera import Camera, look_at
from synthstudio.core.errors import RecipeError
from synthstudio.core.rng import Generator
from synthstudio.core.scene import F64, Bool
from synthstudio.core.spec import ObjectSpec, PersonSpec
from synthstudio.recipe.layout.placement import CLEAR_M, Layout, Placed, corners
from synthstudio.recipe.schema.distributions import sample

_NUDGES_DEG = (0.0, 6.0, -6.0, 14.0, -14.0, 24.0, -24.0, 36.0, -36.0, 50.0, -50.0)
_STEPS, _STEP = 16, 1.09
"""Tries for each direction, and the factor by which each is farther out."""
_GIVEN_STEPS = 3
_IN_VIEW = 0.94
_HIDDEN = 0.6
"""With more joints than this behind objects, further places are tried."""
_HIDING = ("occluder", "support")
"""Seats and held objects hide people from some sides at any camera position."""
_GIRTH_M = 0.25


def draw_rig(layout: Layout, standing: list[Placed]) -> tuple[Camera, ...]:
    """The cameras 1, 2, ... of the group, each looking at the middle of the people; RecipeError."""
    views = range(layout.ctx.recipe.variants.view)
    return tuple(_placed(layout, standing, number) for number in views)


def _placed(layout: Layout, standing: list[Placed], number: int) -> Camera:
    """The first place that sees enough of all people; else the best one."""
    options, first = layout.ctx.recipe.variants.rig, layout.camera
    rng = layout.ctx.rng("rig", number)
    middle, joints_m = _middle(standing), layout.joints_m(standing)
    away = np.array(first.position_m[:2]) - middle
    if options.azimuths_deg == "ring":
        azimuth = 360.0 * (number + 1) / (layout.ctx.recipe.variants.view + 1)
    else:
        azimuth = sample(options.azimuths_deg[number], rng)
    start = math.atan2(away[1], away[0]) + math.radians(azimuth)
    height, aim, roll, pitch = _drawn(layout, rng)
    given = options.distance_m is not None
    # A recipe that cuts people off, or aims elsewhere, does so for its other cameras, too.
    whole = pitch is None and _fits(first, standing, whole=True)
    distance = (
        sample(options.distance_m, rng) if options.distance_m is not None else layout.distance_m
    )
    best: Camera | None = None
    best_off = (math.inf, True)
    for nudge in _NUDGES_DEG:
        angle = start + math.radians(nudge)
        for step in range(_GIVEN_STEPS if given else _STEPS):
            reach = distance * _STEP**step
            x, y = middle + reach * np.array([math.cos(angle), math.sin(angle)])
            place = (float(x), float(y), height)
            yaw, aimed = look_at(place, (float(middle[0]), float(middle[1]), aim))
            camera = dataclasses.replace(
                first,
                position_m=place,
                yaw_rad=yaw,
                pitch_rad=aimed if pitch is None else pitch,
                roll_rad=roll,
                centre_px=None,
            )
            if not _clear(camera, standing):
                continue
            cut_off = not (given or _fits(camera, standing, whole=whole))
            off = (max(0.0, _hidden(camera, joints_m, standing) - _HIDDEN), cut_off)
            if best is None or off < best_off:
                best, best_off = camera, off
            if off == (0.0, False):
                return camera
    if best is not None:
        return best
    raise RecipeError(
        f"no place for camera {number + 1} of the rig",
        where=layout.ctx.where,
        expected=f"one {CLEAR_M:g} m off everything",
        then="Give variants.rig a greater distance_m, or reduce objects or people.",
    )


def _middle(standing: list[Placed]) -> F64:
    spots = [p.item.position_m[:2] for p in standing if isinstance(p.item, PersonSpec)]
    return np.mean(spots, axis=0) if spots else np.zeros(2)


def _drawn(layout: Layout, rng: Generator) -> tuple[float, float, float, float | None]:
    """Height and aim in metres, roll and pitch in radians; pitch None: from the aim."""
    usual, options = layout.ctx.recipe.camera, layout.ctx.recipe.variants.rig
    height = sample(usual.height_m if options.height_m is None else options.height_m, rng)
    aim, roll = sample(usual.aim_height_m, rng), math.radians(sample(usual.roll_deg, rng))
    pitch = None if options.pitch_deg is None else math.radians(sample(options.pitch_deg, rng))
    return height, aim, roll, pitch


def _clear(camera: Camera, standing: list[Placed]) -> bool:
    """Whether the camera is outside of, and clear of, all items."""
    place = np.array(camera.position_m)
    for placed in standing:
        away = place - np.clip(place, placed.box_m[0], placed.box_m[1])
        depth = camera.to_camera(corners(placed.box_m))[:, 2]
        # Beside the camera a wide object may cross the picture's plane, out of sight.
        if np.linalg.norm(away) < (CLEAR_M if depth.min() > CLEAR_M else 3 * CLEAR_M):
            return False
    return True


def _fits(camera: Camera, standing: list[Placed], *, whole: bool) -> bool:
    """Whether everybody's trunk is in the picture; if `whole`, from head to foot."""
    boxes = np.array([p.box_m for p in standing if isinstance(p.item, PersonSpec)])
    if not len(boxes):
        return True
    ends = np.broadcast_to(boxes.mean(axis=1, keepdims=True), boxes.shape).copy()
    if whole:
        ends[:, :, 2] = boxes[:, :, 2]
    seen = camera.to_camera(ends.reshape(-1, 3))
    reach = np.abs(seen[:, :2]) + np.array([_GIRTH_M, 0.0])
    half = np.array([camera.width_px, camera.height_px]) / 2 / camera.focal_px * camera.spread
    return bool((seen[:, 2] > CLEAR_M).all() and (reach < _IN_VIEW * half * seen[:, 2:]).all())


def _hidden(camera: Camera, joints_m: F64, standing: list[Placed]) -> float:
    """The fraction of joints (N, 3) behind the boxes of objects."""
    hidden = np.zeros(len(joints_m), bool)
    for placed in standing:
        obj = placed.item
        if isinstance(obj, ObjectSpec) and obj.role in _HIDING and not obj.heights_m:
            hidden |= _behind(np.array(camera.position_m), joints_m, obj)
    return float(hidden.mean()) if len(hidden) else 0.0


def _behind(eye_m: F64, points_m: F64, obj: ObjectSpec) -> Bool:
    """Return (N,) whether the object's upright box lies between an eye and points (N, 3)."""
    c, s = math.cos(obj.yaw_rad), math.sin(obj.yaw_rad)
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])  # rows act as its inverse
    eye, ends = ((p - np.array(obj.position_m)) @ turn for p in (eye_m, points_m))
    width, depth, height = obj.size_m
    low, high = np.array([-width / 2, -depth / 2, 0.0]), np.array([width / 2, depth / 2, height])
    way = ends - eye
    way = np.where(np.abs(way) < 1e-9, 1e-9, way)
    first, last = np.sort([(low - eye) / way, (high - eye) / way], axis=0)
    enters, leaves = first.max(axis=1), last.min(axis=1)
    return np.asarray((enters < leaves) & (enters < 1.0) & (leaves > 0.0))
