"""Blur along the way: as wide as something goes, nowhere else, and no light is lost."""

import numpy as np
import pytest
from shade_scenes import GREY, WHITE, from_above, lit, lit_scene, square

from synthstudio.core.images import srgb_to_linear
from synthstudio.render.exposure import exposed
from synthstudio.render.pack import pack
from synthstudio.render.shade import render

VIEW = from_above(height_m=4.0, size_px=128, focal_px=256.0)  # 64 px a metre at z = 0
PX_M = 1 / 64
SECONDS = 1 / 60


def scene(*objects, light=None):
    black = np.zeros((128, 128, 3), np.uint8)
    more = {"supersample": 2, "backdrop": black, "catches_shadow": False}
    return lit_scene(VIEW, objects, light or lit(sky=0.8), **more)


def picture(now):
    return render(pack(now), now).rgb


def gone(now, px, *, seconds=SECONDS):
    """The still picture and the exposed one; the first object goes so many pixels (x, y down)."""
    per_s = np.array([px[0], -px[1], 0.0], np.float32) * PX_M / seconds
    first = now.objects[0].vertices_m
    velocities = (np.broadcast_to(per_s, first.shape), *(None for _ in now.objects[1:]))
    still = picture(now)
    return still, exposed(still, now, velocities, seconds, picture)


def ramp_px(light, low, high):
    """How many pixels along a row or column are neither dark nor bright."""
    return int(((light > low) & (light < high)).sum())


def test_an_edge_is_as_wide_as_the_way_and_no_wider_across_it():
    still, blurred = gone(scene(square(0.5, 0.0, material=WHITE)), (12.0, 0.0))
    light = srgb_to_linear(blurred)[..., 0]
    bright = light.max()
    across, down = light[64, :64], light[:64, 64]  # its left edge, its upper edge
    assert ramp_px(across, 0.03 * bright, 0.97 * bright) == pytest.approx(12, abs=2)
    assert ramp_px(down, 0.03 * bright, 0.97 * bright) == 0
    # The middle of the ramp is where the edge of the middle moment is.
    assert (across / bright).sum() == pytest.approx(32, abs=0.1)
    assert srgb_to_linear(still)[64, 31, 0] == 0


def test_what_stands_keeps_its_bytes_and_hides_what_moves_behind_it():
    fence = square(0.3, 0.5, instance=1003, material=GREY)
    light = lit(sun=(1, 0, 1), sun_rgb=0.5, sky=0.3)
    still, blurred = gone(scene(square(0.5, 0.0, material=WHITE), fence, light=light), (10.0, 0.0))
    row, column = np.nonzero((still != blurred).any(axis=2))
    assert len(row)
    # 0.5 m of a square at 64 px a metre about the middle, and half the way at either side.
    assert column.min() >= 64 - 32 - 6 and column.max() <= 64 + 32 + 5
    assert row.min() >= 31 and row.max() <= 96
    half = int(0.3 * 256 / 3.5)
    middle = slice(64 - half, 64 + half)
    assert (still[middle, middle] == blurred[middle, middle]).all()


def test_an_instant_or_a_hair_of_a_way_changes_nothing():
    now = scene(square(0.5, 0.0, material=WHITE))
    assert gone(now, (0.0, 0.0))[1] is None
    assert gone(now, (0.3, 0.0))[1] is None
