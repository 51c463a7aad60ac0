"""HRNet: its published sizes, its branches, and what each of them is for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from synthstudio.models.backbones.hrnet import HRNet
from synthstudio.models.backbones.sizes import HRNETS
from synthstudio.models.blocks.heads import PointHead
from synthstudio.models.contract import PoseNet

SIZE = (96, 72)


def net(variant: str = "nano", size: tuple[int, int] = SIZE) -> PoseNet:
    torch.manual_seed(0)
    features = HRNet(HRNETS[variant])
    return PoseNet(
        features, PointHead(features.channels, 17, size=(size[0] // 4, size[1] // 4))
    ).eval()


@pytest.mark.parametrize(("variant", "published"), [("w32", 28.5e6), ("w48", 63.6e6)])
def test_parameters_are_as_published(variant: str, published: float) -> None:
    with torch.device("meta"):
        found = sum(p.numel() for p in net(variant, (256, 192)).parameters())
    assert found == pytest.approx(published, rel=0.01)


def exchanges(model: PoseNet) -> list[Any]:
    """All modules of stages two to four, in order."""
    features: Any = model.features
    return [exchange for stage in features.stages for exchange in stage]


def test_the_branch_of_stride_4_is_never_resampled() -> None:
    with torch.device("meta"):
        large = net("w32", (256, 192))
    assert [len(exchange.branches) for exchange in exchanges(large)] == [2] + [3] * 4 + [4] * 3
    for exchange in exchanges(large):
        assert isinstance(exchange.fusion.paths[0][0], nn.Identity)
        layers = list(exchange.branches[0].modules())
        assert {m.stride for m in layers if isinstance(m, nn.Conv2d)} == {(1, 1)}
        assert not {type(m) for m in layers} & {nn.MaxPool2d, nn.Upsample, nn.ConvTranspose2d}
