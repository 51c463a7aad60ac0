import dataclasses

import pytest
from recipe_fake import FakeSolve

from synthstudio.core.camera import Camera
from synthstudio.recipe.draw import draw
from synthstudio.recipe.sampling.detail import FINE_FROM_PX, detail_at
from synthstudio.recipe.schema.load import parse

CAMERA = Camera(
    width_px=640,
    height_px=480,
    focal_px=600.0,
    position_m=(0.0, -4.0, 0.875),
    yaw_rad=0.0,
    pitch_rad=0.0,
)
RECIPE = {
    "name": "deep",
    "image": {"width_px": 640, "height_px": 480},
    "camera": {"distance_m": [2, 3.5]},
    "people": {
        "count": 4,
        "min_gap_m": 0.05,
        "arrangement": {"kind": "crowd", "depth_m": [1, 5]},
    },
}


def test_detail_follows_height_in_the_picture():
    far_m = 1.75 * CAMERA.focal_px / FINE_FROM_PX
    assert detail_at(CAMERA, 0.0, far_m - 4.0 - 0.01) == "fine"
    assert detail_at(CAMERA, 0.0, far_m - 4.0 + 0.01) == "coarse"
    assert detail_at(CAMERA, 9.0, far_m - 4.0 - 0.01) == "fine"  # along the view, not as it flies
    small = dataclasses.replace(CAMERA, focal_px=60.0)
    assert detail_at(small, 0.0, 0.0) == "coarse"


@pytest.mark.parametrize("y_m", [-4.0, -5.0])
def test_who_stands_at_or_behind_the_camera_is_fine(y_m):
    assert detail_at(CAMERA, 0.0, y_m) == "fine"


def test_everybody_has_the_detail_of_the_place_where_they_stand():
    solve, seen = FakeSolve(), []
    for index in range(40):
        spec = draw(parse(RECIPE), index, solve)
        for person in spec.people:
            assert person.detail == detail_at(spec.camera, *person.position_m[:2])
            assert person.position_m[2] == solve.drop_m(person)
            seen.append(person.detail)
    assert 10 < seen.count("coarse") < len(seen) - 10
