"""Builders of furniture and other indoor things. Each takes (size_m, shape) and gives pieces.

Base centre near the origin, z up; what has a front shows it towards -y, as people do.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from synthstudio.core.spec import Vec3
from synthstudio.props.shapes import Piece, about, ball, box, cylinder, moved, tube, turned

Shape = dict[str, float]
_NEXT_CUT_M = np.array([0.0, 0.7, 1.3])


def posts(size: Vec3, height: float, thick: float, *, slot: int = 0) -> list[Piece]:
    """Four square posts at the corners of the base."""
    x, y = size[0] / 2, size[1] / 2
    return [
        box(
            (sx * x - (thick if sx > 0 else 0), sy * y - (thick if sy > 0 else 0), 0),
            (sx * x + (thick if sx < 0 else 0), sy * y + (thick if sy < 0 else 0), height),
            slot=slot,
        )
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]


def planks(
    low: Vec3, high: Vec3, axis: int, *, wide: float, gap: float, slot: int = 0
) -> list[Piece]:
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
        board = box(
            (lo[0], lo[1], lo[2]), (hi[0], hi[1], hi[2]), bevel=0.003, along=along, slot=slot
        )
        # Each board is cut from another place of the tree.
        boards.append(replace(board, coords=board.coords + number * _NEXT_CUT_M))
    return boards


def seat_height(size: Vec3, shape: Shape) -> float:
    """How high one sits: `seat_height_m`, or half of a thing with a back."""
    return min(shape.get("seat_height_m", 0.5 * size[2]), size[2])


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


def crate(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a wooden crate: boards round a core, battens at the corners."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    t = 0.018
    inner = (x - 2 * t, y - 2 * t)
    pieces = [box((-inner[0], -inner[1], t / 2), (inner[0], inner[1], h - t), bevel=0.001)]
    for sign in (-1, 1):
        near, far = sorted((sign * (y - 2 * t), sign * (y - t)))
        pieces += planks((-x + t, near, 0), (x - t, far, h), 2, wide=0.11, gap=0.006)
        near, far = sorted((sign * (x - 2 * t), sign * (x - t)))
        pieces += planks((near, -y + t, 0), (far, y - t, h), 2, wide=0.11, gap=0.006)
    pieces += planks((-x + t, -y + t, h - t), (x - t, y - t, h), 0, wide=0.11, gap=0.006)
    wide = min(0.07, size[0] / 4, size[1] / 4)
    for sx in (-1, 1):
        for sy in (-1, 1):
            a, b = sorted((sx * x, sx * (x - wide)))
            c, d = sorted((sy * y, sy * (y - t)))
            pieces.append(box((a, c, 0), (b, d, h), bevel=0.003))
            a, b = sorted((sx * x, sx * (x - t)))
            c, d = sorted((sy * (y - t), sy * (y - wide)))
            pieces.append(box((a, c, 0), (b, d, h), bevel=0.003))
    return pieces


def cardboard_box(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a closed carton (0) with flaps that meet and a strip of tape (1)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    t, slit, tape = 0.004, 0.003, 0.03
    body = box((-x, -y, 0), (x, y, h - t), bevel=0.006)
    flaps = [
        box((-x + 0.004, -y + 0.002, h - t), (x - 0.004, -slit / 2, h - 0.0005), bevel=0.001),
        box((-x + 0.004, slit / 2, h - t), (x - 0.004, y - 0.002, h - 0.0005), bevel=0.001),
    ]
    strip = box((-x + 0.004, -tape, h - 0.001), (x - 0.004, tape, h), bevel=0.0003, slot=1)
    ends = [
        box((-x - 0.0005, -tape, h - 0.09), (-x + 0.001, tape, h - t), bevel=0.0003, slot=1),
        box((x - 0.001, -tape, h - 0.09), (x + 0.0005, tape, h - t), bevel=0.0003, slot=1),
    ]
    return [body, *flaps, strip, *ends]


def table(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a table: top (0), apron and legs (1)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    thick, leg, inset = 0.03, 0.055, 0.04
    along = "x" if x > y else "y"
    frame = (size[0] - 2 * inset, size[1] - 2 * inset, h)
    low, high = h - thick - 0.06, h - thick
    fx, fy = frame[0] / 2, frame[1] / 2
    rails = [
        box(
            (-fx + leg, s * fy - (0.022 if s > 0 else 0), low),
            (fx - leg, s * fy + (0.022 if s < 0 else 0), high),
            along="x",
            slot=1,
        )
        for s in (-1, 1)
    ] + [
        box(
            (s * fx - (0.022 if s > 0 else 0), -fy + leg, low),
            (s * fx + (0.022 if s < 0 else 0), fy - leg, high),
            along="y",
            slot=1,
        )
        for s in (-1, 1)
    ]
    top = box((-x, -y, h - thick), (x, y, h), bevel=0.006, along=along)
    return [top, *rails, *posts(frame, h - thick, leg, slot=1)]


def chair(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a chair with a slatted back: frame (0) and seat (1). It faces -y."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    sit, leg = seat_height(size, shape), 0.038
    pieces = []
    for s in (-1, 1):
        a, b = sorted((s * x, s * (x - leg)))
        pieces.append(box((a, -y, 0), (b, -y + leg, sit - 0.03)))
        pieces.append(
            tube(
                [
                    ((a + b) / 2, y - leg / 2, 0),
                    ((a + b) / 2, y - leg / 2, sit),
                    ((a + b) / 2, y - leg / 4, h - 0.01),
                ],
                leg / 2,
                segments=8,
            )
        )
        pieces.append(
            box((a + 0.008, -y + leg, sit - 0.09), (b - 0.008, y - leg, sit - 0.03), along="y")
        )
        pieces.append(box((a + 0.01, -y + leg, 0.14), (b - 0.01, y - leg, 0.165), along="y"))
    for edge in (-y + 0.008, y - leg + 0.008):
        pieces.append(
            box((-x + leg, edge, sit - 0.09), (x - leg, edge + 0.022, sit - 0.03), along="x")
        )
    seat = box((-x, -y - 0.0, sit - 0.03), (x, y - leg, sit), bevel=0.012, along="y", slot=1)
    back = y - leg * 0.75
    rise = h - sit
    top, low = h - min(0.08, 0.3 * rise), sit + min(0.1, 0.25 * rise)
    middle = low + min(0.04, 0.15 * rise)
    rail = [
        box((-x + 0.01, back, z0), (x - 0.01, back + 0.02, z1), along="x")
        for z0, z1 in ((top, h), (low, middle))
    ]
    inner = (-x + leg + 0.02, x - leg - 0.02)
    slats = planks(
        (inner[0], back + 0.004, middle),
        (inner[1], back + 0.016, top),
        0,
        wide=0.035,
        gap=0.045,
    )
    return [*pieces, seat, *rail, *slats]


def stool(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a round stool: seat (0), splayed legs and a ring (1)."""
    r, h = min(size[0], size[1]) / 2, size[2]
    seat = turned(
        [(0, h - 0.04), (r * 0.9, h - 0.04), (r, h - 0.03), (r, h - 0.012), (r * 0.95, h),
         (0, h)], slot=0,
    )  # fmt: skip
    legs, ring = [], []
    for k in range(4):
        a = math.pi / 4 + k * math.pi / 2
        c, s = math.cos(a), math.sin(a)
        foot, top = r * 0.95, r * 0.6
        legs.append(tube([(foot * c, foot * s, 0), (top * c, top * s, h - 0.035)], 0.016, slot=1))
    height = 0.3 * h
    at = r * 0.95 - (r * 0.35) * 0.3
    for k in range(4):
        a, b = math.pi / 4 + k * math.pi / 2, math.pi / 4 + (k + 1) * math.pi / 2
        ring.append(
            tube(
                [
                    (at * math.cos(a), at * math.sin(a), height),
                    (at * math.cos(b), at * math.sin(b), height),
                ],
                0.009,
                slot=1,
            )
        )
    return [seat, *legs, *ring]


