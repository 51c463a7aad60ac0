"""MoveNet SinglePose Lightning and Thunder (.onnx or .tflite of the TF Hub models).

tensorflow.org/hub/tutorials/movenet: a square crop resized as tf.image.crop_and_resize does, black
outside the image; the output (1, 1, 17, 3) is y, x, score relative to the crop. The tutorial crops
1.2 times as far as the farthest joint of the last image is from the hips; here it is a square of
1.2 longer sides about the middle of the box.
"""

from __future__ import annotations

import cv2
import numpy as np

from synthstudio.core.arrays import F64, U8
from synthstudio.inference.adapters.files import FileModel, each
from synthstudio.training.outside import Predict

_AROUND = 1.2


def load(model: FileModel, joints: tuple[str, ...] | None) -> tuple[tuple[str, ...], Predict]:
    """As in this package's docstring; ModelError."""
    size = model.square_size()

    def run(crop: U8) -> F64:
        (found, *_) = model.run(crop[None].astype(model.dtype)).values()
        if found.shape[:2] != (1, 1) or found.shape[3:] != (3,):
            raise model.refuse("an output (1, 1, J, 3)", found.shape)
        return np.asarray(found[0, 0], np.float64)

    def one(rgb: U8, box: F64) -> F64:
        side = _AROUND * box[2:].max()
        corner = box[:2] + box[2:] / 2 - side / 2
        extent = np.array(rgb.shape[1::-1])
        first = corner / extent * (extent - 1)
        step = side / extent * (extent - 1) / (size - 1)
        matrix = np.column_stack([np.diag(step), first])
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        found = run(cv2.warpAffine(rgb, matrix, (size, size), flags=how).astype(np.uint8))
        return np.column_stack([found[:, [1, 0]] * side + corner, found[:, 2]])

    return model.order(joints, len(run(np.zeros((size, size, 3), np.uint8)))), each(one)
