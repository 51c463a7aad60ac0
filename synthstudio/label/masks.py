"""Masks, boxes and areas. Masks are (H, W) bool at pixel centres; boxes are pixel-edge extents."""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from synthstudio.core.errors import GeometryError
from synthstudio.core.labels import Rle

Bool = NDArray[np.bool_]
Box = tuple[float, float, float, float]

EMPTY_BOX: Box = (0.0, 0.0, 0.0, 0.0)


def encode(mask: Bool, box: Box | None = None) -> Rle:
    """The compressed COCO run-length code of a mask (H, W); `counts` is ASCII text.

    `box` is `mask_box(mask)`, for those who have it.
    """
    # Only the mask's own box is copied into the column order that pycocotools wants.
    x, y, w, h = (int(v) for v in box or mask_box(mask))
    inside = slice(y, y + h), slice(x, x + w)
    columns = np.zeros(mask.shape, np.uint8, order="F")
    columns[inside] = mask[inside]
    rle = coco_mask.encode(columns)
    return {"size": [int(n) for n in rle["size"]], "counts": rle["counts"].decode("ascii")}


def decode(rle: Rle) -> Bool:
    """The mask (H, W) of a COCO run-length code."""
    with warnings.catch_warnings():  # pycocotools 2.0.11 hands NumPy 2 an old-style array
        warnings.simplefilter("ignore", DeprecationWarning)
        return coco_mask.decode(rle).astype(np.bool_)


def mask_box(mask: Bool) -> Box:
    """x, y, w, h of the mask's pixels, edges included; zeros when it is empty."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        return EMPTY_BOX
    x, y = int(columns[0]), int(rows[0])
    return float(x), float(y), float(columns[-1] + 1 - x), float(rows[-1] + 1 - y)


def amodal_box(
    seen: Box,  # of the part inside the frame
    extent_px: tuple[float, float, float, float],  # x0, y0, x1, y1 on an endless canvas
) -> Box:
    """x, y, w, h of the person alone, which may leave the frame; zeros when nothing is.

    GeometryError when the extent is no box or does not hold the mask.
    """
    x0, y0, x1, y1 = (float(v) for v in extent_px)
    x, y, w, h = seen
    holds = w == 0 or (x0 <= x and y0 <= y and x + w <= x1 and y + h <= y1)
    if not all(map(math.isfinite, extent_px)) or x1 < x0 or y1 < y0 or not holds:
        raise GeometryError(
            "the extent of a person's surface does not fit its mask",
            where="amodal box",
            expected=f"finite x0 <= x1, y0 <= y1 round {(x, y, x + w, y + h)} px",
            got=str(extent_px),
        )
    return x0, y0, x1 - x0, y1 - y0
