"""A room: a floor that looks up, walls that look in, patterns in metres."""

from dataclasses import replace

import numpy as np
import pytest

from synthstudio.core.spec import Material, RoomBackdrop
from synthstudio.props.backgrounds import room_surfaces

ROOM = RoomBackdrop(
    size_m=(6.0, 4.0, 2.5),
    centre_m=(1.0, 2.0),
    floor=Material(pattern="planks"),
    wall=Material(pattern="bricks"),
)


def test_faces_look_into_the_room() -> None:
    floor, walls = room_surfaces(ROOM)
    assert (floor.instance, walls.instance) == (1000, 1001)
    inside = np.array([1.0, 2.0, 1.2])
    for surface in (floor, walls):
        assert not surface.two_sided
        a, b, c = (surface.vertices_m[surface.faces[:, k]].astype(float) for k in range(3))
        normal = np.cross(b - a, c - a)
        assert (np.einsum("ij,ij->i", normal, inside - a) > 0).all()
        assert surface.normals is not None
        given = surface.normals[surface.faces].mean(axis=1)
        assert (np.einsum("ij,ij->i", normal, given) > 0).all()


def test_the_room_has_its_size_and_place() -> None:
    floor, walls = room_surfaces(ROOM)
    assert floor.vertices_m.min(axis=0) == pytest.approx([-2, 0, 0])
    assert floor.vertices_m.max(axis=0) == pytest.approx([4, 4, 0])
    assert walls.vertices_m.min(axis=0) == pytest.approx([-2, 0, 0])
    assert walls.vertices_m.max(axis=0) == pytest.approx([4, 4, 2.5])
    a, b, c = (walls.vertices_m[walls.faces[:, k]].astype(float) for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    assert area == pytest.approx(2 * (6 + 4) * 2.5)


def test_coords_are_metres() -> None:
    for surface in room_surfaces(ROOM):
        corners, coords = surface.vertices_m[surface.faces], surface.coords[surface.faces]
        for k in range(3):
            real = np.linalg.norm(corners[:, k] - corners[:, k - 1], axis=1)
            drawn = np.linalg.norm((coords[:, k] - coords[:, k - 1])[:, [0, 2]], axis=1)
            assert drawn == pytest.approx(real, abs=1e-5)


def test_a_room_without_walls_is_a_floor() -> None:
    assert [s.name for s in room_surfaces(replace(ROOM, walls=False))] == ["floor"]
