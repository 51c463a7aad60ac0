"""A mask's area, box and outline from its run-length code, undrawn; nothing is trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from synthstudio.core import masks as rle

I64 = NDArray[np.int64]
MAX_PIXELS = 100_000_000


@dataclass(frozen=True, kw_only=True)
class Mask:
    """A mask as runs. `starts`, `ends`: of runs of set pixels, counted down the columns."""

    height: int
    width: int
    starts: I64
    ends: I64
    polygon_area: float | None = None  # sum of the polygons it was made of

    @property
    def area(self) -> int:
        """Return the number of set pixels."""
        return int((self.ends - self.starts).sum())

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Return x, y, w, h of the set pixels, edges included; zeros when there are none."""
        if not len(self.starts):
            return 0.0, 0.0, 0.0, 0.0
        first, last = self.starts // self.height, (self.ends - 1) // self.height
        one = first == last
        top = np.where(one, self.starts % self.height, 0)
        low = np.where(one, (self.ends - 1) % self.height, self.height - 1)
        x0, y0 = int(first[0]), int(top.min())
        return float(x0), float(y0), float(last[-1] + 1 - x0), float(low.max() + 1 - y0)

    def outline(self, most: int) -> NDArray[np.float64]:
        """Return (n, 2) pixel-edge places x, y on upper and lower borders, evenly chosen.

        Runs that begin or end at the picture's edge are no border.
        """
        places = np.concatenate([self.starts, self.ends])
        y = places % self.height
        inner = places[(y > 4) & (y < self.height - 4)]
        if not len(inner):
            return np.zeros((0, 2))
        chosen = inner[np.linspace(0, len(inner) - 1, min(most, len(inner))).astype(np.int64)]
        return np.stack([chosen // self.height + 0.5, chosen % self.height + 0.0], axis=1)


def read_mask(segmentation: Any, height: int, width: int) -> Mask:
    """Return a COCO segmentation (RLE or polygons) of an image; ValueError says what is wrong.

    An RLE keeps its own size, which may not be the image's.
    """
    if isinstance(segmentation, Mapping):
        return _from_rle(segmentation)
    if isinstance(segmentation, list):
        return _from_polygons(segmentation, height, width)
    raise ValueError(f"is neither RLE nor polygons: {type(segmentation).__name__}")


def _from_rle(code: Mapping[str, Any]) -> Mask:
    size, counts = code.get("size"), code.get("counts")
    if (
        not isinstance(size, list | tuple)
        or len(size) != 2
        or not all(isinstance(n, int) and 0 < n < MAX_PIXELS for n in size)
        or size[0] * size[1] > MAX_PIXELS
    ):
        raise ValueError(f"size is {str(size)[:60]}")
    if isinstance(counts, str | bytes):
        runs = rle.runs(counts if isinstance(counts, str) else counts.decode("ascii", "replace"))
    elif isinstance(counts, list) and all(isinstance(n, int) for n in counts):
        runs = np.array(counts, np.int64)
    else:
        raise ValueError(f"counts is {type(counts).__name__}")
    if (runs < 0).any() or int(runs.sum()) != size[0] * size[1]:
        raise ValueError(f"its runs cover {int(runs.sum())} pixels, its size {size[0] * size[1]}")
    edges = np.concatenate([[0], np.cumsum(runs)])
    starts = edges[1::2][: len(runs) // 2]
    ends = edges[2::2][: len(runs) // 2]
    some = ends > starts
    return Mask(height=size[0], width=size[1], starts=starts[some], ends=ends[some])


def _from_polygons(polygons: Sequence[Any], height: int, width: int) -> Mask:
    rle.check_polygons(polygons)
    if not polygons:
        raise ValueError("has no polygon")
    area = 0.0
    for ring in polygons:
        x, y = np.array(ring[::2]), np.array(ring[1::2])
        area += abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2
    found = coco_mask.merge(coco_mask.frPyObjects(list(polygons), height, width))
    made = _from_rle({"size": [height, width], "counts": found["counts"]})
    return Mask(height=height, width=width, starts=made.starts, ends=made.ends, polygon_area=area)
