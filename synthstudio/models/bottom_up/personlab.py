"""PersonLab: discs of joints and offsets to joints (Papandreou et al. 2018), without its masks.

Short offsets lead from a joint's disc to the joint, mid offsets from there to the joint at the
other end of a limb. People are voted for in NumPy, frame by frame. Letters: models/contract.py;
E directed limbs, each way once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthstudio.core.arrays import F64, I64, Bool
from synthstudio.core.skeleton import Skeleton
from synthstudio.models import contract
from synthstudio.models.contract import FoundPeople, System, finite
from synthstudio.models.heatmaps import cell_centres
from synthstudio.models.layers import conv
from synthstudio.models.losses import masked_mean


@dataclass(frozen=True, kw_only=True)
class PersonLabTargets:
    """Offsets are in cells. `discs` (B, J, h, w) 1 inside, `short` (B, J, 2, h, w), `mid`
    (B, E, 2, h, w). Training masks: `discs_mask` (B, J, h, w), `mid_mask` (B, E, h, w); short
    offsets inside the discs."""

    discs: Tensor
    short: Tensor
    mid: Tensor
    discs_mask: Tensor
    mid_mask: Tensor


@dataclass(frozen=True, kw_only=True)
class PersonLabOutputs:
    """`discs` (B, J, h, w) are logits; offsets as in the targets."""

    discs: Tensor
    short: Tensor
    mid: Tensor


WEIGHTS = {"discs": 4.0, "short": 1.0, "mid": 0.25}
"""Weights of the loss terms, the paper's."""


def directed_limbs(skeleton: Skeleton) -> tuple[tuple[int, int], ...]:
    """E pairs (from, to): limbs in both directions. Links across shoulders, hips and eyes, which
    the paper lacks, connect a person whose head is outside the frame."""
    return tuple(skeleton.edges) + tuple((b, a) for a, b in skeleton.edges)


def personlab_targets(
    people: Sequence[contract.FramePeople], limbs: Tensor, *, stride: int, radius: float
) -> PersonLabTargets:
    """The ideal outputs for the frames: `limbs` (E, 2), `radius` of a disc in cells."""
    each = [_frame_targets(frame, limbs, stride, radius) for frame in people]
    return PersonLabTargets(**{k: torch.stack([t[k] for t in each]) for k in each[0]})


def _frame_targets(
    frame: contract.FramePeople, limbs: Tensor, stride: int, radius: float
) -> dict[str, Tensor]:
    h, w = frame.size[0] // stride, frame.size[1] // stride
    xy = contract.joints_in_cells(frame, stride)
    discs_mask = contract.loss_mask(frame, ~xy.isnan().any(-1), stride)
    if len(xy) == 0:  # a person without labels has no disc
        xy = torch.full((1, *xy.shape[1:]), torch.nan)
    centres = cell_centres(h, w, xy)
    offsets = xy[:, :, None] - centres  # (P, J, h*w, 2)
    away = offsets.norm(dim=-1)
    near = (away <= radius) & contract.is_inside(xy, h, w)[..., None]  # (P, J, h*w)
    owner = torch.where(near, away, torch.inf).argmin(0)  # (J, h*w) the nearest disc's person
    discs = near.any(0)
    begin, end = limbs[:, 0], limbs[:, 1]
    towards = xy[owner[begin], end[:, None]]  # (E, h*w, 2) the other joint of the same person
    mid_mask = discs[begin] & ~towards.isnan().any(-1)
    index = owner[None, ..., None].expand(1, -1, -1, 2)
    nearest = offsets.gather(0, index)[0]  # (J, h*w, 2) of each cell's disc
    flat = {
        "discs": discs.to(xy.dtype),
        "short": torch.where(discs[..., None], nearest, 0.0).movedim(-1, 1),
        "mid": torch.where(mid_mask[..., None], towards - centres, 0.0).movedim(-1, 1),
        "mid_mask": mid_mask,
    }
    found = {name: value.reshape(*value.shape[:-1], h, w) for name, value in flat.items()}
    return found | {"discs_mask": discs_mask}


