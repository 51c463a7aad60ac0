"""The open sky: a gradient, clouds on a layer overhead, and the sun where the light has it."""

from __future__ import annotations

import math

import cv2
import numpy as np

from synthstudio.core.arrays import F32, F64, U8, Bool
from synthstudio.core.camera import Camera
from synthstudio.core.images import linear_to_srgb_u8, toned
from synthstudio.core.rng import stream
from synthstudio.core.spec import SkySpec, Vec3

_TEXTURE = 256
"""Side of the periodic texture of clouds, in cells."""
_OCTAVES = (4, 8, 16, 32, 64, 128)
_BEND = 0.12
"""How far the layer of clouds bends down to the horizon; 0 would be an endless plane."""
_SUN_RADIUS_RAD = math.radians(0.4)
_HALO_RAD = math.radians(11)
_ROW = 1024
"""Pixels of a mask are painted in rows of this length."""
_RELIEF = 3.0
"""How much brighter clouds are where they face the sun."""


def sky_picture(
    spec: SkySpec, sun: Vec3, camera: Camera, where: Bool | None = None, *, exposure: float
) -> U8:
    """(H, W, 3) sRGB: the sky as the camera sees it, black outside the mask `where` (H, W).

    `sun` (unit, z up) points towards the sun. Below the horizon it is the horizon's colour.
    """
    rays = world_rays(camera)
    if where is None:
        return _sky(spec, sun, rays, exposure)
    out = np.zeros((camera.height_px * camera.width_px, 3), np.uint8)
    pixels = np.flatnonzero(where)
    if len(pixels):
        rows = np.resize(pixels, (-(-len(pixels) // _ROW), _ROW))
        out[rows] = _sky(spec, sun, tuple(ray.ravel()[rows] for ray in rays), exposure)
    return out.reshape(camera.height_px, camera.width_px, 3)


def world_rays(camera: Camera) -> tuple[F32, ...]:
    """x, y, z (H, W) of world directions through the pixels' centres, any length."""
    x = ((np.arange(camera.width_px) + 0.5 - camera.K[0, 2]) / camera.focal_px)[None, :]
    y = ((np.arange(camera.height_px) + 0.5 - camera.K[1, 2]) / camera.focal_px)[:, None]
    turn = camera.world_to_camera[:3, :3]
    return tuple(
        (x * turn[0, k]).astype(np.float32) + (y * turn[1, k] + turn[2, k]).astype(np.float32)
        for k in range(3)
    )


def _sky(spec: SkySpec, sun: Vec3, rays: tuple[F32, ...], exposure: float) -> U8:
    """(h, w, 3) sRGB of rays (h, w). NumPy is slow along an axis of three: colours come first."""
    x, y, z = rays
    length = np.sqrt(x * x + y * y + z * z)
    height = np.maximum(z / length, 0)
    share = 1 - np.exp(-spec.rise * height)
    out = _rgb(spec.horizon_rgb) * (1 - share) + _rgb(spec.zenith_rgb) * share
    toward = np.clip((x * sun[0] + y * sun[1] + z * sun[2]) / length, -1, 1)
    away = np.arccos(toward)
    halo = spec.glow * np.exp(-((away / _HALO_RAD) ** 2) / 2) * min(1.0, max(0.0, 4 * sun[2] + 0.4))
    out += halo * _rgb(spec.sun_rgb)
    cover, lit = _clouds(spec, sun, (x, y, z), length)
    disc = spec.glow * np.clip((1.3 * _SUN_RADIUS_RAD - away) / (0.6 * _SUN_RADIUS_RAD), 0, 1)
    out += (20 * disc * (1 - cover)) * _rgb(spec.sun_rgb)
    cloud = _rgb(spec.shade_rgb) * (1 - lit) + _rgb(spec.cloud_rgb) * lit
    cloud += 0.5 * halo * _rgb(spec.sun_rgb)
    # Clouds far away are seen through the air of the horizon, and none below it.
    near = (1 - np.exp(-80 * height)) * (1 - 0.75 * np.exp(-10 * height))
    out += (cover * near) * (cloud - out)
    light = linear_to_srgb_u8(toned(out.astype(np.float32) * np.float32(exposure)))
    return np.asarray(cv2.merge(tuple(light)))


def _rgb(colour: Vec3) -> F32:
    return np.array(colour, np.float32)[:, None, None]


def _clouds(spec: SkySpec, sun: Vec3, rays: tuple[F32, ...], length: F32) -> tuple[F32, F32]:
    """How much of each pixel clouds cover, and how brightly they are lit; (H, W) from 0 to 1."""
    x, y, z = rays
    up = np.maximum(z / length, 0) + np.float32(_BEND)
    across, along = x / length / up, y / length / up
    cos, sin = math.cos(spec.turn_rad), math.sin(spec.turn_rad)
    size = np.float32(_TEXTURE / spec.scale)
    u = (cos * across + sin * along) * size
    v = (cos * along - sin * across) * size * np.float32(spec.stretch)
    texture = _texture(spec.seed)
    here = _looked_up(texture, u, v)
    level = 1 - spec.cover
    cover = _step(level - spec.soft, level + spec.soft, here)
    flat = math.hypot(sun[0], sun[1])
    if flat > 1e-6:
        reach = 3.0 / flat  # cells of the texture
        du = (cos * sun[0] + sin * sun[1]) * reach
        dv = (cos * sun[1] - sin * sun[0]) * reach
        there = _looked_up(texture, u + np.float32(du), v + np.float32(dv))
    else:
        there = here
    thick = np.clip((here - level) / max(spec.cover, 0.05), 0, 1)
    lit = np.clip(0.75 + _RELIEF * (here - there) - 0.6 * thick, 0, 1)
    return cover, np.asarray(lit, np.float32)


def _step(low: float, high: float, value: F32) -> F32:
    t = np.clip((value - low) / max(high - low, 1e-6), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _texture(seed: int) -> F32:
    """Periodic value noise in octaves, (_TEXTURE, _TEXTURE), its values spread evenly over 0 to 1,
    so that `cover` is the share of the sky that is covered."""
    rng = stream(seed, "clouds")
    total = np.zeros((_TEXTURE, _TEXTURE), np.float64)
    for cells in _OCTAVES:
        block = _TEXTURE // cells
        fine = _between(_between(rng.random((cells, cells)), block).T, block).T
        total += fine * (block / _TEXTURE) ** 0.9
    order = np.empty(total.size)
    order[np.argsort(total, axis=None)] = np.arange(total.size)
    return np.asarray((order / total.size).reshape(total.shape), np.float32)


def _between(values: F64, block: int) -> F64:
    """Rows (n, m) as (n * block, m), smooth between each and the next, the last and the first."""
    t = ((np.arange(block) + 0.5) / block)[None, :, None]
    share = t * t * (3 - 2 * t)
    fine = values[:, None] * (1 - share) + np.roll(values, -1, 0)[:, None] * share
    return np.asarray(fine.reshape(len(values) * block, -1), np.float64)


def _looked_up(texture: F32, u: F32, v: F32) -> F32:
    wrapped = np.pad(texture, ((0, 1), (0, 1)), mode="wrap")
    # As np.mod to the last bit, in a seventh of its time.
    column, row = (at - np.floor(at / _TEXTURE) * _TEXTURE for at in (u, v))
    return np.asarray(cv2.remap(wrapped, column, row, cv2.INTER_LINEAR), np.float32)
