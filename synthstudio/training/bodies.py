"""What crops do not hold of a data set's people: silhouettes, and how large their pictures are."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from synthstudio.core.masks import decode
from synthstudio.dataset.reader import Dataset
from synthstudio.training import augment
from synthstudio.training.batches import Frame
from synthstudio.training.crops import Crops, canvas_size, cut

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


def picture_sizes(dataset: Dataset, frames: I64) -> F64:
    """Return (P, 2) the width and height of each person's picture; `frames` (P,)."""
    sizes = {
        int(row["index"]): (row["width_px"], row["height_px"])
        for row in dataset.iter_frames(["index", "width_px", "height_px"])
    }
    return np.array([sizes[int(f)] for f in frames], np.float64).reshape(-1, 2)


class Silhouettes:
    """The amodal masks of a data set's people, as looking.gazes asks for them."""

    def __init__(self, dataset: Dataset, crops: Crops, frame: Frame) -> None:
        """Read the masks, packed as they are stored."""
        self.crops, self.frame = crops, frame
        wanted = set(zip(crops.frame.tolist(), crops.instance.tolist(), strict=True))
        columns = ["frame_index", "instance", "mask_size", "amodal_counts"]
        self.packed = {
            (row["frame_index"], row["instance"]): (row["mask_size"], row["amodal_counts"])
            for row in dataset.iter_instances(columns)
            if (row["frame_index"], row["instance"]) in wanted
        }

    def __call__(self, rows: I64, views: F64) -> F64:
        """Return (R, h, w) the share of each cell that the person fills; NaN when nobody knows."""
        return np.stack([self._one(int(r), v) for r, v in zip(rows, views, strict=True)])

    def _one(self, row: int, view: F64) -> F64:
        crops, (h, w) = self.crops, self.frame.cells
        size, counts = self.packed[int(crops.frame[row]), int(crops.instance[row])]
        if counts is None:
            return np.full((h, w), np.nan)
        mask = decode({"size": [int(v) for v in size], "counts": counts}) * np.uint8(255)
        canvas = cut(
            np.repeat(mask[..., None], 3, -1),
            crops.corner[row].astype(np.float64),
            float(crops.scale[row]),
            canvas_size(*self.frame.size),
            fill=0,
        )[..., 0]
        seen = augment.look(canvas, view, self.frame.size, fill=0)
        small = cv2.resize(seen, (w, h), interpolation=cv2.INTER_AREA)
        return np.asarray(small.astype(np.float64) / 255)
