import math
from collections import Counter

import pytest
from recipe_fake import CATALOGUE, GARMENTS, LIMITS_RAD, FakeSolve, without

from synthstudio.core.errors import RecipeError
from synthstudio.core.solve import KeyPose
from synthstudio.recipe.draw import draw
from synthstudio.recipe.sampling.outfits import DESIGNS_A_KIND
from synthstudio.recipe.sampling.people import identity, mirrored
from synthstudio.recipe.schema.load import parse

SLOT = {garment.kind: garment.slot for garment in GARMENTS}
KIND = {garment.kind: garment for garment in GARMENTS}


def people(wanted=None, frames=200, solve=None, **recipe):
    solve = solve or FakeSolve()
    wish = parse({"name": "p", "people": {"count": 2, **(wanted or {})}, **recipe})
    return [person for i in range(frames) for person in draw(wish, i, solve).people]


@pytest.fixture(scope="module")
def many():
    return people({"identities": 60})


def test_everybody_is_dressed(many):
    for person in many:
        slots = Counter(SLOT[garment.kind] for garment in person.outfit)
        assert {"top", "bottom", "shoes", "hair"} <= set(slots)
        assert set(slots.values()) == {1}


def test_garments_keep_to_the_gender_that_wears_them(many):
    for person in many:
        for garment in person.outfit:
            low, high = KIND[garment.kind].gender
            assert low <= person.phenotype.gender <= high
    assert any(g.kind == "skirt" for p in many for g in p.outfit)


def test_designs_are_quantised_and_few():
    designs: dict = {}
    for seed in range(8):
        wish = parse({"name": "p", "seed": seed, "people": {"count": 3}})
        own = {}
        for index in range(40):
            for person in draw(wish, index, FakeSolve()).people:
                for garment in person.outfit:
                    own.setdefault(garment.kind, set()).add(tuple(sorted(garment.shape.items())))
        assert all(len(shapes) <= DESIGNS_A_KIND for shapes in own.values())
        for kind, shapes in own.items():
            designs.setdefault(kind, set()).update(shapes)
    assert {dict(shape)["sleeve"] for shape in designs["t_shirt"]} == {0.1, 0.15, 0.2}
    hems = {dict(shape)["hem"] for shape in designs["jeans"]}
    assert len(hems) == 4
    assert (min(hems), max(hems)) == (-0.8, -0.7)


def test_an_identity_is_the_same_body_and_head_in_other_clothes(many):
    by_name: dict = {}
    for person in many:
        by_name.setdefault(person.identity, []).append(person)
    assert len(by_name) > 40
    for same in by_name.values():
        assert len({(p.phenotype, p.look) for p in same}) == 1
        hair = [next(g for g in p.outfit if SLOT[g.kind] == "hair") for p in same]
        assert all(style == hair[0] for style in hair)
    outfits = [p.outfit for p in max(by_name.values(), key=len)]
    assert any(outfit != outfits[0] for outfit in outfits)


def test_people_of_a_frame_are_different():
    wish = parse({"name": "p", "people": {"count": 5, "identities": 5}})
    for index in range(30):
        assert len({p.identity for p in draw(wish, index, FakeSolve()).people}) == 5


def test_bodies_are_adults_of_plausible_height(many):
    solve = FakeSolve()
    for person in many:
        body = person.phenotype
        assert 0.62 <= body.age <= 0.95
        assert body.gender <= 0.12 or body.gender >= 0.88
        assert 1.45 <= solve.stature_m(person) <= 1.95
    women = sum(p.phenotype.gender > 0.5 for p in many) / len(many)
    assert 0.3 < women < 0.7


def test_children_only_when_asked():
    young = people({"shape": {"age": [0.34, 0.4], "height": 0.5}}, frames=5)
    assert all(p.phenotype.age <= 0.4 and p.look.stubble == 0 for p in young)


def test_angles_stay_inside_the_limits():
    wild = people({"poses": {"jitter_deg": {"choice": {-30: 1, 30: 1}}, "mix": 1.0}}, frames=60)
    touched = 0
    for person in wild:
        for name, value in person.pose.angles_rad.items():
            low, high = LIMITS_RAD[name]
            assert low <= value <= high
            touched += value in (low, high)
    assert touched > 10  # control: without the cut some would lie outside


HANDS = {"fist": {"finger_curl": 1.4, "thumb_curl": 0.5}, "flat": {"index_curl": 0.0}}


