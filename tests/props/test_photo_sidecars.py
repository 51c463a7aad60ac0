"""Sidecars of photos: what they say, what of it makes a photo a place, what is refused."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthstudio.core.catalogue import ImageAsset
from synthstudio.core.errors import AssetError
from synthstudio.props.assets import scan_images

KNOWN = "camera_height_m: 1.5\npitch_deg: -5\nvertical_fov_deg: 50\n"


def photo(root: Path, sidecar: str | None, *, focal_mm: int | None = None) -> ImageAsset:
    """The asset of a photo of 60 x 40 pixels with that sidecar."""
    folder = root / "photos"
    folder.mkdir(exist_ok=True)
    exif = Image.Exif()
    if focal_mm is not None:
        exif.get_ifd(0x8769)[0xA405] = focal_mm
    Image.new("RGB", (60, 40), (90, 80, 70)).save(folder / "a.jpg", exif=exif)
    (folder / "a.camera.yaml").unlink(missing_ok=True)
    if sidecar is not None:
        (folder / "a.camera.yaml").write_text(sidecar, encoding="utf-8")
    (found,) = scan_images(root, "photos", kind="background")
    return found


def test_a_known_camera_makes_a_ground(tmp_path):
    more = "roll_deg: 2\nsun_elevation_deg: 40\nsun_azimuth_deg: -90\n"
    more += "floor: [[0, 1], [0.5, 0.7], [1, 1]]\n"
    found = photo(tmp_path, KNOWN + more)
    ground = found.ground
    assert ground is not None and found.unfit == ""
    assert ground.camera_height_m == 1.5 and ground.floor == ((0.0, 1.0), (0.5, 0.7), (1.0, 1.0))
    angles = (ground.pitch_rad, ground.vertical_fov_rad, ground.roll_rad)
    np.testing.assert_allclose(np.degrees(angles), (-5, 50, 2))
    assert (ground.sun_elevation_rad, ground.sun_azimuth_rad) == pytest.approx(
        (math.radians(40), -math.pi / 2)
    )


@pytest.mark.parametrize("roll", [0, 10])
def test_the_pitch_follows_from_the_horizon(tmp_path, roll):
    told = f"camera_height_m: 1.5\nhorizon: 0.3\nvertical_fov_deg: 50\nroll_deg: {roll}\n"
    ground = photo(tmp_path, told).ground
    assert ground is not None
    camera = ground.camera((60, 40))
    # What is far away on the floor, in the photo's middle column, is in the row of the horizon.
    far = camera.to_world(camera.unproject(np.array([30.0, 0.3 * 40 + 1e-4]), np.array(1.0)))
    assert far[2] == pytest.approx(1.5, abs=1e-5)
    if not roll:
        assert camera.horizon_px == pytest.approx(12)


def test_the_angle_of_view_is_taken_from_exif(tmp_path):
    told = "camera_height_m: 1.5\npitch_deg: -5\n"
    found = photo(tmp_path, told, focal_mm=28)
    # 3:2, as the film: its height is 24 mm.
    assert found.ground is not None
    assert found.ground.vertical_fov_rad == pytest.approx(2 * math.atan(12 / 28))
    camera = (found.camera_height_m, found.pitch_rad, found.vertical_fov_rad)
    assert camera == (1.5, pytest.approx(math.radians(-5)), None), "`ground: any` is as before"
    assert photo(tmp_path, told, focal_mm=0).unfit.startswith("its sidecar lacks vertical_fov_deg")
    own = photo(tmp_path, KNOWN, focal_mm=28).ground
    assert own is not None and own.vertical_fov_rad == pytest.approx(math.radians(50))


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (None, "no sidecar"),
        ("camera_height_m: 1.5\n", "lacks vertical_fov_deg"),
        ("pitch_deg: 1\nvertical_fov_deg: 50\n", "lacks camera_height_m"),
        ("camera_height_m: 1\nvertical_fov_deg: 50\n", "lacks pitch_deg or horizon"),
        ("camera_height_m: 1\nhorizon: 0.5\n", "lacks vertical_fov_deg"),
        (KNOWN + "stand: false\nreason: a keyboard\n", "stand: false, a keyboard"),
        ("stand: false\n", "stand: false"),
        ("camera_height_m: 1.5\nhorizon: 2\nvertical_fov_deg: 50\n", "it shows no floor 1 to 15"),
        ("camera_height_m: 0.3\npitch_deg: -85\nvertical_fov_deg: 30\n", "it shows no floor"),
        (KNOWN + "floor: [[0, 0], [1, 0], [1, 0.2]]\n", "its floor polygon shows no floor"),
    ],
)
def test_a_photo_that_is_no_place_says_why(tmp_path, told, reason):
    found = photo(tmp_path, told)
    assert found.ground is None
    assert reason in found.unfit


@pytest.mark.parametrize(
    ("size", "shade", "lamp", "reason"),
    [
        ((1, 1), 90, 0, "1 x 1 pixels: smaller than 32 a side"),
        ((640, 31), 90, 0, "640 x 31 pixels: smaller than 32 a side"),
        ((32, 32), 90, 0, ""),
        ((64, 48), 0, 0, "black: hardly a pixel is brighter than 16 of 255"),
        ((640, 480), 9, 0, "black: "),
        ((640, 480), 9, 40, ""),  # night with a lamp
    ],
)
def test_a_photo_that_shows_nothing_is_no_place(tmp_path, size, shade, lamp, reason):
    (tmp_path / "photos").mkdir()
    image = Image.new("RGB", size, (shade, shade, shade))
    image.paste((250, 240, 200), (0, 0, lamp, lamp))
    image.save(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "a.camera.yaml").write_text(KNOWN)
    (found,) = scan_images(tmp_path, "photos", kind="background")
    assert found.unfit.startswith(reason)
    assert bool(found.unfit) == (found.ground is None) == bool(reason)
    assert (found.width_px, found.height_px) == size


WRONG = [
    ("ground: 1", "ground: 1 (Extra"),
    ("camera_height_m: .nan", "camera_height_m: .nan"),
    ("camera_height_m: tall", "camera_height_m: tall"),
    ("horizon: .inf", "horizon: .inf"),
    ("roll_deg: 50", "roll_deg: 50 (Input should be less than or equal to 45)"),
    ("sun_elevation_deg: 0", "greater than or equal to 3"),
    ("pitch_deg: 1\nhorizon: 0.5", "both pitch_deg and horizon"),
    ("floor: [[0, 0], [1, 1]]", "floor: a nested value (Tuple should have at least 3 items"),
    ("floor: 3", "floor: 3"),
    ("floor: [[0, 0], [1, 1], 2]", "floor.2: 2"),
    ("floor: [[0, 0], [1, 1], [1, 1.01]]", "floor.2.1: 1.01"),
    ("floor: [[0, 0], [1, 1], [1, .nan]]", "floor.2.1: .nan"),
    ("floor: [[0, 0], [0.5, 0.5], [1, 1]]", "without an area"),
    (f"floor: {[[0, 0]] * 65}", "at most 64 items"),
    ("stand: 2", "stand: 2"),
    ("stand: [false]", "stand: a nested value"),
    ("reason: it is a clock", "reason without stand"),
    ("stand: false\nreason: {a: b}", "reason: a nested value"),
    ("pitch_deg: 1\npitch_deg: 2", "a field twice"),
    ("- 1", "no mapping"),
    ("", ""),
    *((text, "") for text in ("camera_height_m: -1", "pitch_deg: 91", "pitch_deg: [1]")),
    *((text, "") for text in ("[a]: 1", "vertical_fov_deg: 500", "a: &a 1\nb: *a")),
    *((text, "") for text in ("pitch_deg: {", "x: " + "[" * 900, "pitch_deg: 1" * 999)),
]


@pytest.mark.parametrize(("told", "got"), WRONG)
def test_a_wrong_sidecar_is_one_message(tmp_path, told, got):
    with pytest.raises(AssetError) as caught:
        photo(tmp_path, told)
    message = str(caught.value)
    assert "a.camera.yaml" in message and got in message
    assert not got or "the photo's sidecar cannot be used" in message


@pytest.mark.parametrize("height", ["0", "-1", "true", '"2"', "1e9", "[1]", "NaN"])
def test_a_cutouts_height_is_metres(tmp_path, height):
    folder = tmp_path / "cut"
    folder.mkdir()
    rgba = np.zeros((30, 20, 4), np.uint8)
    rgba[5:25, 4:14] = 255
    Image.fromarray(rgba).save(folder / "a.png")
    manifest = folder / "manifest.json"
    manifest.write_text('[{"file": "a.png", "height_m": 1.25}]')
    (found,) = scan_images(tmp_path, "cut", kind="cutout")
    assert (found.height_m, found.shown_px) == (1.25, (10, 20))
    manifest.write_text(f'[{{"file": "a.png", "height_m": {height}}}]')
    with pytest.raises(AssetError, match=r"manifest\.json: a\.png: height_m"):
        scan_images(tmp_path, "cut", kind="cutout")
