"""Kinds that recipes have to name: how many, well-formed, in two materials, over others."""

from dataclasses import replace

import numpy as np
import pytest
from wardrobe_people import dressed, person

from synthstudio.body.atlas import Atlas, load_atlas
from synthstudio.body.clothes.kinds import GARMENTS
from synthstudio.body.clothes.named import NAMED

WORN_WITH = {
    "top": ("jeans", "low_shoes"),
    "bottom": ("t_shirt", "low_shoes"),
    "over": ("t_shirt", "jeans"),
}


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
