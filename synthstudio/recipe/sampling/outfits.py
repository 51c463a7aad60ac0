"""Outfits: a top and a bottom or a whole garment, shoes, hair, sometimes a hat; faces: beards,
glasses, masks, expressions, eye direction, tones of brows and lips.

All of faces have separate random streams: no body, clothes or pose depends on them.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from synthstudio.core.catalogue import GarmentKind, Slot
from synthstudio.core.errors import RecipeError
from synthstudio.core.rng import Generator, stream
from synthstudio.core.spec import (
    GarmentSpec,
    Look,
    Material,
    Pattern,
    PersonSpec,
    Phenotype,
    PoseSpec,
    Vec3,
)
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.context import SampleContext, pick_one
from synthstudio.recipe.schema.distributions import pick, sample, support
from synthstudio.recipe.schema.recipe import Recipe

DESIGNS_A_KIND = 6
"""Designs of a kind in a data set: a new one costs about as much as a frame."""
SLOTS: tuple[Slot, ...] = ("top", "bottom", "shoes", "hair", "hat")
EXTRAS: tuple[Slot, ...] = ("over", "neck", "hands", "legs")
"""Additional wear, if the recipe includes it and the outfit allows it."""
_REPLACED: dict[Slot, tuple[Slot, ...]] = {
    "top": ("top", "bottom", *EXTRAS),
    "shoes": ("shoes",),
    "hat": ("hat",),
    "hair": ("hair",),
    "bottom": ("bottom", "legs"),
    "skin": ("skin",),
    "brows": ("brows",),
    "beard": ("beard",),
}
"""What an asset of a slot replaces; a top that leaves the hips bare replaces no bottom."""
_LASTING: tuple[Slot, ...] = ("hair", "brows", "beard", "skin")
_IN_PLACE: tuple[Slot, ...] = ("hat", "beard")
"""Slots whose assets are worn only in place of a built-in one, as often as the recipe says."""
_GROWN = 0.67
_BAREFOOT = 0.4
_BARE_LEGS = 0.5
_DYES = 12
_BY_SKIN: tuple[Slot, ...] = ("top", "bottom", "over")
"""Slots whose cloth must differ from skin."""
_MADE = {
    "shoes": palette.shoes,
    "high_visibility": palette.high_visibility,
    "medical": palette.medical,
}
"""Both materials of shoes and of special dyes."""
_PRINTS: tuple[Pattern, ...] = ("floral", "abstract", "logo")
_PRINTED_BELOW = 1 / 3
_LIKE_OWN_SKIN, _LIKE_SKIN = 22.0, 13.0
"""CIE 1976 differences from the wearer's skin, and from anybody's, below which plain cloth looks
like none."""


def outfit_of(
    ctx: SampleContext, body: Phenotype, skin_rgb: Vec3, hair: GarmentSpec, rng: Generator
) -> tuple[GarmentSpec, ...]:
    """A top, a bottom unless the top is a whole garment, shoes, that hair, sometimes a hat.

    In sportswear at the recipe's rate; then some are barefoot, and some wear something
    below a leotard.
    """
    options = ctx.recipe.people.wardrobe
    hat = rng.random() < options.hat
    sport = bool(options.sport and rng.random() < options.sport)
    out: list[GarmentSpec] = []
    whole = False
    for slot in SLOTS:
        if slot == "hair":
            out.append(hair)
        elif slot != "hat" or hat:
            age = _GROWN if slot == "hat" else body.age
            kind = garment_of(
                ctx.recipe, ctx.catalogue.garments, slot, body.gender, rng, sport=sport, age=age
            )
            worn = dyed(ctx, kind, design_of(kind, ctx.recipe, rng), skin_rgb, rng)
            left_out = slot == "bottom" and whole and (not sport or rng.random() < _BARE_LEGS)
            left_out = left_out or (slot == "shoes" and sport and rng.random() < _BAREFOOT)
            whole = whole or kind.whole
            out += [] if left_out else [worn]
    return tuple(out)


def _like_skin(material: Material, skin_rgb: Vec3) -> bool:
    colours = [material.base_rgb]
    if material.pattern not in ("plain", "knit", "denim"):
        colours.append(material.second_rgb)
    return all(
        palette.difference(rgb, skin_rgb) < _LIKE_OWN_SKIN or palette.from_skin(rgb) < _LIKE_SKIN
        for rgb in colours
    )


def dyed(
    ctx: SampleContext, kind: GarmentKind, shape: dict[str, float], skin_rgb: Vec3, rng: Generator
) -> GarmentSpec:
    """A garment of that cut in materials allowed by the recipe; not for hair.

    Tops and bottoms are of no colour of skin, least of all their wearer's, unless the palette has
    nothing else.
    """
    made = _MADE.get("shoes" if kind.slot == "shoes" else kind.dye)
    if made is not None:
        first, second = made(rng)
        return GarmentSpec(kind=kind.kind, shape=shape, material=first, second_material=second)
    options = ctx.recipe.people.wardrobe
    patterns = [p for p in kind.patterns if options.patterns is None or p in options.patterns]

    def cloth() -> Material:
        patterned, saturated = options.patterned, options.saturated
        return palette.cloth(patterns, rng, patterned=patterned, saturated=saturated)

    first, second = cloth(), cloth()
    for _ in range(_DYES if kind.slot in _BY_SKIN else 0):
        if not _like_skin(first, skin_rgb):
            break
        first = cloth()
    for _ in range(_DYES if kind.two_tone else 0):
        if not _like_skin(_plain(second), skin_rgb):
            break
        second = cloth()
    return GarmentSpec(kind=kind.kind, shape=shape, material=first, second_material=_plain(second))


def _plain(material: Material) -> Material:
    return Material(
        kind="cloth",
        base_rgb=material.base_rgb,
        second_rgb=material.second_rgb,
        roughness=material.roughness,
        specular=material.specular,
    )


def finished(
    ctx: SampleContext, outfit: tuple[GarmentSpec, ...], place: int
) -> tuple[GarmentSpec, ...]:
    """The outfit of person `place` with prints and wrinkles at the recipe's rates.

    They have separate streams: no cut or other colour depends on them.
    """
    options = ctx.recipe.people.wardrobe
    slots = {kind.kind: kind.slot for kind in ctx.catalogue.garments}
    allowed = [p for p in _PRINTS if options.patterns is None or p in options.patterns]
    if not (options.prints and allowed) and support(options.wrinkles)[1] == 0:
        return outfit
    prints, wrinkles = ctx.rng("prints", place), ctx.rng("wrinkles", place)
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
    """A garment for the slot, by weight; RecipeError if none fits.

    Sportswear is drawn for sport only, or if the recipe names it; kinds worn only by name
    only if named.
    """
    weights = recipe.people.wardrobe.kinds
    fits = [g for g in garments if g.slot == slot and g.fits(gender, age)]
    if sport:
        fits = [g for g in fits if _for_sport(g, weights)] or fits
    else:
        fits = [g for g in fits if g.worn != "named_sport"]
    usual = {"everyday": 1.0, "always": 1.0, "sport": float(sport)}
    fitting = {g.kind: weights.get(g.kind, usual.get(g.worn, 0.0)) for g in fits}
    if not any(fitting.values()):
        raise RecipeError(
            f"{slot} is required",
            where=f"{recipe.name}: people.wardrobe.kinds",
            expected=f"one {slot} of weight above 0 for gender {gender:g}",
            got=", ".join(sorted(fitting)) or "none in the wardrobe",
        )
    return pick_one(fits, rng, weights=fitting, name=lambda g: g.kind)


def _for_sport(kind: GarmentKind, weights: Mapping[str, float]) -> bool:
    named = kind.worn in ("named_sport", "named_always") and weights.get(kind.kind, 0.0) > 0
    return named or kind.worn in ("always", "sport")


def extras_of(ctx: SampleContext, person: PersonSpec, place: int) -> tuple[GarmentSpec, ...]:
    """Person `place`'s wear over the outfit, round the neck, on hands and legs.

    Only kinds named in the recipe, at its rates, if they fit the rest of the outfit. Each slot
    has its own stream.
    """
    options = ctx.recipe.people.wardrobe
    kinds = {kind.kind: kind for kind in ctx.catalogue.garments}
    goes = {slot for worn in person.outfit for slot in kinds[worn.kind].goes_with}
    body, out = person.phenotype, []
    for slot in EXTRAS:
        named = [
            kind
            for kind in kinds.values()
            if kind.slot == slot
            and options.kinds.get(kind.kind, 0.0) > 0
            and kind.gender[0] <= body.gender <= kind.gender[1]
        ]
        chance: float = getattr(options, slot)
        if not (chance and named and slot in goes):
            continue
        rng = ctx.rng("extras", slot, place)
        if rng.random() < chance:
            kind = pick_one(named, rng, weights=options.kinds, name=lambda k: k.kind)
            worn = dyed(ctx, kind, design_of(kind, ctx.recipe, rng), person.look.skin_rgb, rng)
            strength = sample(options.wrinkles, rng) if slot == "over" else 0.0
            material = dataclasses.replace(worn.material, wrinkles=strength)
            out.append(dataclasses.replace(worn, material=material))
    return tuple(out)


def completed(ctx: SampleContext, person: PersonSpec, place: int) -> tuple[GarmentSpec, ...]:
    """Person `place`'s outfit with extras, and with what the recipe's MakeHuman folder replaces."""
    outfit = (*person.outfit, *extras_of(ctx, person, place))
    options, body = ctx.recipe.people.wardrobe.makehuman, person.phenotype
    if options is None:
        return outfit
    slots = {kind.kind: kind.slot for kind in ctx.catalogue.garments}
    worn = {slots[garment.kind]: garment for garment in outfit}
    rng = ctx.rng("makehuman", place)
    lasting = stream(ctx.recipe.stream_seed, "makehuman", person.identity)
    for slot, removed in _REPLACED.items():
        own = lasting if slot in _LASTING else rng
        parted = "bottom" in worn or slot not in ("top", "bottom")
        room = slot in worn or slot not in _IN_PLACE
        room = room and not (slot == "hair" and "hat" in worn)  # only built-in hair lies flat
        fits = [
            (g.kind, g.rgb)
            for g in ctx.catalogue.makehuman
            if g.kind is not None and g.kind.slot == slot and g.kind.fits(body.gender, body.age)
            if g.kind.whole or parted
        ]
        wanted = own.random() < options.share or (slot == "brows" and "skin" in worn)
        if wanted and fits and room:
            if slot == "skin":  # of the recipe's tone
                tone = person.look.skin_rgb
                fits = [min(fits, key=lambda fit: palette.difference(fit[1] or tone, tone))]
            kind, rgb = pick_one(fits, own, name=lambda fit: fit[0].kind)
            kept = () if kind.whole or slot != "top" else ("bottom",)
            worn = {s: garment for s, garment in worn.items() if s in kept or s not in removed}
            worn[slot] = _of_asset(ctx, kind, rgb, person.look, own)
    return tuple(worn.values())


def _of_asset(
    ctx: SampleContext, kind: GarmentKind, rgb: Vec3 | None, look: Look, rng: Generator
) -> GarmentSpec:
    if rgb is None and kind.slot not in _LASTING:
        return dyed(ctx, kind, {}, look.skin_rgb, rng)
    own = rgb if rgb and kind.slot not in ("brows", "beard") else look.hair_rgb
    material = Material(kind="texture" if rgb else "matte", base_rgb=own)
    return GarmentSpec(kind=kind.kind, shape={}, material=material)


def unusable_garments(recipe: Recipe, kinds: Sequence[GarmentKind]) -> tuple[str, ...]:
    """Requests of the wardrobe that will never be worn, and why."""
    options, out = recipe.people.wardrobe, []
    for slot in (*EXTRAS, "hat"):
        chance = getattr(options, slot)
        slotted = [kind.kind for kind in kinds if kind.slot == slot]
        named = sorted(kind for kind in slotted if options.kinds.get(kind, 0.0) > 0)
        if named and not chance:
            out.append(f"{', '.join(named)}: never worn, for people.wardrobe.{slot} is 0")
        if chance and not named and slot in EXTRAS:
            some = ", ".join(sorted(slotted)[:3])
            out.append(f"people.wardrobe.{slot}: nothing is worn there; name some kinds, as {some}")
    return tuple(out)


def design_of(kind: GarmentKind, recipe: Recipe, rng: Generator) -> dict[str, float]:
    """One of the kind's designs; they are few, so that workers can cache all."""
    number = int(rng.random() * DESIGNS_A_KIND)
    own = stream(recipe.stream_seed, "design", kind.kind, number)
    shape = {}
    for name, (low, high) in sorted(kind.shape.items()):
        step = min(int(own.random() * kind.steps), kind.steps - 1)
        share = step / (kind.steps - 1) if kind.steps > 1 else 0.5
        shape[name] = round(low + (high - low) * share, 6)
    return shape


