"""Ultralytics' YOLO-pose (.onnx of `yolo export format=onnx`), a bottom-up system.

github.com/ultralytics/ultralytics: LetterBox (data/augment.py), non_max_suppression (utils/nms.py)
with `val`'s confidence of 0.001 and overlap of 0.7, scale_coords (utils/ops.py). Each box gets the
detected person of the largest score times overlap with it, or none.
"""

from __future__ import annotations

import json
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from synthstudio.core.arrays import F64, U8
from synthstudio.inference.adapters.files import FileModel
from synthstudio.models.smooth import overlaps
from synthstudio.training.outside import Predict

_GREY, _CONFIDENCE, _OVERLAP, _MAX, _HALF = 114, 0.001, 0.7, 300, 0.5


def load(model: FileModel, joints: tuple[str, ...] | None) -> tuple[tuple[str, ...], Predict]:
    """As in this package's docstring; ModelError."""
    stated = json.loads(model.facts.get("imgsz", "[640, 640]"))
    count, numbers = json.loads(model.facts.get("kpt_shape", "[17, 3]"))
    if len(model.shape) != 4 or model.shape[1] != 3:
        raise model.refuse("an input (1, 3, H, W)", model.shape)
    target = np.array([model.shape[3] or stated[1], model.shape[2] or stated[0]])

    def detect(image: U8) -> tuple[F64, F64, F64]:
        """Boxes x y w h, scores and joints (N, J, 2 or 3) in pixels of the input."""
        value = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / 255
        rows = np.asarray(next(iter(model.run(value).values())), np.float64)
        if rows.ndim == 3 and rows.shape[2] == 6 + count * numbers:  # with built-in suppression
            corner, size = rows[0, :, :2], rows[0, :, 2:4] - rows[0, :, :2]
            best: NDArray[Any] | slice = slice(None)
            rows, score = rows[0], rows[0, :, 4]
        elif rows.ndim == 3 and rows.shape[1] >= 5 + count * numbers:
            rows = rows[0].T
            score = rows[:, 4 : -count * numbers].max(1)
            corner, size = rows[:, :2] - rows[:, 2:4] / 2, rows[:, 2:4]
            boxes, best_scores = np.column_stack([corner, size]).tolist(), score.tolist()
            best = np.array(cv2.dnn.NMSBoxes(boxes, best_scores, _CONFIDENCE, _OVERLAP), int)[:_MAX]
        else:
            raise model.refuse(f"an output (1, {5 + count * numbers}, N)", rows.shape)
        people = rows[:, -count * numbers :].reshape(len(rows), count, numbers)
        return np.column_stack([corner, size])[best], score[best], people[best]

    def predict(rgb: U8, boxes: F64) -> F64:
        extent = np.array(rgb.shape[1::-1])
        inner = np.maximum(np.round(extent * (target / extent).min()), 1).astype(int)
        gain, pad = inner / extent, np.round((target - inner) / 2 - 0.1).astype(int)
        image = np.full((target[1], target[0], 3), _GREY, np.uint8)
        inside = image[pad[1] : pad[1] + inner[1], pad[0] : pad[0] + inner[0]]
        inside[:] = rgb if (inner == extent).all() else cv2.resize(rgb, inner.tolist())
        found, score, people = detect(image)
        placed = (found - [*pad, 0, 0]) / np.tile(gain, 2) + [_HALF, _HALF, 0, 0]
        fits = score * overlaps(boxes, placed)
        out = np.full((len(boxes), count, 3), np.nan)
        if (hit := fits.max(1, initial=0) > 0).any():
            chosen = people[fits[hit].argmax(1)]
            xy = np.clip((chosen[..., :2] - pad) / gain, 0, extent) + _HALF
            scores = chosen[..., 2:] if numbers == 3 else np.ones_like(xy[..., :1])
            out[hit] = np.concatenate([xy, scores], 2)
        return out

    return model.order(joints, count), predict
