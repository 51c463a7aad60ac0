"""Camera, backdrop, light, lens and the detail of clothes: how a frame is seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthstudio.core.camera import NEAR_M, Camera, look_at
from synthstudio.core.errors import RecipeError
from synthstudio.core.rng import Generator
from synthstudio.core.solve import ImageAsset
from synthstudio.core.spec import (
    Backdrop,
    Detail,
    HdriBackdrop,
    LensSpec,
    LightSpec,
    Pattern,
    PhotoBackdrop,
    PlainBackdrop,
    RoomBackdrop,
    Vec2,
    Vec3,
)
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.choose import Draw, asset_held
from synthstudio.recipe.schema import scene as scene_schema
from synthstudio.recipe.schema.distributions import pick, sample, sample_count

GROUND_ALBEDO = 0.3
_HEADROOM = 0.85
_MARGIN_M = 0.4
_OPEN_M = 100.0
_OPEN_PX = 40_000.0
"""An open floor's side times the focal length: a tenth of what the rasteriser can hold."""
_OPEN_FLOORS: dict[Pattern, float] = {"grass": 4.0, "planks": 0.1, "tiles": 0.3}
"""How much more often, or less, a floor lies in the open."""
_LUMINANCE = (0.2126, 0.7152, 0.0722)


@dataclass(frozen=True, kw_only=True)
class Behind:
    """The backdrop that was chosen, and what a photo's sidecar says of its camera."""

    options: scene_schema.Single
    photo: PhotoBackdrop | None = None
    facts: ImageAsset | None = None
    hdri: HdriBackdrop | None = None


def draw_behind(draw: Draw) -> Behind:
    """Return what is behind the people; a room is built later, round all that stands in it."""
    rng = draw.rng("backdrop")
    shares = draw.recipe.backdrops
    options = shares[pick({i: share.weight for i, share in enumerate(shares)}, rng)].backdrop
    if isinstance(options, scene_schema.Photo):
        asset = _asset(draw, draw.catalogue.backgrounds, options.folder, rng)
        return Behind(options=options, photo=_cropped(draw, asset, rng), facts=asset)
    if isinstance(options, scene_schema.Hdri):
        asset = _asset(draw, draw.catalogue.hdris, options.folder, rng)
        hdri = HdriBackdrop(
            asset=asset.asset,
            yaw_rad=math.radians(sample(options.yaw_deg, rng)),
            gain=sample(options.gain, rng),
        )
        return Behind(options=options, hdri=hdri)
    return Behind(options=options)


def _asset(draw: Draw, assets: Sequence[ImageAsset], folder: str, rng: Generator) -> ImageAsset:
    held = asset_held(draw.recipe.holdout.backgrounds)
    left = draw.allowed(assets, rng, held=lambda image: held(image.asset))
    if not left:
        raise RecipeError("no picture is left to choose", where=f"{draw.where}: folder {folder}")
    return left[int(rng.random() * len(left))]


def _cropped(draw: Draw, asset: ImageAsset, rng: Generator) -> PhotoBackdrop:
    """Return the largest crop of the frame's shape, mirrored or not.

    Where the sidecar gives the pitch but no angle of view, the crop keeps the photo's middle
    row, so that the pitch stays true.
    """
    image = draw.recipe.image
    scale = min(asset.width_px / image.width_px, asset.height_px / image.height_px)
    width, height = image.width_px * scale, image.height_px * scale
    x0 = (asset.width_px - width) * float(rng.random())
    share = float(rng.random())
    if asset.pitch_rad is not None and asset.vertical_fov_rad is None:
        share = 0.5
    y0 = (asset.height_px - height) * share
    return PhotoBackdrop(
        asset=asset.asset,
        crop_px=(x0, y0, min(x0 + width, asset.width_px), min(y0 + height, asset.height_px)),
        mirrored=bool(rng.random() < 0.5),
    )


