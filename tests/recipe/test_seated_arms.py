"""Arms of a second pose on somebody who sits, kneels or lies: only such as make sense there."""

from pathlib import Path

import pytest
from recipe_fake import FakeSolve, without

from synthstudio.body import face, pose_library, wardrobe
from synthstudio.body.poses import LIMITS_RAD
from synthstudio.recipe.sampling.context import SampleContext
from synthstudio.recipe.sampling.people import draw_people, posed_anew
from synthstudio.recipe.schema.load import dump, load
from synthstudio.recipe.schema.recipe import Recipe

SCENES = Path(__file__).parents[2] / "scenes"
SOLVE = without(
    FakeSolve(),
    poses=pose_library.library(),
    limits_rad=dict(LIMITS_RAD),
    hands=pose_library.hands(),
    garments=wardrobe.garments(),
    expressions=face.EXPRESSIONS,
)
BY_NAME = {pose.name: pose for pose in SOLVE.catalogue.poses}
LOW = {"sit", "sit_floor", "kneel", "crawl", "lie", "lie_flat"}
NEEDS_LEGS = {"throw", "throwing", "run", "sprint", "jump", "kick", "push", "pull", "swing", "box"}
NEEDS_LEGS |= {"walk", "dance", "lunge", "hang", "leap", "carry", "balance"}


def mixed_low(recipe: Recipe, people: int) -> list[tuple[str, str]]:
    """Return body and arms of those who are low and mixed, of so many people in new poses."""
    ctx = SampleContext(recipe=recipe, index=0, split="train", geometry=SOLVE)
    ((person, _), *_) = draw_people(ctx, seats=True)
    posed = (posed_anew(ctx, person, 0, k, seats=True)[0] for k in range(people))
    names = [one.pose.name.split("+") for one in posed]
    return [(a, b[0]) for a, *b in names if b and BY_NAME[a].family in LOW]


def recipe_of(name: str, **poses: object) -> Recipe:
    fields = dump(load(SCENES / name))
    fields["people"]["poses"] |= poses
    return Recipe.model_validate(fields)


@pytest.mark.parametrize("name", ["everyday.yaml", "wild.yaml"])
def test_nobody_throws_while_seated(name):
    often = {"mix": 1.0, "random": 0.0, "athletic": 0.3, "jitter_deg": 0}  # else few are low, mixed
    pairs = mixed_low(recipe_of(name, **often), 1200)
    assert len(pairs) > 12 and {BY_NAME[body].family for body, _ in pairs} >= {"sit", "kneel"}
    assert all(BY_NAME[arms].seated_arms for _, arms in pairs)
    assert not {BY_NAME[arms].family for _, arms in pairs} & NEEDS_LEGS
    before = mixed_low(recipe_of(name, **often, arms="any"), 500)
    assert {BY_NAME[arms].family for _, arms in before} & NEEDS_LEGS  # what it is for
