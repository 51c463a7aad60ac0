"""Athletic poses: drawn only where a recipe asks, in the air where they say so."""

import math

import numpy as np
import pytest
from recipe_fake import CATALOGUE, FakeSolve, pose, without

from synthstudio.body import pose_library
from synthstudio.core.errors import RecipeError
from synthstudio.recipe.draw import draw
from synthstudio.recipe.schema.load import parse

HANDSTAND = pose("handstand", "inverted", root_pitch=180)
TUCK = pose("tuck", "leap", left_hip_flexion=100)
WILD = tuple(
    one.__class__(**{**one.__dict__, "athletic": True, "airborne": airborne})
    for one, airborne in ((HANDSTAND, ""), (TUCK, "tumbling"))
)
SOLVE = without(FakeSolve(), poses=(*CATALOGUE.poses, *WILD))


def people(poses, frames=150, solve=SOLVE, **recipe):
    wish = parse({"name": "p", "people": {"count": 2, "poses": {"mix": 0, **poses}}, **recipe})
    return [person for i in range(frames) for person in draw(wish, i, solve).people]


def families(drawn):
    return {person.pose.family for person in drawn}


def test_nobody_does_a_handstand_unasked():
    plain = without(FakeSolve(), poses=CATALOGUE.poses)
    assert people({}) == people({}, solve=plain)  # not a random number is drawn for them
    assert not families(people({})) & {"inverted", "leap"}


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_as_often_as_asked(share):
    drawn = people({"athletic": share})
    athletic = [person for person in drawn if person.pose.family in ("inverted", "leap")]
    assert abs(len(athletic) / len(drawn) - share) < 0.09


def test_families_names_and_quotas_ask_for_them():
    assert families(people({"families": {"inverted": 1, "stand": 1}}, 40)) == {"inverted", "stand"}
    assert families(people({"names": {"tuck": 1}}, 10)) == {"leap"}
    planned = people({}, 40, quotas={"family": {"leap": 0.5, "stand": 0.5}})
    assert families(planned) == {"leap", "stand"}
    both = people({"athletic": 0.5, "families": {"leap": 1, "stand": 1}}, 60)
    assert families(both) == {"leap", "stand"}


def test_holding_out_all_that_is_asked_for_leaves_nothing():
    held = {"poses": ["inverted", "leap"], "share": 1.0}
    with pytest.raises(RecipeError, match="no pose is left"):
        people({"athletic": 1.0}, 20, holdout=held)


def test_who_is_in_the_air_is_over_the_floor_and_turned_any_way():
    drawn = people({"athletic": 1.0})
    up = [p for p in drawn if p.pose.family == "leap"]
    down = [p for p in drawn if p.pose.family == "inverted"]
    height = np.array([p.position_m[2] - SOLVE.drop_m(p) for p in up])
    assert height.min() >= 0.05 and height.max() <= 0.8 and np.ptp(height) > 0.5
    assert all(p.position_m[2] == SOLVE.drop_m(p) for p in down)
    pitch = np.array([p.pose.angles_rad["root_pitch"] for p in up])
    assert (np.histogram(pitch, bins=4, range=(-math.pi, math.pi))[0] > 20).all()
    assert {p.pose.angles_rad["root_pitch"] for p in down} <= {math.pi, -math.pi}


def test_a_wrong_entry_is_named():
    entry = "poses: {jump: {family: leap, airborne: sideways}}"
    with pytest.raises(RecipeError, match=r"jump.*airborne.*upright or tumbling.*sideways"):
        pose_library.read_library({"x.yaml": entry})


def test_those_of_the_library_are_athletic_by_their_file():
    found = {one.name: one for one in pose_library.library()}
    assert found["handstand"].athletic and not found["stand_relaxed"].athletic
    assert found["tuck_jump"].airborne == "tumbling" and not found["tuck_jump"].stands
