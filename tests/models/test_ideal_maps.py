"""Bottom-up decoders: ideal maps of OpenPose and PersonLab decode to the people."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from stick_frames import (
    SKELETON,
    at_borders,
    best_oks,
    crowd,
    crowds,
    error_inside,
    frame_of,
    oks,
    pose,
    precision,
)

from synthstudio.core.rng import stream
from synthstudio.models.bottom_up import openpose, personlab

EDGES, DIRECTED = torch.tensor(SKELETON.edges), personlab.directed_limbs(SKELETON)
RADIUS_PX = 32


def openpose_maps(frames, stride=8):
    return openpose.openpose_targets(frames, EDGES, stride=stride, sigma=0.875, width=1.0)


def grouped(made, stride=8, **changes):
    how = openpose.Grouping(**{"limbs": SKELETON.edges, "sigma": 0.875} | changes)
    return openpose.group_people(made.maps, made.fields, how, stride=stride)


def personlab_maps(frames, stride=8):
    limbs, radius = torch.tensor(DIRECTED), RADIUS_PX / stride
    return personlab.personlab_targets(frames, limbs, stride=stride, radius=radius)


def voted(made, stride=8, **changes):
    how = personlab.Voting(limbs=DIRECTED, radius=RADIUS_PX / stride, **changes)
    said = {name: getattr(made, name) for name in ("discs", "short", "mid")}
    return personlab.vote_people(said, how, stride=stride)


OPENPOSE = SimpleNamespace(maps=openpose_maps, decode=grouped, leads="fields")
PERSONLAB = SimpleNamespace(maps=personlab_maps, decode=voted, leads="mid")


@pytest.fixture(scope="module")
def frames():
    return crowds()


@pytest.fixture(scope="module", params=[OPENPOSE, PERSONLAB], ids=["openpose", "personlab"])
def system(request, frames):
    """A system, and its ideal maps of twenty frames of three people."""
    return SimpleNamespace(**vars(request.param), made=request.param.maps(frames))


def test_ideal_maps_decode_to_everybody(frames, system):
    found = system.decode(system.made)
    similar = best_oks(frames, found)
    assert [len(f) for f in found] == [3] * 20
    assert similar.min() >= (0.95 if system.leads == "fields" else 0.999)
    assert similar.mean() == pytest.approx(1.0, abs=5e-4)
    assert precision(frames, found) == pytest.approx(1.0, abs=5e-4)


@pytest.mark.parametrize("spoil", ["zeroed", "turned", "swapped"])
def test_without_fields_or_offsets_that_fit_nobody_is_whole(spoil, frames, system):
    right = getattr(system.made, system.leads)
    wrong = {
        "zeroed": torch.zeros_like(right),
        "turned": torch.stack([-right[:, :, 1], right[:, :, 0]], 2),  # 90 degrees
        "swapped": right.roll(1, 1),  # each limb has another's
    }[spoil]
    found = system.decode(dataclasses.replace(system.made, **{system.leads: wrong}))
    assert (best_oks(frames, found) >= 0.95).mean() < 0.05
    assert system.leads == "mid" or precision(frames, found) < 0.1


# OpenPose's fields and maps.


def test_a_field_is_the_limbs_direction_beside_it_and_the_mean_where_two_cross():
    xy = torch.tensor([[[2.5, 8.5], [14.5, 8.5]], [[8.5, 2.5], [8.5, 14.5]]])
    field = openpose.affinity_fields(xy, torch.tensor([[0, 1]]), 18, 18, width=1.0)[0]
    assert field[:, 8, 4].tolist() == [1, 0]
    assert field[:, 7, 4].tolist() == [1, 0]
    assert field[:, 6, 4].tolist() == [0, 0]
    assert field[:, 4, 8].tolist() == [0, 1]
    assert field[:, 8, 8].tolist() == [0.5, 0.5]


def test_fields_are_those_of_a_second_way_of_drawing_them():
    """Cell by cell, person by person, limb by limb, with plain numbers."""
    frame = crowd(stream(3, "fields"), size=(160, 240), height_px=(100, 120), apart_px=4)
    made = openpose_maps([frame])
    h, w = made.fields.shape[-2:]
    for k, (a, b) in enumerate(SKELETON.edges):
        wanted, count = np.zeros((2, h, w)), np.zeros((h, w))
        for xy in frame.joints_px / 8:
            for row in range(h):
                for column in range(w):
                    p = np.array([column + 0.5, row + 0.5])
                    t = np.clip((p - xy[a]) @ (xy[b] - xy[a]) / ((xy[b] - xy[a]) ** 2).sum(), 0, 1)
                    if np.linalg.norm(p - (1 - t) * xy[a] - t * xy[b]) <= 1:
                        wanted[:, row, column] += (xy[b] - xy[a]) / np.linalg.norm(xy[b] - xy[a])
                        count[row, column] += 1
        wanted /= np.maximum(count, 1)
        assert made.fields[0, k].numpy() == pytest.approx(wanted, abs=1e-5)


def test_maps_take_the_highest_gaussian_and_the_rest_is_background():
    xy = torch.tensor([[[4.5, 4.5]], [[6.5, 4.5]], [[-1.0, 4.5]]])
    joint, background = openpose.confidence_maps(xy, 9, 12, sigma=1.0)
    assert joint[4, 4] == joint[4, 6] == 1
    assert joint[4, 5] == pytest.approx(np.exp(-0.5))  # not the sum of two
    assert joint[4, 0] == pytest.approx(np.exp(-8))  # the one outside has none
    assert (joint + background - 1).abs().max() < 1e-6


def test_people_of_few_joints_or_of_a_low_score_are_dropped():
    xy = np.arange(12.0).reshape(3, 2, 2)
    score = np.array([[0.9, 0.2], [0.6, 0.2], [0.9, 0.0]])
    people, limbs = [[1, 3], [0, 2, 4], [5], [0]], [[0.1], [0.5, 0.6], [], []]
    plain = openpose.Grouping(limbs=(), sigma=1.0, joints=2, score=0.1)
    found = openpose.collect_people(xy, score, people, limbs, plain, 4)
    assert found.score == pytest.approx([3.5 / 5, 0.5 / 3])
    assert found.joints_px[0] == pytest.approx(4 * xy[:, 0])
    assert np.isnan(found.joints_px[1, 2]).all()
    for joints, minimum in ((3, 0.1), (2, 0.5 / 3)):
        strict = dataclasses.replace(plain, joints=joints, score=minimum)
        assert len(openpose.collect_people(xy, score, people, limbs, strict, 4)) == 1


@pytest.mark.parametrize("stride", [4, 8, 16])
def test_joints_are_refined_at_every_stride_and_border(stride):
    for frame in at_borders(stride):
        made = openpose_maps([frame], stride)
        assert error_inside(frame, *grouped(made, stride, score=0.0)) < 0.25


def test_shoulders_in_a_row_are_the_nearest_ones():
    """Six people side by side at one height: the line through all shoulders is in the fields."""
    one = pose(stream(5, "row"), 200)
    places = np.stack([100.0 * np.arange(6) + 200, np.full(6, 120.0)], -1)
    one[:, 1][[5, 6]] = one[[5, 6], 1].mean()
    one[:, 0] *= 1.6
    frame = frame_of(one + places[:, None], (240, 896))
    noise = torch.from_numpy(stream(6, "noise").normal(0, 0.01, (1, 19, 2, 30, 112)))
    made = openpose_maps([frame])
    made = dataclasses.replace(made, fields=made.fields + noise.float())
    assert best_oks([frame], grouped(made)).min() > 0.95
    assert best_oks([frame], grouped(made, length=0.0)).min() < 0.95


# PersonLab's votes and offsets.


def test_a_biased_mid_offset_is_corrected_by_short_ones():
    """Roots at the noses alone: all other joints lie at the ends of biased offsets."""
    frame = crowd(stream(8, "biased"), height_px=(260, 340))
    exact = personlab_maps([frame])
    biased = dataclasses.replace(exact, mid=exact.mid + 6 / 8)  # 6 px in x and in y
    for rounds, minimum, maximum in ((2, 0.0, 1.0), (0, 5.0, 200.0)):
        (found,) = voted(biased, refine=rounds, same=1.0)
        who = oks(frame, found).argmax(1)
        errors = np.linalg.norm(found.joints_px[who] - frame.joints_px, axis=-1)
        assert minimum <= np.sort(errors.ravel())[6:].max() < maximum  # but for the roots


def test_votes_are_those_of_a_second_way_of_counting():
    """Each cell's vote spread over the four nearest centres, one after the other."""
    rng = stream(9, "votes")
    h, w = 9, 11
    maps = personlab.Maps(
        discs=rng.uniform(0, 1, (2, h, w)), short=rng.normal(0, 3, (2, 2, h, w)),
        mid=np.zeros((1, 2, h, w)),
    )  # fmt: skip
    voting = personlab.Voting(limbs=((0, 1), (1, 0)), radius=2.0)
    wanted = np.zeros((2, h + 2, w + 2))
    for j, row, column in np.ndindex(2, h, w):
        if maps.discs[j, row, column] <= voting.vote:
            continue
        place = np.array([column, row]) + 0.5 + maps.short[j, :, row, column]
        for r, c in np.ndindex(h + 2, w + 2):  # centres at (c - 0.5, r - 0.5)
            near = np.maximum(1 - np.abs(place - [c - 0.5, r - 0.5]), 0).prod()
            if (place >= -0.5).all() and (place < [w + 0.5, h + 0.5]).all():
                wanted[j, r, c] += near * maps.discs[j, row, column] / (np.pi * 4)
    assert personlab.hough_votes(maps, voting) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("stride", [4, 8, 16])
