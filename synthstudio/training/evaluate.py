"""Evaluate a trained network on a data set: predictions, metrics and a page, in one folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from synthstudio.core.errors import ModelError, SynthStudioError
from synthstudio.core.outputs import free_folder
from synthstudio.core.places import Place, Url, parse_place, resolved
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.durable import file_sha256
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.splits import shared_notes
from synthstudio.evaluation import attention, storage
from synthstudio.evaluation.attention import AttentionExample, Sensitivity
from synthstudio.evaluation.metrics import compute_metrics
from synthstudio.evaluation.precision import LEAST_OKS, Found
from synthstudio.evaluation.storage import Evaluation, Predictions, interval, percent, value_of
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.models.contract import PoseNet
from synthstudio.report import evaluation as pages
from synthstudio.training import checkpoint, devices, diagnostics, frame_predictions, poses
from synthstudio.training.answer_jobs import Asker, Crew, request
from synthstudio.training.config import Config, Source
from synthstudio.training.data.batches import CropSubset, InputSpec
from synthstudio.training.data.sources import load_subset
from synthstudio.training.networks import PersonNet
from synthstudio.training.predictions import Decode, clip_windows, predict_subset

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Step = Callable[[str], Callable[[int, int, float], None]]
"""Begin a progress step by its title; the result takes (done, total, per second)."""
_WORST = 8
_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """How a network is evaluated. `bank`: fuse a plain block's maps with its training poses."""

    splits: tuple[str, ...] = ()
    decode: Decode = "hits"
    flip: bool = False
    bank: bool = False
    frames: tuple[int, ...] | None = None
    """Only these frames of the data set, rising; None: all."""

    def default_folder(self, weights: Path, dataset: Place) -> Path:
        """RUN/evaluations/DATASET, with the options that differ from the defaults."""
        extras = [*self.splits, *(["peak"] if self.decode == "peak" else [])]
        extras += [name for name in ("flip", "bank") if getattr(self, name)]
        if self.frames is not None:
            digest = hashlib.sha256(repr(self.frames).encode()).hexdigest()
            extras.append(f"part-{digest[:8]}")
        name = "-".join([resolved(dataset).name, *extras])
        return weights.parent / "evaluations" / name


def evaluate(
    weights: Path,
    dataset: Place,
    out: Path,
    *,
    options: EvaluationOptions,
    cache: Path,
    device: str = "auto",
    step: Step,
    crew: Crew | None = None,
) -> Evaluation:
    """Evaluate the network of a weights file on a data set, into the new folder `out`.

    `crew`: the workers that ask it for predictions; all else is done here. ModelError when they
    do not fit each other; DatasetError for damaged data; DiskError.
    """
    free_folder(out)
    on = devices.get_device(device)
    net, config, skeleton = checkpoint.load_any(weights)
    spec = InputSpec.of(config.network, skeleton)
    if config.network.sees_frames:
        frame_predictions.check_options(options.decode, flip=options.flip, bank=options.bank)
    elif config.network.system == "zoomnet":
        _check_zoomed(options)
    people = load_people(
        dataset, frame_predictions.truth_config(config), skeleton, options, cache, step
    )
    notes = _notes(config, dataset, options)
    bank = _bank(net, config, skeleton, cache).to(on) if options.bank else None
    source, people = part_of(Dataset(dataset), people, options.frames)
    net, found = net.to(on), None
    asker = None
    if crew is not None:
        asked = request(weights, device, decode=options.decode, flip=options.flip, bank=bank)
        asker = Asker(request=asked, crew=crew)
    if isinstance(net, PersonNet):
        report_people = _untimed(step("predicting"))
        if asker is not None:
            answers = asker.predict_people(people, spec, report_people)
        else:
            answers = predict_subset(
                net,
                people,
                spec,
                device=on,
                decode=options.decode,
                bank=bank,
                flip=options.flip,
                progress=report_people,
            )
        answers = clip_windows(answers, image_sizes(source, answers.frame))
    else:
        report_frames = _untimed(step("finding people"))
        answers, found = frame_predictions.find_in_dataset(
            net,
            source,
            people,
            spec,
            splits=options.splits,
            progress=report_frames,
            find=None if asker is None else asker.find_people,
        )
    metrics = measured(answers, skeleton, found, step, where=str(dataset))
    shown: list[AttentionExample] = []
    maps: list[Sensitivity] = []
    if isinstance(net, PoseNet):
        shown, maps = _diagnose(net, people, spec, on, metrics, step)
    if isinstance(net, PersonNet):
        metrics["latency"] = _person_cost(net, spec, on)
    else:
        metrics["latency"] = frame_predictions.cost(net, spec, source)
    evaluation = Evaluation(
        about=_about(weights, config, skeleton, dataset, options, notes),
        metrics=metrics,
        predictions=answers,
        found=found,
    )
    write(out, evaluation, source, skeleton, step, examples=shown, patched=maps)
    return evaluation


