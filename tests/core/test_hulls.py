"""Laws of the outlines that keep items apart."""

import math

import numpy as np
import pytest
import trimesh

from synthstudio.core.hulls import LAYER_M, box_gap_m, box_m, gap_m, hulls
from synthstudio.core.rng import stream
from synthstudio.core.scene import Surface
from synthstudio.core.spec import Material


def _surface(mesh):
    return Surface(
        name="test",
        instance=1000,
        vertices_m=mesh.vertices.astype(np.float32),
        faces=mesh.faces.astype(np.int32),
        coords=mesh.vertices.astype(np.float32),
        material=Material(),
    )


def _box(centre, size):
    mesh = trimesh.creation.box(size)
    mesh.apply_translation(centre)
    return _surface(mesh)


def test_outlines_are_the_farthest_reach_of_all_corners_near_a_layer():
    """The slow way: each layer, each direction, each corner whose faces could reach the layer."""
    rng = stream(3, "reach")
    for _ in range(10):
        parts = []
        for _ in range(3):
            mesh = trimesh.creation.icosphere(subdivisions=1, radius=0.3)
            mesh.vertices *= rng.uniform(0.2, 1.5, 3)
            mesh.apply_translation(rng.uniform(-0.6, 0.9, 3))
            mesh.vertices = np.concatenate([mesh.vertices, [[9.0, 9.0, 9.0]]])  # of no face
            parts.append(_surface(mesh))
        found = hulls(parts)
        for layer, row in enumerate(found.support_m, found.first):
            for k, reach in enumerate(row):
                angle = 2 * math.pi * k / len(row)
                assert reach == pytest.approx(_reach(parts, layer, angle), abs=2e-4)


def _reach(parts, layer, angle):
    far = -math.inf
    for part in parts:
        z = part.vertices_m[part.faces, 2]
        maximum = float((z.max(axis=1) - z.min(axis=1)).max())
        for x, y, height in part.vertices_m[np.unique(part.faces)]:
            if height - maximum < (layer + 1) * LAYER_M and height + maximum >= layer * LAYER_M:
                far = max(far, x * math.cos(angle) + y * math.sin(angle))
    return far


def test_gap_of_two_boxes_is_their_distance():
    a, b = _box((0, 0, 0.5), (1, 1, 1)), _box((2, 0, 0.5), (1, 1, 1))
    assert gap_m(hulls([a]), hulls([b])) == pytest.approx(1.0, abs=5e-4)
    assert gap_m(hulls([b]), hulls([a])) == pytest.approx(gap_m(hulls([a]), hulls([b])), abs=1e-6)
    assert gap_m(hulls([a]), hulls([_box((0.9, 0.2, 0.5), (1, 1, 1))])) < 0
    aside = _box((1.2, 3, 0.5), (1, 1, 1))
    assert box_gap_m(box_m([a]), box_m([aside])) == pytest.approx(2.0)
    assert box_gap_m(box_m([a]), box_m([aside])) <= gap_m(hulls([a]), hulls([aside])) + 1e-3
    assert box_gap_m(box_m([a]), box_m([_box((0.5, 0.5, 9), (1, 1, 1))])) < 0


def test_boxes_in_different_layers_are_apart():
    table, lamp = _box((0, 0, 0.35), (1, 1, 0.7)), _box((0, 0, 1.5), (0.2, 0.2, 0.2))
    assert gap_m(hulls([table]), hulls([lamp])) == math.inf


def test_long_triangles_reach_through_the_layers_between_their_corners():
    pole, ring = _box((0, 0, 1.0), (0.1, 0.1, 2.0)), _box((0, 0, 1.0), (1.0, 1.0, 0.05))
    assert gap_m(hulls([pole]), hulls([ring])) < 0


def test_a_positive_gap_proves_that_nothing_touches():
    rng = stream(7, "hulls")
    positive = 0
    for _ in range(60):
        meshes = []
        for _ in range(2):
            mesh = trimesh.creation.icosphere(subdivisions=2, radius=0.3)
            mesh.vertices *= rng.uniform(0.3, 1.5, 3)
            mesh.apply_translation((*rng.uniform(-0.5, 0.5, 2), rng.uniform(0.5, 1.2)))
            meshes.append(mesh)
        gap = gap_m(hulls([_surface(meshes[0])]), hulls([_surface(meshes[1])]))
        if gap > 0:
            positive += 1
            assert not meshes[0].contains(meshes[1].vertices).any()
    assert 5 < positive < 55
