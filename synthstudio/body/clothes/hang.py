"""Draping of cloth: straight down from protrusions, taut over hollows.

Each garment vertex belongs to a column (trunk or one leg), and there to a level and an azimuth.
On each level the cloth follows the convex outline of the body; from level to level it falls from
the widest outline above, drawing in by at most `taper` metres a metre.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from synthstudio.body.clothes.garment_mesh import JOINTS, Places, spread
from synthstudio.core.arrays import F32, F64, Bool, Intp

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
# Only support lines of directions well ahead bound a radius.
_REACH = np.where(_FACING > 0.35, 1 / np.where(_FACING > 0.35, _FACING, 1), 1e6).astype(np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Hang:
    """The columns of one garment."""

    axis: F32  # (12, V) blend of a person's twelve joints (left, right) that is a vertex's axis
    trunk: Intp  # vertices that hang round the trunk's own axis
    order: Intp  # (U,) vertices that hold the cloth out, sorted by bin
    starts: Intp  # (B,) where each occupied bin begins in `order`
    bins: Intp  # (B,) level * _AZIMUTHS + azimuth
    look_up: sparse.csr_array  # (V, levels x azimuths) bilinear look-up
    weight: F32  # (V,) how much of the hang a vertex takes
    taper: float


def hang_of(where: Places, weight: F32, *, taper: float) -> Hang:
    """Return the columns of garment vertices; `weight` (V,) is 0 where cloth must stay close."""
    x, y, z = where.at.T
    on_leg = z < _CROTCH_M
    right = x < 0
    axis = _axis(where, on_leg, right)
    centre = np.where(on_leg[:, None], axis @ JOINTS[:, :2], np.array([[0.0, _AXIS_Y_M]]))
    azimuth = np.arctan2(x - centre[:, 0], -(y - centre[:, 1])) / (2 * np.pi) * _AZIMUTHS
    level, first, last = _levels(z, on_leg, right)
    near = np.clip(np.round(level).astype(np.intp), first, last)
    bins = near * _AZIMUTHS + np.round(azimuth).astype(np.intp) % _AZIMUTHS
    order = np.flatnonzero((z < _TOP_M) & (weight > 0.3))
    order = order[np.argsort(bins[order], kind="stable")]
    occupied, starts = np.unique(bins[order], return_index=True)
    return Hang(
        axis=np.ascontiguousarray(axis.T, np.float32),
        trunk=np.flatnonzero(~on_leg),
        order=order,
        starts=starts,
        bins=occupied,
        look_up=_look_up(level, azimuth, first, last),
        weight=(weight * (z < _TOP_M)).astype(np.float32),
        taper=taper,
    )


def hung_m(hang: Hang, rest_m: F32, joints_m: F64) -> F32:
    """Return (V,) metres that cloth hangs off a person: rest (3, V), joints (12, 3)."""
    x, y = joints_m[:, :2].T.astype(np.float32) @ hang.axis
    y[hang.trunk] = _AXIS_Y_M
    x -= rest_m[0]
    y -= rest_m[1]
    radius = np.sqrt(x * x + y * y)
    outline = np.zeros(_LEVELS * _AZIMUTHS, np.float32)
    outline[hang.bins] = np.maximum.reduceat(radius[hang.order], hang.starts)
    outline = _convex(outline.reshape(_LEVELS, _AZIMUTHS))
    # Falling by so much a level is running downhill beside a slope: a running maximum.
    slope = _STEPS_DOWN * np.float32(hang.taper * _LEVEL_M)
    outline += slope
    for column in _COLUMNS:
        np.maximum.accumulate(outline[column], axis=0, out=outline[column])
    outline -= slope
    out = spread(hang.look_up, outline.reshape(1, -1))[0] - radius
    return np.asarray(np.clip(out, 0, _MAX_M) * hang.weight)


def _convex(outline: F32) -> F32:
    """Radii (L, A) of the convex outline through those of each level (0: unknown)."""
    support = (outline[:, :, None] * _FACING[None]).max(axis=1)
    return np.asarray((support[:, :, None] * _REACH[None]).min(axis=1))


_COLUMNS = (
    slice(0, _TRUNK_LEVELS),
    slice(_TRUNK_LEVELS, _TRUNK_LEVELS + _LEG_LEVELS),
    slice(_TRUNK_LEVELS + _LEG_LEVELS, _LEVELS),
)
_STEPS_DOWN = np.arange(_LEVELS, dtype=np.float32)[:, None]


def _axis(where: Places, on_leg: Bool, right: Bool) -> F64:
    """(V, 12) weights of hip, knee and ankle by metres down the leg; zeros on the trunk."""
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


def _levels(z: F32, on_leg: Bool, right: Bool) -> tuple[F64, Intp, Intp]:
    """Each vertex's fractional level, and the first and last level of its column."""
    first = np.where(on_leg, _TRUNK_LEVELS + _LEG_LEVELS * right, 0)
    last = first + np.where(on_leg, _LEG_LEVELS, _TRUNK_LEVELS) - 1
    top = np.where(on_leg, _CROTCH_M, _TOP_M)
    return np.clip(first + (top - z) / _LEVEL_M, first, last), first, last


def _look_up(level: F64, azimuth: F32, first: Intp, last: Intp) -> sparse.csr_array:
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
