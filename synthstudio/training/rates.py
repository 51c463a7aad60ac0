"""What of a network learns at a step, and how fast."""

from __future__ import annotations

import math

import torch
from torch import nn

from synthstudio.training import networks
from synthstudio.training.config import Config


def optimiser(net: nn.Module, config: Config) -> torch.optim.Optimizer:
    """Return AdamW; no decay for norms and biases, less rate below the top of a transformer."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        scale = rate_of(name, net, config)
        decay = config.decay if parameter.ndim > 1 else 0.0
        groups.setdefault((scale, decay), []).append(parameter)
    listed = [{"params": p, "scale": s, "weight_decay": d} for (s, d), p in sorted(groups.items())]
    return torch.optim.AdamW(listed, lr=config.rate, betas=(0.9, 0.99))


def rate_of(name: str, net: nn.Module, config: Config) -> float:
    """Return a parameter's rate as a share of the highest: layer-wise decay from the top down."""
    if not config.network.pretrained or not name.startswith("features."):
        return 1.0
    below = networks.below_top(net)
    return config.backbone_rate * config.layer_decay ** below[name]


def set_rates(optimiser: torch.optim.Optimizer, config: Config, step: int, total: int) -> None:
    """Warm up in a straight line, then half a cosine down to `end_rate`."""
    warm = max(int(total * config.warm_up), 1)
    if step < warm:
        share = (step + 1) / warm
    else:
        turn = (step - warm) / max(total - warm, 1)
        share = config.end_rate + (1 - config.end_rate) * (1 + math.cos(math.pi * turn)) / 2
    for group in optimiser.param_groups:
        group["lr"] = config.rate * group["scale"] * share


def awake(net: nn.Module, config: Config, epoch: int) -> None:
    """Set training mode; freeze a pretrained backbone for its first epochs, or for good.

    A frozen one stays in evaluation mode: its norms keep the statistics that it came with.
    """
    net.train()
    if config.network.pretrained:
        frozen = config.network.frozen_epochs < 0 or epoch < config.network.frozen_epochs
        features: nn.Module = net.features  # type: ignore[assignment]
        features.train(not frozen)
        for parameter in features.parameters():
            parameter.requires_grad_(not frozen)
