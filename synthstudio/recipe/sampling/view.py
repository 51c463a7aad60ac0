"""Camera, backdrop, lens and clothing detail of a frame."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from synthstudio.core.camera import NEAR_M, Camera, look_at
from synthstudio.core.catalogue import ImageAsset, PlaceAsset
from synthstudio.core.errors import RecipeError
from synthstudio.core.photo import PlaceLight
from synthstudio.core.rng import Generator
from synthstudio.core.spec import (
    AssetRef,
    Backdrop,
    Detail,
    HdriBackdrop,
    LensSpec,
    Pattern,
    PhotoBackdrop,
    PlainBackdrop,
    RoomBackdrop,
    Vec2,
    Vec3,
)
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.context import SampleContext, asset_held, usable_photos
from synthstudio.recipe.sampling.places import (
    Footing,
    Spot,
    Stand,
    about,
    draw_spot,
    draw_stand,
    ground_camera,
    local_light,
)
from synthstudio.recipe.schema import scene as scene_schema
from synthstudio.recipe.schema.distributions import pick, sample, sample_count

Reach = tuple[Vec2, Vec2]
"""(low, high) along x and along y."""
Picked = TypeVar("Picked", ImageAsset, PlaceAsset)

_MARGIN_M = 0.4
_OPEN_M = 100.0
_OPEN_PX = 40_000.0
"""An open floor's side times the focal length: a tenth of the rasteriser's limit."""
_OPEN_FLOORS: dict[Pattern, float] = {"grass": 4.0, "planks": 0.0, "plain": 0.0, "tiles": 0.0}
"""Relative weight of a floor outdoors."""


@dataclass(frozen=True, kw_only=True)
class Behind:
    """The chosen backdrop, and its photo's camera data from the sidecar."""

    options: scene_schema.Single
    photo: PhotoBackdrop | None = None
    facts: ImageAsset | None = None
    spot: Spot | None = None  # on the photo's floor, if that is known
    stand: Stand | None = None  # in a place
    light: PlaceLight | None = None  # of the photo, if people are lit by it
    hdri: HdriBackdrop | None = None
    place: str = ""  # of a room: indoors where it has walls, else outdoors


def draw_behind(ctx: SampleContext, attempt: int) -> Behind:
    """The backdrop; a room is built later, around all of its items.

    Later attempts choose another photo with a known floor, or another spot of a place.
    """
    rng = ctx.rng("backdrop")
    backdrops = ctx.recipe.backdrops
    options = backdrops[pick({i: each.weight for i, each in enumerate(backdrops)}, rng)].backdrop
    rng = ctx.rng("backdrop", attempt) if attempt else rng
    if isinstance(options, scene_schema.Photo):
        places = usable_photos(options, ctx.catalogue.backgrounds)
        asset = _asset(ctx, places, options.folder, rng)
        known = asset.ground if options.ground == "known" else None
        spot = None if known is None else draw_spot(ctx, asset, known, attempt)
        photo = _cropped(ctx, options, asset, rng, spot)
        return Behind(options=options, photo=photo, facts=asset, spot=spot)
    if isinstance(options, scene_schema.Hdri):
        asset = _asset(ctx, ctx.catalogue.hdris, options.folder, rng)
        return Behind(options=options, hdri=draw_hdri(options, asset.asset, rng))
    if isinstance(options, scene_schema.Place):
        chosen = _asset(ctx, ctx.catalogue.places, options.folder, rng)
        return Behind(options=options, stand=draw_stand(ctx, chosen, attempt))
    if isinstance(options, scene_schema.Room):
        walls = ctx.rng("walls").random() < options.walls
        return Behind(options=options, place="indoors" if walls else "outdoors")
    return Behind(options=options)


def draw_hdri(options: scene_schema.Hdri, asset: AssetRef, rng: Generator) -> HdriBackdrop:
    yaw_rad = math.radians(sample(options.yaw_deg, rng))
    return HdriBackdrop(asset=asset, yaw_rad=yaw_rad, gain=sample(options.gain, rng))


