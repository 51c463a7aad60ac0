"""Occluders: 3D objects on the floor, and cut-outs."""

import math
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from synthstudio.core.arrays import F64, Intp
from synthstudio.core.catalogue import ImageAsset, MeshAsset, ObjectKind
from synthstudio.core.errors import RecipeError
from synthstudio.core.rng import Generator
from synthstudio.core.spec import AssetRef, CutoutSpec, Material, ObjectSpec, PersonSpec
from synthstudio.recipe.contacts.grips import angles_of
from synthstudio.recipe.layout.placement import CLEAR_M, Layout, Placed, corners, moved
from synthstudio.recipe.layout.site import box_of
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.context import SampleContext, pick_one, usable_cutouts
from synthstudio.recipe.sampling.true_sizes import stands_m
from synthstudio.recipe.schema.distributions import pick, sample, sample_count, support
from synthstudio.recipe.schema.scene import Cutouts, MeshObjects, ProceduralObjects, Standing

T = TypeVar("T")

_RINGS, _RING_M, _RING_STEPS = 20, 0.6, 12
_DESIGNS = 12
_SPOTS = 8
"""Candidates: how many sizes and turns, and places of each."""
_SEARCHED = 3 * _SPOTS
"""How many candidates are compared; the second count only if the first hide too much or little."""
_FAR_OFF = 0.15
_ASIDE_M = 0.3
_NEAR_TRIES = 64
_NEAR_M = (0.35, 0.7)
_NEAR_DEG = ((10.0, 85.0), (-10.0, 30.0), (-25.0, 25.0))
"""What is near: off the picture's vertical, away from its plane, about its own length."""
_NEAR_HAND, _NEAR_BASE, _NEAR_BACK = 0.78, 0.2, 0.35
"""The middle of the hand and the end of the base, of the object's height; how far short of a joint
the hand stays, of the picture's."""
_SPREAD = 0.35


@dataclass(frozen=True, kw_only=True)
class _Target:
    """The person an object should hide, how many joints, and everybody's joints."""

    at_m: tuple[float, float]
    place: int = 0
    hidden: int = 0
    maximum: int = 0  # of other people
    joints_px: F64  # (P, J, 2)
    depth_m: F64  # (P, J)


def place_objects(layout: Layout, placed: list[Placed]) -> list[Placed]:
    """The recipe's objects, each on the floor and clear of everything; see `Standing`.

    Without room on a photo's floor an object is left out; objects in front may stand below the
    picture. With searched targets, those in front are left to the search. RecipeError if an
    object finds no room.
    """
    targets = layout.ctx.recipe.targets
    searched = targets.search and targets.by_objects
    people = [p for p in placed if isinstance(p.item, PersonSpec)]
    out: list[Placed] = []
    for place, entry in enumerate(layout.ctx.recipe.objects):
        if searched and entry.placement == "in_front":
            continue
        for number in range(sample_count(entry.count, layout.ctx.shared_rng("things", place))):
            rng = layout.ctx.rng("thing", place, number)
            place_one = _place_near if entry.placement == "near" else _place
            put = place_one(layout, entry, people, [*placed, *out], rng)
            out += [] if put is None else [put]
    return out


def _place(
    layout: Layout, entry: Standing, people: list[Placed], placed: list[Placed], rng: Generator
) -> Placed | None:
    """The best free candidate. Exact geometry is evaluated only for candidates worth taking."""
    target = _target(layout, entry, people, rng)
    best: Placed | None = None
    best_off = target.depth_m.size + 1
    kind = pick(kinds_left(layout.ctx, entry, rng), rng)
    made_of = palette.materials(kind, rng)
    for attempt in range(_DESIGNS):
        if attempt * _SPOTS >= _SEARCHED and best_off <= _FAR_OFF * target.depth_m.shape[1]:
            break
        obj = design(entry, kind, made_of, rng, shrink=attempt / _DESIGNS)
        numbers = range(attempt * _SPOTS, (attempt + 1) * _SPOTS)
        shifts = [_candidate(layout, entry, target, rng, number) for number in numbers]
        boxes = box_of(obj) + np.pad(shifts, ((0, 0), (0, 1)))[:, None]
        exact: Placed | None = None
        for shift, box, off in zip(shifts, boxes, _off(layout, entry, target, boxes), strict=True):
            if off >= best_off or not layout.clear(box):
                continue
            if not layout.on_floor(box, below=entry.placement == "in_front"):
                continue
            exact = exact or layout.placed(obj)
            here = moved(exact, *shift)
            if layout.clear(here.box_m) and layout.free(here, placed):
                best, best_off = here, off
                if off <= 1:
                    return best
    if best is not None or layout.footing is not None:
        return best
    best = _farther(layout, layout.placed(obj), target, placed)
    if best is not None:
        return best
    raise RecipeError(
        "no room for an object on the floor",
        where=layout.ctx.where,
        expected=f"a free place within {_RINGS * _RING_M:.0f} m",
        then="Reduce objects or people, or increase the distance to the camera.",
    )


