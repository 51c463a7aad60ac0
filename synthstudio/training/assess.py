"""A trained network judged on a data set: answers, figures and the page, into one folder."""

from __future__ import annotations

import hashlib
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.durable import file_sha256
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation import attention, storage
from synthstudio.evaluation.attention import AttentionExample, Sensitivity, attention_ratios
from synthstudio.evaluation.formatting import interval, percent, value_of
from synthstudio.evaluation.metrics import compute_metrics
from synthstudio.evaluation.storage import Evaluation
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.report import evaluation_drawings
from synthstudio.report.evaluation import report
from synthstudio.training import checkpoint, data, diagnostics, networks, parallel
from synthstudio.training.answer import Decode, answer, cut_windows
from synthstudio.training.batches import Frame
from synthstudio.training.bodies import Silhouettes, picture_sizes
from synthstudio.training.config import Config, Source
from synthstudio.training.data import Chosen

Step = Callable[[str], Callable[[int, int, float], None]]
"""Begins a step of work for people to see; its answer is told (done, total, a second)."""
_WORST = 8
_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How a network is asked. `bank`: join a plain block's maps with poses it learnt from."""

    splits: tuple[str, ...] = ()
    decode: Decode = "hits"
    flip: bool = False
    bank: bool = False

    @property
    def name(self) -> str:
        """Return what tells this from the usual way, for a folder's name."""
        extras = [*self.splits, *(["peak"] if self.decode == "peak" else [])]
        extras += [name for name in ("flip", "bank") if getattr(self, name)]
        return "".join(f"-{e}" for e in extras)


def weights_of(path: Path) -> Path:
    """Return the weights that a path means: a file, or a run's best ones.

    ModelError when there are none.
    """
    if path.is_file():
        return path
    best = path / "best.safetensors"
    if not best.is_file():
        raise ModelError(
            "there are no weights",
            where=str(path),
            expected="a run with best.safetensors, or a .safetensors file",
            then="Train first: synthstudio train CONFIG --out RUN.",
        )
    return best


def folder_of(weights: Path, dataset: Path, asked: Asked) -> Path:
    """Return where an evaluation goes unless told otherwise."""
    return weights.parent / "evaluations" / f"{dataset.resolve().name}{asked.name}"


def evaluate(
    weights: Path,
    dataset: Path,
    out: Path,
    *,
    asked: Asked,
    cache: Path,
    device: str = "auto",
    step: Step,
) -> Evaluation:
    """Judge the network of a weights file on a data set, into the new folder `out`.

    ModelError when they do not fit each other, or `out` is taken; DatasetError for damaged data.
    """
    storage.check_free(out)
    at = parallel.device(device)
    net, config, skeleton = checkpoint.load_network(weights)
    people = _people(dataset, config, skeleton, asked, cache, step)
    bank = _bank(net, config, skeleton, cache) if asked.bank else None
    net, bank = net.to(at), None if bank is None else bank.to(at)
    frame = Frame(size=config.network.size, cells=networks.cells(config.network), skeleton=skeleton)
    told = step("asking about people")
    answers = answer(
        net,
        people,
        frame,
        device=at,
        decode=asked.decode,
        bank=bank,
        flip=asked.flip,
        progress=lambda done, total: told(done, total, 0.0),
    )
    if not answers.known.any():
        raise ModelError("no joint of these people is labelled", where=str(dataset))
    source = Dataset(dataset)
    answers = cut_windows(answers, picture_sizes(source, answers.frame))
    step("measuring")(0, 1, 0.0)
    measures = compute_metrics(answers, skeleton)
    shown, maps = _network(net, people, frame, at, source, measures, step)
    made = Evaluation(
        about=_about(weights, config, skeleton, dataset, asked),
        metrics=measures,
        predictions=answers,
    )
    step("drawing the page")(0, 1, 0.0)
    chosen = evaluation_drawings.worst(answers, count=_WORST)
    cases = evaluation_drawings.cases(source, answers, chosen, skeleton)
    storage.write(out, made, report(made, skeleton, cases=cases, examples=shown, patched=maps))
    return made


def _people(
    dataset: Path, config: Config, skeleton: Skeleton, asked: Asked, cache: Path, step: Step
) -> Chosen:
    told = step("cutting people out")
    source = Source(dataset=str(dataset), splits=asked.splits)
    chosen, _, other = data.join(
        (source,), config, cache, lambda done, total: told(done, total, 0.0)
    )
    if other.joints != skeleton.joints:
        raise ModelError(
            "the data set has another skeleton than the network",
            where=str(dataset),
            expected=skeleton.name,
            got=other.name,
            then="Convert it: synthstudio export --skeleton, then import.",
        )
    return chosen


