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

from synthstudio.core.scene import F64, Surface

LAYER_M = 0.2
DIRECTIONS = 32
_ANGLES = np.arange(DIRECTIONS) * (2 * math.pi / DIRECTIONS)
_AXES = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])  # (2, D)


@dataclass(frozen=True, kw_only=True)
class Hulls:
    """Outlines of one item: `support_m` (L, D) for layers first, first + 1, ...; -inf: empty."""

    first: int
    support_m: F64
    box_m: F64  # (2, 3) least and greatest corner

    def moved(self, x_m: float, y_m: float) -> Hulls:
        """Return the same outlines shifted over the floor."""
        shift = np.array([x_m, y_m])
        box = self.box_m + np.array([x_m, y_m, 0.0])
        return Hulls(first=self.first, support_m=self.support_m + shift @ _AXES, box_m=box)


def hulls(surfaces: Sequence[Surface]) -> Hulls:
    """Return the outlines of everything that `surfaces` draw or hold."""
    parts = []
    for surface in surfaces:
        vertices = surface.vertices_m.astype(np.float64)
        z = vertices[:, 2]
        corner_z = z[surface.faces]
        # A face reaches at most this far above and below each of its corners.
        reach = float((corner_z.max(axis=1) - corner_z.min(axis=1)).max(initial=0.0))
        used = np.unique(surface.faces)
        parts.append((vertices[used], z[used] - reach, z[used] + reach))
    points = np.concatenate([p[0] for p in parts])
    least = np.concatenate([p[1] for p in parts]).clip(min=points[:, 2].min())
    most = np.concatenate([p[2] for p in parts]).clip(max=points[:, 2].max())
    first, last = math.floor(least.min() / LAYER_M), math.floor(most.max() / LAYER_M)
    reach_m = points[:, :2] @ _AXES
    support = np.full((last - first + 1, DIRECTIONS), -np.inf)
    for layer in range(first, last + 1):
        inside = (least < (layer + 1) * LAYER_M) & (most >= layer * LAYER_M)
        if inside.any():
            support[layer - first] = reach_m[inside].max(axis=0)
    return Hulls(
        first=first, support_m=support, box_m=np.stack([points.min(axis=0), points.max(axis=0)])
    )


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
