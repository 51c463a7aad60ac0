"""Builders of what stands in shops, offices, schools and sports halls; fronts show towards -y."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from synthstudio.core.spec import Vec3
from synthstudio.props.objects.indoors import case, design, half
from synthstudio.props.objects.kinds import TIMBER, Shape, belongs, elsewhere, kind, scenery
from synthstudio.props.objects.shapes import CORNERS, Piece, box, moved, tube


@belongs("shop changing_room")
@kind("steel cloth_blue red tan", (1.0, 0.46, 1.4), (1.7, 0.55, 1.75))
def clothes_rail(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build a rail on feet (0) from which clothes hang side by side (1, 2, 3)."""
    rng = design("clothes_rail", size)
    x, y, h = half(size)
    bar = 0.018
    yield tube([(-x, 0, h - bar), (x, 0, h - bar)], bar, segments=8)
    for s in (-1, 1):
        at = s * (x - 0.05)
        yield tube([(at, 0, 0.02), (at, 0, h - bar)], bar, segments=8)
        yield box((at - 0.02, -y, 0), (at + 0.02, y, 0.03))
    at, last = -x + 0.12, x - 0.15
    slot = 1
    while at < last:
        thick, long = 0.025 + 0.03 * float(rng.random()), (0.35 + 0.4 * float(rng.random())) * h
        wide = (0.7 + 0.25 * float(rng.random())) * y
        slot = slot if rng.random() < 0.5 else 1 + int(3 * rng.random())
        top, ways = h - 0.06, (0.0, 0.07, 0.13, 1.0)
        radii = [0.15 * wide, 0.75 * wide, 0.95 * wide, wide]
        path = [(0.0, 0.0, top - k * long) for k in ways]
        coat = tube(path, radii, segments=10, slot=slot)
        yield moved(_flat(coat, thick / (2 * wide)), (at + thick / 2, 0, 0))
        at += thick + 0.01 + (0.08 * float(rng.random()) if rng.random() < 0.3 else 0.0)


def _flat(piece: Piece, share: float) -> Piece:
    """Return the piece pressed along x to that share."""
    normals = piece.normals / (share, 1.0, 1.0)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    around = piece.coords * (0.65, 1.0, 1.0)  # it is so much less far about it
    vertices = piece.vertices * (share, 1.0, 1.0)
    return replace(piece, vertices=vertices, normals=normals, coords=around)


