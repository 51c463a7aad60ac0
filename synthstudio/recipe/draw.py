"""All random choices of a frame, in order: `(recipe, index)` to a FrameSpec.

Each purpose has its own random stream, so adding a choice to one changes no other. Nothing
depends on time, the worker or other frames.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from synthstudio.core.arrays import F64
from synthstudio.core.camera import NEAR_M, Camera
from synthstudio.core.catalogue import CABIN, GeometryQueries
from synthstudio.core.errors import RecipeError
from synthstudio.core.spec import (
    Backdrop,
    FrameSpec,
    ObjectSpec,
    PersonSpec,
    PlaceBackdrop,
    RoomBackdrop,
)
from synthstudio.recipe.contacts.belts import draw_belts
from synthstudio.recipe.contacts.contacts import draw_contacts
from synthstudio.recipe.contacts.supports import blanket_to, seats_in
from synthstudio.recipe.contacts.together import draw_together
from synthstudio.recipe.layout import variants
from synthstudio.recipe.layout.furniture import furnish, furnished, places_of, with_space
from synthstudio.recipe.layout.objects import draw_cutouts, place_objects
from synthstudio.recipe.layout.placement import (
    Layout,
    NoRoom,
    Placed,
    corners,
    place_people,
    with_gaze,
)
from synthstudio.recipe.layout.variants import BaseSample, Occluders
from synthstudio.recipe.sampling import clips, view
from synthstudio.recipe.sampling.context import SampleContext, Unit, split_of
from synthstudio.recipe.sampling.light import (
    draw_light,
    draw_weather,
    picture_gain,
    under_clouds,
    with_sky,
)
from synthstudio.recipe.sampling.moving import draw_moving
from synthstudio.recipe.sampling.people import draw_people
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.recipe.search.goals import crowd_request, draw_targets
from synthstudio.recipe.search.people import finder, rotated_people
from synthstudio.recipe.search.scene_occluders import hide_people
from synthstudio.recipe.search.scene_visibility import any_person_visible

Group = tuple[FrameSpec, ...]
"""A moment's base frame and its variants."""
_SPOTS = 12
"""How many spots of photos and places are tried for a frame's people."""
_ATTEMPTS = 8
"""How many draws of a frame at most until a person is visible."""
SCREEN_LIMIT_PX = 2**22
"""Limit of the rasteriser's fixed-point coordinates."""


def draw(
    recipe: Recipe,
    index: int,
    geometry: GeometryQueries,
    *,
    group: Callable[[int], Group] | None = None,
) -> FrameSpec:
    """Frame `index` of the recipe: a pure function of both and the catalogue.

    A clip's times are consecutive; each time holds its group's frames in the order of
    `Variants.order`. `group` may be a cached `draw_group`. RecipeError for an unknown name, a
    hold-out that leaves nothing, or no room for people, objects or cameras.
    """
    if index < 0:
        raise RecipeError("frames count from 0", where="index", got=str(index))
    number, place = divmod(index, recipe.variants.per_moment)
    found = draw_group(recipe, number, geometry) if group is None else group(number)
    return dataclasses.replace(found[place], index=index)


def draw_group(
    recipe: Recipe,
    number: int,
    geometry: GeometryQueries,
    *,
    moment: Callable[[int], BaseSample] | None = None,
) -> Group:
    """Group `number` as seen by the first camera, followed by its variants.

    Without clips a group is a moment; with clips it is one time of a moment. `moment` may be a
    cached `draw_moment`. Each spec's index is still the group's number.
    """
    place, t = divmod(number, clips.frames_of(recipe))
    drawn = draw_moment(recipe, place, geometry) if moment is None else moment(place)
    base = drawn.base if recipe.clip is None else clips.at(drawn.ctx, drawn.base, t)
    return variants.group(dataclasses.replace(drawn, base=base))


