"""Prints, wrinkles and blotches of a recipe: as often and strong as asked, and nothing else."""

import dataclasses
import json

from recipe_fake import FakeSolve

from synthstudio.core.spec_json import from_json, to_json
from synthstudio.recipe.draw import draw
from synthstudio.recipe.schema.load import parse

SOLVE = FakeSolve()
PRINTS = ("floral", "abstract", "logo")


def frames(count=40, shape=None, **wardrobe):
    people = {"count": 2, "wardrobe": wardrobe, "shape": shape or {}}
    wish = parse({"name": "p", "people": people})
    return [draw(wish, i, SOLVE) for i in range(count)]


def garments(specs, slot):
    slots = {kind.kind: kind.slot for kind in SOLVE.catalogue.garments}
    return [g for s in specs for p in s.people for g in p.outfit if slots[g.kind] == slot]


def bare(spec):
    """The spec without what this file is about."""
    people = []
    for person in spec.people:
        outfit = []
        for garment in person.outfit:
            second = garment.second_material
            outfit.append(
                dataclasses.replace(
                    garment,
                    material=dataclasses.replace(garment.material, wrinkles=0.0),
                    second_material=second and dataclasses.replace(second, wrinkles=0.0),
                )
            )
        look = dataclasses.replace(person.look, blotches=0.0)
        people.append(dataclasses.replace(person, outfit=tuple(outfit), look=look))
    return dataclasses.replace(spec, people=tuple(people))


def test_unasked_there_are_none():
    for spec in frames(10):
        assert bare(spec) == spec
    for slot in ("top", "bottom"):
        assert not [g for g in garments(frames(10), slot) if g.material.pattern in PRINTS]


def test_wrinkles_and_blotches_change_nothing_else():
    worn = frames(10, wrinkles=[0.2, 1.0], shape={"blotches": [0.2, 0.6]})
    assert [bare(spec) for spec in worn] == frames(10)
    for slot in ("top", "bottom"):
        strengths = {g.material.wrinkles for g in garments(worn, slot)}
        assert len(strengths) > 5
        assert 0.2 <= min(strengths) < max(strengths) <= 1.0
    assert all(0.2 <= p.look.blotches <= 0.6 for s in worn for p in s.people)
    assert not any(g.material.wrinkles for g in garments(worn, "shoes"))


def test_somebody_s_skin_is_as_uneven_in_every_frame():
    seen: dict[str, set[float]] = {}
    for spec in frames(60, shape={"blotches": [0, 1]}):
        for person in spec.people:
            seen.setdefault(person.identity, set()).add(person.look.blotches)
    assert len(seen) > 20
    assert all(len(values) == 1 for values in seen.values())


def test_prints_come_as_often_as_asked():
    printed = frames(80, prints=0.6)
    tops, bottoms = (
        [g.material for g in garments(printed, slot) if g.material.pattern in PRINTS]
        for slot in ("top", "bottom")
    )
    assert 0.5 < len(tops) / len(garments(printed, "top")) < 0.7
    assert 0.1 < len(bottoms) / len(garments(printed, "bottom")) < 0.3
    assert {m.pattern for m in tops} == set(PRINTS)
    assert "logo" not in {m.pattern for m in bottoms}
    assert {2 + len(m.more_rgb) for m in tops} == {3, 4, 5}
    assert all(abs(sum(m.base_rgb) - sum(m.second_rgb)) > 0.05 for m in tops)


def test_prints_are_those_that_patterns_allows():
    printed = garments(frames(20, prints=1.0, patterns=["plain", "floral"]), "top")
    assert {g.material.pattern for g in printed} == {"floral"}
    none = garments(frames(20, prints=1.0, patterns=["plain"]), "top")
    assert {g.material.pattern for g in none} == {"plain"}


def test_specs_of_before_are_read_as_without():
    def old(value):
        if isinstance(value, dict):
            new = ("wrinkles", "more_rgb", "blotches")
            return {k: old(v) for k, v in value.items() if k not in new}
        return [old(v) for v in value] if isinstance(value, list) else value

    spec = frames(1)[0]
    text = json.dumps(old(json.loads(to_json(spec))))
    assert "wrinkles" not in text
    assert from_json(text) == spec
    worn = frames(1, wrinkles=0.5, prints=1.0)[0]
    assert from_json(to_json(worn)) == worn