def _bank(net: nn.Module, config: Config, skeleton: Skeleton, cache: Path) -> PoseBank:
    if getattr(getattr(net, "block", None), "bank", None) is not None:
        raise ModelError(
            "the network has a bank of poses of its own",
            where="--bank",
            then="Leave --bank away: it is for networks without one.",
        )
    learn, _, other = data.join(config.train, config, cache, lambda done, total: None)
    bank = None
    if other.joints == skeleton.joints:
        bank = networks.pose_bank(
            learn.crops,
            skeleton,
            size=config.network.size,
            rows=learn.rows,
            count=config.network.bank or 1000,
            seed=config.seed,
        )
    if bank is None:
        raise ModelError(
            "no bank can be made of the people it learnt from",
            where="--bank",
            expected="people all of whose joints are labelled",
        )
    return bank


def _network(
    net: nn.Module,
    people: Chosen,
    frame: Frame,
    device: torch.device,
    source: Dataset,
    measures: dict[str, Any],
    step: Step,
) -> tuple[list[AttentionExample], list[Sensitivity]]:
    """Add what only the network can tell to the figures; return what is to be drawn."""
    told = step("following its attention")
    found = diagnostics.gazes(
        net,
        people,
        frame,
        device=device,
        bodies=Silhouettes(source, people.crops, frame),
        progress=lambda done, total: told(done, total, 0.0),
    )
    measures["attention"] = attention_ratios(found)
    told = step("sliding a patch over people")
    maps = diagnostics.patched(
        net, people, frame, device=device, progress=lambda done, total: told(done, total, 0.0)
    )
    measures["sensitivity"] = attention.sensitivity_summary(maps) | {
        "maps": [m.map.tolist() for m in maps]
    }
    measures["latency"] = _cost(net, frame, device)
    return diagnostics.examples(net, people, frame, device=device), maps


def _cost(net: nn.Module, frame: Frame, device: torch.device) -> dict[str, Any]:
    one = diagnostics.timed(net, frame, device=device)
    many = diagnostics.timed(net, frame, device=device, batch=_BATCH, rounds=5)
    if device.type == "cuda":
        peak, name = torch.cuda.max_memory_allocated(device), torch.cuda.get_device_name(device)
    else:
        peak, name = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "CPU"
    tensors = list(net.state_dict().values())
    return vars(one) | {
        "batch": _BATCH,
        "batch_ms": many.mean_ms / _BATCH,
        "device": name,
        "threads": torch.get_num_threads(),
        "peak_mb": peak / 1e6,
        "peak_of": "accelerator" if device.type == "cuda" else "process",
        "parameters": sum(p.numel() for p in net.parameters()),
        "weights_mb": sum(t.numel() * t.element_size() for t in tensors) / 1e6,
    }


def _about(
    weights: Path, config: Config, skeleton: Skeleton, dataset: Path, asked: Asked
) -> dict[str, Any]:
    _, told = checkpoint.read(weights)
    sets = [s for s in config.train if s.dataset]
    own = [s for s in sets if Path(s.dataset).resolve() == dataset.resolve()]
    notes = []
    if any(not s.splits or not asked.splits or set(s.splits) & set(asked.splits) for s in own):
        notes.append("The network learnt from some of these very people: its figures are too good.")
    return {
        "name": config.name,
        "weights": f"{weights.resolve().parent.name}/{weights.name}",
        "weights_sha256": file_sha256(weights),
        "note": told.get("note", ""),
        "block": f"{config.network.block.upper()} {config.network.size[0]}x"
        f"{config.network.size[1]}",
        "seed": config.seed,
        "skeleton": skeleton.name,
        "dataset": dataset.resolve().name,
        "dataset_sha256": _digest(dataset),
        "splits": list(asked.splits),
        "decode": asked.decode,
        "flip": asked.flip,
        "bank": asked.bank,
        "trained_here": bool(own),
        "notes": notes,
    }


def _digest(dataset: Path) -> str:
    digest = hashlib.sha256()
    for name in ("dataset.json", "index.json"):
        digest.update((dataset / name).read_bytes())
    return digest.hexdigest()


def headline(made: Evaluation) -> str:
    """Return the figures that matter most as a line; "-" where there is nothing to measure."""
    told, answers = made.metrics, made.predictions
    hidden, seen = (interval(told["places"][part]["PCK@0.1"]) for part in ("hidden", "visible"))
    lost = told["counterfactual"].get("newly_hidden")
    cost = "" if value_of(lost) is None else f", an occluder costs {interval(lost)} points"
    moments = len(np.unique(answers.group))
    return (
        f"{len(answers)} people, {moments} moments: PCK@0.1 hidden {hidden}, visible {seen}{cost}; "
        f"AP {percent(told['precision']['all']['AP'])}"
    )
