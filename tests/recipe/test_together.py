"""What people do together, on the real body: measured on meshes, not by the solver's residual."""

import functools
import itertools
import math

import numpy as np
import pytest
from recipe_fake import ahead
from scipy.spatial import cKDTree
from test_contacts import stage_of

from benchmarks import physics, touch
from synthstudio.body.touching import meetings, read_meetings
from synthstudio.core.catalogue import Interaction
from synthstudio.core.errors import RecipeError
from synthstudio.core.spec import PERSON_BASE, FrameSpec, PersonSpec
from synthstudio.generation.stage import FrameGenerator
from synthstudio.recipe.draw import draw
from synthstudio.recipe.sampling.check import check as check_recipe
from synthstudio.recipe.schema.load import dump, parse

MEETINGS = {meeting.name: meeting for meeting in meetings()}
QUICK = ("shake_hands", "talk", "queue")
FRAMES, MAX = 2, 8
"""Frames of each kind; more where none of them shows it, as for bodies that have no room."""
NEAR_M, FLOOR_M = 0.02, 0.02
_WORN = ("t_shirt", "jeans", "shorts", "hoodie", "low_shoes", "short_hair")


def stage_for(kind):
    interactions = {"share": 1.0, "kinds": {kind: 1.0}}
    return stage_of(_WORN, count=MEETINGS[kind].maximum, interactions=interactions)


def does(spec: FrameSpec, kind: str) -> tuple[PersonSpec, ...]:
    return tuple(person for person in spec.people if person.pose.family == kind)


def hands_apart_m(stage, one, other):
    sides = ("left_hand",), ("right_hand",)
    pairs = ((stage.skin_m(one, side), stage.skin_m(other, side)) for side in sides)
    return min(cKDTree(a).query(b)[0].min() for a, b in pairs)


def check(stage: FrameGenerator, spec: FrameSpec, meeting: Interaction) -> bool:
    """Hold one frame against what must be; return whether people do it there."""
    people = does(spec, meeting.name)
    if meeting.touches and people:
        assert hands_apart_m(stage, *people) <= NEAR_M
    bodies = [physics.bare(person) for person in people]
    for one, other in itertools.permutations(bodies, 2):
        assert physics.body_in_body_m(one, other) <= touch.SOFT_M
    for person in people:
        assert physics.beyond_rad(person) <= 1e-6
        surfaces = stage.body.surfaces(person, instance=PERSON_BASE)
        drawn = [s.faces if s.drawn is None else s.faces[s.drawn] for s in surfaces]
        low = [s.vertices_m[f, 2].min() for s, f in zip(surfaces, drawn, strict=True) if len(f)]
        assert abs(float(min(low))) <= FLOOR_M
    return bool(people)


@functools.cache
def drawn(name):
    stage = stage_for(name)
    specs = []
    while len(specs) < FRAMES or (len(specs) < MAX and not any(does(spec, name) for spec in specs)):
        specs.append(draw(stage.settings.recipe, len(specs), stage))
    return stage, specs


def _with(recipe, **interactions):
    fields = dump(recipe)
    return parse({**fields, "people": {**fields["people"], "interactions": interactions}})


@pytest.mark.parametrize("name", QUICK)
def test_hands_touch_and_nobody_is_inside_another(name):
    stage, specs = drawn(name)
    shown = [check(stage, spec, MEETINGS[name]) for spec in specs]
    assert any(shown), "no frame shows it"


def test_who_talks_faces_the_other_and_who_queues_the_back_before_them():
    for spec in drawn("talk")[1]:
        people = does(spec, "talk")
        at = np.array([person.position_m[:2] for person in people])
        for place, person in zip(at, people, strict=True):
            way = (at.mean(axis=0) - place) / np.linalg.norm(at.mean(axis=0) - place)
            assert way @ ahead(person) > math.cos(math.radians(45))
    for spec in drawn("queue")[1]:
        for before, behind in itertools.pairwise(does(spec, "queue")):
            step = np.subtract(before.position_m[:2], behind.position_m[:2])
            assert 0.5 < np.linalg.norm(step) < 1.2
            assert step @ ahead(behind) / np.linalg.norm(step) > math.cos(math.radians(35))


def test_the_same_seed_makes_the_same_people_and_without_it_nothing_changes():
    stage, specs = drawn("shake_hands")
    again = stage_for("shake_hands")
    assert draw(again.settings.recipe, 0, again) == specs[0]
    fields = dump(stage.settings.recipe)
    people = {k: v for k, v in fields["people"].items() if k != "interactions"}
    off, never = _with(stage.settings.recipe, share=0.0), parse({**fields, "people": people})
    without = draw(off, 0, stage)
    assert without == draw(never, 0, stage)
    assert [p.identity for p in without.people] == [p.identity for p in specs[0].people]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("{roles: [{poses: [stand_wide]}], stand: circle}", "apart_m"),
        ("{roles: [{poses: [a]}, {poses: [b]}], touches: [[third, left_palm, chest]]}", "touch"),
        ("{roles: [{poses: [a]}, {poses: [b]}], sings: true}", "sings"),
        ("{roles: [{poses: [a], left_elbow_flexion_deg: 200}, {poses: [b]}]}", "limits"),
    ],
)
def test_a_meeting_that_is_none_is_named(entry, told):
    with pytest.raises(RecipeError, match=told):
        read_meetings(f"meetings: {{odd: {entry}}}", "test")


def test_a_recipe_that_cannot_have_it_is_told():
    people = {"interactions": {"share": 0.5}}
    for more in (
        {"quotas": {"family": {"stand": 1}}},
        {"quotas": {"view": {"front": 1}}},
        {"clip": {"frames": 4}, "motion": {"folder": "motions"}},
    ):
        with pytest.raises(RecipeError, match="interactions"):
            parse({"name": "x", "people": people, **more})


def test_an_unknown_kind_is_named():
    stage, _ = drawn("shake_hands")
    recipe = _with(stage.settings.recipe, share=1.0, kinds={"hugg": 1.0})
    with pytest.raises(RecipeError, match="hug"):
        check_recipe(recipe, stage.catalogue)
