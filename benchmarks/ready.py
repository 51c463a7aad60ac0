"""A benchmark's network, trained or gone on with, and the people that it is asked about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from synthstudio.core.skeleton import Skeleton
from synthstudio.models.contract import PoseNet
from synthstudio.training import checkpoint, data, networks
from synthstudio.training.batches import Frame
from synthstudio.training.config import Config, Source
from synthstudio.training.data import People
from synthstudio.training.loop import Trained, train


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A network that learnt, what came of the training, and whom it is asked about."""

    net: PoseNet
    done: Trained
    people: data.Chosen
    frame: Frame


def ready(
    config: Config,
    out: Path,
    judged: Source,
    skeleton: Skeleton,
    *,
    crops: Path,
    again: str,
    only: Callable[[People], People] = lambda people: people,
) -> Ready:
    """Train in `out`, or go on there, and cut out the people of `judged`.

    SystemExit, which says `again`, when the training was stopped.
    """
    done = train(config, out, resume=True, cache=crops, only=only)
    if not done.finished:
        raise SystemExit(again)
    net, _, _ = checkpoint.load_network(out / "last.safetensors")
    people, _, _ = data.join((judged,), config, crops, lambda done, total: None)
    size = config.network.size
    frame = Frame(size=size, cells=networks.cells(config.network), skeleton=skeleton)
    return Ready(net=net, done=done, people=people, frame=frame)
