"""People from OpenPose's confidence maps and part affinity fields. NumPy, frame after frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synthstudio.models.bottom_up.contract import F64, I64, FoundPeople, finite
from synthstudio.models.heatmaps import find_peaks


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """What counts as a peak, a limb and a person; the numbers are the authors'.

    `limbs` (L pairs of joints). `sigma`: of the maps' Gaussians, in cells. `refine`: peaks below
    the cell. A limb needs affinity above `affinity` in a share `agree` of `samples` along it; a
    person `joints` of them and a mean score above `score`. `most`: peaks of one joint in a frame.
    """

    limbs: tuple[tuple[int, int], ...]
    sigma: float
    refine: bool = True
    peak: float = 0.1
    affinity: float = 0.05
    agree: float = 0.8
    samples: int = 10
    joints: int = 3
    score: float = 0.2
    most: int = 64


@dataclass(frozen=True, kw_only=True)
class Limbs:
    """C limbs that the fields agree on: `limb` (C,), the peaks at both ends `begin`, `end` (C,)
    among those of their joint, `score` (C,); the best first."""

    limb: I64
    begin: I64
    end: I64
    score: F64


def group_people(
    maps: Tensor, fields: Tensor, grouping: Grouping, *, stride: int
) -> list[FoundPeople]:
    """The people of each frame; maps (B, J + 1, h, w), fields (B, L, 2, h, w)."""
    joints, whole = torch.from_numpy(finite(maps[:, :-1])), finite(fields)
    sigma = grouping.sigma if grouping.refine else None
    peaks = find_peaks(joints, count=grouping.most, least=grouping.peak, sigma=sigma)
    places, scores = peaks.xy.numpy(), peaks.score.numpy()
    if not grouping.refine:
        places = np.floor(places) + 0.5
    found = []
    for xy, score, field in zip(places, scores, whole, strict=True):
        limbs = find_limbs(xy, score, field, grouping)
        found.append(_people(xy, score, limbs, grouping, stride))
    return found


def find_limbs(xy: F64, score: F64, fields: F64, grouping: Grouping) -> Limbs:
    """The limbs between peaks `xy` (J, K, 2) of `score` (J, K), 0 where there is none.

    A pair's score is the mean affinity along it; for each limb the best pairs are taken greedily,
    a peak once.
    """
    ends = np.array(grouping.limbs)
    pair = (score[ends[:, 0]] > 0)[:, :, None] & (score[ends[:, 1]] > 0)[:, None]
    limb, begin, end = np.nonzero(pair)  # all pairs of all limbs at once
    a, b = xy[ends[limb, 0], begin], xy[ends[limb, 1], end]
    # A limb fails when more samples disagree than may: the middle ones decide most pairs.
    least = int(np.ceil(grouping.agree * grouping.samples - 1e-9))
    few = np.linspace(0, 1, grouping.samples)[:: max(1, grouping.samples - least)]
    hopeful = np.flatnonzero((_affinity(fields, limb, a, b, few) > grouping.affinity).any(1))
    limb, begin, end, a, b = (v[hopeful] for v in (limb, begin, end, a, b))
    along = _affinity(fields, limb, a, b, np.linspace(0, 1, grouping.samples))
    kept = (along > grouping.affinity).sum(1) >= least
    limb, begin, end, mean = limb[kept], begin[kept], end[kept], along[kept].mean(1)
    order = np.argsort(-mean, kind="stable")
    taken: set[tuple[int, int, int]] = set()
    best = []
    for c, key in zip(
        order.tolist(),
        zip(limb[order].tolist(), begin[order].tolist(), end[order].tolist(), strict=True),
        strict=True,
    ):
        sides = {(key[0], 0, key[1]), (key[0], 1, key[2])}
        if taken.isdisjoint(sides):
            taken |= sides
            best.append(c)
    return Limbs(limb=limb[best], begin=begin[best], end=end[best], score=mean[best])


def _affinity(fields: F64, limb: I64, a: F64, b: F64, at: F64) -> F64:
    """(C, S) how well the fields point from a to b (C, 2) in the cells at shares `at` (S,)."""
    _, _, h, w = fields.shape
    along = b - a
    length = np.sqrt((along**2).sum(1, keepdims=True))
    unit = along / np.maximum(length, 1e-6)
    column = (a[:, :1] + at * along[:, :1]).astype(np.int64).clip(0, w - 1)
    row = (a[:, 1:] + at * along[:, 1:]).astype(np.int64).clip(0, h - 1)
    cell = (2 * limb[:, None] * h + row) * w + column
    flat = fields.reshape(-1)
    return np.asarray(unit[:, :1] * flat[cell] + unit[:, 1:] * flat[cell + h * w])


def _people(
    xy: F64, score: F64, limbs: Limbs, grouping: Grouping, stride: int
) -> FoundPeople:
    """Limbs joined to people where they share a peak, the best limb first.

    A limb that would give a person two peaks of one joint contradicts better ones and is left out.
    """
    owner: dict[tuple[int, int], int] = {}  # (joint, peak) -> person
    people: dict[int, dict[int, int]] = {}  # person -> joint -> peak
    sums: dict[int, list[float]] = {}  # person -> scores of its limbs
    rows = (limbs.limb.tolist(), limbs.begin.tolist(), limbs.end.tolist(), limbs.score.tolist())
    for new, (limb, begin, end, value) in enumerate(zip(*rows, strict=True)):
        sides = tuple(zip(grouping.limbs[limb], (begin, end), strict=True))
        known = [owner[s] for s in sides if s in owner]
        into = min(known, default=new)
        parts = [people[p] for p in {*known, into} if p in people]
        parts += [{joint: peak} for joint, peak in sides]
        joined: dict[int, int] = {}
        for part in parts:
            if any(joined.get(joint, peak) != peak for joint, peak in part.items()):
                break
            joined |= part
        else:
            for p in {*known} - {into}:
                people.pop(p)
                sums[into] += sums.pop(p)
            people[into] = joined
            sums.setdefault(into, []).append(value)
            owner.update(((joint, peak), into) for joint, peak in joined.items())
    return _found(xy, score, list(people.values()), list(sums.values()), grouping, stride)


def _found(
    xy: F64,
    score: F64,
    people: list[dict[int, int]],
    limbs: list[list[float]],
    grouping: Grouping,
    stride: int,
) -> FoundPeople:
    """Those with enough joints and score: the mean over their peaks and limbs."""
    joints = np.full((len(people), len(xy), 2), np.nan)
    scores = np.zeros(joints.shape[:2])
    for p, person in enumerate(people):
        at, peak = list(person), list(person.values())
        joints[p, at], scores[p, at] = xy[at, peak], score[at, peak]
    count = (scores > 0).sum(1)
    many = np.array([len(each) for each in limbs], np.float64)
    mean = (scores.sum(1) + [sum(each) for each in limbs]) / np.maximum(count + many, 1)
    kept = np.flatnonzero((count >= grouping.joints) & (mean > grouping.score))
    kept = kept[np.argsort(-mean[kept], kind="stable")]
    return FoundPeople(
        joints_px=joints[kept] * stride, scores=scores[kept].clip(0, 1), score=mean[kept].clip(0, 1)
    )
