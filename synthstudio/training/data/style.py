"""Noise, and the colours of photos: which vary in photos but not in rendered people.

Labels are unchanged. Draws depend on (seed, step).
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

from synthstudio.core.arrays import F32, F64, I64, U8
from synthstudio.core.errors import AssetError
from synthstudio.core.images import SUFFIXES, list_pictures, read_rgb
from synthstudio.core.rng import Generator, stream
from synthstudio.training.config import Augment
from synthstudio.training.data.augment import BatchPart

MAX_PHOTOS = 1000
_PHOTO_PX = 96


@dataclass(frozen=True, kw_only=True)
class Photos:
    """At most MAX_PHOTOS of a folder: `lab` (P, 2, 3) mean and spread of each one's channels in
    CIELAB; `key` is a hash of the pictures."""

    lab: F32
    key: str


@dataclass(frozen=True, kw_only=True)
class StyleDraws:
    """Random draws for B samples; each array has B rows."""

    colours: F64  # strength of the change, 0 to 1; 0: none
    photo: I64
    noise: F64  # its strength, 0 to 1; 0: none
    seed: I64  # of the noise


def load_photos(folder: Path) -> Photos:
    """Load the photos of a folder (not of its subfolders), evenly spread by name if there are many.

    AssetError if there are none, or one is unreadable.
    """
    paths = [p for p in list_pictures(folder)[0] if p.parent == folder] if folder.is_dir() else []
    if not paths:
        raise AssetError(
            "no photos", where=str(folder), expected=f"a folder with {', '.join(SUFFIXES)}"
        )
    every = np.linspace(0, len(paths) - 1, min(len(paths), MAX_PHOTOS)).round().astype(int)
    digest, lab = hashlib.sha256(), []
    for k in every:
        rgb = read_rgb(paths[k])
        factor = min(1.0, _PHOTO_PX / max(rgb.shape[:2]))
        size = [max(1, round(side * factor)) for side in rgb.shape[1::-1]]
        small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
        lab.append(_statistics(cv2.cvtColor(small, cv2.COLOR_RGB2LAB)))
        digest.update(repr(small.shape).encode() + small.tobytes())
    return Photos(lab=np.array(lab, np.float32), key=digest.hexdigest())


def _statistics(lab: NDArray[Any]) -> tuple[Any, Any]:
    mean, spread = cv2.meanStdDev(lab)
    return mean[:, 0], spread[:, 0] + 1


def draw_styles(
    augment: Augment, part: BatchPart, *, seed: int, step: int, photos: Photos | None
) -> StyleDraws | None:
    """Draw for a part of a batch; None if all effects are off."""
    if not augment.colours and not augment.noise:
        return None
    rng, count = stream(seed, "style", step), part.count
    draws = StyleDraws(
        colours=rng.random(count) * (rng.random(count) < augment.colours),
        photo=rng.integers(0, 1 if photos is None else len(photos.lab), count),
        noise=rng.random(count) * (rng.random(count) < augment.noise),
        seed=rng.integers(0, 2**62, count),
    )
    return part.drawn(draws)


def restyle(image: U8, draws: StyleDraws | None, b: int, photos: Photos | None) -> U8:
    """Apply the effects of sample b to an image (H, W, 3)."""
    if draws is None:
        return image
    if draws.colours[b] and photos is not None:
        image = _colours(image, float(draws.colours[b]), photos.lab[draws.photo[b]])
    if draws.noise[b]:
        image = _noise(image, float(draws.noise[b]), stream(int(draws.seed[b]), "noise"))
    return image


def _noise(image: U8, strength: float, rng: Generator) -> U8:
    """Gaussian noise of up to 20 grey levels, half of it equal in all channels."""
    height, width = image.shape[:2]
    each = rng.standard_normal((height, width, 3), np.float32)
    each += rng.standard_normal((height, width, 1), np.float32)
    noisy = image + each * np.float32(strength * 20 / math.sqrt(2))
    return np.asarray(np.clip(noisy, 0, 255).round().astype(np.uint8))


def _colours(image: U8, strength: float, other: F32) -> U8:
    """Mean and spread of each channel in CIELAB move by `strength` towards a photo's, (2, 3).

    After Reinhard et al. 2001, "Color transfer between images".
    """
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    mean, spread = _statistics(lab)
    factor = 1 + strength * (other[1] / spread - 1)
    offset = mean + strength * (other[0] - mean) - factor * mean
    levels = np.arange(256)[:, None] * factor + offset
    table = np.clip(levels, 0, 255).round().astype(np.uint8)[None]
    return np.asarray(cv2.cvtColor(cv2.LUT(lab, table), cv2.COLOR_LAB2RGB), np.uint8)
