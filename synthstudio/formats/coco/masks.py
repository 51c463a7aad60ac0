"""Masks to and from COCO: exact polygons along pixel edges, also with holes; RLE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from synthstudio.core.arrays import Bool
from synthstudio.core.images import MAX_PIXELS
from synthstudio.core.masks import check_plain_counts, check_polygons
from synthstudio.formats import checked

Point = tuple[int, int]

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
    outside = np.pad(~part, 1, constant_values=True).astype(np.uint8)
    count, found, stats, _ = cv2.connectedComponentsWithStats(outside, connectivity=8)
    for label in range(1, count):
        if label != found[0, 0]:
            x, w = int(stats[label, 0]), int(stats[label, 2])
            return max(1, min(part.shape[1] - 1, x - 1 + (w + 1) // 2))
    return None


def _outline(part: Bool) -> list[Point]:
    """Return the corners of the one closed border of a solid 4-connected part."""
    steps = _border_steps(part)
    start = min(steps, key=lambda p: (p[1], p[0]))
    at, way = start, _RIGHT
    corners: list[Point] = []
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


def _border_steps(part: Bool) -> dict[Point, set[Point]]:
    padded = np.pad(part, 1)
    inner = padded[1:-1, 1:-1]
    sides = (
        (_RIGHT, padded[:-2, 1:-1], (0, 0)),
        (_DOWN, padded[1:-1, 2:], (1, 0)),
        (_LEFT, padded[2:, 1:-1], (1, 1)),
        (_UP, padded[1:-1, :-2], (0, 1)),
    )
    steps: dict[Point, set[Point]] = {}
    for way, neighbour, (dx, dy) in sides:
        for i, j in np.argwhere(inner & ~neighbour):
            steps.setdefault((int(j) + dx, int(i) + dy), set()).add(way)
    return steps


def compressed_counts(segmentation: Any, size: Sequence[int]) -> str | None:
    """Return the compressed RLE of a mask (H, W) given as RLE, counts or polygons; ValueError."""
    if not segmentation:
        return None
    if size[0] * size[1] > MAX_PIXELS:  # pycocotools crashes on an overflowing size
        raise ValueError(f"a mask in an image of {size[1]} x {size[0]} pixels")
    if isinstance(segmentation, dict):
        counts = segmentation["counts"]
        if segmentation["size"] != list(size):
            raise ValueError(f"a mask of size {str(segmentation['size'])[:40]} in {list(size)}")
        if isinstance(counts, str):
            return checked.text(counts)  # runs are checked with the row
        check_plain_counts(counts, size)
    else:
        check_polygons(segmentation)
    found = coco_mask.frPyObjects(segmentation, *size)
    merged = coco_mask.merge(found) if isinstance(found, list) else found
    return str(merged["counts"].decode("ascii"))
