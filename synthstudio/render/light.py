"""Ambient light as spherical harmonics, and a sun out of a panorama.

Irradiance coefficients after Ramamoorthi and Hanrahan, "An Efficient Representation for
Irradiance Environment Maps" (2001), stored as `core.scene.Light` asks: convolved with the
cosine lobe and divided by pi.

Panoramas are equirectangular: row 0 is up, the middle column lies along world +y (where a
camera at yaw 0 looks), columns go on to the right; `yaw_rad` turns the panorama about z.
"""

import math

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.arrays import F64
from synthstudio.core.errors import AssetError
from synthstudio.core.images import LUMINANCE
from synthstudio.core.scene import Light
from synthstudio.core.spec import LightSpec, Vec3

SH_CONSTANTS = np.sqrt(np.array([1, 3, 3, 3, 15, 15, 5 / 4, 15, 15 / 4]) / (4 * math.pi))
"""Factors that make 1, y, z, x, xy, yz, 3z^2 - 1, xz, x^2 - y^2 orthonormal."""
_LOBE = np.array([1.0] + [2.0 / 3.0] * 3 + [0.25] * 5)
"""The cosine lobe's coefficients A_l / pi for the nine functions."""
_SUN_CONE_RAD = math.radians(10.0)
_SUN_SHARE_OF_PEAK = 0.1
_MAX_ROWS = 128


def sh_basis(directions: F64) -> F64:
    """The nine real spherical harmonics (..., 9) of unit `directions` (..., 3)."""
    x, y, z = np.moveaxis(np.asarray(directions, np.float64), -1, 0)
    shapes = [np.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y]
    return np.asarray(np.stack(shapes, axis=-1) * SH_CONSTANTS)


def light_from_spec(lamp: LightSpec) -> Light:
    """A spec's sun, sky, light from a side and flash."""
    ambient = ambient_from_sky(lamp.sky_rgb, lamp.ground_rgb)
    return Light(
        sun_direction=np.array(lamp.sun_direction),
        sun_rgb=np.array(lamp.sun_rgb),
        ambient_sh=ambient + ambient_from_side(lamp.side_rgb, lamp.side_direction),
        exposure=lamp.exposure,
        occlusion=lamp.occlusion,
        flash_rgb=lamp.flash_rgb,
    )


def ambient_from_sky(sky_rgb: Vec3, ground_rgb: Vec3) -> F64:
    """(9, 3) coefficients of a uniform sky above the horizon and ground below it.

    Exact: a white matte surface with normal n reflects (1 + n_z)/2 sky + (1 - n_z)/2 ground.
    """
    sky, ground = np.asarray(sky_rgb, np.float64), np.asarray(ground_rgb, np.float64)
    out = np.zeros((9, 3))
    out[0] = (sky + ground) / 2 / SH_CONSTANTS[0]
    out[2] = (sky - ground) / 2 / SH_CONSTANTS[2]
    return out


def floor_sun_share(light: Light) -> float:
    """The sun's share of the luminance of a level floor, 0 to 1."""
    sky = float((sh_basis(np.array([0.0, 0.0, 1.0])) @ light.ambient_sh) @ LUMINANCE)
    sun = float(light.sun_rgb @ LUMINANCE) * max(0.0, float(light.sun_direction[2]))
    return sun / max(sun + sky, 1e-6)


def ambient_from_side(rgb: Vec3, direction: Vec3) -> F64:
    """(9, 3) coefficients of the half of a sphere round a unit `direction`.

    Exact: a white matte surface with normal n reflects (1 + n . direction)/2 rgb.
    """
    out = np.zeros((9, 3))
    out[0] = np.asarray(rgb, np.float64) / 2 / SH_CONSTANTS[0]
    for place, axis in ((1, 1), (2, 2), (3, 0)):
        out[place] = np.asarray(rgb, np.float64) * direction[axis] / 2 / SH_CONSTANTS[place]
    return out


