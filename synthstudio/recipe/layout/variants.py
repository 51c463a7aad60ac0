"""Variants: a moment without its occluders, or with other clothes or light, or by other cameras.

A variant equals its base in every field of the FrameSpec not named in `differs`. Each has its
own random streams, so a base is drawn alike with and without them
(but for the room, which holds all cameras and all objects of its group).
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthstudio.core.arrays import F64, Bool
from synthstudio.core.camera import Camera, look_at
from synthstudio.core.catalogue import Slot
from synthstudio.core.errors import RecipeError
from synthstudio.core.photo import PhotoSpec
from synthstudio.core.rng import Generator
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
from synthstudio.recipe.layout.placement import CLEAR_M, Layout, Placed, corners
from synthstudio.recipe.sampling import outfits
from synthstudio.recipe.sampling.context import SampleContext
from synthstudio.recipe.sampling.light import draw_light, under_clouds, with_sky
from synthstudio.recipe.sampling.people import blotched, look_of
from synthstudio.recipe.sampling.view import Behind, detail_at, draw_hdri
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


@dataclass(frozen=True, kw_only=True)
class BaseSample:
    """A moment, or one time of it, and the data for its variants. The base's index is its number.

    `others` are the occluders of the `occluder` variants, `rig` the cameras of the `view` ones.
    """

    base: FrameSpec
    ctx: SampleContext
    behind: Behind
    others: tuple[Occluders, ...]
    rig: tuple[Camera, ...]


def group(drawn: BaseSample) -> tuple[FrameSpec, ...]:
    """The base and its variants in the order of `Variants.order`.

    Targets apply to all but `clean` and `view`, whose occlusion is not controlled.
    """
    base, out = drawn.base, [drawn.base]
    for kind, number in drawn.ctx.recipe.variants.order:
        own = drawn.ctx.again(kind, number)
        if kind == "clean":
            made = clean(base)
        elif kind == "occluder":
            made = _occluded(base, drawn.others[number])
        elif kind == "appearance":
            made = redressed(base, own)
        elif kind == "light":
            made = _relit(base, own, drawn.behind)
        else:
            made = dataclasses.replace(base, camera=drawn.rig[number], camera_id=number + 1)
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
        backdrop = draw_hdri(behind.options, backdrop.asset, own.rng("backdrop"))
    light = draw_light(own, behind, base.camera, base.people, backdrop)
    backdrop = with_sky(own, behind, backdrop, light)
    return dataclasses.replace(base, backdrop=backdrop, light=under_clouds(light, base.weather))


# Appearance ------------------------------------------------------------------------------

_DEEPER_M = 0.003
"""New clothes may come closer to touched things by this much, and sink or hover
by so much."""
_OWN: tuple[Slot, ...] = ("hair", "skin", "brows", "beard", "glasses", "mask")
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
    new = dataclasses.replace(new, outfit=outfits.completed(own, new, place))
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


# Rig --------------------------------------------------------------------------------------------

_NUDGES_DEG = (0.0, 6.0, -6.0, 14.0, -14.0, 24.0, -24.0, 36.0, -36.0, 50.0, -50.0)
_STEPS, _STEP = 16, 1.09
"""Tries for each direction, and the factor by which each is farther out."""
_GIVEN_STEPS = 3
_IN_VIEW = 0.94
_HIDDEN = 0.6
"""With more joints than this behind objects, further places are tried."""
_HIDING = ("occluder", "support")
"""Seats and held objects hide people from some sides at any camera position."""
_GIRTH_M = 0.25


def draw_rig(layout: Layout, standing: list[Placed]) -> tuple[Camera, ...]:
    """The cameras 1, 2, ... of the group, each looking at the middle of the people; RecipeError."""
    views = range(layout.ctx.recipe.variants.view)
    return tuple(_placed(layout, standing, number) for number in views)


def _placed(layout: Layout, standing: list[Placed], number: int) -> Camera:
    """The first place that sees enough of all people; else the best one."""
    options, first = layout.ctx.recipe.variants.rig, layout.camera
    rng = layout.ctx.rng("rig", number)
    middle, joints_m = _middle(standing), layout.joints_m(standing)
    away = np.array(first.position_m[:2]) - middle
    if options.azimuths_deg == "ring":
        azimuth = 360.0 * (number + 1) / (layout.ctx.recipe.variants.view + 1)
    else:
        azimuth = sample(options.azimuths_deg[number], rng)
    start = math.atan2(away[1], away[0]) + math.radians(azimuth)
    height, aim, roll, pitch = _drawn(layout, rng)
    given = options.distance_m is not None
    # A recipe that cuts people off, or aims elsewhere, does so for its other cameras, too.
    whole = pitch is None and _fits(first, standing, whole=True)
    distance = (
        sample(options.distance_m, rng) if options.distance_m is not None else layout.distance_m
    )
    best: Camera | None = None
    best_off = (math.inf, True)
    for nudge in _NUDGES_DEG:
        angle = start + math.radians(nudge)
        for step in range(_GIVEN_STEPS if given else _STEPS):
            reach = distance * _STEP**step
            x, y = middle + reach * np.array([math.cos(angle), math.sin(angle)])
            place = (float(x), float(y), height)
            yaw, aimed = look_at(place, (float(middle[0]), float(middle[1]), aim))
            camera = dataclasses.replace(
                first,
                position_m=place,
                yaw_rad=yaw,
                pitch_rad=aimed if pitch is None else pitch,
                roll_rad=roll,
                centre_px=None,
            )
            if not _clear(camera, standing):
                continue
            cut_off = not (given or _fits(camera, standing, whole=whole))
            off = (max(0.0, _hidden(camera, joints_m, standing) - _HIDDEN), cut_off)
            if best is None or off < best_off:
                best, best_off = camera, off
            if off == (0.0, False):
                return camera
    if best is not None:
        return best
    raise RecipeError(
        f"no place for camera {number + 1} of the rig",
        where=layout.ctx.where,
        expected=f"one {CLEAR_M:g} m off everything",
        then="Give variants.rig a greater distance_m, or reduce objects or people.",
    )


def _middle(standing: list[Placed]) -> F64:
    spots = [p.item.position_m[:2] for p in standing if isinstance(p.item, PersonSpec)]
    return np.mean(spots, axis=0) if spots else np.zeros(2)


def _drawn(layout: Layout, rng: Generator) -> tuple[float, float, float, float | None]:
    """Height and aim in metres, roll and pitch in radians; pitch None: from the aim."""
    usual, options = layout.ctx.recipe.camera, layout.ctx.recipe.variants.rig
    height = sample(usual.height_m if options.height_m is None else options.height_m, rng)
    aim, roll = sample(usual.aim_height_m, rng), math.radians(sample(usual.roll_deg, rng))
    pitch = None if options.pitch_deg is None else math.radians(sample(options.pitch_deg, rng))
    return height, aim, roll, pitch


def _clear(camera: Camera, standing: list[Placed]) -> bool:
    """Whether the camera is outside of, and clear of, all items."""
    place = np.array(camera.position_m)
    for placed in standing:
        away = place - np.clip(place, placed.box_m[0], placed.box_m[1])
        depth = camera.to_camera(corners(placed.box_m))[:, 2]
        # Beside the camera a wide object may cross the picture's plane, out of sight.
        if np.linalg.norm(away) < (CLEAR_M if depth.min() > CLEAR_M else 3 * CLEAR_M):
            return False
    return True


def _fits(camera: Camera, standing: list[Placed], *, whole: bool) -> bool:
    """Whether everybody's trunk is in the picture; if `whole`, from head to foot."""
    boxes = np.array([p.box_m for p in standing if isinstance(p.item, PersonSpec)])
    if not len(boxes):
        return True
    ends = np.broadcast_to(boxes.mean(axis=1, keepdims=True), boxes.shape).copy()
    if whole:
        ends[:, :, 2] = boxes[:, :, 2]
    seen = camera.to_camera(ends.reshape(-1, 3))
    reach = np.abs(seen[:, :2]) + np.array([_GIRTH_M, 0.0])
    half = np.array([camera.width_px, camera.height_px]) / 2 / camera.focal_px * camera.spread
    return bool((seen[:, 2] > CLEAR_M).all() and (reach < _IN_VIEW * half * seen[:, 2:]).all())


