"""People from OpenPose's confidence maps and part affinity fields. NumPy, frame by frame."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from synthstudio.core.arrays import F64, I64
from synthstudio.models.bottom_up.contract import FoundPeople, finite
from synthstudio.models.heatmaps import find_peaks


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """Thresholds of peaks, limbs and people; defaults are the authors'.

    `limbs` (L pairs of joints). `sigma`: of the maps' Gaussians, in cells. A limb needs affinity
    above `affinity` in a share `agree` of `samples` along it; a person `joints` of them and a mean
    score above `score`. `maximum`: peaks of a joint in a frame.
    Among limbs of equal affinity shorter ones are preferred: one as long as the frame's
    diagonal loses `length`. (Shoulders of people in a row are collinear.)
    """

    limbs: tuple[tuple[int, int], ...]
    sigma: float
    peak: float = 0.1
    affinity: float = 0.05
    agree: float = 0.8
    samples: int = 10
    joints: int = 3
    score: float = 0.2
    maximum: int = 64
    length: float = 0.1


@dataclass(frozen=True, kw_only=True)
class Limbs:
    """C candidate limbs: `limb` (C,), the peaks at both ends `begin`, `end` (C,)
    among those of their joint, `score` (C,); best first."""

    limb: I64
    begin: I64
    end: I64
    score: F64


def group_people(
    maps: Tensor, fields: Tensor, grouping: Grouping, *, stride: int
) -> list[FoundPeople]:
    """The people of each frame; maps (B, J + 1, h, w), fields (B, L, 2, h, w)."""
    joints, whole = torch.from_numpy(finite(maps[:, :-1])), finite(fields)
    count, minimum = grouping.maximum, grouping.peak
    peaks = find_peaks(joints, count=count, minimum=minimum, sigma=grouping.sigma)
    places, scores = peaks.xy.numpy(), peaks.score.numpy()
    found = []
    for xy, score, field in zip(places, scores, whole, strict=True):
        limbs = find_limbs(xy, score, field, grouping)
        found.append(_people(xy, score, limbs, grouping, stride))
    return found


def find_limbs(xy: F64, score: F64, fields: F64, grouping: Grouping) -> Limbs:
    """The limbs between peaks `xy` (J, K, 2) of `score` (J, K), 0 where there is none: of each the
    pairs of highest mean affinity, greedily, a peak once."""
    ends = np.array(grouping.limbs)
    pair = (score[ends[:, 0]] > 0)[:, :, None] & (score[ends[:, 1]] > 0)[:, None]
    limb, begin, end = np.nonzero(pair)  # all pairs of all limbs at once
    a, b = xy[ends[limb, 0], begin], xy[ends[limb, 1], end]
    at = np.linspace(0, 1, grouping.samples)
    minimum = int(np.ceil(grouping.agree * grouping.samples - 1e-9))
    few = at[1 : 2 + grouping.samples - minimum]  # if all of these disagree, too many do
    hopeful = np.flatnonzero((_affinity(fields, limb, a, b, few) > grouping.affinity).any(1))
    limb, begin, end = limb[hopeful], begin[hopeful], end[hopeful]
    a, b = a[hopeful], b[hopeful]
    along = _affinity(fields, limb, a, b, at)
    kept = (along > grouping.affinity).sum(1) >= minimum
    limb, begin, end, mean = limb[kept], begin[kept], end[kept], along[kept].mean(1)
    reach = np.sqrt(((b - a)[kept] ** 2).sum(1)) / np.hypot(*fields.shape[-2:])
    order = np.argsort(grouping.length * reach - mean, kind="stable")
    width = xy.shape[1]
    begins = (limb * 2 * width + begin)[order].tolist()
    ends_taken = (limb * 2 * width + width + end)[order].tolist()
    taken: set[int] = set()
    best = []
    for c, first, second in zip(order.tolist(), begins, ends_taken, strict=True):
        if first not in taken and second not in taken:
            taken |= {first, second}
            best.append(c)
    return Limbs(limb=limb[best], begin=begin[best], end=end[best], score=mean[best])


def _affinity(fields: F64, limb: I64, a: F64, b: F64, at: F64) -> F64:
    """(C, S) affinity of the fields from a to b (C, 2) in the cells at fractions `at` (S,)."""
    _, _, h, w = fields.shape
    along = b - a
    unit = along / np.maximum(np.sqrt((along**2).sum(1, keepdims=True)), 1e-6)
    column = (a[:, :1] + at * along[:, :1]).astype(np.int64).clip(0, w - 1)
    row = (a[:, 1:] + at * along[:, 1:]).astype(np.int64).clip(0, h - 1)
    cell = (2 * limb[:, None] * h + row) * w + column
    flat = fields.reshape(-1)
    return np.asarray(unit[:, :1] * flat[cell] + unit[:, 1:] * flat[cell + h * w])


def _people(xy: F64, score: F64, limbs: Limbs, grouping: Grouping, stride: int) -> FoundPeople:
    """Limbs merged into people at common peaks, best first; one that would give a person two peaks
    of a joint is dropped."""
    width = xy.shape[1]  # a peak's number: joint * width + place among the joint's peaks
    sides = np.array(grouping.limbs)[limbs.limb] * width + np.stack([limbs.begin, limbs.end], 1)
    owner = {peak: peak for peak in np.unique(sides).tolist()}  # initially each peak is a person
    people = {peak: [peak] for peak in owner}
    joints = {peak: 1 << peak // width for peak in owner}  # bit mask of a person's joints
    affinities: dict[int, list[float]] = {peak: [] for peak in owner}
    for begin, end, value in zip(*sides.T.tolist(), limbs.score.tolist(), strict=True):
        into, other = owner[begin], owner[end]
        if into != other:
            if joints[into] & joints[other]:
                continue
            for peak in people[other]:
                owner[peak] = into
            people[into] += people.pop(other)
            joints[into] |= joints[other]
            affinities[into] += affinities.pop(other)
        affinities[into].append(value)
    return collect_people(
        xy,
        score,
        people.values(),
        affinities.values(),
        joints=grouping.joints,
        minimum=grouping.score,
        stride=stride,
    )


def collect_people(
    xy: F64,
    score: F64,
    people: Collection[list[int]],
    limbs: Collection[list[float]],
    *,
    joints: int,
    minimum: float,
    stride: int,
) -> FoundPeople:
    """People with `joints` joints and a score above `minimum`: the mean over their peaks and limbs.

    A person is the numbers of peaks: joint * K + place among the K of `xy` (J, K, 2), `score`
    (J, K). `limbs`: the scores of each person's limbs.
    """
    width = xy.shape[1]
    who = np.repeat(np.arange(len(people)), [len(each) for each in people])
    peaks = np.array([peak for each in people for peak in each], np.int64)
    places = np.full((len(people), len(xy), 2), np.nan)
    scores = np.zeros(places.shape[:2])
    places[who, peaks // width] = xy.reshape(-1, 2)[peaks]
    scores[who, peaks // width] = score.reshape(-1)[peaks]
    count = (scores > 0).sum(1)
    total = scores.sum(1) + [sum(each) for each in limbs]
    mean = total / np.maximum(count + [len(each) for each in limbs], 1)
    kept = np.flatnonzero((count >= joints) & (mean > minimum))
    kept = kept[np.argsort(-mean[kept], kind="stable")]
    return FoundPeople(
        joints_px=places[kept] * stride, scores=scores[kept].clip(0, 1), score=mean[kept].clip(0, 1)
    )
