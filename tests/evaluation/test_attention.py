"""Attention on the occluder: indifferent, averted and attracted; sensitivity maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from synthstudio.core.rng import stream
from synthstudio.evaluation.attention import (
    PATCH_GREY,
    AttentionMass,
    attention_mass,
    attention_ratios,
    occlusion_sensitivity,
    sensitivity_summary,
)

P, J, H, W = 60, 5, 24, 18


def columns(*weights: float) -> np.ndarray:
    """Attention (4, 8): a weight for each two columns of cells."""
    return np.tile(np.repeat(weights, 2), (4, 1)).astype(float)


def one_person(
    *looks: np.ndarray, hidden: tuple[bool, ...] = (), covered: slice = slice(0, 2), half: int = 2
) -> dict[str, Any]:
    """Figures of one person of 4 x 8 cells: the body's columns are 0 to 3, and `covered` of them
    are hidden. `looks`: one joint's attention each; half a box is so many cells wide."""
    cover, body = np.zeros((1, 4, 8)), np.zeros((1, 4, 8))
    cover[..., covered], body[..., :4] = 1, 1
    mass = attention_mass(
        np.stack([look / look.sum() for look in looks])[None],
        cover,
        np.ones((1, len(looks)), bool),
        hidden=np.array([hidden or (False,) * len(looks)]),
        body=body,
        half=np.array([[half, 2]]),
        group=np.zeros(1, int),
    )
    return attention_ratios([mass])


def values(found: dict[str, Any]) -> list[float]:
    return [found[name]["value"] for name in ("on_occluder", "on_moved_mask")]


# What each two columns weigh (covered body, visible body, background twice), and by hand: the
# ratios on the occluder and on the moved mask, of the window and of the person. The mask moved to
# the right lies on the visible body, to the left on background, and up or down on itself.
BY_HAND = {
    "indifferent": ((1, 1, 1, 1), (1, 1), (1, 1)),
    "follows the body": ((1, 1, 0, 0), (2, 1.5), (1, 1)),
    "looks away": ((0, 1, 1, 1), (0, 2 / 3), (0, 1)),
    "looks away, on the body": ((1, 3, 0, 0), (1, 1.25), (0.5, 1)),
    "looks at it": ((3, 1, 0, 0), (3, 1.75), (1.5, 1)),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_ratios_by_hand(name: str) -> None:
    weights, window, person = BY_HAND[name]
    found = one_person(columns(*weights))
    assert values(found) == pytest.approx(window)
    assert values(found["person"]) == pytest.approx(person)


def test_a_place_that_is_avoided_for_itself_shows_on_the_control() -> None:
    look = columns(1, 1, 0, 0)
    look[:, 2] = 0  # half of the visible body is never looked at, covered or not
    found = one_person(look, covered=slice(1, 2), half=1)["person"]
    # On columns 2 (right), 0 (left), and nothing up and down: (0 + 1/3) against twice 2/9.
    assert values(found) == pytest.approx([4 / 3, 0.75])


def test_hidden_joints_are_told_alone() -> None:
    found = one_person(columns(1, 1, 0, 0), columns(1, 0, 0, 0), hidden=(False, True))
    assert found["hidden_joints"]["value"] == pytest.approx(4)
    assert found["on_occluder"]["value"] == pytest.approx(3)
    assert np.isnan(one_person(columns(1, 1, 1, 1))["hidden_joints"]["value"])


def many_people(pixels: np.ndarray, cover: np.ndarray, which: np.ndarray) -> AttentionMass:
    """P people whose silhouettes nobody knows, two of each group."""
    return attention_mass(
        pixels,
        cover,
        which,
        hidden=np.zeros((P, J), bool),
        body=np.full((P, H, W), np.nan),
        half=np.tile([7, 9], (P, 1)),
        group=np.arange(P) // 2,
    )


def covers() -> np.ndarray:
    """Masks of 5 x 6 cells each, at places of their own inside the middle."""
    rng, cover = stream(3, "covers"), np.zeros((P, H, W))
    for p in range(P):
        y, x = rng.integers(4, 14), rng.integers(3, 9)
        cover[p, y : y + 5, x : x + 6] = 1
    return cover


def test_aversion_and_attraction_exclude_zero_over_many_people() -> None:
    cover = covers()
    for look, sign in ((1 - 0.8 * cover, -1), (1 + 3 * cover, 1)):
        spread = np.repeat((look / look.sum((1, 2), keepdims=True))[:, None], J, 1)
        found = attention_ratios([many_people(spread, cover, np.ones((P, J), bool))])
        assert found["people"] == P and found["person"] == {}
        low, high = (sign * found["difference"][end] for end in ("low", "high"))
        assert min(low, high) > 0


def test_joints_that_do_not_count_and_people_not_hidden_say_nothing() -> None:
    pixels = np.ones((P, J, H, W)) / (H * W)
    pixels[:, 1:] = 9.0  # would break every ratio
    which = np.zeros((P, J), bool)
    which[:, 0] = True
    found = attention_ratios([many_people(pixels, covers(), which)])
    assert found["on_occluder"]["value"] == pytest.approx(1)
    nobody = many_people(pixels, np.zeros((P, H, W)), which)
    assert attention_ratios([]) == attention_ratios([nobody]) == {"people": 0}


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


@pytest.mark.parametrize(
    ("patch", "stride", "known"),
    [(0, 1, KNOWN), (49, 4, KNOWN), (8, 0, KNOWN), (8, 4, np.zeros(3, bool))],
)
def test_patches_that_do_not_fit_are_refused(patch: int, stride: int, known: np.ndarray) -> None:
    with pytest.raises(ValueError, match="patch"):
        occlusion_sensitivity(local, PICTURE, XY, known=known, patch=patch, stride=stride)
