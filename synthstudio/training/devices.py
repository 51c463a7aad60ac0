"""Devices, their memory, and several training processes (one per GPU, started by torchrun)."""

import atexit
import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from synthstudio.core.errors import DeviceError, ModelError

SMALLER_BATCH = "Halve `batch` and double `accumulate`; then a smaller `network.size`."
OTHER_DEVICE = "Free some of it, or use another --device."
TIMEOUT = timedelta(hours=12)
"""Timeout of collective operations: the first process crops alone."""
_LINGER_S = 0.5
_BATCH_MAKERS = 4


@contextmanager
def memory_guard(device: torch.device, got: str, then: str = OTHER_DEVICE) -> Iterator[None]:
    """Turn a device's out-of-memory error into a ModelError with the remedy."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelError(
            "out of memory for a batch", where=str(device), got=got, then=then
        ) from error


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Run the body with a network in evaluation mode, without gradients."""
    was_training = net.training
    net.eval()
    with torch.inference_mode():
        yield
    net.train(was_training)


@dataclass(frozen=True, kw_only=True)
class World:
    """The rank of this process and the number of processes."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0


ALONE = World()


def join_world(device: torch.device) -> World:
    """Join the processes that torchrun started, each on its `device`; else a single process."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return ALONE
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
        atexit.register(_leave)
    return World(rank=dist.get_rank(), size=size)


def _leave() -> None:
    """Leave the other processes, after gloo's threads have released Python objects: later that
    aborts the process. There is no signal for their end, and torch keeps them in defaults of
    functions."""
    time.sleep(_LINGER_S)
    if dist.is_initialized():
        dist.destroy_process_group()


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The autocast context of a config's precision; float32: none."""
    kind = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(precision)
    return torch.autocast(device.type, kind, enabled=kind is not None)


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device supports bfloat16 natively; other CPUs take many times as long as in
    float32.

    oneDNN reports it on every x86 with AVX-512, and computes in float32 on those without bfloat16.
    """
    if device.type == "cpu" and platform.machine().lower() in ("x86_64", "amd64"):
        cpu = torch.cpu
        return bool(cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported())
    if device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def batch_makers(device: torch.device, world: World) -> int:
    """Processes that make batches; 0: a thread, which beside a GPU would compete for the lock."""
    if device.type != "cuda":
        return 0
    cores = len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", world.size))
    return max(0, min(cores - 1, _BATCH_MAKERS))


def slow_precision(device: torch.device, precision: str) -> str:
    """A warning on a precision that a device emulates; "" if native."""
    if precision == "float32" or (precision == "float16" and device.type != "cpu"):
        return ""
    if precision == "bfloat16" and has_bfloat16(device):
        return ""
    return f"this {device.type.upper()} has no {precision}, which makes it slow: float32 is faster"


def get_device(name: str) -> torch.device:
    """The device of a name ("auto", "cpu", "cuda", "cuda:1"), under torchrun the GPU of the
    process's rank; DeviceError if unusable."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type == "cuda":
            if not torch.cuda.is_available():
                raise DeviceError(
                    "CUDA is not available",
                    where="device",
                    expected="an NVIDIA GPU",
                    got=name,
                    then="Use device: cpu, or auto.",
                )
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", device.index or 0)))
            torch.cuda.set_device(device)
        elif device.type != "cpu":
            torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(
            "unusable device",
            where="device",
            expected="auto, cpu, cuda, or cuda: and a GPU's number",
            got=f"{name} ({str(error).splitlines()[0][:120]})",
        ) from error
    return device


@contextmanager
def main_process_first(world: World) -> Iterator[None]:
    """Run the body in the main process first, then in the others."""
    if not world.is_main:
        dist.barrier()
    yield
    if world.is_main and world.size > 1:
        dist.barrier()


def check_batch_divides(batch: int, world: World) -> None:
    """ModelError when a batch cannot be split evenly: gradients are averaged with equal weights."""
    if batch % world.size:
        raise ModelError(
            "the batch cannot be split evenly among the processes",
            where="batch",
            expected=f"a multiple of {world.size} (processes)",
            got=str(batch),
        )


def distribute(net: nn.Module, *, unused: bool) -> nn.Module:
    """The module to call, synchronised across processes. `unused`: some get no gradient."""
    if not dist.is_initialized():
        return net
    for child in net.modules():  # torch's SyncBatchNorm needs CUDA
        if type(child) is nn.BatchNorm2d:
            child.__class__ = _SyncBatchNorm
    return nn.parallel.DistributedDataParallel(
        net, broadcast_buffers=False, find_unused_parameters=unused
    )


def mean(values: dict[str, float]) -> dict[str, float]:
    """Each value's mean over all processes."""
    if not dist.is_initialized():
        return values
    summed = torch.tensor(list(values.values()), device=_collective_device())
    dist.all_reduce(summed)
    return dict(zip(values, (summed / dist.get_world_size()).tolist(), strict=True))


def agreed_stop_reason(reasons: Sequence[str]) -> str:
    """One reason of all processes to stop after this step, or "": one that stopped alone would
    leave the others waiting. All call this once per step."""
    own = reasons[0] if reasons else ""
    if not dist.is_initialized():
        return own
    highest = torch.tensor([dist.get_rank() + 1 if own else 0], device=_collective_device())
    dist.all_reduce(highest, dist.ReduceOp.MAX)
    number = int(highest.item()) - 1
    if number < 0:
        return ""
    message = [own]
    dist.broadcast_object_list(message, src=number)
    return message[0]


def _collective_device() -> str:
    return "cuda" if dist.get_backend() == "nccl" else "cpu"


class _SyncBatchNorm(nn.BatchNorm2d):
    """Batch norm over the batches of all processes, of equal size."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        from torch.distributed.nn.functional import all_reduce

        values = x.float()
        spread, middle = torch.var_mean(values, (0, 2, 3), correction=0)
        spread, middle = spread.double(), middle.double()  # against cancellation below
        sums = torch.stack([middle, spread + middle.square()])
        shared: Tensor = all_reduce(sums)  # type: ignore[no-untyped-call]
        both = shared / dist.get_world_size()
        variance = (both[1] - both[0].square()).clamp_min(0).float()  # against rounding
        mean = both[0].float()
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
