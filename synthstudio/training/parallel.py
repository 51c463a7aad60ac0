"""Several processes, one a GPU, started by torchrun; a single one needs nothing of this."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from synthstudio.core.errors import DeviceError, explain


@dataclass(frozen=True, kw_only=True)
class World:
    """Which process this is, of how many."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Return whether this process writes files and speaks."""
        return self.rank == 0


def world() -> World:
    """Join the processes that torchrun started; alone without it."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World()
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return World(rank=dist.get_rank(), size=size)


def device(name: str) -> torch.device:
    """Return the device to train on; DeviceError when CUDA is asked for and not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda"):
        if not torch.cuda.is_available():
            raise DeviceError(
                explain("there is no CUDA here", where="device", expected="an NVIDIA GPU",
                        got=name, then="Use device: cpu, or auto.")
            )  # fmt: skip
        number = int(os.environ.get("LOCAL_RANK", "0"))
        torch.cuda.set_device(number)
        return torch.device("cuda", number)
    return torch.device(name)


@contextmanager
def first_goes_first(world: World) -> Iterator[None]:
    """Let the first process do the body before the others, who then find what it made."""
    if not world.first:
        dist.barrier()
    yield
    if world.first and world.size > 1:
        dist.barrier()


def wrap(net: nn.Module) -> nn.Module:
    """Return the network to call: gradients and norms are those of all processes together."""
    if not dist.is_initialized():
        return net
    _synchronise(net)
    return nn.parallel.DistributedDataParallel(net, broadcast_buffers=False)


def mean(values: dict[str, float]) -> dict[str, float]:
    """Return each value's mean over all processes."""
    if not dist.is_initialized():
        return values
    kind = "cuda" if dist.get_backend() == "nccl" else "cpu"
    summed = torch.tensor(list(values.values()), device=kind)
    dist.all_reduce(summed)
    return dict(zip(values, (summed / dist.get_world_size()).tolist(), strict=True))


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
        variance = square - mean**2
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
