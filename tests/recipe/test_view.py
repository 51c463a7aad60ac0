from __future__ import annotations

import dataclasses
import math
from collections import Counter

import numpy as np
import pytest
from recipe_fake import CATALOGUE, FakeSolve, without

from synthstudio.core.camera import Camera
from synthstudio.core.errors import RecipeError
from synthstudio.core.spec import PhotoBackdrop, RoomBackdrop
from synthstudio.recipe.draw import draw
from synthstudio.recipe.sampling.view import FINE_FROM_PX, detail_at
from synthstudio.recipe.schema.load import parse

PHOTO = {"kind": "photo", "folder": "backgrounds", "ground": "any", "mirrored": 0.5}


def frames(count, solve=None, **recipe):
    solve = solve or FakeSolve()
    wish = parse({"name": "v", "people": {"count": 1}, **recipe})
    return [draw(wish, i, solve) for i in range(count)]


def test_the_camera_keeps_to_its_ranges():
    wanted = {
        "distance_m": [3, 4],
        "height_m": [1.2, 1.4],
        "vertical_fov_deg": [40, 44],
        "roll_deg": [-2, 2],
    }
    for spec in frames(200, camera=wanted):
        camera = spec.camera
        assert -4 <= camera.position_m[1] <= -3
        assert camera.position_m[0] == 0
        assert 1.2 <= camera.position_m[2] <= 1.4
        fov = 2 * math.atan(camera.height_px / 2 / camera.focal_px)
        assert math.radians(40) - 1e-9 <= fov <= math.radians(44) + 1e-9
        assert abs(camera.roll_rad) <= math.radians(2) + 1e-9


def test_the_camera_aims_at_the_group():
    wanted = {"aim_height_m": 1.0, "off_centre": 0.0, "roll_deg": 0.0}
    for spec in frames(20, camera=wanted):
        pixel = spec.camera.project(spec.camera.to_camera(np.array([0.0, 0.0, 1.0])))
        np.testing.assert_allclose(pixel, [320, 240], atol=1e-6)


def test_off_centre_moves_the_group_to_the_right():
    wanted = {"aim_height_m": 1.0, "off_centre": 0.2, "roll_deg": 0.0}
    for spec in frames(10, camera=wanted):
        pixel = spec.camera.project(spec.camera.to_camera(np.array([0.0, 0.0, 1.0])))
        assert pixel[0] == pytest.approx(320 + 0.2 * 640, abs=8)


def test_the_lens_keeps_to_its_ranges_and_photos_have_none():
    lens = {"distortion": {"k1": [-0.2, 0.1], "k2": [0, 0.05]}}
    view = {"vertical_fov_deg": [35, 45]}
    drawn = [spec.camera for spec in frames(60, camera=view, lens=lens)]
    k1, k2 = np.transpose([camera.distortion for camera in drawn])
    assert -0.2 <= k1.min() < -0.15 and 0.05 < k1.max() <= 0.1
    assert k2.min() >= 0 and k2.max() <= 0.05
    for bent, plain in zip(
        drawn, frames(60, camera=view), strict=True
    ):  # nothing else is drawn otherwise
        assert dataclasses.replace(bent, distortion=None) == plain.camera
    photos = frames(10, camera=view, lens=lens, backdrop=PHOTO)
    assert {spec.camera.distortion for spec in photos} == {None}


def test_photos_are_cropped_to_the_frames_shape_as_large_as_they_can_be():
    mirrored = Counter()
    for spec in frames(60, backdrop=PHOTO):
        photo = spec.backdrop
        assert isinstance(photo, PhotoBackdrop)
        x0, y0, x1, y1 = photo.crop_px
        assert 0 <= x0 < x1 <= 640
        assert 0 <= y0 < y1 <= 427
        assert (x1 - x0) / (y1 - y0) == pytest.approx(4 / 3)
        assert y1 - y0 == pytest.approx(427)
        mirrored[photo.mirrored] += 1
    assert min(mirrored.values()) > 15


def with_facts(**facts):
    images = tuple(dataclasses.replace(b, **facts) for b in CATALOGUE.backgrounds)
    return without(FakeSolve(), backgrounds=images)


