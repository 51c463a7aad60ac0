"""Builders of furniture and other indoor objects; what has a front shows it towards -y."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from synthstudio.core.spec import Vec3
from synthstudio.props.objects.kinds import (
    SEAT,
    TIMBER,
    Shape,
    belongs,
    elsewhere,
    held,
    indoors,
    kind,
)
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

_NEXT_CUT_M = np.array([0.0, 0.7, 1.3])


def posts(x: float, y: float, height: float, thick: float, *, slot: int = 0) -> list[Piece]:
    return [
        box((sx * x, sy * y, 0), (sx * x - sx * thick, sy * y - sy * thick, height), slot=slot)
        for sx, sy in CORNERS
    ]


def planks(low: Vec3, high: Vec3, axis: int, *, wide: float, gap: float) -> list[Piece]:
    """Boards that fill low..high side by side along `axis`, with gaps between."""
    span = high[axis] - low[axis]
    count = max(1, round((span + gap) / (wide + gap)))
    width = (span - gap * (count - 1)) / count
    sides = [k for k in range(3) if k != axis]
    along = "xyz"[max(sides, key=lambda k: high[k] - low[k])]
    boards = []
    for number in range(count):
        lo, hi = list(low), list(high)
        lo[axis] = low[axis] + number * (width + gap)
        hi[axis] = lo[axis] + width
        a, b = (lo[0], lo[1], lo[2]), (hi[0], hi[1], hi[2])
        board = box(a, b, bevel=0.003, along=along)
        # Each board is cut from another place of the tree.
        boards.append(replace(board, coords=board.coords + number * _NEXT_CUT_M))
    return boards


def seat_height(h: float, shape: Shape) -> float:
    """How high one sits: `seat_height_m`, or half of an object with a back."""
    return min(shape.get("seat_height_m", 0.5 * h), h)


def lowered(pieces: list[Piece], built_m: float, wanted_m: float) -> list[Piece]:
    """A seat built at the height `built_m` squashed below it to `wanted_m`."""
    share = wanted_m / built_m
    out = []
    for piece in pieces:
        z = piece.vertices[:, 2]
        squashed = np.where(z <= built_m, z * share, z - built_m + wanted_m)
        normals = piece.normals.copy()
        normals[z < built_m, 2] /= share
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        vertices = np.column_stack([piece.vertices[:, :2], squashed])
        out.append(replace(piece, vertices=vertices, normals=normals))
    return out


@belongs("living_room kitchen office classroom")
@kind("wood wood", (0.8, 0.6, 0.68), (2.0, 1.0, 0.95), TIMBER)
def table(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a table: top (0), apron and legs (1)."""
    thick, leg, inset = 0.03, 0.055, 0.04
    along = "x" if x > y else "y"
    low, high = h - thick - 0.06, h - thick
    fx, fy = x - inset, y - inset
    yield box((-x, -y, h - thick), (x, y, h), bevel=0.006, along=along)
    for s in (-1, 1):
        yield box((-fx + leg, s * fy, low), (fx - leg, s * (fy - 0.022), high), along="x", slot=1)
    for s in (-1, 1):
        yield box((s * fx, -fy + leg, low), (s * (fx - 0.022), fy - leg, high), along="y", slot=1)
    yield from posts(fx, fy, h - thick, leg, slot=1)


