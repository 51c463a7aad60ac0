"""Masks (H, W) at pixel centres, boxes (pixel-edge extents); COCO's run-length codes and exact
polygons along pixel edges; overlap, OKS.

External codes are validated before a C library decodes them unchecked.
"""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from synthstudio.core.arrays import F64, I64, Bool
from synthstudio.core.errors import GeometryError
from synthstudio.core.images import MAX_PIXELS
from synthstudio.core.labels import Rle

Box = tuple[float, float, float, float]


def encode(mask: Bool, box: Box | None = None) -> Rle:
    """The compressed COCO code of a mask (H, W); `box`: `mask_box(mask)`, if known."""
    from pycocotools import mask as coco_mask

    # Only the mask's box is copied into pycocotools' column order.
    x, y, w, h = (int(v) for v in box or mask_box(mask))
    inside = slice(y, y + h), slice(x, x + w)
    columns = np.zeros(mask.shape, np.uint8, order="F")
    columns[inside] = mask[inside]
    rle = coco_mask.encode(columns)
    return {"size": [int(n) for n in rle["size"]], "counts": rle["counts"].decode("ascii")}


def decode(rle: Rle) -> Bool:
    """The mask (H, W) of a COCO run-length code."""
    from pycocotools import mask as coco_mask

    with warnings.catch_warnings():  # pycocotools 2.0.11 hands NumPy 2 an old-style array
        warnings.simplefilter("ignore", DeprecationWarning)
        return coco_mask.decode(rle).astype(np.bool_)


def mask_edges(mask: Bool) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the mask's pixels, edges included; zeros when it is empty."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def mask_box(mask: Bool) -> Box:
    """x, y, w, h of the mask's pixels, edges included; zeros when it is empty."""
    x0, y0, x1, y1 = mask_edges(mask)
    return float(x0), float(y0), float(x1 - x0), float(y1 - y0)


def amodal_box(
    seen: Box,  # of the part inside the frame
    extent_px: tuple[float, float, float, float],  # x0, y0, x1, y1 on an endless canvas
) -> Box:
    """x, y, w, h of the person alone, may leave the frame; zeros when empty.

    GeometryError when the extent is no box or does not hold the mask.
    """
    x0, y0, x1, y1 = (float(v) for v in extent_px)
    x, y, w, h = seen
    holds = w == 0 or (x0 <= x and y0 <= y and x + w <= x1 and y + h <= y1)
    if not all(map(math.isfinite, extent_px)) or x1 < x0 or y1 < y0 or not holds:
        raise GeometryError(
            "the extent of a person's surface does not fit its mask",
            where="amodal box",
            expected=f"finite x0 <= x1, y0 <= y1 round {(x, y, x + w, y + h)} px",
            got=str(extent_px),
        )
    return x0, y0, x1 - x0, y1 - y0


def as_rle(counts: str | None, size: Sequence[int]) -> Rle | None:
    return None if counts is None else {"size": list(size), "counts": counts}


def counts_box(counts: str, size: Sequence[int]) -> list[float]:
    """x, y, width and height of the pixels of a compressed code; zeros when it is empty."""
    from pycocotools import mask as coco_mask

    return [float(v) for v in coco_mask.toBbox(as_rle(counts, size))]


MAX_PERIMETER_PX = 20_000_000
"""Total perimeter of a mask's polygons; the rasteriser holds five points per pixel of it."""
_COORDINATE_PX = 1_000_000


