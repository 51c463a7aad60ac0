"""OpenPose: ideal maps decode to the people; without fields that fit they do not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from stick_frames import (
    SKELETON,
    at_borders,
    best_oks,
    crowd,
    error_inside,
    frame_of,
    pose,
    precision,
)

from synthstudio.core.rng import stream
from synthstudio.models.bottom_up.contract import FoundPeople, FramePeople
from synthstudio.models.bottom_up.grouping import Grouping, group_people
from synthstudio.models.bottom_up.openpose import (
    OpenPoseTargets,
    affinity_fields,
    confidence_maps,
    openpose_targets,
)

LIMBS = torch.tensor(SKELETON.edges)
GROUPING = Grouping(limbs=SKELETON.edges, sigma=0.875)


def targets(frames: list[FramePeople], stride: int = 8) -> OpenPoseTargets:
    return openpose_targets(frames, LIMBS, stride=stride, sigma=0.875, width=1.0)


def decode(made: OpenPoseTargets, stride: int = 8, **changes: object) -> list[FoundPeople]:
    changed = dataclasses.replace(GROUPING, **changes)  # type: ignore[arg-type]
    return group_people(made.maps, made.fields, changed, stride=stride)


@pytest.fixture(scope="module")
def made(frames: list[FramePeople]) -> OpenPoseTargets:
    return targets(frames)


def test_ideal_maps_decode_to_everybody(frames: list[FramePeople], made: OpenPoseTargets) -> None:
    found = decode(made)
    similar = best_oks(frames, found)
    assert [len(f) for f in found] == [3] * 20
    assert (similar >= 0.95).all()
    assert similar.mean() == pytest.approx(1.0, abs=5e-4)
    assert precision(frames, found) == pytest.approx(1.0, abs=5e-4)


@pytest.mark.parametrize("spoil", ["zeroed", "turned", "swapped"])
def test_without_fields_that_fit_nobody_is_whole(
    spoil: str, frames: list[FramePeople], made: OpenPoseTargets
) -> None:
    fields = {
        "zeroed": torch.zeros_like(made.fields),
        "turned": torch.stack([-made.fields[:, :, 1], made.fields[:, :, 0]], 2),  # 90 degrees
        "swapped": made.fields.roll(1, 1),  # each limb has another's
    }[spoil]
    found = decode(dataclasses.replace(made, fields=fields))
    assert (best_oks(frames, found) >= 0.95).mean() < 0.05
    assert precision(frames, found) < 0.1


def test_a_field_is_the_limbs_direction_beside_it_and_the_mean_where_two_cross() -> None:
    xy = torch.tensor([[[2.5, 8.5], [14.5, 8.5]], [[8.5, 2.5], [8.5, 14.5]]])
    field = affinity_fields(xy, torch.tensor([[0, 1]]), 18, 18, width=1.0)[0]
    assert field[:, 8, 4].tolist() == [1, 0]
    assert field[:, 7, 4].tolist() == [1, 0]
    assert field[:, 6, 4].tolist() == [0, 0]
    assert field[:, 4, 8].tolist() == [0, 1]
    assert field[:, 8, 8].tolist() == [0.5, 0.5]


def test_fields_are_those_of_a_second_way_of_drawing_them() -> None:
    """Cell by cell, person by person, limb by limb, with plain numbers."""
    frame = crowd(stream(3, "fields"), size=(160, 240), height_px=(100, 120), apart_px=4)
    made = targets([frame])
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


def test_maps_take_the_highest_gaussian_and_the_rest_is_background() -> None:
    xy = torch.tensor([[[4.5, 4.5]], [[6.5, 4.5]], [[-1.0, 4.5]]])
    joint, background = confidence_maps(xy, 9, 12, sigma=1.0)
    assert joint[4, 4] == joint[4, 6] == 1
    assert joint[4, 5] == pytest.approx(np.exp(-0.5))  # not the sum of two
    assert joint[4, 0] == pytest.approx(np.exp(-8))  # the one outside has none
    assert (joint + background - 1).abs().max() < 1e-6


@pytest.mark.parametrize("stride", [4, 8, 16])
def test_there_and_back_at_every_stride_and_border(stride: int) -> None:
    coarse = []
    for frame in at_borders(stride):
        made = targets([frame], stride)
        assert error_inside(frame, *decode(made, stride, score=0.0)) < 0.25
        (rough,) = decode(made, stride, score=0.0, refine=False)
        if len(rough):
            away = np.linalg.norm(rough.joints_px[0] - frame.joints_px[0], axis=-1)
            coarse.append(np.nanmax(away))
    assert min(coarse) > 0.25


def test_shoulders_in_a_row_are_the_nearest_ones() -> None:
    """Six people side by side at one height: the line through all shoulders is in the fields."""
    one = pose(stream(5, "row"), 200)
    places = np.stack([100.0 * np.arange(6) + 200, np.full(6, 120.0)], -1)
    one[:, 1][[5, 6]] = one[[5, 6], 1].mean()
    one[:, 0] *= 1.6
    frame = frame_of(one + places[:, None], (240, 896))
    noise = torch.from_numpy(stream(6, "noise").normal(0, 0.01, (1, 19, 2, 30, 112)))
    made = targets([frame])
    made = dataclasses.replace(made, fields=made.fields + noise.float())
    assert best_oks([frame], decode(made)).min() > 0.95
    assert best_oks([frame], decode(made, length=0.0)).min() < 0.95
