"""What a recipe asks of faces: as often as asked, from streams of their own, by sex and age."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from recipe_fake import FakeSolve, without

from synthstudio.body.face import EXPRESSIONS
from synthstudio.body.wardrobe import GARMENTS, garments
from synthstudio.core.spec import PersonSpec
from synthstudio.recipe.draw import draw, draw_group
from synthstudio.recipe.schema.load import parse

SOLVE = without(FakeSolve(), garments=garments(), expressions=EXPRESSIONS)
NEW = ("ponytail", "plaits", "bob", "curly", "parted", "undercut", "mohawk", "balding")
ALL = {
    "beard": 1.0,
    "glasses": 1.0,
    "sunglasses": 0.5,
    "mask": 0.5,
    "expression": 1.0,
    "eyes": 1.0,
    "tones": 1.0,
}


def people(frames: int = 60, **asked: Any) -> list[PersonSpec]:
    wish = parse({"name": "f", "people": {"count": 2, "identities": 60, **asked}})
    return [person for i in range(frames) for person in draw(wish, i, SOLVE).people]


def kinds(person: PersonSpec, slot: str) -> list[str]:
    return [g.kind for g in person.outfit if GARMENTS[g.kind].kind.slot == slot]


def bare_faced(person: PersonSpec) -> PersonSpec:
    """Return the person without what the face shows."""
    worn = ("beard", "glasses", "mask")
    angles = {k: v for k, v in person.pose.angles_rad.items() if not k.startswith("gaze")}
    return dataclasses.replace(
        person,
        look=dataclasses.replace(person.look, brows=0.0, lips=0.0, stubble=0.0),
        pose=dataclasses.replace(person.pose, face={}, angles_rad=angles),
        outfit=tuple(g for g in person.outfit if GARMENTS[g.kind].kind.slot not in worn),
    )


def test_by_default_faces_show_nothing():
    for person in people(20):
        assert not person.pose.face
        assert person.years is None
        assert not any(kinds(person, slot) for slot in ("beard", "glasses", "mask"))
        assert not {kind.removesuffix("_hair") for kind in kinds(person, "hair")} & set(NEW)
        assert (person.look.brows, person.look.lips) == (0.0, 0.0)


def test_faces_change_nobody_else_nor_anything_else():
    plain, faces = people(25), people(25, face=ALL)
    for one, other in zip(plain, faces, strict=True):
        assert bare_faced(one) == bare_faced(other)


@pytest.mark.parametrize("slot", ["glasses", "mask"])
@pytest.mark.parametrize("share", [0.25, 0.8])
def test_as_often_as_asked(slot, share):
    field = {"glasses": "sunglasses", "mask": "mask"}[slot]
    found = [bool(kinds(p, slot)) for p in people(200, face={field: share})]
    assert abs(sum(found) / len(found) - share) < 0.08


def test_beards_grow_on_grown_men_alone():
    found = people(120, face={"beard": 1.0}, shape={"age_years": [2, 80]})
    for person in found:
        man = person.phenotype.gender < 0.5 and person.phenotype.age >= 0.6
        assert bool(kinds(person, "beard")) == man
        if kinds(person, "beard") == ["full_beard"]:
            assert person.look.stubble >= 0.8
    beards = {kind for person in found for kind in kinds(person, "beard")}
    assert beards == {"full_beard", "goatee", "moustache"}


def test_beards_and_glasses_belong_to_a_person():
    by: dict[str, set[tuple[str, ...]]] = {}
    for person in people(120, face={"beard": 0.5, "glasses": 0.5}):
        own = tuple(g.kind + str(g.shape) for g in person.outfit[-2:] if g.kind in GARMENTS)
        own = tuple(k for k in own if k.startswith(("full_beard", "goatee", "moustache", "glas")))
        by.setdefault(person.identity, set()).add(own)
    assert len(by) > 40
    assert all(len(seen) == 1 for seen in by.values())
    assert (
        0.2 < sum(any("glasses" in k for k in next(iter(s))) for s in by.values()) / len(by) < 0.8
    )


def test_one_pair_of_glasses_at_a_time():
    for person in people(60, face={"glasses": 1.0, "sunglasses": 0.5}):
        assert len(kinds(person, "glasses")) == 1


def test_new_hair_and_hats_where_named():
    named = {f"{cut}_hair": 50 for cut in NEW} | {"helmet": 50, "headband": 50, "headscarf": 50}
    found = people(150, wardrobe={"kinds": named, "hat": 0.5}, shape={"age_years": [2, 80]})
    hair = {kind for person in found for kind in kinds(person, "hair")}
    assert {f"{cut}_hair" for cut in NEW} <= hair
    hats = {kind for person in found for kind in kinds(person, "hat")}
    assert {"helmet", "headband", "headscarf"} <= hats
    for person in found:
        if kinds(person, "hair") == ["balding_hair"]:
            assert person.years is not None
            assert person.years > 25
    sporty = people(30, wardrobe={"hat": 1.0, "sport": 1.0})
    assert not {k for p in sporty for k in kinds(p, "hat")} & {"helmet", "headband", "headscarf"}


def test_expressions_and_eyes():
    found = people(150, face={"expression": 0.6, "eyes": 0.5})
    shown = [p.pose.face for p in found if p.pose.face]
    assert abs(len(shown) / len(found) - 0.6) < 0.1
    seen = {frozenset(face) for face in shown}
    assert seen == {frozenset(units) for units in EXPRESSIONS.values()}
    assert all(0 < weight <= 1 for face in shown for weight in face.values())
    turned = [p.pose.angles_rad["gaze_turn"] for p in found if "gaze_turn" in p.pose.angles_rad]
    assert abs(len(turned) / len(found) - 0.5) < 0.12
    assert max(map(abs, turned)) <= math.radians(25) + 1e-4


def test_a_variant_of_appearance_keeps_what_the_head_wears_in_other_colours():
    wish = parse({"name": "v", "people": {"count": 2, "face": ALL}, "variants": {"appearance": 1}})
    group = draw_group(wish, 0, SOLVE)
    for one, other in zip(group[0].people, group[1].people, strict=True):
        assert one.pose == other.pose
        for slot in ("hair", "beard", "glasses", "mask"):
            assert kinds(one, slot) == kinds(other, slot)
        dyes = [
            [g.material.base_rgb for g in p.outfit if GARMENTS[g.kind].kind.slot == "hair"]
            for p in (one, other)
        ]
        assert dyes[0] != dyes[1]
