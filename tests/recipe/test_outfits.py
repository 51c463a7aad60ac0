"""Who wears what: whole garments alone, sport's clothes where asked, no top like its skin."""

import dataclasses

import cv2
import numpy as np
import pytest
from recipe_fake import CATALOGUE, FakeSolve, without

from synthstudio.core.errors import RecipeError
from synthstudio.core.solve import GarmentKind
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


def outfits(frames=60, solve=SOLVE, **wardrobe):
    wish = parse({"name": "o", "people": {"count": 2, "wardrobe": wardrobe}})
    return [person for i in range(frames) for person in draw(wish, i, solve).people]


def worn(person):
    return {garment.kind for garment in person.outfit}


def test_nothing_is_worn_below_a_dress():
    people = outfits()
    dressed = [p for p in people if "dress" in worn(p)]
    assert len(dressed) > 10
    assert not any(worn(p) & {"jeans", "skirt", "leggings"} for p in dressed)
    assert all(worn(p) & {"jeans", "skirt"} for p in people if "dress" not in worn(p))


def test_sports_clothes_are_worn_where_asked():
    assert not any(worn(p) & {"leotard", "leggings"} for p in outfits())
    named = outfits(kinds={"leggings": 5})
    assert sum("leggings" in worn(p) for p in named) > len(named) / 3
    people = outfits(sport=1.0)
    assert all(worn(p) & {"leotard", "t_shirt"} for p in people)
    assert not any(worn(p) & {"dress", "jeans", "skirt"} for p in people)
    barefoot = sum("sneakers" not in worn(p) for p in people) / len(people)
    assert 0.25 < barefoot < 0.55
    leotards = [p for p in people if "leotard" in worn(p)]
    bare = sum("leggings" not in worn(p) for p in leotards) / len(leotards)
    assert 0.3 < bare < 0.7
    assert all("leggings" in worn(p) for p in people if "leotard" not in worn(p))


def test_sport_without_a_garment_for_it_takes_what_there_is():
    plain = without(FakeSolve(), garments=CATALOGUE.garments)
    people = outfits(20, plain, sport=1.0)
    assert all("t_shirt" in worn(p) for p in people)


def test_leaving_all_out_is_an_error():
    with pytest.raises(RecipeError, match=r"nobody goes without bottom.*leggings"):
        outfits(20, sport=1.0, kinds={"leggings": 0})


HAIR = ("short_hair", "long_hair")


def test_no_top_or_bottom_is_like_skin():
    for wardrobe in ({"patterned": 0.0}, {"patterned": 0.5, "saturated": 0.9}):
        for person in outfits(120, **wardrobe):
            skin = person.look.skin_rgb
            for worn in (g for g in person.outfit if g.kind not in ("sneakers", "cap", *HAIR)):
                colours = [worn.material.base_rgb]
                if worn.material.pattern not in ("plain", "denim"):
                    colours.append(worn.material.second_rgb)
                assert any(
                    palette.difference(rgb, skin) >= 22 and palette.from_skin(rgb) >= 13
                    for rgb in colours
                )


@pytest.mark.parametrize(
    ("a", "b"),
    [("ffffff", "000000"), ("777777", "767676"), ("ff0000", "00ff00"), ("d9a520", "b8a888")],
)
def test_differences_of_colours_are_those_of_cielab(a, b):
    def lab(text):
        rgb = np.array([[[int(text[i : i + 2], 16) / 255 for i in (0, 2, 4)]]], np.float32)
        return cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)[0, 0]

    got = palette.difference(palette.linear(a), palette.linear(b))
    assert got == pytest.approx(float(np.linalg.norm(lab(a) - lab(b))), abs=0.1)
