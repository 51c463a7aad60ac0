"""What the proof measures of each network, and the table that comes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.proof_arms import ARMS, HELD_FAMILIES
from synthstudio.core.labels import CAUSES, STATE_HIDDEN, STATE_VISIBLE
from synthstudio.core.skeleton import Skeleton
from synthstudio.evaluation.formatting import interval
from synthstudio.evaluation.intervals import Interval, paired_interval, ratio_interval
from synthstudio.evaluation.metrics import pck_by_group, truth_of
from synthstudio.evaluation.precision import average_precision
from synthstudio.evaluation.storage import Predictions, select

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]
SEED = 7
ROUNDS = 2000
HITS = {
    "hidden": "hidden joints",
    "by others": "hidden by things or people",
    "visible": "visible joints",
    "clean": "clean frames, all joints",
    "hidden@0.2": "hidden joints, PCK@0.2",
    "poses": "hidden joints, unseen poses of seen families",
    "families": "hidden joints, unseen families of poses",
}
"""Measures with an interval: PCK@0.1 of the amodal box's longer side unless they say otherwise."""


def measured(answers: Predictions, skeleton: Skeleton) -> dict[str, Any]:
    """Hits and counts by group for HITS, and OKS-AP with amodal areas, as plain values."""
    hits = {}
    for name, (which, at) in _parts(answers).items():
        right, counted = pck_by_group(answers, which, at=at)
        hits[name] = {"hits": right[0].tolist(), "counts": counted[0].tolist()}
    occluded = select(answers, answers.variant == "base")
    score = occluded.score.mean(1)  # every arm's own chance of the maps; only ORN says a quality
    hidden = occluded.known & (occluded.state == STATE_HIDDEN)
    aps = {}
    for name, only in (("AP", None), ("AP hidden", hidden)):
        found = average_precision(
            truth_of(occluded), occluded.xy, score, sigmas=skeleton.sigmas, only=only
        )
        aps[name] = None if np.isnan(found["AP"]) else found["AP"]
    return {"hits": hits, "AP": aps}


def _parts(answers: Predictions) -> dict[str, tuple[Bools, float]]:
    base, clean = (answers.known & (answers.variant == v)[:, None] for v in ("base", "clean"))
    hidden = base & (answers.state == STATE_HIDDEN)
    new = np.isin(answers.family, HELD_FAMILIES)[:, None]
    others = np.isin(answers.cause, [CAUSES.index(c) for c in ("object", "person")])
    return {
        "hidden": (hidden, 0.1),
        "by others": (hidden & others, 0.1),
        "visible": (base & (answers.state == STATE_VISIBLE), 0.1),
        "clean": (clean, 0.1),
        "hidden@0.2": (hidden, 0.2),
        "poses": (hidden & ~new, 0.1),
        "families": (hidden & new, 0.1),
    }


@dataclass(frozen=True, kw_only=True)
class Found:
    """All results at hand: (arm, seed) -> what `measured` returned, with what training cost."""

    results: Mapping[tuple[str, int], Mapping[str, Any]]

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms with results, in the order of ARMS."""
        return tuple(name for name in ARMS if any(arm == name for arm, _ in self.results))

    def seeds(self, arm: str) -> list[int]:
        """The seeds of an arm."""
        return sorted(seed for name, seed in self.results if name == arm)

    def sides(self, arm: str, measure: str, seeds: list[int]) -> tuple[F64, F64]:
        """Return (S, G) hits and counts."""
        rows = [self.results[arm, seed]["hits"][measure] for seed in seeds]
        return np.array([r["hits"] for r in rows]), np.array([r["counts"] for r in rows])

    def value(self, arm: str, measure: str) -> Interval:
        """A measure of an arm over its seeds and all groups."""
        sides = self.sides(arm, measure, self.seeds(arm))
        return ratio_interval(*sides, seed=SEED, rounds=ROUNDS)

    def difference(self, ours: str, theirs: str, measure: str) -> Interval:
        """How much better ours is, paired by seed and group."""
        seeds = sorted(set(self.seeds(ours)) & set(self.seeds(theirs)))
        return paired_interval(
            self.sides(ours, measure, seeds),
            self.sides(theirs, measure, seeds),
            seed=SEED,
            rounds=ROUNDS,
        )

    def precision(self, arm: str, name: str) -> str:
        """An AP's mean and the range of its seeds."""
        values = [self.results[arm, seed]["AP"][name] for seed in self.seeds(arm)]
        reported = [100 * v for v in values if v is not None]
        if not reported:
            return "-"
        return f"{np.mean(reported):.1f} ({min(reported):.1f} to {max(reported):.1f})"


