"""Sun, flash, the light estimated from a photo, a sky that matches them, and weather."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import get_args

import numpy as np

from synthstudio.core.arrays import F64
from synthstudio.core.camera import Camera
from synthstudio.core.photo import PlaceLight
from synthstudio.core.rng import Generator
from synthstudio.core.spec import (
    Backdrop,
    LightSpec,
    Material,
    PersonSpec,
    PlaceBackdrop,
    PlainBackdrop,
    RoomBackdrop,
    SkySpec,
    Vec2,
    Vec3,
    WeatherKind,
    WeatherSpec,
)
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.context import SampleContext
from synthstudio.recipe.sampling.palette import linear, luminance
from synthstudio.recipe.sampling.view import Behind, dimmed, flash_share
from synthstudio.recipe.schema.distributions import pick, sample, support
from synthstudio.recipe.schema.scene import Place, Room

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
    ground: Vec3 = tuple(np.multiply(up, _reflected(backdrop)).tolist())
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


def under_clouds(light: LightSpec, weather: Sequence[WeatherSpec]) -> LightSpec:
    """The light where it rains or snows or is foggy: most of the sun's comes from all of the sky,
    with as much on level ground, so that shadows are soft and faint."""
    if not any(one.kind in ("rain", "snow", "fog") for one in weather):
        return light
    sun, up = np.array(light.sun_rgb), light.sun_direction[2]
    sky = np.array(light.sky_rgb) + _CLOUDED * up * sun
    return dataclasses.replace(
        light, sun_rgb=tuple(((1 - _CLOUDED) * sun).tolist()), sky_rgb=tuple(sky.tolist())
    )


def _reflected(backdrop: Backdrop | None) -> F64:
    """(3,) the mean albedo of the floor and of what is around it, the walls of a room."""
    usual = GROUND_ALBEDO * np.array([1, 0.95, 0.9])
    if not isinstance(backdrop, RoomBackdrop):
        return usual
    around = _mean_rgb(backdrop.wall) if backdrop.walls else usual
    return (_mean_rgb(backdrop.floor) + around) / 2


def _mean_rgb(material: Material) -> F64:
    colours = (material.base_rgb, material.second_rgb)
    return np.mean(colours[: 1 + (material.pattern != "plain")], axis=0)


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


# Skies ------------------------------------------------------------------------------------------

_LOW_RAD, _HIGH_RAD = math.radians(8), math.radians(30)
"""Below the first the sun is low, above the second high; between, both kinds are possible."""
_SEEDS = 2**31


@dataclass(frozen=True)
class SkyDesign:
    """`colours`: zenith, horizon, sun, cloud, its shade, as sRGB hex. `sun`: its height:
    low (0) or high (1), or None for both; `share`: the share of the sun in the light, about."""

    colours: str
    cover: Vec2
    share: float
    _: KW_ONLY
    sun: int | None = None
    rise: Vec2 = (2.0, 4.0)
    soft: Vec2 = (0.05, 0.15)
    scale: Vec2 = (2.0, 5.0)
    stretch: Vec2 = (1.0, 1.6)
    glow: Vec2 = (0.6, 1.2)


DESIGNS = {
    "clear": SkyDesign("3f74b8 b9d3ea fff4e0 ffffff d0d8e2", (0, 0), 0.8, sun=1),
    "deep_blue": SkyDesign("1f4f9a 9fc4e8 fff6e8 ffffff c8d2de", (0, 0.05), 0.9, sun=1),
    "hazy": SkyDesign("8fa9c4 d8dee2 fff0d8 f4f2ee d4d6d8", (0, 0.15), 0.6, soft=(0.2, 0.4)),
    "fair_weather": SkyDesign("3a6fb5 bcd6ec fff4e0 ffffff aab6c6", (0.15, 0.35), 0.8, sun=1),
    "heaps": SkyDesign("336ab4 b4d0ea fff4e0 ffffff 8b98aa", (0.35, 0.55), 0.7, sun=1,
        scale=(3.0, 7.0)),
    "flock": SkyDesign("4378b8 bdd4ea fff2dc ffffff b8c4d2", (0.3, 0.5), 0.7, scale=(0.8, 1.6),
        soft=(0.1, 0.2)),
    "wisps": SkyDesign("3c72b6 bad4ec fff4e2 ffffff dce6f0", (0.2, 0.4), 0.8, stretch=(3.0, 6.0),
        soft=(0.25, 0.4)),
    "streaks": SkyDesign("2f68b0 c4d8ea fff0d8 fdfdfd d6e0ea", (0.1, 0.3), 0.8,
        stretch=(3.0, 5.0), soft=(0.15, 0.3), scale=(6.0, 10.0)),
    "veil": SkyDesign("7f9fc4 d6e0e8 fff6e8 f6f6f4 dfe4ea", (0.6, 0.9), 0.5, soft=(0.4, 0.6)),
    "broken": SkyDesign("3f70ae b6cde2 fff0dc f4f5f6 7c8796", (0.55, 0.75), 0.5),
    "overcast": SkyDesign("b4babf d6d8d8 f4f0ea dfe1e2 a2a8ae", (0.9, 1.0), 0.1, soft=(0.3, 0.5),
        glow=(0, 0.1)),
    "white": SkyDesign("d8dcde eceeee f8f6f2 f2f3f3 d4d8da", (0.8, 1.0), 0.1, soft=(0.4, 0.6),
        glow=(0, 0.1)),
    "grey_layers": SkyDesign("8f989f c2c6c8 f0ece4 c4c8ca 7c848c", (0.8, 1.0), 0.1,
        stretch=(1.5, 2.5), soft=(0.25, 0.4), glow=(0, 0.05)),
    "storm": SkyDesign("4c5660 9aa2a6 e8e0d0 8c949a 3c444c", (0.8, 0.95), 0.2, scale=(3.0, 7.0),
        glow=(0, 0.1)),
    "after_rain": SkyDesign("4a76ac c8d4da ffeed0 ffffff 5c6874", (0.5, 0.7), 0.5,
        scale=(3.0, 6.0)),
    "golden": SkyDesign("5f86b4 f0d8a8 ffd890 ffe8c0 a08c80", (0.1, 0.4), 0.6, sun=0),
    "sunset": SkyDesign("4a6494 f0a060 ffb060 ffc088 8a5c60", (0.25, 0.6), 0.5, sun=0,
        stretch=(1.5, 3.0), scale=(4.0, 8.0)),
    "pink_dawn": SkyDesign("7a94c0 f0c4b8 ffd0b0 ffd8d0 a48c9c", (0.2, 0.5), 0.4, sun=0,
        stretch=(1.5, 4.0)),
    "dusk": SkyDesign("2c3c6c c08878 ffa070 b08c98 4c4860", (0.1, 0.5), 0.3, sun=0,
        glow=(0.2, 0.5)),
    "cold_morning": SkyDesign("6c90b8 dfe4e4 fff0d8 f4f4f2 b4bcc6", (0, 0.3), 0.5, sun=0,
        rise=(4.0, 7.0)),
}  # fmt: skip


def with_sky(ctx: SampleContext, behind: Behind, backdrop: Backdrop, light: LightSpec) -> Backdrop:
    """A backdrop under a sky matching the light, at the recipe's rate."""
    if not isinstance(backdrop, RoomBackdrop | PlaceBackdrop):
        return backdrop
    assert isinstance(behind.options, Room | Place)
    rng = ctx.shared_rng("sky")
    covered = isinstance(backdrop, RoomBackdrop) and backdrop.ceiling is not None
    if covered or rng.random() >= behind.options.skies:
        return backdrop
    return replace(backdrop, sky=_draw_sky(light, rng, flash=flash_share(ctx)))


