"""Hierarchical bootstrap intervals over seeds and groups of frames, single and paired.

Frames of a group show the same people and runs of a seed are correlated, so seeds are drawn
first, then whole groups; one draw of groups serves all drawn seeds. With 2 to 4 seeds intervals
are too narrow (`few_seeds_note`). Metrics that are not sums are a `Statistic` of group weights:
matching and sorting happen once. Letters: N rows, G groups, S seeds, R draws.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from synthstudio.core.arrays import F64, I64, Array, Bool
from synthstudio.core.rng import Generator, stream
from synthstudio.evaluation import measures
from synthstudio.evaluation.precision import Matches

Statistic = Callable[[F64], float]
"""Weights of groups (G,) -> the metric; NaN without data."""
ENOUGH_SEEDS, ENOUGH_GROUPS = 5, 50
MARGIN_DRAWS = 500
_BLOCK = 1 << 21
"""Numbers of draws in memory at once: 16 MB."""
_RECALLS = np.linspace(0, 1, 101)  # recall thresholds of pycocotools


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value and its 95 % percentile interval."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0

    def text(self, *, scale: float = 100) -> str:
        """Format as "+3.1 (+1.2 to +5.0)"."""
        value, low, high = (scale * v for v in (self.value, self.low, self.high))
        return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"

    def marked(self, *, scale: float = 100) -> str:
        """As `text`, with a star if it excludes zero; "-" without a value."""
        if not np.isfinite(self.value):
            return "-"
        return self.text(scale=scale) + (" *" if self.excludes_zero else "")


def table_text(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ([c.ljust(w) for c, w in zip(line, widths, strict=True)] for line in lines)
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def _percentile_interval(value: float, draws: F64) -> Interval:
    if not np.isfinite(draws).any() or not np.isfinite(value):
        return Interval(value=value, low=float("nan"), high=float("nan"))
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return Interval(value=value, low=float(low), high=float(high))


def few_seeds_note(seeds: int) -> str:
    """The caveat of intervals over fewer than 5 seeds; empty for more."""
    if seeds >= ENOUGH_SEEDS:
        return ""
    if seeds == 1:
        return "One seed: the spread between trainings is in no interval."
    return (
        f"Only {seeds} seeds: resampling underestimates the spread, so intervals are too narrow. "
        f"Use {ENOUGH_SEEDS} or more."
    )


def few_groups_note(groups: int) -> str:
    """The caveat of intervals over fewer than 50 moments; empty for more."""
    many = f"{groups} moment{'s' if groups > 1 else ''}"
    return "" if groups >= ENOUGH_GROUPS else f"Only {many}: intervals over so few are too narrow."


def _resamples(seeds: int, groups: int, *, seed: int, rounds: int) -> Iterator[tuple[I64, F64]]:
    """Yield batches of draws: counts of each seed (R, S) and each group (R, G)."""
    at_once = max(1, _BLOCK // groups)
    if rounds <= at_once:
        yield _all_resamples(seeds, groups, seed, rounds)
        return
    rng = stream(seed, "bootstrap")
    for begin in range(0, rounds, at_once):
        yield _drawn(rng, seeds, groups, min(at_once, rounds - begin))


@functools.lru_cache(maxsize=4)
def _all_resamples(seeds: int, groups: int, seed: int, rounds: int) -> tuple[I64, F64]:
    """Cached: all metrics of a table use the same draws."""
    return _drawn(stream(seed, "bootstrap"), seeds, groups, rounds)


def _drawn(rng: Generator, seeds: int, groups: int, rounds: int) -> tuple[I64, F64]:
    repeats, weights = np.empty((rounds, seeds), np.int64), np.empty((rounds, groups))
    for k in range(rounds):
        repeats[k] = np.bincount(rng.integers(0, seeds, seeds), minlength=seeds)
        weights[k] = np.bincount(rng.integers(0, groups, groups), minlength=groups)
    return repeats, weights


def group_sums(values: F64, subset: Bool, group: I64) -> tuple[F64, F64]:
    """(1, G) sums of the finite values (P, J) of a subset, and their numbers; `group` (P,): any
    numbers, G of them."""
    group, _ = renumbered(group)
    use = subset & np.isfinite(values)
    total, count = np.where(use, values, 0.0).sum(1), use.sum(1).astype(np.float64)
    sums = [np.bincount(group, part)[None].astype(np.float64) for part in (total, count)]
    return sums[0], sums[1]


def stacked(seeds: Sequence[tuple[F64, F64]]) -> tuple[F64, F64]:
    """(S, G) sums and counts of seeds, each (1, G)."""
    return np.concatenate([s for s, _ in seeds]), np.concatenate([c for _, c in seeds])


def ratio_interval(hits: F64, counts: F64, *, seed: int, rounds: int = 2000) -> Interval:
    """hits / counts over all, both (S, G); counts may be 0 in a group."""
    return paired_interval((hits, counts), None, seed=seed, rounds=rounds)


def paired_interval(
    first: tuple[F64, F64], second: tuple[F64, F64] | None, *, seed: int, rounds: int = 2000
) -> Interval:
    """Estimate first minus second, each (hits, counts) of (S, G), with the same draws for both."""
    sides = [first] if second is None else [first, second]
    seeds, groups = first[0].shape
    if not all(counts.sum() for _, counts in sides):
        return Interval(value=float("nan"), low=float("nan"), high=float("nan"))

    def differences(repeats: Array, weights: F64) -> F64:
        found = []
        for hits, counts in sides:
            right, total = (((weights @ part.T) * repeats).sum(1) for part in (hits, counts))
            found.append(np.where(total, right / np.where(total, total, 1), np.nan))
        return np.asarray(found[0] - found[1] if len(found) == 2 else found[0])

    resamples = _resamples(seeds, groups, seed=seed, rounds=rounds)
    draws = np.concatenate([differences(*resample) for resample in resamples])
    value = differences(np.ones((1, seeds)), np.ones((1, groups)))[0]
    return _percentile_interval(float(value), draws)


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """A statistic of all data, mean over seeds, and of each draw (R,)."""

    value: float
    draws: F64

    def interval(self) -> Interval:
        return _percentile_interval(self.value, self.draws)

    def minus(self, other: Bootstrap) -> Interval:
        """The paired difference; both must share seed, rounds and groups."""
        return _percentile_interval(self.value - other.value, self.draws - other.draws)


def bootstrap(seeds: Sequence[Statistic], *, groups: int, seed: int, rounds: int) -> Bootstrap:
    """Draw a statistic, given once for each seed."""
    draws = []
    for repeats, weights in _resamples(len(seeds), groups, seed=seed, rounds=rounds):
        for many, weight in zip(repeats.tolist(), weights, strict=True):
            values = [n * statistic(weight) for n, statistic in zip(many, seeds, strict=True) if n]
            draws.append(sum(values) / len(seeds))
    value = float(np.mean([statistic(np.ones(groups)) for statistic in seeds]))
    return Bootstrap(value=value, draws=np.array(draws))


def average_precision(found: Matches | None, group_of: dict[int, int]) -> Statistic:
    """AP over OKS 0.5 to 0.95, all sizes; `group_of`: each image's group. An image drawn k times
    counts as k images. NaN without matches."""
    if found is None:
        return lambda weight: float("nan")
    group = np.array([group_of[int(i)] for i in found.image], np.int64)
    owner = np.array([group_of[int(i)] for i in found.images], np.int64)

    def statistic(weight: F64) -> float:
        total = (weight[owner] * found.people).sum()
        if not total:
            return float("nan")
        each = weight[group]
        right = np.cumsum(found.hit * each, 1)
        answered = np.cumsum(found.counts * each, 1)
        precise = right / np.maximum(answered, np.spacing(1))
        best = np.maximum.accumulate(precise[:, ::-1], 1)[:, ::-1]
        best = np.concatenate([best, np.zeros((len(best), 1))], 1)
        at = [np.searchsorted(r, _RECALLS) for r in right / total]
        return float(np.take_along_axis(best, np.stack(at), 1).mean())

    return statistic


def auroc(score: F64, positive: Bool, group: I64) -> Statistic:
    """Probability that a positive scores above a negative, ties half; all (N,)."""
    values, place = np.unique(score, return_inverse=True)

    def statistic(weight: F64) -> float:
        each = weight[group]
        positives = np.bincount(place, each * positive, minlength=len(values))
        negatives = np.bincount(place, each * ~positive, minlength=len(values))
        below = np.cumsum(negatives) - negatives / 2
        pairs = positives.sum() * negatives.sum()
        return float((positives * below).sum() / pairs) if pairs else float("nan")

    return statistic


def macro_f1(truth: I64, predicted: I64, group: I64, *, classes: int) -> Statistic:
    """Mean F1 over the classes that occur; all (N,), classes from 0."""
    tables = _confusions(truth, predicted, group, classes)
    return lambda weight: measures.macro_f1(_weighted_sum(weight, tables))


def majority_f1(truth: I64, group: I64, *, classes: int) -> Statistic:
    """Macro F1 of always predicting the class that is commonest in the draw."""
    tables = _confusions(truth, truth, group, classes)
    return lambda weight: measures.majority_f1(_weighted_sum(weight, tables))


def _confusions(truth: I64, predicted: I64, group: I64, classes: int) -> F64:
    """Confusion tables (g, classes, classes) of the groups up to the last that occurs."""
    groups = int(group.max(initial=-1)) + 1
    cell = (group * classes + truth) * classes + predicted
    counts = np.bincount(cell, minlength=groups * classes**2)
    return counts.reshape(groups, classes, classes).astype(np.float64)


def _weighted_sum(weight: F64, tables: F64) -> Array:
    return np.asarray(np.einsum("g,gab->ab", weight[: len(tables)], tables))


def calibration_error(probability: F64, outcome: F64, group: I64, *, bins: int = 15) -> Statistic:
    """Expected calibration error of probabilities (N,), as `measures.reliability`."""
    groups = int(group.max(initial=-1)) + 1
    place = group * bins + np.minimum((probability * bins).astype(np.int64), bins - 1)
    # Per group and bin: excess of probabilities over outcomes.
    gap = np.bincount(place, probability - outcome, minlength=groups * bins).reshape(groups, bins)
    count = np.bincount(group, minlength=groups)

    def statistic(weight: F64) -> float:
        total = (weight[:groups] * count).sum()
        return float(np.abs(weight[:groups] @ gap).sum() / total) if total else float("nan")

    return statistic


@dataclass(frozen=True, kw_only=True)
class Margin:
    """A figure, its baseline, and the figure minus the baseline with the same draws for both."""

    value: Interval
    baseline: Interval
    difference: Interval


def _margin(value: Statistic, baseline: Statistic, *, groups: int, seed: int) -> Margin:
    a, b = (
        bootstrap([statistic], groups=groups, seed=seed, rounds=MARGIN_DRAWS)
        for statistic in (value, baseline)
    )
    return Margin(value=a.interval(), baseline=b.interval(), difference=a.minus(b))


def auroc_margin(score: F64, baseline: F64, visible: Bool, group: I64, *, seed: int) -> Margin:
    """AUROC of `score` beside that of `baseline`, for visibility; all (N,)."""
    group, groups = renumbered(group)
    return _margin(
        auroc(score, visible, group), auroc(baseline, visible, group), groups=groups, seed=seed
    )


def majority_margin(truth: I64, predicted: I64, group: I64, *, classes: int, seed: int) -> Margin:
    """Macro F1 beside that of always predicting the commonest class; all (N,)."""
    group, groups = renumbered(group)
    return _margin(
        macro_f1(truth, predicted, group, classes=classes),
        majority_f1(truth, group, classes=classes),
        groups=groups,
        seed=seed,
    )


def renumbered(group: I64) -> tuple[I64, int]:
    """Groups renumbered without empty ones, and their number (at least 1)."""
    names, place = np.unique(group, return_inverse=True)
    return place.astype(np.int64), max(len(names), 1)
