"""Heads that look somewhere, on the real body."""

import math

import numpy as np
import pytest

from synthstudio.body.poses import LIMITS_RAD
from synthstudio.generation import stage as stages
from synthstudio.recipe.draw import draw
from synthstudio.recipe.schema.load import parse

NAMES = {"stand_relaxed": 1, "hands_on_hips": 1, "sit_upright": 1, "lie_back": 1}


def _wish(look, **more):
    poses = {"names": NAMES, "mix": 0, "jitter_deg": 2, "look": look}
    people = {"count": 2, "identities": 6, "facing_deg": [-40, 40], "poses": poses, **more}
    return parse({"name": "looks", "people": people, "things": []})


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    settings = stages.prepare(_wish({"pose": 1}), assets=tmp_path_factory.mktemp("none"))
    return stages.Stage(settings)


def _ahead(stage, person):
    """Return where the face points: from between the ears through the nose, and its place."""
    at = dict(zip(stage.skeleton.joints, stage.joints_m(person), strict=True))
    way = at["nose"] - (at["left_ear"] + at["right_ear"]) / 2
    return way / np.linalg.norm(way), at["nose"]


def _off_deg(stage, person, target):
    """Return how far aside of a target head and eyes point, seen from above."""
    way, place = _ahead(stage, person)
    to = np.asarray(target) - place
    head = math.atan2(way[0], -way[1]) + person.pose.angles_rad.get("gaze_turn", 0.0)
    off = head - math.atan2(to[0], -to[1])
    return abs(math.degrees((off + math.pi) % (2 * math.pi) - math.pi))


def _upright(person):
    return person.pose.family != "lie"


def test_heads_turn_to_the_camera_and_lying_ones_stay(stage):
    turned = 0
    for index in range(8):
        posed, looking = (draw(_wish(look), index, stage) for look in ({"pose": 1}, {"camera": 1}))
        for before, after in zip(posed.people, looking.people, strict=True):
            others = {k: v for k, v in after.pose.angles_rad.items() if "neck" not in k}
            still = {k: v for k, v in before.pose.angles_rad.items() if "neck" not in k}
            assert {k: v for k, v in others.items() if "gaze" not in k} == {
                k: v for k, v in still.items() if "gaze" not in k
            }
            if not _upright(after):
                assert after == before
            elif after != before:
                turned += 1
                assert _off_deg(stage, after, looking.camera.position_m) < 8
            for name, value in after.pose.angles_rad.items():
                assert LIMITS_RAD[name][0] <= value <= LIMITS_RAD[name][1]
    assert turned >= 6


def test_looking_takes_no_random_number_from_anything_else(stage):
    for index in range(4):
        posed, away = (draw(_wish(look), index, stage) for look in ({"pose": 1}, {"away": 1}))
        assert away.camera == posed.camera
        assert [p.position_m[:2] for p in away.people] == [p.position_m[:2] for p in posed.people]
        assert away.light == posed.light
