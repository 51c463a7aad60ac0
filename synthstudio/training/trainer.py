"""The state of a training run and the parts of its steps; loop.py puts them together."""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthstudio.core.errors import ModelError
from synthstudio.core.labels import STATE_HIDDEN
from synthstudio.models.blocks.bank import BankSample
from synthstudio.models.contract import PoseNet, PoseOutputs
from synthstudio.models.losses import Labels, Weights, agreement_loss, pose_losses
from synthstudio.training import adaptation, checkpoint, devices, networks, optimization, poses
from synthstudio.training.config import Config
from synthstudio.training.data import batches, sources, unlabelled
from synthstudio.training.data.batches import Batch, CropSubset
from synthstudio.training.data.sources import TrainingData
from synthstudio.training.data.unlabelled import Unlabelled
from synthstudio.training.log import Log
from synthstudio.training.predictions import validate

_TAIL = {"dropout": 0.0, "half_body": 0.0, "shift": 0.0}
"""Pastes stay, since labels follow them: on photos, where little else is labelled as hidden, a
network that ends without them says that nothing is (docs/blocks.md)."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The outcome of a run."""

    folder: Path
    steps: int
    epochs: int
    best: float | None  # best validation PCK@0.1; None without validation
    finished: bool  # False: stopped by Ctrl-C or a time limit; --resume continues it
    wait_share: float  # share of the time spent waiting for batches
    people_per_second: float


def seed_everything(config: Config) -> None:
    """Seed weight initialisation; in deterministic mode forbid kernels whose sums vary."""
    torch.manual_seed(config.seed)
    torch.use_deterministic_algorithms(config.deterministic, warn_only=config.device != "cpu")


def build_for_training(
    config: Config, data: TrainingData, *, say: Callable[[str], None]
) -> PoseNet:
    """The network of a config with a pose bank of the training people, on the CPU."""
    bank = None
    if config.network.block == "orn":
        bank = poses.pose_bank(
            data.train,
            data.skeleton,
            size=config.network.size,
            count=config.network.bank,
            seed=config.seed,
        )
        if config.network.bank:
            say(poses.about_bank(bank, data.train))
    torch.manual_seed(config.seed)
    net = networks.build_network(config.network, data.skeleton, bank=bank)
    if config.init_from:
        path, most = Path(config.init_from), config.network.bank
        say(checkpoint.initialize(net, path, skeleton=data.skeleton, poses=most))
    for parameter in net.parameters():  # convolutions are fastest in this layout
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    networks.set_share_balance(net, data.balance)
    return net


