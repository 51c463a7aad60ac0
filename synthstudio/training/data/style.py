"""What cameras and files do to pictures, and the colours and textures of other photos.

Rendered people all look alike in sharpness, noise and colours; a network that learns from them must
not count on it. Labels stay. All numbers are drawn from (seed, step).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import AssetError
from synthstudio.core.images import SUFFIXES, list_pictures, read_rgb
from synthstudio.core.rng import Generator, stream
from synthstudio.training.config import Augment
from synthstudio.training.data.augment import BatchPart

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

EFFECTS = ("resample", "blur", "colours", "fourier", "gamma", "grey", "noise", "jpeg")
"""In the order in which they are applied; each is a chance in `augment`."""
MOST_PHOTOS = 1000
_PHOTO_PX = 96


@dataclass(frozen=True, kw_only=True)
class Photos:
    """Small pictures (h, w, 3), at most MOST_PHOTOS of a folder; `lab` (P, 2, 3) mean and spread
    of each one's channels in CIELAB."""

    pictures: tuple[U8, ...]
    lab: F32
    key: str

    def __len__(self) -> int:
        return len(self.pictures)


@dataclass(frozen=True, kw_only=True)
class StyleDraws:
    """The random choices for B samples; each array has B rows."""

    chosen: dict[str, NDArray[np.bool_]]
    strength: dict[str, NDArray[np.float64]]  # 0 to 1
    photo: NDArray[np.int64]
    noise: NDArray[np.int64]  # seeds


def load_photos(folder: Path) -> Photos:
    """Load the photos of a folder (not of its subfolders), evenly spread by name if there are many.

    AssetError when there are none, or for one that cannot be read.
    """
    paths = [p for p in list_pictures(folder)[0] if p.parent == folder] if folder.is_dir() else []
    if not paths:
        raise AssetError(
            "no photos", where=str(folder), expected=f"a folder with {', '.join(SUFFIXES)}"
        )
    every = np.linspace(0, len(paths) - 1, min(len(paths), MOST_PHOTOS)).round().astype(int)
    digest, pictures = hashlib.sha256(), []
    for k in every:
        rgb = read_rgb(paths[k])
        factor = min(1.0, _PHOTO_PX / max(rgb.shape[:2]))
        size = [max(1, round(side * factor)) for side in rgb.shape[1::-1]]
        pictures.append(np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8))
        digest.update(repr(pictures[-1].shape).encode() + pictures[-1].tobytes())
    lab = np.array([_statistics(cv2.cvtColor(p, cv2.COLOR_RGB2LAB)) for p in pictures], np.float32)
    return Photos(pictures=tuple(pictures), lab=lab, key=digest.hexdigest())


def _statistics(lab: NDArray[Any]) -> tuple[Any, Any]:
    mean, spread = cv2.meanStdDev(lab)
    return mean[:, 0], spread[:, 0] + 1


def draw_styles(
    augment: Augment, part: BatchPart, *, seed: int, step: int, photos: Photos | None
) -> StyleDraws | None:
    """Draw for a part of a batch; None when no effect has a chance."""
    chance = {name: getattr(augment, name) for name in EFFECTS}
    if not any(chance.values()):
        return None
    rng, count = stream(seed, "style", step), part.count
    draws = StyleDraws(
        chosen={name: rng.random(count) < chance[name] for name in EFFECTS},
        strength={name: rng.random(count) for name in EFFECTS},
        photo=rng.integers(0, max(len(photos or ()), 1), count),
        noise=rng.integers(0, 2**62, count),
    )
    return part.drawn(draws)


