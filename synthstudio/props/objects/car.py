"""Builder of the car that drives to -y."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from synthstudio.core.scene import F64
from synthstudio.core.spec import Vec3
from synthstudio.props.objects.kinds import Shape, belongs, kind
from synthstudio.props.objects.shapes import Piece, box, cylinder, moved, prism
from synthstudio.props.objects.wheels import AXLE, SIDE, disc


@belongs("street")
@kind("paint glass rubber lamp", (1.62, 3.5, 1.4), (1.85, 4.5, 1.55))
def car(size: Vec3, shape: Shape) -> Iterator[Piece]:
    """Build a car that drives to -y: paint (0), glass (1), tyres and trim (2), lamps (3)."""
    x, y, h = size[0] / 2, size[1] / 2, size[2]
    r = 0.22 * h
    front, rear, floor, belt = -0.62 * y, 0.6 * y, 0.13 * h, 0.6 * h

    def across(outline: list[tuple[float, float]], half: float, slot: int = 0) -> Piece:
        return moved(prism(outline, -half, half, slot=slot), turn=SIDE)

    lower = [(-0.97 * y, floor), (0.96 * y, floor), (y, 0.35 * h), (0.97 * y, belt),
             (-0.5 * y, belt), (-0.93 * y, 0.5 * h), (-y, 0.4 * h)]  # fmt: skip
    shoulder = [(-0.95 * y, 0.3 * h), (0.96 * y, 0.3 * h), (0.98 * y, belt - 0.02),
                (-0.48 * y, belt - 0.02), (-0.9 * y, 0.47 * h)]  # fmt: skip
    cabin = [(-0.42 * y, belt - 0.02), (0.93 * y, belt - 0.02), (0.7 * y, 0.97 * h), (0.45 * y, h),
             (0.0, h), (-0.1 * y, 0.98 * h)]  # fmt: skip
    yield across(lower, 0.94 * x)
    yield across(shoulder, x)
    yield _tapered(moved(prism(cabin, -1.0, 1.0), turn=SIDE), belt - 0.02, h, x)
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
                cylinder(1.13 * r, 0.85 * x, x + 0.002, segments=28, slot=2), (0, 0, 0), turn=AXLE
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


def _half(flat: Piece, low: float, high: float, x: float) -> F64:
    """(V,) half the cabin's width at the height of each vertex."""
    return np.array(
        [0.93 * x * (1 - _INWARD * (z - low) / (high - low)) for z in flat.vertices[:, 2].tolist()]
    )


def _tapered(flat: Piece, low: float, high: float, x: float, share: float = 1.0) -> Piece:
    """The piece, 1 m to either side, as wide as `share` of the cabin is at each height."""
    half = share * _half(flat, low, high, x)
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
    flat = moved(prism(outline, 0.985, 1.004, slot=1), turn=SIDE)
    low, high = min(z for _, z in cabin), max(z for _, z in cabin)
    across = s * _half(flat, low, high, x) * -flat.vertices[:, 0]
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
    flat = moved(prism(points, -1.0, 1.0, slot=1), turn=SIDE)
    return _tapered(flat, min(low[1], high[1]), max(low[1], high[1]), x, 0.93)
