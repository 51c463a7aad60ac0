"""Smoothing over time: noise falls, straight motion is not delayed, people keep their numbers."""

import numpy as np
import pytest

from synthstudio.core.rng import stream
from synthstudio.inference.tracking import smooth


def _walk(frames, *, turn=0.0):
    t = np.arange(frames, dtype=np.float64)
    xy = np.stack([50 + 4 * t, 80 - 1.5 * t + turn * t**2], -1)
    return np.stack([xy, xy + np.array([0, 30])], 1)


def _behind(answer, truth):
    speed = np.diff(truth, axis=0).mean(0)
    return float((((truth - answer) * speed).sum(-1) / (speed**2).sum(-1)).mean())


def test_noise_falls_and_a_straight_motion_is_not_delayed():
    truth = _walk(60)
    noisy = truth + stream(1, "noise").normal(0, 2, truth.shape)
    found = smooth(noisy, np.ones(truth.shape[:2]))
    before = np.sqrt(((noisy - truth) ** 2).mean())
    after = np.sqrt(((found - truth) ** 2).mean())
    assert after < 0.75 * before
    assert abs(_behind(found, truth)) < 0.1
    assert smooth(truth, np.ones(truth.shape[:2])) == pytest.approx(truth, abs=1e-9)


def test_a_curve_comes_through_too_and_jumps_of_unsure_frames_do_not():
    truth = _walk(40, turn=0.2)
    seen, weight = truth.copy(), np.ones(truth.shape[:2])
    seen[20, 0] += [0, 60]
    weight[20, 0] = 0.02
    found = smooth(seen, weight)
    assert np.abs(found - truth).max() < 4
    assert np.abs(smooth(seen, np.ones_like(weight)) - truth).max() > 15


def test_gaps_are_told_from_frames_that_follow_each_other():
    truth = _walk(30)
    kept = np.array([0, 1, 2, 3, 9, 10, 11, 12, 20, 29])
    found = smooth(truth[kept], np.ones((len(kept), 2)), at=kept)
    assert found == pytest.approx(truth[kept], abs=1e-6)
    assert smooth(truth[:1], np.ones((1, 2))) == pytest.approx(truth[:1])


def test_a_joint_that_was_not_found_stays_unknown_and_spoils_nobody():
    line = np.stack([np.arange(9.0), 2 * np.arange(9.0)], -1)[:, None].repeat(2, 1)
    gap = line.copy()
    gap[4, 0] = np.nan
    out = smooth(gap, np.ones((9, 2)))
    assert np.isnan(out[4, 0]).all() and out[4, 1] == pytest.approx(line[4, 1])
    rest = np.arange(9) != 4
    assert out[rest] == pytest.approx(line[rest])
    lonely = np.full((5, 1, 2), np.nan)
    lonely[2] = 7.0
    assert smooth(lonely, np.ones((5, 1)))[2, 0] == pytest.approx([7.0, 7.0])
