"""Who moves at a frame's moment, and how: forward, planted, flying, as a recording goes on."""

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from synthstudio.core.spec import FrameSpec, MovingSpec
from synthstudio.generation import pipeline
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.recipe.sampling.moving import NAMED
from synthstudio.recipe.schema.load import parse

SCENES = Path(__file__).parents[2] / "scenes"
PEOPLE = {"count": 1, "identities": 3, "hold": {"share": 0.0}}


def _stage(**fields):
    text = {
        "name": "going",
        "frames": 400,
        "seed": 2,
        "skeleton": "coco17",
        "image": {"width_px": 96, "height_px": 96},
        "people": PEOPLE,
        "lens": {"exposure_s": [0.002, 0.01]},
    }
    return FrameGenerator(prepare(parse(text | fields, "going"), assets=SCENES, device="cpu"))


def _of(families):
    kinds = dict.fromkeys(families.split(), 1.0)
    return PEOPLE | {"poses": {"families": kinds, "mix": 0.0, "random": 0.0}}


def _velocity(spec: FrameSpec, moving: MovingSpec) -> np.ndarray:
    here = np.array(spec.people[moving.person].position_m)
    return (np.array(moving.position_m) - here) / moving.after_s


def _ahead(spec: FrameSpec) -> np.ndarray:
    yaw = spec.people[0].yaw_rad
    return np.array([math.sin(yaw), -math.cos(yaw)])


def test_who_walks_or_runs_goes_forward_over_the_foot_that_stands():
    stage = _stage(people=_of("walk run"))
    speeds = {"walk": [], "run": []}
    for index in range(24):
        spec = pipeline.draw_spec(stage, index)
        (moving,) = spec.moving
        ahead = float(_velocity(spec, moving)[:2] @ _ahead(spec))
        assert ahead >= -1e-6
        speeds[spec.people[0].pose.family].append(ahead)
        if spec.people[0].pose.name not in NAMED:
            later = _later(stage, spec, moving)
            ankles = np.linalg.norm((later - stage.joints_m(spec.people[0]))[15:17], axis=1)
            assert ankles.min() < 1e-6 < ankles.max()
    assert 0.3 < np.median(speeds["walk"]) < 2.5
    assert np.median(speeds["run"]) > np.median(speeds["walk"])
    assert max(speeds["run"]) < 10


def _later(stage, spec, moving):
    """Return the person's joints (J, 3) at the other moment."""
    there = {name: getattr(moving, name) for name in ("pose", "position_m", "yaw_rad")}
    return stage.joints_m(dataclasses.replace(spec.people[moving.person], **there))


def test_who_sits_or_stands_is_still_and_an_instant_moves_nobody():
    quiet = _stage(people=_of("sit stand lie"))
    assert all(pipeline.draw_spec(quiet, i).moving == () for i in range(6))
    instant = _stage(people=_of("run"), lens={"noise": 0.0})
    assert all(pipeline.draw_spec(instant, i).moving == () for i in range(4))


def test_nothing_else_of_a_frame_changes_with_the_exposure():
    exposed, instant = (_stage(people=_of("run"), **lens) for lens in ({}, {"lens": {}}))
    for index in (0, 3):
        a, b = (pipeline.draw_spec(stage, index) for stage in (exposed, instant))
        lens = dataclasses.replace(a.lens, exposure_s=0.0)
        assert dataclasses.replace(a, lens=lens, moving=()) == b
        assert 0.002 <= a.lens.exposure_s <= 0.01


CLIP = {
    "motion": {"folder": "motions", "share": 1.0},
    "clip": {"frames": 8, "fps": 60, "camera": {"fixed": 1}},
}


@pytest.mark.parametrize("start", [0, 5])
def test_in_clips_people_move_as_they_do_to_the_next_frame(start):
    stage = _stage(**CLIP)
    specs = [pipeline.draw_spec(stage, 8 * start + t) for t in range(8)]
    for now, then in itertools.pairwise(specs):
        (moving,) = now.moving
        gone = stage.joints_m(then.people[0]) - stage.joints_m(now.people[0])
        way = (_later(stage, now, moving) - stage.joints_m(now.people[0])) / moving.after_s / 60
        assert np.linalg.norm(way - gone, axis=1).max() < 0.3 * np.linalg.norm(gone, axis=1).max()
        cosine = (way * gone).sum() / np.linalg.norm(way) / np.linalg.norm(gone)
        assert cosine > 0.97
