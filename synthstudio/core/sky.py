"""An open sky, as a frame's spec has it."""

from __future__ import annotations

from dataclasses import dataclass

Rgb = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class SkySpec:
    """An open sky, linear RGB; the sun stands where the light's does.

    From the horizon's colour to the zenith's, the sooner the higher `rise`. Clouds cover the share
    `cover`, with edges as `soft`, in patterns that repeat after `scale` heights of their layer,
    `stretch` times narrower across `turn_rad`; `seed` draws them. `glow`: how bright the sun and
    its halo are.
    """

    zenith_rgb: Rgb
    horizon_rgb: Rgb
    rise: float
    sun_rgb: Rgb
    glow: float
    cloud_rgb: Rgb
    shade_rgb: Rgb
    cover: float
    soft: float
    scale: float
    stretch: float
    turn_rad: float
    seed: int