def _hand(person, side):
    names = ("finger_curl", "thumb_curl", "index_curl")
    angles = person.pose.angles_rad
    return {n: angles[f"{side}_{n}"] for n in names if f"{side}_{n}" in angles}


def test_free_hands_take_other_shapes_as_often_as_asked():
    limits = LIMITS_RAD | {
        f"{side}_{name}": (-0.1, 1.6)
        for side in ("left", "right")
        for name in ("finger_curl", "thumb_curl", "index_curl")
    }
    free = (
        KeyPose(
            name="free", family="a", angles_rad={"left_finger_curl": 0.2}, free_hands=("left",)
        ),
    )
    solve = without(FakeSolve(), poses=free, hands=HANDS, limits_rad=dict(sorted(limits.items())))
    for chance, low, high in ((0.0, 0, 0), (1.0, 1, 1), (0.4, 0.28, 0.52)):
        wanted = {"hands": chance, "jitter_deg": 0, "mirror": 0, "mix": 0}
        drawn = people({"poses": wanted}, frames=80, solve=solve)
        changed = [p for p in drawn if _hand(p, "left") != {"finger_curl": 0.2}]
        assert low <= len(changed) / len(drawn) <= high
        assert all(_hand(p, "left") in HANDS.values() for p in changed)
        assert not any(_hand(p, "right") for p in drawn)  # control: it is not free
    flipped = people({"poses": {"hands": 1.0, "jitter_deg": 0, "mirror": 1}}, 20, solve)
    assert all(_hand(p, "right") in HANDS.values() and not _hand(p, "left") for p in flipped)


def test_hands_change_nothing_else():
    solve = without(FakeSolve(), hands={"fist": {"wrist_flexion": 0.5}})
    still, moved = (people({"poses": {"hands": h}}, 20, solve) for h in (0.0, 1.0))
    assert [p.yaw_rad for p in still] == [p.yaw_rad for p in moved]
    assert [p.outfit for p in still] == [p.outfit for p in moved]
    assert [p.pose.name for p in still] == [p.pose.name for p in moved]


class Touchy(FakeSolve):
    """A body whose limbs touch while its left elbow is bent."""

    def touches_m(self, phenotype, angles_rad, like=()):
        self.requests["like"] = max(self.requests.get("like", 0), len(like))
        return max(0.0, angles_rad.get("left_elbow_flexion", 0.0) - math.radians(2))


def test_poses_in_which_limbs_touch_are_drawn_again():
    jitter = {"normal": {"mean": 0, "sd": 6, "low": -12, "high": 12}}
    wanted = {"names": {"stand": 1, "walk": 1}, "jitter_deg": jitter, "mix": 0.5}
    solve = Touchy()
    bent = math.radians(2) + 0.015
    drawn = people({"poses": wanted}, frames=60, solve=solve)
    assert all(p.pose.angles_rad.get("left_elbow_flexion", 0.0) <= bent for p in drawn)
    assert solve.requests["like"] == 2  # a mixed pose may touch as either of its two does
    careless = people({"poses": wanted}, frames=60)
    over = sum(p.pose.angles_rad.get("left_elbow_flexion", 0.0) > bent for p in careless)
    assert over > 10  # control


def test_jitter_leaves_root_and_toes_alone_and_halves_the_legs():
    still = people({"poses": {"jitter_deg": 8, "mix": 0.0, "mirror": 0.0, "names": {"stand": 1}}})
    angles = still[0].pose.angles_rad
    assert "root_pitch" not in angles
    assert "left_toe_extension" not in angles
    assert angles["left_elbow_flexion"] == pytest.approx(math.radians(8), abs=1e-4)
    assert angles["left_knee_flexion"] == pytest.approx(math.radians(4), abs=1e-4)


def test_mirroring_swaps_sides_and_turns_and_is_its_own_inverse():
    angles = {
        "left_elbow_flexion": 1.0,
        "right_knee_flexion": 0.5,
        "spine_turn": 0.2,
        "neck_side_bend": -0.1,
        "root_roll": 0.3,
        "root_pitch": 0.4,
        "spine_flexion": 0.6,
    }
    assert mirrored(angles) == {
        "right_elbow_flexion": 1.0,
        "left_knee_flexion": 0.5,
        "spine_turn": -0.2,
        "neck_side_bend": 0.1,
        "root_roll": -0.3,
        "root_pitch": 0.4,
        "spine_flexion": 0.6,
    }
    assert mirrored(mirrored(angles)) == angles