def ambient_from_panorama(radiance: NDArray[np.floating], *, yaw_rad: float = 0.0) -> F64:
    """(9, 3) coefficients of a panorama (h, w, 3) of linear radiance, sun included."""
    small = _shrunk(radiance)
    directions, steradians = _sphere(small.shape[0], small.shape[1], yaw_rad)
    weighted = small * steradians[..., None]
    return np.asarray(np.einsum("hwk,hwc->kc", sh_basis(directions), weighted) * _LOBE[:, None])


def light_from_panorama(
    radiance: NDArray[np.floating], *, yaw_rad: float = 0.0, exposure: float = 1.0
) -> Light:
    """Sun and ambient of a panorama (h, w, 3); the sun's energy is counted once.

    The sun is the brightest lamp above the horizon; its RGB is what a white matte surface that
    faces it reflects: its radiance over what lies around it, by solid angle, divided by pi.
    """
    rest, direction, rgb = _split(_shrunk(radiance), yaw_rad)
    return Light(
        sun_direction=direction,
        sun_rgb=rgb,
        ambient_sh=ambient_from_panorama(rest, yaw_rad=yaw_rad),
        exposure=exposure,
    )


def _split(radiance: F64, yaw_rad: float) -> tuple[F64, F64, F64]:
    """Split a panorama into the rest without its sun, the sun's direction and its RGB."""
    directions, steradians = _sphere(radiance.shape[0], radiance.shape[1], yaw_rad)
    luminance = radiance @ LUMINANCE
    above = np.where(directions[..., 2] > 0.05, luminance, -1.0)
    peak = np.unravel_index(int(np.argmax(above)), above.shape)
    cosine = directions @ directions[peak]
    cone = cosine > math.cos(_SUN_CONE_RAD)
    ring = (cosine > math.cos(2 * _SUN_CONE_RAD)) & ~cone
    around = np.median(radiance[ring], axis=0)
    lit = cone & (luminance > _SUN_SHARE_OF_PEAK * luminance[peak])
    rest = np.where(lit[..., None], np.minimum(radiance, around), radiance)
    energy = (radiance - rest) * steradians[..., None]
    weight = energy.sum(axis=-1)
    if weight.sum() <= 0.0:
        return radiance, np.array([0.0, 0.0, 1.0]), np.zeros(3)
    direction = np.einsum("hw,hwc->c", weight, directions)
    return rest, direction / np.linalg.norm(direction), energy.sum(axis=(0, 1)) / math.pi


def _sphere(h: int, w: int, yaw_rad: float) -> tuple[F64, F64]:
    """Unit directions (h, w, 3) and solid angles (h, w) of an equirectangular grid."""
    edges = np.linspace(math.pi / 2, -math.pi / 2, h + 1)
    up = (edges[:-1] + edges[1:]) / 2
    across = ((np.arange(w) + 0.5) / w - 0.5) * 2 * math.pi - yaw_rad
    flat = np.cos(up)[:, None]
    directions = np.stack(
        [
            flat * np.sin(across),
            flat * np.cos(across),
            np.broadcast_to(np.sin(up)[:, None], (h, w)),
        ],
        axis=-1,
    )
    bands = (np.sin(edges[:-1]) - np.sin(edges[1:])) * 2 * math.pi / w
    return directions, np.broadcast_to(bands[:, None], (h, w))


def _shrunk(radiance: NDArray[np.floating]) -> F64:
    """Average whole blocks until at most 128 rows are left: irradiance needs no more."""
    if min(radiance.shape[:2]) < 8:
        raise AssetError(
            "a panorama has the wrong shape",
            where="radiance",
            expected="(h, w, 3), at least 8 by 8",
            got=str(radiance.shape),
        )
    step = max(1, radiance.shape[0] // _MAX_ROWS)
    h, w = radiance.shape[0] // step * step, radiance.shape[1] // step * step
    blocks = np.asarray(radiance, np.float64)[:h, :w].reshape(h // step, step, w // step, step, 3)
    return np.asarray(blocks.mean(axis=(1, 3)))
