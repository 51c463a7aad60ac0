"""Builders of what people hold and carry every day.

What has a front shows it towards -y; what hangs from a hand has its handle on top, along x.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from synthstudio.core.spec import Vec2
from synthstudio.props.objects.kinds import (
    CLOTH,
    Shape,
    belongs,
    elsewhere,
    held,
    indoors,
    kind,
    outdoors,
)
from synthstudio.props.objects.shapes import (
    CORNERS,
    Piece,
    about,
    arc,
    ball,
    box,
    cylinder,
    moved,
    prism,
    revolved,
    tube,
)

STRAP_LEVELS = 5
"""Down the chest a backpack's straps are fitted at so many heights."""
_STRAP_M = 0.012  # half as thick as they are


@held("read", at=(0.0, 0.15, 0.3))
@kind("red paper", (0.24, 0.05, 0.19), (0.36, 0.07, 0.26), "plain stripes")
def book(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build an open book that shows its pages to -y: cover (0), pages (1)."""
    open_rad = math.asin(min(1.6 * y / x, 0.6))
    half = x / math.cos(open_rad)
    for s in (-1, 1):
        turn = about("z", -s * open_rad)
        yield moved(box((0.0, -0.003, 0), (s * half, 0, h), bevel=0.001), turn=turn)
        near, far = (s * 0.004, -0.016, 0.005), (s * (half - 0.006), -0.003, h - 0.005)
        yield moved(box(near, far, bevel=0.004, slot=1), turn=turn)


@held("cup")
@kind("white black carton", (0.078, 0.078, 0.11), (0.09, 0.09, 0.16), "plain stripes")
def cup(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a paper cup: cup (0), lid (1), sleeve (2)."""
    r = min(x, y)

    def radius(share: float) -> float:
        return r * (0.68 + 0.28 * share)

    lid = [(0, 0.9 * h), (r, 0.9 * h), (r, 0.94 * h), (0.93 * r, 0.95 * h), (0.9 * r, h)]
    band = [(0, 0.3 * h), (radius(0.3) + 0.001, 0.3 * h), (radius(0.7) + 0.001, 0.7 * h)]
    return [
        revolved([(0, 0), (radius(0), 0), (radius(0.93), 0.93 * h), (0, 0.93 * h)], segments=28),
        revolved([*lid, (0.72 * r, h), (0.7 * r, 0.965 * h), (0, 0.965 * h)], segments=28, slot=1),
        revolved([*band, (0, 0.7 * h)], segments=28, slot=2),
    ]


@held("cup", at=(0.0, 0.0, 0.4))
@kind("green white paper", (0.06, 0.06, 0.2), (0.075, 0.075, 0.28), "plain stripes")
def bottle(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a bottle: body (0), cap (1), label (2)."""
    r = min(x, y)
    neck = 0.36 * r
    round_ = arc(0.15, math.pi / 2, 6)
    shoulder = [(neck + (r - neck) * c, (0.66 + 0.17 * s) * h) for c, s in round_]
    body = [(0, 0), (0.88 * r, 0), (0.98 * r, 0.02 * h), (0.98 * r, 0.64 * h), *shoulder]
    return [
        revolved([*body, (neck, 0.93 * h), (0, 0.93 * h)], segments=28),
        revolved([(0, 0.91 * h), (neck * 1.25, 0.91 * h), (neck * 1.25, h - 0.001), (neck, h),
                (0, h)], segments=20, slot=1),
        revolved([(0, 0.25 * h), (r, 0.25 * h), (r, 0.55 * h), (0, 0.55 * h)], segments=28, slot=2),
    ]  # fmt: skip


@held("tray", at=(0.0, 0.0, 0.0))
@indoors("wood black", (0.36, 0.27, 0.025), (0.48, 0.36, 0.04), "plain wood")
def tray(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a serving tray with a raised rim (0) and an inlay (1)."""
    thick, rim = 0.25 * h, 0.014
    yield box((-x + rim / 2, -y + rim / 2, 0), (x - rim / 2, y - rim / 2, thick), bevel=0.001)
    yield box((-x + rim, -y + rim, thick / 2), (x - rim, y - rim, thick + 0.0015), slot=1)
    for s in (-1, 1):
        yield box((s * x, -y, 0), (s * (x - rim), y, h), bevel=0.004, along="y")
        yield box((-x, s * y, 0), (x, s * (y - rim), h), bevel=0.004, along="x")


def _arch(half: float, foot: float, top: float, y: float, radius: float, slot: int) -> Piece:
    """A handle: up from x = -half, along the top, down at x = half."""
    bend = min(0.4 * half, 0.6 * (top - foot))
    top -= radius
    turn = arc(0, math.pi / 2, 5)
    corner = [(half - bend + bend * s, top - bend + bend * c) for c, s in turn]
    right = [(x, y, z) for x, z in corner]
    left = [(-x, y, z) for x, z in reversed(corner)]
    return tube([(-half, y, foot), *left, *right, (half, y, foot)], radius, segments=8, slot=slot)


@held("hang", at=(0.0, 0.0, 0.98), stands=True)
@kind("leather leather brass", (0.24, 0.09, 0.28), (0.34, 0.13, 0.4), "plain checks")
def handbag(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a handbag: leather (0), handles (1), clasp and feet (2)."""
    top = 0.62 * h
    for inset, front in ((0.0, 0.55), (0.012, 1.0)):
        right = [(x - inset, 0.0), (x - inset, 0.12 * top), (0.84 * x - inset, top - inset)]
        outline = [(-x + inset, 0.0), *right, *((-a, b) for a, b in reversed(right[1:]))]
        yield prism(outline, -front * y, front * y)
    flap = [(-0.86 * x, 0.55 * top), (0.86 * x, 0.55 * top), (0.82 * x, top), (-0.82 * x, top)]
    yield prism(flap, -y - 0.004, -0.5 * y)
    yield box((-0.016, -y - 0.012, 0.5 * top), (0.016, -y, 0.6 * top), slot=2)
    for s in (-1, 1):
        yield _arch(0.45 * x, top - 0.03, h, s * 0.006, 0.006, 1)
        yield ball(0.011, (s * 0.45 * x, -y, top - 0.03), slot=2)


@held("hang", at=(0.0, 0.0, 0.985), stands=True)
@kind("tan white red", (0.28, 0.11, 0.38), (0.38, 0.16, 0.5), "plain stripes dots")
def shopping_bag(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a paper shopping bag: paper (0), cords (1), a printed panel (2)."""
    top = 0.76 * h
    yield box((-x, -y, 0), (x, y, top), bevel=0.004)
    yield box((-0.55 * x, -y - 0.001, 0.3 * top), (0.55 * x, y + 0.001, 0.7 * top), bevel=0, slot=2)
    yield from (_arch(0.38 * x, top - 0.015, h, s * 0.005, 0.004, 1) for s in (-1, 1))
    for s, sx in CORNERS:
        end = [(sx * 0.38 * x, s * 0.005, top - 0.015), (sx * 0.38 * x, s * 0.8 * y, top + 0.003)]
        yield tube(end, 0.004, segments=6, slot=1)


@held("hang", at=(0.0, 0.0, 0.975), stands=True)
@belongs("living_room hallway office classroom shop street")
@kind("leather black brass", (0.38, 0.08, 0.32), (0.45, 0.12, 0.38))
def briefcase(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a briefcase: leather (0), handle and edges (1), locks (2)."""
    top = h - 0.055
    return [
        box((-x, -y, 0), (x, y, top), bevel=0.012),
        box((-x - 0.002, -0.004, -0.0), (x + 0.002, 0.004, top + 0.002), bevel=0.001, slot=1),
        _arch(0.075, top - 0.01, h, 0.0, 0.009, 1),
        *(box((s * 0.5 * x - 0.018, -y - 0.004, top - 0.06),
              (s * 0.5 * x + 0.018, -y + 0.002, top - 0.02), slot=2) for s in (-1, 1)),
    ]  # fmt: skip


@held("hang", at=(0.0, 0.0, 0.985), stands=True)
@indoors("cloth_blue steel", (0.26, 0.26, 0.38), (0.31, 0.31, 0.46))
def bucket(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a bucket: body with a rim (0), bail (1)."""
    r = min(x, y)
    top, wall = 0.62 * h, 0.006
    body = revolved(
        [(0, 0), (0.72 * r, 0), (0.94 * r, top - 0.02), (r - 0.006, top - 0.02), (r - 0.006, top),
         (0.95 * r - wall, top), (0.72 * r, 0.02), (0, 0.02)], segments=28,
    )  # fmt: skip
    return [body, _arch(r - 0.004, top - 0.02, h, 0.0, 0.005, 1)]


@held("back", stands=True)
@kind(
    "cloth_blue black steel", (0.27, 0.15, 0.4), (0.33, 0.22, 0.5), "plain camouflage checks",
    shape="strap_0_m strap_1_m strap_2_m strap_3_m strap_4_m shoulder_m arm_pit_m side_m body_m",
)  # fmt: skip
def backpack(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a backpack: cloth (0), pockets and straps (1), zips (2).

    It is worn with its straps towards -y. `strap_K_m` says how far in front of the pack's back
    panel the chest is, at STRAP_LEVELS heights from `shoulder_m` (above the base) down to
    `arm_pit_m`; `side_m` how far from the middle the trunk's side is there. Without them the
    straps lie flat.
    """
    fronts = [shape.get(f"strap_{k}_m", 0.012) for k in range(STRAP_LEVELS)]
    reach = max(fronts) + _STRAP_M
    deep = 2 * y - reach
    y0 = -y + reach  # the plane of the wearer's back
    y1 = y0 + deep
    body = min(h, shape.get("body_m", h))
    yield box((-x, y0, 0), (x, y0 + 0.72 * deep, body), bevel=0.05)
    yield box((-0.8 * x, y0 + 0.5 * deep, 0.04), (0.8 * x, y1, 0.52 * body), bevel=0.035, slot=1)
    yield box(
        (-0.72 * x, y0 + 0.6 * deep, 0.57 * body),
        (0.72 * x, y0 + 0.84 * deep, 0.86 * body),
        bevel=0.03,
        slot=1,
    )
    yield box((-0.6 * x, y1 - 0.004, 0.42 * body), (0.6 * x, y1 + 0.002, 0.432 * body), slot=2)
    yield tube([(-0.05, y0 + 0.03, body - 0.02), (-0.04, y0 + 0.03, body + 0.012),
              (0.04, y0 + 0.03, body + 0.012), (0.05, y0 + 0.03, body - 0.02)], 0.008,
             segments=6, slot=1)  # fmt: skip
    shoulder = shape.get("shoulder_m", 0.96 * body)
    pit = shape.get("arm_pit_m", 0.55 * body)
    side = shape.get("side_m", 0.8 * x)
    at = min(0.55 * x, 0.1)
    for s in (-1, 1):
        worn = "side_m" in shape
        path = [(s * at, y0 + 0.01, min(0.9 * body, shoulder - 0.03))] if worn else []
        path += [(s * at, y0 - 0.35 * fronts[0], shoulder)]
        for level, front in enumerate(fronts):
            z = shoulder - (shoulder - pit) * (0.06 + 0.94 * level / (STRAP_LEVELS - 1))
            path.append((s * (at + 0.15 * (side - at) * level / STRAP_LEVELS), y0 - front, z))
        if worn:
            half = fronts[-1] / 2
            for k, degrees in enumerate((40, 62, 84, 106, 128, 146)):
                # Trunks are boxier than an ellipse.
                a = math.radians(degrees)
                across = (side + 0.02) * math.sin(a) ** 0.65
                ahead = (half + 0.02) * math.copysign(abs(math.cos(a)) ** 0.65, math.cos(a))
                path.append((s * across, y0 - half - ahead, pit - 0.012 * (k + 1)))
        path.append((s * 0.9 * x, y0 + 0.012, min(pit - 0.08, 0.35 * body)))
        yield tube(path, _STRAP_M, segments=6, slot=1)


@held("stand", at=(0.0, 0.0, 0.985), stands=True)
@belongs("bedroom hallway store changing_room shop street")
@kind("yellow black", (0.33, 0.2, 0.72), (0.45, 0.26, 1.05))
def trolley_case(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a case on wheels with its handle drawn out: shell (0), handle and wheels (1)."""
    wheel = 0.045
    top = max(0.58 * h, 0.12)
    yield box((-x, -y, wheel), (x, y, top), bevel=min(0.03, 0.2 * y))
    for at in (k * x / 3 for k in (-2, -1, 0, 1, 2)):
        yield box((at - 0.012, -y - 0.004, wheel + 0.04), (at + 0.012, y + 0.004, top - 0.04))
    yield box((-x - 0.002, -0.006, wheel), (x + 0.002, 0.006, top + 0.002), slot=1)
    half = min(0.1, 0.6 * x)
    for s in (-1, 1):
        yield tube([(s * half, 0, top - 0.05), (s * half, 0, h - 0.014)], 0.007, segments=8, slot=1)
    yield box((-half - 0.02, -0.013, h - 0.028), (half + 0.02, 0.013, h), bevel=0.01, slot=1)
    tyre = cylinder(wheel / 2, -0.012, 0.012, slot=1)
    feet = [(sx * (x - 0.035), sy * (y - 0.03)) for sx, sy in CORNERS]
    for a, b in feet:
        yield moved(tyre, (a, b, wheel / 2), turn=about("y", math.pi / 2))
    for a, b in feet:
        near, far = (a - 0.016, b - 0.012, wheel * 0.6), (a + 0.016, b + 0.012, wheel + 0.01)
        yield box(near, far, slot=1)


@held("phone", at=(0.0, 0.5, 0.42))
@kind("black glass steel", (0.07, 0.008, 0.142), (0.079, 0.0095, 0.165))
def phone(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a mobile phone: case (0), glass front (1), lenses on its back (2)."""
    lip = 0.1 * x
    yield box((-x, -y, 0), (x, 0.8 * y, h), bevel=0.0025)
    yield box((-x + lip, -y - 0.0004, lip), (x - lip, -y + 0.001, h - lip), bevel=0.0003, slot=1)
    for at in (0.44 * x, 0.92 * x):
        lens = cylinder(0.18 * x, 0, 0.2 * y, bevel=0.0002, segments=14, slot=2)
        yield moved(lens, (-0.55 * x, y * 0.78, h - at), turn=about("x", -math.pi / 2))


@held("read", at=(0.0, 0.5, 0.4))
@kind("black glass picture", (0.2, 0.007, 0.15), (0.29, 0.009, 0.21), "plain stripes checks")
def tablet(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a tablet computer: case (0), glass (1), what it shows (2)."""
    rim, inner = 0.004, 0.014
    return [
        box((-x, -y + 0.001, 0), (x, y, h), bevel=0.003),
        box((-x + rim, -y + 0.0003, rim), (x - rim, 0, h - rim), bevel=0.0004, slot=1),
        box((-x + inner, -y, inner), (x - inner, -y + 0.001, h - inner), bevel=0.0002, slot=2),
    ]


# Umbrellas: a parasol, one held open, one folded ----------------------------------------------


@elsewhere("orange pale_wood", (1.6, 1.6, 2.0), (2.8, 2.8, 2.6), "plain stripes")
def umbrella(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a parasol: canopy of eight gores (0), pole, ribs and foot (1)."""
    r = min(x, y)
    drop = min(0.28 * r, 0.3 * h)
    spread = 0.9239  # an octagon's inner radius: corners lie on the axes' box when turned
    rim = r / spread
    cloth = canopy(rim, h - 0.03, drop)
    stick = tube([(0, 0, 0.02), (0, 0, h - 0.02)], 0.019, slot=1)
    finial = revolved([(0, h - 0.03), (0.022, h - 0.028), (0.012, h - 0.01), (0, h)], slot=1)
    foot = revolved(
        [(0, 0), (0.24, 0), (0.24, 0.035), (0.05, 0.07), (0.03, 0.25), (0, 0.25)], slot=1
    )
    at = ((0, h - 0.06), (0.5, h - 0.06 - 0.44 * drop), (0.97, h - 0.05 - 0.97 * drop))
    return [cloth, stick, finial, foot, *_ribs(rim, at, 0.006, segments=6)]


@held("shaft", at=(0.0, 0.0, 0.07))
@outdoors("cloth_blue steel wood", (0.9, 0.9, 0.78), (1.15, 1.15, 0.92), CLOTH)
def hand_umbrella(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build an open umbrella on its handle: cloth (0), shaft and ribs (1), handle (2)."""
    r = min(x, y)
    rim = r / math.cos(math.pi / 8)
    drop = min(0.45 * r, 0.4 * h)
    middle = h - 0.06 - 0.46 * drop
    over = ((0, h - 0.05), (0.5, h - 0.055 - 0.46 * drop), (0.97, h - 0.045 - 0.97 * drop))
    under = ((0, h - 0.05 - 0.9 * drop), (0.5, middle))
    pairs = zip(_ribs(rim, over, 0.0025), _ribs(rim, under, 0.002), strict=True)
    return [
        canopy(rim, h - 0.03, drop),
        tube([(0, 0, 0.05), (0, 0, h - 0.01)], 0.006, segments=8, slot=1),
        revolved([(0, h - 0.04), (0.012, h - 0.04), (0.004, h), (0, h)], segments=10, slot=1),
        revolved([(0, 0), (0.013, 0), (0.0155, 0.02), (0.0135, 0.1), (0.008, 0.13), (0, 0.13)],
               segments=14, slot=2),
        *[rib for pair in pairs for rib in pair],
    ]  # fmt: skip


@held("stand", at=(0.0, 0.0, 0.98))
@kind("black steel wood", (0.12, 0.08, 0.72), (0.15, 0.1, 1.0))
def cane_umbrella(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a folded umbrella on its tip: cloth (0), tip (1), curved handle (2)."""
    r = y
    hook = min(max((2 * x - r - 0.011) / 2, 0.02), 0.1 * h)
    bend = [(hook - hook * c, 0.0, h - hook - 0.011 + hook * s) for c, s in arc(0, math.pi, 9)]
    pleats = []
    for a in np.arange(8) * (math.pi / 4):
        folds = ((0.4, a, 0.14), (0.62, a + 0.5, 0.66), (0.3, a + 0.8, 0.72))
        path = [(k * r * math.cos(turn), k * r * math.sin(turn), z * h) for k, turn, z in folds]
        pleats.append(tube(path, [0.2 * r, 0.42 * r, 0.25 * r], segments=7))
    return [
        *pleats,
        revolved([(0, 0), (0.004, 0), (0.006, 0.07), (0.3 * r, 0.13 * h), (0.6 * r, 0.62 * h),
                (0.25 * r, 0.72 * h), (0, 0.72 * h)], segments=16),
        tube([(0, 0, 0.002), (0, 0, 0.14 * h)], 0.0045, segments=8, slot=1),
        tube([(0, 0, 0.7 * h), *bend, (2 * hook, 0, h - 2 * hook - 0.011)], 0.011, segments=8,
             slot=2),
    ]  # fmt: skip


def _ribs(rim: float, at: Sequence[Vec2], radius: float, *, segments: int = 5) -> list[Piece]:
    """Eight rods through points: each the share of the rim's radius and a height."""
    return [
        tube([(share * (math.cos(a) * rim), share * (math.sin(a) * rim), z) for share, z in at],
             radius, segments=segments, slot=1)
        for a in [math.pi / 8 + k * math.pi / 4 for k in range(8)]
    ]  # fmt: skip


def canopy(rim: float, top: float, drop: float) -> Piece:
    """The cloth: straight at the ribs, sagging between them, a short valance below."""
    rings, per = 7, 6
    n = 8 * per
    share = np.linspace(0, 1, rings)
    angle = math.pi / 8 + np.arange(n + 1) * (2 * math.pi / n)
    inside = np.abs(((np.arange(n + 1) % per) / per) - 0.5) * 2  # 1 at a rib, 0 between
    straight = math.cos(math.pi / 8) / np.cos((np.arange(n + 1) % per / per - 0.5) * math.pi / 4)
    radius = rim * share[:, None] * straight
    z = top - drop * (0.75 * share**1.0 + 0.25 * share**2)[:, None]
    z = z - 0.035 * rim * share[:, None] * (1 - inside) ** 2
    grid = np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=-1)
    grid = np.concatenate([grid, grid[-1:] - np.array([0, 0, 0.09 * rim])])
    grid[:, -1] = grid[:, 0]
    rows = len(grid)
    a = (np.arange(rows - 1)[:, None] * (n + 1) + np.arange(n)).ravel()
    faces = np.concatenate(
        [np.column_stack([a, a + n + 1, a + n + 2]), np.column_stack([a, a + n + 2, a + 1])]
    )
    vertices = grid.reshape(-1, 3)
    run = np.concatenate([share * rim, [rim * 1.09]])[:, None]
    coords = np.stack(
        np.broadcast_arrays(angle * np.maximum(run, 0.1 * rim), np.zeros(1), run), axis=-1
    ).reshape(-1, 3)
    return Piece(
        vertices=vertices,
        faces=faces,
        coords=coords,
        normals=_grid_normals(vertices, faces, grid.shape[1]),
        two_sided=True,
    )


def _grid_normals(vertices: np.ndarray, faces: np.ndarray, columns: int) -> np.ndarray:
    """Area-weighted vertex normals; the first and last column are one seam."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, faces[:, k], np.cross(b - a, c - a))
    seam = normals[::columns] + normals[columns - 1 :: columns]
    normals[::columns] = normals[columns - 1 :: columns] = seam
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 1e-12, normals / np.maximum(length, 1e-12), np.array([0, 0, 1.0]))
