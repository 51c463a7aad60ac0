"""The people of a frame: identity, look, pose and outfit. For their places see placement.py."""

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from synthstudio.core.arrays import F64, I32
from synthstudio.core.catalogue import GarmentKind, KeyPose
from synthstudio.core.errors import RecipeError
from synthstudio.core.people import BODIES, body_of, view_azimuth_rad
from synthstudio.core.rng import Generator, stream
from synthstudio.core.spec import FrozenDict, GarmentSpec, Look, PersonSpec, Phenotype, PoseSpec
from synthstudio.recipe.sampling import clips, outfits, palette, pose_jitter
from synthstudio.recipe.sampling.context import (
    SampleContext,
    Unit,
    may_be_drawn,
    pick_one,
    pose_held,
)
from synthstudio.recipe.schema.distributions import sample, sample_count
from synthstudio.recipe.schema.people import Shape, bodies_in
from synthstudio.recipe.schema.recipe import Recipe

_UPPER = (*pose_jitter.ARM, "neck", "gaze")
_ODD = ("turn", "side_bend", "root_roll")
# A pose takes another's arms only while they cannot reach the floor.
_UPRIGHT_HIP_RAD = math.radians(60)
_UPRIGHT_ROOT_RAD = math.radians(20)
VIEW_SPREAD_RAD = math.radians(17)
"""Maximum deviation of a view from its sector's middle: the other 5.5 degrees are for placing,
which turns people to the camera in steps of 10 degrees."""
_OTHERS = 12
"""How many other identities are tried if a body has no room for its motion."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A person of the pool: body, face and hair, independent of clothes."""

    name: str
    phenotype: Phenotype
    look: Look
    hair: GarmentSpec
    face: tuple[GarmentSpec, ...] = ()  # beard and glasses
    years: float | None = None


def draw_people(ctx: SampleContext, *, seats: bool, moves: bool = False) -> tuple[Unit, ...]:
    """All people of a frame, at the origin, each with its initial pose.

    `seats`: whether poses that need a seat may be drawn. `moves`: whether people take recorded
    motions; a person whose body has no room for one is replaced by one with room.
    """
    rng = ctx.rng("people")
    count = sample_count(ctx.recipe.people.count, rng)
    numbers, out = _identities(ctx, count, rng), []
    for place in range(count):
        min_m = math.inf
        for number in _in_turn(ctx, numbers, place):
            who = identity(ctx.recipe, number, ctx.catalogue.garments)
            unit = _person(ctx, who, place, seats)
            depth_m = clips.skin_penetration_m(ctx, unit[0], place) if moves else 0.0
            if depth_m < min_m:
                min_m, best, numbers[place] = depth_m, unit, number
            if min_m <= pose_jitter.DEEP_M:
                break
        out.append(best)
    return tuple(out)


def _in_turn(ctx: SampleContext, numbers: Sequence[int], place: int) -> Iterator[int]:
    """Yield the identity drawn for a place, then others alike in hold-out and quota terms."""
    drawn, recipe = numbers[place], ctx.recipe
    yield drawn
    begin = recipe.people.identities - recipe.holdout.identities
    like = np.arange(recipe.people.identities)
    like = like[(like >= begin) == (drawn >= begin)]
    if ctx.quota("body", place) is not None:
        own = body_of(identity(recipe, drawn, ctx.catalogue.garments).phenotype)
        like = like[np.isin(like, pool_by_body(recipe)[own])]
    like = like[~np.isin(like, numbers)]
    yield from ctx.rng("another", place).permutation(like)[:_OTHERS].tolist()


def identity(recipe: Recipe, number: int, garments: tuple[GarmentKind, ...]) -> Identity:
    """Person `number` (from 0) of the recipe's pool."""
    rng = stream(recipe.stream_seed, "identity", number)
    shape = recipe.people.shape
    phenotype = _phenotype(shape, rng, seed=recipe.stream_seed, number=number)
    look = look_of(shape, phenotype, rng)
    kind = outfits.garment_of(recipe, garments, "hair", phenotype.gender, rng, age=phenotype.age)
    design = outfits.design_of(kind, recipe, rng)
    style = GarmentSpec(kind=kind.kind, shape=design, material=palette.hair(look.hair_rgb, rng))
    look = blotched(shape, look, stream(recipe.stream_seed, "blotches", number))
    look, face = outfits.own_face(recipe, number, garments, phenotype, look)
    return Identity(
        name=f"id-{number + 1:04d}",
        phenotype=phenotype,
        look=look,
        hair=style,
        face=face,
        years=years_of(shape, recipe.stream_seed, number),
    )


