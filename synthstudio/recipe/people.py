"""Who is in a frame: identity, look, pose and outfit. Where they stand is placement.py."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from synthstudio.core.catalogue import GarmentKind, KeyPose, Slot
from synthstudio.core.errors import RecipeError, explain
from synthstudio.core.rng import Generator, stream
from synthstudio.core.spec import GarmentSpec, Look, Material, PersonSpec, Phenotype, PoseSpec
from synthstudio.recipe import palette
from synthstudio.recipe.choose import Draw, pick_one, pose_held
from synthstudio.recipe.distributions import AnyNumber, sample, sample_count
from synthstudio.recipe.model import Recipe, Shape

_UPPER = ("shoulder", "clavicle", "elbow", "forearm", "wrist", "finger", "thumb", "neck", "gaze")
_LEGS = ("hip", "knee", "ankle")
_STIFF = ("root", "toe")
_ODD = ("turn", "side_bend", "root_roll")
_LEG_JITTER = 0.5
DESIGNS_A_KIND = 6
"""A new design costs about as much as a frame; a data set of any length has this many a kind."""
# A pose takes another's arms only while they cannot reach the floor.
_UPRIGHT_HIP_RAD = math.radians(60)
_UPRIGHT_ROOT_RAD = math.radians(20)
_SLOTS: tuple[Slot, ...] = ("top", "bottom", "shoes", "hair", "hat")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A person of the pool: body, face and hair, whatever they wear."""

    name: str
    phenotype: Phenotype
    look: Look
    hair: GarmentSpec


def draw_people(draw: Draw, *, seats: bool) -> tuple[tuple[PersonSpec, KeyPose], ...]:
    """Return everybody of a frame, at the origin, each with the pose that theirs began with.

    `seats`: whether poses that need a seat may be drawn.
    """
    rng = draw.rng("people")
    count = sample_count(draw.recipe.people.count, rng)
    identities = _identities(draw, count, rng)
    return tuple(_person(draw, who, place, seats) for place, who in enumerate(identities))


def identity(recipe: Recipe, number: int, garments: tuple[GarmentKind, ...]) -> Identity:
    """Return person `number` (from 0) of the recipe's pool."""
    rng = stream(recipe.seed, "identity", number)
    shape = recipe.people.shape
    phenotype = _phenotype(shape, rng)
    tone = sample(shape.skin, rng)
    skin = palette.skin_rgb(tone, rng)
    hair = palette.hair_rgb(tone, phenotype.age, rng)
    look = Look(
        skin_rgb=skin,
        hair_rgb=hair,
        iris_rgb=palette.iris_rgb(tone, rng),
        stubble=_stubble(phenotype, rng),
        freckles=max(0.0, palette.between(-0.6, 1.0, rng)) if tone < 0.35 else 0.0,
    )
    kind = _garment(recipe, garments, "hair", phenotype.gender, rng)
    design = _shape(kind, recipe, rng)
    style = GarmentSpec(kind=kind.kind, shape=design, material=palette.hair(hair, rng))
    return Identity(name=f"id-{number + 1:04d}", phenotype=phenotype, look=look, hair=style)


def mirrored(angles_rad: dict[str, float]) -> dict[str, float]:
    """Return the angles of the mirror image: sides swap, turns and side bends change sign."""
    out = {}
    for name, value in angles_rad.items():
        if name.startswith("left_"):
            out["right_" + name[5:]] = value
        elif name.startswith("right_"):
            out["left_" + name[6:]] = value
        else:
            out[name] = -value if name.endswith(_ODD) else value
    return out


def _identities(draw: Draw, count: int, rng: Generator) -> list[Identity]:
    """Return `count` different people; the last of the pool only in val and test."""
    recipe = draw.recipe
    size, held = recipe.people.identities, recipe.holdout.identities
    taken: list[int] = []
    for _ in range(count):
        from_held = rng.random() < recipe.holdout.share and draw.split != "train"
        low, high = (size - held, size) if from_held and held else (0, size)
        if draw.split == "train":
            high = size - held
        free = high - low - sum(low <= number < high for number in taken)
        if free <= 0:
            low, high = 0, size - held if draw.split == "train" else size
            free = high - len(taken)
        number = low + int(rng.random() * free)
        for other in sorted(n for n in taken if low <= n < high):
            number += other <= number
        taken.append(number)
    return [identity(recipe, number, draw.catalogue.garments) for number in taken]


