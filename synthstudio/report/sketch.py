"""Labels of any make drawn into a picture, however damaged: for findings and imported sets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from synthstudio.core.labels import F64, U8
from synthstudio.core.skeleton import COLOURS, Skeleton

_INK = (18, 20, 24)
_RING = (255, 214, 10)
_BOX = (86, 214, 160)
_BAD = (255, 92, 92)
_FAR = 1e5


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One person to draw. `px` (J, 2) continuous, NaN: no place; `state` (J,) 1 hidden, 2 seen.

    `guilty`: it is what the picture is about; `ring`: the joint to ring.
    """

    skeleton: Skeleton | None
    px: F64
    state: Sequence[float]
    box: tuple[float, float, float, float] | None = None
    guilty: bool = False
    ring: int | None = None


def sketch(rgb: U8, figures: Sequence[Figure], *, rows_px: int = 480) -> U8:
    """Return the picture (h, w, 3), about `rows_px` high, with people drawn in.

    Discs are seen joints, rings hidden ones, by side in colour; what lies outside the picture
    is marked at its border.
    """
    zoom = rows_px / rgb.shape[0]
    way = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    size = (max(1, round(rgb.shape[1] * zoom)), rows_px)
    canvas = np.array(cv2.resize(rgb, size, interpolation=way), np.uint8)
    for figure in sorted(figures, key=lambda f: f.guilty):
        _draw(canvas, figure, zoom)
    return canvas


def _draw(canvas: U8, figure: Figure, zoom: float) -> None:
    if figure.box is not None and all(abs(v) < _FAR for v in figure.box):
        x, y, w, h = (v * zoom for v in figure.box)
        ink = _BAD if figure.guilty else _BOX
        corners = (round(x), round(y)), (round(x + w) - 1, round(y + h) - 1)
        cv2.rectangle(canvas, *corners, _INK, 4, cv2.LINE_AA)
        cv2.rectangle(canvas, *corners, ink, 2, cv2.LINE_AA)
    places = [_place(canvas, px, zoom) for px in figure.px]
    edges = figure.skeleton.edges if figure.skeleton is not None else ()
    sides = figure.skeleton.sides if figure.skeleton is not None else ("middle",) * len(places)
    for a, b in edges:
        start, end = places[a], places[b]
        if start is not None and end is not None:
            cv2.line(canvas, start, end, _INK, 5, cv2.LINE_AA)
            cv2.line(canvas, start, end, COLOURS[sides[b]], 3, cv2.LINE_AA)
    for j, at in enumerate(places):
        if at is None:
            continue
        cv2.circle(canvas, at, 5, _INK, -1, cv2.LINE_AA)
        filled = -1 if figure.state[j] == 2 else 1
        cv2.circle(canvas, at, 3, COLOURS[sides[j]], filled, cv2.LINE_AA)
        if j == figure.ring:
            cv2.circle(canvas, at, 13, _INK, 4, cv2.LINE_AA)
            cv2.circle(canvas, at, 13, _RING, 2, cv2.LINE_AA)


def _place(canvas: U8, px: F64, zoom: float) -> tuple[int, int] | None:
    if not all(math.isfinite(v) and abs(v) < _FAR for v in px):
        return None
    x, y = (float(v) * zoom for v in px)
    return (
        round(min(max(x, 6), canvas.shape[1] - 7)),
        round(min(max(y, 6), canvas.shape[0] - 7)),
    )
