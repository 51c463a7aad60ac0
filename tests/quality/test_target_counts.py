"""Asked against achieved, held against SciPy and counts by hand."""

import json
import math

import numpy as np
import pytest
from counted import stats
from scipy.stats import ks_2samp

from synthstudio.core.errors import DatasetError
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.quality.stats import text
from synthstudio.quality.targets import unmet

COCO17 = get_skeleton("coco17")
NOTHING = {
    "frame_index": 0, "instance": 1, "identity": "id-1", "pose_family": "stand", "motion": None,
    "occluded_fraction": 0.0, "truncated_fraction": 0.0, "cause": ["visible"] * 17,
    "state": [2] * 17, "ambiguous": [False] * 17, "occluder_id": [0] * 17, "target_fraction": None,
    "target_hidden": [], "target_shown": [], "target_causes": None, "target_met": True,
}  # fmt: skip


def person(number=1, **changes):
    return NOTHING | {"instance": number} | changes


def frame(**changes):
    row = {"index": 0, "split": "train", "variant": "base", "object_kind": []}
    row |= {"object_instance": [], "crowd_index": 0.0, "crowd_target": None, "clip_id": None}
    return row | changes


def hidden(*names, cause="object", state=1):
    places = [COCO17.joints.index(name) for name in names]
    return {
        "state": [state if j in places else 2 for j in range(17)],
        "cause": [cause if j in places else "visible" for j in range(17)],
    }


def compared(people, **frame_changes):
    return stats([(frame(**frame_changes), people)], COCO17)


def fractions(want, got):
    pairs = zip(want, got, strict=True)
    return compared(
        [person(target_fraction=float(a), occluded_fraction=float(b)) for a, b in pairs]
    )


def test_errors_are_those_of_numpy_to_a_ten_thousandth():
    rng = stream(1, "asked")
    want = rng.random(1000) * 0.8
    got = np.clip(want + rng.normal(0, 0.04, 1000), 0, 1)
    found = fractions(want, got)["targets"]["occluded_fraction"]
    off = np.abs(want - got)
    assert found["people"] == 1000
    assert found["median"] == pytest.approx(np.median(off), abs=3e-4)
    assert found["p95"] == pytest.approx(np.quantile(off, 0.95), abs=1e-3)
    assert found["max"] == off.max()
    assert found["ks"] == pytest.approx(ks_2samp(want, got).statistic, abs=2e-3)


def test_what_comes_near_an_atom_is_the_atom():
    want = np.repeat([0.0, 0.3, 0.6], [200, 300, 500])
    wobble = np.tile([-0.015, 0.015], 500)
    near = np.clip(want + wobble, 0, 1)
    assert ks_2samp(want, near).statistic > 0.2
    assert fractions(want, near)["targets"]["occluded_fraction"]["ks"] == 0
    far = np.where(want == 0.3, 0.35, near)
    assert fractions(want, far)["targets"]["occluded_fraction"]["ks"] == pytest.approx(0.3)


def test_met_targets_have_no_sentence_and_missed_ones_have():
    want = np.linspace(0, 0.8, 400)
    only = {"tolerance": 0.05, "occluded_fraction": [0, 0.8]}
    assert unmet(fractions(want, np.clip(want + 0.01, 0, 1)), only) == []
    nothing_hidden = unmet(fractions(want, np.zeros(400)), only)
    assert len(nothing_hidden) == 3
    assert "median" in nothing_hidden[0] and "KS" in nothing_hidden[2]
    assert unmet(fractions(want, want + 0.035), only) == [
        "occluded_fraction: error in the median 0.035 (at most 0.030)"
    ]
    assert unmet(compared([]), None) == []
    only |= {"joints": {"left_wrist+right_wrist": 0.4}, "causes": {"self": None, "object": 0.25}}
    names = ("occluded_fraction", "joints: left_wrist+right_wrist", "causes: object")
    nobody = [f"{name}: no person or frame has this target" for name in names]
    assert unmet(compared([person()]), only | {"crowd_index": None}) == nobody