# Faces ----------------------------------------------------------------------------------------

_STUBBLE = 0.8
"""Minimum stubble of skin under a full beard, so that no beard ends at a clean edge."""
_TURN_RAD, _LIFT_RAD = math.radians(25), math.radians(12)
_WEAKEST = 0.4
Pool = tuple[GarmentKind, ...]


def own_face(
    recipe: Recipe, number: int, garments: Pool, body: Phenotype, look: Look
) -> tuple[Look, tuple[GarmentSpec, ...]]:
    """The look of identity `number`, and the beard and glasses that belong to it."""
    options = recipe.people.face
    rng = stream(recipe.stream_seed, "face", number)
    bearded, near_sighted = rng.random(2) < (options.beard, options.glasses)
    look = toned(recipe, look, rng)
    kinds = tuple(g for g in garments if g.kind not in ("sunglasses", "goggles"))
    out = _worn(recipe, kinds, {"beard": bearded, "glasses": near_sighted}, body, look, rng)
    if any(g.kind == "full_beard" for g in out):
        look = dataclasses.replace(look, stubble=max(look.stubble, _STUBBLE))
    return look, tuple(out)


def toned(recipe: Recipe, look: Look, rng: Generator) -> Look:
    """The look with individual tones of brows and lips, as far as the recipe allows."""
    maximum = recipe.people.face.tones
    brows, lips = (round(float(maximum * (2 * u - 1)), 4) for u in rng.random(2))
    return dataclasses.replace(look, brows=brows, lips=lips) if maximum else look


