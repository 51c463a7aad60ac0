"""Variants: a moment without its occluders, or with other clothes, light or view.

A variant equals its base in every field of the FrameSpec not named in `differs`. Each has its
own random streams, so a base is drawn alike with and without them
(but for the room, which holds all cameras and all objects of its group).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthstudio.core.camera import Camera
from synthstudio.core.catalogue import Slot
from synthstudio.core.photo import PhotoSpec
from synthstudio.core.spec import (
    Backdrop,
    CutoutSpec,
    FrameSpec,
    GarmentSpec,
    HdriBackdrop,
    ObjectSpec,
    OcclusionTarget,
    PersonSpec,
    Vec3,
)
from synthstudio.recipe.layout.placement import Placed
from synthstudio.recipe.sampling import outfits
from synthstudio.recipe.sampling.context import SampleContext
from synthstudio.recipe.sampling.light import draw_light
from synthstudio.recipe.sampling.people import blotched, look_of
from synthstudio.recipe.sampling.skies import with_sky
from synthstudio.recipe.sampling.view import Behind, detail_at
from synthstudio.recipe.schema import scene as scene_schema
from synthstudio.recipe.schema.distributions import sample

REMOVED = ("held", "occluder")
"""Roles of the objects removed by `clean`; in a spec they come last, in this order."""
SAME = ("index", "variant", "differs", "camera_id", "targets", "crowd_target")
"""Fields that identify the variant or its targets, not its appearance."""
_BOX_MARGIN_M = 0.25
_SHADOWS_M = 8.0


@dataclass(frozen=True, kw_only=True)
class Occluders:
    objects: tuple[Placed, ...]
    cutouts: tuple[CutoutSpec, ...]
    targets: tuple[OcclusionTarget, ...] = ()  # of the people, with `met`


def group(
    base: FrameSpec,
    *,
    ctx: SampleContext,
    behind: Behind,
    others: Sequence[Occluders],
    rig: Sequence[Camera],
) -> tuple[FrameSpec, ...]:
    """The base and its variants in the order of `Variants.order`.

    `others` are the occluders of the `occluder` variants, `rig` the cameras of the `view` ones.
    Targets apply to all but `clean` and `view`, whose occlusion is not controlled.
    """
    order, out = ctx.recipe.variants.order, [base]
    for kind, number in order:
        own = ctx.again(kind, number)
        if kind == "clean":
            made = clean(base)
        elif kind == "occluder":
            made = _occluded(base, others[number])
        elif kind == "appearance":
            made = redressed(base, own)
        elif kind == "light":
            made = _relit(base, own, behind)
        else:
            made = dataclasses.replace(base, camera=rig[number], camera_id=number + 1)
            made = dataclasses.replace(made, cutouts=(), targets=(), crowd_target=None)
        out.append(dataclasses.replace(made, variant=kind, differs=differing(base, made)))
    return tuple(out)


def differing(base: FrameSpec | PhotoSpec, other: FrameSpec | PhotoSpec) -> tuple[str, ...]:
    names = [f.name for f in dataclasses.fields(base) if f.name not in SAME]
    return tuple(name for name in names if getattr(base, name) != getattr(other, name))


def in_order(objects: Sequence[ObjectSpec]) -> tuple[ObjectSpec, ...]:
    """Objects with those removed by `clean` last: others then keep their ids."""
    rank = {role: place for place, role in enumerate(REMOVED, 1)}
    return tuple(sorted(objects, key=lambda obj: rank.get(obj.role, 0)))


def clean(base: FrameSpec) -> FrameSpec:
    """The spec without occluders, held objects, cut-outs and weather; seats and supports stay."""
    kept = tuple(obj for obj in base.objects if obj.role not in REMOVED)
    return dataclasses.replace(base, objects=kept, cutouts=(), weather=(), targets=())


def _occluded(base: FrameSpec, other: Occluders) -> FrameSpec:
    kept = tuple(obj for obj in base.objects if obj.role != "occluder")
    new = tuple(p.item for p in other.objects if isinstance(p.item, ObjectSpec))
    return dataclasses.replace(
        base, objects=in_order((*kept, *new)), cutouts=other.cutouts, targets=other.targets
    )


def shadow_box_m(standing: Sequence[Placed]) -> tuple[Vec3, Vec3] | None:
    """The box covered by the shadow maps of a whole group, from the floor up.

    Items farther than `_SHADOWS_M` from all people are left out, for resolution.
    """
    if not standing:
        return None
    boxes = np.array([placed.box_m for placed in standing])
    low, high = boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)
    people = [p.box_m for p in standing if isinstance(p.item, PersonSpec)]
    if people:
        low = np.maximum(low, np.min(people, axis=0)[0] - _SHADOWS_M)
        high = np.minimum(high, np.max(people, axis=0)[1] + _SHADOWS_M)
    low[2] = min(low[2], 0.0)
    low[:2] -= _BOX_MARGIN_M
    high += _BOX_MARGIN_M
    # Millimetres keep specs short; only equality over all variants matters.
    (x0, y0, z0), (x1, y1, z1) = (np.round(corner, 3).tolist() for corner in (low, high))
    return (x0, y0, z0), (x1, y1, z1)


def _relit(base: FrameSpec, own: SampleContext, behind: Behind) -> FrameSpec:
    backdrop: Backdrop = base.backdrop
    if isinstance(backdrop, HdriBackdrop):
        assert isinstance(behind.options, scene_schema.Hdri)
        rng = own.rng("backdrop")
        backdrop = dataclasses.replace(
            backdrop,
            yaw_rad=math.radians(sample(behind.options.yaw_deg, rng)),
            gain=sample(behind.options.gain, rng),
        )
    light = draw_light(own, behind, base.camera, base.people, backdrop)
    return dataclasses.replace(base, backdrop=with_sky(own, behind, backdrop, light), light=light)


# Appearance ------------------------------------------------------------------------------

_DEEPER_M = 0.003
"""New clothes may come closer to touched things by this much, and sink or hover
by so much."""
_OWN: tuple[Slot, ...] = ("hair", "beard", "glasses", "mask")
_KEPT: tuple[Slot, ...] = ("shoes", *_OWN)
"""Slots whose cut stays: shoes carry the body, head wear belongs to the person."""


def redressed(base: FrameSpec, own: SampleContext) -> FrameSpec:
    """The same bodies in other clothes, skin and hair colours.

    Where other clothes would touch something, or lift a lying or sitting person, and in clips,
    their cut stays and only materials change.
    """
    people = list(base.people)
    for place, person in enumerate(base.people):
        others: list[PersonSpec | ObjectSpec] = [*people[:place], *people[place + 1 :]]
        others += base.objects
        people[place] = _dressed(person, others, own, place)
    return dataclasses.replace(base, people=tuple(people))


def _dressed(
    person: PersonSpec,
    others: Sequence[PersonSpec | ObjectSpec],
    own: SampleContext,
    place: int,
) -> PersonSpec:
    shape = own.recipe.people.shape
    look = look_of(shape, person.phenotype, own.rng("look", place))
    look = blotched(shape, look, own.rng("blotches", place))
    look = outfits.toned(own.recipe, look, own.rng("tones", place))
    slots = {kind.kind: kind for kind in own.catalogue.garments}
    rng = own.rng("dye", place)
    recut: dict[Slot, GarmentSpec] = {}
    for garment in person.outfit:
        kind = slots[garment.kind]
        if kind.slot in _OWN:
            recut[kind.slot] = outfits.recoloured(garment, kind.slot, look, rng)
        else:
            recut[kind.slot] = outfits.dyed(own, kind, dict(garment.shape), look.skin_rgb, rng)
    outfit = outfits.finished(own, tuple(recut.values()), place)
    same_cut = dataclasses.replace(person, look=look, outfit=outfit)
    rng = own.rng("outfit", place)
    drawn = outfits.outfit_of(own, person.phenotype, look.skin_rgb, recut["hair"], rng)
    worn = {slots[g.kind].slot: g for g in drawn} | {s: recut[s] for s in _KEPT if s in recut}
    worn = {slot: g for slot, g in worn.items() if slot in recut or slot not in _KEPT}
    outfit = outfits.finished(
        own, tuple(worn[slot] for slot in (*outfits.SLOTS, *_OWN[1:]) if slot in worn), place
    )
    new = dataclasses.replace(same_cut, outfit=outfit)
    new = dataclasses.replace(new, outfit=(*outfit, *outfits.extras_of(own, new, place)))
    # Clothes are constant over a clip: a fit at one time may touch at another.
    fits = own.recipe.clip is None and _stands_as(own, person, new, others)
    return new if fits else same_cut


def with_view_detail(
    ctx: SampleContext, standing: Sequence[Placed], cameras: Sequence[Camera]
) -> list[Placed]:
    """All items, people in fine detail where a camera is near enough to resolve it.

    Place, pose and joints stay. Where the fine mesh, millimetres off the coarse one, would come
    too near to something, the coarse one stays.
    """
    out = list(standing)
    for place, placed in enumerate(standing):
        person = placed.item
        if not isinstance(person, PersonSpec) or person.detail == "fine" or placed.path:
            continue
        x, y, _ = person.position_m
        if all(detail_at(camera, x, y) == "coarse" for camera in cameras):
            continue
        fine = dataclasses.replace(person, detail="fine")
        others = [p.item for p in out if p is not placed]
        if _stands_as(ctx, person, fine, others):
            out[place] = dataclasses.replace(placed, item=fine)
    return out


def _stands_as(
    ctx: SampleContext,
    old: PersonSpec,
    new: PersonSpec,
    others: Sequence[PersonSpec | ObjectSpec],
) -> bool:
    """Whether new clothes carry the body as the old did, without new contacts."""
    geometry, min_m = ctx.geometry, ctx.recipe.people.min_gap_m
    if abs(geometry.drop_m(new) - geometry.drop_m(old)) > _DEEPER_M:
        return False
    for other in others:
        gap = geometry.gap_m(new, other)
        if gap < min_m and gap < min(geometry.gap_m(old, other), min_m) - _DEEPER_M:
            return False
    return True
