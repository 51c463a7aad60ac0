"""Backdrops: a photo, a panorama, a gradient, a room's floor and walls, or a computed sky."""

import math
from functools import partial
from typing import Any

import cv2
import numpy as np

from synthstudio.core.arrays import F32, F64, U8, Bool
from synthstudio.core.camera import Camera
from synthstudio.core.errors import AssetError
from synthstudio.core.images import LUMINANCE, linear_to_srgb_u8, resample, toned
from synthstudio.core.rng import stream
from synthstudio.core.scene import Painter, Surface
from synthstudio.core.spec import (
    OBJECT_BASE,
    HdriBackdrop,
    Material,
    PhotoBackdrop,
    PlaceBackdrop,
    PlainBackdrop,
    RoomBackdrop,
    SkySpec,
    Vec3,
)

MID_GREY = 0.18
"""Linear reflectance of a photographic grey card."""
FLOOR_INSTANCE = OBJECT_BASE
WALLS_INSTANCE = OBJECT_BASE + 1
_QUAD = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
WHITE_BALL = 0.6
"""The greatest mean light of a white matte ball in a panorama."""


def photo_backdrop(spec: PhotoBackdrop, rgb: U8, camera: Camera) -> U8:
    """(H, W, 3) sRGB: the crop of the photo `rgb` (h, w, 3), scaled to the frame."""
    height, width = rgb.shape[:2]
    x0, y0, x1, y1 = spec.crop_px
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise AssetError(
            "the crop exceeds the photo",
            where=spec.asset.name,
            expected=f"a part of {width} x {height} pixels",
            got=f"crop_px {spec.crop_px}",
            then="Use the photo that the frame was drawn with.",
        )
    out = resample(rgb, spec.crop_px, (camera.width_px, camera.height_px))
    return np.ascontiguousarray(out[:, ::-1]) if spec.mirrored else out