def look_of(shape: Shape, phenotype: Phenotype, rng: Generator) -> Look:
    tone = sample(shape.skin, rng)
    skin = palette.skin_rgb(tone, rng)
    hair = palette.hair_rgb(tone, phenotype.age, rng)
    return Look(
        skin_rgb=skin,
        hair_rgb=hair,
        iris_rgb=palette.iris_rgb(tone, rng),
        stubble=_stubble(phenotype, rng),
        freckles=max(0.0, palette.between(-0.6, 1.0, rng)) if tone < 0.35 else 0.0,
    )


def blotched(shape: Shape, look: Look, rng: Generator) -> Look:
    """The look with drawn unevenness of skin, from a stream of its own."""
    return dataclasses.replace(look, blotches=sample(shape.blotches, rng))


def pool_by_body(recipe: Recipe) -> dict[str, I32]:
    """The numbers of all identities of the pool by their bin of core.people.BODIES."""
    shape = recipe.people.shape.model_dump_json()
    return _pool_by_body(recipe.stream_seed, recipe.people.identities, shape)


@functools.lru_cache(maxsize=4)
def _pool_by_body(seed: int, size: int, shape_json: str) -> dict[str, I32]:
    shape = Shape.model_validate_json(shape_json)
    found: dict[str, list[int]] = {}
    for number in range(size):
        rng = stream(seed, "identity", number)
        body = body_of(_phenotype(shape, rng, seed=seed, number=number))
        found.setdefault(body, []).append(number)
    return {body: np.array(numbers, np.int32) for body, numbers in found.items()}


def identities_of(recipe: Recipe, name: str) -> I32:
    """The sorted numbers of the identities in a body quota's bin."""
    by_body = pool_by_body(recipe)
    parts = [by_body[body] for body in BODIES if body in bodies_in(name) and body in by_body]
    return np.asarray(np.sort(np.concatenate([np.zeros(0, np.int32), *parts])))


def mirrored(angles_rad: dict[str, float]) -> dict[str, float]:
    """The angles of the mirror image: sides swap, turns and side bends change sign."""
    out = {}
    for name, value in angles_rad.items():
        other = pose_jitter.on_other_side(name)
        out[other] = -value if other == name and name.endswith(_ODD) else value
    return out


def _identities(ctx: SampleContext, count: int, rng: Generator) -> list[int]:
    """The numbers of `count` different people; the last of the pool only in val and test.

    With quotas each has the body planned for their place.
    """
    recipe = ctx.recipe
    size, held = recipe.people.identities, recipe.holdout.identities
    known = size - held if ctx.split == "train" else size
    taken: list[int] = []
    for place in range(count):
        from_held = rng.random() < recipe.holdout.share and ctx.split != "train"
        body = ctx.quota("body", place)
        free = np.arange(size, dtype=np.int32) if body is None else identities_of(recipe, body)
        free = free[(free < known) & ~np.isin(free, taken)]
        own = free[free >= size - held] if from_held and held else free
        own = own if own.size else free
        taken.append(int(own[int(rng.random() * own.size)]))
    return taken


def _phenotype(shape: Shape, rng: Generator, *, seed: int, number: int) -> Phenotype:
    woman = rng.random() < shape.female_share
    softness = 0.12 * float(rng.random()) ** 2  # most faces and bodies are clearly one or other
    axes = ("age", "muscle", "weight", "height", "proportions")
    drawn = {name: round(sample(getattr(shape, name), rng), 4) for name in axes}
    made = Phenotype(gender=round(1 - softness if woman else softness, 4), **drawn)
    years = years_of(shape, seed, number)
    return made if years is None else aged(made, years, stream(seed, "stature", number))


def _stubble(phenotype: Phenotype, rng: Generator) -> float:
    u = float(rng.random())
    grown = phenotype.gender < 0.5 and phenotype.age >= 0.6
    return max(0.0, (u - 0.4) / 0.6) if grown else 0.0


