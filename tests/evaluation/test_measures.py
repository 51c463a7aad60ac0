"""Measures against values worked out by hand or by another way."""

import itertools
import time

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.evaluation import measures
from synthstudio.evaluation.diagnostics import (
    PATCH_GREY,
    latency,
    occlusion_sensitivity,
    sensitivity_summary,
)

BONES = get_skeleton("coco17")


def people(count, dims=2):
    return stream(3, "people", count, dims).normal(0, 100, (count, 17, dims))


def test_pck_by_hand():
    truth = np.zeros((1, 4, 2))
    answer = np.array([[[0, 0], [10, 0], [10.001, 0], [np.nan, 0]]])
    hits = measures.pck(answer, truth, length=np.array([100.0]), at=0.1)
    assert hits.tolist() == [[1, 1, 0, 0]]


def test_pck_auc_of_even_errors():
    # Errors spread evenly from 0 to the greatest threshold give a straight curve: half the area.
    count = 2001
    truth = np.zeros((1, count, 2))
    answer = np.stack([np.linspace(0, 20, count), np.zeros(count)], -1)[None]
    known = np.ones((1, count), bool)
    auc = measures.pck_auc(answer, truth, known=known, length=np.array([100.0]))
    assert auc == pytest.approx(0.5, abs=2e-3)


def test_lengths():
    truth = np.zeros((1, 17, 2))
    truth[0, BONES.joints.index("left_shoulder")] = (3, 4)
    assert measures.torso_px(truth, BONES.joints)[0] == pytest.approx(5)
    truth[0, BONES.joints.index("right_shoulder")] = (3, 4)
    assert measures.head_px(truth, BONES.joints)[0] == pytest.approx(5)


def test_each_3d_error_ignores_what_it_should():
    truth, known = people(2, 3), np.ones((2, 17), bool)
    assert measures.n_mpjpe(truth * 0.4, truth, known=known) == pytest.approx(
        np.zeros((2, 17)), abs=1e-6
    )
    rotated = Rotation.from_euler("z", 30, degrees=True).apply(truth.reshape(-1, 3))
    assert measures.n_mpjpe(rotated.reshape(truth.shape), truth, known=known).mean() > 1
    turn = Rotation.from_euler("xyz", [30, -70, 200], degrees=True)
    moved = 0.3 * turn.apply(truth.reshape(-1, 3)).reshape(truth.shape) + (1, 2, 3)
    assert measures.pa_mpjpe(moved, truth, known=known) == pytest.approx(
        np.zeros((2, 17)), abs=1e-6
    )
    assert measures.pa_mpjpe(truth * (1, 1, -1), truth, known=known).mean() > 1


def test_pa_mpjpe_equals_another_solver():
    # scipy finds the rotation; the best scale then follows in closed form.
    rng = stream(5, "pa")
    truth = people(1, 3)
    answer = truth @ Rotation.from_euler("y", 40, degrees=True).as_matrix() * 0.7
    answer = answer + rng.normal(0, 12, truth.shape)
    a, t = answer[0] - answer[0].mean(0), truth[0] - truth[0].mean(0)
    turn, _ = Rotation.align_vectors(t, a)
    b = turn.apply(a)
    scale = (b * t).sum() / (b * b).sum()
    wanted = np.linalg.norm(scale * b - t, axis=-1)
    more = [np.concatenate([xyz, np.full((1, 1, 3), 9.0)], 1) for xyz in (answer, truth)]
    mine = measures.pa_mpjpe(*more, known=np.arange(18)[None] < 17)  # the last is unknown
    assert mine[0] == pytest.approx([*wanted, np.nan], abs=1e-6, nan_ok=True)
    two = np.arange(17)[None] < 2  # too few joints
    assert np.isnan(measures.pa_mpjpe(answer, truth, known=two)).all()


# F1, AUROC, calibration and latency.


