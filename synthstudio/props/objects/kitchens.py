"""Builders of what stands in kitchens and laundry rooms; fronts show towards -y."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from synthstudio.core.spec import Vec3
from synthstudio.props.objects.indoors import fronts, half
from synthstudio.props.objects.kinds import TIMBER, Shape, scenery
from synthstudio.props.objects.shapes import CORNERS, Piece, about, box, cylinder, moved, tube

TAP_M = 0.24
"""A tap stands so high over its worktop."""


@scenery("white white steel", (0.55, 0.58, 1.4), (0.75, 0.7, 2.0))
def fridge(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a fridge over a freezer: body (0), doors (1), handles (2)."""
    x, y, h = half(size)
    middle = 0.4 * h
    return [
        box((-x, -y + 0.055, 0.02), (x, y, h), bevel=0.01),
        box((-x + 0.03, -y + 0.08, 0), (x - 0.03, y - 0.03, 0.02), slot=2),
        *fronts((-x, 0.06), (x, middle), -y),
        *fronts((-x, middle), (x, h), -y),
    ]


@scenery("white glass steel", (0.5, 0.58, 0.85), (0.62, 0.64, 0.92))
def stove(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build a stove with its oven: body (0), hob and window (1), handle, knobs and rings (2)."""
    x, y, h = half(size)
    face = -y + 0.03
    yield box((-x, face + 0.01, 0.05), (x, y, h - 0.012), bevel=0.004)
    yield box((-x + 0.02, face + 0.05, 0), (x - 0.02, y, 0.05), slot=1)
    yield box((-x + 0.01, face, 0.12), (x - 0.01, face + 0.02, 0.8 * h), bevel=0.004)
    yield box((-0.72 * x, face - 0.003, 0.25 * h), (0.72 * x, face + 0.01, 0.66 * h), slot=1)
    yield box((-0.8 * x, -y, 0.72 * h), (0.8 * x, face, 0.74 * h), slot=2)
    yield box((-x, -y + 0.02, h - 0.012), (x, y, h - 0.004), bevel=0.002, slot=1)
    for k in range(5):
        at = (k - 2) * 0.32 * x
        knob = cylinder(0.018, 0, 0.03, segments=10, slot=2)
        yield moved(knob, (at, face + 0.01, 0.89 * h), turn=about("x", math.pi / 2))
    for sx, sy in CORNERS:
        ring = cylinder(0.3 * x, h - 0.006, h, segments=18, slot=2)
        yield moved(ring, (sx * 0.48 * x, sy * 0.45 * y, 0))


@scenery("white wood steel", (0.8, 0.58, 1.09), (1.4, 0.65, 1.16), "plain wood planks")
def sink_unit(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build a sink in a low cupboard: body and doors (0), worktop (1), basin, tap, plinth (2)."""
    x, y, h = half(size)
    top = h - min(TAP_M, 0.3 * h)
    under, basin = top - 0.04, (0.4 * x, 0.55 * y)
    yield box((-x + 0.01, -y + 0.06, 0.09), (x - 0.01, y, under), bevel=0.002)
    yield box((-x + 0.03, -y + 0.1, 0), (x - 0.03, y, 0.09), slot=2)
    yield box((-x, -y, under), (x, -basin[1], top), along="x", slot=1)
    yield box((-x, basin[1], under), (x, y, top), along="x", slot=1)
    yield box((-x, -basin[1], under), (-basin[0], basin[1], top), along="x", slot=1)
    yield box((basin[0], -basin[1], under), (x, basin[1], top), along="x", slot=1)
    yield box((-basin[0], -basin[1], under), (basin[0], basin[1], under + 0.004), slot=2)
    back, up = 0.75 * y, h - 0.02
    arch = [(0.0, back, top), (0.0, back, up - 0.03), (0.0, back - 0.04, up), (0.0, 0.25 * y, up),
            (0.0, 0.2 * y, up - 0.04)]  # fmt: skip
    doors = fronts((-x, 0.09), (x, under), -y + 0.01, columns=max(2, round(size[0] / 0.5)), slot=0)
    handles = [box((-0.03, back - 0.015, top), (0.03, back + 0.015, h - 0.75 * (h - top)), slot=2)]
    tap = [tube(arch, 0.014, segments=8, slot=2), *handles]
    yield from (_steel(piece) for piece in doors)
    yield from tap


def _steel(piece: Piece) -> Piece:
    """Return a front's handle in steel (2) and its door as it is."""
    return replace(piece, slot=2) if piece.slot == 1 else piece


@scenery("white steel glass", (0.58, 0.55, 0.82), (0.62, 0.62, 0.88))
def washing_machine(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a washing machine: body (0), the door's ring and a drawer (1), its glass (2)."""
    x, y, h = half(size)
    face, r = -y + 0.04, 0.33 * min(size[0], h)
    turn, middle = about("x", math.pi / 2), 0.45 * h
    ring = moved(cylinder(r, 0, 0.03, segments=28, slot=1), (0, face, middle), turn=turn)
    pane = moved(cylinder(0.75 * r, 0, 0.04, segments=24, slot=2), (0, face, middle), turn=turn)
    knob = moved(cylinder(0.03, 0, 0.03, slot=1), (0.2 * x, face, 0.9 * h), turn=turn)
    return [
        box((-x, face, 0.015), (x, y, h), bevel=0.012),
        box((-x + 0.03, face + 0.03, 0), (x - 0.03, y - 0.03, 0.015), slot=2),
        box((-x + 0.01, face - 0.008, 0.84 * h), (-0.2 * x, face + 0.01, 0.96 * h)),
        box((0.45 * x, face - 0.004, 0.86 * h), (x - 0.03, face + 0.01, 0.94 * h), slot=2),
        ring,
        pane,
        knob,
    ]


@scenery("white white steel", (0.6, 0.3, 0.5), (1.6, 0.36, 0.75), TIMBER)
def wall_cupboard(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a cupboard that hangs: body (0), doors (1), handles (2)."""
    x, y, h = half(size)
    doors = fronts((-x, 0), (x, h), -y, columns=max(1, round(size[0] / 0.45)))
    return [box((-x, -y + 0.05, 0), (x, y, h), bevel=0.003), *doors]
