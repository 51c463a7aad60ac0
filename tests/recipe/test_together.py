"""What people do together, on the real body: measured on meshes, not by the solver's residual."""

import functools
import itertools
import math

import numpy as np
import pytest
from scipy.spatial import cKDTree

from benchmarks import physics, proofs, touch
from synthstudio.body import wardrobe
from synthstudio.body.meetings import meetings, read_meetings
from synthstudio.core.catalogue import Interaction, Touch
from synthstudio.core.errors import RecipeError
from synthstudio.core.scene import F64
from synthstudio.core.spec import PERSON_BASE, FrameSpec, PersonSpec
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.recipe.draw import draw
from synthstudio.recipe.sampling.check import check as check_recipe
from synthstudio.recipe.schema.load import dump, parse

MEETINGS = {meeting.name: meeting for meeting in meetings()}
QUICK = ("shake_hands", "talk", "queue")
FRAMES, MAX = 2, 8
"""Frames of each kind; more where none of them shows it, as for bodies that have no room."""
NEAR_M, FLOOR_M = 0.02, 0.02
_WORN = ("t_shirt", "jeans", "shorts", "hoodie", "low_shoes", "short_hair")
_OTHER = {"left": "right", "right": "left"}


def stage_of(kind: str, *, people: int = 2) -> FrameGenerator:
    """Open a stage for frames in which all people take part in one interaction."""
    # A new design of a garment takes long.
    left_out = {g.kind: 0.0 for g in wardrobe.garments() if g.kind not in _WORN}
    wanted = {
        "count": people,
        "identities": 200,
        "wardrobe": {"kinds": left_out, "hat": 0.0},
        "together": {"share": 1.0, "kinds": {kind: 1.0}},
    }
    recipe = parse({"name": "together", "frames": 1000, "seed": 3, "people": wanted}, "benchmark")
    return FrameGenerator(prepare(recipe, assets=proofs.ROOT / "scenes", device="cpu"))


def does(spec: FrameSpec, kind: str) -> tuple[PersonSpec, ...]:
    """Return the people of a frame who do that together."""
    return tuple(person for person in spec.people if person.pose.family == kind)


def hand_apart_m(
    stage: FrameGenerator, people: tuple[PersonSpec, ...], meeting: Interaction
) -> float:
    """Return how far the farthest touch of a pair is from touching.

    Who has which role, and on which side, is not stored: of those four the nearest counts.
    """
    if not meeting.touches:
        return 0.0
    casts = ((0, 1), (1, 0))
    ways = [[_told(t, flip) for t in meeting.touches] for flip in (False, True)]
    return min(
        max(_apart_m(stage, people[cast[t.of]], people[cast[1 - t.of]], t) for t in way)
        for cast in casts
        for way in ways
    )


def _told(one: Touch, flip: bool) -> Touch:
    def rotated(name: str) -> str:
        side, _, rest = name.partition("_")
        return f"{_OTHER[side]}_{rest}" if flip and side in _OTHER else name

    return Touch(of=one.of, palm=rotated(one.palm), on=rotated(one.on))


def _apart_m(stage: FrameGenerator, one: PersonSpec, other: PersonSpec, told: Touch) -> float:
    hand = stage.skin_m(one, (told.palm.replace("palm", "hand"),))
    if told.on.endswith("palm"):
        on = stage.skin_m(other, (told.on.replace("palm", "hand"),))
    else:
        on = _worn_m(stage, other, told.on)
    return float(cKDTree(on).query(hand)[0].min())


def _worn_m(stage: FrameGenerator, person: PersonSpec, on: str) -> F64:
    """Return what is drawn of a person about the part of the body that a spot is on."""
    side = on.partition("_")[0]
    arm = on.endswith(("shoulder", "upper_arm"))
    parts = (f"{side}_upper_arm", "torso") if arm else ("torso", "pelvis")
    skin = stage.skin_m(person, parts)
    surfaces = stage.body.posed(person, instance=PERSON_BASE).surfaces
    drawn = [s.faces if s.drawn is None else s.faces[s.drawn] for s in surfaces]
    worn = np.concatenate(
        [s.vertices_m[np.unique(f)] for s, f in zip(surfaces, drawn, strict=True)]
    ).astype(np.float64)
    near: F64 = worn[cKDTree(skin).query(worn)[0] < 0.05]
    return near


def check(stage: FrameGenerator, spec: FrameSpec, meeting: Interaction) -> bool:
    """Hold one frame against what must be; return whether people do it there."""
    people = does(spec, meeting.name)
    if len(people) == 2:
        assert hand_apart_m(stage, people, meeting) <= NEAR_M
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
    """Return a stage, and a few frames of a kind drawn there."""
    stage = stage_of(name, people=MEETINGS[name].maximum)
    specs = []
    while len(specs) < FRAMES or (len(specs) < MAX and not any(does(spec, name) for spec in specs)):
        specs.append(draw(stage.settings.recipe, len(specs), stage))
    return stage, specs


def _with(recipe, **together):
    """Return the recipe with another `people.together`."""
    fields = dump(recipe)
    return parse({**fields, "people": {**fields["people"], "together": together}})


def _ahead(person):
    return np.array([math.sin(person.yaw_rad), -math.cos(person.yaw_rad)])


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
            assert way @ _ahead(person) > math.cos(math.radians(45))
    for spec in drawn("queue")[1]:
        for before, behind in itertools.pairwise(does(spec, "queue")):
            step = np.subtract(before.position_m[:2], behind.position_m[:2])
            assert 0.5 < np.linalg.norm(step) < 1.2
            assert step @ _ahead(behind) / np.linalg.norm(step) > math.cos(math.radians(35))


def test_the_same_seed_makes_the_same_people_and_without_it_nothing_changes():
    stage, specs = drawn("shake_hands")
    again = stage_of("shake_hands")
    assert draw(again.settings.recipe, 0, again) == specs[0]
    fields = dump(stage.settings.recipe)
    people = {k: v for k, v in fields["people"].items() if k != "together"}
    off, never = _with(stage.settings.recipe, share=0.0), parse({**fields, "people": people})
    without = draw(off, 0, stage)
    assert without == draw(never, 0, stage)
    assert [p.identity for p in without.people] == [p.identity for p in specs[0].people]


# What is written -----------------------------------------------------------------------------


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
    people = {"together": {"share": 0.5}}
    for more in (
        {"quotas": {"family": {"stand": 1}}},
        {"quotas": {"view": {"front": 1}}},
        {"clip": {"frames": 4}, "motion": {"folder": "motions"}},
    ):
        with pytest.raises(RecipeError, match="together"):
            parse({"name": "x", "people": people, **more})


def test_an_unknown_kind_is_named():
    stage, _ = drawn("shake_hands")
    recipe = _with(stage.settings.recipe, share=1.0, kinds={"hugg": 1.0})
    with pytest.raises(RecipeError, match="hug"):
        check_recipe(recipe, stage.catalogue)
