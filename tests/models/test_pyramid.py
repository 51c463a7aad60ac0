"""The pyramid is an FPN (Lin et al. 2017): what is coarse reaches every level, what is fine one."""

from __future__ import annotations

import pytest
import torch

from synthstudio.models.backbones.pyramid import ConvPyramid

SIZE = (96, 64)


def levels() -> tuple[ConvPyramid, list[torch.Tensor]]:
    torch.manual_seed(0)
    features = ConvPyramid().eval()
    with torch.inference_mode():
        return features, features.bottom_up(torch.rand(1, 3, *SIZE))


def changed(perturbed: int) -> list[bool]:
    """Which of P2 to P5 change when one of C2 to C5 does."""
    features, found = levels()
    with torch.inference_mode():
        before = features.top_down(found)
        found[perturbed] = found[perturbed] + 1
        after = features.top_down(found)
    return [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]


@pytest.mark.parametrize("level", range(4))
def test_a_level_changes_itself_and_all_finer_ones(level: int) -> None:
    """C5 changes P2 to P5, C2 nothing but P2."""
    assert changed(level) == [p <= level for p in range(4)]


def test_strides_are_4_8_16_and_32() -> None:
    features, found = levels()
    with torch.inference_mode():
        sums = features.top_down(found)
    for each in (found, sums):
        strides = [(SIZE[0] / x.shape[-2], SIZE[1] / x.shape[-1]) for x in each]
        assert strides == [(4, 4), (8, 8), (16, 16), (32, 32)]
    assert {x.shape[1] for x in sums} == {features.channels}


def test_the_output_is_the_finest_sum() -> None:
    features, found = levels()
    torch.manual_seed(0)
    images = torch.rand(1, 3, *SIZE)
    with torch.inference_mode():
        sums = features.top_down(features.bottom_up(images))
        assert torch.equal(features(images), features.smooth(sums[0]))
        assert features(images).shape[-2:] == (SIZE[0] // 4, SIZE[1] // 4)
    assert len(sums) == len(found)