def sofa(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a sofa: body and arms (0), cushions (1), feet (2). It faces -y."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    sit = seat_height(size, shape)
    arm, back, foot = min(0.18, 0.22 * x), 0.2, 0.06
    body = [
        box((-x, -y, foot), (x, y, sit - 0.13), bevel=0.02),
        box((-x, y - back, sit - 0.14), (x, y, h), bevel=0.06),
        box((-x, -y, sit - 0.14), (-x + arm, y - back, min(sit + 0.2, h)), bevel=0.05),
        box((x - arm, -y, sit - 0.14), (x, y - back, min(sit + 0.2, h)), bevel=0.05),
    ]
    count = max(1, round((size[0] - 2 * arm) / 0.65))
    step = (size[0] - 2 * arm) / count
    cushions = []
    for k in range(count):
        left = -x + arm + k * step
        cushions.append(
            box(
                (left + 0.003, -y - 0.0, sit - 0.14),
                (left + step - 0.003, y - back, sit),
                bevel=0.04,
                slot=1,
            )
        )
        cushions.append(
            box(
                (left + 0.006, y - back - 0.15, sit),
                (left + step - 0.006, y - back + 0.02, max(h - 0.04, sit + 0.03)),
                bevel=0.05,
                slot=1,
            )
        )
    feet = [
        moved(cylinder(0.025, 0, foot, slot=2), (sx * (x - 0.07), sy * (y - 0.07), 0))
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    return [*body, *cushions, *feet]


def bookcase(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a bookcase: boards (0), books in two colours (1, 2). It opens towards -y."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    t = 0.02
    pieces = [
        box((-x, -y, 0), (-x + t, y, h)),
        box((x - t, -y, 0), (x, y, h)),
        box((-x + t, y - 0.006, 0.05), (x - t, y, h), bevel=0.001),
        box((-x + t, -y + 0.01, 0), (x - t, -y + 0.025, 0.06), along="x"),
    ]
    count = max(2, round((h - 0.08) / 0.34))
    step = (h - t - 0.06) / count
    for k in range(count + 1):
        z = 0.06 + k * step
        pieces.append(box((-x + t, -y, z), (x - t, y - 0.006, z + t), along="x"))
    for k in range(count):
        pieces += _books((-x + t, x - t), y, 0.06 + k * step + t, step - t, k)
    return pieces


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
        books.append(
            box(
                (at, max(-y + 0.02, y - 0.04 - deep), z),
                (at + wide - 0.001, y - 0.04, z + tall),
                bevel=0,
                slot=1 + (number * 5) % 3 % 2,
            )
        )
        at += wide
        number += 1


def counter(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a kitchen or shop counter: body with doors (0), worktop (1), knobs and plinth (2)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    top, plinth, lip = 0.04, 0.09, 0.02
    body = box((-x + lip, -y + 0.04, plinth), (x - lip, y - lip, h - top), bevel=0.002)
    base = box((-x + 0.04, -y + 0.09, 0), (x - 0.04, y - 0.04, plinth), bevel=0.002, slot=2)
    worktop = box((-x, -y, h - top), (x, y, h), bevel=0.006, along="x", slot=1)
    front = -y + 0.04
    doors = planks(
        (-x + lip, front - 0.018, plinth + 0.01),
        (x - lip, front, h - top - 0.01),
        0,
        wide=0.5,
        gap=0.004,
    )
    knobs = [
        ball(0.014, ((d.vertices[:, 0].max() - 0.05), front - 0.028, h - top - 0.12), slot=2)
        for d in doors
    ]
    return [body, base, worktop, *doors, *knobs]


def door(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a standing door: frame (0), leaf with two raised panels (1), handle (2)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    jamb, leaf = 0.06, min(0.04, 0.5 * size[1])
    pieces = [
        box((-x, -y, 0), (-x + jamb, y, h)),
        box((x - jamb, -y, 0), (x, y, h)),
        box((-x + jamb, -y, h - jamb), (x - jamb, y, h), along="x"),
        box((-x + jamb, -leaf / 2, 0.008), (x - jamb, leaf / 2, h - jamb), bevel=0.002, slot=1),
    ]
    inner = (-x + jamb + 0.11, x - jamb - 0.11)
    clear = h - jamb
    for low, high in ((0.2, 0.42 * clear), (0.42 * clear + 0.13, clear - 0.13)):
        for s in (-1, 1):
            a, b = sorted((s * leaf * 0.45, s * (leaf / 2 + 0.008)))
            pieces.append(box((inner[0], a, low), (inner[1], b, high), bevel=0.008, slot=1))
    for s in (-1, 1):
        at, out = x - jamb - 0.05, s * (min(y, leaf / 2 + 0.055) - 0.009)
        height = 0.5 * clear
        pieces.append(
            tube(
                [
                    (at, s * leaf / 3, height),
                    (at, out, height),
                    (at - 0.02, out, height),
                    (at - 0.11, out, height),
                ],
                0.009,
                slot=2,
            )
        )
    return pieces


def divider(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a folding screen of three leaves: frames (0), panels (1)."""
    pieces: list[Piece] = []
    h, deep = size[2], size[1]
    run = size[0] / 3
    wide = math.hypot(run, deep)
    for k in range(3):
        turn = math.atan2(deep, run) * (1 if k % 2 == 0 else -1)
        rotation = about("z", turn)
        half = wide / 2 - 0.004
        leaf = [
            box((-half, -0.012, 0), (-half + 0.04, 0.012, h)),
            box((half - 0.04, -0.012, 0), (half, 0.012, h)),
            box((-half + 0.04, -0.012, h - 0.05), (half - 0.04, 0.012, h), along="x"),
            box((-half + 0.04, -0.012, 0.08), (half - 0.04, 0.012, 0.13), along="x"),
            box((-half + 0.04, -0.012, 0.5 * h), (half - 0.04, 0.012, 0.5 * h + 0.04), along="x"),
            box((-half + 0.04, -0.004, 0.13), (half - 0.04, 0.004, h - 0.05), bevel=0.001, slot=1),
        ]
        pieces += [moved(p, ((k - 1) * run, 0, 0), turn=rotation) for p in leaf]
    return pieces


def partition(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a piece of wall that stands alone: wall (0), its ends and skirting (1)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    end = 0.03
    pieces = [box((-x + end, -y, 0), (x - end, y, h - end), bevel=0.001)]
    for s in (-1, 1):
        a, b = sorted((s * x, s * (x - end)))
        pieces.append(box((a, -y, 0), (b, y, h), bevel=0.004, slot=1))
    return [*pieces, box((-x + end, -y, h - end), (x - end, y, h), along="x", slot=1)]


def suitcase(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a hard suitcase on wheels: shell with ribs (0), zip, wheels and handle (1)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    wheel, grip = 0.05, min(0.28 * h, 0.25)
    top = h - grip
    shell = box((-x, -y, wheel), (x, y, top), bevel=min(0.035, 0.2 * y))
    zipper = box((-x - 0.002, -0.008, wheel - 0.002), (x + 0.002, 0.008, top + 0.002), slot=1)
    count = max(3, round(size[0] / 0.06))
    ribs = []
    for k in range(count):
        at = -x + (k + 0.5) * size[0] / count
        if abs(at) > x - 0.04:
            continue
        for s in (-1, 1):
            a, b = sorted((s * (y - 0.01), s * (y + 0.004)))
            ribs.append(
                box((at - 0.008, a, wheel + 0.05), (at + 0.008, b, top - 0.05), bevel=0.004)
            )
    wheels = []
    for sx in (-1, 1):
        for sy in (-1, 1):
            disc = moved(
                cylinder(wheel / 2, -0.011, 0.011, slot=1), (0, 0, 0), turn=about("y", math.pi / 2)
            )
            wheels.append(moved(disc, (sx * (x - 0.04), sy * (y - 0.035), wheel / 2)))
            wheels.append(
                box((sx * (x - 0.04) - 0.013, sy * (y - 0.035) - 0.013, wheel * 0.6),
                    (sx * (x - 0.04) + 0.013, sy * (y - 0.035) + 0.013, wheel + 0.01), slot=1)
            )  # fmt: skip
    reach = min(0.12, x * 0.55)
    handle = [
        tube([(s * reach, y * 0.55, top - 0.02), (s * reach, y * 0.55, h - 0.02)], 0.008, slot=1)
        for s in (-1, 1)
    ]
    bar = box(
        (-reach - 0.015, y * 0.55 - 0.013, h - 0.03),
        (reach + 0.015, y * 0.55 + 0.013, h),
        bevel=0.008,
        slot=1,
    )
    return [shell, zipper, *ribs, *wheels, *handle, bar]
