"""An evaluation's network asked by workers: a job is one batch of people, or of frames.

Jobs bring their pixels along, so workers need no data set; metrics are computed where they come
home. Batches are those of one process, whoever does them.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from synthstudio.core.arrays import F32, U8, Bool
from synthstudio.core.images import decode_rgb
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row
from synthstudio.evaluation.storage import Predictions
from synthstudio.generation.engines.engine import Engine
from synthstudio.generation.engines.local import Progress, Report
from synthstudio.generation.remote_worker import check_device
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.models.bottom_up.contract import FoundPeople
from synthstudio.render import runtime
from synthstudio.training import checkpoint, devices, frame_predictions, predictions
from synthstudio.training.data.batches import CropSubset, InputSpec
from synthstudio.training.evaluation_folder import Decode
from synthstudio.training.predictions import PredictionColumns

Poses = tuple[F32, F32 | None]


@dataclass(frozen=True, kw_only=True)
class WorkerPool:
    """Who asks the network: so many workers of an engine."""

    engine: Engine
    workers: int


@dataclass(frozen=True, kw_only=True)
class Request:
    """How a network is asked: `weights`, the bytes of its file; `poses` of a bank for its maps."""

    weights: bytes
    device: str
    decode: Decode = "hits"
    flip: bool = False
    poses: Poses | None = None


def request(
    weights: Path, device: str, *, decode: Decode, flip: bool, bank: PoseBank | None
) -> Request:
    """A request that can travel: tensors cannot."""
    poses: Poses | None = None
    if bank is not None:
        xyz = None if bank.xyz_m is None else bank.xyz_m.cpu().numpy()
        poses = (bank.poses.cpu().numpy(), xyz)
    return Request(
        weights=weights.read_bytes(), device=device, decode=decode, flip=flip, poses=poses
    )


@dataclass(frozen=True, kw_only=True)
class Network:
    """What a worker holds: a network on its device."""

    net: nn.Module
    spec: InputSpec
    device: torch.device
    bank: PoseBank | None
    request: Request


def open_network(asked: Request, model: str) -> Network:
    """Load the network in a worker; DeviceError where the device is not the `model` ("": any)."""
    if model:
        check_device(runtime.resolve_device(asked.device), model)  # type: ignore[arg-type]
    device = devices.get_device(asked.device)
    with tempfile.NamedTemporaryFile(prefix="synthstudio-", suffix=".safetensors") as file:
        file.write(asked.weights)
        file.flush()
        net, config, skeleton = checkpoint.load_any(Path(file.name))
    bank = None
    if asked.poses is not None:
        poses, xyz = asked.poses
        bank = PoseBank(torch.from_numpy(poses), None if xyz is None else torch.from_numpy(xyz))
    return Network(
        net=net.to(device).eval(),
        spec=InputSpec.of(config.network, skeleton),
        device=device,
        bank=None if bank is None else bank.to(device),
        request=asked,
    )


@dataclass(frozen=True, kw_only=True)
class PeopleJob:
    """Ask about a batch of people, the `first` of them by its place among all."""

    first: int
    images: U8  # (B, 3, H, W)

    def __str__(self) -> str:
        """Name the job in messages."""
        return f"people {self.first} to {self.first + len(self.images) - 1}"


@dataclass(frozen=True, kw_only=True)
class FramesJob:
    """Find the people in a batch of frames, whose files and names it brings along."""

    first: int
    files: tuple[bytes, ...]
    names: tuple[str, ...]

    def __str__(self) -> str:
        """Name the job in messages."""
        return f"frames {self.first} to {self.first + len(self.files) - 1}"


def answer_people(asked: Network, job: PeopleJob, report: Report) -> tuple[int, PredictionColumns]:
    """Do a job in a worker; ModelError when out of memory."""
    how = asked.request
    got = f"{len(job.images)} people"
    with devices.memory_guard(asked.device, got=got, then=devices.OTHER_DEVICE):
        answers = predictions.answer_images(
            asked.net,
            torch.from_numpy(job.images).to(asked.device),
            asked.spec.skeleton,
            decode=how.decode,
            flip=how.flip,
            bank=asked.bank,
        )
    report(len(job.images))
    return job.first, answers


def answer_frames(asked: Network, job: FramesJob, report: Report) -> tuple[int, list[FoundPeople]]:
    """Do a job in a worker; ModelError when out of memory."""
    images = [decode_rgb(data, name) for data, name in zip(job.files, job.names, strict=True)]
    net: Any = asked.net
    found = frame_predictions.find_in_images(net, images, asked.spec.size)
    report(len(images))
    return job.first, [dataclasses.replace(people, masks=None) for people in found]


@dataclass(frozen=True, kw_only=True)
class RemotePredictor:
    """A network asked by a crew; WorkerError, and what jobs raise."""

    request: Request
    pool: WorkerPool

    def predict_people(
        self, people: CropSubset, spec: InputSpec, progress: Callable[[int, int], None]
    ) -> Predictions:
        """What `predictions.predict_subset` gives."""
        known: list[Bool] = []

        def jobs() -> Iterator[PeopleJob]:
            for number, batch in enumerate(predictions.people_batches(people, spec)):
                known.append(batch.labels.known.numpy())
                yield PeopleJob(first=number * predictions.BATCH, images=batch.images.numpy())

        parts: list[PredictionColumns] = self._run(answer_people, jobs(), len(people), progress)
        whole = [part | {"known": k} for part, k in zip(parts, known, strict=True)]
        return predictions.of_people(people, whole, spec)

    def find_people(
        self, dataset: Dataset, rows: Sequence[Row], progress: Callable[[int, int], None]
    ) -> list[FoundPeople]:
        """Who is in the frames of these rows, a table each, in their order."""

        def jobs() -> Iterator[FramesJob]:
            for first in range(0, len(rows), frame_predictions.BATCH):
                some = rows[first : first + frame_predictions.BATCH]
                yield FramesJob(
                    first=first,
                    files=tuple(map(dataset.image_bytes_of, some)),
                    names=tuple(str(dataset.image_of(row)) for row in some),
                )

        parts = self._run(answer_frames, jobs(), len(rows), progress)
        return [people for part in parts for people in part]

    def _run(
        self,
        work: Callable[..., tuple[int, Any]],
        jobs: Iterable[Any],
        total: int,
        progress: Callable[[int, int], None],
    ) -> list[Any]:
        """The results of jobs in the order of their `first`."""
        device, model = self.request.device, ""
        if self.pool.engine.apart:
            model = runtime.device_model(runtime.resolve_device(device))  # type: ignore[arg-type]
        done: dict[int, Any] = {}

        def report(now: Progress) -> None:
            progress(now.units, total)

        self.pool.engine.run(
            work,
            jobs,
            workers=self.pool.workers,
            initializer=open_network,
            initargs=(self.request, model),
            on_done=lambda result: done.__setitem__(*result),
            on_progress=report,
        )
        return [done[first] for first in sorted(done)]
