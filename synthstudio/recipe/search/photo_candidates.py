"""Candidates for a paste: a cut-out, a rendered object or a rendered person, in true size.

An object at fraction t of a person's distance is 1/t times as large as beside the person, and
its foot is on the floor at that distance: `horizon + (foot - horizon) / t`.
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from synthstudio.core.arrays import F64
from synthstudio.core.camera import Camera
from synthstudio.core.catalogue import GeometryQueries, ImageAsset, ObjectKind
from synthstudio.core.errors import RecipeError
from synthstudio.core.photo import PasteSpec, PhotoPerson, PhotoView
from synthstudio.core.rng import Generator
from synthstudio.core.spec import CutoutSpec, LightSpec, ObjectSpec, PersonSpec, Vec3
from synthstudio.recipe.layout.objects import design, kinds_left
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.context import SampleContext, pick_one
from synthstudio.recipe.sampling.light import match_light, picture_gain, towards
from synthstudio.recipe.sampling.people import draw_people
from synthstudio.recipe.sampling.true_sizes import stands_m, true_size
from synthstudio.recipe.sampling.view import detail_at
from synthstudio.recipe.schema.distributions import pick, sample
from synthstudio.recipe.schema.people import PhotoCutouts
from synthstudio.recipe.search.photo_visibility import Card
from synthstudio.recipe.search.scene_visibility import corner_px, window

_CARD_SAMPLES = 144
_NEAREST_M, _NEAREST_PERSON_M = 0.8, 1.0
_NEAR_M, _NEAR_AHEAD, _NEAR_YAW_RAD = (1.1, 2.4), 0.7, 0.8
"""Close to the camera: distance, at most this fraction of the hidden person's; turned away from the
camera by all but this much."""
_APERTURE_M = (0.002, 0.012)
"""From a phone's to a fast camera's."""
_MIN_AHEAD, _MIN_PERSON_AHEAD = 0.4, 0.3
"""Minimum distance as a fraction of the hidden person's: nearer, it would be a giant."""
_BELOW = 1.02
"""In picture heights: where a foot is certainly out of the picture."""
_BEHIND = 0.95
_WITHIN_REACH_M = (0.5, 1.6)
"""Non-standing objects are held or lie on a table, so far from the camera ..."""
_CLOSE_UP_M = 6.0
"""... and only in front of people near it themselves."""
_EYE_RANGE_M = (0.5, 3.5)
_MAX_PITCH_RAD = math.radians(50)
_MIN_SIDE_PX = 8
_SOFT = 0.5
UNNAMED = "unknown"
"""The category of pictures that are in no manifest."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Item:
    """A candidate at its card's current place; `px_per_m`: the local scale."""

    paste: PasteSpec
    card: Card
    foot_px: float
    px_per_m: float


def draw_item(
    ctx: SampleContext, view: PhotoView, person: PhotoPerson, kind: str, rng: Generator
) -> Item | None:
    """A candidate in front of a person; None if the drawn one is impossible there."""
    options = ctx.recipe.photo_options
    if kind == "near":
        return _near(ctx, view, person, rng)
    if kind == "cutout":
        return _cutout(ctx, view, person, rng)
    ahead = _ahead(view, person, 1 - sample(options.between, rng))
    camera = ground_camera(view, person)
    spot = _feet_m(camera, person) * ahead
    nearest, minimum = (
        (_NEAREST_PERSON_M, _MIN_PERSON_AHEAD) if kind == "person" else (_NEAREST_M, _MIN_AHEAD)
    )
    if ahead < minimum or float(camera.to_camera(np.array([*spot, 0.0]))[2]) < nearest:
        return None
    item: ObjectSpec | PersonSpec
    if kind == "object":
        entries = ctx.recipe.objects
        entry = entries[int(rng.random() * len(entries))]
        made = pick(kinds_left(ctx, entry, rng), rng)
        if isinstance(made, ObjectKind) and options.ground == "known":
            made = dataclasses.replace(made, patterns=())
        item = design(entry, made, palette.materials(made, rng), rng, shrink=0.0)
    else:
        item = _person_at(ctx, camera, spot)
    light = _light(person, rng, soft=options.ground == "known")
    return _standing(ctx.geometry, person, camera, item, spot, light)


def _near(ctx: SampleContext, view: PhotoView, person: PhotoPerson, rng: Generator) -> Item | None:
    """A person close to the camera, out of focus, cut by the picture's lower edge."""
    away = view.focal_px / person.px_per_m
    ahead = palette.between(*_NEAR_M, rng) / away
    camera = ground_camera(view, person)
    horizon = person.foot_px - camera.position_m[2] * person.px_per_m
    foot = horizon + (person.foot_px - horizon) / ahead
    if not person.feet_seen or ahead > _NEAR_AHEAD or foot < _BELOW * view.height_px:
        return None
    spot = _feet_m(camera, person) * ahead
    yaw = math.pi + palette.between(-_NEAR_YAW_RAD, _NEAR_YAW_RAD, rng)
    item = dataclasses.replace(_person_at(ctx, camera, spot), yaw_rad=round(yaw, 4))
    made = _standing(ctx.geometry, person, camera, item, spot, _light(person, rng, soft=True))
    blur = view.focal_px * palette.between(*_APERTURE_M, rng) * (1 / (ahead * away) - 1 / away) / 4
    paste = dataclasses.replace(made.paste, grounded=False, blur_sigma_px=round(blur, 3))
    return dataclasses.replace(made, paste=paste)


