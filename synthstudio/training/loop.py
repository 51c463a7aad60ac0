"""The training loop: read `train` from top to bottom.

All randomness comes from (seed, step) or (seed, epoch), so a run that was cut off and resumes from
its saved state ends with the same weights as one that was not.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
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
from synthstudio.training import checkpoint, devices, networks, optimization, poses
from synthstudio.training.config import Config
from synthstudio.training.data import batches, sources
from synthstudio.training.data.batches import Batch, CropSubset
from synthstudio.training.data.sources import TrainingData
from synthstudio.training.interrupts import stop_on_signals
from synthstudio.training.log import CROPPING, Log, import_tensorboard
from synthstudio.training.predictions import validate

_TAIL = {"dropout": 0.0, "paste": 0.0, "half_body": 0.0, "shift": 0.0}


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


def train(
    config: Config,
    out: Path,
    *,
    resume: bool = False,
    cache: Path | None = None,
    steps: int | None = None,
    say: Callable[[str], None] = print,
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
    select: Callable[[TrainingData], TrainingData] = lambda data: data,
) -> Trained:
    """Train a network into the folder `out`; Ctrl-C stops after the step and saves.

    `resume`: continue from the saved state there. `steps`: at most this many in this call (for a
    dry run, or a part of a long run). `progress` gets (done, total, text): CROPPING before the
    first step, then the losses. `select` reduces the people. ModelError for whatever does not fit.
    """
    started = time.monotonic()
    device = devices.get_device(config.device)
    world = devices.join_world(device)
    devices.check_batch_divides(config.batch, world)
    import_tensorboard()
    seed_everything(config)
    if not world.is_main:
        say, progress = (lambda text: None), (lambda done, total, text: None)
    memory = devices.memory_guard(
        device, got=f"{config.batch // world.size} people", then=devices.SMALLER_BATCH
    )
    with ExitStack() as held:
        with ExitStack() as before:
            with devices.main_process_first(world):
                config = before.enter_context(
                    checkpoint.prepared_folder(out, config, resume=resume or not world.is_main)
                )
                report = functools.partial(_report_cropping, progress)
                data = sources.load_data(
                    config, cache=cache or out / "cache", say=say, progress=report
                )
                data = select(data)
            held.enter_context(closing(data))
            held.enter_context(memory)
            sources.check_labels(data, pasted=bool(config.augment.paste), say=say)
            run = _Run(config, out, data, device, world, say=say, resume=resume)
        first = run.progress.step
        end = min(run.total, first + steps if steps is not None else run.total)
        seconds_before, waited = run.progress.seconds, 0.0
        stopped = devices.agreed_stop_reason(run.stop)
        numbers = range(first * config.accumulate, end * config.accumulate)
        batch_stream = batches.prefetch(run.make_batch, numbers)
        with stop_on_signals(run.stop), closing(run), closing(batch_stream):
            while run.progress.step < end and not stopped:
                step = run.progress.step
                run.prepare_step(step)
                losses: dict[str, float] = {}
                for _ in range(config.accumulate):
                    waiting = time.monotonic()
                    batch = next(batch_stream)
                    waited += time.monotonic() - waiting
                    for name, value in run.backward(batch).items():
                        losses[name] = losses.get(name, 0.0) + value / config.accumulate
                losses = devices.mean(losses)
                check_finite(losses, what="loss", where=f"{out}, step {step}")
                run.update(step, losses, batch)

                run.progress.step = step + 1
                run.progress.seconds = seconds_before + time.monotonic() - started
                text = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
                progress(step + 1, run.total, text)
                if run.at_epoch_end:
                    run.validate_and_checkpoint()
                elapsed = run.progress.seconds - seconds_before
                if config.minutes and elapsed > config.minutes * 60:
                    run.stop.append(f"{config.minutes:g} minutes are over")
                stopped = devices.agreed_stop_reason(run.stop)
                if run.save_is_due or stopped or run.progress.step == end:
                    run.save_state()
        if stopped:
            say(f"stopped after step {run.progress.step} of {run.total}: {stopped}")
        elapsed = max(run.progress.seconds - seconds_before, 1e-9)
        people = (run.progress.step - first) * config.batch * config.accumulate
        return run.outcome(
            finished=run.progress.step >= run.total or "improve" in stopped,
            wait_share=waited / elapsed,
            people_per_second=people / elapsed,
        )


def _report_cropping(progress: Callable[[int, int, str], None], done: int, total: int) -> None:
    progress(done, total, CROPPING)


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


class _Run:
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

    def prepare_step(self, step: int) -> None:
        optimization.set_lr(self.optimizer, self.config, step, self.total)
        epoch = step // self.steps_per_epoch
        optimization.set_backbone_trainable(self.net, self.config, epoch)

    def backward(self, batch: Batch) -> dict[str, float]:
        """Add a batch's gradients; return its losses by name."""
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

    def _forward(
        self, net: nn.Module, images: Tensor, sample: BankSample | None = None
    ) -> PoseOutputs:
        with devices.autocast(self.device, self.config.precision):
            outputs: PoseOutputs = net(images, sample)
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
