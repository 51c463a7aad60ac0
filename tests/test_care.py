"""Wheelchairs, walkers, cars: who sits in one or pushes one touches it where a person would."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import physics
from synthstudio.core.errors import RecipeError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.generation import pipeline
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.recipe.schema.load import dump, load, parse

SCENES = Path(__file__).resolve().parents[1] / "scenes"
FRAMES = 6


def _stage(**people):
    text = dump(load(SCENES / "uses" / "care.yaml")) | {"frames": FRAMES, "objects": []}
    text["people"] |= {"count": 1} | people
    return FrameGenerator(prepare(parse(text), assets=SCENES, device="cpu"))


def _specs(stage):
    return [pipeline.draw_spec(stage, index) for index in range(FRAMES)]


def test_people_sit_in_wheelchairs():
    stage = _stage(seats={"wheelchair": 1.0}, poses={"families": {"sit": 1.0}}, hold={"share": 0.0})
    specs, sitting = _specs(stage), 0
    names = get_skeleton("coco23").joints
    for spec in specs:
        person = spec.people[0]
        for chair in (obj for obj in spec.objects if obj.role == "seat"):
            sitting += 1
            assert chair.kind == "wheelchair" and chair.yaw_rad == person.yaw_rad
            joints = dict(zip(names, stage.joints_m(person), strict=True))
            hips = (joints["left_hip"] + joints["right_hip"]) / 2
            top = chair.shape["seat_height_m"]
            assert top < hips[2] < top + 0.2
            assert np.linalg.norm((hips - np.array(chair.position_m))[:2]) < 0.3
    assert sitting == FRAMES
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


def test_a_driver_sits_left_in_a_car_with_both_hands_on_the_wheel():
    recipe = dump(load(SCENES / "uses" / "driving.yaml"))
    recipe["people"]["hold"]["share"] = 1.0
    stage = FrameGenerator(prepare(parse(recipe), assets=SCENES, device="cpu"))
    specs = [pipeline.draw_spec(stage, index) for index in range(2)]
    for spec in specs:
        (cabin,) = (obj for obj in spec.objects if obj.kind == "car_cabin")
        (wheel,) = (obj for obj in spec.objects if obj.kind == "steering_wheel")
        driver, c, s = spec.people[0], np.cos(cabin.yaw_rad), np.sin(cabin.yaw_rad)
        x, y = np.array([[c, s], [-s, c]]) @ (np.array(driver.position_m) - cabin.position_m)[:2]
        assert 0.2 < x < 0.5 and abs(y) < cabin.size_m[1] / 2
        for palm in stage.palms_m(driver):
            rim = stage.triangles_m(wheel).reshape(-1, 3)
            assert np.linalg.norm(rim - palm[:3, 3], axis=1).min() < 0.035
    report = physics.check(stage, specs)
    assert report.passed and report.through == 0, report.text()


def test_cars_are_only_where_a_recipe_names_them():
    recipe = dump(load(SCENES / "quickstart.yaml"))
    recipe["people"] |= {"poses": {"families": {"sit": 1.0}}, "hold": {"share": 0.5}}
    stage = FrameGenerator(prepare(parse(recipe), assets=SCENES, device="cpu"))
    kinds = {obj.kind for k in range(30) for obj in pipeline.draw_spec(stage, k).objects}
    assert kinds > {"chair", "stool"} and not kinds & {"car_cabin", "steering_wheel"}


@pytest.mark.parametrize(
    ("seats", "why"),
    [({"wheelchiar": 1.0}, "Did you mean 'wheelchair'"), ({"table": 1.0}, "people.seats")],
)
def test_only_seats_are_sat_on(seats, why):
    with pytest.raises(RecipeError, match=why):
        _stage(seats=seats)
