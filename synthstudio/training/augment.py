"""One augmented person: geometry with labels that follow, colours, and parts hidden on purpose.

All random numbers come drawn for the whole batch (`draw`), so an augmented batch is decided by
its seed and step. A *view* is a 2x3 matrix from continuous pixels of the network's input to those
of the canvas.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from synthstudio.core.labels import SHARES
from synthstudio.core.rng import Generator
from synthstudio.training.crops import MARGIN, Crops

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

_OBJECT, _VISIBLE = SHARES.index("object"), SHARES.index("visible")
_UPPER = ("nose", "eye", "ear", "shoulder", "elbow", "wrist")


class Augment(BaseModel):
    """How strongly pictures are changed. All off: the window as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Chance that left and right are swapped.
    flip: float = Field(default=0.5, ge=0, le=1)
    # The person is up to so much larger or smaller: 0.25 is from 0.75 to 1.25.
    scale: float = Field(default=0.25, ge=0, le=0.6)
    # Up to so many degrees either way, for `rotated` of the people.
    rotation_deg: float = Field(default=30, ge=0, le=180)
    rotated: float = Field(default=0.6, ge=0, le=1)
    # Up to so much of the window either way.
    shift: float = Field(default=0.08, ge=0, le=0.5)
    # Chance that only the upper or the lower half of the body fills the window.
    half_body: float = Field(default=0.0, ge=0, le=1)
    # Brightness, contrast and colour change by up to this factor.
    colour: float = Field(default=0.25, ge=0, le=1)
    # Chance of coarse dropout: one grey box of 20 to 40 % of each side. Labels do not follow.
    dropout: float = Field(default=0.0, ge=0, le=1)
    # Chance that a piece of another picture is pasted over the person. Labels follow.
    paste: float = Field(default=0.0, ge=0, le=1)


NONE = Augment(
    flip=0, scale=0, rotation_deg=0, rotated=0, shift=0, half_body=0, colour=0, dropout=0, paste=0
)


@dataclass(frozen=True, kw_only=True)
class Draws:
    """What was drawn for B samples; each array has B rows."""

    view: F64  # (B, 2, 3)
    flipped: NDArray[np.bool_]
    gain: F32  # (B, 3) factor of each channel
    lift: F32  # (B,) added grey, 0 to 255
    hole: F64  # (B, 4) x y w h in shares of the window; width 0: none
    paste: F64  # (B, 4) as `hole`
    paste_shape: F64  # (B, 8) radii of the pasted piece's corners
    paste_from: NDArray[np.int64]  # (B,) whose picture it comes from


def draw(
    augment: Augment, rng: Generator, *, count: int, size: tuple[int, int], others: int
) -> Draws:
    """Draw for `count` samples of a network's (H, W); pastes come from `others` crops."""
    high, wide = size
    zoom = 1 + rng.uniform(-augment.scale, augment.scale, count)
    turned = rng.random(count) < augment.rotated
    angle = np.deg2rad(rng.uniform(-1, 1, count) * augment.rotation_deg) * turned
    shift = rng.uniform(-1, 1, (count, 2)) * augment.shift * [wide, high]
    flipped = rng.random(count) < augment.flip
    gain = 1 + rng.uniform(-1, 1, (count, 1)) * augment.colour
    gain = gain * (1 + rng.uniform(-1, 1, (count, 3)) * augment.colour * 0.3)
    hole_size = rng.uniform(0.2, 0.4, (count, 2)) * (rng.random((count, 1)) < augment.dropout)
    paste_size = rng.uniform(0.25, 0.7, (count, 2)) * (rng.random((count, 1)) < augment.paste)
    return Draws(
        view=views(zoom=zoom, angle=angle, shift=shift, flipped=flipped, size=size),
        flipped=flipped,
        gain=gain.astype(np.float32),
        lift=(rng.uniform(-60, 60, count) * augment.colour).astype(np.float32),
        hole=np.concatenate([rng.uniform(0, 1, (count, 2)) * (1 - hole_size), hole_size], 1),
        paste=np.concatenate([rng.uniform(-0.1, 1.1, (count, 2)) - paste_size / 2, paste_size], 1),
        paste_shape=rng.uniform(0.6, 1.0, (count, 8)),
        paste_from=rng.integers(0, max(others, 1), count),
    )


