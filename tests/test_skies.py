"""Skies: clouds cover what is asked, the sun stands where the light has it, labels are the same."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthstudio.core.camera import Camera
from synthstudio.core.spec import FrameSpec, RoomBackdrop, SkySpec, Vec3
from synthstudio.generation.pipeline import make_frame
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.props.skies import sky_picture
from synthstudio.recipe.draw import draw
from synthstudio.recipe.schema.load import parse

SKY = SkySpec(
    zenith_rgb=(0.05, 0.15, 0.45), horizon_rgb=(0.4, 0.5, 0.6), rise=3.0, sun_rgb=(1, 0.9, 0.7),
    glow=0.0, cloud_rgb=(1, 1, 1), shade_rgb=(1, 1, 1), cover=0.0, soft=0.01, scale=1.0,
    stretch=1.0, turn_rad=0.3, seed=7,
)  # fmt: skip
SUN: Vec3 = (0.6, 0.0, 0.8)


def camera(pitch_deg: float, yaw_deg: float = 0.0, side: int = 160) -> Camera:
    return Camera(
        width_px=side,
        height_px=side,
        focal_px=side * 0.8,
        position_m=(0, -4, 1.5),
        yaw_rad=math.radians(yaw_deg),
        pitch_rad=math.radians(pitch_deg),
        roll_rad=0,
    )


def picture(eye: Camera, **changes: Any) -> np.ndarray:
    return sky_picture(dataclasses.replace(SKY, **changes), SUN, eye, exposure=0.8).astype(float)


def test_clouds_cover_the_share_that_is_asked_for() -> None:
    plain = picture(camera(90))
    for cover in (0.1, 0.4, 0.8):
        shares = [
            (np.abs(picture(camera(90), cover=cover, seed=seed) - plain).max(-1) > 40).mean()
            for seed in range(8)
        ]
        assert np.mean(shares) == pytest.approx(cover, abs=0.08)
    assert (picture(camera(90), cover=0.4, seed=1) != picture(camera(90), cover=0.4, seed=2)).any()


@pytest.mark.parametrize("yaw_deg", [-90.0, -75.0, -110.0])
def test_the_sun_stands_where_the_light_has_it(yaw_deg: float) -> None:
    eye = camera(45, yaw_deg)
    seen = picture(eye, glow=1.0).sum(-1)
    row, column = np.unravel_index(seen.argmax(), seen.shape)
    far = np.array(eye.position_m) + 1e6 * np.array(SUN)
    x, y = eye.project(eye.to_camera(far[None]))[0]
    bright = np.argwhere(seen >= seen[row, column] - 1)
    assert np.hypot(*(bright.mean(0) + 0.5 - (y, x))) < 3
    assert seen.max() > picture(eye).sum(-1).max()


def recipe(**room: Any) -> dict[str, Any]:
    return {
        "name": "skies",
        "image": {"width_px": 96, "height_px": 72, "supersample": 1},
        "people": {"count": 1},
        "objects": [],
        "variants": {"light": 1},
        "backdrop": {"kind": "room", "walls": 0} | room,
        "light": {"sun_elevation_deg": [4, 70], "sun_share": [0.1, 0.9]},
    }


def drawn(tmp_path: Path, count: int, **room: Any) -> tuple[FrameGenerator, list[FrameSpec]]:
    stage = FrameGenerator(prepare(parse(recipe(**room)), assets=tmp_path, device="cpu"))
    return stage, [draw(stage.settings.recipe, k, stage) for k in range(count)]


def test_a_recipe_draws_skies_that_go_with_the_light(tmp_path: Path) -> None:
    _, none = drawn(tmp_path, 4)
    assert all(isinstance(s.backdrop, RoomBackdrop) and s.backdrop.sky is None for s in none)
    _, some = drawn(tmp_path, 60, skies=1)
    skies = [s.backdrop.sky for s in some if isinstance(s.backdrop, RoomBackdrop)]
    assert len({sky.horizon_rgb for sky in skies if sky}) > 12
    warm = [sky.horizon_rgb[0] > 1.2 * sky.horizon_rgb[2] for sky in skies if sky]
    low = [s.light.sun_direction[2] < math.sin(math.radians(20)) for s in some]
    assert np.mean(warm, where=np.array(low)) > 3 * np.mean(warm, where=~np.array(low)) + 0.1
    _, indoors = drawn(tmp_path, 6, skies=1, walls=1, ceilings=1)
    assert all(isinstance(s.backdrop, RoomBackdrop) and s.backdrop.sky is None for s in indoors)


def test_a_sky_changes_the_picture_and_no_label(tmp_path: Path) -> None:
    stage, specs = drawn(tmp_path, 1, skies=1)
    with_sky = make_frame(stage, specs[0])
    assert isinstance(specs[0].backdrop, RoomBackdrop)
    plain = dataclasses.replace(specs[0], backdrop=dataclasses.replace(specs[0].backdrop, sky=None))
    without = make_frame(stage, plain)
    assert with_sky.jpeg != without.jpeg
    for one, other in zip(with_sky.labels.people, without.labels.people, strict=True):
        assert np.array_equal(one.state, other.state) and np.array_equal(
            one.joints_px, other.joints_px
        )
