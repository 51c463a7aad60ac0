"""Optimizer, learning-rate schedule, weight averaging, and which parameters are trainable."""

from __future__ import annotations

import math

import torch
from torch import nn

from synthstudio.training import networks
from synthstudio.training.config import Config


def make_optimizer(net: nn.Module, config: Config) -> torch.optim.Optimizer:
    """AdamW without weight decay for norms and biases, with layer-wise learning rates."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((lr_scale(name, net, config), decay), []).append(parameter)
    listed = [{"params": p, "scale": s, "weight_decay": d} for (s, d), p in sorted(groups.items())]
    return torch.optim.AdamW(listed, lr=config.lr, betas=(0.9, 0.99))


def lr_scale(name: str, net: nn.Module, config: Config) -> float:
    """A parameter's learning rate relative to the block's: layer-wise decay of the backbone."""
    if not config.network.pretrained or not name.startswith("features."):
        return 1.0
    below = networks.layers_below_top(net)
    return config.backbone_lr_ratio * config.layer_decay ** below[name]


def set_lr(optimizer: torch.optim.Optimizer, config: Config, step: int, total: int) -> None:
    """Linear warm-up, then half a cosine down to `end_lr_ratio`."""
    warmup = max(int(total * config.warmup), 1)
    if step < warmup:
        share = (step + 1) / warmup
    else:
        turn = (step - warmup) / max(total - warmup, 1)
        low = config.end_lr_ratio
        share = low + (1 - low) * (1 + math.cos(math.pi * turn)) / 2
    for group in optimizer.param_groups:
        group["lr"] = config.lr * group["scale"] * share


def set_backbone_trainable(net: nn.Module, config: Config, epoch: int) -> None:
    """Set training mode; freeze a pretrained backbone in its first epochs, or in all.

    A frozen one stays in evaluation mode: its norms keep their pretrained statistics.
    """
    net.train()
    if config.network.pretrained:
        frozen = config.network.frozen_epochs < 0 or epoch < config.network.frozen_epochs
        features: nn.Module = net.features  # type: ignore[assignment]
        features.train(not frozen)
        for parameter in features.parameters():
            parameter.requires_grad_(not frozen)


def update_average(ema: nn.Module, net: nn.Module, decay: float, step: int) -> None:
    """Update the moving average of weights, faster in the first steps; buffers are copied."""
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for mean, value in zip(ema.parameters(), net.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)
        for kept, now in zip(ema.buffers(), net.buffers(), strict=True):
            kept.copy_(now)
