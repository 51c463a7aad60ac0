"""Coarse clothes are a saving that labels do not notice: same floor, states and covered parts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synthstudio.generation.pipeline import draw_spec, make_frame
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.recipe.schema.load import parse

PEOPLE = 12


@pytest.fixture(scope="module")
def stage():
    recipe = parse({"name": "details", "frames": 10, "seed": 3, "people": {"count": 2}})
    return FrameGenerator(prepare(recipe, assets=Path(), device="cpu"))


@pytest.fixture(scope="module")
def frames(stage):
    return [draw_spec(stage, index) for index in range(PEOPLE // 2)]


def _in(stage, person, detail):
    person = replace(person, detail=detail)
    return replace(person, position_m=(*person.position_m[:2], stage.drop_m(person)))


def _small(spec):
    focal = spec.camera.focal_px * 320 / spec.camera.height_px
    width = round(spec.camera.width_px * 320 / spec.camera.height_px)
    return replace(spec.camera, width_px=width, height_px=320, focal_px=focal)


def test_both_details_stand_at_the_same_height(stage, frames):
    """Those on their soles exactly; who lies or kneels does so on cloth, millimetres apart."""
    people = [person for spec in frames for person in spec.people]
    fine, coarse = (
        np.array([stage.drop_m(replace(person, detail=detail)) for person in people])
        for detail in ("fine", "coarse")
    )
    assert [person.position_m[2] for person in people] == [stage.drop_m(p) for p in people]
    assert len(people) == PEOPLE and (fine == coarse).sum() > PEOPLE / 2
    assert np.abs(fine - coarse).max() < 0.006


def test_joints_are_as_visible_in_either_detail(stage, frames):
    same, fractions = [], []
    for spec in frames:
        spec = replace(spec, camera=_small(spec), cutouts=())
        made = [
            make_frame(
                stage, replace(spec, people=tuple(_in(stage, p, detail) for p in spec.people))
            )
            for detail in ("fine", "coarse")
        ]
        for fine, coarse in zip(*(frame.labels.people for frame in made), strict=True):
            same.append(fine.state == coarse.state)
            fractions.append(np.abs(fine.visibility_fractions - coarse.visibility_fractions))
        assert made[0].jpeg != made[1].jpeg
    assert np.mean(same) >= 0.99
    assert np.mean(fractions) < 0.005