def views(
    *, zoom: F64, angle: F64, shift: F64, flipped: NDArray[np.bool_], size: tuple[int, int]
) -> F64:
    """Return (B, 2, 3) views about the window's middle: first flipped, then turned and sized."""
    middle = np.array([size[1], size[0]]) / 2
    canvas_middle = middle * MARGIN
    c, s = np.cos(angle) / zoom, np.sin(angle) / zoom
    turn = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], 1)
    turn[:, :, 0] *= np.where(flipped, -1, 1)[:, None]
    offset = canvas_middle + shift - np.einsum("bij,j->bi", turn, middle)
    return np.concatenate([turn, offset[:, :, None]], 2)


def half_body(
    draws: Draws,
    crops: Crops,
    rows: NDArray[np.int64],
    *,
    names: tuple[str, ...],
    size: tuple[int, int],
    rng: Generator,
    chance: float,
) -> Draws:
    """Return draws in which some views show only the upper or the lower half of the body."""
    upper = np.array(
        [name.removeprefix("left_").removeprefix("right_") in _UPPER for name in names]
    )
    wanted, lower = rng.random(len(rows)) < chance, rng.random(len(rows)) < 0.4
    view = draws.view.copy()
    for b in np.flatnonzero(wanted):
        xy = crops.xy[rows[b]][upper != lower[b]]
        xy = xy[np.isfinite(xy).all(-1)]
        if len(xy) < 3:
            continue
        low, high = xy.min(0).astype(np.float64), xy.max(0).astype(np.float64)
        extent = np.maximum(high - low, 4) * 1.5
        zoom = min(size[1] / extent[0], size[0] / extent[1], 3.0)
        one = views(
            zoom=np.array([max(zoom, 1.0)]),
            angle=np.zeros(1),
            shift=np.zeros((1, 2)),
            flipped=draws.flipped[b : b + 1],
            size=size,
        )[0]
        middle = one[:, :2] @ (np.array([size[1], size[0]]) / 2) + one[:, 2]
        one[:, 2] += (low + high) / 2 - middle
        view[b] = one
    return dataclasses.replace(draws, view=view)


def look(picture: U8, view: F64, size: tuple[int, int], *, fill: int = 114) -> U8:
    """Return (H, W, ...) the canvas seen through a view."""
    index = view.copy()
    index[:, 2] += index[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV counts from pixel centres
    return np.asarray(
        cv2.warpAffine(
            picture,
            index,
            (size[1], size[0]),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(fill,) * 3,
        )
    )


def moved(xy: F32, view: F64) -> F64:
    """Return (J, 2) places of the canvas in pixels of the network's input."""
    back = np.linalg.inv(view[:, :2])
    return np.asarray((xy.astype(np.float64) - view[:, 2]) @ back.T)


def coloured(rgb: U8, gain: F32, lift: float) -> U8:
    """Return the picture with each channel times its gain, plus a grey."""
    return np.asarray(np.clip(rgb * gain + np.float32(lift), 0, 255).astype(np.uint8))


def piece(box: F64, shape: F64, size: tuple[int, int]) -> U8:
    """Return (H, W) 255 inside the pasted piece: a polygon of eight corners, smoothed."""
    high, wide = size
    angle = np.arange(8) * np.pi / 4
    middle = (box[:2] + box[2:] / 2) * [wide, high]
    corners = middle + np.stack([np.cos(angle), np.sin(angle)], -1) * shape[:, None] * (
        box[2:] / 2 * [wide, high] * 1.2
    )
    mask = np.zeros((high, wide), np.uint8)
    cv2.fillPoly(mask, [np.round(corners * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask


def hidden_shares(shares: F32, xy: F64, mask: U8, radius_px: F64) -> F32:
    """Return (J, 5) shares after a paste: what lies under it is hidden by an object.

    How much of a joint lies under it is the mean of the mask over a square of the joint's size:
    crops have no surface to ask.
    """
    out = shares.copy()
    high, wide = mask.shape
    for j, (x, y) in enumerate(xy):
        if not (np.isfinite(x) and np.isfinite(y)) or not (0 <= x < wide and 0 <= y < high):
            continue
        r = max(1.0, float(radius_px[j]))
        x0, x1 = max(int(x - r), 0), min(int(x + r) + 1, wide)
        y0, y1 = max(int(y - r), 0), min(int(y + r) + 1, high)
        under = float(mask[y0:y1, x0:x1].mean()) / 255
        out[j] *= 1 - under
        out[j, _OBJECT] += under if np.isfinite(out[j, _VISIBLE]) else 0
    return out
