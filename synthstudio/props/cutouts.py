"""2D cut-outs: cropped, scaled, mirrored and feathered without dark or bright fringes."""

import math

import cv2
import numpy as np

from synthstudio.core.arrays import F32, U8
from synthstudio.core.errors import AssetError, GeometryError
from synthstudio.core.images import linear_to_srgb_u8, srgb_to_linear
from synthstudio.core.scene import CutoutLayer
from synthstudio.core.spec import CutoutSpec

MAX_SIDE_PX = 8192
_LEVELS = np.arange(256, dtype=np.uint8)
_LINEAR = np.stack([srgb_to_linear(_LEVELS)] * 3 + [_LEVELS * np.float32(1 / 255)], axis=1)[None]
"""Linear light and alpha of each level of a channel."""


def check_alpha(alpha: U8, where: str) -> None:
    """Raise AssetError unless `alpha` (H, W) has both opaque and transparent pixels."""
    if alpha.max() < 128:
        raise AssetError(
            "the cut-out is empty",
            where=where,
            expected="some pixels of alpha 128 or more",
            got=f"at most {alpha.max()}",
            then="Take it out of the folder.",
        )
    if alpha.min() == 255:
        raise AssetError(
            "not a cut-out: the image is opaque everywhere",
            where=where,
            expected="transparent pixels around the object",
            then="Cut the object out, or use the picture as a background.",
        )


def cutout_layer(
    spec: CutoutSpec, rgba: U8, *, instance: int, frame_wh: tuple[int, int]
) -> CutoutLayer:
    """The layer of `rgba` (h, w, 4) as `spec` wants it, clipped to the frame.

    The picture is cropped to where it is not transparent and that crop fills `size_px`, its
    corner at the pixel nearest `top_left_px`. Resampling and feathering work on linear light
    weighted by alpha (Porter and Duff 1984), so no colour of transparent pixels leaks in. A
    layer wholly outside the frame has no pixels.
    """
    width, height = spec.size_px
    if not (1 <= width <= MAX_SIDE_PX and 1 <= height <= MAX_SIDE_PX):
        raise GeometryError(
            "invalid size of a cut-out",
            where=spec.asset.name,
            expected=f"1 to {MAX_SIDE_PX} pixels a side",
            got=f"{width} x {height}",
        )
    crop = shown_part(spec, rgba)
    sigma = max(0.0, spec.feather_px)
    margin = math.ceil(3 * sigma)
    scaled = np.pad(
        _scale(_weighted(crop), width, height), ((margin, margin), (margin, margin), (0, 0))
    )
    left = math.floor(spec.top_left_px[0] + 0.5) - margin
    top = math.floor(spec.top_left_px[1] + 0.5) - margin
    linear, alpha = _feather(scaled, sigma)
    rows, left, top = _clip(left, top, alpha.shape, frame_wh)
    return CutoutLayer(
        instance=instance,
        left_px=left,
        top_px=top,
        rgb=linear_to_srgb_u8(linear[rows] * np.float32(spec.gain)),
        alpha=np.ascontiguousarray(alpha[rows]),
        depth_m=0.0 if spec.depth_m is None else spec.depth_m,
    )


def shown_part(spec: CutoutSpec, rgba: U8) -> U8:
    """The part of (h, w, 4) that `spec` shows, mirrored as it says."""
    return crop_to_alpha(rgba)[:, :: -1 if spec.mirrored else 1]


def crop_to_alpha(rgba: U8) -> U8:
    """The part of (h, w, 4) that is not transparent everywhere."""
    rows = np.flatnonzero(rgba[..., 3].any(axis=1))
    columns = np.flatnonzero(rgba[..., 3].any(axis=0))
    return rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _weighted(rgba: U8) -> F32:
    """(h, w, 4): linear light times alpha, and alpha 0..1."""
    out = np.asarray(cv2.LUT(np.ascontiguousarray(rgba), _LINEAR), np.float32)
    for channel in range(3):  # NumPy is slow along an axis of three
        out[..., channel] *= out[..., 3]
    return out


def _scale(weighted: F32, width: int, height: int) -> F32:
    """Scale by area where it shrinks, by Lanczos where it grows."""
    rows, columns = weighted.shape[:2]
    if width < columns or height < rows:
        size = (min(width, columns), min(height, rows))
        weighted = np.asarray(cv2.resize(weighted, size, interpolation=cv2.INTER_AREA), np.float32)
    if width > columns or height > rows:
        size = (width, height)
        grown = cv2.resize(weighted, size, interpolation=cv2.INTER_LANCZOS4)
        weighted = np.asarray(grown, np.float32)
    return np.clip(weighted, 0, 1, out=weighted)  # Lanczos overshoots


def _feather(weighted: F32, sigma: float) -> tuple[F32, F32]:
    """Linear colours (h, w, 3) and alpha (h, w) blurred by `sigma` pixels at the edge.

    Only alpha softens: inside the old edge colours stay as they were, outside they continue
    the colours of the edge.
    """
    *colour, alpha = cv2.split(weighted)
    edge = np.nonzero((alpha > 0.5) & (alpha < 1))
    for channel in colour:
        channel[edge] = channel[edge] / alpha[edge]
    soft, shown = [*colour, alpha], alpha
    if sigma > 0:
        blurred = cv2.GaussianBlur(weighted, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
        soft = list(cv2.split(blurred))
        shown = np.minimum(soft[3], 1)
    shown[shown < 1 / 512] = 0
    beyond = np.nonzero((alpha <= 0.5) & (shown > 0))
    for channel, under in zip(colour, soft, strict=False):
        channel[beyond] = under[beyond] / soft[3][beyond]
    linear = np.asarray(cv2.merge(colour), np.float32)
    return np.clip(linear, 0, 1, out=linear), np.asarray(shown, np.float32)


def _clip(
    left: int, top: int, shape: tuple[int, ...], frame_wh: tuple[int, int]
) -> tuple[tuple[slice, slice], int, int]:
    """The part inside the frame as slices, and its left and top in the frame."""
    x0, y0 = min(max(left, 0), frame_wh[0]), min(max(top, 0), frame_wh[1])
    x1 = max(x0, min(left + shape[1], frame_wh[0]))
    y1 = max(y0, min(top + shape[0], frame_wh[1]))
    return (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)), x0, y0
