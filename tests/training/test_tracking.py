"""Who is who from frame to frame: crossings, gaps, a rendered clip."""

import dataclasses

import motmetrics
import numpy as np
import pytest
from made_predictions import person

from synthstudio.core.errors import ArgumentError
from synthstudio.core.rng import stream
from synthstudio.dataset.reader import Dataset
from synthstudio.inference.predict import smoothed
from synthstudio.inference.tracking import REPEATED, overlaps, track_people

NOBODY = (np.zeros((0, 4)), np.zeros((0, 17, 2)), np.zeros((0, 17)))


def _standing(x, *, phase=0.0, width=60):
    """A box (4,) and 17 joints in it whose limbs swing."""
    places = stream(7, "joints").uniform(0.1, 0.9, (17, 2)) * [width, 160]
    places[7:] += np.stack([8 * np.sin(phase + np.arange(10)), np.zeros(10)], -1)
    return np.array([x, 40, width, 160]), places + np.array([x, 40])


def _sight(*people, score=1.0):
    boxes, joints = (np.stack(arrays) for arrays in zip(*people, strict=True))
    return boxes, joints, np.full(joints.shape[:2], score)


def _crossing(gap=range(13, 18)):
    """Two people who walk towards and past one another; in the gap nobody is seen."""
    return [
        NOBODY
        if t in gap
        else _sight(_standing(10 + 6 * t, phase=0.5 * t), _standing(190 - 6 * t, phase=2 + 0.5 * t))
        for t in range(31)
    ]


def _track(frames, at=None):
    return track_people(*(list(k) for k in zip(*frames, strict=True)), at=at)


def _judged(frames, found, names=None):
    """MOTA, IDF1, switches and true sightings; people stand in one order in all frames that have
    any, or are those of `names`."""
    clip = motmetrics.MOTAccumulator(auto_id=True)
    for t, ((boxes, _, _), tracks) in enumerate(zip(frames, found, strict=True)):
        alike = overlaps(boxes, boxes)
        truth = np.arange(len(boxes)) if names is None else names[t]
        clip.update(truth, tracks, np.where(alike >= 0.5, 1 - alike, np.nan))
    metrics = {"mota": "mota", "idf1": "idf1", "num_switches": "switches", "num_objects": "truth"}
    scores = motmetrics.metrics.create().compute(clip, metrics=list(metrics))
    return scores.rename(columns=metrics).iloc[0]


# Through crossings and gaps.


def test_people_who_cross_while_nobody_sees_them_keep_their_numbers():
    frames = _crossing()
    score = _judged(frames, _track(frames))
    assert (score.mota, score.idf1, score.switches) == (1.0, 1.0, 0)
    assert score.truth == 2 * (31 - 5)


def test_the_order_of_people_in_a_frame_does_not_matter():
    frames, rng = _crossing(), stream(3, "order")
    orders = [rng.permutation(len(b)) for b, _, _ in frames]
    shuffled = [tuple(k[o] for k in s) for s, o in zip(frames, orders, strict=True)]
    assert any(o.tolist() == [1, 0] for o in orders)
    found, again = _track(frames), _track(shuffled)
    assert [n[o].tolist() for n, o in zip(found, orders, strict=True)] == [
        n.tolist() for n in again
    ]


def test_joints_tell_people_apart_whose_boxes_do_not_unless_they_are_hidden():
    """Two in one box, one upright and one upside down, listed in turn."""
    box, joints = _standing(100)
    two = (box, joints), (box, joints * [1, -1] + [0, 240])
    frames = [_sight(*two[:: -1 if t % 2 else 1]) for t in range(6)]
    found = [n.tolist() for n in _track(frames)]
    assert sorted(found[0]) == [1, 2]
    assert found == [found[0][:: -1 if t % 2 else 1] for t in range(6)]
    assert [n.tolist() for n in _track([(b, j, s * 0) for b, j, s in frames])] == [[1, 2]] * 6


