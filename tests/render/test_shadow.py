"""Shadows against geometry: where a plate's shadow lies, no acne, no gap at the feet."""

import dataclasses
import math

import numpy as np
import pytest
import trimesh
from render_scenes import surface
from shade_scenes import GREY, floor_xy, from_above, lit, shot, square

from synthstudio.core.scene import Scene
from synthstudio.render import shadow
from synthstudio.render.pack import pack, to_host

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


def maps(objects, light=None, people=()):
    view = from_above()
    scene = Scene(
        camera=view,
        people=people,
        objects=tuple(objects),
        light=light or lit(sky=0.5),
        backdrop=np.zeros((128, 128, 3), np.uint8),
    )
    packed = pack(scene)
    thrown = shadow.casters(packed)
    return shadow.contact_map(packed, thrown), shadow.sun_map(packed, thrown, scene.light)


@pytest.mark.parametrize("height", [0.1, 0.3, 0.7])
def test_contact_shade_is_a_disc_s_form_factor(height):
    # A disc of radius R at height h takes R^2 / (R^2 + h^2) of the light of the point below it.
    radius = 0.3
    disc = trimesh.creation.cylinder(radius, 1e-3, sections=64)
    disc.apply_translation((0, 0, height))
    contact, _ = maps([surface(disc, 1002)])
    loss = to_host(contact.loss)
    middle = int(contact.x0)
    want = radius**2 / (radius**2 + height**2)
    assert loss[middle, middle] == pytest.approx(want, abs=0.05)
    assert loss[0].max() == 0.0 and loss[:, -1].max() == 0.0
