"""Learning what a pose is without a joint: pairs of people of the same pose, and of the same looks.

Of photos, where nobody tells, the pair is one person in two augmentations (data/pose_pairs.py).
Letters: N people, B of a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthstudio.core.rng import Generator, stream
from synthstudio.core.skeleton import Skeleton
from synthstudio.models.representations import (
    ContrastiveNet,
    Disentangler,
    covariance_loss,
    info_nce,
    picture_loss,
)
from synthstudio.training import checkpoint, devices, optimization
from synthstudio.training.config import NO_AUGMENTATION, Augment, Config
from synthstudio.training.data import batches
from synthstudio.training.data.batches import Batch, InputSpec
from synthstudio.training.data.pose_pairs import PairSampler, PosePeople, pose_people
from synthstudio.training.networks import build_network
from synthstudio.training.trainer import check_finite

I64 = NDArray[np.int64]
F32 = NDArray[np.float32]
Report = Callable[[int, int, str], None]
Net = TypeVar("Net", bound=nn.Module)
WEIGHTS = "pretrained.safetensors"
Step = Callable[[str], Callable[[int, int, float], None]]
Show = Callable[[I64, Augment], Batch]
"""Augmented pictures, and labels, of people by their rows (B,)."""
_CODES = 128
_COVARIANCE = 1.0
_PART = 128


def contrastive_net(config: Config, skeleton: Skeleton) -> ContrastiveNet:
    """A config's backbone with a projection head, as its seed has it."""
    torch.manual_seed(config.seed)
    features, channels = _backbone(config, skeleton)
    return ContrastiveNet(features, channels, width=_CODES)


def train_contrastive(
    people: PosePeople, config: Config, *, steps: int, progress: Report = lambda *told: None
) -> ContrastiveNet:
    """Learn codes of poses by InfoNCE; the same people and config give the same weights."""
    sampler = PairSampler(people)
    net = contrastive_net(config, people.skeleton)
    pose = torch.from_numpy(people.pose)
    # A mirrored or turned pose is another one, and a half body's may be anybody's.
    augment = config.augment.model_copy(update={"flip": 0.0, "half_body": 0.0, "turned": 0.0})

    def loss(show: Show, rng: Generator) -> dict[str, Tensor]:
        drawn = sampler.draw(rng, config.batch)
        codes = net(show(drawn.rows, augment).images)
        partner = torch.from_numpy(drawn.partner).to(codes.device)
        return {"contrast": info_nce(codes, partner, pose[drawn.rows].to(codes.device))}

    return train_steps(net, loss, people, config, steps=steps, progress=progress)


def disentangler(config: Config, skeleton: Skeleton, *, gaussians: int = 24) -> Disentangler:
    """A config's backbone with codes of pose and looks and their decoder, as its seed has it."""
    torch.manual_seed(config.seed)
    features, channels = _backbone(config, skeleton)
    return Disentangler(features, channels, cells=config.network.cells, gaussians=gaussians)


def _backbone(config: Config, skeleton: Skeleton) -> tuple[nn.Module, int]:
    """A config's backbone with random or pretrained weights, and its channels."""
    plain = config.network.model_copy(update={"block": "kpe"})
    features: Any = build_network(plain, skeleton, bank=None).features
    return features, int(features.channels)


def train_disentangled(
    people: PosePeople,
    config: Config,
    *,
    steps: int,
    swapped: bool = True,
    progress: Report = lambda *told: None,
) -> Disentangler:
    """Learn to draw somebody from another picture of their pose and another one of their looks.

    Not `swapped`, the control: both codes are of the picture that is to be drawn.
    """
    sampler = PairSampler(people)
    net = disentangler(config, people.skeleton)

    def loss(show: Show, rng: Generator) -> dict[str, Tensor]:
        # All pictures are as the camera saw them: places are what the codes are about.
        drawn = sampler.draw(rng, 2 * config.batch).rows.reshape(-1, 4)
        shown, posed = (show(drawn[:, k::2].ravel(), NO_AUGMENTATION).images for k in (0, 1))
        true = shown.float() / 255
        pose = net.encode_pose(posed if swapped else shown)
        looks = net.encode_looks(shown)
        # Of each four the first and the third wear the same.
        worn = looks.view(-1, 2, looks.shape[-1]).flip(1).flatten(0, 1) if swapped else looks
        # The pose that a looks' code is not to tell is its own picture's, shown by a partner too.
        own = pose.xy.detach().flatten(1)
        return {
            "picture": picture_loss(net.picture(pose, worn), true),
            "covariance": _COVARIANCE * covariance_loss(own, looks),
        }

    return train_steps(net, loss, people, config, steps=steps, progress=progress)


