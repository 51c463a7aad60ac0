import math

import numpy as np
import pytest
from recipe_fake import FakeSolve

from synthstudio.core.errors import RecipeError
from synthstudio.recipe.draw import draw
from synthstudio.recipe.layout.placement import CLEAR_M, corners
from synthstudio.recipe.schema.load import parse

CROWDED = {
    "name": "crowded",
    "image": {"width_px": 320, "height_px": 240},
    "people": {"count": [2, 5], "min_gap_m": 0.08},
    "things": [
        {"kind": "procedural", "count": [1, 2]},
        {"kind": "procedural", "count": 1, "placement": "beside", "offset_m": [-1, 1]},
        {"kind": "mesh", "folder": "m", "count": 1, "placement": "around", "offset_m": [1, 2]},
    ],
}


@pytest.fixture(scope="module")
def crowded():
    solve = FakeSolve()
    return solve, [draw(parse(CROWDED), i, solve) for i in range(200)]


def test_nothing_touches_anything(crowded):
    solve, specs = crowded
    closest = math.inf
    for spec in specs:
        items = [*spec.people, *spec.things]
        for i, a in enumerate(items):
            for b in items[:i]:
                seated = getattr(a, "role", "") == "seat" or getattr(b, "role", "") == "seat"
                gap = solve.gap_m(a, b)
                if not seated:
                    assert gap >= 0.08 - 1e-9
                    closest = min(closest, gap)
    assert closest < 0.2  # control: somewhere it was tight


def test_a_seat_is_free_of_all_but_who_sits_on_it(crowded):
    solve, specs = crowded
    seats = 0
    for spec in specs:
        sitting = [p for p in spec.people if p.pose.family == "sit"]
        own = [t for t in spec.things if t.role == "seat"]
        assert len(own) == len(sitting)
        for seat, person in zip(own, sitting, strict=True):
            seats += 1
            others = [x for x in (*spec.people, *spec.things) if x not in (person, seat)]
            assert all(solve.gap_m(seat, other) >= 0.08 - 1e-9 for other in others)
    assert seats > 20


def test_a_seat_reaches_up_to_the_hips_and_faces_as_its_person_does(crowded):
    solve, specs = crowded
    for spec in specs:
        sitting = [p for p in spec.people if p.pose.family == "sit"]
        for seat, person in zip([t for t in spec.things if t.role == "seat"], sitting, strict=True):
            hips = solve.joints_m(person)[11:13].mean(axis=0)
            assert seat.shape["seat_height_m"] == pytest.approx(hips[2] - 0.1)
            assert seat.size_m[2] >= seat.shape["seat_height_m"] + 0.3
            assert seat.yaw_rad == person.yaw_rad
            facing = np.array([math.sin(person.yaw_rad), -math.cos(person.yaw_rad)])
            back = (np.array(seat.position_m[:2]) - hips[:2]) @ facing - seat.size_m[1] / 2
            assert back <= -0.19 + 1e-9  # the back rest is behind the trunk
            # These bodies' knees are below their hips: a seat then reaches 12 cm ahead at most.
            assert back + seat.size_m[1] <= 0.12 + 1e-9


def test_a_seats_front_edge_stays_behind_the_shins():
    class Sitting(FakeSolve):
        def joints_m(self, person):
            joints = super().joints_m(person)
            facing = np.array([math.sin(person.yaw_rad), -math.cos(person.yaw_rad), 0.0])
            joints[13:] += self.knees_m * facing
            return joints

    wish = parse({"name": "s", "people": {"count": 1, "poses": {"names": {"sit": 1}}}})
    for knees in (0.2, 0.35, 0.5):
        solve = Sitting()
        solve.knees_m = knees
        for index in range(15):
            spec = draw(wish, index, solve)
            (person,), (seat,) = spec.people, spec.things
            joints = solve.joints_m(person)
            facing = np.array([math.sin(person.yaw_rad), -math.cos(person.yaw_rad), 0.0])
            shins = (joints[13:17] - np.array(seat.position_m)) @ facing
            assert seat.size_m[1] / 2 <= max(shins.min() - 0.11, shins.min() - knees + 0.12) + 1e-9


def test_everything_stands_on_the_floor(crowded):
    solve, specs = crowded
    for spec in specs:
        for item in (*spec.people, *spec.things):
            assert solve.box_m(item)[0, 2] == pytest.approx(0.0, abs=1e-9)


def test_the_camera_has_room_and_is_inside_nothing(crowded):
    solve, specs = crowded
    for spec in specs:
        for item in (*spec.people, *spec.things):
            z = spec.camera.to_camera(corners(solve.box_m(item)))[:, 2]
            assert z.min() > CLEAR_M or z.max() < 0
        for person in spec.people:
            assert spec.camera.to_camera(corners(solve.box_m(person)))[:, 2].min() > CLEAR_M


def test_a_crowd_of_25_finds_room_and_keeps_apart():
    solve = FakeSolve()
    wish = parse(
        {
            "name": "crowd",
            "people": {"count": 25, "arrangement": {"kind": "crowd", "depth_m": [3, 6]}},
        }
    )
    for index in range(8):
        people = draw(wish, index, solve).people
        assert len(people) == 25
        gaps = [solve.gap_m(a, b) for i, a in enumerate(people) for b in people[:i]]
        assert min(gaps) >= 0.05 - 1e-9
        depths = [p.position_m[1] for p in people]
        assert max(depths) - min(depths) > 2


def test_people_who_find_no_room_are_an_error_and_not_left_out():
    solve = FakeSolve(width_m=30.0, depth_m=30.0)
    with pytest.raises(RecipeError, match=r"tight, frame 3: no room for person 1 of 2"):
        draw(parse({"name": "tight", "people": {"count": 2}}), 3, solve)


def test_a_thing_that_finds_no_room_is_an_error():
    wish = {
        "name": "tight",
        "things": [{"kind": "mesh", "folder": "m", "scale": 60, "placement": "around"}],
    }
    with pytest.raises(RecipeError, match="frame 0: no room for a thing"):
        draw(parse(wish), 0, FakeSolve())
