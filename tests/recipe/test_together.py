"""What people do together, on the real body: measured on meshes, not by the solver's residual."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest

import synthstudio as ss
from benchmarks import physics, together
from benchmarks.together import Kind, check, does, stage_of
from synthstudio.body.meetings import meetings, read_meetings
from synthstudio.body.pose_library import library
from synthstudio.body.spots import NAMES, spot
from synthstudio.core.errors import RecipeError
from synthstudio.recipe.draw import draw
from synthstudio.recipe.schema.load import dump, parse

MEETINGS = {meeting.name: meeting for meeting in meetings()}
PAIRS = sorted(name for name, meeting in MEETINGS.items() if meeting.stand == "pair")
FRAMES, MOST = 2, 8
"""Frames of each kind; more where none of them shows it, as for bodies that have no room."""


@pytest.fixture(scope="module")
def drawn():
    """Return a few frames of each kind, and their stage."""
    out = {}
    for name in MEETINGS:
        stage = stage_of(name, people=MEETINGS[name].most)
        specs = []
        while len(specs) < FRAMES or (
            len(specs) < MOST and not any(does(spec, name) for spec in specs)
        ):
            specs.append(draw(stage.settings.recipe, len(specs), stage))
        out[name] = stage, specs
    return out


def _with(recipe, **together):
    """Return the recipe with another `people.together`."""
    fields = dump(recipe)
    return parse({**fields, "people": {**fields["people"], "together": together}})


def _ahead(person):
    return np.array([math.sin(person.yaw_rad), -math.cos(person.yaw_rad)])


@pytest.mark.parametrize("name", sorted(MEETINGS))
def test_hands_touch_and_nobody_is_inside_another(drawn, name):
    stage, specs = drawn[name]
    kind = Kind(name=name)
    for spec in specs:
        check(stage, spec, kind, MEETINGS[name])
    assert kind.made >= 1, "no frame shows it"
    assert kind.passed, kind.text()
    assert kind.deep_m <= 0.02, kind.text()


def test_a_hand_that_is_moved_away_is_found(drawn):
    stage, specs = drawn["shake_hands"]
    people = next(does(spec, "shake_hands") for spec in specs if does(spec, "shake_hands"))
    near = together.hand_apart_m(stage, people, MEETINGS["shake_hands"])
    x, y, z = people[1].position_m
    moved = (people[0], dataclasses.replace(people[1], position_m=(x + 0.2, y, z)))
    assert near <= 0.02 < together.hand_apart_m(stage, moved, MEETINGS["shake_hands"])


def test_wrists_of_the_labels_are_a_hand_s_length_apart(drawn):
    """The labels' own joints say so too: hands that shake part their wrists by less than 26 cm."""
    for name in ("shake_hands", "high_five", "hold_hands", "help_up"):
        stage, specs = drawn[name]
        for people in (does(spec, name) for spec in specs):
            if not people:
                continue
            names = stage.skeleton.joints
            wrists = [
                stage.joints_m(p)[[names.index(f"{s}_wrist") for s in ("left", "right")]]
                for p in people
            ]
            apart = np.linalg.norm(wrists[0][:, None] - wrists[1][None], axis=2)
            assert apart.min() < 0.26, name


def test_who_talks_faces_the_other_and_who_queues_the_back_before_them(drawn):
    for spec in drawn["talk"][1]:
        people = does(spec, "talk")
        at = np.array([person.position_m[:2] for person in people])
        middle = at.mean(axis=0)
        for place, person in zip(at, people, strict=True):
            way = (middle - place) / np.linalg.norm(middle - place)
            assert way @ _ahead(person) > math.cos(math.radians(45))
    for spec in drawn["queue"][1]:
        people = does(spec, "queue")
        for before, behind in itertools.pairwise(people):
            step = np.subtract(before.position_m[:2], behind.position_m[:2])
            assert 0.5 < np.linalg.norm(step) < 1.2
            assert step @ _ahead(behind) / np.linalg.norm(step) > math.cos(math.radians(35))


