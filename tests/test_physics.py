"""What is drawn stands, keeps apart and stays inside its limits; planted faults are found."""

import dataclasses
import math

import numpy as np
import pytest

from benchmarks import physics, proofs
from benchmarks.physics import Report
from synthstudio.body.poses import LIMITS_RAD
from synthstudio.core.spec import ThingSpec
from synthstudio.generation import pipeline
from synthstudio.generation.stage import Stage

SCENES = proofs.ROOT / "scenes"
FRAMES = 24


@pytest.fixture(scope="module")
def stage():
    settings = proofs.settings_for(SCENES / "rooms.yaml", assets=SCENES, frames=FRAMES)
    return Stage(settings)


@pytest.fixture(scope="module")
def specs(stage):
    return [pipeline.draw_spec(stage, index) for index in range(FRAMES)]


@pytest.fixture(scope="module")
def standing(stage, specs):
    """Return a frame of at least two people, the first of whom stands."""
    for spec in specs:
        if len(spec.people) >= 2 and physics.stands(spec.people[0]):
            return dataclasses.replace(spec, things=())
    raise AssertionError("no such frame")


def _checked(stage, spec):
    report = Report()
    physics.check_frame(stage, spec, report)
    return report


def test_what_the_recipe_draws_is_physical(stage, specs):
    report = physics.check(stage, specs)
    assert report.people >= 30
    assert report.things >= 30
    assert report.passed, report.text()
    assert (report.through, report.floating) == (0, 0), report.text()


def test_a_person_planted_inside_another_is_found(stage, standing):
    first, second = standing.people[:2]
    assert _checked(stage, standing).through == 0
    x, y, _ = first.position_m
    inside = dataclasses.replace(second, position_m=(x + 0.1, y, second.position_m[2]))
    report = _checked(stage, dataclasses.replace(standing, people=(first, inside)))
    assert report.through == 2
    assert report.deepest_m > 0.03
    assert not report.passed


@pytest.mark.parametrize("lift_m", [0.05, -0.05])
def test_a_lifted_and_a_sunk_person_are_found(stage, standing, lift_m):
    person = standing.people[0]
    x, y, z = person.position_m
    moved = dataclasses.replace(person, position_m=(x, y, z + lift_m))
    report = _checked(stage, dataclasses.replace(standing, people=(moved,)))
    assert report.floating == 1
    assert f"{100 * lift_m:.0f}" in report.findings[0]


def test_random_poses_need_not_stand(stage, standing):
    person = standing.people[0]
    x, y, z = person.position_m
    anyhow = dataclasses.replace(person.pose, name="random", family="random")
    leaps = dataclasses.replace(person, pose=anyhow, position_m=(x, y, z + 0.3))
    report = _checked(stage, dataclasses.replace(standing, people=(leaps,)))
    assert (report.standing, report.floating) == (0, 0)


def test_a_hand_planted_inside_its_own_body_is_found(stage, standing):
    person = standing.people[0]
    assert _checked(stage, standing).itself == 0
    hand = {"left_shoulder_rotation": 1.6, "left_elbow_flexion": 1.9}
    inside = dataclasses.replace(person, pose=dataclasses.replace(person.pose, angles_rad=hand))
    report = _checked(stage, dataclasses.replace(standing, people=(inside,)))
    assert report.itself == 1
    assert report.deepest_itself_m > 0.04
    assert "left_forearm" in "".join(report.findings)
    assert not report.passed


def test_an_angle_beyond_its_limit_is_found(stage, standing):
    person = standing.people[0]
    angles = dict(person.pose.angles_rad)
    angles["left_elbow_flexion"] = LIMITS_RAD["left_elbow_flexion"][1] + math.radians(3)
    bent = dataclasses.replace(person, pose=dataclasses.replace(person.pose, angles_rad=angles))
    report = _checked(stage, dataclasses.replace(standing, people=(bent,)))
    assert report.beyond == 1
    assert "3.0 degrees" in "".join(report.findings)


def _thing(kind, size, x, y, z=0.0, **more):
    return ThingSpec(kind=kind, size_m=size, position_m=(x, y, z), **more)


def test_a_crate_through_the_legs_and_one_in_the_air_are_found(stage, standing):
    person = standing.people[0]
    x, y, _ = person.position_m
    crate = _thing("crate", (0.5, 0.5, 0.5), x + 0.2, y)
    beside = dataclasses.replace(crate, position_m=(x + 1.5, y, 0.0))
    for thing, through, hanging in (
        (crate, 1, 0),
        (beside, 0, 0),
        (dataclasses.replace(beside, position_m=(x + 1.5, y, 0.4)), 0, 1),
    ):
        frame = dataclasses.replace(standing, people=(person,), things=(thing,))
        report = _checked(stage, frame)
        assert (report.through, report.hanging) == (through, hanging), report.text()


def test_a_thin_board_through_the_belly_is_found(stage, standing):
    """A board is thinner than 4 cm: no vertex of the body lies deep in it, but it in the body."""
    person = standing.people[0]
    x, y, _ = person.position_m
    body = physics.bare(person)
    board = list(np.ndindex(2, 2, 2))
    corners = np.array(board) * [0.8, 0.02, 0.3] + [x - 0.4, y, 0.9]
    quads = np.array([[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2],
                      [1, 3, 7, 5]])  # fmt: skip
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    one = physics.Solid(
        points_m=physics._points(corners[faces]),
        pieces=tuple(physics._closed_pieces(corners, faces)),
        box_m=np.stack([corners.min(axis=0), corners.max(axis=0)]),
    )
    assert len(one.pieces) == 1
    every = np.ones(17, bool)
    assert physics.body_and_thing_m(body, one, every) > 0.04
