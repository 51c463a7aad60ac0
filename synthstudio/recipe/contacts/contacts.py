"""Objects that people hold, carry, push or lean on: a holding pose and an object that fits it.

The arms of the drawn pose are replaced by those of a holding pose; the palms then give the
object's place (grips.py, supports.py). Each person has a separate random stream for it, so frames
without held objects are unchanged.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

from synthstudio.core.catalogue import CABIN, KeyPose, ObjectKind
from synthstudio.core.errors import RecipeError
from synthstudio.core.rng import Generator
from synthstudio.core.spec import ObjectSpec, PersonSpec, PoseSpec
from synthstudio.recipe.contacts.grips import GRIPS, Holder, angles_of
from synthstudio.recipe.contacts.supports import draw_support, seats_in
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.context import SampleContext, Unit, pick_one, pose_held
from synthstudio.recipe.sampling.people import is_upright, mirrored
from synthstudio.recipe.sampling.pose_jitter import ARM, freed, is_of, strayed

BACK = "back"
_STEADY = 0.4
"""Holding arms get less jitter than others; hands and fingers none."""
_LOOK = ("neck", "gaze")
_STRAYS = (*ARM, *_LOOK, "spine")
_HAND = ("wrist", "finger", "index", "thumb", "gaze")
_LIGHT = frozenset({"phone", "cup", "read"})
"""Grips also possible while sitting or bending: they leave lap and floor free."""
_ERECT = {"knee_flexion": 50, "hip_flexion": 45, "spine_flexion": 22, "hip_abduction": 18}
"""Largest bend of any joint, in degrees, that leaves room for a hanging object."""
_TILT_RAD = math.radians(12)
_PUSHED = frozenset({"push", "walk"})
_WALKED = frozenset({"pole", "barbell", "stand", "steer", *_PUSHED})
"""Grips that take the whole pose: they need its legs and trunk, feet leave room."""


@dataclass(frozen=True, kw_only=True)
class Contact:
    """A draw's choice: the object held and in which hand, or leant on."""

    kinds: tuple[ObjectKind, ...]  # one held kind, or candidates to lean on
    hand: str = ""  # left_hand, right_hand, both_hands or back; "" leans
    key: KeyPose | None = None  # of a leaning person


def draw_contacts(
    ctx: SampleContext, people: tuple[Unit, ...]
) -> tuple[tuple[Unit, ...], Mapping[int, Contact]]:
    """The people in holding or leaning poses, and their contacts by place."""
    options = ctx.recipe.people.hold
    if options.share == 0 and options.lean == 0:
        return people, {}
    out, contacts = list(people), dict[int, Contact]()
    for place, unit in enumerate(people):
        if unit[0].pose.turns:  # a motion's arms hold nothing
            continue
        rng = ctx.rng("hold", place)
        holds, leans = rng.random() < options.share, rng.random() < options.lean
        found = _leaning(ctx, unit, rng) if leans else None
        if holds and not leans:
            found = _holding(ctx, unit, rng)
        if found is not None and not _second_wheel(ctx, place, found[1], contacts):
            out[place], contacts[place] = _free(ctx, found[0], found[1].hand), found[1]
    return tuple(out), contacts


def _second_wheel(
    ctx: SampleContext, place: int, contact: Contact, contacts: Mapping[int, Contact]
) -> bool:
    """Whether a person would have a second wheel in the car of the one before."""
    other = contacts.get(place - 1)
    if place % 2 == 0 or other is None or CABIN not in (ctx.recipe.people.seats or {}):
        return False
    return contact.kinds[0].grip == other.kinds[0].grip == "steer"


def _free(ctx: SampleContext, unit: Unit, hand: str) -> Unit:
    person, key = unit
    angles = dict(person.pose.angles_rad)
    both = hand in ("both_hands", "")
    free, _ = freed(ctx, person.phenotype, angles, both_hands=both)
    if free == angles:
        return unit
    pose = dataclasses.replace(person.pose, angles_rad=free)
    return dataclasses.replace(person, pose=pose), key


def contact_object(
    ctx: SampleContext, person: PersonSpec, contact: Contact, place: int
) -> ObjectSpec:
    """The object in the hands, on the back or under the arms of a person placed on the floor."""
    rng = ctx.rng("held", place)
    if contact.key is not None:
        return draw_support(ctx, person, contact.key, contact.kinds, rng)
    (kind,) = contact.kinds
    x, y, z = palette.drawn_size(kind, rng)
    size = (x, x, x) if kind.grip == "ball" else (x, x, z) if kind.grip == "cup" else (x, y, z)
    at, hand = ctx.joints_m(person), contact.hand
    holder = Holder(
        geometry=ctx.geometry, person=person, kind=kind, hand=hand, size_m=size, joints=at
    )
    put = GRIPS[kind.grip](holder)
    yaw, pitch, roll = (round(a, 6) for a in angles_of(put.turn))
    x, y, z = (round(float(v), 5) for v in put.origin_m)
    return ObjectSpec(
        kind=kind.kind,
        role="support" if kind.grip in _PUSHED else "held",
        size_m=put.size_m,
        shape=put.shape,
        materials=palette.materials(kind, rng),
        position_m=(x, y, z),
        yaw_rad=yaw,
        pitch_rad=pitch,
        roll_rad=roll,
        held_by=place,
    )