def test_joints_count_as_hidden_when_all_of_a_group_are():
    both = "left_wrist+right_wrist"
    people = [
        person(target_hidden=[both], **hidden("left_wrist", "right_wrist")),
        person(target_hidden=[both], **hidden("left_wrist", "right_wrist", state=0)),
        person(target_hidden=[both], **hidden("left_wrist")),
        person(target_shown=[both], **hidden("right_wrist")),
        person(target_shown=[both], **hidden("left_wrist", "right_wrist", "nose")),
    ]
    found = {"people": 5, "requested": 0.6, "achieved": 0.6, "requested_hidden": 3}
    found |= {"requested_hidden_met": 2, "requested_shown": 2, "requested_shown_met": 1}
    assert compared(people)["targets"]["joints"] == {both: found}


def test_causes_are_mean_shares_of_joints_where_requested():
    nan = math.nan
    people = [
        person(target_causes=[nan, nan, nan, 0.25, nan], **hidden("nose", "left_eye")),
        person(target_causes=[nan, nan, nan, 0.15, 0.0]),
        person(**hidden("nose")),
    ]
    found = compared(people)["targets"]["causes"]
    assert set(found) == {"object", "truncated"}
    off = pytest.approx((0.25 - 2 / 17 + 0.15) / 2)
    wanted = {"people": 2, "requested": 0.2, "achieved": pytest.approx(1 / 17), "mean_error": off}
    assert found["object"] == wanted | {"ks": 1.0}
    assert found["truncated"]["people"] == 1


def test_the_crowd_index_is_counted_by_frame():
    frames = [(frame(crowd_target=a, crowd_index=b), []) for a, b in ((0.5, 0.4), (0.2, 0.5))]
    found = stats([*frames, (frame(), [])], COCO17)
    crowd = found["targets"]["crowd_index"]
    assert (crowd["frames"], crowd["requested"]) == (2, 0.35)
    assert crowd["mean_error"] == pytest.approx(0.2)
    assert crowd["max_error"] == pytest.approx(0.3)
    wants = {"tolerance": 0.05, "crowd_index": 0.4}
    assert unmet(found, wants) == ["crowd_index: mean error 0.200 (at most 0.100)"]


def test_missed_people_are_counted_listed_and_stay_in():
    missing = {"frame_index": 7, "target_fraction": 0.5, "occluded_fraction": 0.1}
    people = [person(n, target_met=n > 150, **missing) for n in range(1, 1001)]
    found = compared(people)
    missed = found["targets"]["missed"]
    assert (missed["count"], missed["share"], len(missed["first"])) == (150, 0.15, 100)
    requested, achieved = ({"occluded_fraction": value} for value in (0.5, 0.1))
    first = {"frame": 7, "person": 1, "requested": requested, "achieved": achieved}
    assert missed["first"][0] == first
    assert found["targets"]["occluded_fraction"]["people"] == 1000
    assert "150 of 1000 people missed" in unmet(found, {"tolerance": 0.5})[-1]
    assert "missed: 150 (15.0%), frame/person 7/1, 7/2" in text(found)
    json.dumps(found, allow_nan=False)
    # Two in a hundred may be missed; variants and people without targets do not count.
    people = [
        person(target_fraction=0.2, occluded_fraction=0.2, target_met=k > 1) for k in range(100)
    ]
    assert unmet(compared(people), {"tolerance": 0.05}) == []
    people[5]["target_met"] = False
    assert len(unmet(compared(people), {"tolerance": 0.05})) == 1
    assert compared(people, variant="clean", crowd_target=0.5)["targets"]["people"] == 0
    found = compared([person(target_met=None)])
    assert found["targets"]["people"] == 0 and "requested" not in text(found)


def test_one_person_is_never_too_much():
    both = "left_wrist+right_wrist"
    wants = {"tolerance": 0.05, "joints": {both: 1.0}}
    people = [person(target_hidden=[both], **hidden("left_wrist", "right_wrist")) for _ in range(9)]
    miss = person(target_hidden=[both])
    assert unmet(compared([*people, miss]), wants) == []
    (line,) = unmet(compared([*people, miss, miss]), wants)[:1]
    assert f"joints: {both}: 100.0% requested" in line
    with pytest.raises(DatasetError, match="names no joint"):
        compared([person(target_hidden=["third_elbow"])])
