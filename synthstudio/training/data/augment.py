"""Augmentation of one person's crop: geometry that labels follow; colours, noise and dropout.

The random numbers of a whole batch are drawn at once, so a batch depends on its seed and step
alone. A *view* is a 2x3 matrix from continuous pixels of the network's input to those of
the canvas (crops.py).
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from synthstudio.core.arrays import F32, F64, I64, U8, Array, Bool
from synthstudio.core.errors import AssetError
from synthstudio.core.images import SUFFIXES, list_pictures, read_rgb
from synthstudio.core.rng import Generator, stream
from synthstudio.training.config import Augment
from synthstudio.training.data.crops import MARGIN, Crops
from synthstudio.training.data.windows import GREY, fit_width

MAX_PHOTOS = 1000
_PHOTO_PX = 96
_MIN_JOINTS = 3
_ROTATED = 0.6
"""The fraction of people who are rotated by up to `rotation_deg`."""
Drawn = TypeVar("Drawn")


@dataclass(frozen=True, kw_only=True)
class BatchPart:
    """`rows` (B,) of the samples; `places` (B,): their positions in a batch of `count` people.

    `beside`: rows of the batch with available pictures, sources of pasted pieces.
    """

    rows: I64
    places: I64
    count: int
    beside: I64

    @classmethod
    def of(cls, rows: I64, *, rank: int = 0, size: int = 1) -> BatchPart:
        """The part of process `rank` of `size` in a batch of `rows`."""
        places = np.arange(len(rows))[rank::size]
        return cls(rows=rows[places], places=places, count=len(rows), beside=rows)

    def drawn(self, draws: Drawn) -> Drawn:
        """This part of the draws of the whole batch (a dataclass of arrays)."""
        taken = {name: value[self.places] for name, value in vars(draws).items()}
        return dataclasses.replace(draws, **taken)  # type: ignore[type-var]


@dataclass(frozen=True, kw_only=True)
class Draws:
    """The random choices for B samples; each array has B rows."""

    view: F64  # (B, 2, 3)
    flipped: Bool
    gain: F32  # (B, 3) factor of each channel
    lift: F32  # (B,) added grey, 0 to 255
    hole: F64  # (B, 4) x y w h of the dropout box relative to the crop; width 0: none


def draw_rotations(share: float, rng: Generator, *, count: int) -> F64:
    """Angles (count,) in radians: any angle for a `share` of the samples, 0 for the others."""
    chosen = rng.random(count) < share
    return rng.uniform(-np.pi, np.pi, count) * chosen


def draw(augment: Augment, rng: Generator, *, count: int, size: tuple[int, int]) -> Draws:
    """Draw for `count` samples of a network's input (H, W)."""
    height, width = size
    zoom = 1 + rng.uniform(-augment.scale, augment.scale, count)
    rotated = rng.random(count) < _ROTATED
    angle = np.deg2rad(rng.uniform(-1, 1, count) * augment.rotation_deg) * rotated
    shift = rng.uniform(-1, 1, (count, 2)) * augment.shift * [width, height]
    flipped = rng.random(count) < augment.flip
    gain = 1 + rng.uniform(-1, 1, (count, 1)) * augment.colour
    gain = gain * (1 + rng.uniform(-1, 1, (count, 3)) * augment.colour * 0.3)
    hole_size = rng.uniform(0.2, 0.4, (count, 2)) * (rng.random((count, 1)) < augment.dropout)
    return Draws(
        view=view_matrices(zoom=zoom, angle=angle, shift=shift, flipped=flipped, size=size),
        flipped=flipped,
        gain=gain.astype(np.float32),
        lift=(rng.uniform(-60, 60, count) * augment.colour).astype(np.float32),
        hole=np.concatenate([rng.uniform(0, 1, (count, 2)) * (1 - hole_size), hole_size], 1),
    )


def view_matrices(
    *, zoom: F64, angle: F64, shift: F64, flipped: Bool, size: tuple[int, int]
) -> F64:
    """Views (B, 2, 3) about the crop's centre: flip first, then rotate and scale."""
    centre = np.array([size[1], size[0]]) / 2
    c, s = np.cos(angle) / zoom, np.sin(angle) / zoom
    linear = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], 1)
    linear[:, :, 0] *= np.where(flipped, -1, 1)[:, None]
    offset = centre * MARGIN + shift - np.einsum("bij,j->bi", linear, centre)
    return np.concatenate([linear, offset[:, :, None]], 2)


def rotate(draws: Draws, crops: Crops, rows: I64, angle: F64, *, size: tuple[int, int]) -> Draws:
    """Rotate the canvases below the views, each cut out anew by the box of its rotated joints."""
    view = draws.view.copy()
    for b in np.flatnonzero(angle):
        rotated = rotated_canvas(crops.xy[rows[b]].astype(np.float64), angle[b], size)
        view[b, :, 2] = rotated[:, :2] @ view[b, :, 2] + rotated[:, 2]
        view[b, :, :2] = rotated[:, :2] @ view[b, :, :2]
    return dataclasses.replace(draws, view=view)


def rotated_canvas(xy: F64, angle: float, size: tuple[int, int]) -> F64:
    """Matrix from a canvas of a rotated person to the one with joints xy (J, 2).

    (2, 3). As if the camera had been rolled by `angle` (radians) and the person cropped again:
    the box of the known joints keeps its place, and fills as much of a network's input (H, W).
    """
    c, s = np.cos(angle), np.sin(angle)
    rotation = np.array([[c, -s], [s, c]])
    centre = np.array([size[1], size[0]]) * MARGIN / 2
    before = xy[np.isfinite(xy).all(-1)] - centre
    if len(before) < _MIN_JOINTS:
        return np.concatenate([rotation, (centre - rotation @ centre)[:, None]], 1)
    after = before @ rotation
    zoom = fit_width(after, size) / fit_width(before, size)
    middles = [(p.min(0) + p.max(0)) / 2 for p in (before, after)]
    linear = rotation * zoom
    offset = centre - linear @ (centre + middles[0]) + rotation @ middles[1]
    return np.concatenate([linear, offset[:, None]], 1)


def warp(
    image: U8,
    view: F64,
    size: tuple[int, int],
    *,
    fill: int = GREY,
    interpolation: int = cv2.INTER_LINEAR,
) -> U8:
    """Resample a canvas through a view to the network's input (H, W, ...)."""
    index = view.copy()
    index[:, 2] += index[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV counts from pixel centres
    return np.asarray(
        cv2.warpAffine(
            image,
            index,
            (size[1], size[0]),
            flags=interpolation | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(fill,) * 3,
        )
    )


def transform_points(xy: F32, view: F64) -> F64:
    """Points (J, 2) of the canvas in pixels of the network's input."""
    return np.asarray((xy.astype(np.float64) - view[:, 2]) @ np.linalg.inv(view[:, :2]).T)


def recolour(rgb: U8, draws: Draws, b: int) -> U8:
    """Change the colours of sample b's image (H, W, 3), and grey out its dropout box."""
    gain, lift = draws.gain[b], np.float32(draws.lift[b])
    image = np.asarray(np.clip(rgb * gain + lift, 0, 255).astype(np.uint8))
    if draws.hole[b, 2]:
        x, y, w, h = (draws.hole[b].reshape(2, 2) * rgb.shape[1::-1]).ravel()
        image[int(y) : int(y + h), int(x) : int(x + w)] = GREY
    return image


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
    """At most MAX_PHOTOS of a folder, not of its subfolders, evenly by name; AssetError."""
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


def _statistics(lab: Array) -> tuple[Any, Any]:
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
