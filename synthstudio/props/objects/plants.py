"""Builders of plants. Where each leaf grows follows from the size and `variant` alone."""

from __future__ import annotations

import math

import numpy as np

from synthstudio.core.rng import Generator, stream
from synthstudio.core.scene import F64
from synthstudio.core.spec import Vec3
from synthstudio.props.objects.kinds import Shape, belongs, kind
from synthstudio.props.objects.shapes import Piece, ball, box, leaves, revolved, tube

UP = np.array([0.0, 0.0, 1.0])


GOLDEN = math.pi * (3 - math.sqrt(5))
"""The angle by which successive leaves turn so that they spread evenly."""


def _numbers(kind: str, size: Vec3, shape: Shape) -> Generator:
    millimetres = (round(side * 1000) for side in size)
    return stream(round(shape.get("variant", 0)), kind, *millimetres)


@belongs("living_room bedroom kitchen office classroom shop hallway")
@kind("terracotta earth leaf", (0.5, 0.5, 0.7), (1.0, 1.0, 1.8), shape="variant")
def potted_plant(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a pot (0) with earth (1), stems and broad leaves (2)."""
    rng = _numbers("potted_plant", size, shape)
    r, h = min(size[0], size[1]) / 2, size[2]
    tall = min(0.3 * h, 0.45)
    wide = min(0.62 * r, 0.5 * tall + 0.05)
    pot = revolved(
        [(0, 0), (wide * 0.7, 0), (wide * 0.94, tall * 0.8), (wide, tall * 0.81), (wide, tall),
         (wide * 0.9, tall), (wide * 0.88, tall * 0.88), (0, tall * 0.88)]
    )  # fmt: skip
    earth = revolved(
        [(0, tall * 0.8), (wide * 0.885, tall * 0.8), (wide * 0.885, tall * 0.9), (0, tall * 0.92)],
        slot=1,
    )
    stems, leaf = [], []
    for k in range(9):
        around = k * GOLDEN + rng.uniform(-0.3, 0.3)
        lean = rng.uniform(0.25, 0.6) if k else 0.02
        top = h * rng.uniform(0.65, 0.9) if k else h * 0.88
        out = np.array([math.cos(around), math.sin(around), 0.0])
        foot = out * wide * 0.3 + UP * tall * 0.85
        end = out * lean * r + UP * top
        bend = (foot + end) / 2 - out * 0.15 * lean * r
        stems.append(tube([_t(foot), _t(bend), _t(end)], [0.009, 0.007, 0.003], segments=6, slot=2))
        leaf.append(_fronds(rng, (foot, bend, end), 0.7 * min(r, 0.6 * h)))
    bases, tips, sizes = (np.concatenate([one[k] for one in leaf]) for k in range(3))
    ups = np.tile(UP, (len(sizes), 1))
    return [pot, earth, *stems, leaves(bases, tips, sizes * 0.36, ups, slot=2)]


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


def _t(point: F64) -> Vec3:
    return float(point[0]), float(point[1]), float(point[2])


@belongs("green")
@kind("thicket leaf", (0.8, 0.35, 0.5), (2.5, 0.7, 1.5), shape="variant")
def hedge(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a clipped hedge: a dark core (0) under a coat of small leaves (1)."""
    rng = _numbers("hedge", size, shape)
    x, y, h = size[0] / 2, size[1] / 2, size[2]
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
def shrub(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a round bush: a core (0), a trunk (1) and a coat of leaves (2)."""
    rng = _numbers("shrub", size, shape)
    r, h = min(size[0], size[1]) / 2, size[2]
    bare = 0.12 * h
    centre = np.array([0, 0, (h + bare) / 2])
    reach = np.array([r, r, (h - bare) / 2]) * 0.86
    core = ball(float(reach[0]) * 0.9, _t(centre), stretch=float(reach[2] / reach[0]))
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
def tree(size: Vec3, shape: Shape) -> list[Piece]:
    """Build a tree: the dark of its crown (0), trunk (1), leaves (2)."""
    rng = _numbers("tree", size, shape)
    r, h = min(size[0], size[1]) / 2, size[2]
    bare = 0.3 * h
    centre, reach = np.array([0, 0, (h + bare) / 2]), np.array([r, r, (h - bare) / 2]) * 0.9
    core = ball(float(reach[0]) * 0.85, _t(centre), stretch=float(reach[2] / reach[0]))
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