def draw_moment(recipe: Recipe, number: int, geometry: GeometryQueries) -> BaseSample:
    """Moment `number` as seen by the first camera, or the start of its clip."""
    first = SampleContext(
        recipe=recipe, index=number, split=split_of(recipe, number), geometry=geometry
    )
    for attempt in range(_ATTEMPTS):
        ctx = first.again("attempt", attempt) if attempt else first
        behind, layout, standing = _peopled(ctx)
        ctx, camera = layout.ctx, layout.camera
        standing = _belted(layout, _covered(layout, standing))
        hiding = _hiding(layout, standing)
        items = [p.item for p in (*standing, *hiding.objects)]
        min_px = recipe.people.min_visible_px
        if any_person_visible(geometry, items, hiding.cutouts, camera, min_px=min_px):
            break
    others = tuple(
        _hiding(dataclasses.replace(layout, ctx=ctx.again("occluder", k)), standing)
        for k in range(recipe.variants.occluder)
    )
    standing += hiding.objects
    rig = variants.draw_rig(layout, standing)
    standing = variants.with_view_detail(ctx, standing, rig)

    persons = tuple(p.item for p in standing if isinstance(p.item, PersonSpec))
    cameras = (*clips.cameras(ctx, persons, camera), *rig)
    everything = [*standing, *(p for o in others for p in o.objects)]
    reach_m, top_m = _extent_m(cameras, everything)
    more = furnished(ctx, behind)
    reach_m = with_space(ctx, reach_m) if more else reach_m
    backdrop = view.draw_backdrop(ctx, behind, reach_m, top_m=top_m, focal_px=camera.focal_px)
    if more:
        place = furnish(ctx, backdrop, cameras, everything)
        standing, everything = [*standing, *place], [*everything, *place]
    light = draw_light(ctx, behind, camera, persons, backdrop)
    backdrop = with_sky(ctx, behind, backdrop, light)
    for eye in cameras:
        _check_range(ctx, eye, everything, backdrop)
    lens = view.draw_lens(ctx, len(persons))
    weather = draw_weather(ctx, backdrop)
    base = FrameSpec(
        seed=recipe.seed,
        index=number,
        camera=camera,
        people=persons,
        objects=variants.in_order([p.item for p in standing if isinstance(p.item, ObjectSpec)]),
        cutouts=hiding.cutouts,
        weather=weather,
        backdrop=backdrop,
        light=under_clouds(light, weather),
        lens=lens,
        moving=draw_moving(ctx, persons, lens),
        skeleton=recipe.skeleton,
        supersample=recipe.image.supersample,
        split=ctx.split,
        group_id=f"{recipe.seed}-{number}",
        targets=hiding.targets,
        crowd_target=layout.crowd,
        shadow_box_m=variants.shadow_box_m(everything)
        if recipe.variants.order or recipe.clip
        else None,
        attempt=attempt,
    )
    return BaseSample(base=base, ctx=ctx, behind=behind, others=others, rig=rig)


Peopled = tuple[view.Behind, Layout, list[Placed]]


def _peopled(ctx: SampleContext) -> Peopled:
    """The backdrop, the camera's layout and its people; without room, at another spot."""
    for attempt in range(_SPOTS):
        behind = view.draw_behind(ctx, attempt)
        try:
            return _peopled_before(ctx, behind)
        except NoRoom:
            if (behind.spot is None and behind.stand is None) or attempt == _SPOTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def _peopled_before(ctx: SampleContext, behind: view.Behind) -> Peopled:
    ctx = dataclasses.replace(ctx, places=places_of(ctx, behind))
    camera, distance_m = view.draw_camera(ctx, behind)
    behind = view.with_light(ctx, behind, camera)
    seats = bool(seats_in(ctx))
    people = draw_people(ctx, seats=seats, moves=True)
    people = clips.headed(ctx, camera, clips.starting_motions(ctx, people))
    people, contacts = draw_contacts(ctx, people)
    layout = Layout(
        ctx=ctx,
        camera=camera,
        distance_m=distance_m,
        contacts=contacts,
        footing=view.footing(behind, camera),
        gain=picture_gain(behind.light),
        targets=draw_targets(ctx, len(people)),
        crowd=crowd_request(ctx),
    )
    people = rotated_people(layout, people, seats=seats)
    together = draw_together(ctx, people)
    if together:
        own = {place: contact for place, contact in contacts.items() if place >= len(together)}
        joined = dataclasses.replace(layout, together=together, contacts=own)
        with suppress(NoRoom):  # then each is placed alone
            return behind, joined, _placed(joined, people)
    return behind, layout, _placed(layout, people)


