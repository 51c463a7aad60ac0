"""Effects of lens, sensor and encoder on a finished picture. Nothing here moves a pixel:
distortion is the camera's (core/camera.py, render/bend.py).
"""

import math
from functools import lru_cache

import cv2
import numpy as np
from scipy.special import ndtri

from synthstudio.core.arrays import F32, F64, U8
from synthstudio.core.errors import GeometryError
from synthstudio.core.images import LUMINANCE, linear_to_srgb_u8, srgb_to_linear
from synthstudio.core.rng import stream
from synthstudio.core.spec import LensSpec

MAX_BLUR_PX = 100.0
_VIGNETTE_SPREAD = 0.6
_SHARPENED_PX = 0.8
_MID_GREY = 0.46
"""Linear 0.18 in sRGB."""
_STEEPNESS = np.linspace(0, 12, 121)
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


def develop(rgb: U8, lens: LensSpec) -> U8:
    """(H, W, 3) sRGB with the effects of `lens` that are not zero, JPEG aside.

    In the order of a camera: even blur, blur by motion, vignetting, exposure, the
    sensor's noise, white balance, noise of even strength, the tone curve, then sharpening.
    Blurs are even about their centre, so that a marker's centroid stays where it was.
    GeometryError for strengths that are negative, not finite or wider than 100 pixels.
    """
    _check(lens)
    if lens.blur_sigma_px > 0:
        reach = math.ceil(3.5 * lens.blur_sigma_px)
        bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / lens.blur_sigma_px) ** 2)
        bell /= bell.sum()
        rgb = np.asarray(cv2.sepFilter2D(rgb, -1, bell, bell), np.uint8)
    if lens.motion_px > 0:
        kernel = motion_kernel(lens.motion_px, lens.motion_angle_rad)
        rgb = np.asarray(cv2.filter2D(rgb, -1, kernel), np.uint8)
    if lens.vignette > 0:
        rgb = _vignetted(rgb, lens.vignette)
    if lens.exposure_ev != 0:
        light = srgb_to_linear(np.arange(256, dtype=np.uint8)) * np.float32(2**lens.exposure_ev)
        rgb = np.asarray(cv2.LUT(rgb, linear_to_srgb_u8(light)), np.uint8)
    if lens.iso > 0 or lens.white_balance_mired != 0 or lens.tint_ev != 0:
        rgb = sensed(rgb, lens)
    if lens.noise_sigma > 0:
        rgb = np.asarray(cv2.add(rgb, _noise(rgb.shape, lens), dtype=cv2.CV_8U), np.uint8)
    if lens.contrast > 0:
        rgb = np.asarray(cv2.LUT(rgb, tone_curve(lens.contrast)), np.uint8)
    if lens.sharpening > 0:
        soft = cv2.GaussianBlur(rgb, (0, 0), _SHARPENED_PX)
        more = 1 + lens.sharpening
        rgb = np.asarray(cv2.addWeighted(rgb, more, soft, -lens.sharpening, 0), np.uint8)
    return np.ascontiguousarray(rgb)


def tone_curve(contrast: float) -> U8:
    """(256,) a camera's tone curve for each sRGB value: mid-grey, 0 and 255 are fixed.

    A logistic curve about mid-grey, stretched to reach black and white, whose slope there is
    1 + `contrast`.
    """
    steep = float(np.interp(contrast, _contrasts(), _STEEPNESS))
    if steep == 0:
        return np.arange(256, dtype=np.uint8)
    level = np.arange(256) / 255
    black, white, curve = (_logistic(steep, x) for x in (0.0, 1.0, level))
    curve = (curve - black) / (white - black)
    # The stretch moved mid-grey a little; two straight pieces bring it back.
    middle = float(np.interp(_MID_GREY, level, curve))
    curve = np.interp(curve, [0, middle, 1], [0, _MID_GREY, 1])
    return np.rint(255 * curve).astype(np.uint8)


def _logistic(steep: float | F64, level: float | F64) -> F64:
    return np.asarray(1 / (1 + np.exp(-steep * (level - _MID_GREY))))


@lru_cache(maxsize=1)
def _contrasts() -> F64:
    """How much steeper than 1 the stretched curves of _STEEPNESS are at mid-grey."""
    steep = _STEEPNESS[1:]
    slopes = steep / 4 / (_logistic(steep, 1.0) - _logistic(steep, 0.0))
    return np.concatenate([[0.0], slopes - 1])


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
    return np.asarray(kernel / kernel.sum(), np.float32)


def _check(lens: LensSpec) -> None:
    ranges = {
        "blur_sigma_px": (0, MAX_BLUR_PX), "motion_px": (0, MAX_BLUR_PX),
        "motion_angle_rad": (-1000, 1000), "noise_sigma": (0, 255), "exposure_ev": (-20, 20),
        "vignette": (0, 0.95), "white_balance_mired": (-300, 300), "tint_ev": (-2, 2),
        "iso": (0, 409_600), "contrast": (0, 1.5), "sharpening": (0, 3),
        "aperture_m": (0, 1), "focus_error": (-0.9, 10),
        "jpeg_quality": (1, 100),
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


def _vignetted(rgb: U8, strength: float) -> U8:
    """Keep the middle and darken outwards along a Gaussian, to 1 - strength far away."""
    gain = _bell(*rgb.shape[:2]) * np.float32(strength) + np.float32(1 - strength)
    return np.asarray(cv2.multiply(rgb, gain, dtype=cv2.CV_8U), np.uint8)


@lru_cache(maxsize=2)
def _bell(height: int, width: int) -> F32:
    sigma = max(height, width) * _VIGNETTE_SPREAD
    rows, columns = (
        np.exp(-((np.arange(n) + 0.5 - n / 2) ** 2) / (2 * sigma * sigma)) for n in (height, width)
    )
    return np.repeat((rows[:, None] * columns)[..., None], 3, axis=2).astype(np.float32)


def _noise(shape: tuple[int, ...], lens: LensSpec) -> F32:
    """Noise of that shape in grey levels, none beyond 2.9 sigma."""
    table = np.rint(normal_table() * np.float32(lens.noise_sigma))
    return np.asarray(cv2.LUT(random_bytes(shape, lens.noise_seed, "noise"), table), np.float32)


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
    grain = cv2.LUT(random_bytes((h + 2, w + 2, 3), seed, "sensor"), normal_table())
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
