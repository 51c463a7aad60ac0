"""Builders of what stands on the floors of rooms; all are scenery, and show fronts towards -y.

Their designs (how many doors, which goods on a shelf) follow from the kind and the size alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from synthstudio.core.rng import Generator, stream
from synthstudio.core.spec import Vec2, Vec3
from synthstudio.props.objects.furniture import sofa, table
from synthstudio.props.objects.kinds import CLOTH, TIMBER, Shape, belongs, kind, scenery
from synthstudio.props.objects.shapes import Piece, box, cylinder, revolved, tube

_HANDLE_M, _FRONT_M = 0.03, 0.02
"""How far handles and doors stand out."""


def design(kind: str, size: Vec3) -> Generator:
    """Return the random numbers of an object's design."""
    return stream(0, kind, *(round(side * 1000) for side in size))


def half(size: Vec3) -> Vec3:
    """Return half of the width, half of the depth, and the height."""
    return size[0] / 2, size[1] / 2, size[2]


def fronts(
    low: Vec2, high: Vec2, y: float, *, columns: int = 1, rows: int = 1, slot: int = 1
) -> list[Piece]:
    """Return doors or drawers between two points of (x, z); their handles reach to `y`.

    Doors are `slot`, handles the slot after it.
    """
    wide, tall = (high[0] - low[0]) / columns, (high[1] - low[1]) / rows
    face, gap = y + _HANDLE_M, 0.003
    out = []
    for column, row in np.ndindex(columns, rows):
        a, b = low[0] + column * wide + gap, low[0] + (column + 1) * wide - gap
        c, d = low[1] + row * tall + gap, low[1] + (row + 1) * tall - gap
        out.append(box((a, face, c), (b, face + _FRONT_M, d), bevel=0.003, slot=slot))
        long, thick = min(0.16, 0.4 * max(wide, tall)) / 2, min(0.007, 0.1 * wide, 0.1 * tall)
        x, z = (a + b) / 2, (c + d) / 2
        if tall > wide:
            x = a + 0.1 * wide if column % 2 else b - 0.1 * wide
            grip = ((x - thick, y, z - long), (x + thick, face + 0.002, z + long))
        else:
            z = d - min(0.06, 0.3 * tall)
            long = min(long, 0.4 * wide)
            grip = ((x - long, y, z - thick), (x + long, face + 0.002, z + thick))
        out.append(box(*grip, bevel=0.002, slot=slot + 1))
    return out


def case(size: Vec3, *, columns: int, rows: int, plinth: float = 0.06) -> list[Piece]:
    """Return a body (0) on a plinth with doors or drawers (1) and their handles (2)."""
    x, y, h = half(size)
    face = -y + _HANDLE_M + _FRONT_M
    return [
        box((-x, face, plinth), (x, y, h), bevel=0.003),
        box((-x + 0.02, face + 0.04, 0), (x - 0.02, y, plinth), bevel=0.001),
        *fronts((-x, plinth), (x, h), -y, columns=columns, rows=rows),
    ]


