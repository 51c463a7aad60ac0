"""What is pasted over people while they are trained on: cut-outs, and shapes filled with anything.

A network that sees twenty cut-outs learns those twenty by heart, and takes every other thing for a
part of the person or of the background. Shapes without end teach it what a cover is.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from synthstudio.core.images import read_rgba
from synthstudio.core.rng import Generator, stream
from synthstudio.props.assets import scan_images
from synthstudio.props.cutouts import crop_to_alpha

U8 = NDArray[np.uint8]

LONGEST_PX = 256
"""Cut-outs are kept at this size: a network's input is seldom larger."""
SHAPES = 64
_SHAPE_PX = 128
_SMALLEST_PX = 24


@dataclass(frozen=True, kw_only=True)
class Cutout:
    """One cut-out at full size, half of it, and so on."""

    rgba: tuple[U8, ...]  # (h, w, 4) colours times alpha
    alpha: tuple[U8, ...]  # (h, w)

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) at full size."""
        return self.alpha[0].shape[0], self.alpha[0].shape[1]


@dataclass(frozen=True, kw_only=True)
class Cutouts:
    """The cut-outs of a folder."""

    pictures: tuple[Cutout, ...] = ()
    key: str = ""

    def __len__(self) -> int:
        return len(self.pictures)


def load_cutouts(folder: Path) -> Cutouts:
    """Load the RGBA pictures of a folder; AssetError names one that is no cut-out."""
    folder = folder.resolve()
    found = scan_images(folder.parent, folder.name, kind="cutout")
    digest, pictures = hashlib.sha256(), []
    for picture in found:
        digest.update(picture.asset.sha256.encode())
        pictures.append(_levels(read_rgba(folder.parent / picture.asset.name)))
    return Cutouts(pictures=tuple(pictures), key=digest.hexdigest())


def _levels(rgba: U8) -> Cutout:
    rgba = crop_to_alpha(rgba)
    picture = rgba.astype(np.float32)
    picture[..., :3] *= picture[..., 3:] / 255
    factor = min(1.0, LONGEST_PX / max(rgba.shape[:2]))
    levels = []
    while True:
        size = [max(1, round(side * factor)) for side in rgba.shape[1::-1]]
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        levels.append(np.ascontiguousarray(small.round().astype(np.uint8)))
        factor /= 2
        if max(rgba.shape[:2]) * factor < _SMALLEST_PX:
            alpha = tuple(np.ascontiguousarray(level[..., 3]) for level in levels)
            return Cutout(rgba=tuple(levels), alpha=alpha)


@functools.cache
def shapes() -> tuple[Cutout, ...]:
    """SHAPES outlines without colours of their own: round, angular, long and broad."""
    rng = stream(0, "shapes")
    return tuple(_shape(rng) for _ in range(SHAPES))


def _shape(rng: Generator) -> Cutout:
    if rng.random() < 0.5:
        corners = int(rng.integers(3, 9))
        angle = 2 * np.pi * (np.arange(corners) + rng.uniform(0, 0.6, corners)) / corners
        radius = np.ones(corners)
    else:
        angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        waves = [(k, *rng.normal(0, 0.3 / k, 2)) for k in range(2, 6)]
        radius = 1 + sum(a * np.cos(k * angle) + b * np.sin(k * angle) for k, a, b in waves)
    xy = np.stack([np.cos(angle), np.sin(angle)], -1) * np.maximum(radius, 0.1)[:, None]
    xy *= [1, rng.uniform(0.2, 1)]
    xy = (xy - xy.min(0)) / np.ptp(xy, axis=0).max() * _SHAPE_PX
    width, height = np.ceil(xy.max(0)).astype(int) + 1
    rgba = np.zeros((height, width, 4), np.uint8)
    cv2.fillPoly(rgba, [np.round(xy * 16).astype(np.int32)], (0, 0, 0, 255), cv2.LINE_AA, 4)
    return _levels(rgba)


def fill(rng: Generator, other: U8 | None, size: tuple[int, int]) -> U8:
    """Colours (H, W, 3): a piece of another picture, magnified, or a pattern."""
    if other is not None and rng.random() < 0.5:
        return _piece(rng, other, size)
    height, width = size
    rows, columns = rng.integers(1, [12, 9])
    if rng.random() < 0.3:
        rows = 1  # stripes
    spread = rng.normal(0, 1, (rows, columns, 1)) * rng.uniform(0, 60)
    spread = spread + rng.normal(0, 1, (rows, columns, 3)) * rng.uniform(0, 40)
    cells = np.clip(rng.uniform(0, 255, 3) + spread, 0, 255).astype(np.uint8)
    how = cv2.INTER_NEAREST if rng.random() < 0.4 else cv2.INTER_CUBIC
    turn = np.array(cv2.getRotationMatrix2D((width, height), rng.uniform(0, 360), 1.0), np.float64)
    turn[:, 2] -= [width / 2, height / 2]
    large = cv2.resize(cells, (2 * width, 2 * height), interpolation=how)
    colours = cv2.warpAffine(large, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    grain = rng.integers(-20, 21, (height, width, 1)) * rng.random()
    return np.asarray(np.clip(colours + grain, 0, 255), np.uint8)


def _piece(rng: Generator, other: U8, size: tuple[int, int]) -> U8:
    height, width = size
    zoom = rng.uniform(1, 3)
    there = rng.uniform(0.25, 0.75, 2) * other.shape[1::-1]
    matrix = np.array(cv2.getRotationMatrix2D(tuple(there), rng.uniform(0, 360), zoom), np.float64)
    matrix[:, 2] += [width / 2, height / 2] - there
    return np.asarray(
        cv2.warpAffine(other, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101), np.uint8
    )
