"""Children and the old in whole frames: physics, limits, the second oracle, the same set twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import synthstudio as ss
from benchmarks import physics
from synthstudio.core.spec import FrameSpec
from synthstudio.generation.pipeline import draw_spec
from synthstudio.generation.stage import Stage, prepare
from synthstudio.recipe.schema.load import parse

RECIPE = {
    "name": "ages",
    "seed": 21,
    "frames": 12,
    "image": {"width_px": 200, "height_px": 160},
    "camera": {"distance_m": [2.0, 4.0], "height_m": [0.6, 1.6], "aim_height_m": [0.4, 0.8]},
    "people": {
        "count": [2, 3],
        "identities": 60,
        "shape": {"age_years": {"choice": {2: 1, 4: 1, 7: 1, 11: 1, 85: 1}}},
        "face": {"expression": 1, "glasses": 0.5, "beard": 1, "eyes": 1, "mask": 0.2},
        "hold": {"share": 0.3},
    },
    "backdrop": {"kind": "room"},
}


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage(prepare(parse(RECIPE), assets=Path(), device="cpu"))


@pytest.fixture(scope="module")
def specs(stage: Stage) -> list[FrameSpec]:
    return [draw_spec(stage, index) for index in range(12)]


def test_they_stand_keep_apart_and_stay_inside_their_limits(
    stage: Stage, specs: list[FrameSpec]
) -> None:
    report = physics.check(stage, specs)
    assert report.people >= 24
    assert report.passed, report.text()
    assert (report.through, report.floating) == (0, 0), report.text()


def test_every_age_is_there_in_its_stature(stage: Stage, specs: list[FrameSpec]) -> None:
    low, high = {2: 0.79, 4: 0.93, 7: 1.08, 11: 1.28, 85: 1.35}, {2: 0.95, 4: 1.13, 7: 1.35}
    ages = set()
    for person in (person for spec in specs for person in spec.people):
        assert person.years is not None
        years = round(person.years)
        stature = stage.body.posed(person, instance=1).stature_m
        assert low[years] < stature < high.get(years, 1.9)
        ages.add(years)
    assert ages == set(low)


def test_rays_agree_and_a_second_run_makes_the_same_bytes(tmp_path: Path) -> None:
    made = [
        ss.generate(RECIPE, tmp_path / name, device="cpu", progress=False) for name in ("a", "b")
    ]
    assert ss.audit(made[0], device="cpu", progress=False).passed
    for one, other in zip(made[0], made[1], strict=True):
        assert np.array_equal(one.image, other.image)
