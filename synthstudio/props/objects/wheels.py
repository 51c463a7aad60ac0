"""Builders of what rolls: bicycle, motor scooter, pram, shopping cart, wheelchair, walker, car;
and a car from inside; front to -y."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from synthstudio.core.arrays import F64
from synthstudio.core.catalogue import BESIDE, CABIN_REAR_M, CABIN_SIDE
from synthstudio.core.spec import Vec3
from synthstudio.props.objects.furniture import seat_height
from synthstudio.props.objects.kinds import SEAT, Shape, belongs, elsewhere, held, kind, outdoors
from synthstudio.props.objects.shapes import (
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

_AXLE = about("y", math.pi / 2)  # a wheel's axle along x
_SIDE = about("z", math.pi / 2)  # an outline in (depth, height), drawn across


def _across(outline: list[tuple[float, float]], half: float, slot: int = 0) -> Piece:
    return moved(prism(outline, -half, half, slot=slot), turn=_SIDE)


def _ring(radius: float, bar: float, at: Vec3, *, slot: int) -> Piece:
    path = [(0.0, radius * c, radius * s) for c, s in arc(0, 2 * math.pi, 29)]
    return moved(tube(path, bar, segments=7, slot=slot), at)


def _tyre(r: float, thick: float, at: Vec3, *, slot: int, spokes: int, metal: int) -> list[Piece]:
    """A wheel with its axle along x: tyre, rim, hub and spokes."""
    hub = moved(moved(cylinder(0.022, -0.04, 0.04, segments=10, slot=metal), turn=_AXLE), at)
    rim = _ring(r - 2.2 * thick, 0.45 * thick, at, slot=metal)
    pieces = [_ring(r - thick, thick, at, slot=slot), rim, hub]
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
        moved(revolved(profile, segments=28, slot=slot), at, turn=_AXLE),
        moved(revolved([*cap, (0, half + 0.003)], segments=20, slot=hub), at, turn=_AXLE),
    ]


@held("walk", at=(0.4, -0.135, 0.985), stands=True, supports=True)
@outdoors("red black steel", (0.56, 1.65, 0.88), (0.64, 1.85, 1.15))
def bicycle(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a bicycle: frame (0), tyres, saddle and grips (1), rims and chain (2)."""
    r = min(0.33, 0.34 * h, 0.38 * y)
    front, rear, bottom = -y + r, y - r, (0.0, 0.1 * y, 0.9 * r)
    head, seat = (0.0, front + 0.28 * y, 0.88 * h), (0.0, 0.32 * y, 0.78 * h)
    low = (0.0, front + 0.24 * y, 0.72 * h)
    bar = h - 0.015
    saddle = [(-0.1, 0.0), (0.15, 0.0), (0.14, 0.04), (0.04, 0.055), (-0.1, 0.04)]
    yield tube([bottom, (0, seat[1], seat[2])], 0.016)
    yield tube([bottom, low], 0.018)
    yield tube([(0, seat[1], seat[2] - 0.06), (0, head[1] - 0.005, head[2] - 0.05)], 0.015)
    yield tube([low, head], 0.02)
    yield tube([head, (0, head[1] - 0.05, bar - 0.01)], 0.013, slot=2)
    yield tube([seat, (0, seat[1] + 0.03, 0.9 * h)], 0.013, slot=2)
    yield moved(_across(saddle, 0.06, 1), (0, seat[1] + 0.02, 0.89 * h))
    yield moved(cylinder(0.09, 0.04, 0.046, segments=24, slot=2), bottom, turn=_AXLE)
    for s in (1, -1):
        chain = [(0.043, bottom[1], bottom[2] + s * 0.09), (0.043, rear, r + s * 0.04)]
        yield tube(chain, 0.004, segments=5, slot=2)
    for s in (-1, 1):
        near = [(0, head[1] - 0.05, bar - 0.01), (s * 0.45 * x, head[1] - 0.05, bar - 0.005)]
        path = [*near, (s * 0.7 * x, head[1] + 0.02, bar), (s * (x - 0.005), head[1] + 0.09, bar)]
        yield tube(path, 0.011, slot=2)
        yield tube([path[2], path[3]], 0.015, slot=1)
        pedal = box((-0.045, -0.03, -0.01), (0.045, 0.03, 0.01), slot=1)
        yield moved(pedal, (s * 0.14, bottom[1] - s * 0.12, bottom[2] - s * 0.11))
        crank = [(s * out, bottom[1] - s * 0.12, bottom[2] - s * 0.11) for out in (0.075, 0.12)]
        yield tube([(s * 0.06, bottom[1], bottom[2]), *crank], 0.009, slot=2)
        yield tube([(s * 0.03, rear, r), (s * 0.03, bottom[1], bottom[2])], 0.009)
        yield tube([(s * 0.03, rear, r), (s * 0.015, seat[1], seat[2] - 0.08)], 0.008)
        yield tube([(s * 0.04, front, r), (s * 0.035, low[1] - 0.03, low[2] - 0.1), low], 0.011)
    for at in (front, rear):
        yield from _tyre(r, 0.02, (0, at, r), slot=1, spokes=16, metal=2)


