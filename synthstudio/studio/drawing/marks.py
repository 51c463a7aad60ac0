"""A person's labels drawn into a small picture with the editor's marks, and their legend.

A joint's shape shows its cause, as in editor/js/canvas.js: filled dot visible, ring hidden by the
person itself, triangle by another person, square by an object, diamond unknown, cross
outside the frame. Left is orange and single; right is blue and doubled, so that neither side nor
cause is shown by colour alone. Bones are thin and dashed if an end is hidden.
"""

from __future__ import annotations

import base64
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from synthstudio.core.arrays import F64, U8
from synthstudio.core.images import encode_png
from synthstudio.core.skeleton import COLOURS, Skeleton

Colour = tuple[int, ...]
Point = tuple[float, float]

_INK = (18, 20, 26)
_SUPERSAMPLE = 2  # pixels of the drawing a pixel of the picture: lines of half a pixel
_SHIFT = 4
_SHAPES = {"visible": (0, 0.0, 1.0), "self": (0, 0.0, 1.0), "person": (3, -90.0, 1.4),
          "object": (4, 45.0, 1.3), "unknown": (4, 0.0, 1.35)}  # fmt: skip
"""Cause -> corners (0: a circle), rotation in degrees, size relative to a dot."""
_LEGEND = (
    ("visible", "middle", "visible"),
    ("self", "middle", "hidden by own body"),
    ("person", "middle", "hidden by another person"),
    ("object", "middle", "hidden by an object"),
    ("unknown", "middle", "hidden, cause unknown"),
    ("truncated", "middle", "outside the frame"),
    ("visible", "left", "left"),
    ("visible", "right", "right"),
)
_CHIP = "background:#3a3f46;border-radius:4px"
_LEGEND_PX = 44  # shown at half of it: sharp on fine screens


@dataclass(frozen=True, kw_only=True)
class JointMarks:
    """Labels to draw. `px` (J, 2) continuous pixels of the picture, NaN: unknown place.

    `state` (J,): 0, 1, 2, or None if unlabelled; `cause` (J,) of CAUSES.
    """

    skeleton: Skeleton
    px: F64
    state: Sequence[int | None]
    cause: Sequence[str]


