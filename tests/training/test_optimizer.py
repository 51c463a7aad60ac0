"""Muon against PyTorch's own, AdamW as it was, and which weights learn by which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch import nn

from synthstudio.core.skeleton import get_skeleton
from synthstudio.training import networks, optimization
from synthstudio.training.optimization import MUON_LR_RATIO, MuonAdamW, orthogonalized


@pytest.mark.parametrize("shape", [(24, 100), (100, 24), (40, 60)])
def test_singular_values_become_alike(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape) * torch.logspace(0, -1.5, shape[1])
    u, before, v = torch.linalg.svd(matrix, full_matrices=False)
    assert before[0] > 5 * before[-1]
    found = orthogonalized(matrix)
    after = torch.linalg.svdvals(found)
    assert after.max() < 1.25 and after.min() > 0.55
    inside = u.t() @ found @ v.t()  # the directions stay
    assert (inside - torch.diag(inside.diagonal())).abs().max() < 0.02


def test_muon_is_pytorchs() -> None:
    """torch.optim.Muon on the same matrices; it iterates in bfloat16, so not to the last digit."""
    reference = getattr(torch.optim, "Muon", None)
    if reference is None:
        pytest.skip("this PyTorch has no Muon")
    torch.manual_seed(0)
    start = torch.randn(16, 8, 3, 3)
    own = nn.Parameter(start.clone().contiguous(memory_format=torch.channels_last))
    theirs = nn.Parameter(start.flatten(1).clone())
    lr = 0.03
    first = MuonAdamW([{"params": [own], "muon": True}], lr=lr / MUON_LR_RATIO, weight_decay=0.1)
    second = reference([theirs], lr=lr, weight_decay=0.1, momentum=optimization.MOMENTUM)
    for _ in range(5):
        gradient = torch.randn(start.shape)
        own.grad = gradient.contiguous(memory_format=torch.channels_last)
        theirs.grad = gradient.flatten(1)
        first.step()
        second.step()
    moved = (theirs - start.flatten(1)).norm()
    assert moved > 0.1
    assert (own.flatten(1) - theirs).norm() < 0.02 * moved


def test_an_update_does_not_depend_on_the_gradients_size() -> None:
    """Singular values about the learning rate, whatever the gradient's size."""
    torch.manual_seed(1)
    for scale in (1e-4, 1e4):
        weight = nn.Parameter(torch.zeros(32, 16, 3, 3))
        optimizer = MuonAdamW([{"params": [weight], "muon": True}], lr=0.01, weight_decay=0.0)
        weight.grad = torch.randn(weight.shape) * scale
        optimizer.step()
        found = torch.linalg.svdvals(weight.detach().flatten(1)) / (0.01 * MUON_LR_RATIO)
        assert found.max() < 1.25 and found.min() > 0.6


def _net(config: Any) -> nn.Module:
    torch.manual_seed(0)
    return networks.build_network(config.network, get_skeleton("coco17"), bank=None)


def _trained(net: nn.Module, optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    torch.manual_seed(1)
    for _ in range(3):
        outputs = net(torch.rand(2, 3, 48, 36))
        torch.stack([stage.square().mean() for stage in outputs.logits]).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return [p.detach().clone() for p in net.parameters()]


def test_adamw_is_as_it_was() -> None:
    config = tiny.config(Path("x"), optimizer="adamw")
    ours, theirs = _net(config), _net(config)
    first = optimization.make_optimizer(ours, config)
    assert not any(group["muon"] for group in first.param_groups)
    groups = [
        {"params": [p for p in theirs.parameters() if (p.ndim > 1) == decays],
         "weight_decay": config.weight_decay * decays}
        for decays in (False, True)
    ]  # fmt: skip
    second = torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.99))
    for a, b in zip(_trained(ours, first), _trained(theirs, second), strict=True):
        assert torch.equal(a, b)


def test_convolutions_beyond_the_first_learn_by_muon() -> None:
    config = tiny.config(Path("x"))
    net = _net(config)
    optimizer = optimization.make_optimizer(net, config)
    names = {id(p): name for name, p in net.named_parameters()}
    by = {names[id(p)]: g["muon"] for g in optimizer.param_groups for p in g["params"]}
    assert set(by) == set(names.values())
    assert not by["features.stem.0.weight"] and not by["block.first.weight"]
    assert by["features.steps.0.0.0.weight"] and by["block.stem.0.0.weight"]
    assert all(dict(net.named_parameters())[name].ndim == 4 for name, muon in by.items() if muon)
    before = {n: p.detach().clone() for n, p in net.named_parameters()}
    _trained(net, optimizer)
    moved = {n for n, p in net.named_parameters() if not torch.equal(p, before[n])}
    assert {n for n, muon in by.items() if muon} <= moved
    assert "block.first.weight" in moved
