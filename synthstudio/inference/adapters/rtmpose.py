"""RTMPose (MMDeploy's or rtmlib's .onnx): SimCC vectors of x and y.

github.com/open-mmlab/mmpose: TopdownAffine and get_warp_matrix (mmpose/structures/bbox/
transforms.py), PoseDataPreprocessor (mean, deviation, RGB), get_simcc_maximum (mmpose/codecs/utils/
post_processing.py) and SimCCLabel.decode. Pixels are counted from their centres there.
"""

from __future__ import annotations

import cv2
import numpy as np

from synthstudio.core.arrays import F64, U8
from synthstudio.inference.adapters.files import FileModel, centre_and_scale, each, normalised
from synthstudio.training.outside import Predict

_HALF = 0.5
_EXPECTED = "outputs simcc_x (1, J, k W) and simcc_y (1, J, k H)"


def load(model: FileModel, joints: tuple[str, ...] | None) -> tuple[tuple[str, ...], Predict]:
    """As in this package's docstring; ModelError."""
    size = height, width = model.planar_size()

    def vectors(crop: U8) -> tuple[F64, F64]:
        found = [np.asarray(v, np.float64) for v in model.run(normalised(crop)).values()]
        if len(found) != 2 or any(v.ndim != 3 for v in found):
            raise model.refuse(_EXPECTED, [v.shape for v in found])
        across, down = found
        if across.shape[2] * height != down.shape[2] * width or len(across[0]) != len(down[0]):
            raise model.refuse(_EXPECTED, [v.shape for v in found])
        return across[0], down[0]

    def one(rgb: U8, box: F64) -> F64:
        centre, scale = centre_and_scale(box - [_HALF, _HALF, 0, 0], size)
        zoom = width / scale[0]
        corner = np.array([width, height]) / 2 - zoom * centre
        matrix = np.array([[zoom, 0, corner[0]], [0, zoom, corner[1]]])
        across, down = vectors(cv2.warpAffine(rgb, matrix, (width, height)).astype(np.uint8))
        score = np.minimum(across.max(1), down.max(1))
        cells = np.stack([across.argmax(1), down.argmax(1)], 1).astype(np.float64)
        cells[score <= 0] = np.nan
        xy = cells / (across.shape[1] / width) / [width, height] * scale + centre - scale / 2
        return np.concatenate([xy + _HALF, score[:, None]], 1)

    return model.order(joints, len(vectors(np.zeros((height, width, 3), np.uint8))[0])), each(one)
