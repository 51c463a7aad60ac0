"""Texts made by columns are those of json.dumps, character for character."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthstudio.core.rng import stream
from synthstudio.formats.coco.text import Reals, dump, dump_all

REALS = st.floats(allow_infinity=False) | st.sampled_from([0.0, -0.0, 1e-4, 1e9, 1e16, 5e-324])
LISTS = st.none() | st.lists(REALS, max_size=12)
OTHERS = st.none() | st.text(max_size=3) | st.sampled_from(["\0", '"\0"', "\\u0000"])


def plain(entry: dict) -> str:
    return json.dumps(
        {k: v.nested() if isinstance(v, Reals) else v for k, v in entry.items()},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )


@given(st.lists(st.tuples(LISTS, LISTS, OTHERS)))
def test_as_json_dumps_writes_them(rows) -> None:
    entries = [
        {
            "m": None if a is None else Reals(a, 2),
            "b": None if b is None else Reals(b, 3),
            "c": text,
            "z": text,
            "a": [1, 2.5],
        }
        for a, b, text in rows
    ]
    assert dump_all(entries, ("b", "m")) == [plain(entry) for entry in entries]


def test_a_hundred_thousand_numbers_of_every_size() -> None:
    rng = stream(3, "coco text")
    values = rng.random(100_000) * 10.0 ** rng.integers(-8, 18, 100_000)
    values *= rng.choice([-1, 1], len(values))
    values[::7] = np.round(values[::7], 2)
    values[::11] = values[::11].astype(np.float32)
    values[::13] = math.nan
    entry = {"x": Reals(values.tolist(), 5)}
    assert dump_all([entry], ("x",)) == [plain(entry)]


@pytest.mark.parametrize("values", [[1, 2.5], [1.5], [], [True, 1.0], [np.float64(0.1), 2.0]])
def test_numbers_of_other_kinds_and_numbers(values) -> None:
    entry = {"x": Reals(values, 2)}
    assert dump_all([entry], ("x",)) == [plain(entry)]


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinity_is_refused(value) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump_all([{"x": Reals([0.5, value], 2)}], ("x",))
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump(math.nan)
