"""Exact point visibility: known scenes, and laws that need no second oracle."""

import dataclasses

import numpy as np
import pytest
import trimesh
import warp as wp
from render_scenes import at_pixels, busy_scene, camera, plate, scene, skin_points, surface

from synthstudio.core.rng import stream
from synthstudio.core.scene import NO_PART
from synthstudio.render import points as module
from synthstudio.render.pack import pack
from synthstudio.render.points import nearest_blockers


def disc(view, centre_px, radius_px, depth_m, count=2000):
    """Points spread evenly over a disc that is parallel to the image (sunflower)."""
    k = np.arange(count) + 0.5
    r, angle = np.sqrt(k / count) * radius_px, k * np.pi * (3 - np.sqrt(5))
    offsets = np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1)
    return at_pixels(view, np.asarray(centre_px) + offsets, depth_m)


def ask(surfaces, view, points, owner=1, part=0, **more):
    count = len(points)
    return nearest_blockers(
        pack(scene(surfaces, view)),
        points,
        np.full(count, owner, np.int32),
        np.full(count, part, np.uint8),
        **more,
    )


@pytest.mark.parametrize("edge", [-0.9, -0.5, 0.0, 0.3, 0.8])
@pytest.mark.parametrize("radius_px", [0.4, 3.0, 11.0])
@pytest.mark.parametrize("count", [96, 2000])
def test_a_plates_edge_over_a_disc_hides_the_segment_behind_it(edge, radius_px, count):
    """Below a pixel or over many, the hidden share is the area of the circle's segment."""
    view = camera(64, 48, 50.0, yaw_rad=0.3, pitch_rad=-0.2, roll_rad=0.4)
    points = disc(view, (30.3, 22.7), radius_px, 3.0, count)
    cover = plate(view, -99, -99, 30.3 + edge * radius_px, 99, 2.0)
    hidden = (ask([surface(cover, 1000)], view, points).instance == 1000).mean()
    expected = 1 - (np.arccos(edge) - edge * np.sqrt(1 - edge**2)) / np.pi
    assert hidden == pytest.approx(expected, abs=0.02 if count > 96 else 0.03)


@pytest.mark.parametrize("width_px", [0.02, 0.2, 0.7])
def test_a_slat_finer_than_a_pixel_hides_what_is_behind_it(width_px):
    view = camera(64, 48, 50.0)
    points = disc(view, (30.3, 22.7), 2.0, 3.0, 20000)
    slat = plate(view, 30.3 - width_px / 2, -9, 30.3 + width_px / 2, 60, 2.0)
    hidden = (ask([surface(slat, 1000)], view, points).instance == 1000).mean()
    h = width_px / 4  # half the width, in radii
    expected = 2 * (h * np.sqrt(1 - h**2) + np.arcsin(h)) / np.pi
    assert hidden == pytest.approx(expected, rel=0.1)


def test_the_nearest_blocker_wins_and_its_depth_is_z():
    view = camera()
    points = disc(view, (48, 36), 20, 5.0, 50)
    walls = [surface(plate(view, 0, 0, 96, 72, z), 1000 + i) for i, z in enumerate((4, 2, 3, 6))]
    found = ask(walls, view, points)
    assert (found.instance == 1001).all()
    assert np.allclose(found.depth_m, 2.0, rtol=1e-6)


def test_only_own_surfaces_have_a_tolerance():
    view = camera()
    points = disc(view, (48, 36), 20, 2.0, 50)
    for gap, own, other in ((0.0005, 0, 2), (0.0029, 0, 2), (0.0031, 1, 2), (-0.0005, 0, 0)):
        mesh = plate(view, 0, 0, 96, 72, 2.0 - gap)
        assert (ask([surface(mesh, 1)], view, points).instance == own).all()
        assert (ask([surface(mesh, 2)], view, points).instance == other).all()


def test_own_clothes_hide_only_what_they_do_not_cover():
    view = camera()
    points = disc(view, (48, 36), 20, 2.0, 50)
    sleeve = surface(plate(view, 0, 0, 96, 72, 1.9), 1, covers=np.full(2, 1 << 7, np.uint32))
    assert (ask([sleeve], view, points, owner=1, part=7).instance == 0).all()
    assert (ask([sleeve], view, points, owner=1, part=8).instance == 1).all()
    assert (ask([sleeve], view, points, owner=2, part=7).instance == 1).all()
    everything = dataclasses.replace(sleeve, covers=np.full(2, 2**32 - 1, np.uint32))
    assert (ask([everything], view, points, owner=1, part=NO_PART).instance == 1).all()
    # What lies behind the sleeve and in front of the point still hides it.
    wall = surface(plate(view, 0, 0, 96, 72, 1.95), 1000)
    assert (ask([sleeve, wall], view, points, owner=1, part=7).instance == 1000).all()