def _place_near(
    layout: Layout, entry: Standing, people: list[Placed], placed: list[Placed], rng: Generator
) -> Placed:
    """The candidate before the camera that hides most nearly as much as requested.

    All reach in from below or from a side: their bases lie outside the picture. All are of one
    viewer: the second is the other hand, in the same sleeve.
    """
    target = _target(layout, entry, people, rng)
    kind = pick(kinds_left(layout.ctx, entry, rng), rng)
    assert isinstance(kind, ObjectKind)
    viewer = layout.ctx.rng("viewer")
    made_of = palette.held_near(kind, sample(layout.ctx.recipe.people.shape.skin, viewer), viewer)
    near = {each.kind for each in layout.ctx.catalogue.objects if "near" in each.roles}
    items = [each.item for each in placed if isinstance(each.item, ObjectSpec)]
    sides = {-1.0 if "left" in item.shape else 1.0 for item in items if item.kind in near}
    sides = {-1.0, 1.0} - sides or sides
    best: Placed | None = None
    best_off = math.inf
    for attempt in range(_NEAR_TRIES):
        obj = design(entry, kind, made_of, rng, shrink=0.0)
        side = max(sides) if rng.random() < 0.5 else min(sides)
        late = max(0.0, 2 * attempt / _NEAR_TRIES - 1)
        here = layout.placed(_reaching(layout, obj, target, rng, side=side, late=late))
        points = layout.geometry.triangles_m(here.item).reshape(-1, 3)
        base = np.linalg.norm(points - here.item.position_m, axis=1) < _NEAR_BASE * obj.size_m[2]
        seen = layout.camera.to_camera(points)
        if seen[:, 2].min() <= CLEAR_M or points[:, 2].min() <= 0:
            continue
        if layout.camera.shows(layout.camera.project(seen[base])).any():
            continue
        off = _off_by_depth(layout, target, here)
        if off < best_off and layout.free(here, placed):
            best, best_off = here, off
            if off <= 1:
                break
    if best is None:
        raise RecipeError(
            "no room for an object before the camera",
            where=layout.ctx.where,
            expected=f"one of {_NEAR_TRIES} places clear of everything",
            then="Increase camera.distance_m or camera.height_m.",
        )
    return best


def _reaching(
    layout: Layout,
    obj: ObjectSpec,
    target: _Target,
    rng: Generator,
    *,
    side: float,
    late: float,
) -> ObjectSpec:
    """The object before the camera, its upper part on or short of a joint of the target.

    `side`: the picture's, from which it comes, 1 the right one.
    `late` candidates (up to 1) are nearer to the camera and reach less far in.
    """
    camera = layout.camera
    right, down, ahead = camera.world_to_camera[:3, :3]
    slant, lean, roll = (math.radians(palette.between(*r, rng)) for r in _NEAR_DEG)
    way = np.array([-side * math.sin(slant), -math.cos(slant)])  # in the picture
    z = math.cos(lean) * (way[0] * right + way[1] * down) + math.sin(lean) * ahead
    across = np.cross(ahead, z) / math.cos(lean)
    x = math.cos(roll) * across + math.sin(roll) * np.cross(z, across)
    joints = target.joints_px[target.place :][:1].reshape(-1, 2)
    joints = joints[camera.shows(joints)]
    middle = np.array([camera.width_px, camera.height_px]) / 2
    at_px = joints[int(rng.random() * len(joints))] if len(joints) else middle
    at_px = at_px - way * float(rng.random()) * (_NEAR_BACK + late) * camera.height_px
    low, high = _NEAR_M
    depth = np.array(palette.between(low, high - late * (high - low), rng))
    hand_m = camera.to_world(camera.unproject(at_px, depth))
    foot = (hand_m - _NEAR_HAND * obj.size_m[2] * z).round(5).tolist()
    yaw, pitch, roll = (round(a, 6) for a in angles_of(np.stack([x, np.cross(z, x), z], axis=1)))
    return replace(
        obj,
        position_m=(foot[0], foot[1], foot[2]),
        yaw_rad=yaw,
        pitch_rad=pitch,
        roll_rad=roll,
        shape={"left": 1.0} if side < 0 else {},
    )