def test_a_sidecar_decides_height_pitch_and_focal_length():
    solve = with_facts(camera_height_m=2.5, pitch_rad=-0.2, vertical_fov_rad=0.8)
    for spec in frames(20, solve, backdrop=PHOTO):
        camera, photo = spec.camera, spec.backdrop
        assert camera.position_m[2] == 2.5
        assert (camera.pitch_rad, camera.roll_rad) == (-0.2, 0.0)
        # A ray through a pixel of the crop leaves the camera as it left the photo's camera.
        x0, y0, x1, y1 = photo.crop_px
        focal = 427 / 2 / math.tan(0.4)
        for x, y in ((0.0, 0.0), (640.0, 480.0), (100.0, 300.0)):
            across = (640 - x if photo.mirrored else x) / 640
            in_photo = x0 + across * (x1 - x0), y0 + y / 480 * (y1 - y0)
            want = ((in_photo[0] - 320) / focal, (in_photo[1] - 213.5) / focal)
            ray = camera.unproject(np.array([x, y]), np.array(1.0))
            assert ray[0] == pytest.approx(-want[0] if photo.mirrored else want[0], abs=1e-9)
            assert ray[1] == pytest.approx(want[1], abs=1e-9)


def test_a_sidecar_with_pitch_alone_keeps_the_middle_row():
    tall = tuple(
        dataclasses.replace(b, width_px=400, height_px=900, pitch_rad=0.1)
        for b in CATALOGUE.backgrounds
    )
    for spec in frames(10, without(FakeSolve(), backgrounds=tall), backdrop=PHOTO):
        _, y0, _, y1 = spec.backdrop.crop_px
        assert (y0 + y1) / 2 == pytest.approx(450)
        assert spec.camera.pitch_rad == 0.1
        assert spec.camera.centre_px is None


def test_without_a_sidecar_the_recipe_decides():
    for spec in frames(10, with_facts(camera_height_m=None), backdrop=PHOTO):
        assert 1.0 <= spec.camera.position_m[2] <= 1.8
        assert spec.camera.centre_px is None


def test_rooms_hold_the_camera_and_everybody():
    solve = FakeSolve()
    wish = {
        "people": {"count": [1, 5]},
        "things": [{"kind": "procedural", "placement": "around", "offset_m": [2, 5]}],
        "backdrop": {"kind": "room", "width_m": 2, "depth_m": [2, 12], "walls": 0.5},
    }
    walls = Counter()
    for spec in frames(100, solve, **wish):
        room = spec.backdrop
        assert isinstance(room, RoomBackdrop)
        walls[room.walls] += 1
        low = np.array(room.centre_m) - np.array(room.size_m[:2]) / 2
        high = np.array(room.centre_m) + np.array(room.size_m[:2]) / 2
        spots = [np.array([spec.camera.position_m[:2]] * 2)]
        spots += [solve.box_m(item)[:, :2] for item in (*spec.people, *spec.things)]
        for box in spots:
            assert (box[0] >= low + 0.3).all()
            assert (box[1] <= high - 0.3).all()
    assert min(walls.values()) > 25


def test_open_ground_is_wide_and_grass_grows_only_there():
    seen = Counter()
    for spec in frames(200, backdrop={"kind": "room", "walls": 0.5}):
        room = spec.backdrop
        seen[room.walls, room.floor.pattern] += 1
        if not room.walls:
            assert min(room.size_m[:2]) > 40
    assert seen[True, "grass"] == 0
    assert seen[False, "grass"] > 15
    lawn = {"kind": "room", "walls": 1.0, "floor_patterns": {"grass": 1}}
    assert frames(1, backdrop=lawn)[0].backdrop.floor.pattern == "grass"


def test_a_panorama_is_exposed_by_the_wish_alone():
    backdrop = {"kind": "hdri", "folder": "hdri"}
    for spec in frames(5, backdrop=backdrop, light={"brightness": 1.25}):
        assert spec.light.exposure == 1.25


