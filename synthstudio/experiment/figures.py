"""What is measured of each network on the held-out photos, and the intervals of what it shows.

Letters: P people, J joints, G photos, S seeds. A network's answers are reduced to sums of each
photo and matched answers before the next network is looked at: memory does not grow with arms.
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


def parts(answers: Predictions) -> dict[str, Bools]:
    """Return the joints (P, J) of each of PARTS; occluded people are those who lost something."""
    seen, hidden = answers.state == STATE_VISIBLE, answers.state == STATE_HIDDEN
    clean = answers.known & (answers.variant == "clean")[:, None]
    lost = answers.known & ((answers.variant == "occluder") & (answers.fraction > 0))[:, None]
    paired = answers.clean >= 0
    before = answers.state[np.where(paired, answers.clean, 0)] == STATE_VISIBLE
    return {
        "clean visible": clean & seen,
        "clean hidden": clean & hidden,
        "occluded visible": lost & seen,
        "occluded hidden": lost & hidden,
        "under the paste": lost & hidden & before & paired[:, None],
    }


@dataclass(frozen=True, kw_only=True)
class Reduced:
    """What is left of a network's answers: by part (hits, counts) of each photo, and AP as a
    function of how often each photo is drawn."""

    hits: Mapping[str, tuple[F64, F64]]
    precision: Mapping[str, Statistic]
    counts: Mapping[str, int]


def reduce(answers: Predictions, skeleton: Skeleton) -> Reduced:
    """Return what the intervals need of a network's answers about the held-out photos."""
    hits, precision, counts = {}, {}, {}
    for name, which in parts(answers).items():
        right, counted = pck_by_group(answers, which)
        hits[name] = right, counted
        counts[name] = int(which.sum())
        precision[name] = _precision(answers, which, skeleton)
    return Reduced(hits=hits, precision=precision, counts=counts)


def _precision(answers: Predictions, which: Bools, skeleton: Skeleton) -> Statistic:
    asked = which.any(1)
    people = select(answers, np.flatnonzero(asked))
    score = people.score.mean(1)  # every arm's own chance of the maps: only ORN says a quality
    found = None
    if asked.any():
        found = matches(
            truth_of(people), people.xy, score, sigmas=skeleton.sigmas, only=which[asked]
        )
    if found is None:
        return lambda weight: float("nan")
    group = dict(zip(people.frame.tolist(), people.group.tolist(), strict=True))
    return intervals.average_precision(found, group)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A figure of an arm, or a difference, on a part of the joints."""

    part: str
    measure: str
    found: Interval


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A question with its differences, ours minus theirs."""

    question: Question
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that came out: figures of each arm, differences of each question, joints counted."""

    arms: tuple[Arm, ...]
    seeds: int
    figures: Mapping[str, tuple[Cell, ...]]
    answered: tuple[Answered, ...]
    counts: Mapping[str, int]

    def cell(self, arm: str, part: str, measure: str) -> Interval:
        """Return a figure of an arm."""
        return _cell(self.figures[arm], part, measure)


def _cell(cells: Sequence[Cell], part: str, measure: str) -> Interval:
    return next(c.found for c in cells if c.part == part and c.measure == measure)


def findings(
    arms: Sequence[Arm], results: Mapping[str, Sequence[Reduced]], questions: Sequence[Question]
) -> Findings:
    """Return figures and differences of arms by their seeds' results, all of the same photos."""
    drawn = {(arm.name, part): _drawn(results[arm.name], part) for arm in arms for part in PARTS}
    figures = {}
    for arm in arms:
        cells = []
        for part in PARTS:
            rated = ratio_interval(
                *_sides(results[arm.name], part), seed=SEED, rounds=ROUNDS["PCK"]
            )
            cells.append(Cell(part=part, measure="PCK", found=rated))
            cells.append(Cell(part=part, measure="AP", found=drawn[arm.name, part].interval()))
        figures[arm.name] = tuple(cells)
    names = {arm.name for arm in arms}
    answered = [
        Answered(question=q, cells=_differences(q, results, drawn))
        for q in questions
        if {q.ours, q.theirs} <= names
    ]
    first = results[arms[0].name]
    return Findings(
        arms=tuple(arms),
        seeds=len(first),
        figures=figures,
        answered=tuple(answered),
        counts=first[0].counts,
    )


def _differences(
    asked: Question,
    results: Mapping[str, Sequence[Reduced]],
    drawn: Mapping[tuple[str, str], Bootstrap],
) -> tuple[Cell, ...]:
    cells = []
    for part in PARTS:
        apart = paired_interval(
            _sides(results[asked.ours], part),
            _sides(results[asked.theirs], part),
            seed=SEED,
            rounds=ROUNDS["PCK"],
        )
        cells.append(Cell(part=part, measure="PCK", found=apart))
        precise = drawn[asked.ours, part].minus(drawn[asked.theirs, part])
        cells.append(Cell(part=part, measure="AP", found=precise))
    return tuple(cells)


def _sides(seeds: Sequence[Reduced], part: str) -> tuple[F64, F64]:
    """Return (S, G) hits and counts."""
    pairs = [seed.hits[part] for seed in seeds]
    return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])


def _drawn(seeds: Sequence[Reduced], part: str) -> Bootstrap:
    groups = seeds[0].hits[part][0].shape[1]
    return intervals.bootstrap(
        [s.precision[part] for s in seeds], groups=groups, seed=SEED, rounds=ROUNDS["AP"]
    )


def verdict(found: Interval) -> str:
    """Return what a difference shows: "helped", "harmed", "not shown" or "nothing to measure"."""
    if not np.isfinite(found.value) or not np.isfinite(found.low):
        return "nothing to measure"
    if not found.excludes_zero:
        return "not shown"
    return "helped" if found.value > 0 else "harmed"


def as_json(found: Findings) -> dict[str, Any]:
    """Return plain values (NaN where there is nothing; save.plain for JSON)."""

    def told(cells: Sequence[Cell]) -> dict[str, Any]:
        return {m: {c.part: vars(c.found) for c in cells if c.measure == m} for m in MEASURES}

    return {
        "seeds": found.seeds,
        "joints": dict(found.counts),
        "arms": {
            arm.name: {"title": arm.title} | told(found.figures[arm.name]) for arm in found.arms
        },
        "differences": [
            {"question": a.question.text, "ours": a.question.ours, "theirs": a.question.theirs}
            | told(a.cells)
            | {"verdict": {c.part: verdict(c.found) for c in a.cells if c.measure == "PCK"}}
            for a in found.answered
        ],
    }