def panorama_backdrop(spec: HdriBackdrop, radiance: F32, camera: Camera, *, exposure: float) -> U8:
    """(H, W, 3) sRGB: the camera's view of a panorama (h, w, 3), infinitely far away.

    Light is radiance x spec.gain x exposure, toned as the renderer tones it. At yaw 0 the
    middle column of the panorama lies along world +y, its first row looks up.
    """
    radiance = _shrink(radiance, camera)
    h, w = radiance.shape[:2]
    column, row = _places(world_rays(camera), spec.yaw_rad % (2 * math.pi), (w, h))
    # One column more on either side, so that bilinear taps wrap round.
    wrapped = np.concatenate([radiance[:, -1:], radiance, radiance[:, :1]], axis=1)
    seen = cv2.remap(
        wrapped, column + np.float32(1), row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return linear_to_srgb_u8(toned(seen * np.float32(spec.gain * exposure)))


def plain_backdrop(spec: PlainBackdrop, camera: Camera, *, exposure: float = 1.0) -> U8:
    """(H, W, 3) sRGB: a gradient in linear light from the top row to the bottom row."""
    share = ((np.arange(camera.height_px) + 0.5) / camera.height_px)[:, None]
    light = np.array(spec.top_rgb) * (1 - share) + np.array(spec.bottom_rgb) * share
    rows = linear_to_srgb_u8(light * exposure)
    size = (camera.width_px, camera.height_px)
    # Five times faster than broadcasting pixels of three bytes.
    return np.asarray(cv2.resize(rows[:, None], size, interpolation=cv2.INTER_NEAREST), np.uint8)


def sky_backdrop(
    spec: RoomBackdrop | PlaceBackdrop, sun: Vec3, camera: Camera, *, exposure: float
) -> U8 | Painter:
    """The view over a room's walls or floor, (H, W, 3) sRGB; `sun` points at the sun."""
    if spec.sky is not None:
        return partial(sky_picture, spec.sky, sun, camera, exposure=exposure)
    sky = PlainBackdrop(top_rgb=spec.sky_rgb, bottom_rgb=spec.sky_rgb)
    return plain_backdrop(sky, camera, exposure=exposure)


def panorama_gain(radiance: F32) -> float:
    """The gain that exposes a panorama well, a pure function of its pixels.

    The median luminance by solid angle goes to mid grey, but no further than to where a white
    matte ball would have a mean of 0.6: a studio's black walls must not burn out its people.
    """
    small = cv2.resize(radiance, (256, 128), interpolation=cv2.INTER_AREA)
    luminance = (small.astype(np.float64) @ LUMINANCE).ravel()
    weight = np.repeat(np.sin((np.arange(128) + 0.5) / 128 * np.pi), 256)
    order = np.argsort(luminance, kind="stable")
    total = np.cumsum(weight[order])
    median = luminance[order[np.searchsorted(total, total[-1] / 2)]]
    mean = float(luminance @ weight / total[-1])
    return float(min(MID_GREY / max(median, 1e-9), WHITE_BALL / max(mean, 1e-9)))


def _places(rays: tuple[F32, ...], yaw_rad: float, size: tuple[int, int]) -> tuple[F32, F32]:
    """The column and row index (pixel centres at whole numbers) of each ray."""
    x, y, z = rays
    turn = np.arctan2(x, y) + np.float32(yaw_rad + math.pi)  # to the right of world +y
    column = turn * np.float32(size[0] / (2 * math.pi)) % np.float32(size[0]) - np.float32(0.5)
    row = np.arctan2(z, np.sqrt(x * x + y * y)) * np.float32(-size[1] / math.pi)
    return column, row + np.float32(size[1] / 2 - 0.5)


def _shrink(radiance: F32, camera: Camera) -> F32:
    """Average whole blocks of a panorama that is much finer than the camera's pixels."""
    h, w = radiance.shape[:2]
    block = int(w / (2 * math.pi) / camera.focal_px)
    if block < 2:
        return radiance
    size = (max(2, w // block), max(1, h // block))
    return np.asarray(cv2.resize(radiance, size, interpolation=cv2.INTER_AREA), np.float32)


def room_surfaces(room: RoomBackdrop) -> tuple[Surface, ...]:
    """The floor at z = 0 and, on request, the walls and the ceiling over them; world metres.

    Coordinates are metres (walls: along the wall and up), so that patterns keep their size.
    Walls and ceiling cannot be seen from outside the room. The ceiling is one instance with the
    walls: like them it throws no shadow.
    """
    half_x, half_y, height = room.size_m[0] / 2, room.size_m[1] / 2, room.size_m[2]
    corners = np.array([[-half_x, -half_y], [half_x, -half_y], [half_x, half_y], [-half_x, half_y]])
    at, centre = np.column_stack([corners, np.zeros(4)]), np.array([*room.centre_m, 0.0])
    level, up = at[:, [0, 2, 1]], np.tile(np.array([0, 0, 1]), (4, 1))
    floor = _sheet("floor", FLOOR_INSTANCE, at + centre, level, room.floor, up)
    if not room.walls:
        return (floor,)
    walls = _walls(room, at + centre, height)
    if room.ceiling is None:
        return floor, walls
    top = (at + centre)[::-1] + np.array([0, 0, height])
    return floor, walls, _sheet("ceiling", WALLS_INSTANCE, top, level[::-1], room.ceiling, -up)


def _sheet(
    name: str, instance: int, vertices: Any, coords: Any, material: Material, normals: Any
) -> Surface:
    """Rectangles side by side, of four vertices each (V, 3); coords are metres along them."""
    return Surface(
        name=name,
        instance=instance,
        vertices_m=np.array(vertices, np.float32),
        faces=np.concatenate([_QUAD + 4 * k for k in range(len(vertices) // 4)]),
        coords=np.array(coords, np.float32),
        material=material,
        normals=np.array(normals, np.float32),
        casts_shadow=False,
    )


def _walls(room: RoomBackdrop, corners: np.ndarray, height: float) -> Surface:
    """The four walls over the floor's corners (4, 3), which go round to the left."""
    up = np.array([0, 0, height])
    vertices, coords, normals, along = [], [], [], 0.0
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        length = float(np.linalg.norm(b - a))
        vertices += [b, a, a + up, b + up]
        coords += [
            [x, 0, z]
            for x, z in ((along + length, 0), (along, 0), (along, height), (along + length, height))
        ]
        direction = (b - a) / length
        normals += [[-direction[1], direction[0], 0]] * 4
        along += length
    return _sheet("walls", WALLS_INSTANCE, vertices, coords, room.wall, normals)


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


# A sky: a gradient, clouds on a layer overhead, and the sun where the light has it. -------------


def sky_picture(spec: SkySpec, sun: Vec3, camera: Camera, where: Bool, *, exposure: float) -> U8:
    """(H, W, 3) sRGB: the sky as the camera sees it, black outside the mask `where` (H, W).

    `sun` (unit, z up) points towards the sun. Below the horizon it is the horizon's colour.
    """
    rays = world_rays(camera)
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
