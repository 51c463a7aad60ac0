"""Occlusion-sensitivity maps."""

from __future__ import annotations

import numpy as np
import pytest

from synthstudio.evaluation.attention import (
    PATCH_GREY,
    occlusion_sensitivity,
    sensitivity_summary,
)

XY = np.array([[10.0, 12.0], [40.0, 50.0], [20.0, 30.0]])
KNOWN = np.array([True, True, False])
PICTURE = np.full((64, 48, 3), 200, np.uint8)


def local(pictures: np.ndarray) -> np.ndarray:
    """Errors that grow only for a joint whose own pixel is grey."""
    at = pictures[:, XY[:, 1].astype(int), XY[:, 0].astype(int), 0]
    return np.where(at == PATCH_GREY, 0.5, 0.1)


def test_added_error_lies_under_the_patch_or_elsewhere() -> None:
    slide = {"known": KNOWN, "patch": 12, "stride": 6}
    found = occlusion_sensitivity(local, PICTURE, XY, **slide)
    assert found.increase.shape == (9, 7, 3)
    assert np.isnan(found.increase[..., 2]).all()
    assert np.array_equal(found.increase[..., :2] > 0, found.under[..., :2])
    reported = sensitivity_summary([found])
    assert reported["elsewhere"] == 0
    assert reported["under_patch"] == pytest.approx(0.4)
    assert reported["max"] == pytest.approx(0.2)  # one of two joints
    # All joints go wrong when joint 0's pixel is grey.
    everywhere = occlusion_sensitivity(
        lambda pictures: np.repeat(local(pictures)[:, :1], 3, 1), PICTURE, XY, **slide
    )
    assert sensitivity_summary([everywhere])["elsewhere"] == pytest.approx(0.5)
    never = occlusion_sensitivity(lambda p: np.full((len(p), 3), 0.3), PICTURE, XY, **slide)
    reported = sensitivity_summary([never])
    assert reported["mean"] == reported["max"] == 0 and np.isnan(reported["elsewhere"])
