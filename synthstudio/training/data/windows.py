"""Which part of an image a network sees of a person."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.skeleton import Skeleton

PADDING = 1.25
LIMB_MARGIN = 0.15
_LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")

F64 = NDArray[np.float64]


def crop_window(box: F64, size: tuple[int, int]) -> F64:
    """The window x0 y0 w h about a box x y w h, for a network's (H, W)."""
    centre, extent = box[:2] + box[2:] / 2, np.maximum(box[2:], 1.0) * PADDING
    aspect = size[1] / size[0]
    width = max(extent[0], extent[1] * aspect)
    full = np.array([width, width / aspect])
    return np.concatenate([centre - full / 2, full])


def limb_box(
    xy: F64, known: NDArray[np.bool_], skeleton: Skeleton, size: tuple[int, int]
) -> F64 | None:
    """The box x y w h of shoulders, elbows, wrists, hips, knees and ankles, inside an image (H, W).

    Of joints xy (J, 2) in pixels, `known` (J,) those in the image. On each side it is LIMB_MARGIN
    of its longer side wider. None with fewer than three of them.
    """
    limb = np.array([name.split("_")[-1] in _LIMBS for name in skeleton.joints])
    points = xy[limb & known]
    if len(points) < 3:
        return None
    low, high = points.min(0), points.max(0)
    margin = LIMB_MARGIN * float((high - low).max())
    low = np.maximum(low - margin, 0)
    high = np.minimum(high + margin, size[::-1])
    return np.concatenate([low, high - low])
