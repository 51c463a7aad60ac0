"""The shares of sun and sky that a rendering tells when asked; a group's box for shadow maps."""

import numpy as np
import pytest
from shade_scenes import GREY, floor_xy, from_above, lit, square

from synthstudio.core.scene import Scene
from synthstudio.render.pack import pack
from synthstudio.render.shade import render

FLOOR = {"instance": 1000, "name": "floor", "material": GREY, "casts_shadow": False}
VIEW = from_above()


def scene(objects, **fields):
    given = {
        "camera": VIEW,
        "people": (),
        "objects": tuple(objects),
        "light": lit((1, 0, 1), 0.6, sky=0.2),
        "backdrop": np.full((VIEW.height_px, VIEW.width_px, 3), 150, np.uint8),
        "supersample": 2,
    } | fields
    return Scene(**given)


def seen(made, *want):
    return render(pack(made), made, want=frozenset(want))


def test_shadow_values_come_only_when_wanted_and_change_no_pixel():
    made = scene([square(0.25, 0.6, material=GREY)])
    plain, found = seen(made), seen(made, "shadow")
    assert plain.shadow is None
    assert found.shadow.shape == (128, 128, 2)
    assert found.shadow.dtype == np.float32
    np.testing.assert_array_equal(plain.rgb, found.rgb)


@pytest.mark.parametrize("caught", [False, True], ids=["drawn floor", "undrawn floor"])
def test_the_sun_reaches_all_but_the_plates_shadow(caught):
    plate = square(0.25, 0.6, material=GREY)
    objects = [plate] if caught else [plate, square(9.0, 0.0, **FLOOR)]
    found = seen(scene(objects), "shadow")
    floor = np.isin(found.instance, (0, 1000))
    inside = 0.25 - np.abs(floor_xy(VIEW) - (-0.6, 0.0)).max(axis=-1)  # metres, negative outside
    sun, sky = found.shadow[..., 0], found.shadow[..., 1]
    assert (sun[floor & (inside > 0.03)] == 0.0).all()
    assert (sun[floor & (inside < -0.03)] == 1.0).all()
    away = np.abs(floor_xy(VIEW)).max(axis=-1)
    assert 0 < sky[floor & (away < 0.4)].max() < 1.0
    assert sky[floor & (away < 0.4)].mean() < sky[floor & (away > 0.9)].mean()
    assert ((sky >= 0) & (sky <= 1)).all()


def test_in_a_given_box_what_another_object_leaves_is_the_same_bit_by_bit():
    first, second = (square(0.2, 0.5, instance=i, material=GREY) for i in (1002, 1003))
    second.vertices_m[:, 0] += 1.2
    box = np.array([(-0.3, -0.3, 0.0), (1.5, 0.3, 0.6)])
    one, both = (
        seen(scene(objects, shadow_box_m=box), "shadow") for objects in ([first], [first, second])
    )
    x = floor_xy(VIEW)[..., 0]
    west = x < 0.0  # the second plate's own shadow lies from 0.5 on
    assert (one.shadow[west, 0] < 1.0).any()
    np.testing.assert_array_equal(one.shadow[west, 0], both.shadow[west, 0])
    alike = west & (one.shadow == both.shadow).all(axis=-1)
    np.testing.assert_array_equal(one.rgb[alike], both.rgb[alike])