class PersonLab(System):
    """A network of frames. `features`: `channels` at stride 4; `radius`: of a disc in cells, at
    least 1; the paper's 32 px are 4 cells."""

    sees_frames = True
    limbs: Tensor

    def __init__(
        self,
        features: nn.Module,
        skeleton: Skeleton,
        *,
        channels: int,
        stride: int = 8,
        radius: float = 4.0,
    ) -> None:
        super().__init__()
        self.stride, self.radius = stride, radius
        limbs, width = directed_limbs(skeleton), 2 * channels
        joints = len(skeleton.joints)
        self.voting = Voting(limbs=limbs, radius=radius)
        self.register_buffer("limbs", torch.tensor(limbs), persistent=False)
        self.frames = contract.FrameNet(features, multiple=stride)
        self.trunk = nn.Sequential(
            conv(channels, width, stride=stride // contract.STRIDE),
            conv(width, width),
            conv(width, width),
        )
        outputs = {"discs": joints, "short": 2 * joints, "mid": 2 * len(limbs)}
        self.heads = nn.ModuleDict({k: nn.Conv2d(width, n, 1) for k, n in outputs.items()})

    def forward(self, images: Tensor) -> PersonLabOutputs:
        features = self.trunk(self.frames(images))
        heads = {name: head(features) for name, head in self.heads.items()}
        for name in ("short", "mid"):
            heads[name] = self.radius * heads[name].unflatten(1, (-1, 2))
        return PersonLabOutputs(**heads)

    def targets(self, people: Sequence[contract.FramePeople]) -> PersonLabTargets:
        return personlab_targets(people, self.limbs.cpu(), stride=self.stride, radius=self.radius)

    def losses(self, outputs: PersonLabOutputs, targets: PersonLabTargets) -> dict[str, Tensor]:
        """Cross-entropy of discs, absolute errors of offsets in radii."""
        entropy = F.binary_cross_entropy_with_logits(outputs.discs, targets.discs, reduction="none")
        masks = {"short": targets.discs > 0, "mid": targets.mid_mask}
        errors = {
            name: masked_mean(
                (getattr(outputs, name) - getattr(targets, name)).abs().sum(2) / self.radius, where
            )
            for name, where in masks.items()
        }
        terms = {"discs": masked_mean(entropy, targets.discs_mask)} | errors
        return {name: weight * terms[name] for name, weight in WEIGHTS.items()}

    def decode(self, outputs: PersonLabOutputs) -> list[FoundPeople]:
        """The people of each frame."""
        chances = {"discs": outputs.discs.sigmoid()}
        return vote_people(vars(outputs) | chances, self.voting, stride=self.stride)


@dataclass(frozen=True, kw_only=True)
class Voting:
    """Thresholds of roots and duplicates; defaults are the paper's.

    `limbs` (E pairs of joints: from, to) and `radius` in cells: those of the targets. `refine`:
    number of corrections of mid offsets by short ones. Cells whose disc's probability is
    above `vote` vote (in the paper all do). A root has votes above `root`; it is a duplicate
    if it is within `same` of a found person's joint (of the radius; the paper's 10 px of 32).
    `inside`: probability of a disc. People below `score` are dropped: three joints of
    seventeen pass. `maximum`: roots in a frame.
    """

    limbs: tuple[tuple[int, int], ...]
    radius: float
    refine: int = 2
    vote: float = 0.1
    root: float = 0.01
    same: float = 10 / 32
    inside: float = 0.5
    score: float = 0.15
    maximum: int = 600


@dataclass(frozen=True, kw_only=True)
class Maps:
    """The network's outputs for one frame: `discs` (J, h, w) from 0 to 1, offsets `short`
    (J, 2, h, w) and `mid` (E, 2, h, w) in cells."""

    discs: F64
    short: F64
    mid: F64


def vote_people(outputs: Mapping[str, Tensor], voting: Voting, *, stride: int) -> list[FoundPeople]:
    """The people of each frame; `outputs` by the names of Maps, with leading axis B."""
    arrays = {name: finite(value) for name, value in outputs.items()}
    found = []
    for b in range(len(arrays["discs"])):
        maps = Maps(**{name: value[b] for name, value in arrays.items()})
        joint, root = find_roots(hough_votes(maps, voting), voting)
        corrected = correct(maps, voting)
        xy, scores, score = choose_people(maps, corrected, voting, joint, root)
        found.append(FoundPeople(joints_px=xy * stride, scores=scores, score=score))
    return found


def hough_votes(maps: Maps, voting: Voting) -> F64:
    """Votes (J, h + 2, w + 2) for joints, a cell wider on each side: of every cell, its disc's
    probability for the target of its short offset, bilinear. A whole disc's sum to about 1."""
    joints, h, w = maps.discs.shape
    at = np.flatnonzero(maps.discs > voting.vote)
    joint, x, y = _led(maps, at)
    x, y = x + 0.5, y + 0.5  # of the padded cells' centres, counted from 0
    ok = (x >= 0) & (x < w + 1) & (y >= 0) & (y < h + 1)
    if not ok.all():
        at, joint, x, y = at[ok], joint[ok], x[ok], y[ok]
    weight = maps.discs.reshape(-1)[at] / (np.pi * voting.radius**2)
    left, top = x.astype(np.int64), y.astype(np.int64)
    right, down = x - left, y - top
    corner = (joint * (h + 2) + top) * (w + 2) + left
    over, under, far = weight * (1 - down), weight * down, 1 - right
    places = np.concatenate([corner, corner + 1, corner + w + 2, corner + w + 3])
    parts = [over * far, over * right, under * far, under * right]
    size = (joints, h + 2, w + 2)
    return np.bincount(places, np.concatenate(parts), minlength=math.prod(size)).reshape(size)


def _led(maps: Maps, at: I64) -> tuple[I64, F64, F64]:
    """The joints of cells `at` (N,) of all discs, and the targets x, y of their short offsets.

    Cells of all joints are numbered joint by joint, row by row.
    """
    _, h, w = maps.discs.shape
    joint, cell = np.divmod(at.astype(np.int32), h * w)  # which divides faster than int64
    row, column = np.divmod(cell, w)
    offset = maps.short.reshape(-1)
    there = at + joint * (h * w)
    return joint, column + 0.5 + offset[there], row + 0.5 + offset[there + h * w]


def find_roots(votes: F64, voting: Voting) -> tuple[I64, F64]:
    """Joints (C,) and positions (C, 2) in cells of candidates, most votes first: maxima, at the
    mean of the votes in 3 x 3 cells, exact for votes that agree."""
    padded = np.pad(votes, ((0, 0), (1, 1), (1, 1)))
    _, high, wide = padded.shape
    flat = padded.reshape(-1)
    at = np.flatnonzero(flat > voting.root)
    steps = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1)]
    away = [r * wide + c for r, c in steps]
    for k in (1, 7, 3, 5, 0, 8, 2, 6):  # most cells are eliminated at the first
        here, other = flat[at], flat[at + away[k]]
        at = at[other < here if k < 4 else other <= here]
    around = flat[at[:, None] + away]
    joint, cell = np.divmod(at, high * wide)
    row, column = np.divmod(cell, wide)
    total = around.sum(1)
    x = column - 1.5 + around @ [c for _, c in steps] / total
    y = row - 1.5 + around @ [r for r, _ in steps] / total
    order = np.argsort(-total, kind="stable")[: voting.maximum]
    return joint[order], np.stack([x, y], -1)[order]


