"""Builders of what stands on the floors of rooms; all are scenery, and show fronts towards -y.

Their designs (how many doors, which goods on a shelf) follow from the kind and the size alone.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from synthstudio.core.spec import Vec2
from synthstudio.props.objects.furniture import sofa, table
from synthstudio.props.objects.kinds import (
    CLOTH,
    TIMBER,
    Shape,
    belongs,
    design,
    elsewhere,
    kind,
    scenery,
)
from synthstudio.props.objects.shapes import (
    CORNERS,
    Piece,
    about,
    box,
    cylinder,
    moved,
    revolved,
    tube,
)

_HANDLE_M, _FRONT_M = 0.03, 0.02
"""How far handles and doors stand out."""


def fronts(
    low: Vec2, high: Vec2, y: float, *, columns: int = 1, rows: int = 1, slot: int = 1
) -> list[Piece]:
    """Doors or drawers (`slot`) between points of (x, z), handles (next slot) that reach to `y`."""
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


def case(
    x: float, y: float, h: float, *, columns: int, rows: int, plinth: float = 0.06
) -> list[Piece]:
    """Return a body (0) on a plinth with doors or drawers (1) and their handles (2)."""
    face = -y + _HANDLE_M + _FRONT_M
    return [
        box((-x, face, plinth), (x, y, h), bevel=0.003),
        box((-x + 0.02, face + 0.04, 0), (x - 0.02, y, plinth), bevel=0.001),
        *fronts((-x, plinth), (x, h), -y, columns=columns, rows=rows),
    ]


@scenery("wood white steel", (1.0, 0.5, 1.8), (2.2, 0.65, 2.3), TIMBER)
def wardrobe(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a wardrobe: body (0), doors (1), handles (2)."""
    return case(x, y, h, columns=max(2, round(2 * x / 0.5)), rows=1)


