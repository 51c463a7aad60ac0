"""Evaluate a trained network on a data set: predictions, metrics and a page, in one folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from synthstudio.core.errors import ModelError, SynthStudioError
from synthstudio.core.outputs import free_folder
from synthstudio.core.places import Place, Url, parse_place, resolved
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.durable import file_sha256
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.splits import shared_notes
from synthstudio.evaluation import attention
from synthstudio.evaluation.attention import AttentionExample, Sensitivity
from synthstudio.evaluation.precision import MIN_OKS
from synthstudio.evaluation.storage import Evaluation
from synthstudio.models.pose_bank import PoseBank
from synthstudio.training import checkpoint, devices, diagnostics, poses, predictions
from synthstudio.training.config import Config, Source
from synthstudio.training.data.batches import CropSubset, InputSpec
from synthstudio.training.data.samples import conversion_notes
from synthstudio.training.data.sources import load_subset
from synthstudio.training.evaluation_folder import (
    EvaluationOptions,
    Step,
    dataset_sha256,
    measured,
    write,
)
from synthstudio.training.ground_truth import LABELS_PX, clip_windows, image_sizes
from synthstudio.training.prediction_workers import RemotePredictor, WorkerPool, request


def evaluate(
    weights: Path,
    dataset: Place,
    out: Path,
    *,
    options: EvaluationOptions,
    cache: Path,
    device: str = "auto",
    step: Step,
    pool: WorkerPool | None = None,
) -> Evaluation:
    """Evaluate the network of a weights file on a data set, into the new folder `out`. `pool`:
    workers for predictions. People are converted to the network's joints. ModelError if the options
    do not fit it; FormatError without a common joint; DatasetError, DiskError."""
    free_folder(out)
    on = devices.get_device(device)
    net: Any
    net, config, skeleton = checkpoint.load_any(weights)
    spec = InputSpec(size=config.network.size, skeleton=skeleton)
    _check_options(config, options)
    # Pixels of people are not used beside whole frames.
    labels = config.with_network(size=LABELS_PX) if net.sees_frames else config
    source = Source(dataset=str(dataset), splits=options.splits)
    cropping = _untimed(step("cropping people"))
    people, _ = load_subset((source,), labels, cache, cropping, skeleton=skeleton)
    notes = [*conversion_notes(Dataset(dataset).skeleton, skeleton)]
    notes += _notes(config, dataset, options)
    bank = _bank(net, config, skeleton, cache).to(on) if options.bank else None
    data, people = part_of(Dataset(dataset), people, options.frames)
    net, found, remote = net.to(on), None, None
    how: dict[str, Any] = {"decode": options.decode, "flip": options.flip, "bank": bank}
    if pool is not None:
        remote = RemotePredictor(request=request(weights, device, **how), pool=pool)
    progress = _untimed(step("finding people" if net.sees_frames else "predicting"))
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
        progress = _untimed(step("sliding a patch over people"))
        maps = diagnostics.patch_sensitivity(net, people, spec, device=on, progress=progress)
        listed = {"maps": [m.map.tolist() for m in maps]}
        metrics["sensitivity"] = attention.sensitivity_summary(maps) | listed
        shown = diagnostics.examples(net, people, spec, device=on)
    if net.sees_frames:
        metrics["latency"] = predictions.frame_cost(net, spec, data)
    else:
        metrics["latency"] = diagnostics.crop_cost(net, spec, device=on)
    evaluation = Evaluation(
        about=_about(weights, config, skeleton, dataset, options, notes),
        metrics=metrics,
        predictions=answers,
        found=found,
    )
    write(out, evaluation, data, skeleton, step, examples=shown, patched=maps)
    return evaluation


def _untimed(report: Callable[[int, int, float], None]) -> Callable[[int, int], None]:
    return lambda done, total: report(done, total, 0.0)


def part_of(
    source: Dataset, people: CropSubset, frames: tuple[int, ...] | None
) -> tuple[Dataset, CropSubset]:
    if frames is None:
        return source, people
    chosen = np.array(frames, np.int64)
    people = people.take(np.flatnonzero(np.isin(people.crops.frame[people.rows], chosen)))
    if not len(people):
        raise ModelError("no people in this part of the data set", where=str(source.place))
    return source.of_frames(chosen), people


def _bank(net: nn.Module, config: Config, skeleton: Skeleton, cache: Path) -> PoseBank:
    if getattr(getattr(net, "block", None), "bank", None) is not None:
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
    weights: Path,
    config: Config,
    skeleton: Skeleton,
    dataset: Place,
    options: EvaluationOptions,
    notes: list[str],
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
        "notes": notes,
    }


def _title(config: Config) -> str:
    network = config.network
    if network.sees_frames:
        return f"{network.head}, {network.backbone}, whole frames"
    if network.head == "zoomnet":
        return f"{network.head}, {network.backbone}"
    head = {"own": "own head", "orn": "ORN", "kpe": "KPE"}.get(network.head, network.head)
    return head if network.backbone == "pyramid" else f"{network.backbone}, {head}"
