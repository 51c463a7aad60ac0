"""Attention on the occluder: indifferent, averted and attracted; sensitivity maps."""

from __future__ import annotations

import numpy as np
import pytest

from synthstudio.core.rng import stream
from synthstudio.evaluation.attention import (
    PATCH_GREY,
    attention_mass,
    attention_ratios,
    occlusion_sensitivity,
    sensitivity_summary,
)

P, J, H, W = 60, 5, 24, 18


def covers() -> np.ndarray:
    """Return masks of 5 x 6 cells each, at places of their own inside the middle."""
    rng, cover = stream(3, "covers"), np.zeros((P, H, W))
    for p in range(P):
        y, x = rng.integers(4, 14), rng.integers(3, 9)
        cover[p, y : y + 5, x : x + 6] = 1
    return cover


def nothing_known(people: int) -> dict:  # type: ignore[type-arg]
    """Return what `attention_mass` asks besides, of people whose silhouettes nobody knows."""
    return {
        "hidden": np.zeros((people, J), bool),
        "body": np.full((people, H, W), np.nan),
        "half": np.tile([7, 9], (people, 1)),
    }


def of_one(*looks: np.ndarray, hidden: tuple[bool, ...] = ()) -> dict:  # type: ignore[type-arg]
    """Return the figures of one person of 4 x 8 cells: the body's columns are 0 to 3, and 0 to 1
    of them are covered. `looks`: one joint's attention each; half a box is two cells."""
    cover, body = np.zeros((1, 4, 8)), np.zeros((1, 4, 8))
    cover[..., :2], body[..., :4] = 1, 1
    pixels = np.stack([look / look.sum() for look in looks])[None]
    flags = np.array([hidden or (False,) * len(looks)])
    return attention_ratios(
        [
            attention_mass(
                pixels,
                cover,
                np.ones((1, len(looks)), bool),
                hidden=flags,
                body=body,
                half=np.array([[2, 2]]),
                group=np.zeros(1, int),
            )
        ]
    )


def columns(*weights: float) -> np.ndarray:
    """Return attention (4, 8): a weight for each two columns of cells."""
    return np.tile(np.repeat(weights, 2), (4, 1)).astype(float)


def values(found: dict) -> list[float]:  # type: ignore[type-arg]
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
    found = of_one(columns(*weights))
    assert values(found) == pytest.approx(window)
    assert values(found["person"]) == pytest.approx(person)


def test_a_place_that_is_avoided_for_itself_shows_on_the_control() -> None:
    look = columns(1, 1, 0, 0)
    look[:, 2] = 0  # half of the visible body is never looked at, covered or not
    cover, body = np.zeros((1, 4, 8)), np.zeros((1, 4, 8))
    cover[..., 1:2], body[..., :4] = 1, 1
    found = attention_ratios(
        [
            attention_mass(
                (look / look.sum())[None, None],
                cover,
                np.ones((1, 1), bool),
                hidden=np.zeros((1, 1), bool),
                body=body,
                half=np.array([[1, 2]]),
                group=np.zeros(1, int),
            )
        ]
    )["person"]
    # On columns 2 (right), 0 (left), and nothing up and down: (0 + 1/3) against twice 2/9.
    assert values(found) == pytest.approx([4 / 3, 0.75])


def test_hidden_joints_are_told_alone() -> None:
    found = of_one(columns(1, 1, 0, 0), columns(1, 0, 0, 0), hidden=(False, True))
    assert found["hidden_joints"]["value"] == pytest.approx(4)
    assert found["on_occluder"]["value"] == pytest.approx(3)
    assert np.isnan(of_one(columns(1, 1, 1, 1))["hidden_joints"]["value"])


def test_aversion_and_attraction_exclude_zero_over_many_people() -> None:
    cover = covers()
    for look, sign in ((1 - 0.8 * cover, -1), (1 + 3 * cover, 1)):
        spread = np.repeat((look / look.sum((1, 2), keepdims=True))[:, None], J, 1)
        which, group = np.ones((P, J), bool), np.arange(P) // 2
        mass = attention_mass(spread, cover, which, group=group, **nothing_known(P))
        found = attention_ratios([mass])
        assert found["people"] == P and found["person"] == {}
        low, high = (sign * found["difference"][end] for end in ("low", "high"))
        assert min(low, high) > 0


def test_joints_that_do_not_count_say_nothing() -> None:
    cover = covers()
    pixels = np.ones((P, J, H, W)) / (H * W)
    pixels[:, 1:] = 9.0  # would break every ratio
    which = np.zeros((P, J), bool)
    which[:, 0] = True
    found = attention_mass(pixels, cover, which, group=np.arange(P), **nothing_known(P))
    assert attention_ratios([found])["on_occluder"]["value"] == pytest.approx(1)


def test_nobody_hidden_is_nothing_measured() -> None:
    assert attention_ratios([]) == {"people": 0}
    empty = attention_mass(
        np.ones((P, J, H, W)),
        np.zeros((P, H, W)),
        np.ones((P, J), bool),
        group=np.arange(P),
        **nothing_known(P),
    )
    assert attention_ratios([empty]) == {"people": 0}


XY = np.array([[10.0, 12.0], [40.0, 50.0], [20.0, 30.0]])
KNOWN = np.array([True, True, False])
PICTURE = np.full((64, 48, 3), 200, np.uint8)


def local(pictures: np.ndarray) -> np.ndarray:
    """Return errors that grow only for a joint whose own pixel is grey."""
    at = pictures[:, XY[:, 1].astype(int), XY[:, 0].astype(int), 0]
    return np.where(at == PATCH_GREY, 0.5, 0.1)


def global_(pictures: np.ndarray) -> np.ndarray:
    """Return errors that grow for all joints when joint 0's pixel is grey."""
    return np.repeat(local(pictures)[:, :1], 3, 1)


def run(error) -> dict:  # type: ignore[no-untyped-def,type-arg]
    return sensitivity_summary(
        [occlusion_sensitivity(error, PICTURE, XY, known=KNOWN, patch=12, stride=6)]
    )


def test_a_local_weakness_lies_under_the_patch() -> None:
    found = occlusion_sensitivity(local, PICTURE, XY, known=KNOWN, patch=12, stride=6)
    assert found.increase.shape == (9, 7, 3)
    assert np.isnan(found.increase[..., 2]).all()
    assert np.array_equal(found.increase[..., :2] > 0, found.under[..., :2])
    reported = sensitivity_summary([found])
    assert reported["elsewhere"] == 0
    assert reported["under_patch"] == pytest.approx(0.4)
    assert reported["max"] == pytest.approx(0.2)  # one of two joints


def test_harm_elsewhere_is_told_apart() -> None:
    assert run(global_)["elsewhere"] == pytest.approx(0.5)


def test_a_network_that_never_looks_is_not_harmed() -> None:
    reported = run(lambda pictures: np.full((len(pictures), 3), 0.3))
    assert reported["mean"] == reported["max"] == 0
    assert np.isnan(reported["elsewhere"])


@pytest.mark.parametrize(
    ("patch", "stride", "known"),
    [(0, 1, KNOWN), (49, 4, KNOWN), (8, 0, KNOWN), (8, 4, np.zeros(3, bool))],
)
def test_patches_that_do_not_fit_are_refused(patch: int, stride: int, known: np.ndarray) -> None:
    with pytest.raises(ValueError, match="patch"):
        occlusion_sensitivity(local, PICTURE, XY, known=known, patch=patch, stride=stride)
