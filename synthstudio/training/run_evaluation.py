"""A trained network evaluated on a data set: predictions, metrics and a page, in one folder.

Predictions are made here or by workers: there a job is one batch of people or frames. Jobs contain
their pixels, so workers need no data set; metrics are computed in the main process. Batches do not
depend on the number of workers.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from synthstudio.core.arrays import F32, U8, Bool
from synthstudio.core.errors import ModelError, SynthStudioError
from synthstudio.core.images import decode_rgb
from synthstudio.core.places import Place, Url, free_folder, parse_place, resolved
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.durable import file_sha256
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row
from synthstudio.dataset.splits import shared_notes
from synthstudio.evaluation.diagnostics import (
    AttentionExample,
    Sensitivity,
    sensitivity_summary,
)
from synthstudio.evaluation.precision import MIN_OKS
from synthstudio.evaluation.storage import Evaluation, Predictions
from synthstudio.generation.engines import Engine
from synthstudio.generation.engines.local import Report
from synthstudio.generation.shards import check_device
from synthstudio.models.contract import FoundPeople
from synthstudio.models.pose_bank import PoseBank, bank_of
from synthstudio.render import runtime
from synthstudio.training import checkpoint, devices, diagnostics, poses, predictions
from synthstudio.training.config import Config, Source
from synthstudio.training.data.batches import CropSubset, InputSpec
from synthstudio.training.data.samples import conversion_notes
from synthstudio.training.data.sources import load_subset
from synthstudio.training.evaluation import (
    LABELS_PX,
    Decode,
    EvaluationOptions,
    Step,
    clip_windows,
    dataset_sha256,
    image_sizes,
    measured,
    untimed,
    write,
)
from synthstudio.training.predictions import PredictionColumns


def evaluate_run(
    weights: Path,
    dataset: Place,
    out: Path,
    *,
    options: EvaluationOptions,
    cache: Path,
    device: str = "auto",
    step: Step,
    pool: tuple[Engine, int] | None = None,
) -> Evaluation:
    """Evaluate the network of a weights file on a data set, into the new folder `out`. `pool`:
    engine and number of workers for predictions. People are converted to the network's joints.
    ModelError if the options do not fit it; FormatError without a common joint; DatasetError,
    DiskError."""
    free_folder(out)
    on = devices.get_device(device)
    net: Any
    net, config, skeleton = checkpoint.load_any(weights)
    spec = InputSpec(size=config.network.size, skeleton=skeleton)
    _check_options(config, options)
    # Pixels of people are not used beside whole frames.
    labels = config.with_network(size=LABELS_PX) if net.sees_frames else config
    source = Source(dataset=str(dataset), splits=options.splits)
    cropping = untimed(step("cropping people"))
    people, _ = load_subset((source,), labels, cache, cropping, skeleton=skeleton)
    notes = [*conversion_notes(Dataset(dataset).skeleton, skeleton)]
    notes += _notes(config, dataset, options)
    bank = _bank(net, config, skeleton, cache).to(on) if options.bank else None
    data, people = part_of(Dataset(dataset), people, options.frames)
    net, found, remote = net.to(on), None, None
    how: dict[str, Any] = {"decode": options.decode, "flip": options.flip, "bank": bank}
    if pool is not None:
        remote = RemotePredictor(
            request=request(weights, device, **how), engine=pool[0], workers=pool[1]
        )
    progress = untimed(step("finding people" if net.sees_frames else "predicting"))
    if net.sees_frames:
        find = None if remote is None else remote.find_people
        answers, found = predictions.find_in_dataset(
            net, data, people, spec, splits=options.splits, progress=progress, find=find
        )
    elif remote is not None:
        answers = remote.predict_people(people, spec, progress)
    else:
        answers = predictions.predict_subset(net, people, spec, device=on, progress=progress, **how)
    answers = clip_windows(answers, image_sizes(data, answers.frame))
    metrics = measured(answers, skeleton, found, step, where=str(dataset))
    shown: list[AttentionExample] = []
    maps: list[Sensitivity] = []
    if net.has_joint_maps:
        progress = untimed(step("sliding a patch over people"))
        maps += diagnostics.patch_sensitivity(net, people, spec, device=on, progress=progress)
        listed = {"maps": [m.map.tolist() for m in maps]}
        metrics["sensitivity"] = sensitivity_summary(maps) | listed
        shown += diagnostics.examples(net, people, spec, device=on)
    if net.sees_frames:
        metrics["latency"] = predictions.frame_cost(net, spec, data)
    else:
        metrics["latency"] = diagnostics.crop_cost(net, spec, device=on)
    evaluation = Evaluation(
        about=_about(weights, config, skeleton, dataset, options) | {"notes": notes},
        metrics=metrics,
        predictions=answers,
        found=found,
    )
    write(out, evaluation, data, skeleton, step, examples=shown, patched=maps)
    return evaluation


def part_of(
    source: Dataset, people: CropSubset, frames: tuple[int, ...] | None
) -> tuple[Dataset, CropSubset]:
    if frames is None:
        return source, people
    chosen = np.array(frames, np.int64)
    people = people.take(np.flatnonzero(np.isin(people.crops.frame[people.rows], chosen)))
    if not len(people):
        where = str(source.place)
        raise ModelError("no people are left", where=where, expected="people in the query's frames")
    return source.of_frames(chosen), people


def _bank(net: nn.Module, config: Config, skeleton: Skeleton, cache: Path) -> PoseBank:
    if bank_of(net) is not None:
        raise ModelError(
            "the network has its own pose bank",
            where="--bank",
            then="Leave out --bank: it is for networks without one.",
        )
    people, other = load_subset(config.train, config, cache)
    bank = None
    if other.same_labels(skeleton):
        bank = poses.bank_for(config, people, skeleton, count=config.network.bank or 1000)
    if bank is None:
        raise ModelError(
            "its training people have no poses for a bank",
            where="--bank",
            expected="people with half of the joints labelled",
        )
    return bank


def _check_options(config: Config, options: EvaluationOptions) -> None:
    """ModelError for options that need one map per joint."""
    requested = {"flip": options.flip, "bank": options.bank}
    if config.network.sees_frames:
        what = "this network is bottom-up"
        requested["decode"] = options.decode != "hits"
    elif config.network.head == "zoomnet":
        what = "this network predicts face and hands from separate windows"
    else:
        return
    if wrong := [f"--{name}" for name, given in requested.items() if given]:
        raise ModelError(
            what,
            where=", ".join(wrong),
            expected="a network with one map per joint",
            then="Leave it out.",
        )


def _own_sources(config: Config, dataset: Place) -> list[Source]:
    sets = [s for s in config.train if s.dataset]
    return [s for s in sets if resolved(parse_place(s.dataset)) == resolved(dataset)]


def _notes(config: Config, dataset: Place, options: EvaluationOptions) -> list[str]:
    """Whether the network was trained on some of these people."""
    own, splits, notes = _own_sources(config, dataset), options.splits, []
    if any(not s.splits or not splits or set(s.splits) & set(splits) for s in own):
        notes.append("The network was trained on some of these people: its metrics are biased.")
    for other in config.train:
        if not other.dataset or other in own:
            continue
        there = parse_place(other.dataset)
        if not isinstance(there, Url) and not (there / "index.json").is_file():
            continue
        try:
            notes += shared_notes([there, dataset])
        except SynthStudioError:
            notes.append(
                f"{there.name}, which the network was trained on, cannot be read: shared "
                f"people with {resolved(dataset).name} are unknown."
            )
    return notes


def _about(
    weights: Path, config: Config, skeleton: Skeleton, dataset: Place, options: EvaluationOptions
) -> dict[str, Any]:
    _, metadata = checkpoint.read(weights)
    height, width = config.network.size
    return {
        "name": config.name,
        "weights": f"{weights.resolve().parent.name}/{weights.name}",
        "weights_sha256": file_sha256(weights),
        "note": metadata.get("note", ""),
        "block": f"{_title(config)} {height}x{width}",
        "seed": config.seed,
        "skeleton": skeleton.name,
        "dataset": resolved(dataset).name,
        "dataset_sha256": dataset_sha256(dataset),
        "splits": list(options.splits),
        **({} if options.frames is None else {"frames": list(options.frames)}),
        "decode": options.decode,
        "joints_3d": config.joints_3d,
        "flip": options.flip,
        "bank": options.bank,
        **({"people_match_from_OKS": MIN_OKS} if config.network.sees_frames else {}),
        "trained_here": bool(_own_sources(config, dataset)),
    }


def _title(config: Config) -> str:
    network = config.network
    if network.sees_frames:
        return f"{network.head}, {network.backbone}, whole frames"
    if network.head == "zoomnet":
        return f"{network.head}, {network.backbone}"
    head = {"own": "own head", "orn": "ORN", "kpe": "KPE"}.get(network.head, network.head)
    return head if network.backbone == "pyramid" else f"{network.backbone}, {head}"


@dataclass(frozen=True, kw_only=True)
class Request:
    """A prediction request: `weights`, the bytes of its file; `poses` of a bank for its maps, by
    the bank's names."""

    weights: bytes
    device: str
    decode: Decode
    flip: bool
    poses: dict[str, F32] | None


