"""Run-length codes from outside, checked before a C library decodes them without looking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_PERIMETER_PX = 20_000_000
"""Of all polygons of a mask together; their rasteriser holds five points a pixel of it."""
_COORDINATE_PX = 1_000_000


def runs(counts: str) -> NDArray[np.int64]:
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
            raise ValueError("a polygon's corner is no place in a picture")
        corners = np.array(polygon, np.float64).reshape(-1, 2)
        perimeter += float(np.abs(corners - np.roll(corners, 1, axis=0)).sum())
    if not perimeter < MAX_PERIMETER_PX:
        raise ValueError("the polygons are too long")