def draw_marks(rgb: U8, labels: JointMarks) -> U8:
    """Return the picture (h, w, 3) with labels drawn in; joints outside are put at its border."""
    high, wide = rgb.shape[:2]
    pen = _Pen(canvas=np.repeat(np.repeat(rgb, _SUPERSAMPLE, axis=0), _SUPERSAMPLE, axis=1))
    radius = min(8.0, max(4.5, max(high, wide) / 44))
    places = [
        None if state is None or not np.isfinite(at).all() else _clamp(at, wide, high, radius)
        for at, state in zip(labels.px, labels.state, strict=True)
    ]
    _draw_bones(pen, labels, places, radius)
    # Hidden joints are drawn last, on top.
    order = sorted(range(len(places)), key=lambda j: labels.cause[j] != "visible")
    for j in order:
        at = places[j]
        if at is not None:
            size = min(radius, max(3.0, 0.55 * _nearest_distance(j, places)))
            _draw_mark(pen, at, labels.cause[j], labels.skeleton.sides[j], size)
    small = cv2.resize(pen.canvas, (wide, high), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


@functools.cache
def legend_html() -> str:
    parts = []
    for cause, side, words in _LEGEND:
        code = base64.b64encode(_legend_mark(cause, side)).decode("ascii")
        half = _LEGEND_PX // 2
        parts.append(
            f'<span style="display:inline-flex;align-items:center;gap:3px">'
            f'<img alt="" width="{half}" height="{half}" style="{_CHIP}" '
            f'src="data:image/png;base64,{code}">'
            f"{words}</span>"
        )
    inside = "".join([*parts, "<span>dashed: one end is hidden</span>"])
    style = "display:flex;flex-wrap:wrap;gap:2px 12px;font-size:12px;line-height:1.6"
    return f'<div role="note" aria-label="What the marks mean" style="{style}">{inside}</div>'


@dataclass(frozen=True, kw_only=True)
class _Pen:
    """A canvas (h, w, 3 or 4), supersampled; all lengths are in pixels of the picture."""

    canvas: U8

    def place(self, at: Point) -> tuple[int, int]:
        """Return a continuous point in OpenCV's fixed-point pixel indices."""
        x, y = (round((v * _SUPERSAMPLE - 0.5) * (1 << _SHIFT)) for v in at)
        return x, y

    def line(self, a: Point, b: Point, colour: Colour, width: float) -> None:
        thick = max(1, round(width * _SUPERSAMPLE))
        cv2.line(
            self.canvas, self.place(a), self.place(b), self._ink(colour), thick, cv2.LINE_AA, _SHIFT
        )

    def disc(self, at: Point, radius: float, colour: Colour) -> None:
        cv2.circle(
            self.canvas,
            self.place(at),
            round(radius * _SUPERSAMPLE * (1 << _SHIFT)),
            self._ink(colour),
            -1,
            cv2.LINE_AA,
            _SHIFT,
        )

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        ring = np.array([self.place(at) for at in points], np.int32)
        cv2.fillPoly(self.canvas, [ring], self._ink(colour), cv2.LINE_AA, _SHIFT)

    def _ink(self, colour: Colour) -> Colour:
        return (*colour, 255) if self.canvas.shape[2] == 4 else colour


def _draw_bones(
    pen: _Pen, labels: JointMarks, places: Sequence[Point | None], radius: float
) -> None:
    unit = radius / 6
    for a, b in labels.skeleton.edges:
        start, end, states = places[a], places[b], (labels.state[a] or 0, labels.state[b] or 0)
        if start is None or end is None or not max(states):
            continue
        sides = {labels.skeleton.sides[a], labels.skeleton.sides[b]} - {"middle"}
        side = sides.pop() if len(sides) == 1 else "middle"
        hidden = min(states) < 2
        pieces = _dashes(start, end, 6 * unit) if hidden else [(start, end)]
        for p, q in pieces:
            pen.line(p, q, _INK, (2.6 if hidden else 5.0) * unit)
        for p, q in pieces:
            pen.line(p, q, COLOURS[side], (1.5 if hidden else 3.4) * unit)
        if side == "right" and not hidden:
            pen.line(start, end, _INK, 1.0 * unit)


def _dashes(a: Point, b: Point, dash: float) -> list[tuple[Point, Point]]:
    count = max(1, round(math.dist(a, b) / (2 * dash)))

    def at(share: float) -> Point:
        return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share

    return [(at(k / count), at((k + 0.45) / count)) for k in range(count)]


def _draw_mark(pen: _Pen, at: Point, cause: str, side: str, r: float) -> None:
    colour, doubled = COLOURS[side], side == "right"
    r = 0.88 * r if doubled else r
    line = max(1.0, 0.3 * r)
    if cause == "truncated":
        arms = [(_polar(at, r * 1.15, k), _polar(at, r * 1.15, k + 180)) for k in (45, 135)]
        for width, ink in ((2.2 * line + 1.6, _INK), (2.2 * line, colour)):
            for a, b in arms:
                pen.line(a, b, ink, width)
        if doubled:
            for a, b in arms:
                pen.line(a, b, _INK, 0.7 * line)
        return
    outer = r + 2.2 * line if doubled else r
    _draw_shape(pen, at, cause, outer + 1.0, _INK)
    if doubled:
        _draw_shape(pen, at, cause, outer, colour)
        _draw_shape(pen, at, cause, outer - 0.8 * line, _INK)
    _draw_shape(pen, at, cause, r, colour)
    if cause != "visible":
        _draw_shape(pen, at, cause, r - 1.05 * line, _INK)


def _draw_shape(pen: _Pen, at: Point, cause: str, radius: float, colour: Colour) -> None:
    """Fill a cause's shape. `radius`: to its edges, for equal rim widths of all shapes."""
    corners, turn, grow = _SHAPES.get(cause, _SHAPES["unknown"])
    if not corners:
        pen.disc(at, max(0.3, radius), colour)
        return
    # A rim of a width at the edges is wider at the corners.
    reach = max(0.3, radius) * grow
    pen.polygon([_polar(at, reach, turn + k * 360 / corners) for k in range(corners)], colour)


def _polar(at: Point, reach: float, degrees: float) -> Point:
    angle = math.radians(degrees)
    return at[0] + reach * math.cos(angle), at[1] + reach * math.sin(angle)


def _clamp(at: F64, wide: int, high: int, radius: float) -> Point:
    inset = radius + 1
    return (
        float(min(max(at[0], inset), wide - inset)),
        float(min(max(at[1], inset), high - inset)),
    )


def _nearest_distance(j: int, places: Sequence[Point | None]) -> float:
    own = places[j]
    others = [at for k, at in enumerate(places) if k != j and at is not None]
    return min((math.dist(own, at) for at in others), default=math.inf) if own else math.inf


def _legend_mark(cause: str, side: str) -> bytes:
    pen = _Pen(canvas=np.zeros((_LEGEND_PX * _SUPERSAMPLE, _LEGEND_PX * _SUPERSAMPLE, 4), np.uint8))
    middle = (_LEGEND_PX / 2, _LEGEND_PX / 2)
    _draw_mark(pen, middle, cause, side, 11.0)
    small = cv2.resize(pen.canvas, (_LEGEND_PX, _LEGEND_PX), interpolation=cv2.INTER_AREA)
    return encode_png(np.asarray(small, np.uint8))
