"""Poses held side by side, and those that somebody new begins with."""

import numpy as np
import pytest

from synthstudio.core.rng import stream
from synthstudio.review.risk.people import PeopleTable
from synthstudio.studio.editor.suggestions import MAX_POSES, poses_of
from synthstudio.studio.gallery.view import MIN_JOINTS, distances, normalised, pose_map

JOINTS = 17


def table(px, state=None):
    people = len(px)
    flat = px.transpose(1, 2, 0).reshape(2 * JOINTS, people).astype(np.float32)
    state = np.full((JOINTS, people), 2, np.uint8) if state is None else state
    arrays = {"frame": np.zeros(people, np.int64), "px": flat, "state": state}
    return PeopleTable(key="k" * 64, skeleton_name="coco17", arrays=arrays, names={})


def boxed(count, width, height):
    at = np.abs(np.sin(np.arange(count * JOINTS * 2.0))).reshape(count, JOINTS, 2)
    px = at * (width, height) + 40
    px[:, 0], px[:, 1] = (40, 40), (40 + width, 40 + height)
    return px


def test_each_form_has_a_pose_of_whole_people():
    px = np.concatenate([boxed(60, 40, 160), boxed(60, 200, 80)])
    found = poses_of(table(px))
    assert len(found) == MAX_POSES
    assert sorted({round(pose["form"], 1) for pose in found}) == [0.2, 2.5]
    for pose in found:
        at = np.array(pose["at"])
        assert at.shape == (JOINTS, 2) and at.min() == 0 and at.max() == 1
        assert any(np.allclose(at, (p - 40) / np.ptp(p, axis=0), atol=0.001) for p in px)
    px, state = boxed(4, 40, 160), np.full((JOINTS, 4), 2, np.uint8)
    px[0, 5], state[3, 1] = np.nan, 0  # unknown; outside
    px[2] = 40 + (px[2] - 40) / 10  # 16 px high
    (pose,) = poses_of(table(px, state))
    assert np.allclose(pose["at"], (px[3] - 40) / (40, 160), atol=0.001)
    assert poses_of(table(np.empty((0, JOINTS, 2)))) == ()


def people(count):
    rng = stream(3, "poses")
    kinds = rng.normal(size=(2, JOINTS, 2)) * 20
    poses = kinds[np.arange(count) % 2] + rng.normal(size=(count, JOINTS, 2))
    return poses * rng.uniform(0.2, 5, (count, 1, 1)) + rng.uniform(0, 500, (count, 1, 2))


def test_alike_people_come_first_and_lie_together_wherever_they_stand():
    poses = people(1).repeat(3, 0)
    poses[1] = poses[1] * 7 + [300, -20]
    poses[2, :, 0] *= -1
    apart = distances(normalised(poses), 0)
    assert apart[:2] == pytest.approx([0, 0], abs=1e-9) and apart[2] > 0.1
    poses = normalised(people(40))
    order = np.argsort(distances(poses, 6))
    assert order[0] == 6 and set(order[:20]) == set(range(0, 40, 2))
    places = pose_map(poses)
    first, second = places[::2], places[1::2]
    between = np.linalg.norm(first.mean(0) - second.mean(0))
    assert between > 5 * max(first.std(0).max(), second.std(0).max())
    assert np.array_equal(places, pose_map(poses))


def test_missing_joints_are_left_out_and_too_few_say_nothing():
    poses = people(4)
    poses[1] = poses[0]
    poses[2, MIN_JOINTS - 1 :] = np.nan
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