def test_short_offsets_refine_at_every_stride_and_border(stride):
    for frame in at_borders(stride):
        assert error_inside(frame, *voted(personlab_maps([frame], stride), stride)) < 0.25
    made = personlab_maps([frame], stride)
    (found,) = voted(dataclasses.replace(made, short=torch.zeros_like(made.short)), stride)
    assert not len(found) or oks(frame, found).max() < 0.999  # without short offsets it is coarse


def test_targets_are_those_of_a_second_way_of_drawing_them():
    """A sample of cells, people and joints one after the other, with plain numbers."""
    frame = crowd(stream(11, "drawn"), height_px=(260, 340))
    made, xy = personlab_maps([frame]), frame.joints_px / 8
    for row, column in stream(12, "cells").integers(0, [60, 80], (60, 2)):
        p = np.array([column, row]) + 0.5
        away = np.linalg.norm(xy - p, axis=-1)  # (P, J)
        for j in range(17):
            near = away[:, j].argmin()
            inside = away[near, j] <= 4
            assert made.discs[0, j, row, column] == inside
            wanted = xy[near, j] - p if inside else np.zeros(2)
            assert made.short[0, j, :, row, column].numpy() == pytest.approx(wanted, abs=1e-4)
        for e, (a, b) in enumerate(DIRECTED):
            near = away[:, a].argmin()
            wanted = xy[near, b] - p if away[near, a] <= 4 else np.zeros(2)
            assert made.mid[0, e, :, row, column].numpy() == pytest.approx(wanted, abs=1e-4)
            assert made.mid_mask[0, e, row, column] == (away[near, a] <= 4)