def test_a_pose_is_mirrored_as_often_as_asked():
    only = {"names": {"reach_up": 1}, "jitter_deg": 0, "mix": 0}
    for chance, low, high in ((0.0, 0, 0), (1.0, 1, 1), (0.5, 0.35, 0.65)):
        drawn = people({"poses": {**only, "mirror": chance}}, frames=100)
        share = sum("right_shoulder_flexion" in p.pose.angles_rad for p in drawn) / len(drawn)
        assert low <= share <= high


def test_mixed_poses_take_arms_from_one_and_legs_from_the_other():
    wanted = {"mix": 1.0, "mirror": 0, "jitter_deg": 0, "names": {"run": 1, "reach_up": 1}}
    names = set()
    for person in people({"poses": wanted}, frames=40):
        lower, _, upper = person.pose.name.partition("+")
        names.add(person.pose.name)
        assert lower != upper
        assert person.pose.family == {"run": "walk", "reach_up": "reach"}[lower]
        assert ("left_hip_flexion" in person.pose.angles_rad) == (lower == "run")
        assert ("left_shoulder_flexion" in person.pose.angles_rad) == (upper == "reach_up")
    assert names == {"run+reach_up", "reach_up+run"}


def test_lying_poses_are_never_mixed():
    drawn = people({"poses": {"mix": 1.0}}, frames=100)
    assert any(p.pose.name == "lie_back" for p in drawn)
    assert not any("lie_back+" in p.pose.name or "+lie_back" in p.pose.name for p in drawn)


def test_families_follow_their_weights():
    drawn = people({"poses": {"families": {"stand": 3, "walk": 1}, "mix": 0}}, frames=300)
    counts = Counter(p.pose.family for p in drawn)
    assert set(counts) == {"stand", "walk"}
    assert abs(counts["stand"] / 600 - 0.75) < 0.08


def test_nobody_sits_where_there_are_no_seats():
    solve = without(FakeSolve(), things=tuple(t for t in CATALOGUE.things if t.kind != "chair"))
    assert not any(p.pose.family == "sit" for p in people(frames=80, solve=solve))
    with pytest.raises(RecipeError, match="no pose is left"):
        people({"poses": {"names": {"sit": 1}}}, frames=1, solve=solve)


def test_a_wardrobe_without_trousers_is_refused_rather_than_worn():
    with pytest.raises(RecipeError, match="nobody goes without bottom"):
        people({"wardrobe": {"kinds": {"jeans": 0, "skirt": 0}}}, frames=3)


def test_hats_and_patterns_are_as_frequent_as_asked():
    bare = people({"wardrobe": {"hat": 0, "patterned": 0}}, frames=30)
    assert not any(g.kind == "cap" for p in bare for g in p.outfit)
    worn = [g.material.pattern for p in bare for g in p.outfit if SLOT[g.kind] in ("top", "bottom")]
    assert set(worn) == {"plain", "denim"}
    full = people({"wardrobe": {"hat": 1, "patterned": 1, "patterns": ["dots"]}}, frames=30)
    assert all(any(g.kind == "cap" for g in p.outfit) for p in full)
    assert {g.material.pattern for p in full for g in p.outfit if g.kind == "t_shirt"} == {"dots"}


def test_skin_spans_the_human_range_and_follows_the_recipe():
    def tone(low, high):
        wish = parse({"name": "p", "people": {"shape": {"skin": [low, high]}}})
        return [identity(wish, k, GARMENTS).look.skin_rgb for k in range(200)]

    reds = sorted(rgb[0] for rgb in tone(0, 1))
    assert reds[0] < 0.14
    assert reds[-1] > 0.62
    assert all(rgb[0] > rgb[1] > rgb[2] for rgb in tone(0, 1))
    assert min(rgb[0] for rgb in tone(0, 0.2)) > 0.4
    assert max(rgb[0] for rgb in tone(0.8, 1)) < 0.2


def test_identities_do_not_depend_on_frames_or_pool():
    small, large = (
        parse({"name": "a", "frames": f, "people": {"identities": k}})
        for f, k in ((3, 10), (9, 500))
    )
    assert identity(small, 4, GARMENTS) == identity(large, 4, GARMENTS)
    assert identity(small, 4, GARMENTS).name == "id-0005"
    assert identity(small, 4, GARMENTS) != identity(small, 5, GARMENTS)
