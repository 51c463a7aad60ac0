"""Learning from photos without labels: a mean teacher says where their joints are.

The teacher is the moving average of the network (Tarvainen and Valpola 2017). It sees a person as
the photo shows them; the network sees the same person augmented, and learns the joints that the
teacher is surest of. The labels of those photos are never looked at.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from synthstudio.core.errors import ModelError
from synthstudio.core.labels import STATE_VISIBLE
from synthstudio.core.rng import stream
from synthstudio.dataset.rows import NO_STATE
from synthstudio.models.contract import VISIBLE, PoseOutputs
from synthstudio.models.heatmaps import Decoded, expected_hits
from synthstudio.models.losses import Labels, Weights, map_losses
from synthstudio.training.config import NO_AUGMENTATION, Config
from synthstudio.training.data import batches
from synthstudio.training.data.augment import BatchPart
from synthstudio.training.data.batches import Batch, CropSubset, InputSpec, Pictures
from synthstudio.training.devices import ALONE, World

UNLEARNT = 1.5
"""Divergence: a map loss on labelled people of this many times that of a map that says nothing."""


def pseudo_labels(outputs: PoseOutputs, batch: Unlabelled, spec: InputSpec, keep: float) -> Labels:
    """What the teacher's `outputs` for `batch.plain` say of the augmented people.

    Of each joint the share `keep` of the people are labelled of whom the teacher is surest
    (`confidence`).
    """
    found = expected_hits(outputs.maps)
    sure = confidence(outputs, found)
    least = torch.quantile(sure, 1 - keep, dim=0)
    labels = batch.augmented.labels
    height, width = spec.size
    cell = height / spec.cells[0]
    xy = found.xy.double().cpu().numpy() * cell
    before, after = batch.plain.view, batch.augmented.view
    canvas = np.einsum("bij,bkj->bki", before[:, :, :2], xy) + before[:, None, :, 2]
    linear = np.linalg.inv(after[:, :, :2])
    moved = np.einsum("bij,bkj->bki", linear, canvas - after[:, None, :, 2])
    mirrored = np.linalg.det(linear) < 0
    order = np.where(mirrored[:, None], spec.skeleton.flip, np.arange(moved.shape[1]))
    moved = np.take_along_axis(moved, order[..., None], 1)
    chosen = np.take_along_axis((sure >= least).cpu().numpy(), order, 1)
    inside = (moved >= 0).all(-1) & (moved < [width, height]).all(-1)
    known = torch.from_numpy(chosen & inside)
    return dataclasses.replace(
        labels,
        xy=torch.from_numpy((moved / [width, height]).astype(np.float32)),
        known=known,
        state=torch.where(known, STATE_VISIBLE, NO_STATE),
    )


def confidence(outputs: PoseOutputs, found: Decoded) -> Tensor:
    """How sure a network is of its joints (B, J), by which they are to be ranked.

    The chance that a joint lies near the decoded place, times its expected OKS and the share of it
    that can be seen, where the network says those.
    """
    sure = found.score
    if outputs.quality is not None:
        sure = sure * torch.sigmoid(outputs.quality)
    if outputs.shares is not None:
        sure = sure * torch.softmax(outputs.shares, -1)[..., VISIBLE]
    return sure


def pseudo_loss(logits: tuple[Tensor, ...], labels: Labels, stages: float) -> Tensor:
    """The map loss of all stages; `stages` weighs those before the last."""
    terms = map_losses(logits, labels, Weights(map=1.0, stages=stages))
    return torch.stack(list(terms.values())).sum()


def labels_are_learnt(loss: float, spec: InputSpec, where: str) -> bool:
    """Whether the map loss on labelled people is at most that of a uniform map.

    ModelError when it is far above.
    """
    uniform = math.log(spec.cells[0] * spec.cells[1])
    if loss > UNLEARNT * uniform:
        raise ModelError(
            "adapting to the photos diverges: the network unlearns its labels",
            where=where,
            expected=f"a map loss on labelled people below {UNLEARNT * uniform:.1f}",
            got=f"{loss:.1f}",
            then="The saved state is of before that; lower adapt.weight, or raise adapt.start.",
        )
    return loss <= uniform


@contextmanager
def statistics_kept(net: nn.Module, kept: bool) -> Iterator[None]:
    """Inside, batch norms do not update their running statistics if `kept`.

    The network is to be used on photos, so the statistics are to be those of the photos alone.
    """
    norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    before = [norm.momentum for norm in norms]
    for norm in norms if kept else ():
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum


@dataclass(frozen=True, kw_only=True)
class Unlabelled:
    """The same people twice: as they are, for the teacher, and augmented."""

    plain: Batch
    augmented: Batch


def make_unlabelled(
    people: CropSubset,
    spec: InputSpec,
    config: Config,
    *,
    number: int,
    pictures: Pictures,
    world: World = ALONE,
) -> Unlabelled:
    """The people of batch `number`, or a process's part of them; (seed, number) decide who they are
    and how they look."""
    per_pass = max(len(people) // config.batch, 1)
    which, place = divmod(number, per_pass)
    order = stream(config.seed, "unlabelled", which).permutation(people.rows)
    rows = order[np.arange(place * config.batch, (place + 1) * config.batch) % len(order)]
    part = BatchPart.of(rows, rank=world.rank, size=world.size)
    augmented = batches.make_batch(
        people.crops,
        part,
        spec,
        config.augment,
        seed=config.seed + 1,  # not as the labelled batch of the same number
        step=number,
        pictures=pictures,
    )
    plain = batches.make_batch(people.crops, part.rows, spec, NO_AUGMENTATION)
    return Unlabelled(plain=plain, augmented=augmented)
