"""Poses held side by side: alike ones are near, wherever they stand, however large they are."""

from __future__ import annotations

import numpy as np
import pytest

from synthstudio.core.rng import stream
from synthstudio.studio.gallery.view import LEAST_JOINTS, distances, normalised, pose_map


def people(count: int) -> np.ndarray:
    rng = stream(3, "poses")
    kinds = rng.normal(size=(2, 17, 2)) * 20
    poses = kinds[np.arange(count) % 2] + rng.normal(size=(count, 17, 2))
    return poses * rng.uniform(0.2, 5, (count, 1, 1)) + rng.uniform(0, 500, (count, 1, 2))


def test_the_same_pose_elsewhere_and_larger_is_the_same() -> None:
    poses = people(1).repeat(3, 0)
    poses[1] = poses[1] * 7 + [300, -20]
    poses[2, :, 0] *= -1
    apart = distances(normalised(poses), 0)
    assert apart[:2] == pytest.approx([0, 0], abs=1e-9) and apart[2] > 0.1


def test_alike_people_come_first_and_lie_together() -> None:
    poses = normalised(people(40))
    order = np.argsort(distances(poses, 6))
    assert order[0] == 6 and set(order[:20]) == set(range(0, 40, 2))
    places = pose_map(poses)
    first, second = places[::2], places[1::2]
    between = np.linalg.norm(first.mean(0) - second.mean(0))
    assert between > 5 * max(first.std(0).max(), second.std(0).max())
    assert np.array_equal(places, pose_map(poses))


def test_missing_joints_are_left_out_and_too_few_say_nothing() -> None:
    poses = people(4)
    poses[1] = poses[0]
    poses[2, LEAST_JOINTS - 1 :] = np.nan
    poses[3] = np.nan
    whole = normalised(poses)
    assert np.isnan(whole[2:]).all()
    apart = distances(whole, 0)
    assert apart[1] == pytest.approx(0) and np.isnan(apart[2:]).all()
    halves = np.stack([poses[0], poses[0]])
    halves[0, :9], halves[1, 8:] = np.nan, np.nan
    assert np.isnan(distances(normalised(halves), 0)[1])  # no joint in common
    places = pose_map(whole)
    assert np.isnan(places[2:]).all() and np.isfinite(places[:2]).all()
    assert np.isnan(pose_map(whole[2:])).all()
