"""Structured pruning of the small pyramid: channels with the least effect on the loss go.

A channel's effect on the loss is measured to first order (Molchanov et al. 2019): the change
if the following norms were zero, from gradients on labelled people. The result is a
smaller network of the same kind, with other `network.widths`, which the loop trains on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import Skeleton
from synthstudio.models.backbones.pyramid import ConvPyramid
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.models.contract import PoseNet
from synthstudio.models.losses import Labels, Weights, pose_losses
from synthstudio.training.config import NO_AUGMENTATION, Config
from synthstudio.training.data import batches
from synthstudio.training.data.batches import CropSubset, InputSpec
from synthstudio.training.networks import build_network

_MULTIPLE, _MIN, _BATCH, _SAMPLED = 8, 8, 32, 512


def pruned(
    net: PoseNet,
    config: Config,
    skeleton: Skeleton,
    people: CropSubset,
    *,
    keep: float,
) -> tuple[PoseNet, Config]:
    """The network with about a fraction `keep` of each level's channels, and its config.

    `people`: at most _SAMPLED of them are used. ModelError for other backbones.
    """
    if config.network.backbone != "pyramid":
        raise ModelError(
            "only the small pyramid can be pruned",
            where=config.name,
            expected="network.backbone: pyramid",
            got=config.network.backbone,
        )
    effect = effects(net, config, skeleton, people)
    widths = tuple(
        min(width, max(_MIN, round(width * keep / _MULTIPLE) * _MULTIPLE))
        for width in config.network.widths
    )
    chosen = {}
    for name, values in effect.items():
        level = 0 if name == "stem" else int(name.split(".")[0])
        chosen[name] = values.argsort(descending=True)[: widths[level]].sort().values
    smaller = config.model_copy(
        update={"network": config.network.model_copy(update={"widths": widths})}
    )
    bank = getattr(net.block, "bank", None)
    made = build_network(
        smaller.network, skeleton, bank=bank if isinstance(bank, PoseBank) else None
    )
    made.load_state_dict({k: _cut(k, v, chosen) for k, v in net.state_dict().items()})
    return made.eval(), smaller


def effects(
    net: PoseNet, config: Config, skeleton: Skeleton, people: CropSubset
) -> dict[str, Tensor]:
    """The effect on the loss of each channel: "stem", "LEVEL" a level's output, "LEVEL.BLOCK"
    channels between a block's two convolutions."""
    groups = {name: list(norms) for name, norms in _norms(net)}
    found = {name: torch.zeros(norms[0].num_features) for name, norms in groups.items()}
    weights, spec = Weights(), InputSpec.of(config.network, skeleton)
    sigmas = torch.from_numpy(skeleton.sigmas).float()
    net = net.cpu().eval()
    for start in range(0, min(len(people), _SAMPLED), _BATCH):
        rows = people.rows[start : start + _BATCH]
        batch = batches.make_batch(people.crops, rows, spec, NO_AUGMENTATION)
        net.zero_grad()
        terms = pose_losses(
            net(batch.images),
            Labels(**vars(batch.labels)),
            weights=weights,
            sigmas=sigmas,
            balance=torch.ones(4),
        )
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        for name, norms in groups.items():
            change = sum(
                p.detach() * p.grad
                for norm in norms
                for p in (norm.weight, norm.bias)
                if p.grad is not None
            )
            found[name] += torch.as_tensor(change).square()
    net.zero_grad()
    return found


def _norms(net: PoseNet) -> Iterator[tuple[str, Iterator[nn.BatchNorm2d]]]:
    features = net.features
    assert isinstance(features, ConvPyramid)
    yield "stem", iter([features.stem[1]])  # type: ignore[list-item]
    for level, step in enumerate(features.steps):
        parts: list[Any] = list(step.children())
        first, blocks = parts[0], parts[1:]
        yield str(level), iter([first[1], *(block.norm for block in blocks)])
        for number, block in enumerate(blocks, 1):
            yield f"{level}.{number}", iter([block.first[1]])


def _cut(name: str, value: Tensor, chosen: dict[str, Tensor]) -> Tensor:
    """A tensor of the state without the removed channels."""
    parts = name.split(".")
    if parts[0] != "features" or parts[1] not in ("stem", "steps", "laterals") or not value.ndim:
        return value
    out, of = _ends(parts)
    if out is not None:
        value = value[chosen[out]]
    if of is not None and value.ndim == 4:
        value = value[:, chosen[of]]
    return value


def _ends(parts: list[str]) -> tuple[str | None, str | None]:
    """The groups of a convolution's outputs (also its norm's channels) and of its inputs."""
    if parts[1] == "stem":
        return "stem", None
    level = parts[2]
    if parts[1] == "laterals":
        return None, level
    if parts[3] == "0":
        return level, "stem" if level == "0" else str(int(level) - 1)
    inner = f"{level}.{parts[3]}"
    return (inner, level) if parts[4] == "first" else (level, inner)
