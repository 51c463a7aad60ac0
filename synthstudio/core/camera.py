"""A camera: OpenCV axes (x right, y down, z forward), continuous pixels, metres.

A pinhole, or one whose lens bends straight lines (below). All conversions of positions
to and from pixels go through `project` and `unproject`; the renderer draws what
`pinhole` sees, and render/bend.py makes the picture of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from synthstudio.core.arrays import F64, Bool
from synthstudio.core.errors import GeometryError

NEAR_M = 0.05
"""Nothing nearer than this along z is drawn or labelled."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A camera as numbers that JSON can hold; matrices are derived.

    `position_m` in the world (z up). At yaw, pitch and roll 0 the camera looks along world +y
    with x to its right. Yaw turns left (about +z), pitch looks up, roll turns clockwise as
    seen from behind the camera; applied in the order roll, pitch, yaw.
    """

    width_px: int
    height_px: int
    focal_px: float
    position_m: tuple[float, float, float]
    yaw_rad: float
    pitch_rad: float
    roll_rad: float = 0.0
    centre_px: tuple[float, float] | None = None
    distortion: Coefficients | None = None  # k1, k2; None: a pinhole

    @cached_property
    def K(self) -> F64:
        """The (3, 3) intrinsics for continuous pixels."""
        cx, cy = self.centre_px or (self.width_px / 2, self.height_px / 2)
        return np.array([[self.focal_px, 0, cx], [0, self.focal_px, cy], [0, 0, 1]], np.float64)

    @cached_property
    def world_to_camera(self) -> F64:
        """The (4, 4) rigid transform from world to camera metres."""
        cy, sy = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        cp, sp = math.cos(self.pitch_rad), math.sin(self.pitch_rad)
        cr, sr = math.cos(self.roll_rad), math.sin(self.roll_rad)
        yaw = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
        pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        roll = np.array([[cr, 0, sr], [0, 1, 0], [-sr, 0, cr]])
        axes = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float64)  # rows: camera x, y, z
        rotation = axes @ (yaw @ pitch @ roll).T
        out = np.eye(4)
        out[:3, :3] = rotation
        out[:3, 3] = -rotation @ np.array(self.position_m)
        return out

    def to_camera(self, points_m: F64) -> F64:
        """World points (..., 3) in camera metres."""
        m = self.world_to_camera
        return np.asarray(points_m, np.float64) @ m[:3, :3].T + m[:3, 3]

    def to_world(self, points_m: F64) -> F64:
        """Camera points (..., 3) in world metres."""
        m = self.world_to_camera
        return (np.asarray(points_m, np.float64) - m[:3, 3]) @ m[:3, :3]

    def project(self, camera_m: F64) -> F64:
        """Camera points (..., 3) as pixels (..., 2); NaN nearer than the near plane."""
        camera_m = np.asarray(camera_m, np.float64)
        z = camera_m[..., 2]
        k = self.K
        if self.distortion is not None:
            near = camera_m[..., 2:] >= NEAR_M
            flat = camera_m[..., :2] / np.where(near, camera_m[..., 2:], 1.0)
            bent = distorted(self.distortion, flat) * self.focal_px + k[:2, 2]
            return np.where(near, bent, np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            x = k[0, 0] * camera_m[..., 0] / z + k[0, 2]
            y = k[1, 1] * camera_m[..., 1] / z + k[1, 2]
        out = np.stack([x, y], axis=-1)
        out[~(z >= NEAR_M)] = np.nan
        return out

    def unproject(self, pixels: F64, depth_m: F64) -> F64:
        """Camera points (..., 3) of continuous pixels (..., 2) at z = depth_m (...)."""
        k = self.K
        pixels, depth_m = np.asarray(pixels, np.float64), np.asarray(depth_m, np.float64)
        if self.distortion is not None:
            plane = undistorted(self.distortion, (pixels - k[:2, 2]) / self.focal_px)
            flat = plane * depth_m[..., None]
            return np.concatenate([flat, np.broadcast_to(depth_m, flat.shape[:-1])[..., None]], -1)
        x = (pixels[..., 0] - k[0, 2]) / k[0, 0] * depth_m
        y = (pixels[..., 1] - k[1, 2]) / k[1, 1] * depth_m
        return np.stack([x, y, np.broadcast_to(depth_m, x.shape)], axis=-1)

    def shows(self, pixels: F64) -> Bool:
        """(...) whether continuous pixels (..., 2) lie in [0, W) x [0, H); NaN does not."""
        x, y = pixels[..., 0], pixels[..., 1]
        return (x >= 0) & (x < self.width_px) & (y >= 0) & (y < self.height_px)

    def floor_m(self, pixels: F64) -> F64:
        """The (..., 2) world x, y of the floor z = 0 at pixels (..., 2); NaN over the horizon."""
        eye = np.array(self.position_m)
        pixels = np.asarray(pixels, np.float64)
        ray = self.to_world(self.unproject(pixels, np.ones(pixels.shape[:-1]))) - eye
        down = np.where(ray[..., 2] < -1e-9, ray[..., 2], np.nan)
        return np.asarray(eye[:2] - ray[..., :2] * (eye[2] / down)[..., None])

    def floor_px(self, points_m: F64) -> F64:
        """Pixels (..., 2) of the floor z = 0 at world x, y (..., 2); NaN nearer than the plane."""
        flat = np.concatenate([points_m, np.zeros_like(points_m[..., :1])], axis=-1)
        return self.project(self.to_camera(flat))

    @cached_property
    def pinhole(self) -> Camera:
        """The camera without its distortion that sees all that this one sees, nowhere coarser.

        The camera itself without distortion. Its picture includes this one's outline and a margin
        of two pixels, and its focal length is longer where the lens magnifies.
        """
        if self.distortion is None:
            return self
        size = np.array([self.width_px, self.height_px])
        x, y = (np.arange(side + 1, dtype=np.float64) for side in size)
        across = [np.stack([x, np.full_like(x, end)], axis=1) for end in (0.0, size[1])]
        down = [np.stack([np.full_like(y, end), y], axis=1) for end in (0.0, size[0])]
        outline = np.concatenate([*across, *down])
        plane = self.unproject(outline, np.ones(len(outline)))[:, :2]
        radii = np.linspace(0.0, float(np.hypot(*plane.T).max()), 65)
        focal = self.focal_px * max(1.0, *(float(s.max()) for s in slopes(self.distortion, radii)))
        low, high = np.floor(plane.min(axis=0) * focal) - 2, np.ceil(plane.max(axis=0) * focal) + 2
        wide, tall = (int(v) for v in high - low)
        return replace(
            self,
            width_px=wide,
            height_px=tall,
            focal_px=focal,
            centre_px=(float(-low[0]), float(-low[1])),
            distortion=None,
        )

    @cached_property
    def spread(self) -> tuple[float, float]:
        """(x, y) factors of a centred camera's view over a pinhole's; 1, 1 without distortion."""
        if self.distortion is None:
            return 1.0, 1.0
        half = np.array([self.width_px, self.height_px]) / 2 / self.focal_px
        wide, tall = np.diag(undistorted(self.distortion, np.diag(half))) / half
        return float(wide), float(tall)

    @property
    def horizon_px(self) -> float:
        """The row of the horizon at a pinhole's middle column (roll ignored)."""
        return float(self.K[1, 2] + self.focal_px * math.tan(self.pitch_rad))