def train_steps(
    net: Net,
    loss: Callable[[Show, Generator], dict[str, Tensor]],
    people: PosePeople,
    config: Config,
    *,
    steps: int,
    progress: Report = lambda *told: None,
) -> Net:
    """Take a config's optimizer's steps on the terms that `loss` gives of the people shown.

    Everything random comes from (seed, step).
    """
    device = devices.get_device(config.device)
    spec = InputSpec.of(config.network, people.skeleton)
    net = net.to(device)
    optimizer = optimization.make_optimizer(net, config)
    for step in range(steps):
        shown = 0

        def show(rows: I64, augment: Augment, step: int = step) -> Batch:
            nonlocal shown
            shown += 1
            made = batches.make_batch(
                people.crops, people.rows[rows], spec, augment, seed=config.seed + shown, step=step
            )
            images = made.images.to(device).contiguous(memory_format=torch.channels_last)
            return replace(made, images=images)

        net.train()
        optimization.set_lr(optimizer, config, step, steps)
        terms = loss(show, stream(config.seed, "representation", step))
        total = torch.stack(list(terms.values())).sum()
        optimizer.zero_grad()
        torch.autograd.backward(total)
        nn.utils.clip_grad_norm_(net.parameters(), config.clip_norm)
        check_finite({k: v.item() for k, v in terms.items()}, what="loss", where=f"step {step}")
        optimizer.step()
        text = " ".join(f"{name} {value.item():.3f}" for name, value in terms.items())
        progress(step + 1, steps, text)
    return net.eval()


@torch.inference_mode()
def encoded(encode: Callable[[Tensor], Tensor], people: PosePeople, config: Config) -> F32:
    """What `encode` makes of everybody's picture (N, 3, H, W), in parts: (N, ...)."""
    spec, device = InputSpec.of(config.network, people.skeleton), devices.get_device(config.device)
    out = []
    for start in range(0, len(people), _PART):
        rows = people.rows[start : start + _PART]
        made = batches.make_batch(people.crops, rows, spec, NO_AUGMENTATION)
        out.append(encode(made.images.to(device)).float().cpu().numpy())
    return np.concatenate(out)


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """`hits` (Q,): whether the nearest candidate of each of Q people shows their pose; `chance`
    (Q,): how many of the candidates do; `queries` (Q,) are rows of the people."""

    hits: NDArray[np.bool_]
    chance: NDArray[np.float64]
    queries: I64

    def summary(self) -> dict[str, float | int]:
        """Shares of hits and of right candidates, and how many ask."""
        return {
            "hits": float(self.hits.mean()),
            "chance": float(self.chance.mean()),
            "people": len(self.hits),
        }


def retrieval(codes: F32, people: PosePeople, *, same_look: bool = True) -> Retrieval:
    """Ask of each person (N, D) who shows their pose in other looks.

    Candidates that do not are, with `same_look`, only those in the looks of the asking, in other
    poses; else everybody else. The asking's own pose in their own looks is no candidate. Who has
    no right candidate, or no wrong one in their looks, does not ask.
    """
    pose = people.pose[:, None] == people.pose[None]
    look = people.look[:, None] == people.look[None]
    right, alike = pose & ~look, look & ~pose
    wrong = alike if same_look else ~pose
    asks = np.flatnonzero(right.any(1) & alike.any(1))
    nearness = np.where(right | wrong, codes @ codes.T, -np.inf)[asks]
    nearest = nearness.argmax(1)
    many = right[asks].sum(1), wrong[asks].sum(1)
    return Retrieval(hits=right[asks, nearest], chance=many[0] / (many[0] + many[1]), queries=asks)


def pretrain(
    config: Config,
    out: Path,
    *,
    cache: Path,
    say: Callable[[str], None] = lambda line: None,
    step: Step = lambda title: lambda done, total, per_second: None,
) -> dict[str, Any]:
    """Learn from a config's training people, and write OUT/pretrained.safetensors for `init_from`.

    Steps are the config's, or its epochs over all of them. ModelError for what does not fit.
    """
    report = step("cropping people")

    def cropping(done: int, total: int) -> None:
        report(done, total, 0.0)

    people = pose_people(config.train, config, cache=cache, progress=cropping)
    shown = pose_people(config.val, config, cache=cache, progress=cropping) if config.val else None
    poses, looks = len(np.unique(people.pose)), len(np.unique(people.look))
    count = len(np.unique(people.rows))
    say(f"{count} people in {poses} poses and {looks} looks")
    steps = config.steps or max(len(people) // config.batch, 1) * config.epochs
    bar = step("training")
    net = train_contrastive(
        people, config, steps=steps, progress=lambda done, total, text: bar(done, total, 0.0)
    )
    out.mkdir(parents=True, exist_ok=True)  # a cache elsewhere did not
    weights = out / WEIGHTS
    checkpoint.save_weights(
        weights, net, config, skeleton=people.skeleton, note=f"contrastive, step {steps}"
    )
    told = retrieval(encoded(net, shown, config), shown) if shown is not None else None
    return {
        "weights": str(weights),
        "people": count,
        "poses": poses,
        "looks": looks,
        "steps": steps,
        "retrieval": told.summary() if told is not None and len(told.hits) else None,
    }
