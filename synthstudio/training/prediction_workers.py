"""Predictions of an evaluation by workers: a job is one batch of people or frames.

Jobs contain their pixels, so workers need no data set; metrics are computed in the main
process. Batches do not depend on the number of workers.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
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
from synthstudio.generation.engines.local import Report
from synthstudio.generation.shards import check_device
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.models.bottom_up.contract import FoundPeople
from synthstudio.render import runtime
from synthstudio.training import checkpoint, devices, predictions
from synthstudio.training.data.batches import CropSubset, InputSpec
from synthstudio.training.evaluation_folder import Decode
from synthstudio.training.predictions import PredictionColumns

Poses = tuple[F32, F32 | None]


@dataclass(frozen=True, kw_only=True)
class WorkerPool:
    """The workers of an engine for predictions."""

    engine: Engine
    workers: int


@dataclass(frozen=True, kw_only=True)
class Request:
    """A prediction request: `weights`, the bytes of its file; `poses` of a bank for its maps."""

    weights: bytes
    device: str
    decode: Decode = "hits"
    flip: bool = False
    poses: Poses | None = None


def request(
    weights: Path, device: str, *, decode: Decode, flip: bool, bank: PoseBank | None
) -> Request:
    """A picklable request without tensors."""
    poses: Poses | None = None
    if bank is not None:
        xyz = None if bank.xyz_m is None else bank.xyz_m.cpu().numpy()
        poses = (bank.poses.cpu().numpy(), xyz)
    return Request(
        weights=weights.read_bytes(), device=device, decode=decode, flip=flip, poses=poses
    )


@dataclass(frozen=True, kw_only=True)
class Network:
    """A worker's state: a network on its device."""

    net: nn.Module
    spec: InputSpec
    device: torch.device
    bank: PoseBank | None
    request: Request


def open_network(query: Request, model: str) -> Network:
    """Load the network in a worker; DeviceError if the device is not the `model` ("": any)."""
    if model:
        check_device(runtime.resolve_device(query.device), model)  # type: ignore[arg-type]
    device = devices.get_device(query.device)
    with tempfile.NamedTemporaryFile(prefix="synthstudio-", suffix=".safetensors") as file:
        file.write(query.weights)
        file.flush()
        net, config, skeleton = checkpoint.load_any(Path(file.name))
    bank = None
    if query.poses is not None:
        poses, xyz = query.poses
        bank = PoseBank(torch.from_numpy(poses), None if xyz is None else torch.from_numpy(xyz))
    return Network(
        net=net.to(device).eval(),
        spec=InputSpec.of(config.network, skeleton),
        device=device,
        bank=None if bank is None else bank.to(device),
        request=query,
    )


@dataclass(frozen=True, kw_only=True)
class PeopleJob:
    """A job to predict a batch of people; `first`: index of its first person."""

    first: int
    images: U8  # (B, 3, H, W)

    def __str__(self) -> str:
        return f"people {self.first} to {self.first + len(self.images) - 1}"


@dataclass(frozen=True, kw_only=True)
class FramesJob:
    """A job to find the people in a batch of frames, with their files and names."""

    first: int
    files: tuple[bytes, ...]
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"frames {self.first} to {self.first + len(self.files) - 1}"


def people_job(network: Network, job: PeopleJob, note: Report) -> tuple[int, PredictionColumns]:
    """Predict a job in a worker; ModelError when out of memory."""
    how = network.request
    with devices.memory_guard(network.device, f"{len(job.images)} people"):
        answers = predictions.predict_images(
            network.net,
            torch.from_numpy(job.images).to(network.device),
            network.spec.skeleton,
            decode=how.decode,
            flip=how.flip,
            bank=network.bank,
        )
    note(len(job.images))
    return job.first, answers


def frames_job(network: Network, job: FramesJob, note: Report) -> tuple[int, list[FoundPeople]]:
    """Predict a job in a worker; ModelError when out of memory."""
    images = [decode_rgb(data, name) for data, name in zip(job.files, job.names, strict=True)]
    net: Any = network.net
    found = predictions.find_in_images(net, images, network.spec.size)
    note(len(images))
    return job.first, [dataclasses.replace(people, masks=None) for people in found]


@dataclass(frozen=True, kw_only=True)
class RemotePredictor:
    """A predictor on a worker pool; raises WorkerError and errors of jobs."""

    request: Request
    pool: WorkerPool

    def predict_people(
        self, people: CropSubset, spec: InputSpec, progress: Callable[[int, int], None]
    ) -> Predictions:
        """As `predictions.predict_subset`."""
        known: list[Bool] = []

        def jobs() -> Iterator[PeopleJob]:
            for number, batch in enumerate(predictions.people_batches(people, spec)):
                known.append(batch.labels.known.numpy())
                yield PeopleJob(first=number * predictions.BATCH, images=batch.images.numpy())

        parts: list[PredictionColumns] = self._run(people_job, jobs(), len(people), progress)
        whole = [part | {"known": k} for part, k in zip(parts, known, strict=True)]
        return predictions.of_people(people, whole, spec)

    def find_people(
        self, dataset: Dataset, rows: Sequence[Row], progress: Callable[[int, int], None]
    ) -> list[FoundPeople]:
        """The people found in the frames of these rows, one table each, in order."""

        def jobs() -> Iterator[FramesJob]:
            for first in range(0, len(rows), predictions.FRAME_BATCH):
                some = rows[first : first + predictions.FRAME_BATCH]
                yield FramesJob(
                    first=first,
                    files=tuple(map(dataset.image_bytes_of, some)),
                    names=tuple(str(dataset.image_of(row)) for row in some),
                )

        parts = self._run(frames_job, jobs(), len(rows), progress)
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
        self.pool.engine.run(
            work,
            jobs,
            workers=self.pool.workers,
            initializer=partial(open_network, self.request, model),
            on_done=lambda result: done.__setitem__(*result),
            units=range(total),
            on_progress=lambda done, total, rate: progress(done, total),
        )
        return [done[first] for first in sorted(done)]
