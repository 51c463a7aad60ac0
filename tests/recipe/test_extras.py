"""Garments that recipes have to name, and what is worn besides: only where asked."""

import dataclasses

from recipe_fake import FakeSolve, without

from synthstudio.body import wardrobe
from synthstudio.body.clothes.named import NAMED
from synthstudio.recipe.draw import draw
from synthstudio.recipe.sampling.outfits import never_worn
from synthstudio.recipe.schema.load import parse

REAL = without(FakeSolve(), garments=wardrobe.garments())
USUAL = tuple(g for g in wardrobe.garments() if g.kind not in NAMED)


def people(solve=REAL, frames=60, shape=None, **options):
    text = {"name": "x", "people": {"count": 2, "wardrobe": options, "shape": shape or {}}}
    return [who for i in range(frames) for who in draw(parse(text), i, solve).people]


def kinds(person):
    return {garment.kind for garment in person.outfit}


def test_recipes_that_name_nothing_draw_what_they_drew():
    """A catalogue without the new kinds draws the same people, in sport's clothes as well."""
    before = without(FakeSolve(), garments=USUAL)
    for options in ({}, {"sport": 0.5, "hat": 0.5, "kinds": {"leggings": 2}}):
        assert people(frames=12, **options) == people(before, 12, **options)


def test_what_is_named_is_worn():
    named = {"polo": 20, "wide_trousers": 20, "sandals": 20}
    seen = [kinds(who) for who in people(kinds=named)]
    for kind in named:
        assert sum(kind in worn for worn in seen) > 20
    assert not any(named.keys() & kinds(who) for who in people())


def test_something_over_a_top_only_where_it_goes():
    named = {"blazer": 1, "apron": 1, "scarf": 1, "gloves": 1, "tights": 1, "long_socks": 1}
    always = dict.fromkeys(("over", "neck", "hands", "legs"), 1.0)
    catalogue, seen = {kind.kind: kind for kind in wardrobe.garments()}, set()
    for who in people(frames=80, kinds=named, **always):
        worn = [catalogue[kind] for kind in kinds(who)]
        slots = {kind.slot for kind in worn}
        goes = {slot for kind in worn for slot in kind.goes_with}
        assert slots & {"neck", "hands"} == goes & {"neck", "hands"}
        assert ("over" in slots) == ("over" in goes)
        assert "legs" not in slots or "legs" in goes
        seen |= slots
    assert {"over", "legs"} <= seen
    assert not any(kinds(who) & named.keys() for who in people(kinds=named, frames=20))


def test_extras_change_nothing_else():
    named = {"blazer": 1, "scarf": 1}
    plain = people(frames=10, kinds=named)
    more = people(frames=10, kinds=named, over=1.0, neck=1.0)
    for one, other in zip(plain, more, strict=True):
        kept = tuple(g for g in other.outfit if g.kind not in named)
        assert dataclasses.replace(other, outfit=kept) == one


def notes(**options):
    recipe = parse({"name": "x", "people": {"wardrobe": options}})
    return never_worn(recipe, REAL.catalogue.garments)


def test_what_is_named_and_never_worn_is_said():
    assert notes() == notes(kinds={"scarf": 1}, neck=0.1) == notes(kinds={"scarf": 0}) == ()
    (note,) = notes(kinds={"scarf": 1, "polo": 1})
    assert "scarf" in note and "people.wardrobe.neck is 0" in note and "polo" not in note
    (note,) = notes(hands=0.5)
    assert "people.wardrobe.hands" in note and "gloves" in note
    assert "hat is 0" in notes(kinds={"bucket_hat": 2}, hat=0)[0]