def _person(ctx: SampleContext, who: Identity, place: int, seats: bool) -> Unit:
    key, pose = _pose(ctx, who.phenotype, seats, place)
    outfit = outfits.outfit_of(
        ctx, who.phenotype, who.look.skin_rgb, who.hair, ctx.rng("outfit", place)
    )
    outfit = outfits.finished(ctx, outfit, place)
    person = PersonSpec(
        identity=who.name,
        phenotype=who.phenotype,
        look=who.look,
        pose=outfits.expressed(ctx, pose, place),
        outfit=(*outfit, *outfits.face_of(ctx, place, who.phenotype, who.look, who.face)),
        yaw_rad=facing_rad(ctx, pose, place, ctx.rng("facing", place)),
        years=who.years,
    )
    return dataclasses.replace(person, outfit=outfits.completed(ctx, person, place)), key


def with_other_pose(
    ctx: SampleContext, person: PersonSpec, place: int, number: int, *, seats: bool
) -> Unit:
    key, pose = _pose(ctx, person.phenotype, seats, place, "again", number)
    return dataclasses.replace(person, pose=outfits.expressed(ctx, pose, place)), key


def facing(person: PersonSpec) -> F64:
    """(3,) the horizontal unit vector that a person faces: at yaw 0 world -y."""
    return np.array([math.sin(person.yaw_rad), -math.cos(person.yaw_rad), 0.0])


def facing_rad(ctx: SampleContext, pose: PoseSpec, place: int, rng: Generator) -> float:
    """A turn to the left: with quotas of views away from the camera, else from -y.

    Without quotas, people upside down are turned by another half turn, at the recipe's rate, so
    that the chest faces the upright direction.
    """
    view = ctx.quota("view", place)
    if view is not None:
        return -view_azimuth_rad(view) + (2 * float(rng.random()) - 1) * VIEW_SPREAD_RAD
    yaw_rad = math.radians(sample(ctx.recipe.people.facing_deg, rng))
    share = ctx.recipe.people.facing_chest
    upside_down = math.cos(pose.angles_rad.get("root_pitch", 0.0)) < 0
    if upside_down and share and ctx.rng("facing chest", place).random() < share:
        return math.remainder(yaw_rad + math.pi, math.tau)
    return yaw_rad


# Poses -------------------------------------------------------------------------------------


def _pose(
    ctx: SampleContext, phenotype: Phenotype, seats: bool, place: int, *again: int | str
) -> tuple[KeyPose, PoseSpec]:
    options, rng = ctx.recipe.people.poses, ctx.rng("pose", place, *again)
    # Hands that grip are drawn with what they hold: contacts.py.
    poses = [p for p in ctx.catalogue.poses if not (p.holds or p.leans)]
    poses = [p for p in poses if seats or p.needs != "seat"]
    family = ctx.quota("family", place)
    poses = _everyday_or_not(ctx.recipe, poses, family, rng)
    weighted = [p for p in poses if _weight(ctx.recipe, p) > 0]
    poses = list(ctx.allowed(weighted, rng, held=pose_held(ctx.recipe)))
    if not poses:
        raise RecipeError(
            "no pose is left to draw",
            where=f"{ctx.where}: people.poses",
            then="Allow more poses or families, or hold out fewer.",
        )
    requested = poses if family is None else _of_family(ctx, family, poses, weighted)
    if family is None and options.random and rng.random() < options.random:
        limbs = [p for p in ctx.catalogue.poses if _weight(ctx.recipe, p) > 0]
        key = pose_jitter.sampled_pose(ctx, phenotype, limbs, keys=("random pose", place, *again))
        return key, PoseSpec(name=key.name, family=key.family, angles_rad=key.angles_rad)
    key = _key_pose(ctx.recipe, requested, rng)
    flip, mix = rng.random() < options.mirror and key.mirrored_ok, rng.random() < options.mix
    parts, angles, name = [key], dict(key.angles_rad), key.name
    mix = mix and is_upright(key)
    others = [p for p in poses if p.name != key.name and is_upright(p)] if mix else []
    if options.arms == "fitting" and _is_low(key):
        others = [p for p in others if p.seated_arms]
    if others:
        other = _key_pose(ctx.recipe, others, rng)
        angles = {k: v for k, v in angles.items() if not pose_jitter.is_of(k, _UPPER)}
        angles |= {k: v for k, v in other.angles_rad.items() if pose_jitter.is_of(k, _UPPER)}
        name, parts = f"{key.name}+{other.name}", [key, other]
        flip = flip and other.mirrored_ok
    free, like = parts[-1].free_hands, [dict(part.angles_rad) for part in parts]
    if flip:
        angles, like = mirrored(angles), [mirrored(part) for part in like]
        free = tuple(pose_jitter.OTHER_SIDE[side] for side in free)
    angles = reshaped_hands(ctx, angles, free, ctx.rng("hands", place, *again))
    angles = pose_jitter.apart(
        ctx, phenotype, angles, rng, like=tuple(map(FrozenDict, like)), keys=("pose", place, *again)
    )
    if key.airborne == "tumbling":
        angles = angles | pose_jitter.tumbled(ctx.rng("tumble", place, *again))
    return key, PoseSpec(name=name, family=key.family, angles_rad=angles)