def test_undrawn_skin_and_back_faces_hide():
    view = camera()
    points = disc(view, (48, 36), 20, 2.0, 50)
    mesh = plate(view, 0, 0, 96, 72, 1.5)
    mesh.invert()
    skin = surface(mesh, 1, part=np.full(2, 3, np.uint8), drawn=np.zeros(2, bool))
    assert (ask([skin], view, points).instance == 1).all()


def test_points_outside_the_frame_are_answered_and_those_before_the_near_plane_not():
    view = camera()
    far_out = np.array([[-900.0, 36], [48, 5000.0], [-30, -30], [96.5, 72.5]])
    wall = surface(plate(view, -1000, -100, 100, 5100, 2.0), 1000)
    assert (ask([wall], view, at_pixels(view, far_out, 3.0)).instance == 1000).all()
    behind = np.array([[0.0, -1, 0], [0, 0.049, 0], [0, 0, 0]])
    found = ask([wall], view, behind)
    assert not found.instance.any()
    assert np.isinf(found.depth_m).all()


def test_nothing_before_the_near_plane_hides():
    view = camera()
    points = disc(view, (48, 36), 20, 2.0, 50)
    for depth, blocker in ((0.049, 0), (0.051, 1000)):
        wall = surface(plate(view, 0, 0, 96, 72, depth), 1000)
        assert (ask([wall], view, points).instance == blocker).all()


def test_of_a_surface_through_the_near_plane_only_the_far_part_hides():
    """A steep wall rises through the near plane: z is 0.05 where it meets row 36."""
    view = camera()
    wall = trimesh.Trimesh(
        [[-9, 0.05 - 0.04, 0.1], [9, 0.05 - 0.04, 0.1], [9, 0.09, -0.1], [-9, 0.09, -0.1]],
        [[0, 1, 2], [0, 2, 3]],
        process=False,
    )
    points = at_pixels(view, [[48, 30], [48, 35.9], [48, 36.1], [48, 42]], 3.0)
    for two in (wall, trimesh.Trimesh(wall.vertices, wall.faces[:, ::-1], process=False)):
        found = ask([surface(two, 1000)], view, points)
        assert list(found.instance) == [0, 0, 1000, 1000]


def test_a_triangle_that_reaches_behind_the_camera_hides():
    view = camera()
    floor = trimesh.Trimesh([[-9, -9, -1], [9, -9, -1], [0, 9, -1]], [[0, 1, 2]], process=False)
    points = np.array([[0.0, 2, -1.5], [0.0, 2, -0.9], [0.2, 4, -1.1], [0, 30, -1.5]])
    assert list(ask([surface(floor, 1000)], view, points).instance) == [1000, 0, 1000, 0]


def test_only_what_is_wanted_is_answered():
    view = camera()
    points = disc(view, (48, 36), 20, 2.0, 50)
    wanted = np.arange(50) % 3 == 0
    found = ask([surface(plate(view, 0, 0, 96, 72, 1.0), 9)], view, points, needed=wanted)
    assert np.array_equal(found.instance == 9, wanted)
    assert np.array_equal(np.isfinite(found.depth_m), wanted)
    nobody = ask([surface(plate(view, 0, 0, 96, 72, 1.0), 9)], view, points, needed=wanted & False)
    assert not nobody.instance.any()
    assert not ask([], view, points).instance.any()


def test_answers_do_not_depend_on_resolution_order_or_bands(monkeypatch):
    made = busy_scene(5)
    points, owner, part = skin_points(made, 5, 2000)
    found = nearest_blockers(pack(made), points, owner, part)
    assert len(np.unique(found.instance)) > 4
    view = made.camera
    small = dataclasses.replace(view, width_px=24, height_px=18, focal_px=view.focal_px / 4)
    order = stream(5, "order").permutation(len(points))
    monkeypatch.setattr(module, "CELL_BITS", 11)
    again = nearest_blockers(
        pack(dataclasses.replace(made, camera=small)), points[order], owner[order], part[order]
    )
    assert np.array_equal(again.instance, found.instance[order])
    assert np.array_equal(again.depth_m, found.depth_m[order])


@pytest.mark.gpu
def test_cuda_gives_the_same_answers():
    if not wp.is_cuda_available():
        pytest.skip("no CUDA device")
    made = busy_scene(7)
    requested = skin_points(made, 7, 3000)
    ours, theirs = (nearest_blockers(pack(made, device=d), *requested) for d in ("cpu", "cuda:0"))
    assert np.array_equal(ours.instance, theirs.instance)
    assert np.array_equal(ours.depth_m, theirs.depth_m)