def _draw_sky(light: LightSpec, rng: Generator, *, flash: float) -> SkySpec:
    height = math.asin(max(-1.0, min(1.0, light.sun_direction[2])))
    high = min(1.0, max(0.0, (height - _LOW_RAD) / (_HIGH_RAD - _LOW_RAD)))
    sun, sky = sum(light.sun_rgb), sum(light.sky_rgb) + sum(light.side_rgb)
    share = sun / (sun + sky) if sun + sky else 0.0
    weights = {
        name: math.exp(-((share - design.share) ** 2) / 0.18)
        * (1.0 if design.sun is None else 0.02 + abs(1 - design.sun - high))
        for name, design in DESIGNS.items()
    }
    return sky_of(DESIGNS[pick(weights, rng)], rng, flash=flash)


def sky_of(design: SkyDesign, rng: Generator, *, flash: float = 0.0) -> SkySpec:
    zenith, horizon, sunlight, cloud, shade = (
        dimmed(linear(hex_rgb), flash) for hex_rgb in design.colours.split()
    )
    return SkySpec(
        zenith_rgb=zenith,
        horizon_rgb=horizon,
        rise=palette.between(*design.rise, rng),
        sun_rgb=sunlight,
        glow=palette.between(*design.glow, rng),
        cloud_rgb=cloud,
        shade_rgb=shade,
        cover=palette.between(*design.cover, rng),
        soft=palette.between(*design.soft, rng),
        scale=palette.between(*design.scale, rng),
        stretch=palette.between(*design.stretch, rng),
        turn_rad=palette.between(0, math.pi, rng),
        seed=int(rng.integers(_SEEDS)),
    )


# Weather ---------------------------------------------------------------------------------

_CLOUDED = 0.9
"""The share of the sun's light that clouds and fog spread."""
_COVERED = 0.5
"""Least cover of a sky from which it rains or snows."""


def draw_weather(ctx: SampleContext, backdrop: Backdrop) -> tuple[WeatherSpec, ...]:
    """The frame's weather as it suits the backdrop, and what is on its lens."""
    options = ctx.recipe.weather
    if options is None:
        return ()
    rng = ctx.rng("weather")
    open_air = isinstance(backdrop, PlainBackdrop)
    if isinstance(backdrop, RoomBackdrop):
        open_air = not backdrop.walls and (backdrop.sky is None or backdrop.sky.cover >= _COVERED)
    found: list[WeatherSpec] = []
    kinds: tuple[WeatherKind, ...] = get_args(WeatherKind)
    for kind in kinds:
        happens = rng.random() < getattr(options, kind)
        one = WeatherSpec(
            kind=kind, amount=sample(options.amount, rng), seed=int(rng.integers(_SEEDS))
        )
        dry = kind == "snow" and any(other.kind == "rain" for other in found)
        if happens and not dry and (open_air or kind.startswith("lens")):
            found.append(one)
    return tuple(found)