def request(
    weights: Path, device: str, *, decode: Decode, flip: bool, bank: PoseBank | None
) -> Request:
    """A picklable request without tensors."""
    poses = None
    if bank is not None:
        poses = {name: value.cpu().numpy() for name, value in bank.state_dict().items()}
    return Request(
        weights=weights.read_bytes(), device=device, decode=decode, flip=flip, poses=poses
    )


@dataclass(frozen=True, kw_only=True)
class Network:
    """A worker's state: a network on its device; `how`: options of `predict_images`."""

    net: Any
    spec: InputSpec
    device: torch.device
    how: dict[str, Any]


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
        held: Any = {name: torch.from_numpy(value) for name, value in query.poses.items()}
        bank = PoseBank(**held, sharpness=config.network.bank_sharpness).to(device)
    spec = InputSpec(size=config.network.size, skeleton=skeleton)
    how = {"decode": query.decode, "flip": query.flip, "bank": bank}
    return Network(net=net.to(device).eval(), spec=spec, device=device, how=how)


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
    net, spec = network.net, network.spec
    if isinstance(job.images, tuple):
        pictures = [decode_rgb(data, name) for data, name in job.images]
        answers = predictions.find_in_images(net, pictures, spec.size)
    else:
        with devices.memory_guard(network.device, f"{len(job.images)} people"):
            images = torch.from_numpy(job.images).to(network.device)
            answers = predictions.predict_images(net, images, spec.skeleton, **network.how)
    note(len(job.images))
    return job.first, answers


@dataclass(frozen=True, kw_only=True)
class RemotePredictor:
    """A predictor by workers of an engine; raises WorkerError and errors of jobs."""

    request: Request
    engine: Engine
    workers: int

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
        if self.engine.apart:
            model = runtime.device_model(runtime.resolve_device(device))  # type: ignore[arg-type]
        done: dict[int, Any] = {}
        self.engine.run(
            predict_job,
            jobs,
            workers=self.workers,
            initializer=partial(open_network, self.request, model),
            on_done=lambda result: done.__setitem__(*result),
            units=range(total),
            on_progress=lambda done, total, rate: progress(done, total),
        )
        return [done[first] for first in sorted(done)]
