"""Quotas are kept by every part of a run, frame by frame, and what contradicts them is refused."""

import dataclasses
import math
from collections import Counter

import numpy as np
import pytest
from recipe_fake import CATALOGUE, FakeSolve, ahead, without

from synthstudio.core.errors import RecipeError
from synthstudio.core.people import SECTOR_RAD, VIEWS, body_of, view_azimuth_rad, view_of
from synthstudio.recipe.draw import draw
from synthstudio.recipe.sampling.check import check
from synthstudio.recipe.sampling.context import bin_of, person_number
from synthstudio.recipe.schema.load import parse
from synthstudio.recipe.schema.people import bodies_in

VIEW_SHARES = {"front": 1, "left": 2, "back": 3, "front_right": 2}
FAMILY_SHARES = {"walk": 3, "sit": 1, "lie": 1}


def recipe(quotas: dict | None, **changes):
    people = {"count": 2, "identities": 60, "min_gap_m": 0.05, **changes.pop("people", {})}
    return parse({"name": "q", "frames": 100, "people": people, "quotas": quotas, **changes})


def azimuth_rad(spec, person):
    away, facing = np.subtract(spec.camera.position_m, person.position_m)[:2], ahead(person)
    return math.atan2(float((-facing[1], facing[0]) @ away), float(facing @ away))


def drift(bins: list[str], fractions: dict[str, float]) -> float:
    total, counts, worst = sum(fractions.values()), Counter[str](), 0.0
    for n, name in enumerate(bins, 1):
        counts[name] += 1
        worst = max(worst, *(abs(counts[b] - n * s / total) for b, s in fractions.items()))
    return worst


def test_every_hundred_people_hold_every_bin_by_its_share():
    requested = recipe({"view": VIEW_SHARES})
    bins = [bin_of(requested, "view", n) for n in range(1000)]
    for k in range(0, 1000, 100):
        counts = Counter(bins[k : k + 100])
        assert all(abs(counts[view] - 12.5 * share) <= 1 for view, share in VIEW_SHARES.items())
    assert drift(bins, VIEW_SHARES) < 14
    assert bin_of(requested, "body", 3) is bin_of(recipe(None), "view", 3) is None


def test_people_show_the_side_that_was_asked_for():
    wide = {"arrangement": {"kind": "group", "spread_m": 2.0}, "count": 3}
    requested = recipe({"view": VIEW_SHARES}, people=wide)
    shown, solve = [], FakeSolve()
    for index in range(40):
        spec = draw(requested, index, solve)
        for place, person in enumerate(spec.people):
            view = bin_of(requested, "view", person_number(requested, index, place))
            angle = azimuth_rad(spec, person)
            off = abs((angle - view_azimuth_rad(view) + math.pi) % (2 * math.pi) - math.pi)
            assert off < SECTOR_RAD / 2
            assert VIEWS[view_of(np.array(angle))] == view
            shown.append(view)
    assert drift(shown, VIEW_SHARES) < 14


def test_families_and_bodies_are_those_of_the_plan():
    requested = recipe(
        {"family": FAMILY_SHARES, "body": {"woman-tall": 2, "woman-mid": 1, "man-slim": 1}},
        holdout={"identities": 20, "poses": ["run"]},
        people={"identities": 160},
    )
    families, solve = [], FakeSolve()
    for index in range(60):
        spec = draw(requested, index, solve)
        assert len({p.identity for p in spec.people}) == 2
        for place, person in enumerate(spec.people):
            number = person_number(requested, index, place)
            families.append(person.pose.family)
            assert person.pose.family == bin_of(requested, "family", number)
            assert body_of(person.phenotype) in bodies_in(bin_of(requested, "body", number))
            if spec.split == "train":
                assert int(person.identity[3:]) <= 140
                assert not person.pose.name.startswith("run")
    assert drift(families, FAMILY_SHARES) < 14


def test_a_person_does_not_depend_on_who_else_is_there():
    some = recipe({"view": VIEW_SHARES}, people={"count": [1, 3]})
    seen = [len(draw(some, i, FakeSolve()).people) for i in range(12)]
    assert set(seen) == {1, 2, 3}
    assert [person_number(some, 4, place) for place in range(3)] == [12, 13, 14]


@pytest.mark.parametrize(
    ("quotas", "changes", "message"),
    [
        ({}, {}, "at least one of view, family, body"),
        ({"view": {"up": 1}}, {}, "'up' is not a view"),
        ({"view": {"front": 0}}, {}, "positive sum"),
        ({"view": {}}, {}, "at least 1"),
        ({"view": {"front": -1}}, {}, "greater than or equal to 0"),
        ({"body": {"giant": 1}}, {}, "'giant' is not a body"),
        ({"body": {"slim-heavy": 1}}, {}, "'slim-heavy' is not a body"),
        ({"body": {"woman": 1, "tall": 1}}, {}, "overlap: both include woman-"),
        ({"view": {"front": 1}}, {"people": {"facing_deg": [0, 90]}}, "facing_deg"),
        ({"family": {"walk": 1}}, {"people": {"hold": {"share": 0.5}}}, "people.hold or motion"),
        ({"family": {"walk": 1}}, {"motion": {"folder": "m", "share": 0.5}}, "or motion gives"),
        (
            {"family": {"walk": 1, "sit": 1}},
            {"people": {"poses": {"families": {"walk": 1, "sit": 0}}}},
            "sit has a share of 1, but people.poses.families",
        ),
    ],
)
def test_contradictions_are_refused_when_read(quotas, changes, message):
    with pytest.raises(RecipeError, match=message):
        recipe(quotas, **changes)


NO_SEATS = tuple(t for t in CATALOGUE.objects if "seat" not in t.roles)
HOLDING = dataclasses.replace(
    CATALOGUE.poses[0], name="hold_cup", family="hold", holds={"left_hand": ("cup",)}
)
WORLDS = {
    "usual": {},
    "bare": {"objects": NO_SEATS},
    "held": {"poses": (*CATALOGUE.poses, HOLDING)},
}


@pytest.mark.parametrize(
    ("world", "quotas", "changes", "message"),
    [
        ("usual", {"family": {"wolk": 1}}, {}, r"unknown name.*Did you mean 'walk'\?"),
        ("usual", {"family": {"lie": 1}}, {"holdout": {"poses": ["lie"]}}, "held out"),
        (
            "usual",
            {"family": {"reach": 1}},
            {"people": {"poses": {"names": {"walk": 1}}}},
            "leaves none of its poses",
        ),
        ("usual", {"family": {"sit": 1}}, {"holdout": {"occluders": ["chair"]}}, "none to sit on"),
        ("bare", {"family": {"sit": 1}}, {}, "none to sit on"),
        ("held", {"family": {"hold": 1}}, {}, r"people\.hold instead"),
        (
            "usual",
            {"body": {"woman-heavy-tall": 1}},
            {"people": {"shape": {"female_share": 0}}},
            "too few people of this body.*got 0 of 60",
        ),
        ("usual", {"body": {"man-slim-tall": 1}}, {"people": {"identities": 3}}, "identities"),
    ],
)
def test_what_a_frame_could_not_keep_is_refused(world, quotas, changes, message):
    requested = recipe(quotas, **changes)
    with pytest.raises(RecipeError, match=f"(?s){message}"):
        check(requested, without(FakeSolve(), **WORLDS[world]).catalogue)