def test_the_suns_direction_and_share():
    wanted = {"sun_elevation_deg": 30, "sun_azimuth_deg": 90, "sun_share": 0.6, "warmth": 0}
    light = frames(1, light=wanted)[0].light
    # From the right of the picture: the camera looks along +y with x to its right.
    np.testing.assert_allclose(
        light.sun_direction, [math.cos(math.pi / 6), 0, 0.5], rtol=0, atol=1e-12
    )
    grey = np.array([0.2126, 0.7152, 0.0722])
    assert np.array(light.sun_rgb) @ grey == pytest.approx(0.6)
    assert np.array(light.sky_rgb) @ grey == pytest.approx(0.4)
    behind = frames(1, light={**wanted, "sun_azimuth_deg": 0})[0].light
    assert behind.sun_direction[1] < 0  # behind the camera, which stands at -y


def test_light_is_unit_upward_and_exposes_mid_grey():
    grey = np.array([0.2126, 0.7152, 0.0722])
    for spec in frames(200, light={"brightness": 1.0}):
        light = spec.light
        assert np.linalg.norm(light.sun_direction) == pytest.approx(1)
        assert light.sun_direction[2] > 0
        sun, sky, ground = (np.array(c) for c in (light.sun_rgb, light.sky_rgb, light.ground_rgb))
        assert min(sun.min(), sky.min(), ground.min()) >= 0
        lit = sun * math.sqrt(0.5) + (sky + ground) / 2
        assert 0.18 * lit @ grey * light.exposure == pytest.approx(0.18 * 0.85)


def test_warmth_turns_the_sun_red():
    warm, cold = (frames(1, light={"warmth": w})[0].light.sun_rgb for w in (1, -1))
    assert warm[0] > 1.5 * warm[2]
    assert cold[2] > 1.2 * cold[0]


def test_a_flash_gives_the_group_what_it_takes_from_sun_and_sky():
    behind = {"kind": "room", "walls": 0.0}
    plain = frames(10, backdrop=behind, light={"side": 0.5})
    for spec, old in zip(
        frames(10, backdrop=behind, light={"side": 0.5, "flash": 0.9}), plain, strict=True
    ):
        light, before = spec.light, old.light
        for name in ("sun_rgb", "sky_rgb", "ground_rgb", "side_rgb"):
            assert np.allclose(getattr(light, name), 0.1 * np.array(getattr(before, name)))
        assert np.allclose(spec.backdrop.sky_rgb, 0.1 * np.array(old.backdrop.sky_rgb))
        assert light.exposure == before.exposure
        away = np.linalg.norm(np.array(spec.camera.position_m) - (0, 0, 1))
        # Mid-grey at the group's middle that faces the camera: a quarter stop below mid-grey.
        assert light.flash_rgb[0] / away**2 * light.exposure == pytest.approx(0.9 * 0.85, rel=0.3)
        nothing = {"flash_rgb": (0.0, 0.0, 0.0)}
        assert before == dataclasses.replace(before, **nothing)
        assert spec.people == old.people


def test_the_lens_keeps_to_its_chances_and_ranges():
    wanted = {
        "blur": 0.25,
        "blur_sigma_px": [1, 2],
        "motion": 1.0,
        "motion_px": [3, 4],
        "noise": 0.0,
        "exposure_ev": [-1, 1],
        "vignette": 0.1,
        "jpeg_quality": [50, 60],
    }
    lenses = [spec.lens for spec in frames(200, lens=wanted)]
    blurred = [lens.blur_sigma_px for lens in lenses if lens.blur_sigma_px > 0]
    assert abs(len(blurred) / 200 - 0.25) < 0.1
    assert all(1 <= sigma <= 2 for sigma in blurred)
    for lens in lenses:
        assert 3 <= lens.motion_px <= 4
        assert 0 <= lens.motion_angle_rad <= math.pi
        assert lens.noise_sigma == 0
        assert -1 <= lens.exposure_ev <= 1
        assert lens.vignette == 0.1
        assert 50 <= lens.jpeg_quality <= 60
    assert len({lens.noise_seed for lens in lenses}) == 200


