"""Kinds that recipes have to name: how many, well-formed, in two materials, over others."""

from dataclasses import replace

import numpy as np
import pytest
from wardrobe_people import dressed, person

from synthstudio.body.atlas import Atlas, load_atlas
from synthstudio.body.clothes.kinds import GARMENTS
from synthstudio.body.clothes.named import NAMED
from synthstudio.core.spec import Material

RED, BLUE = Material(kind="cloth", base_rgb=(1, 0, 0)), Material(kind="cloth", base_rgb=(0, 0, 1))
WORN_WITH = {
    "top": ("jeans", "low_shoes"),
    "bottom": ("t_shirt", "low_shoes"),
    "over": ("t_shirt", "jeans"),
}
PANELLED = ("raglan_shirt", "numbered_shirt", "basketball_jersey", "track_jacket", "wetsuit")


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return load_atlas()


def outfit(kind: str) -> tuple[str, ...]:
    entry = NAMED[kind]
    if entry.kind.whole:
        return (kind,)
    return (kind, *WORN_WITH.get(entry.kind.slot, ("t_shirt", "skirt")))


@pytest.mark.parametrize("kind", sorted(NAMED))
def test_a_named_kind_is_worn_and_keeps_its_labels(atlas, kind):
    assert GARMENTS[kind].kind.worn.startswith("named")
    who = person("thin" if NAMED[kind].kind.gender[1] > 0.5 else "man", "lunge", *outfit(kind))
    made = dressed(atlas, replace(who, detail="coarse"))
    mine = [s for s in made.surfaces if s.name == kind]
    assert mine
    for surface in mine:
        assert np.isfinite(surface.vertices_m).all()
        assert surface.covers is not None
        assert (surface.covers > 0).all()
        assert len(surface.covers) == len(surface.faces)
        assert np.ptp(surface.vertices_m, axis=0).max() < 2.0


@pytest.mark.parametrize("kind", PANELLED)
def test_panels_are_the_same_cloth_in_the_other_material(atlas, kind):
    who = person("man", "stand_relaxed", *outfit(kind))
    first = replace(who.outfit[0], material=RED, second_material=BLUE)
    who = replace(who, detail="coarse", outfit=(first, *who.outfit[1:]))
    red, blue = (
        [s for s in dressed(atlas, who).surfaces if s.name == kind and s.material == m]
        for m in (RED, BLUE)
    )
    assert len(red) == len(blue) == 1
    assert np.array_equal(red[0].vertices_m, blue[0].vertices_m)
    assert red[0].drawn is not None
    assert blue[0].drawn is not None
    assert red[0].drawn.any()
    assert blue[0].drawn.any()
    assert not (red[0].drawn & blue[0].drawn).any()
