"""Any top-down network as .onnx, by this contract.

Input (1 or B, 3, H, W) RGB, uint8 or float32 from 0 to 1, of the box widened by 1.25 and to its
shape. Output: joints (B, J, 2 or 3: x, y, perhaps a score) in pixels of the input, or heat maps
(B, J, h, w), read at the peak moved a quarter of a cell towards the higher neighbour.
"""

from __future__ import annotations

import numpy as np

from synthstudio.core.arrays import F64, U8
from synthstudio.inference.adapters.files import FileModel, centre_and_scale, each
from synthstudio.training.data.windows import crop_and_resize
from synthstudio.training.outside import Predict


def load(model: FileModel, joints: tuple[str, ...] | None) -> tuple[tuple[str, ...], Predict]:
    """As in this package's docstring; ModelError."""
    size = height, width = model.planar_size()

    def run(crop: U8) -> F64:
        """(J, 3) in pixels of the input."""
        value = np.ascontiguousarray(crop.transpose(2, 0, 1)[None], model.dtype)
        if model.dtype != "uint8":
            value /= 255
        found = np.asarray(next(iter(model.run(value).values())), np.float64)
        if found.ndim == 4:
            cells, score = peaks(found[0])
            return np.column_stack([cells * [width, height] / found.shape[:1:-1], score])
        if found.ndim != 3 or found.shape[2] not in (2, 3):
            raise model.refuse("joints (B, J, 2 or 3) or maps (B, J, h, w)", found.shape)
        score = found[0, :, 2] if found.shape[2] == 3 else np.ones(found.shape[1])
        return np.column_stack([found[0, :, :2], score])

    def one(rgb: U8, box: F64) -> F64:
        centre, scale = centre_and_scale(box, size)
        corner, zoom = centre - scale / 2, width / scale[0]
        found = run(crop_and_resize(rgb, corner, zoom, size))
        found[:, :2] = found[:, :2] / zoom + corner
        return found

    return model.order(joints, len(run(np.zeros((height, width, 3), np.uint8)))), each(one)


def peaks(maps: F64) -> tuple[F64, F64]:
    """Cells (J, 2) x y, counted from the corner, of the peaks of (J, h, w); their heights (J,)."""
    count, _, wide = maps.shape
    score, at = maps.reshape(count, -1).max(1), maps.reshape(count, -1).argmax(1)
    y, x = at // wide + 1, at % wide + 1
    padded, every = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge"), np.arange(count)
    across = padded[every, y, x + 1] - padded[every, y, x - 1]
    down = padded[every, y + 1, x] - padded[every, y - 1, x]
    return np.column_stack([x, y]) - 0.5 + 0.25 * np.sign(np.column_stack([across, down])), score
