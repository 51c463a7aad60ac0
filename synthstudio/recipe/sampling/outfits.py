"""What somebody wears: a top and a bottom or a whole garment, shoes, hair, sometimes a hat."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from synthstudio.core.errors import RecipeError
from synthstudio.core.rng import Generator, stream
from synthstudio.core.solve import GarmentKind, Slot
from synthstudio.core.spec import GarmentSpec, Material, Pattern, Vec3
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.choose import Draw, pick_one
from synthstudio.recipe.schema.distributions import sample, support
from synthstudio.recipe.schema.recipe import Recipe

DESIGNS_A_KIND = 6
"""A new design costs about as much as a frame; a data set of any length has this many a kind."""
SLOTS: tuple[Slot, ...] = ("top", "bottom", "shoes", "hair", "hat")
_GROWN = 0.67
_BAREFOOT = 0.4
_BARE_LEGS = 0.5
_DYES = 12
_PRINTS: tuple[Pattern, ...] = ("floral", "abstract", "logo")
_PRINTED_BELOW = 1 / 3
_LIKE_OWN_SKIN, _LIKE_SKIN = 22.0, 13.0
"""CIE 1976 differences from the wearer's skin, and from anybody's, below which plain cloth looks
like none."""


def outfit_of(
    draw: Draw, gender: float, skin_rgb: Vec3, hair: GarmentSpec, rng: Generator
) -> tuple[GarmentSpec, ...]:
    """Return a top, a bottom unless the top is a whole garment, shoes, that hair, sometimes a hat.

    In sport's clothes as often as the recipe asks; then some are barefoot, and some wear
    something below a leotard.
    """
    options = draw.recipe.people.wardrobe
    hat = rng.random() < options.hat
    sport = bool(options.sport and rng.random() < options.sport)
    out: list[GarmentSpec] = []
    whole = False
    for slot in SLOTS:
        if slot == "hair":
            out.append(hair)
        elif slot != "hat" or hat:
            kind, worn = _wear(draw, slot, gender, skin_rgb, sport=sport, rng=rng)
            left_out = slot == "bottom" and whole and (not sport or rng.random() < _BARE_LEGS)
            left_out = left_out or (slot == "shoes" and sport and rng.random() < _BAREFOOT)
            whole = whole or kind.whole
            out += [] if left_out else [worn]
    return tuple(out)


def _wear(
    draw: Draw, slot: Slot, gender: float, skin_rgb: Vec3, *, sport: bool, rng: Generator
) -> tuple[GarmentKind, GarmentSpec]:
    recipe = draw.recipe
    kind = garment_of(recipe, draw.catalogue.garments, slot, gender, rng, sport=sport)
    shape = design_of(kind, recipe, rng)
    return kind, dyed(draw, kind, shape, skin_rgb, rng)


def _like_skin(material: Material, skin_rgb: Vec3) -> bool:
    colours = [material.base_rgb]
    if material.pattern not in ("plain", "knit", "denim"):
        colours.append(material.second_rgb)
    return all(
        palette.difference(rgb, skin_rgb) < _LIKE_OWN_SKIN or palette.from_skin(rgb) < _LIKE_SKIN
        for rgb in colours
    )


def dyed(
    draw: Draw, kind: GarmentKind, shape: dict[str, float], skin_rgb: Vec3, rng: Generator
) -> GarmentSpec:
    """Return a garment of that cut in materials that the recipe allows; not for hair.

    Tops and bottoms are of no colour of skin, least of all their wearer's, unless the palette has
    nothing else.
    """
    if kind.slot == "shoes":
        upper, sole = palette.shoes(rng)
        return GarmentSpec(kind=kind.kind, shape=shape, material=upper, second_material=sole)
    options = draw.recipe.people.wardrobe
    patterns = [p for p in kind.patterns if options.patterns is None or p in options.patterns]

    def cloth() -> Material:
        patterned, saturated = options.patterned, options.saturated
        return palette.cloth(patterns, rng, patterned=patterned, saturated=saturated)

    first, second = cloth(), cloth()
    for _ in range(_DYES if kind.slot in ("top", "bottom") else 0):
        if not _like_skin(first, skin_rgb):
            break
        first = cloth()
    return GarmentSpec(kind=kind.kind, shape=shape, material=first, second_material=_plain(second))


def _plain(material: Material) -> Material:
    return Material(
        kind="cloth",
        base_rgb=material.base_rgb,
        second_rgb=material.second_rgb,
        roughness=material.roughness,
        specular=material.specular,
    )


def finished(draw: Draw, outfit: tuple[GarmentSpec, ...], place: int) -> tuple[GarmentSpec, ...]:
    """Return the outfit of person `place` with the prints and wrinkles that the recipe asks for.

    They have streams of their own: nobody's cut or other colours depend on them.
    """
    options = draw.recipe.people.wardrobe
    slots = {kind.kind: kind.slot for kind in draw.catalogue.garments}
    allowed = [p for p in _PRINTS if options.patterns is None or p in options.patterns]
    if not (options.prints and allowed) and support(options.wrinkles)[1] == 0:
        return outfit
    prints, wrinkles = draw.rng("prints", place), draw.rng("wrinkles", place)
    out = []
    for garment in outfit:
        slot, material = slots[garment.kind], garment.material
        if slot not in ("top", "bottom"):
            out.append(garment)
            continue
        own = [p for p in allowed if slot == "top" or p != "logo"]
        chance = options.prints * (1.0 if slot == "top" else _PRINTED_BELOW)
        if own and prints.random() < chance:
            material = palette.printed(material, own, prints)
        strength = sample(options.wrinkles, wrinkles)
        second = garment.second_material
        out.append(
            dataclasses.replace(
                garment,
                material=dataclasses.replace(material, wrinkles=strength),
                second_material=second and dataclasses.replace(second, wrinkles=strength),
            )
        )
    return tuple(out)


def garment_of(
    recipe: Recipe,
    garments: Sequence[GarmentKind],
    slot: Slot,
    gender: float,
    rng: Generator,
    *,
    sport: bool = False,
    age: float = _GROWN,
) -> GarmentKind:
    """Return a garment for the slot, by weight; RecipeError if nothing fits: nobody is bare.

    What is for sport alone is drawn there, and where the recipe names it; what is only worn
    where it is named, there alone.
    """
    weights = recipe.people.wardrobe.kinds
    fits = [g for g in garments if g.slot == slot and g.gender[0] <= gender <= g.gender[1]]
    fits = [g for g in fits if g.age[0] <= age <= g.age[1]]
    if sport:
        fits = [g for g in fits if g.worn in ("always", "sport")] or fits
    usual = {"everyday": 1.0, "always": 1.0, "sport": float(sport), "named": 0.0}
    fitting = {g.kind: weights.get(g.kind, usual[g.worn]) for g in fits}
    if not any(fitting.values()):
        raise RecipeError(
            f"nobody goes without {slot}",
            where=f"{recipe.name}: people.wardrobe.kinds",
            expected=f"one {slot} of weight above 0 for gender {gender:g}",
            got=", ".join(sorted(fitting)) or "none in the wardrobe",
        )
    return pick_one(fits, rng, weights=fitting, name=lambda g: g.kind)


def design_of(kind: GarmentKind, recipe: Recipe, rng: Generator) -> dict[str, float]:
    """Return one of the kind's designs; a data set has few, so that workers can keep them all."""
    number = int(rng.random() * DESIGNS_A_KIND)
    own = stream(recipe.stream_seed, "design", kind.kind, number)
    shape = {}
    for name, (low, high) in sorted(kind.shape.items()):
        step = min(int(own.random() * kind.steps), kind.steps - 1)
        share = step / (kind.steps - 1) if kind.steps > 1 else 0.5
        shape[name] = round(low + (high - low) * share, 6)
    return shape