def grow(
    maps: Maps, corrected: Corrected, voting: Voting, joint: I64, root: F64
) -> tuple[F64, F64]:
    """The joints (C, J, 2) and their scores (C, J) of the people grown from roots (C, 2).

    All grow in parallel, a limb per step: from the most confident joint with an unplaced neighbour.
    A joint's score is its disc's probability there, 0 outside the frame.
    """
    count, (joints, h, w) = len(joint), maps.discs.shape
    begin, end = np.array(voting.limbs).T
    mid, discs = maps.mid.reshape(-1), maps.discs.reshape(-1)
    every = np.arange(count)
    x, y = np.full((2, joints, count), np.nan)
    scores = np.full((joints, count), -1.0)
    placed = np.zeros((joints, count))  # 2 for placed joints: above any score
    cell = np.zeros((joints, count), np.int64)  # in which a joint lies
    who, b, px, py = every, joint, root[:, 0], root[:, 1]
    for step in range(joints):
        if step:
            worth = scores.take(begin, 0)
            worth -= placed.take(end, 0)
            limb = worth.argmax(0)
            who = np.flatnonzero(worth[limb, every] >= 0)  # all, unless a skeleton is disconnected
            limb = limb[who]
            b, here = end[limb], cell[begin[limb], who]
            there = limb * (2 * h * w) + here
            row, column = np.divmod(here, w)
            px, py = column + 0.5 + mid[there], row + 0.5 + mid[there + h * w]
            px, py = corrected.places(b, px, py)
        at, inside = _cells(px, py, h, w)
        slot = b * count + who
        for table, value in ((x, px), (y, py), (cell, at), (placed, 2.0)):
            table.reshape(-1)[slot] = value
        scores.reshape(-1)[slot] = discs[b * (h * w) + at] * inside
    return np.stack([x.T, y.T], -1), scores.T.clip(0)