def read(folder: Path, arms: tuple[str, ...], seeds: int) -> Found:
    """What lies in a folder of results, of these arms and of the first `seeds` seeds."""
    results = {}
    for path in sorted(folder.glob("*.json")):
        reported = json.loads(path.read_text(encoding="utf-8"))
        if reported["arm"] in arms and reported["seed"] < seeds:
            results[reported["arm"], reported["seed"]] = reported
    return Found(results=results)


@dataclass(frozen=True, kw_only=True)
class Aim:
    """A line that is to hold: ours minus theirs."""

    text: str
    ours: str
    theirs: str
    measure: str
    holds: Callable[[Interval], bool]


AIMS = (
    Aim(
        text="(c) beats (a) by 10 points, hidden",
        ours="c",
        theirs="a",
        measure="hidden",
        holds=lambda d: d.value >= 0.1,
    ),
    Aim(
        text="(c) beats (a') by 10 points, hidden",
        ours="c",
        theirs="a'",
        measure="hidden",
        holds=lambda d: d.value >= 0.1,
    ),
    Aim(
        text="(c) beats (b) by 5 points, hidden",
        ours="c",
        theirs="b",
        measure="hidden",
        holds=lambda d: d.value >= 0.05,
    ),
    Aim(
        text="(c) beats (g), the interval excludes zero, hidden",
        ours="c",
        theirs="g",
        measure="hidden",
        holds=lambda d: d.low > 0,
    ),
    Aim(
        text="(c) loses at most 1 point to (a) on clean frames",
        ours="c",
        theirs="a",
        measure="clean",
        holds=lambda d: d.value >= -0.01,
    ),
    Aim(
        text="(d) beats (c), the interval excludes zero, hidden",
        ours="d",
        theirs="c",
        measure="hidden",
        holds=lambda d: d.low > 0,
    ),
    Aim(
        text="the poses' last word helps: (c) against (c) without it, hidden",
        ours="c",
        theirs="c-joined",
        measure="hidden",
        holds=lambda d: d.low > 0,
    ),
    Aim(
        text="attention helps: (c) with it against (c), hidden",
        ours="attention",
        theirs="c",
        measure="hidden",
        holds=lambda d: d.low > 0,
    ),
    Aim(
        text="refinement helps: (c) against (c) without it, hidden",
        ours="c",
        theirs="no-refinement",
        measure="hidden",
        holds=lambda d: d.low > 0,
    ),
)


def tables(found: Found) -> str:
    """The figures of all arms and the aims, as Markdown."""
    return "\n\n".join([_figures(found), _precisions(found), _aims(found)])


def _figures(found: Found) -> str:
    lines = ["| arm | " + " | ".join(HITS.values()) + " |", "|---" * (1 + len(HITS)) + "|"]
    for arm in found.arms:
        cells = [interval(vars(found.value(arm, measure))) for measure in HITS]
        lines.append(f"| ({arm}) {ARMS[arm].title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _precisions(found: Found) -> str:
    lines = [
        "| arm | OKS-AP, occluded frames | OKS-AP, hidden joints alone | seeds | "
        "GFLOP a step | people a second |",
        "|---" * 6 + "|",
    ]
    for arm in found.arms:
        seeds = found.seeds(arm)
        cost = found.results[arm, seeds[0]]
        rates = [found.results[arm, seed]["rate"] for seed in seeds]
        rate = np.mean([r for r in rates if r] or [np.nan])  # 0: it was trained in another call
        cells = [
            found.precision(arm, "AP"),
            found.precision(arm, "AP hidden"),
            str(len(seeds)),
            f"{cost['step_gflops']:.2f}",
            f"{rate:.0f}",
        ]
        lines.append(f"| ({arm}) | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _aims(found: Found) -> str:
    lines = ["| aim | difference in points (95 %) | holds |", "|---|---|---|"]
    for aim in AIMS:
        if {aim.ours, aim.theirs} <= set(found.arms):
            apart = found.difference(aim.ours, aim.theirs, aim.measure)
            holds = "yes" if aim.holds(apart) else "**no**"
            lines.append(f"| {aim.text} | {apart.text()} | {holds} |")
    return "\n".join(lines)
