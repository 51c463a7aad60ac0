"""Figures of answers that are made so that each figure is known."""

import dataclasses
import json

import numpy as np
import pytest
from made_predictions import predictions

from synthstudio.core.labels import CAUSES
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.evaluation.metrics import compute_metrics, joint_subsets
from synthstudio.evaluation.storage import select

BONES = get_skeleton("coco17")
J, PAIRS = 17, 20


def answers(*, hidden_error=30.0, seen_error=2.0):
    """PAIRS moments, each an occluded row and its clean one; box side 100 px. In the occluded row
    an object hides the first five joints: `hidden_error` px off, all others `seen_error`."""
    rng, count = stream(1, "answers"), 2 * PAIRS
    true = np.repeat(rng.uniform(0, 100, (PAIRS, J, 2)), 2, 0)
    state = np.full((count, J), 2, np.uint8)
    state[::2, :5] = 1
    cause = np.zeros((count, J), np.uint8)
    cause[::2, :5] = CAUSES.index("object")
    error = np.where(state == 1, hidden_error, seen_error)
    xyz = np.repeat(rng.normal(0, 0.4, (PAIRS, J, 3)), 2, 0)
    fractions = np.zeros((count, J, 5))
    fractions[..., 0] = state == 2
    fractions[..., 3] = state == 1
    output = np.full((count, J, 4), 0.1)
    output[..., 0] = np.where(state == 2, 0.7, 0.3)
    output[..., 3] = np.where(state == 2, 0.1, 0.5)
    number = np.arange(count)
    return predictions(
        true,
        xy=true + error[..., None] * [1, 0],
        peak=np.full((count, J), 0.5),
        present=np.ones((count, J)),
        visibility_fractions=output,
        xyz_m=xyz + np.array([0, 0, 0.02]),
        true_fractions=fractions,
        true_xyz_m=xyz,
        state=state,
        cause=cause,
        window=np.tile([-9.0, -9, 109, 109], (count, 1)),
        fraction=np.where(number % 2, 0.0, 0.4),
        group=number // 2,
        clean=np.where(number % 2, number, number + 1),
        variant=np.where(number % 2, "clean", "base"),
        family=np.full(count, "stand"),
    )


def test_every_figure_of_known_answers():
    found = compute_metrics(answers(), BONES)
    assert found["counts"] == {"people": 40, "joints": 680, "hidden": 100}
    assert found["localization"]["visible"]["PCK@0.1"] == {"value": 1, "low": 1, "high": 1}
    assert found["localization"]["hidden"]["PCK@0.1"]["value"] == 0
    assert found["localization"]["all"]["PCK@0.1"]["value"] == pytest.approx(580 / 680)
    assert found["localization"]["hidden"]["EPE_px"] == pytest.approx(30)
    assert found["by_cause"]["object"]["joints"] == 100
    assert set(found["by_cause"]) == {"visible", "object"}
    assert found["by_joint"]["nose"] == {"all": 0.5, "visible": 1.0, "hidden": 0.0}
    assert found["precision"]["visible"]["AP"] > 0.7 > found["precision"]["hidden"]["AP"]
    cost = found["counterfactual"]
    assert cost["pairs"] == 20
    assert cost["newly_hidden"] == {"value": -1, "low": -1, "high": -1, "joints": 100}
    assert cost["still_visible"]["value"] == 0
    near = compute_metrics(answers(hidden_error=2.0), BONES)["counterfactual"]
    assert near["newly_hidden"]["value"] == 0
    filled = [row for row in found["by_fraction"] if row["people"]]
    assert [row["from"] for row in filled] == [0.0, 0.35]
    assert filled[0]["all"]["value"] == 1 and filled[1]["all"]["value"] == pytest.approx(12 / 17)
    reported = found["visibility"]
    assert reported["AUROC"]["value"] == 1 and reported["AUROC_of_peak"]["value"] == 0.5
    assert reported["AUROC_of_mass"]["value"] == 0.5
    assert reported["cause_F1"]["value"] == 1
    assert reported["state_F1"] == 1 > reported["state_F1_of_majority"]
    assert reported["Brier"] == pytest.approx(0.09)
    assert reported["ECE"] == pytest.approx(0.3)
    lifted = found["lifting"]
    assert lifted["all"]["MPJPE_mm"] == pytest.approx(20)
    assert lifted["all"]["PA-MPJPE_mm"] == pytest.approx(0, abs=1e-6)


def test_the_same_joints_have_the_same_precision_by_cause_and_by_state():
    made, rng = answers(), stream(3, "sure")
    off = rng.uniform(0, 40, (2 * PAIRS, 1))
    sure = np.broadcast_to(np.exp(-off / 20), made.score.shape)
    xy, frame = made.true_xy + off[..., None] * [1, 0], np.arange(2 * PAIRS) // 8
    made = dataclasses.replace(made, xy=xy, quality=sure, score=1 - sure, frame=frame)
    found = compute_metrics(made, BONES)
    for cause, state in (("object", "hidden"), ("visible", "visible")):
        wanted = found["precision"][state]["AP"]
        assert found["by_cause"][cause]["AP"] == pytest.approx(wanted, abs=1e-12)
        rotated = dataclasses.replace(made, quality=made.score, score=made.quality)
        assert compute_metrics(rotated, BONES)["precision"][state]["AP"] < wanted - 0.02


def test_exact_shares_are_calibrated():
    made = answers()
    exact = made.true_fractions.copy()
    exact[..., 0] = np.where(made.state == 2, 0.8, 0.2)
    exact[..., 3] = 1 - exact[..., 0]
    made = dataclasses.replace(made, true_fractions=exact, visibility_fractions=exact[..., :4])
    reported = compute_metrics(made, BONES)
    assert reported["visibility"]["ECE"] == reported["visibility"]["Brier"] == pytest.approx(0)


def test_skill_is_nought_for_the_mean_pose():
    made = answers()
    size = made.box[:, None, 2:]
    blind = np.broadcast_to((made.true_xy / size).mean(0) * size, made.true_xy.shape)
    skill = compute_metrics(dataclasses.replace(made, xy=blind), BONES)["prior"]
    assert skill["all"]["skill"] == pytest.approx(0, abs=1e-9)
    assert compute_metrics(made, BONES)["prior"]["visible"]["skill"] == 1


def test_a_plain_block_has_no_visibility_and_no_lifting():
    made = answers()
    names = ("visibility_fractions", "xyz_m")
    blank = {name: np.full_like(getattr(made, name), np.nan) for name in names}
    found = compute_metrics(dataclasses.replace(made, **blank), BONES)
    assert found["visibility"] == {} and found["lifting"] == {}
    json.dumps(found)


def test_some_people_keep_their_pairs():
    made = answers()
    few = select(made, np.array([2, 3, 5]))
    assert few.clean.tolist() == [1, 1, 2]
    lone = select(made, np.array([4]))
    assert lone.clean.tolist() == [-1]
    assert compute_metrics(lone, BONES)["counterfactual"] == {"pairs": 0}
    assert int(joint_subsets(few)["hidden"].sum()) == 5