def _person_at(ctx: SampleContext, camera: Camera, spot: F64) -> PersonSpec:
    item, _ = draw_people(ctx, seats=False)[0]
    return dataclasses.replace(item, detail=detail_at(camera, float(spot[0]), float(spot[1])))


def is_reachable(view: PhotoView, person: PhotoPerson, *, known: bool) -> bool:
    """Whether objects can stand before a person: not before a spectator high in a stand.

    `known`: nor in a photo without visible ground, nor before a person not standing on it.
    """
    if known and (view.ground is None or not person.feet_seen or not person.upright):
        return False
    ahead = _ahead(view, person, 1.0)
    return ahead >= _MIN_AHEAD and ahead * view.focal_px / person.px_per_m >= _NEAREST_M


def _ahead(view: PhotoView, person: PhotoPerson, ahead: float) -> float:
    """The fraction of a person's distance at which an object may stand.

    A person without visible feet sits at a table, or is behind a wall or other people: an object
    with its foot in the picture would stand on those. It is so near that the picture cuts it off.
    """
    if person.feet_seen:
        return ahead
    horizon = person.foot_px - _eye_m(view, person) * person.px_per_m
    return min(ahead, (person.foot_px - horizon) / (_BELOW * view.height_px - horizon))


def _eye_m(view: PhotoView, person: PhotoPerson) -> float:
    return float(np.clip((person.foot_px - view.horizon_px) / person.px_per_m, *_EYE_RANGE_M))


def ground_camera(view: PhotoView, person: PhotoPerson) -> Camera:
    """The guessed camera with the floor under a person's feet at z = 0."""
    eye = _eye_m(view, person)
    horizon = person.foot_px - eye * person.px_per_m
    pitch = math.atan((horizon - view.height_px / 2) / view.focal_px)
    return Camera(
        width_px=view.width_px,
        height_px=view.height_px,
        focal_px=view.focal_px,
        position_m=(0.0, 0.0, round(eye, 4)),
        yaw_rad=0.0,
        pitch_rad=round(float(np.clip(pitch, -_MAX_PITCH_RAD, _MAX_PITCH_RAD)), 6),
    )


def _feet_m(camera: Camera, person: PhotoPerson) -> F64:
    """(2,) the floor point under a person's feet; the camera is over the origin."""
    k, px = camera.K, (person.box_px[0] + person.box_px[2] / 2, person.foot_px)
    ray = np.array([(px[0] - k[0, 2]) / k[0, 0], (px[1] - k[1, 2]) / k[1, 1], 1.0])
    down = camera.to_world(ray) - np.array(camera.position_m)
    reach = camera.position_m[2] / max(-float(down[2]), 1e-3)
    return np.asarray(down[:2] * reach)


def moved(geometry: GeometryQueries, item: Item, shift_px: float) -> Item:
    """The item moved to the right; 3D items are rendered anew."""
    paste = item.paste
    if paste.cutout is not None:
        return dataclasses.replace(item, card=item.card.moved(float(round(shift_px))))
    solid = paste.object or paste.person
    assert solid is not None
    x, y, z = solid.position_m
    paste = _at(paste, solid, (round(x + shift_px / item.px_per_m, 4), y, z))
    return dataclasses.replace(item, paste=paste, card=_card(geometry, paste))


def _at(paste: PasteSpec, item: ObjectSpec | PersonSpec, place_m: Vec3) -> PasteSpec:
    if isinstance(item, ObjectSpec):
        return dataclasses.replace(paste, object=dataclasses.replace(item, position_m=place_m))
    return dataclasses.replace(paste, person=dataclasses.replace(item, position_m=place_m))


def pasted(item: Item) -> PasteSpec:
    cutout = item.paste.cutout
    if cutout is None:
        return item.paste
    place = (item.card.left_px, cutout.top_left_px[1])
    return dataclasses.replace(item.paste, cutout=dataclasses.replace(cutout, top_left_px=place))


def _standing(
    geometry: GeometryQueries,
    person: PhotoPerson,
    camera: Camera,
    item: ObjectSpec | PersonSpec,
    spot: F64,
    light: LightSpec,
) -> Item:
    height = geometry.drop_m(item) if isinstance(item, PersonSpec) else 0.0
    place: Vec3 = (round(float(spot[0]), 4), round(float(spot[1]), 4), height)
    paste = PasteSpec(
        instance=0,
        over=person.instance,
        camera=camera,
        light=light,
        surroundings=person.light.grey,
    )
    paste = _at(paste, item, place)
    ground = camera.to_camera(np.array([*place[:2], 0.0]))
    return Item(
        paste=paste,
        card=_card(geometry, paste),
        foot_px=float(camera.project(ground)[1]),
        px_per_m=camera.focal_px / float(ground[2]),
    )


