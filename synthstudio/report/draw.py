"""Labels drawn into a picture: joints, bones, boxes and causes, with a legend; contact sheets.

A marker's shape is the cause: dot visible, ring self, triangle person, square object, cross outside
the frame, diamond unknown; its colour is the side. Bones are dashed where an end is hidden. In the
studio, marks and bones of the right side are also doubled.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from synthstudio.core.arrays import F64, U8
from synthstudio.core.labels import FrameLabels, PersonLabel
from synthstudio.core.people import People
from synthstudio.core.skeleton import COLOURS, Skeleton
from synthstudio.dataset.rows import NO_STATE

Colour = tuple[int, int, int]
Point = Sequence[float] | F64
Rectangle = tuple[float, float, float, float]  # x0 y0 x1 y1

BASE_ROWS = 900
"""Small frames are enlarged to about this many rows, to keep marks legible."""
_MAX_COLUMNS = 16_384
"""Wide frames are enlarged to no more columns."""
SHIFT = 4
"""Bits of the fraction in coordinates for OpenCV."""
INK: Colour = (18, 20, 24)
PAPER: Colour = (24, 26, 31)
TEXT: Colour = (232, 234, 238)
_PEOPLE: tuple[Colour, ...] = (
    (86, 214, 160), (255, 209, 92), (226, 120, 214), (120, 200, 255),
    (255, 128, 110), (178, 222, 90), (170, 150, 255), (250, 170, 200),
)  # fmt: skip
CAUSE_COLOURS: dict[str, Colour] = {
    "visible": (86, 214, 160), "self": (110, 170, 255), "person": (255, 176, 66),
    "object": (255, 96, 140), "truncated": (196, 200, 206),
}  # fmt: skip
_LEGEND = (
    ("visible", "visible"),
    ("self", "hidden by itself"),
    ("person", "by a person"),
    ("object", "by an object"),
    ("truncated", "outside"),
)
_LEGEND_UNITS = 970  # the legend's length in strokes: scaled down for narrow pictures
_FEW = 6  # maximum number of people with a text line each
_FACE = ("nose", "eye", "ear")
_HEAD = 0.075
"""Minimum half side of a head, relative to the person's height."""
FAR_PX = 1e4
"""Joints farther off are not drawn: OpenCV's coordinates would overflow."""
_NO_RANK = 1_000_000
"""People of unknown depth are drawn after those of known depth: pasted ones are in front."""


@dataclass(frozen=True, kw_only=True)
class Pen:
    """Scale of a drawing: `zoom` output pixels a frame pixel, `unit` a stroke's width."""

    zoom: int
    unit: float
    marker: float  # radius of a joint's marker, output pixels
    by_cause: bool = False
    doubled: bool = False  # whether the right side is

    def place(self, px: Point) -> tuple[int, int]:
        """A continuous frame point in OpenCV's fixed-point pixel indices."""
        x, y = (round((float(v) * self.zoom - 0.5) * (1 << SHIFT)) for v in (px[0], px[1]))
        return x, y

    def colour(self, cause: str, side: str) -> Colour:
        return CAUSE_COLOURS.get(cause, TEXT) if self.by_cause else COLOURS[side]

    def width(self, strokes: float) -> int:
        return max(1, round(self.unit * strokes))


TILE_PEN = Pen(zoom=1, unit=1.0, marker=4.5)
"""For a person some 300 pixels high."""


