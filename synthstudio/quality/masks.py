"""Masks as runs, from COCO segmentations; checks of boxes and areas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from synthstudio.core import masks as rle
from synthstudio.core.arrays import F64, I64, Bool
from synthstudio.core.images import MAX_PIXELS
from synthstudio.quality.subject import FAR, is_box, is_number

_BOX_SLACK_PX = 2.0
_LOOSE = 0.5  # of the box's area is more than its mask's box
_SMALL_BOX = 64  # pixels
_AREA_SHARE = 0.1  # polygons are counted in more than one way
_POLYGON_SLACK = 4


@dataclass(frozen=True, kw_only=True)
class Mask:
    """A mask as runs. `starts`, `ends`: of runs of set pixels, counted down the columns."""

    height: int
    width: int
    starts: I64
    ends: I64
    polygon_area: float | None = None  # sum of the polygons it was made of

    @cached_property
    def area(self) -> int:
        return int((self.ends - self.starts).sum())

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """Return x, y, w, h of the set pixels, edges included; zeros when empty."""
        if not len(self.starts):
            return 0.0, 0.0, 0.0, 0.0
        first, last = self.starts // self.height, (self.ends - 1) // self.height
        one = first == last
        top = np.where(one, self.starts % self.height, 0)
        low = np.where(one, (self.ends - 1) % self.height, self.height - 1)
        x0, y0 = int(first[0]), int(top.min())
        return float(x0), float(y0), float(last[-1] + 1 - x0), float(low.max() + 1 - y0)

    def outline(self, maximum: int) -> F64:
        """(n, 2) pixel edges x, y on upper and lower borders inside the picture, evenly chosen."""
        places = np.concatenate([self.starts, self.ends])
        y = places % self.height
        inner = places[(y > 4) & (y < self.height - 4)]
        if not len(inner):
            return np.zeros((0, 2))
        chosen = inner[np.linspace(0, len(inner) - 1, min(maximum, len(inner))).astype(np.int64)]
        return np.stack([chosen // self.height + 0.5, chosen % self.height + 0.0], axis=1)


def read_mask(segmentation: Any, height: int, width: int) -> Mask:
    """A COCO segmentation (RLE, of its own size, or polygons) of an image; ValueError: fault."""
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
    if not 0 < height * width <= MAX_PIXELS:  # pycocotools dies of a size that overflows
        raise ValueError(f"lies in an image of {width} x {height} pixels")
    area = 0.0
    for ring in polygons:
        x, y = np.array(ring[::2]), np.array(ring[1::2])
        area += abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2
    found = coco_mask.merge(coco_mask.frPyObjects(list(polygons), height, width))
    made = _from_rle({"size": [height, width], "counts": found["counts"]})
    return Mask(height=height, width=width, starts=made.starts, ends=made.ends, polygon_area=area)


def box_problem(mask: Mask, box: Sequence[float]) -> tuple[str, float]:
    """Return the kind of finding of a box with sides above 0, "" for none, and its size.

    The size is the excess of the mask over the box in pixels. COCO's boxes are off by up to 1 px.
    """
    x, y, w, h = mask.box
    out = max(box[0] - x, box[1] - y, x + w - box[0] - box[2], y + h - box[1] - box[3])
    if out > _BOX_SLACK_PX:
        return "box_mask", out
    loose = w * h < _LOOSE * box[2] * box[3] and box[2] * box[3] > _SMALL_BOX
    return "box_loose" if loose else "", out


def area_fits(mask: Mask, area: float, *, loose: bool = False) -> bool:
    """Whether an area is that of the mask or its polygons; `loose`: maybe of unknown polygons."""
    counts = [mask.area] if mask.polygon_area is None else [mask.area, mask.polygon_area]
    slack = _POLYGON_SLACK + _AREA_SHARE * mask.area if loose or len(counts) > 1 else 1.0
    return min(abs(area - count) for count in counts) <= slack


def mask_problems(
    mask: Mask, box: Any, area: Any, *, loose: bool = False
) -> Iterator[tuple[str, str]]:
    """Kind and text of a box or area that contradicts its mask; `loose` as in `area_fits`."""
    if is_box(box) and mask.area and box[2] > 0 and box[3] > 0:
        kind, out = box_problem(mask, box)
        w, h = mask.box[2:]
        what = f"{box[2]:g} x {box[3]:g} for a mask of {w:g} x {h:g}"
        if kind == "box_mask":
            what = f"its mask is {out:.1f} px beyond it"
        if kind:
            yield kind, what
    if is_number(area) and abs(area) < FAR:
        if not area_fits(mask, area, loose=loose):
            yield "area", f"{area:g}, its mask has {mask.area} pixels"
    elif area is None:
        yield "no_area", "the mask's is taken"


def holds(starts: I64, ends: I64, inner_starts: I64, inner_ends: I64) -> Bool:
    """Whether inner runs are inside an outer one; both sorted."""
    place = np.searchsorted(starts, inner_starts, side="right") - 1
    reach = np.concatenate([ends, [-1]])[place]  # place -1: before the first
    return np.asarray((place >= 0) & (inner_ends <= reach))