def _off_by_depth(layout: Layout, target: _Target, here: Placed) -> int:
    """Too many or too few joints hidden, as `_off`, by the object's own outline."""
    if target.depth_m.size == 0:
        return 0
    nearest = layout.geometry.depths_m((here.item,), layout.camera)
    inside = layout.camera.shows(target.joints_px)
    column, row = np.where(inside[..., None], target.joints_px, 0).astype(int).transpose(2, 0, 1)
    hidden = (inside & (nearest[row, column] < target.depth_m)).sum(axis=1)
    own = abs(int(hidden[target.place]) - target.hidden)
    others = np.delete(hidden, target.place) - target.maximum
    return own + int(np.maximum(0, others).sum())


def _farther(
    layout: Layout, origin: Placed, target: _Target, placed: list[Placed]
) -> Placed | None:
    """The nearest free place on rings about the target, ignoring the recipe's side."""
    x, y = target.at_m
    for ring in range(1, _RINGS + 1):
        for step in range(_RING_STEPS):
            angle = 2 * math.pi * step / _RING_STEPS
            reach = ring * _RING_M
            here = moved(origin, x + reach * math.cos(angle), y + reach * math.sin(angle))
            if layout.clear(here.box_m) and layout.free(here, placed):
                return here
    return None


def _off(layout: Layout, entry: Standing, target: _Target, boxes_m: F64) -> list[int]:
    """Too many or too few joints hidden by candidates (N, 2, 3); 0 if unconstrained.

    For other people, it counts hidden joints beyond the recipe's maximum for one of them.
    """
    if entry.placement != "in_front" or target.depth_m.size == 0:
        return [0] * len(boxes_m)
    off = _hidden(layout, target, boxes_m) - target.maximum
    own = np.abs(off[:, target.place] + target.maximum - target.hidden)
    off[:, target.place] = 0
    return (own + np.maximum(0, off).sum(axis=1)).tolist()


def _target(layout: Layout, entry: Standing, people: list[Placed], rng: Generator) -> _Target:
    u, share = float(rng.random()), sample(entry.hides, rng)
    if not people:
        empty = np.zeros((0, 0))
        return _Target(at_m=(0.0, 0.0), joints_px=np.zeros((0, 0, 2)), depth_m=empty)
    place = int(u * len(people))
    joints = [layout.geometry.joints_m(p.item) for p in people if isinstance(p.item, PersonSpec)]
    seen = layout.camera.to_camera(np.stack(joints))
    count = seen.shape[1]
    x, y, _ = people[place].item.position_m
    return _Target(
        at_m=(x, y),
        place=place,
        hidden=round(share * count),
        maximum=round(support(entry.hides)[1] * count),
        joints_px=layout.camera.project(seen),
        depth_m=seen[..., 2],
    )


def _hidden(layout: Layout, target: _Target, boxes_m: F64) -> Intp:
    """(N, P) joints of each person behind the boxes' rectangles: an approximation."""
    seen = layout.camera.to_camera(corners(boxes_m))
    outline = layout.camera.project(seen)[:, :, None, None]
    low, high = outline.min(axis=1), outline.max(axis=1)
    inside = ((target.joints_px >= low) & (target.joints_px <= high)).all(axis=-1)
    nearest = seen[..., 2].min(axis=1)[:, None, None]
    return np.asarray((inside & (target.depth_m > nearest) & (nearest > 0)).sum(axis=2))


