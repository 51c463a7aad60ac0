"""Several processes, one a GPU, started by torchrun; a single one needs nothing of this."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from synthstudio.core.errors import DeviceError, ModelError

_PATIENCE = timedelta(hours=12)
"""Processes wait so long for one another: the first one cuts everybody out alone."""
_LAST_S = 0.5


@dataclass(frozen=True, kw_only=True)
class World:
    """Which process this is, of how many."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Return whether this process writes files and speaks."""
        return self.rank == 0


def world(device: torch.device) -> World:
    """Join the processes that torchrun started, each on its `device`; alone without it."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World()
    if not dist.is_initialized():
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=_PATIENCE)
        atexit.register(_leave)
    return World(rank=dist.get_rank(), size=size)


def _leave() -> None:
    """Leave the other processes, with time for gloo's threads to let go of Python's objects.

    One that does so when the interpreter is gone already aborts the process. Nothing tells when
    they are done, and torch keeps them to the end: `group.WORLD` is a default of its functions.
    """
    time.sleep(_LAST_S)
    if dist.is_initialized():
        dist.destroy_process_group()


def device(name: str) -> torch.device:
    """Return the device to train on; DeviceError when it is not there, or none at all.

    Of torchrun's processes each takes the GPU of its own number, whatever number `name` has.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(name)
        if place.type == "cuda":
            if not torch.cuda.is_available():
                raise DeviceError(
                    "there is no CUDA here",
                    where="device",
                    expected="an NVIDIA GPU",
                    got=name,
                    then="Use device: cpu, or auto.",
                )
            place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", place.index or 0)))
            torch.cuda.set_device(place)
        elif place.type != "cpu":
            torch.zeros(1, device=place).item()
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(
            "this device cannot be used",
            where="device",
            expected="auto, cpu, cuda, or cuda: and a GPU's number",
            got=f"{name} ({str(error).splitlines()[0][:120]})",
        ) from error
    return place


@contextmanager
def first_goes_first(world: World) -> Iterator[None]:
    """Let the first process do the body before the others, who then find what it made."""
    if not world.first:
        dist.barrier()
    yield
    if world.first and world.size > 1:
        dist.barrier()


def check_share(batch: int, world: World) -> None:
    """ModelError when a batch cannot be dealt out evenly: shares' gradients count the same."""
    if batch % world.size:
        raise ModelError(
            "the processes' shares of a batch differ",
            where="batch",
            expected=f"a multiple of {world.size} (processes)",
            got=str(batch),
        )


def wrap(net: nn.Module, *, idle: bool) -> nn.Module:
    """Return the network to call: gradients and norms are those of all processes together.

    `idle`: some parameters may get no gradient, as those of a frozen backbone.
    """
    if not dist.is_initialized():
        return net
    _synchronise(net)
    return nn.parallel.DistributedDataParallel(
        net, broadcast_buffers=False, find_unused_parameters=idle
    )


def mean(values: dict[str, float]) -> dict[str, float]:
    """Return each value's mean over all processes."""
    if not dist.is_initialized():
        return values
    summed = torch.tensor(list(values.values()), device=_kind())
    dist.all_reduce(summed)
    return dict(zip(values, (summed / dist.get_world_size()).tolist(), strict=True))


def agreed(reasons: Sequence[str]) -> str:
    """Return why all processes stop after this step, "" when none has a reason to.

    Clocks, signals and validations differ between them; one that stopped alone would leave the
    others waiting. All call it, once a step.
    """
    own = reasons[0] if reasons else ""
    if not dist.is_initialized():
        return own
    speaker = torch.tensor([dist.get_rank() + 1 if own else 0], device=_kind())
    dist.all_reduce(speaker, dist.ReduceOp.MAX)
    number = int(speaker.item()) - 1
    if number < 0:
        return ""
    told = [own]
    dist.broadcast_object_list(told, src=number)
    return told[0]


def _kind() -> str:
    return "cuda" if dist.get_backend() == "nccl" else "cpu"


def _synchronise(module: nn.Module) -> None:
    """Let every batch norm take its statistics over all processes (also on CPUs)."""
    for child in module.modules():
        if type(child) is nn.BatchNorm2d:
            child.__class__ = _SharedNorm


class _SharedNorm(nn.BatchNorm2d):
    """Batch norm over the batches of all processes, which are of one size."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x normalised; in evaluation as ever."""
        if not self.training:
            return super().forward(x)
        from torch.distributed.nn.functional import all_reduce

        values = x.float()
        sums = torch.stack([values.mean((0, 2, 3)), values.square().mean((0, 2, 3))])
        shared: Tensor = all_reduce(sums)  # type: ignore[no-untyped-call]
        mean, square = (shared / dist.get_world_size()).unbind(0)
        variance = (square - mean**2).clamp_min(0)  # rounding leaves less than nothing
        if self.running_mean is not None and self.running_var is not None:
            count = x.numel() / x.shape[1] * dist.get_world_size()
            momentum = 0.1 if self.momentum is None else self.momentum
            with torch.no_grad():
                self.running_mean.lerp_(mean, momentum)
                self.running_var.lerp_(variance * count / max(count - 1, 1), momentum)
                if self.num_batches_tracked is not None:
                    self.num_batches_tracked.add_(1)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        normal: Tensor = values * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)
        return normal.to(x.dtype)
