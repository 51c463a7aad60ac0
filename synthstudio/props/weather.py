"""Rain, snow and fog before the camera, dirt and drops on its lens: layers that fill the frame.

Drops and flakes are spread evenly over the view. Those of a slice of depth cover a pixel with
optical depth = their number x cross-section / area, spread over their path during the exposure;
alpha is 1 - exp(-optical depth). So a raindrop that crosses a pixel in a tenth of the exposure
hides a tenth of it.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from synthstudio.core.arrays import F32, F64, U8
from synthstudio.core.camera import Camera
from synthstudio.core.images import linear_to_srgb_u8
from synthstudio.core.rng import Generator, stream
from synthstudio.core.scene import CutoutLayer
from synthstudio.core.spec import FrameSpec, RoomBackdrop, Vec2, WeatherSpec

_SLICES_M = (0.25, 0.4, 0.7, 1.1, 1.7, 2.7, 4.2, 6.5, 10.0)
"""Depths between which drops or flakes are drawn as if at one depth."""
_LENS_M, _FOCUS_M = 0.004, 4.0
"""Opening of the lens and distance of its focus, for drops and flakes."""
_SEEN_SHARE = 0.45
"""Half height of what a drop on the lens shows, as a share of the frame's height."""


@dataclass(frozen=True)
class _Particles:
    """Raindrops or snowflakes. Pairs are values at amount 0 and 1, or limits."""

    per_m3: Vec2
    diameter_m: Vec2
    fall_m_s: float
    exposure_s: float
    brightness: float  # of the sky's light


_FALLING = {
    # Drops of more than a millimetre at 5 and 100 mm an hour by Marshall and Palmer (1948); fall
    # speed of 2.5 mm drops by Atlas et al. (1973).
    "rain": _Particles((130.0, 1300.0), (0.0015, 0.003), 7.4, 1 / 100, 1.8),
    # Aggregates of crystals; they fall at about 1 m/s (Locatelli and Hobbs 1974).
    "snow": _Particles((25.0, 450.0), (0.004, 0.012), 1.1, 1 / 180, 1.25),
}
_VISIBILITY_M = (150.0, 12.0)
"""Meteorological optical range in fog at amount 0 and 1."""
_FOG_RGB = 0.7
"""Brightest fog, in linear light: a camera exposes so that it is not white."""


_layer = partial(CutoutLayer, left_px=0, top_px=0)


def weather_layers(spec: FrameSpec, item: WeatherSpec, *, instance: int) -> list[CutoutLayer]:
    """The layers of `item`, of the frame's size; those of drops and flakes by depth."""
    return _MAKERS[item.kind](spec, item, instance)


def _falling(spec: FrameSpec, item: WeatherSpec, instance: int) -> list[CutoutLayer]:
    kind, camera = _FALLING[item.kind], spec.camera
    per_m3 = _between(kind.per_m3, item.amount)
    rng = stream(item.seed, item.kind)
    slant = float(rng.normal(0, 0.12))
    rgb = _filled(camera, kind.brightness * _sky_rgb(spec))
    time_s = 0.0 if spec.clip is None else spec.clip.time_s
    out = []
    for low, high in itertools.pairwise(_SLICES_M):
        depth = math.sqrt(low * high)
        per_px = camera.focal_px / depth
        volume = camera.width_px * camera.height_px / camera.focal_px**2 * (high**3 - low**3) / 3
        diameter = float(rng.uniform(*kind.diameter_m))
        place, size = rng.random((round(per_m3 * volume), 2)), rng.lognormal(0, 0.4)
        area_px = math.pi / 4 * (diameter * size * per_px) ** 2
        path = kind.fall_m_s * per_px
        number = _counted(place, np.array([slant, 1.0]) * path * time_s, camera)
        defocus = _LENS_M * camera.focal_px * abs(1 / depth - 1 / _FOCUS_M) / 4
        kernel = _kernel(diameter * per_px / 2, path * kind.exposure_s, slant, defocus)
        spread = cv2.filter2D(number, cv2.CV_32F, kernel * area_px, borderType=cv2.BORDER_REFLECT)
        alpha = np.asarray(1 - np.exp(-np.maximum(spread, 0)), np.float32)
        out.append(_layer(instance=instance, rgb=rgb, alpha=alpha, depth_m=depth))
    return out


def _counted(place: F64, fallen_px: F64, camera: Camera) -> F32:
    """(H, W) how many of the points (N, 2) in [0, 1) are in each pixel, so far from their places.

    What leaves the frame comes in again on the other side.
    """
    size = np.array([camera.width_px, camera.height_px])
    x, y = (((place * size + fallen_px) % size).astype(np.int64) % size).T
    found = np.bincount(y * size[0] + x, minlength=int(size.prod()))
    return found.reshape(size[1], size[0]).astype(np.float32)