def runs(counts: str) -> I64:
    """The run lengths of a compressed COCO code; ValueError when it is none.

    Six bits a character from "0": five of the value, one for "more follows"; from the fourth
    run on a value is the difference to the run two before (maskApi.c, rleFrString).
    """
    try:
        codes = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError as error:
        raise ValueError("a run-length code has other characters") from error
    if not len(codes):
        return np.zeros(0, np.int64)
    last = (codes & 0x20) == 0
    if codes.min() < 0 or codes.max() > 63 or not last[-1]:
        raise ValueError("a run-length code has other characters, or breaks off")
    ends = np.flatnonzero(last)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > 6:
        raise ValueError("a run is too long")
    shift = 5 * (np.arange(len(codes)) - np.repeat(starts, lengths))
    values = np.add.reduceat((codes & 0x1F) << shift, starts)
    values -= np.where(codes[ends] & 0x10, np.int64(1) << (5 * lengths), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def check_counts(counts: str, size: Sequence[int]) -> int:
    """The area in pixels of a compressed code; ValueError unless it fits `size` (H, W)."""
    found = runs(counts)
    if (found < 0).any() or int(found.sum()) != size[0] * size[1]:
        raise ValueError(f"a run-length code is not of size {size[0]} x {size[1]}")
    return int(found[1::2].sum())


def check_plain_counts(counts: Any, size: Sequence[int]) -> None:
    """Raise ValueError unless `counts` is a list of run lengths that fits `size` (H, W)."""
    whole = isinstance(counts, list) and all(type(v) is int and v >= 0 for v in counts)
    if not whole or sum(counts) != size[0] * size[1]:
        raise ValueError(f"a run-length code is not of size {size[0]} x {size[1]}")


def check_polygons(polygons: Any) -> None:
    """Raise ValueError unless these are polygons [x0, y0, x1, y1, ...] that can be filled."""
    if not isinstance(polygons, list):
        raise ValueError("polygons are lists")
    perimeter = 0.0
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise ValueError("a polygon has three corners or more, x and y each")
        if not all(type(v) in (int, float) and abs(v) < _COORDINATE_PX for v in polygon):
            raise ValueError("a polygon's corner is not a place in an image")
        corners = np.array(polygon, np.float64).reshape(-1, 2)
        perimeter += float(np.abs(corners - np.roll(corners, 1, axis=0)).sum())
    if not perimeter < MAX_PERIMETER_PX:
        raise ValueError("the polygons are too long")


# Masks as runs ------------------------------------------------------------------------------------


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
        return _mask_of_rle(segmentation)
    if isinstance(segmentation, list):
        return _mask_of_polygons(segmentation, height, width)
    raise ValueError(f"is neither RLE nor polygons: {type(segmentation).__name__}")


def _mask_of_rle(code: Mapping[str, Any]) -> Mask:
    size, counts = code.get("size"), code.get("counts")
    if (
        not isinstance(size, list | tuple)
        or len(size) != 2
        or not all(isinstance(n, int) and 0 < n < MAX_PIXELS for n in size)
        or size[0] * size[1] > MAX_PIXELS
    ):
        raise ValueError(f"size is {str(size)[:60]}")
    if isinstance(counts, str | bytes):
        lengths = runs(counts if isinstance(counts, str) else counts.decode("ascii", "replace"))
    elif isinstance(counts, list) and all(isinstance(n, int) for n in counts):
        lengths = np.array(counts, np.int64)
    else:
        raise ValueError(f"counts is {type(counts).__name__}")
    if (lengths < 0).any() or int(lengths.sum()) != size[0] * size[1]:
        raise ValueError(
            f"its runs cover {int(lengths.sum())} pixels, its size {size[0] * size[1]}"
        )
    edges = np.concatenate([[0], np.cumsum(lengths)])
    starts = edges[1::2][: len(lengths) // 2]
    ends = edges[2::2][: len(lengths) // 2]
    some = ends > starts
    return Mask(height=size[0], width=size[1], starts=starts[some], ends=ends[some])


def _mask_of_polygons(polygons: Sequence[Any], height: int, width: int) -> Mask:
    from pycocotools import mask as coco_mask

    check_polygons(polygons)
    if not polygons:
        raise ValueError("has no polygon")
    if not 0 < height * width <= MAX_PIXELS:  # pycocotools dies of a size that overflows
        raise ValueError(f"lies in an image of {width} x {height} pixels")
    area = 0.0
    for ring in polygons:
        x, y = np.array(ring[::2]), np.array(ring[1::2])
        area += abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2
    found = coco_mask.merge(coco_mask.frPyObjects(list(polygons), height, width))
    made = _mask_of_rle({"size": [height, width], "counts": found["counts"]})
    return Mask(height=height, width=width, starts=made.starts, ends=made.ends, polygon_area=area)


# Masks as polygons --------------------------------------------------------------------------------

# Walking direction of each side of a pixel, with the pixel on the right.
_WAYS = _RIGHT, _DOWN, _LEFT, _UP = (1, 0), (0, 1), (-1, 0), (0, -1)
_TURNS = {way: (_WAYS[k - 3], way, _WAYS[k - 1]) for k, way in enumerate(_WAYS)}  # right first


def mask_polygons(mask: Bool) -> list[list[int]]:
    """Return polygons [x0, y0, x1, y1, ...] in continuous pixels with the mask (H, W) as union.

    COCO's polygons have no holes: a part with one is cut in two through it, so that every
    polygon is simply filled.
    """
    return [
        [v for point in _outline(part) for v in (point[0] + x, point[1] + y)]
        for part, x, y in _solid_parts(np.asarray(mask, np.bool_), 0, 0)
    ]


def _solid_parts(mask: Bool, left: int, top: int) -> Iterator[tuple[Bool, int, int]]:
    """Yield 4-connected parts without holes, each cropped, with its offset in the whole mask."""
    import cv2

    count, found, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    for label in range(1, count):
        x, y, w, h = (int(v) for v in stats[label, :4])
        part = found[y : y + h, x : x + w] == label
        cut = _hole_column(part)
        if cut is None:
            yield part, left + x, top + y
        else:
            yield from _solid_parts(part[:, :cut], left + x, top + y)
            yield from _solid_parts(part[:, cut:], left + x + cut, top + y)


def _hole_column(part: Bool) -> int | None:
    import cv2

    outside = np.pad(~part, 1, constant_values=True).astype(np.uint8)
    count, found, stats, _ = cv2.connectedComponentsWithStats(outside, connectivity=8)
    for label in range(1, count):
        if label != found[0, 0]:
            x, w = int(stats[label, 0]), int(stats[label, 2])
            return max(1, min(part.shape[1] - 1, x - 1 + (w + 1) // 2))
    return None


def _outline(part: Bool) -> list[tuple[int, int]]:
    """The corners of the one closed border of a solid 4-connected part."""
    steps = _border_steps(part)
    start = min(steps, key=lambda p: (p[1], p[0]))
    at, way = start, _RIGHT
    corners: list[tuple[int, int]] = []
    while True:
        # Where two pixels touch by a corner, turning right stays on the same pixel.
        turn = next(t for t in _TURNS[way] if t in steps[at])
        if turn != way or not corners:
            corners.append(at)
        way = turn
        steps[at].remove(turn)
        at = (at[0] + way[0], at[1] + way[1])
        if at == start and not steps[at]:
            return corners


def _border_steps(part: Bool) -> dict[tuple[int, int], set[tuple[int, int]]]:
    padded = np.pad(part, 1)
    inner = padded[1:-1, 1:-1]
    sides = (
        (_RIGHT, padded[:-2, 1:-1], (0, 0)),
        (_DOWN, padded[1:-1, 2:], (1, 0)),
        (_LEFT, padded[2:, 1:-1], (1, 1)),
        (_UP, padded[1:-1, :-2], (0, 1)),
    )
    steps: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for way, neighbour, (dx, dy) in sides:
        for i, j in np.argwhere(inner & ~neighbour):
            steps.setdefault((int(j) + dx, int(i) + dy), set()).add(way)
    return steps


# Overlap of people of one picture -----------------------------------------------------------------


def nms(boxes: F64, score: F64, *, overlap: float) -> I64:
    """Non-maximum suppression: indices of boxes (D, 4: x0 y0 x1 y1), best first, without those that
    overlap a better one by an IoU above `overlap`."""
    order = np.argsort(-score, kind="stable")
    kept: list[int] = []
    area = (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1)
    while len(order):
        best, order = order[0], order[1:]
        kept.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[order, :2])
        high = np.minimum(boxes[best, 2:], boxes[order, 2:])
        shared = (high - low).clip(0).prod(1)
        order = order[shared <= overlap * (area[best] + area[order] - shared)]
    return np.array(kept, np.int64)


def object_similarity(found: F64, truth: F64, known: Bool, area: F64, sigmas: F64) -> F64:
    """OKS (D, P) of found people (D, J, 2) and true ones (P, J, 2) over the joints `known` (P, J).

    COCO's formula with `area` (P,) in square pixels; a joint that was not found counts 0, and
    a person without a known joint has OKS 0.
    """
    squared = ((found[:, None] - np.where(known[..., None], truth, 0)) ** 2).sum(-1)
    scale = 2 * (2 * sigmas) ** 2 * (area[:, None] + np.spacing(1))
    similar = np.where(known, np.nan_to_num(np.exp(-squared / scale)), 0.0)
    return np.asarray(similar.sum(-1) / np.maximum(known.sum(-1), 1))


def box_overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes x, y, width, height; 0 where neither has an area."""
    wide, high = (max(0.0, min(a[k] + a[k + 2], b[k] + b[k + 2]) - max(a[k], b[k])) for k in (0, 1))
    union = a[2] * a[3] + b[2] * b[3] - wide * high
    return wide * high / union if union > 0 else 0.0
