"""People in a mesh of a whole room: inside it, through nothing, seen, and labelled exactly."""

import math

import numpy as np
import pytest
import trimesh
from place_makers import DEEP_M, HIGH_M, WIDE_M, room, saved_place
from scipy.spatial import cKDTree

from synthstudio.core.errors import AssetError, RecipeError
from synthstudio.core.spec import PlaceBackdrop
from synthstudio.dataset.shards import hashed_files
from synthstudio.generation import pipeline
from synthstudio.generation.audit import audit
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.recipe.schema.load import parse

RECIPE = {
    "name": "own",
    "seed": 3,
    "frames": 6,
    "image": {"width_px": 192, "height_px": 144, "supersample": 1},
    "camera": {"distance_m": [1.8, 4.0], "height_m": [0.8, 2.0]},
    "people": {"count": [1, 2], "identities": 8},
    "objects": [{"kind": "procedural", "count": [0, 1], "placement": "in_front"}],
    "backdrop": {"kind": "place", "folder": "places"},
}


@pytest.fixture(scope="module")
def assets(tmp_path_factory):
    root = tmp_path_factory.mktemp("assets")
    (root / "places").mkdir()
    saved_place(room(), root / "places" / "room.glb")
    return root


@pytest.fixture(scope="module")
def stage(assets):
    return FrameGenerator(prepare(parse(RECIPE), assets=assets, device="cpu"))


@pytest.fixture(scope="module")
def specs(stage):
    return [pipeline.draw_spec(stage, index) for index in range(8)]


def own(spec, points_m):
    """World points in the room's own axes, by hand."""
    assert isinstance(spec.backdrop, PlaceBackdrop)
    moved = points_m - np.array(spec.backdrop.position_m)
    c, s = math.cos(spec.backdrop.yaw_rad), math.sin(spec.backdrop.yaw_rad)
    x, y, z = moved.T
    return np.column_stack([c * x + s * y, c * y - s * x, z])


def test_everybody_and_the_camera_are_inside(stage, specs):
    assert len({spec.backdrop for spec in specs}) == len(specs)  # other spots, turned otherwise
    half = np.array([WIDE_M, DEEP_M]) / 2
    for spec in specs:
        eye = own(spec, np.array([spec.camera.position_m]))
        assert (np.abs(eye[:, :2]) < half).all() and 0.2 < eye[0, 2] < HIGH_M + 0.2
        for person in spec.people:
            box = stage.box_m(person)
            feet = own(spec, np.array([person.position_m]))
            assert (np.abs(feet[:, :2]) < half).all()
            assert box[0, 2] == pytest.approx(0, abs=0.02) or person.position_m[2] > 0.05


def test_nobody_is_in_what_the_place_is_made_of(stage, specs):
    """By distances to points of its surfaces, which are no cells."""
    mesh = trimesh.util.concatenate(
        [
            trimesh.Trimesh(part.vertices_m, part.faces, process=False)
            for part in stage.place_model(specs[0].backdrop.asset).mesh.parts
        ]
    )
    points, _ = trimesh.sample.sample_surface(mesh, 30_000, seed=1)
    points = points[points[:, 2] > 0.25]  # the floor is at 0.2
    nearest = cKDTree(points)
    for spec in specs[:4]:
        built = pipeline.build(stage, spec)
        for person in built.scene.people:
            for surface in person.surfaces:
                apart, _ = nearest.query(own(spec, surface.vertices_m.astype(np.float64)))
                assert apart.min() > 0.03


def test_any_number_of_workers_makes_the_same_bytes_and_rays_agree(assets, tmp_path):
    settings = prepare(parse(RECIPE), assets=assets, device="cpu")
    for out, workers in ((tmp_path / "one", 1), (tmp_path / "two", 2)):
        pipeline.generate(settings, out, workers=workers, frames_per_shard=3)
    assert hashed_files(tmp_path / "one") == hashed_files(tmp_path / "two")
    report = audit(tmp_path / "two", settings, workers=1).report()
    assert report["passed"] and report["joints"] > 100


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"variants": {"view": 1}}, "variants.view: not with place backdrops"),
        ({"targets": {"occluded_fraction": [0.1, 0.3]}}, "targets: not with place backdrops"),
        ({"backdrop": {"kind": "place"}}, "folder"),
    ],
)
def test_what_cannot_be_asked_of_places(changes, words):
    with pytest.raises(RecipeError, match=words):
        parse({**RECIPE, **changes})


def test_a_camera_that_finds_no_room_says_so(assets):
    wish = {**RECIPE, "camera": {"distance_m": [15, 20]}}
    stage = FrameGenerator(prepare(parse(wish), assets=assets, device="cpu"))
    with pytest.raises(RecipeError, match=r"(?s)room.glb: a camera finds no room.*15 m"):
        pipeline.draw_spec(stage, 0)


def test_a_file_that_is_no_place_is_named_before_anything_is_made(tmp_path):
    (tmp_path / "places").mkdir()
    trimesh.creation.icosphere(radius=2).export(tmp_path / "places" / "ball.glb")
    with pytest.raises(AssetError, match=r"(?s)ball\.glb: the place has no floor for people"):
        prepare(parse(RECIPE), assets=tmp_path, device="cpu")