@belongs("street")
@kind("orange black steel", (0.62, 1.65, 1.02), (0.74, 1.9, 1.2))
def motor_scooter(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a motor scooter: body (0), seat, tyres and grips (1), bright metal (2)."""
    r = 0.24 * h
    front, rear = -y + r, y - r - 0.05
    wide = min(0.17, 0.5 * x)

    back = [(0.0, 0.3 * h), (0.85 * y, 0.32 * h), (0.97 * y, 0.46 * h), (0.8 * y, 0.6 * h),
            (0.06 * y, 0.6 * h)]  # fmt: skip
    seat = [(0.03 * y, 0.59 * h), (0.82 * y, 0.59 * h), (0.9 * y, 0.66 * h), (0.5 * y, 0.7 * h),
            (0.42 * y, 0.66 * h), (0.03 * y, 0.65 * h)]  # fmt: skip
    shield = [(a * y, b * h) for a, b in ((-0.5, 0.22), (-0.42, 0.22), (-0.5, 0.82), (-0.58, 0.82))]
    guard = [(front - 0.9 * r, 1.2 * r), (front + 0.95 * r, 1.1 * r), (front + 0.8 * r, 1.7 * r),
             (front - 0.1 * r, 2.05 * r), (front - 0.75 * r, 1.7 * r)]  # fmt: skip
    yield _across(back, wide)
    yield _across(back[1:4], 0.5 * wide, 2)
    yield _across(shield, 1.15 * wide)
    yield box((-wide, -0.5 * y, 0.18 * h), (wide, 0.1 * y, 0.24 * h), bevel=0.015)
    yield _across([(0.0, 0.59 * h), *seat[1:3], (0.03 * y, 0.66 * h)], 0.85 * wide, 1)
    yield _across(guard, 0.45 * wide)
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
def pram(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a pram, pushed from +y: cot and hood (0), chassis and handle (1), tyres (2)."""
    r = 0.13 * h
    cot, rim = 0.4 * h, 0.66 * h
    end = 0.4 * y
    outline = [(-0.78 * y, cot), (0.3 * y, cot), (end, cot + 0.1 * h), (end, rim),
               (-0.92 * y, rim), (-0.9 * y, cot + 0.1 * h)]  # fmt: skip
    hood = [(0.36 * y * c - 0.45 * y, rim + 0.3 * h * s) for c, s in arc(0, math.pi, 11)]
    half = 0.8 * x
    yield _across(outline, half)
    yield _across(hood, 0.98 * half)
    yield box((-half - 0.006, -0.92 * y, rim - 0.02), (half + 0.006, end, rim + 0.012), slot=1)
    yield moved(cylinder(0.015, -half, half, slot=1), (0, y - 0.016, h - 0.016), turn=_AXLE)
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


@belongs("ward")
@kind(
    "cloth_blue steel black",
    (0.66, 0.76, 0.88),
    (0.7, 0.82, 0.96),
    shape="seat_height_m",
    roles=SEAT,
)
def wheelchair(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a wheelchair: seat and back (0), frame and rims (1), tyres and grips (2).

    Footplates are folded up and there are no armrests.
    """
    sit = seat_height(h, shape)
    r, half = min(0.3, 0.85 * sit), x - 0.07
    axle, back = y - r, y - r - 0.03
    front, caster = -y + 0.09, 0.065
    yield box((-half, -y + 0.02, sit - 0.03), (half, back, sit), bevel=0.012)
    yield box((-half, back, sit + 0.06), (half, back + 0.025, h - 0.1), bevel=0.01)
    for s in (-1, 1):
        cross = [(-s * half, front + 0.12, 0.16), (s * half, front + 0.12, sit - 0.05)]
        yield tube(cross, 0.011, segments=8, slot=1)
        post = [(s * half, back + 0.015, 0.16), (s * half, back + 0.015, h - 0.05)]
        yield tube([*post, (s * half, back + 0.06, h - 0.016)], 0.013, segments=8, slot=1)
        grip = [(s * half, back + 0.05, h - 0.016), (s * half, back + 0.17, h - 0.016)]
        yield tube(grip, 0.016, segments=8, slot=2)
        side = [(s * half, back, sit - 0.04), (s * half, front, sit - 0.04)]
        yield tube([*side, (s * half, front, 2 * caster)], 0.013, segments=8, slot=1)
        yield tube([(s * half, back, 0.16), (s * half, front, 0.16)], 0.011, segments=8, slot=1)
        yield box((s * half, back - 0.3, sit - 0.03), (s * (half + 0.006), back, sit + 0.1), slot=0)
        plate = (s * (half - 0.11), -y, 0.1), (s * (half - 0.01), -y + 0.012, 0.26)
        yield box(*plate, slot=2)
        yield from disc(caster, 0.014, (s * half, front, caster), slot=2, hub=1)
        yield from _tyre(r, 0.013, (s * (x - 0.04), axle, r), slot=2, spokes=16, metal=1)
        yield _ring(0.88 * r, 0.008, (s * (x - 0.008), axle, r), slot=1)


@held("push", at=(0.0, 0.47, 0.985), stands=True, supports=True)
@belongs("ward")
@kind("cloth_blue steel black", (0.58, 0.6, 0.84), (0.64, 0.72, 1.14))
def walker(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a walker with four wheels: bag and seat (0), frame (1), grips and tyres (2)."""
    half, r, seat = x - 0.05, 0.09, 0.6 * h
    bar = (y - 0.016, h - 0.016)
    yield box((-half + 0.02, -0.2 * y, seat - 0.02), (half - 0.02, 0.3 * y, seat), slot=2)
    yield box((-half + 0.05, -0.75 * y, 0.3 * h), (half - 0.05, -0.1 * y, 0.52 * h), bevel=0.02)
    yield moved(cylinder(0.014, -half, half, slot=2), (0, *bar), turn=_AXLE)
    for s in (-1, 1):
        rear = [(s * half, *bar), (s * half, 0.35 * y, 0.8 * h), (s * half, 0.1 * y, seat)]
        yield tube([*rear, (s * half, -0.82 * y, 1.6 * r)], 0.014, segments=8, slot=1)
        yield tube([rear[2], (s * half, 0.75 * y, r)], 0.014, segments=8, slot=1)
        yield tube([(s * half, -0.75 * y, 0.42 * h), rear[2]], 0.009, segments=8, slot=1)
        for at in (-0.82 * y, 0.75 * y):
            yield from disc(r, 0.016, (s * (x - 0.02), at, r), slot=2, hub=1)
            yield tube([(s * half, at, r), (s * (x - 0.02), at, r)], 0.009, segments=6, slot=1)


@held("steer", at=(0.0, 0.435, 0.5))
@belongs("vehicle")
@kind("black steel rubber", (0.32, 0.62, 0.32), (0.43, 0.68, 0.43), shape="variant")
def steering_wheel(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a steering wheel: rim and hub (0), spokes (1), column to the dashboard (2)."""
    front, r = y - 0.042, h / 2 - 0.015
    middle = (0.0, front, h / 2)
    yield moved(_ring(r, 0.015, (0, 0, 0), slot=0), middle, turn=_SIDE)
    yield ball(0.06, middle, stretch=0.7)
    for a in (0.2 * math.pi, 0.8 * math.pi, -0.5 * math.pi):  # hands are on both sides
        end = (r * math.cos(a), front, h / 2 + r * math.sin(a))
        yield tube([(0.0, front - 0.02, h / 2), end], 0.011, segments=8, slot=1)
    yield tube([(0.0, front - 0.03, h / 2), (0.0, 0.035 - y, h / 2 - 0.14)], 0.035, slot=2)


@belongs("vehicle")
@kind(
    "leather black white",
    (1.42, 2.35, 1.32),
    (1.54, 2.4, 1.42),
    shape=f"seat_height_m {BESIDE}",
    roles=("seat",),
)
def car_cabin(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a car's inside up to its dashboard: seats (0), trim (1), lining (2).

    The driver sits left; windows are open.
    """
    sit = seat_height(h, shape)
    hips, belt, side = y - CABIN_REAR_M, sit + 0.42, 2 * CABIN_SIDE * x
    for at, top in ((-side, sit + shape.get(BESIDE, 0.0)), (side, sit)):
        low, high, rest = at - 0.25, at + 0.25, hips + 0.24
        yield box((low, hips - 0.2, top - 0.16), (high, hips + 0.3, top), bevel=0.04)
        yield box((low + 0.05, hips - 0.1, 0.004), (high - 0.05, hips + 0.24, top - 0.15), slot=1)
        yield box((low, hips + 0.2, top - 0.05), (high, hips + 0.32, top + 0.6), bevel=0.05)
        yield box((at - 0.14, rest, top + 0.66), (at + 0.14, rest + 0.09, top + 0.84), bevel=0.04)
        for s in (-0.06, 0.06):
            rod = [(at + s, rest + 0.04, top + 0.55), (at + s, rest + 0.04, top + 0.7)]
            yield tube(rod, 0.006, segments=6, slot=1)
    near = hips - 0.64
    dash = [(-y, sit), (near - 0.1, sit + 0.2), (near, sit + 0.24), (near, sit + 0.3),
            (near - 0.03, sit + 0.34), (-y, sit + 0.36)]  # fmt: skip
    yield _across(dash, x - 0.06, slot=1)
    yield box((-x + 0.08, y - 0.45, sit - 0.14), (x - 0.08, y - 0.1, sit), bevel=0.04)
    yield box((-x + 0.08, y - 0.16, sit - 0.05), (x - 0.08, y - 0.04, sit + 0.56), bevel=0.04)
    yield box((-0.08, -y, 0.1), (0.08, hips + 0.3, sit - 0.02), bevel=0.02, slot=1)
    yield box((-x, -y, 0), (x, y, 0.004), slot=1)
    yield box((-x + 0.04, y - 0.04, 0.1), (x - 0.04, y, belt), slot=1)
    for s in (-1, 1):
        inner = s * (x - 0.06)
        yield box((s * x, -y, 0.1), (inner, y, belt), bevel=0.02, slot=1)
        arm = (s * (x - 0.12), hips - 0.35, sit + 0.18), (inner, hips + 0.15, sit + 0.23)
        yield box(*arm, bevel=0.015, slot=1)
        for a, b in ((hips + 0.24, hips + 0.35), (y - 0.14, y)):
            yield box((s * (x - 0.1), a, belt), (s * (x - 0.03), b, h - 0.04), slot=1)
        webbing = [(s * (x - 0.11), hips + 0.24, z) for z in (h - 0.3, sit - 0.1)]
        yield tube(webbing, 0.012, segments=4, slot=1)
        rail = (s * (x - 0.14), -y, h - 0.07), (s * (x - 0.02), y, h - 0.005)
        yield box(*rail, bevel=0.02, slot=2)
    yield box((-x + 0.08, -y, h - 0.04), (x - 0.08, y, h), slot=2)


@kind("black", (0.045, 0.3, 0.003), (0.05, 0.6, 0.004), roles=())
def seat_belt(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a loose strap (0); a fastened one is `beds.draped`."""
    return [box((-x, -y, 0), (x, y, h), bevel=0)]


@held("push", at=(0.0, 0.48, 0.985), stands=True, supports=True)
@elsewhere("steel red black", (0.54, 0.85, 0.88), (0.6, 1.0, 1.14))
def shopping_cart(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a shopping cart, pushed from +y: wire (0), handle (1), castors (2)."""
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

    sides = (((-1, -1), (1, -1)), ((1, -1), (1, 1)), ((1, 1), (-1, 1)), ((-1, 1), (-1, -1)))
    for (ax, ay), (bx, by) in sides:
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            bar = 0.006 if share in (0.0, 1.0) else 0.0025
            yield tube([corner(ax, ay, share), corner(bx, by, share)], bar, segments=5)
        count = 7 if ay == by else 12
        for k in range(count + 1):
            foot = between(corner(ax, ay, 0), corner(bx, by, 0), k / count)
            top = between(corner(ax, ay, 1), corner(bx, by, 1), k / count)
            yield tube([foot, top], 0.0025, segments=4)
    for k in range(1, 10):
        ends = [between(corner(s, -1, 0), corner(s, 1, 0), k / 10) for s in (-1, 1)]
        yield tube(ends, 0.0025, segments=4)
    grip = (0.0, y - 0.017, h - 0.017)
    yield moved(cylinder(0.016, -0.93 * x, 0.93 * x, slot=1), grip, turn=_AXLE)
    castors: list[Piece] = []
    for s in (-1, 1):
        edge = s * 0.86 * x
        path = [(edge, y - 0.017, h - 0.017), (edge, near, high), (edge, 0.55 * y, 0.3 * h)]
        path += [(edge, 0.56 * y, 0.16), (edge, 0.48 * y, 0.128), (edge, -0.85 * y, 0.16)]
        yield tube(path, 0.011, segments=8)
        yield tube([(edge, -0.1 * y, 0.14), (s * 0.7 * x, -0.3 * y, low)], 0.011, segments=8)
        for at in (-0.82 * y, 0.6 * y):
            castors += disc(0.055, 0.014, (edge, at, 0.055), slot=2, hub=0)
            castors.append(box((edge - 0.02, at - 0.015, 0.06), (edge + 0.02, at + 0.015, 0.15)))
    yield from castors
    for a in (-0.8, -0.5, -0.2, 0.1, 0.4):
        yield tube([(-0.86 * x, a * y, 0.15), (0.86 * x, a * y, 0.15)], 0.005, segments=5)
    yield ball(0.012, grip, slot=1)


@belongs("street")
@kind("paint glass rubber lamp", (1.62, 3.5, 1.4), (1.85, 4.5, 1.55))
def car(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a car that drives to -y: paint (0), glass (1), tyres and trim (2), lamps (3)."""
    r = 0.22 * h
    front, rear, floor, belt = -0.62 * y, 0.6 * y, 0.13 * h, 0.6 * h

    lower = [(-0.97 * y, floor), (0.96 * y, floor), (y, 0.35 * h), (0.97 * y, belt),
             (-0.5 * y, belt), (-0.93 * y, 0.5 * h), (-y, 0.4 * h)]  # fmt: skip
    shoulder = [(-0.95 * y, 0.3 * h), (0.96 * y, 0.3 * h), (0.98 * y, belt - 0.02),
                (-0.48 * y, belt - 0.02), (-0.9 * y, 0.47 * h)]  # fmt: skip
    cabin = [(-0.42 * y, belt - 0.02), (0.93 * y, belt - 0.02), (0.7 * y, 0.97 * h), (0.45 * y, h),
             (0.0, h), (-0.1 * y, 0.98 * h)]  # fmt: skip
    yield _across(lower, 0.94 * x)
    yield _across(shoulder, x)
    yield _tapered(_across(cabin, 1.0), belt - 0.02, h, x)
    for s in (-1, 1):
        for part in _side_glass(y, h, belt):
            yield _on_side(part, cabin, x, s)
        for at in (-0.33 * y, 0.17 * y, 0.55 * y):
            gap, out = s * 0.995 * x, 0.004
            near, far = (gap - out, at, floor + 0.02), (gap + out, at + 0.006, belt)
            yield box(near, far, bevel=0, slot=2)
        for at in (0.07 * y, 0.44 * y):
            near, far = (s * x - 0.008, at, 0.52 * h), (s * x + 0.008, at + 0.14, 0.54 * h)
            yield box(near, far, slot=2)
        near, far = (s * 0.93 * x, -0.36 * y, belt), (s * 1.0 * x, -0.3 * y, belt + 0.11)
        yield box(near, far, bevel=0.02)
        for at in (front, rear):
            arch = moved(
                cylinder(1.13 * r, 0.85 * x, x + 0.002, segments=28, slot=2), (0, 0, 0), turn=_AXLE
            )
            yield moved(arch if s > 0 else moved(arch, (-1.85 * x - 0.002, 0, 0)), (0, at, r))
            yield from disc(r, 0.1, (s * (x - 0.095), at, r), slot=2, hub=3)
        a, b = sorted((s * 0.55 * x, s * 0.9 * x))
        yield box((a, -0.985 * y, 0.38 * h), (b, -0.9 * y, 0.46 * h), bevel=0.02, slot=3)
        yield box((a, 0.9 * y, 0.44 * h), (b, 0.995 * y, 0.56 * h), bevel=0.02, slot=3)
    yield box((-0.5 * x, -0.995 * y, 0.22 * h), (0.5 * x, -0.9 * y, 0.32 * h), bevel=0.01, slot=2)
    yield box((-0.27, -1.0 * y, 0.24 * h), (0.27, -0.99 * y, 0.31 * h), slot=3)
    yield box((-0.27, 0.99 * y, 0.4 * h), (0.27, 1.0 * y, 0.47 * h), slot=3)
    yield _screen(cabin[0], cabin[5], x)
    yield _screen(cabin[2], cabin[1], x)


_INWARD = 0.2  # a car's roof is so much narrower than its waist


def _half_width(flat: Piece, low: float, high: float, x: float) -> F64:
    """(V,) half the cabin's width at the height of each vertex."""
    return np.asarray(0.93 * x * (1 - _INWARD * (flat.vertices[:, 2] - low) / (high - low)))


def _tapered(flat: Piece, low: float, high: float, x: float, share: float = 1.0) -> Piece:
    """The piece, 1 m to either side, as wide as `share` of the cabin is at each height."""
    half = share * _half_width(flat, low, high, x)
    vertices = flat.vertices * np.column_stack([half, np.ones_like(half), np.ones_like(half)])
    return _reshaded(flat, vertices)


def _reshaded(piece: Piece, vertices: F64) -> Piece:
    """The piece with other vertices and flat normals; no two faces share vertices."""
    corners = piece.faces.ravel()
    spread = vertices[corners].reshape(-1, 3, 3)
    normals = np.cross(spread[:, 1] - spread[:, 0], spread[:, 2] - spread[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return Piece(
        vertices=vertices[corners],
        faces=np.arange(len(corners)).reshape(-1, 3),
        coords=piece.coords[corners],
        normals=np.repeat(normals, 3, axis=0),
        slot=piece.slot,
    )


def _side_glass(y: float, h: float, belt: float) -> list[list[tuple[float, float]]]:
    """The outlines (depth, height) of a side's windows."""
    low, high = belt + 0.015 * h, 0.94 * h
    return [
        [(-0.31 * y, low), (0.15 * y, low), (0.15 * y, high), (-0.08 * y, high)],
        [(0.19 * y, low), (0.56 * y, low), (0.52 * y, high), (0.19 * y, high)],
        [(0.6 * y, low), (0.82 * y, low), (0.64 * y, high - 0.02), (0.57 * y, high)],
    ]


def _on_side(
    outline: list[tuple[float, float]], cabin: list[tuple[float, float]], x: float, s: int
) -> Piece:
    """A pane that lies on the cabin's slanted side `s` (-1 right, 1 left)."""
    flat = moved(prism(outline, 0.985, 1.004, slot=1), turn=_SIDE)
    low, high = min(z for _, z in cabin), max(z for _, z in cabin)
    across = s * _half_width(flat, low, high, x) * -flat.vertices[:, 0]
    faces = flat.faces if s < 0 else flat.faces[:, ::-1]
    vertices = np.column_stack([across, flat.vertices[:, 1], flat.vertices[:, 2]])
    return _reshaded(replace(flat, faces=faces), vertices)


def _screen(low: tuple[float, float], high: tuple[float, float], x: float) -> Piece:
    """A windscreen between two points (depth, height) of the cabin's outline."""
    way = np.array(high) - np.array(low)
    out = np.array([-way[1], way[0]]) / np.hypot(*way)
    a, b = np.array(low) + 0.07 * way, np.array(low) + 0.93 * way
    if out[1] < 0:
        out = -out
    inner, outer = -0.02 * out, 0.004 * out
    ring = np.array([a + inner, b + inner, b + outer, a + outer])
    area = np.sum(ring[:, 0] * np.roll(ring[:, 1], -1) - np.roll(ring[:, 0], -1) * ring[:, 1])
    points = [(float(p), float(q)) for p, q in (ring[::-1] if area < 0 else ring)]
    return _tapered(_across(points, 1.0, 1), min(low[1], high[1]), max(low[1], high[1]), x, 0.93)
