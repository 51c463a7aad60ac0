"""Places of the user's: where their floor is, what is free over it, and what is no place."""

import numpy as np
import pytest
import trimesh
from place_makers import DEEP_M, HIGH_M, TABLE_M, WIDE_M, room, saved_place

from synthstudio.core.catalogue import CELL_M
from synthstudio.core.errors import AssetError
from synthstudio.props.places import PlaceModel, read_place


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PlaceModel:
    return read_place(saved_place(room(), tmp_path_factory.mktemp("place") / "room.glb"))


def test_people_stand_on_the_floor_and_clear_of_objects(model):
    assert model.level_m == pytest.approx(0.2, abs=0.01)  # over the slab that is the floor
    spots = model.plan.spots_m()
    assert (np.abs(spots) < np.array([WIDE_M, DEEP_M]) / 2).all()
    x, y, wide, deep, _ = TABLE_M
    off = np.abs(spots - np.array([x, y])) - np.array([wide, deep]) / 2
    assert off.max(axis=1).min() > 0  # nobody stands under the table
    area = len(spots) * CELL_M**2
    assert 0.6 * WIDE_M * DEEP_M < area < WIDE_M * DEEP_M - wide * deep


def test_what_is_free(model):
    plan, (x, y, _, _, top) = model.plan, TABLE_M
    at = np.array([[x, y], [-2.0, 0.0], [40.0, 0.0]])
    assert plan.free(at, 1.0).tolist() == [False, True, True]
    assert plan.free(at, top - 0.4).tolist() == [True, True, True]  # under the table's top
    assert plan.free(at[1:2], HIGH_M + 0.2).tolist() == [False]  # the ceiling
    assert plan.has_floor(at).tolist() == [True, True, False]
    points = np.array(
        [[x, y, top], [x, y, 1.5], [-2, 0, 1], [40, 0, 1], [-2, 0, 9], [-2, 0, HIGH_M]]
    )
    assert plan.air(points).tolist() == [False, True, True, False, True, False]


@pytest.mark.parametrize("seed", range(3))
def test_no_surface_is_in_a_cell_that_is_free(model, seed):
    """By another way: points drawn at random from the mesh's area, not those of a grid."""
    mesh = model.mesh
    faces = np.concatenate([p.vertices_m[p.faces] for p in mesh.parts]).reshape(-1, 3)
    whole = trimesh.Trimesh(faces, np.arange(len(faces)).reshape(-1, 3), process=False)
    points, _ = trimesh.sample.sample_surface(whole, 20_000, seed=seed)
    points[:, 2] -= model.level_m
    over = points[points[:, 2] > 0.02]
    assert len(over) > 10_000
    assert not model.plan.air(over).any()


def test_a_box_that_is_seen_from_inside_is_a_room(tmp_path):
    shell = trimesh.creation.box((5, 4, 3))
    shell.invert()
    model = read_place(saved_place(shell, tmp_path / "shell.ply"))
    assert model.level_m == 0
    assert model.plan.air(np.array([[0.0, 0, 1.5], [0, 0, 2.95]])).tolist() == [True, False]
    faces = model.mesh.parts[0].vertices_m[model.mesh.parts[0].faces]
    across = np.cross(faces[:, 1] - faces[:, 0], faces[:, 2] - faces[:, 0])
    inward = np.array([0, 0, 1.5]) - faces.mean(axis=1)
    assert ((across * inward).sum(axis=1) > 0).all()  # it is drawn from inside


def wall() -> trimesh.Trimesh:
    return trimesh.creation.box((5, 0.1, 3))


def posts() -> trimesh.Scene:
    """A floor on which a post stands everywhere."""
    scene = trimesh.Scene([trimesh.creation.box((3, 3, 0.1))])
    for x in np.arange(-1.4, 1.5, 0.4):
        for y in np.arange(-1.4, 1.5, 0.4):
            post = trimesh.creation.box((0.1, 0.1, 1.5))
            scene.add_geometry(post.apply_translation([x, y, 0.8]))
    return scene


@pytest.mark.parametrize(
    ("made", "name", "words"),
    [
        (wall(), "wall.stl", "no floor for people.*level surface of 4 m².*none so large"),
        (trimesh.creation.icosphere(radius=3), "ball.ply", "no floor for people"),
        (posts(), "posts.stl", r"no floor for people.*9\.0 m² of it, 0\.0 m² with that much air"),
        (room(39.37), "inches.glb", r"not in metres: it may be .*in inches \(scale it by 0\.0254"),
        (trimesh.creation.box((200, 200, 1)), "wide.stl", "a longest side of 0.01 to 60 m"),
    ],
)
def test_what_is_no_place_says_why(made, name, words, tmp_path):
    path = saved_place(made, tmp_path / name)
    with pytest.raises(AssetError, match=f"(?s){words}"):
        read_place(path)