def kinds_left(
    ctx: SampleContext, entry: Standing, rng: Generator
) -> dict[ObjectKind | MeshAsset, float]:
    """The kinds allowed, and their weights: in train none held out. RecipeError if none is left."""
    left: dict[ObjectKind | MeshAsset, float]
    if isinstance(entry, MeshObjects):
        meshes = ctx.allowed(ctx.catalogue.meshes, rng, held=ctx.occluder_held)
        left = dict.fromkeys(meshes, 1.0)
    else:
        assert isinstance(entry, ProceduralObjects)
        given = entry.kinds
        role = "near" if entry.placement == "near" else "occluder"
        kinds = tuple(kind for kind in ctx.catalogue.objects if role in kind.roles)
        if given is None:
            kinds = ctx.fitting(kinds)
        else:
            kinds = tuple(kind for kind in kinds if given.get(kind.kind, 0.0) > 0)
        allowed = ctx.allowed(kinds, rng, held=ctx.occluder_held)
        left = {kind: (given or {}).get(kind.kind, 1.0) for kind in allowed}
    if not left:
        raise ctx.nothing_left("objects", "to draw")
    return left


def design(
    entry: Standing,
    kind: ObjectKind | MeshAsset,
    made_of: tuple[Material, ...],
    rng: Generator,
    *,
    shrink: float,
) -> ObjectSpec:
    """An object at the origin; `shrink` 0..1 interpolates to its minimum size."""
    yaw = (float(rng.random()) * 2 - 1) * math.pi
    if isinstance(kind, MeshAsset):
        assert isinstance(entry, MeshObjects)
        scale = sample(entry.scale, rng)
        width, depth, height = (size * scale for size in kind.size_m)
        return ObjectSpec(kind="mesh", size_m=(width, depth, height), asset=kind.asset, yaw_rad=yaw)
    shared = float(rng.random())
    sizes = []
    for low, high in zip(kind.size_low_m, kind.size_high_m, strict=True):
        share = (1 - _SPREAD) * shared + _SPREAD * float(rng.random())
        sizes.append(low + (high - low) * share * (1 - shrink))
    return ObjectSpec(
        kind=kind.kind, size_m=(sizes[0], sizes[1], sizes[2]), materials=made_of, yaw_rad=yaw
    )


def _candidate(
    layout: Layout, entry: Standing, target: _Target, rng: Generator, number: int
) -> tuple[float, float]:
    """The world x, y of a candidate; later ones are farther out."""
    between, offset = sample(entry.between, rng), sample(entry.offset_m, rng)
    u = float(rng.random())
    x, y = target.at_m
    late = max(0, number - _SEARCHED) / _SPOTS
    if entry.placement == "in_front":
        cx, cy, _ = layout.camera.position_m
        dx, dy = cx - x, cy - y
        length = math.hypot(dx, dy)
        aside = offset + math.copysign(_ASIDE_M * late, offset)
        return (x + dx * between - dy / length * aside, y + dy * between + dx / length * aside)
    if entry.placement == "beside":
        return x + offset + math.copysign(_ASIDE_M * late, offset), y + (u - 0.5) * (0.6 + late)
    radius = abs(offset) + 0.5 * late
    return radius * math.cos(2 * math.pi * u), radius * math.sin(2 * math.pi * u)


# Cut-outs: 2D pictures with alpha, standing in the scene or laid over the frame ---------------

_TRIES = 48
_AHEAD = (0.12, 0.6)
"""How far in front of a person an occluding object stands."""
_AROUND = (0.5, 1.7)
"""Distance of other objects from the camera, relative to the group."""
_MIN_GAP_M = 0.05
_MAX_DEEP_M = 0.25
_MARGIN_M = 0.08
_MAX_WIDE, _MAX_HIGH = 0.9, 1.2
"""The maximum size relative to the frame."""
_MIN_PX = 6


