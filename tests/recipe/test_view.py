import dataclasses
import math

import numpy as np
import pytest
from recipe_fake import CATALOGUE, FakeSolve, without

from synthstudio.core.camera import Camera
from synthstudio.core.errors import RecipeError
from synthstudio.recipe.draw import draw
from synthstudio.recipe.sampling.view import FINE_FROM_PX, detail_at
from synthstudio.recipe.schema.load import parse

GREY = np.array([0.2126, 0.7152, 0.0722])
PHOTO = {"kind": "photo", "folder": "backgrounds", "ground": "any", "mirrored": 0.5}


def frames(count, solve=None, **recipe):
    solve = solve or FakeSolve()
    wish = parse({"name": "v", "people": {"count": 1}, **recipe})
    return [draw(wish, i, solve) for i in range(count)]


def test_the_camera_keeps_to_its_ranges():
    wanted = {"distance_m": [3, 4], "height_m": [1.2, 1.4], "vertical_fov_deg": [40, 44]}
    for camera in (spec.camera for spec in frames(60, camera={**wanted, "roll_deg": [-2, 2]})):
        assert camera.position_m[0] == 0 and -4 <= camera.position_m[1] <= -3
        assert 1.2 <= camera.position_m[2] <= 1.4
        fov = 2 * math.atan(camera.height_px / 2 / camera.focal_px)
        assert math.radians(40) - 1e-9 <= fov <= math.radians(44) + 1e-9
        assert abs(camera.roll_rad) <= math.radians(2) + 1e-9
    pitched = frames(3, camera={"pitch_deg": -7})
    assert [spec.camera.pitch_rad for spec in pitched] == pytest.approx([math.radians(-7)] * 3)


@pytest.mark.parametrize(("off", "within_px"), [(0.0, (1e-6, 1e-6)), (0.2, (8, 480))])
def test_the_camera_aims_at_the_group_or_so_far_beside_it(off, within_px):
    for spec in frames(10, camera={"aim_height_m": 1.0, "roll_deg": 0.0, "off_centre": off}):
        pixel = spec.camera.project(spec.camera.to_camera(np.array([0.0, 0.0, 1.0])))
        assert (np.abs(pixel - (320 + off * 640, 240)) < within_px).all()


def test_the_lens_keeps_to_its_ranges_and_photos_have_none():
    lens = {"distortion": {"k1": [-0.2, 0.1], "k2": [0, 0.05]}}
    view = {"vertical_fov_deg": [35, 45]}
    drawn = [spec.camera for spec in frames(60, camera=view, lens=lens)]
    k1, k2 = np.transpose([camera.distortion for camera in drawn])
    assert -0.2 <= k1.min() < -0.15 and 0.05 < k1.max() <= 0.1
    assert k2.min() >= 0 and k2.max() <= 0.05
    straight = [dataclasses.replace(bent, distortion=None) for bent in drawn]
    assert straight == [spec.camera for spec in frames(60, camera=view)]
    photos = frames(10, camera=view, lens=lens, backdrop=PHOTO)
    assert {spec.camera.distortion for spec in photos} == {None}


def test_photos_are_cropped_to_the_frames_shape_as_large_as_they_can_be():
    photos = [spec.backdrop for spec in frames(60, backdrop=PHOTO)]
    for x0, y0, x1, y1 in (photo.crop_px for photo in photos):
        assert 0 <= x0 < x1 <= 640 and 0 <= y0 < y1 <= 427
        assert (x1 - x0) / (y1 - y0) == pytest.approx(4 / 3)
        assert y1 - y0 == pytest.approx(427)
    assert 15 < sum(photo.mirrored for photo in photos) < 45


def test_a_sidecar_decides_height_pitch_and_focal_length():
    facts = {"camera_height_m": 2.5, "pitch_rad": -0.2, "vertical_fov_rad": 0.8}
    images = tuple(dataclasses.replace(b, **facts) for b in CATALOGUE.backgrounds)
    solve = without(FakeSolve(), backgrounds=images)
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


