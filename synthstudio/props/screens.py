"""Builders of screens. Each takes (size_m, shape) and gives pieces; a screen looks to -y."""

from __future__ import annotations

import math

from synthstudio.core.spec import Vec3
from synthstudio.props.shapes import Piece, about, box, cylinder, moved, prism, tube

Shape = dict[str, float]


def phone(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a mobile phone: case (0), glass front (1), lenses on its back (2)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    lip = 0.05 * size[0]
    lenses = [
        moved(cylinder(0.09 * size[0], 0, 0.2 * y, bevel=0.0002, segments=14, slot=2),
              (-0.55 * x, y * 0.78, h - at * size[0]), turn=about("x", -math.pi / 2))
        for at in (0.22, 0.46)
    ]  # fmt: skip
    return [
        box((-x, -y, 0), (x, 0.8 * y, h), bevel=0.0025),
        box((-x + lip, -y - 0.0004, lip), (x - lip, -y + 0.001, h - lip), bevel=0.0003, slot=1),
        *lenses,
    ]


def tablet(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a tablet computer: case (0), glass (1), what it shows (2)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    rim, inner = 0.004, 0.014
    return [
        box((-x, -y + 0.001, 0), (x, y, h), bevel=0.003),
        box((-x + rim, -y + 0.0003, rim), (x - rim, 0, h - rim), bevel=0.0004, slot=1),
        box((-x + inner, -y, inner), (x - inner, -y + 0.001, h - inner), bevel=0.0002, slot=2),
    ]


def screen(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a television on a floor stand: case and stand (0), glass (1), what it shows (2)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    tall = min(0.58 * size[0], 0.62 * h)
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


def kiosk(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a ticket machine: body (0), slanted screen (1), what it shows (2), slots (1)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    # The profile lies in (depth, height); a prism is drawn along y, so it is turned.
    profile = [(-y, 0.0), (y, 0.0), (y, h), (0.1 * y, h), (-y, 0.68 * h)]
    turn = about("z", math.pi / 2)
    lean = math.atan2(1.1 * y, 0.32 * h)
    tall = math.hypot(1.1 * y, 0.32 * h)
    tilt = about("x", -lean)

    def on_slope(piece: Piece) -> Piece:
        return moved(piece, (0, -y, 0.68 * h), turn=tilt)

    return [
        moved(prism(profile, -x, x), (0, 0, 0), turn=turn),
        on_slope(box((-0.86 * x, -0.004, 0.06 * tall), (0.86 * x, 0.004, 0.94 * tall), slot=1)),
        on_slope(box((-0.78 * x, -0.006, 0.12 * tall), (0.78 * x, 0.002, 0.88 * tall), slot=2)),
        box((-0.5 * x, -y - 0.006, 0.5 * h), (0.1 * x, -y + 0.01, 0.52 * h), slot=1),
        box((0.3 * x, -y - 0.012, 0.46 * h), (0.7 * x, -y + 0.01, 0.58 * h), slot=1),
        box((-0.4 * x, -y - 0.006, 0.22 * h), (0.4 * x, -y + 0.01, 0.33 * h), slot=1),
        moved(cylinder(0.012, 0, 0.02, slot=2), (0.5 * x, -y - 0.004, 0.62 * h),
              turn=about("x", math.pi / 2)),
    ]  # fmt: skip