def draw_cutouts(layout: Layout, placed: list[Placed]) -> tuple[CutoutSpec, ...]:
    """The recipe's cut-outs, many of them in front of a person."""
    options = layout.ctx.recipe.cutouts
    if options is None:
        return ()
    count = sample_count(options.count, layout.ctx.shared_rng("cutouts"))
    if options.size == "real":
        found: list[CutoutSpec] = []
        taken = [one.box_m[:, :2] for one in placed]
        for number in range(count):
            rng = layout.ctx.rng("standing cutout", number)
            one = _standing(layout, options, placed, rng, {other.asset for other in found}, taken)
            if one is not None:
                found.append(one[0])
                taken.append(one[1])
        return tuple(found)
    seen = layout.camera.project(layout.camera.to_camera(layout.joints_m(placed)))
    seen = seen[layout.camera.shows(seen)]
    return tuple(
        _cutout(layout.ctx, options, seen, layout.ctx.rng("cutout", number))
        for number in range(count)
    )


def _standing(
    layout: Layout,
    options: Cutouts,
    placed: list[Placed],
    rng: Generator,
    used: set[AssetRef],
    taken: list[F64],
) -> tuple[CutoutSpec, F64] | None:
    """A cut-out standing on the floor in real size, and its box (2, 2) there; None if none can.

    It is upright and flat; its lower edge is at the floor's row at its depth. Those `used` in the
    frame are repeated only when there are no others. `taken`: boxes (2, 2) of the floor, on which
    it stands only if none of its tries is clear of them.
    """
    people = [p for p in placed if isinstance(p.item, PersonSpec)]
    over = bool(rng.random() < options.over_person) and bool(people)
    which = float(rng.random())
    hidden = people[int(which * len(people))] if over else None
    once = {c.asset for c in usable_cutouts(options, layout.ctx.catalogue.cutouts)} > used
    crowded: tuple[CutoutSpec, F64] | None = None
    for attempt in range(_TRIES):
        if attempt == _TRIES // 2:  # no place before that person
            hidden = None
        asset = _picture(layout.ctx, options, rng)
        if once and asset.asset in used:
            continue
        found = stands_m(asset)
        assert found is not None  # ensured by usable_cutouts
        tall = palette.between(*found, rng)
        wide = tall * asset.shown_px[0] / asset.shown_px[1]
        spot = _around(layout, rng) if hidden is None else _before(layout, hidden, wide, rng)
        lies = _picture_box(layout, asset, options, spot, tall)
        if not _has_floor(layout, spot, wide, hides=hidden is not None):
            continue
        if lies is None or (hidden is not None and lies[2] > _nearest_m(layout, hidden)):
            continue
        (left, top), size, depth = lies
        box = _footprint(layout, spot, wide)
        made = CutoutSpec(
            asset=asset.asset,
            kind=asset.category or "unknown",
            top_left_px=(left, top),
            size_px=size,
            mirrored=bool(rng.random() < 0.5),
            gain=round(sample(options.gain, rng) * layout.gain, 4),
            feather_px=sample(options.feather_px, rng),
            depth_m=depth,
            stands=True,
        )
        if not any((box[0] < other[1]).all() and (box[1] > other[0]).all() for other in taken):
            return made, box
        crowded = crowded or (made, box)
    return crowded


def _before(layout: Layout, hidden: Placed, wide_m: float, rng: Generator) -> F64:
    """World x, y between a person and the camera, the person behind its middle 70 %."""
    at, eye = np.array(hidden.item.position_m[:2]), np.array(layout.camera.position_m[:2])
    way = eye - at
    aside = palette.between(-0.35, 0.35, rng) * wide_m
    away = np.array([-way[1], way[0]]) / max(1e-6, float(np.linalg.norm(way)))
    return np.asarray(at + way * palette.between(*_AHEAD, rng) + away * aside)


def _around(layout: Layout, rng: Generator) -> F64:
    depth = layout.distance_m * palette.between(*_AROUND, rng)
    x = layout.middle_m(depth) + palette.between(-1, 1, rng) * layout.half_width_m(depth)
    return np.array([x, depth - layout.distance_m])


