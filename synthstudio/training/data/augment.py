"""Augmentation of one person's crop: geometry that labels follow, colours and dropout.

The random numbers of a whole batch are drawn at once (`draw`), so a batch depends on its seed
and step alone. A *view* is a 2x3 matrix from continuous pixels of the network's input to those of
the canvas (crops.py).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

from synthstudio.core.arrays import F32, F64, I64, U8, Bool
from synthstudio.core.rng import Generator
from synthstudio.training.config import Augment
from synthstudio.training.data.crops import MARGIN, Crops
from synthstudio.training.data.windows import GREY, fit_width

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


def as_part(rows: I64 | BatchPart) -> BatchPart:
    return rows if isinstance(rows, BatchPart) else BatchPart.of(np.asarray(rows))


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


def warp(image: U8, view: F64, size: tuple[int, int], *, fill: int = GREY) -> U8:
    """Resample a canvas through a view to the network's input (H, W, ...)."""
    index = view.copy()
    index[:, 2] += index[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV counts from pixel centres
    return np.asarray(
        cv2.warpAffine(
            image,
            index,
            (size[1], size[0]),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(fill,) * 3,
        )
    )


def transform_points(xy: F32, view: F64) -> F64:
    """Points (J, 2) of the canvas in pixels of the network's input."""
    inverse = np.linalg.inv(view[:, :2])
    return np.asarray((xy.astype(np.float64) - view[:, 2]) @ inverse.T)


def recolour(rgb: U8, draws: Draws, b: int) -> U8:
    """Change the colours of sample b's image (H, W, 3), and grey out its dropout box."""
    gain, lift = draws.gain[b], np.float32(draws.lift[b])
    image = np.asarray(np.clip(rgb * gain + lift, 0, 255).astype(np.uint8))
    if draws.hole[b, 2]:
        x, y, w, h = (draws.hole[b].reshape(2, 2) * rgb.shape[1::-1]).ravel()
        image[int(y) : int(y + h), int(x) : int(x + w)] = GREY
    return image