def _asset(ctx: SampleContext, assets: Sequence[Picked], folder: str, rng: Generator) -> Picked:
    held = asset_held(ctx.recipe.holdout.backgrounds)
    left = ctx.allowed(assets, rng, held=lambda image: held(image.asset))
    if not left:
        raise RecipeError("no picture is left to choose", where=f"{ctx.where}: folder {folder}")
    return left[int(rng.random() * len(left))]


def _cropped(
    ctx: SampleContext,
    options: scene_schema.Photo,
    asset: ImageAsset,
    rng: Generator,
    spot: Spot | None,
) -> PhotoBackdrop:
    """The largest crop of the frame's shape that contains the spot, mirrored or not.

    Where the sidecar gives the pitch but no angle of view, the crop keeps the photo's middle
    row, so that the pitch stays true.
    """
    image = ctx.recipe.image
    scale = min(asset.width_px / image.width_px, asset.height_px / image.height_px)
    width, height = image.width_px * scale, image.height_px * scale
    x0 = (asset.width_px - width) * float(rng.random())
    share = float(rng.random())
    if asset.pitch_rad is not None and asset.vertical_fov_rad is None:
        share = 0.5
    y0 = (asset.height_px - height) * share
    if spot is not None:
        x0, y0 = about(spot, asset, (x0, y0), (width, height))
    return PhotoBackdrop(
        asset=asset.asset,
        crop_px=(x0, y0, min(x0 + width, asset.width_px), min(y0 + height, asset.height_px)),
        mirrored=bool(rng.random() < options.mirrored),
    )


def draw_camera(ctx: SampleContext, behind: Behind) -> tuple[Camera, float]:
    """The camera and its distance in metres from the group's middle, the world's origin.

    The camera is on the world's -y side. A photo's sidecar decides height, pitch and angle
    of view if known (focal length and principal point follow its crop); with a photo of known
    floor, the camera is the photo's.
    """
    rng = ctx.rng("camera")
    options, image, facts = ctx.recipe.camera, ctx.recipe.image, behind.facts
    distance, height = sample(options.distance_m, rng), sample(options.height_m, rng)
    fov = math.radians(sample(options.vertical_fov_deg, rng))
    aim, shift = sample(options.aim_height_m, rng), sample(options.off_centre, rng)
    roll = math.radians(sample(options.roll_deg, rng))
    pitch = None if options.pitch_deg is None else math.radians(sample(options.pitch_deg, rng))
    focal, centre = image.height_px / 2 / math.tan(fov / 2), None
    if facts is not None and behind.photo is not None:
        height = facts.camera_height_m if facts.camera_height_m is not None else height
        pitch = facts.pitch_rad if facts.pitch_rad is not None else pitch
        roll = 0.0 if facts.pitch_rad is not None else roll
        seen = (facts if behind.spot is None else behind.spot.ground).vertical_fov_rad
        if seen is not None:
            focal, centre = _of_crop(facts, seen, behind.photo, image.width_px)
    if behind.stand is not None:
        distance, height = behind.stand.distance_m, behind.stand.height_m
    position = (0.0, -distance, height)
    camera = Camera(
        width_px=image.width_px,
        height_px=image.height_px,
        focal_px=focal,
        position_m=position,
        # Turning left moves the group to the right of the picture.
        yaw_rad=math.atan(shift * image.width_px / focal),
        pitch_rad=look_at(position, (0.0, 0.0, aim))[1] if pitch is None else pitch,
        roll_rad=roll,
        centre_px=centre,
        distortion=None if behind.photo is not None else _distortion(ctx),
    )
    if behind.spot is not None and behind.photo is not None:
        own = ground_camera(behind.spot, camera, mirrored=behind.photo.mirrored)
        return own, -own.position_m[1]
    return camera, distance