def face_of(
    ctx: SampleContext, place: int, body: Phenotype, look: Look, own: tuple[GarmentSpec, ...]
) -> tuple[GarmentSpec, ...]:
    """The facial wear of person `place`: beard, glasses of either kind, mask."""
    options = ctx.recipe.people.face
    rng = ctx.rng("face", place)
    dark, masked = rng.random(2) < (options.sunglasses, options.mask)
    garments = ctx.catalogue.garments
    slots = {g.kind: g.slot for g in garments}
    out = [g for g in own if not (dark and slots[g.kind] == "glasses")]
    kinds = tuple(g for g in garments if g.kind != "glasses")
    on: dict[Slot, bool] = {"glasses": dark, "mask": masked}
    return (*out, *_worn(ctx.recipe, kinds, on, body, look, rng))


def _worn(
    recipe: Recipe, kinds: Pool, on: dict[Slot, bool], body: Phenotype, look: Look, rng: Generator
) -> list[GarmentSpec]:
    weights, out = recipe.people.wardrobe.kinds, []
    for slot in (slot for slot, worn in on.items() if worn):
        own = [kind for kind in kinds if kind.slot == slot and kind.fits(body.gender, body.age)]
        fits = {kind.kind: kind for kind in own}
        weighed = {name: weights.get(name, float(k.worn != "named")) for name, k in fits.items()}
        if any(weighed.values()):
            kind = fits[pick(weighed, rng)]
            design = design_of(kind, recipe, rng)
            spec = GarmentSpec(kind=kind.kind, shape=design, material=Material())
            out.append(recoloured(spec, slot, look, rng))
    return out


