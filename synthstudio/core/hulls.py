"""Separation of two items by convex outlines, one for each layer of height.

An item's outline in a layer is kept as its support in `DIRECTIONS` directions: the farthest
reach along each. If some direction parts two outlines, the items do not touch in that layer
(separating axis theorem); the outlines hold at least the item, so a positive gap is a proof.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.scene import F32, F64, Bool, Surface

LAYER_M = 0.2
DIRECTIONS = 16
ROUNDING_M = 1e-4  # outlines are made in float32
_ANGLES = np.arange(DIRECTIONS) * (2 * math.pi / DIRECTIONS)
_AXES = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])  # (2, D)


@dataclass(frozen=True, kw_only=True)
class Hulls:
    """Outlines of one item: `support_m` (L, D) for layers first, first + 1, ...; -inf: empty."""

    first: int
    support_m: F64

    def moved(self, x_m: float, y_m: float) -> Hulls:
        """Return the same outlines shifted over the floor."""
        shift = np.array([x_m, y_m])
        return Hulls(first=self.first, support_m=self.support_m + shift @ _AXES)


def box_m(surfaces: Sequence[Surface]) -> F64:
    """Return (2, 3) the least and greatest corner of what the surfaces' vertices span."""
    low = np.min([s.vertices_m.min(axis=0) for s in surfaces], axis=0)
    return np.stack([low, np.max([s.vertices_m.max(axis=0) for s in surfaces], axis=0)]).astype(
        np.float64
    )


def box_gap_m(a: F64, b: F64) -> float:
    """Return how far two boxes (2, 3) stand apart over the floor; negative if they overlap."""
    return float(np.maximum(a[0] - b[1], b[0] - a[1])[:2].max())


def hulls(surfaces: Sequence[Surface]) -> Hulls:
    """Return the outlines of everything that `surfaces` draw or hold."""
    points, least, most = _reaching(surfaces)
    low, high = float(points[:, 2].min()), float(points[:, 2].max())
    first, last = math.floor(low / LAYER_M), math.floor(high / LAYER_M)
    support = np.full((last - first + 1, DIRECTIONS), -np.inf)
    reach_m = points[:, :2] @ _AXES.astype(np.float32)
    from_layer = np.floor(least.clip(min=low) / LAYER_M).astype(np.int64) - first
    to_layer = np.floor(most.clip(max=high) / LAYER_M).astype(np.int64) - first
    for steps in range(int((to_layer - from_layer).max()) + 1):
        here = from_layer + steps
        _raise(support, here, reach_m, here <= to_layer)
    return Hulls(first=first, support_m=support + ROUNDING_M)


def _reaching(surfaces: Sequence[Surface]) -> tuple[F32, F32, F32]:
    """Return the vertices (n, 3) and the heights (n,) between which their faces reach."""
    parts = []
    for surface in surfaces:
        z = surface.vertices_m[:, 2]
        a, b, c = (z[surface.faces[:, k]] for k in range(3))
        spans = np.maximum(np.maximum(a, b), c) - np.minimum(np.minimum(a, b), c)
        used = np.zeros(len(z), np.bool_)
        used[surface.faces] = True
        reach = spans.max(initial=np.float32(0))
        parts.append((surface.vertices_m[used], z[used] - reach, z[used] + reach))
    points, least, most = (np.concatenate([p[k] for p in parts]) for k in range(3))
    return points, least, most


def _raise(support: F64, layer: NDArray[np.int64], reach_m: F32, chosen: Bool) -> None:
    """Raise each layer's support to that of the chosen points in it."""
    order = np.argsort(layer[chosen], kind="stable")
    if not order.size:
        return
    layers, starts = np.unique(layer[chosen][order], return_index=True)
    most = np.maximum.reduceat(reach_m[chosen][order], starts, axis=0)
    support[layers] = np.maximum(support[layers], most)


def gap_m(a: Hulls, b: Hulls) -> float:
    """Return the least distance over shared layers; inf when none is shared, < 0 if they meet."""
    first = max(a.first, b.first)
    last = min(a.first + len(a.support_m), b.first + len(b.support_m))
    if first >= last:
        return math.inf
    rows_a = a.support_m[first - a.first : last - a.first]
    rows_b = b.support_m[first - b.first : last - b.first]
    opposite = np.roll(rows_b, DIRECTIONS // 2, axis=1)  # b's reach against each direction
    with np.errstate(invalid="ignore"):
        apart = -(rows_a + opposite)
    return float(apart.max(axis=1).min())