def test_rooms_hold_the_camera_and_everybody():
    solve, walls = FakeSolve(), 0
    wish = {
        "people": {"count": [1, 5]},
        "objects": [{"kind": "procedural", "placement": "around", "offset_m": [2, 5]}],
        "backdrop": {"kind": "room", "width_m": 2, "depth_m": [2, 12], "walls": 0.5},
    }
    for spec in frames(60, solve, **wish):
        room = spec.backdrop
        walls += room.walls
        middle, half = np.array(room.centre_m), np.array(room.size_m[:2]) / 2
        spots = [np.array([spec.camera.position_m[:2]] * 2)]
        spots += [solve.box_m(item)[:, :2] for item in (*spec.people, *spec.objects)]
        for box in spots:
            assert (box[0] >= middle - half + 0.3).all() and (box[1] <= middle + half - 0.3).all()
    assert 15 < walls < 45


def test_the_suns_direction_and_share():
    wanted = {"sun_elevation_deg": 30, "sun_azimuth_deg": 90, "sun_share": 0.6, "warmth": 0}
    light = frames(1, light=wanted)[0].light
    # From the right of the picture: the camera looks along +y with x to its right.
    assert light.sun_direction == pytest.approx([math.cos(math.pi / 6), 0, 0.5], abs=1e-12)
    assert np.array(light.sun_rgb) @ GREY == pytest.approx(0.6)
    assert np.array(light.sky_rgb) @ GREY == pytest.approx(0.4)
    behind = frames(1, light={**wanted, "sun_azimuth_deg": 0})[0].light
    assert behind.sun_direction[1] < 0  # behind the camera, which stands at -y


def test_what_the_rasteriser_cannot_hold_is_refused():
    wish = {
        "image": {"width_px": 4096, "height_px": 4096},
        "camera": {"vertical_fov_deg": 10, "distance_m": 12},
        "backdrop": {"kind": "room", "walls": 1, "depth_m": 60, "width_m": 60},
    }
    with pytest.raises(RecipeError, match=r"frame 0: something reaches too far"):
        frames(1, **wish)


CAMERA = Camera(
    width_px=640, height_px=480, focal_px=600.0, position_m=(0, -4.0, 0.875), yaw_rad=0, pitch_rad=0
)


def test_detail_follows_height_in_the_picture():
    far_m = 1.75 * CAMERA.focal_px / FINE_FROM_PX
    assert detail_at(CAMERA, 0.0, far_m - 4.0 - 0.01) == "fine"
    assert detail_at(CAMERA, 0.0, far_m - 4.0 + 0.01) == "coarse"
    assert detail_at(CAMERA, 9.0, far_m - 4.0 - 0.01) == "fine"  # along the view, not as it flies
    assert detail_at(dataclasses.replace(CAMERA, focal_px=60.0), 0.0, 0.0) == "coarse"
    for at_or_behind_m in (-4.0, -5.0):
        assert detail_at(CAMERA, 0.0, at_or_behind_m) == "fine"


def test_who_stands_against_the_light_is_exposed_longer():
    wanted = {"sun_elevation_deg": 30, "sun_share": 0.6, "warmth": 0, "brightness": 1}
    lights = [{**wanted, "sun_azimuth_deg": azimuth} for azimuth in (0, 90, 180)]
    front, side, back = (frames(1, light=light)[0].light.exposure for light in lights)
    assert front < side < back and 1.3 < back / front < 3


def test_bright_walls_are_not_exposed_to_more_than_white():
    for frame in frames(40, backdrop={"kind": "room", "walls": 1}, light={"brightness": 4}):
        light, behind = frame.light, frame.backdrop
        walls = max(np.array([behind.floor.base_rgb, behind.wall.base_rgb]) @ GREY)
        sun, sky, ground = np.array([light.sun_rgb, light.sky_rgb, light.ground_rgb]) @ GREY
        lit = sun * math.sqrt(0.5) + (sky + ground) / 2
        assert walls * lit * light.exposure <= 1.03
