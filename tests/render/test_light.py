"""Ambient light and suns against sums over the whole sphere."""

import math

import numpy as np
import pytest

from synthstudio.core.errors import AssetError
from synthstudio.core.rng import stream
from synthstudio.render import light


def reflected(coefficients, normals):
    """What white matte surfaces with normals (n, 3) reflect: (n, 3)."""
    return light.sh_basis(normals) @ coefficients


def grid(h=90, w=180, yaw_rad=0.0):
    """Directions (h, w, 3) and solid angles (h, w) of a panorama, written out again."""
    up = (0.5 - (np.arange(h) + 0.5) / h) * math.pi
    right = ((np.arange(w) + 0.5) / w - 0.5) * 2 * math.pi - yaw_rad
    up, right = np.meshgrid(up, right, indexing="ij")
    directions = np.stack(
        [np.cos(up) * np.sin(right), np.cos(up) * np.cos(right), np.sin(up)], axis=-1
    )
    return directions, np.cos(up) * (math.pi / h) * (2 * math.pi / w)


def integrated(radiance, normals, yaw_rad=0.0):
    """The cosine-weighted mean of a panorama seen from normals (n, 3), by brute force."""
    directions, steradians = grid(*radiance.shape[:2], yaw_rad)
    cosine = np.maximum(np.einsum("hwk,nk->nhw", directions, normals), 0.0)
    return np.einsum("nhw,hw,hwc->nc", cosine, steradians, radiance) / math.pi


@pytest.fixture
def normals():
    drawn = stream(1, "normals").normal(size=(50, 3))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_a_sky_over_ground_is_exact(normals):
    sky, ground = np.array([0.2, 0.5, 0.9]), np.array([0.3, 0.2, 0.1])
    got = reflected(light.ambient_from_sky(tuple(sky), tuple(ground)), normals)
    z = normals[:, 2:]
    np.testing.assert_allclose(got, (1 + z) / 2 * sky + (1 - z) / 2 * ground, atol=1e-12)


def test_a_smooth_panorama_agrees_with_the_integral(normals):
    directions, _ = grid()
    x, y, z = np.moveaxis(directions, -1, 0)
    radiance = np.stack([2 + x + y * z, 1.5 + z * z - x * y, 1 + 0.5 * y - 0.3 * z], axis=-1)
    got = reflected(light.ambient_from_panorama(radiance), normals)
    np.testing.assert_allclose(got, integrated(radiance, normals), rtol=5e-3)


def sunny(direction, cone_rad, strength, around=0.3):
    """A grey panorama with a round sun and the RGB that a white surface facing it reflects."""
    directions, steradians = grid(180, 360)
    disc = directions @ direction > math.cos(cone_rad)
    radiance = np.full((180, 360, 3), around)
    radiance[disc] += np.array([1.0, 0.9, 0.7]) * strength
    energy = steradians[disc].sum() * strength / math.pi
    return radiance, np.array([1.0, 0.9, 0.7]) * energy


def test_a_sun_is_found_where_it_stands():
    direction = np.array([0.48, -0.64, 0.6])
    radiance, rgb = sunny(direction, math.radians(2), 800.0)
    lit = light.light_from_panorama(radiance)
    found, found_rgb = lit.sun_direction, lit.sun_rgb
    assert math.degrees(math.acos(found @ direction)) < 1.0
    np.testing.assert_allclose(found_rgb, rgb, rtol=0.05)


def test_sun_and_ambient_share_the_energy(normals):
    direction = np.array([0.48, -0.64, 0.6])
    radiance, _ = sunny(direction, math.radians(2), 800.0)
    lit = light.light_from_panorama(radiance)
    cosine = np.maximum(normals @ lit.sun_direction, 0.0)[:, None]
    got = reflected(lit.ambient_sh, normals) + cosine * lit.sun_rgb
    np.testing.assert_allclose(got, integrated(radiance, normals), atol=0.03)


def test_a_tiny_panorama_is_refused():
    with pytest.raises(AssetError, match="radiance"):
        light.ambient_from_panorama(np.ones((2, 4, 3)))