def draw_labels(
    rgb: U8,
    labels: FrameLabels,
    skeleton: Skeleton,
    *,
    rows_px: int = BASE_ROWS,
    legend: bool = True,
    names: bool = True,
    by_cause: bool = False,
) -> U8:
    """Draw labels into a frame (H, W, 3), enlarged by a whole number to about `rows_px`: modal
    boxes solid, amodal ones dashed, joints outside as crosses at the border. `legend`: a strip
    below; `names`: a tag for each person; `by_cause`: markers coloured by cause, not side."""
    zoom = max(1, min(round(rows_px / rgb.shape[0]), _MAX_COLUMNS // rgb.shape[1]))
    size = (rgb.shape[1] * zoom, rgb.shape[0] * zoom)
    canvas = np.array(cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    rows = canvas.shape[0]
    unit, marker = max(0.7, rows / 640), max(2.5, rows / 170)
    pen = Pen(zoom=zoom, unit=unit, marker=marker, by_cause=by_cause)
    farthest_first = sorted(labels.people, key=lambda p: -p.depth_rank)
    for person in farthest_first:
        _draw_boxes(canvas, person, _finer(pen, person, rows))
    for person in farthest_first:
        _draw_skeleton(canvas, person, skeleton, _finer(pen, person, rows))
    if names:
        canvas = _draw_names(canvas, farthest_first, skeleton, pen)
    return np.vstack([canvas, _legend(canvas.shape[1], pen)]) if legend else canvas


def contact_sheet(images: Sequence[U8], *, columns: int = 6, gap_px: int = 8) -> U8:
    """Arrange images (h, w, 3) in a grid, each centred in a cell of the largest size."""
    if not images or columns < 1:
        return np.full((1, 1, 3), PAPER, np.uint8)
    high, wide = max(i.shape[0] for i in images), max(i.shape[1] for i in images)
    columns = min(columns, len(images))
    lines = math.ceil(len(images) / columns)
    size = (lines * (high + gap_px) + gap_px, columns * (wide + gap_px) + gap_px, 3)
    sheet = np.full(size, PAPER, np.uint8)
    for k, image in enumerate(images):
        h, w = image.shape[:2]
        top = gap_px + (k // columns) * (high + gap_px) + (high - h) // 2
        left = gap_px + (k % columns) * (wide + gap_px) + (wide - w) // 2
        sheet[top : top + h, left : left + w] = image
    return sheet


def cut_out(
    rgb: U8, corner: F64, zoom: float, size: tuple[int, int], *, border: Colour = PAPER
) -> U8:
    """A window of a picture (h, w, 3) from `corner` (x, y) on, `zoom` times as large, of `size`
    (width, height); it may exceed the picture."""
    method = cv2.INTER_CUBIC if zoom > 1 else cv2.INTER_LINEAR
    if zoom < 0.7:  # warpAffine does not average: shrink first
        shape = [max(1, round(zoom * n)) for n in rgb.shape[1::-1]]
        small = cv2.resize(rgb, shape, interpolation=cv2.INTER_AREA)
        corner = corner * [small.shape[1] / rgb.shape[1], small.shape[0] / rgb.shape[0]]
        rgb, zoom = np.asarray(small, np.uint8), 1.0
    x, y = -corner * zoom + (zoom - 1) / 2  # warpAffine takes pixel centres at whole numbers
    view = np.array([[zoom, 0, x], [0, zoom, y]])
    return np.asarray(cv2.warpAffine(rgb, view, size, flags=method, borderValue=border), np.uint8)


def captioned(rgb: U8, text: str) -> U8:
    """Add a line of text below a picture (h, w, 3), shrunk until it fits."""
    high = max(18, round(rgb.shape[0] / 16))
    strip = Image.new("RGB", (rgb.shape[1], high), PAPER)
    size = round(0.62 * high)
    font = ImageFont.load_default(size)
    while size > 7 and font.getlength(text) > rgb.shape[1] - 8:
        size -= 1
        font = ImageFont.load_default(size)
    ImageDraw.Draw(strip).text((4, high / 2), text, fill=TEXT, font=font, anchor="lm")
    return np.vstack([rgb, np.asarray(strip, np.uint8)])


def legend_strip(width: int, *, by_cause: bool = False) -> U8:
    return _legend(width, Pen(zoom=1, unit=1.3, marker=6.0, by_cause=by_cause))


def person_colour(instance: int) -> Colour:
    return _PEOPLE[(instance - 1) % len(_PEOPLE)]


def _finer(pen: Pen, person: PersonLabel, rows: int) -> Pen:
    """A finer pen for a person who is small in the picture."""
    share = person.amodal_box_px[3] * pen.zoom / rows
    by = min(1.0, max(0.5, share / 0.4))
    return dataclasses.replace(pen, unit=pen.unit * by, marker=max(2.0, pen.marker * by))


def _draw_boxes(canvas: U8, person: PersonLabel, pen: Pen) -> None:
    colour = person_colour(person.instance)
    for box, dash in ((person.amodal_box_px, True), (person.modal_box_px, False)):
        x, y, w, h = box
        if w <= 0 or h <= 0:
            continue
        corners = [(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y)]
        for ends in itertools.pairwise(corners):
            for strokes, ink in ((2.2, INK), (1.0, colour)):
                _line(canvas, pen, ends, ink, strokes, dash=dash)


def _draw_skeleton(canvas: U8, person: PersonLabel, skeleton: Skeleton, pen: Pen) -> None:
    height, width = (n // pen.zoom for n in canvas.shape[:2])
    draw_bones(canvas, person.joints_px, person.state, skeleton, pen)
    for j in np.argsort(-person.joints_camera_m[:, 2], kind="stable"):
        at = person.joints_px[j]
        if np.isnan(at[0]):
            continue
        inset = 1.3 * pen.marker / pen.zoom
        if person.cause[j] == "truncated":
            at = np.clip(at, inset, [width - inset, height - inset])
        draw_marker(canvas, at, person.cause[j], skeleton.sides[j], pen)


def draw_person(canvas: U8, px: F64, cause: Sequence[str], skeleton: Skeleton) -> None:
    """Draw joints at `px` (J, 2), NaN: unknown, and their bones; `cause` (J,): or "visible"."""
    px = np.where((np.abs(px) < FAR_PX).all(1, keepdims=True), px, np.nan)
    draw_bones(canvas, px, [1 + (each == "visible") for each in cause], skeleton, TILE_PEN)
    for j in np.flatnonzero(~np.isnan(px[:, 0])).tolist():
        draw_marker(canvas, px[j], cause[j], skeleton.sides[j], TILE_PEN)


def draw_bones(
    canvas: U8, px: F64, state: Sequence[int] | U8, skeleton: Skeleton, pen: Pen
) -> None:
    """Draw the bones between joints at `px` (J, 2), NaN: unknown, with `state` (J,) of 0 to 2."""
    known = ~np.isnan(px[:, 0])
    for strokes, over in ((4.0, INK), (2.2, None), (0.8, INK)):
        for a, b in skeleton.edges:
            if not (known[a] and known[b]) or not (state[a] or state[b]):
                continue
            side, hidden = _bone_side(skeleton, a, b), min(state[a], state[b]) < 2
            if strokes < 1 and (hidden or not pen.doubled or side != "right"):
                continue
            width = strokes * (0.6 if hidden else 1.0)
            _line(canvas, pen, (px[a], px[b]), over or COLOURS[side], width, dash=hidden)


def _bone_side(skeleton: Skeleton, a: int, b: int) -> str:
    sides = {skeleton.sides[a], skeleton.sides[b]} - {"middle"}
    return sides.pop() if len(sides) == 1 else "middle"


_SHAPES = {"visible": (0, 0, 1.0, 0.0), "self": (0, 0, 1.0, 0.6), "person": (3, -90, 1.45, 0.55),
           "object": (4, 45, 1.3, 0.55), "unknown": (4, 0, 1.3, 0.55)}  # fmt: skip
"""Cause -> corners (0: a circle), rotation in degrees, size and hole relative to a dot."""


def draw_marker(canvas: U8, at: Point, cause: str, side: str, pen: Pen) -> None:
    """Draw a joint's mark at a continuous point of the frame."""
    x, y = pen.place(at)
    colour, doubled = pen.colour(cause, side), pen.doubled and side == "right"
    r = pen.marker * (0.88 if doubled else 1.0)
    if cause == "truncated":
        arms = [(_polar(x, y, r, k), _polar(x, y, r, k + 180)) for k in (45, 135)]
        for strokes, ink in ((3.6, INK), (1.8, colour), *(((0.6, INK),) if doubled else ())):
            for a, b in arms:
                cv2.line(canvas, a, b, ink, pen.width(strokes), cv2.LINE_AA, SHIFT)
        return
    corners, turn, grow, hole = _SHAPES.get(cause, _SHAPES["unknown"])
    r, rim = r * grow, pen.unit * (1.6 if corners else 1.2)
    rings = [(r, colour), *([(r * hole, INK)] if hole else [])]
    outer = 1.8 * r if doubled else r
    rings = [(outer + rim, INK), *([(outer, colour), (1.5 * r, INK)] if doubled else []), *rings]
    for radius, ink in rings:
        if not corners:
            cv2.circle(canvas, (x, y), round(radius * (1 << SHIFT)), ink, -1, cv2.LINE_AA, SHIFT)
            continue
        ring = [_polar(x, y, radius, turn + k * 360 / corners) for k in range(corners)]
        cv2.fillPoly(canvas, [np.array(ring, np.int32)], ink, cv2.LINE_AA, SHIFT)


def _polar(x: int, y: int, radius: float, degrees: float) -> tuple[int, int]:
    a, reach = math.radians(degrees), radius * (1 << SHIFT)
    return round(x + reach * math.cos(a)), round(y + reach * math.sin(a))


def _line(
    canvas: U8, pen: Pen, ends: tuple[Point, Point], colour: Colour, strokes: float, *, dash: bool
) -> None:
    clipped = _clip(*ends, canvas.shape[1] / pen.zoom, canvas.shape[0] / pen.zoom)
    if clipped is None:
        return
    start, end = clipped
    length = float(np.hypot(*(end - start))) * pen.zoom
    pieces = [(0.0, 1.0)]
    if dash and length > 0:
        count = max(1, round(length / (9 * pen.unit)))
        pieces = [(k / count, (k + 0.55) / count) for k in range(count)]
    for lo, hi in pieces:
        p, q = (pen.place(start + (end - start) * t) for t in (lo, hi))
        cv2.line(canvas, p, q, colour, pen.width(strokes), cv2.LINE_AA, SHIFT)


def _clip(a: Point, b: Point, width: float, height: float) -> tuple[F64, F64] | None:
    """The part of a segment inside the frame grown by 2 px (Liang-Barsky); None: none."""
    p, q = np.asarray(a, np.float64), np.asarray(b, np.float64)
    low, high = 0.0, 1.0
    for axis, size in ((0, width), (1, height)):
        step = q[axis] - p[axis]
        for direction, room in ((-step, p[axis] + 2), (step, size + 2 - p[axis])):
            if direction == 0:
                if room < 0:
                    return None
            elif direction < 0:
                low = max(low, room / direction)
            else:
                high = min(high, room / direction)
    return (p + (q - p) * low, p + (q - p) * high) if low <= high else None


def _draw_names(canvas: U8, people: Sequence[PersonLabel], skeleton: Skeleton, pen: Pen) -> U8:
    """Write each person's number, for few people also pose and occluded fraction."""
    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image)
    font = _font(pen, 13 if len(people) <= _FEW else 10)
    heads = [head for p in people if (head := _head(p, skeleton, pen)) is not None]
    taken: list[Rectangle] = []
    for person in reversed(people):
        text = _tag(person) if len(people) <= _FEW else f"{person.instance}"
        pad, right, bottom = 3 * pen.unit, *draw.textbbox((0, 0), text, font=font)[2:]
        size = (right + 2 * pad, bottom + 1.6 * pad)
        box = _free_place(person, size, taken, heads, canvas.shape, pen)
        taken.append(box)
        draw.rectangle(box, fill=person_colour(person.instance))
        draw.text((box[0] + pad, box[1] + 0.6 * pad), text, fill=INK, font=font)
    return np.asarray(image).copy()


def _tag(person: PersonLabel) -> str:
    parts = [person.pose.replace("_", " ")] if person.pose else []
    if math.isfinite(person.occluded_fraction):
        parts.append(f"{person.occluded_fraction:.0%} hidden")
    return "  ".join(filter(None, [f"{person.instance}", ", ".join(parts)]))


def _head(person: PersonLabel, skeleton: Skeleton, pen: Pen) -> Rectangle | None:
    """Where a person's head is, output pixels; None if it has no located joint."""
    face = [j for j, name in enumerate(skeleton.joints) if name.endswith(_FACE)]
    at = person.joints_px[face]
    at = at[np.isfinite(at).all(axis=1)]
    if not len(at):
        return None
    middle = at.mean(axis=0) * pen.zoom
    spread = float(np.ptp(at, axis=0).max()) * pen.zoom
    half = max(0.75 * spread, _HEAD * person.amodal_box_px[3] * pen.zoom)
    x, y = (float(v) for v in middle)
    return x - half, y - 1.2 * half, x + half, y + 1.2 * half


def _free_place(
    person: PersonLabel,
    size: tuple[float, float],
    taken: Sequence[Rectangle],
    heads: Sequence[Rectangle],
    canvas_shape: tuple[int, ...],
    pen: Pen,
) -> Rectangle:
    """A name's position: above the amodal box, else the next one that covers no head and no other
    name, else the one with least overlap."""
    x, y, w, h = (v * pen.zoom for v in person.amodal_box_px)
    wide, high = size
    tops = (y - high, y + h, y, y - 2 * high, y + h + high, y + h / 2, y - 4 * high)
    places = [(left, top) for top in tops for left in (x, x + w - wide, x + w, x - wide)]
    best, minimum = (0.0, 0.0, wide, high), math.inf
    for left, top in places:
        left = min(max(0.0, left), canvas_shape[1] - wide)
        top = min(max(0.0, top), canvas_shape[0] - high)
        found = (left, top, left + wide, top + high)
        covers = sum(_overlap(found, other) for other in (*taken, *heads))
        if covers < minimum:
            best, minimum = found, covers
        if covers == 0:
            break
    return best


def _overlap(a: Rectangle, b: Rectangle) -> float:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(0.0, wide) * max(0.0, high)


def _legend(width: int, pen: Pen) -> U8:
    unit = min(pen.unit, width / _LEGEND_UNITS)
    pen = dataclasses.replace(pen, zoom=1, unit=unit, marker=pen.marker * unit / pen.unit)
    high = math.ceil(30 * pen.unit)
    strip = np.full((high, width, 3), PAPER, np.uint8)
    font = _font(pen, 13)
    texts: list[tuple[float, str]] = []
    x, gap = 14 * pen.unit, 16 * pen.unit

    def place(text: str, mark: float) -> None:
        nonlocal x
        texts.append((x + mark, text))
        x += mark + font.getlength(text) + gap

    for cause, text in _LEGEND:
        draw_marker(strip, (x, high / 2), cause, "middle", pen)
        place(text, 10 * pen.unit)
    lines = [(f"person's {side}", 16, COLOURS[side], 2.6, False) for side in ("left", "right")]
    boxes = (("visible box", False), ("amodal box", True))
    lines += [(text, 22, _PEOPLE[0], 1.2, dash) for text, dash in boxes]
    for text, long, colour, strokes, dash in lines:
        ends = (x, high / 2), (x + long * pen.unit, high / 2)
        _line(strip, pen, ends, colour, strokes, dash=dash)
        place(text, (long + 6) * pen.unit)
    image = Image.fromarray(strip)
    draw = ImageDraw.Draw(image)
    for left, text in texts:
        draw.text((left, high / 2), text, fill=TEXT, font=font, anchor="lm")
    return np.asarray(image).copy()


def _font(pen: Pen, size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(round(size * pen.unit))


def drawable(people: People) -> FrameLabels:
    """People of any origin as input of `draw_labels`: without amodal boxes or depth ranks, the
    modal box and size are used."""
    found = [_drawable(person) for person in people]
    order = sorted(
        range(len(found)),
        key=lambda k: (found[k].depth_rank, -found[k].modal_area_px, found[k].instance),
    )
    for rank, k in enumerate(order):
        found[k] = dataclasses.replace(found[k], depth_rank=rank)
    return FrameLabels(people=tuple(found), crowd_index=0.0, objects=())


def _drawable(person: PersonLabel) -> PersonLabel:
    known = np.isfinite(person.amodal_box_px).all()
    return dataclasses.replace(
        person,
        joints_px=np.where((person.state == NO_STATE)[:, None], np.nan, person.joints_px),
        amodal_box_px=person.amodal_box_px if known else person.modal_box_px,
        depth_rank=_NO_RANK if person.depth_rank < 0 else person.depth_rank,
    )