def _holding(ctx: SampleContext, unit: Unit, rng: Generator) -> tuple[Unit, Contact]:
    kind = _kind(ctx, rng)
    if kind.grip == BACK:
        return unit, Contact(kinds=(kind,), hand=BACK)
    able = [p for p in ctx.catalogue.poses if any(kind.grip in g for g in p.holds.values())]
    key = _pose(ctx, able, rng, f"holds a {kind.kind}")
    hand = next(hand for hand, grips in sorted(key.holds.items()) if kind.grip in grips)
    unit, hand = _dressed(ctx, unit, key, rng, hand=hand, grip=kind.grip)
    return unit, Contact(kinds=(kind,), hand=hand)


def _leaning(ctx: SampleContext, unit: Unit, rng: Generator) -> tuple[Unit, Contact] | None:
    seats = bool(seats_in(ctx))
    known = {kind.kind for kind in ctx.catalogue.objects if ctx.suits(kind)}
    able = [p for p in ctx.catalogue.poses if known & set(p.leans)]
    able = [p for p in able if seats or p.needs != "seat"]
    if not able:  # nothing here to lean on
        return None
    key = _pose(ctx, able, rng, "leans")
    kinds = tuple(kind for kind in ctx.catalogue.objects if kind.kind in key.leans)
    kinds = ctx.fitting(ctx.allowed(kinds, rng, held=ctx.occluder_held))
    if not kinds:
        raise ctx.nothing_left("people.hold", f"for the pose {key.name} to lean on")
    unit, _ = _dressed(ctx, unit, key, rng, hand="", grip="")
    return unit, Contact(kinds=kinds, key=key)


def _kind(ctx: SampleContext, rng: Generator) -> ObjectKind:
    weights = ctx.recipe.people.hold.kinds
    able = (k for k in ctx.catalogue.objects if k.grip)
    kinds = tuple(k for k in able if (weights or {k.kind: 1}).get(k.kind))
    kinds = ctx.allowed(kinds, rng, held=ctx.occluder_held)
    kinds = ctx.fitting(kinds) if weights is None else kinds
    if not kinds:
        raise ctx.nothing_left("people.hold", "to hold")
    return pick_one(kinds, rng, weights=weights, name=lambda kind: kind.kind)


def _pose(ctx: SampleContext, poses: list[KeyPose], rng: Generator, what: str) -> KeyPose:
    left = ctx.allowed(poses, rng, held=pose_held(ctx.recipe))
    if not left:
        raise RecipeError(
            f"no pose {what}",
            where=f"{ctx.where}: people.hold",
            then="Hold out fewer poses, or name other kinds.",
        )
    return left[int(rng.random() * len(left))]


_OTHER = {"left_hand": "right_hand", "right_hand": "left_hand"}


def _dressed(
    ctx: SampleContext, unit: Unit, key: KeyPose, rng: Generator, *, hand: str, grip: str
) -> tuple[Unit, str]:
    """The unit in the whole holding pose, or with its arms alone, and its holding hand."""
    person, old = unit
    angles = dict(key.angles_rad)
    if rng.random() < 0.5 and key.mirrored_ok:
        angles, hand = mirrored(angles), _OTHER.get(hand, hand)
    steady = angles
    if hand:
        steady = strayed(
            ctx, angles, rng, by=_STEADY, moves=lambda a: is_of(a, _STRAYS) and not is_of(a, _HAND)
        )
    keeps = is_upright(old) if grip in _LIGHT else _erect(old, person.pose)
    if not hand or grip in _WALKED or not keeps:
        pose = dataclasses.replace(person.pose, name=key.name, family=key.family, angles_rad=steady)
        return (dataclasses.replace(person, pose=pose), key), hand

    side = "" if hand == "both_hands" else hand.removesuffix("hand")

    def taken(angle: str) -> bool:
        return is_of(angle, _LOOK) or (angle.startswith(side) and is_of(angle, ARM))

    mixed = {k: v for k, v in person.pose.angles_rad.items() if not taken(k)}
    mixed |= {k: v for k, v in steady.items() if taken(k)}
    name = f"{person.pose.name}+{key.name}"
    pose = dataclasses.replace(person.pose, name=name, angles_rad=dict(sorted(mixed.items())))
    return (dataclasses.replace(person, pose=pose), old), hand


def _erect(key: KeyPose, pose: PoseSpec) -> bool:
    if key.needs == "seat" or not key.stands or key.dynamic:
        return False
    angles = pose.angles_rad
    bent = {k: max(angles.get(s + k, 0.0) for s in ("", "left_", "right_")) for k in _ERECT}
    tilted = max(abs(angles.get(f"root_{k}", 0.0)) for k in ("pitch", "roll"))
    return tilted < _TILT_RAD and all(bent[k] < math.radians(v) for k, v in _ERECT.items())
