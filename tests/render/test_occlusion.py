"""Ambient occlusion: what it darkens, what it leaves alone, and by how much."""

import dataclasses

import numpy as np
import pytest
import trimesh
from render_scenes import surface
from shade_scenes import GREY, from_above, lit, shot, square

from synthstudio.core.camera import Camera

VIEW = from_above()
OBLIQUE = Camera(
    width_px=160,
    height_px=160,
    focal_px=260.0,
    position_m=(0.0, -1.6, 1.1),
    yaw_rad=0.0,
    pitch_rad=np.radians(-33),
)
FLOOR = square(3.0, 0.0, material=GREY)


def dimmed(light, strength=1.0):
    return dataclasses.replace(light, occlusion=strength)


def lost(objects, view=VIEW, strength=1.0, supersample=1):
    """The share of the sky that each pixel loses, (H, W)."""
    sky = lit(sky=0.6, ground=0.6)
    _, without = shot(view, objects, sky, supersample=supersample)
    _, with_it = shot(view, objects, dimmed(sky, strength), supersample=supersample)
    return 1 - with_it[..., 0] / np.maximum(without[..., 0], 1e-4)


def wall(height_m=1.0):
    """A long wall whose face y = 0 looks at OBLIQUE."""
    mesh = trimesh.creation.box((12.0, 0.05, height_m))
    mesh.apply_translation((0, 0.025, height_m / 2))
    return surface(mesh, 1003, flat=True, material=GREY)


def floor_y(view):
    """World y (H, W) of the floor under the pixels' centres."""
    inverse = np.linalg.inv(view.K @ view.world_to_camera[:3, :3])
    j, i = np.meshgrid(np.arange(view.width_px) + 0.5, np.arange(view.height_px) + 0.5)
    ray = np.stack([j, i, np.ones_like(j)], axis=-1) @ inverse.T
    return view.position_m[1] - ray[..., 1] * view.position_m[2] / ray[..., 2]


def test_the_sun_is_left_alone_and_so_are_maps():
    objects = [FLOOR, wall()]
    plain, dim = (
        shot(VIEW, objects, light)[0] for light in (lit(sun_rgb=0.8), dimmed(lit(sun_rgb=0.8)))
    )
    assert np.array_equal(plain.rgb, dim.rgb)
    dim = shot(VIEW, objects, dimmed(lit(sky=0.5)))[0]
    for name in ("depth_m", "instance", "part"):
        assert np.array_equal(getattr(plain, name), getattr(dim, name))


def test_a_corner_loses_about_what_the_integral_says():
    """Beside an endless wall of height h the sky's share is 1 - (1 - d / sqrt(d^2 + h^2)) / 2.

    The estimator counts what is within 35 cm, so that is the wall's height here; farther out it
    fades, to nothing at 35 cm.
    """
    height = 0.35
    found, y = lost([FLOOR, wall(height)], OBLIQUE), floor_y(OBLIQUE)
    middle = np.zeros(y.shape, bool)
    middle[:, 50:110] = True  # away from the picture's edge
    for d in (0.04, 0.08, 0.12, 0.18):
        at = middle & (np.abs(-y - d) < 0.012)
        true = (1 - d / np.hypot(d, height)) / 2
        assert found[at].mean() == pytest.approx(true, abs=0.12), d
    assert np.abs(found[middle & (y < -0.5) & (y > -1.2)]).max() < 0.02
