"""Sensor and white balance: noise that grows with light, and a colour cast."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from scipy.special import ndtri

from synthstudio.core.images import LUMINANCE, linear_to_srgb_u8, srgb_to_linear
from synthstudio.core.rng import stream
from synthstudio.core.scene import F32, F64, U8
from synthstudio.core.spec import LensSpec

ELECTRONS = 20_000.0
"""Electrons of white in a pixel at ISO 100: about that of a 4 micrometre pixel."""
READ_ELECTRONS = 2.0
"""Standard deviation of the read-out noise."""
MULTIPLIERS = (2.0, 1.0, 1.6)
"""Red, green and blue: what a sensor's counts in daylight are multiplied by to make white."""
_WAVELENGTHS_UM = np.array([0.610, 0.550, 0.465])
_SECOND_RADIATION_UM_K = 14_387.77
# Bilinear demosaicing spreads noise; red and blue have half as many pixels as green.
_GREEN = np.array([[0, 1, 0], [1, 6, 1], [0, 1, 0]], np.float32)
_RED_BLUE = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32)


def sensed(rgb: U8, lens: LensSpec) -> U8:
    """(H, W, 3) sRGB with a sensor's noise at that ISO and that white balance.

    Noise first, then the balance, as in a camera; both in linear light.
    """
    light = srgb_to_linear(rgb)
    if lens.iso > 0:
        light = noisy(light, lens.iso, lens.noise_seed)
    if lens.white_balance_mired != 0 or lens.tint_ev != 0:
        light *= balance(lens.white_balance_mired, lens.tint_ev).astype(np.float32)
    return linear_to_srgb_u8(light)


def balance(mired: float, tint_ev: float) -> F64:
    """(3,) gains of linear red, green and blue that keep the luminance of every grey.

    A light whose inverse temperature is `mired` (10^-6 / K) higher than the camera thinks makes
    a picture too warm. By Wien's law a black body's light at wavelength w goes as
    exp(-c2 / (w T)), so that each gain is exp(-c2 mired 10^-6 / w). `tint_ev` takes green away,
    in stops: above 0 the picture is too magenta.
    """
    exponent = _SECOND_RADIATION_UM_K * 1e-6 * mired / _WAVELENGTHS_UM
    gains: F64 = np.exp(exponent[1] - exponent)
    gains[1] *= 2.0**-tint_ev
    gains /= LUMINANCE @ gains
    return gains


def noise_line(iso: float) -> tuple[F64, F64]:
    """Gain (3,) and read (3,) of a channel's noise: its variance is gain x light + read^2.

    Of a pixel that counts N electrons the number varies by N (Poisson), reading it by
    READ_ELECTRONS^2: Foi, Trimeche, Katkovnik, Egiazarian, "Practical Poissonian-Gaussian noise
    modeling and fitting for single-image raw-data", IEEE TIP 17(10), 2008, in which light is
    gain x electrons. Light is linear with white at 1.
    """
    gain = np.array(MULTIPLIERS) * iso / 100 / ELECTRONS
    return gain, gain * READ_ELECTRONS


def noisy(light: F32, iso: float, seed: int) -> F32:
    """(H, W, 3) linear light with a sensor's noise, which may be below 0 or above 1."""
    h, w = light.shape[:2]
    table = normal_table()
    grain = cv2.LUT(random_bytes((h + 2, w + 2, 3), seed, "sensor"), table)
    gain, read = noise_line(iso)
    out = np.empty_like(light)
    for k, kernel in enumerate((_RED_BLUE, _GREEN, _RED_BLUE)):
        even = kernel / np.sqrt((kernel * kernel).sum())  # as strong after it as before
        spread = cv2.filter2D(grain[..., k], -1, even)[1:-1, 1:-1]
        signal = light[..., k]
        sigma = np.sqrt(np.float32(gain[k]) * signal + np.float32(read[k] ** 2))
        out[..., k] = signal + sigma * spread
    return out


def random_bytes(shape: tuple[int, ...], seed: int, name: str) -> U8:
    """Even random bytes: through a table many times faster than floats and rejection."""
    count = math.prod(shape)
    words = stream(seed, name).bit_generator.random_raw(-(-count // 8))
    return words.astype("<u8", copy=False).view(np.uint8)[:count].reshape(shape)


@lru_cache(maxsize=1)
def normal_table() -> F32:
    """The standard normal's values at 256 even steps of probability, made to sigma 1."""
    table: F64 = ndtri((np.arange(256) + 0.5) / 256)
    table /= table.std()
    return table.astype(np.float32)
