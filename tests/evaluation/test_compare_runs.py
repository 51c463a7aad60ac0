"""Runs side by side: equal ones, better ones, other people, several seeds."""

import dataclasses
import json

import numpy as np
import pytest
from command_line import run
from own_skeleton_sets import VIEWER
from test_metrics import BONES, answers

from synthstudio.core.errors import ModelError
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.evaluation import compare as comparing
from synthstudio.evaluation import storage
from synthstudio.evaluation.compare import Arm, as_json, compare, difference_text, text
from synthstudio.evaluation.metrics import compute_metrics, visibility_subset
from synthstudio.evaluation.storage import Evaluation, select
from synthstudio.report.comparison import comparison_page


def arm(name, *made):
    runs = tuple(
        Evaluation(about={"name": name, "seed": k, "skeleton": "coco17"}, metrics={}, predictions=a)
        for k, a in enumerate(made)
    )
    return Arm(name=name, runs=runs)


def noisy(error, seed=0):
    made = answers()
    off = stream(seed, "noise").exponential(error, made.state.shape)
    off = np.where(made.state == 1, off, 2.0)
    return dataclasses.replace(made, xy=made.true_xy + off[..., None] * [0.6, 0.8])


def row(rows, name):
    return next(r for r in rows if r.name == name)


def difference(found, name):
    return row(found, name).differences[1]


def test_a_run_is_equal_to_itself():
    for found in compare([arm("a", noisy(9)), arm("b", noisy(9))], rounds=200):
        assert found.differences[0] is None
        if found.differences[1] is not None and np.isfinite(found.differences[1].value):
            assert found.differences[1].value == 0 and not found.differences[1].excludes_zero


@pytest.mark.parametrize(("skeleton", "common"), [(get_skeleton("mpii16"), 12), (VIEWER, 2)])
def test_skeletons_are_compared_at_their_common_joints(skeleton, common):
    arms = [arm("a", noisy(9)), arm("b", noisy(9))]
    columns = [BONES.joints.index(j) if j in BONES.joints else 0 for j in skeleton.known_as]
    one = arms[1].runs[0]
    few = storage.with_joints(one.predictions, columns)
    other = dataclasses.replace(one, predictions=few, about=one.about | {"skeleton": skeleton.name})
    arms = comparing.on_common_joints([arms[0], dataclasses.replace(arms[1], runs=(other,))])
    rows = compare(arms, rounds=200)
    assert all(d is None or d.value == 0 or np.isnan(d.value) for r in rows for d in r.differences)
    assert row(rows, "AP all").values[0].value == row(rows, "AP all").values[1].value > 0
    assert f"{common} common joints" in as_json(arms, rows)["caveats"][-1]


def test_joints_without_a_position_improve_nothing_and_caveats_are_said():
    full, half = noisy(9), noisy(9)
    hidden = (half.state == 1) & (half.group % 2 == 0)[:, None]
    missing = np.where(hidden[..., None], np.nan, 0)
    half = dataclasses.replace(half, xy=half.xy + missing)
    arms = [arm("full", full), arm("half", half)]
    rows = compare(arms, rounds=200)
    for name in ("cost where it hides", "distance, hidden joints"):
        assert difference(rows, name).value == 0
    assert difference(rows, "PCK@0.1 hidden").high < 0
    arms[1].runs[0].about["notes"] = ["trained on them"]
    said = " ".join(as_json(arms, rows)["caveats"])
    assert "One seed" in said and "half: trained on them" in said
    assert f"leave out {np.isnan(missing).sum()} of" in said and "moments" in said


def test_a_better_run_differs_where_it_is_better():
    rows = compare([arm("bad", noisy(25)), arm("good", noisy(4, 1))], rounds=200)
    hidden, seen = difference(rows, "PCK@0.1 hidden"), difference(rows, "PCK@0.1 visible")
    assert hidden.low > 0.2 and seen.value == 0
    assert difference(rows, "cost where it hides").low > 0
    assert difference(rows, "distance, hidden joints").high < 0
    assert difference(rows, "AP hidden").low > 0.1
    same = difference(rows, "AP visible")
    assert [same.value, same.low, same.high] == [0, 0, 0]
    assert "*" in difference_text(row(rows, "PCK@0.1 hidden"), hidden)
    assert "*" not in difference_text(row(rows, "PCK@0.1 visible"), seen)


def test_the_pairing_makes_the_interval_narrower():
    theirs = noisy(12)
    better = dataclasses.replace(theirs, xy=theirs.true_xy + 0.9 * (theirs.xy - theirs.true_xy))
    paired, alone = (
        difference(compare([arm("a", theirs), arm("b", other)], rounds=200), "PCK@0.1 hidden")
        for other in (better, noisy(10.8, 3))
    )
    assert paired.high - paired.low < 0.7 * (alone.high - alone.low)


