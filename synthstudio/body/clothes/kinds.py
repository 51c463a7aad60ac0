"""Every kind of garment, hair and hat, and its designs: cut, compiled and kept for the next person.

To add a kind: write its cut, and one entry here, or in named.py if recipes have to name it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

import numpy as np

from synthstudio.body.clothes import beards, bottoms, eyewear, hair, haircuts, hats, tops
from synthstudio.body.clothes.cloth import Cloth, compiled
from synthstudio.body.clothes.entry import (
    ALL,
    ANYBODY,
    BEARD,
    BOTTOM,
    COAT,
    FIT,
    GLASSES,
    HAIR,
    HAT,
    MASK,
    MEN,
    PELVIS,
    PLAIN,
    SHIRT,
    SHOES,
    SKIN,
    TOP,
    TORSO,
    WOMEN,
    WOOL,
    Entry,
)
from synthstudio.body.clothes.garment_mesh import Basis, all_corners
from synthstudio.body.clothes.named import NAMED
from synthstudio.body.clothes.tailor import Tailored
from synthstudio.core.catalogue import GarmentKind, Slot
from synthstudio.core.scene import Bool
from synthstudio.core.spec import GarmentSpec, Pattern, Vec2

_CUTS = ("ponytail", "plaits", "bob", "curly", "parted", "undercut", "mohawk", "balding")
_WORN: dict[str, Literal["everyday", "always", "sport", "named"]] = {
    **dict.fromkeys(("t_shirt", "tank_top", "shorts", "sneakers"), "always"),
    **dict.fromkeys(("sports_top", "leotard", "leggings"), "sport"),
    **dict.fromkeys(
        (*(f"{cut}_hair" for cut in _CUTS), "helmet", "headband", "headscarf"), "named"
    ),
}
_WHOLE = ("dress", "leotard")
_GOES_WITH: dict[str, tuple[Slot, ...]] = {
    **dict.fromkeys(("t_shirt", "tank_top", "shirt"), ("over", "neck", "hands")),
    **dict.fromkeys(("sweater", "hoodie", "coat"), ("neck", "hands")),
    **dict.fromkeys(("sports_top", "leotard"), ("hands",)),
    **dict.fromkeys(("dress", "skirt", "shorts"), ("legs",)),
}
_AGES: dict[str, Vec2] = {
    "balding_hair": (0.7, 1.0),
    "mohawk_hair": (0.4, 0.85),
    **dict.fromkeys(("full_beard", "goatee", "moustache"), (0.6, 1.0)),
    **dict.fromkeys(("sunglasses", "medical_mask", "headscarf"), (0.25, 1.0)),
}


def _kind(
    name: str,
    slot: Slot,
    patterns: tuple[Pattern, ...],
    gender: Vec2 = ANYBODY,
    /,
    **shape: Vec2,
) -> GarmentKind:
    return GarmentKind(
        kind=name,
        slot=slot,
        shape=shape,
        patterns=patterns,
        steps=3,
        gender=gender,
        age=_AGES.get(name, (-1.0, 1.0)),
        worn=_WORN.get(name, "everyday"),
        whole=name in _WHOLE,
        goes_with=_GOES_WITH.get(name, ()),
    )


# fmt: off
_USUAL: dict[str, Entry] = {
    "t_shirt": Entry(
        kind=_kind("t_shirt", "top", ALL, sleeve=(0.11, 0.21), hem=(-0.06, -0.02),
                   vee=(0.0, 0.05), loose=(0.7, 1.6)),
        cut=tops.t_shirt, layer=TOP, hides=TORSO,
    ),
    "tank_top": Entry(
        kind=_kind("tank_top", "top", ALL, hem=(-0.06, -0.01), vee=(0.0, 0.04),
                   loose=(0.7, 1.6)),
        cut=tops.tank_top, layer=TOP, hides=TORSO,
    ),
    "shirt": Entry(
        kind=_kind("shirt", "top", SHIRT, sleeve=(0.44, 0.475), hem=(-0.06, -0.035),
                   tucked=(0.0, 1.0), loose=(0.7, 1.6)),
        cut=tops.shirt, layer=TOP, hides=TORSO,
    ),
    "sweater": Entry(
        kind=_kind("sweater", "top", WOOL, sleeve=(0.45, 0.48), hem=(-0.055, -0.025),
                   loose=(0.8, 1.5)),
        cut=tops.sweater, layer=TOP, hides=TORSO,
    ),
    "hoodie": Entry(
        kind=_kind("hoodie", "top", WOOL[:2], sleeve=(0.45, 0.48), hem=(-0.055, -0.025),
                   loose=(0.9, 1.5)),
        cut=tops.hoodie, layer=TOP, hides=TORSO,
    ),
    "coat": Entry(
        kind=_kind("coat", "top", ("plain", "plaid"), hem=(-0.45, -0.25), loose=(0.9, 1.2)),
        cut=tops.coat, layer=COAT, hides=TORSO,
    ),
    "dress": Entry(
        kind=_kind("dress", "top", ALL, WOMEN, hem=(-0.62, -0.33), sleeve=(0.0, 0.16),
                   width=(0.01, 0.06), loose=(0.9, 1.2)),
        cut=tops.dress, layer=TOP, hides=TORSO | PELVIS,
    ),
    "sports_top": Entry(
        kind=_kind("sports_top", "top", ALL, sleeve=(0.0, 0.32),
                   hem=(-0.05, 0.0)),
        cut=tops.sports_top, layer=TOP, hides=TORSO,
    ),
    "leotard": Entry(
        kind=_kind("leotard", "top", ALL, WOMEN, sleeve=(0.0, 0.475),
                   leg=(-0.19, -0.105)),
        cut=tops.leotard, layer=SKIN, hides=TORSO | PELVIS,
    ),
    "leggings": Entry(
        kind=_kind("leggings", "bottom", ALL, hem=(-0.80, -0.20)),
        cut=bottoms.leggings, layer=BOTTOM, hides=PELVIS,
    ),
    "trousers": Entry(
        kind=_kind("trousers", "bottom", ("plain", "camouflage"), hem=(-0.80, -0.76),
                   width=(0.002, 0.018), loose=(0.8, 1.2)),
        cut=bottoms.trousers, layer=BOTTOM, hides=PELVIS,
    ),
    "jeans": Entry(
        kind=_kind("jeans", "bottom", ("denim",), hem=(-0.80, -0.77), width=(0.0, 0.010),
                   loose=(0.8, 1.2)),
        cut=bottoms.trousers, layer=BOTTOM, hides=PELVIS,
    ),
    "shorts": Entry(
        kind=_kind("shorts", "bottom", ALL, hem=(-0.42, -0.26), width=(0.006, 0.018),
                   loose=(0.8, 1.3)),
        cut=bottoms.shorts, layer=BOTTOM, hides=PELVIS,
    ),
    "skirt": Entry(
        kind=_kind("skirt", "bottom", ALL, WOMEN, hem=(-0.62, -0.33), width=(0.0, 0.05),
                   loose=(0.9, 1.2)),
        cut=bottoms.skirt, layer=BOTTOM, hides=PELVIS,
    ),
    "sneakers": Entry(
        kind=_kind("sneakers", "shoes", PLAIN, top=(0.0, 0.05), sole=(0.014, 0.026)),
        cut=bottoms.sneakers, layer=SHOES,
    ),
    "low_shoes": Entry(
        kind=_kind("low_shoes", "shoes", PLAIN, top=(-0.015, 0.01), open=(0.0, 0.025)),
        cut=bottoms.low_shoes, layer=SHOES,
    ),
    "boots": Entry(
        kind=_kind("boots", "shoes", PLAIN, top=(0.07, 0.22)),
        cut=bottoms.boots, layer=SHOES,
    ),
    "short_hair": Entry(
        kind=_kind("short_hair", "hair", PLAIN, thick=(0.008, 0.026)),
        cut=hair.short_hair, layer=HAIR,
    ),
    "cropped_hair": Entry(
        kind=_kind("cropped_hair", "hair", PLAIN, MEN, thick=(0.0015, 0.004)),
        cut=hair.cropped_hair, layer=HAIR,
    ),
    "afro_hair": Entry(
        kind=_kind("afro_hair", "hair", PLAIN, thick=(0.025, 0.06)),
        cut=hair.afro_hair, layer=HAIR,
    ),
    "bun_hair": Entry(
        kind=_kind("bun_hair", "hair", PLAIN, WOMEN, size=(0.03, 0.045), height=(-0.02, 0.06)),
        cut=hair.bun_hair, layer=HAIR,
    ),
    "long_hair": Entry(
        kind=_kind("long_hair", "hair", PLAIN, WOMEN, length=(0.0, 0.18),
                   volume=(0.012, 0.022), fringe=(0.0, 1.0)),
        cut=hair.long_hair, layer=HAIR,
    ),
    "cap": Entry(
        kind=_kind("cap", "hat", PLAIN, peak=(0.055, 0.08)),
        cut=hats.cap, layer=HAT,
    ),
    "beanie": Entry(
        kind=_kind("beanie", "hat", WOOL, slouch=(0.0, 0.02)),
        cut=hats.beanie, layer=HAT,
    ),
    "hard_hat": Entry(
        kind=_kind("hard_hat", "hat", PLAIN),
        cut=hats.hard_hat, layer=HAT,
    ),
    "ponytail_hair": Entry(
        kind=_kind("ponytail_hair", "hair", PLAIN, WOMEN, height=(-0.02, 0.06),
                   tail=(0.14, 0.30)),
        cut=haircuts.ponytail_hair, layer=HAIR,
    ),
    "plaits_hair": Entry(
        kind=_kind("plaits_hair", "hair", PLAIN, WOMEN, tail=(0.15, 0.30)),
        cut=haircuts.plaits_hair, layer=HAIR,
    ),
    "bob_hair": Entry(
        kind=_kind("bob_hair", "hair", PLAIN, WOMEN, length=(-0.045, -0.005),
                   volume=(0.024, 0.036), fringe=(0.0, 1.0)),
        cut=haircuts.bob_hair, layer=HAIR,
    ),
    "curly_hair": Entry(
        kind=_kind("curly_hair", "hair", PLAIN, WOMEN, length=(0.0, 0.10),
                   volume=(0.030, 0.050), fringe=(0.0, 0.5)),
        cut=haircuts.curly_hair, layer=HAIR,
    ),
    "parted_hair": Entry(
        kind=_kind("parted_hair", "hair", PLAIN, thick=(0.026, 0.044)),
        cut=haircuts.parted_hair, layer=HAIR,
    ),
    "undercut_hair": Entry(
        kind=_kind("undercut_hair", "hair", PLAIN, MEN, thick=(0.016, 0.040)),
        cut=haircuts.undercut_hair, layer=HAIR,
    ),
    "mohawk_hair": Entry(
        kind=_kind("mohawk_hair", "hair", PLAIN, thick=(0.035, 0.070)),
        cut=haircuts.mohawk_hair, layer=HAIR,
    ),
    "balding_hair": Entry(
        kind=_kind("balding_hair", "hair", PLAIN, MEN, bald=(0.0, 1.0), thick=(0.003, 0.012)),
        cut=haircuts.balding_hair, layer=HAIR,
    ),
    "helmet": Entry(
        kind=_kind("helmet", "hat", PLAIN, thick=(0.026, 0.036)),
        cut=hats.helmet, layer=HAT,
    ),
    "headband": Entry(
        kind=_kind("headband", "hat", WOOL, width=(0.022, 0.045)),
        cut=hats.headband, layer=HAT,
    ),
    "headscarf": Entry(
        kind=_kind("headscarf", "hat", ALL, WOMEN, length=(0.07, 0.16)),
        cut=hats.headscarf, layer=HAT,
    ),
    "full_beard": Entry(
        kind=_kind("full_beard", "beard", PLAIN, MEN, length=(0.004, 0.030)),
        cut=beards.full_beard, layer=BEARD,
    ),
    "goatee": Entry(
        kind=_kind("goatee", "beard", PLAIN, MEN, length=(0.004, 0.018)),
        cut=beards.goatee, layer=BEARD,
    ),
    "moustache": Entry(
        kind=_kind("moustache", "beard", PLAIN, MEN, width=(0.026, 0.036)),
        cut=beards.moustache, layer=BEARD,
    ),
    "glasses": Entry(
        kind=_kind("glasses", "glasses", PLAIN, width=(0.044, 0.052), square=(0.0, 1.0),
                   rim=(0.0009, 0.0022)),
        cut=eyewear.glasses, layer=GLASSES,
    ),
    "sunglasses": Entry(
        kind=_kind("sunglasses", "glasses", PLAIN, width=(0.048, 0.056), square=(0.0, 1.0)),
        cut=eyewear.sunglasses, layer=GLASSES,
    ),
    "medical_mask": Entry(
        kind=_kind("medical_mask", "mask", PLAIN, top=(0.629, 0.638)),
        cut=eyewear.medical_mask, layer=MASK,
    ),
}
# fmt: on
GARMENTS: dict[str, Entry] = _USUAL | NAMED


# Design ----------------------------------------------------------------------------------

_DESIGNS = 480  # a data set has some 130 in each detail, with all hair cuts and hats 240
_HIDE_SKIN_M = 0.02  # skin this far inside a garment is not drawn
_SHOW_INNER_M = 0.030  # an inner garment this far under an outer one is not drawn


@dataclass(frozen=True, kw_only=True, eq=False)
class Design:
    """A garment that is cut and compiled; it fits every person and pose."""

    key: tuple[object, ...]
    basis: Basis
    cloths: tuple[Cloth, ...]
    tailored: Tailored
    thick_m: float  # how far it reaches off the shoulders
    hides: Bool  # (body F,) skin well inside the garment


def forget_designs() -> None:
    """Empty the caches of designs."""
    _CACHE.clear()
    _HIDDEN.clear()


_CACHE: OrderedDict[tuple[object, ...], Design] = OrderedDict()
_HIDDEN: OrderedDict[tuple[object, ...], Bool] = OrderedDict()


def design(base: Basis, garment: GarmentSpec) -> Design:
    """Return the cut of a garment, from the cache of the last `_DESIGNS` when it is there."""
    entry = GARMENTS[garment.kind]
    shape = {k: round(v, 6) for k, v in sorted(garment.shape.items())}
    cut_by = {k: v for k, v in shape.items() if k != FIT}
    key = (base, garment.kind, *cut_by.items())
    if key in _CACHE:
        _CACHE.move_to_end(key)
        return _CACHE[key]
    tailored = entry.cut(base, cut_by)
    hidden = (tailored.hides or tailored.inside)(base.places)
    cloths = tuple(compiled(base, piece) for piece in tailored.pieces)
    made = Design(
        key=key,
        basis=base,
        cloths=cloths,
        tailored=tailored,
        thick_m=max(_thick_m(cloth) for cloth in cloths),
        hides=all_corners(hidden > _HIDE_SKIN_M, base.atlas.body_faces),
    )
    _CACHE[key] = made
    while len(_CACHE) > _DESIGNS:
        _CACHE.popitem(last=False)
    return made


def _thick_m(cloth: Cloth) -> float:
    x, _, z = cloth.where.at[: len(cloth.offset_m)].T  # without what panels cut
    high = (z > 0.30) & (z < 0.53) & (np.abs(x) < 0.20)
    return float(cloth.offset_m[high].max()) if high.any() else 0.0


def drawn_faces(made: Design, place: int, outer: list[Design]) -> Bool:
    """Return the faces of a piece that no outer garment hides for certain."""
    cloth = made.cloths[place]
    drawn = np.ones(len(cloth.all_faces), bool)
    for over in outer:
        drawn &= ~_under(made, place, over)
    return drawn


def _under(made: Design, place: int, over: Design) -> Bool:
    key = (made.key, place, over.key)
    if key not in _HIDDEN:
        cloth = made.cloths[place]
        inside = over.tailored.inside(cloth.where)
        deep = np.concatenate([inside, inside[cloth.rim[:, 0]]]) > _SHOW_INNER_M
        _HIDDEN[key] = all_corners(deep, cloth.all_faces)
        while len(_HIDDEN) > 4 * _DESIGNS:
            _HIDDEN.popitem(last=False)
    else:
        _HIDDEN.move_to_end(key)
    return _HIDDEN[key]
