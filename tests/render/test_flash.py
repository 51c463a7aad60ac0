"""A flash at the camera: by the square of the distance and the cosine, without shadows."""

import math
from dataclasses import replace

import numpy as np
import pytest
from shade_scenes import GREY, ball, from_above, lit, shot, square

DARK = lit()
SUNNY = lit(sun_rgb=0.5, sky=0.3, sun=(0.6, 0.0, 0.8))


def _flash(light, level):
    return replace(light, flash_rgb=(level, level, level))


def _middle(light):
    return light[62:66, 62:66].mean(axis=(0, 1))


@pytest.mark.parametrize("away_m", [1.5, 2.0, 3.0, 3.9])
def test_it_falls_off_by_the_square_of_the_distance(away_m):
    plate = square(3.0, 4.0 - away_m, material=GREY)
    _, light = shot(from_above(), [plate], _flash(DARK, 2.0))
    assert _middle(light) == pytest.approx(np.full(3, 0.5 * 2.0 / away_m**2), rel=0.02)


def test_it_throws_no_shadow_and_fills_those_of_the_sun():
    objects = [ball((0.0, 0.0, 1.0), 0.3)]
    view = from_above()
    before, _ = shot(view, objects, SUNNY)
    same, _ = shot(view, objects, _flash(SUNNY, 0.0))
    assert np.array_equal(before.rgb, same.rgb)
    only, _ = shot(view, objects, _flash(DARK, 5.0))
    filled, _ = shot(view, objects, _flash(SUNNY, 40.0))
    floor = before.instance == 0
    assert before.rgb[floor].min() < 120, "the sun's shadow lies on the floor"
    assert filled.rgb[floor].min() > before.rgb[floor].min() + 15
    assert only.rgb[floor].min() > 140
    # The ball's rim turns away from the camera: it is darker than its middle.
    column = only.rgb[64, :, 1].astype(int)[only.instance[64] > 0]
    middle = len(column) // 2
    assert column[middle] > 1.3 * column[1]
    assert math.isclose(column[2], column[-3], abs_tol=3)
