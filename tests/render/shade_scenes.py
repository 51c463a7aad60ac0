"""Scenes of flat plates and balls for the tests of light."""

import math

import numpy as np
import trimesh
from render_scenes import camera, surface

from synthstudio.core.images import srgb_to_linear
from synthstudio.core.scene import Light, Scene
from synthstudio.core.spec import Material
from synthstudio.render.light import ambient_from_sky
from synthstudio.render.pack import pack
from synthstudio.render.shade import render

WHITE = Material(base_rgb=(1.0, 1.0, 1.0), specular=0.0, roughness=1.0)
GREY = Material(base_rgb=(0.5, 0.5, 0.5), specular=0.0, roughness=1.0)


def from_above(height_m=4.0, size_px=128, focal_px=256.0):
    """A camera that looks straight down: column j sees x, row i sees -y."""
    place = {"position_m": (0.0, 0.0, height_m), "pitch_rad": -math.pi / 2}
    return camera(size_px, size_px, focal_px, **place)


def floor_xy(view):
    """Floor points (H, W, 2) under the pixel centres of `from_above`."""
    j, i = np.meshgrid(np.arange(view.width_px) + 0.5, np.arange(view.height_px) + 0.5)
    scale = view.position_m[2] / view.focal_px
    return np.stack([(j - view.width_px / 2) * scale, -(i - view.height_px / 2) * scale], axis=-1)


def square(half_m, z_m, instance=1002, **fields):
    """A square about the z axis that faces up; no thickness."""
    h = half_m
    corners = np.array([[-h, -h, z_m], [h, -h, z_m], [h, h, z_m], [-h, h, z_m]], np.float64)
    mesh = trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], process=False)
    return surface(mesh, instance, **({"flat": True, "two_sided": True} | fields))


def ball(centre_m, radius_m, instance=1002, **fields):
    mesh = trimesh.creation.icosphere(4, radius_m)
    mesh.apply_translation(centre_m)
    return surface(mesh, instance, **fields)


def lit(sun=(0.0, 0.0, 1.0), sun_rgb=0.0, sky=0.0, ground=0.0, exposure=1.0):
    direction = np.array(sun, np.float64)
    return Light(
        sun_direction=direction / np.linalg.norm(direction),
        sun_rgb=np.full(3, float(sun_rgb)),
        ambient_sh=ambient_from_sky((sky,) * 3, (ground,) * 3),
        exposure=exposure,
    )


def lit_scene(view, objects, light, **fields):
    given = {
        "camera": view,
        "people": (),
        "objects": tuple(objects),
        "light": light,
        "backdrop": np.full((view.height_px, view.width_px, 3), 150, np.uint8),
        "supersample": 1,
    }
    return Scene(**(given | fields))


def shot(view, objects, light, **fields):
    made = lit_scene(view, objects, light, **fields)
    rendering = render(pack(made), made)
    return rendering, srgb_to_linear(rendering.rgb)