def _phenotype(shape: Shape, rng: Generator) -> Phenotype:
    woman = rng.random() < shape.female_share
    softness = 0.12 * float(rng.random()) ** 2  # most faces and bodies are clearly one or other
    axes: dict[str, AnyNumber] = {
        "age": shape.age, "muscle": shape.muscle, "weight": shape.weight,
        "height": shape.height, "proportions": shape.proportions,
    }  # fmt: skip
    drawn = {name: round(sample(of, rng), 4) for name, of in axes.items()}
    return Phenotype(gender=round(1 - softness if woman else softness, 4), **drawn)


def _stubble(phenotype: Phenotype, rng: Generator) -> float:
    u = float(rng.random())
    grown = phenotype.gender < 0.5 and phenotype.age >= 0.6
    return max(0.0, (u - 0.4) / 0.6) if grown else 0.0


def _person(draw: Draw, who: Identity, place: int, seats: bool) -> tuple[PersonSpec, KeyPose]:
    key, pose = _pose(draw, draw.rng("pose", place), seats)
    facing = sample(draw.recipe.people.facing_deg, draw.rng("facing", place))
    person = PersonSpec(
        identity=who.name,
        phenotype=who.phenotype,
        look=who.look,
        pose=pose,
        outfit=_outfit(draw, who, draw.rng("outfit", place)),
        yaw_rad=math.radians(facing),
    )
    return person, key


# Poses -------------------------------------------------------------------------------------


def _pose(draw: Draw, rng: Generator, seats: bool) -> tuple[KeyPose, PoseSpec]:
    """Return a key pose and what was made of it: mirrored, mixed, jittered."""
    wants = draw.recipe.people.poses
    poses = [p for p in draw.catalogue.poses if seats or p.needs != "seat"]
    poses = [p for p in poses if _weight(draw.recipe, p) > 0]
    poses = list(draw.allowed(poses, rng, held=pose_held(draw.recipe)))
    if not poses:
        raise RecipeError(
            explain(
                "no pose is left to draw",
                where=f"{draw.where}: people.poses",
                then="Allow more poses or families, or hold out fewer.",
            )
        )
    key = _key_pose(draw.recipe, poses, rng)
    flip, mix = rng.random() < wants.mirror and key.mirrored_ok, rng.random() < wants.mix
    angles, name = dict(key.angles_rad), key.name
    others = [p for p in poses if p.name != key.name and _upright(p)]
    if mix and others and _upright(key):
        other = _key_pose(draw.recipe, others, rng)
        angles = {k: v for k, v in angles.items() if not _is(k, _UPPER)}
        angles |= {k: v for k, v in other.angles_rad.items() if _is(k, _UPPER)}
        name = f"{key.name}+{other.name}"
        flip = flip and other.mirrored_ok
    angles = mirrored(angles) if flip else angles
    return key, PoseSpec(name=name, family=key.family, angles_rad=_jittered(draw, angles, rng))


def _weight(recipe: Recipe, pose: KeyPose) -> float:
    wants = recipe.people.poses
    family = 1.0 if wants.families is None else wants.families.get(pose.family, 0.0)
    own = 1.0 if wants.names is None else wants.names.get(pose.name, 0.0)
    return family * own


def _key_pose(recipe: Recipe, poses: Sequence[KeyPose], rng: Generator) -> KeyPose:
    """Return a family by its weight, then one of its poses by theirs."""
    wants = recipe.people.poses
    families = sorted({pose.family for pose in poses})
    family = pick_one(families, rng, weights=wants.families)
    own = [pose for pose in poses if pose.family == family]
    return pick_one(own, rng, weights=wants.names, name=lambda pose: pose.name)


def _is(angle: str, groups: tuple[str, ...]) -> bool:
    return angle.removeprefix("left_").removeprefix("right_").startswith(groups)


