"""Twenty skies, of which one matching the light is drawn, and the weather under them."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, replace
from typing import get_args

from synthstudio.core.rng import Generator
from synthstudio.core.spec import (
    Backdrop,
    LightSpec,
    PlaceBackdrop,
    PlainBackdrop,
    RoomBackdrop,
    SkySpec,
    Vec2,
    WeatherKind,
    WeatherSpec,
)
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.context import SampleContext
from synthstudio.recipe.sampling.palette import linear
from synthstudio.recipe.sampling.view import Behind, dimmed, flash_share
from synthstudio.recipe.schema.distributions import pick, sample
from synthstudio.recipe.schema.scene import Place, Room

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


_COVERED = 0.5
"""Least cover of a sky from which it rains or snows."""


def draw_weather(ctx: SampleContext, backdrop: Backdrop) -> tuple[WeatherSpec, ...]:
    """The frame's weather as it suits the backdrop, and what is on its lens."""
    options = ctx.recipe.weather
    if options is None:
        return ()
    rng = ctx.rng("weather")
    room = isinstance(backdrop, RoomBackdrop) and not backdrop.walls and backdrop.ceiling is None
    sky = backdrop.sky if isinstance(backdrop, RoomBackdrop) else None
    open_air = (room or isinstance(backdrop, PlainBackdrop)) and (
        sky is None or sky.cover >= _COVERED
    )
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