def _distortion(ctx: SampleContext) -> Vec2 | None:
    options, rng = ctx.recipe.lens.distortion, ctx.rng("distortion")
    if options is None:
        return None
    k = sample(options.k1, rng), sample(options.k2, rng)
    return k if any(k) else None


def footing(behind: Behind, camera: Camera) -> Footing | Stand | None:
    """The floor to which people are restricted; None if unrestricted."""
    if behind.stand is not None:
        return behind.stand
    facts = behind.facts
    if behind.spot is None or behind.photo is None or facts is None:
        return None
    size = (facts.width_px, facts.height_px)
    return Footing(ground=behind.spot.ground, photo=behind.photo, size_px=size, camera=camera)


def with_light(ctx: SampleContext, behind: Behind, camera: Camera) -> Behind:
    """The backdrop with the light measured in a photo about the people, if it lights them."""
    if behind.photo is None or not ctx.recipe.light.from_photo:
        return behind
    return replace(behind, light=local_light(ctx.geometry, behind.photo, camera))


def _of_crop(
    facts: ImageAsset, fov_rad: float, photo: PhotoBackdrop, width_px: int
) -> tuple[float, Vec2]:
    """Focal length and principal point in frame pixels of a photo's crop."""
    x0, y0, x1, _ = photo.crop_px
    scale = width_px / (x1 - x0)
    focal = facts.height_px / 2 / math.tan(fov_rad / 2) * scale
    x, y = (facts.width_px / 2 - x0) * scale, (facts.height_px / 2 - y0) * scale
    return focal, (width_px - x if photo.mirrored else x, y)


def draw_backdrop(
    ctx: SampleContext, behind: Behind, reach_m: Reach, *, top_m: float, focal_px: float
) -> Backdrop:
    """The backdrop; a room contains `reach_m`.

    A ceiling is above `top_m`.
    """
    if behind.photo is not None:
        return behind.photo
    if behind.hdri is not None:
        return behind.hdri
    if behind.stand is not None:
        place = behind.stand.backdrop()
        return replace(place, sky_rgb=dimmed(place.sky_rgb, flash_share(ctx)))
    if isinstance(behind.options, scene_schema.Room):
        room = _room(ctx, behind.options, reach_m, focal_px, walls=behind.place == "indoors")
        room = _covered(room, behind.options, top_m, ctx.shared_rng("ceiling"))
        return replace(room, sky_rgb=dimmed(room.sky_rgb, flash_share(ctx)))
    assert isinstance(behind.options, scene_schema.Plain)
    rng = ctx.rng("room")
    grey = sample(behind.options.brightness, rng)
    tints = [palette.between(0.9, 1.1, rng) for _ in range(3)]
    fall = palette.between(0.55, 1.0, rng)
    top: Vec3 = (grey * tints[0], grey * tints[1], grey * tints[2])
    return PlainBackdrop(top_rgb=top, bottom_rgb=(top[0] * fall, top[1] * fall, top[2] * fall))


def _room(
    ctx: SampleContext, options: scene_schema.Room, reach_m: Reach, focal_px: float, *, walls: bool
) -> RoomBackdrop:
    """A room of the requested size, enlarged where an item would be in a wall.

    Excess size goes to a random side. Without walls the floor runs on to the apparent horizon, and
    is grass more often; with walls it is not grass unless nothing else is allowed.
    """
    rng = ctx.rng("room")
    minimum = [sample(options.width_m, rng), sample(options.depth_m, rng)]
    height = sample(options.height_m, rng)
    if not walls:
        minimum = [min(_OPEN_M, _OPEN_PX / focal_px)] * 2
    centre, size = [], []
    for (low, high), side in zip(reach_m, minimum, strict=True):
        need = high - low + 2 * _MARGIN_M
        spare = max(0.0, side - need)
        start = low - _MARGIN_M - spare * (palette.between(0.15, 0.85, rng) if walls else 0.5)
        size.append(need + spare)
        centre.append(start + (need + spare) / 2)
    wall = pick(options.wall_patterns, rng)
    return RoomBackdrop(
        size_m=(size[0], size[1], height),
        centre_m=(centre[0], centre[1]),
        floor=palette.surface(floor_pattern(ctx, options, walls=walls), rng),
        wall=palette.wall(wall, rng),
        walls=walls,
    )


