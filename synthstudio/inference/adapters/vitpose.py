"""ViTPose (.onnx): heat maps by unbiased data processing (UDP), decoded as DARK does.

github.com/ViTAE-Transformer/ViTPose (mmpose/core: TopDownAffine and keypoints_from_heatmaps with
use_udp, post_dark_udp with a kernel of 11), which github.com/huggingface/transformers
(models/vitpose/image_processing_vitpose.py) follows with less blur.
"""

from __future__ import annotations

import cv2
import numpy as np

from synthstudio.core.arrays import F64, U8
from synthstudio.inference.adapters.files import FileModel, centre_and_scale, each, normalised
from synthstudio.training.outside import Predict

_HALF, _KERNEL = 0.5, 11


def load(model: FileModel, joints: tuple[str, ...] | None) -> tuple[tuple[str, ...], Predict]:
    """As in this package's docstring; ModelError."""
    size = height, width = model.planar_size()

    def maps_of(crop: U8) -> F64:
        (maps, *more) = model.run(normalised(crop)).values()
        if more or maps.ndim != 4:
            raise model.refuse("one output (1, J, h, w)", maps.shape)
        return np.asarray(maps[0], np.float64)

    def one(rgb: U8, box: F64) -> F64:
        centre, scale = centre_and_scale(box - [_HALF, _HALF, 0, 0], size)
        zoom = (np.array([width, height]) - 1) / scale
        matrix = np.column_stack([np.diag(zoom), zoom * (scale / 2 - centre)])
        maps = maps_of(cv2.warpAffine(rgb, matrix, (width, height)).astype(np.uint8))
        cells, score = refined(maps)
        cells_of = np.array(maps.shape[:0:-1])
        xy = cells * scale / (cells_of - 1) + centre - scale / 2
        return np.concatenate([xy + _HALF, score[:, None]], 1)

    return model.order(joints, len(maps_of(np.zeros((height, width, 3), np.uint8)))), each(one)


def refined(maps: F64) -> tuple[F64, F64]:
    """Cells (J, 2) x y of the peaks of (J, h, w), moved by Newton's step on the log of the blurred
    map (NaN without a peak), and their heights (J,)."""
    count, _, wide = maps.shape
    score, at = maps.reshape(count, -1).max(1), maps.reshape(count, -1).argmax(1)
    y, x = (at // wide + 1)[:, None, None], (at % wide + 1)[:, None, None]
    blurred = np.stack([cv2.GaussianBlur(m, (_KERNEL, _KERNEL), 0) for m in maps])
    log = np.pad(np.log(np.clip(blurred, 1e-3, 50)), ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows, columns = np.mgrid[-1:2, -1:2]
    near = log[np.arange(count)[:, None, None], y + rows, x + columns]
    here, left, right = near[:, 1, 1], near[:, 1, 0], near[:, 1, 2]
    above, below = near[:, 0, 1], near[:, 2, 1]
    slope = np.stack([right - left, below - above], 1) / 2
    cross = (near[:, 2, 2] - right - below + 2 * here - left - above + near[:, 0, 0]) / 2
    bends = [[right - 2 * here + left, cross], [cross, below - 2 * here + above]]
    hessian = np.moveaxis(np.array(bends), 2, 0) + np.finfo(np.float32).eps * np.eye(2)
    step = np.linalg.solve(hessian, slope[..., None])[..., 0]
    peak = np.stack([at % wide, at // wide], 1)
    return np.where(score[:, None] > 0, peak - step, np.nan), score