def recoloured(spec: GarmentSpec, slot: Slot, look: Look, rng: Generator) -> GarmentSpec:
    if slot == "skin":
        return spec
    if slot in _LASTING:
        return dataclasses.replace(spec, material=palette.hair(look.hair_rgb, rng))
    if slot == "mask":
        return dataclasses.replace(spec, material=palette.mask(rng))
    frame, lens = palette.glasses(rng)
    return dataclasses.replace(spec, material=frame, second_material=lens)


def expressed(ctx: SampleContext, pose: PoseSpec, place: int) -> PoseSpec:
    """The pose with an expression and averted eyes, at the recipe's rates."""
    options = ctx.recipe.people.face
    if not (options.expression or options.eyes):
        return pose
    rng = ctx.rng("expression", place)
    shows, looks, strength, turn, lift = rng.random(5)
    known = ctx.catalogue.expressions
    face: dict[str, float] = {}
    if known and shows < options.expression:
        share = _WEAKEST + (1 - _WEAKEST) * float(strength)
        units = known[pick_one(sorted(known), rng)]
        face = {unit: round(share * weight, 4) for unit, weight in units.items()}
    angles = dict(pose.angles_rad)
    if looks < options.eyes and not {"gaze_turn", "gaze_lift"} & set(angles):
        angles["gaze_turn"] = round(float(2 * turn - 1) * _TURN_RAD, 4)
        angles["gaze_lift"] = round(float(2 * lift - 1) * _LIFT_RAD, 4)
    return dataclasses.replace(pose, angles_rad=dict(sorted(angles.items())), face=face)