def measured(
    answers: Predictions, skeleton: Skeleton, found: Found | None, step: Step, *, where: str
) -> dict[str, Any]:
    """The metrics of predictions; ModelError when no joint is labelled."""
    if not answers.known.any():
        raise ModelError("no joint of these people is labelled", where=where)
    step("computing metrics")(0, 1, 0.0)
    return compute_metrics(answers, skeleton, found)


def write(
    out: Path,
    evaluation: Evaluation,
    source: Dataset,
    skeleton: Skeleton,
    step: Step,
    *,
    examples: Sequence[AttentionExample] = (),
    patched: Sequence[Sensitivity] = (),
) -> None:
    """Write an evaluation with its page into the new folder `out`; DiskError."""
    step("drawing the page")(0, 1, 0.0)
    answers = evaluation.predictions
    cases = pages.cases(source, answers, pages.worst(answers, count=_WORST), skeleton)
    page = pages.report(evaluation, skeleton, cases=cases, examples=examples, patched=patched)
    storage.write(out, evaluation, page)


def _untimed(report: Callable[[int, int, float], None]) -> Callable[[int, int], None]:
    return lambda done, total: report(done, total, 0.0)


def load_people(
    dataset: Place,
    config: Config,
    skeleton: Skeleton,
    options: EvaluationOptions,
    cache: Path,
    step: Step,
) -> CropSubset:
    source = Source(dataset=str(dataset), splits=options.splits)
    people, other = load_subset((source,), config, cache, _untimed(step("cropping people")))
    if not other.same_labels(skeleton):
        raise ModelError(
            "the data set has another skeleton than the network",
            where=str(dataset),
            expected=skeleton.title,
            got=other.described(skeleton),
            then="Convert it: synthstudio export --skeleton, then import.",
        )
    return people


def part_of(
    source: Dataset, people: CropSubset, frames: tuple[int, ...] | None
) -> tuple[Dataset, CropSubset]:
    """The frames and the people that are evaluated."""
    if frames is None:
        return source, people
    chosen = np.array(frames, np.int64)
    people = people.take(np.flatnonzero(np.isin(people.crops.frame[people.rows], chosen)))
    if not len(people):
        raise ModelError("nobody is in this part of the data set", where=str(source.place))
    return source.of_frames(chosen), people


def _bank(net: nn.Module, config: Config, skeleton: Skeleton, cache: Path) -> PoseBank:
    if getattr(getattr(net, "block", None), "bank", None) is not None:
        raise ModelError(
            "the network has a pose bank of its own",
            where="--bank",
            then="Leave out --bank: it is for networks without one.",
        )
    people, other = load_subset(config.train, config, cache)
    bank = None
    if other.same_labels(skeleton):
        network = config.network.model_copy(update={"bank": config.network.bank or 1000})
        bank = poses.bank_for(config.model_copy(update={"network": network}), people, skeleton)
    if bank is None:
        raise ModelError(
            "no pose bank can be made of its training people",
            where="--bank",
            expected="people of whom half of the joints are labelled",
        )
    return bank


def _diagnose(
    net: nn.Module,
    people: CropSubset,
    spec: InputSpec,
    device: torch.device,
    metrics: dict[str, Any],
    step: Step,
) -> tuple[list[AttentionExample], list[Sensitivity]]:
    """Add patch sensitivity to `metrics`; return what is to be drawn."""
    maps = diagnostics.patch_sensitivity(
        net, people, spec, device=device, progress=_untimed(step("sliding a patch over people"))
    )
    metrics["sensitivity"] = attention.sensitivity_summary(maps) | {
        "maps": [m.map.tolist() for m in maps]
    }
    return diagnostics.examples(net, people, spec, device=device), maps


