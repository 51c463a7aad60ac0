"""The one-euro filter (Casiez, Roussel and Vogel 2012) on somebody's joints.

A low-pass filter whose cutoff rises with speed: what stands still is held, what moves is followed.
Ours: the speed is that of the joint in the plane, in sizes of the person a second, so that the same
settings serve people near and far.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

_GAP_S = 1.0
"""Who was not seen for longer begins anew."""


@dataclass(frozen=True, kw_only=True)
class OneEuro:
    """`min_cutoff_hz`: lower is steadier at rest; `beta`: hertz of cutoff for each size of the
    person a second, higher lags less; `speed_cutoff_hz`: of the speed itself (1 in the paper)."""

    min_cutoff_hz: float = 1.0
    beta: float = 3.0
    speed_cutoff_hz: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Filtered:
    """Joints (J, 2) as filtered, their velocity (J, 2) in pixels a second, and when."""

    xy: F64
    velocity: F64
    time_s: float


def filtered(
    settings: OneEuro, before: Filtered | None, xy: F64, *, time_s: float, size_px: float
) -> Filtered:
    """Joints (J, 2) of a later time through the filter; `size_px`: how large the person is.

    A joint that was not found (NaN) stays so, and begins anew when it is found again.
    """
    step_s = math.inf if before is None else time_s - before.time_s
    if before is None or not 0 < step_s <= _GAP_S:
        return Filtered(xy=xy.copy(), velocity=np.zeros_like(xy), time_s=time_s)
    share = _share(np.float64(settings.speed_cutoff_hz), step_s)
    moved = xy - before.xy
    known = np.isfinite(moved)
    moved = np.where(known, moved, 0.0)
    velocity = np.where(known, before.velocity + share * (moved / step_s - before.velocity), 0.0)
    speed = np.linalg.norm(velocity, axis=-1, keepdims=True) / max(size_px, 1.0)
    share = _share(settings.min_cutoff_hz + settings.beta * speed, step_s)
    xy = np.where(known, before.xy + share * moved, xy)
    return Filtered(xy=xy, velocity=velocity, time_s=time_s)


def _share(cutoff_hz: F64 | np.float64, step_s: float) -> F64:
    """What of the new value an exponential filter takes."""
    return np.asarray(1 / (1 + 1 / (2 * math.pi * cutoff_hz * step_s)))
