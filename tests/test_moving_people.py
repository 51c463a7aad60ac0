"""People who move: their blur leaves labels alone, a rolling shutter moves labels and picture."""

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
from stick_people import make_camera

import synthstudio as ss
from synthstudio.core.scene import row_times_s
from synthstudio.core.spec import MovingSpec
from synthstudio.generation import pipeline
from synthstudio.generation.audit import audit
from synthstudio.generation.stage import FrameGenerator, prepare, settings_of
from synthstudio.recipe.sampling.clips import MOMENT_S
from synthstudio.recipe.schema.load import parse

RECIPE = {
    "name": "moving",
    "seed": 3,
    "frames": 4,
    "skeleton": "coco17",
    "image": {"width_px": 160, "height_px": 160, "supersample": 2},
    "camera": {"distance_m": 3.0, "height_m": 1.2, "vertical_fov_deg": 45},
    "people": {
        "count": 1,
        "identities": 3,
        "poses": {"families": {"run": 1.0, "leap": 1.0}, "mix": 0.0, "random": 0.0},
        "hold": {"share": 0.0},
    },
    "backdrop": {"kind": "room", "walls": 1.0, "floor_patterns": {"plain": 1}},
    "lens": {
        "blur": 0.0, "motion": 0.0, "noise": 0.0, "vignette": 0.0, "exposure_ev": 0.0,
        "jpeg_quality": 100,
    },
}  # fmt: skip
EXPOSED = 1 / 60


def _recipe(**lens):
    return {**RECIPE, "lens": {**RECIPE["lens"], **lens}}


@pytest.fixture(scope="module")
def stage():
    return FrameGenerator(
        prepare(parse(_recipe(exposure_s=EXPOSED), "r"), assets=Path(), device="cpu")
    )


@pytest.fixture(scope="module")
def drawn(stage):
    return next(s for s in (pipeline.draw_spec(stage, i) for i in range(20)) if s.moving)


def _lens(spec, **fields):
    return dataclasses.replace(spec, lens=dataclasses.replace(spec.lens, **fields))


def _going(spec, velocity):
    person = spec.people[0]
    world = np.array(velocity) @ spec.camera.world_to_camera[:3, :3]
    x, y, z = (float(v) for v in np.array(person.position_m) + world * MOMENT_S)
    going = MovingSpec(
        person=0, after_s=MOMENT_S, pose=person.pose, position_m=(x, y, z), yaw_rad=person.yaw_rad
    )
    return dataclasses.replace(spec, moving=(going,))


def test_labels_are_those_of_the_frame_without_blur(stage, drawn):
    blurred = pipeline.make_frame(stage, drawn, layers=("depth", "instance"))
    sharp = pipeline.make_frame(stage, _lens(drawn, exposure_s=0.0), layers=("depth", "instance"))
    assert blurred.jpeg != sharp.jpeg
    assert blurred.layers == sharp.layers
    assert pickle.dumps(blurred.labels) == pickle.dumps(sharp.labels)
    hair = pipeline.make_frame(stage, _lens(drawn, exposure_s=1e-6))
    unmoving = dataclasses.replace(_lens(drawn, exposure_s=0.0), moving=())
    assert hair.jpeg == sharp.jpeg == pipeline.make_frame(stage, unmoving).jpeg


def test_a_rolling_shutter_puts_every_joint_where_its_row_is_exposed(stage, drawn):
    readout, speed = 0.03, 6.0
    spec = _going(_lens(drawn, exposure_s=0.0), (speed, 2.0, 0.0))
    camera = spec.camera
    still = pipeline.make_frame(stage, spec).labels.people[0]
    rolled = pipeline.make_frame(stage, _lens(spec, readout_s=readout)).labels.people[0]
    velocity = np.array([speed, 2.0, 0.0])
    camera_m = camera.to_camera(still.joints_world_m)
    seen = 0
    for j, px in enumerate(rolled.joints_px):
        # By bisection here, by iteration there.
        low, high = -readout, readout
        for _ in range(60):
            t = (low + high) / 2
            row = camera.project(camera_m[j] + velocity * t)[1]
            low, high = (t, high) if t < (row / camera.height_px - 0.5) * readout else (low, t)
        expected = camera.project(camera_m[j] + velocity * t)
        assert px == pytest.approx(expected, abs=1e-3)
        seen += abs(px[0] - camera.project(camera_m[j])[0]) > 2
    assert seen >= 2  # above and below the middle row, in opposite ways


@pytest.mark.parametrize(
    "lens", [{"exposure_s": EXPOSED}, {"exposure_s": 0.004, "readout_s": 0.03}]
)
def test_rays_confirm_what_is_stored(tmp_path, lens):
    made = ss.generate(_recipe(**lens), tmp_path / "set", device="cpu", progress=False)
    tally = audit(made.path, settings_of(made._stored, device="cpu"))
    assert tally.people >= 3
    assert (tally.state_differs, tally.cause_differs) == (0, 0)
    assert tally.largest_share_error < 0.03
    again = ss.generate(_recipe(**lens), tmp_path / "again", device="cpu", progress=False)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(made, again, strict=True))


def test_rows_beyond_the_picture_and_behind_the_camera_have_times():
    camera = make_camera(100, 100, focal_px=100.0, position_m=(0, 0, 0))
    points = np.array([[0.0, 2.0, 0.0], [0.0, 2.0, 50.0], [0.0, -1.0, 0.0]])
    times = row_times_s(camera, points, np.zeros((3, 3)), 0.02)
    assert times == pytest.approx([0.0, -0.03, 0.0])
