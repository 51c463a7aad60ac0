"""The folder of an evaluation: name, metrics and files. Without PyTorch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from synthstudio.core.errors import ModelError
from synthstudio.core.places import Place, resolved
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation import storage
from synthstudio.evaluation.attention import AttentionExample, Sensitivity
from synthstudio.evaluation.metrics import compute_metrics
from synthstudio.evaluation.precision import Detections
from synthstudio.evaluation.storage import Evaluation, Predictions, interval, percent, value_of
from synthstudio.report import evaluation as pages

Step = Callable[[str], Callable[[int, int, float], None]]
"""Begin a progress step by its title; the result takes (done, total, per second)."""
Decode = Literal["peak", "hits"]
"""Decode a joint at the highest peak, or by expected hits."""
_WORST = 8


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Options of an evaluation. `bank`: fuse a plain block's maps with its training poses."""

    splits: tuple[str, ...] = ()
    decode: Decode = "hits"
    flip: bool = False
    bank: bool = False
    frames: tuple[int, ...] | None = None
    """Only these frames of the data set, rising; None: all."""

    def default_folder(self, weights: Path, dataset: Place, *, name: str = "") -> Path:
        """RUN/evaluations/DATASET, or beside a file NAME-DATASET, with the options that differ from
        the defaults."""
        extras = [*self.splits, *(["peak"] if self.decode == "peak" else [])]
        extras += [name for name in ("flip", "bank") if getattr(self, name)]
        if self.frames is not None:
            digest = hashlib.sha256(repr(self.frames).encode()).hexdigest()
            extras.append(f"part-{digest[:8]}")
        parts = [*([name] if name else []), resolved(dataset).name, *extras]
        return weights.parent / "evaluations" / "-".join(parts)


def measured(
    answers: Predictions, skeleton: Skeleton, found: Detections | None, step: Step, *, where: str
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


def dataset_sha256(dataset: Place) -> str:
    """The hash of a data set's identity, for `compare`."""
    digest, folder = hashlib.sha256(), Dataset(dataset).folder
    for name in ("dataset.json", "index.json"):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def headline(evaluation: Evaluation) -> str:
    """The most important metrics as a line; "-" if not measured."""
    metrics, answers = evaluation.metrics, evaluation.predictions
    found = metrics["localization"]
    hidden, visible = (interval(found[part]["PCK@0.1"]) for part in ("hidden", "visible"))
    lost = metrics["counterfactual"].get("newly_hidden")
    cost = "" if value_of(lost) is None else f", an occluder costs {interval(lost)} points"
    line = (
        f"{len(answers)} people, {len(np.unique(answers.group))} moments: PCK@0.1 hidden {hidden}, "
        f"visible {visible}{cost}; AP {percent(metrics['precision']['all']['AP'])}"
    )
    if parts := metrics.get("whole_body"):
        shown = ("whole", "body", "foot", "face", "hands")
        line += "; COCO-WholeBody AP "
        line += ", ".join(f"{k} {percent(parts[k]['AP'])}" for k in shown)
    return line