def _hidden(camera: Camera, joints_m: F64, standing: list[Placed]) -> float:
    """The fraction of joints (N, 3) behind the boxes of objects."""
    hidden = np.zeros(len(joints_m), bool)
    for placed in standing:
        obj = placed.item
        if isinstance(obj, ObjectSpec) and obj.role in _HIDING and not obj.heights_m:
            hidden |= _behind(np.array(camera.position_m), joints_m, obj)
    return float(hidden.mean()) if len(hidden) else 0.0


def _behind(eye_m: F64, points_m: F64, obj: ObjectSpec) -> Bool:
    """(N,) whether the object's upright box lies between an eye and points (N, 3)."""
    c, s = math.cos(obj.yaw_rad), math.sin(obj.yaw_rad)
    turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])  # rows act as its inverse
    eye, ends = ((p - np.array(obj.position_m)) @ turn for p in (eye_m, points_m))
    width, depth, height = obj.size_m
    low, high = np.array([-width / 2, -depth / 2, 0.0]), np.array([width / 2, depth / 2, height])
    way = ends - eye
    way = np.where(np.abs(way) < 1e-9, 1e-9, way)
    first, last = np.sort([(low - eye) / way, (high - eye) / way], axis=0)
    enters, leaves = first.max(axis=1), last.min(axis=1)
    return np.asarray((enters < leaves) & (enters < 1.0) & (leaves > 0.0))
