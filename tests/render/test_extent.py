"""The endless mask's extent and the share outside the frame, against known places."""

import numpy as np
import pytest
import trimesh
from render_scenes import amodal_mask, at_pixels, busy_scene, camera, plate, scene, surface

from synthstudio.core.rng import stream
from synthstudio.render.pack import pack
from synthstudio.render.raster import amodal_extent_px, outside_share


def box_of(mask):
    if not mask.any():
        return (0, 0, 0, 0)
    i, j = np.nonzero(mask)
    return (j.min(), i.min(), j.max() + 1, i.max() + 1)


@pytest.mark.parametrize("seed", range(5))
def test_inside_the_frame_it_is_the_masks_own(seed):
    made = busy_scene(seed, 120, 160)
    packed = pack(made)
    for instance in (1, 2, 1005):
        mask = amodal_mask(packed, instance)
        inside = (box_of(mask), amodal_extent_px(packed, instance))
        for k, (edge, other) in enumerate(zip(*inside, strict=True)):
            touches = edge == (0, 0, 120, 160)[k]
            assert (other <= edge if k < 2 else other >= edge) if touches else other == edge


def test_of_one_triangle_it_is_the_masks_own():
    view, random = camera(60, 40), stream(0, "triangles")
    for _ in range(200):
        pixels, depth_m = random.uniform([5, 5], [55, 35], (3, 2)), random.uniform(1, 3, 3)
        mesh = trimesh.Trimesh(at_pixels(view, pixels, depth_m), [[0, 1, 2]], process=False)
        packed = pack(scene([surface(mesh, 1, two_sided=True)], view))
        assert amodal_extent_px(packed, 1) == box_of(amodal_mask(packed, 1))


@pytest.mark.parametrize("seed", range(3))
def test_beyond_the_frame_it_is_that_of_a_wider_frame(seed):
    random = stream(seed, "wide")
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.5)
    ball.apply_translation(random.uniform([-0.8, 0.9, -0.8], [0.8, 1.5, 0.8]))
    narrow, wide = camera(60, 40, 50.0), camera(2060, 2040, 50.0)
    mask = amodal_mask(pack(scene([surface(ball, 1)], wide)), 1)
    expected = np.array(box_of(mask)) - 1000
    assert amodal_extent_px(pack(scene([surface(ball, 1)], narrow)), 1) == tuple(expected)
    assert (expected < 0).any() or (expected > [60, 40, 60, 40]).any()


def test_through_the_near_plane_it_ends_where_the_plane_cuts():
    view = camera(60, 40, 50.0)
    wall = trimesh.Trimesh([[1, 5, 1], [1, -5, 1], [1, 5, -1]], [[0, 1, 2]], process=False)
    x0, _, x1, _ = amodal_extent_px(pack(scene([surface(wall, 1, two_sided=True)], view)), 1)
    assert x0 == 40  # 30 + 50 * 1 / 5
    assert x1 == 30 + 50 * 1 / 0.05


def test_nothing_to_see_has_no_extent():
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.5)
    ball.apply_translation([0, -3, 0])
    packed = pack(scene([surface(ball, 1)], camera()))
    for instance in (1, 2):
        assert amodal_extent_px(packed, instance) == (0, 0, 0, 0)
    assert outside_share(packed, 1) == 1.0
    assert outside_share(packed, 2) == 0.0


@pytest.mark.parametrize("cells", [1, 2, 30])
@pytest.mark.parametrize(
    ("box", "share"),
    [
        ((10, 10, 50, 30), 0.0),
        ((-20, 10, 20, 30), 0.5),
        ((50, 30, 90, 50), 1 - 0.25 * 0.5),
        ((-90, 5, -20, 35), 1.0),
        ((15, -10, 45, 30), 0.25),
    ],
)
def test_the_share_of_a_plate_outside_is_its_area_outside(box, share, cells):
    # A long focal length: all of the plate is seen at nearly the same angle.
    view = camera(60, 40, 6000.0)
    packed = pack(scene([surface(plate(view, *box, 100.0, cells), 1)], view))
    assert outside_share(packed, 1) == pytest.approx(share, abs=1e-4)


def test_surface_that_looks_away_or_is_not_drawn_does_not_count():
    view = camera(60, 40, 600.0)
    away = plate(view, -60, 0, 0, 40, 9.0)
    away.invert()
    inside, hidden = plate(view, 0, 0, 60, 40, 10.0), plate(view, -60, 0, 0, 40, 10.0)
    no_face = np.zeros(len(hidden.faces), bool)
    surfaces = [surface(away, 1), surface(inside, 1), surface(hidden, 1, drawn=no_face)]
    assert outside_share(pack(scene(surfaces, view)), 1) == pytest.approx(0.0, abs=1e-6)
    surfaces[2] = surface(hidden, 1)
    assert outside_share(pack(scene(surfaces, view)), 1) == pytest.approx(0.5, abs=0.01)


def test_what_is_before_the_near_plane_is_outside():
    strip = trimesh.Trimesh(
        [[-0.01, 0.04, -1], [0.01, 0.04, -1], [0, 0.06, 9]], [[0, 1, 2]], process=False
    )
    view = camera(600, 400, 1.0)
    near = trimesh.Trimesh(strip.vertices * [1, 1, 0.001], strip.faces, process=False)
    share = outside_share(pack(scene([surface(near, 1)], view)), 1)
    assert share == pytest.approx(0.75, abs=0.01)  # a triangle cut half-way to its tip
