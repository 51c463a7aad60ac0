import numpy as np
import pytest

from synthstudio.core.rng import stream
from synthstudio.recipe.sampling import palette


def test_hex_becomes_linear_light():
    # IEC 61966-2-1: sRGB 0.5 (128/255) is 0.2158 in linear light.
    assert palette.linear("808080") == pytest.approx((0.2158605,) * 3)
    assert palette.linear("000000") == (0, 0, 0)
    assert palette.linear("ffffff") == pytest.approx((1, 1, 1))
    assert palette.linear("ff0000")[1] == 0


def test_old_people_are_grey_and_young_ones_are_not():
    def greys(age):
        hairs = [palette.hair_rgb(0.3, age, stream(k, "hair")) for k in range(200)]
        return np.mean([max(h) - min(h) < 0.12 * max(h) and max(h) > 0.08 for h in hairs])

    assert greys(0.95) > 0.4
    assert greys(0.65) < 0.1


def test_fair_hair_is_rare_with_dark_skin():
    def fair(tone):
        hairs = [palette.hair_rgb(tone, 0.67, stream(k, "hair")) for k in range(300)]
        return np.mean([h[0] > 0.1 for h in hairs])

    assert fair(0.1) > 3 * fair(0.9)


def test_most_cloth_is_dull():
    def saturation(saturated):
        rgb = np.array(
            [
                palette.cloth(
                    ("plain",), stream(k, "cloth"), patterned=0, saturated=saturated
                ).base_rgb
                for k in range(200)
            ]
        )
        return np.median((rgb.max(axis=1) - rgb.min(axis=1)) / rgb.max(axis=1))

    assert saturation(0.0) < 0.6 < 0.75 < saturation(1.0)


def test_the_two_colours_of_a_pattern_can_be_told_apart():
    for k in range(300):
        cloth = palette.cloth(("stripes",), stream(k), patterned=1, saturated=0.2)
        apart = np.abs(np.subtract(cloth.base_rgb, cloth.second_rgb)).max()
        assert cloth.pattern == "stripes"
        assert apart > 0.05
