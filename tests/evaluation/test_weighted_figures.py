"""Figures by weights of groups equal the same figures of rows and pictures that are repeated."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from test_precision import BONES, a_truth

from synthstudio.core.rng import stream
from synthstudio.evaluation import calibration, intervals
from synthstudio.evaluation.intervals import ratio_interval
from synthstudio.evaluation.precision import Truth, average_precision, matches

RNG = stream(12, "weighted")
N, GROUPS = 300, 30
GROUP = RNG.integers(0, GROUPS, N)
TRUTH, SAID = RNG.integers(0, 3, N), RNG.integers(0, 3, N)
SCORE, SEEN = RNG.random(N).round(1), RNG.random(N) < 0.4  # with ties
WEIGHT = RNG.integers(0, 4, GROUPS).astype(float)
ROWS = np.repeat(np.arange(N), WEIGHT[GROUP].astype(int))


def repeated(truth: Truth, times: np.ndarray) -> tuple[Truth, np.ndarray]:
    """Return the people of each picture so many times, every time in a picture of its own."""
    rows, images = [], []
    for image in np.unique(truth.image):
        for k in range(int(times[image - 1])):
            own = np.flatnonzero(truth.image == image)
            rows += own.tolist()
            images += [int(image) * 100 + k] * len(own)
    again = {f.name: getattr(truth, f.name)[rows] for f in dataclasses.fields(truth)}
    return Truth(**(again | {"image": np.array(images)})), np.array(rows)


@pytest.mark.parametrize("seed", range(4))
def test_ap_equals_pycocotools_on_repeated_pictures(seed: int) -> None:
    truth, answer, score = a_truth()
    only = stream(seed, "only").random((40, 17)) < (1.0 if seed % 2 else 0.05)  # some have none
    group_of = {int(i): int(i) // 2 for i in np.unique(truth.image)}
    found = matches(truth, answer, score, sigmas=BONES.sigmas, only=only)
    assert found is not None
    figure = intervals.average_precision(found, group_of)
    weight = stream(seed, "weight").integers(0, 4, max(group_of.values()) + 1).astype(float)
    times = np.array([weight[group_of[i]] for i in range(1, truth.image.max() + 1)])
    again, rows = repeated(truth, times)
    wanted = average_precision(
        again, answer[rows], score[rows], sigmas=BONES.sigmas, only=only[rows]
    )
    assert figure(weight) == pytest.approx(wanted["AP"], abs=1e-9)
    whole = average_precision(truth, answer, score, sigmas=BONES.sigmas, only=only)
    assert figure(np.ones(len(weight))) == pytest.approx(whole["AP"], abs=1e-9)
    assert 0.05 < wanted["AP"] < 0.95 and wanted["AP"] != pytest.approx(whole["AP"], abs=1e-3)
    assert np.isnan(figure(np.zeros(len(weight))))


def f1(rows: np.ndarray) -> float:
    return calibration.macro_f1(calibration.confusion(TRUTH[rows], SAID[rows], classes=3))


def majority(rows: np.ndarray) -> float:
    return calibration.majority_f1(calibration.confusion(TRUTH[rows], SAID[rows], classes=3))


FIGURES: dict[str, tuple[intervals.Statistic, Callable[[np.ndarray], float]]] = {
    "auroc": (
        intervals.auroc(SCORE, SEEN, GROUP),
        lambda rows: calibration.auroc(SCORE[rows], SEEN[rows]),
    ),
    "f1": (intervals.macro_f1(TRUTH, SAID, GROUP, classes=3), f1),
    "majority": (intervals.majority_f1(TRUTH, GROUP, classes=3), majority),
    "ece": (
        intervals.calibration_error(SCORE, SEEN, GROUP),
        lambda rows: calibration.reliability(SCORE[rows], SEEN[rows]).ece,
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_equal_those_of_repeated_rows(name: str) -> None:
    figure, plain = FIGURES[name]
    assert figure(np.ones(GROUPS)) == pytest.approx(plain(np.arange(N)), abs=1e-12)
    assert figure(WEIGHT) == pytest.approx(plain(ROWS), abs=1e-12)
    assert plain(ROWS) != pytest.approx(plain(np.arange(N)), abs=1e-4)
    assert np.isnan(figure(np.zeros(GROUPS)))


def test_draws_are_those_of_the_plain_bootstrap() -> None:
    hits, counts = RNG.random((1, GROUPS)), np.ones((1, GROUPS))

    def mean(weight: np.ndarray) -> float:
        return float((hits[0] * weight).sum() / weight.sum())

    found = intervals.bootstrap([mean], groups=GROUPS, seed=3, rounds=200).interval()
    wanted = ratio_interval(hits, counts, seed=3, rounds=200)
    assert [found.value, found.low, found.high] == pytest.approx(
        [wanted.value, wanted.low, wanted.high]
    )


def test_seeds_are_drawn_and_pairs_stay_pairs() -> None:
    lucky = [lambda weight, k=k: float(k) for k in range(4)]  # whatever groups are drawn
    alone = intervals.bootstrap(lucky, groups=5, seed=1, rounds=400)
    assert alone.value == pytest.approx(1.5)
    assert alone.interval().high - alone.interval().low > 1.5
    seeds = [lambda weight, k=k: k + weight[0] for k in range(4)]
    drawn = intervals.bootstrap(seeds, groups=5, seed=1, rounds=400)
    more = [lambda weight, k=k: k + weight[0] + 0.5 for k in range(4)]
    apart = intervals.bootstrap(more, groups=5, seed=1, rounds=400).minus(drawn)
    assert [apart.value, apart.low, apart.high] == pytest.approx([0.5, 0.5, 0.5])
    with pytest.raises(ValueError, match="a seed"):
        intervals.bootstrap([], groups=5, seed=1, rounds=10)
