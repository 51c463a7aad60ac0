"""Shading against closed forms: furnaces, cosines, coverage, where textures lie."""

import dataclasses
import math

import numpy as np
import pytest
from render_scenes import busy_scene, camera, plate, surface
from shade_scenes import GREY, WHITE, ball, from_above, lit, shot, square

from synthstudio.body import makehuman_files
from synthstudio.core.images import linear_to_srgb_u8
from synthstudio.core.rng import stream
from synthstudio.core.spec import Material
from synthstudio.render.pack import pack
from synthstudio.render.shade import render


@pytest.mark.parametrize("degrees", [0, 20, 45, 60, 80])
def test_lambert(degrees):
    angle = math.radians(degrees)
    _, seen = shot(
        from_above(),
        [square(5.0, 0.0, material=WHITE)],
        lit(sun=(math.sin(angle), 0, math.cos(angle)), sun_rgb=0.45),
    )
    want = 0.45 * math.cos(angle)
    np.testing.assert_allclose(seen, want, rtol=0.01, atol=0.002)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_edges_cover_what_they_cover(scale):
    # A white plate with slanted edges over black: a pixel's light is its covered share.
    view = camera(64, 64, 64.0, position_m=(0, 0, 9))
    left, right, slope = 20.3, 41.7, 0.21
    obj = surface(plate(view, left, -5, right, 70, 3.0), 1002, flat=True)
    corners = obj.vertices_m.copy()
    corners[:, 0] += slope * (corners[:, 2] - 6.0)
    obj = dataclasses.replace(obj, vertices_m=corners, material=WHITE, two_sided=True)
    _, seen = shot(
        view,
        [obj],
        lit(sky=0.49, ground=0.49),
        backdrop=np.zeros((64, 64, 3), np.uint8),
        supersample=scale,
        catches_shadow=False,
    )
    rows = np.arange(64 * 32) / 32 + 1 / 64
    # z falls by 3/64 m a row; x grows by slope * 64/3 pixels a metre of z.
    z = (32 - rows) * 3.0 / 64
    shift = slope * (z + 3.0) * 64 / 3
    columns = np.arange(65)[None, :]
    reached = np.clip(columns, left + shift[:, None], right + shift[:, None])
    share = np.diff(reached, axis=1).reshape(64, 32, 64).mean(axis=1)
    error = np.abs(seen[..., 0] / 0.49 - share)
    bound = {1: 0.55, 2: 0.3, 3: 0.2, 4: 0.15}[scale]
    assert error.max() <= bound
    assert abs((seen[..., 0] / 0.49).mean() - share.mean()) < 0.004
    edge = (share > 0.02) & (share < 0.98)
    assert error[edge].mean() <= {1: 0.3, 2: 0.13, 3: 0.09, 4: 0.07}[scale]


def test_the_backdrop_comes_through_byte_for_byte():
    view = camera(120, 90, 90.0, position_m=(0, -3, 1.2))
    backdrop = stream(5, "backdrop").integers(0, 256, (90, 120, 3)).astype(np.uint8)
    obj = ball((0, 0, 0.4), 0.4, material=GREY)
    rendering, _ = shot(view, [obj], lit((0.3, 0.2, 1), 0.6, sky=0.3), backdrop=backdrop)
    touched = (rendering.rgb != backdrop).any(axis=-1)
    assert touched[rendering.instance == 1002].mean() > 0.9
    # The horizon is the middle row; a shadow can only lie below it, and near the ball.
    free = rendering.instance == 0
    assert not touched[:45][free[:45]].any()
    assert 20 < touched[free].sum() < 0.3 * free.sum()
    bare, _ = shot(view, [], lit((0.3, 0.2, 1), 0.6, sky=0.3), backdrop=backdrop)
    np.testing.assert_array_equal(bare.rgb, backdrop)


