"""Cut-outs pasted over people while they are trained on: where they go and how they blend in.

Every batch has new ones over new places, at a fraction of a millisecond a person; `occlude` makes
sets on disk, with things in 3D. All numbers are drawn from (seed, step).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from synthstudio.core.images import read_rgba
from synthstudio.core.rng import Generator
from synthstudio.props.assets import scan_images
from synthstudio.props.cutouts import crop_to_alpha
from synthstudio.training.config import Augment

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

LONGEST_PX = 256
"""Cut-outs are kept at this size: a network's input is seldom larger."""
_SMALLEST_PX = 24
_STEPS = 8
_GROWTHS = 5
_LEAST_AREA_PX = 9.0
_COARSE = 2  # pixels of the input per cell when places are tried


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

    pictures: tuple[Cutout, ...]
    key: str

    def __len__(self) -> int:
        return len(self.pictures)


@dataclass(frozen=True, kw_only=True)
class PasteDraws:
    """The random choices for B samples; each array has B rows."""

    pasted: NDArray[np.bool_]
    which: NDArray[np.int64]
    fraction: F64  # of the person's hull that is to be covered
    stretch: F64  # the cut-out's area over the area to be covered
    angle: F64
    mirrored: NDArray[np.bool_]
    direction: F64  # from which the cut-out comes
    aim: F64  # (B, 2) where it would end, in standard deviations of the hull's joints
    light: F64  # how far its brightness follows the picture's, 0 to 1
    soft_px: F64  # blur of its edge


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


def draw_pastes(augment: Augment, rng: Generator, *, count: int, cutouts: int) -> PasteDraws:
    """Draw for `count` samples from as many `cutouts`."""
    low, high = augment.paste_fraction
    return PasteDraws(
        pasted=rng.random(count) < augment.paste,
        which=rng.integers(0, cutouts, count),
        fraction=rng.uniform(low, high, count),
        stretch=rng.uniform(1.2, 3.0, count),
        angle=np.deg2rad(rng.uniform(-30, 30, count)),
        mirrored=rng.random(count) < 0.5,
        direction=rng.uniform(0, 2 * math.pi, count),
        aim=rng.normal(0, 0.7, (count, 2)),
        light=rng.uniform(0, 1, count),
        soft_px=rng.uniform(0, 1, count),
    )


def paste(image: U8, xy: F64, cutout: Cutout, draws: PasteDraws, b: int) -> tuple[U8, U8] | None:
    """The image (H, W, 3) with sample b's cut-out over it, and what that covers (H, W) 0 to 255.

    The cut-out comes in along a line, as far as it takes to cover the asked fraction of the convex
    hull of the joints `xy` (J, 2); if it is too small for that, it grows. None when the joints span
    no area.
    """
    known = xy[np.isfinite(xy).all(-1)]
    height, width = image.shape[:2]
    hull = cv2.convexHull(known.astype(np.float32)) if len(known) else np.zeros((0, 1, 2))
    area = cv2.contourArea(hull) if len(hull) > 2 else 0.0
    if area < _LEAST_AREA_PX:
        return None
    body = np.zeros((height // _COARSE, width // _COARSE), np.uint8)
    cv2.fillConvexPoly(body, np.round((hull / _COARSE - 0.5) * 16).astype(np.int32), 1, shift=4)
    fraction = float(draws.fraction[b])
    full = max(float(cutout.alpha[0].sum()) / 255, 1.0)
    scale = math.sqrt(area * fraction * draws.stretch[b] / full)
    end = known.mean(0) + draws.aim[b] * known.std(0)
    way = np.array([math.cos(draws.direction[b]), math.sin(draws.direction[b])])
    for _ in range(_GROWTHS):
        if _covered(body, cutout, _matrix(cutout, scale, end, draws, b)) >= fraction:
            break
        scale *= 1.3
    near, far = 0.0, math.hypot(height, width) + scale * math.hypot(*cutout.shape)
    for _ in range(_STEPS):
        middle = (near + far) / 2
        there = _matrix(cutout, scale, end + middle * way, draws, b)
        if _covered(body, cutout, there) >= fraction:
            near = middle
        else:
            far = middle
    there = _matrix(cutout, scale, end + near * way, draws, b)
    layer = _layer(cutout.rgba, there, (height, width))
    if draws.soft_px[b] > 0.3:
        layer = np.asarray(cv2.GaussianBlur(layer, (0, 0), float(draws.soft_px[b])), np.uint8)
    alpha = layer[..., 3:].astype(np.float32) / 255
    colours = layer[..., :3] * np.float32(_gain(image, cutout.rgba[-1], float(draws.light[b])))
    mixed = np.clip(image * (1 - alpha) + np.minimum(colours, 255 * alpha), 0, 255)
    return mixed.astype(np.uint8), np.ascontiguousarray(layer[..., 3])


def _matrix(cutout: Cutout, scale: float, place: F64, draws: PasteDraws, b: int) -> F64:
    """From pixels of the full-size cut-out to those of the image: its middle goes to `place`."""
    c, s = math.cos(draws.angle[b]) * scale, math.sin(draws.angle[b]) * scale
    linear = np.array([[c, -s], [s, c]]) @ np.diag([-1.0 if draws.mirrored[b] else 1.0, 1.0])
    middle = np.array(cutout.shape[::-1]) / 2
    return np.concatenate([linear, (place - linear @ middle)[:, None]], 1)


def _layer(levels: tuple[U8, ...], matrix: F64, size: tuple[int, int]) -> U8:
    """The cut-out at its place, from the level that is scaled down least, but never by half."""
    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    level = min(max(0, math.floor(-math.log2(max(scale, 1e-6)))), len(levels) - 1)
    ratio = np.array(levels[0].shape[1::-1]) / levels[level].shape[1::-1]
    index = matrix * np.array([*ratio, 1.0])
    index[:, 2] += index[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV counts from pixel centres
    moved = cv2.warpAffine(levels[level], index, size[::-1], flags=cv2.INTER_LINEAR)
    return np.asarray(moved, np.uint8)


def _covered(body: U8, cutout: Cutout, matrix: F64) -> float:
    """The covered share of `body`."""
    alpha = _layer(cutout.alpha, matrix / _COARSE, (body.shape[0], body.shape[1]))
    return float(cv2.mean(alpha, mask=body)[0]) / 255


def _gain(image: U8, small: U8, light: float) -> float:
    """Factor that takes the cut-out's brightness `light` of the way to the picture's."""
    alpha = small[..., 3].astype(np.float32).sum() / 255
    own = small[..., :3].astype(np.float32).sum() / 3 / max(float(alpha), 1.0)
    ratio = (float(image.mean()) + 10) / (float(own) + 10)
    return float(np.clip(ratio, 0.4, 2.5) ** light)