def _kernel(radius: float, length: float, slant: float, defocus: float) -> F32:
    """A disc moved along a slanted path and blurred, in pixels; its sum is 1."""
    reach = math.ceil(radius + length / 2 + 3 * defocus) + 2
    fine = 4
    canvas = np.zeros((fine * (2 * reach + 1),) * 2, np.float32)
    middle = fine * (reach + 0.5) - 0.5
    for along in np.linspace(-length / 2, length / 2, max(1, math.ceil(fine * length))):
        at = (round(middle + fine * slant * along), round(middle + fine * along))
        cv2.circle(canvas, at, max(1, round(fine * radius)), 1.0, cv2.FILLED)
    small = cv2.resize(canvas, (2 * reach + 1,) * 2, interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(small, (0, 0), max(0.4, defocus))
    return np.asarray(soft / soft.sum(), np.float32)


def _fog(spec: FrameSpec, item: WeatherSpec, instance: int) -> list[CutoutLayer]:
    camera, rng = spec.camera, stream(item.seed, item.kind)
    low, high = (math.log(value) for value in _VISIBILITY_M)
    density = 1 - 0.5 * _clouded(camera, rng)
    room = spec.backdrop
    sky = room.sky if isinstance(room, RoomBackdrop) else None
    light = _sky_rgb(spec) if sky is None else np.array(sky.horizon_rgb) * spec.light.exposure
    light = light * (_FOG_RGB / max(_FOG_RGB, float(light.max())))
    # Koschmieder's law: a contrast of 5 % is left at the meteorological optical range.
    per_m = math.log(20) / math.exp(low + (high - low) * item.amount)
    rgb = _filled(camera, light)
    return [_layer(instance=instance, rgb=rgb, alpha=density, depth_m=0.0, per_m=per_m)]


def _lens_dirt(spec: FrameSpec, item: WeatherSpec, instance: int) -> list[CutoutLayer]:
    """Specks, blurred as they lie before the focus, and smears."""
    camera, rng = spec.camera, stream(item.seed, item.kind)
    high = camera.height_px
    clear = np.ones((high, camera.width_px), np.float32)
    for _ in range(round(_between((6, 70), item.amount))):
        x, y = np.round(rng.random(2) * (camera.width_px, high)).astype(int).tolist()
        radius = high * math.exp(rng.uniform(math.log(0.004), math.log(0.035)))
        reach = math.ceil(3 * radius) + 3  # OpenCV's Gaussian ends at four sigma
        window = _window(x, y, reach)
        speck = np.zeros_like(clear[window])
        middle = (min(x, reach), min(y, reach))
        cv2.circle(speck, middle, max(1, round(radius)), 1.0, cv2.FILLED)
        blurred = cv2.GaussianBlur(speck, (0, 0), 0.5 * radius)
        clear[window] *= 1 - float(rng.uniform(0.2, 0.95)) * blurred
    smear = np.maximum(_clouded(camera, rng) - 0.6, 0) * item.amount
    rgb = _filled(camera, np.array([0.11, 0.085, 0.06]) * (0.4 + _sky_rgb(spec)))
    alpha = np.asarray(1 - clear * (1 - smear), np.float32)
    return [_layer(instance=instance, rgb=rgb, alpha=alpha, depth_m=0.0)]


def _lens_drops(spec: FrameSpec, item: WeatherSpec, instance: int) -> list[CutoutLayer]:
    """Drops that show the scene upside down, small and wide, as a ball lens does."""
    camera, rng = spec.camera, stream(item.seed, item.kind)
    high, wide = camera.height_px, camera.width_px
    y, x = np.mgrid[0:high, 0:wide].astype(np.float32) + np.float32(0.5)
    seen = np.stack([x, y], axis=-1)
    shape, shade = np.zeros((high, wide), np.float32), np.ones((high, wide), np.float32)
    for _ in range(round(_between((3, 40), item.amount))):
        cx, cy = rng.random(2) * (wide, high)
        radius = high * math.exp(rng.uniform(math.log(0.012), math.log(0.06)))
        across, along = radius * rng.uniform(0.75, 1.0), radius * rng.uniform(1.0, 1.35)
        window = _window(int(cx), int(cy), math.ceil(1.35 * radius) + 1)
        off_x, off_y = x[window] - cx, y[window] - cy
        out = (off_x / across) ** 2 + (off_y / along) ** 2
        inside = out < 1
        shape[window][inside] = 1.0
        shade[window][inside] = 1 - 0.55 * out[inside] ** 2
        wider = _SEEN_SHARE * high / radius
        seen[window][inside] = np.stack([cx - off_x * wider, cy - off_y * wider], -1)[inside]
    alpha = np.asarray(cv2.GaussianBlur(shape, (0, 0), 0.004 * high), np.float32)
    tint = np.repeat(np.round(255 * shade)[..., None], 3, axis=-1).astype(np.uint8)
    return [_layer(instance=instance, rgb=tint, alpha=alpha, depth_m=0.0, seen_px=seen)]


_MAKERS: dict[str, Callable[[FrameSpec, WeatherSpec, int], list[CutoutLayer]]] = {
    "rain": _falling,
    "snow": _falling,
    "fog": _fog,
    "lens_dirt": _lens_dirt,
    "lens_drops": _lens_drops,
}


def _window(x: int, y: int, reach: int) -> tuple[slice, slice]:
    return np.s_[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]


def _between(pair: Vec2, amount: float) -> float:
    share: float = amount**1.5
    return pair[0] + (pair[1] - pair[0]) * share


def _sky_rgb(spec: FrameSpec) -> F64:
    """Light of the sky on a white surface facing up, in the picture's linear RGB."""
    return np.array(spec.light.sky_rgb) * spec.light.exposure


def _filled(camera: Camera, rgb: F64) -> U8:
    colour = linear_to_srgb_u8(np.asarray(rgb, np.float32))
    return np.broadcast_to(colour, (camera.height_px, camera.width_px, 3))


def _clouded(camera: Camera, rng: Generator) -> F32:
    """(H, W) smooth noise from 0 to 1."""
    size = (camera.width_px, camera.height_px)
    total = np.zeros(size[::-1], np.float32)
    for cells, weight in ((3, 0.6), (6, 0.3), (12, 0.1)):
        noise = rng.random((cells, cells)).astype(np.float32)
        total += np.float32(weight) * cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)
    return np.clip(total, 0, 1, out=total)