@indoors(
    "wood pale_wood", (0.4, 0.42, 0.8), (0.52, 0.54, 1.0), TIMBER, shape="seat_height_m", roles=SEAT
)
def chair(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a chair with a slatted back: frame (0) and seat (1). It faces -y."""
    sit, leg = seat_height(h, shape), 0.038
    for s in (-1, 1):
        a, b = sorted((s * x, s * (x - leg)))
        yield box((a, -y, 0), (b, -y + leg, sit - 0.03))
        at, back = (a + b) / 2, y - leg / 2
        rear = [(at, back, 0), (at, back, sit), (at, y - leg / 4, h - 0.01)]
        yield tube(rear, leg / 2, segments=8)
        yield box((a + 0.008, -y + leg, sit - 0.09), (b - 0.008, y - leg, sit - 0.03), along="y")
        yield box((a + 0.01, -y + leg, 0.14), (b - 0.01, y - leg, 0.165), along="y")
    for edge in (-y + 0.008, y - leg + 0.008):
        yield box((-x + leg, edge, sit - 0.09), (x - leg, edge + 0.022, sit - 0.03), along="x")
    yield box((-x, -y - 0.0, sit - 0.03), (x, y - leg, sit), bevel=0.012, along="y", slot=1)
    back = y - leg * 0.75
    rise = h - sit
    top, low = h - min(0.08, 0.3 * rise), sit + min(0.1, 0.25 * rise)
    middle = low + min(0.04, 0.15 * rise)
    for z0, z1 in ((top, h), (low, middle)):
        yield box((-x + 0.01, back, z0), (x - 0.01, back + 0.02, z1), along="x")
    near, far = (-x + leg + 0.02, back + 0.004, middle), (x - leg - 0.02, back + 0.016, top)
    yield from planks(near, far, 0, wide=0.035, gap=0.045)


@indoors("wood steel", (0.32, 0.32, 0.42), (0.42, 0.42, 0.75), "wood plain", roles=SEAT)
def stool(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a round stool: seat (0), splayed legs and a ring (1)."""
    r = min(x, y)
    yield revolved(
        [(0, h - 0.04), (r * 0.9, h - 0.04), (r, h - 0.03), (r, h - 0.012), (r * 0.95, h),
         (0, h)], slot=0,
    )  # fmt: skip
    angles = [math.pi / 4 + k * math.pi / 2 for k in range(5)]
    foot, top = r * 0.95, r * 0.6
    for a in angles[:4]:
        c, s = math.cos(a), math.sin(a)
        yield tube([(foot * c, foot * s, 0), (top * c, top * s, h - 0.035)], 0.016, slot=1)
    at = r * 0.95 - (r * 0.35) * 0.3
    for ends in itertools.pairwise(angles):
        yield tube([(at * math.cos(c), at * math.sin(c), 0.3 * h) for c in ends], 0.009, slot=1)


@belongs("living_room office")
@kind(
    "cloth_blue cloth_blue black",
    (0.9, 0.8, 0.78),
    (2.2, 0.95, 0.95),
    "plain stripes plaid knit",
    shape="seat_height_m",
    roles=SEAT,
)
def sofa(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a sofa: body and arms (0), cushions (1), feet (2). It faces -y."""
    sit = seat_height(h, shape)
    arm, back, foot = min(0.18, 0.22 * x), 0.2, 0.06
    yield box((-x, -y, foot), (x, y, sit - 0.13), bevel=0.02)
    yield box((-x, y - back, sit - 0.14), (x, y, h), bevel=0.06)
    for s in (-1, 1):
        far = (s * (x - arm), y - back, min(sit + 0.2, h))
        yield box((s * x, -y, sit - 0.14), far, bevel=0.05)
    count = max(1, round((2 * x - 2 * arm) / 0.65))
    step = (2 * x - 2 * arm) / count
    rise, wall = max(h - 0.04, sit + 0.03), y - back
    for k in range(count):
        left = -x + arm + k * step
        near, far = (left + 0.003, -y - 0.0, sit - 0.14), (left + step - 0.003, wall, sit)
        yield box(near, far, bevel=0.04, slot=1)
        near, far = (left + 0.006, wall - 0.15, sit), (left + step - 0.006, wall + 0.02, rise)
        yield box(near, far, bevel=0.05, slot=1)
    for sx, sy in CORNERS:
        yield moved(cylinder(0.025, 0, foot, slot=2), (sx * (x - 0.07), sy * (y - 0.07), 0))


@elsewhere("white pale_wood steel", (0.8, 0.08, 1.9), (1.1, 0.16, 2.2), TIMBER)
def door(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a standing door: frame (0), leaf with two raised panels (1), handle (2)."""
    jamb, leaf = 0.06, min(0.04, y)
    yield box((-x, -y, 0), (-x + jamb, y, h))
    yield box((x - jamb, -y, 0), (x, y, h))
    yield box((-x + jamb, -y, h - jamb), (x - jamb, y, h), along="x")
    yield box((-x + jamb, -leaf / 2, 0.008), (x - jamb, leaf / 2, h - jamb), bevel=0.002, slot=1)
    inner, clear = (-x + jamb + 0.11, x - jamb - 0.11), h - jamb
    for low, high in ((0.2, 0.42 * clear), (0.42 * clear + 0.13, clear - 0.13)):
        for s in (-1, 1):
            near, far = (inner[0], s * leaf * 0.45, low), (inner[1], s * (leaf / 2 + 0.008), high)
            yield box(near, far, bevel=0.008, slot=1)
    for s in (-1, 1):
        at, out = x - jamb - 0.05, s * (min(y, leaf / 2 + 0.055) - 0.009)
        height = 0.5 * clear
        grip = [(at - along, out, height) for along in (0, 0.02, 0.11)]
        yield tube([(at, s * leaf / 3, height), *grip], 0.009, slot=2)


@belongs("living_room bedroom")
@kind("wood white", (1.2, 0.25, 1.4), (2.1, 0.5, 1.9), "plain wood stripes dots")
def divider(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a folding screen of three leaves: frames (0), panels (1)."""
    run, deep = 2 * x / 3, 2 * y
    half = math.hypot(run, deep) / 2 - 0.004
    for k in range(3):
        rotation = about("z", math.atan2(deep, run) * (1 if k % 2 == 0 else -1))
        leaf = [
            box((-half, -0.012, 0), (-half + 0.04, 0.012, h)),
            box((half - 0.04, -0.012, 0), (half, 0.012, h)),
            box((-half + 0.04, -0.012, h - 0.05), (half - 0.04, 0.012, h), along="x"),
            box((-half + 0.04, -0.012, 0.08), (half - 0.04, 0.012, 0.13), along="x"),
            box((-half + 0.04, -0.012, 0.5 * h), (half - 0.04, 0.012, 0.5 * h + 0.04), along="x"),
            box((-half + 0.04, -0.004, 0.13), (half - 0.04, 0.004, h - 0.05), bevel=0.001, slot=1),
        ]
        yield from (moved(p, ((k - 1) * run, 0, 0), turn=rotation) for p in leaf)


@elsewhere("white wood", (1.2, 0.1, 1.9), (2.6, 0.18, 2.5), "plain bricks concrete wood tiles")
def partition(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a piece of wall that stands alone: wall (0), its ends and skirting (1)."""
    end = 0.03
    yield box((-x + end, -y, 0), (x - end, y, h - end), bevel=0.001)
    for s in (-1, 1):
        yield box((s * x, -y, 0), (s * (x - end), y, h), bevel=0.004, slot=1)
    yield box((-x + end, -y, h - end), (x - end, y, h), along="x", slot=1)


@elsewhere("black glass picture", (0.8, 0.35, 1.2), (1.4, 0.45, 1.75), "plain stripes checks")
def screen(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a television on a floor stand: case and stand (0), glass (1), what it shows (2)."""
    tall = min(1.16 * x, 0.62 * h)
    low, deep = h - tall, min(0.05, 0.4 * y)
    return [
        box((-x, -deep / 2, low), (x, deep / 2, h), bevel=0.006),
        box((-x + 0.008, -deep / 2 - 0.0015, low + 0.008), (x - 0.008, 0, h - 0.008), bevel=0.001,
            slot=1),
        box((-x + 0.03, -deep / 2 - 0.0025, low + 0.03), (x - 0.03, 0, h - 0.03), bevel=0.001,
            slot=2),
        box((-0.25 * x, deep / 2 - 0.002, low + 0.25 * tall), (0.25 * x, deep / 2 + 0.03,
            low + 0.75 * tall)),
        tube([(0, deep / 2 + 0.02, 0.02), (0, deep / 2 + 0.02, low + 0.6 * tall)], 0.03),
        box((-0.55 * x, -y, 0), (0.55 * x, y, 0.025), bevel=0.008),
    ]  # fmt: skip


# What holds objects: boxes, barrels, bins, cases, counters and bookcases ----------------------


@belongs("kitchen shop store laundry_room")
@kind("pale_wood", (0.4, 0.35, 0.3), (1.2, 1.0, 1.1), "wood plain", roles=SEAT)
def crate(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a wooden crate: boards round a core, battens at the corners."""
    t = 0.018
    inner = (x - 2 * t, y - 2 * t)
    yield box((-inner[0], -inner[1], t / 2), (inner[0], inner[1], h - t), bevel=0.001)
    for sign in (-1, 1):
        near, far = (-x + t, sign * (y - 2 * t), 0), (x - t, sign * (y - t), h)
        yield from planks(near, far, 2, wide=0.11, gap=0.006)
        near, far = (sign * (x - 2 * t), -y + t, 0), (sign * (x - t), y - t, h)
        yield from planks(near, far, 2, wide=0.11, gap=0.006)
    yield from planks((-x + t, -y + t, h - t), (x - t, y - t, h), 0, wide=0.11, gap=0.006)
    wide = min(0.07, x / 2, y / 2)
    for sx, sy in CORNERS:
        a, b, c = sx * x, sx * (x - wide), sx * (x - t)
        d, e, f = sy * y, sy * (y - t), sy * (y - wide)
        yield box((a, d, 0), (b, e, h), bevel=0.003)
        yield box((a, e, 0), (c, f, h), bevel=0.003)


@held("carry", stands=True)
@indoors("carton tape", (0.3, 0.25, 0.2), (0.9, 0.7, 1.0))
def cardboard_box(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a closed carton (0) with flaps that meet and a strip of tape (1)."""
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
def bookcase(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a bookcase: boards (0), books in two colours (1, 2). It opens towards -y."""
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
def counter(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a kitchen or shop counter: body with doors (0), worktop (1), knobs and plinth (2)."""
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
def suitcase(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a hard suitcase on wheels: shell with ribs (0), zip, wheels and handle (1)."""
    wheel, grip = 0.05, min(0.28 * h, 0.25)
    top = h - grip
    yield box((-x, -y, wheel), (x, y, top), bevel=min(0.035, 0.2 * y))
    yield box((-x - 0.002, -0.008, wheel - 0.002), (x + 0.002, 0.008, top + 0.002), slot=1)
    count = max(3, round(2 * x / 0.06))
    for k in range(count):
        at = -x + (k + 0.5) * 2 * x / count
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
def barrel(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a barrel: bulging staves (0) and four hoops (1)."""
    r = min(x, y) - 0.004

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
def bin_(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a litter bin: flared body with ribs (0), lid with a slot (1)."""
    r = min(x, y)
    lid = 0.16 * h
    yield revolved([(0, 0), (r * 0.78, 0), (r * 0.8, 0.01), (r * 0.96, h - lid), (0, h - lid)],
                  segments=28)  # fmt: skip
    dome = [(r * 0.97, h - lid * 0.7), (r * 0.85, h - lid * 0.25), (r * 0.55, h), (0, h)]
    rim = [(0, h - lid), (r, h - lid), (r, h - lid * 0.75)]
    yield revolved([*rim, *dome], segments=28, slot=1)
    for share in (0.25, 0.6):
        z, a = (h - lid) * share, r * (0.8 + 0.16 * share)
        yield revolved([(0, z), (a + 0.006, z), (a + 0.006, z + 0.02), (0, z + 0.02)], segments=28)