def look_at(
    position_m: tuple[float, float, float], target_m: tuple[float, float, float]
) -> tuple[float, float]:
    """(yaw_rad, pitch_rad) of a camera at `position_m` that looks at `target_m`."""
    d = np.array(target_m, np.float64) - np.array(position_m, np.float64)
    flat = math.hypot(d[0], d[1])
    if flat + abs(d[2]) < 1e-9:
        raise GeometryError(
            "look_at equals the camera's position", where="look_at", got=str(target_m)
        )
    return math.atan2(-d[0], d[1]), math.atan2(d[2], flat)


# Radial distortion on the normalised image plane (x / z, y / z), in OpenCV's convention -----------
# A point at radius r goes to r (1 + k1 r^2 + k2 r^4): Brown, "Close-range camera calibration",
# Photogrammetric Engineering 37 (1971), as `cv2.projectPoints` has it with distCoeffs
# (k1, k2, 0, 0). Below 0 straight lines bow outwards (barrel), above 0 inwards (pincushion).
#
# The polynomial turns back at some radius if a coefficient is negative, and what lies beyond would
# be seen twice. Here the radius continues linearly from where its slope has fallen to MIN_SLOPE, so
# that each ray has one image point; recipes whose picture reaches that radius are refused.

Coefficients = tuple[float, float]
"""k1 and k2."""

MIN_SLOPE = 0.1
"""Slope d(distorted)/d(undistorted) at the greatest radius."""
_STEPS = 60
"""Halvings that exhaust any bracket; Newton's method mostly converges in six steps."""
_DEGREE = 14


@lru_cache(maxsize=64)
def greatest_radius(k: Coefficients) -> float:
    """The undistorted radius up to which the polynomial holds; inf where it never turns."""
    k1, k2 = k
    # 1 + 3 k1 s + 5 k2 s^2 = MIN_SLOPE for s = r^2
    roots = np.roots([5 * k2, 3 * k1, 1 - MIN_SLOPE])
    real = [float(s.real) for s in roots if abs(s.imag) < 1e-12 * max(1.0, abs(s)) and s.real > 0]
    return math.sqrt(min(real)) if real else math.inf


def radius_of(k: Coefficients, radius: F64) -> F64:
    """Distorted radii of undistorted ones (...), which they rise with."""
    held = np.minimum(radius, greatest_radius(k))
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
