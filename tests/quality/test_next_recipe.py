"""The next recipe asks for what can be met; neighbouring bins show different people."""

from pathlib import Path

import covered_set
import numpy as np
import pytest

from synthstudio.core.labels import SHARES
from synthstudio.dataset.reader import Dataset
from synthstudio.quality.coverage import Bins, Coverage, coverage
from synthstudio.quality.next_recipe import next_recipe
from synthstudio.recipe.schema.load import parse

FAMILIES = covered_set.FAMILIES


def made(folder: Path, **changes: object) -> tuple[Dataset, Coverage]:
    data = Dataset(covered_set.store(folder / "set", frames=4, **changes))
    return data, coverage(data)


@pytest.mark.parametrize(
    ("changes", "asks"),
    [
        ({}, True),
        ({"clip": {"frames": 4}, "motion": None}, False),
        ({"cutouts": {"folder": "x"}}, False),
        ({"targets": {"occluded_fraction": [0, 0.1]}}, False),
    ],
)
def test_only_what_the_recipe_can_meet_is_asked(tmp_path, changes, asks):
    changes = {k: v for k, v in changes.items() if v is not None}
    data, found = made(tmp_path, **changes)
    wanted = next_recipe(data, found, families=FAMILIES, at_least=10**4)
    parse(wanted)
    before = changes.get("targets", {}).keys()
    assert (set(wanted.get("targets", {})) > set(before)) == asks


def test_rates_are_above_what_people_hide_themselves(tmp_path):
    data, found = made(tmp_path)
    wanted = next_recipe(data, found, families=FAMILIES, at_least=10**4)["targets"]["joints"]
    counts = found.of_joints("joint", "cause")
    by_oneself = counts[:, [SHARES.index("self"), SHARES.index("truncated")]].sum(axis=1)
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


# Examples ----------------------------------------------------------------------------------


def offered(scores: list[float], whom: list[int], places: list[int] | None = None) -> Bins:
    bins = Bins(2)
    n = len(scores)
    who = np.column_stack([np.arange(n), np.ones(n), np.full(n, -1), whom]).astype(np.int64)
    where = np.zeros(n, np.int32) if places is None else np.array(places, np.int32)
    for k in range(n):  # one by one, as batches may come
        bins.offer(where[k : k + 1], np.array(scores[k : k + 1]), who[k : k + 1])
    return bins


def test_a_bin_keeps_its_best_people_once_each():
    bins = offered([1, 5, 3, 4, 2], [7, 8, 7, 8, 9])
    assert bins.counts.tolist() == [5, 0]
    assert bins.example(0).frame == 1
    assert bins.example(0, {8}).frame == 2  # of person 7 the larger one
    assert bins.example(0, {8, 7}).frame == 4
    assert bins.example(0, {7, 8, 9}).frame == 1  # rather the same than none
    assert bins.example(1) is None
