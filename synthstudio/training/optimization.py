"""Optimizer, learning-rate schedule, weight averaging, and which parameters are trainable."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from synthstudio.training import networks
from synthstudio.training.config import Config

WEIGHT_DECAY = 0.05
CLIP_NORM = 1.0
WARMUP = 0.05
"""Warm-up as a fraction of a run."""
END_LR = 0.01
"""Final learning rate over the peak."""
PRETRAINED_LR = 0.3
"""A pretrained backbone's learning rate over the head's."""
LAYER_DECAY = 0.75
"""Of the learning rate, for each layer below the top of a transformer (Xu et al. 2022)."""
MOMENTUM = 0.95
MUON_LR_RATIO = 10.0
"""Muon's learning rate over AdamW's. 7 to 13 are equal on real photos (docs/research/blocks.md)."""
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


class MuonAdamW(torch.optim.AdamW):
    """AdamW, but Muon for groups with `muon`: convolutions as matrices (outputs, the rest).

    Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) makes the momentum's singular
    values alike, so that directions with small gradients learn as fast as those with large ones.
    Updates are scaled as Liu et al. 2025 (arXiv 2502.16982) do. `torch.optim.Muon` takes
    matrices alone.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        groups = self.param_groups
        self.param_groups = [group for group in groups if not group["muon"]]
        super().step()
        self.param_groups = groups
        for group in groups:
            learnt = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group["muon"] and learnt:
                self._orthogonal_step(learnt, MUON_LR_RATIO * group["lr"], group["weight_decay"])

    def _orthogonal_step(self, parameters: list[Any], lr: float, decay: float) -> None:
        """Steps of weights with gradients, batched by shape: on a GPU launches dominate."""
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["step"] = torch.zeros(())  # required by AdamW's state
                state["momentum"] = torch.zeros_like(parameter)
            state["step"] += 1
        gradients = [parameter.grad for parameter in parameters]
        means = [self.state[parameter]["momentum"] for parameter in parameters]
        torch._foreach_lerp_(means, gradients, 1 - MOMENTUM)
        looked_ahead = torch._foreach_lerp(gradients, means, MOMENTUM)
        matrices = [gradient.flatten(1) for gradient in looked_ahead]
        alike: dict[torch.Size, list[int]] = {}
        for k, matrix in enumerate(matrices):
            alike.setdefault(matrix.shape, []).append(k)
        torch._foreach_mul_(parameters, 1 - lr * decay)
        for shape, numbers in alike.items():
            made = orthogonalized(torch.stack([matrices[k] for k in numbers]))
            made *= -lr * math.sqrt(max(1.0, shape[0] / shape[1]))
            torch._foreach_add_(
                [parameters[k] for k in numbers],
                [matrix.view(parameters[k].shape) for k, matrix in zip(numbers, made, strict=True)],
            )


def orthogonalized(matrix: Tensor) -> Tensor:
    """Approximate U V^T of matrices U S V^T (..., M, N): their singular values become 0.7 to 1.2.

    Newton-Schulz iterations with the coefficients of Jordan et al. 2024. Each multiplies X by a
    polynomial of its Gram matrix X X^T, and the polynomials commute, so the iterations run on Gram
    matrices, which are smaller, and their product meets X once.
    """
    a, b, c = _COEFFICIENTS
    rotated = matrix.shape[-2] > matrix.shape[-1]
    x: Tensor = (matrix.mT if rotated else matrix).float()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    gram, product = x @ x.mT, torch.eye(x.shape[-2], device=x.device)
    for _ in range(_ITERATIONS):
        factor = b * gram + c * gram @ gram
        factor.diagonal(dim1=-2, dim2=-1).add_(a)
        product, gram = factor @ product, factor @ gram @ factor
    x = product @ x
    return x.mT if rotated else x


def make_optimizer(net: nn.Module, config: Config) -> torch.optim.Optimizer:
    """AdamW without weight decay for norms and biases, with layer-wise learning rates; Muon for
    convolutions that are ours, except the first, 1 x 1 and those that make maps."""
    groups: dict[tuple[bool, float, float], list[nn.Parameter]] = {}
    scales = lr_scales(net, config)
    for name, parameter in net.named_parameters():
        outside = config.network.is_external and name.startswith("features.")
        muon = parameter.ndim == 4 and parameter.shape[1] > 3 and parameter.shape[-1] > 1
        muon = muon and not outside and name != "block.maps.weight"
        decays = parameter.ndim > 1 and name != "features.positions"
        decay = WEIGHT_DECAY if decays else 0.0
        groups.setdefault((muon, scales[name], decay), []).append(parameter)
    listed = [
        {"params": p, "muon": muon, "scale": scale, "weight_decay": decay}
        for (muon, scale, decay), p in sorted(groups.items(), key=lambda group: group[0])
    ]
    return MuonAdamW(listed, lr=config.lr, betas=(0.9, 0.99))


def lr_scales(net: nn.Module, config: Config) -> dict[str, float]:
    """Each parameter's learning rate relative to the block's: layer-wise decay of the backbone.

    The vit's own as Xu et al. 2022 have it: of `layers` layers with ids from 1 on, and embeddings
    with id 0, LAYER_DECAY ** (layers + 1 - id); its last norm has the block's rate.
    """
    network, scales = config.network, {name: 1.0 for name, _ in net.named_parameters()}
    if network.is_external or network.family == "vit":
        for name, below in networks.layers_below_top(net).items():
            external = PRETRAINED_LR * LAYER_DECAY**below
            scales[name] = external if network.is_external else LAYER_DECAY ** (1 + below)
    return scales


def set_lr(optimizer: torch.optim.Optimizer, config: Config, step: int, total: int) -> None:
    """Linear warm-up, then half a cosine down to END_LR."""
    warmup = max(int(total * WARMUP), 1)
    if step < warmup:
        share = (step + 1) / warmup
    else:
        turn = (step - warmup) / max(total - warmup, 1)
        share = END_LR + (1 - END_LR) * (1 + math.cos(math.pi * turn)) / 2
    for group in optimizer.param_groups:
        group["lr"] = config.lr * group["scale"] * share


def set_backbone_trainable(net: nn.Module, config: Config, epoch: int) -> None:
    """Set training mode; an external backbone that is frozen, in its first epochs or in all, stays
    in evaluation mode: its norms keep their statistics."""
    net.train()
    if config.network.is_external:
        frozen = config.network.frozen_epochs < 0 or epoch < config.network.frozen_epochs
        net.features.freeze(frozen)  # type: ignore[union-attr, operator]


def update_average(ema: nn.Module, net: nn.Module, decay: float, step: int) -> None:
    """Update the moving average of weights, faster in the first steps; buffers are copied."""
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        torch._foreach_lerp_(list(ema.parameters()), list(net.parameters()), 1 - decay)
        kept, now = list(ema.buffers()), list(net.buffers())
        if kept:
            torch._foreach_copy_(kept, now)
