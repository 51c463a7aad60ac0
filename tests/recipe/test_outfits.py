"""Who wears what, in which colours: whole garments, sport, prints, no top like its skin."""

import dataclasses

import pytest
from recipe_fake import CATALOGUE, FakeSolve, without

from synthstudio.body import wardrobe
from synthstudio.body.clothes.named import NAMED
from synthstudio.core.catalogue import GarmentKind
from synthstudio.recipe.draw import draw
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.schema.load import parse


def kind(name, slot, worn="everyday", **more):
    return GarmentKind(kind=name, slot=slot, shape={}, patterns=("plain",), worn=worn, **more)


MORE = (
    kind("dress", "top", whole=True, gender=(0.5, 1)),
    kind("leotard", "top", "sport", whole=True),
    kind("leggings", "bottom", "sport"),
)
GARMENTS = tuple(
    dataclasses.replace(g, worn="always") if g.kind == "t_shirt" else g for g in CATALOGUE.garments
)
SOLVE = without(FakeSolve(), garments=tuple(sorted((*GARMENTS, *MORE), key=lambda g: g.kind)))
SLOTS = {garment.kind: garment.slot for garment in SOLVE.catalogue.garments}
PRINTS = ("floral", "abstract", "logo")


def people(frames=40, shape=None, **wardrobe):
    who = {"count": 2, "wardrobe": wardrobe, "shape": shape or {}}
    wish = parse({"name": "o", "people": who})
    return [person for i in range(frames) for person in draw(wish, i, SOLVE).people]


def worn(person):
    return {garment.kind for garment in person.outfit}


def materials(drawn, slot):
    return [g.material for p in drawn for g in p.outfit if SLOTS[g.kind] == slot]


def test_nothing_is_worn_below_a_dress():
    drawn = people()
    dressed = [p for p in drawn if "dress" in worn(p)]
    assert len(dressed) > 8
    assert not any(worn(p) & {"jeans", "skirt", "leggings"} for p in dressed)
    assert all(worn(p) & {"jeans", "skirt"} for p in drawn if "dress" not in worn(p))


@pytest.mark.parametrize("wardrobe", [{"patterned": 0.0}, {"patterned": 0.5, "saturated": 0.9}])
def test_no_top_or_bottom_is_like_skin(wardrobe):
    for person in people(60, **wardrobe):
        for cloth in (m for slot in ("top", "bottom") for m in materials([person], slot)):
            colours = [cloth.base_rgb]
            if cloth.pattern not in ("plain", "denim"):
                colours.append(cloth.second_rgb)
            assert any(
                palette.difference(rgb, person.look.skin_rgb) >= 22 and palette.from_skin(rgb) >= 13
                for rgb in colours
            )


def test_prints_come_as_often_as_asked_and_are_those_that_patterns_allows():
    drawn = people(80, prints=0.6)
    tops, bottoms = (
        [m for m in materials(drawn, s) if m.pattern in PRINTS] for s in ("top", "bottom")
    )
    assert 0.5 < len(tops) / len(materials(drawn, "top")) < 0.7
    assert 0.1 < len(bottoms) / len(materials(drawn, "bottom")) < 0.3
    assert {m.pattern for m in tops} == set(PRINTS)
    assert "logo" not in {m.pattern for m in bottoms}
    assert {2 + len(m.more_rgb) for m in tops} == {3, 4, 5}
    assert all(abs(sum(m.base_rgb) - sum(m.second_rgb)) > 0.05 for m in tops)
    for allowed, found in ((["plain", "floral"], "floral"), (["plain"], "plain")):
        tops = materials(people(20, prints=1.0, patterns=allowed), "top")
        assert {m.pattern for m in tops} == {found}


REAL = without(FakeSolve(), garments=wardrobe.garments())
USUAL = tuple(g for g in wardrobe.garments() if g.kind not in NAMED)


def dressed(solve=REAL, frames=60, shape=None, **options):
    text = {
        "name": "x",
        "people": {"count": 2, "wardrobe": options, "shape": shape or {}},
    }
    return [who for i in range(frames) for who in draw(parse(text), i, solve).people]


def kinds(person):
    return {garment.kind for garment in person.outfit}


def test_recipes_that_name_nothing_draw_what_they_drew():
    """A catalogue without the new kinds draws the same people, in sport's clothes as well."""
    before = without(FakeSolve(), garments=USUAL)
    for options in ({}, {"sport": 0.5, "hat": 0.5, "kinds": {"leggings": 2}}):
        assert dressed(frames=12, **options) == dressed(before, 12, **options)


def test_what_is_named_is_worn():
    named = {"polo": 20, "wide_trousers": 20, "sandals": 20}
    seen = [kinds(who) for who in dressed(kinds=named)]
    for kind in named:
        assert sum(kind in worn for worn in seen) > 20
    assert not any(named.keys() & kinds(who) for who in dressed())


def test_something_over_a_top_only_where_it_goes():
    named = {"blazer": 1, "apron": 1, "scarf": 1, "gloves": 1, "tights": 1, "long_socks": 1}
    always = dict.fromkeys(("over", "neck", "hands", "legs"), 1.0)
    catalogue, seen = {kind.kind: kind for kind in wardrobe.garments()}, set()
    for who in dressed(frames=80, kinds=named, **always):
        worn = [catalogue[kind] for kind in kinds(who)]
        slots = {kind.slot for kind in worn}
        goes = {slot for kind in worn for slot in kind.goes_with}
        assert slots & {"neck", "hands"} == goes & {"neck", "hands"}
        assert ("over" in slots) == ("over" in goes)
        assert "legs" not in slots or "legs" in goes
        seen |= slots
    assert {"over", "legs"} <= seen
    assert not any(kinds(who) & named.keys() for who in dressed(kinds=named, frames=20))
