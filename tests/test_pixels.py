"""The labels in the pixels: what is exported lies where the picture shows it."""

import dataclasses
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import trimesh
from coco_objects import to_coco

from synthstudio.compose import lens
from synthstudio.core.images import decode_rgb, encode_jpeg, srgb_to_linear
from synthstudio.core.scene import Light, Scene, Surface
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.spec import LensSpec, Material
from synthstudio.dataset import rows
from synthstudio.generation import pipeline
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.recipe.schema.load import dump, load, parse
from synthstudio.render import light, shade
from synthstudio.render.pack import pack

SCENES = Path(__file__).resolve().parents[1] / "scenes"
JOINTS = (
    *("nose", "left_ear", "right_shoulder", "left_elbow", "right_wrist", "left_hip"),
    *("right_knee", "left_ankle", "right_big_toe", "left_heel"),
)
RADIUS_PX = 6.0
LENSES = {
    "none": LensSpec(jpeg_quality=95),
    "all": LensSpec(
        blur_sigma_px=1.2, motion_px=5.0, motion_angle_rad=0.7, noise_sigma=3.0, noise_seed=5,
        exposure_ev=-0.3, vignette=0.3, jpeg_quality=90, white_balance_mired=50.0, iso=800.0,
        contrast=0.4, sharpening=0.6,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def exported():
    found = []
    for width, height in ((320, 240), (640, 480), (1280, 960)):
        text = dump(load(SCENES / "quickstart.yaml"))
        text["image"] |= {"width_px": width, "height_px": height}
        text["camera"] |= {"roll_deg": 3.0}
        stage = FrameGenerator(prepare(parse(text), assets=SCENES, device="cpu"))
        frame = pipeline.make_frame(stage, pipeline.draw_spec(stage, 2))
        coco = to_coco(
            [(rows.frame_row(frame, "images/000002.jpg"), rows.instance_rows(frame))],
            get_skeleton("coco23"),
        )
        found.append((frame.spec, json.loads(json.dumps(coco))))
        poses = [[person.pose for person in spec.people] for spec, _ in found]
        assert poses[-1] == poses[0]  # in any resolution the same people
    return found


def _marker(place_m, radius_m):
    ball = trimesh.creation.icosphere(subdivisions=3, radius=radius_m)
    vertices = (ball.vertices + place_m).astype(np.float32)
    return Surface(
        name="marker",
        instance=1002,
        vertices_m=vertices,
        faces=ball.faces.astype(np.int32),
        coords=vertices,
        material=Material(base_rgb=(0.9, 0.6, 0.1), specular=0.0),
    )


def _centroid(spec, place_m, effects):
    """Return where a bright ball under even light on black has its centre, continuous pixels.

    A ball at (x, y, z) of radius r is seen as an ellipse about f x z / (z^2 - r^2), not f x / z;
    the centroid is corrected for that.
    """
    # High above the floor, whose nearness would darken the ball from below.
    up = np.array([0.0, 0.0, 50.0])
    place_m = place_m + up
    camera = dataclasses.replace(
        spec.camera, position_m=tuple(np.array(spec.camera.position_m) + up)
    )
    z = float(camera.to_camera(place_m)[2])
    radius_m = RADIUS_PX / camera.focal_px * z
    scene = Scene(
        camera=camera,
        people=(),
        objects=(_marker(place_m, radius_m),),
        light=Light(
            sun_direction=np.array([0.0, 0.0, 1.0]),
            sun_rgb=np.zeros(3),
            ambient_sh=light.ambient_from_sky((1.0, 1.0, 1.0), (1.0, 1.0, 1.0)),
        ),
        backdrop=np.zeros((camera.height_px, camera.width_px, 3), np.uint8),
        catches_shadow=False,
        supersample=spec.supersample,
    )
    rgb = shade.render(pack(scene), scene).rgb
    jpeg = encode_jpeg(lens.develop(rgb, effects), effects.jpeg_quality)
    # JPEG halves the resolution of colour, so the place of a ball is read from its luma.
    luma = cv2.cvtColor(decode_rgb(jpeg, "marker"), cv2.COLOR_RGB2GRAY)
    glow = srgb_to_linear(luma).astype(np.float64)
    place_px = camera.project(camera.to_camera(place_m))
    reach = math.ceil(RADIUS_PX) + 9
    j, i = (int(v) for v in place_px)
    down, across = np.mgrid[i - reach : i + reach + 1, j - reach : j + reach + 1]
    window = glow[i - reach : i + reach + 1, j - reach : j + reach + 1]
    seen = np.where(window > 0.05 * window.max(), window, 0.0)
    centroid = np.array([(seen * (across + 0.5)).sum(), (seen * (down + 0.5)).sum()]) / seen.sum()
    middle = camera.K[:2, 2]
    return middle + (centroid - middle) * (1 - (radius_m / z) ** 2)


@pytest.mark.parametrize("effects", LENSES)
def test_markers_at_the_joints_lie_at_the_exported_keypoints(exported, effects):
    names = get_skeleton("coco23").joints
    checked = 0
    for spec, coco in exported:
        person = max(coco["annotations"], key=lambda a: a["area"])
        keypoints = np.array(person["keypoints"]).reshape(-1, 3)
        world = np.array(person["keypoints_3d_world_m"]).reshape(-1, 3)
        margin = 0.05 * spec.camera.width_px
        for name in JOINTS:
            j = names.index(name)
            x, y, v = keypoints[j]
            inside = margin < x < spec.camera.width_px - margin
            if v == 0 or not inside or not margin < y < spec.camera.height_px - margin:
                continue
            found = _centroid(spec, world[j], LENSES[effects])
            # COCO keypoints are pixel indices: the continuous position is half a pixel more.
            assert np.abs(found - (x + 0.5, y + 0.5)).max() < 0.1, (name, found, keypoints[j])
            checked += 1
    assert checked >= 24
