"""Builders of what rolls: bicycle, motor scooter, pram, shopping cart; front to -y."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from synthstudio.core.spec import Vec3
from synthstudio.props.objects.kinds import Shape, belongs, elsewhere, held, kind, outdoors
from synthstudio.props.objects.shapes import (
    Piece,
    about,
    ball,
    box,
    cylinder,
    moved,
    prism,
    revolved,
    tube,
)

AXLE = about("y", math.pi / 2)  # a wheel's axle along x
SIDE = about("z", math.pi / 2)  # an outline in (depth, height), drawn across


def _tyre(r: float, thick: float, at: Vec3, *, slot: int, spokes: int, metal: int) -> list[Piece]:
    """A wheel with its axle along x: tyre, rim, hub and spokes."""

    def ring(radius: float, bar: float, which: int) -> Piece:
        angles = np.linspace(0, 2 * math.pi, 29)
        path = [(0.0, radius * math.cos(a), radius * math.sin(a)) for a in angles]
        return moved(tube(path, bar, segments=7, slot=which), at)

    hub = moved(moved(cylinder(0.022, -0.04, 0.04, segments=10, slot=metal), turn=AXLE), at)
    pieces = [ring(r - thick, thick, slot), ring(r - 2.2 * thick, 0.45 * thick, metal), hub]
    for k in range(spokes):
        a = 2 * math.pi * k / spokes
        end = (0.0, (r - 2 * thick) * math.cos(a), (r - 2 * thick) * math.sin(a))
        side = 0.025 if k % 2 else -0.025
        pieces.append(moved(tube([(side, 0, 0), end], 0.0015, segments=4, slot=metal), at))
    return pieces


def disc(r: float, half: float, at: Vec3, *, slot: int, hub: int) -> list[Piece]:
    """A filled wheel with its axle along x."""
    profile = [(0, -half), (0.8 * r, -half), (0.96 * r, -0.8 * half), (r, -0.5 * half)]
    profile += [(a, -b) for a, b in reversed(profile)]
    cap = [(0, -half - 0.003), (0.55 * r, -half - 0.003), (0.6 * r, 0), (0.55 * r, half + 0.003)]
    return [
        moved(revolved(profile, segments=28, slot=slot), at, turn=AXLE),
        moved(revolved([*cap, (0, half + 0.003)], segments=20, slot=hub), at, turn=AXLE),
    ]


@held("walk", at=(0.4, -0.135, 0.985), stands=True, supports=True)
@outdoors("red black steel", (0.56, 1.65, 0.88), (0.64, 1.85, 1.15))
def bicycle(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a bicycle: frame (0), tyres, saddle and grips (1), rims and chain (2)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    r = min(0.33, 0.34 * h, 0.38 * y)
    front, rear, bottom = -y + r, y - r, (0.0, 0.1 * y, 0.9 * r)
    head, seat = (0.0, front + 0.28 * y, 0.88 * h), (0.0, 0.32 * y, 0.78 * h)
    low = (0.0, front + 0.24 * y, 0.72 * h)
    bar = h - 0.015
    saddle = prism(
        [(-0.1, 0.0), (0.15, 0.0), (0.14, 0.04), (0.04, 0.055), (-0.1, 0.04)], -0.06, 0.06, slot=1
    )
    grips = []
    for s in (-1, 1):
        near = [(0, head[1] - 0.05, bar - 0.01), (s * 0.45 * x, head[1] - 0.05, bar - 0.005)]
        path = [*near, (s * 0.7 * x, head[1] + 0.02, bar), (s * (x - 0.005), head[1] + 0.09, bar)]
        grips.append(tube(path, 0.011, slot=2))
        grips.append(tube([path[2], path[3]], 0.015, slot=1))
        grips.append(moved(box((-0.045, -0.03, -0.01), (0.045, 0.03, 0.01), slot=1),
                           (s * 0.14, bottom[1] - s * 0.12, bottom[2] - s * 0.11)))  # fmt: skip
        crank = [(s * out, bottom[1] - s * 0.12, bottom[2] - s * 0.11) for out in (0.075, 0.12)]
        grips.append(tube([(s * 0.06, bottom[1], bottom[2]), *crank], 0.009, slot=2))
        grips.append(tube([(s * 0.03, rear, r), (s * 0.03, bottom[1], bottom[2])], 0.009))
        grips.append(tube([(s * 0.03, rear, r), (s * 0.015, seat[1], seat[2] - 0.08)], 0.008))
        grips.append(
            tube([(s * 0.04, front, r), (s * 0.035, low[1] - 0.03, low[2] - 0.1), low], 0.011)
        )
    frame = [
        tube([bottom, (0, seat[1], seat[2])], 0.016),
        tube([bottom, low], 0.018),
        tube([(0, seat[1], seat[2] - 0.06), (0, head[1] - 0.005, head[2] - 0.05)], 0.015),
        tube([low, head], 0.02),
        tube([head, (0, head[1] - 0.05, bar - 0.01)], 0.013, slot=2),
        tube([seat, (0, seat[1] + 0.03, 0.9 * h)], 0.013, slot=2),
        moved(saddle, (0, seat[1] + 0.02, 0.89 * h), turn=SIDE),
        moved(cylinder(0.09, 0.04, 0.046, segments=24, slot=2), bottom, turn=AXLE),
    ]
    for s in (1, -1):
        chain = [(0.043, bottom[1], bottom[2] + s * 0.09), (0.043, rear, r + s * 0.04)]
        frame.append(tube(chain, 0.004, segments=5, slot=2))
    wheels = [
        piece
        for at in (front, rear)
        for piece in _tyre(r, 0.02, (0, at, r), slot=1, spokes=16, metal=2)
    ]
    return [*frame, *grips, *wheels]


@belongs("street")
@kind("orange black steel", (0.62, 1.65, 1.02), (0.74, 1.9, 1.2))
def motor_scooter(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build a motor scooter: body (0), seat, tyres and grips (1), bright metal (2)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    r = 0.24 * h
    front, rear = -y + r, y - r - 0.05
    wide = min(0.17, 0.5 * x)

    def across(outline: list[tuple[float, float]], half: float, slot: int = 0) -> Piece:
        return moved(prism(outline, -half, half, slot=slot), turn=SIDE)

    back = [(0.0, 0.3 * h), (0.85 * y, 0.32 * h), (0.97 * y, 0.46 * h), (0.8 * y, 0.6 * h),
            (0.06 * y, 0.6 * h)]  # fmt: skip
    seat = [(0.03 * y, 0.59 * h), (0.82 * y, 0.59 * h), (0.9 * y, 0.66 * h), (0.5 * y, 0.7 * h),
            (0.42 * y, 0.66 * h), (0.03 * y, 0.65 * h)]  # fmt: skip
    shield = [(a * y, b * h) for a, b in ((-0.5, 0.22), (-0.42, 0.22), (-0.5, 0.82), (-0.58, 0.82))]
    guard = [(front - 0.9 * r, 1.2 * r), (front + 0.95 * r, 1.1 * r), (front + 0.8 * r, 1.7 * r),
             (front - 0.1 * r, 2.05 * r), (front - 0.75 * r, 1.7 * r)]  # fmt: skip
    yield across(back, wide)
    yield across(back[1:4], 0.5 * wide, 2)
    yield across(shield, 1.15 * wide)
    yield box((-wide, -0.5 * y, 0.18 * h), (wide, 0.1 * y, 0.24 * h), bevel=0.015)
    yield across([(0.0, 0.59 * h), *seat[1:3], (0.03 * y, 0.66 * h)], 0.85 * wide, 1)
    yield across(guard, 0.45 * wide)
    yield tube([(0, front, r), (0, -0.52 * y, 0.84 * h), (0, -0.5 * y, 0.9 * h)], 0.03, slot=2)
    yield box((-0.5 * wide, -0.62 * y, 0.82 * h), (0.5 * wide, -0.46 * y, 0.94 * h), bevel=0.025)
    yield moved(
        cylinder(0.065, 0, 0.03, slot=2), (0, -0.6 * y, 0.88 * h), turn=about("x", math.pi / 2)
    )
    yield from disc(r, 0.05, (0, front, r), slot=1, hub=2)
    yield from disc(r, 0.055, (0, rear, r), slot=1, hub=2)
    for s in (-1, 1):
        grip = (s * (x - 0.004), -0.45 * y, 0.91 * h)
        yield tube(
            [(0, -0.52 * y, 0.9 * h), (s * 0.5 * x, -0.5 * y, 0.92 * h), grip], 0.013, slot=2
        )
        yield tube([(s * 0.65 * x, -0.481 * y, 0.916 * h), grip], 0.017, slot=1)
        mirror = (s * 0.8 * x, -0.5 * y, h - 0.06)
        yield tube([(s * 0.55 * x, -0.5 * y, 0.92 * h), mirror], 0.005, segments=6, slot=2)
        glass = cylinder(0.055, -0.006, 0.006, segments=16, slot=2)
        yield moved(glass, mirror, turn=about("x", math.pi / 2))


@held("push", at=(0.0, 0.48, 0.985), stands=True, supports=True)
@outdoors("cloth_blue steel black", (0.54, 0.9, 0.88), (0.64, 1.1, 1.14), "plain checks dots")
def pram(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build a pram, pushed from +y: cot and hood (0), chassis and handle (1), tyres (2)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    r = 0.13 * h
    cot, rim = 0.4 * h, 0.66 * h
    end = 0.4 * y
    outline = [(-0.78 * y, cot), (0.3 * y, cot), (end, cot + 0.1 * h), (end, rim),
               (-0.92 * y, rim), (-0.9 * y, cot + 0.1 * h)]  # fmt: skip
    hood = [
        (0.36 * y * math.cos(a) - 0.45 * y, rim + 0.3 * h * math.sin(a))
        for a in np.linspace(0, math.pi, 11)
    ]
    half = 0.8 * x
    yield moved(prism(outline, -half, half), turn=SIDE)
    yield moved(prism(hood, -0.98 * half, 0.98 * half), turn=SIDE)
    yield box((-half - 0.006, -0.92 * y, rim - 0.02), (half + 0.006, end, rim + 0.012), slot=1)
    yield moved(cylinder(0.015, -half, half, slot=1), (0, y - 0.016, h - 0.016), turn=AXLE)
    for s in (-1, 1):
        edge = s * (half - 0.01)
        path = [(edge, -0.7 * y, r), (edge, 0.25 * y, cot), (edge, 0.55 * y, rim + 0.05)]
        path.append((edge, y - 0.016, h - 0.016))
        yield tube(path, 0.012, segments=8, slot=1)
        yield tube([(edge, 0.62 * y, r), (edge, -0.3 * y, cot)], 0.012, segments=8, slot=1)
        for at in (-0.7 * y, 0.62 * y):
            wheel = (s * (x - 0.025), at, r)
            yield from disc(r, 0.02, wheel, slot=2, hub=1)
            yield tube([(edge, at, r), wheel], 0.01, segments=6, slot=1)
    yield box((-half + 0.02, -0.6 * y, 0.24 * h), (half - 0.02, 0.4 * y, 0.28 * h), slot=0)


@held("push", at=(0.0, 0.48, 0.985), stands=True, supports=True)
@elsewhere("steel red black", (0.54, 0.85, 0.88), (0.6, 1.0, 1.14))
def shopping_cart(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a shopping cart, pushed from +y: wire (0), handle (1), castors (2)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    low, high = 0.42 * h, 0.9 * h
    near = 0.78 * y

    def corner(sx: float, sy: float, share: float) -> Vec3:
        """A point of the basket's wall: it narrows downwards and to the front."""
        half = (0.9 if sy > 0 else 0.72) * x * (0.86 + 0.14 * share)
        at = near * (0.9 + 0.1 * share) if sy > 0 else -y * (0.82 + 0.17 * share)
        bottom = low + (0.0 if sy < 0 else -0.04 * h)
        return sx * half, at, bottom + share * (high - bottom - (0.05 * h if sy < 0 else 0.0))

    def between(a: Vec3, b: Vec3, share: float) -> Vec3:
        p, q, r = ((1 - share) * u + share * v for u, v in zip(a, b, strict=True))
        return p, q, r

    wire = []
    sides = (((-1, -1), (1, -1)), ((1, -1), (1, 1)), ((1, 1), (-1, 1)), ((-1, 1), (-1, -1)))
    for (ax, ay), (bx, by) in sides:
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            bar = 0.006 if share in (0.0, 1.0) else 0.0025
            wire.append(tube([corner(ax, ay, share), corner(bx, by, share)], bar, segments=5))
        count = 7 if ay == by else 12
        for k in range(count + 1):
            foot = between(corner(ax, ay, 0), corner(bx, by, 0), k / count)
            top = between(corner(ax, ay, 1), corner(bx, by, 1), k / count)
            wire.append(tube([foot, top], 0.0025, segments=4))
    for k in range(1, 10):
        ends = [between(corner(s, -1, 0), corner(s, 1, 0), k / 10) for s in (-1, 1)]
        wire.append(tube(ends, 0.0025, segments=4))
    handle = [
        moved(cylinder(0.016, -0.93 * x, 0.93 * x, slot=1), (0, y - 0.017, h - 0.017), turn=AXLE)
    ]
    legs, castors = [], []
    for s in (-1, 1):
        edge = s * 0.86 * x
        path = [(edge, y - 0.017, h - 0.017), (edge, near, high), (edge, 0.55 * y, 0.3 * h)]
        path += [(edge, 0.56 * y, 0.16), (edge, 0.48 * y, 0.128), (edge, -0.85 * y, 0.16)]
        legs.append(tube(path, 0.011, segments=8))
        legs.append(tube([(edge, -0.1 * y, 0.14), (s * 0.7 * x, -0.3 * y, low)], 0.011, segments=8))
        for at in (-0.82 * y, 0.6 * y):
            castors += disc(0.055, 0.014, (edge, at, 0.055), slot=2, hub=0)
            castors.append(box((edge - 0.02, at - 0.015, 0.06), (edge + 0.02, at + 0.015, 0.15)))
    tray = [
        tube([(-0.86 * x, a * y, 0.15), (0.86 * x, a * y, 0.15)], 0.005, segments=5)
        for a in (-0.8, -0.5, -0.2, 0.1, 0.4)
    ]
    seat = ball(0.012, (0, y - 0.017, h - 0.017), slot=1)
    return [*wire, *handle, *legs, *castors, *tray, seat]
