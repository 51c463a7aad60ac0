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


def images() -> torch.Tensor:
    return torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("variant", "published"), [("w32", 28.5e6), ("w48", 63.6e6)])
def test_parameters_are_as_published(variant: str, published: float) -> None:
    with torch.device("meta"):
        found = sum(p.numel() for p in net(variant, (256, 192)).parameters())
    assert found == pytest.approx(published, rel=0.01)


def exchanges(model: PoseNet) -> list[Any]:
    """All modules of stages two to four, in order."""
    features: Any = model.features
    return [exchange for stage in features.stages for exchange in stage]


def last_fusion(model: PoseNet) -> Any:
    return exchanges(model)[-1].fusion


def answer(model: PoseNet, *, without: int | None) -> torch.Tensor:
    """The maps when one branch is nought before the last fusion."""

    def silence(module: nn.Module, inputs: tuple[list[torch.Tensor]]) -> tuple[list[torch.Tensor]]:
        (branches,) = inputs
        assert len(branches) == 4
        return ([torch.zeros_like(x) if k == without else x for k, x in enumerate(branches)],)

    handle = last_fusion(model).register_forward_pre_hook(silence)
    with torch.inference_mode():
        found = model(images()).logits[0]
    handle.remove()
    return found


def test_the_lowest_branch_is_heard_in_the_last_fusion() -> None:
    model = net()
    whole = answer(model, without=None)
    with torch.inference_mode():
        assert torch.equal(whole, model(images()).logits[0])
    assert (answer(model, without=3) - whole).abs().max() > 1e-3
    paths = last_fusion(model).paths
    assert len(paths) == 1  # only the stride-4 branch is asked for
    nn.init.zeros_(paths[0][3][0].weight)  # the control: its way up is cut
    nn.init.zeros_(paths[0][3][1].weight)
    deaf = answer(model, without=None)
    assert torch.equal(answer(model, without=3), deaf)
    assert not torch.equal(answer(model, without=2), deaf)


def test_the_branch_of_stride_4_is_never_resampled() -> None:
    with torch.device("meta"):
        large = net("w32", (256, 192))
    assert [len(exchange.branches) for exchange in exchanges(large)] == [2] + [3] * 4 + [4] * 3
    for exchange in exchanges(large):
        assert isinstance(exchange.fusion.paths[0][0], nn.Identity)
        layers = list(exchange.branches[0].modules())
        assert {m.stride for m in layers if isinstance(m, nn.Conv2d)} == {(1, 1)}
        assert not {type(m) for m in layers} & {nn.MaxPool2d, nn.Upsample, nn.ConvTranspose2d}


@pytest.mark.parametrize("size", [(96, 72), (48, 36), (64, 100), (16, 16)])
def test_every_size_in_fours_fits(size: tuple[int, int]) -> None:
    with torch.inference_mode():
        found = net(size=size)(torch.zeros(1, 3, *size)).logits[0]
    assert found.shape == (1, 17, size[0] // 4, size[1] // 4)
