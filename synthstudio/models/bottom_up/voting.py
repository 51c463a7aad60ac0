"""People from PersonLab's discs and offsets: votes, roots, limbs, masks. NumPy, frame by frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from synthstudio.models.bottom_up.contract import F64, I64, Bools, FoundPeople, finite


@dataclass(frozen=True, kw_only=True)
class Voting:
    """What counts as a root, as the same person, and as inside a mask; defaults are the paper's.

    `limbs` (E pairs of joints: from, to) and `radius` in cells: those of the targets. `refine`:
    how often mid and long offsets are corrected by short ones. Cells whose disc's probability is
    above `vote` vote (in the paper all do). A root has votes above `root`; it is somebody already
    found when it lies within `same` of their joint (share of the radius; the paper's 10 px of 32).
    `inside`: probability of a disc or body. A cell belongs to the nearest person within `distance`.
    People below `score` are left out: three joints of seventeen stay. `most`: roots in a frame.
    """

    limbs: tuple[tuple[int, int], ...]
    radius: float
    refine: int = 2
    vote: float = 0.1
    root: float = 0.01
    same: float = 10 / 32
    inside: float = 0.5
    distance: float = 0.25
    score: float = 0.15
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
        joint, root, _ = find_roots(hough_votes(maps, voting), voting)
        corrected = correct(maps, voting)
        xy, scores, score = choose_people(maps, corrected, voting, joint, root)
        cells = assign_cells(maps, corrected, voting, xy, scores) if masks else None
        found.append(FoundPeople(joints_px=xy * stride, scores=scores, score=score, masks=cells))
    return found


def hough_votes(maps: Maps, voting: Voting) -> F64:
    """Votes (J, h + 2, w + 2) for joints, a cell wider on each side.

    Every cell votes with its disc's probability for the place that its short offset leads to,
    spread bilinearly over four cells. The cells of a whole disc make about 1.
    """
    joints, h, w = maps.discs.shape
    j, row, column = np.nonzero(maps.discs > voting.vote)
    x = column + 0.5 + maps.short[j, 0, row, column]
    y = row + 0.5 + maps.short[j, 1, row, column]
    x, y = x + 0.5, y + 0.5  # of the padded cells' centres, counted from 0
    ok = (x >= 0) & (x < w + 1) & (y >= 0) & (y < h + 1)
    x, y, j, weight = x[ok], y[ok], j[ok], maps.discs[j, row, column][ok]
    weight /= np.pi * voting.radius**2
    left, top = x.astype(np.int64), y.astype(np.int64)
    right, down = x - left, y - top
    corner = (j * (h + 2) + top) * (w + 2) + left
    over, under = weight * (1 - down), weight * down
    places = np.concatenate([corner, corner + 1, corner + w + 2, corner + w + 3])
    parts = [over * (1 - right), over * right, under * (1 - right), under * right]
    size = (joints, h + 2, w + 2)
    return np.bincount(places, np.concatenate(parts), minlength=math.prod(size)).reshape(size)


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
    joint, row, column, around = joint[highest], row[highest], column[highest], around[highest]
    total = around.sum(1)
    x = column - 0.5 + around @ [c for _, c in steps] / total
    y = row - 0.5 + around @ [r for r, _ in steps] / total
    order = np.argsort(-total, kind="stable")[: voting.most]
    return joint[order], np.stack([x, y], -1)[order], total[order]


def grow(
    maps: Maps, corrected: Corrected, voting: Voting, joint: I64, root: F64
) -> tuple[F64, F64]:
    """The joints (C, J, 2) and their scores (C, J) of the people that roots (C, 2) begin.

    All grow at once, a limb a step: from the surest joint that has a neighbour without a place.
    A joint's score is its disc's probability there, 0 outside the frame.
    """
    count, (joints, h, w) = len(joint), maps.discs.shape
    begin, end = np.array(voting.limbs).T
    mid, discs = maps.mid.reshape(-1), maps.discs.reshape(-1)
    every = np.arange(count)
    x, y = np.full((2, joints, count), np.nan)
    scores = np.full((joints, count), -1.0)
    cell = np.zeros((joints, count), np.int64)  # in which a joint lies
    who, b, px, py = every, joint, root[:, 0], root[:, 1]
    for step in range(joints):
        if step:
            worth = np.where(scores[end] < 0, scores[begin], -1.0)
            limb = worth.argmax(0)
            who = np.flatnonzero(worth[limb, every] >= 0)  # all, unless a skeleton falls apart
            limb = limb[who]
            b, here = end[limb], cell[begin[limb], who]
            there = 2 * limb * h * w + here
            px, py = here % w + 0.5 + mid[there], here // w + 0.5 + mid[there + h * w]
            px, py = corrected.places(b, px, py)
        at, inside = _cells(px, py, h, w)
        x[b, who], y[b, who], cell[b, who] = px, py, at
        scores[b, who] = np.where(inside, discs[b * h * w + at], 0)
    return np.stack([x.T, y.T], -1), scores.T.clip(0)


def _cells(x: F64, y: F64, h: int, w: int) -> tuple[I64, Bools]:
    """The numbers of the cells that places lie in, the nearest of the frame, and which do."""
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    return y.clip(0, h - 1).astype(np.int64) * w + x.clip(0, w - 1).astype(np.int64), inside


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """Where short offsets lead from all joints' cells: `x`, `y` (J * h * w,), NaN outside discs."""

    x: F64
    y: F64
    size: tuple[int, int]

    def places(self, joint: I64, x: F64, y: F64) -> tuple[F64, F64]:
        """Places x, y of joints, corrected where they lie in a disc."""
        h, w = self.size
        at, inside = _cells(x, y, h, w)
        at = joint * h * w + at
        keep = ~inside | np.isnan(self.x[at])
        return np.where(keep, x, self.x[at]), np.where(keep, y, self.y[at])


def correct(maps: Maps, voting: Voting) -> Corrected:
    """Follow the short offsets `refine` times."""
    joints, h, w = maps.discs.shape
    nothing = np.full(joints * h * w, np.nan, np.float32)
    found = Corrected(x=nothing, y=nothing, size=(h, w))
    if not voting.refine:
        return found
    joint, row, column = np.nonzero(maps.discs > voting.inside)
    at = (joint * h + row) * w + column
    x = column + 0.5 + maps.short[joint, 0, row, column]
    y = row + 0.5 + maps.short[joint, 1, row, column]
    for k in range(voting.refine):
        x, y = found.places(joint, x, y) if k else (x, y)
        tables = nothing.copy(), nothing.copy()
        tables[0][at], tables[1][at] = x, y
        found = Corrected(x=tables[0], y=tables[1], size=(h, w))
    return found


def choose_people(
    maps: Maps, corrected: Corrected, voting: Voting, joint: I64, root: F64
) -> tuple[F64, F64, F64]:
    """Joints (P, J, 2), their scores (P, J) and the people's (P,), the surest first.

    A root is left out when it lies where a person with more votes has that joint. A person's score
    is the mean over joints, those that are another's with more votes counting 0.
    """
    reach = (voting.same * voting.radius) ** 2
    free = np.ones(len(joint), bool)
    places = np.empty((0, len(maps.discs), 2))
    scores: list[F64] = []
    score: list[float] = []
    for c, (xy, sure) in enumerate(zip(*grow(maps, corrected, voting, joint, root), strict=True)):
        if free[c]:
            apart = ((places - xy) ** 2).sum(-1) > reach
            value = float(sure @ apart.all(0)) / len(sure)
            free &= ((xy[joint] - root) ** 2).sum(-1) > reach
            if value > voting.score:
                places = np.concatenate([places, xy[None]])
                scores.append(sure)
                score.append(value)
    order = np.argsort(-np.array(score), kind="stable")
    return places[order], np.array(scores).reshape(places.shape[:2])[order], np.array(score)[order]


def assign_cells(maps: Maps, corrected: Corrected, voting: Voting, xy: F64, scores: F64) -> Bools:
    """Masks (P, h, w): each cell of a body is the nearest person's.

    The distance of a cell from a person is the mean over joints, weighted by their scores, between
    where its long offsets lead and the person's joint, as a share of the root of the area of the
    joints' box.
    """
    joints, h, w = maps.discs.shape
    masks = np.zeros((len(xy), h, w), bool)
    row, column = np.nonzero(maps.body > voting.inside)
    if not len(xy) or not len(row):
        return masks
    joint = np.repeat(np.arange(joints)[:, None], len(row), 1)
    x, y = corrected.places(
        joint, column + 0.5 + maps.long[:, 0, row, column], row + 0.5 + maps.long[:, 1, row, column]
    )
    x, y = x.astype(np.float32), y.astype(np.float32)  # (J, N)
    sure = np.where(scores > voting.inside, scores, 0.0).astype(np.float32)
    counts = (sure > 0)[..., None]
    high = np.where(counts, xy, -np.inf).max(1)
    low = np.where(counts, xy, np.inf).min(1)
    size = np.sqrt(np.maximum((high - low).clip(0).prod(1), 1.0))
    distance = np.full((len(xy), len(row)), np.inf)
    for p in np.flatnonzero(counts.any((1, 2))):
        own = np.nan_to_num(xy[p]).astype(np.float32)
        away = np.sqrt((x - own[:, :1]) ** 2 + (y - own[:, 1:]) ** 2)
        distance[p] = sure[p] @ away / (sure[p].sum() * size[p])
    nearest = distance.argmin(0)
    near = distance[nearest, np.arange(len(row))] < voting.distance
    masks[nearest[near], row[near], column[near]] = True
    return masks
