"""Garments that recipes have to name, and what is worn besides: only where asked."""

import dataclasses

from recipe_fake import FakeSolve, without

from synthstudio.body import wardrobe
from synthstudio.body.clothes.named import NAMED
from synthstudio.recipe.draw import draw
from synthstudio.recipe.sampling import palette
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


def test_clothes_for_sport_alone_are_worn_there():
    named = {"sports_bra": 50, "wetsuit": 50, "gi": 50}
    assert not any(named.keys() & kinds(who) for who in people(kinds=named))
    assert all(named.keys() & kinds(who) for who in people(frames=20, kinds=named, sport=1.0))


def test_children_wear_none_that_are_for_the_grown():
    named = {"crop_top": 50, "mini_skirt": 50}
    young = people(frames=40, kinds=named, shape={"age_years": 8})
    assert not any(named.keys() & kinds(who) for who in young)
    assert any(named.keys() & kinds(who) for who in people(frames=40, kinds=named))


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


def test_a_warning_vest_is_of_a_colour_that_warns():
    worn = [g for who in people(kinds={"hi_vis_vest": 1}, over=1.0) for g in who.outfit]
    vests = [g.material.base_rgb for g in worn if g.kind == "hi_vis_vest"]
    assert len(vests) > 10
    warning = [palette.linear(text) for text in ("c8e020", "d4ec28", "f07020", "f28a1c")]
    for rgb in vests:
        assert min(palette.difference(rgb, other) for other in warning) < 15


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
