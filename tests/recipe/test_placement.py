import itertools
import math

import numpy as np
import pytest
from recipe_fake import FakeSolve, ahead

from synthstudio.core.errors import RecipeError
from synthstudio.recipe.draw import draw
from synthstudio.recipe.layout.placement import CLEAR_M, corners
from synthstudio.recipe.schema.load import parse

CROWDED = {
    "name": "crowded",
    "image": {"width_px": 320, "height_px": 240},
    "people": {"count": [2, 5], "min_gap_m": 0.08},
    "objects": [
        {"kind": "procedural", "count": [1, 2]},
        {"kind": "procedural", "count": 1, "placement": "beside", "offset_m": [-1, 1]},
        {"kind": "mesh", "folder": "m", "count": 1, "placement": "around", "offset_m": [1, 2]},
    ],
}


@pytest.fixture(scope="module")
def crowded():
    solve = FakeSolve()
    return solve, [draw(parse(CROWDED), i, solve) for i in range(100)]


def test_nothing_touches_anything_and_all_stands_on_the_floor(crowded):
    solve, specs = crowded
    closest = math.inf
    for items in ((*spec.people, *spec.objects) for spec in specs):
        for a, b in itertools.combinations(items, 2):
            if "seat" not in (getattr(a, "role", ""), getattr(b, "role", "")):
                closest = min(closest, solve.gap_m(a, b))
        for item in items:
            assert solve.box_m(item)[0, 2] == pytest.approx(0.0, abs=1e-9)
    assert 0.08 - 1e-9 <= closest < 0.2  # somewhere it was tight


def seated(spec):
    sitting = [p for p in spec.people if p.pose.family == "sit"]
    return list(zip(sitting, [t for t in spec.objects if t.role == "seat"], strict=True))


def test_a_seat_is_free_of_all_but_who_sits_on_it_reaches_the_hips_and_faces_as_they_do(crowded):
    solve, specs = crowded
    assert sum(len(seated(spec)) for spec in specs) > 10
    for spec, (person, seat) in ((one, pair) for one in specs for pair in seated(one)):
        others = [x for x in (*spec.people, *spec.objects) if x not in (person, seat)]
        assert all(solve.gap_m(seat, other) >= 0.08 - 1e-9 for other in others)
        hips = solve.joints_m(person)[11:13].mean(axis=0)
        assert seat.shape["seat_height_m"] == pytest.approx(hips[2] - 0.1)
        assert seat.size_m[2] >= seat.shape["seat_height_m"] + 0.3
        assert seat.yaw_rad == person.yaw_rad
        back = (np.array(seat.position_m[:2]) - hips[:2]) @ ahead(person) - seat.size_m[1] / 2
        assert back <= -0.19 + 1e-9  # the back rest is behind the trunk
        # These bodies' knees are below their hips: a seat then reaches 12 cm ahead at most.
        assert back + seat.size_m[1] <= 0.12 + 1e-9


def test_the_camera_has_room_and_is_inside_nothing(crowded):
    solve, specs = crowded
    for spec in specs:
        for item in (*spec.people, *spec.objects):
            z = spec.camera.to_camera(corners(solve.box_m(item)))[:, 2]
            assert z.min() > CLEAR_M or (z.max() < 0 and item not in spec.people)


def test_a_crowd_of_25_finds_room_and_keeps_apart():
    solve = FakeSolve()
    people = {"count": 25, "arrangement": {"kind": "crowd", "depth_m": [3, 6]}}
    for index in range(4):
        crowd = draw(parse({"name": "crowd", "people": people}), index, solve).people
        assert len(crowd) == 25
        assert min(solve.gap_m(a, b) for a, b in itertools.combinations(crowd, 2)) >= 0.05 - 1e-9
        assert np.ptp([p.position_m[1] for p in crowd]) > 2


def test_people_and_objects_that_find_no_room_are_an_error_and_not_left_out():
    solve = FakeSolve(width_m=30.0, depth_m=30.0)
    with pytest.raises(RecipeError, match=r"tight, frame 3: no room for person 1 of 2"):
        draw(parse({"name": "tight", "people": {"count": 2}}), 3, solve)
    obj = {"kind": "mesh", "folder": "m", "scale": 60, "placement": "around"}
    with pytest.raises(RecipeError, match="frame 0: no room for an object"):
        draw(parse({"name": "tight", "objects": [obj]}), 0, FakeSolve())
