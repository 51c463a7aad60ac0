"""Tags of instances: true tags decode to everybody, shared and equal ones do not; the loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from stick_frames import SKELETON, at_borders, best_oks, error_inside, precision

from synthstudio.core.errors import ModelError
from synthstudio.core.rng import stream
from synthstudio.models.bottom_up.contract import FoundPeople, FramePeople
from synthstudio.models.bottom_up.openpose import openpose_targets
from synthstudio.models.bottom_up.tags import (
    TagGrouping,
    group_by_tags,
    joint_order,
    tag_cells,
    tag_losses,
)

ORDER = joint_order(SKELETON)
GROUPING = TagGrouping(order=ORDER, sigma=0.875)
LIMBS = torch.tensor(SKELETON.edges)


def maps_of(frames: list[FramePeople], stride: int = 8) -> torch.Tensor:
    made = openpose_targets(frames, LIMBS, stride=stride, sigma=0.875, width=1.0)
    return made.maps[:, :-1]


def tags_of(
    frames: list[FramePeople], names: np.ndarray, stride: int = 8, size: int = 1
) -> torch.Tensor:
    """Noise everywhere but in people's cells, which have the tags `names` (P, J)."""
    cells = tag_cells(frames, stride=stride)
    h, w = frames[0].size[0] // stride, frames[0].size[1] // stride
    noise = stream(1, "tags").uniform(-9, 9, (len(frames), cells.shape[2], size, h * w))
    tags = torch.from_numpy(noise).float()
    for b, p, j in (cells >= 0).nonzero().tolist():
        tags[b, j, :, cells[b, p, j]] = float(names[p, j])
    return tags.view(*tags.shape[:3], h, w)


def decode(
    frames: list[FramePeople], names: np.ndarray, stride: int = 8, size: int = 1
) -> list[FoundPeople]:
    made = maps_of(frames, stride), tags_of(frames, names, stride, size)
    return group_by_tags(*made, GROUPING, stride=stride)


@pytest.mark.parametrize("size", [1, 3])
def test_true_tags_decode_to_everybody(size: int, frames: list[FramePeople]) -> None:
    found = decode(frames, np.arange(3)[:, None] * np.full(17, 2.0), size=size)
    assert [len(f) for f in found] == [3] * 20
    assert best_oks(frames, found).min() > 0.999
    assert precision(frames, found) == pytest.approx(1.0, abs=5e-4)


def test_tags_that_are_shared_out_wrongly_make_nobody_whole(frames: list[FramePeople]) -> None:
    rng = stream(2, "shuffled")
    shuffled = 2.0 * np.array([rng.permutation(3) for _ in range(17)]).T
    for names, least in ((shuffled, 0.1), (np.zeros((3, 17)), 0.5)):
        found = decode(frames, names)
        assert (best_oks(frames, found) >= 0.95).mean() < 0.05
        assert precision(frames, found) < least


@pytest.mark.parametrize("stride", [4, 8, 16])
def test_there_and_back_at_every_stride_and_border(stride: int) -> None:
    for frame in at_borders(stride):
        assert error_inside(frame, *decode([frame], np.full((1, 17), 3.0), stride)) < 0.25


def test_cells_are_those_of_the_joints_and_belong_to_the_nearest() -> None:
    joints = np.full((3, 2, 2), np.nan)
    joints[0] = [[17, 9], [-1, 9]]  # a cell of 8 px; outside
    joints[1] = [[19, 11], [31.9, 23.9]]  # nearer to the same cell's centre (20, 12); the last cell
    joints[2, 1] = [30, 20]  # at (28, 20): nearer
    one = FramePeople(size=(24, 32), joints_px=joints, boxes_px=np.zeros((3, 4)))
    none = FramePeople(size=(24, 32), joints_px=joints[:0], boxes_px=np.zeros((0, 4)))
    cells = tag_cells([one, none], stride=8)
    assert cells[0].tolist() == [[-1, -1], [6, -1], [-1, 11]]
    assert cells[1].tolist() == [[-1, -1]] * 3
    assert tag_cells([none], stride=8).shape == (1, 0, 2)