def draw_camera(draw: Draw, behind: Behind) -> tuple[Camera, float]:
    """Return the camera and its distance in metres from the group's middle, the world's origin.

    The camera stands on the world's -y side. A photo's sidecar decides height, pitch and angle
    of view where it knows them (focal length and principal point follow its crop).
    """
    rng = draw.rng("camera")
    options, image, facts = draw.recipe.camera, draw.recipe.image, behind.facts
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
        if facts.vertical_fov_rad is not None:
            focal, centre = _of_crop(facts, behind.photo, image.width_px)
    position = (0.0, -distance, height)
    aimed = look_at(position, (0.0, 0.0, aim))[1]
    camera = Camera(
        width_px=image.width_px,
        height_px=image.height_px,
        focal_px=focal,
        position_m=position,
        # Turning left moves the group to the right of the picture.
        yaw_rad=math.atan(shift * image.width_px / focal),
        pitch_rad=aimed if pitch is None else pitch,
        roll_rad=roll,
        centre_px=centre,
    )
    return camera, distance


def _of_crop(facts: ImageAsset, photo: PhotoBackdrop, width_px: int) -> tuple[float, Vec2]:
    """Return focal length and principal point in frame pixels of a photo's crop."""
    assert facts.vertical_fov_rad is not None
    x0, y0, x1, _ = photo.crop_px
    scale = width_px / (x1 - x0)
    focal = facts.height_px / 2 / math.tan(facts.vertical_fov_rad / 2) * scale
    x, y = (facts.width_px / 2 - x0) * scale, (facts.height_px / 2 - y0) * scale
    return focal, (width_px - x if photo.mirrored else x, y)


def draw_backdrop(
    draw: Draw, behind: Behind, reach_m: tuple[Vec2, Vec2], *, focal_px: float
) -> Backdrop:
    """Return the backdrop; a room holds `reach_m`: (low, high) along x and along y."""
    if behind.photo is not None:
        return behind.photo
    if behind.hdri is not None:
        return behind.hdri
    rng = draw.rng("room")
    if isinstance(behind.options, scene_schema.Room):
        return _room(behind.options, reach_m, focal_px, rng)
    assert isinstance(behind.options, scene_schema.Plain)
    grey = sample(behind.options.brightness, rng)
    tints = [palette.between(0.9, 1.1, rng) for _ in range(3)]
    fall = palette.between(0.55, 1.0, rng)
    top: Vec3 = (grey * tints[0], grey * tints[1], grey * tints[2])
    return PlainBackdrop(top_rgb=top, bottom_rgb=(top[0] * fall, top[1] * fall, top[2] * fall))


def _room(
    options: scene_schema.Room, reach_m: tuple[Vec2, Vec2], focal_px: float, rng: Generator
) -> RoomBackdrop:
    """Return a room of the wanted size, grown where something would stand in a wall.

    What it is larger than needed goes to a random side. Without walls the floor runs on to
    where the horizon seems to be, and is grass rather more often; with walls it is not grass
    unless nothing else is wanted.
    """
    least = [sample(options.width_m, rng), sample(options.depth_m, rng)]
    height, walls = sample(options.height_m, rng), bool(rng.random() < options.walls)
    if not walls:
        least = [min(_OPEN_M, _OPEN_PX / focal_px)] * 2
    centre, size = [], []
    for (low, high), side in zip(reach_m, least, strict=True):
        need = high - low + 2 * _MARGIN_M
        spare = max(0.0, side - need)
        start = low - _MARGIN_M - spare * (palette.between(0.15, 0.85, rng) if walls else 0.5)
        size.append(need + spare)
        centre.append(start + (need + spare) / 2)
    floor, wall = pick(_floors(options, walls), rng), pick(options.wall_patterns, rng)
    return RoomBackdrop(
        size_m=(size[0], size[1], height),
        centre_m=(centre[0], centre[1]),
        floor=palette.surface(floor, rng),
        wall=palette.wall(wall, rng),
        walls=walls,
    )


def _floors(options: scene_schema.Room, walls: bool) -> dict[Pattern, float]:
    by: dict[Pattern, float] = {"grass": 0.0} if walls else _OPEN_FLOORS
    floors = {p: w * by.get(p, 1.0) for p, w in options.floor_patterns.items()}
    return floors if any(floors.values()) else options.floor_patterns