@belongs("office classroom")
@kind("wood white steel", (1.1, 0.6, 0.7), (1.8, 0.8, 0.77), TIMBER)
def desk(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a desk: top (0), sides and drawers (1), handles (2). One sits at -y."""
    side = 1 if design("desk", x, y, h).random() < 0.5 else -1
    under, wide = h - 0.03, 0.64 * x
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
def armchair(x: float, y: float, h: float, shape: Shape) -> Iterable[Piece]:
    """Build an armchair: body and arms (0), cushions (1), feet (2). It faces -y."""
    return sofa(x, y, h, shape)


@scenery("wood wood", (0.7, 0.45, 0.36), (1.2, 0.65, 0.46), TIMBER)
def coffee_table(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a low table with a shelf: top (0), frame and shelf (1)."""
    shelf = box((-x + 0.05, -y + 0.05, 0.25 * h), (x - 0.05, y - 0.05, 0.3 * h), along="x", slot=1)
    return [*table(x, y, h, shape), shelf]


@scenery("wood white steel", (0.36, 0.36, 0.45), (0.5, 0.5, 0.62), TIMBER)
def side_table(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a chest of two drawers or a round table: body and top (0), drawers (1), steel (2)."""
    if design("side_table", x, y, h).random() < 0.6:
        return case(x, y, h, columns=1, rows=2)
    r = min(x, y)
    foot, rod = revolved([(0, 0), (0.7 * r, 0), (0.7 * r, 0.015), (0, 0.02)], slot=2), 0.02
    return [foot, cylinder(rod, 0.01, h - 0.02, slot=2), cylinder(r, h - 0.03, h, segments=32)]


@scenery("wood white black glass", (1.2, 0.36, 0.95), (1.9, 0.45, 1.3), TIMBER)
def tv_bench(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a television on a low cupboard: body (0), doors (1), case, handles (2), glass (3)."""
    tall, wide = min(x, 0.58 * h), 0.45 * min(2 * x, 1.16 * h / 0.6)
    top = h - tall - 0.05
    return [
        *case(x, y, top, columns=max(2, round(2 * x / 0.6)), rows=1),
        box((-0.4 * wide, -0.3 * y, top), (0.4 * wide, 0.3 * y, top + 0.012), slot=2),
        box((-0.06, -0.02, top), (0.06, 0.02, top + 0.1), slot=2),
        box((-wide, -0.025, h - tall), (wide, 0.025, h), bevel=0.006, slot=2),
        box((-wide + 0.012, -0.028, h - tall + 0.02), (wide - 0.012, 0, h - 0.012), slot=3),
    ]


@scenery("black white black", (1.4, 0.55, 1.08), (1.52, 0.66, 1.3))
def piano(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build an upright piano: case (0), white keys (1), black keys (2). One plays it from -y."""
    bed, front, keys = 0.52 * h, -y + 0.9 * y, 0.02 * h
    yield box((-x, front, 0), (x, y, h - 0.03), along="x")
    yield box((-x, front - 0.02, h - 0.03), (x, y, h), along="x")
    yield box((-x, -y, bed - 0.08), (x, front, bed), along="x")
    yield box((-x + 0.06, front - 0.03, bed), (x - 0.06, front, bed + 0.14), along="x")
    yield box((-x + 0.06, -y + 0.02, bed), (x - 0.06, front - 0.03, bed + keys), bevel=0, slot=1)
    for s in (-1, 1):
        yield box((s * x, -y, bed), (s * (x - 0.06), front, bed + 0.09))
        yield box((s * x, -y + 0.02, 0), (s * (x - 0.06), -y + 0.09, bed - 0.08))
    step = (2 * x - 0.12) / 52
    for number in range(51):
        if number % 7 not in (1, 4):
            at = -x + 0.06 + (number + 1) * step
            near = (at - 0.3 * step, -0.45 * y, bed)
            far = (at + 0.3 * step, front - 0.03, bed + 1.6 * keys)
            yield box(near, far, bevel=0, slot=2)


@scenery("stone black wood", (1.1, 0.3, 1.0), (1.6, 0.45, 1.25), "plain concrete bricks")
def fireplace(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a fireplace: mantel and piers (0), its black inside (1), logs (2)."""
    pier, face = 0.36 * x, -0.6 * y
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
def coat_rack(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a coat stand: stand and hooks (0), coats that hang from it (1, 2)."""
    rng, r = design("coat_rack", x, y, h), min(x, y)
    yield revolved([(0, 0), (0.75 * r, 0), (0.75 * r, 0.02), (0.2 * r, 0.04), (0, 0.04)])
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
def laundry_basket(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a round basket (0) with washing heaped in it (1)."""
    r = min(x, y)
    rim = 0.85 * h
    basket = [(0, 0), (0.75 * r, 0), (0.95 * r, rim - 0.03), (r, rim), (0.9 * r, rim), (0, rim)]
    heap = [(0, 0.7 * h), (0.88 * r, 0.8 * h), (0.8 * r, 0.9 * h), (0.4 * r, 0.98 * h), (0, h)]
    return [revolved(basket), revolved(heap, segments=9, slot=1)]


@scenery("black lamp", (0.34, 0.34, 1.4), (0.5, 0.5, 1.75))
def floor_lamp(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a lamp on a tall foot: foot (0), shade (1)."""
    r = min(x, y)
    tall = 0.18 * h if design("floor_lamp", x, y, h).random() < 0.6 else 0.3 * r + 0.12
    foot = revolved([(0, 0), (0.6 * r, 0), (0.6 * r, 0.015), (0.1 * r, 0.03), (0, 0.03)])
    return [foot, cylinder(0.012, 0.02, h - 0.3 * tall), lampshade(r, h - tall, h)]


def lampshade(r: float, low: float, high: float) -> Piece:
    """Return a shade (1) that is narrower at its top."""
    rim = 0.1 * (high - low)
    return revolved([(0, low + rim), (0.95 * r, low + rim), (r, low), (0.6 * r, high), (0, high)],
                  segments=28, slot=1)  # fmt: skip


@scenery("white pale_wood steel", (0.8, 0.4, 0.8), (1.8, 0.6, 2.2), TIMBER)
def cupboard(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a cupboard: body (0), doors side by side (1), their knobs (2)."""
    plinth, gap, leaf = 0.08 * h, 0.004, min(0.02, 0.2 * y)
    face = -y + min(0.025, 0.3 * y)
    yield box((-x, face + leaf, plinth), (x, y, h), bevel=0.003)
    yield box((-x + 0.02, face + leaf + 0.03 * y, 0), (x - 0.02, y, plinth), bevel=0.001)
    count = max(2, round(2 * x / 0.55))
    step = 2 * x / count
    for number in range(count):
        left, right = -x + number * step + gap, -x + (number + 1) * step - gap
        yield box((left, face, plinth + gap), (right, face + leaf, h - gap), bevel=0.003, slot=1)
        at = right - 0.05 if number % 2 == 0 else left + 0.05
        height = 0.55 * h
        yield box((at - 0.01, -y, height - 0.05), (at + 0.01, face, height + 0.05), slot=2)


# Kitchens and laundry rooms -------------------------------------------------------------------

TAP_M = 0.24
"""A tap stands so high over its worktop."""


@scenery("white white steel", (0.55, 0.58, 1.4), (0.75, 0.7, 2.0))
def fridge(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a fridge over a freezer: body (0), doors (1), handles (2)."""
    middle = 0.4 * h
    return [
        box((-x, -y + 0.055, 0.02), (x, y, h), bevel=0.01),
        box((-x + 0.03, -y + 0.08, 0), (x - 0.03, y - 0.03, 0.02), slot=2),
        *fronts((-x, 0.06), (x, middle), -y),
        *fronts((-x, middle), (x, h), -y),
    ]


@scenery("white glass steel", (0.5, 0.58, 0.85), (0.62, 0.64, 0.92))
def stove(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a stove with its oven: body (0), hob and window (1), handle, knobs and rings (2)."""
    face = -y + 0.03
    yield box((-x, face + 0.01, 0.05), (x, y, h - 0.012), bevel=0.004)
    yield box((-x + 0.02, face + 0.05, 0), (x - 0.02, y, 0.05), slot=1)
    yield box((-x + 0.01, face, 0.12), (x - 0.01, face + 0.02, 0.8 * h), bevel=0.004)
    yield box((-0.72 * x, face - 0.003, 0.25 * h), (0.72 * x, face + 0.01, 0.66 * h), slot=1)
    yield box((-0.8 * x, -y, 0.72 * h), (0.8 * x, face, 0.74 * h), slot=2)
    yield box((-x, -y + 0.02, h - 0.012), (x, y, h - 0.004), bevel=0.002, slot=1)
    for k in range(5):
        at = (k - 2) * 0.32 * x
        knob = cylinder(0.018, 0, 0.03, segments=10, slot=2)
        yield moved(knob, (at, face + 0.01, 0.89 * h), turn=about("x", math.pi / 2))
    for sx, sy in CORNERS:
        ring = cylinder(0.3 * x, h - 0.006, h, segments=18, slot=2)
        yield moved(ring, (sx * 0.48 * x, sy * 0.45 * y, 0))


@scenery("white wood steel", (0.8, 0.58, 1.09), (1.4, 0.65, 1.16), "plain wood planks")
def sink_unit(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a sink in a low cupboard: body and doors (0), worktop (1), basin, tap, plinth (2)."""
    top = h - min(TAP_M, 0.3 * h)
    under, basin = top - 0.04, (0.4 * x, 0.55 * y)
    yield box((-x + 0.01, -y + 0.06, 0.09), (x - 0.01, y, under), bevel=0.002)
    yield box((-x + 0.03, -y + 0.1, 0), (x - 0.03, y, 0.09), slot=2)
    yield box((-x, -y, under), (x, -basin[1], top), along="x", slot=1)
    yield box((-x, basin[1], under), (x, y, top), along="x", slot=1)
    yield box((-x, -basin[1], under), (-basin[0], basin[1], top), along="x", slot=1)
    yield box((basin[0], -basin[1], under), (x, basin[1], top), along="x", slot=1)
    yield box((-basin[0], -basin[1], under), (basin[0], basin[1], under + 0.004), slot=2)
    back, up = 0.75 * y, h - 0.02
    arch = [(0.0, back, top), (0.0, back, up - 0.03), (0.0, back - 0.04, up), (0.0, 0.25 * y, up),
            (0.0, 0.2 * y, up - 0.04)]  # fmt: skip
    doors = fronts((-x, 0.09), (x, under), -y + 0.01, columns=max(2, round(2 * x / 0.5)), slot=0)
    yield from (replace(p, slot=2) if p.slot == 1 else p for p in doors)  # handles in steel
    yield tube(arch, 0.014, segments=8, slot=2)
    yield box((-0.03, back - 0.015, top), (0.03, back + 0.015, h - 0.75 * (h - top)), slot=2)


@scenery("white steel glass", (0.58, 0.55, 0.82), (0.62, 0.62, 0.88))
def washing_machine(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a washing machine: body (0), the door's ring and a drawer (1), its glass (2)."""
    face, r = -y + 0.04, 0.33 * min(2 * x, h)
    turn, middle = about("x", math.pi / 2), 0.45 * h
    yield box((-x, face, 0.015), (x, y, h), bevel=0.012)
    yield box((-x + 0.03, face + 0.03, 0), (x - 0.03, y - 0.03, 0.015), slot=2)
    yield box((-x + 0.01, face - 0.008, 0.84 * h), (-0.2 * x, face + 0.01, 0.96 * h))
    yield box((0.45 * x, face - 0.004, 0.86 * h), (x - 0.03, face + 0.01, 0.94 * h), slot=2)
    yield moved(cylinder(r, 0, 0.03, segments=28, slot=1), (0, face, middle), turn=turn)
    yield moved(cylinder(0.75 * r, 0, 0.04, segments=24, slot=2), (0, face, middle), turn=turn)
    yield moved(cylinder(0.03, 0, 0.03, slot=1), (0.2 * x, face, 0.9 * h), turn=turn)


@scenery("white white steel", (0.6, 0.3, 0.5), (1.6, 0.36, 0.75), TIMBER)
def wall_cupboard(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a cupboard that hangs: body (0), doors (1), handles (2)."""
    doors = fronts((-x, 0), (x, h), -y, columns=max(1, round(2 * x / 0.45)))
    return [box((-x, -y + 0.05, 0), (x, y, h), bevel=0.003), *doors]


# Shops, offices, schools and sports halls -----------------------------------------------------


@belongs("shop changing_room")
@kind("steel cloth_blue red tan", (1.0, 0.46, 1.4), (1.7, 0.55, 1.75))
def clothes_rail(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a rail on feet (0) from which clothes hang side by side (1, 2, 3)."""
    rng = design("clothes_rail", x, y, h)
    bar = 0.018
    yield tube([(-x, 0, h - bar), (x, 0, h - bar)], bar, segments=8)
    for s in (-1, 1):
        at = s * (x - 0.05)
        yield tube([(at, 0, 0.02), (at, 0, h - bar)], bar, segments=8)
        yield box((at - 0.02, -y, 0), (at + 0.02, y, 0.03))
    at, last = -x + 0.12, x - 0.15
    slot = 1
    while at < last:
        thick, long = 0.025 + 0.03 * float(rng.random()), (0.35 + 0.4 * float(rng.random())) * h
        wide = (0.7 + 0.25 * float(rng.random())) * y
        slot = slot if rng.random() < 0.5 else 1 + int(3 * rng.random())
        top, ways = h - 0.06, (0.0, 0.07, 0.13, 1.0)
        radii = [0.15 * wide, 0.75 * wide, 0.95 * wide, wide]
        path = [(0.0, 0.0, top - k * long) for k in ways]
        coat = tube(path, radii, segments=10, slot=slot)
        yield moved(_flat(coat, thick / (2 * wide)), (at + thick / 2, 0, 0))
        at += thick + 0.01 + (0.08 * float(rng.random()) if rng.random() < 0.3 else 0.0)


def _flat(piece: Piece, share: float) -> Piece:
    normals = piece.normals / (share, 1.0, 1.0)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    around = piece.coords * (0.65, 1.0, 1.0)  # it is so much less far about it
    vertices = piece.vertices * (share, 1.0, 1.0)
    return replace(piece, vertices=vertices, normals=normals, coords=around)


@belongs("shop store")
@kind("steel red yellow cloth_blue", (1.0, 0.4, 1.4), (1.9, 0.55, 2.1))
def shop_shelf(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a shelf of a shop: boards and back (0), goods in rows of their kind (1, 2, 3)."""
    rng = design("shop_shelf", x, y, h)
    yield box((-x, y - 0.02, 0), (x, y, h), bevel=0.002)
    yield box((-x, -y, 0), (x, y - 0.02, 0.1), bevel=0.002)
    count = max(2, round((h - 0.2) / 0.36))
    room = (h - 0.1) / count
    for level in range(count):
        z = 0.1 + level * room
        if level:
            yield box((-x, -y, z - 0.025), (x, y - 0.02, z), bevel=0.002, along="x")
        at = -x + 0.02
        while at < x - 0.1:
            wide, tall = 0.06 + 0.12 * float(rng.random()), (0.4 + 0.4 * float(rng.random())) * room
            slot = 1 + int(3 * rng.random())
            for _ in range(1 + int(4 * rng.random())):
                if at + wide > x - 0.02 or rng.random() < 0.06:
                    break
                near, far = (at, -0.9 * y, z), (at + wide - 0.006, 0.8 * y, z + tall)
                yield box(near, far, bevel=0, slot=slot)
                at += wide
            at += 0.03


@elsewhere("steel pale_wood carton yellow", (1.4, 0.7, 1.9), (2.6, 1.0, 2.5), TIMBER)
def pallet_rack(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build an open rack: uprights and braces (0), decks (1), boxes (2) and bins (3) with gaps."""
    rng = design("pallet_rack", x, y, h)
    for s, t in CORNERS:
        yield box((s * x, t * y, 0), (s * (x - 0.06), t * (y - 0.06), h), slot=0)
    count = 3 if h < 2.2 else 4
    for level in range(count):
        z = 0.12 + level * (h - 0.2) / count
        for s in (-1, 1):
            yield box((s * x, -y + 0.06, z - 0.06), (s * (x - 0.03), y - 0.06, z - 0.02), slot=0)
            yield box((-x, s * y, z - 0.1), (x, s * (y - 0.04), z), slot=0)
        yield box((-x, -y + 0.04, z - 0.02), (x, y - 0.04, z), bevel=0, along="x", slot=1)
        at = -x + 0.08
        while (wide := 0.25 + 0.3 * float(rng.random())) < x - 0.08 - at:
            deep, tall = (0.6 + 0.35 * float(rng.random())) * y, 0.2 + 0.2 * float(rng.random())
            if rng.random() < 0.75:
                slot = 2 if rng.random() < 0.7 else 3
                yield box((at, -deep, z), (at + wide, deep, z + tall), slot=slot)
            at += wide + 0.05


@scenery("steel paint steel", (0.9, 0.45, 1.7), (1.8, 0.55, 2.0))
def lockers(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build lockers side by side: body (0), doors (1), handles (2)."""
    rows = 1 + int(2 * design("lockers", x, y, h).random())
    return case(x, y, h, columns=max(2, round(2 * x / 0.3)), rows=rows)


@scenery("steel steel black", (0.4, 0.5, 0.7), (0.48, 0.62, 1.35))
def filing_cabinet(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a filing cabinet: body (0), drawers (1), handles (2)."""
    return case(x, y, h, columns=1, rows=max(2, round(h / 0.33)), plinth=0.03)


@belongs("sports_hall changing_room")
@kind("wood wood", (2.0, 0.25, 0.3), (3.4, 0.33, 0.4), TIMBER)
def gym_bench(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a long low bench: board (0), feet and beam (1)."""
    yield box((-x, -y, h - 0.04), (x, y, h), bevel=0.01, along="x")
    yield box((-x + 0.1, -0.3 * y, 0.3 * h), (x - 0.1, 0.3 * y, 0.55 * h), along="x", slot=1)
    for at in (-0.8 * x, 0.0, 0.8 * x):
        yield box((at - 0.03, -y * 0.9, 0), (at + 0.03, 0.9 * y, h - 0.04), slot=1)


@scenery("wood wood", (0.95, 0.14, 2.2), (2.8, 0.18, 2.6))
def wall_bars(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build wall bars: posts (0), bars (1)."""
    posted = np.linspace(-x, x - 0.04, max(1, round(2 * x / 0.95)) + 1)
    yield from (box((a, -y, 0), (a + 0.04, y, h), along="z") for a in posted)
    for z in np.arange(0.2, h - 0.06, 0.15):
        bar = [(-x + 0.02, -0.4 * y, float(z)), (x - 0.02, -0.4 * y, float(z))]
        yield tube(bar, min(0.017, 0.3 * y), segments=6, slot=1)


@belongs("sports_hall")
@kind("wood leather", (1.3, 0.55, 0.9), (1.6, 0.75, 1.2))
def vaulting_box(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a vaulting box: tiers that narrow upwards (0), padded top (1)."""
    tiers, top = 4, 0.84 * h
    for k in range(tiers):
        a, b = 1 - 0.045 * k, 1 - 0.07 * k
        low, high = k * top / tiers, (k + 1) * top / tiers - 0.008
        yield box((-a * x, -b * y, low), (a * x, b * y, high), bevel=0.004, along="x")
    yield box((-0.8 * x, -0.7 * y, 0.1), (0.8 * x, 0.7 * y, top), slot=1)
    yield box((-0.85 * x, -0.76 * y, top), (0.85 * x, 0.76 * y, h), bevel=0.06, slot=1)