def _tags(values: list[list[list[float]]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Tags (1, J, D, 1, P) and cells (1, P, J) of values (P, J, D); NaN has no cell."""
    value = torch.tensor(values)
    people, joints, _ = value.shape
    known = ~value.isnan().any(-1)
    cells = torch.where(known, torch.arange(people)[:, None].expand(people, joints), -1)
    return value.permute(1, 2, 0)[None, :, :, None], cells[None]


def test_the_loss_is_that_counted_by_hand() -> None:
    nan = float("nan")
    tags, cells = _tags([[[1.0], [3.0], [nan]], [[4.0], [nan], [nan]], [[nan]] * 3])
    both = tag_losses(tags, cells, sigma=2.0)
    assert both["pull"].item() == pytest.approx(2 / 2)  # two people: 1 + 1, and 0
    assert both["push"].item() == pytest.approx(2 * np.exp(-4 / 8) / 4)
    tags, cells = _tags([[[0.0, 1.0], [0.0, 3.0]], [[3.0, 2.0], [3.0, 2.0]]])
    both = tag_losses(tags, cells)
    assert (both["pull"].item(), both["push"].item()) == pytest.approx((2 / 2, 2 * np.exp(-9) / 4))
    frames = tag_losses(torch.cat([tags, tags]), torch.cat([cells, -torch.ones_like(cells)]))
    assert frames["pull"].item() == pytest.approx(1 / 2)  # the mean over frames


@pytest.mark.parametrize("people", [0, 1])
def test_nobody_and_one_person_are_not_pushed(people: int) -> None:
    tags = torch.zeros(1, 2, 1, 3, 3).requires_grad_()
    cells = torch.tensor([[[0, 4], [-1, -1]]])[:, :people]
    terms = tag_losses(tags, cells)
    assert [t.item() for t in terms.values()] == [0, 0]
    sum(terms.values()).backward()
    assert tags.grad is not None and (tags.grad == 0).all()


def test_a_weak_second_peak_is_nobodys_and_order_follows_the_limbs() -> None:
    names = [SKELETON.joints[k] for k in ORDER]
    assert sorted(ORDER) == list(range(17))
    assert names[0] == "nose"
    for before, after in (("ear", "shoulder"), ("shoulder", "elbow"), ("hip", "knee")):
        assert names.index(f"right_{before}") < names.index(f"left_{after}")
    maps, tags = torch.zeros(1, 3, 5, 9), torch.full((1, 3, 1, 5, 9), 5.0)
    for joint, column, height, tag in ((0, 1, 0.9, 0.0), (1, 1, 0.4, 0.0), (1, 4, 0.9, 0.3),
                                       (2, 1, 0.8, 0.2), (2, 7, 0.9, 1.2)):  # fmt: skip
        maps[0, joint, 2, column], tags[0, joint, 0, 2, column] = height, tag
    grouping = TagGrouping(order=(0, 1, 2), sigma=1.0, joints=1)
    (found,) = group_by_tags(maps, tags, grouping, stride=1)
    x = found.joints_px[..., 0]
    nan = np.nan
    wanted = [[nan, nan, 7.5], [1.5, 4.5, 1.5], [nan, 1.5, nan]]
    assert x == pytest.approx(np.array(wanted), nan_ok=True)


def test_an_empty_frame_has_nobody() -> None:
    maps, tags = torch.zeros(2, 17, 6, 8), torch.zeros(2, 17, 1, 6, 8)
    assert [len(f) for f in group_by_tags(maps, tags, GROUPING, stride=8)] == [0, 0]


def test_what_does_not_fit_is_refused() -> None:
    maps, tags = torch.zeros(1, 17, 6, 8), torch.zeros(1, 17, 1, 6, 8)
    cells = torch.zeros(1, 2, 17, dtype=torch.int64)
    bad = torch.full_like(tags, torch.nan)
    few = TagGrouping(order=(0, 1), sigma=1.0)
    for message, call in {
        "maps and tags do not fit": lambda: group_by_tags(maps, tags[:, :3], GROUPING, stride=8),
        "not one of the maps' joints.*0 to 16": lambda: group_by_tags(maps, tags, few, stride=8),
        "not finite": lambda: group_by_tags(maps, bad, GROUPING, stride=8),
        "tags and cells do not fit": lambda: tag_losses(tags[:, :, 0], cells),
        "cells do not fit": lambda: tag_losses(tags, cells[:, :, :3]),
        "not in the maps.*-1 to 47.*48": lambda: tag_losses(tags, cells + 48),
    }.items():
        with pytest.raises(ModelError, match=message):
            call()
