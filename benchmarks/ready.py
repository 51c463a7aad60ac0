"""A trained network of a benchmark, and the people it is tested on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch  # noqa: TID253 - it trains

from synthstudio.core.skeleton import Skeleton
from synthstudio.models.contract import PoseNet
from synthstudio.training import checkpoint
from synthstudio.training.config import Config, Source
from synthstudio.training.data.batches import CropSubset, InputSpec
from synthstudio.training.data.sources import TrainingData, load_subset
from synthstudio.training.devices import has_bfloat16
from synthstudio.training.loop import train
from synthstudio.training.trainer import Trained

PRECISION = "bfloat16" if has_bfloat16(torch.device("cpu")) else "float32"
"""What benchmarks train with: the faster one on this machine's CPU."""


@dataclass(frozen=True, kw_only=True)
class Ready:
    net: PoseNet
    trained: Trained
    people: CropSubset
    spec: InputSpec


def ready(
    config: Config,
    out: Path,
    test: Source,
    skeleton: Skeleton,
    *,
    crops: Path,
    stopped: str,
    select: Callable[[TrainingData], TrainingData] = lambda data: data,
) -> Ready:
    """Train in `out`, or resume there, and crop the people of `test`.

    SystemExit with the message `stopped` when the training was stopped.
    """
    done = trained(config, out, crops=crops, stopped=stopped, select=select)
    net, _, _ = checkpoint.load_network(out / "last.safetensors")
    people, _ = load_subset((test,), config, crops)
    return Ready(net=net, trained=done, people=people, spec=InputSpec.of(config.network, skeleton))


def trained(
    config: Config,
    out: Path,
    *,
    crops: Path,
    stopped: str,
    select: Callable[[TrainingData], TrainingData] = lambda data: data,
) -> Trained:
    """Train in `out`, or resume there; SystemExit with `stopped` when it was stopped."""
    done = train(config, out, resume=True, cache=crops, select=select)
    if not done.finished:
        raise SystemExit(stopped)
    return done


def width_of_cost(
    cost: Callable[[int], int], wanted: int, *, most: int, within: float, least: int = 8
) -> int:
    """The width from `least` to `most` whose cost, which grows with it, is nearest to `wanted`.

    ValueError when the costs differ by more than the share `within`.
    """
    low, high = least, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle) <= wanted else (low, middle)
    best = min((low, high), key=lambda width: abs(cost(width) / wanted - 1))
    if abs(apart := cost(best) / wanted - 1) > within:
        raise ValueError(f"a width of {best} costs {apart:+.1%}; at most {within:.0%} allowed")
    return best
