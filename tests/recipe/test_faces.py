"""What faces show and people wear: as often as asked, from streams of their own."""

import dataclasses
import math

from recipe_fake import WORN, FakeSolve, without

from synthstudio.body import wardrobe
from synthstudio.body.face import EXPRESSIONS
from synthstudio.recipe.draw import draw
from synthstudio.recipe.schema.load import parse

SOLVE = without(FakeSolve(), garments=wardrobe.garments(), expressions=EXPRESSIONS)
FACE_SLOTS = ("beard", "glasses", "mask")
NEW = ("ponytail", "plaits", "bob", "curly", "parted", "undercut", "mohawk", "balding")


ALWAYS = ("beard", "glasses", "expression", "eyes", "tones")
ALL = dict.fromkeys(ALWAYS, 1.0) | {"sunglasses": 0.5, "mask": 0.5}


def people(frames=60, **asked):
    wish = parse({"name": "f", "people": {"count": 2, "identities": 60, **asked}})
    return [person for i in range(frames) for person in draw(wish, i, SOLVE).people]


def kinds(person, slot):
    return [g.kind for g in person.outfit if wardrobe.GARMENTS[g.kind].kind.slot == slot]


def bare_faced(person):
    angles = {k: v for k, v in person.pose.angles_rad.items() if not k.startswith("gaze")}
    worn = (g for g in person.outfit if wardrobe.GARMENTS[g.kind].kind.slot not in FACE_SLOTS)
    return dataclasses.replace(
        person,
        look=dataclasses.replace(person.look, brows=0.0, lips=0.0, stubble=0.0),
        pose=dataclasses.replace(person.pose, face={}, angles_rad=angles),
        outfit=tuple(worn),
    )


def test_by_default_faces_show_nothing_and_they_change_nothing_else():
    plain, faces = people(15), people(15, face=ALL)
    for person, other in zip(plain, faces, strict=True):
        assert bare_faced(person) == bare_faced(other)
        assert not person.pose.face and person.years is None
        assert not any(kinds(person, slot) for slot in FACE_SLOTS)
        assert not {kind.removesuffix("_hair") for kind in kinds(person, "hair")} & set(NEW)
        assert (person.look.brows, person.look.lips) == (0.0, 0.0)


def test_beards_grow_on_grown_men_alone():
    beards = set()
    for person in people(60, face={"beard": 1.0}, shape={"age_years": [2, 80]}):
        man = person.phenotype.gender < 0.5 and person.phenotype.age >= 0.6
        worn = kinds(person, "beard")
        beards |= set(worn)
        assert bool(worn) == man
        assert worn != ["full_beard"] or person.look.stubble >= 0.8
    assert beards == {"full_beard", "goatee", "moustache"}


def test_expressions_and_eyes():
    found = people(100, face={"expression": 0.6, "eyes": 0.5})
    shown = [p.pose.face for p in found if p.pose.face]
    assert abs(len(shown) / len(found) - 0.6) < 0.12
    seen = {frozenset(face) for face in shown}
    assert seen == {frozenset(units) for units in EXPRESSIONS.values()}
    assert all(0 < weight <= 1 for face in shown for weight in face.values())
    rotated = [p.pose.angles_rad["gaze_turn"] for p in found if "gaze_turn" in p.pose.angles_rad]
    assert abs(len(rotated) / len(found) - 0.5) < 0.14
    assert max(map(abs, rotated)) <= math.radians(25) + 1e-4


# Who wears what

MORE = {*WORN, "dress", "leotard", "leggings"}
SOME = without(FakeSolve(), garments=tuple(g for g in wardrobe.garments() if g.kind in MORE))


def dressed(solve=SOLVE, frames=60, **options):
    wish = parse({"name": "o", "people": {"count": 2, "wardrobe": options}})
    return [who for i in range(frames) for who in draw(wish, i, solve).people]


def worn_by(person):
    return {garment.kind for garment in person.outfit}


def test_nothing_is_worn_below_a_dress():
    drawn = [worn_by(who) for who in dressed(SOME, 40)]
    with_dress = [worn for worn in drawn if "dress" in worn]
    assert len(with_dress) > 8
    assert not any(worn & {"jeans", "skirt", "leggings"} for worn in with_dress)
    assert all(worn & {"jeans", "skirt"} for worn in drawn if "dress" not in worn)


def test_what_is_named_is_worn():
    named = {"polo": 20, "wide_trousers": 20, "sandals": 20}
    seen = [worn_by(who) for who in dressed(kinds=named)]
    for kind in named:
        assert sum(kind in worn for worn in seen) > 20
    assert not any(named.keys() & worn_by(who) for who in dressed())
    face = {"glasses": 0.5, "sunglasses": 0.5}
    for usual in ({}, {"goggles": 1, "sunglasses": 0}):
        worn = people(40, face=face, wardrobe={"kinds": usual})
        seen = {kind for person in worn for kind in kinds(person, "glasses")}
        assert seen == {"glasses", "goggles" if usual else "sunglasses"}


def test_something_over_a_top_only_where_it_goes():
    named = {"blazer": 1, "apron": 1, "scarf": 1, "gloves": 1, "tights": 1, "long_socks": 1}
    always = dict.fromkeys(("over", "neck", "hands", "legs"), 1.0)
    catalogue, seen = {kind.kind: kind for kind in wardrobe.garments()}, set()
    for who in dressed(frames=80, kinds=named, **always):
        worn = [catalogue[kind] for kind in worn_by(who)]
        slots = {kind.slot for kind in worn}
        goes = {slot for kind in worn for slot in kind.goes_with}
        assert slots & {"neck", "hands"} == goes & {"neck", "hands"}
        assert ("over" in slots) == ("over" in goes)
        assert "legs" not in slots or "legs" in goes
        seen |= slots
    assert {"over", "legs"} <= seen
    assert not any(worn_by(who) & named.keys() for who in dressed(kinds=named, frames=20))