def test_heads_turn_to_the_other(drawn):
    offs = []
    for name in ("shake_hands", "talk", "hand_on_shoulder"):
        stage, specs = drawn[name]
        names = stage.skeleton.joints
        for people in (does(spec, name) for spec in specs):
            at = [dict(zip(names, stage.joints_m(p), strict=True)) for p in people]
            for k, own in enumerate(at):
                way = own["nose"] - (own["left_ear"] + own["right_ear"]) / 2
                to = at[(k + 1) % len(at)]["nose"] - own["nose"]
                cosine = way[:2] @ to[:2] / np.linalg.norm(way[:2]) / np.linalg.norm(to[:2])
                offs.append(math.degrees(math.acos(min(1.0, cosine))))
    assert np.median(offs) < 20


def test_the_same_seed_makes_the_same_people(drawn):
    stage, specs = drawn["hug"]
    stage.group.cache_clear()
    again = stage_of("hug")
    assert [draw(again.settings.recipe, k, again) for k in range(FRAMES)] == specs


def test_without_it_nothing_changes(drawn):
    stage, _ = drawn["hug"]
    recipe = stage.settings.recipe
    off = _with(recipe, share=0.0)
    fields = dump(recipe)
    people = {k: v for k, v in fields["people"].items() if k != "together"}
    never = parse({**fields, "people": people})
    for index in range(2):
        assert draw(off, index, stage) == draw(never, index, stage)


def test_nobody_else_s_random_numbers_change(drawn):
    """A third person keeps body, clothes and pose, whatever the first two do."""
    stage = stage_of("hug", people=3)
    recipe = stage.settings.recipe
    off = _with(recipe, share=0.0)
    with_it, without = (draw(r, 0, stage) for r in (recipe, off))
    assert with_it.people[2].outfit == without.people[2].outfit
    assert with_it.people[2].pose == without.people[2].pose
    assert [p.identity for p in with_it.people] == [p.identity for p in without.people]
    assert with_it.camera == without.camera


def test_a_set_of_it_passes_its_audit(tmp_path):
    recipe = {
        "name": "together",
        "frames": 3,
        "image": {"width_px": 160, "height_px": 120, "supersample": 1},
        "people": {
            "count": 2,
            "identities": 8,
            "together": {"share": 1, "kinds": {"shake_hands": 1, "high_five": 1}},
        },
    }
    made = ss.generate(recipe, tmp_path / "set", device="cpu", progress=False)
    families = {person.pose_family for frame in made for person in frame.people}
    assert families & {"shake_hands", "high_five"}
    assert ss.audit(made, device="cpu", progress=False).passed


def test_it_is_physical(drawn):
    stage, specs = drawn["hand_on_shoulder"]
    report = physics.check(stage, specs)
    assert report.passed, report.text()
    assert report.standing >= 2


# What is written -----------------------------------------------------------------------------


def test_poses_that_roles_name_are_there():
    names = {key.name for key in library()}
    for meeting in MEETINGS.values():
        assert {pose for role in meeting.roles for pose in role.poses} <= names, meeting.name


def test_spots_of_both_sides_mirror_each_other():
    from synthstudio.body.atlas import load_atlas

    points = load_atlas().template_m
    for name in (n for n in NAMES if n.startswith("left_")):
        left, right = (points[spot(f"{s}_{name[5:]}").vertex] for s in ("left", "right"))
        assert np.abs(left - right * (-1, 1, 1)).max() < 1e-3, name


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


def test_an_unknown_kind_is_named(drawn):
    stage, _ = drawn["hug"]
    recipe = _with(stage.settings.recipe, share=1.0, kinds={"hugg": 1.0})
    with pytest.raises(RecipeError, match="hug"):
        draw(recipe, 0, stage)
