import re
from pathlib import Path

import numpy as np
import pytest

import synthstudio
from synthstudio.core import visibility as rule

NAN = float("nan")


def test_half_of_a_patch_is_visible_and_a_fifth_ambiguous():
    fractions = np.array([0.0, 0.19999, 0.2, 0.49999, 0.5, 1.0, NAN])
    assert rule.is_visible(fractions).tolist() == [False] * 4 + [True] * 2 + [False]
    assert rule.is_ambiguous(fractions).tolist() == [False, False, True, True, False, False, False]
    assert rule.is_visible(fractions * 0.3, 0.3).tolist() == rule.is_visible(fractions).tolist()
    assert not rule.is_visible(0.6, threshold=0.7)


def test_states_follow_from_shares_and_place():
    visible, inside = np.array([0.7, 0.3, 0.7, 0.3]), np.array([True, True, False, False])
    state = rule.joint_states(visible, inside)
    assert state.tolist() == [2, 1, 0, 0]
    assert state.dtype == np.uint8
    assert rule.is_labelled([0, 1, 2, 255]).tolist() == [False, True, True, False]


@pytest.mark.parametrize(
    ("fractions", "state", "cause"),
    [
        ((0.0, 0.34, 0.33, 0.33, 0.0), 1, "self"),
        ((0.0, 1 / 3, 1 / 3, 1 / 3 - 1e-16, 0.0), 1, "object"),  # a tie up to the last bit
    ],
)
def test_the_largest_hiding_share_is_the_cause(fractions, state, cause):
    assert rule.joint_causes(np.array([fractions]), np.array([state], np.uint8)) == (cause,)


def test_occluded_fraction():
    assert rule.occluded_fraction(25, 100) == 0.75
    assert rule.occluded_fraction(0, 100) == 1
    assert rule.occluded_fraction(0, 0) == 0  # wholly outside
    assert isinstance(rule.occluded_fraction(0, 0), float)
    of_people = rule.occluded_fraction(np.array([25, 0, 0, 7]), np.array([100, 100, 0, 7]))
    assert of_people.tolist() == [0.75, 1, 0, 0]


def test_nothing_else_compares_with_the_threshold():
    package = Path(synthstudio.__file__).parent
    compares = re.compile(r"[<>]=?\s*(VISIBLE_THRESHOLD|AMBIGUOUS_FROM)")
    found = {
        file.relative_to(package).as_posix()
        for file in package.rglob("*.py")
        if compares.search(file.read_text())
    }
    # An exported network compares in its graph; test_exported_models.py holds it to the rule.
    assert found == {"core/visibility.py", "generation/audit.py", "inference/export.py"}
