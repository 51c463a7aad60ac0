import math
from typing import Annotated

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from synthstudio.core.rng import stream
from synthstudio.recipe.schema.distributions import (
    Count,
    Number,
    Within,
    pick,
    sample,
    sample_count,
    support,
)

NUMBER = TypeAdapter(Number)
COUNT = TypeAdapter(Count)
REAL = st.floats(-1e6, 1e6, allow_nan=False)
PAIR = st.tuples(REAL, REAL).map(sorted)


@st.composite
def normals(draw):
    low, mean, high = sorted(draw(st.tuples(REAL, REAL, REAL)))
    sd = draw(st.floats(0, 1e5))
    return {"normal": {"mean": mean, "sd": sd, "low": low, "high": high}}


CHOICES = st.dictionaries(REAL, st.floats(0, 100), min_size=1, max_size=8).filter(
    lambda d: sum(d.values()) > 0
)
FORMS = st.one_of(REAL, PAIR, normals(), CHOICES.map(lambda d: {"choice": d}))


@given(form=FORMS, seed=st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_samples_lie_in_the_support_and_take_one_random_number(form, seed):
    number = NUMBER.validate_python(form)
    assert NUMBER.validate_json(NUMBER.dump_json(number)) == number
    low, high = support(number)
    rng, plain = stream(seed, "test"), stream(seed, "test")
    value = sample(number, rng)
    assert type(value) is float and low <= value <= high
    plain.random()
    assert rng.random() == plain.random()


@given(ends=st.tuples(st.integers(-50, 50), st.integers(0, 10)), seed=st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_counts_reach_both_ends(ends, seed):
    low, span = ends
    count = COUNT.validate_python([low, low + span])
    rng = stream(seed)
    values = {sample_count(count, rng) for _ in range(40 * (span + 1))}
    assert (min(values), max(values)) == (low, low + span)


def test_choices_follow_their_weights():
    rng = stream(3, "weights")
    count = COUNT.validate_python({"choice": {1: 1, 2: 3, 5: 0}})
    drawn = [sample_count(count, rng) for _ in range(4000)]
    assert set(drawn) == {1, 2}
    assert abs(drawn.count(2) / 4000 - 0.75) < 0.03  # four standard deviations are 0.027


def test_a_normal_has_the_moments_of_its_formula():
    # A normal cut at one sd on both sides has sd 0.5396 (Johnson, Kotz, Balakrishnan 1994).
    number = NUMBER.validate_python({"normal": {"mean": 2, "sd": 1, "low": 1, "high": 3}})
    rng = stream(1, "normal")
    values = np.array([sample(number, rng) for _ in range(6000)])
    assert abs(values.mean() - 2) < 0.03
    assert abs(values.std() - 0.5396) < 0.02


def test_pick_never_takes_weight_zero_and_reaches_the_last():
    rng = stream(5)
    assert {pick({"a": 0.0, "b": 1e-9, "c": 1.0}, rng) for _ in range(50)} <= {"b", "c"}
    assert pick({"only": 2.0}, rng) == "only"


WRONG = [
    "3", True, None, [], [1], [1, 2, 3], [3, 1], [1, "2"], math.nan, math.inf, [0, math.inf], {},
    {"normal": {"mean": 1}},
    {"choice": {}},
    {"choice": {1: 0}},
    {"choice": {1: -1}},
    {"choice": {"x": 1}},
    {"uniform": [1, 2]},
    {"normal": 1, "choice": {}},
    {"normal": {"mean": 9, "sd": 1, "low": 0, "high": 1}},
    {"normal": {"mean": 0, "sd": -1, "low": 0, "high": 1}},
    {"normal": {"mean": 0, "sd": 1, "low": 1, "high": 0}},
]  # fmt: skip


WRONG_COUNTS = [1.0, 1.5, [1, 2.5], "2", False, [2, 1], {"choice": {1.5: 1}}]
REFUSED = [*((NUMBER, one) for one in WRONG), *((COUNT, one) for one in WRONG_COUNTS)]


@pytest.mark.parametrize(("kind", "wrong"), REFUSED)
def test_wrong_numbers_and_counts_are_refused(kind, wrong):
    with pytest.raises(ValidationError):
        kind.validate_python(wrong)


CUT = {"mean": 5, "sd": 1, "low": 0}
FITTING = [0, 10, [0, 10], {"choice": {3: 1, 99: 0}}, {"normal": CUT | {"high": 10}}]
OUTSIDE = [11, [-1, 3], {"choice": {3: 1, 99: 1}}, {"normal": CUT | {"high": 10.5}}]


def test_limits_hold_for_all_that_can_be_drawn():
    limited = TypeAdapter(Annotated[Number, Within(0, 10)])
    for value in FITTING:
        limited.validate_python(value)
    for value in OUTSIDE:
        with pytest.raises(ValidationError, match=r"outside \[0, 10\]"):
            limited.validate_python(value)
