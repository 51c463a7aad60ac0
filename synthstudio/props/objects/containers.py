"""Builders of what holds objects: boxes, barrels, bins, cases, counters and bookcases."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from synthstudio.core.spec import Vec3
from synthstudio.props.objects.furniture import planks
from synthstudio.props.objects.kinds import SEAT, Shape, belongs, held, indoors, kind
from synthstudio.props.objects.shapes import (
    CORNERS,
    Piece,
    about,
    ball,
    box,
    cylinder,
    moved,
    revolved,
    tube,
)


@belongs("kitchen shop store laundry_room")
@kind("pale_wood", (0.4, 0.35, 0.3), (1.2, 1.0, 1.1), "wood plain", roles=SEAT)
def crate(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build a wooden crate: boards round a core, battens at the corners."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    t = 0.018
    inner = (x - 2 * t, y - 2 * t)
    yield box((-inner[0], -inner[1], t / 2), (inner[0], inner[1], h - t), bevel=0.001)
    for sign in (-1, 1):
        near, far = (-x + t, sign * (y - 2 * t), 0), (x - t, sign * (y - t), h)
        yield from planks(near, far, 2, wide=0.11, gap=0.006)
        near, far = (sign * (x - 2 * t), -y + t, 0), (sign * (x - t), y - t, h)
        yield from planks(near, far, 2, wide=0.11, gap=0.006)
    yield from planks((-x + t, -y + t, h - t), (x - t, y - t, h), 0, wide=0.11, gap=0.006)
    wide = min(0.07, size[0] / 4, size[1] / 4)
    for sx, sy in CORNERS:
        a, b, c = sx * x, sx * (x - wide), sx * (x - t)
        d, e, f = sy * y, sy * (y - t), sy * (y - wide)
        yield box((a, d, 0), (b, e, h), bevel=0.003)
        yield box((a, e, 0), (c, f, h), bevel=0.003)


@held("carry", stands=True)
@indoors("carton tape", (0.3, 0.25, 0.2), (0.9, 0.7, 1.0))
def cardboard_box(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build a closed carton (0) with flaps that meet and a strip of tape (1)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    t, slit, tape = 0.004, 0.003, 0.03
    yield box((-x, -y, 0), (x, y, h - t), bevel=0.006)
    yield box((-x + 0.004, -tape, h - 0.001), (x - 0.004, tape, h), bevel=0.0003, slot=1)
    for s in (-1, 1):
        near, far = (-x + 0.004, s * slit / 2, h - t), (x - 0.004, s * (y - 0.002), h - 0.0005)
        yield box(near, far, bevel=0.001)
        near, far = (s * (x + 0.0005), -tape, h - 0.09), (s * (x - 0.001), tape, h - t)
        yield box(near, far, bevel=0.0003, slot=1)


@belongs("store")
@kind("pale_wood red cloth_blue", (0.6, 0.26, 0.9), (1.4, 0.4, 2.1), "wood plain")
def bookcase(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build a bookcase: boards (0), books in two colours (1, 2). It opens towards -y."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    t = 0.02
    yield box((-x, -y, 0), (-x + t, y, h))
    yield box((x - t, -y, 0), (x, y, h))
    yield box((-x + t, y - 0.006, 0.05), (x - t, y, h), bevel=0.001)
    yield box((-x + t, -y + 0.01, 0), (x - t, -y + 0.025, 0.06), along="x")
    count = max(2, round((h - 0.08) / 0.34))
    step = (h - t - 0.06) / count
    for k in range(count + 1):
        z = 0.06 + k * step
        yield box((-x + t, -y, z), (x - t, y - 0.006, z + t), along="x")
    for k in range(count):
        yield from _books((-x + t, x - t), y, 0.06 + k * step + t, step - t, k)


def _books(span: tuple[float, float], y: float, z: float, room: float, shelf: int) -> list[Piece]:
    """A row of books; thickness and height follow a fixed uneven rhythm."""
    books: list[Piece] = []
    at, number = span[0] + 0.01, 7 * shelf
    while True:
        wide = 0.022 + 0.02 * ((number * 37) % 11) / 10
        if at + wide > span[1] - 0.05 * (1 + shelf % 3):
            return books
        tall = room * (0.62 + 0.28 * ((number * 53) % 17) / 16)
        deep = 0.12 + 0.06 * ((number * 29) % 7) / 6
        near, back = max(-y + 0.02, y - 0.04 - deep), y - 0.04
        ends = (at, near, z), (at + wide - 0.001, back, z + tall)
        books.append(box(*ends, bevel=0, slot=1 + (number * 5) % 3 % 2))
        at += wide
        number += 1


@belongs("kitchen shop")
@kind("white wood steel", (1.0, 0.5, 0.85), (2.6, 0.75, 1.1), "plain wood planks tiles")
def counter(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build a kitchen or shop counter: body with doors (0), worktop (1), knobs and plinth (2)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    top, plinth, lip = 0.04, 0.09, 0.02
    yield box((-x + lip, -y + 0.04, plinth), (x - lip, y - lip, h - top), bevel=0.002)
    yield box((-x + 0.04, -y + 0.09, 0), (x - 0.04, y - 0.04, plinth), bevel=0.002, slot=2)
    yield box((-x, -y, h - top), (x, y, h), bevel=0.006, along="x", slot=1)
    front = -y + 0.04
    low, high = (-x + lip, front - 0.018, plinth + 0.01), (x - lip, front, h - top - 0.01)
    for door in planks(low, high, 0, wide=0.5, gap=0.004):
        yield door
        yield ball(0.014, (door.vertices[:, 0].max() - 0.05, front - 0.028, h - top - 0.12), slot=2)


@belongs("bedroom hallway store changing_room street")
@kind("red black", (0.34, 0.2, 0.75), (0.52, 0.34, 1.1))
def suitcase(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build a hard suitcase on wheels: shell with ribs (0), zip, wheels and handle (1)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    wheel, grip = 0.05, min(0.28 * h, 0.25)
    top = h - grip
    yield box((-x, -y, wheel), (x, y, top), bevel=min(0.035, 0.2 * y))
    yield box((-x - 0.002, -0.008, wheel - 0.002), (x + 0.002, 0.008, top + 0.002), slot=1)
    count = max(3, round(size[0] / 0.06))
    for k in range(count):
        at = -x + (k + 0.5) * size[0] / count
        if abs(at) > x - 0.04:
            continue
        for s in (-1, 1):
            inner, outer = s * (y - 0.01), s * (y + 0.004)
            ends = (at - 0.008, inner, wheel + 0.05), (at + 0.008, outer, top - 0.05)
            yield box(*ends, bevel=0.004)
    for sx, sy in CORNERS:
        a, b = sx * (x - 0.04), sy * (y - 0.035)
        disc = cylinder(wheel / 2, -0.011, 0.011, slot=1)
        yield moved(disc, (a, b, wheel / 2), turn=about("y", math.pi / 2))
        near, far = (a - 0.013, b - 0.013, wheel * 0.6), (a + 0.013, b + 0.013, wheel + 0.01)
        yield box(near, far, slot=1)
    reach, deep = min(0.12, x * 0.55), y * 0.55
    for s in (-1, 1):
        yield tube([(s * reach, deep, top - 0.02), (s * reach, deep, h - 0.02)], 0.008, slot=1)
    near, far = (-reach - 0.015, deep - 0.013, h - 0.03), (reach + 0.015, deep + 0.013, h)
    yield box(near, far, bevel=0.008, slot=1)


@belongs("store")
@kind("wood steel", (0.4, 0.4, 0.6), (0.75, 0.75, 1.1), "planks wood plain")
def barrel(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build a barrel: bulging staves (0) and four hoops (1)."""
    r, h = min(size[0], size[1]) / 2 - 0.004, size[2]

    def radius(z: float) -> float:
        return r * (1 - 0.16 * (2 * z / h - 1) ** 2)

    zs = np.linspace(0, h, 13)
    rim, sunk = radius(0) - 0.025, 0.03
    staves = [(radius(z), z) for z in zs]
    profile = [(0, sunk), (rim, sunk), (rim, 0), *staves, (rim, h), (rim, h - sunk), (0, h - sunk)]
    yield revolved([(a, float(b)) for a, b in profile])
    w = 0.02
    for z in (0.06 * h, 0.3 * h, 0.7 * h, 0.94 * h):
        a, b = radius(z - w), radius(z + w)
        low = [(0, z - w), (a - 0.01, z - w), (a + 0.004, z - w)]
        yield revolved([*low, (b + 0.004, z + w), (b - 0.01, z + w), (0, z + w)], slot=1)


@belongs("store street")
@kind("steel black", (0.35, 0.35, 0.6), (0.6, 0.6, 1.1), "plain planks")
def bin_(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build a litter bin: flared body with ribs (0), lid with a slot (1)."""
    r, h = min(size[0], size[1]) / 2, size[2]
    lid = 0.16 * h
    yield revolved([(0, 0), (r * 0.78, 0), (r * 0.8, 0.01), (r * 0.96, h - lid), (0, h - lid)],
                  segments=28)  # fmt: skip
    dome = [(r * 0.97, h - lid * 0.7), (r * 0.85, h - lid * 0.25), (r * 0.55, h), (0, h)]
    rim = [(0, h - lid), (r, h - lid), (r, h - lid * 0.75)]
    yield revolved([*rim, *dome], segments=28, slot=1)
    for share in (0.25, 0.6):
        z, a = (h - lid) * share, r * (0.8 + 0.16 * share)
        yield revolved([(0, z), (a + 0.006, z), (a + 0.006, z + 0.02), (0, z + 0.02)], segments=28)