def restyle(image: U8, draws: StyleDraws | None, b: int, photos: Photos | None) -> U8:
    """Apply the effects of sample b to an image (H, W, 3)."""
    if draws is None:
        return image
    how = {name: float(draws.strength[name][b]) for name in EFFECTS if draws.chosen[name][b]}
    for name, strength in how.items():
        if name == "noise":
            image = _noise(image, strength, stream(int(draws.noise[b]), "noise"))
        elif name == "colours" and photos is not None:
            image = _colours(image, strength, photos.lab[draws.photo[b]])
        elif name == "fourier" and photos is not None:
            image = _fourier(image, strength, photos.pictures[draws.photo[b]])
        elif name in _EFFECTS:
            image = _EFFECTS[name](image, strength)
    return image


def _resample(image: U8, strength: float) -> U8:
    """Down to 80 to 30 % of the size, and up again."""
    height, width = image.shape[:2]
    factor = 0.8 - 0.5 * strength
    small = cv2.resize(
        image,
        (max(4, round(width * factor)), max(4, round(height * factor))),
        interpolation=cv2.INTER_AREA,
    )
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _blur(image: U8, strength: float) -> U8:
    """A Gaussian of up to 2 % of the height."""
    sigma = 0.3 + strength * 0.02 * image.shape[0]
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def _gamma(image: U8, strength: float) -> U8:
    """An exponent from 0.55 to 1.8."""
    levels = np.linspace(0, 1, 256) ** math.exp((2 * strength - 1) * 0.6)
    return np.asarray(cv2.LUT(image, (255 * levels).round().astype(np.uint8)), np.uint8)


def _grey(image: U8, strength: float) -> U8:
    """All but up to 30 % of the colour is gone."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    kept = max(0.0, strength - 0.7)
    return np.asarray((image * kept + grey * (1 - kept)).round().astype(np.uint8))


def _noise(image: U8, strength: float, rng: Generator) -> U8:
    """Gaussian noise of up to 20 grey levels, half of it alike in all channels."""
    height, width = image.shape[:2]
    each = rng.standard_normal((height, width, 3), np.float32)
    each += rng.standard_normal((height, width, 1), np.float32)
    noisy = image + each * np.float32(strength * 20 / math.sqrt(2))
    return np.asarray(np.clip(noisy, 0, 255).round().astype(np.uint8))


def _jpeg(image: U8, strength: float) -> U8:
    """Quality 85 to 15."""
    quality = round(85 - 70 * strength)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _colours(image: U8, strength: float, other: F32) -> U8:
    """Mean and spread of each channel in CIELAB go `strength` of the way to a photo's, (2, 3).

    After Reinhard et al. 2001, "Color transfer between images".
    """
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    mean, spread = _statistics(lab)
    factor = 1 + strength * (other[1] / spread - 1)
    offset = mean + strength * (other[0] - mean) - factor * mean
    levels = np.arange(256)[:, None] * factor + offset
    table = np.clip(levels, 0, 255).round().astype(np.uint8)[None]
    return np.asarray(cv2.cvtColor(cv2.LUT(lab, table), cv2.COLOR_LAB2RGB), np.uint8)


def _fourier(image: U8, strength: float, photo: U8) -> U8:
    """The lowest frequencies take a photo's amplitudes and keep their phases.

    Fourier domain adaptation (Yang and Soatto 2020), with a band of 1 to 6 % of the sides.
    """
    height, width = image.shape[:2]
    other = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
    spectrum = np.fft.rfft2(image.astype(np.float32), axes=(0, 1))
    amplitude = np.abs(np.fft.rfft2(other.astype(np.float32), axes=(0, 1)))
    reach = max(1, round(min(height, width) * (0.01 + 0.05 * strength)))
    for band in (slice(0, reach), slice(height - reach + 1, height)):
        here = spectrum[band, :reach]
        size = np.maximum(np.abs(here), 1e-6)
        spectrum[band, :reach] = here / size * amplitude[band, :reach]
    out = np.fft.irfft2(spectrum, s=(height, width), axes=(0, 1))
    return np.asarray(np.clip(out, 0, 255).round().astype(np.uint8))


_EFFECTS = {
    "resample": _resample,
    "blur": _blur,
    "gamma": _gamma,
    "grey": _grey,
    "jpeg": _jpeg,
}