def _has_floor(layout: Layout, spot: F64, wide_m: float, *, hides: bool) -> bool:
    """Whether the object's base is on a photo's floor; an occluder's foot may be below it."""
    if layout.footing is None:
        return True
    ends = np.array([-wide_m / 2, wide_m / 2])[:, None] * layout.camera.world_to_camera[0, :2]
    return bool(layout.footing.holds(spot + ends, below=hides).all())


def _footprint(layout: Layout, spot: F64, wide_m: float) -> F64:
    """(2, 2) x, y of the floor that a cut-out needs: as deep as half its width, and a margin."""
    across = layout.camera.world_to_camera[0, :2]
    deep = np.array([-across[1], across[0]]) * min(0.5 * wide_m, _MAX_DEEP_M)
    ends = spot + np.outer((-0.5, 0.5), across) * wide_m
    points = np.concatenate([ends, ends + deep])
    return np.stack([points.min(axis=0) - _MARGIN_M, points.max(axis=0) + _MARGIN_M])


def _nearest_m(layout: Layout, hidden: Placed) -> float:
    return float(layout.camera.to_camera(corners(hidden.box_m))[:, 2].min()) - _MIN_GAP_M


def _picture_box(
    layout: Layout, asset: ImageAsset, options: Cutouts, spot: F64, tall_m: float
) -> tuple[tuple[float, float], tuple[int, int], float] | None:
    """A standing picture's corner, size, px, and depth; None: too near, too large or too small."""
    camera = layout.camera
    seen = camera.to_camera(np.array([*spot, 0.0]))
    depth = float(seen[2])
    if depth < CLEAR_M:
        return None
    scale = tall_m * camera.focal_px / depth / asset.shown_px[1]
    width, height = (round(side * scale) for side in asset.shown_px)
    if scale > options.max_scale or min(width, height) < _MIN_PX:
        return None
    if width > _MAX_WIDE * camera.width_px or height > _MAX_HIGH * camera.height_px:
        return None
    x, y = camera.project(seen)
    left, top = float(round(x - width / 2)), float(round(y - height))
    beyond = top > camera.height_px - _MIN_PX or left > camera.width_px or left + width < 0
    return None if beyond else ((left, top), (width, height), round(depth, 4))


def _cutout(ctx: SampleContext, options: Cutouts, seen_px: F64, rng: Generator) -> CutoutSpec:
    """One cut-out; `seen_px` (N, 2) are the joints inside the frame."""
    asset = _picture(ctx, options, rng)
    image = ctx.recipe.image
    scale = sample(options.height_share, rng) * image.height_px / asset.height_px
    scale = min(scale, options.max_scale)
    width, height = (max(2, round(side * scale)) for side in (asset.width_px, asset.height_px))
    x, y = rng.random(2) * (image.width_px, image.height_px)
    covers, rests, which = rng.random(3)
    over = covers < options.over_person
    if over and len(seen_px):
        x, y = seen_px[int(which * len(seen_px))]
    # The joint, or a random pixel, is in the middle 70 % of the picture.
    left = x - width * palette.between(0.15, 0.85, rng)
    top = y - height * palette.between(0.15, 0.85, rng)
    foot = palette.between(0.67, 1.08, rng) * image.height_px
    if rests < options.stands:
        top = max(foot, y if over else foot) - height
    gain, feather = sample(options.gain, rng), sample(options.feather_px, rng)
    return CutoutSpec(
        asset=asset.asset,
        kind=asset.category or "unknown",
        top_left_px=(float(round(left)), float(round(top))),
        size_px=(width, height),
        mirrored=bool(rng.random() < 0.5),
        gain=gain,
        feather_px=feather,
        depth_m=None if options.depth_m is None else sample(options.depth_m, rng),
    )


def _picture(ctx: SampleContext, options: Cutouts, rng: Generator) -> ImageAsset:
    """A picture: its category first, so that large categories do not dominate."""
    usable = usable_cutouts(options, ctx.catalogue.cutouts)
    left = ctx.allowed(usable, rng, held=ctx.occluder_held)
    if not left:
        raise RecipeError(
            "no cut-out is left to draw", where=f"{ctx.where}: folder {options.folder}"
        )
    category = pick_one(sorted({picture.category for picture in left}), rng)
    return pick_one([picture for picture in left if picture.category == category], rng)