def test_f1_by_hand():
    truth = np.array([0, 0, 0, 1, 1, 2])
    answer = np.array([0, 0, 1, 1, 0, 2])
    counts = measures.confusion(truth, answer, classes=4)
    assert counts[0].tolist() == [2, 1, 0, 0]
    # class 0: precision 2/3, recall 2/3; class 1: 1/2, 1/2; class 2: 1; class 3 never occurs
    scores = measures.f1_scores(counts)
    assert scores[:3] == pytest.approx([2 / 3, 1 / 2, 1])
    assert np.isnan(scores[3])
    assert measures.macro_f1(counts) == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    # always "0": precision 3/6, recall 1 -> F1 2/3, the others 0
    assert measures.majority_f1(counts) == pytest.approx(2 / 9)


def test_auroc_is_the_chance_of_a_right_order():
    rng = stream(1, "auroc")
    score, positive = rng.integers(0, 6, 60) / 5, rng.random(60) < 0.4
    pairs = score[positive][:, None] - score[~positive][None]
    wanted = ((pairs > 0) + 0.5 * (pairs == 0)).mean()
    assert measures.auroc(score, positive) == pytest.approx(wanted, abs=1e-12)
    assert measures.auroc(positive.astype(float), positive) == 1
    assert np.isnan(measures.auroc(score, np.ones(60, bool)))


def test_reliability_of_one_who_is_always_right_and_one_who_is_too_sure():
    rng = stream(2, "calibration")
    output = rng.random(40_000)
    came = rng.random(40_000) < output
    assert measures.reliability(output, came).ece < 0.01
    assert measures.reliability(np.sqrt(output), came).ece > 0.1
    table = measures.reliability(np.array([1.0, 0.0, 0.5]), np.array([True, False, True]), bins=2)
    assert table.count.tolist() == [1, 2]
    assert table.ece == pytest.approx((1 * 0 + 2 * 0.25) / 3)


def test_percentiles_are_those_of_the_calls_after_the_warm_up(monkeypatch):
    calls = []
    took = ((0.0, 0.001 * k) for k in range(1, 11))
    now = itertools.accumulate(itertools.chain.from_iterable(took))
    with monkeypatch.context() as patch:
        patch.setattr(time, "perf_counter", lambda: next(now))
        found = latency(lambda: calls.append(1), rounds=10, warm_up=4)
    assert len(calls) == 14
    assert found.mean_ms == pytest.approx(5.5)
    assert found.p50_ms == pytest.approx(5.5)
    assert found.p95_ms == pytest.approx(9.55)
    assert found.rounds == 10


# Occlusion-sensitivity maps.


XY = np.array([[10.0, 12.0], [40.0, 50.0], [20.0, 30.0]])
KNOWN = np.array([True, True, False])
PICTURE = np.full((64, 48, 3), 200, np.uint8)


def local(pictures):
    """Errors that grow only for a joint whose own pixel is grey."""
    at = pictures[:, XY[:, 1].astype(int), XY[:, 0].astype(int), 0]
    return np.where(at == PATCH_GREY, 0.5, 0.1)


def test_added_error_lies_under_the_patch_or_elsewhere():
    slide = {"known": KNOWN, "patch": 12, "stride": 6}
    found = occlusion_sensitivity(local, PICTURE, XY, **slide)
    assert found.increase.shape == (9, 7, 3)
    assert np.isnan(found.increase[..., 2]).all()
    assert np.array_equal(found.increase[..., :2] > 0, found.under[..., :2])
    reported = sensitivity_summary([found])
    assert reported["not_under_patch"] == 0
    assert reported["under_patch"] == pytest.approx(0.4)
    assert reported["max"] == pytest.approx(0.2)  # one of two joints
    # All joints go wrong when joint 0's pixel is grey.
    everywhere = occlusion_sensitivity(
        lambda pictures: np.repeat(local(pictures)[:, :1], 3, 1), PICTURE, XY, **slide
    )
    assert sensitivity_summary([everywhere])["not_under_patch"] == pytest.approx(0.5)
    never = occlusion_sensitivity(lambda p: np.full((len(p), 3), 0.3), PICTURE, XY, **slide)
    reported = sensitivity_summary([never])
    assert reported["mean"] == reported["max"] == 0 and np.isnan(reported["not_under_patch"])
