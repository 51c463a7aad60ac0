"""Sensitivity maps of networks whose weakness is known."""

from __future__ import annotations

import numpy as np
import pytest

from synthstudio.evaluation.sensitivity import GREY, sensitivity, summary

XY = np.array([[10.0, 12.0], [40.0, 50.0], [20.0, 30.0]])
KNOWN = np.array([True, True, False])
PICTURE = np.full((64, 48, 3), 200, np.uint8)


def local(pictures: np.ndarray) -> np.ndarray:
    """Return errors that grow only for a joint whose own pixel is grey."""
    at = pictures[:, XY[:, 1].astype(int), XY[:, 0].astype(int), 0]
    return np.where(at == GREY, 0.5, 0.1)


def global_(pictures: np.ndarray) -> np.ndarray:
    """Return errors that grow for all joints when joint 0's pixel is grey."""
    return np.repeat(local(pictures)[:, :1], 3, 1)


def run(error) -> dict:  # type: ignore[no-untyped-def,type-arg]
    return summary([sensitivity(error, PICTURE, XY, known=KNOWN, patch=12, stride=6)])


def test_a_local_weakness_lies_under_the_patch() -> None:
    found = sensitivity(local, PICTURE, XY, known=KNOWN, patch=12, stride=6)
    assert found.increase.shape == (9, 7, 3)
    assert np.isnan(found.increase[..., 2]).all()
    assert np.array_equal(found.increase[..., :2] > 0, found.under[..., :2])
    told = summary([found])
    assert told["elsewhere"] == 0
    assert told["under_patch"] == pytest.approx(0.4)
    assert told["max"] == pytest.approx(0.2)  # one of two joints


def test_harm_elsewhere_is_told_apart() -> None:
    assert run(global_)["elsewhere"] == pytest.approx(0.5)


def test_a_network_that_never_looks_is_not_harmed() -> None:
    told = run(lambda pictures: np.full((len(pictures), 3), 0.3))
    assert told["mean"] == told["max"] == 0
    assert np.isnan(told["elsewhere"])


@pytest.mark.parametrize(
    ("patch", "stride", "known"),
    [(0, 1, KNOWN), (49, 4, KNOWN), (8, 0, KNOWN), (8, 4, np.zeros(3, bool))],
)
def test_patches_that_do_not_fit_are_refused(patch: int, stride: int, known: np.ndarray) -> None:
    with pytest.raises(ValueError, match="patch"):
        sensitivity(local, PICTURE, XY, known=known, patch=patch, stride=stride)


def test_the_picture_itself_is_left_alone() -> None:
    run(local)
    assert (PICTURE == 200).all()
