"""Faces: beards, glasses, masks, expressions, eye direction, tones of brows and lips.

All have separate random streams: no body, clothes or pose depends on them.
"""

from __future__ import annotations

import dataclasses
import math

from synthstudio.core.catalogue import GarmentKind, Slot
from synthstudio.core.rng import Generator, stream
from synthstudio.core.spec import GarmentSpec, Look, Material, Phenotype, PoseSpec
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.context import SampleContext, pick_one
from synthstudio.recipe.sampling.outfits import design_of
from synthstudio.recipe.schema.distributions import pick
from synthstudio.recipe.schema.recipe import Recipe

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
    kinds = tuple(g for g in garments if g.kind != "sunglasses")
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
        weighed = {name: weights.get(name, 1.0) for name in fits}
        if any(weighed.values()):
            kind = fits[pick(weighed, rng)]
            design = design_of(kind, recipe, rng)
            spec = GarmentSpec(kind=kind.kind, shape=design, material=Material())
            out.append(recoloured(spec, slot, look, rng))
    return out


def recoloured(spec: GarmentSpec, slot: Slot, look: Look, rng: Generator) -> GarmentSpec:
    if slot in ("hair", "beard"):
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