def _card(geometry: GeometryQueries, paste: PasteSpec) -> Card:
    item = paste.object or paste.person
    assert item is not None
    camera = paste.camera
    eye = window(camera, geometry.box_m(item), samples=_CARD_SAMPLES, whole=True)
    alpha = np.isfinite(geometry.depths_m((item,), eye)).astype(np.float32)
    scale = eye.focal_px / camera.focal_px
    left, top = corner_px(camera, eye)
    return Card(alpha=alpha, left_px=left, top_px=top, per_px=1 / scale)


def _light(person: PhotoPerson, rng: Generator, *, soft: bool) -> LightSpec:
    """Light from a sun in front of the person, as strong as the photo's estimate.

    `soft`: half as strong, as the photo's sun direction is unknown.
    """
    azimuth = (float(rng.random()) * 2 - 1) * math.radians(75)
    elevation = math.radians(palette.between(42, 65, rng))
    share = 0.5 + 0.3 * max(0.0, person.light.contrast - 0.5) / 0.5
    return match_light(person.light, towards(azimuth, elevation), share * (_SOFT if soft else 1.0))


# Cut-outs ----------------------------------------------------------------------------------


def _cutout(
    ctx: SampleContext, view: PhotoView, person: PhotoPerson, rng: Generator
) -> Item | None:
    options = ctx.recipe.occlude
    assert options is not None and options.cutouts is not None  # ensured by the caller
    picture = _picture(ctx, options.cutouts, rng)
    asset, category = picture.asset, picture.category or UNNAMED
    low_m, high_m, stands = true_size(category)
    own = options.cutouts.sizes_m.get(category)
    tall = stands_m(picture) if options.ground == "known" and own is None else None
    if tall is not None:
        low_m, high_m, stands = *tall, True
    metres = palette.between(low_m, high_m, rng) if own is None else sample(own, rng)
    ahead = 1 - sample(options.between, rng)
    if stands:
        ahead = _ahead(view, person, ahead)
    away = view.focal_px / person.px_per_m
    if not stands:
        ahead = palette.between(*_WITHIN_REACH_M, rng) / away
    lies, flip = float(rng.random()), bool(rng.random() < 0.5)
    too_near = stands and (ahead * away < _NEAREST_M or ahead < _MIN_AHEAD)
    if too_near or ahead > _BEHIND or (not stands and away > _CLOSE_UP_M):
        return None
    per_m = person.px_per_m / ahead
    outline = view.outline(asset)
    longer = outline.height_px if tall else max(outline.width_px, outline.height_px)
    scale = metres * per_m / longer
    if scale > options.cutouts.max_scale:
        return None
    width, height = (max(1, round(v * scale)) for v in (outline.width_px, outline.height_px))
    if max(width, height) < _MIN_SIDE_PX or max(width, height) > 4096:
        return None
    camera = ground_camera(view, person)
    horizon = person.foot_px - camera.position_m[2] * person.px_per_m
    foot = horizon + (person.foot_px - horizon) / ahead
    bottom = foot if stands else view.height_px + height * (0.22 + 0.4 * lies)
    left, top = person.box_px[0] + person.box_px[2] / 2 - width / 2, bottom - height
    if top > view.height_px - 4:
        return None
    place = (float(round(left)), float(round(top)))
    gain = picture_gain(person.light)
    red, green, blue = (round(gain * tint, 4) for tint in person.light.tint)
    paste = PasteSpec(
        instance=0,
        over=person.instance,
        camera=camera,
        light=_light(person, rng, soft=options.ground == "known"),
        surroundings=person.light.grey,
        gain_rgb=(red, green, blue),
        grounded=stands,
        cutout=CutoutSpec(
            asset=asset,
            kind=category,
            top_left_px=place,
            size_px=(width, height),
            mirrored=flip,
            feather_px=0.6,
        ),
    )
    alpha = outline.alpha[:, ::-1] if flip else outline.alpha
    # The outline has the picture's shape; its samples may be slightly off square.
    card = Card(alpha=alpha, left_px=place[0], top_px=place[1], per_px=width / alpha.shape[1])
    return Item(paste=paste, card=card, foot_px=max(foot, bottom), px_per_m=per_m)


def _picture(ctx: SampleContext, options: PhotoCutouts, rng: Generator) -> ImageAsset:
    left = ctx.allowed(ctx.catalogue.cutouts, rng, held=ctx.occluder_held)
    ground = ctx.recipe.photo_options.ground
    if ground == "known":
        left = tuple(c for c in left if c.category in options.sizes_m or stands_m(c) is not None)
    weights = options.categories
    names = sorted({picture.category or UNNAMED for picture in left})
    if weights is not None:
        names = [name for name in names if weights.get(name, 0.0) > 0]
    if not names:
        raise RecipeError(
            "no cut-out is left to draw",
            where=f"{ctx.where}: occlude.cutouts",
            got=f"{len(left)} pictures, none of a category of the recipe's",
            then="Name their categories, or leave categories out.",
        )
    category = pick_one(names, rng, weights=None if weights is None else dict(weights))
    return pick_one([p for p in left if (p.category or UNNAMED) == category], rng)
