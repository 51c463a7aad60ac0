"""Who of a photo stands upright, how large they are, and before whom nothing is laid."""

from __future__ import annotations

import dataclasses

import photo_world
import pytest
from photo_world import opened, settings

from synthstudio.generation.photos.make import PhotoStage, ref_of, view_of
from synthstudio.generation.photos.measure import STATURE_M, Stand, stand
from synthstudio.generation.photos.upright import surer
from synthstudio.recipe.search.photo_candidates import within_reach

SCALE = 100.0
BOX = (60.0, 52.0, 80.0, STATURE_M * SCALE)  # ends at row 220
HEIGHTS = {"shoulder": 80.0, "hip": 128.0, "knee": 171.0, "ankle": 212.0}


def joints(**moved: tuple[float, float]) -> dict[str, tuple[float, float]]:
    """Return the joints of somebody of 100 px to a metre, but for the middles of some."""
    out = {}
    for part, y in HEIGHTS.items():
        x, y = moved.get(part, (100.0, y))
        out |= {f"left_{part}": (x - 5, y), f"right_{part}": (x + 5, y)}
    return out


def measured(found: dict[str, tuple[float, float]], box: tuple[float, ...] = BOX) -> Stand:
    return surer(stand(found, box, 400), found, box)


def test_who_stands_is_measured_whole_and_not_by_their_longest_bone():
    found = joints()
    wide = {**found, "left_shoulder": (70.0, 80.0), "right_shoulder": (130.0, 80.0)}
    assert stand(wide, BOX, 400).px_per_m > 1.05 * SCALE
    now = measured(wide)
    assert now.upright and now.px_per_m == pytest.approx(SCALE, rel=1e-6)


@pytest.mark.parametrize(
    "moved",
    [
        {"knee": (145.0, 140.0)},  # sits: the thighs are level
        {"knee": (145.0, 171.0), "ankle": (145.0, 212.0)},  # lunges
        {"ankle": (100.0, 120.0)},  # feet above the knees
        {"hip": (100.0, 85.0)},  # bent over: a trunk as short as a hand
    ],
)
def test_who_sits_or_bends_is_not_upright(moved):
    found = joints(**moved)
    assert measured(found) == stand(found, BOX, 400)
    assert not measured(found).upright


def test_whose_shoes_grass_hides_is_not_upright():
    low = (*BOX[:3], 213.0 - BOX[1])  # the box ends just below the ankles
    assert not measured(joints(), low).upright


def test_a_box_in_which_only_an_arm_is_labelled_is_not_trusted():
    box, arm = (0.0, 100.0, 60.0, 37.0), {"left_wrist": (30.0, 120.0)}
    assert stand(arm, box, 400).sure > 0.3
    assert measured(arm, box).sure <= 0.1
    assert measured({}, box).sure <= 0.1


def test_nothing_is_laid_before_who_does_not_stand(tmp_path):
    (tmp_path / "world").mkdir()
    world = photo_world.write(tmp_path / "world")
    (tmp_path / "album").mkdir()
    stage: PhotoStage = opened(settings(world), world, tmp_path / "album")
    sample = stage.sample(0)
    people, rgb = stage.people(sample), stage.pixels(ref_of(sample))
    view = view_of(sample, people, rgb, stage.annotated_skeleton, known=True)
    before = view_of(sample, people, rgb, stage.annotated_skeleton)
    assert before.ground is None and not before.people[0].upright  # as in sets of before
    ground = object()
    shown = dataclasses.replace(view, ground=ground)
    person = dataclasses.replace(view.people[0], upright=True)
    assert within_reach(shown, person, known=True)
    sits = dataclasses.replace(person, upright=False)
    assert not within_reach(shown, sits, known=True)
    assert within_reach(shown, sits, known=False)
    hidden = dataclasses.replace(person, feet_seen=False)
    assert not within_reach(shown, hidden, known=True)
    assert not within_reach(dataclasses.replace(view, ground=None), person, known=True)
