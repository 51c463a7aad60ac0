"""Who wears what, in which colours: whole garments, sport, prints, no top like its skin."""

import dataclasses

from recipe_fake import CATALOGUE, FakeSolve, without

from synthstudio.body import wardrobe
from synthstudio.core.catalogue import GarmentKind
from synthstudio.recipe.draw import draw
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


def people(frames=40, shape=None, **wardrobe):
    who = {"count": 2, "wardrobe": wardrobe, "shape": shape or {}}
    wish = parse({"name": "o", "people": who})
    return [person for i in range(frames) for person in draw(wish, i, SOLVE).people]


def worn(person):
    return {garment.kind for garment in person.outfit}


def test_nothing_is_worn_below_a_dress():
    drawn = people()
    dressed = [p for p in drawn if "dress" in worn(p)]
    assert len(dressed) > 8
    assert not any(worn(p) & {"jeans", "skirt", "leggings"} for p in dressed)
    assert all(worn(p) & {"jeans", "skirt"} for p in drawn if "dress" not in worn(p))


REAL = without(FakeSolve(), garments=wardrobe.garments())


def dressed(solve=REAL, frames=60, shape=None, **options):
    text = {
        "name": "x",
        "people": {"count": 2, "wardrobe": options, "shape": shape or {}},
    }
    return [who for i in range(frames) for who in draw(parse(text), i, solve).people]


def kinds(person):
    return {garment.kind for garment in person.outfit}


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
