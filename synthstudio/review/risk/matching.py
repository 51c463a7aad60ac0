"""Matching of predictions to the people of a frame by joints or box."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synthstudio.core.arrays import F64, Bool
from synthstudio.core.masks import box_overlap, object_similarity
from synthstudio.core.skeleton import Skeleton
from synthstudio.review.values import JointLabel

MIN = 0.1
"""Minimum similarity (OKS, or overlap of boxes) of a match."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A person of a frame. `px` (J, 2) continuous pixels, NaN if the joint has no label
    in the picture; `box`: x, y, width, height."""

    instance: int
    px: F64
    box: Sequence[float]

    @property
    def known(self) -> Bool:
        return np.asarray(np.isfinite(self.px).all(axis=1))


def standing(
    instance: int,
    labels: Mapping[str, JointLabel],
    names: Sequence[str],
    box: Sequence[float] | None = None,
) -> Standing:
    """A person by their labels; without a box it is that of the joints."""
    px = np.full((len(names), 2), np.nan)
    for j, name in enumerate(names):
        label = labels.get(name)
        if label is not None and label.state in (1, 2) and label.place is not None:
            px[j] = label.place
    return Standing(
        instance=instance, px=px, box=box_of(px) if not box or box[2] <= 0 or box[3] <= 0 else box
    )


def box_of(px: F64) -> list[float]:
    """x, y, width and height round the known ones of (J, 2) points; zeros for none."""
    there = px[np.isfinite(px).all(axis=1)]
    if not len(there):
        return [0.0] * 4
    low, high = there.min(axis=0), there.max(axis=0)
    return [*low.tolist(), *(high - low).tolist()]


def likeness(px: F64, box: Sequence[float], person: Standing, skeleton: Skeleton) -> float:
    """OKS of points (J, 2) and a person's labels; overlap of boxes without labels."""
    if not person.known.any():
        return box_overlap(box, person.box)
    area = np.array([max(person.box[2] * person.box[3], 1.0)])
    oks = object_similarity(px[None], person.px[None], person.known[None], area, skeleton.sigmas)
    return float(oks[0, 0])


def mean_distance_px(px: F64, person: Standing) -> float | None:
    """Mean distance of points (J, 2) from a person's labels; None without a common joint."""
    apart = np.hypot(*(px - person.px).T)
    return float(np.nanmean(apart)) if np.isfinite(apart).any() else None


def match(
    found: Sequence[tuple[F64, Sequence[float]]], people: Sequence[Standing], skeleton: Skeleton
) -> list[int | None]:
    """For each of `found` (points (J, 2), box) its person's number, most similar first."""
    scores = (
        (likeness(px, box, person, skeleton), place, n)
        for place, (px, box) in enumerate(found)
        for n, person in enumerate(people)
    )
    chosen = greedy_matches(scores, MIN)
    return [people[chosen[k]].instance if k in chosen else None for k in range(len(found))]


def greedy_matches(scores: Iterable[tuple[float, int, int]], minimum: float) -> dict[int, int]:
    """Greedy one-to-one pairs of (similarity, one, other), best first."""
    chosen: dict[int, int] = {}
    for alike, one, other in sorted(scores, key=lambda score: (-score[0], *score[1:])):
        if alike >= minimum and one not in chosen and other not in chosen.values():
            chosen[one] = other
    return chosen


def places(joints: Mapping[str, Sequence[float]], names: Sequence[str]) -> F64:
    """(J, 2) positions of joints by name; NaN if missing."""
    nowhere = (math.nan, math.nan)
    return np.array([tuple(joints[n][:2]) if n in joints else nowhere for n in names], np.float64)