@scenery("wood white steel", (1.0, 0.5, 1.8), (2.2, 0.65, 2.3), TIMBER)
def wardrobe(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a wardrobe: body (0), doors (1), handles (2)."""
    return case(size, columns=max(2, round(size[0] / 0.5)), rows=1)


@belongs("office classroom")
@kind("wood white steel", (1.1, 0.6, 0.7), (1.8, 0.8, 0.77), TIMBER)
def desk(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a desk: top (0), sides and drawers (1), handles (2). One sits at -y."""
    x, y, h = half(size)
    side = 1 if design("desk", size).random() < 0.5 else -1
    under, wide = h - 0.03, 0.32 * size[0]
    a, b = sorted((side * x * 0.98, side * (x * 0.98 - wide)))
    panel = ((-side * x * 0.98, -y + 0.03, 0), (-side * (x * 0.98 - 0.03), y - 0.02, under))
    return [
        box((-x, -y, under), (x, y, h), along="x"),
        box((a, -y + 0.07, 0.05), (b, y - 0.02, under), slot=1),
        box((a + 0.02, -y + 0.1, 0), (b - 0.02, y - 0.04, 0.05), slot=1),
        *fronts((a, 0.05), (b, under), -y + 0.02, rows=3),
        box(*panel, slot=1),
        box((-x * 0.95, y - 0.05, 0.5 * h), (x * 0.95, y - 0.03, under), along="x", slot=1),
    ]


@belongs("living_room")
@kind(
    "cloth_blue cloth_blue black", (0.7, 0.75, 0.78), (0.95, 0.9, 1.0), "plain stripes plaid knit"
)
def armchair(size: Vec3, shape: Shape) -> Iterable[Piece]:
    """Build an armchair: body and arms (0), cushions (1), feet (2). It faces -y."""
    return sofa(size, shape)


@scenery("wood wood", (0.7, 0.45, 0.36), (1.2, 0.65, 0.46), TIMBER)
def coffee_table(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a low table with a shelf: top (0), frame and shelf (1)."""
    x, y, h = half(size)
    shelf = box((-x + 0.05, -y + 0.05, 0.25 * h), (x - 0.05, y - 0.05, 0.3 * h), along="x", slot=1)
    return [*table(size, shape), shelf]


@scenery("wood white steel", (0.36, 0.36, 0.45), (0.5, 0.5, 0.62), TIMBER)
def side_table(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a chest of two drawers or a round table: body and top (0), drawers (1), steel (2)."""
    if design("side_table", size).random() < 0.6:
        return case(size, columns=1, rows=2)
    r, h = min(size[:2]) / 2, size[2]
    foot, rod = revolved([(0, 0), (0.7 * r, 0), (0.7 * r, 0.015), (0, 0.02)], slot=2), 0.02
    return [foot, cylinder(rod, 0.01, h - 0.02, slot=2), cylinder(r, h - 0.03, h, segments=32)]


@scenery("wood white black glass", (1.2, 0.36, 0.95), (1.9, 0.45, 1.3), TIMBER)
def tv_bench(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a television on a low cupboard: body (0), doors (1), case, handles (2), glass (3)."""
    y, h = size[1] / 2, size[2]
    tall, wide = min(0.5 * size[0], 0.58 * h), 0.45 * min(size[0], 1.16 * h / 0.6)
    top = h - tall - 0.05
    return [
        *case((size[0], size[1], top), columns=max(2, round(size[0] / 0.6)), rows=1),
        box((-0.4 * wide, -0.3 * y, top), (0.4 * wide, 0.3 * y, top + 0.012), slot=2),
        box((-0.06, -0.02, top), (0.06, 0.02, top + 0.1), slot=2),
        box((-wide, -0.025, h - tall), (wide, 0.025, h), bevel=0.006, slot=2),
        box((-wide + 0.012, -0.028, h - tall + 0.02), (wide - 0.012, 0, h - 0.012), slot=3),
    ]


@scenery("black white black", (1.4, 0.55, 1.08), (1.52, 0.66, 1.3))
def piano(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build an upright piano: case (0), white keys (1), black keys (2). One plays it from -y."""
    x, y, h = half(size)
    bed, front, keys = 0.52 * h, -y + 0.45 * size[1], 0.02 * h
    yield box((-x, front, 0), (x, y, h - 0.03), along="x")
    yield box((-x, front - 0.02, h - 0.03), (x, y, h), along="x")
    yield box((-x, -y, bed - 0.08), (x, front, bed), along="x")
    yield box((-x + 0.06, front - 0.03, bed), (x - 0.06, front, bed + 0.14), along="x")
    yield box((-x + 0.06, -y + 0.02, bed), (x - 0.06, front - 0.03, bed + keys), bevel=0, slot=1)
    for s in (-1, 1):
        yield box((s * x, -y, bed), (s * (x - 0.06), front, bed + 0.09))
        yield box((s * x, -y + 0.02, 0), (s * (x - 0.06), -y + 0.09, bed - 0.08))
    step = (size[0] - 0.12) / 52
    for number in range(51):
        if number % 7 not in (1, 4):
            at = -x + 0.06 + (number + 1) * step
            near = (at - 0.3 * step, -0.45 * y, bed)
            far = (at + 0.3 * step, front - 0.03, bed + 1.6 * keys)
            yield box(near, far, bevel=0, slot=2)


@scenery("stone black wood", (1.1, 0.3, 1.0), (1.6, 0.45, 1.25), "plain concrete bricks")
def fireplace(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build a fireplace: mantel and piers (0), its black inside (1), logs (2)."""
    x, y, h = half(size)
    pier, face = 0.18 * size[0], -0.6 * y
    yield box((-x, -y, h - 0.06), (x, y, h), along="x")
    yield box((-0.94 * x, face, 0.72 * h), (0.94 * x, y, h - 0.06), along="x")
    yield box((-x, -y, 0), (x, face, 0.05 * h), along="x")
    yield box((-0.9 * x, 0.7 * y, 0), (0.9 * x, y, 0.72 * h), slot=1)
    yield box((-0.9 * x, face, 0), (0.9 * x, y, 0.04 * h), slot=1)
    for s in (-1, 1):
        yield box((s * 0.94 * x, face, 0), (s * (0.94 * x - pier), y, 0.72 * h))
    thick = min(0.045, 0.14 * y)
    for number in range(3):
        at, up = (number - 1) * 2.1 * thick, 0.04 * h + thick
        if number == 1:
            up += 1.7 * thick
        yield tube([(-0.3 * x, at, up), (0.3 * x, at, up)], thick, slot=2)


@scenery("wood cloth_blue black", (0.46, 0.46, 1.6), (0.6, 0.6, 1.85))
def coat_rack(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build a coat stand: stand and hooks (0), coats that hang from it (1, 2)."""
    rng, r, h = design("coat_rack", size), min(size[:2]) / 2, size[2]
    foot = revolved([(0, 0), (0.75 * r, 0), (0.75 * r, 0.02), (0.2 * r, 0.04), (0, 0.04)])
    yield foot
    yield cylinder(0.02, 0.02, h)
    coats = 1 + int(rng.random() * 3)
    for number in range(4):
        turn = number * math.pi / 2 + 0.4
        c, s = math.cos(turn) * r, math.sin(turn) * r
        hook = [(0.0, 0.0, h - 0.16), (0.6 * c, 0.6 * s, h - 0.14), (c, s, h - 0.06)]
        yield tube(hook, 0.01, segments=6)
        if number < coats:
            long = (0.4 + 0.15 * float(rng.random())) * h
            path = [(0.55 * c, 0.55 * s, h - 0.12 - k * long) for k in (0.0, 0.08, 0.2, 1.0)]
            radii = [0.08 * r, 0.3 * r, 0.4 * r, 0.45 * r]
            yield tube(path, radii, segments=12, slot=1 + number % 2)


@belongs("laundry_room bedroom")
@kind("tan cloth_blue", (0.38, 0.38, 0.4), (0.5, 0.5, 0.62), CLOTH)
def laundry_basket(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a round basket (0) with washing heaped in it (1)."""
    r, h = min(size[:2]) / 2, size[2]
    rim = 0.85 * h
    basket = [(0, 0), (0.75 * r, 0), (0.95 * r, rim - 0.03), (r, rim), (0.9 * r, rim), (0, rim)]
    heap = [(0, 0.7 * h), (0.88 * r, 0.8 * h), (0.8 * r, 0.9 * h), (0.4 * r, 0.98 * h), (0, h)]
    return [revolved(basket), revolved(heap, segments=9, slot=1)]


@scenery("black lamp", (0.34, 0.34, 1.4), (0.5, 0.5, 1.75))
def floor_lamp(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a lamp on a tall foot: foot (0), shade (1)."""
    r, h = min(size[:2]) / 2, size[2]
    tall = 0.18 * h if design("floor_lamp", size).random() < 0.6 else 0.3 * r + 0.12
    foot = revolved([(0, 0), (0.6 * r, 0), (0.6 * r, 0.015), (0.1 * r, 0.03), (0, 0.03)])
    return [foot, cylinder(0.012, 0.02, h - 0.3 * tall), lampshade(r, h - tall, h)]


def lampshade(r: float, low: float, high: float) -> Piece:
    """Return a shade (1) that is narrower at its top."""
    rim = 0.1 * (high - low)
    return revolved([(0, low + rim), (0.95 * r, low + rim), (r, low), (0.6 * r, high), (0, high)],
                  segments=28, slot=1)  # fmt: skip
