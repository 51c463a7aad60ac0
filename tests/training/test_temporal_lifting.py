"""A lifter of clips: joints hidden for ten frames, ends, gaps, missing and reordered frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import lifting_clips as bench
from synthstudio.core.errors import ModelError
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation.localization import acceleration_errors
from synthstudio.models.lifter import lift
from synthstudio.models.temporal_lifter import TemporalLifter, lift_tracks
from synthstudio.training.lifting import LiftingPeople, Noise, lifting_people, train_lifter
from synthstudio.training.temporal_lifting import (
    LiftingClips,
    TemporalConfig,
    clip_metrics,
    lifting_clips,
    observed_clips,
    observed_rows,
    train_temporal_lifter,
)

SKELETON = get_skeleton("coco17")
LEFT, RIGHT = (SKELETON.joints.index(f"{side}_wrist") for side in ("left", "right"))
Arrays = dict[str, np.ndarray]


@pytest.fixture
def net() -> TemporalLifter:
    torch.manual_seed(0)
    return TemporalLifter(17, width=16, blocks=2).eval()


def _track(frames: int, *, name: int = 0, first: int = 0) -> Arrays:
    rng = stream(name, "track")
    return {
        "xy": rng.normal(0, 0.2, (frames, 17, 2)),
        "visible": rng.random((frames, 17)),
        "track": np.full(frames, name),
        "time": np.arange(first, first + frames),
    }


def _of(rows: Arrays, which: np.ndarray) -> Arrays:
    return {name: array[which] for name, array in rows.items()}


def test_an_answer_sees_its_field_and_no_more(net: TemporalLifter) -> None:
    assert net.reach == 4  # 3 ** 2 frames
    rows = _track(20)
    before = lift_tracks(net, **rows)
    rows["xy"][10] += 0.3
    moved = np.abs(lift_tracks(net, **rows) - before).max((1, 2)) > 1e-6
    assert moved.tolist() == [6 <= t <= 14 for t in range(20)]


@pytest.mark.parametrize("frames", [1, 3, 9, 30])
def test_clips_of_any_length_and_padding_have_one_answer(net: TemporalLifter, frames: int) -> None:
    rows = _track(frames)
    out = lift_tracks(net, **rows)
    assert out.shape == (frames, 17, 3) and np.isfinite(out).all()
    longer = np.full((frames + 12, 17, 3), np.nan)  # six frames with nobody before and after
    longer[6:-6, :, :2], longer[6:-6, :, 2] = rows["xy"], rows["visible"]
    line = torch.from_numpy(longer).float()[None]
    with torch.no_grad():
        padded = net(line[..., :2], line[..., 2])[0, 6:-6].numpy()
    assert out == pytest.approx(padded, abs=1e-5)


def test_tracks_that_end_and_begin_again(net: TemporalLifter) -> None:
    rows = _track(40)
    near, far = np.r_[0:12, 15:40], np.r_[0:12, 16:40]  # 3 and 4 frames without a sighting
    whole = lift_tracks(net, **_of(rows, near))
    first, second = (lift_tracks(net, **_of(rows, part)) for part in (near[:12], near[12:]))
    apart = np.abs(np.concatenate([first, second]) - whole).max((1, 2))
    assert (apart > 1e-6).any()  # the sightings on both sides of a short gap see one another
    assert apart[[0, 1, -1]] == pytest.approx(0, abs=1e-6)
    whole = lift_tracks(net, **_of(rows, far))
    parts = [lift_tracks(net, **_of(rows, part)) for part in (far[:12], far[12:])]
    assert whole == pytest.approx(np.concatenate(parts), abs=1e-5)
    rows["time"] = rows["time"] + np.where(np.arange(40) < 20, 0, 10**9)  # no line of 10^9 frames
    assert np.isfinite(lift_tracks(net, **rows)).all()


def test_order_of_rows_does_not_matter_and_order_of_frames_does(net: TemporalLifter) -> None:
    rows = {k: np.concatenate([a, b]) for (k, a), b in
            zip(_track(12).items(), _track(9, name=1, first=5).values(), strict=True)}  # fmt: skip
    out = lift_tracks(net, **rows)
    assert out[:12] == pytest.approx(lift_tracks(net, **_of(rows, np.arange(12))), abs=1e-6)
    mixed = stream(0, "mixed").permutation(21)
    assert lift_tracks(net, **_of(rows, mixed)) == pytest.approx(out[mixed], abs=1e-6)
    wrong = rows | {"time": np.r_[rows["time"][:12][::-1], rows["time"][12:]]}
    assert np.abs(lift_tracks(net, **wrong) - out).max() > 1e-4


def test_nobody_and_nothing_seen(net: TemporalLifter) -> None:
    assert lift_tracks(net, **_of(_track(3), np.zeros(3, bool))).shape == (0, 17, 3)
    rows = _track(5)
    nothing = rows | {"xy": np.full((5, 17, 2), np.nan)}  # somebody of whom no joint is found
    assert np.isfinite(lift_tracks(net, **nothing)).all()
    rows["xy"][2] = np.nan
    unseen = lift_tracks(net, **rows)[[0, 1, 3, 4]]
    assert unseen == pytest.approx(lift_tracks(net, **_of(rows, np.r_[0:2, 3:5])), abs=1e-6)


def test_what_does_not_fit_is_said(net: TemporalLifter, pairs: Path) -> None:
    rows = _track(4)
    with pytest.raises(ModelError, match="lift_tracks, track 0, frame 2: somebody is twice"):
        lift_tracks(net, **(rows | {"time": np.array([0, 2, 3, 2])}))
    with pytest.raises(ModelError, match=r"expected xy \(P, 17, 2\), .* got \(4, 16, 2\)"):
        lift_tracks(net, **(rows | {"xy": rows["xy"][:, 1:]}))
    with pytest.raises(ModelError, match=r"people of clips, .* got none"):
        lifting_clips(Dataset(pairs))
    clips = bench.moving(1, part="test")
    with pytest.raises(ModelError, match="too few people"):
        train_temporal_lifter(_first(clips, 1), TemporalConfig())


def _first(clips: LiftingClips, count: int) -> LiftingClips:
    return LiftingClips(
        people=clips.people[:count], track=clips.track[:count], time=clips.time[:count]
    )


def test_noise_is_alike_from_frame_to_frame() -> None:
    shape, noise = (400, 12, 17), Noise()
    visible = stream(0, "seen").random(shape) < 0.5
    xy, said = observed_clips(np.zeros((*shape, 2)), visible, noise, stream(0, "noise"), memory=0.8)
    assert np.nanstd(xy[visible]) == pytest.approx(noise.visible, rel=0.05)
    assert np.nanstd(xy[~visible]) == pytest.approx(noise.hidden, rel=0.05)
    assert np.isnan(xy[~visible]).mean() == pytest.approx(noise.missing, abs=0.02)
    assert (said != visible).mean() == pytest.approx(noise.misjudged, abs=0.01)
    unit = xy / np.where(visible, noise.visible, noise.hidden)[..., None]
    for apart, alike in ((1, 0.8), (3, 0.8**3)):
        product = unit[:, apart:] * unit[:, :-apart]
        assert np.nanmean(product) == pytest.approx(alike, abs=0.08)


def _swinging(count: int, *, seed: int) -> LiftingClips:
    """People who stand still and swing both wrists; the left one is hidden for ten frames.

    Nothing in a single frame says where it is.
    """
    rng, frames = stream(seed, "swinging"), 24
    time = np.arange(frames)
    xyz = np.tile(stream(0, "standing").normal(0, 0.2, (17, 3)), (count, frames, 1, 1))
    for joint in (LEFT, RIGHT):
        phase = rng.uniform(0, 2 * np.pi, (count, 1)) + rng.uniform(0.2, 0.25, (count, 1)) * time
        xyz[:, :, joint, 0] += 0.4 * np.sin(phase)
    visible = np.ones((count, frames, 17), bool)
    for clip, first in zip(visible, rng.integers(0, frames - 10, count), strict=True):
        clip[first : first + 10, LEFT] = False
    return LiftingClips(
        people=LiftingPeople(
            skeleton=SKELETON,
            xy=xyz[..., :2].reshape(-1, 17, 2),
            visible=visible.reshape(-1, 17),
            xyz_m=xyz.reshape(-1, 17, 3),
            group=np.repeat(np.arange(count), frames),
        ),
        track=np.repeat(np.arange(count), frames),
        time=np.tile(time, count),
    )


@pytest.mark.nightly("two lifters of 400 steps")
def test_a_joint_hidden_for_ten_frames_is_found_from_its_neighbours() -> None:
    config = TemporalConfig(
        steps=400, lr=5e-3, width=32, batch=16, frames=24, noise=Noise(misjudged=0), memory=0.8
    )
    train, test = _swinging(150, seed=0), _swinging(40, seed=1)
    rng = stream(5, "test")
    xy, visible = observed_rows(test, config.noise, rng, memory=config.memory)
    alone = lift(train_lifter(train.people, config), xy, visible)
    temporal = train_temporal_lifter(train, config)
    found = lift_tracks(temporal, xy, visible, track=test.track, time=test.time)
    for metric in ("MPJPE", "acceleration"):
        less = bench.difference(found, alone, test, metric)
        assert less.high < 0, (metric, less)
    one, both = (clip_metrics(each, test)["hidden"] for each in (alone, found))
    assert both["MPJPE_mm"] < 0.9 * one["MPJPE_mm"]
    shuffled = np.concatenate([rng.permutation(24) for _ in range(40)])
    wrong = lift_tracks(temporal, xy, visible, track=test.track, time=shuffled)
    assert bench.difference(found, wrong, test, "MPJPE").high < 0  # it is the order that tells


def test_the_same_seed_gives_the_same_weights() -> None:
    clips, few = _swinging(3, seed=0), TemporalConfig(steps=3, width=8, batch=4, blocks=1)
    one, two = (train_temporal_lifter(clips, few).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_acceleration_by_hand() -> None:
    truth = np.zeros((7, 1, 3))
    found = np.zeros((7, 1, 3))
    found[:, 0, 0] = [0, 0, 3, 0, 0, 5, 0]  # the last three rows are another track's
    track = np.array([0, 0, 0, 0, 1, 1, 1])
    time = np.array([0, 1, 2, 3, 0, 1, 3])
    out = acceleration_errors(found, truth, track=track, time=time)[:, 0]
    assert out == pytest.approx([np.nan, 3, 6, np.nan, np.nan, np.nan, np.nan], nan_ok=True)
    mixed = np.array([3, 6, 0, 2, 5, 1, 4])
    again = acceleration_errors(found[mixed], truth, track=track[mixed], time=time[mixed])
    assert again[:, 0] == pytest.approx(out[mixed], nan_ok=True)
    drift = truth + np.arange(7.0)[:, None, None]  # constant velocity has no acceleration
    assert np.nanmax(acceleration_errors(drift, truth, track=track, time=np.arange(7))) < 1e-9
    assert np.isnan(acceleration_errors(found[:2], truth[:2], track=track[:2], time=time[:2])).all()


def test_clips_of_a_data_set(rendered_clip: Path) -> None:
    dataset = Dataset(rendered_clip)
    clips, people = lifting_clips(dataset), lifting_people(dataset)
    assert len(clips.track) == len(people) > 0
    assert clips.people.xyz_m == pytest.approx(people.xyz_m)
    rows = [
        (f["clip_frame"], p["track_id"])
        for f in dataset.iter_frames()
        for p in dataset.instances(f["index"])
    ]
    assert clips.time.tolist() == [time for time, _ in rows]
    names = {}
    for own, (_, track) in zip(clips.track.tolist(), rows, strict=True):
        assert names.setdefault(own, track) == track
    assert len(names) == len({track for _, track in rows})
    net = train_temporal_lifter(clips, TemporalConfig(steps=2, width=8, batch=2, blocks=1))
    xy, visible = observed_rows(clips, Noise(), stream(0, "data"), memory=0.5)
    out = lift_tracks(net, xy, visible, track=clips.track, time=clips.time)
    assert np.isfinite(out).all()
