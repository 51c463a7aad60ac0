"""Builders of what stands outdoors: poles, fences, walls, benches, signs, racks, houses, plants."""

import math
from collections.abc import Iterator

import numpy as np

from synthstudio.core.arrays import F64
from synthstudio.core.rng import Generator
from synthstudio.core.spec import Vec3
from synthstudio.props.objects.furniture import planks, seat_height
from synthstudio.props.objects.kinds import (
    SEAT,
    TIMBER,
    Shape,
    belongs,
    design,
    elsewhere,
    kind,
    outdoors,
    scenery,
)
from synthstudio.props.objects.shapes import (
    Piece,
    about,
    arc,
    ball,
    box,
    cylinder,
    leaves,
    moved,
    prism,
    revolved,
    tube,
)


@elsewhere("steel", (0.05, 0.05, 0.9), (0.3, 0.3, 3.5), "plain stripes concrete")
def pole(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a round post with a domed cap."""
    r = min(x, y)
    cap = min(r, 0.1 * h)
    dome = [(r * math.cos(a), h - cap + cap * math.sin(a)) for a in np.linspace(0, math.pi / 2, 5)]
    return [revolved([(0, 0), (r, 0), *dome[:-1], (0, h)], segments=20)]


@elsewhere("pale_wood", (1.0, 0.05, 0.7), (3.5, 0.08, 1.5), "wood plain", shape="slat_m gap_m")
def fence(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a picket fence: pointed slats on two rails."""
    slat, gap = shape.get("slat_m", 0.07), shape.get("gap_m", 0.05)
    count = max(2, round((2 * x + gap) / (slat + gap)))
    step = (2 * x - slat) / (count - 1)
    point = min(slat * 0.6, h * 0.1)
    for k in range(count):
        a = -x + k * step
        outline = [(a, 0), (a + slat, 0), (a + slat, h - point), (a + slat / 2, h), (a, h - point)]
        yield prism(outline, -y, -y + 0.9 * y)
    for z in (0.2 * h, 0.75 * h):
        yield box((-x, -y + 0.9 * y, z), (x, y, z + 0.08), along="x")


@elsewhere("brick stone", (1.0, 0.2, 0.4), (3.5, 0.4, 1.2), "bricks concrete tiles plain")
def low_wall(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a garden wall (0) with an overhanging cap (1)."""
    cap, over = min(0.06, h / 4), min(0.025, y / 4)
    wall = box((-x + over, -y + over, 0), (x - over, y - over, h - cap), bevel=0.003)
    return [wall, box((-x, -y, h - cap), (x, y, h), bevel=0.01, along="x", slot=1)]


def has_back(h: float, shape: Shape) -> bool:
    return "seat_height_m" in shape or h > 0.6


@outdoors(
    "wood black", (1.0, 0.4, 0.42), (2.0, 0.6, 0.9), TIMBER, shape="seat_height_m", roles=SEAT
)
def bench(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a park bench: boards (0), iron frames (1); and a back when `has_back`."""
    backed = has_back(h, shape)
    sit = seat_height(h, shape) if backed else h
    near, far = (-x, -y, sit - 0.03), (x, y - (0.08 if backed else 0), sit)
    yield from planks(near, far, 1, wide=0.09, gap=0.012)
    if backed:
        near, far = (-x, y - 0.05, min(sit + 0.12, h - 0.05)), (x, y - 0.025, h)
        yield from planks(near, far, 2, wide=0.09, gap=0.015)
    for s in (-1, 1):
        at = s * (x - 0.18)
        a, b = at - 0.025, at + 0.025
        yield box((a, -y + 0.02, sit - 0.07), (b, y - 0.02, sit - 0.03), slot=1)
        yield box((a, -y + 0.04, 0), (b, -y + 0.09, sit - 0.07), slot=1)
        top = h - 0.02 if backed else sit - 0.07
        back = (y - 0.025, y) if backed else (y - 0.09, y - 0.04)
        yield box((a, back[0], 0), (b, back[1], top), slot=1)
        yield box((a - 0.01, -y, 0), (b + 0.01, y, 0.02), slot=1)


@elsewhere("stone", (0.3, 0.3, 1.8), (0.6, 0.6, 3.2), "concrete plain")
def pillar(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a round column with a square base and capital."""
    r = min(x, y) * 0.82
    base = min(0.12, h / 8)
    low = [(0, base), (r * 1.1, base), (r * 1.15, base * 1.35), (r * 1.1, base * 1.7),
           (r, base * 1.8)]  # fmt: skip
    high = [(r * 0.93, h - base * 1.5), (r * 1.02, h - base * 1.4), (r * 1.1, h - base),
            (0, h - base)]  # fmt: skip
    foot, capital = ((-x, -y, 0), (x, y, base)), ((-x, -y, h - base), (x, y, h))
    shaft = revolved([*low, *high], segments=32)
    return [box(*foot, bevel=0.01), shaft, box(*capital, bevel=0.01)]


@belongs("street")
@kind("orange white", (0.28, 0.28, 0.45), (0.5, 0.5, 1.0))
def traffic_cone(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a traffic cone: rubber foot and cone (0) with two bands (1)."""
    foot, tip = 0.035, 0.022
    wide = min(x, y) * 0.72

    def at(share: float) -> tuple[float, float]:
        return wide + (tip - wide) * share, foot + (h - foot) * share

    yield box((-x, -y, 0), (x, y, foot), bevel=0.012)
    low, top = [(0, 0.01), (wide + 0.012, 0.01), (wide, foot + 0.02)], [(tip * 0.6, h), (0, h)]
    yield revolved([*low, at(0.98), *top])
    for (a, za), (b, zb) in ((at(0.34), at(0.52)), (at(0.68), at(0.84))):
        yield revolved([(0, za), (a + 0.003, za), (b + 0.003, zb), (0, zb)], slot=1)


@elsewhere("red white steel", (0.5, 0.08, 1.4), (1.6, 0.14, 2.4), "plain stripes checks")
def sign_board(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a sign: board with a border (0, 1) on posts (2): an octagon when about square."""
    octagon = x < 0.4
    tall = min(2 * x if octagon else 1.2 * x, 0.7 * h)
    middle = h - tall / 2
    back = y - min(0.05, y)
    at = (0.0,) if octagon else (-x * 0.6, x * 0.6)
    width = min(0.03, y * 0.6)
    yield from (tube([(a, back, 0), (a, back, h - 0.02)], width, slot=2) for a in at)
    if octagon:
        for scale, front, slot in ((1.0, -y + 0.004, 1), (0.9, -y, 0)):
            yield prism(_octagon(x * scale, tall / 2 * scale, middle), front, back, slot=slot)
    else:
        low = h - tall
        yield box((-x, -y + 0.006, low), (x, back, h), along="x", slot=1)
        yield box((-x + 0.03, -y, low + 0.03), (x - 0.03, back - 0.004, h - 0.03), along="x")


def _octagon(half_x: float, half_z: float, middle: float) -> list[tuple[float, float]]:
    c = math.tan(math.pi / 8)
    ring = [(1, -c), (1, c), (c, 1), (-c, 1), (-1, c), (-1, -c), (-c, -1), (c, -1)]
    return [(half_x * a, middle + half_z * b) for a, b in ring]


@belongs("street")
@kind("steel", (1.2, 0.5, 0.7), (3.0, 0.9, 0.95))
def bicycle_rack(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a row of upturned-U stands on two ground rails."""
    r = 0.024
    count = max(2, round(2 * x / 0.75) + 1)
    for k in range(count):
        a = -x + r + k * (2 * x - 2 * r) / (count - 1)
        bend = min(y - r, h - r, 0.15)
        turn = arc(0, math.pi / 2, 5)
        bent = [(y - r - bend + bend * c, h - r - bend + bend * s) for c, s in turn]
        path = [(a, y - r, 0.0), *((a, p, z) for p, z in bent)]
        path += [(a, -p, z) for p, z in reversed(bent)] + [(a, -y + r, 0.0)]
        yield tube(path, r)
    for s in (-1, 1):
        yield box((-x, s * y, 0), (x, s * (y - 2 * r), 0.012), along="x")


@belongs("street")
@kind("black", (1.2, 0.05, 0.8), (3.5, 0.08, 1.15))
def railing(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a railing: posts, a handrail and upright bars (1 slot)."""
    rail = min(0.024, y)
    count = max(2, round(2 * x / 1.2) + 1)
    yield box((-x, -y, h - 2 * rail), (x, y, h), bevel=rail * 0.5, along="x")
    yield box((-x, -rail / 2, 0.1), (x, rail / 2, 0.1 + rail), along="x")
    for k in range(count):
        a = -x + rail + k * (2 * x - 2 * rail) / (count - 1)
        yield box((a - rail, -rail, 0), (a + rail, rail, h - rail))
    bars = max(2, round(2 * x / 0.13))
    for k in range(1, bars):
        a = -x + k * 2 * x / bars
        yield moved(cylinder(0.007, 0.1 + rail / 2, h - rail, segments=8, bevel=0.0005), (a, 0, 0))


@elsewhere("cloth_blue glass picture", (0.4, 0.3, 1.2), (0.6, 0.5, 1.7))
def kiosk(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a ticket machine: body (0), slanted screen (1), what it shows (2), slots (1)."""
    # The profile lies in (depth, height); a prism is drawn along y, so it is turned.
    profile = [(-y, 0.0), (y, 0.0), (y, h), (0.1 * y, h), (-y, 0.68 * h)]
    turn = about("z", math.pi / 2)
    lean = math.atan2(1.1 * y, 0.32 * h)
    tall = math.hypot(1.1 * y, 0.32 * h)
    tilt = about("x", -lean)

    def on_slope(piece: Piece) -> Piece:
        return moved(piece, (0, -y, 0.68 * h), turn=tilt)

    return [
        moved(prism(profile, -x, x), turn=turn),
        on_slope(box((-0.86 * x, -0.004, 0.06 * tall), (0.86 * x, 0.004, 0.94 * tall), slot=1)),
        on_slope(box((-0.78 * x, -0.006, 0.12 * tall), (0.78 * x, 0.002, 0.88 * tall), slot=2)),
        box((-0.5 * x, -y - 0.006, 0.5 * h), (0.1 * x, -y + 0.01, 0.52 * h), slot=1),
        box((0.3 * x, -y - 0.012, 0.46 * h), (0.7 * x, -y + 0.01, 0.58 * h), slot=1),
        box((-0.4 * x, -y - 0.006, 0.22 * h), (0.4 * x, -y + 0.01, 0.33 * h), slot=1),
        moved(cylinder(0.012, 0, 0.02, slot=2), (0.5 * x, -y - 0.004, 0.62 * h),
              turn=about("x", math.pi / 2)),
    ]  # fmt: skip


@scenery("brick glass white", (7.0, 5.0, 5.0), (16.0, 8.0, 12.0), "plain bricks concrete")
def building(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a house front: body (0), panes in rows and a door (1), their frames (2)."""
    out = 0.03 * y
    yield box((-x, -y + out, 0), (x, y, h), along="x")
    rows, columns = max(1, round(h / 3.0)), max(2, round(2 * x / 2.4))
    tall, step = h / rows, 2 * x / columns
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


# Plants: where each leaf grows follows from the size and `variant` alone ----------------------

UP = np.array([0.0, 0.0, 1.0])


GOLDEN = math.pi * (3 - math.sqrt(5))
"""The angle by which successive leaves turn so that they spread evenly."""


@belongs("living_room bedroom kitchen office classroom shop hallway")
@kind("terracotta earth leaf", (0.5, 0.5, 0.7), (1.0, 1.0, 1.8), shape="variant")
def potted_plant(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a pot (0) with earth (1), stems and broad leaves (2)."""
    rng = design("potted_plant", x, y, h, shape)
    r = min(x, y)
    tall = min(0.3 * h, 0.45)
    wide = min(0.62 * r, 0.5 * tall + 0.05)
    yield revolved(
        [(0, 0), (wide * 0.7, 0), (wide * 0.94, tall * 0.8), (wide, tall * 0.81), (wide, tall),
         (wide * 0.9, tall), (wide * 0.88, tall * 0.88), (0, tall * 0.88)]
    )  # fmt: skip
    yield revolved(
        [(0, tall * 0.8), (wide * 0.885, tall * 0.8), (wide * 0.885, tall * 0.9), (0, tall * 0.92)],
        slot=1,
    )
    leaf = []
    for k in range(9):
        around = k * GOLDEN + rng.uniform(-0.3, 0.3)
        lean = rng.uniform(0.25, 0.6) if k else 0.02
        top = h * rng.uniform(0.65, 0.9) if k else h * 0.88
        out = np.array([math.cos(around), math.sin(around), 0.0])
        foot = out * wide * 0.3 + UP * tall * 0.85
        end = out * lean * r + UP * top
        bend = (foot + end) / 2 - out * 0.15 * lean * r
        stem = [_xyz(foot), _xyz(bend), _xyz(end)]
        yield tube(stem, [0.009, 0.007, 0.003], segments=6, slot=2)
        leaf.append(_fronds(rng, (foot, bend, end), 0.7 * min(r, 0.6 * h)))
    bases, tips, sizes = (np.concatenate([one[k] for one in leaf]) for k in range(3))
    yield leaves(bases, tips, sizes * 0.36, np.tile(UP, (len(sizes), 1)), slot=2)


def _fronds(rng: Generator, stem: tuple[F64, F64, F64], length: float) -> tuple[F64, F64, F64]:
    """(L, 3) bases, (L, 3) tips and (L,) lengths of the leaves of one stem.

    The stem is an arc from its foot through a bend to its end; the last leaf is at its tip.
    """
    share = np.append(np.repeat(np.linspace(0.35, 1, 7), 2), 1.0)[:, None]
    foot, bend, end = stem
    bases = (1 - share) ** 2 * foot + 2 * share * (1 - share) * bend + share**2 * end
    around = rng.uniform(0, 2 * math.pi, len(share))
    ways = np.column_stack([np.cos(around), np.sin(around), rng.uniform(-0.5, 0.45, len(share))])
    ways[-1] = end - bend
    sizes = length * rng.uniform(0.65, 1.0, len(share)) * (1.15 - 0.4 * share[:, 0])
    return bases, bases + _unit(ways) * sizes[:, None], sizes


def _unit(vectors: F64) -> F64:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _xyz(point: F64) -> Vec3:
    return float(point[0]), float(point[1]), float(point[2])


@belongs("green")
@kind("thicket leaf", (0.8, 0.35, 0.5), (2.5, 0.7, 1.5), shape="variant")
def hedge(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a clipped hedge: a dark core (0) under a coat of small leaves (1)."""
    rng = design("hedge", x, y, h, shape)
    coat = min(0.07, 0.3 * min(x, y))
    core = box((-x + coat, -y + coat, 0), (x - coat, y - coat, h - coat), bevel=coat)
    half = np.array([x - coat, y - coat, (h - coat) / 2])
    areas = half[[1, 0, 0]] * half[[2, 2, 1]]
    count = int(min(1500, 16 + 2400 * areas.sum()))
    # Five sides: the ground needs none.
    axis = np.searchsorted(np.cumsum(areas / areas.sum())[:2], rng.random(count))
    side = np.where((axis == 2) | (rng.random(count) < 0.5), 1.0, -1.0)
    rows = np.arange(count)
    bases = rng.uniform(-1, 1, (count, 3))
    bases[rows, axis] = side
    bases = bases * half + np.array([0, 0, half[2]])
    ways = rng.normal(size=(count, 3)) * 0.8
    ways[rows, axis] = side * 0.45
    ups = rng.normal(size=(count, 3)) * 0.3
    ups[rows, axis] += side
    sizes = np.minimum(rng.uniform(0.05, 0.095, count), coat * 1.6)
    return [core, leaves(bases, bases + _unit(ways) * sizes[:, None], sizes * 0.6, ups, slot=1)]


@belongs("green")
@kind("thicket wood leaf", (0.6, 0.6, 0.6), (1.6, 1.6, 1.7), shape="variant")
def shrub(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a round bush: a core (0), a trunk (1) and a coat of leaves (2)."""
    rng = design("shrub", x, y, h, shape)
    r = min(x, y)
    bare = 0.12 * h
    centre = np.array([0, 0, (h + bare) / 2])
    reach = np.array([r, r, (h - bare) / 2]) * 0.86
    core = ball(float(reach[0]) * 0.9, _xyz(centre), stretch=float(reach[2] / reach[0]))
    trunk = tube([(0, 0, 0), (0, 0, 0.5 * h)], 0.03, slot=1)
    count = int(min(1500, 150 + 1300 * r * h))
    out = _spread(count)
    bases = centre + out * reach * rng.uniform(0.82, 0.98, (count, 1))
    ways = _unit(out + 0.6 * rng.normal(size=(count, 3)))
    sizes = rng.uniform(0.07, 0.12, count)
    ups = out + 0.2 * rng.normal(size=(count, 3))
    return [core, trunk, leaves(bases, bases + ways * sizes[:, None], sizes * 0.5, ups, slot=2)]


@belongs("green street")
@kind("thicket wood leaf", (2.0, 2.0, 3.0), (4.5, 4.5, 7.0), shape="variant")
def tree(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a tree: the dark of its crown (0), trunk (1), leaves (2)."""
    rng = design("tree", x, y, h, shape)
    r = min(x, y)
    bare = 0.3 * h
    centre, reach = np.array([0, 0, (h + bare) / 2]), np.array([r, r, (h - bare) / 2]) * 0.9
    core = ball(float(reach[0]) * 0.85, _xyz(centre), stretch=float(reach[2] / reach[0]))
    trunk = tube([(0, 0, 0), (0, 0, 0.5 * h)], 0.05 * r + 0.08, slot=1)
    count = 1400
    out = _spread(count)
    bases = centre + out * reach * rng.uniform(0.75, 0.95, (count, 1))
    ways = _unit(out + 0.7 * rng.normal(size=(count, 3)))
    sizes = rng.uniform(0.09, 0.16, count) * r
    ups = out + 0.2 * rng.normal(size=(count, 3))
    return [core, trunk, leaves(bases, bases + ways * sizes[:, None], sizes * 0.6, ups, slot=2)]


def _spread(count: int) -> F64:
    """(count, 3) unit vectors that are spread evenly over all directions."""
    k = np.arange(count)
    z, around = 1 - 2 * (k + 0.5) / count, k * GOLDEN
    flat = np.sqrt(1 - z * z)
    return np.column_stack([flat * np.cos(around), flat * np.sin(around), z])
