"""What a photo tells about its camera, light, sharpness and noise: guesses, each simple.

The camera is a pinhole of 50 degrees along the longer side. The floor is a plane on which
everybody stands: a person whose metre is s pixels high has its feet at row
`horizon + camera height x s`, a line that is fitted to all people of the photo.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from synthstudio.core.images import srgb_to_linear
from synthstudio.core.photo import GreySpec, PlaceLight, ToneSpec
from synthstudio.core.scene import F32, F64, U8, Bool

FIELD_OF_VIEW_RAD = math.radians(50)
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])

_BONES_M = {
    ("left_shoulder", "left_hip"): 0.48,
    ("right_shoulder", "right_hip"): 0.48,
    ("left_hip", "left_knee"): 0.43,
    ("right_hip", "right_knee"): 0.43,
    ("left_knee", "left_ankle"): 0.41,
    ("right_knee", "right_ankle"): 0.41,
    ("left_shoulder", "left_elbow"): 0.28,
    ("right_shoulder", "right_elbow"): 0.28,
    ("left_elbow", "left_wrist"): 0.25,
    ("right_elbow", "right_wrist"): 0.25,
    ("left_shoulder", "right_shoulder"): 0.36,
}
"""Lengths in an adult of 1.70 m (Drillis and Contini 1966); a view only shortens them."""
_ANKLE_M = 0.08
_ABOVE_FLOOR_M = {"knee": 0.48, "hip": 0.8, "shoulder": 1.25, "nose": 1.4}
"""Lowest first; of somebody between standing and sitting."""
_STATURE_M, _TRUNK_M, _HEAD_TO_ANKLE_M = 1.68, 0.6, 1.5
_BLOCK_PX, _SAMPLE = 16, 4000
_COLOURFUL = 75.0
"""In a photo of ordinary colour a twentieth of the pixels differ so much between channels."""
_EYE_M, _EYE_SD = 1.5, 0.35
_HORIZON, _HORIZON_SD = 0.42, 0.18  # shares of the picture's height
_LEAST_EYE_M, _JUMPED_OVER_M = 0.45, 1.1
FEET_SEEN = 0.35
"""A stand that is less sure is a guess: of its feet nothing is known."""


@dataclass(frozen=True)
class Stand:
    """How large a metre is where somebody stands, the row of the feet, and how sure that is."""

    px_per_m: float
    foot_px: float
    sure: float


def stand(joints: Mapping[str, tuple[float, float]], box: Sequence[float], bottom: float) -> Stand:
    """Where a person stands; `joints` are the labelled ones, `bottom` the last row.

    Scale: the second longest that the bones say, which a view only shortens; with too few of
    them the box, as of somebody who stands, or of a trunk where the picture cuts it off. Feet:
    below the lowest ankle; else (behind a table, cut off) about where they would be below the
    lowest labelled joint; else, with no joint at all, at the box's lower edge.
    """
    _, y, w, h = box
    found = []
    for (a, b), metres in _BONES_M.items():
        if a in joints and b in joints:
            found.append(math.dist(joints[a], joints[b]) / metres)
    cut = y + h >= bottom - 2
    whole = y > 2 and not cut
    from_box = max(h / _STATURE_M, w / _STATURE_M if whole else w / _TRUNK_M)
    lengths = sorted(found)
    scale = max(
        lengths[-2] if len(lengths) >= 4 else float(np.median(lengths)) if lengths else 0.0,
        _extent(joints) / _HEAD_TO_ANKLE_M,
        from_box if len(lengths) < 3 else from_box * 0.6,
        1.0,
    )
    ankles = [y for n, (_, y) in joints.items() if n.endswith("ankle")]
    if ankles:
        foot = max(max(ankles) + _ANKLE_M * scale, min(y + h, bottom))
        return Stand(scale, foot, 1.0 if len(found) >= 3 else 0.5)
    for kind, metres in _ABOVE_FLOOR_M.items():
        rows = [y for n, (_, y) in joints.items() if n.endswith(kind)]
        if rows:
            return Stand(scale, max(max(rows) + metres * scale, y + h), 0.15)
    if not cut:
        return Stand(scale, y + h, 0.4)
    return Stand(scale, y + _STATURE_M * scale, 0.1)


def _extent(joints: Mapping[str, tuple[float, float]]) -> float:
    """How far the lowest ankle lies below the highest of nose, eyes and ears, or 0."""
    heads = [y for n, (_, y) in joints.items() if n.endswith(("nose", "eye", "ear"))]
    ankles = [y for n, (_, y) in joints.items() if n.endswith("ankle")]
    return max(0.0, max(ankles) - min(heads)) if heads and ankles else 0.0


@dataclass(frozen=True)
class Floor:
    """The plane on which people stand: the row of the horizon, the camera's height over it."""

    horizon_px: float
    eye_m: float


