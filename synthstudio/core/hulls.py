"""Separation of two items by convex outlines, one per height layer.

An item's outline in a layer is stored as its support in `DIRECTIONS` directions: the farthest
reach along each. If a direction separates two outlines, the items do not touch in that layer
(separating axis theorem); the outlines contain the item, so a positive gap is a proof.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthstudio.core.arrays import F32, F64
from synthstudio.core.scene import Surface

LAYER_M = 0.2
DIRECTIONS = 16
ROUNDING_M = 1e-4  # outlines are made in float32
_ANGLES = np.arange(DIRECTIONS) * (2 * math.pi / DIRECTIONS)
_AXES = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])  # (2, D)
_HALF = np.ascontiguousarray(_AXES[:, : DIRECTIONS // 2].T, np.float32)  # the rest are opposite


@dataclass(frozen=True, kw_only=True)
class Hulls:
    """Outlines of one item: `support_m` (L, D) for layers first, first + 1, ...; -inf: empty."""

    first: int
    support_m: F64

    def moved(self, x_m: float, y_m: float) -> Hulls:
        """The same outlines shifted over the floor."""
        return Hulls(first=self.first, support_m=self.support_m + np.array([x_m, y_m]) @ _AXES)


def box_m(surfaces: Sequence[Surface]) -> F64:
    """(2, 3) bounding box of the surfaces' vertices."""
    # A column at a time: NumPy is slow over rows of three.
    low = np.min([[c.min() for c in s.vertices_m.T] for s in surfaces], axis=0)
    high = np.max([[c.max() for c in s.vertices_m.T] for s in surfaces], axis=0)
    return np.stack([low, high]).astype(np.float64)


def box_gap_m(a: F64, b: F64) -> float:
    """Horizontal gap of two boxes (2, 3); negative if they overlap."""
    (ax0, ay0, _), (ax1, ay1, _) = a.tolist()
    (bx0, by0, _), (bx1, by1, _) = b.tolist()
    return float(max(ax0 - bx1, bx0 - ax1, ay0 - by1, by0 - ay1))


def hulls(surfaces: Sequence[Surface]) -> Hulls:
    """The outlines of `surfaces`, drawn or not."""
    x_m, y_m, z_m, reach_m = _corners(surfaces)
    low, high = z_m.min(), z_m.max()
    first, last = math.floor(low / LAYER_M), math.floor(high / LAYER_M)
    lowest, highest = (
        np.floor(z.clip(low, high) / np.float32(LAYER_M)).astype(np.int16) - np.int16(first)
        for z in (z_m - reach_m, z_m + reach_m)
    )
    order = np.argsort(lowest, kind="stable")
    layer, highest = lowest[order], highest[order]
    along = _HALF @ np.stack([x_m[order], y_m[order]])
    support = np.full((DIRECTIONS, last - first + 1), -np.inf, np.float32)
    while len(layer):
        starts = np.flatnonzero(np.diff(layer, prepend=layer[0] - 1))
        maximum, minimum = (f.reduceat(along, starts, axis=1) for f in (np.maximum, np.minimum))
        here = layer[starts]
        support[:, here] = np.maximum(support[:, here], np.concatenate([maximum, -minimum]))
        higher = np.flatnonzero(highest > layer)
        layer, highest = layer[higher] + 1, highest[higher]
        along = along.take(higher, axis=1)
    return Hulls(first=first, support_m=support.T.astype(np.float64) + ROUNDING_M)


def _corners(surfaces: Sequence[Surface]) -> tuple[F32, F32, F32, F32]:
    """x, y, z (n,) of the faces' corners and the vertical extent of their faces."""
    parts = []
    for surface in surfaces:
        x, y, z = surface.vertices_m.T
        corners = np.ascontiguousarray(surface.faces.T, np.intp)
        heights = np.ascontiguousarray(z).take(corners)
        reach = (heights.max(axis=0) - heights.min(axis=0)).max(initial=np.float32(0))
        used = np.zeros(len(z), np.bool_)
        used[corners] = True
        parts.append((x[used], y[used], z[used], np.full(used.sum(), reach)))
    x_m, y_m, z_m, reach_m = (np.concatenate([p[k] for p in parts]) for k in range(4))
    return x_m, y_m, z_m, reach_m


def swept(a: Hulls, b: Hulls) -> Hulls:
    """The convex outlines of two items together."""
    first = min(a.first, b.first)
    last = max(a.first + len(a.support_m), b.first + len(b.support_m))
    out = np.full((last - first, DIRECTIONS), -np.inf)
    for one in (a, b):
        own = out[one.first - first :][: len(one.support_m)]
        np.maximum(own, one.support_m, out=own)
    return Hulls(first=first, support_m=out)


def gap_m(a: Hulls, b: Hulls) -> float:
    """The minimum gap over shared layers; inf if none is shared, < 0 if they overlap."""
    first = max(a.first, b.first)
    last = min(a.first + len(a.support_m), b.first + len(b.support_m))
    if first >= last:
        return math.inf
    rows_a = a.support_m[first - a.first : last - a.first]
    rows_b = b.support_m[first - b.first : last - b.first]
    opposite = np.roll(rows_b, DIRECTIONS // 2, axis=1)  # b's support in opposite directions
    with np.errstate(invalid="ignore"):
        apart = -(rows_a + opposite)
    return float(apart.max(axis=1).min())