def test_balance_and_sensor_have_streams_of_their_own():
    wanted = {"white_balance_mired": [-80, 40], "tint_ev": [-0.1, 0.1], "iso": [100, 3200]}
    wanted |= {"contrast": [0.2, 0.8], "sharpening": [0.3, 1]}
    before = [spec.lens for spec in frames(20)]
    lenses = [spec.lens for spec in frames(20, lens=wanted)]
    for lens, old in zip(lenses, before, strict=True):
        assert -80 <= lens.white_balance_mired <= 40
        assert -0.1 <= lens.tint_ev <= 0.1
        assert 100 <= lens.iso <= 3200
        assert 0.2 <= lens.contrast <= 0.8
        assert 0.3 <= lens.sharpening <= 1
        plain = dataclasses.replace(lens, white_balance_mired=0.0, tint_ev=0.0, iso=0.0)
        assert dataclasses.replace(plain, contrast=0.0, sharpening=0.0) == old
    assert len({lens.iso for lens in lenses}) == 20


def test_the_focus_is_on_one_of_the_people():
    wanted = {"defocus": 0.5, "aperture_mm": [5, 60], "focus_error": [-0.1, 0.2]}
    lenses = [s.lens for s in frames(100, lens=wanted, people={"count": 3})]
    wide = [lens for lens in lenses if lens.aperture_m > 0]
    assert abs(len(wide) / 100 - 0.5) < 0.15
    assert all(0.005 <= lens.aperture_m <= 0.06 for lens in wide)
    assert all(-0.1 <= lens.focus_error <= 0.2 for lens in wide)
    assert {lens.focus_on for lens in wide} == {0, 1, 2}
    before = [s.lens for s in frames(100, people={"count": 3})]
    none = {"aperture_m": 0.0, "focus_on": 0, "focus_error": 0.0}
    assert [dataclasses.replace(lens, **none) for lens in lenses] == before
    alone = frames(5, lens=wanted | {"defocus": 1.0}, people={"count": 0})
    assert all(s.lens.aperture_m == 0 for s in alone)


def test_what_the_rasteriser_cannot_hold_is_refused():
    wish = {
        "image": {"width_px": 4096, "height_px": 4096},
        "camera": {"vertical_fov_deg": 10, "distance_m": 12},
        "backdrop": {"kind": "room", "depth_m": 60, "width_m": 60},
    }
    with pytest.raises(RecipeError, match=r"frame 0: something reaches too far"):
        frames(1, **wish)


# Test detail -----------------------------------------------------------------------------

CAMERA = Camera(
    width_px=640,
    height_px=480,
    focal_px=600.0,
    position_m=(0.0, -4.0, 0.875),
    yaw_rad=0.0,
    pitch_rad=0.0,
)
RECIPE = {
    "name": "deep",
    "image": {"width_px": 640, "height_px": 480},
    "camera": {"distance_m": [2, 3.5]},
    "people": {"count": 4, "min_gap_m": 0.05, "arrangement": {"kind": "crowd", "depth_m": [1, 5]}},
}


def test_detail_follows_height_in_the_picture():
    far_m = 1.75 * CAMERA.focal_px / FINE_FROM_PX
    assert detail_at(CAMERA, 0.0, far_m - 4.0 - 0.01) == "fine"
    assert detail_at(CAMERA, 0.0, far_m - 4.0 + 0.01) == "coarse"
    assert detail_at(CAMERA, 9.0, far_m - 4.0 - 0.01) == "fine"  # along the view, not as it flies
    small = dataclasses.replace(CAMERA, focal_px=60.0)
    assert detail_at(small, 0.0, 0.0) == "coarse"


@pytest.mark.parametrize("y_m", [-4.0, -5.0])
def test_who_stands_at_or_behind_the_camera_is_fine(y_m):
    assert detail_at(CAMERA, 0.0, y_m) == "fine"


def test_everybody_has_the_detail_of_the_place_where_they_stand():
    solve, seen = FakeSolve(), []
    for index in range(40):
        spec = draw(parse(RECIPE), index, solve)
        for person in spec.people:
            assert person.detail == detail_at(spec.camera, *person.position_m[:2])
            assert person.position_m[2] == solve.drop_m(person)
            seen.append(person.detail)
    assert 10 < seen.count("coarse") < len(seen) - 10
