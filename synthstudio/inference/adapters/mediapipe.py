"""MediaPipe's BlazePose lite, full and heavy (pose_landmark_*.tflite, or as .onnx).

github.com/google/mediapipe, modules/pose_landmark: PoseLandmarkByRoi (ImageToTensor without a
border's colour, RefineLandmarksFromHeatmap with a kernel of 7 from a confidence of 0.5 on) and
PoseLandmarksToRoi (points 33 and 34 give the middle, half the side and the angle; 1.25 times as
large). Its detector is not used: the first pass is on the box, the second on the region it found.
"""

from __future__ import annotations

import cv2
import numpy as np

from synthstudio.core.arrays import F64, U8
from synthstudio.inference.adapters.files import FileModel, each
from synthstudio.training.outside import Predict

_POINTS, _JOINTS, _LARGER = 39, 33, 1.25
_CENTRE, _SCALE = 33, 34
_REACH, _CONFIDENT = 3, 0.5


def load(model: FileModel, joints: tuple[str, ...] | None) -> tuple[tuple[str, ...], Predict]:
    """As in this package's docstring; ModelError."""
    size = model.square_size()

    def look(rgb: U8, centre: F64, side: float, angle: float) -> F64:
        """Points (39, 3: x, y, visibility) in a rotated square of the image."""
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = np.column_stack([turn * side / size, centre - turn @ [side / 2, side / 2]])
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        crop = cv2.warpAffine(rgb, matrix, (size, size), flags=how, borderMode=cv2.BORDER_REPLICATE)
        outputs = list(model.run(crop[None].astype(np.float32) / 255).values())
        flat = [o for o in outputs if o.size == 5 * _POINTS]
        maps = [o for o in outputs if o.ndim == 4 and o.shape[3] == _POINTS]
        if len(flat) != 1 or len(maps) != 1:
            raise model.refuse(
                "outputs of 195 numbers and (1, h, w, 39)", [o.shape for o in outputs]
            )
        points = flat[0].reshape(_POINTS, 5).astype(np.float64)
        xy = refined(points[:, :2] / size, maps[0][0].astype(np.float64))
        placed = (xy - 0.5) * side @ turn.T + centre
        return np.column_stack([placed, 1 / (1 + np.exp(-points[:, 3]))])

    def one(rgb: U8, box: F64) -> F64:
        found = look(rgb, box[:2] + box[2:] / 2, _LARGER * box[2:].max(), 0.0)
        dx, dy = found[_SCALE, :2] - found[_CENTRE, :2]
        side, angle = _LARGER * 2 * np.hypot(dx, dy), np.pi / 2 - np.arctan2(-dy, dx)
        return look(rgb, found[_CENTRE, :2], max(side, 1.0), angle)[:_JOINTS]

    return model.order(joints, _JOINTS), each(one)


def refined(xy: F64, maps: F64) -> F64:
    """Positions (K, 2), 0 to 1 of the crop, at the local weighted mean of their maps (h, w, K)."""
    out, (high, wide) = xy.copy(), maps.shape[:2]
    for k, (column, row) in enumerate(np.floor(np.nan_to_num(xy) * [wide, high]).astype(int)):
        if not (0 <= column < wide and 0 <= row < high):
            continue
        top, left = max(row - _REACH, 0), max(column - _REACH, 0)
        near = 1 / (1 + np.exp(-maps[top : row + _REACH + 1, left : column + _REACH + 1, k]))
        if near.max() >= _CONFIDENT:
            across, down = np.arange(near.shape[1]) + left, np.arange(near.shape[0]) + top
            middle = np.array([near.sum(0) @ across, near.sum(1) @ down]) / near.sum()
            out[k] = middle / [wide, high]
    return out