def _covered(
    room: RoomBackdrop, options: scene_schema.Room, top_m: float, rng: Generator
) -> RoomBackdrop:
    if not room.walls or rng.random() >= options.ceilings:
        return room
    width, depth, height = room.size_m
    high = (width, depth, max(height, top_m + _MARGIN_M))
    return replace(room, size_m=high, ceiling=palette.wall("plain", rng))


def floor_pattern(ctx: SampleContext, options: scene_schema.Room, *, walls: bool) -> Pattern:
    by: dict[Pattern, float] = {"grass": 0.0} if walls else _OPEN_FLOORS
    floors = {p: w * by.get(p, 1.0) for p, w in options.floor_patterns.items()}
    return pick(floors if any(floors.values()) else options.floor_patterns, ctx.shared_rng("floor"))


def flash_share(ctx: SampleContext) -> float:
    """The fraction of the group's light that is a flash's.

    Shared by all variants: the sky of a room, also shared, is darkened by it.
    """
    return sample(ctx.recipe.light.flash, ctx.shared_rng("flash"))


def dimmed(rgb: Vec3, share: float) -> Vec3:
    return (rgb[0] * (1 - share), rgb[1] * (1 - share), rgb[2] * (1 - share)) if share else rgb


def draw_lens(ctx: SampleContext, people: int) -> LensSpec:
    """Effects of lens, sensor and encoder with so many people; unused values are drawn, too."""
    rng = ctx.rng("lens")
    options = ctx.recipe.lens
    blurred, shaken, noisy = rng.random(3) < (options.blur, options.motion, options.noise)
    blur, motion = sample(options.blur_sigma_px, rng), sample(options.motion_px, rng)
    noise = sample(options.noise_sigma, rng)
    balance, tone = ctx.rng("white balance"), ctx.rng("tone curve")
    lens = LensSpec(
        blur_sigma_px=blur if blurred else 0.0,
        motion_px=motion if shaken else 0.0,
        motion_angle_rad=math.pi * float(rng.random()) if shaken else 0.0,
        noise_sigma=noise if noisy else 0.0,
        noise_seed=int(rng.integers(2**31)),
        exposure_ev=sample(options.exposure_ev, rng),
        vignette=sample(options.vignette, rng),
        jpeg_quality=sample_count(options.jpeg_quality, rng),
        white_balance_mired=sample(options.white_balance_mired, balance),
        tint_ev=sample(options.tint_ev, balance),
        iso=sample(options.iso, ctx.rng("sensor")),
        contrast=sample(options.contrast, tone),
        sharpening=sample(options.sharpening, tone),
        exposure_s=sample(options.exposure_s, ctx.rng("exposure")),
        readout_s=sample(options.readout_s, ctx.rng("readout")),
    )
    rng = ctx.rng("focus")
    wanted, who = rng.random() < options.defocus, int(rng.integers(max(people, 1)))
    aperture, error = sample(options.aperture_mm, rng) / 1e3, sample(options.focus_error, rng)
    if not (wanted and people):
        return lens
    return replace(lens, aperture_m=aperture, focus_on=who, focus_error=error)


# Detail ----------------------------------------------------------------------------------

FINE_FROM_PX = 300
"""People at least so high in the picture wear fine clothes: below it coarse ones look the
same at a glance."""
_STATURE_M = 1.75


def detail_at(camera: Camera, x_m: float, y_m: float) -> Detail:
    """The detail for a person at that place on the floor; independent of the pose."""
    depth_m = float(camera.to_camera(np.array([x_m, y_m, _STATURE_M / 2]))[2])
    height_px = _STATURE_M * camera.focal_px / max(depth_m, NEAR_M)
    return "fine" if height_px >= FINE_FROM_PX else "coarse"