def _of_family(
    ctx: SampleContext, family: str, drawn: list[KeyPose], every: list[KeyPose]
) -> list[KeyPose]:
    """The family's poses of `drawn`, which may hold none, else of `every` allowed in the split."""
    held = pose_held(ctx.recipe)
    own = [pose for pose in drawn if pose.family == family]
    return own or [
        pose
        for pose in every
        if pose.family == family and not (ctx.split == "train" and held(pose))
    ]


def _everyday_or_not(
    recipe: Recipe, poses: Sequence[KeyPose], family: str | None, rng: Generator
) -> list[KeyPose]:
    """Whether athletic poses are used: by the recipe's rate, or a quota's family."""
    options = recipe.people.poses
    if family is not None:
        athletic = any(p.athletic for p in poses if p.family == family)
    elif options.athletic:
        athletic = bool(rng.random() < options.athletic)
    elif options.families is not None or options.names is not None:
        return [p for p in poses if may_be_drawn(recipe, p)]
    else:
        athletic = False
    return [p for p in poses if p.athletic == athletic]


def _weight(recipe: Recipe, pose: KeyPose) -> float:
    options = recipe.people.poses
    family = 1.0 if options.families is None else options.families.get(pose.family, 0.0)
    own = 1.0 if options.names is None else options.names.get(pose.name, 0.0)
    return family * own


def _key_pose(recipe: Recipe, poses: Sequence[KeyPose], rng: Generator) -> KeyPose:
    options = recipe.people.poses
    families = sorted({pose.family for pose in poses})
    family = pick_one(families, rng, weights=options.families)
    own = [pose for pose in poses if pose.family == family]
    return pick_one(own, rng, weights=options.names, name=lambda pose: pose.name)


def is_upright(pose: KeyPose) -> bool:
    """Whether a pose can take the arms of another: they cannot reach the floor."""
    angles = pose.angles_rad
    if max(abs(angles.get(f"root_{k}", 0.0)) for k in ("pitch", "roll")) > _UPRIGHT_ROOT_RAD:
        return False
    hips = max(angles.get(f"{side}_hip_flexion", 0.0) for side in ("left", "right"))
    return pose.needs == "seat" or hips < _UPRIGHT_HIP_RAD


def _is_low(pose: KeyPose) -> bool:
    return pose.needs == "seat" or not (pose.stands or pose.airborne)


# Hands -----------------------------------------------------------------------------------


def reshaped_hands(
    ctx: SampleContext, angles_rad: dict[str, float], free: tuple[str, ...], rng: Generator
) -> dict[str, float]:
    """The angles with each free hand (left, right) reshaped at the recipe's rate."""
    options, shapes = ctx.recipe.people.poses.hands, ctx.catalogue.hands
    out = dict(angles_rad)
    for side in ("left", "right"):
        changes, which = rng.random(2)
        if changes >= options or side not in free or not shapes:
            continue
        shape = shapes[sorted(shapes)[int(which * len(shapes))]]
        hand = {name for one in shapes.values() for name in one}
        out = {k: v for k, v in out.items() if k.removeprefix(f"{side}_") not in hand}
        out |= {f"{side}_{name}": value for name, value in shape.items()}
    return out


# Ages in years as Anny's axes: apparent age and stature ---------------------------------------

