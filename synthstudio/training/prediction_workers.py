"""Predictions of an evaluation by workers: a job is one batch of people or frames.

Jobs contain their pixels, so workers need no data set; metrics are computed in the main
process. Batches do not depend on the number of workers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from synthstudio.core.arrays import F32, U8, Bool
from synthstudio.core.images import decode_rgb
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row
from synthstudio.evaluation.storage import Predictions
from synthstudio.generation.engines.engine import Engine
from synthstudio.generation.engines.local import Report
from synthstudio.generation.shards import check_device
from synthstudio.models.contract import FoundPeople
from synthstudio.models.pose_bank import PoseBank
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

    net: Any
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
        spec=InputSpec(size=config.network.size, skeleton=skeleton),
        device=device,
        bank=None if bank is None else bank.to(device),
        request=query,
    )


@dataclass(frozen=True, kw_only=True)
class Job:
    """A batch of `unit` "people" or "frames"; `first`: index of the first. `images`: crops
    (B, 3, H, W), or the frames' encoded pictures and their names."""

    first: int
    unit: str
    images: U8 | tuple[tuple[bytes, str], ...]

    def __str__(self) -> str:
        return f"{self.unit} {self.first} to {self.first + len(self.images) - 1}"


def predict_job(network: Network, job: Job, note: Report) -> tuple[int, Any]:
    """Predict a job in a worker: PredictionColumns of people, FoundPeople of each frame; ModelError
    when out of memory."""
    answers: Any
    net, how = network.net, network.request
    if isinstance(job.images, tuple):
        pictures = [decode_rgb(data, name) for data, name in job.images]
        answers = predictions.find_in_images(net, pictures, network.spec.size)
    else:
        with devices.memory_guard(network.device, f"{len(job.images)} people"):
            answers = predictions.predict_images(
                net,
                torch.from_numpy(job.images).to(network.device),
                network.spec.skeleton,
                decode=how.decode,
                flip=how.flip,
                bank=network.bank,
            )
    note(len(job.images))
    return job.first, answers


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

        def jobs() -> Iterator[Job]:
            for number, batch in enumerate(predictions.people_batches(people, spec)):
                known.append(batch.labels.known.numpy())
                first, images = number * predictions.BATCH, batch.images.numpy()
                yield Job(first=first, unit="people", images=images)

        parts: list[PredictionColumns] = self._run(jobs(), len(people), progress)
        whole = [part | {"known": k} for part, k in zip(parts, known, strict=True)]
        return predictions.of_people(people, whole, spec)

    def find_people(
        self, dataset: Dataset, rows: Sequence[Row], progress: Callable[[int, int], None]
    ) -> list[FoundPeople]:
        """The people found in the frames of these rows, one table each, in order."""

        def jobs() -> Iterator[Job]:
            for first in range(0, len(rows), predictions.FRAME_BATCH):
                some = rows[first : first + predictions.FRAME_BATCH]
                files = ((dataset.image_bytes_of(row), str(dataset.image_of(row))) for row in some)
                yield Job(first=first, unit="frames", images=tuple(files))

        return [people for part in self._run(jobs(), len(rows), progress) for people in part]

    def _run(
        self, jobs: Iterable[Job], total: int, progress: Callable[[int, int], None]
    ) -> list[Any]:
        device, model = self.request.device, ""
        if self.pool.engine.apart:
            model = runtime.device_model(runtime.resolve_device(device))  # type: ignore[arg-type]
        done: dict[int, Any] = {}
        self.pool.engine.run(
            predict_job,
            jobs,
            workers=self.pool.workers,
            initializer=partial(open_network, self.request, model),
            on_done=lambda result: done.__setitem__(*result),
            units=range(total),
            on_progress=lambda done, total, rate: progress(done, total),
        )
        return [done[first] for first in sorted(done)]
