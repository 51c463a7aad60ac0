"""The hierarchical bootstrap: its intervals cover, and it does not mistake frames for evidence;
figures by weights of groups equal those of rows and pictures that are repeated."""

import dataclasses

import numpy as np
import pytest
from test_metrics import BONES, answers
from test_precision import a_truth

from synthstudio.core.rng import stream
from synthstudio.evaluation import intervals, measures
from synthstudio.evaluation.intervals import (
    auroc_margin,
    majority_margin,
    paired_interval,
    ratio_interval,
)
from synthstudio.evaluation.metrics import compute_metrics
from synthstudio.evaluation.precision import Truth, average_precision, matches


def test_value_is_the_plain_ratio():
    hits = np.array([[3.0, 1.0], [2.0, 0.0]])
    counts = np.array([[4.0, 2.0], [4.0, 2.0]])
    found = ratio_interval(hits, counts, seed=1, rounds=200)
    assert found.value == pytest.approx(0.5)
    assert found.low < 0.5 < found.high
    assert ratio_interval(hits, counts, seed=1, rounds=200) == found
    assert intervals.group_sums(hits, counts > 0, np.array([7, 2]))[0].tolist() == [[2, 4]]


def test_intervals_cover_as_often_as_they_say():
    rng = stream(11, "cover")
    inside = 0
    for run in range(120):
        chance = 0.5 + rng.normal(0, 0.1, (1, 80))
        counts = np.full((1, 80), 20.0)
        hits = rng.binomial(20, chance.clip(0, 1)).astype(float)
        found = ratio_interval(hits, counts, seed=run, rounds=300)
        inside += found.low <= 0.5 <= found.high
    assert 0.88 <= inside / 120 <= 0.99


def test_pairing_tells_what_single_intervals_cannot():
    rng = stream(12, "paired")
    counts = np.full((5, 60), 20.0)
    hard = rng.uniform(0.2, 0.8, (1, 60)) + rng.normal(0, 0.02, (5, 60))  # groups differ a lot
    theirs = (20 * hard).round()
    ours = theirs + (rng.random((5, 60)) < 0.8)  # one joint better in most groups
    found = paired_interval((ours, counts), (theirs, counts), seed=3, rounds=500)
    assert found.value == pytest.approx(0.04, abs=0.01)
    assert found.excludes_zero
    alone = ratio_interval(ours, counts, seed=3, rounds=500)
    assert alone.high - alone.low > found.high - found.low
    same = paired_interval((theirs, counts), (theirs, counts), seed=3, rounds=200)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    lucky = theirs.copy()
    lucky[0] += 6  # only the first of five runs is better
    one = paired_interval((lucky, counts), (theirs, counts), seed=5, rounds=800)
    assert not one.excludes_zero


# Margins over a baseline.

N = 1200
RNG = stream(4, "margins")
SEEN = RNG.random(N) < 0.6
GROUP = np.arange(N) // 10
CHANCE = RNG.random((2, N))


def test_a_real_margin_excludes_zero_and_chance_does_not():
    knows = np.where(SEEN, 0.3, 0.0) + CHANCE[0]
    real = auroc_margin(knows, CHANCE[1], SEEN, GROUP, seed=1)
    assert real.difference.low > 0.1
    assert real.value.low < real.value.value < real.value.high
    assert real.difference.value == pytest.approx(real.value.value - real.baseline.value)
    assert real.baseline.low < 0.5 < real.baseline.high
    assert not auroc_margin(CHANCE[0], CHANCE[1], SEEN, GROUP, seed=1).difference.excludes_zero
    same = auroc_margin(knows, knows, SEEN, GROUP, seed=1).difference
    assert same.value == same.low == same.high == 0
    better = np.where(SEEN, 0.4, 0.0) + CHANCE[0]  # right and wrong about the same joints
    found = auroc_margin(better, knows, SEEN, GROUP, seed=1)
    apart = (found.value.high - found.value.low) + (found.baseline.high - found.baseline.low)
    assert found.difference.high - found.difference.low < 0.4 * apart
    assert found.difference.low > 0


def test_causes_beat_the_majority_only_when_known():
    truth = RNG.choice(3, N, p=[0.7, 0.2, 0.1])
    guess = np.where(RNG.random(N) < 0.7, truth, RNG.integers(0, 3, N))
    real = majority_margin(truth, guess, GROUP, classes=3, seed=1)
    assert real.difference.low > 0.2
    share = (truth == 0).mean()
    assert real.baseline.value == pytest.approx(2 * share / (1 + share) / 3)
    majority = majority_margin(truth, np.zeros(N, int), GROUP, classes=3, seed=1).difference
    assert majority.value == 0 and not majority.excludes_zero


