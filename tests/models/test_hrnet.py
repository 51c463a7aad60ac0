"""HRNet: its published sizes, its branches, and what each of them is for."""

from __future__ import annotations

import pytest
import torch

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
