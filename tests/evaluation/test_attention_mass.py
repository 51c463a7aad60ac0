"""Attention on the occluder: indifferent, averted and attracted attention, and the moved mask."""

from __future__ import annotations

import numpy as np
import pytest

from synthstudio.core.rng import stream
from synthstudio.evaluation.attention import gaze, shunning

P, J, H, W = 60, 5, 24, 18


def covers() -> np.ndarray:
    """Return masks of 5 x 6 cells each, at places of their own inside the middle."""
    rng, cover = stream(3, "covers"), np.zeros((P, H, W))
    for p in range(P):
        y, x = rng.integers(4, 14), rng.integers(3, 9)
        cover[p, y : y + 5, x : x + 6] = 1
    return cover


def told(pixels: np.ndarray, cover: np.ndarray) -> dict:  # type: ignore[type-arg]
    """Return the figures of joints' attention (P, h, w), the same for all joints."""
    spread = np.repeat((pixels / pixels.sum((1, 2), keepdims=True))[:, None], J, 1)
    found = gaze(spread, cover, np.ones((P, J), bool), half=np.tile([7, 9], (P, 1)),
                 group=np.arange(P) // 2)  # fmt: skip
    return shunning([found])


def test_attention_that_looks_nowhere_has_the_masks_share() -> None:
    found = told(np.ones((P, H, W)), covers())
    assert found["people"] == P
    assert found["on_occluder"]["value"] == pytest.approx(1)
    assert found["on_moved_mask"]["value"] == pytest.approx(1)
    assert found["difference"]["value"] == pytest.approx(0)


def test_averted_attention_shows_on_the_occluder_and_vanishes_on_the_moved_mask() -> None:
    cover = covers()
    found = told(1 - 0.8 * cover, cover)
    assert found["on_occluder"]["high"] < 0.5
    assert 0.9 < found["on_moved_mask"]["value"] < 1.2
    assert found["difference"]["high"] < 0


def test_attracted_attention_is_no_aversion() -> None:
    cover = covers()
    found = told(1 + 3 * cover, cover)
    assert found["on_occluder"]["low"] > 1.5
    assert found["difference"]["low"] > 0


def test_joints_that_do_not_count_say_nothing() -> None:
    cover = covers()
    pixels = np.ones((P, J, H, W)) / (H * W)
    pixels[:, 1:] = 9.0  # would break every ratio
    which = np.zeros((P, J), bool)
    which[:, 0] = True
    found = gaze(pixels, cover, which, half=np.tile([7, 9], (P, 1)), group=np.arange(P))
    assert shunning([found])["on_occluder"]["value"] == pytest.approx(1)


def test_nobody_hidden_is_nothing_measured() -> None:
    assert shunning([]) == {"people": 0}
    empty = gaze(np.ones((P, J, H, W)), np.zeros((P, H, W)), np.ones((P, J), bool),
                 half=np.ones((P, 2), int), group=np.arange(P))  # fmt: skip
    assert shunning([empty]) == {"people": 0}
