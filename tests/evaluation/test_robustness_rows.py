"""Challenges against the plain scene: pairs are the same people, intervals are paired."""

import dataclasses

import made_predictions
import numpy as np
import pytest

from synthstudio.core.rng import stream
from synthstudio.evaluation.intervals import Interval
from synthstudio.evaluation.robustness import ChallengePair, as_json, paired, robustness_rows, text
from synthstudio.evaluation.storage import select

P, J = 60, 4


def predictions(*, right, seed=0):
    """60 people; so many of their joints are found, the last one is hidden."""
    rng = stream(seed, "robustness rows")
    true = rng.uniform(20, 80, (P, J, 2))
    missed = rng.random((P, J, 1)) >= right
    state = np.full((P, J), 2, np.uint8)
    state[:, -1] = 1
    return made_predictions.predictions(true, xy=true + np.where(missed, 50.0, 1.0), state=state)


def test_a_loss_is_found_and_none_is_not():
    plain, worse = predictions(right=0.9), predictions(right=0.5)
    same = ChallengePair(challenge=plain, plain=plain)
    rows = robustness_rows(
        {
            "a": {"dark": ChallengePair(challenge=worse, plain=plain), "none": same},
            "b": {"dark": same, "none": same},
        }
    )
    by = {(r.run, r.challenge, r.part): r for r in rows}
    assert len(by) == 8
    lost = by["a", "dark", "visible"]
    assert lost.change.high < -0.2
    assert lost.value.value == pytest.approx(0.5, abs=0.1)
    assert lost.plain.value == pytest.approx(0.9, abs=0.06)
    assert (lost.joints, lost.pairs, lost.to_first) == (P * 3, P, None)
    assert by["a", "none", "hidden"].change == Interval(value=0.0, low=0.0, high=0.0)
    ahead = by["b", "dark", "visible"].to_first
    assert ahead.low > 0.2
    assert "dark" in text(rows)
    assert as_json(rows)[0]["change"]["high"] == rows[0].change.high


def test_pairing_narrows_the_interval():
    plain = predictions(right=0.6)
    nearly = dataclasses.replace(plain, xy=plain.xy.copy())
    nearly.xy[:2] += 50  # two people get worse, all others are as they were
    change = robustness_rows({"a": {"dark": ChallengePair(challenge=nearly, plain=plain)}})[0]
    width = change.change.high - change.change.low
    assert width < (change.plain.high - change.plain.low) / 2


def test_pairs_are_the_first_people_of_the_same_frames():
    plain = predictions(right=1)
    crowd = dataclasses.replace(plain, instance=np.where(np.arange(P) % 2, 2, 1))
    pair = paired(crowd, plain)
    assert (pair.challenge.instance == 1).all()
    assert (pair.challenge.frame == pair.plain.frame).all()
    assert len(pair.challenge) == P // 2
    pair = paired(select(plain, np.arange(10, P)), plain)
    assert (pair.challenge.frame == pair.plain.frame).all()
    assert (pair.plain.frame == plain.frame[10:]).all()