def _placed(layout: Layout, people: tuple[Unit, ...]) -> list[Placed]:
    return with_gaze(layout, place_people(layout, people, find=finder(layout)))


def _covered(layout: Layout, standing: list[Placed]) -> list[Placed]:
    """The same items, blankets pulled up as far as the targets of who lies under them say."""
    if not (layout.targets and layout.ctx.recipe.targets.search):
        return standing
    out = list(standing)
    for k, (bed, blanket) in enumerate(itertools.pairwise(p.item for p in standing), 1):
        if isinstance(blanket, ObjectSpec) and blanket.heights_m and blanket.held_by is not None:
            place = blanket.held_by
            person, share = standing[place].item, layout.targets[place].occluded_fraction
            if share is not None:
                assert isinstance(person, PersonSpec) and isinstance(bed, ObjectSpec)
                new = blanket_to(layout.ctx, layout.camera, person, bed, place, share)
                out[k] = layout.placed(new)
    return out


def _belted(layout: Layout, standing: list[Placed]) -> list[Placed]:
    """The items, and the fastened belts of who sits in a car."""
    items = [p.item for p in standing]
    belts = (
        draw_belts(layout.ctx, person, place, cabin)
        for cabin in items
        if isinstance(cabin, ObjectSpec) and cabin.kind == CABIN
        for place, person in enumerate(items)
        if isinstance(person, PersonSpec)
    )
    return [*standing, *map(layout.placed, itertools.chain.from_iterable(belts))]


def _hiding(layout: Layout, standing: list[Placed]) -> Occluders:
    objects, targets = place_objects(layout, standing), layout.targets
    if targets:
        put, targets = hide_people(layout, [*standing, *objects])
        objects += put
    cutouts = draw_cutouts(layout, [*standing, *objects])
    return Occluders(objects=tuple(objects), cutouts=cutouts, targets=targets)


def _extent_m(cameras: tuple[Camera, ...], standing: list[Placed]) -> tuple[view.Reach, float]:
    """(low, high) along x and along y of the cameras and all items, and their highest z."""
    spots = np.array([*(camera.position_m[:2] for camera in cameras), (0.0, 0.0)])
    boxes = [box for p in standing for box in p.box_m[:, :2]]
    every = np.concatenate([spots, np.array(boxes).reshape(-1, 2)])
    low, high = every.min(axis=0), every.max(axis=0)
    tops = [camera.position_m[2] for camera in cameras] + [float(p.box_m[1, 2]) for p in standing]
    return ((float(low[0]), float(high[0])), (float(low[1]), float(high[1]))), max(tops)


def _check_range(
    ctx: SampleContext, camera: Camera, standing: list[Placed], backdrop: Backdrop
) -> None:
    """Raise RecipeError where a corner would leave the rasteriser's range.

    Geometry crossing the near plane is clipped there: it reaches focal x extent / near.
    """
    boxes: list[F64] = [p.box_m for p in standing]
    if isinstance(backdrop, RoomBackdrop):
        (x, y), (width, depth, height) = backdrop.centre_m, backdrop.size_m
        low, high = (x - width / 2, y - depth / 2, 0.0), (x + width / 2, y + depth / 2, height)
        boxes.append(np.array([low, high]))
    if isinstance(backdrop, PlaceBackdrop):
        size = next(p.size_m for p in ctx.catalogue.places if p.asset == backdrop.asset)
        radius = math.hypot(*size[:2]) / 2
        reach = np.array([(-radius, -radius, 0.0), (radius, radius, size[2])])
        boxes.append(np.array(backdrop.position_m) + reach)
    for box in boxes:
        seen = camera.to_camera(corners(box))
        near = max(float(seen[:, 2].min()), NEAR_M)
        reach_px = float(np.abs(seen[:, :2]).max()) * camera.pinhole.focal_px / near
        if seen[:, 2].max() > NEAR_M and reach_px > SCREEN_LIMIT_PX:
            raise RecipeError(
                "something reaches too far beyond the picture to be drawn exactly",
                where=ctx.where,
                expected=f"at most {SCREEN_LIMIT_PX:,} pixels from the middle",
                got=f"{reach_px:,.0f}",
                then="Use a wider angle of view, a smaller picture or a smaller room.",
            )