def test_rows_of_one_group_are_no_more_than_one():
    # Ten copies of each row, drawn as one group or apart.
    score, seen = np.repeat(CHANCE[0][:120], 10), np.repeat(SEEN[:120], 10)

    def width(group):
        found = auroc_margin(score, score, seen, group, seed=1).value
        return found.high - found.low

    assert width(GROUP) > 2 * width(np.arange(N))


def test_margins_stand_among_the_figures_and_nothing_has_none():
    reported = compute_metrics(answers(), BONES)["visibility"]
    for bar in ("peak", "mass"):
        assert reported[f"AUROC_over_{bar}"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert reported["cause_F1_over_majority"]["value"] == 0  # only one cause occurs
    none = np.zeros(0)
    found = auroc_margin(none, none, none > 0, none.astype(int), seed=1)
    for one in (found.value, found.baseline, found.difference):
        assert np.isnan([one.value, one.low, one.high]).all()


# Weights of groups.


def repeated(truth, times):
    """The people of each picture so many times, every time in a picture of its own."""
    rows, images = [], []
    for image in np.unique(truth.image):
        for k in range(int(times[image - 1])):
            own = np.flatnonzero(truth.image == image)
            rows += own.tolist()
            images += [int(image) * 100 + k] * len(own)
    again = {f.name: getattr(truth, f.name)[rows] for f in dataclasses.fields(truth)}
    return Truth(**(again | {"image": np.array(images)})), np.array(rows)


@pytest.mark.parametrize("seed", range(4))
def test_ap_equals_pycocotools_on_repeated_pictures(seed):
    truth, answer, score = a_truth()
    only = stream(seed, "only").random((40, 17)) < (1.0 if seed % 2 else 0.05)  # some have none
    group_of = {int(i): int(i) // 2 for i in np.unique(truth.image)}
    found = matches(truth, answer, score, sigmas=BONES.sigmas, only=only)
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


GROUPS = 30
OF = RNG.integers(0, GROUPS, 300)
TRUTH, SAID = RNG.integers(0, 3, 300), RNG.integers(0, 3, 300)
SCORE, TIED = RNG.random(300).round(1), RNG.random(300) < 0.4  # with ties
WEIGHT = RNG.integers(0, 4, GROUPS).astype(float)
ROWS = np.repeat(np.arange(300), WEIGHT[OF].astype(int))


def counts(rows):
    return measures.confusion(TRUTH[rows], SAID[rows], classes=3)


FIGURES = {
    "auroc": (
        intervals.auroc(SCORE, TIED, OF),
        lambda rows: measures.auroc(SCORE[rows], TIED[rows]),
    ),
    "f1": (
        intervals.macro_f1(TRUTH, SAID, OF, classes=3),
        lambda rows: measures.macro_f1(counts(rows)),
    ),
    "majority": (
        intervals.majority_f1(TRUTH, OF, classes=3),
        lambda rows: measures.majority_f1(counts(rows)),
    ),
    "ece": (
        intervals.calibration_error(SCORE, TIED, OF),
        lambda rows: measures.reliability(SCORE[rows], TIED[rows]).ece,
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_equal_those_of_repeated_rows(name):
    figure, plain = FIGURES[name]
    assert figure(np.ones(GROUPS)) == pytest.approx(plain(np.arange(300)), abs=1e-12)
    assert figure(WEIGHT) == pytest.approx(plain(ROWS), abs=1e-12)
    assert plain(ROWS) != pytest.approx(plain(np.arange(300)), abs=1e-4)
    assert np.isnan(figure(np.zeros(GROUPS)))


def test_seeds_are_drawn_and_pairs_stay_pairs():
    draws = {"groups": 5, "seed": 1, "rounds": 400}
    lucky = [lambda weight, k=k: float(k) for k in range(4)]  # whatever groups are drawn
    alone = intervals.bootstrap(lucky, **draws)
    assert alone.value == pytest.approx(1.5)
    assert alone.interval().high - alone.interval().low > 1.5
    drawn = intervals.bootstrap([lambda weight, k=k: k + weight[0] for k in range(4)], **draws)
    more = [lambda weight, k=k: k + weight[0] + 0.5 for k in range(4)]
    apart = intervals.bootstrap(more, **draws).minus(drawn)
    assert [apart.value, apart.low, apart.high] == pytest.approx([0.5, 0.5, 0.5])