class Trainer:
    """The state of a run and the parts of a step."""

    def __init__(
        self,
        config: Config,
        out: Path,
        data: TrainingData,
        device: torch.device,
        world: devices.World,
        *,
        say: Callable[[str], None],
        resume: bool,
    ) -> None:
        self.config, self.out, self.data = config, out, data
        self.device, self.world = device, world
        self.net = build_for_training(config, data, say=say).to(device)
        self.ema = copy.deepcopy(self.net).eval() if config.ema else None
        self.optimizer = optimization.make_optimizer(self.net, config)
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "float16")
        self.progress = checkpoint.Progress(data=data.key)
        self.state_file = out / "state.safetensors"
        if resume and self.state_file.is_file():
            self.progress = checkpoint.load_state(
                self.state_file,
                net=self.net,
                ema=self.ema,
                optimizer=self.optimizer,
                scaler=self.scaler,
            )
            sources.check_unchanged(self.progress.data, data.key, out)
        self.model = devices.distribute(self.net, unused=bool(config.network.pretrained))

        self.steps_per_epoch = max(len(data.train) // (config.batch * config.accumulate), 1)
        self.total = config.steps or self.steps_per_epoch * config.epochs
        self.stop: list[str] = []
        self._check_patience()
        self.epoch_order = functools.lru_cache(1)(self._epoch_order)
        self.weights = Weights(**config.losses.model_dump())
        self.sigmas = torch.from_numpy(data.skeleton.sigmas).float().to(device)
        self.balance = torch.from_numpy(data.balance).float().to(device)
        self.log = Log(out, keep_before=self.progress.step) if world.is_main else None

    def _epoch_order(self, epoch: int) -> tuple[CropSubset, NDArray[np.int64]]:
        """The people of an epoch and the order in which they are used."""
        people = self.data.of_epoch(epoch)
        last = (epoch + 1) * self.steps_per_epoch
        max_fraction = curriculum_fraction(self.config, last, self.total)
        return people, people.epoch_order(self.config.seed, epoch, max_fraction=max_fraction)

    def make_batch(self, number: int) -> Batch:
        """Batch `number`, counted in steps times accumulation."""
        config = self.config
        step, part = divmod(number, config.accumulate)
        epoch, step_in_epoch = divmod(step, self.steps_per_epoch)
        people, order = self.epoch_order(epoch)
        augment = config.augment
        if step >= self.total * (1 - config.no_augmentation_tail):
            augment = augment.model_copy(update=_TAIL)
        return batches.make_batch(
            people.crops,
            batch_rows(config, order, step_in_epoch, part, self.world),
            self.data.spec,
            augment,
            seed=config.seed,
            step=number * self.world.size + self.world.rank,
            paired=bool(config.losses.agreement),
            pictures=self.data.pictures,
        )

    def make_batches(self, number: int) -> tuple[Batch, Unlabelled | None]:
        """Batch `number` with labels, and without where there are such people."""
        people, without = self.data.unlabelled, None
        if people is not None:
            without = unlabelled.make_unlabelled(
                people,
                self.data.spec,
                self.config,
                number=number * self.world.size + self.world.rank,
                pictures=self.data.pictures,
            )
        return self.make_batch(number), without

    def prepare_step(self, step: int) -> None:
        optimization.set_lr(self.optimizer, self.config, step, self.total)
        epoch = step // self.steps_per_epoch
        optimization.set_backbone_trainable(self.net, self.config, epoch)

    def backward(self, batch: Batch, without: Unlabelled | None) -> dict[str, float]:
        """Add the gradients of a batch and of people without labels; return the losses by name."""
        with adaptation.statistics_kept(self.net, kept=without is not None):
            losses = self._backward_labelled(batch)
        if without is not None:
            losses["adapt"] = self._backward_unlabelled(
                without, losses["map"] / max(self.weights.map, 1e-9)
            )
        return losses

    def _backward_labelled(self, batch: Batch) -> dict[str, float]:
        labels = Labels(**{k: v.to(self.device) for k, v in vars(batch.labels).items()})
        sample = poses.bank_sample(self.net, batch, self.config, step=self.progress.step)
        images = batch.images.to(self.device).contiguous(memory_format=torch.channels_last)
        outputs = self._forward(self.model, images, sample)
        terms = pose_losses(
            outputs, labels, weights=self.weights, sigmas=self.sigmas, balance=self.balance
        )
        if batch.clean is not None and batch.paired is not None and self.ema is not None:
            with torch.no_grad():
                teacher = self._forward(self.ema, batch.clean.to(self.device)).logits[-1]
            paired = batch.paired.to(self.device)[:, None]
            hidden = labels.known & (labels.state == STATE_HIDDEN) & paired
            agreement = agreement_loss(outputs.logits[-1], teacher, hidden)
            terms["agreement"] = self.weights.agreement * agreement
        loss = torch.stack(list(terms.values())).sum()
        torch.autograd.backward(self.scaler.scale(loss / self.config.accumulate))
        return {name: value.item() for name, value in terms.items()}

    def _backward_unlabelled(self, people: Unlabelled, labelled: float) -> float:
        """What the average of the weights says of photos teaches; before `adapt.start` only the
        norms' statistics learn from them. `labelled`: the map loss of labelled people."""
        adapt, teacher = self.config.adapt, self.ema or self.net
        sample = poses.bank_sample(self.net, people.augmented, self.config, step=self.progress.step)
        images = people.augmented.images.to(self.device)
        outputs = self._forward(
            self.model, images.contiguous(memory_format=torch.channels_last), sample
        )
        turn = (self.progress.step / self.total - adapt.start) / 0.1
        if turn <= 0:
            return 0.0
        adaptation.check_labels_are_learnt(
            labelled, self.data.spec, f"{self.out}, step {self.progress.step}"
        )
        with torch.no_grad():
            told = self._forward(teacher, people.plain.images.to(self.device))
        labels = adaptation.pseudo_labels(told, people, self.data.spec, adapt.keep)
        labels = Labels(**{k: v.to(self.device) for k, v in vars(labels).items()})
        loss = adaptation.pseudo_loss(outputs.logits, labels, self.weights.stages)
        loss = min(turn, 1.0) * adapt.weight * loss
        torch.autograd.backward(self.scaler.scale(loss / self.config.accumulate))
        return float(loss.item())

    def _forward(
        self, net: nn.Module, images: Tensor, sample: BankSample | None = None
    ) -> PoseOutputs:
        try:
            with devices.autocast(self.device, self.config.precision):
                outputs: PoseOutputs = net(images, sample)
        except ValueError as error:
            if len(images) > 1:
                raise
            raise ModelError(
                "the coarsest maps have one cell, and a batch of one person gives norms nothing",
                where=f"batch {len(images)}, network.size {list(images.shape[-2:])}",
                expected="two people or two cells at least",
                got=str(error)[:200],
                then="Raise batch, or network.size.",
            ) from error
        return _to_float32(outputs)

    def update(self, step: int, losses: dict[str, float], batch: Batch) -> None:
        """Take the optimizer's step and log it."""
        self.scaler.unscale_(self.optimizer)
        norm = float(nn.utils.clip_grad_norm_(self.net.parameters(), self.config.clip_norm))
        if not self.scaler.is_enabled():  # the scaler skips such a step
            check_finite({"gradient": norm}, what="gradient", where=f"{self.out}, step {step}")
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.ema is not None:
            optimization.update_average(self.ema, self.net, self.config.ema, step)
        if self.log is not None:
            lr = self.optimizer.param_groups[-1]["lr"]
            self.log.step(step, losses, lr=lr, grad_norm=norm)
            if step in (0, self.total // 2):
                self._check_weights()  # the pictures are drawn from what it predicts
                self.log.images(step, batch, self.ema or self.net, self.data.skeleton)

    @property
    def at_epoch_end(self) -> bool:
        step = self.progress.step
        return step % self.steps_per_epoch == 0 or step == self.total

    @property
    def save_is_due(self) -> bool:
        return self.progress.step % self.config.save_every == 0 or self.at_epoch_end

    def validate_and_checkpoint(self) -> None:
        """Validate; save the last and the best weights; stop after `patience` epochs."""
        self._check_weights()
        self.progress.epoch += 1
        net, progress = self.ema or self.net, self.progress
        metrics = validate(net, self.data.val, self.data.spec, device=self.device)
        score = metrics["pck"] if self.data.val is not None else float(progress.epoch)
        better = score > progress.best
        if better:
            progress.best, progress.best_epoch = score, progress.epoch
        if self.world.is_main:
            for name in ("last", "best") if better else ("last",):
                checkpoint.save_weights(
                    self.out / f"{name}.safetensors",
                    net,
                    self.config,
                    skeleton=self.data.skeleton,
                    note=f"step {progress.step}",
                )
        if self.log is not None:
            self.log.validation(progress.step, metrics)
        self._check_patience()

    def _check_patience(self) -> None:
        """Ask to stop a run whose validation has not improved for `patience` epochs."""
        progress, patience = self.progress, self.config.patience
        if patience and progress.epoch and progress.epoch - progress.best_epoch >= patience:
            self.stop.append(f"the validation did not improve for {patience} epochs")

    def save_state(self) -> None:
        if self.world.is_main:
            self._check_weights()
            checkpoint.save_state(
                self.state_file,
                net=self.net,
                ema=self.ema,
                optimizer=self.optimizer,
                scaler=self.scaler,
                progress=self.progress,
                config=self.config,
                skeleton=self.data.skeleton,
            )

    def _check_weights(self) -> None:
        """Refuse to save weights that cannot be trained on: even their squares overflow."""
        for net in (self.net, self.ema):
            squares = [] if net is None else [p.detach().square().sum() for p in net.parameters()]
            if squares and not torch.stack(squares).isfinite().all():
                raise ModelError(
                    "the weights are not finite any more",
                    where=f"{self.out}, step {self.progress.step}",
                    then="The last saved state is good; lower `lr`.",
                )

    def outcome(self, **figures: Any) -> Trained:
        progress = self.progress
        validated = self.data.val is not None and progress.best_epoch >= 0
        best = progress.best if validated else None
        return Trained(
            folder=self.out, steps=progress.step, epochs=progress.epoch, best=best, **figures
        )

    def close(self) -> None:
        if self.log is not None:
            self.log.close()


def batch_rows(
    config: Config, order: NDArray[np.int64], step: int, part: int, world: devices.World
) -> NDArray[np.int64]:
    """The crops of one batch of an epoch; each process takes a share of it.

    An order shorter than the epoch is repeated.
    """
    start = (step * config.accumulate + part) * config.batch
    rows = order[np.arange(start, start + config.batch) % len(order)]
    return rows[world.rank :: world.size]


def curriculum_fraction(config: Config, step: int, total: int) -> float:
    """The highest occluded fraction in an epoch that ends with `step`."""
    if not config.curriculum:
        return 1.0
    return min(1.0, 0.1 + step / (config.curriculum * total))


def _to_float32(outputs: PoseOutputs) -> PoseOutputs:
    """Outputs of mixed precision in float32, in which losses are summed over cells."""
    values: dict[str, Any] = {
        f.name: value.float()
        for f in dataclasses.fields(outputs)
        if isinstance(value := getattr(outputs, f.name), Tensor)
    }
    return dataclasses.replace(outputs, logits=tuple(s.float() for s in outputs.logits), **values)


def check_finite(values: dict[str, float], *, what: str, where: str) -> None:
    if not all(math.isfinite(v) for v in values.values()):
        raise ModelError(
            f"the {what} is not finite",
            where=where,
            got=", ".join(f"{k} {v:g}" for k, v in values.items()),
            then="The last saved state is good; lower `lr`, or use float32.",
        )
