"""What a network is told. Every term is logged by its name; weights are in the training config."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from synthstudio.models.contract import PoseMaps
from synthstudio.models.heatmaps import gaussian_map, oks_map, probabilities


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What is known of B crops. Crop units: x and y from 0 to 1 across the crop.

    `xy` (B, J, 2) crop units; `known` (B, J): somebody said where the joint is, and it lies in the
    crop; `present` (B, J): it lies in the picture, NaN where nobody knows. `shares` (B, J, 4) of
    the joint's surface, sum 1, NaN where nobody knows; `state` (B, J) 2, 1, 0, 255 unlabelled.
    `area` (B,): the amodal area as a share of the crop's. `occluder` (B, 1, h, w): covered by
    something else, 0 to 1, NaN where nobody knows. `xyz_m` (B, J, 3): root-relative, NaN: unknown.
    """

    xy: Tensor
    known: Tensor
    present: Tensor
    shares: Tensor
    state: Tensor
    area: Tensor
    occluder: Tensor
    xyz_m: Tensor


def map_loss(logits: Tensor, labels: Labels, *, sigma: float = 1.0) -> Tensor:
    """Return the cross-entropy between softmax maps and Gaussians; hidden joints count fully."""
    h, w = logits.shape[-2:]
    goal = gaussian_map(_cells(labels, logits), h, w, sigma=sigma)
    each = -(goal.flatten(2) * F.log_softmax(logits.flatten(2), -1)).sum(-1)
    return _mean(each, labels.known)


def oks_loss(logits: Tensor, labels: Labels, sigmas: Tensor) -> Tensor:
    """Return the mean of 1 - OKS that answers drawn from the maps would score."""
    h, w = logits.shape[-2:]
    hit = oks_map(_cells(labels, logits), sigmas, labels.area * h * w, h, w)
    each = 1 - (probabilities(logits) * hit).flatten(2).sum(-1)
    return _mean(each, labels.known)


def presence_loss(said: Tensor, labels: Labels) -> Tensor:
    """Return the binary cross-entropy of whether joints lie in the picture."""
    told = ~labels.present.isnan()
    each = F.binary_cross_entropy_with_logits(said, labels.present.nan_to_num(), reduction="none")
    return _mean(each, told)


def shares_loss(said: Tensor, labels: Labels, balance: Tensor) -> Tensor:
    """Return the cross-entropy of the four shares; `balance` (4,) weighs rare causes up."""
    told = ~labels.shares.isnan().any(-1)
    goal = labels.shares.nan_to_num() * balance
    each = -(goal * F.log_softmax(said, -1)).sum(-1)
    return _mean(each, told)


def quality_loss(said: Tensor, logits: Tensor, labels: Labels, sigmas: Tensor) -> Tensor:
    """Return the squared error of the expected OKS; the maps get no gradient from it."""
    h, w = logits.shape[-2:]
    with torch.no_grad():
        hit = oks_map(_cells(labels, logits), sigmas, labels.area * h * w, h, w)
        best = probabilities(logits).flatten(2).argmax(-1, keepdim=True)
        reached = hit.flatten(2).gather(-1, best).squeeze(-1)
    return _mean((torch.sigmoid(said) - reached) ** 2, labels.known)


def occluder_loss(said: Tensor, labels: Labels) -> Tensor:
    """Return binary cross-entropy plus soft Dice of the cover, over the cells that are known."""
    told = ~labels.occluder.isnan()
    goal = labels.occluder.nan_to_num()
    cross = F.binary_cross_entropy_with_logits(said, goal, reduction="none")
    covered = torch.sigmoid(said) * told
    both = 2 * (covered * goal).flatten(1).sum(1) + 1
    dice = 1 - both / ((covered + goal * told).flatten(1).sum(1) + 1)
    return _mean(cross, told) + dice.mean()


def lift_loss(said: Tensor, labels: Labels) -> Tensor:
    """Return the mean absolute error of root-relative places in 3D, in units of 0.1 m."""
    told = ~labels.xyz_m.isnan().any(-1)
    each = (said - labels.xyz_m.nan_to_num()).abs().sum(-1) / 0.1
    return _mean(each, told)


def agreement_loss(said: Tensor, teacher: Tensor, where: Tensor) -> Tensor:
    """Return KL(teacher || student) of maps (B, J, h, w), meant over joints `where` (B, J).

    The teacher sees the same moment without the occluder and gets no gradient.
    """
    log_student = F.log_softmax(said.flatten(2), -1)
    log_teacher = F.log_softmax(teacher.detach().flatten(2), -1)
    each = (log_teacher.exp() * (log_teacher - log_student)).sum(-1)
    return _mean(each, where)


@dataclass(frozen=True, kw_only=True)
class Weights:
    """How much each term counts; 0 leaves it out. `stages`: of the maps before the last."""

    map: float = 1.0
    stages: float = 0.5
    oks: float = 0.0
    presence: float = 0.1
    shares: float = 0.1
    quality: float = 0.05
    occluder: float = 0.2
    lift: float = 0.02
    agreement: float = 0.5


def pose_losses(
    said: PoseMaps, labels: Labels, *, weights: Weights, sigmas: Tensor, balance: Tensor
) -> dict[str, Tensor]:
    """Return each weighted term by its name; their sum is the loss. No term without an output."""
    terms = {"map": weights.map * map_loss(said.logits[-1], labels)}
    if len(said.logits) > 1 and weights.stages:
        early = [map_loss(stage, labels) for stage in said.logits[:-1]]
        terms["stages"] = weights.stages * torch.stack(early).mean()
    if weights.oks:
        terms["oks"] = weights.oks * oks_loss(said.logits[-1], labels, sigmas)
    if said.presence is not None and weights.presence:
        terms["presence"] = weights.presence * presence_loss(said.presence, labels)
    if said.shares is not None and weights.shares:
        terms["shares"] = weights.shares * shares_loss(said.shares, labels, balance)
    if said.quality is not None and weights.quality:
        quality = quality_loss(said.quality, said.logits[-1], labels, sigmas)
        terms["quality"] = weights.quality * quality
    if said.occluder is not None and weights.occluder:
        terms["occluder"] = weights.occluder * occluder_loss(said.occluder, labels)
    if said.xyz_m is not None and weights.lift:
        terms["lift"] = weights.lift * lift_loss(said.xyz_m, labels)
    return terms


def _cells(labels: Labels, logits: Tensor) -> Tensor:
    h, w = logits.shape[-2:]
    return labels.xy.nan_to_num() * labels.xy.new_tensor([w, h])


def _mean(each: Tensor, told: Tensor) -> Tensor:
    """Return the mean over what is told; 0, with a gradient of 0, when nothing is.

    Among several processes, of which each has a share of the batch, the count is the mean one:
    their gradients are averaged, so together they are those of the whole batch.
    """
    weight = told.to(each.dtype)
    count = weight.sum().detach()
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        count = count.clone()
        torch.distributed.all_reduce(count)
        count = count / torch.distributed.get_world_size()
    return (each * weight).sum() / count.clamp_min(1)
