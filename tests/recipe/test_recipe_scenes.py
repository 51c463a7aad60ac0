"""Every scene loads, names what exists, and draws."""

import dataclasses
import itertools
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest
import yaml
from recipe_fake import CATALOGUE, FakeSolve

from synthstudio.body import face, meetings, pose_library, poses, wardrobe
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.solve import Catalogue
from synthstudio.core.spec_json import from_json, to_json
from synthstudio.props import procedural
from synthstudio.recipe.draw import draw
from synthstudio.recipe.sampling.choose import check
from synthstudio.recipe.sampling.true_sizes import SIZES
from synthstudio.recipe.schema.load import json_schema, load
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.recipe.search.photo_candidates import UNNAMED

SCENES = Path(__file__).parents[2] / "scenes"
FILES = sorted((*SCENES.glob("*.yaml"), *(SCENES / "systems").glob("*.yaml")))
REAL = dataclasses.replace(
    CATALOGUE,
    poses=pose_library.library(),
    limits_rad=poses.LIMITS_RAD,
    garments=wardrobe.garments(),
    expressions=face.EXPRESSIONS,
    meetings=meetings.meetings(),
)
NAMES_THINGS = dataclasses.replace(REAL, things=procedural.kinds())
"""For scenes that name built-in things."""


def test_the_scenes_are_there():
    assert {path.stem for path in FILES} >= {
        "quickstart",
        "photo_backdrop",
        "rooms",
        "crowd",
        "close_ups",
        "bench",
    }


def _catalogue(path: Path) -> Catalogue:
    named = ("occlude", "people", "groups", "photo_backdrop")
    return NAMES_THINGS if path.stem in named else REAL


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scene_loads_and_draws(path):
    recipe = load(path)
    assert recipe.name == path.stem.replace("_", "-")
    assert recipe.description
    catalogue = _catalogue(path)
    check(recipe, catalogue)
    solve = FakeSolve(catalogue=catalogue, joints=get_skeleton(recipe.skeleton).joints)
    most = 3 if path.stem == "crowd" else 24
    for index in range(min(recipe.frames, most)):
        spec = draw(recipe, index, solve)
        assert from_json(to_json(spec)) == spec


def _drawn(path: Path) -> tuple[set[str], set[str], set[str]]:
    """Bodies with their looks, angles and whole outfits of a scene's first people, at one seed.

    Not the angles of those who lean: theirs are the library's, with nothing by chance.
    """
    leaning = {pose.name for pose in REAL.poses if pose.leans}
    recipe = load(path).model_copy(update={"seed": 1})
    solve = FakeSolve(catalogue=_catalogue(path), joints=get_skeleton(recipe.skeleton).joints)
    frames = range(2 if path.stem == "crowd" else 8)
    people = [person for i in frames for person in draw(recipe, i, solve).people]
    bodies = {repr((person.phenotype, person.look)) for person in people}
    poses = {repr(p.pose) for p in people if p.pose and p.pose.name not in leaning}
    return bodies, poses, {repr(person.outfit) for person in people}


def test_no_two_scenes_draw_the_same_people_even_with_one_seed():
    drawn = {path.stem: _drawn(path) for path in FILES}
    for a, b in itertools.combinations(drawn, 2):
        for one, other in zip(drawn[a], drawn[b], strict=True):
            assert one and not one & other, (a, b)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scene_tells_editors_where_its_schema_is(path):
    schema = "schema.json" if path.parent == SCENES else "../schema.json"
    assert path.read_text().startswith(f"# yaml-language-server: $schema={schema}\n")


def test_every_field_of_every_scene_is_in_the_schema():
    text = str(json_schema())

    def walk(value):
        if isinstance(value, dict):
            for key, inner in value.items():
                assert isinstance(key, int | float) or f"'{key}'" in text or key in NAMES, key
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    NAMES = {name for pose in REAL.poses for name in (pose.family, pose.name)}
    NAMES |= {"left_wrist+right_wrist", UNNAMED}
    NAMES |= {meeting.name for meeting in REAL.meetings}
    NAMES |= {garment.kind for garment in REAL.garments}
    NAMES |= {thing.kind for thing in NAMES_THINGS.things} | set(SIZES)
    for path in FILES:
        walk(yaml.safe_load(path.read_text()))


def test_quickstart_has_two_people_and_one_thing_in_front():
    recipe, solve = load(SCENES / "quickstart.yaml"), FakeSolve(catalogue=REAL)
    assert (recipe.image.width_px, recipe.image.height_px, recipe.frames) == (320, 240, 24)
    for index in range(24):
        spec = draw(recipe, index, solve)
        assert len(spec.people) == 2
        assert len([t for t in spec.things if t.role == "occluder"]) == 1


def test_photo_backdrop_mixes_seven_photos_to_three_panoramas():
    recipe, solve = load(SCENES / "photo_backdrop.yaml"), FakeSolve(catalogue=NAMES_THINGS)
    assert recipe.frames == 200
    assert recipe.folders == {
        "backgrounds": "backgrounds",
        "hdris": "hdri",
        "cutouts": "occluders",
    }
    specs = [draw(recipe, i, solve) for i in range(200)]
    kinds = Counter(spec.backdrop.kind for spec in specs)
    assert abs(kinds["photo"] / 200 - 0.7) < 0.1
    assert {len(spec.people) for spec in specs} == {1, 2, 3, 4}


def test_the_field_reference_names_every_field():
    text = (SCENES / "README.md").read_text()

    def fields(model, seen):
        for name, field in model.model_fields.items():
            seen.add((name, field.description))
            for part in _models(field.annotation):
                fields(part, seen)
        return seen

    every = fields(Recipe, set())
    assert len(every) > 90
    missing = [name for name, meaning in every if f"`{name}`" not in text or meaning not in text]
    assert sorted(missing) == []


def _models(kind):
    """Yield the recipe's own parts in a type; distributions are explained in one place."""
    home = getattr(kind, "__module__", "")
    parts = home.startswith("synthstudio.recipe.schema.") and not home.endswith(".distributions")
    if isinstance(kind, type) and parts:
        yield kind
    for arg in get_args(kind):
        yield from _models(arg)
