"""Windows: the part of an image that is a network's input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthstudio.core.arrays import F64, U8, Bool
from synthstudio.core.images import resample
from synthstudio.core.skeleton import Skeleton

PADDING = 1.25
LIMB_MARGIN = 0.15
GREY = 114
"""Fill beyond the image's edge."""
LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")


def crop_window(box: F64, size: tuple[int, int]) -> F64:
    """The window x0 y0 w h about a box x y w h, for a network's (H, W)."""
    centre, extent = box[:2] + box[2:] / 2, np.maximum(box[2:], 1.0) * PADDING
    aspect = size[1] / size[0]
    width = max(extent[0], extent[1] * aspect)
    full = np.array([width, width / aspect])
    return np.concatenate([centre - full / 2, full])


def limb_box(xy: F64, known: Bool, skeleton: Skeleton, size: tuple[int, int]) -> F64 | None:
    """The box x y w h of shoulders, elbows, wrists, hips, knees and ankles, inside an image (H, W).

    Of joints xy (J, 2) in pixels, `known` (J,) those in the image. Margin on each side: LIMB_MARGIN
    of its longer side. None with fewer than three of them.
    """
    points = xy[of_limbs(skeleton) & known]
    if len(points) < 3:
        return None
    low, high = _with_margin(points)
    low, high = np.maximum(low, 0), np.minimum(high, size[::-1])
    return np.concatenate([low, high - low])


def of_limbs(skeleton: Skeleton) -> Bool:
    """Which joints (J,) are shoulders, elbows, wrists, hips, knees and ankles."""
    return np.array([name.split("_")[-1] in LIMBS for name in skeleton.joints])


def limb_window(points: F64, size: tuple[int, int]) -> F64:
    """The window x0 y0 w h about joints (N, 2), wherever they are, for a network's (H, W)."""
    low, high = _with_margin(points)
    return crop_window(np.concatenate([low, high - low]), size)


def fit_width(points: F64, size: tuple[int, int]) -> float:
    """The width in which a network's (H, W) just shows points (N, 2) with their margin."""
    low, high = _with_margin(points)
    width, height = high - low
    return max(float(width), float(height) * size[1] / size[0], 1.0)


def _with_margin(points: F64) -> tuple[F64, F64]:
    """The corners of the box about points (N, 2), with LIMB_MARGIN of its longer side around it."""
    low, high = points.min(0), points.max(0)
    margin = LIMB_MARGIN * float((high - low).max())
    return low - margin, high + margin


def crop_and_resize(
    rgb: U8, corner: F64, scale: float, size: tuple[int, int], fill: int = GREY
) -> U8:
    """The image from `corner` on, scaled, at `size` (H, W); `fill` beyond its edges.

    Columns first, then rows, as `resample` does: rows beyond the image are filled last, so a
    window far larger than its image needs no memory for them.
    """
    extent = np.array([size[1], size[0]]) / scale
    low = np.floor(corner).astype(int) - 1
    width, height = (int(v) for v in np.ceil(corner + extent).astype(int) + 1 - low)
    x0, x1 = (int(np.clip(v, 0, rgb.shape[1])) for v in (low[0], low[0] + width))
    y0, y1 = (int(np.clip(v, 0, rgb.shape[0])) for v in (low[1], low[1] + height))
    if x0 >= x1 or y0 >= y1:
        return np.full((*size, 3), fill, np.uint8)
    at = corner - low
    rows = np.full((y1 - y0, width, 3), fill, np.uint8)
    rows[:, x0 - low[0] : x1 - low[0]] = rgb[y0:y1, x0:x1]
    block = np.full((height, size[1], 3), fill, np.uint8)
    block[y0 - low[1] : y1 - low[1]] = resample(
        rows, (at[0], 0, at[0] + extent[0], y1 - y0), (size[1], y1 - y0)
    )
    return resample(block, (0, at[1], size[1], at[1] + extent[1]), (size[1], size[0]))


@dataclass(frozen=True, kw_only=True)
class Letterbox:
    """Placement of an image in a frame: `scale` frame pixels per image pixel; `corner` (2,) is the
    frame's corner in image pixels, not above 0."""

    scale: float
    corner: F64

    @classmethod
    def of(cls, image: tuple[int, int], frame: tuple[int, int]) -> Letterbox:
        """The whole image (H, W), as large as fits, in the middle."""
        scale = min(frame[0] / image[0], frame[1] / image[1])
        extent = np.array(frame[::-1]) / scale
        return cls(scale=scale, corner=(np.array(image[::-1]) - extent) / 2)

    def to_frame(self, xy: F64) -> F64:
        """Positions (..., 2) from image to frame."""
        return np.asarray((xy - self.corner) * self.scale)

    def to_image(self, xy: F64) -> F64:
        """Positions (..., 2) from frame to image."""
        return np.asarray(xy / self.scale + self.corner)

    def boxes_to_frame(self, xywh: F64) -> F64:
        """Boxes (P, 4) from image to frame."""
        return np.concatenate([self.to_frame(xywh[:, :2]), xywh[:, 2:] * self.scale], 1)

    def framed(self, rgb: U8, size: tuple[int, int]) -> U8:
        """The image in a frame of `size` (H, W), grey beyond it."""
        return crop_and_resize(rgb, self.corner, self.scale, size)
