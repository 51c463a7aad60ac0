"""Builders of what hangs on walls and ceilings of rooms, lies on floors and stands on furniture.

All are scenery; what hangs on a wall has its back to it at +y.
"""

import math
from collections.abc import Iterator

import numpy as np

from synthstudio.core.arrays import F64
from synthstudio.props.objects.indoors import lampshade
from synthstudio.props.objects.kinds import CLOTH, TIMBER, Shape, design, scenery
from synthstudio.props.objects.shapes import (
    Piece,
    about,
    ball,
    box,
    cylinder,
    leaves,
    moved,
    revolved,
    tube,
)

_TO_FRONT = about("x", math.pi / 2)
"""Turns what is built upright towards -y."""


@scenery("wood black", (0.5, 0.18, 0.12), (1.2, 0.26, 0.2), TIMBER)
def wall_shelf(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a board (0) on two brackets (1)."""
    yield box((-x, -y, h - 0.022), (x, y, h), along="x")
    for at in (-0.7 * x, 0.7 * x):
        yield box((at - 0.012, y - 0.02, 0), (at + 0.012, y, h - 0.022), slot=1)
        yield box((at - 0.012, -0.7 * y, h - 0.045), (at + 0.012, y - 0.02, h - 0.022), slot=1)


@scenery("black white black", (0.25, 0.03, 0.25), (0.4, 0.05, 0.4))
def wall_clock(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a round clock: rim (0), face (1), hands and marks (2)."""
    rng, r = design("wall_clock", x, y, h), h / 2
    middle = (0.0, 0.0, r)
    yield moved(cylinder(r, -y, 0.7 * y, segments=32), middle, turn=_TO_FRONT)
    face = cylinder(0.9 * r, 0, 0.8 * y, bevel=0.001, segments=32, slot=1)
    yield moved(face, middle, turn=_TO_FRONT)
    hour, minute = 12 * float(rng.random()), 12 * float(rng.random())
    marks = [(k, 0.76, 0.86, 0.025) for k in (0, 3, 6, 9)]
    for at, near, far, wide in [*marks, (hour, -0.08, 0.5, 0.035), (minute, -0.1, 0.74, 0.025)]:
        mark = box((-wide * r, -y, near * r), (wide * r, -0.6 * y, far * r), bevel=0, slot=2)
        yield moved(mark, middle, turn=about("y", at * math.pi / 6))


@scenery("wood glass", (0.4, 0.025, 0.5), (0.8, 0.04, 1.5), TIMBER)
def mirror(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a mirror: frame (0), pale glass that reflects nothing (1)."""
    wide = 0.06 * min(2 * x, h)
    for s in (-1, 1):
        yield box((s * x, -y, 0), (s * (x - wide), y, h))
    for low, high in ((0.0, wide), (h - wide, h)):
        yield box((-x + wide, -y, low), (x - wide, y, high), along="x")
    near, far = (-x + wide, -0.6 * y, wide), (x - wide, 0.4 * y, h - wide)
    yield box(near, far, bevel=0.001, slot=1)


@scenery("white steel", (0.6, 0.09, 0.4), (1.5, 0.12, 0.62))
def radiator(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a radiator of ribs (0) with a valve (1)."""
    count = max(4, round(2 * x / 0.075))
    step = (2 * x - 0.05) / count
    ribs = [
        box((a + 0.006, -y, 0), (a + step - 0.006, 0.6 * y, h), bevel=0.012)
        for a in (-x + k * step for k in range(count))
    ]
    pipes = [box((-x + 0.01, -0.5 * y, z), (x - 0.05, y, z + 0.03)) for z in (0.06, h - 0.09)]
    valve = [(x - 0.06, 0.0, h - 0.075), (x, 0.0, h - 0.075)]
    return [*ribs, *pipes, tube(valve, 0.018, segments=8, slot=1)]


@scenery("wood green white", (1.8, 0.06, 0.95), (3.4, 0.1, 1.25))
def blackboard(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a board to write on: frame and tray (0), board (1), writing (2)."""
    rng = design("blackboard", x, y, h)
    face = 0.3 * y
    yield box((-x, face, 0), (x, y, h), along="x")
    yield box((-x + 0.03, face - 0.006, 0.03), (x - 0.03, y * 0.9, h - 0.03), bevel=0, slot=1)
    yield box((-0.8 * x, -y, 0), (0.8 * x, face, 0.025), along="x")
    lines, front = int(rng.random() * 5), face - 0.008
    for line in range(lines):
        z, at = h - 0.2 - line * 0.14, -x + 0.15 + 0.6 * x * float(rng.random())
        for _ in range(2 + int(4 * rng.random())):
            wide, tall = 0.05 + 0.2 * float(rng.random()), 0.01 + 0.02 * float(rng.random())
            if at + wide > x - 0.1 or z < 0.1:
                break
            near, far = (at, front, z), (at + wide, face, z + tall)
            yield box(near, far, bevel=0, slot=2)
            at += wide + 0.05


@scenery("white orange steel", (1.2, 0.8, 1.1), (1.8, 1.1, 1.35))
def basketball_hoop(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a hoop on its board: board (0), ring and the square over it (1), arms and net (2)."""
    r, low = 0.225 * min(1.0, y / 0.45), 0.2 * h
    board = -y + 2 * r + 0.12
    ring, middle = low + 0.12, -y + r + 0.012
    around = [math.pi * (0.5 + 1.99 * k / 20) for k in range(21)]
    circle = [(r * math.cos(a), middle + r * math.sin(a), ring) for a in around]
    yield box((-x, board, low), (x, board + 0.04, h), bevel=0.004)
    yield tube(circle, 0.011, segments=6, slot=1)
    yield box((-0.06, board - 0.11, ring - 0.03), (0.06, board, ring + 0.005), slot=1)
    a, wide, tall = 0.3 * x, 0.025, 0.4 * h
    for one, two, low, top in (
        (-a, a, ring + 0.05, ring + 0.05 + wide), (-a, a, ring + tall, ring + tall + wide),
        (-a, -a + wide, ring + 0.05 + wide, ring + tall),
        (a - wide, a, ring + 0.05 + wide, ring + tall),
    ):  # fmt: skip
        yield box((one, board - 0.003, low), (two, board + 0.002, top), bevel=0, slot=1)
    for s in (-1, 1):
        for z in (0.35 * h, 0.85 * h):
            arm = [(s * 0.45 * x, board + 0.02, z), (s * 0.45 * x, y, z)]
            yield tube(arm, 0.025, segments=6, slot=2)
    for bearing in around[:-1:2]:
        a, b = r * math.cos(bearing), r * math.sin(bearing)
        net = [(a, middle + b, ring), (0.6 * a, middle + 0.6 * b, 0.0)]
        yield tube(net, 0.004, segments=4, slot=2)


@scenery("steel cloth_blue", (1.2, 0.1, 1.2), (2.8, 0.13, 2.4), CLOTH)
def curtains(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a rod (0) from which a curtain hangs in folds at either side (1)."""
    rng = design("curtains", x, y, h)
    wide = (0.17 + 0.09 * float(rng.random())) * 2 * x
    rod = [(-x, 0.3 * y, h - 0.02), (x, 0.3 * y, h - 0.02)]
    yield tube(rod, 0.014, segments=8)
    folds = max(3, round(wide / 0.1))
    for left in (-x + 0.04, x - 0.04 - wide):
        yield _hanging(left, left + wide, h - 0.035, 0.8 * y, folds)


def _hanging(x0: float, x1: float, h: float, deep: float, folds: int) -> Piece:
    """Cloth (1) that hangs from `h` to the floor in folds, less deep at its top."""
    n, thick = 6 * folds + 1, min(0.004, 0.1 * deep)
    turn = np.linspace(0, 2 * math.pi * folds, n)
    x = np.linspace(x0, x1, n)
    depths = np.array([deep - thick, 0.6 * (deep - thick)])  # below and above
    y = np.cos(turn)[:, None] * depths
    slope = -np.sin(turn)[:, None] * depths * 2 * math.pi * folds / (x1 - x0)
    sides = np.empty((2, n, 2, 3))  # before and behind, along, below and above
    sides[..., 0], sides[..., 2] = x[:, None], (0.0, h)
    sides[..., 1] = np.stack([y - thick, y + thick])
    facing = np.stack([slope, np.full((n, 2), -1.0), np.zeros((n, 2))], axis=-1)
    facing /= np.linalg.norm(facing, axis=-1, keepdims=True)
    run = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y[:, 0])))])
    coords = np.zeros((2, n, 2, 3))
    coords[..., 0], coords[..., 2] = run[:, None], (0.0, h)
    edges = (sides[:, ::-1, 0], sides[:, :, 1], sides[:, 0], sides[:, -1, ::-1])
    ways = [(0, 0, -1), (0, 0, 1), (-1, 0, 0), (1, 0, 0)]
    strips = [(sides[0], facing, coords[0]), (sides[1, ::-1], -facing[::-1], coords[1, ::-1])]
    for edge, way in zip((e.transpose(1, 0, 2) for e in edges), ways, strict=True):
        flat = edge[..., [0, 1, 2] if way[2] == 0 else [0, 2, 1]]
        flat = flat[..., [1, 0, 2]] if way[2] == 0 else flat
        strips.append((edge, np.broadcast_to(np.array(way, np.float64), edge.shape), flat))
    faces, start = [], 0
    for points, _, _ in strips:
        a = start + 2 * np.arange(len(points) - 1)
        quads = np.column_stack([a, a + 2, a + 3, a, a + 3, a + 1])
        faces.append(quads.reshape(-1, 3))
        start += 2 * len(points)
    vertices, normals, coords = (
        np.concatenate([strip[k].reshape(-1, 3) for strip in strips]) for k in range(3)
    )
    return Piece(
        vertices=vertices, faces=np.concatenate(faces), coords=coords, normals=normals, slot=1
    )


@scenery("white lamp", (0.3, 0.3, 0.35), (0.55, 0.55, 0.9), casts_shadow=False)
def ceiling_lamp(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a lamp on a cord: cord and rose (0), shade or globe (1)."""
    r = min(x, y)
    tall = min(1.2 * r, 0.6 * h)
    rose = revolved([(0, h - 0.03), (0.05, h - 0.02), (0.06, h), (0, h)])
    cord = cylinder(0.006, 0.8 * tall, h - 0.01, segments=8)
    globe = ball(r, (0, 0, 0.5 * tall), stretch=0.5 * tall / r, slot=1)
    shade = globe if design("ceiling_lamp", x, y, h).random() < 0.4 else lampshade(r, 0, tall)
    return [rose, cord, shade]


@scenery("white lamp", (1.2, 0.12, 0.06), (1.6, 0.3, 0.09), casts_shadow=False)
def strip_lamp(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a long flat lamp of offices and halls: body (0), bright underside (1)."""
    under = ((-x + 0.02, -0.85 * y, 0), (x - 0.02, 0.85 * y, 0.4 * h))
    return [box((-x, -y, 0.25 * h), (x, y, h), along="x"), box(*under, bevel=0.004, slot=1)]


@scenery("tan cloth_blue", (1.1, 0.7, 0.008), (2.4, 1.7, 0.013), CLOTH)
def rug(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a rug: border (0), field (1)."""
    edge = min(0.12, 0.15 * y)
    field = ((-x + edge, -y + edge, 0.0), (x - edge, y - edge, h))
    border = box((-x, -y, 0), (x, y, 0.8 * h), bevel=0.002, along="y")
    return [border, box(*field, bevel=0.001, along="y", slot=1)]


@scenery("white leaf red", (0.12, 0.12, 0.22), (0.26, 0.26, 0.5))
def vase(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a vase (0) with stems and leaves (1) and flowers (2)."""
    rng, r = design("vase", x, y, h), min(x, y)
    tall, foot = 0.5 * h, (0.3 + 0.25 * float(rng.random())) * r
    belly = (0.45 + 0.25 * float(rng.random())) * r
    form = [(0, 0), (foot, 0), (belly, 0.4 * tall), (0.4 * r, 0.85 * tall), (0.45 * r, tall)]
    yield revolved([*form, (0.0, tall)])
    count = 5 + int(3 * rng.random())
    around = np.arange(count) * 2.4
    lean = r * (0.75 + 0.15 * rng.random(count))
    top = h - 0.1 * r - 0.25 * h * rng.random(count) * (np.arange(count) > 0)
    tips = np.column_stack([np.cos(around) * lean, np.sin(around) * lean, top])
    bases = np.column_stack([0.1 * tips[:, :2], np.full(count, 0.9 * tall)])
    out = np.column_stack([np.cos(around + 1), np.sin(around + 1), np.zeros(count)])
    sides = tips - (0.0, 0.0, 0.12 * h) + 0.3 * r * out
    wide = np.repeat([0.012, 0.25 * r], count)
    ups = np.tile(np.array([0.0, -0.6, 0.8]), (2 * count, 1))
    yield leaves(np.tile(bases, (2, 1)), np.concatenate([tips, sides]), wide, ups, slot=1)
    yield _flowers(tips, 0.22 * r)


def _flowers(at: F64, r: float) -> Piece:
    turn = np.tile(np.arange(5) * 0.4 * math.pi, len(at))
    bases = np.repeat(at, 5, axis=0)
    ways = np.column_stack([np.cos(turn), np.sin(turn), np.full(len(turn), 0.5)])
    ups = np.tile(np.array([0.0, 0.0, 1.0]), (len(turn), 1))
    return leaves(bases - 0.1 * r * ways, bases + r * ways, np.full(len(turn), r), ups, slot=2)


@scenery("red cloth_blue paper", (0.18, 0.15, 0.06), (0.3, 0.22, 0.24))
def books(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build books in a pile or side by side: covers (0, 1), pages (2)."""
    rng = design("books", x, y, h)
    piled = h < 1.4 * x
    end, at, number = (h if piled else 2 * x), 0.0, 0
    while at < end - 1e-6:
        thick = min((0.018 + 0.03 * float(rng.random())) * max(1.0, end / 0.3), end - at)
        thick = end - at if end - at - thick < 0.018 else thick
        less = 0.12 * float(rng.random()) * number / (number + 1)
        low, high = (-x * (1 - less), -y, at), (x * (1 - less), y * (1 - less), at + thick)
        if not piled:
            low, high = (-x + at, -y, 0.0), (-x + at + thick, y * (1 - less), h * (1 - less))
        rim = 0.15 * thick
        cut = [(a + rim, b - rim) for a, b in zip(low, high, strict=True)]
        inner = ((cut[0][0], cut[1][0], cut[2][0]), (cut[0][1], high[1] + 0.001, cut[2][1]))
        yield box(low, high, bevel=0.002, slot=number % 2)
        yield box(*inner, bevel=0, slot=2)
        at, number = at + thick, number + 1


@scenery("white orange red", (0.22, 0.22, 0.11), (0.32, 0.32, 0.16))
def fruit_bowl(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a bowl (0) with fruit of two kinds (1, 2)."""
    r = min(x, y)
    deep = 0.6 * h
    form = [(0, 0), (0.4 * r, 0), (0.8 * r, 0.5 * deep), (r, deep), (0.94 * r, deep),
            (0.6 * r, 0.4 * deep), (0, 0.3 * deep)]  # fmt: skip
    pieces, fruit = [revolved(form)], min(0.34 * r, 0.3 * h)
    for k in range(4):
        out, up = (0.5 * r, deep) if k else (0.0, h - fruit)
        at = (out * math.cos(2.1 * k), out * math.sin(2.1 * k), up)
        pieces.append(ball(fruit, at, slot=1 + k % 2))
    return pieces


@scenery("black glass black", (0.5, 0.18, 0.38), (0.66, 0.22, 0.48))
def monitor(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a monitor with its keyboard: case and foot (0), glass (1), keyboard (2)."""
    low, back = 0.25 * h, 0.5 * y
    return [
        box((-x, back, low), (x, back + 0.03, h), bevel=0.004),
        box((-x + 0.01, back - 0.002, low + 0.015), (x - 0.01, back + 0.01, h - 0.01), slot=1),
        box((-0.03, back + 0.01, 0.01), (0.03, back + 0.03, 0.5 * h)),
        box((-0.35 * x, 0.1 * y, 0), (0.35 * x, y, 0.012)),
        box((-0.7 * x, -y, 0), (0.7 * x, -0.2 * y, 0.018), slot=2),
    ]


@scenery("black lamp", (0.22, 0.22, 0.34), (0.34, 0.34, 0.52))
def table_lamp(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a lamp for a table: foot (0), shade (1)."""
    r = min(x, y)
    belly = (0.2 + 0.4 * float(design("table_lamp", x, y, h).random())) * r
    form = [(0, 0), (0.45 * r, 0), (0.45 * r, 0.02 * h), (belly, 0.3 * h), (0.1 * r, 0.55 * h)]
    return [revolved([*form, (0.0, 0.6 * h)]), lampshade(r, 0.5 * h, h)]


@scenery("black picture", (0.3, 0.02, 0.3), (1.3, 0.04, 1.1))
def picture(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a picture that hangs: frame (0), print (1)."""
    wide = 0.05 * min(2 * x, h)
    frame = box((-x, -0.7 * y, 0), (x, y, h), along="x")
    return [
        frame,
        box((-x + wide, -y, wide), (x - wide, -0.4 * y, h - wide), bevel=0.001, slot=1),
    ]


@scenery("white lamp", (0.7, 0.05, 0.8), (2.2, 0.09, 1.6))
def window(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a window in a wall: frame with its bars and sill (0), panes (1)."""
    wide, inner = 0.06, -0.1 * y
    yield box((-x, -y, 0), (x, y, wide), along="x")
    yield box((-x + 0.02, inner, h - wide), (x - 0.02, y, h), along="x")
    yield box((-x + 0.02, inner, wide), (-x + 0.02 + wide, y, h - wide))
    yield box((x - 0.02 - wide, inner, wide), (x - 0.02, y, h - wide))
    yield box((-x + wide, 0.3 * y, wide), (x - wide, 0.9 * y, h - wide), bevel=0.001, slot=1)
    count = max(1, round(2 * x / 0.8))
    for number in range(1, count):
        at = -x + number * 2 * x / count
        yield box((at - wide / 2, inner, wide), (at + wide / 2, y, h - wide))


@scenery("white", (2.0, 0.012, 0.06), (12.0, 0.02, 0.14))
def skirting(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a skirting board along a wall."""
    return [box((-x, -y, 0), (x, y, h), along="x")]


@scenery("white lamp", (0.08, 0.012, 0.08), (0.16, 0.016, 0.1))
def switch(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a light switch: plate (0), rocker (1)."""
    plate = box((-x, -0.4 * y, 0), (x, y, h), bevel=0.001)
    rocker = ((-0.6 * x, -y, 0.2 * h), (0.6 * x, 0.0, 0.8 * h))
    return [plate, box(*rocker, bevel=0.001, slot=1)]
