"""People on a photo that we took ourselves: a room with a red square on its floor."""

import dataclasses
import math

import numpy as np
import pytest
from PIL import Image
from stick_people import make_camera, make_spec

from synthstudio.core import masks
from synthstudio.core import spec as specs
from synthstudio.generation import pipeline
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.recipe.schema.load import parse

WIDTH, HEIGHT, EYE_M, PITCH, FOV = 480, 320, 1.6, math.radians(-9), math.radians(52)
SQUARE_M, AT_M, MARGIN_M = 2.4, (0.5, 5.0), 0.45
RECIPE = {
    "name": "places",
    "seed": 5,
    "frames": 6,
    "image": {"width_px": 256, "height_px": 192, "supersample": 1},
    "camera": {"distance_m": [4, 6]},
    "people": {"count": 1, "identities": 6, "poses": {"families": {"stand": 1}}},
    "backdrop": {"kind": "photo", "folder": "photos", "mirrored": 0.5},
    "lens": {"blur": 0, "motion": 0, "noise": 0, "vignette": 0},
}
FOCAL_PX = HEIGHT / 2 / math.tan(FOV / 2)
CAMERA = make_camera(
    WIDTH, HEIGHT, focal_px=FOCAL_PX, position_m=(0.0, 0.0, EYE_M), pitch_rad=PITCH
)


def seen(x, y, z):
    """Where the photo shows a place: the pinhole by hand, without the package's matrices."""
    ahead = y * math.cos(PITCH) + (z - EYE_M) * math.sin(PITCH)
    up = (z - EYE_M) * math.cos(PITCH) - y * math.sin(PITCH)
    return WIDTH / 2 + FOCAL_PX * x / ahead, HEIGHT / 2 - FOCAL_PX * up / ahead


def floor_at(px, py):
    """The place on the floor that a pixel of the photo shows, by hand."""
    right, up = (px - WIDTH / 2) / FOCAL_PX, (HEIGHT / 2 - py) / FOCAL_PX
    down = -(math.sin(PITCH) + up * math.cos(PITCH))
    ahead = math.cos(PITCH) - up * math.sin(PITCH)
    return EYE_M / down * right, EYE_M / down * ahead


@pytest.fixture(scope="module")
def assets(tmp_path_factory):
    root = tmp_path_factory.mktemp("assets")
    (root / "photos").mkdir()
    grey = specs.Material(base_rgb=(0.4, 0.4, 0.4))
    square = specs.ObjectSpec(
        kind="crate",
        size_m=(SQUARE_M, SQUARE_M, 0.004),
        materials=(specs.Material(base_rgb=(0.7, 0.02, 0.02)),),
        position_m=(*AT_M, 0.0),
    )
    light = specs.LightSpec(
        sun_direction=(0.0, -0.6, 0.8),
        sun_rgb=(0.5, 0.5, 0.5),
        sky_rgb=(0.5, 0.5, 0.5),
        ground_rgb=(0.1, 0.1, 0.1),
    )
    spec = dataclasses.replace(
        make_spec(CAMERA, 0),
        objects=(square,),
        backdrop=specs.RoomBackdrop(size_m=(14, 20, 4), centre_m=(0, 4), floor=grey, wall=grey),
        light=light,
        lens=specs.LensSpec(jpeg_quality=98),
    )
    stage = FrameGenerator(prepare(parse({"name": "x"}), assets=root, device="cpu"))
    (root / "photos" / "room.jpg").write_bytes(pipeline.make_frame(stage, spec).jpeg)
    half = SQUARE_M / 2 - MARGIN_M
    corners = [(-half, -half), (half, -half), (half, half), (-half, half)]
    floor = [seen(AT_M[0] + x, AT_M[1] + y, 0.0) for x, y in corners]
    horizon = 0.5 + math.tan(PITCH) / (2 * math.tan(FOV / 2))
    (root / "photos" / "room.camera.yaml").write_text(
        f"camera_height_m: {EYE_M}\nhorizon: {horizon}\nvertical_fov_deg: {math.degrees(FOV)}\n"
        f"floor: {[[x / WIDTH, y / HEIGHT] for x, y in floor]}\n"
    )
    return root


def test_feet_are_on_the_square_and_people_as_tall_as_the_photo_says(assets):
    photo = np.asarray(Image.open(assets / "photos" / "room.jpg")).astype(float)
    settings = prepare(parse(RECIPE), assets=assets, device="cpu")
    stage, mirrored = FrameGenerator(settings), set()
    for frame in pipeline.stream(settings):
        backdrop, (person,) = frame.spec.backdrop, frame.labels.people
        assert isinstance(backdrop, specs.PhotoBackdrop)
        mirrored.add(backdrop.mirrored)
        x0, y0, x1, _ = backdrop.crop_px
        scale = (x1 - x0) / 256
        whole = masks.decode(person.modal)
        _, top, _, high = masks.mask_box(whole)
        row = int(top + high) - 1
        column = float(np.flatnonzero(whole[row]).mean()) + 0.5
        across = 256 - column if backdrop.mirrored else column
        foot = x0 + across * scale, y0 + (row + 0.5) * scale
        red, green, blue = photo[int(foot[1]), int(foot[0])]
        assert red > 1.5 * max(green, blue), (frame.spec.index, foot)
        # The nearest sole is a little before the body's middle, over which the head is.
        at = floor_at(*foot)
        tall = float(stage.box_m(frame.spec.people[0])[1, 2])
        want = (seen(*at, 0.0)[1] - seen(at[0], at[1] + 0.15, tall)[1]) / scale
        assert high == pytest.approx(want, rel=0.07)
    assert mirrored == {False, True}
