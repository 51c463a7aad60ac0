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
