import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from recipe_fake import CATALOGUE, GARMENTS, LIMITS_RAD, FakeSolve, pose, without

from synthstudio.core.errors import RecipeError
from synthstudio.recipe.draw import draw
from synthstudio.recipe.sampling.people import identity, mirrored
from synthstudio.recipe.schema.load import parse

SLOT = {garment.kind: garment.slot for garment in GARMENTS}


def people(wanted=None, frames=200, solve=None, **recipe):
    solve = solve or FakeSolve()
    wish = parse({"name": "p", "people": {"count": 2, **(wanted or {})}, **recipe})
    return [person for i in range(frames) for person in draw(wish, i, solve).people]


@pytest.fixture(scope="module")
def many():
    return people({"identities": 60}, frames=150)


def test_an_identity_is_the_same_body_and_head_in_other_clothes(many):
    by_name = defaultdict(list)
    for person in many:
        by_name[person.identity].append(person)
    assert len(by_name) > 40
    for same in by_name.values():
        assert len({(p.phenotype, p.look) for p in same}) == 1
        hair = [next(g for g in p.outfit if SLOT[g.kind] == "hair") for p in same]
        assert all(style == hair[0] for style in hair)
    outfits = [p.outfit for p in max(by_name.values(), key=len)]
    assert any(outfit != outfits[0] for outfit in outfits)


def test_people_of_a_frame_are_different():
    wish = parse({"name": "p", "people": {"count": 5, "identities": 5}})
    for index in range(15):
        assert len({p.identity for p in draw(wish, index, FakeSolve()).people}) == 5


def test_angles_stay_inside_the_limits():
    wild = people({"poses": {"jitter_deg": {"choice": {-30: 1, 30: 1}}, "mix": 1.0}}, frames=40)
    touched = 0
    for name, value in (angle for person in wild for angle in person.pose.angles_rad.items()):
        low, high = LIMITS_RAD[name]
        assert low <= value <= high
        touched += value in (low, high)
    assert touched > 10  # control: without the cut some would lie outside


class Touchy(FakeSolve):
    """A body whose limbs touch while its left elbow is bent."""

    like = 0

    def self_penetrations_m(self, phenotype, poses, like=()):
        self.like = max(self.like, len(like))
        return [max(0.0, p.get("left_elbow_flexion", 0.0) - math.radians(2)) for p in poses]


def test_poses_in_which_limbs_touch_are_drawn_again():
    jitter = {"normal": {"mean": 0, "sd": 6, "low": -12, "high": 12}}
    wanted = {"names": {"stand": 1, "walk": 1}, "jitter_deg": jitter, "mix": 0.5}

    def bent(solve=None):
        drawn = people({"poses": wanted}, frames=50, solve=solve)
        angles = [p.pose.angles_rad.get("left_elbow_flexion", 0.0) for p in drawn]
        return sum(angle > math.radians(2) + 0.015 for angle in angles)

    solve = Touchy()
    assert bent(solve) == 0
    assert solve.like == 2  # a mixed pose may touch as either of its two does
    assert bent() > 10  # control


def test_mirroring_swaps_sides_and_turns_and_is_its_own_inverse():
    plain = {"spine_flexion": 0.6, "root_pitch": 0.4}
    rotated = {"spine_turn": 0.2, "neck_side_bend": -0.1, "root_roll": 0.3}
    angles = {"left_elbow_flexion": 1.0, "right_knee_flexion": 0.5, **rotated, **plain}
    swapped = {"right_elbow_flexion": 1.0, "left_knee_flexion": 0.5}
    assert mirrored(angles) == swapped | {name: -value for name, value in rotated.items()} | plain
    assert mirrored(mirrored(angles)) == angles


