"""PersonLab: ideal discs and offsets decode to the people and their masks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from stick_frames import SKELETON, at_borders, best_oks, crowd, error_inside, oks, precision

from synthstudio.core.rng import stream
from synthstudio.models.bottom_up.contract import FoundPeople, FramePeople
from synthstudio.models.bottom_up.personlab import (
    PersonLabTargets,
    directed_limbs,
    personlab_targets,
)
from synthstudio.models.bottom_up.voting import (
    Maps,
    Voting,
    hough_votes,
    vote_people,
)

LIMBS = directed_limbs(SKELETON)
SAID = ("discs", "short", "mid", "long", "body")
RADIUS_PX = 32


def targets(frames: list[FramePeople], stride: int = 8) -> PersonLabTargets:
    return personlab_targets(frames, torch.tensor(LIMBS), stride=stride, radius=RADIUS_PX / stride)


def decode(
    made: PersonLabTargets, stride: int = 8, *, masks: bool = False, **changes: object
) -> list[FoundPeople]:
    voting = Voting(limbs=LIMBS, radius=RADIUS_PX / stride)
    voting = dataclasses.replace(voting, **changes)  # type: ignore[arg-type]
    said = {name: getattr(made, name) for name in SAID}
    return vote_people(said, voting, stride=stride, masks=masks)


@pytest.fixture(scope="module")
def made(frames: list[FramePeople]) -> PersonLabTargets:
    return targets(frames)


def test_ideal_maps_decode_to_everybody(frames: list[FramePeople], made: PersonLabTargets) -> None:
    found = decode(made)
    assert [len(f) for f in found] == [3] * 20
    assert best_oks(frames, found).min() > 0.999
    assert precision(frames, found) == pytest.approx(1.0, abs=5e-4)


@pytest.mark.parametrize("spoil", ["zeroed", "turned", "swapped"])
def test_without_mid_offsets_that_fit_nobody_is_whole(
    spoil: str, frames: list[FramePeople], made: PersonLabTargets
) -> None:
    mid = {
        "zeroed": torch.zeros_like(made.mid),
        "turned": torch.stack([-made.mid[:, :, 1], made.mid[:, :, 0]], 2),
        "swapped": made.mid.roll(1, 1),
    }[spoil]
    found = decode(dataclasses.replace(made, mid=mid))
    assert (best_oks(frames, found) >= 0.95).mean() < 0.05


def test_masks_are_assigned_by_long_offsets(
    frames: list[FramePeople], made: PersonLabTargets
) -> None:
    """Cells by whom they show most of, decided here pixel by pixel."""
    found = decode(made, masks=True)
    for frame, people in zip(frames, found, strict=True):
        assert frame.masks is not None and people.masks is not None
        share = frame.masks.reshape(3, 60, 8, 80, 8).mean((2, 4))
        body = share.sum(0) >= 0.5
        who = oks(frame, people).argmax(1)
        for p in range(3):
            wanted = body & (share.argmax(0) == p)
            mask = people.masks[who[p]]
            assert (mask & wanted).sum() / (mask | wanted).sum() > 0.95
    shuffled = dataclasses.replace(made, long=made.long.roll(1, 1))
    union = [
        (f.masks.any(0) & (made.body[k, 0].numpy() > 0)).sum() / made.body[k].sum().item()
        for k, f in enumerate(decode(shuffled, masks=True))
        if f.masks is not None
    ]
    assert np.mean(union) < 0.9  # long offsets to other joints leave cells to nobody


def test_a_biased_mid_offset_is_corrected_by_short_ones() -> None:
    """Roots at the noses alone: all other joints lie at the ends of biased offsets."""
    frame = crowd(stream(8, "biased"), height_px=(260, 340))
    exact = targets([frame])
    biased = dataclasses.replace(exact, mid=exact.mid + 6 / 8)  # 6 px in x and in y
    for rounds, minimum, maximum in ((2, 0.0, 1.0), (0, 5.0, 200.0)):
        (found,) = decode(biased, refine=rounds, same=1.0)
        who = oks(frame, found).argmax(1)
        errors = np.linalg.norm(found.joints_px[who] - frame.joints_px, axis=-1)
        assert minimum <= np.sort(errors.ravel())[6:].max() < maximum  # but for the roots


def test_votes_are_those_of_a_second_way_of_counting() -> None:
    """Each cell's vote spread over the four nearest centres, one after the other."""
    rng = stream(9, "votes")
    h, w = 9, 11
    maps = Maps(
        discs=rng.uniform(0, 1, (2, h, w)), short=rng.normal(0, 3, (2, 2, h, w)),
        mid=np.zeros((1, 2, h, w)), long=np.zeros((2, 2, h, w)), body=np.zeros((h, w)),
    )  # fmt: skip
    voting = Voting(limbs=((0, 1), (1, 0)), radius=2.0)
    wanted = np.zeros((2, h + 2, w + 2))
    for j, row, column in np.ndindex(2, h, w):
        if maps.discs[j, row, column] <= voting.vote:
            continue
        place = np.array([column, row]) + 0.5 + maps.short[j, :, row, column]
        for r, c in np.ndindex(h + 2, w + 2):  # centres at (c - 0.5, r - 0.5)
            near = np.maximum(1 - np.abs(place - [c - 0.5, r - 0.5]), 0).prod()
            if (place >= -0.5).all() and (place < [w + 0.5, h + 0.5]).all():
                wanted[j, r, c] += near * maps.discs[j, row, column] / (np.pi * 4)
    assert hough_votes(maps, voting) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("stride", [4, 8, 16])
def test_there_and_back_at_every_stride_and_border(stride: int) -> None:
    for frame in at_borders(stride):
        assert error_inside(frame, *decode(targets([frame], stride), stride)) < 0.25
    made = targets([frame], stride)
    (found,) = decode(dataclasses.replace(made, short=torch.zeros_like(made.short)), stride)
    assert not len(found) or oks(frame, found).max() < 0.999  # without short offsets it is coarse


def test_targets_are_those_of_a_second_way_of_drawing_them() -> None:
    """A sample of cells, people and joints one after the other, with plain numbers."""
    frame = crowd(stream(11, "drawn"), height_px=(260, 340))
    made, xy = targets([frame]), frame.joints_px / 8
    for row, column in stream(12, "cells").integers(0, [60, 80], (200, 2)):
        p = np.array([column, row]) + 0.5
        away = np.linalg.norm(xy - p, axis=-1)  # (P, J)
        for j in range(17):
            near = away[:, j].argmin()
            inside = away[near, j] <= 4
            assert made.discs[0, j, row, column] == inside
            wanted = xy[near, j] - p if inside else np.zeros(2)
            assert made.short[0, j, :, row, column].numpy() == pytest.approx(wanted, abs=1e-4)
        for e, (a, b) in enumerate(LIMBS):
            near = away[:, a].argmin()
            wanted = xy[near, b] - p if away[near, a] <= 4 else np.zeros(2)
            assert made.mid[0, e, :, row, column].numpy() == pytest.approx(wanted, abs=1e-4)
            assert made.mid_taught[0, e, row, column] == (away[near, a] <= 4)
    assert frame.masks is not None
    for p in range(3):
        row, column = (int(v) for v in np.argwhere(frame.masks[p]).mean(0) // 8)
        share = frame.masks[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8].mean((1, 2))
        if share.sum() >= 0.5:
            wanted = xy[share.argmax()] - [column + 0.5, row + 0.5]
            assert made.long[0, :, :, row, column].numpy() == pytest.approx(wanted, abs=1e-4)
