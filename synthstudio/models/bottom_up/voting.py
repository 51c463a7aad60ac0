"""People from PersonLab's discs and offsets: votes, roots, limbs, masks. NumPy, frame after frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from synthstudio.models.bottom_up.contract import F64, I64, Bools, FoundPeople, finite


@dataclass(frozen=True, kw_only=True)
class Voting:
    """What counts as a root, as the same person, and as inside a mask; defaults are the paper's.

    `limbs` (E pairs of joints: from, to) and `radius` in cells: those of the targets. `refine`:
    how often mid and long offsets are corrected by short ones. A root has votes above `root`; it
    is somebody already found when it lies within `same` of their joint (share of the radius; the
    paper's 10 px of 32). `inside`: probability of a disc or body. A cell belongs to the nearest
    person within `distance`. People below `score` are left out.
    """

    limbs: tuple[tuple[int, int], ...]
    radius: float
    refine: int = 2
    root: float = 0.01
    same: float = 10 / 32
    inside: float = 0.5
    distance: float = 0.25
    score: float = 0.05
    most: int = 600


@dataclass(frozen=True, kw_only=True)
class Maps:
    """What the network says of one frame: `discs` (J, h, w) and `body` (h, w) from 0 to 1, offsets
    `short` (J, 2, h, w), `mid` (E, 2, h, w) and `long` (J, 2, h, w) in cells."""

    discs: F64
    short: F64
    mid: F64
    long: F64
    body: F64


def vote_people(
    said: Mapping[str, Tensor], voting: Voting, *, stride: int, masks: bool = True
) -> list[FoundPeople]:
    """The people of each frame; `said` by the names of Maps, with B before their shapes."""
    arrays = {name: finite(value) for name, value in said.items()}
    found = []
    for b in range(len(arrays["discs"])):
        frame = {name: value[b] for name, value in arrays.items() if name != "body"}
        maps = Maps(**frame, body=arrays["body"][b, 0])
        joint, root, votes = find_roots(hough_votes(maps, voting), voting)
        xy, scores = grow(maps, voting, joint, root)
        kept, score = suppress(xy, scores, joint, root, voting)
        xy, scores = xy[kept], scores[kept]
        cells = assign_cells(maps, voting, xy, scores) if masks else None
        found.append(FoundPeople(joints_px=xy * stride, scores=scores, score=score, masks=cells))
    return found


def hough_votes(maps: Maps, voting: Voting) -> F64:
    """Votes (J, h + 2, w + 2) for joints, a cell wider on each side.

    Every cell votes with its disc's probability for the place that its short offset leads to,
    spread bilinearly over four cells. The cells of a whole disc make about 1.
    """
    joints, h, w = maps.discs.shape
    j, row, column = np.nonzero(maps.discs > voting.root)
    x = column + 0.5 + maps.short[j, 0, row, column]
    y = row + 0.5 + maps.short[j, 1, row, column]
    x, y = x + 0.5, y + 0.5  # of the padded cells' centres, counted from 0
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    weight = maps.discs[j, row, column] / (np.pi * voting.radius**2)
    votes = np.zeros(joints * (h + 2) * (w + 2))
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        r, c = top + down, left + right
        share = weight * (1 - np.abs(x - c)) * (1 - np.abs(y - r))
        ok = (r >= 0) & (r < h + 2) & (c >= 0) & (c < w + 2)
        place = (j * (h + 2) + r) * (w + 2) + c
        votes += np.bincount(place[ok], share[ok], minlength=len(votes))
    return votes.reshape(joints, h + 2, w + 2)


def find_roots(votes: F64, voting: Voting) -> tuple[I64, F64, F64]:
    """Joints (C,), places (C, 2) in cells and votes (C,) of the candidates, most votes first.

    A place is the mean of the votes in three by three cells about a highest one, exact for votes
    that agree.
    """
    padded = np.pad(votes, ((0, 0), (1, 1), (1, 1)))
    joint, row, column = np.nonzero(votes > voting.root)
    steps = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1)]
    around = np.stack([padded[joint, row + 1 + r, column + 1 + c] for r, c in steps], -1)
    middle = around[:, 4:5]
    highest = (around[:, :4] < middle).all(1) & (around[:, 5:] <= middle).all(1)
    joint, row, column, around = (v[highest] for v in (joint, row, column, around))
    total = around.sum(1)
    x = column - 0.5 + around @ [c for _, c in steps] / total
    y = row - 0.5 + around @ [r for r, _ in steps] / total
    order = np.argsort(-total, kind="stable")[: voting.most]
    return joint[order], np.stack([x, y], -1)[order], total[order]


def grow(maps: Maps, voting: Voting, joint: I64, root: F64) -> tuple[F64, F64]:
    """The joints (C, J, 2) and their scores (C, J) of the people that roots (C, 2) begin.

    All grow at once, a limb a step: from the surest joint that has a neighbour without a place.
    A joint's score is its disc's probability there, 0 outside the frame.
    """
    count, joints = len(joint), len(maps.discs)
    begin, end = np.array(voting.limbs).T
    xy, scores = np.full((count, joints, 2), np.nan), np.full((count, joints), -1.0)
    every = np.arange(count)
    xy[every, joint] = root
    scores[every, joint] = _chance(maps, joint, root)
    for _ in range(joints - 1):
        open_limb = (scores[:, begin] >= 0) & (scores[:, end] < 0)
        limb = np.where(open_limb, scores[:, begin], -1.0).argmax(1)
        a, b = begin[limb], end[limb]
        row, column, _ = _cell(maps, np.nan_to_num(xy[every, a]))
        place = np.stack([column + 0.5, row + 0.5], -1) + maps.mid[limb, :, row, column]
        place = _refined(maps, voting, b, place)
        reached = open_limb[every, limb]  # not where a skeleton falls apart
        xy[every[reached], b[reached]] = place[reached]
        scores[every[reached], b[reached]] = _chance(maps, b, place)[reached]
    return xy, scores.clip(0)


def _cell(maps: Maps, place: F64) -> tuple[I64, I64, Bools]:
    """The cells (row, column) of places (..., 2), the nearest of the frame, and which lie in it."""
    h, w = maps.body.shape
    column, row = np.moveaxis(np.floor(place).astype(np.int64), -1, 0)
    inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
    return row.clip(0, h - 1), column.clip(0, w - 1), inside


def _chance(maps: Maps, joint: I64, place: F64) -> F64:
    row, column, inside = _cell(maps, place)
    return np.where(inside, maps.discs[joint, row, column], 0.0)


def _refined(maps: Maps, voting: Voting, joint: I64, place: F64) -> F64:
    """Places (..., 2) of joints, corrected by the short offset of the disc that they lie in."""
    for _ in range(voting.refine):
        row, column, inside = _cell(maps, place)
        inside &= maps.discs[joint, row, column] > voting.inside
        x = column + 0.5 + maps.short[joint, 0, row, column]
        y = row + 0.5 + maps.short[joint, 1, row, column]
        place = np.where(inside[..., None], np.stack([x, y], -1), place)
    return place


def suppress(
    xy: F64, scores: F64, joint: I64, root: F64, voting: Voting
) -> tuple[I64, F64]:
    """Which people are none found already, the surest first, and their scores.

    A root is left out when it lies where a person with more votes has that joint. A person's score
    is the mean over joints, those that are another's with more votes counting 0.
    """
    reach = voting.same * voting.radius
    free = np.ones(len(joint), bool)
    kept: list[int] = []
    score: list[float] = []
    for c in range(len(joint)):
        if not free[c]:
            continue
        apart = np.linalg.norm(xy[kept] - xy[c], axis=-1) > reach
        value = float((scores[c] * apart.all(0)).mean())
        free &= np.linalg.norm(xy[c, joint] - root, axis=-1) > reach
        if value > voting.score:
            kept.append(c)
            score.append(value)
    order = np.argsort(-np.array(score), kind="stable")
    return np.array(kept, np.int64)[order], np.array(score, np.float64)[order]


def assign_cells(maps: Maps, voting: Voting, xy: F64, scores: F64) -> Bools:
    """Masks (P, h, w): each cell of a body is the nearest person's.

    The distance of a cell from a person is the mean over joints, weighted by their scores, between
    where its long offsets lead and the person's joint, as a share of the root of the area of the
    joints' box.
    """
    masks = np.zeros((len(xy), *maps.body.shape), bool)
    row, column = np.nonzero(maps.body > voting.inside)
    if not len(xy) or not len(row):
        return masks
    centre = np.stack([column + 0.5, row + 0.5], -1)
    joint = np.arange(len(maps.discs))
    place = centre[:, None] + maps.long[:, :, row, column].transpose(2, 0, 1)  # (N, J, 2)
    place = _refined(maps, voting, np.broadcast_to(joint, place.shape[:2]), place)
    sure = np.where(scores > voting.inside, scores, 0.0)
    counts = (sure > 0)[..., None]
    high = np.where(counts, xy, -np.inf).max(1)
    low = np.where(counts, xy, np.inf).min(1)
    size = np.sqrt(np.maximum((high - low).clip(0).prod(1), 1.0))
    distance = np.empty((len(xy), len(row)))
    for p in range(len(xy)):
        apart = place - np.nan_to_num(xy[p])
        away = np.sqrt(apart[..., 0] ** 2 + apart[..., 1] ** 2)
        distance[p] = away @ sure[p] / max(sure[p].sum(), 1e-6) / size[p]
    distance[sure.sum(1) == 0] = np.inf
    nearest = distance.argmin(0)
    near = distance[nearest, np.arange(len(row))] < voting.distance
    masks[nearest[near], row[near], column[near]] = True
    return masks
