"""The state of a training run, its log, and the common parts of steps; used by loop.py.

Steps of each system are in systems.py.
"""

import copy
import csv
import dataclasses
import functools
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from synthstudio.core.arrays import I64, U8
from synthstudio.core.errors import ModelError, import_extra
from synthstudio.core.images import encode_png
from synthstudio.core.skeleton import lacks_pairs
from synthstudio.models.external_backbones import RANDOM
from synthstudio.models.packaged import DEFAULT, default_tensors
from synthstudio.training import checkpoint, devices, networks, optimization, poses
from synthstudio.training.config import Config
from synthstudio.training.data.augment import BatchPart
from synthstudio.training.data.sources import Samples, TrainingData
from synthstudio.training.data.streamed import StreamReader

Made = TypeVar("Made")
"""A batch as a trainer makes it."""
Outputs = TypeVar("Outputs")
Values = TypeVar("Values")
_LOG_EVERY = 10


class Log:
    """log.csv (a row every 10 steps and every validation) and TensorBoard's files of a run; rows
    from step `keep_before` on are dropped."""

    def __init__(self, folder: Path, *, keep_before: int) -> None:
        tensorboard = import_tensorboard()
        self.path = folder / "log.csv"
        self.image_folder = folder / "pictures"
        kept = self._rows_before(keep_before)
        self.file = self.path.open("w", newline="", encoding="utf-8")
        self.rows = csv.writer(self.file)
        self.rows.writerows(kept or [["step", "what", "value"]])
        purge: dict[str, Any] = {"purge_step": keep_before} if keep_before else {}
        self.board = tensorboard.SummaryWriter(str(folder), **purge)

    def _rows_before(self, step: int) -> list[list[str]]:
        if not self.path.is_file():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            head, *rows = list(csv.reader(file)) or [[]]
        return [head, *(row for row in rows if len(row) == 3 and int(row[0]) < step)]

    def step(self, step: int, losses: dict[str, float], *, lr: float, grad_norm: float) -> None:
        if step % _LOG_EVERY == 0:
            self._write(step, {f"loss/{k}": v for k, v in losses.items()})
            total = sum(losses.values())
            self._write(step, {"loss/all": total, "rate": lr, "gradient": grad_norm})
            self.file.flush()  # else a kill after the next saved state loses the row

    def validation(self, step: int, metrics: dict[str, float]) -> None:
        self._write(step - 1, {f"validation/{k}": v for k, v in metrics.items()})
        self.file.flush()

    def images(self, step: int, rgb: U8) -> None:
        """Keep a picture (H, W, 3) of a batch with its labels and predictions."""
        self.image_folder.mkdir(exist_ok=True)
        (self.image_folder / f"batch_{step:06d}.png").write_bytes(encode_png(rgb))
        self.board.add_image("batch", rgb, step, dataformats="HWC")

    def _write(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.rows.writerow([step, name, f"{value:.6g}"])
            self.board.add_scalar(name, value, step)

    def close(self) -> None:
        self.file.close()
        self.board.close()


def import_tensorboard() -> Any:
    """torch's TensorBoard writers; ModelError names the extra when TensorBoard is missing."""
    import_extra("tensorboard", extra="train")
    return import_extra("torch.utils.tensorboard", extra="train")


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The outcome of a run."""

    folder: Path
    steps: int
    epochs: int
    best: float | None  # best validation PCK@0.1; None without validation
    finished: bool  # False: stopped by Ctrl-C; --resume continues it
    wait_share: float  # fraction of time spent waiting for batches
    people_per_second: float  # whole frames a second, for a network of those
    unit: str = "people"


def first_weights(config: Config) -> Path:
    """The weights of `init_from`: a file, a run's best ones, or for "default" the package's."""
    if config.init_from == DEFAULT:
        return default_tensors()
    return checkpoint.weights_file(Path(config.init_from))


def outside_weights(config: Config) -> str:
    """`init_from` where it is of an external backbone: a file of another program, or RANDOM."""
    initial = config.init_from
    if not config.network.is_external or (initial != RANDOM and not Path(initial).is_file()):
        return ""
    return initial if initial == RANDOM or not checkpoint.is_own(Path(initial)) else ""


@contextmanager
def seeded(config: Config) -> Iterator[None]:
    """Seed PyTorch, and in deterministic mode forbid nondeterministic kernels, while the body runs.

    cuBLAS keeps to one order of sums with a workspace of its own, configured before the first
    product (docs.nvidia.com/cuda/cublas/#results-reproducibility).
    """
    before = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        torch.use_deterministic_algorithms(config.deterministic, warn_only=config.device != "cpu")
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warned)


class Trainer(ABC, Generic[Samples, Made]):
    """The state of a run and the parts of a step. `unit`: the unit of a batch."""

    unit: ClassVar[str]
    loaders = 0
    """Number of processes that make batches; 0: a thread."""

    def __init__(
        self,
        config: Config,
        out: Path,
        data: TrainingData[Samples],
        device: torch.device,
        world: devices.World,
        *,
        log: Callable[[str], None],
        resume: bool,
    ) -> None:
        if lacks_pairs(data.skeleton) and config.augment.flip:
            log("no mirror augmentation: the skeleton's left-right pairs are unknown")
            augment = config.augment.model_copy(update={"flip": 0.0})
            config = config.model_copy(update={"augment": augment})
        self.config, self.out = config, out
        self.data: TrainingData[Samples] = data
        self.device, self.world = device, world
        self.check(log)
        self.net: Any = build(config, data, log=log).to(device)
        self.ema = copy.deepcopy(self.net).eval() if config.ema else None
        self.optimizer = optimization.make_optimizer(self.net, config)
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "float16")
        self.progress = checkpoint.Progress(data=data.key)
        self.state_file = out / "state.safetensors"
        if resume and self.state_file.is_file():
            checkpoint.load_state(self.state_file, self)
            if self.progress.data != data.key:
                raise ModelError(
                    "the data changed since the start of this run",
                    where=str(out),
                    expected=f"crops {self.progress.data[:16]}",
                    got=data.key[:16],
                    then="Restore the data set, or start again in another folder.",
                )
        self.steps_per_epoch = max(len(data) // (config.batch * config.accumulate), 1)
        self.total = config.steps or self.steps_per_epoch * config.epochs
        self.stop: list[str] = []
        self._check_patience()
        self.epoch_order: Callable[[int], tuple[Samples, I64]] = functools.lru_cache(1)(
            self._epoch_order
        )
        self.reader: Any = None
        if data.stream is not None:
            self.reader = StreamReader(
                data.stream, config, world, steps_per_epoch=self.steps_per_epoch
            )
        self.log = Log(out, keep_before=self.progress.step) if world.is_main else None
        self.prepare()

    @abstractmethod
    def check(self, log: Callable[[str], None]) -> None:
        """Check the labels before the first step."""

    @abstractmethod
    def prepare(self) -> None:
        """Prepare a run's state besides the network."""

    @abstractmethod
    def make_batches(self, number: int) -> Made:
        """Batch `number`, counted in steps times accumulation."""

    @abstractmethod
    def backward(self, made: Made) -> dict[str, float]:
        """Add the gradients of a batch; return the losses by name."""

    @abstractmethod
    def validate(self, net: nn.Module) -> dict[str, float]:
        """PCK by the state of joints, `pck` for all; {} without validation."""

    @abstractmethod
    def draw(self, made: Made, net: nn.Module) -> U8:
        """A picture (H, W, 3) of a batch with its labels and predictions."""

    def _epoch_order(self, epoch: int) -> tuple[Samples, I64]:
        """The samples of an epoch and the order in which they are used."""
        samples = self.data.of_epoch(epoch)
        return samples, samples.epoch_order(self.config.seed, epoch)

    def batch_of(self, number: int) -> tuple[Samples, BatchPart]:
        """The samples of batch `number`, and this process's part of it."""
        epoch, place = divmod(number, self.steps_per_epoch * self.config.accumulate)
        if self.reader is not None:
            part: tuple[Samples, BatchPart] = self.reader.part(epoch, place * self.config.batch)
            return part
        samples, order = self.epoch_order(epoch)
        return samples, batch_rows(self.config, order, place, self.world)

    def drawing(self, number: int) -> dict[str, Any]:
        """How batch `number` is drawn from samples: arguments of `make_batch`."""
        data, config = self.data, self.config
        how = {"spec": data.spec, "augment": config.augment, "pictures": data.pictures}
        return how | {"seed": config.seed, "step": number}

    def to_device(self, value: Values) -> Values:
        """A dataclass of tensors on the run's device."""
        moved = {name: tensor.to(self.device) for name, tensor in vars(value).items()}
        return dataclasses.replace(value, **moved)  # type: ignore[type-var]

    def images(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) on the run's device, as convolutions are fastest."""
        return images.to(self.device).contiguous(memory_format=torch.channels_last)

    def add_gradients(self, terms: dict[str, Tensor]) -> dict[str, float]:
        """Add the gradients of a batch's terms; return their values."""
        values = torch.stack(list(terms.values()))
        torch.autograd.backward(self.scaler.scale(values.sum() / self.config.accumulate))
        return dict(zip(terms, values.tolist(), strict=True))

    def prepare_step(self, step: int) -> None:
        optimization.set_lr(self.optimizer, self.config, step, self.total)
        optimization.set_backbone_trainable(self.net, self.config, step // self.steps_per_epoch)

    def update(self, step: int, losses: dict[str, float], made: Made) -> None:
        """Run the optimizer's step and log it."""
        self.scaler.unscale_(self.optimizer)
        norm = float(nn.utils.clip_grad_norm_(self.net.parameters(), optimization.CLIP_NORM))
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
                self._check_weights()  # before pictures are drawn from predictions
                self.log.images(step, self.draw(made, self.ema or self.net))

    @property
    def at_epoch_end(self) -> bool:
        step = self.progress.step
        return step % self.steps_per_epoch == 0 or step == self.total

    def validate_and_checkpoint(self) -> None:
        """Validate; save the last and the best weights; stop after `patience` epochs."""
        self._check_weights()
        self.progress.epoch += 1
        net, progress = self.ema or self.net, self.progress
        metrics = self.validate(net)
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
        """Request a stop if validation has not improved for `patience` epochs."""
        progress, patience = self.progress, self.config.patience
        if patience and progress.epoch and progress.epoch - progress.best_epoch >= patience:
            self.stop.append(f"the validation did not improve for {patience} epochs")

    def save_state(self) -> None:
        if self.world.is_main:
            self._check_weights()
            checkpoint.save_state(self.state_file, self, self.config, self.data.skeleton)

    def _check_weights(self) -> None:
        """Refuse to save diverged weights: even their squares overflow."""
        for net in (self.net, self.ema):
            squares = [] if net is None else [p.detach().square().sum() for p in net.parameters()]
            if squares and not torch.stack(squares).isfinite().all():
                raise ModelError(
                    "the weights are not finite",
                    where=f"{self.out}, step {self.progress.step}",
                    then="The last saved state is good; lower `lr`.",
                )

    def close(self) -> None:
        if self.log is not None:
            self.log.close()
        if self.reader is not None:
            self.reader.close()


def build(config: Config, data: TrainingData[Any], *, log: Callable[[str], None]) -> nn.Module:
    """The initial network of a run, on the CPU; a pose bank has the training poses."""
    bank = None
    if config.network.head == "orn":
        bank = poses.bank_for(config, data.train, data.skeleton)
        if config.network.bank:
            log(poses.bank_note(bank, data.train))
    torch.manual_seed(config.seed)
    weights = outside_weights(config)
    initial = first_weights(config) if config.init_from and not weights else None
    own = config.network.backbone if config.network.is_external else None
    if initial is not None and checkpoint.backbone_of(initial) == own:
        weights = RANDOM  # the file is complete: no download
    net = networks.build(config.network, data.skeleton, bank=bank, weights=weights, log=log)
    if initial is not None:
        maximum = config.network.bank
        log(checkpoint.initialize(net, initial, skeleton=data.skeleton, poses=maximum))
    for parameter in net.parameters():
        if parameter.ndim == 4:  # the fastest layout of convolutions' weights
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    balance = getattr(getattr(net, "block", None), "balance", None)
    if balance is not None:  # of a block that corrects for it in evaluation
        balance.copy_(torch.from_numpy(data.balance))
    return net


def batch_rows(config: Config, order: I64, place: int, world: devices.World) -> BatchPart:
    """A process's part of the `place`-th batch of an epoch; a shorter order is repeated."""
    rows = order[np.arange(place * config.batch, (place + 1) * config.batch) % len(order)]
    return BatchPart.of(rows, rank=world.rank, size=world.size)


@contextmanager
def enough_for_norms(images: Tensor, unit: str) -> Iterator[None]:
    """ModelError in place of a batch norm's error about one value a channel."""
    try:
        yield
    except ValueError as error:
        if len(images) > 1:
            raise
        raise ModelError(
            f"the coarsest maps have one cell, and a batch of one {unit} has no variance for norms",
            where=f"batch {len(images)}, network.size {list(images.shape[-2:])}",
            expected="two of them or two cells at least",
            got=str(error)[:200],
            then="Raise batch, or network.size.",
        ) from error


def to_float32(outputs: Outputs) -> Outputs:
    """Outputs of mixed precision in float32, in which losses are summed over cells."""

    def single(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(single, value))
        return value.float() if isinstance(value, Tensor) else value

    return type(outputs)(**{name: single(value) for name, value in vars(outputs).items()})


def check_finite(values: dict[str, float], *, what: str, where: str) -> None:
    if not all(math.isfinite(v) for v in values.values()):
        raise ModelError(
            f"the {what} is not finite",
            where=where,
            got=", ".join(f"{k} {v:g}" for k, v in values.items()),
            then="The last saved state is good; lower `lr`, or use float32.",
        )