def draw_light(draw: Draw, behind: Behind) -> LightSpec:
    """Return sun and sky. A white surface facing the sun under the open sky reflects 1.

    Exposure puts mid-grey that is lit at 45 degrees a quarter stop below mid-grey, so that white
    floors are not all clipped. A panorama is its own light: what it is scaled by is known only
    where it is read, so there exposure is the recipe's brightness alone.
    """
    rng = draw.rng("light")
    options = draw.recipe.light
    elevation = math.radians(sample(options.sun_elevation_deg, rng))
    azimuth = math.radians(sample(options.sun_azimuth_deg, rng))
    share, warmth = sample(options.sun_share, rng), sample(options.warmth, rng)
    flat = math.cos(elevation)
    # Azimuth 0 is behind the camera, at world -y.
    direction = (flat * math.sin(azimuth), -flat * math.cos(azimuth), math.sin(elevation))
    side, side_direction, occlusion = _sided(draw)
    sun = _tinted(share, warmth)
    cool = -0.35 * share - 0.1 * warmth
    sky = _tinted((1 - share) * (1 - side), cool)
    up = [s * direction[2] + k for s, k in zip(sun, _tinted(1 - share, cool), strict=True)]
    ground: Vec3 = (
        up[0] * GROUND_ALBEDO,
        up[1] * GROUND_ALBEDO * 0.95,
        up[2] * GROUND_ALBEDO * 0.9,
    )
    # Half of what an upright surface sees of the ambient is ground.
    lit = share * math.sqrt(0.5) + ((1 - share) + _grey(ground)) / 2
    return LightSpec(
        sun_direction=direction,
        sun_rgb=sun,
        sky_rgb=sky,
        ground_rgb=ground,
        exposure=sample(options.brightness, rng) * (1.0 if behind.hdri else _HEADROOM / lit),
        side_direction=side_direction,
        side_rgb=_tinted((1 - share) * side, cool) if side else (0.0, 0.0, 0.0),
        occlusion=occlusion,
    )


def _sided(draw: Draw) -> tuple[float, Vec3, float]:
    """Return the share of the sky's light that comes from a side, from where, and occlusion."""
    options, rng = draw.recipe.light, draw.rng("side light")
    side, occlusion = sample(options.side, rng), sample(options.occlusion, rng)
    bearing, up = 2 * math.pi * rng.random(), palette.between(-0.1, 0.6, rng)
    flat = math.sqrt(1 - up * up)
    direction: Vec3 = (flat * math.cos(bearing), flat * math.sin(bearing), up)
    return side, direction if side else (0.0, 0.0, 1.0), occlusion


def _grey(rgb: Vec3) -> float:
    return sum(c * w for c, w in zip(rgb, _LUMINANCE, strict=True))


def _tinted(level: float, warmth: float) -> Vec3:
    """Return a light of luminance `level`: at warmth 1 about 3,500 K, at -1 about 10,000 K."""
    rgb: Vec3 = (math.exp(0.30 * warmth), 1.0, math.exp((-0.55 if warmth > 0 else -0.35) * warmth))
    scale = level / _grey(rgb)
    return rgb[0] * scale, rgb[1] * scale, rgb[2] * scale


def draw_lens(draw: Draw) -> LensSpec:
    """Return what lens, sensor and encoder do. Every value is drawn, also one that is not used."""
    rng = draw.rng("lens")
    options = draw.recipe.lens
    blurred, shaken, noisy = (
        rng.random() < p for p in (options.blur, options.motion, options.noise)
    )
    blur, motion = sample(options.blur_sigma_px, rng), sample(options.motion_px, rng)
    noise = sample(options.noise_sigma, rng)
    return LensSpec(
        blur_sigma_px=blur if blurred else 0.0,
        motion_px=motion if shaken else 0.0,
        motion_angle_rad=math.pi * float(rng.random()) if shaken else 0.0,
        noise_sigma=noise if noisy else 0.0,
        noise_seed=int(rng.integers(2**31)),
        exposure_ev=sample(options.exposure_ev, rng),
        vignette=sample(options.vignette, rng),
        jpeg_quality=sample_count(options.jpeg_quality, rng),
    )


# Detail ----------------------------------------------------------------------------------

FINE_FROM_PX = 300
"""People who stand at least so high in the picture wear fine clothes: below it one cannot tell
coarse ones at a glance."""
_STATURE_M = 1.75


def detail_at(camera: Camera, x_m: float, y_m: float) -> Detail:
    """Return the detail for a person at that place on the floor; whatever the pose."""
    depth_m = float(camera.to_camera(np.array([x_m, y_m, _STATURE_M / 2]))[2])
    height_px = _STATURE_M * camera.focal_px / max(depth_m, NEAR_M)
    return "fine" if height_px >= FINE_FROM_PX else "coarse"
