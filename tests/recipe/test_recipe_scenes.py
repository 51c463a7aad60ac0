"""Every scene loads, names what exists, and draws."""

import dataclasses
from pathlib import Path
from typing import get_args

import pytest
from recipe_fake import CATALOGUE, FakeSolve

from synthstudio.body import face, pose_library, poses, touching, wardrobe
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.spec import from_json, to_json
from synthstudio.props import procedural
from synthstudio.recipe.draw import draw
from synthstudio.recipe.sampling.check import check
from synthstudio.recipe.schema.load import load
from synthstudio.recipe.schema.recipe import Recipe

SCENES = Path(__file__).parents[2] / "scenes"
FILES = sorted((*SCENES.glob("*.yaml"), *(SCENES / "systems").glob("*.yaml")))
REAL = dataclasses.replace(
    CATALOGUE,
    poses=pose_library.library(),
    limits_rad=poses.LIMITS_RAD,
    garments=wardrobe.garments(),
    expressions=face.EXPRESSIONS,
    meetings=touching.meetings(),
)
NAMING_OBJECTS = ("occlude", "people", "groups", "photo_backdrop")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scene_loads_and_draws(path):
    schema = "schema.json" if path.parent == SCENES else "../schema.json"
    assert path.read_text().startswith(f"# yaml-language-server: $schema={schema}\n")
    recipe = load(path)
    assert recipe.name == path.stem.replace("_", "-")
    assert recipe.description
    own = {"objects": procedural.kinds()} if path.stem in NAMING_OBJECTS else {}
    catalogue = dataclasses.replace(REAL, **own)
    check(recipe, catalogue)
    solve = FakeSolve(catalogue=catalogue, joints=get_skeleton(recipe.skeleton).joints)
    for index in range(
        1 if recipe.targets.any or path.stem in ("crowd", "groups") else min(recipe.frames, 3)
    ):
        spec = draw(recipe, index, solve)
        assert from_json(to_json(spec)) == spec


def test_the_field_reference_names_every_field():
    text = (SCENES / "README.md").read_text()

    def fields(model, seen):
        for name, field in model.model_fields.items():
            seen.add((name, " ".join(field.description.split())))
            for part in _models(field.annotation):
                fields(part, seen)
        return seen

    every = fields(Recipe, set())
    assert len(every) > 90
    missing = [name for name, meaning in every if f"`{name}`" not in text or meaning not in text]
    assert sorted(missing) == []


def _models(kind):
    home = getattr(kind, "__module__", "")
    parts = home.startswith("synthstudio.recipe.schema.") and not home.endswith(".distributions")
    if isinstance(kind, type) and parts:
        yield kind
    for arg in get_args(kind):
        yield from _models(arg)


def test_shipped_recipes_have_seeds_of_their_own():
    seeds = [load(path).seed for path in SCENES.glob("*.yaml")]
    assert len(set(seeds)) == len(seeds)
