"""Losses. Every term is logged under its name; `Weights` has their defaults."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from synthstudio.core.labels import STATE_HIDDEN
from synthstudio.models.contract import VISIBLE, PoseOutputs
from synthstudio.models.heatmaps import oks_map, probabilities


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Labels of B crops; NaN is unknown. Crop units: x and y from 0 to 1 across the crop.

    `xy` (B, J, 2) in crop units; `known` (B, J): labelled and inside the crop; `present` (B, J):
    inside the image. `visibility_fractions` (B, J, 4), sum 1; `state` (B, J) 2, 1, 0, or
    255 unlabelled. `area` (B,): the amodal area as a share of the crop's. `occluder` (B, 1, h, w):
    covered by something else, 0 to 1. `xyz_m` (B, J, 3): root-relative.
    """

    xy: Tensor
    known: Tensor
    present: Tensor
    visibility_fractions: Tensor
    state: Tensor
    area: Tensor
    occluder: Tensor
    xyz_m: Tensor


def map_loss(logits: Tensor, labels: Labels) -> Tensor:
    """Cross-entropy between softmax maps and Gaussians; hidden joints count fully."""
    each = gaussian_cross_entropy(logits, _cells(labels, logits), sigma=1.0)
    return masked_mean(each, labels.known)


def gaussian_cross_entropy(logits: Tensor, xy: Tensor, *, sigma: float) -> Tensor:
    """Cross-entropy (B, J) between softmax maps (B, J, h, w) and Gaussians about `xy` (B, J, 2) in
    cells, which are separable: the mean of logits needs no target map."""
    h, w = logits.shape[-2:]
    across, along = (
        torch.softmax(-((xy[..., axis, None] - cells) ** 2) / (2 * sigma**2), -1)
        for axis, cells in enumerate((_middles(w, xy), _middles(h, xy)))
    )
    with torch.autocast(logits.device.type, enabled=False):  # in float32, as softmax is
        logits = logits.float()
        mean = ((logits @ across[..., None]).squeeze(-1) * along).sum(-1)
    return logits.flatten(2).logsumexp(-1) - mean


def _middles(count: int, like: Tensor) -> Tensor:
    return torch.arange(count, dtype=like.dtype, device=like.device) + 0.5


def presence_loss(predicted: Tensor, labels: Labels) -> Tensor:
    """Binary cross-entropy of whether joints lie in the image."""
    known = ~labels.present.isnan()
    each = F.binary_cross_entropy_with_logits(
        predicted, labels.present.nan_to_num(), reduction="none"
    )
    return masked_mean(each, known)


def fractions_loss(predicted: Tensor, labels: Labels, balance: Tensor) -> Tensor:
    """Cross-entropy of the four fractions, weighted by `balance` (4,); of a hidden joint of unknown
    cause that of "not visible"."""
    known = ~labels.visibility_fractions.isnan().any(-1)
    target = labels.visibility_fractions.nan_to_num() * balance
    each = -(target * F.log_softmax(predicted, -1)).sum(-1)
    unnamed = ~known & (labels.state == STATE_HIDDEN)
    hidden = torch.cat([predicted[..., :VISIBLE], predicted[..., VISIBLE + 1 :]], -1)
    unseen = torch.logsumexp(predicted, -1) - torch.logsumexp(hidden, -1)
    weight = balance.sum() - balance[VISIBLE]
    each = torch.where(unnamed, unseen * weight / (len(balance) - 1), each)
    return masked_mean(each, known | unnamed)


def quality_loss(predicted: Tensor, logits: Tensor, labels: Labels, sigmas: Tensor) -> Tensor:
    """Squared error of the expected OKS; the maps get no gradient from it."""
    h, w = logits.shape[-2:]
    with torch.no_grad():
        hit = oks_map(_cells(labels, logits), sigmas, labels.area * h * w, h, w)
        best = probabilities(logits).flatten(2).argmax(-1, keepdim=True)
        reached = hit.flatten(2).gather(-1, best).squeeze(-1)
    return masked_mean((torch.sigmoid(predicted) - reached) ** 2, labels.known)


