"""What a recipe asks of faces: as often as asked, from streams of their own, by sex and age."""

import dataclasses
import math
from typing import Any

from recipe_fake import FakeSolve, without

from synthstudio.body.face import EXPRESSIONS
from synthstudio.body.wardrobe import GARMENTS, garments
from synthstudio.core.spec import PersonSpec
from synthstudio.recipe.draw import draw
from synthstudio.recipe.schema.load import parse

SOLVE = without(FakeSolve(), garments=garments(), expressions=EXPRESSIONS)
FACE_SLOTS = ("beard", "glasses", "mask")
NEW = ("ponytail", "plaits", "bob", "curly", "parted", "undercut", "mohawk", "balding")


def _often():
    """Return a recipe's wish for everything that faces can show."""
    always = dict.fromkeys(("beard", "glasses", "expression", "eyes", "tones"), 1.0)
    return always | {"sunglasses": 0.5, "mask": 0.5}


ALL = _often()


def people(frames: int = 60, **asked: Any) -> list[PersonSpec]:
    wish = parse({"name": "f", "people": {"count": 2, "identities": 60, **asked}})
    return [person for i in range(frames) for person in draw(wish, i, SOLVE).people]


def kinds(person: PersonSpec, slot: str) -> list[str]:
    return [g.kind for g in person.outfit if GARMENTS[g.kind].kind.slot == slot]


def bare_faced(person):
    """Return the person without what the face shows."""
    angles = {k: v for k, v in person.pose.angles_rad.items() if not k.startswith("gaze")}
    worn = (g for g in person.outfit if GARMENTS[g.kind].kind.slot not in FACE_SLOTS)
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
