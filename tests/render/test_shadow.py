"""Shadows against geometry; the shares of sun and sky that a rendering has when asked."""

import dataclasses
import math

import numpy as np
import pytest
import trimesh
from render_scenes import surface
from shade_scenes import GREY, floor_xy, from_above, lit, lit_scene, shot, square

from synthstudio.render import shadow
from synthstudio.render.pack import pack, to_host
from synthstudio.render.shade import render

FLOOR = {"instance": 1000, "name": "floor", "material": GREY, "casts_shadow": False}


def box(centre, size, instance=1002, **fields):
    mesh = trimesh.creation.box(size)
    mesh.apply_translation(centre)
    return surface(mesh, instance, flat=True, material=GREY, **fields)


def test_what_hangs_from_a_ceiling_throws_no_shadow():
    view, floor = from_above(), square(9.0, 0.0, **FLOOR)
    lamp = box((0.0, 0.0, 0.6), (0.4, 0.4, 0.1))
    light = lit((1.0, 0.0, 1.0), 0.6, sky=0.1)
    _, thrown = shot(view, [lamp, floor], light)
    rendering, none = shot(view, [dataclasses.replace(lamp, casts_shadow=False), floor], light)
    _, bare = shot(view, [floor], light)
    seen = rendering.instance == 1000
    np.testing.assert_array_equal(none[seen], bare[seen])
    assert (thrown[seen] != bare[seen]).any()


def test_a_shadowed_photo_keeps_the_ambient_share():
    # Out of the sun the floor keeps ambient / (ambient + sun cos) of its light.
    light = lit((1, 0, 1), 0.6, sky=0.3)
    far = from_above(8.0, 128, 128.0)
    rendering, seen = shot(far, [square(0.3, 3.0, material=GREY)], light)
    xy = floor_xy(far)
    inside = (np.abs(xy - np.array([-3.0, 0])).max(axis=-1) < 0.2) & (rendering.instance == 0)
    lit_up = (xy[..., 0] > 2.5) & (rendering.instance == 0)
    assert inside.sum() > 5
    want = 0.3 / (0.3 + 0.6 * math.sqrt(0.5))
    assert seen[inside].mean() / seen[lit_up].mean() == pytest.approx(want, rel=0.03)


def test_shadows_start_at_the_feet():
    # Beside a box's shaded side the floor is dark from the first centimetre and a half on.
    view = from_above(3.0, 256, 512.0)
    rendering, seen = shot(
        view, [box((0, 0, 0.1), (0.3, 0.3, 0.2)), square(9, 0, **FLOOR)], lit((1, 0, 1), 0.7)
    )
    xy = floor_xy(view)
    floor = rendering.instance == 1000
    beside = floor & (np.abs(xy[..., 1]) < 0.1) & (xy[..., 0] < -0.175) & (xy[..., 0] > -0.33)
    assert beside.sum() > 100
    assert seen[beside].max() < 0.02


@pytest.mark.parametrize("height", [0.1, 0.3, 0.7])
def test_contact_shade_is_a_disc_s_form_factor(height):
    # A disc of radius R at height h takes R^2 / (R^2 + h^2) of the light of the point below it.
    radius = 0.3
    disc = trimesh.creation.cylinder(radius, 1e-3, sections=64)
    disc.apply_translation((0, 0, height))
    packed = pack(lit_scene(from_above(), [surface(disc, 1002)], lit(sky=0.5)))
    contact = shadow.contact_map(packed, shadow.casters(packed))
    loss = to_host(contact.loss)
    middle = int(contact.x0)
    want = radius**2 / (radius**2 + height**2)
    assert loss[middle, middle] == pytest.approx(want, abs=0.05)
    assert loss[0].max() == 0.0 and loss[:, -1].max() == 0.0


# Shares of sun and sky

VIEW = from_above()


def scene(objects, **fields):
    return lit_scene(VIEW, objects, lit((1, 0, 1), 0.6, sky=0.2), supersample=2, **fields)


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
