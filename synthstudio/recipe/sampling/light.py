"""Sun, sky, flash and the light estimated from a photo."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from synthstudio.core.camera import Camera
from synthstudio.core.catalogue import PlaceLight
from synthstudio.core.spec import Backdrop, LightSpec, PersonSpec, RoomBackdrop, Vec3
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.context import SampleContext
from synthstudio.recipe.sampling.palette import luminance
from synthstudio.recipe.sampling.view import Behind, dimmed, flash_share
from synthstudio.recipe.schema.distributions import sample, support

GROUND_ALBEDO = 0.3
"""Reflectance of the ground."""
_HEADROOM = 0.85
_METERED, _BY_ALBEDO = 0.55, 0.3
"""Powers of how much darker than mid-grey light and clothes leave the people: 1 is a spot meter."""
_USUAL_ALBEDO = 0.25
_MAX_METERED, _MAX_SURROUND = 2.6, 1.2
"""Metering exposes no longer than to this, and floors and walls, lit at 45 degrees, no longer
than to this times white."""
_MIDDLE_M = (0.0, 0.0, 1.0)
"""The middle of the group."""


def draw_light(
    ctx: SampleContext,
    behind: Behind,
    camera: Camera,
    people: Sequence[PersonSpec] = (),
    backdrop: Backdrop | None = None,
) -> LightSpec:
    """Sun and sky. A white surface facing the sun under the open sky reflects 1.

    Exposure puts mid-grey that is lit at 45 degrees a quarter stop below mid-grey, so that white
    floors are not all clipped, and follows the people from there as a camera's metering does:
    people against the light or in dark clothes are exposed longer, until floor and walls are
    white. A panorama is its own light: its scale is known only on reading, so there exposure is
    the recipe's brightness alone. A flash removes as much from sun and sky as it adds at the
    middle of the group.
    """
    rng = ctx.rng("light")
    options = ctx.recipe.light
    elevation = math.radians(sample(options.sun_elevation_deg, rng))
    azimuth = math.radians(sample(options.sun_azimuth_deg, rng))
    share, warmth = sample(options.sun_share, rng), sample(options.warmth, rng)
    direction = towards(azimuth, elevation)
    side, side_direction, occlusion = _sided(ctx)
    if behind.light is not None:
        low, high = support(options.sun_share)
        share = low + (high - low) * max(0.0, 2 * behind.light.contrast - 1)
        like = match_light(behind.light, _sun_of_photo(behind) or direction, share)
        return dataclasses.replace(
            like, exposure=like.exposure * sample(options.brightness, rng), occlusion=occlusion
        )
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
    lit = share * math.sqrt(0.5) + ((1 - share) + luminance(ground)) / 2
    flash = 0.0 if behind.hdri else flash_share(ctx)
    level = flash * lit * sum(c * c for c in np.subtract(camera.position_m, _MIDDLE_M).tolist())
    ahead = math.atan2(camera.position_m[0], -camera.position_m[1])
    ambient = (1 - share) * (1 - side) + luminance(ground)
    along = side_direction[0] * math.sin(ahead) - side_direction[1] * math.cos(ahead)
    ambient += (1 - share) * side * (1 + math.pi / 4 * along)
    flat = math.cos(elevation)
    shown = share * flat * _lit_side(azimuth - ahead) + (1 - 0.4 * occlusion) * ambient / 2
    shown = (1 - flash) * shown + flash * lit * math.pi / 4
    metered = (lit / shown) ** _METERED * (_USUAL_ALBEDO / _albedo(people)) ** _BY_ALBEDO
    lift = sample(options.brightness, rng) * (1 if behind.hdri else min(metered, _MAX_METERED))
    if isinstance(backdrop, RoomBackdrop) and not flash:
        surfaces = (backdrop.floor, backdrop.wall)[: 1 + backdrop.walls]
        lift = min(lift, _MAX_SURROUND / max(luminance(one.base_rgb) for one in surfaces))
    return LightSpec(
        sun_direction=direction,
        sun_rgb=dimmed(sun, flash),
        sky_rgb=dimmed(sky, flash),
        ground_rgb=dimmed(ground, flash),
        exposure=lift * (1.0 if behind.hdri else _HEADROOM / lit),
        side_direction=side_direction,
        side_rgb=dimmed(_tinted((1 - share) * side, cool), flash) if side else (0.0, 0.0, 0.0),
        occlusion=occlusion,
        flash_rgb=(level, level, level),
    )


def _lit_side(apart: float) -> float:
    """Brightness of a white upright cylinder in a level light `apart` radians beside the camera.

    The mean of max(0, n . light) by projected area: ((pi - a) cos a + sin a) / 4.
    """
    a = abs(math.remainder(apart, 2 * math.pi))
    return ((math.pi - a) * math.cos(a) + math.sin(a)) / 4


def _albedo(people: Sequence[PersonSpec]) -> float:
    """The mean luminance of skins and clothes, a third and two thirds of a person."""
    found = []
    for person in people:
        skin = luminance(person.look.skin_rgb)
        worn = [luminance(g.material.base_rgb) for g in person.outfit] or [skin]
        found.append(skin / 3 + sum(worn) / len(worn) * 2 / 3)
    return max(0.02, sum(found) / len(found)) if found else _USUAL_ALBEDO


def _sun_of_photo(behind: Behind) -> Vec3 | None:
    ground = None if behind.facts is None else behind.facts.ground
    if ground is None or ground.sun_elevation_rad is None or behind.photo is None:
        return None
    side = -1 if behind.photo.mirrored else 1
    right, ahead = (0.0, 1.0) if behind.spot is None else behind.spot.away_m
    # The azimuth is the camera's, which is turned by as much as the spot is off its middle.
    azimuth = side * ((ground.sun_azimuth_rad or 0.0) + math.atan2(right, ahead))
    return towards(azimuth, ground.sun_elevation_rad)


def towards(azimuth_rad: float, elevation_rad: float) -> Vec3:
    """The direction of a sun; azimuth 0 is behind the camera, at world -y."""
    x, y = math.sin(azimuth_rad), -math.cos(azimuth_rad)
    flat = math.cos(elevation_rad)
    return flat * x, flat * y, math.sin(elevation_rad)


def _sided(ctx: SampleContext) -> tuple[float, Vec3, float]:
    """The fraction of sky light from one side, its direction, and ambient occlusion."""
    options, rng = ctx.recipe.light, ctx.rng("side light")
    side, occlusion = sample(options.side, rng), sample(options.occlusion, rng)
    bearing, up = 2 * math.pi * rng.random(), palette.between(-0.1, 0.6, rng)
    flat = math.sqrt(1 - up * up)
    direction: Vec3 = (flat * math.cos(bearing), flat * math.sin(bearing), up)
    return side, direction if side else (0.0, 0.0, 1.0), occlusion


def _tinted(level: float, warmth: float) -> Vec3:
    """A light of luminance `level`: at warmth 1 about 3,500 K, at -1 about 10,000 K."""
    rgb: Vec3 = (math.exp(0.30 * warmth), 1.0, math.exp((-0.55 if warmth > 0 else -0.35) * warmth))
    scale = level / luminance(rgb)
    return rgb[0] * scale, rgb[1] * scale, rgb[2] * scale


def match_light(place: PlaceLight, sun_direction: Vec3, sun_share: float) -> LightSpec:
    """Light under which a white upright card has the photo's brightness and tint."""
    tint = place.tint

    def tinted(level: float) -> Vec3:
        return (level * tint[0], level * tint[1], level * tint[2])

    up = sun_share * sun_direction[2] + (1 - sun_share)
    lit = sun_share * math.sqrt(0.5) + ((1 - sun_share) + up * GROUND_ALBEDO) / 2
    return LightSpec(
        sun_direction=sun_direction,
        sun_rgb=tinted(sun_share),
        sky_rgb=tinted(1 - sun_share),
        ground_rgb=tinted(up * GROUND_ALBEDO),
        exposure=round(place.white / lit, 5),
    )


def picture_gain(place: PlaceLight | None) -> float:
    """The factor for another picture's linear light to fit a photo."""
    return 1.0 if place is None else min(1.5, max(0.3, place.white / 0.8)) ** 0.85
