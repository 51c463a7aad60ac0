"""Stacked hourglass: every stage predicts, is trained, and is heard by the next one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from synthstudio.models.backbones.hourglass import StackedHourglass
from synthstudio.models.backbones.sizes import HOURGLASSES
from synthstudio.models.blocks.heads import PointHead
from synthstudio.models.contract import PoseNet

SIZE, CELLS, J = (96, 72), (24, 18), 17


def net(stacks: int, *, variant: str = "nano") -> PoseNet:
    torch.manual_seed(0)
    features = StackedHourglass(HOURGLASSES[variant], J, cells=CELLS, stacks=stacks)
    return PoseNet(features, PointHead(features.channels, J, size=CELLS))


def images() -> torch.Tensor:
    return torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def part(model: PoseNet, name: str) -> list[torch.nn.Parameter]:
    found = [p for n, p in model.named_parameters() if n.startswith(name)]
    assert found, name
    return found


@pytest.mark.parametrize("stacks", [1, 2, 3])
def test_every_stage_gives_maps(stacks: int) -> None:
    found = net(stacks)(images()).logits
    assert [tuple(stage.shape) for stage in found] == [(2, J, *CELLS)] * stacks


def test_the_first_stages_loss_teaches_the_first_hourglass_alone() -> None:
    model = net(2)
    first, second = model(images()).logits
    first.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in part(model, "features.heads"))
    assert any(p.grad is not None and p.grad.any() for p in part(model, "features.stacks.0"))
    for later in ("features.stacks.1", "features.onward", "features.returned", "block"):
        assert not any(p.grad is not None and p.grad.any() for p in part(model, later)), later
    model.zero_grad()  # the control: the second stage's loss reaches both
    model(images()).logits[1].square().mean().backward()
    for name in ("features.stacks.0", "features.stacks.1", "features.heads", "features.returned"):
        assert any(p.grad is not None and p.grad.any() for p in part(model, name)), name
    assert second.shape == first.shape


def test_the_first_prediction_goes_into_the_second_stage() -> None:
    model = net(2).eval()
    features: Any = model.features
    with torch.inference_mode():
        before = model(images()).logits
        features.heads[0].weight.add_(0.1)
        after = model(images()).logits
        assert not torch.equal(before[0], after[0])
        assert (before[1] - after[1]).abs().max() > 1e-4
        features.returned[0].weight.zero_()
        deaf = model(images()).logits[1]
        features.heads[0].weight.add_(0.1)
        assert torch.equal(deaf, model(images()).logits[1])  # the control: nothing is returned