def test_mixed_poses_take_arms_from_one_and_legs_from_the_other():
    wanted = {"mix": 1.0, "mirror": 0, "jitter_deg": 0, "names": {"run": 1, "reach_up": 1}}
    names = set()
    for drawn in (person.pose for person in people({"poses": wanted}, frames=20)):
        lower, _, upper = drawn.name.partition("+")
        names.add(drawn.name)
        assert lower != upper
        assert drawn.family == {"run": "walk", "reach_up": "reach"}[lower]
        assert ("left_hip_flexion" in drawn.angles_rad) == (lower == "run")
        assert ("left_shoulder_flexion" in drawn.angles_rad) == (upper == "reach_up")
    assert names == {"run+reach_up", "reach_up+run"}
    lying = [p.pose.name for p in people({"poses": {"mix": 1.0}}, 60) if "lie" in p.pose.name]
    assert set(lying) == {"lie_back"}  # never mixed


def test_nobody_sits_where_there_are_no_seats():
    solve = without(FakeSolve(), objects=tuple(t for t in CATALOGUE.objects if t.kind != "chair"))
    assert not any(p.pose.family == "sit" for p in people(frames=80, solve=solve))
    with pytest.raises(RecipeError, match="no pose is left"):
        people({"poses": {"names": {"sit": 1}}}, frames=1, solve=solve)


def test_a_wardrobe_without_trousers_is_refused_rather_than_worn():
    with pytest.raises(RecipeError, match="bottom is required"):
        people({"wardrobe": {"kinds": {"jeans": 0, "skirt": 0}}}, frames=3)


def test_identities_do_not_depend_on_frames_or_pool():
    def fourth(frames, pool):
        return identity(
            parse({"name": "a", "frames": frames, "people": {"identities": pool}}), 4, GARMENTS
        )

    assert fourth(3, 10) == fourth(9, 500)
    assert fourth(3, 10).name == "id-0005"


# Athletic poses: drawn only where a recipe asks, in the air where they say so

HANDSTAND = pose("handstand", "inverted", root_pitch=180)
TUCK = pose("tuck", "leap", left_hip_flexion=100)
WILD = (replace(HANDSTAND, athletic=True), replace(TUCK, athletic=True, airborne="tumbling"))
SOLVE = without(FakeSolve(), poses=(*CATALOGUE.poses, *WILD))


def wild(poses, frames=100, solve=SOLVE, **recipe):
    return people({"poses": {"mix": 0, **poses}}, frames, solve, **recipe)


def families(drawn):
    return {person.pose.family for person in drawn}


def test_nobody_does_a_handstand_unasked():
    plain = without(FakeSolve(), poses=CATALOGUE.poses)
    usual = wild({}, 40)
    assert usual == wild({}, 40, solve=plain)  # not a random number is drawn for them
    assert not families(usual) & {"inverted", "leap"}


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_as_often_as_asked(share):
    drawn = wild({"athletic": share}, 60)
    athletic = [person for person in drawn if person.pose.family in ("inverted", "leap")]
    assert abs(len(athletic) / len(drawn) - share) < 0.11


def test_families_names_and_quotas_ask_for_them():
    assert families(wild({"families": {"inverted": 1, "stand": 1}}, 20)) == {"inverted", "stand"}
    assert families(wild({"names": {"tuck": 1}}, 10)) == {"leap"}
    planned = wild({}, 20, quotas={"family": {"leap": 0.5, "stand": 0.5}})
    assert families(planned) == {"leap", "stand"}
    both = wild({"athletic": 0.5, "families": {"leap": 1, "stand": 1}}, 30)
    assert families(both) == {"leap", "stand"}


def test_who_is_in_the_air_is_over_the_floor_and_turned_any_way():
    drawn = wild({"athletic": 1.0}, 100)
    up, down = ([p for p in drawn if p.pose.family == f] for f in ("leap", "inverted"))
    height = np.array([p.position_m[2] - SOLVE.drop_m(p) for p in up])
    assert height.min() >= 0.05 and height.max() <= 0.8 and np.ptp(height) > 0.5
    assert all(p.position_m[2] == SOLVE.drop_m(p) for p in down)
    pitch = np.array([p.pose.angles_rad["root_pitch"] for p in up])
    assert (np.histogram(pitch, bins=4, range=(-math.pi, math.pi))[0] > 10).all()
    assert {p.pose.angles_rad["root_pitch"] for p in down} <= {math.pi, -math.pi}
