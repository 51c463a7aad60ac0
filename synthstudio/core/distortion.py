"""Radial distortion on the normalised image plane (x / z, y / z), in OpenCV's convention.

A point at radius r goes to r (1 + k1 r^2 + k2 r^4): Brown, "Close-range camera calibration",
Photogrammetric Engineering 37 (1971), as `cv2.projectPoints` has it with distCoeffs
(k1, k2, 0, 0). Below 0 straight lines bow outwards (barrel), above 0 inwards (pincushion).

The polynomial turns back at some radius if a coefficient is negative, and what lies beyond would
be seen twice. Here the radius continues linearly from where its slope has fallen to MIN_SLOPE, so
that each ray has one image point; recipes whose picture reaches that radius are refused.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from synthstudio.core.arrays import F64

Coefficients = tuple[float, float]
"""k1 and k2."""

MIN_SLOPE = 0.1
"""Slope d(distorted)/d(undistorted) at the greatest radius."""
_STEPS = 60
"""Halvings that exhaust any bracket; Newton's method mostly converges in six steps."""
_DEGREE = 14


@functools.lru_cache(maxsize=64)
def greatest_radius(k: Coefficients) -> float:
    """The undistorted radius up to which the polynomial holds; inf where it never turns."""
    k1, k2 = k
    # 1 + 3 k1 s + 5 k2 s^2 = MIN_SLOPE for s = r^2
    roots = np.roots([5 * k2, 3 * k1, 1 - MIN_SLOPE])
    real = [float(s.real) for s in roots if abs(s.imag) < 1e-12 * max(1.0, abs(s)) and s.real > 0]
    return math.sqrt(min(real)) if real else math.inf


def radius_of(k: Coefficients, radius: F64) -> F64:
    """Distorted radii of undistorted ones (...), which they rise with."""
    maximum = greatest_radius(k)
    held = np.minimum(radius, maximum)
    s = held * held
    bent = held * (1 + s * (k[0] + s * k[1]))
    return np.asarray(bent + MIN_SLOPE * (radius - held))


def distorted(k: Coefficients, xy: F64) -> F64:
    """Distorted points (..., 2) of the normalised plane."""
    return _scaled(xy, radius_of(k, (radius := _radii(xy))), radius)


def undistorted(k: Coefficients, xy: F64) -> F64:
    """Undistorted points (..., 2): the inverse of `distorted` to machine precision."""
    bent = _radii(xy)
    maximum = greatest_radius(k)
    end = float(radius_of(k, np.array(maximum))) if math.isfinite(maximum) else math.inf
    within = np.minimum(bent, end)
    # All slopes are at least MIN_SLOPE, so the answer lies in this bracket.
    low, high = np.zeros_like(within), np.minimum(within / MIN_SLOPE, maximum)
    radius = np.minimum(within, high)
    for _ in range(_STEPS):
        s = radius * radius
        over = radius * (1 + s * (k[0] + s * k[1])) - within
        high, low = np.where(over > 0, radius, high), np.where(over > 0, low, radius)
        step = radius - over / (1 + s * (3 * k[0] + 5 * k[1] * s))
        step = np.where((step >= low) & (step <= high), step, (low + high) / 2)
        moved = np.abs(step - radius)
        radius = step
        if not (moved > 4e-16 * np.maximum(radius, 1)).any():
            break
    # Beyond the polynomial's range the radius is linear.
    return _scaled(xy, radius + np.where(bent > end, (bent - end) / MIN_SLOPE, 0.0), bent)


def undistorted_scale(k: Coefficients, square: F64) -> F64:
    """Undistorted over distorted radius, of squared distorted radii (...) in any number.

    A least-squares polynomial of the squared radius at Chebyshev's nodes, where it is within 1e-10
    of `undistorted`; `undistorted` itself for lenses that need a higher degree than _DEGREE.
    """
    maximum = float(square.max())
    at = (np.polynomial.chebyshev.chebpts1(_DEGREE + 11) + 1) / 2 * maximum
    exact = _undistorted_scale(k, at)
    fit = np.polynomial.Polynomial.fit(at, exact, _DEGREE, domain=[0.0, maximum])
    if np.abs(fit(at) - exact).max() > 1e-10:
        return _undistorted_scale(k, square)
    place = square * (2 / maximum)
    place -= 1
    out = np.full_like(place, fit.coef[-1])
    for c in fit.coef[-2::-1]:
        out *= place
        out += c
    return out


def _undistorted_scale(k: Coefficients, square: F64) -> F64:
    radius = np.sqrt(square)
    there = undistorted(k, np.stack([radius, np.zeros_like(radius)], axis=-1))[..., 0]
    return np.divide(there, radius, out=np.ones_like(radius), where=radius > 0)


def slopes(k: Coefficients, radius: F64) -> tuple[F64, F64]:
    """Magnification along and across the radius at undistorted radii (...)."""
    s = np.square(np.minimum(radius, greatest_radius(k)))
    along = np.maximum(1 + s * (3 * k[0] + 5 * k[1] * s), MIN_SLOPE)
    across = np.divide(radius_of(k, radius), radius, out=np.ones_like(radius), where=radius > 0)
    return along, across


def folds(k: Coefficients, radius: float) -> bool:
    """Whether a distorted radius lies beyond `greatest_radius`."""
    maximum = greatest_radius(k)
    return math.isfinite(maximum) and radius >= float(radius_of(k, np.array(maximum)))


def _radii(xy: F64) -> F64:
    xy = np.asarray(xy, np.float64)
    return np.asarray(np.hypot(xy[..., 0], xy[..., 1]))


def _scaled(xy: F64, to: F64, of: F64) -> F64:
    scale = np.divide(to, of, out=np.ones_like(of), where=of > 0)
    return np.asarray(np.asarray(xy, np.float64) * scale[..., None])