def floor(stands: Sequence[Stand], height: int) -> Floor:
    """The plane that fits best: foot = horizon + eye x scale over all people.

    Least squares with weights, and the prior of a camera held by somebody who stands and looks
    nearly level; two rounds that trust outliers less.
    """
    rows, wanted, weights = [], [], []
    for found in stands:
        rows.append((1.0, found.px_per_m))
        wanted.append(found.foot_px)
        weights.append(found.sure / (0.12 * found.px_per_m + 0.01 * height))
    prior = [
        ((1.0, 0.0), _HORIZON * height, 1 / (_HORIZON_SD * height)),
        ((0.0, 1.0), _EYE_M, 1 / _EYE_SD),
    ]
    a = np.array([*rows, *(p[0] for p in prior)], np.float64)
    b = np.array([*wanted, *(p[1] for p in prior)], np.float64)
    base = np.array([*weights, *(p[2] for p in prior)], np.float64)
    w: F64 = base
    found_at: NDArray[np.floating] = np.zeros(2)
    for _ in range(3):
        found_at = np.linalg.lstsq(a * w[:, None], b * w, rcond=None)[0]
        off = np.abs(a @ found_at - b) * base
        w = base / np.sqrt(np.maximum(1.0, off))
    return Floor(
        float(np.clip(found_at[0], -0.5 * height, 0.95 * height)),
        float(np.clip(found_at[1], _LEAST_EYE_M, 4.0)),
    )


def grounded(found: Stand, plane: Floor, bottom: float) -> Stand:
    """The stand with feet on the floor that all share.

    Feet that nobody labelled are where the plane has them, not above `bottom`, the lower edge of
    the box; those of somebody who jumps are above it.
    """
    on_plane = plane.horizon_px + plane.eye_m * found.px_per_m
    if found.sure < FEET_SEEN:
        return Stand(found.px_per_m, max(on_plane, bottom), found.sure)
    if found.foot_px - plane.horizon_px >= _LEAST_EYE_M * found.px_per_m:
        return found
    eye = max(plane.eye_m, _JUMPED_OVER_M)
    return Stand(found.px_per_m, plane.horizon_px + eye * found.px_per_m, found.sure)


def focal_px(width: int, height: int) -> float:
    """The focal length of the guessed camera."""
    return max(width, height) / 2 / math.tan(FIELD_OF_VIEW_RAD / 2)


def place_light(rgb: U8, box: Sequence[float]) -> PlaceLight:
    """The light about a box (x, y, w, h) of a photo (H, W, 3).

    A white card: between what a mean albedo of 0.28 makes of the mean and what the brightest
    twentieth shows. The tint is the mean colour, weakened: much of it is the things' own.
    """
    h, w = rgb.shape[:2]
    x, y, bw, bh = box
    x0, x1 = int(np.clip(x - bw * 0.4, 0, w - 1)), int(np.clip(x + bw * 1.4, 1, w))
    y0, y1 = int(np.clip(y - bh * 0.25, 0, h - 1)), int(np.clip(y + bh * 1.25, 1, h))
    step = max(1, int(math.sqrt((x1 - x0) * (y1 - y0) / 40_000)))
    seen = rgb[y0 : max(y1, y0 + 1) : step, x0 : max(x1, x0 + 1) : step]
    linear = srgb_to_linear(seen).astype(np.float64)
    grey = _luminance(linear)
    mean = float(grey.mean())
    low, high = quantile(grey, 0.1), quantile(grey, 0.95)
    white = math.sqrt(max(mean / 0.28, 0.02) * max(high / 0.85, 0.02))
    colour = np.array(cv2.mean(linear)[:3]) / max(mean, 1e-4)
    tint = np.clip(colour, 0.3, 3.0) ** 0.4
    tint /= float(tint @ _LUMINANCE)
    contrast = float(np.clip((high - low) / max(high + low, 1e-3), 0, 1))
    levels = _luminance(seen.astype(np.float64))
    return PlaceLight(
        white=round(float(np.clip(white, 0.06, 1.1)), 4),
        tint=(round(float(tint[0]), 4), round(float(tint[1]), 4), round(float(tint[2]), 4)),
        contrast=round(contrast, 4),
        grey=GreySpec(mean=round(float(levels.mean()), 2), spread=round(float(levels.std()), 2)),
    )


