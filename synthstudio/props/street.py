"""Builders of outdoor and industrial things. Each takes (size_m, shape) and gives pieces.

Base centre near the origin, z up; what has a front shows it towards -y.
"""

from __future__ import annotations

import math

import numpy as np

from synthstudio.core.spec import Vec3
from synthstudio.props.furniture import planks, seat_height
from synthstudio.props.shapes import Piece, box, cylinder, moved, prism, tube, turned

Shape = dict[str, float]


def pole(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a round post with a domed cap."""
    r, h = min(size[0], size[1]) / 2, size[2]
    cap = min(r, 0.1 * h)
    dome = [(r * math.cos(a), h - cap + cap * math.sin(a)) for a in np.linspace(0, math.pi / 2, 5)]
    return [turned([(0, 0), (r, 0), *dome[:-1], (0, h)], segments=20)]


def fence(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a picket fence: pointed slats on two rails."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    slat, gap = shape.get("slat_m", 0.07), shape.get("gap_m", 0.05)
    count = max(2, round((size[0] + gap) / (slat + gap)))
    step = (size[0] - slat) / (count - 1)
    point = min(slat * 0.6, h * 0.1)
    pieces = []
    for k in range(count):
        a = -x + k * step
        outline = [(a, 0), (a + slat, 0), (a + slat, h - point), (a + slat / 2, h), (a, h - point)]
        pieces.append(prism(outline, -y, -y + size[1] * 0.45))
    for z in (0.2 * h, 0.75 * h):
        pieces.append(box((-x, -y + size[1] * 0.45, z), (x, y, z + 0.08), along="x"))
    return pieces


def low_wall(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a garden wall (0) with an overhanging cap (1)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    cap, over = min(0.06, h / 4), min(0.025, y / 4)
    wall = box((-x + over, -y + over, 0), (x - over, y - over, h - cap), bevel=0.003)
    return [wall, box((-x, -y, h - cap), (x, y, h), bevel=0.01, along="x", slot=1)]


def has_back(size: Vec3, shape: Shape) -> bool:
    """Whether a bench of that size has a back."""
    return "seat_height_m" in shape or size[2] > 0.6


def bench(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a park bench: boards (0), iron frames (1); and a back when `has_back`."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    backed = has_back(size, shape)
    sit = seat_height(size, shape) if backed else h
    pieces = planks(
        (-x, -y, sit - 0.03), (x, y - (0.08 if backed else 0), sit), 1, wide=0.09, gap=0.012
    )
    if backed:
        pieces += planks(
            (-x, y - 0.05, min(sit + 0.12, h - 0.05)), (x, y - 0.025, h), 2, wide=0.09, gap=0.015
        )
    for s in (-1, 1):
        at = s * (x - 0.18)
        a, b = at - 0.025, at + 0.025
        pieces.append(box((a, -y + 0.02, sit - 0.07), (b, y - 0.02, sit - 0.03), slot=1))
        pieces.append(box((a, -y + 0.04, 0), (b, -y + 0.09, sit - 0.07), slot=1))
        top = h - 0.02 if backed else sit - 0.07
        pieces.append(
            box(
                (a, y - 0.025 if backed else y - 0.09, 0),
                (b, y if backed else y - 0.04, top),
                slot=1,
            )
        )
        pieces.append(box((a - 0.01, -y, 0), (b + 0.01, y, 0.02), slot=1))
    return pieces


def barrel(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a barrel: bulging staves (0) and four hoops (1)."""
    r, h = min(size[0], size[1]) / 2 - 0.004, size[2]

    def radius(z: float) -> float:
        return r * (1 - 0.16 * (2 * z / h - 1) ** 2)

    zs = np.linspace(0, h, 13)
    rim, sunk = radius(0) - 0.025, 0.03
    profile = [
        (0, sunk),
        (rim, sunk),
        (rim, 0),
        *((radius(z), z) for z in zs),
        (rim, h),
        (rim, h - sunk),
        (0, h - sunk),
    ]
    hoops = []
    for z in (0.06 * h, 0.3 * h, 0.7 * h, 0.94 * h):
        w = 0.02
        a, b = radius(z - w), radius(z + w)
        hoops.append(
            turned(
                [
                    (0, z - w),
                    (a - 0.01, z - w),
                    (a + 0.004, z - w),
                    (b + 0.004, z + w),
                    (b - 0.01, z + w),
                    (0, z + w),
                ],
                slot=1,
            )
        )
    return [turned([(a, float(b)) for a, b in profile]), *hoops]


def pillar(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a round column with a square base and capital."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    r = min(x, y) * 0.82
    base = min(0.12, h / 8)
    shaft = turned(
        [
            (0, base), (r * 1.1, base), (r * 1.15, base * 1.35), (r * 1.1, base * 1.7),
            (r, base * 1.8), (r * 0.93, h - base * 1.5), (r * 1.02, h - base * 1.4),
            (r * 1.1, h - base), (0, h - base),
        ],
        segments=32,
    )  # fmt: skip
    return [
        box((-x, -y, 0), (x, y, base), bevel=0.01),
        shaft,
        box((-x, -y, h - base), (x, y, h), bevel=0.01),
    ]


def traffic_cone(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a traffic cone: rubber foot and cone (0) with two bands (1)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    foot, tip = 0.035, 0.022
    wide = min(x, y) * 0.72

    def radius(share: float) -> float:
        return wide + (tip - wide) * share

    def at(share: float) -> tuple[float, float]:
        return radius(share), foot + (h - foot) * share

    bands = []
    for low, high in ((0.34, 0.52), (0.68, 0.84)):
        (a, za), (b, zb) = at(low), at(high)
        bands.append(turned([(0, za), (a + 0.003, za), (b + 0.003, zb), (0, zb)], slot=1))
    return [
        box((-x, -y, 0), (x, y, foot), bevel=0.012),
        turned(
            [(0, 0.01), (wide + 0.012, 0.01), (wide, foot + 0.02), at(0.98), (tip * 0.6, h), (0, h)]
        ),
        *bands,
    ]


def sign_board(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a sign: board with a border (0, 1) on posts (2): an octagon when about square."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    octagon = size[0] < 0.8
    tall = min(size[0] if octagon else size[0] * 0.6, 0.7 * h)
    middle = h - tall / 2
    back = y - min(0.05, y)
    at = (0.0,) if octagon else (-x * 0.6, x * 0.6)
    width = min(0.03, y * 0.6)
    legs = [tube([(a, back, 0), (a, back, h - 0.02)], width, slot=2) for a in at]
    if octagon:
        boards = [
            prism(_octagon(x * scale, tall / 2 * scale, middle), front, back, slot=slot)
            for scale, front, slot in ((1.0, -y + 0.004, 1), (0.9, -y, 0))
        ]
    else:
        low = h - tall
        boards = [
            box((-x, -y + 0.006, low), (x, back, h), along="x", slot=1),
            box((-x + 0.03, -y, low + 0.03), (x - 0.03, back - 0.004, h - 0.03), along="x"),
        ]
    return [*boards, *legs]


def _octagon(half_x: float, half_z: float, middle: float) -> list[tuple[float, float]]:
    c = math.tan(math.pi / 8)
    ring = [(1, -c), (1, c), (c, 1), (-c, 1), (-1, c), (-1, -c), (-c, -1), (c, -1)]
    return [(half_x * a, middle + half_z * b) for a, b in ring]


def umbrella(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a parasol: canopy of eight gores (0), pole, ribs and foot (1)."""
    r, h = min(size[0], size[1]) / 2, size[2]
    drop = min(0.28 * r, 0.3 * h)
    spread = 0.9239  # an octagon's inner radius: corners lie on the axes' box when turned
    rim = r / spread
    cloth = canopy(rim, h - 0.03, drop)
    stick = tube([(0, 0, 0.02), (0, 0, h - 0.02)], 0.019, slot=1)
    finial = turned([(0, h - 0.03), (0.022, h - 0.028), (0.012, h - 0.01), (0, h)], slot=1)
    foot = turned([(0, 0), (0.24, 0), (0.24, 0.035), (0.05, 0.07), (0.03, 0.25), (0, 0.25)], slot=1)
    ribs = []
    for k in range(8):
        a = math.pi / 8 + k * math.pi / 4
        c, s = math.cos(a) * rim, math.sin(a) * rim
        ribs.append(
            tube([(0, 0, h - 0.06), (0.5 * c, 0.5 * s, h - 0.06 - 0.44 * drop),
                  (0.97 * c, 0.97 * s, h - 0.05 - 0.97 * drop)], 0.006, segments=6, slot=1)
        )  # fmt: skip
    return [cloth, stick, finial, foot, *ribs]


def hand_umbrella(size: Vec3, shape: Shape) -> list[Piece]:
    """Build an open umbrella on its handle: cloth (0), shaft and ribs (1), handle (2)."""
    r, h = min(size[0], size[1]) / 2, size[2]
    rim = r / math.cos(math.pi / 8)
    drop = min(0.45 * r, 0.4 * h)
    ribs = []
    for k in range(8):
        a = math.pi / 8 + k * math.pi / 4
        c, s = math.cos(a) * rim, math.sin(a) * rim
        ribs.append(
            tube([(0, 0, h - 0.05), (0.5 * c, 0.5 * s, h - 0.055 - 0.46 * drop),
                  (0.97 * c, 0.97 * s, h - 0.045 - 0.97 * drop)], 0.0025, segments=5, slot=1)
        )  # fmt: skip
        ribs.append(
            tube([(0, 0, h - 0.05 - 0.9 * drop), (0.5 * c, 0.5 * s, h - 0.06 - 0.46 * drop)],
                 0.002, segments=5, slot=1)
        )  # fmt: skip
    return [
        canopy(rim, h - 0.03, drop),
        tube([(0, 0, 0.05), (0, 0, h - 0.01)], 0.006, segments=8, slot=1),
        turned([(0, h - 0.04), (0.012, h - 0.04), (0.004, h), (0, h)], segments=10, slot=1),
        turned([(0, 0), (0.013, 0), (0.0155, 0.02), (0.0135, 0.1), (0.008, 0.13), (0, 0.13)],
               segments=14, slot=2),
        *ribs,
    ]  # fmt: skip


def cane_umbrella(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a folded umbrella on its tip: cloth (0), tip (1), curved handle (2)."""
    r, h = size[1] / 2, size[2]
    hook = min(max((size[0] - r - 0.011) / 2, 0.02), 0.1 * h)
    bend = [
        (hook - hook * math.cos(a), 0.0, h - hook - 0.011 + hook * math.sin(a))
        for a in np.linspace(0, math.pi, 9)
    ]
    pleats = [
        tube(
            [
                (0.4 * r * math.cos(a), 0.4 * r * math.sin(a), 0.14 * h),
                (0.62 * r * math.cos(a + 0.5), 0.62 * r * math.sin(a + 0.5), 0.66 * h),
                (0.3 * r * math.cos(a + 0.8), 0.3 * r * math.sin(a + 0.8), 0.72 * h),
            ],
            [0.2 * r, 0.42 * r, 0.25 * r],
            segments=7,
        )
        for a in np.arange(8) * (math.pi / 4)
    ]
    return [
        *pleats,
        turned([(0, 0), (0.004, 0), (0.006, 0.07), (0.3 * r, 0.13 * h), (0.6 * r, 0.62 * h),
                (0.25 * r, 0.72 * h), (0, 0.72 * h)], segments=16),
        tube([(0, 0, 0.002), (0, 0, 0.14 * h)], 0.0045, segments=8, slot=1),
        tube([(0, 0, 0.7 * h), *bend, (2 * hook, 0, h - 2 * hook - 0.011)], 0.011, segments=8,
             slot=2),
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
    valance = grid[-1:] - np.array([0, 0, 0.09 * rim])
    grid = np.concatenate([grid, valance])
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


def bicycle_rack(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a row of upturned-U stands on two ground rails."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    r = 0.024
    count = max(2, round(size[0] / 0.75) + 1)
    pieces = []
    for k in range(count):
        a = -x + r + k * (size[0] - 2 * r) / (count - 1)
        bend = min(y - r, h - r, 0.15)
        arc = [
            (y - r - bend + bend * math.cos(t), h - r - bend + bend * math.sin(t))
            for t in np.linspace(0, math.pi / 2, 5)
        ]
        path = [(a, y - r, 0.0), *((a, p, z) for p, z in arc)]
        path += [(a, -p, z) for p, z in reversed(arc)] + [(a, -y + r, 0.0)]
        pieces.append(tube(path, r))
    for s in (-1, 1):
        a, b = sorted((s * y, s * (y - 2 * r)))
        pieces.append(box((-x, a, 0), (x, b, 0.012), along="x"))
    return pieces


def railing(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a railing: posts, a handrail and upright bars (1 slot)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    rail = min(0.024, y)
    count = max(2, round(size[0] / 1.2) + 1)
    pieces = [box((-x, -y, h - 2 * rail), (x, y, h), bevel=rail * 0.5, along="x")]
    pieces.append(box((-x, -rail / 2, 0.1), (x, rail / 2, 0.1 + rail), along="x"))
    for k in range(count):
        a = -x + rail + k * (size[0] - 2 * rail) / (count - 1)
        pieces.append(box((a - rail, -rail, 0), (a + rail, rail, h - rail)))
    bars = max(2, round(size[0] / 0.13))
    for k in range(1, bars):
        a = -x + k * size[0] / bars
        pieces.append(
            moved(cylinder(0.007, 0.1 + rail / 2, h - rail, segments=8, bevel=0.0005), (a, 0, 0))
        )
    return pieces


def bin_(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a litter bin: flared body with ribs (0), lid with a slot (1)."""
    r, h = min(size[0], size[1]) / 2, size[2]
    lid = 0.16 * h
    body = turned([(0, 0), (r * 0.78, 0), (r * 0.8, 0.01), (r * 0.96, h - lid), (0, h - lid)],
                  segments=28)  # fmt: skip
    cover = turned(
        [
            (0, h - lid),
            (r, h - lid),
            (r, h - lid * 0.75),
            (r * 0.97, h - lid * 0.7),
            (r * 0.85, h - lid * 0.25),
            (r * 0.55, h),
            (0, h),
        ],
        segments=28,
        slot=1,
    )
    hoops = [
        turned([(0, z), (a + 0.006, z), (a + 0.006, z + 0.02), (0, z + 0.02)], segments=28)
        for share in (0.25, 0.6)
        for z, a in [((h - lid) * share, r * (0.8 + 0.16 * share))]
    ]
    return [body, cover, *hoops]
