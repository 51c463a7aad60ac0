"""Pictures for the browser: stored frames, crops of people with labels, depth; and their legend.

Computed pictures are cached, up to a number of bytes; frames are read again, which costs less
than caching.

A joint's shape shows its cause, as in editor/js/canvas.js: filled dot visible, ring hidden by the
person itself, triangle by another person, square by an object, diamond unknown, cross
outside the frame. Left is orange and single; right is blue and doubled, so that neither side nor
cause is shown by colour alone. Bones are thin and dashed if an end is hidden.
"""

from __future__ import annotations

import base64
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from synthstudio.core.arrays import F64, U8
from synthstudio.core.errors import DatasetError
from synthstudio.core.images import decode_rgb, encode_jpeg, encode_png, resample
from synthstudio.core.labels import CAUSES
from synthstudio.core.skeleton import COLOURS, Skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import NO_STATE, Row
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.values import HIDDEN_BY, JointLabel

_QUALITY = 88
_MARGIN = 0.18
_FRAMES = ["index", "file_name", "group_id", "variant"]
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
    *((cause, "middle", words) for cause, words in HIDDEN_BY.items()),
    ("unknown", "middle", "hidden, cause unknown"),
    ("truncated", "middle", "outside the frame"),
    ("visible", "left", "left"),
    ("visible", "right", "right"),
)
_CHIP = "background:#3a3f46;border-radius:4px"
_LEGEND_PX = 44  # shown at half of it: sharp on fine screens


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set's pictures. `frames`: number -> row; `clean`: group -> frame without occluders."""

    dataset: Dataset
    frames: Mapping[int, Row]
    clean: Mapping[str, int]

    def clean_of(self, frame: int) -> int | None:
        """The frame of the same view and moment without occluders, None for none."""
        row = self.frames.get(frame)
        alike = row is not None and row["variant"] in ("base", "occluder")
        return self.clean.get(row["group_id"]) if row is not None and alike else None


def read_source(dataset: Dataset) -> Source:
    frames = {row["index"]: row for row in dataset.iter_frames(_FRAMES)}
    clean = {row["group_id"]: k for k, row in frames.items() if row["variant"] == "clean"}
    return Source(dataset=dataset, frames=frames, clean=clean)


def image(source: Source, frame: int) -> bytes:
    """A frame's picture file as stored, checked against its hash; DatasetError for none."""
    return source.dataset.image_bytes_of(_row_of(source, frame))


def media_type(source: Source, frame: int) -> str:
    suffix = str(_row_of(source, frame)["file_name"]).rsplit(".", 1)[-1]
    return {"jpg": "image/jpeg"}.get(suffix, f"image/{suffix}")


def crop(
    source: Source,
    table: PeopleTable,
    frame: int,
    instance: int,
    *,
    size: int,
    labels: bool,
    changed: Mapping[str, JointLabel] | None = None,
) -> bytes:
    """A person, square and `size` px wide, as JPEG; DatasetError if there is no such person.

    `changed`: joints moved or relabelled by reviewers. The square is the visible box (the joints'
    if there is none) with a margin; its part outside the frame is grey.
    """
    row = table.row_of(frame, instance)
    rgb = decode_rgb(image(source, frame), f"frame {frame}")
    x0, y0, side = _square(table, row, rgb.shape)
    picture = _window(rgb, x0, y0, side, size)
    if labels:
        found = _labels(table, row, changed or {})
        scale = picture.shape[0] / side
        picture = draw_marks(picture, replace(found, px=(found.px - [x0, y0]) * scale))
    return encode_jpeg(picture, _QUALITY)


def small(source: Source, frame: int, *, size: int) -> bytes:
    """A whole frame as JPEG, its longest side `size` px."""
    rgb = decode_rgb(image(source, frame), f"frame {frame}")
    scale = size / max(rgb.shape[:2])
    wide, high = (max(1, round(side * scale)) for side in (rgb.shape[1], rgb.shape[0]))
    return encode_jpeg(resample(rgb, (0, 0, rgb.shape[1], rgb.shape[0]), (wide, high)), _QUALITY)


def depth(source: Source, row: Row) -> bytes:
    """The stored depth of a frame's row as a grey PNG, near is bright; DatasetError if missing."""
    frame = row["index"]
    if "depth" not in row["layers"]:
        raise DatasetError(
            "the depth was not stored",
            where=f"frame {frame}",
            then="Add it to the recipe: layers: [depth].",
        )
    data = source.dataset.layer_path(frame, "depth").read_bytes()
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.shape != (row["height_px"], row["width_px"]):
        raise DatasetError("the depth is damaged", where=f"frame {frame}")
    known = stored > 0
    inverse = 1000 / np.clip(stored, 1, None).astype(np.float64)
    # Stretched over this frame's range: people a metre apart must look different.
    near, far = np.percentile(inverse[known], [99, 1]) if known.any() else (1.0, 0.0)
    bright = np.clip((inverse - far) / max(near - far, 1e-9), 0.0, 1.0)
    return encode_png(np.where(known, np.rint(40 + 215 * bright), 0).astype(np.uint8))


def _row_of(source: Source, frame: int) -> Row:
    row = source.frames.get(frame)
    if row is None:
        raise DatasetError(
            "the data set does not hold this frame", where=str(source.dataset.place), got=str(frame)
        )
    return row


def _labels(table: PeopleTable, row: int, changed: Mapping[str, JointLabel]) -> JointMarks:
    joints = np.array(table.joints_px[row], np.float64)
    causes = [CAUSES[c] if c < len(CAUSES) else "unknown" for c in table.cause[row]]
    states = [None if state == NO_STATE else int(state) for state in table.state[row]]
    for j, name in enumerate(table.joints):
        if (label := changed.get(name)) is not None:
            joints[j] = [np.nan if v is None else v for v in (label.x_px, label.y_px)]
            states[j], causes[j] = label.state, label.cause
    return JointMarks(skeleton=table.skeleton, px=joints, state=states, cause=causes)


def _square(table: PeopleTable, row: int, shape: Sequence[int]) -> tuple[float, float, float]:
    x, y, w, h = map(float, table.modal_box_px[row])
    if not (w > 0 and h > 0):
        joints = table.joints_px[row].astype(np.float64)
        known = joints[np.isfinite(joints).all(axis=1)]
        low, high = (0.0, 0.0), (shape[1], shape[0])
        if len(known):
            low, high = known.min(axis=0), known.max(axis=0)
        x, y, w, h = (float(v) for v in (*low, high[0] - low[0], high[1] - low[1]))
    side = max(8.0, max(w, h) * (1 + 2 * _MARGIN))
    return x + w / 2 - side / 2, y + h / 2 - side / 2, side


def _window(rgb: U8, x0: float, y0: float, side: float, size: int) -> U8:
    h, w = rgb.shape[:2]
    left, top = max(0.0, x0), max(0.0, y0)
    right, low = min(float(w), x0 + side), min(float(h), y0 + side)
    out = np.full((size, size, 3), 58, np.uint8)
    if right - left < 1 or low - top < 1:
        return out
    scale = size / side
    a, b = round((left - x0) * scale), round((top - y0) * scale)
    wide = min(size - a, max(1, round((right - left) * scale)))
    high = min(size - b, max(1, round((low - top) * scale)))
    out[b : b + high, a : a + wide] = resample(rgb, (left, top, right, low), (wide, high))
    return out


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