def test_somebody_away_for_longer_than_the_memory_is_new():
    sight = _sight(_standing(50))
    for missing, name in ((100, 1), (101, 2)):
        assert _track([sight, *[NOBODY] * missing, sight])[-1].tolist() == [name]
        at = [0, missing + 1]  # the same without the empty frames
        assert _track([sight, sight], at=at)[-1].tolist() == [name]


def test_a_near_duplicate_gets_no_number_and_takes_none():
    box, joints = _standing(50)
    twice = (
        np.stack([box, box + 2]),
        np.stack([joints, joints + 2]),
        np.stack([np.full(17, 0.9), np.full(17, 0.6)]),
    )
    once = _sight((box, joints))
    assert [n.tolist() for n in _track([once, twice, once])] == [[1], [1, REPEATED], [1]]
    apart = (twice[0], joints + np.array([0, 40])[:, None, None] * [[[0]], [[1]]], twice[2])
    assert REPEATED not in _track([once, apart])[1]


def test_people_without_a_visible_joint_or_with_unknown_ones_are_followed_by_their_boxes():
    for spoil in (
        lambda b, j, s: (b, j, s * 0),
        lambda b, j, s: (b, j * np.nan, s),
        lambda b, j, s: (b, j, s * np.nan),
    ):
        frames = [spoil(*s) for s in _crossing()]
        assert _judged(frames, _track(frames)).mota == 1.0
    # Where joints that are hidden are said to be is nothing: here, in the other one.
    frames = _crossing()
    wild = [(b, j if t % 2 else j[::-1], s * (t % 2)) for t, (b, j, s) in enumerate(frames)]
    assert _judged(wild, _track(wild)).mota == 1.0
    sure = [(b, j, s * 0 + 1) for b, j, s in wild]
    assert _judged(sure, _track(sure)).mota < 1.0
    assert [n.shape for n in _track([NOBODY, NOBODY])] == [(0,), (0,)]
    assert track_people([], [], []) == []
    bare = [(b, j[:, :0], s[:, :0]) for b, j, s in frames]
    assert _judged(bare, _track(bare)).mota == 1.0


# Input that is no clip.


def test_boxes_and_scores_that_are_none_are_told():
    frames = _crossing(range(0))
    boxes, joints, scores = (list(k) for k in zip(*frames[:3], strict=True))
    with pytest.raises(ArgumentError, match="frame 0: not a box"):
        track_people([b * np.nan for b in boxes], joints, scores)
    with pytest.raises(ArgumentError, match="frame 0: not a score"):
        track_people(boxes, joints, [s * 2 for s in scores])
    assert [n.tolist() for n in _track(frames[:9:2], at=range(0, 9, 2))] == [[1, 2]] * 5


# A clip of ours.


def test_a_rendered_clip_is_tracked_without_a_mistake(rendered_clip):
    data, sights, names = Dataset(rendered_clip), [], []
    for row in data.iter_frames():
        people = data.people_of(row["index"])
        people = people[people.amodal_area_px > 0]
        sights.append(
            (people.amodal_boxes_px, people.joints_px, people.visibility_fractions[..., 0])
        )
        names.append(people.instance.astype(np.int64))
    assert [len(there) for there in names] == [3] * 8

    found = _track(sights)
    got = _judged(sights, found, names)
    assert (got.mota, got.idf1, got.switches, got.truth) == (1, 1, 0, 24)
    mixed = [there[::-1] if t % 2 else there for t, there in enumerate(names)]
    assert _judged(sights, found, mixed).switches > 0


def test_predictions_of_a_video_are_tracked_through_a_gap_by_poses():
    frames = _crossing()
    people = [
        person(j[p], b[p], image=t, score=s[p], sequence="video", time=t)
        for t, (b, j, s) in enumerate(frames)
        for p in range(len(b))
    ]
    assert [p.track for p in smoothed(people, frames=0)] == [1, 2] * 26
    twice = [*people, dataclasses.replace(people[0], score=people[0].score * 0.5)]
    assert [p.track for p in smoothed(twice, frames=0)] == [*[1, 2] * 26, 3]
