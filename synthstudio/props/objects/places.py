"""Builders of what makes a place: at the walls of rooms, and far behind people in the open.

All have the one role scenery: nobody is hidden by them on purpose. Fronts show towards -y.
"""

from __future__ import annotations

from collections.abc import Iterator

from synthstudio.core.spec import Vec3
from synthstudio.props.objects.kinds import TIMBER, Shape, scenery
from synthstudio.props.objects.shapes import Piece, box


@scenery("white pale_wood steel", (0.8, 0.4, 0.8), (1.8, 0.6, 2.2), TIMBER)
def cupboard(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build a cupboard: body (0), doors side by side (1), their knobs (2)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    plinth, gap, leaf = 0.08 * h, 0.004, min(0.02, 0.2 * y)
    knob = min(0.025, 0.3 * y)
    face = -y + knob
    yield box((-x, face + leaf, plinth), (x, y, h), bevel=0.003)
    yield box((-x + 0.02, face + leaf + 0.03 * y, 0), (x - 0.02, y, plinth), bevel=0.001)
    count = max(2, round(size[0] / 0.55))
    step = size[0] / count
    for number in range(count):
        left, right = -x + number * step + gap, -x + (number + 1) * step - gap
        yield box((left, face, plinth + gap), (right, face + leaf, h - gap), bevel=0.003, slot=1)
        at = right - 0.05 if number % 2 == 0 else left + 0.05
        height = 0.55 * h
        yield box((at - 0.01, -y, height - 0.05), (at + 0.01, face, height + 0.05), slot=2)


@scenery("black picture", (0.3, 0.02, 0.3), (1.3, 0.04, 1.1))
def picture(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a picture that hangs: frame (0), print (1)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    wide = 0.05 * min(size[0], h)
    frame = box((-x, -0.7 * y, 0), (x, y, h), along="x")
    return [
        frame,
        box((-x + wide, -y, wide), (x - wide, -0.4 * y, h - wide), bevel=0.001, slot=1),
    ]


@scenery("white lamp", (0.7, 0.05, 0.8), (2.2, 0.09, 1.6))
def window(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build a window in a wall: frame with its bars and sill (0), panes (1)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    wide, inner = 0.06, -0.1 * y
    yield box((-x, -y, 0), (x, y, wide), along="x")
    yield box((-x + 0.02, inner, h - wide), (x - 0.02, y, h), along="x")
    yield box((-x + 0.02, inner, wide), (-x + 0.02 + wide, y, h - wide))
    yield box((x - 0.02 - wide, inner, wide), (x - 0.02, y, h - wide))
    yield box((-x + wide, 0.3 * y, wide), (x - wide, 0.9 * y, h - wide), bevel=0.001, slot=1)
    count = max(1, round(size[0] / 0.8))
    for number in range(1, count):
        at = -x + number * size[0] / count
        yield box((at - wide / 2, inner, wide), (at + wide / 2, y, h - wide))


@scenery("white", (2.0, 0.012, 0.06), (12.0, 0.02, 0.14))
def skirting(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a skirting board along a wall."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    return [box((-x, -y, 0), (x, y, h), along="x")]


@scenery("white lamp", (0.08, 0.012, 0.08), (0.16, 0.016, 0.1))
def switch(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a light switch: plate (0), rocker (1)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    plate = box((-x, -0.4 * y, 0), (x, y, h), bevel=0.001)
    rocker = ((-0.6 * x, -y, 0.2 * h), (0.6 * x, 0.0, 0.8 * h))
    return [plate, box(*rocker, bevel=0.001, slot=1)]


@scenery("brick glass white", (7.0, 5.0, 5.0), (16.0, 8.0, 12.0), "plain bricks concrete")
def building(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build a house front: body (0), panes in rows and a door (1), their frames (2)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    out = 0.015 * size[1]
    yield box((-x, -y + out, 0), (x, y, h), along="x")
    rows, columns = max(1, round(h / 3.0)), max(2, round(size[0] / 2.4))
    tall, step = h / rows, size[0] / columns
    for row in range(rows):
        for column in range(columns):
            at = -x + (column + 0.5) * step
            wide, low, high = 0.25 * step, (row + 0.32) * tall, (row + 0.8) * tall
            if row == 0 and column == columns // 2:
                low = 0.01
            rim, left, right = 0.05, at - wide, at + wide
            frame = ((left - rim, -y + 0.3 * out, low), (right + rim, -y + 1.1 * out, high))
            pane = ((left, -y, low + rim), (right, -y + 0.5 * out, high - rim))
            yield box(*frame, bevel=0.01, slot=2)
            yield box(*pane, bevel=0.005, slot=1)
