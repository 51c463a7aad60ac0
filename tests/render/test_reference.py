"""The fast rasteriser and its slow twin agree on every triangle number."""

import numpy as np
import pytest
import reference
import trimesh
from render_scenes import busy_scene, camera, scene, surface

from synthstudio.core.rng import stream
from synthstudio.render import raster
from synthstudio.render.pack import pack


def both(made, scale=1):
    triangle, depth_m = reference.rasterise(made, scale=scale)
    return triangle, depth_m, raster.rasterise(pack(made), scale=scale)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_triangles_and_depths_are_the_same(seed, scale):
    triangle, depth_m, fast = both(busy_scene(seed, 72, 54), scale)
    assert np.array_equal(fast.triangle, triangle)
    assert np.array_equal(fast.depth_m, depth_m.astype(np.float32))
    assert len(np.unique(triangle)) > 100


@pytest.mark.parametrize("seed", range(6))
def test_the_same_when_surfaces_cross_the_near_plane(seed):
    random = stream(seed, "near")
    surfaces = []
    for i in range(4):
        mesh = trimesh.creation.icosphere(subdivisions=1, radius=1.0)
        mesh.apply_scale(random.uniform(0.08, 0.6, 3))
        mesh.apply_translation(random.uniform([-0.3, -0.2, -0.3], [0.3, 0.3, 0.3]))
        surfaces.append(surface(mesh, 1 + i, two_sided=bool(i % 2)))
    triangle, depth_m, fast = both(scene(surfaces, camera(64, 48, 40.0)))
    assert np.array_equal(fast.triangle, triangle)
    assert np.array_equal(fast.depth_m, depth_m.astype(np.float32))


def test_equal_depths_go_to_the_lower_number_in_both():
    mesh = trimesh.creation.icosphere(subdivisions=2, radius=0.4)
    mesh.apply_translation([0, 2, 0])
    triangle, _, fast = both(scene([surface(mesh, 1), surface(mesh, 2)], camera()))
    assert np.array_equal(fast.triangle, triangle)
    assert triangle.max() < len(mesh.faces)
