"""Athletic poses: drawn only where a recipe asks, in the air where they say so."""

import math

import numpy as np
import pytest
from recipe_fake import CATALOGUE, FakeSolve, pose, without

from synthstudio.recipe.draw import draw
from synthstudio.recipe.schema.load import parse

HANDSTAND = pose("handstand", "inverted", root_pitch=180)
TUCK = pose("tuck", "leap", left_hip_flexion=100)
WILD = tuple(
    one.__class__(**{**one.__dict__, "athletic": True, "airborne": airborne})
    for one, airborne in ((HANDSTAND, ""), (TUCK, "tumbling"))
)
SOLVE = without(FakeSolve(), poses=(*CATALOGUE.poses, *WILD))


def people(poses, frames=100, solve=SOLVE, people=None, **recipe):
    who = {"count": 2, **(people or {}), "poses": {"mix": 0, **poses}}
    wish = parse({"name": "p", "people": who, **recipe})
    return [person for i in range(frames) for person in draw(wish, i, solve).people]


def families(drawn):
    return {person.pose.family for person in drawn}


def test_nobody_does_a_handstand_unasked():
    plain = without(FakeSolve(), poses=CATALOGUE.poses)
    usual = people({}, 40)
    assert usual == people({}, 40, solve=plain)  # not a random number is drawn for them
    assert not families(usual) & {"inverted", "leap"}


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_as_often_as_asked(share):
    drawn = people({"athletic": share}, 100)
    athletic = [person for person in drawn if person.pose.family in ("inverted", "leap")]
    assert abs(len(athletic) / len(drawn) - share) < 0.11


def test_families_names_and_quotas_ask_for_them():
    assert families(people({"families": {"inverted": 1, "stand": 1}}, 40)) == {"inverted", "stand"}
    assert families(people({"names": {"tuck": 1}}, 10)) == {"leap"}
    planned = people({}, 40, quotas={"family": {"leap": 0.5, "stand": 0.5}})
    assert families(planned) == {"leap", "stand"}
    both = people({"athletic": 0.5, "families": {"leap": 1, "stand": 1}}, 60)
    assert families(both) == {"leap", "stand"}


def test_who_is_in_the_air_is_over_the_floor_and_turned_any_way():
    drawn = people({"athletic": 1.0}, 100)
    up, down = ([p for p in drawn if p.pose.family == f] for f in ("leap", "inverted"))
    height = np.array([p.position_m[2] - SOLVE.drop_m(p) for p in up])
    assert height.min() >= 0.05 and height.max() <= 0.8 and np.ptp(height) > 0.5
    assert all(p.position_m[2] == SOLVE.drop_m(p) for p in down)
    pitch = np.array([p.pose.angles_rad["root_pitch"] for p in up])
    assert (np.histogram(pitch, bins=4, range=(-math.pi, math.pi))[0] > 10).all()
    assert {p.pose.angles_rad["root_pitch"] for p in down} <= {math.pi, -math.pi}
