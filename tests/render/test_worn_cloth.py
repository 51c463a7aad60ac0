"""Wrinkles, prints and blotches: what they add, what they leave, which colours they have."""

import dataclasses

import numpy as np
import pytest
from shade_scenes import from_above, lit, shot, square
from test_materials import colour, scattered

from synthstudio.core.images import srgb_to_linear
from synthstudio.core.spec import Material

CLOTH = Material(kind="cloth", base_rgb=(0.3, 0.3, 0.3), bump=0.5, specular=0.02, roughness=0.8)
FIVE = ((0.8, 0.1, 0.1), (0.1, 0.7, 0.1), (0.1, 0.1, 0.8), (0.8, 0.8, 0.1), (0.05, 0.05, 0.05))
PRINTED = Material(base_rgb=FIVE[0], second_rgb=FIVE[1], more_rgb=FIVE[2:], scale_m=0.1)
FLAT = np.array([[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]], np.float32)
PRINTS = ("floral", "abstract", "logo")


def gradient(image):
    luma = image.astype(np.float64) @ (0.299, 0.587, 0.114)
    down, across = np.gradient(luma)
    return np.hypot(down, across)[8:-8, 8:-8].mean()


@pytest.fixture(scope="module")
def sheets():
    # 8 mm a pixel: a person 210 pixels high.
    out = []
    for wrinkles in (0.0, 0.3, 1.0):
        material = dataclasses.replace(CLOTH, wrinkles=wrinkles)
        cloth = square(1.0, 0.5, material=material, coords=FLAT)
        view = from_above(2.55, 256, 256.0)
        out.append(shot(view, [cloth], lit((0.5, 0.3, 1), 0.6, 0.5))[0])
    return out


def test_wrinkles_show_where_a_pixel_is_eight_millimetres(sheets):
    plain, some, strong = (gradient(s.rgb) for s in sheets)
    assert some > 1.3 * plain
    assert strong > 2.5 * plain


def test_wrinkles_leave_brightness(sheets):
    plain, _, strong = (srgb_to_linear(s.rgb).mean() for s in sheets)
    assert strong == pytest.approx(plain, rel=0.06)


def test_wrinkles_leave_labels(sheets):
    for sheet in sheets[1:]:
        assert np.array_equal(sheet.instance, sheets[0].instance)
        assert np.array_equal(sheet.depth_m, sheets[0].depth_m)


@pytest.mark.parametrize("pattern", PRINTS[:2])
def test_a_print_has_all_of_its_colours_and_no_others(pattern):
    seen = colour(dataclasses.replace(PRINTED, pattern=pattern), scattered(20_000, 1.0))
    away = np.linalg.norm(seen[:, None] - np.array(FIVE), axis=2)
    # Flowers darken towards their rim; edges and shades are the rest.
    assert (away < 0.03).mean(axis=0).min() > 0.01
    assert (away.min(axis=1) < 0.03).mean() > 0.6
