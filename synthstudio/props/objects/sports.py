"""Builders of sports gear and tools. What a hand holds by a bar stands on that bar's end."""

import math
from collections.abc import Iterator

import numpy as np

from synthstudio.props.objects.kinds import Shape, belongs, elsewhere, held, indoors, kind, outdoors
from synthstudio.props.objects.shapes import (
    Piece,
    about,
    arc,
    box,
    cylinder,
    moved,
    prism,
    revolved,
    tube,
)

_ACROSS = about("y", math.pi / 2)  # from standing to lying along x


@held("ball", stands=True)
@kind("orange black", (0.21, 0.21, 0.21), (0.25, 0.25, 0.25), "plain checks")
def ball(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a ball (0) with three bands round it (1)."""
    r = min(x, y, h / 2)
    seam = 0.012 * x
    band = revolved([(0, -seam), (r, -seam), (r, seam), (0, seam)], segments=40, slot=1)
    for turn in (np.eye(3), about("x", math.pi / 2), about("y", math.pi / 2)):
        yield moved(band, (0, 0, r), turn=turn)
    skin = 0.996 * r
    profile = [(skin * c, skin * s) for c, s in arc(-math.pi / 2, math.pi / 2, 19)]
    profile[0], profile[-1] = (0.0, -skin), (0.0, skin)
    yield moved(revolved(profile, segments=36), (0, 0, r))


@held("bar", at=(0.0, 0.0, 0.12))
@outdoors("red black white", (0.25, 0.036, 0.66), (0.28, 0.04, 0.7))
def racket(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a tennis racket: frame (0), grip (1), strings (2). Its face is in the x-z plane."""
    r = min(0.011, 0.8 * y)
    grip, low = 0.3 * h, 0.5 * h
    middle, tall = (low + h) / 2, (h - low) / 2
    turn = arc(-math.pi / 2, 1.51 * math.pi, 37)
    ring = [((x - r) * c, 0.0, middle + (tall - r) * s) for c, s in turn]
    yield tube(ring, r, segments=8)
    yield revolved(
        [(0, 0), (0.018, 0), (0.018, 0.015), (0.0145, 0.03), (0.0145, grip), (0, grip)],
        segments=12,
        slot=1,
    )
    yield tube([(0, 0, grip - 0.01), (0, 0, 0.36 * h)], 0.012, segments=8)  # fmt: skip
    for s in (-1, 1):
        yield tube([(0, 0, 0.35 * h), (s * 0.3 * x, 0, 0.42 * h), (s * 0.66 * x, 0, 0.57 * h)],
                 r * 0.9, segments=8)  # fmt: skip
    for share in np.linspace(-0.84, 0.84, 11):
        reach = math.sqrt(1 - share * share)
        across, up = share * (x - r), reach * (tall - r)
        yield tube([(across, 0, middle - up), (across, 0, middle + up)], 0.0012, segments=4, slot=2)
        level, wide = middle + share * (tall - r), reach * (x - r)
        yield tube([(-wide, 0, level), (wide, 0, level)], 0.0012, segments=4, slot=2)


@held("bar", at=(0.0, 0.0, 0.14))
@outdoors("pale_wood black", (0.062, 0.062, 0.72), (0.068, 0.068, 0.86), "wood plain")
def bat(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a baseball bat: wood (0), grip tape (1)."""
    r = min(x, y)
    profile = [
        (0, 0), (0.6 * r, 0), (0.72 * r, 0.012), (0.55 * r, 0.025), (0.38 * r, 0.05),
        (0.4 * r, 0.3 * h), (0.66 * r, 0.55 * h), (0.98 * r, 0.8 * h), (r, 0.93 * h),
        (0.9 * r, 0.985 * h), (0.6 * r, h), (0, h),
    ]  # fmt: skip
    tape = [(0, 0.055), (0.43 * r, 0.055), (0.44 * r, 0.32 * h), (0, 0.32 * h)]
    return [revolved(profile, segments=20), revolved(tape, segments=16, slot=1)]


@held("hang", at=(0.0, -0.44, 0.96))
@outdoors("pale_wood black white", (0.74, 0.1, 0.19), (0.82, 0.12, 0.21), "plain stripes checks")
def skateboard(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a skateboard on its long edge: deck (0), grip tape (1), trucks and wheels (2)."""
    deck, r = 0.012, h / 2
    front = -y
    turn = arc(-math.pi / 2, math.pi / 2, 9)
    outline = [(x - r + r * c, r + r * s) for c, s in turn]
    outline += [(-x + r - r * c, r - r * s) for c, s in turn]
    inner = [(a * 0.985, r + (b - r) * 0.96) for a, b in outline]
    yield prism(outline, front + 0.0015, front + deck)
    yield prism(inner, front, front + 0.003, slot=1)
    wheel = min(0.028, 0.4 * y)
    axle = y - wheel
    for s in (-1, 1):
        at = s * 0.58 * x
        near, far = (at - 0.03, front + deck - 0.001, r - 0.025), (at + 0.03, axle, r + 0.025)
        yield box(near, far, bevel=0.006, slot=2)
        yield tube([(at, axle, 0.14 * h), (at, axle, 0.86 * h)], 0.006, segments=8, slot=2)
        for low, high in ((0.1, 0.27), (0.73, 0.9)):
            yield moved(cylinder(wheel, low * h, high * h, bevel=0.004, slot=2), (at, axle, 0))


@elsewhere("white red", (0.48, 0.16, 1.7), (0.55, 0.2, 2.2), "plain stripes")
def surfboard(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a surfboard that stands in a foot on its tail: board (0), stringer and foot (1)."""
    foot, y = y, 0.42 * y

    def outline(scale: float) -> list[tuple[float, float]]:
        z = 1 - np.cos(np.linspace(0, math.pi, 17))  # 0 to 2: dense at both ends
        wide = np.sin(np.pi * (0.12 + 0.88 * z / 2)) ** 0.75
        wide[-1] = 0.0
        wide /= wide.max()
        side = [
            (scale * x * float(w), h / 2 + scale * (float(v) - 1) * h / 2)
            for w, v in zip(wide, z, strict=True)
        ]
        return [*side, *((-a, b) for a, b in reversed(side[:-1]))]

    for scale, deep in ((1.0, 0.3), (0.985, 0.55), (0.955, 0.78), (0.9, 1.0)):
        yield prism(outline(scale), -deep * y, deep * y)
    yield box((-0.004, -y - 0.0006, 0.09 * h), (0.004, y + 0.0006, 0.93 * h), bevel=0, slot=1)
    for side in (-1.0, 1.0):
        yield box((-0.7 * x, side * y, 0.0), (0.7 * x, side * foot, 0.16), slot=1)


@held("bar")
@indoors("rubber steel", (0.12, 0.12, 0.28), (0.17, 0.17, 0.38))
def dumbbell(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a dumbbell on end: weights (0), bar (1)."""
    r = min(x, y)
    plate = [(0.5, 0.0), (0.5, 0.08), (0.82, 0.08), (0.82, 0.16), (1.0, 0.16), (1.0, 0.3)]
    low = [(a * r, b * h) for a, b in plate]
    return [
        revolved([(0, 0), *low, (0, 0.3 * h)], segments=6),
        revolved([(0, 0.7 * h), *[(a, h - b) for a, b in reversed(low)], (0, h)], segments=6),
        cylinder(0.015, 0.28 * h, 0.72 * h, slot=1),
    ]


@held("barbell", stands=True)
@elsewhere("black steel", (1.5, 0.3, 0.3), (1.9, 0.45, 0.45))
def barbell(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a barbell lying along x: plates (0), bar (1)."""
    r = min(h / 2, y)
    yield moved(cylinder(0.014, -x, x, slot=1), (0, 0, r), turn=_ACROSS)
    for s in (-1, 1):
        for inner, wide, share in ((0.68, 0.05, 1.0), (0.76, 0.035, 0.75), (0.82, 0.04, 0.15)):
            a, b = sorted((s * inner * x, s * (inner * x + wide)))
            disc = cylinder(share * r, a, b, bevel=0.006, segments=28, slot=0 if share > 0.2 else 1)
            yield moved(disc, (0, 0, r), turn=_ACROSS)


@elsewhere("black steel rubber", (1.15, 1.1, 2.1), (1.3, 1.4, 2.35))
def squat_rack(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a squat rack: posts and beams (0), barbell (1), plates (2)."""
    thick, bar = 0.06, 0.62 * h
    for s in (-1, 1):
        for t in (-1, 1):
            yield box((s * x, t * y, 0), (s * (x - thick), t * (y - thick), h))
        for z in (0.03, 0.4 * h, h - thick):
            yield box((s * (x - 0.01), -y, z), (s * (x - 0.05), y, z + 0.05), along="y")
        yield box((s * x, -y - 0.0, bar - 0.05), (s * (x - thick), -y + 0.12, bar - 0.01), slot=1)
        for inner, r in ((0.0, 0.22), (0.045, 0.16)):
            a, b = sorted((s * (x - 0.16 - inner), s * (x - 0.2 - inner)))
            plate = cylinder(r, a, b, bevel=0.006, segments=28, slot=2)
            yield moved(plate, (0, -y + 0.1, bar), turn=_ACROSS)
    for z in (0.9 * h, h - thick):
        yield box((-x, y - thick, z), (x, y, z + 0.05), along="x")
    yield moved(cylinder(0.014, -x, x, slot=1), (0, -y + 0.1, bar), turn=_ACROSS)


@elsewhere("black rubber steel", (0.75, 1.6, 1.3), (0.9, 1.9, 1.5))
def treadmill(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a treadmill: housing and console (0), belt (1), uprights and rails (2); front to -y."""
    yield box((-x, -y, 0.02), (x, y, 0.14), bevel=0.02)
    yield box((-0.72 * x, -0.75 * y, 0.13), (0.72 * x, 0.97 * y, 0.155), bevel=0.005, slot=1)
    yield box((-0.8 * x, -y, 0.14), (0.8 * x, -0.72 * y, 0.26), bevel=0.03)
    yield box((-0.75 * x, -0.82 * y, h - 0.22), (0.75 * x, -0.72 * y, h), bevel=0.02)
    for s in (-1, 1):
        post = [(s * 0.88 * x, -0.86 * y, 0.14), (s * 0.88 * x, -0.72 * y, h - 0.3)]
        yield tube([*post, (s * 0.7 * x, -0.74 * y, h - 0.12)], 0.03, segments=10, slot=2)
        yield tube([post[1], (s * 0.88 * x, 0.05 * y, h - 0.36)], 0.02, segments=10, slot=2)


def _shaft(low: float, high: float, radius: float) -> Piece:
    return cylinder(radius, low, high, bevel=0.006, segments=12)


@held("pole")
@kind("pale_wood red yellow", (0.3, 0.07, 1.25), (0.42, 0.09, 1.6), "wood plain")
def broom(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a broom: shaft (0), head (1), bristles (2)."""
    low = min(0.09, 0.12 * h)
    for k in range(9):
        a = (k - 4) / 4.5 * x * 0.95
        wide = 0.09 * x
        outline = [(a * 1.04 - wide, 0.0), (a * 1.04 + wide, 0.0), (a * 0.94 + wide * 0.8, low),
                   (a * 0.94 - wide * 0.8, low)]  # fmt: skip
        yield prism(outline, -y, y, slot=2)
    yield box((-x * 0.98, -0.9 * y, low - 0.005), (x * 0.98, 0.9 * y, low + 0.03), bevel=0.008,
               along="x", slot=1)  # fmt: skip
    yield _shaft(low + 0.02, h, 0.0125)


@held("pole")
@outdoors("pale_wood green", (0.4, 0.07, 1.3), (0.55, 0.09, 1.65), "wood plain")
def rake(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a leaf rake: shaft (0), fan of tines (1)."""
    fan = min(0.45, 0.35 * h)
    yield _shaft(fan * 0.9, h, 0.0125)
    yield cylinder(0.018, 0.85 * fan, 1.15 * fan, slot=1)
    for k in range(13):
        s = (k - 6) / 6
        yield tube([(0.15 * s * x, 0, fan), (0.97 * s * x, -0.2 * y, 0.12 * fan),
                  (s * (x - 0.004), y - 0.004, 0.003)], 0.003, segments=5, slot=1)  # fmt: skip
    yield tube([(-0.6 * x, 0, 0.5 * fan), (0.6 * x, 0, 0.5 * fan)], 0.004, segments=5, slot=1)
    yield tube([(0, 0, 0.3), (0, -y + 0.004, 0.25 * fan)], 0.003, segments=5, slot=1)


@held("pole")
@outdoors("pale_wood steel black", (0.22, 0.04, 1.0), (0.28, 0.06, 1.35), "wood plain")
def shovel(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a shovel: shaft (0), blade (1), grip (2)."""
    blade = min(0.32, 0.3 * h)
    outline = [(0, 0.0), (0.55 * x, 0.1 * blade), (0.9 * x, 0.4 * blade), (x, blade), (-x, blade),
               (-0.9 * x, 0.4 * blade), (-0.55 * x, 0.1 * blade)]  # fmt: skip
    lip = 0.02
    return [
        prism(outline, -0.0015, 0.0015, slot=1),
        *(box((s * x - 0.002, -y + 0.002, 0.45 * blade), (s * x + 0.002, 0.002, blade), slot=1)
          for s in (-1, 1)),
        box((-x, -0.002, blade - lip), (x, y, blade), bevel=0.001, along="x", slot=1),
        tube([(0, 0.004, 0.6 * blade), (0, 0.004, 1.3 * blade)], [0.01, 0.02], slot=1),
        _shaft(1.2 * blade, h - 0.08, 0.0145),
        tube([(0, 0, h - 0.1), (0.0, 0, h - 0.07)], 0.019, slot=2),
        tube([(-0.05, 0, h - 0.012), (-0.035, 0, h - 0.07), (0.035, 0, h - 0.07),
              (0.05, 0, h - 0.012)], 0.009, slot=2),
        tube([(-0.058, 0, h - 0.013), (0.058, 0, h - 0.013)], 0.013, slot=2),
    ]  # fmt: skip


@held("bar", at=(0.0, 0.0, 0.2))
@kind("wood steel", (0.11, 0.026, 0.28), (0.13, 0.032, 0.34), "plain wood")
def hammer(x: float, y: float, h: float, shape: Shape) -> list[Piece]:
    """Build a hammer: shaft (0), head along x (1)."""
    tall = 2 * y
    claw = [(-x, h - 0.9 * tall), (0.0, h - 0.75 * tall), (0.0, h - 0.1 * tall)]
    claw.append((-0.6 * x, h - 0.3 * tall))
    return [
        revolved([(0, 0), (0.017, 0), (0.015, 0.1 * h), (0.0125, 0.4 * h), (0.011, h - 0.4 * tall),
                (0, h - 0.4 * tall)], segments=14),
        box((-0.25 * x, -0.8 * y, h - tall), (0.35 * x, 0.8 * y, h), bevel=0.004, slot=1),
        moved(cylinder(y, 0.45 * x, x, bevel=0.003, slot=1), (0, 0, h - tall / 2), turn=_ACROSS),
        moved(cylinder(0.7 * y, 0.2 * x, 0.5 * x, slot=1), (0, 0, h - tall / 2), turn=_ACROSS),
        prism(claw, -0.7 * y, 0.7 * y, slot=1),
    ]  # fmt: skip


@belongs("store shop office hallway")
@kind("steel steel", (0.45, 0.6, 1.2), (0.62, 1.1, 2.2), "plain wood")
def ladder(x: float, y: float, h: float, shape: Shape) -> Iterator[Piece]:
    """Build a stepladder that stands open: rails (0), treads (1). One climbs it from -y."""
    count = max(3, round(h / 0.26))
    for s in (-1, 1):
        foot, top = s * (x - 0.02), s * 0.72 * x
        yield tube([(foot, -y + 0.02, 0), (top, -0.06, h - 0.02)], 0.02, segments=8)
        yield tube([(foot, y - 0.02, 0), (top, 0.06, h - 0.04)], 0.015, segments=8)
    for k in range(1, count):
        share = k / count
        wide = (x - 0.02) + (0.72 * x - x + 0.02) * share
        at = (-y + 0.02) * (1 - share) - 0.06 * share
        near, far = (-wide, at - 0.045, share * h - 0.025), (wide, at + 0.045, share * h)
        yield box(near, far, along="x", slot=1)
        if k % 2:
            yield tube([(-wide, -at, share * h), (wide, -at, share * h)], 0.009, segments=6)
    yield box((-0.78 * x, -0.13, h - 0.03), (0.78 * x, 0.1, h), along="x", slot=1)