def tone(rgb: U8) -> ToneSpec:
    """The photo's black level and how colourful it is."""
    step = max(1, int(math.sqrt(rgb.shape[0] * rgb.shape[1] / 60_000)))
    few = rgb[::step, ::step]
    black = quantile(_luminance(srgb_to_linear(few).astype(np.float64)), 0.02)
    r, g, b = cv2.split(few)
    apart = cv2.max(cv2.max(r, g), b) - cv2.min(cv2.min(r, g), b)
    spread = quantile(apart.astype(np.float32), 0.95)
    return ToneSpec(
        black=round(min(max(black - 0.003, 0.0), 0.12), 4),
        saturation=round(min(1.0, 0.35 + 0.65 * spread / _COLOURFUL), 3),
    )


def _luminance(rgb: F64) -> F64:
    return np.asarray(cv2.transform(rgb, _LUMINANCE[None]), np.float64)


def blur_sigma_px(rgb: U8, box: Sequence[float]) -> float:
    """How soft the sharper edges about a box are, as a Gaussian's sigma in pixels.

    The ratio of an edge's gradient to that of the same edge blurred by sigma0 tells its sigma
    (Zhuo and Sim 2011); the quartile of sharper ones among the stronger edges counts.
    """
    h, w = rgb.shape[:2]
    x, y, bw, bh = box
    x0, x1 = int(np.clip(x - bw * 0.3, 0, w - 8)), int(np.clip(x + bw * 1.3, 8, w))
    y0, y1 = int(np.clip(y - bh * 0.2, 0, h - 8)), int(np.clip(y + bh * 1.2, 8, h))
    grey = np.asarray(cv2.cvtColor(rgb[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY), np.float32)
    if min(grey.shape) < 8:
        return 0.5
    sigma0 = 1.0
    sharp = _slope(grey)
    strong = sharp > max(quantile(sharp, 0.93), 12.0)
    if strong.sum() < 30:
        return 1.0
    soft = _slope(cv2.GaussianBlur(grey, (0, 0), sigma0), strong)
    ratio = sharp[strong] / np.maximum(soft, 1e-3)
    known = sigma0 / np.sqrt(np.maximum(ratio**2 - 1, 0.05))
    return round(float(np.clip(np.quantile(known, 0.3), 0.4, 4.0)), 3)


def _slope(grey: Any, where: Bool | EllipsisType = ...) -> F32:
    dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    return np.asarray(np.hypot(dx[where], dy[where]), np.float32)


def noise_sigma(rgb: U8) -> float:
    """The photo's noise in grey levels (Immerkaer 1996), from its quietest blocks."""
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float32)
    if min(grey.shape) < 16:
        return 0.0
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    high = np.abs(cv2.filter2D(grey, -1, kernel))
    h, w = (side // _BLOCK_PX * _BLOCK_PX for side in grey.shape)
    blocks = [
        part[:h, :w].reshape(h // _BLOCK_PX, _BLOCK_PX, w // _BLOCK_PX, _BLOCK_PX).mean(axis=(1, 3))
        for part in (high, grey)
    ]
    lit = (blocks[1] > 25) & (blocks[1] < 230)
    if lit.sum() < 12:
        return 1.0
    quiet = float(np.quantile(blocks[0][lit], 0.12))
    return round(float(np.clip(quiet * math.sqrt(math.pi / 2) / 6, 0, 12)), 3)


def quantile(values: NDArray[np.floating], share: float) -> float:
    """np.quantile(values, share), but sorting only those that a sample says are about there."""
    flat = values.ravel()
    at = (len(flat) - 1) * share
    low = int(at)
    some = np.sort(flat[:: len(flat) // _SAMPLE + 1])
    last, place, reach = len(some) - 1, int(share * len(some)), len(some) // 40
    least, most = some[max(0, place - reach)], some[min(last, place + reach)]
    near = np.sort(flat[(flat >= least) & (flat <= most)])
    below = int(np.count_nonzero(flat < least))
    if not below <= low < below + len(near) - 1:  # the sample was none of the whole
        near, below = np.sort(flat), 0
    a, b = near[low - below], near[min(low - below + 1, len(near) - 1)]
    part = at - low
    return float(a + (b - a) * part if part < 0.5 else b - (b - a) * (1 - part))


def joints_by_name(names: Sequence[str], px: F64, labelled: Bool) -> dict[str, tuple[float, float]]:
    """The labelled joints' places by name."""
    return {
        n: (float(x), float(y))
        for n, (x, y), known in zip(names, px, labelled, strict=True)
        if known and np.isfinite((x, y)).all()
    }
