"""What is drawn stands, keeps apart and stays inside its limits; planted faults are found."""

import dataclasses
import math

import pytest

from benchmarks import physics, proofs
from benchmarks.physics import Report
from synthstudio.body.poses import LIMITS_RAD
from synthstudio.core.spec import ObjectSpec
from synthstudio.generation import pipeline
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.recipe.schema.load import load, parse

SCENES = proofs.ROOT / "scenes"
AGES = {
    "name": "ages",
    "seed": 21,
    "frames": 12,
    "image": {"width_px": 200, "height_px": 160},
    "camera": {"distance_m": [2.0, 4.0], "height_m": [0.6, 1.6], "aim_height_m": [0.4, 0.8]},
    "people": {
        "count": [2, 3],
        "identities": 60,
        "shape": {"age_years": {"choice": {2: 1, 4: 1, 7: 1, 11: 1, 85: 1}}},
        "face": {"expression": 1, "glasses": 0.5, "beard": 1, "eyes": 1, "mask": 0.2},
        "hold": {"share": 0.3},
    },
    "backdrop": {"kind": "room"},
}
SHORTEST_M = {2: 0.79, 4: 0.93, 7: 1.08, 11: 1.28, 85: 1.35}
TALLEST_M = {2: 0.95, 4: 1.13, 7: 1.35, 11: 1.9, 85: 1.9}


@pytest.fixture(scope="module")
def rooms():
    stage = FrameGenerator(prepare(load(SCENES / "rooms.yaml"), assets=SCENES, device="cpu"))
    return stage, [pipeline.draw_spec(stage, index) for index in range(12)]


@pytest.fixture(scope="module")
def ages():
    stage = FrameGenerator(prepare(parse(AGES), assets=SCENES, device="cpu"))
    return stage, [pipeline.draw_spec(stage, index) for index in range(12)]


@pytest.mark.parametrize(("scene", "frames"), [("rooms", 3), ("ages", 1)])
def test_what_a_recipe_draws_is_physical(scene, frames, request):
    stage, specs = request.getfixturevalue(scene)
    report = physics.check(stage, specs[:frames])
    assert report.people >= report.frames == frames
    assert report.passed, report.text()
    assert (report.through, report.floating) == (0, 0), report.text()


def test_every_age_is_there_in_its_stature(ages):
    stage, specs = ages
    found = set()
    for person in (person for spec in specs for person in spec.people):
        assert person.years is not None
        years = round(person.years)
        stature = stage.body.posed(person, instance=1).stature_m
        assert SHORTEST_M[years] < stature < TALLEST_M[years]
        found.add(years)
    assert found == set(SHORTEST_M)


# Planted faults: what is changed in a frame of two people, and the counts that must tell of it.


def _moved(person, x_m=0, y_m=0, z_m=0):
    x, y, z = person.position_m
    return dataclasses.replace(person, position_m=(x + x_m, y + y_m, z + z_m))


def _bent(person, **angles_rad):
    return dataclasses.replace(person, pose=dataclasses.replace(person.pose, angles_rad=angles_rad))


def _beside(person, x_m, z_m=0.0):
    x, y, _ = person.position_m
    return ObjectSpec(kind="crate", size_m=(0.5, 0.5, 0.5), position_m=(x + x_m, y, z_m))


def _beyond(person):
    bent = LIMITS_RAD["left_elbow_flexion"][1] + math.radians(3)
    return _bent(person, **{**person.pose.angles_rad, "left_elbow_flexion": bent})


def _leaps(person):
    anyhow = dataclasses.replace(person.pose, name="random", family="random")
    return _moved(dataclasses.replace(person, pose=anyhow), z_m=0.3)


PLANTED = {
    "nothing": (lambda a, b: ((a, b), ()), {}, ""),
    "one inside another": (
        lambda a, b: ((a, dataclasses.replace(_moved(a, 0.1), identity=b.identity)), ()),
        {"through": 2},
        "",
    ),
    "lifted": (lambda a, b: ((_moved(a, z_m=0.05),), ()), {"floating": 1}, "5"),
    "sunk": (lambda a, b: ((_moved(a, z_m=-0.05),), ()), {"floating": 1}, "-5"),
    "a leap need not stand": (lambda a, b: ((_leaps(a),), ()), {"standing": 0}, ""),
    "a hand in its own body": (
        lambda a, b: ((_bent(a, left_shoulder_rotation=1.6, left_elbow_flexion=1.9),), ()),
        {"itself": 1, "floating": 1},
        "left_forearm",
    ),
    "beyond a limit": (lambda a, b: ((_beyond(a),), ()), {"beyond": 1, "itself": 1}, "3.0 degrees"),
    "a crate through the legs": (lambda a, b: ((a,), (_beside(a, 0.2),)), {"through": 1}, ""),
    "a crate beside": (lambda a, b: ((a,), (_beside(a, 1.7),)), {}, ""),
    "a crate in the air": (lambda a, b: ((a,), (_beside(a, 1.7, 0.4),)), {"hanging": 1}, ""),
}
FAULTS = ("through", "floating", "itself", "beyond", "hanging")


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(rooms, fault):
    stage, specs = rooms
    spec = next(s for s in specs if len(s.people) >= 2 and physics.stands(s.people[0]))
    change, counts, words = PLANTED[fault]
    people, objects = change(*spec.people[:2])
    report = Report()
    physics.check_frame(stage, dataclasses.replace(spec, people=people, objects=objects), report)
    expected = dict.fromkeys(FAULTS, 0) | counts
    assert {name: getattr(report, name) for name in expected} == expected, report.text()
    assert words in "".join(report.findings)
    assert report.passed or set(counts) & set(FAULTS)
