"""What lens, sensor and encoder do to a picture. Nothing here moves a pixel.

Blurs and noise are albumentations' with every parameter given; noise comes from `core.rng`.
"""

from __future__ import annotations

import math
import os
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from scipy.special import ndtri

from synthstudio.core.errors import GeometryError
from synthstudio.core.images import linear_to_srgb_u8, srgb_to_linear
from synthstudio.core.rng import stream
from synthstudio.core.scene import F32, F64, U8
from synthstudio.core.spec import LensSpec

MAX_BLUR_PX = 100.0
_VIGNETTE_SPREAD = 0.6


def develop(rgb: U8, lens: LensSpec) -> U8:
    """(H, W, 3) sRGB with the effects of `lens` that are not zero, JPEG aside.

    In the order of a camera: blur by focus and by motion, vignetting, exposure, then noise.
    Blurs are even about their centre, so that a marker's centroid stays where it was.
    GeometryError for strengths that are negative, not finite or wider than 100 pixels.
    """
    _check(lens)
    if lens.blur_sigma_px > 0:
        size = 2 * math.ceil(3.5 * lens.blur_sigma_px) + 1
        kernel = _blurs().create_gaussian_kernel_1d(lens.blur_sigma_px, size)
        rgb = _pixels().separable_convolve(rgb, kernel)
    if lens.motion_px > 0:
        kernel = motion_kernel(lens.motion_px, lens.motion_angle_rad)
        rgb = _pixels().convolve(rgb, kernel)
    if lens.vignette > 0:
        rgb = _vignetted(rgb, lens.vignette)
    if lens.exposure_ev != 0:
        light = srgb_to_linear(np.arange(256, dtype=np.uint8)) * np.float32(2**lens.exposure_ev)
        rgb = np.asarray(cv2.LUT(rgb, linear_to_srgb_u8(light)), np.uint8)
    if lens.noise_sigma > 0:
        rgb = _pixels().add_noise(rgb, _noise(rgb.shape, lens))
    return np.ascontiguousarray(rgb)


def motion_kernel(length_px: float, angle_rad: float) -> F32:
    """An odd square kernel: a line of that length whose centroid is exactly zero.

    The line is a row of points spread bilinearly; each is paired with its mirror image, so
    k[i, j] == k[-1-i, -1-j]. `angle_rad` turns from x right towards y down.
    """
    reach = math.ceil(length_px / 2)
    size = 2 * reach + 1
    steps = 8 * size
    along = ((np.arange(steps) + 0.5) / steps - 0.5) * length_px
    x, y = reach + along * math.cos(angle_rad), reach + along * math.sin(angle_rad)
    kernel = np.zeros((size + 1, size + 1))
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = x - column, y - row
    for dy, dx, weight in (
        (0, 0, (1 - fx) * (1 - fy)),
        (0, 1, fx * (1 - fy)),
        (1, 0, (1 - fx) * fy),
        (1, 1, fx * fy),
    ):
        np.add.at(kernel, (row + dy, column + dx), weight)
    kernel = kernel[:size, :size]
    kernel = kernel + kernel[::-1, ::-1]
    even: F32 = (kernel / kernel.sum()).astype(np.float32)
    return even


def _check(lens: LensSpec) -> None:
    ranges = {
        "blur_sigma_px": (0, MAX_BLUR_PX), "motion_px": (0, MAX_BLUR_PX),
        "motion_angle_rad": (-1000, 1000), "noise_sigma": (0, 255), "exposure_ev": (-20, 20),
        "vignette": (0, 0.95), "jpeg_quality": (1, 100),
    }  # fmt: skip
    for name, (low, high) in ranges.items():
        value = getattr(lens, name)
        if not low <= value <= high:
            raise GeometryError(
                "a lens effect is out of range",
                where=f"lens.{name}",
                expected=f"{low} to {high}",
                got=str(value),
            )


def _pixels() -> Any:
    """Import albumentations when an effect needs it: it takes two seconds."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    from albumentations.augmentations.pixel import functional

    return functional


def _blurs() -> Any:
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    from albumentations.augmentations.blur import functional

    return functional


def _vignetted(rgb: U8, strength: float) -> U8:
    """Leave the middle as it is and darken outwards along a bell, to 1 - strength far away."""
    gain = _bell(*rgb.shape[:2]) * np.float32(strength) + np.float32(1 - strength)
    return np.asarray(cv2.multiply(rgb, gain, dtype=cv2.CV_8U), np.uint8)


@lru_cache(maxsize=2)
def _bell(height: int, width: int) -> F32:
    sigma = max(height, width) * _VIGNETTE_SPREAD
    rows, columns = (
        np.exp(-((np.arange(n) + 0.5 - n / 2) ** 2) / (2 * sigma * sigma)) for n in (height, width)
    )
    bell = np.repeat((rows[:, None] * columns)[..., None], 3, axis=2)
    return bell.astype(np.float32)


@lru_cache(maxsize=1)
def _normal_table() -> F32:
    """The standard normal's values at 256 even steps of probability, made to sigma 1."""
    table: F64 = ndtri((np.arange(256) + 0.5) / 256)
    table /= table.std()
    return table.astype(np.float32)


def _noise(shape: tuple[int, ...], lens: LensSpec) -> F32:
    """Noise of that shape in grey levels, none beyond 2.9 sigma.

    A byte a level through a table: many times faster than floats and rejection.
    """
    count = math.prod(shape)
    words = stream(lens.noise_seed, "noise").bit_generator.random_raw(-(-count // 8))
    bytes_ = words.astype("<u8", copy=False).view(np.uint8)[:count]
    # Rounded here, because albumentations would cut towards zero and weaken it.
    table = np.rint(_normal_table() * np.float32(lens.noise_sigma))
    noise = cv2.LUT(bytes_.reshape(shape), table)
    return np.asarray(noise, np.float32)
