"""Runs side by side: equal ones, better ones, other people, several seeds."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from test_measure import BONES, answers

from synthstudio.core.errors import ModelError
from synthstudio.core.rng import stream
from synthstudio.evaluation import save
from synthstudio.evaluation.compare import Arm, Row, as_json, compare, difference_text, text
from synthstudio.evaluation.compare_page import comparison_page
from synthstudio.evaluation.measure import measure
from synthstudio.evaluation.save import Evaluation
from synthstudio.evaluation.table import Answers, some

MEASURES = measure(answers(), BONES)


def arm(name: str, *made: Answers) -> Arm:
    runs = tuple(
        Evaluation(about={"name": name, "seed": k}, measures=MEASURES, answers=a)
        for k, a in enumerate(made)
    )
    return Arm(name=name, runs=runs)


def noisy(error: float, seed: int = 0) -> Answers:
    """Return answers whose hidden joints are off by `error` px on average, differently each."""
    made = answers()
    off = stream(seed, "noise").exponential(error, made.state.shape)
    off = np.where(made.state == 1, off, 2.0)
    return dataclasses.replace(made, xy=made.true_xy + off[..., None] * [0.6, 0.8])


def row(rows: list[Row], name: str) -> Row:
    return next(r for r in rows if r.name == name)


def test_a_run_is_equal_to_itself() -> None:
    rows = compare([arm("a", noisy(9)), arm("b", noisy(9))], rounds=200)
    for found in rows:
        assert found.differences[0] is None
        if found.differences[1] is not None and np.isfinite(found.differences[1].value):
            assert found.differences[1].value == 0 and not found.differences[1].excludes_zero


def test_a_better_run_differs_where_it_is_better() -> None:
    rows = compare([arm("bad", noisy(25)), arm("good", noisy(4, 1))], rounds=400)
    hidden, seen = row(rows, "PCK@0.1 hidden"), row(rows, "PCK@0.1 visible")
    assert hidden.differences[1] is not None and hidden.differences[1].low > 0.2
    assert seen.differences[1] is not None and seen.differences[1].value == 0
    cost = row(rows, "cost where it hides").differences[1]
    assert cost is not None and cost.low > 0
    far = row(rows, "distance, hidden joints").differences[1]
    assert far is not None and far.high < 0
    assert "*" in difference_text(hidden, hidden.differences[1])
    assert "*" not in difference_text(seen, seen.differences[1])


def test_the_pairing_makes_the_interval_narrower() -> None:
    ours, theirs = noisy(12), noisy(12)
    better = dataclasses.replace(ours, xy=ours.true_xy + 0.9 * (ours.xy - ours.true_xy))
    paired = row(compare([arm("a", theirs), arm("b", better)], rounds=400), "PCK@0.1 hidden")
    alone = row(compare([arm("a", theirs), arm("b", noisy(10.8, 3))], rounds=400), "PCK@0.1 hidden")

    def width(found: Row) -> float:
        assert found.differences[1] is not None
        return found.differences[1].high - found.differences[1].low

    assert width(paired) < 0.7 * width(alone)


def test_seeds_are_drawn_too() -> None:
    arms = [arm("a", noisy(9, 1), noisy(9, 2)), arm("b", noisy(9, 3), noisy(9, 4))]
    found = row(compare(arms, rounds=200), "PCK@0.1 hidden")
    assert found.differences[1] is not None and not found.differences[1].excludes_zero
    uneven = compare([arm("a", noisy(9, 1), noisy(9, 2)), arm("b", noisy(9, 3))], rounds=50)
    assert row(uneven, "PCK@0.1 hidden").differences[1] is None  # two seeds against one: no pairs


@pytest.mark.parametrize("change", ["fewer", "other", "moved", "states"])
def test_other_people_are_refused(change: str) -> None:
    made = answers()
    others = {
        "fewer": some(made, np.arange(10)),
        "other": dataclasses.replace(made, instance=made.instance + 1),
        "moved": dataclasses.replace(made, true_xy=made.true_xy + 2),
        "states": dataclasses.replace(made, state=np.full_like(made.state, 2)),
    }
    with pytest.raises(ModelError, match="not asked about the same people"):
        compare([arm("a", made), arm("b", others[change])], rounds=10)


def test_one_run_alone_is_refused() -> None:
    with pytest.raises(ModelError, match="nothing to be compared"):
        compare([arm("a", answers())])


def test_it_is_told_as_text_json_and_a_page() -> None:
    arms = [arm("<b>bad</b>", noisy(25)), arm("good", noisy(4, 1))]
    rows = compare(arms, rounds=100)
    told = json.loads(json.dumps(save.plain(as_json(arms, rows)), allow_nan=False))
    assert told["people"] == 40
    assert {r["name"] for r in told["rows"]} >= {"PCK@0.1 hidden", "MPJPE hidden", "AP all"}
    lines = text(arms, rows).splitlines()
    assert lines[0].split() == ["<b>bad</b>", "good"]
    assert any(line.startswith("PCK@0.1 hidden (%)") and line.endswith("*") for line in lines)
    page = comparison_page(arms, rows).decode()
    assert "<b>bad" not in page and "&lt;b&gt;bad" in page
    assert "<script" not in page and "http://" not in page and "https://" not in page
