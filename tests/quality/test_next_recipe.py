"""The next recipe asks for what can be met; neighbouring bins show different people."""

from pathlib import Path

import covered_set
import numpy as np

from synthstudio.core.labels import VISIBILITY
from synthstudio.core.people import VIEWS
from synthstudio.dataset.reader import Dataset
from synthstudio.quality.coverage import Bins, coverage
from synthstudio.quality.next_recipe import as_yaml, next_recipe, shortened
from synthstudio.recipe.schema.load import dump, load, parse

FAMILIES = covered_set.FAMILIES
SCENES = Path(__file__).resolve().parents[2] / "scenes"


def made(folder, frames=4, **changes):
    data = Dataset(covered_set.store(folder / "set", frames=frames, **changes))
    return data, coverage(data)


def test_a_recipe_without_its_defaults_is_the_same_recipe():
    for path in sorted(SCENES.rglob("*.yaml")):
        if path.parent.name not in ("training", "systems"):  # configs, not recipes
            recipe = load(path)
            short = shortened(dump(recipe))
            assert parse(short) == recipe, path
            assert len(str(short)) < 0.8 * len(str(dump(recipe)))


def test_rates_are_above_what_people_hide_themselves(tmp_path):
    data, found = made(tmp_path)
    wanted = next_recipe(data, found, families=FAMILIES, at_least=10**4)["targets"]["joints"]
    counts = found.of_joints("joint", "cause")
    by_oneself = counts[:, [VISIBILITY.index("self"), VISIBILITY.index("truncated")]].sum(axis=1)
    own = by_oneself / counts[:, :6].sum(axis=1)
    assert wanted
    for group, rate in wanted.items():
        alone = min(own[found.skeleton.joints.index(name)] for name in group.split("+"))
        assert alone <= 0.25
        assert rate >= alone + 0.04


def test_people_are_asked_to_hide_people_only_where_there_are_two(tmp_path):
    for count, requested in ((2, True), ([1, 3], False)):
        folder = tmp_path / str(requested)
        people = {"count": count, "identities": 40}
        data, found = made(folder, objects=[], people=people)
        wanted = next_recipe(data, found, families=FAMILIES, at_least=10**4)
        assert ("causes" in wanted.get("targets", {})) == requested
        if requested:
            assert parse(wanted).targets.causes["person"] == (0.05, 0.15)
        assert "targets" not in next_recipe(data, found, families=FAMILIES, at_least=0)


def test_only_what_the_recipe_can_meet_is_asked(tmp_path):
    for k, (changes, asks) in enumerate((
        ({}, True),
        ({"clip": {"frames": 4}}, False),
        ({"cutouts": {"folder": "x"}}, False),
        ({"targets": {"occluded_fraction": [0, 0.1]}}, False),
    )):  # fmt: skip
        data, found = made(tmp_path / str(k), **changes)
        wanted = next_recipe(data, found, families=FAMILIES, at_least=10**4)
        parse(wanted)
        before = changes.get("targets", {}).keys()
        assert (set(wanted.get("targets", {})) > set(before)) == asks


def test_it_loads_and_asks_for_what_is_thin(tmp_path):
    stored = Dataset(covered_set.store(tmp_path / "set"))
    found = coverage(stored)
    asked = next_recipe(stored, found, families=("crouch", "lie", "stand", "walk"))
    path = tmp_path / "next.yaml"
    path.write_text(as_yaml(asked, found))
    recipe = load(path)
    assert (recipe.name, recipe.frames, recipe.seed) == ("sticks-next", 3, 2)
    assert recipe.quotas.family["walk"] >= max(recipe.quotas.family.values())
    views = dict(zip(VIEWS, found.of_people("view").tolist(), strict=False))
    even = 24 / 8
    assert set(recipe.quotas.view) == {view for view, n in views.items() if n < even}
    assert recipe.targets.joints
    assert recipe.objects[0].kind == "procedural"
    assert next_recipe(stored, found, families=FAMILIES, frames=40)["frames"] == 40


def test_it_contradicts_nothing(tmp_path):
    for gone, people in (
        ("view", {"facing_deg": [0, 40]}),
        ("family", {"poses": {"names": {"stand": 1}}}),
        ("family", {"hold": {"share": 0.5}}),
    ):
        folder = tmp_path / next(iter(people))
        data, found = made(folder, frames=3, people=people)
        asked = next_recipe(data, found, families=(*FAMILIES, "walk"), at_least=50)
        assert gone not in asked["quotas"] and len(asked["quotas"]) == 2


def test_a_bin_keeps_its_best_people_once_each():
    bins, who = Bins(2), [7, 8, 7, 8, 9]
    for k, (score, person) in enumerate(zip([1.0, 5, 3, 4, 2], who, strict=True)):
        bins.offer(np.zeros(1, np.int32), np.array([score]), np.array([[k, 1, -1, person]]))
    assert bins.counts.tolist() == [5, 0]
    assert bins.example(0).frame == 1
    assert bins.example(0, {8}).frame == 2  # of person 7 the larger one
    assert bins.example(0, {8, 7}).frame == 4
    assert bins.example(0, {7, 8, 9}).frame == 1  # rather the same than none
    assert bins.example(1) is None
