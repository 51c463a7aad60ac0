"""Wheelchairs, walkers, cars: who sits in one or pushes one touches it where a person would."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial import cKDTree

from benchmarks import physics, touch
from synthstudio.core.errors import RecipeError
from synthstudio.core.scene import PARTS
from synthstudio.core.skeleton import get_skeleton
from synthstudio.generation import pipeline
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.props.objects.shapes import turn_of
from synthstudio.recipe.schema.load import dump, load, parse

SCENES = Path(__file__).resolve().parents[1] / "scenes"
FRAMES = 3


def _stage(scene="care", **people):
    text = dump(load(SCENES / "uses" / f"{scene}.yaml")) | {"frames": FRAMES, "objects": []}
    text["people"] |= {"count": 1} | people
    return FrameGenerator(prepare(parse(text), assets=SCENES, device="cpu"))


def _specs(stage):
    return [pipeline.draw_spec(stage, index) for index in range(FRAMES)]


def test_people_sit_in_wheelchairs():
    stage = _stage(seats={"wheelchair": 1.0}, poses={"families": {"sit": 1.0}}, hold={"share": 0.0})
    specs = _specs(stage)
    names = get_skeleton("coco23").joints
    for spec in specs:
        person = spec.people[0]
        (chair,) = (obj for obj in spec.objects if obj.role == "seat")
        assert chair.kind == "wheelchair" and chair.yaw_rad == person.yaw_rad
        joints = dict(zip(names, stage.joints_m(person), strict=True))
        hips = (joints["left_hip"] + joints["right_hip"]) / 2
        assert 0 < hips[2] - chair.shape["seat_height_m"] < 0.2
        assert np.linalg.norm((hips - np.array(chair.position_m))[:2]) < 0.3
    report = physics.check(stage, specs)
    assert report.passed and report.through == 0, report.text()


def test_a_walker_is_pushed_with_both_hands():
    hold = {"share": 1.0, "kinds": {"walker": 1.0}}
    stage = _stage(hold=hold, poses={"families": {"stand": 1.0, "walk": 1.0}})
    for spec in _specs(stage):
        (walker,) = (obj for obj in spec.objects if obj.kind == "walker")
        assert walker.role == "support" and walker.held_by == 0
        frame = stage.triangles_m(walker).reshape(-1, 3)
        for palm in stage.palms_m(spec.people[0]):
            assert np.linalg.norm(frame - palm[:3, 3], axis=1).min() < 0.12
        assert abs(frame[:, 2].min()) < 0.005


DRIVING = {"count": 2, "belt": 1.0, "hold": {"share": 1.0, "kinds": {"steering_wheel": 1.0}}}


def test_two_share_a_car_with_fastened_belts_and_one_has_both_hands_on_the_wheel():
    stage = _stage("driving", **DRIVING)
    for index in range(1):
        spec = pipeline.draw_spec(stage, index)
        (cabin,) = (obj for obj in spec.objects if obj.kind == "car_cabin")
        (wheel,) = (obj for obj in spec.objects if obj.kind == "steering_wheel")
        c, s = np.cos(cabin.yaw_rad), np.sin(cabin.yaw_rad)
        for person, side in zip(spec.people, (1, -1), strict=True):
            at = np.array(person.position_m) - cabin.position_m
            x, y = np.array([[c, s], [-s, c]]) @ at[:2]
            assert 0.2 < side * x < 0.5 and abs(y) < cabin.size_m[1] / 2
        rim = stage.triangles_m(wheel).reshape(-1, 3)
        for palm in stage.palms_m(spec.people[wheel.held_by]):
            assert np.linalg.norm(rim - palm[:3, 3], axis=1).min() < 0.035
        belts = [obj for obj in spec.objects if obj.kind == "seat_belt"]
        assert [belt.held_by for belt in belts] == [0, 0, 1, 1]
        for belt in belts:
            _lies_on(stage, belt, spec.people[belt.held_by])
    near = tuple(obj for obj in spec.objects if obj.role != "scenery")
    report = physics.check(stage, [dataclasses.replace(spec, objects=near)])
    assert report.passed and report.through == 0, report.text()


def _lies_on(stage, belt, person):
    """No part of the dressed trunk is above the belt, which is near it; none of it is in a limb."""
    parts = ("torso", "pelvis")
    others = tuple(part for part in PARTS if part not in parts)
    trunk, rest = (cKDTree(stage.skin_m(person, own)) for own in (parts, others))
    dressed, strap = (
        np.unique(stage.triangles_m(item).reshape(-1, 3), axis=0) for item in (person, belt)
    )
    grid = np.array(belt.heights_m)
    sides = [np.linspace(-s / 2, s / 2, n) for s, n in zip(belt.size_m, grid.T.shape, strict=False)]
    own = (dressed - belt.position_m) @ turn_of(belt)
    gap = RegularGridInterpolator(sides, grid.T, bounds_error=False)(own[:, :2]) - own[:, 2]
    met = np.isfinite(gap)
    met[met] = trunk.query(dressed[met])[0] < rest.query(dressed[met])[0] - 0.01
    assert met.any() and gap[met].min() > 0.0
    assert np.median(cKDTree(dressed).query(strap)[0]) < 0.025
    assert touch.depth_in_body_m(strap, physics.bare(person).vertices_m).max() < 0.015


def test_a_car_without_room_for_two_is_refused():
    with pytest.raises(RecipeError, match="no room for person 2 beside person 1 in a car_cabin"):
        pipeline.draw_spec(_stage("driving", **DRIVING, min_gap_m=1.0), 0)


def test_cars_are_only_where_a_recipe_names_them():
    recipe = dump(load(SCENES / "quickstart.yaml"))
    recipe["people"] |= {"poses": {"families": {"sit": 1.0}}, "hold": {"share": 0.5}}
    stage = FrameGenerator(prepare(parse(recipe), assets=SCENES, device="cpu"))
    kinds = {obj.kind for k in range(30) for obj in pipeline.draw_spec(stage, k).objects}
    assert kinds > {"chair", "stool"} and not kinds & {"car_cabin", "steering_wheel"}


@pytest.mark.parametrize(
    ("people", "why"),
    [
        ({"seats": {"wheelchiar": 1.0}}, "Did you mean 'wheelchair'"),
        ({"seats": {"table": 1.0}}, "people.seats"),
        ({"belt": 1.0}, "nobody sits in a car"),
        ({"bed": {"share": 1.0}}, "nobody lies"),
    ],
)
def test_only_seats_are_sat_on_belts_are_of_cars_and_beds_of_who_lies(people, why):
    with pytest.raises(RecipeError, match=why):
        _stage(**people)