def test_a_texture_lies_where_its_coordinates_say():
    # Perspective: the plate is slanted in depth, the texture is a ramp, so light is (u, v).
    view = camera(96, 96, 96.0, position_m=(0, 0, 9))
    vertices = np.array([[-1, 2, 8], [1, 4, 8], [1, 4, 10], [-1, 2, 10]], np.float32)
    uv = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    ramp = np.linspace(0, 1, 64)
    texture = np.full((64, 64, 4), 255, np.uint8)
    texture[..., 0] = linear_to_srgb_u8(np.broadcast_to(ramp[None, :] * 0.45, (64, 64)))
    texture[..., 1] = linear_to_srgb_u8(np.broadcast_to(ramp[::-1, None] * 0.45, (64, 64)))
    obj = dataclasses.replace(
        square(1.0, 0.0),
        vertices_m=vertices,
        coords=uv,
        two_sided=True,
        material=Material(kind="texture", base_rgb=(1, 1, 1), texture=0, specular=0.0),
    )
    rendering, seen = shot(view, [obj], lit(sky=1.0, ground=1.0), textures=(texture,))
    i, j = np.nonzero(rendering.instance == 1002)
    where = view.to_world(
        view.unproject(np.stack([j + 0.5, i + 0.5], axis=-1), rendering.depth_m[i, j])
    )
    u, v = (where[:, 0] + 1) / 2, (where[:, 2] - 8) / 2
    inner = (u > 0.05) & (u < 0.95) & (v > 0.05) & (v < 0.95)
    assert inner.sum() > 1000
    np.testing.assert_allclose(seen[i, j, 0][inner], u[inner] * 0.45, atol=0.02)
    np.testing.assert_allclose(seen[i, j, 1][inner], v[inner] * 0.45, atol=0.02)


@pytest.mark.parametrize("front", [True, False])
@pytest.mark.parametrize("u, v", [((1, 0), (0, 1)), ((-1, 0), (0, 1)), ((0, 1), (-1, 0))])
def test_a_normal_map_leans_red_along_u_and_green_along_v(u, v, front):
    obj = square(3.0, 0.0, material=Material(kind="texture", texture=0, specular=0.0, bump=1.0))
    coords = np.pad(
        obj.vertices_m[:, :2] @ np.array([u, v], np.float32).T / 6 + 0.5, ((0, 0), (0, 1))
    )
    faces = obj.faces if front else obj.faces[:, ::-1]
    obj = dataclasses.replace(obj, coords=coords, faces=faces, two_sided=True)
    n = np.array([0.36, 0.48, 0.8])
    normals = np.round(np.array([*(n + 1) / 2, 1]) * 255).astype(np.uint8)
    relief = makehuman_files._relief(np.tile(normals, (16, 16, 1)), (32, 32), 1.0)
    texture = np.concatenate([np.full((32, 32, 4), 255, np.uint8), relief])
    away = n if front else n * [-1, -1, 1]
    lean = away[0] * np.array([*u, 0]) + away[1] * np.array([*v, 0]) + [0, 0, away[2]]
    for sun in ((0, 0, 1), (0.8, 0, 0.6), (0, -0.6, 0.8)):
        _, seen = shot(from_above(), [obj], lit(sun=sun, sun_rgb=0.9), textures=(texture,))
        np.testing.assert_allclose(seen, 0.45 * max(lean @ sun, 0), atol=0.006)


def test_labels_do_not_depend_on_the_picture():
    scene = busy_scene(3)
    other = dataclasses.replace(
        scene, supersample=4, light=lit((1, 1, 1), 0.2), backdrop=scene.backdrop + 9
    )
    a, b = render(pack(scene), scene), render(pack(other), other)
    for name in ("depth_m", "instance", "part"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


# A flash at the camera

DARK = lit()
SUNNY = lit(sun_rgb=0.5, sky=0.3, sun=(0.6, 0.0, 0.8))


def _flash(light, level):
    return dataclasses.replace(light, flash_rgb=(level, level, level))


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
