"""Who is who from frame to frame: crossings, gaps, flow, a rendered clip; MOTA and IDF1 by hand and
by motmetrics."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path

import cv2
import motmetrics
import numpy as np
import pytest
from made_predictions import person

from synthstudio.core.errors import ArgumentError
from synthstudio.core.images import decode_rgb
from synthstudio.core.rng import stream
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation.tracking import TrackedFrame, TrackScores, score_tracks
from synthstudio.inference.predict import smoothed
from synthstudio.inference.tracking import REPEATED, track_people
from synthstudio.models.smooth import overlaps

SCENES = Path(__file__).parents[2] / "scenes"
NOBODY = (np.zeros((0, 4)), np.zeros((0, 17, 2)), np.zeros((0, 17)))
Sight = tuple[np.ndarray, np.ndarray, np.ndarray]


def _standing(x: float, *, phase: float = 0.0, width: float = 60) -> tuple[np.ndarray, np.ndarray]:
    """A box (4,) and 17 joints in it whose limbs swing."""
    places = stream(7, "joints").uniform(0.1, 0.9, (17, 2)) * [width, 160]
    places[7:] += np.stack([8 * np.sin(phase + np.arange(10)), np.zeros(10)], -1)
    return np.array([x, 40, width, 160]), places + np.array([x, 40])


def _sight(*people: tuple[np.ndarray, np.ndarray], score: float = 1.0) -> Sight:
    boxes, joints = (np.stack(arrays) for arrays in zip(*people, strict=True))
    return boxes, joints, np.full(joints.shape[:2], score)


def _crossing(gap: range = range(13, 18)) -> list[Sight]:
    """Two people who walk towards and past one another; in the gap nobody is seen."""
    return [
        NOBODY
        if t in gap
        else _sight(_standing(10 + 6 * t, phase=0.5 * t), _standing(190 - 6 * t, phase=2 + 0.5 * t))
        for t in range(31)
    ]


def _track(frames: Sequence[Sight], **options: object) -> list[np.ndarray]:
    return track_people(*(list(k) for k in zip(*frames, strict=True)), **options)  # type: ignore[arg-type]


def _held(frames: Sequence[Sight], found: Sequence[np.ndarray]) -> list[TrackedFrame]:
    """Tracks of people who stand in one order in all frames that have any."""
    return [
        TrackedFrame(truth=np.arange(len(b)), found=names, alike=overlaps(b, b))
        for (b, _, _), names in zip(frames, found, strict=True)
    ]


def _judged(frames: Sequence[Sight], found: Sequence[np.ndarray]) -> TrackScores:
    return score_tracks(_held(frames, found))


# Through crossings and gaps.


def test_people_who_cross_while_nobody_sees_them_keep_their_numbers() -> None:
    frames = _crossing()
    score = _judged(frames, _track(frames))
    assert (score.mota, score.idf1, score.switches) == (1.0, 1.0, 0)
    assert score.truth == 2 * (31 - 5)


def test_the_order_of_people_in_a_frame_does_not_matter() -> None:
    frames, rng = _crossing(), stream(3, "order")
    orders = [rng.permutation(len(b)) for b, _, _ in frames]
    shuffled = [tuple(k[o] for k in s) for s, o in zip(frames, orders, strict=True)]
    assert any(o.tolist() == [1, 0] for o in orders)
    found, again = _track(frames), _track(shuffled)  # type: ignore[arg-type]
    assert [n[o].tolist() for n, o in zip(found, orders, strict=True)] == [
        n.tolist() for n in again
    ]


def test_joints_tell_people_apart_whose_boxes_do_not_unless_they_are_hidden() -> None:
    """Two in one box, one upright and one upside down, listed in turn."""
    box, joints = _standing(100)
    two = (box, joints), (box, joints * [1, -1] + [0, 240])
    frames = [_sight(*two[:: -1 if t % 2 else 1]) for t in range(6)]
    found = [n.tolist() for n in _track(frames)]
    assert sorted(found[0]) == [0, 1]
    assert found == [found[0][:: -1 if t % 2 else 1] for t in range(6)]
    assert [n.tolist() for n in _track([(b, j, s * 0) for b, j, s in frames])] == [[0, 1]] * 6


def test_somebody_away_for_longer_than_the_memory_is_new() -> None:
    sight = _sight(_standing(50))
    for memory, missing, same in ((100, 100, True), (100, 101, False), (5, 5, True), (5, 6, False)):
        found = _track([sight, *[NOBODY] * missing, sight], memory=memory)
        assert found[-1].tolist() == [0 if same else 1], (memory, missing)
        at = [0, missing + 1]  # the same without the empty frames
        assert _track([sight, sight], at=at, memory=memory)[-1].tolist() == found[-1].tolist()


def test_a_near_duplicate_gets_no_number_and_takes_none() -> None:
    box, joints = _standing(50)
    twice = (
        np.stack([box, box + 2]),
        np.stack([joints, joints + 2]),
        np.stack([np.full(17, 0.9), np.full(17, 0.6)]),
    )
    once = _sight((box, joints))
    assert [n.tolist() for n in _track([once, twice, once])] == [[0], [0, REPEATED], [0]]
    apart = (twice[0], joints + np.array([0, 40])[:, None, None] * [[[0]], [[1]]], twice[2])
    assert REPEATED not in _track([once, apart])[1]


def test_people_without_a_visible_joint_or_with_unknown_ones_are_followed_by_their_boxes() -> None:
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


# Flow.


def _film(shift: int, frames: int) -> list[tuple[Sight, np.ndarray]]:
    """Somebody in a textured coat before a plain wall, who goes by `shift` pixels a frame."""
    coat = stream(5, "coat").integers(0, 255, (20, 8, 3)).astype(np.uint8)
    coat = cv2.resize(coat, (60, 160), interpolation=cv2.INTER_CUBIC)
    out = []
    for t in range(frames):
        rgb = np.full((240, 320, 3), 90, np.uint8)
        rgb[40:200, 20 + shift * t : 80 + shift * t] = coat
        out.append((_sight(_standing(20 + shift * t)), rgb))
    return out


def test_the_pictures_flow_finds_whom_no_velocity_is_known_of() -> None:
    film = _film(24, 2)
    sights, pictures = [s for s, _ in film], [p for _, p in film]
    (box, joints), (b, j, _) = _standing(20), sights[1]
    # The one who walks, and another one standing where they were, alike in everything.
    sights[1] = (np.stack([b[0], box]), np.stack([j[0], joints]), np.ones((2, 17)))
    assert _track(sights, pictures=pictures)[1].tolist() == [0, 1]
    assert _track(sights)[1].tolist() == [1, 0]
    still = _track(sights, pictures=[pictures[0], pictures[0]])
    assert still[1].tolist() == [1, 0]


# Input that is no clip.


def test_frames_that_do_not_fit_are_told() -> None:
    frames = _crossing(range(0))
    for at, got in (([0, 2, 1], "0, 2, 1"), ([0, 1, 1], "0, 1, 1"), ([0.0, 1.5, 2.0], "1.5")):
        with pytest.raises(ArgumentError, match=f"out of order.*{got}"):
            _track(frames[:3], at=at)
    boxes, joints, scores = (list(k) for k in zip(*frames[:3], strict=True))
    picture = np.zeros((9, 9, 3), np.uint8)
    short = [joints[0], joints[1][:, :3], joints[2]]
    wrong: dict[str, tuple[tuple[object, ...], dict[str, object]]] = {
        "joints: there is not one for each": ((boxes, joints[:2], scores), {}),
        "at: there is not one": ((boxes, joints, scores), {"at": [1]}),
        "frame 1: joints do not fit": ((boxes, short, scores), {}),
        "frame 0: boxes do not fit": (([b[:, :3] for b in boxes], joints, scores), {}),
        "frame 0: not a box": (([b * np.nan for b in boxes], joints, scores), {}),
        "frame 0: not a score": ((boxes, joints, [s * 2 for s in scores]), {}),
        "frame 2: not a picture": (
            (boxes, joints, scores),
            {"pictures": [picture, picture, picture[1:]]},
        ),
    }
    for message, (arrays, options) in wrong.items():
        with pytest.raises(ArgumentError, match=message):
            track_people(*arrays, **options)  # type: ignore[arg-type]
    assert [n.tolist() for n in _track(frames[:9:2], at=range(0, 9, 2))] == [[0, 1]] * 5


# A clip of ours.


def test_a_rendered_clip_is_tracked_without_a_mistake(rendered_clip: Path) -> None:
    data, sights, pictures, names = Dataset(rendered_clip), [], [], []
    for row in data.iter_frames():
        people = data.people_of(row["index"])
        people = people[people.amodal_area_px > 0]
        sights.append((people.amodal_boxes_px, people.joints_px, people.shares[..., 0]))
        pictures.append(decode_rgb(data.image_bytes_of(row), row["file_name"]))
        names.append(people.instance.astype(np.int64))
    assert [len(there) for there in names] == [3] * 8

    def score(found: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> TrackScores:
        held = zip(_held(sights, found), truth, strict=True)
        return score_tracks([dataclasses.replace(frame, truth=there) for frame, there in held])

    by_flow = _track(sights, pictures=pictures)
    for found in (_track(sights), by_flow):
        got = score(found, names)
        assert (got.mota, got.idf1, got.switches, got.truth) == (1, 1, 0, 24)
    mixed = [there[::-1] if t % 2 else there for t, there in enumerate(names)]
    assert score(by_flow, mixed).switches > 0


def test_predictions_of_a_video_are_tracked_through_a_gap_by_poses() -> None:
    frames = _crossing()
    people = [
        person(j[p], b[p], image=t, score=s[p], sequence="video", time=t)
        for t, (b, j, s) in enumerate(frames)
        for p in range(len(b))
    ]
    assert [p.track for p in smoothed(people, frames=0)] == [0, 1] * 26
    twice = [*people, dataclasses.replace(people[0], score=people[0].score * 0.5)]
    assert [p.track for p in smoothed(twice, frames=0)] == [*[0, 1] * 26, 2]


# MOTA and IDF1.


def _frames(*pairs: tuple[list[int], list[int]]) -> list[TrackedFrame]:
    """Person n is alike only whoever stands at the same place of the list; 0: nobody there."""
    out = []
    for truth, found in pairs:
        alike = np.array(
            [
                [g > 0 and p > 0 and i == k for k, p in enumerate(found)]
                for i, g in enumerate(truth)
            ],
            float,
        )
        there, seen = np.array(truth) > 0, np.array(found) > 0
        out.append(
            TrackedFrame(
                truth=np.array(truth)[there],
                found=np.array(found)[seen],
                alike=alike[np.ix_(there, seen)],
            )
        )
    return out


BY_HAND = {
    # name: (frames, misses, false positives, switches, MOTA, IDF1)
    "right": ([([1, 2], [7, 8])] * 4, 0, 0, 0, 1, 1),
    "a miss": ([([1, 2], [7, 8])] * 3 + [([1, 2], [7, 0])], 1, 0, 0, 7 / 8, 14 / 15),
    "a false positive": ([([1], [7])] * 3 + [([1, 0], [7, 9])], 0, 1, 0, 3 / 4, 8 / 9),
    "a switch": ([([1], [7])] * 3 + [([1], [8])], 0, 0, 1, 3 / 4, 6 / 8),
    "two swap half way": ([([1, 2], [7, 8])] * 2 + [([1, 2], [8, 7])] * 2, 0, 0, 2, 3 / 4, 1 / 2),
    "a switch after a gap": ([([1], [7])] * 2 + [([1], [0])] + [([1], [8])], 1, 0, 1, 1 / 2, 4 / 7),
    "nobody is found": ([([1, 2], [])] * 2, 4, 0, 0, 0, 0),
    "more errors than people": ([([1, 0, 0], [7, 8, 9])] * 2, 0, 4, 0, -1, 4 / 8),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_scores_are_those_counted_by_hand(name: str) -> None:
    pairs, misses, false_positives, switches, mota, idf1 = BY_HAND[name]
    score = score_tracks(_frames(*pairs))
    assert (score.misses, score.false_positives, score.switches) == (
        misses,
        false_positives,
        switches,
    )
    assert score.mota == pytest.approx(mota)
    assert score.idf1 == pytest.approx(idf1)


def test_a_match_that_still_fits_is_kept_though_another_is_more_alike() -> None:
    first = TrackedFrame(truth=np.array([1]), found=np.array([7]), alike=np.array([[0.9]]))
    both = {"truth": np.array([1]), "found": np.array([7, 8])}
    kept = TrackedFrame(**both, alike=np.array([[0.6, 0.95]]))
    assert score_tracks([first, kept]).switches == 0
    lost = TrackedFrame(**both, alike=np.array([[0.4, 0.95]]))
    assert score_tracks([first, lost]).switches == 1
    assert score_tracks([kept]).agreed == 1
    assert np.isnan(score_tracks([]).mota) and np.isnan(score_tracks([]).idf1)


def test_idf1_is_that_of_the_best_of_all_assignments() -> None:
    rng = stream(1, "idf1")
    for _ in range(20):
        frames, count = [], np.zeros((3, 4), int)
        for _ in range(6):
            truth, found = rng.permutation(3), rng.permutation(4)
            alike = (rng.random((3, 4)) < 0.5).astype(float)
            np.add.at(count, np.ix_(truth, found), alike.astype(int))
            frames.append(TrackedFrame(truth=truth, found=found, alike=alike))
        best = max(
            sum(count[g, p] for g, p in enumerate(o)) for o in itertools.permutations(range(4), 3)
        )
        score = score_tracks(frames)
        assert score.agreed == best
        assert score.idf1 == pytest.approx(2 * best / (18 + 24))


def test_frames_that_cannot_be_judged_are_told() -> None:
    for frame, message in (
        (
            TrackedFrame(truth=np.array([1]), found=np.array([7]), alike=np.ones((2, 1))),
            "each pair",
        ),
        (TrackedFrame(truth=np.array([1, 1]), found=np.array([7]), alike=np.ones((2, 1))), "twice"),
    ):
        with pytest.raises(ArgumentError, match=f"frame 0.*{message}"):
            score_tracks([frame])


# The same by motmetrics, a known library (Heindl, Valmadre and others; MIT).

COUNTS = ("num_objects", "num_predictions", "num_misses", "num_false_positives", "num_switches")


def _by_motmetrics(frames: Sequence[TrackedFrame], *, step: int = 1) -> list[float]:
    """COUNTS, IDTP, MOTA and IDF1; in each frame true people are listed by name, `step` -1: back.

    It lets a pair be up to a distance that is known, which is what `alike` lacks to one here.
    """
    clip = motmetrics.MOTAccumulator(auto_id=True)
    for f in frames:
        order = np.argsort(f.truth)[::step]
        apart = np.where(f.alike >= 0.5, 1 - f.alike, np.nan)
        clip.update(f.truth[order], f.found, apart[order])
    names = [*COUNTS, "idtp", "mota", "idf1"]
    return motmetrics.metrics.create().compute(clip, metrics=names).iloc[0].tolist()


def _by_us(frames: Sequence[TrackedFrame]) -> list[float]:
    s = score_tracks(frames)
    counts = [s.truth, s.found, s.misses, s.false_positives, s.switches, s.agreed]
    return [*counts, s.mota, s.idf1]


def _random_clip(number: int) -> list[TrackedFrame]:
    """People enter and leave, some are missed or nobody is, two swap tracks, others get new ones,
    and there are tracks of nobody; neighbours are alike too, now and then more than oneself."""
    rng = stream(number, "clip")
    people, frames = int(rng.integers(2, 6)), int(rng.integers(6, 20))
    enter = rng.integers(0, frames // 2, people)
    leave = enter + rng.integers(2, frames, people)
    track, fresh = np.arange(people), itertools.count(people)
    out = []
    for t in range(frames):
        if rng.random() < 0.15:
            one, other = rng.permutation(people)[:2]
            track[[one, other]] = track[[other, one]]
        if rng.random() < 0.1:
            track[rng.integers(people)] = 500 + next(fresh)
        there = rng.permutation(np.flatnonzero((enter <= t) & (t < leave)))
        seen = rng.permutation(there[rng.random(len(there)) < 0.8 * (rng.random() < 0.9)])
        nobody = [500 + next(fresh) for _ in range(rng.poisson(0.3))]
        alike = rng.uniform(0, 0.7, (len(there), len(seen) + len(nobody)))
        own = there[:, None] == seen
        alike[:, : len(seen)][own] = rng.uniform(0.45, 1, own.sum())
        found = np.array([*track[seen], *nobody], np.int64)
        out.append(TrackedFrame(truth=there, found=found, alike=alike))
    return out


def test_scores_are_those_of_motmetrics() -> None:
    """Where two people had one track last, nobody says who keeps it: motmetrics gives it to the
    first in the list, so its own counts change with the order; everywhere else they are ours."""
    clips = [_random_clip(number) for number in range(60)]
    theirs = np.array([_by_motmetrics(clip) for clip in clips])
    back = np.array([_by_motmetrics(clip, step=-1) for clip in clips])
    settled = (np.abs(theirs - back) < 1e-12).all(1)
    assert 0.9 < settled.mean() < 1
    ours = np.array([_by_us(clip) for clip in clips])
    assert ours[settled] == pytest.approx(theirs[settled], abs=1e-12)
    ids = [5, 7]  # IDTP and IDF1 ask for no order
    assert ours[:, ids] == pytest.approx(theirs[:, ids], abs=1e-12)
    for count in range(2, 5):  # misses, false positives and switches: of all there are many
        assert (ours[settled, count] > 0).mean() > 0.5
