"""Ultralytics' YOLO-pose (.onnx of `yolo export format=onnx`), which finds people by itself.

github.com/ultralytics/ultralytics: LetterBox (data/augment.py), non_max_suppression (utils/nms.py)
with `val`'s confidence of 0.001 and overlap of 0.7, scale_coords (utils/ops.py). Each box gets the
found person of the largest score times overlap with it; none: not found.
"""

from __future__ import annotations

import json

import cv2
import numpy as np

from synthstudio.inference.adapters.files import F64, FileModel
from synthstudio.inference.predict import U8
from synthstudio.training.outside import Predict

_GREY, _CONFIDENCE, _OVERLAP, _MOST = 114, 0.001, 0.7, 300
_HALF = 0.5
_SIZE = "[640, 640]"


def load(model: FileModel, joints: tuple[str, ...] | None) -> tuple[tuple[str, ...], Predict]:
    """As in this package's docstring; ModelError."""
    stated = json.loads(model.facts.get("imgsz", _SIZE))
    height, width = (n or s for n, s in zip((*model.shape, 0, 0)[2:4], stated, strict=False))
    if len(model.shape) != 4 or model.shape[1] != 3:
        raise model.refuse("an input (1, 3, H, W)", model.shape)
    count, numbers = json.loads(model.facts.get("kpt_shape", "[0, 3]"))

    def detect(image: U8) -> F64:
        """Rows: x0 y0 x1 y1, score, then joints, in pixels of the input."""
        value = image.transpose(2, 0, 1)[None].astype(np.float32) / 255
        found = np.asarray(next(iter(model.run(np.ascontiguousarray(value)).values())), np.float64)
        if found.ndim == 3 and count and found.shape[2] == 6 + count * numbers:
            return np.delete(found[0], 5, 1)  # exported with its own choice of people
        if found.ndim != 3 or found.shape[1] < 5 + numbers:
            raise model.refuse("an output (1, 5 + 3 J, N)", found.shape)
        rows, keypoints = found[0].T, (count or (found.shape[1] - 5) // numbers) * numbers
        score = rows[:, 4:-keypoints].max(1)
        rows = rows[keep := score > _CONFIDENCE]
        corner = rows[:, :2] - rows[:, 2:4] / 2
        boxes = np.column_stack([corner, rows[:, 2:4]])
        sure = score[keep].tolist()
        chosen = cv2.dnn.NMSBoxes(boxes.tolist(), sure, _CONFIDENCE, _OVERLAP, top_k=30_000)
        best = np.asarray(chosen, np.int64).reshape(-1)[:_MOST]
        table = [corner, corner + rows[:, 2:4], score[keep], rows[:, -keypoints:]]
        return np.column_stack(table)[best]

    def predict(rgb: U8, boxes: F64) -> F64:
        (high, wide), target = rgb.shape[:2], np.array([width, height])
        fit = min(height / high, width / wide)
        inner = (max(round(wide * fit), 1), max(round(high * fit), 1))
        gain = np.array(inner) / [wide, high]
        pad = np.round((target - inner) / 2 - 0.1).astype(int)
        image = np.full((height, width, 3), _GREY, np.uint8)
        resized = rgb if inner == (wide, high) else cv2.resize(rgb, inner)
        image[pad[1] : pad[1] + inner[1], pad[0] : pad[0] + inner[0]] = resized
        rows = detect(image)
        people = rows[:, 5:].reshape(len(rows), -1, numbers)
        xy = np.clip((people[..., :2] - pad) / gain, 0, [wide, high]) + _HALF
        scores = people[..., 2:3] if numbers == 3 else np.ones_like(xy[..., :1])
        found = np.concatenate([xy, scores], 2)
        corners = (rows[:, :4] - np.tile(pad, 2)) / np.tile(gain, 2) + _HALF
        best = rows[:, 4] * overlaps(boxes, corners)
        out = np.full((len(boxes), len(order), 3), np.nan)
        hit = np.flatnonzero(best.max(1, initial=0) > 0)
        out[hit] = found[best[hit].argmax(1)] if len(hit) else 0
        return out

    if not count:
        count = (np.asarray(detect(np.full((height, width, 3), _GREY, np.uint8))).shape[1] - 5) // 3
    order = model.order(joints, count)
    return order, predict


def overlaps(boxes: F64, corners: F64) -> F64:
    """Intersection over union (P, N) of boxes x y w h and x0 y0 x1 y1."""
    low = np.maximum(boxes[:, None, :2], corners[:, :2])
    high = np.minimum(boxes[:, None, :2] + boxes[:, None, 2:], corners[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = np.prod(boxes[:, 2:], 1)[:, None] + np.prod(corners[:, 2:] - corners[:, :2], 1)
    return np.asarray(shared / np.maximum(areas - shared, 1e-9))