def _cells(x: F64, y: F64, h: int, w: int) -> tuple[I64, Bool]:
    """Indices of the cells of positions, clipped to the frame, and whether they are inside."""
    column = np.minimum(np.maximum(x, 0), w - 1).astype(np.int64)
    row = np.minimum(np.maximum(y, 0), h - 1).astype(np.int64)
    return row * w + column, (x >= 0) & (x < w) & (y >= 0) & (y < h)


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """Targets of short offsets of all joints' cells: `x`, `y` (J * h * w,), NaN outside discs."""

    x: F64
    y: F64
    size: tuple[int, int]

    def places(self, joint: I64, x: F64, y: F64) -> tuple[F64, F64]:
        """Positions x, y of joints, corrected inside discs."""
        h, w = self.size
        at, inside = _cells(x, y, h, w)
        at += joint * (h * w)
        to_x = self.x[at]
        led = inside & (to_x == to_x)  # not NaN
        return np.where(led, to_x, x), np.where(led, self.y[at], y)


def correct(maps: Maps, voting: Voting) -> Corrected:
    """Follow the short offsets `refine` times."""
    joints, h, w = maps.discs.shape
    nothing = np.full(joints * h * w, np.nan, np.float32)
    found = Corrected(x=nothing, y=nothing, size=(h, w))
    at = np.flatnonzero(maps.discs > voting.inside)
    joint, x, y = _led(maps, at)
    for k in range(voting.refine):
        x, y = found.places(joint, x, y) if k else (x, y)
        tables = nothing.copy(), nothing.copy()
        tables[0][at], tables[1][at] = x, y
        found = Corrected(x=tables[0], y=tables[1], size=(h, w))
    return found


def choose_people(
    maps: Maps, corrected: Corrected, voting: Voting, joint: I64, root: F64
) -> tuple[F64, F64, F64]:
    """Joints (P, J, 2), their scores (P, J) and the people's (P,), most confident first.

    A root is dropped at the joint of a person with more votes. A person's score
    is the mean over joints, those that are another's with more votes counting 0.
    """
    reach = (voting.same * voting.radius) ** 2
    free = np.ones(len(joint), bool)
    places = np.empty((0, len(maps.discs), 2))
    scores: list[F64] = []
    score: list[float] = []
    grown, confidence = grow(maps, corrected, voting, joint, root)
    for c in range(len(joint)):
        if free[c]:
            xy = grown[c]
            apart = ((places - xy) ** 2).sum(-1) > reach
            value = float(confidence[c] @ apart.all(0)) / len(xy)
            free &= ((xy[joint] - root) ** 2).sum(-1) > reach
            if value > voting.score:
                places = np.concatenate([places, xy[None]])
                scores.append(confidence[c])
                score.append(value)
    order = np.argsort(-np.array(score), kind="stable")
    return places[order], np.array(scores).reshape(places.shape[:2])[order], np.array(score)[order]