def test_weighted_figures_equal_those_of_an_evaluation():
    made = noisy(4)
    rows = compare([arm("a", made), arm("b", made)], rounds=2)
    reported = compute_metrics(made, BONES)
    for part in ("hidden", "visible", "all"):
        wanted = reported["precision"][part]["AP"]
        assert row(rows, f"AP {part}").values[0].value == pytest.approx(wanted, abs=1e-9)
        assert wanted > 0.1
    wanted = reported["extended_precision"]["predicted"]["AP"]
    assert row(rows, "AP by Ex-OKS").values[0].value == pytest.approx(wanted, abs=1e-9)
    for name, key in (("AUROC", "AUROC"), ("cause F1", "cause_F1")):
        wanted = reported["visibility"][key]["value"]
        assert row(rows, name).values[0].value == pytest.approx(wanted)
    assert row(rows, "ECE").values[0].value == pytest.approx(reported["visibility"]["ECE"])
    for name in ("MPJPE", "N-MPJPE", "PA-MPJPE"):
        found = row(rows, f"{name} hidden").values[0].value
        assert found == pytest.approx(reported["lifting"]["hidden"][f"{name}_mm"] / 1000, abs=1e-12)


def test_a_better_lift_and_a_better_word_on_visibility_are_told():
    made, rng = answers(), stream(5, "worse")
    shift = rng.normal(0, 0.1, made.xyz_m.shape)
    guess = np.where(rng.random(made.state.shape)[..., None] < 0.3, 0.25, made.visibility_fractions)
    worse = dataclasses.replace(made, xyz_m=made.true_xyz_m + shift, visibility_fractions=guess)
    better = dataclasses.replace(made, xyz_m=made.true_xyz_m + 0.8 * shift)
    assert visibility_subset(worse).all()
    rows = compare([arm("worse", worse), arm("better", better)], rounds=200)
    lifted = {"MPJPE hidden": -1, "N-MPJPE visible": -1, "PA-MPJPE hidden": -1}
    for name, sign in (lifted | {"AUROC": 1}).items():
        found = difference(rows, name)
        assert found.excludes_zero and np.sign(found.value) == sign, name
    assert not difference(rows, "AP all").excludes_zero


def test_seeds_are_drawn_too_and_arms_of_other_lengths_have_no_test():
    two = arm("a", noisy(9, 1), noisy(9, 2))
    rows = compare([two, arm("b", noisy(9, 3), noisy(9, 4))], rounds=100)
    assert not difference(rows, "PCK@0.1 hidden").excludes_zero
    uneven = compare([two, arm("b", noisy(9, 3))], rounds=20)
    for name in ("PCK@0.1 hidden", "AP all"):
        assert row(uneven, name).differences == (None, None)
    assert row(uneven, "AP all").values[0].low < row(uneven, "AP all").values[0].high


def test_other_people_are_refused():
    made = answers()
    changes = {"instance": made.instance + 1, "true_xy": made.true_xy + 2, "state": made.state // 2}
    others = [dataclasses.replace(made, **{name: value}) for name, value in changes.items()]
    for other in (*others, select(made, np.arange(10))):
        with pytest.raises(ModelError):
            compare([arm("a", made), arm("b", other)], rounds=10)
    with pytest.raises(ModelError):
        compare([arm("a", made)])


def with_about(made, **changes):
    runs = tuple(dataclasses.replace(r, about=r.about | changes) for r in made.runs)
    return dataclasses.replace(made, runs=runs)


def test_another_set_with_the_same_people_is_refused():
    plain = arm("a", noisy(9))
    sets = [with_about(plain, dataset_sha256=c * 64, dataset=c) for c in "ef"]
    with pytest.raises(ModelError) as error:
        compare([plain, *sets], rounds=2)
    assert "e" * 12 in str(error.value) and "f" * 12 in str(error.value)
    assert compare([plain, sets[0]], rounds=2)


@pytest.mark.parametrize("name", ["", " ", "FOLDER,", "FOLDER,,FOLDER"])
def test_an_empty_name_is_refused(name, tmp_path):
    storage.write(tmp_path / "one", arm("a", noisy(9)).runs[0], b"")
    here = str(tmp_path / "one")
    with pytest.raises(ModelError, match=r"^compare: "):
        run("compare", here, name.replace("FOLDER", here))


def test_it_is_told_as_text_json_and_a_page():
    arms = [arm("<b>bad</b>", noisy(25)), arm("good", noisy(4, 1))]
    rows = compare(arms, rounds=100)
    reported = json.loads(json.dumps(storage.json_ready(as_json(arms, rows)), allow_nan=False))
    assert reported["people"] == 40
    assert {r["name"] for r in reported["rows"]} >= {"PCK@0.1 hidden", "MPJPE hidden", "AP all"}
    lines = text(arms, rows).splitlines()
    assert lines[0].split() == ["<b>bad</b>", "good"]
    assert any(line.startswith("PCK@0.1 hidden (%)") and line.endswith("*") for line in lines)
    page = comparison_page(arms, rows).decode()
    assert "<b>bad" not in page and "&lt;b&gt;bad" in page
    assert "<script" not in page and "http://" not in page and "https://" not in page