def occluder_loss(predicted: Tensor, labels: Labels) -> Tensor:
    """Binary cross-entropy plus soft Dice of the cover, over known cells."""
    known = ~labels.occluder.isnan()
    target = labels.occluder.nan_to_num()
    cross = F.binary_cross_entropy_with_logits(predicted, target, reduction="none")
    covered = torch.sigmoid(predicted) * known
    overlap = 2 * (covered * target).flatten(1).sum(1) + 1
    dice = 1 - overlap / ((covered + target * known).flatten(1).sum(1) + 1)
    return masked_mean(cross, known) + dice.mean()


def lift_loss(predicted: Tensor, labels: Labels) -> Tensor:
    """Mean absolute error of root-relative 3D joints, in units of 0.1 m."""
    known = ~labels.xyz_m.isnan().any(-1)
    return masked_mean((predicted - labels.xyz_m.nan_to_num()).abs().sum(-1) / 0.1, known)


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights of the terms; 0 disables one. `stages`: of the maps before the last."""

    map: float = 1.0
    stages: float = 0.5
    presence: float = 0.1
    visibility_fractions: float = 0.1
    quality: float = 0.05
    occluder: float = 0.2
    lift: float = 0.02


WEIGHTS = Weights()


def _of(loss: Callable[..., Tensor], predicted: Tensor | None, *more: Any) -> Tensor | None:
    return None if predicted is None else loss(predicted, *more)


Term = Callable[[PoseOutputs, Labels, Tensor, Tensor], Tensor | None]
TERMS: dict[str, Term] = {
    "presence": lambda found, labels, sigmas, balance: _of(presence_loss, found.presence, labels),
    "visibility_fractions": lambda found, labels, sigmas, balance: _of(
        fractions_loss, found.visibility_fractions, labels, balance
    ),
    "quality": lambda found, labels, sigmas, balance: _of(
        quality_loss, found.quality, found.logits[-1], labels, sigmas
    ),
    "occluder": lambda found, labels, sigmas, balance: _of(occluder_loss, found.occluder, labels),
    "lift": lambda found, labels, sigmas, balance: _of(lift_loss, found.xyz_m, labels),
}
"""Terms besides the maps', of outputs, labels, sigmas (J,) and balance (4,): None where a head has
no such output. Terms without a field in Weights have weight 1."""


def pose_losses(
    predicted: PoseOutputs,
    labels: Labels,
    *,
    sigmas: Tensor,
    balance: Tensor,
    weights: Weights = WEIGHTS,
) -> dict[str, Tensor]:
    """Each weighted term by name; their sum is the loss. Terms without an output are skipped."""
    *early, last = predicted.logits
    terms = {"map": weights.map * map_loss(last, labels)}
    if early and weights.stages:
        stages = torch.stack([map_loss(stage, labels) for stage in early])
        terms["stages"] = weights.stages * stages.mean()
    for name, term in TERMS.items():
        weight = getattr(weights, name, 1.0)
        value = term(predicted, labels, sigmas, balance) if weight else None
        if value is not None:
            terms[name] = weight * value
    return terms


def _cells(labels: Labels, logits: Tensor) -> Tensor:
    h, w = logits.shape[-2:]
    return labels.xy.nan_to_num() * labels.xy.new_tensor([w, h])


def masked_mean(each: Tensor, known: Tensor) -> Tensor:
    """Mean over `known`; 0, with zero gradient, if none is known. Several processes divide by their
    mean count, so that averaged gradients are the whole batch's."""
    weight = known.to(each.dtype)
    count, processes = weight.sum().detach(), 1
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        count, processes = count.clone(), torch.distributed.get_world_size()
        torch.distributed.all_reduce(count)
    return (each * weight).sum() / (count.clamp_min(1) / processes)