@belongs("shop store")
@kind("steel red yellow cloth_blue", (1.0, 0.4, 1.4), (1.9, 0.55, 2.1))
def shop_shelf(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build a shelf of a shop: boards and back (0), goods in rows of their kind (1, 2, 3)."""
    rng = design("shop_shelf", size)
    x, y, h = half(size)
    yield box((-x, y - 0.02, 0), (x, y, h), bevel=0.002)
    yield box((-x, -y, 0), (x, y - 0.02, 0.1), bevel=0.002)
    count = max(2, round((h - 0.2) / 0.36))
    room = (h - 0.1) / count
    for level in range(count):
        z = 0.1 + level * room
        if level:
            yield box((-x, -y, z - 0.025), (x, y - 0.02, z), bevel=0.002, along="x")
        at = -x + 0.02
        while at < x - 0.1:
            wide, tall = 0.06 + 0.12 * float(rng.random()), (0.4 + 0.4 * float(rng.random())) * room
            slot = 1 + int(3 * rng.random())
            for _ in range(1 + int(4 * rng.random())):
                if at + wide > x - 0.02 or rng.random() < 0.06:
                    break
                near, far = (at, -0.9 * y, z), (at + wide - 0.006, 0.8 * y, z + tall)
                yield box(near, far, bevel=0, slot=slot)
                at += wide
            at += 0.03


@elsewhere("steel pale_wood carton yellow", (1.4, 0.7, 1.9), (2.6, 1.0, 2.5), TIMBER)
def pallet_rack(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build an open rack: uprights and braces (0), decks (1), boxes (2) and bins (3) with gaps."""
    rng = design("pallet_rack", size)
    x, y, h = half(size)
    for s, t in CORNERS:
        yield box((s * x, t * y, 0), (s * (x - 0.06), t * (y - 0.06), h), slot=0)
    count = 3 if h < 2.2 else 4
    for level in range(count):
        z = 0.12 + level * (h - 0.2) / count
        for s in (-1, 1):
            yield box((s * x, -y + 0.06, z - 0.06), (s * (x - 0.03), y - 0.06, z - 0.02), slot=0)
            yield box((-x, s * y, z - 0.1), (x, s * (y - 0.04), z), slot=0)
        yield box((-x, -y + 0.04, z - 0.02), (x, y - 0.04, z), bevel=0, along="x", slot=1)
        at = -x + 0.08
        while (wide := 0.25 + 0.3 * float(rng.random())) < x - 0.08 - at:
            deep, tall = (0.6 + 0.35 * float(rng.random())) * y, 0.2 + 0.2 * float(rng.random())
            if rng.random() < 0.75:
                slot = 2 if rng.random() < 0.7 else 3
                yield box((at, -deep, z), (at + wide, deep, z + tall), slot=slot)
            at += wide + 0.05


@scenery("steel paint steel", (0.9, 0.45, 1.7), (1.8, 0.55, 2.0))
def lockers(size: Vec3, shape: Shape) -> list[Piece]:
    """Build lockers side by side: body (0), doors (1), handles (2)."""
    rows = 1 + int(2 * design("lockers", size).random())
    return case(size, columns=max(2, round(size[0] / 0.3)), rows=rows)


@scenery("steel steel black", (0.4, 0.5, 0.7), (0.48, 0.62, 1.35))
def filing_cabinet(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a filing cabinet: body (0), drawers (1), handles (2)."""
    return case(size, columns=1, rows=max(2, round(size[2] / 0.33)), plinth=0.03)


@belongs("sports_hall changing_room")
@kind("wood wood", (2.0, 0.25, 0.3), (3.4, 0.33, 0.4), TIMBER)
def gym_bench(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build a long low bench: board (0), feet and beam (1)."""
    x, y, h = half(size)
    yield box((-x, -y, h - 0.04), (x, y, h), bevel=0.01, along="x")
    yield box((-x + 0.1, -0.3 * y, 0.3 * h), (x - 0.1, 0.3 * y, 0.55 * h), along="x", slot=1)
    for at in (-0.8 * x, 0.0, 0.8 * x):
        yield box((at - 0.03, -y * 0.9, 0), (at + 0.03, 0.9 * y, h - 0.04), slot=1)


@scenery("wood wood", (0.95, 0.14, 2.2), (2.8, 0.18, 2.6))
def wall_bars(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build wall bars: posts (0), bars (1)."""
    x, y, h = half(size)
    count = max(1, round(size[0] / 0.95))
    posted = np.linspace(-x, x - 0.04, count + 1)
    yield from (box((a, -y, 0), (a + 0.04, y, h), along="z") for a in posted)
    for z in np.arange(0.2, h - 0.06, 0.15):
        bar = [(-x + 0.02, -0.4 * y, float(z)), (x - 0.02, -0.4 * y, float(z))]
        yield tube(bar, min(0.017, 0.3 * y), segments=6, slot=1)


@belongs("sports_hall")
@kind("wood leather", (1.3, 0.55, 0.9), (1.6, 0.75, 1.2))
def vaulting_box(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build a vaulting box: tiers that narrow upwards (0), padded top (1)."""
    x, y, h = half(size)
    tiers, top = 4, 0.84 * h
    for k in range(tiers):
        a, b = 1 - 0.045 * k, 1 - 0.07 * k
        low, high = k * top / tiers, (k + 1) * top / tiers - 0.008
        yield box((-a * x, -b * y, low), (a * x, b * y, high), bevel=0.004, along="x")
    yield box((-0.8 * x, -0.7 * y, 0.1), (0.8 * x, 0.7 * y, top), slot=1)
    yield box((-0.85 * x, -0.76 * y, top), (0.85 * x, 0.76 * y, h), bevel=0.06, slot=1)
