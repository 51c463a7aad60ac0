"""How far cloth hangs off a body: straight down from what sticks out, taut over hollows.

Each garment vertex belongs to a column (trunk or one leg), and there to a level and an azimuth.
On each level the cloth follows the convex outline of the body; from level to level it falls from
the widest outline above, drawing in by at most `taper` metres a metre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from synthstudio.body.clothes.weave import Places
from synthstudio.core.scene import F32, F64

_LEVEL_M = 0.025
_AZIMUTHS = 24
_TOP_M, _CROTCH_M, _GROUND_M = 0.47, -0.085, -0.90
_TRUNK_LEVELS = int((_TOP_M - _CROTCH_M) / _LEVEL_M) + 1
_LEG_LEVELS = int((_CROTCH_M - _GROUND_M) / _LEVEL_M) + 1
_LEVELS = _TRUNK_LEVELS + 2 * _LEG_LEVELS
_AXIS_Y_M = -0.02
_MAX_M = 0.10

_TURN = np.arange(_AZIMUTHS) * (2 * np.pi / _AZIMUTHS)
_FACING = np.cos(_TURN[:, None] - _TURN[None]).astype(np.float32)  # (A, A)
_AHEAD = _FACING > 0.35  # directions whose support line bounds a radius


@dataclass(frozen=True, kw_only=True, eq=False)
class Hang:
    """The columns of one garment."""

    axis: F32  # (V, 12) blend of a person's twelve joints (left, right) that is a vertex's axis
    order: NDArray[np.intp]  # (U,) vertices that hold the cloth out, sorted by bin
    starts: NDArray[np.intp]  # (B,) where each occupied bin begins in `order`
    bins: NDArray[np.intp]  # (B,) level * _AZIMUTHS + azimuth
    spread: sparse.csr_array  # (V, levels x azimuths) bilinear look-up
    weight: F32  # (V,) how much of the hang a vertex takes
    taper: float


def hang_of(where: Places, weight: F32, *, taper: float) -> Hang:
    """Return the columns of garment vertices; `weight` (V,) is 0 where cloth must stay close."""
    x, y, z = where.at.T
    on_leg = z < _CROTCH_M
    right = x < 0
    axis = _axis(where, on_leg, right)
    centre = np.where(
        on_leg[:, None],
        axis @ _template_joints()[:, :2],
        np.array([[0.0, _AXIS_Y_M]]),
    )
    azimuth = np.arctan2(x - centre[:, 0], -(y - centre[:, 1])) / (2 * np.pi) * _AZIMUTHS
    level, first, last = _levels(z, on_leg, right)
    near = np.clip(np.round(level).astype(np.intp), first, last)
    bins = near * _AZIMUTHS + np.round(azimuth).astype(np.intp) % _AZIMUTHS
    order = np.flatnonzero((z < _TOP_M) & (weight > 0.3))
    order = order[np.argsort(bins[order], kind="stable")]
    occupied, starts = np.unique(bins[order], return_index=True)
    return Hang(
        axis=axis.astype(np.float32),
        order=order,
        starts=starts,
        bins=occupied,
        spread=_spread(level, azimuth, first, last),
        weight=(weight * (z < _TOP_M)).astype(np.float32),
        taper=taper,
    )


def hung_m(hang: Hang, rest_m: F32, joints_m: F64) -> F32:
    """Return (V,) metres that cloth hangs off a person: rest (V, 3), joints (12, 3)."""
    centre = hang.axis @ joints_m[:, :2].astype(np.float32)
    on_trunk = ~hang.axis.any(axis=1)
    centre[on_trunk, 1] = _AXIS_Y_M
    d = rest_m[:, :2] - centre
    radius = np.sqrt((d * d).sum(axis=1))
    outline = np.zeros(_LEVELS * _AZIMUTHS, np.float32)
    outline[hang.bins] = np.maximum.reduceat(radius[hang.order], hang.starts)
    outline = _convex(outline.reshape(_LEVELS, _AZIMUTHS))
    fall = np.float32(hang.taper * _LEVEL_M)
    for level in _FALLS:
        np.maximum(outline[level], outline[level - 1] - fall, out=outline[level])
    out = hang.spread @ outline.ravel() - radius
    made: F32 = np.clip(out, 0, _MAX_M).astype(np.float32) * hang.weight
    return made


def _convex(outline: F32) -> F32:
    """Return radii (L, A) of the convex outline through those of each level (0: unknown)."""
    support = (outline[:, None, :] * _FACING[None]).max(axis=2)
    reach = np.where(_AHEAD, support[:, None, :] / np.where(_AHEAD, _FACING, 1), np.inf)
    made: F32 = reach.min(axis=2).astype(np.float32)
    return made


_FALLS = tuple(
    level
    for first, count in (
        (0, _TRUNK_LEVELS),
        (_TRUNK_LEVELS, _LEG_LEVELS),
        (_TRUNK_LEVELS + _LEG_LEVELS, _LEG_LEVELS),
    )
    for level in range(first + 1, first + count)
)


def _template_joints() -> F64:
    from synthstudio.body.clothes.weave import JOINTS

    left = np.array(JOINTS)
    return np.vstack([left, left * [-1, 1, 1]])


def _axis(where: Places, on_leg: NDArray[np.bool_], right: NDArray[np.bool_]) -> F64:
    """Return (V, 12) weights of hip, knee and ankle by metres down the leg; zeros on the trunk."""
    down = np.clip(where.down_leg, 0, 0.82)
    axis = np.zeros((len(down), 12))
    row = np.arange(len(down))
    base = np.where(right, 6, 0)
    thigh = np.clip(down / 0.391, 0, 1)
    shin = np.clip((down - 0.391) / 0.403, 0, 1)
    axis[row, base + 3] = 1 - thigh
    axis[row, base + 4] = thigh - shin * (thigh >= 1)
    axis[row, base + 5] = shin * (thigh >= 1)
    return axis * on_leg[:, None]


def _levels(
    z: F32, on_leg: NDArray[np.bool_], right: NDArray[np.bool_]
) -> tuple[F64, NDArray[np.intp], NDArray[np.intp]]:
    """Return each vertex's fractional level, and the first and last level of its column."""
    first = np.where(on_leg, _TRUNK_LEVELS + _LEG_LEVELS * right, 0)
    last = first + np.where(on_leg, _LEG_LEVELS, _TRUNK_LEVELS) - 1
    top = np.where(on_leg, _CROTCH_M, _TOP_M)
    return np.clip(first + (top - z) / _LEVEL_M, first, last), first, last


def _spread(
    level: F64, azimuth: F32, first: NDArray[np.intp], last: NDArray[np.intp]
) -> sparse.csr_array:
    count = len(level)
    row0 = np.clip(np.floor(level).astype(np.intp), first, last)
    row1 = np.minimum(row0 + 1, last)
    col0 = np.floor(azimuth).astype(np.intp)
    u, v = level - row0, azimuth - col0
    corners = [
        (row0, col0, (1 - u) * (1 - v)),
        (row0, col0 + 1, (1 - u) * v),
        (row1, col0, u * (1 - v)),
        (row1, col0 + 1, u * v),
    ]
    data = np.concatenate([w for _, _, w in corners]).astype(np.float32)
    column = np.concatenate([r * _AZIMUTHS + c % _AZIMUTHS for r, c, _ in corners])
    where = (np.tile(np.arange(count), 4), column)
    return sparse.csr_array((data, where), shape=(count, _LEVELS * _AZIMUTHS))