def _person_cost(net: PersonNet, spec: InputSpec, device: torch.device) -> dict[str, Any]:
    return diagnostics.cost(
        net,
        device,
        one=diagnostics.measure_latency(net, spec, device=device),
        many=diagnostics.measure_latency(net, spec, device=device, batch=_BATCH, rounds=5),
        batch=_BATCH,
    )


def _check_zoomed(options: EvaluationOptions) -> None:
    """ModelError for what needs one map of the picture for each joint."""
    if asked := [f"--{name}" for name in ("flip", "bank") if getattr(options, name)]:
        raise ModelError(
            "this network reads face and hands from windows, which differ from picture to picture",
            where=", ".join(asked),
            expected="a network with one map of the picture for each joint",
            then="Leave that out.",
        )


def _own_sources(config: Config, dataset: Place) -> list[Source]:
    """Those of a training's sources that are this data set."""
    sets = [s for s in config.train if s.dataset]
    return [s for s in sets if resolved(parse_place(s.dataset)) == resolved(dataset)]


def _notes(config: Config, dataset: Place, options: EvaluationOptions) -> list[str]:
    """Whether the network was trained on some of these people."""
    own, splits, notes = _own_sources(config, dataset), options.splits, []
    if any(not s.splits or not splits or set(s.splits) & set(splits) for s in own):
        notes.append("The network was trained on some of these people: its metrics are too good.")
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
                f"{there.name}, which the network was trained on, cannot be read: whether it "
                f"shares people with {resolved(dataset).name} is not known."
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
        **({"people_match_from_OKS": LEAST_OKS} if config.network.sees_frames else {}),
        "trained_here": bool(_own_sources(config, dataset)),
        "notes": notes,
    }


def dataset_sha256(dataset: Place) -> str:
    """The hash of what a data set is, by which `compare` knows that it is the same."""
    digest, folder = hashlib.sha256(), Dataset(dataset).folder
    for name in ("dataset.json", "index.json"):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def _title(config: Config) -> str:
    network = config.network
    if network.sees_frames:
        return f"{network.system}, {network.backbone} {network.variant}, whole frames"
    if network.system == "zoomnet":
        return f"{network.system}, {network.backbone} {network.variant}"
    block = "own head" if network.block == "own" else network.block.upper()
    own = "" if network.backbone == "pyramid" else f"{network.backbone} {network.variant}, "
    return own + block


def headline(evaluation: Evaluation) -> str:
    """The most important metrics as a line; "-" where there is nothing to measure."""
    metrics, answers = evaluation.metrics, evaluation.predictions
    hidden, visible = (interval(metrics["places"][p]["PCK@0.1"]) for p in ("hidden", "visible"))
    lost = metrics["counterfactual"].get("newly_hidden")
    cost = "" if value_of(lost) is None else f", an occluder costs {interval(lost)} points"
    return (
        f"{len(answers)} people, {len(np.unique(answers.group))} moments: PCK@0.1 hidden {hidden}, "
        f"visible {visible}{cost}; AP {percent(metrics['precision']['all']['AP'])}"
        f"{_whole_body(metrics)}"
    )


def _whole_body(metrics: Mapping[str, Any]) -> str:
    """AP of the parts of whole bodies; "" without them."""
    parts = metrics.get("whole_body")
    if not parts:
        return ""
    shown = ("whole", "body", "foot", "face", "hands")
    return "; COCO-WholeBody AP " + ", ".join(f"{k} {percent(parts[k]['AP'])}" for k in shown)


def image_sizes(dataset: Dataset, frames: I64) -> F64:
    """Width and height (P, 2) of each person's image; `frames` (P,)."""
    sizes = {
        int(row["index"]): (row["width_px"], row["height_px"])
        for row in dataset.iter_frames(["index", "width_px", "height_px"])
    }
    return np.array([sizes[int(f)] for f in frames], np.float64).reshape(-1, 2)
