"""Tags of instances: associative embedding (Newell, Huang and Deng 2017).

Beside the map of a joint there is a map of tags: D numbers a cell, alike for all joints of one
person and unlike between people. Which numbers they are nobody teaches. Letters: contract.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import Skeleton
from synthstudio.models.bottom_up.contract import (
    F64,
    I64,
    FoundPeople,
    FramePeople,
    cell_grid,
    finite,
    is_inside,
    joints_in_cells,
)
from synthstudio.models.bottom_up.grouping import collect_people
from synthstudio.models.heatmaps import find_peaks


@dataclass(frozen=True, kw_only=True)
class TagGrouping:
    """What counts as a peak, as the same tag and as a person.

    `order`: all joints, as they are grouped. `sigma`: of the maps' Gaussians, in cells. A peak is
    above `peak`, `most` of a joint at most. It may be a person's whose mean tag is nearer than
    `near` (the authors' 1). A person has `joints` joints and a mean score above `score`.
    """

    order: tuple[int, ...]
    sigma: float
    peak: float = 0.1
    near: float = 1.0
    joints: int = 3
    score: float = 0.2
    most: int = 64


def joint_order(skeleton: Skeleton) -> tuple[int, ...]:
    """All joints, from the first one outwards along the limbs: of COCO's the head, then shoulders,
    then the rest. Joints that no limb leads to come last."""
    order = [0]
    for joint in order:
        pairs = (pair for pair in skeleton.edges if joint in pair)
        order += [k for pair in pairs for k in pair if k not in order]
    return tuple(order) + tuple(k for k in range(len(skeleton.joints)) if k not in order)


def tag_cells(people: Sequence[FramePeople], *, stride: int) -> Tensor:
    """The cells (B, P, J) of the maps of tags that are each person's, numbered row by row.

    -1: the joint is unlabelled or outside the frame, somebody else's joint is nearer to that
    cell's centre, or there are fewer people than P, the most in one frame.
    """
    h, w = cell_grid(people, stride)
    most = max(len(frame.joints_px) for frame in people)
    joints = people[0].joints_px.shape[1]
    cells = torch.full((len(people), most, joints), -1)
    for row, frame in zip(cells, people, strict=True):
        xy = joints_in_cells(frame, stride)
        inside = is_inside(xy, h, w)
        corner = torch.where(inside[..., None], xy, 0).floor()
        at = torch.where(inside, corner[..., 1] * w + corner[..., 0], -1).long()
        away = torch.where(inside, (xy - corner - 0.5).norm(dim=-1), torch.inf)  # (P, J)
        number = torch.arange(len(xy))
        first = (number[:, None] < number)[..., None]
        nearer = (away[:, None] < away) | ((away[:, None] == away) & first)  # (P, P, J)
        taken = ((at[:, None] == at) & nearer).any(0)
        row[: len(xy)] = torch.where(taken, -1, at)
    return cells


def tag_losses(tags: Tensor, cells: Tensor, *, sigma: float = 0.5**0.5) -> dict[str, Tensor]:
    """`pull` and `push` of tags (B, J, D, h, w) at the `cells` of people, the mean over frames.

    Of a frame's N people who have a cell, with mean tags m: pull = 1/N sum over people and joints
    of |tag - m|^2, push = 1/N^2 sum over pairs of people, each way, of
    exp(-|m - m'|^2 / (2 sigma^2)). (The paper's sum has everybody with themselves as well, which
    is a constant.) `sigma`: that of the authors' code. Without people both are 0, push also for
    one. ModelError unless tags and cells fit each other.
    """
    _check_cells(tags, cells)
    flat = tags.float().flatten(3)
    index = cells.clamp_min(0).transpose(1, 2)[:, :, None].expand(-1, -1, flat.shape[2], -1)
    known = cells >= 0  # (B, P, J)
    value = torch.where(known[..., None], flat.gather(3, index).permute(0, 3, 1, 2), 0)
    there = known.any(2)  # (B, P)
    count = there.sum(1).clamp_min(1)
    mean = value.sum(2) / known.sum(2).clamp_min(1)[..., None]  # (B, P, D)
    off = torch.where(known[..., None], value - mean[:, :, None], 0)
    pull = (off**2).sum((1, 2, 3)) / count
    apart = ((mean[:, :, None] - mean[:, None]) ** 2).sum(-1)  # (B, P, P)
    pairs = there[:, :, None] & there[:, None]
    pairs &= ~torch.eye(pairs.shape[1], dtype=torch.bool, device=pairs.device)
    push = torch.where(pairs, torch.exp(-apart / (2 * sigma**2)), 0).sum((1, 2)) / count**2
    return {"pull": pull.mean(), "push": push.mean()}


def _check_cells(tags: Tensor, cells: Tensor) -> None:
    if tags.ndim != 5 or cells.ndim != 3 or (*cells.shape[::2],) != (*tags.shape[:2],):
        raise ModelError(
            "tags and cells do not fit each other",
            where="tag_losses",
            expected="tags (B, J, D, h, w), cells (B, P, J)",
            got=f"{tuple(tags.shape)}, {tuple(cells.shape)}",
        )
    count = tags.shape[3] * tags.shape[4]
    if cells.numel() and not -1 <= cells.min() <= cells.max() < count:
        raise ModelError(
            "a cell is not in the maps",
            where="tag_losses",
            expected=f"-1 to {count - 1}",
            got=f"{int(cells.min())} to {int(cells.max())}",
            then="Make cells and maps with one stride.",
        )


def group_by_tags(
    maps: Tensor, tags: Tensor, grouping: TagGrouping, *, stride: int
) -> list[FoundPeople]:
    """The people of each frame; maps (B, J, h, w), tags (B, J, D, h, w).

    Joint by joint in the grouping's order, peaks go to the people found so far; who is left begins
    a person. ModelError unless maps, tags and order have the same joints.
    """
    b, j, h, w = maps.shape if maps.ndim == 4 else (0, 0, 0, 0)
    if tags.ndim != 5 or (b, j) != tags.shape[:2] or (h, w) != tags.shape[3:]:
        raise ModelError(
            "maps and tags do not fit each other",
            where="group_by_tags",
            expected="maps (B, J, h, w), tags (B, J, D, h, w)",
            got=f"{tuple(maps.shape)}, {tuple(tags.shape)}",
        )
    if sorted(grouping.order) != list(range(j)):
        raise ModelError(
            "the order is not one of the maps' joints",
            where="TagGrouping.order",
            expected=f"0 to {j - 1}, each once",
            got=str(grouping.order),
        )
    joints, values = torch.from_numpy(finite(maps)), finite(tags)
    peaks = find_peaks(joints, count=grouping.most, least=grouping.peak, sigma=grouping.sigma)
    found = []
    for xy, score, frame in zip(peaks.xy.numpy(), peaks.score.numpy(), values, strict=True):
        column, row = np.nan_to_num(xy).astype(np.int64).clip(0, [w - 1, h - 1]).transpose(2, 0, 1)
        tag = frame[np.arange(j)[:, None], :, row, column]  # (J, K, D)
        people = _people(score, tag, grouping)
        found.append(
            collect_people(
                xy,
                score,
                people,
                [[] for _ in people],
                joints=grouping.joints,
                least=grouping.score,
                stride=stride,
            )
        )
    return found


def _people(score: F64, tag: F64, grouping: TagGrouping) -> list[list[int]]:
    """The numbers of each person's peaks: joint * K + place; `score` (J, K), `tag` (J, K, D)."""
    width, size = score.shape[1], tag.shape[-1]
    flat_score, flat_tag = score.reshape(-1), tag.reshape(-1, size)
    people: list[list[int]] = []
    for joint in grouping.order:
        peaks = joint * width + np.flatnonzero(score[joint] > 0)
        means = np.array([flat_tag[each].mean(0) for each in people]).reshape(-1, size)
        apart = np.linalg.norm(means[:, None] - flat_tag[peaks], axis=-1)
        who, which = _matched(apart, flat_score[peaks], grouping.near)
        for person, peak in zip(who.tolist(), peaks[which].tolist(), strict=True):
            people[person].append(peak)
        people += [[peak] for peak in np.delete(peaks, which).tolist()]
    return people


def _matched(apart: F64, score: F64, near: float) -> tuple[I64, I64]:
    """Which people and which peaks are one, by the distances `apart` (N, K) of their tags.

    Most pairs, then the nearest tags in units of `near`, rounded as by the authors, then the
    highest scores (K,) (among tags nearer than half of it a weak second peak wins nothing).
    """
    fits = apart < near
    cost = np.round(apart / near) * 100 - score
    who, which = linear_sum_assignment(np.where(fits, cost, 1e6))
    kept = fits[who, which]
    return who[kept], which[kept]