# Statures of children are medians and spreads of the WHO Child Growth Standards (2006; 2 to 4
# years) and the WHO Reference (2007; 5 to 19 years), both normal at every age; adults keep those of
# 19 years and lose height from 30 on (Sorkin, Muller and Andres 1999).
_YEARS = (1, 4, 11, 16, 25, 90)
_AGES = (0.05, 0.215, 0.415, 0.67, 0.69, 1.0)
"""Years and Anny's axis: up to 16 Anny's own calibration, from a young adult on MakeHuman's."""
_WHO_YEARS = (2, 3, 4, *range(5, 20))
# Median stature in cm and the coefficient of variation in percent, boys and girls.
_BOYS_CM = (
    87.13, 96.09, 103.33, 109.73, 115.95, 121.73, 127.27, 132.57, 137.78, 143.11, 149.08, 156.04,
    163.18, 168.96, 172.90, 175.16, 176.14, 176.54,
)  # fmt: skip
_GIRLS_CM = (
    85.73, 95.06, 102.73, 109.07, 115.12, 120.81, 126.56, 132.49, 138.64, 144.99, 151.23, 156.37,
    159.79, 161.67, 162.52, 162.85, 163.06, 163.15,
)  # fmt: skip
_BOYS_CV = (
    3.508, 3.858, 4.059, 4.156, 4.249, 4.342, 4.438, 4.535, 4.626, 4.703, 4.753, 4.760, 4.714,
    4.619, 4.495, 4.364, 4.241, 4.134,
)  # fmt: skip
_GIRLS_CV = (
    3.764, 4.007, 4.193, 4.346, 4.447, 4.525, 4.581, 4.612, 4.614, 4.584, 4.523, 4.439, 4.345,
    4.255, 4.176, 4.109, 4.053, 4.009,
)  # fmt: skip
_LOSS_YEARS = (30, 70, 80, 90)
_LOSS_CM = ((0.0, 3.0, 5.0, 7.0), (0.0, 5.0, 8.0, 11.0))  # men, women; 90 goes on as 70 to 80
_MAX_SD = 2.2
# Anny's stature at height 0 and 1 by age, men and women, as tests/recipe/test_ages.py checks.
_GRID = (0.05, 0.1, 0.2, 1 / 3, 0.45, 2 / 3, 1.0)
_LOW_M = (
    (0.5321, 0.6122, 0.7798, 1.0085, 1.1328, 1.3677, 1.3355),
    (0.5158, 0.5778, 0.7083, 0.8889, 1.0031, 1.2312, 1.2168),
)
_HIGH_M = (
    (1.0490, 1.2070, 1.5265, 1.9556, 2.1313, 2.4599, 2.4311),
    (1.0319, 1.1702, 1.4503, 1.8270, 1.9956, 2.3171, 2.2981),
)


def years_of(shape: Shape, seed: int, number: int) -> float | None:
    if shape.age_years is None:
        return None
    return round(sample(shape.age_years, stream(seed, "years", number)), 2)


def aged(phenotype: Phenotype, years: float, rng: Generator) -> Phenotype:
    """The body at that age, with its stature deviation from the median kept."""
    sd = NormalDist().inv_cdf(min(max(float(rng.random()), 1e-9), 1 - 1e-9))
    wanted = stature_m(years, phenotype.gender, max(-_MAX_SD, min(_MAX_SD, sd)))
    age = float(np.interp(years, _YEARS, _AGES))
    low, high = (_mixed(tables, age, _GRID, phenotype.gender) for tables in (_LOW_M, _HIGH_M))
    height = min(max((wanted - low) / (high - low), 0.0), 1.0)
    return dataclasses.replace(phenotype, age=round(age, 4), height=round(height, 4))


def stature_m(years: float, gender: float, sd: float) -> float:
    """The stature at an age, `sd` standard deviations from the median; gender 0 a man."""
    median = _mixed((_BOYS_CM, _GIRLS_CM), years, _WHO_YEARS, gender)
    spread = _mixed((_BOYS_CV, _GIRLS_CV), years, _WHO_YEARS, gender) / 100
    lost = _mixed(_LOSS_CM, years, _LOSS_YEARS, gender)
    return (median * (1 + spread * sd) - lost) / 100


def _mixed(
    tables: tuple[tuple[float, ...], tuple[float, ...]],
    at: float,
    places: tuple[float, ...],
    gender: float,
) -> float:
    man, woman = (float(np.interp(at, places, table)) for table in tables)
    return man + gender * (woman - man)