def _upright(pose: KeyPose) -> bool:
    angles = pose.angles_rad
    if max(abs(angles.get(f"root_{k}", 0.0)) for k in ("pitch", "roll")) > _UPRIGHT_ROOT_RAD:
        return False
    hips = max(angles.get(f"{side}_hip_flexion", 0.0) for side in ("left", "right"))
    return pose.needs == "seat" or hips < _UPRIGHT_HIP_RAD


def _jittered(draw: Draw, angles: dict[str, float], rng: Generator) -> dict[str, float]:
    """Return every angle, strayed and cut to its limits; 1e-4 rad steps keep specs short."""
    jitter = draw.recipe.people.poses.jitter_deg
    out = {}
    for name, (low, high) in draw.catalogue.limits_rad.items():
        value = angles.get(name, 0.0)
        stray = math.radians(sample(jitter, rng)) * (_LEG_JITTER if _is(name, _LEGS) else 1.0)
        if not _is(name, _STIFF):
            value = round(value + stray, 4)
        out[name] = min(max(value, low), high)
    return {name: value for name, value in out.items() if value != 0.0}


# Outfits -----------------------------------------------------------------------------------


def _outfit(draw: Draw, who: Identity, rng: Generator) -> tuple[GarmentSpec, ...]:
    """Return a top, a bottom, shoes, the identity's hair and sometimes a hat."""
    wants = draw.recipe.people.wardrobe
    hat = rng.random() < wants.hat
    out = []
    for slot in _SLOTS:
        if slot == "hair":
            out.append(who.hair)
        elif slot != "hat" or hat:
            out.append(_wear(draw, slot, who.phenotype.gender, rng))
    return tuple(out)


def _wear(draw: Draw, slot: Slot, gender: float, rng: Generator) -> GarmentSpec:
    recipe = draw.recipe
    kind = _garment(recipe, draw.catalogue.garments, slot, gender, rng)
    shape = _shape(kind, recipe, rng)
    if slot == "shoes":
        upper, sole = palette.shoes(rng)
        return GarmentSpec(kind=kind.kind, shape=shape, material=upper, second_material=sole)
    wants = recipe.people.wardrobe
    patterns = [p for p in kind.patterns if wants.patterns is None or p in wants.patterns]
    first, second = (
        palette.cloth(patterns, rng, patterned=wants.patterned, saturated=wants.saturated)
        for _ in range(2)
    )
    return GarmentSpec(kind=kind.kind, shape=shape, material=first, second_material=_plain(second))


def _plain(material: Material) -> Material:
    return Material(
        kind="cloth",
        base_rgb=material.base_rgb,
        second_rgb=material.second_rgb,
        roughness=material.roughness,
        specular=material.specular,
    )


def _garment(
    recipe: Recipe, garments: Sequence[GarmentKind], slot: Slot, gender: float, rng: Generator
) -> GarmentKind:
    """Return a garment for the slot, by weight; RecipeError if nothing fits: nobody is bare."""
    weights = recipe.people.wardrobe.kinds
    fits = [g for g in garments if g.slot == slot and g.gender[0] <= gender <= g.gender[1]]
    wanted = {g.kind: weights.get(g.kind, 1.0) for g in fits}
    if not any(wanted.values()):
        raise RecipeError(
            explain(
                f"nobody goes without {slot}",
                where=f"{recipe.name}: people.wardrobe.kinds",
                expected=f"one {slot} of weight above 0 for gender {gender:g}",
                got=", ".join(sorted(wanted)) or "none in the wardrobe",
            )
        )
    return pick_one(fits, rng, weights=wanted, name=lambda g: g.kind)


def _shape(kind: GarmentKind, recipe: Recipe, rng: Generator) -> dict[str, float]:
    """Return one of the kind's designs; a data set has few, so that workers can keep them all."""
    number = int(rng.random() * DESIGNS_A_KIND)
    own = stream(recipe.seed, "design", kind.kind, number)
    shape = {}
    for name, (low, high) in sorted(kind.shape.items()):
        step = min(int(own.random() * kind.steps), kind.steps - 1)
        share = step / (kind.steps - 1) if kind.steps > 1 else 0.5
        shape[name] = round(low + (high - low) * share, 6)
    return shape
