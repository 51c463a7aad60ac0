"""Metrics of each network on the held-out photos, and intervals of the differences.

Letters: P people, J joints, G photos, S seeds. A network's predictions are reduced to sums of each
photo and matched predictions before the next network is read: memory does not grow with arms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.core.skeleton import Skeleton
from synthstudio.evaluation import intervals
from synthstudio.evaluation.intervals import (
    Bootstrap,
    Interval,
    Statistic,
    paired_interval,
    ratio_interval,
)
from synthstudio.evaluation.metrics import pck_by_group, truth_of
from synthstudio.evaluation.precision import matches
from synthstudio.evaluation.storage import Predictions, select
from synthstudio.experiment.arms import Arm, Question

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]
SEED = 31
ROUNDS = {"PCK": 2000, "AP": 500}
PARTS = {
    "clean visible": "clean photos, visible joints",
    "clean hidden": "clean photos, joints marked as hidden",
    "occluded visible": "occluded people, visible joints",
    "occluded hidden": "occluded people, hidden joints",
    "under the paste": "occluded people, joints that the paste hides",
}
MEASURES = {
    "PCK": "PCK@0.1 of the box's longer side",
    "AP": "OKS-AP",
}


def parts(predictions: Predictions) -> dict[str, Bools]:
    """The joints (P, J) of each of PARTS; occluded people are those who lost something."""
    seen, hidden = predictions.state == STATE_VISIBLE, predictions.state == STATE_HIDDEN
    clean = predictions.known & (predictions.variant == "clean")[:, None]
    lost = (
        predictions.known
        & ((predictions.variant == "occluder") & (predictions.fraction > 0))[:, None]
    )
    paired = predictions.clean >= 0
    before = predictions.state[np.where(paired, predictions.clean, 0)] == STATE_VISIBLE
    return {
        "clean visible": clean & seen,
        "clean hidden": clean & hidden,
        "occluded visible": lost & seen,
        "occluded hidden": lost & hidden,
        "under the paste": lost & hidden & before & paired[:, None],
    }


@dataclass(frozen=True, kw_only=True)
class Reduction:
    """A network's predictions reduced: by part (hits, counts) of each photo, and AP as a function
    of how often each photo is drawn."""

    hits: Mapping[str, tuple[F64, F64]]
    precision: Mapping[str, Statistic]
    counts: Mapping[str, int]


def reduce(predictions: Predictions, skeleton: Skeleton) -> Reduction:
    hits, precision, counts = {}, {}, {}
    for name, subset in parts(predictions).items():
        hits[name] = pck_by_group(predictions, subset)
        counts[name] = int(subset.sum())
        precision[name] = _precision(predictions, subset, skeleton)
    return Reduction(hits=hits, precision=precision, counts=counts)


def _precision(predictions: Predictions, subset: Bools, skeleton: Skeleton) -> Statistic:
    counted = subset.any(1)
    people = select(predictions, np.flatnonzero(counted))
    score = people.score.mean(1)  # of the maps, in every arm: only ORN predicts a quality
    found = None
    if counted.any():
        found = matches(
            truth_of(people), people.xy, score, sigmas=skeleton.sigmas, only=subset[counted]
        )
    if found is None:
        return lambda weight: float("nan")
    group = dict(zip(people.frame.tolist(), people.group.tolist(), strict=True))
    return intervals.average_precision(found, group)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A metric of an arm, or a difference, on a part of the joints."""

    part: str
    measure: str
    found: Interval


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A question with its differences, ours minus theirs."""

    question: Question
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Metrics of each arm, differences of each question, joints counted by part."""

    arms: tuple[Arm, ...]
    seeds: int
    figures: Mapping[str, tuple[Cell, ...]]
    comparisons: tuple[Comparison, ...]
    counts: Mapping[str, int]

    def cell(self, arm: str, part: str, measure: str) -> Interval:
        cells = self.figures[arm]
        return next(c.found for c in cells if (c.part, c.measure) == (part, measure))


def findings(
    arms: Sequence[Arm], results: Mapping[str, Sequence[Reduction]], questions: Sequence[Question]
) -> Findings:
    """Metrics and differences of arms by their seeds' results, all of the same photos."""
    drawn = {(arm.name, part): _drawn(results[arm.name], part) for arm in arms for part in PARTS}
    figures = {}
    for arm in arms:
        cells = []
        for part in PARTS:
            pck = ratio_interval(
                *_hits_and_counts(results[arm.name], part), seed=SEED, rounds=ROUNDS["PCK"]
            )
            cells.append(Cell(part=part, measure="PCK", found=pck))
            cells.append(Cell(part=part, measure="AP", found=drawn[arm.name, part].interval()))
        figures[arm.name] = tuple(cells)
    names = {arm.name for arm in arms}
    comparisons = [
        Comparison(question=q, cells=_differences(q, results, drawn))
        for q in questions
        if {q.ours, q.theirs} <= names
    ]
    first = results[arms[0].name]
    return Findings(
        arms=tuple(arms),
        seeds=len(first),
        figures=figures,
        comparisons=tuple(comparisons),
        counts=first[0].counts,
    )


def _differences(
    question: Question,
    results: Mapping[str, Sequence[Reduction]],
    drawn: Mapping[tuple[str, str], Bootstrap],
) -> tuple[Cell, ...]:
    cells = []
    for part in PARTS:
        pck = paired_interval(
            _hits_and_counts(results[question.ours], part),
            _hits_and_counts(results[question.theirs], part),
            seed=SEED,
            rounds=ROUNDS["PCK"],
        )
        cells.append(Cell(part=part, measure="PCK", found=pck))
        ap = drawn[question.ours, part].minus(drawn[question.theirs, part])
        cells.append(Cell(part=part, measure="AP", found=ap))
    return tuple(cells)


def _hits_and_counts(seeds: Sequence[Reduction], part: str) -> tuple[F64, F64]:
    """(S, G) hits and counts."""
    pairs = [seed.hits[part] for seed in seeds]
    return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])


def _drawn(seeds: Sequence[Reduction], part: str) -> Bootstrap:
    groups = seeds[0].hits[part][0].shape[1]
    return intervals.bootstrap(
        [s.precision[part] for s in seeds], groups=groups, seed=SEED, rounds=ROUNDS["AP"]
    )


def verdict(found: Interval) -> str:
    """What a difference shows: "helped", "harmed", "not shown" or "nothing to measure"."""
    if not np.isfinite(found.value) or not np.isfinite(found.low):
        return "nothing to measure"
    if not found.excludes_zero:
        return "not shown"
    return "helped" if found.value > 0 else "harmed"


def as_json(found: Findings) -> dict[str, Any]:
    """Plain values (NaN where there is nothing; `storage.json_ready` for JSON)."""

    def by_part(cells: Sequence[Cell]) -> dict[str, Any]:
        return {m: {c.part: vars(c.found) for c in cells if c.measure == m} for m in MEASURES}

    return {
        "seeds": found.seeds,
        "joints": dict(found.counts),
        "arms": {
            arm.name: {"title": arm.title} | by_part(found.figures[arm.name]) for arm in found.arms
        },
        "differences": [
            {"question": a.question.text, "ours": a.question.ours, "theirs": a.question.theirs}
            | by_part(a.cells)
            | {"verdict": {c.part: verdict(c.found) for c in a.cells if c.measure == "PCK"}}
            for a in found.comparisons
        ],
    }
