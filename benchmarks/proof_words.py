"""The proof's metrics of ORN's visibility, cause and attention."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - it runs networks
from torch import nn  # noqa: TID253

from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation.attention import attention_ratios
from synthstudio.evaluation.formatting import ratio, value_of
from synthstudio.evaluation.intervals import Interval
from synthstudio.evaluation.metrics import visibility_metrics
from synthstudio.evaluation.storage import Predictions
from synthstudio.training import diagnostics
from synthstudio.training.data.batches import CropSubset, InputSpec
from synthstudio.training.evaluate import Silhouettes

_ARMS = ("c", "attention")
_METRICS = ("AUROC", "AUROC_over_peak", "cause_F1", "cause_F1_over_majority")
_COLUMNS = (
    "visibility AUROC",
    "over that of the peak",
    "cause macro F1",
    "over the majority's",
    "attention on the occluder / even: window",
    "moved mask",
    "person",
    "moved mask ",
)


def words(
    net: nn.Module,
    people: CropSubset,
    spec: InputSpec,
    answers: Predictions,
    dataset: Path,
    skeleton: Skeleton,
) -> dict[str, Any]:
    """The metrics of a network that predicts visibility; {} for any other."""
    metrics = visibility_metrics(answers, skeleton)
    if not metrics:
        return {}
    found = diagnostics.attention_maps(
        net,
        people,
        spec,
        device=torch.device("cpu"),
        silhouettes=Silhouettes(Dataset(dataset), people.crops, spec),
    )
    gaze = {"attention": attention_ratios(found)} if found else {}
    return {name: metrics[name] for name in _METRICS} | gaze


def table(results: Mapping[tuple[str, int], Mapping[str, Any]]) -> str:
    """A line for each seed of the arms that are about it, as Markdown; "" without any."""
    lines = []
    for arm in _ARMS:
        for (name, seed), result in sorted(results.items()):
            if name == arm and result.get("words"):
                lines.append(f"| ({name}) | {seed} | " + " | ".join(_cells(result["words"])) + " |")
    if not lines:
        return ""
    head = ["| arm | seed | " + " | ".join(_COLUMNS) + " |", "|---" * (2 + len(_COLUMNS)) + "|"]
    return "\n".join(head + lines)


def _cells(result: Mapping[str, Any]) -> list[str]:
    cells = [
        Interval(**result[name]).text(scale=1, digits=3)
        if "over" in name
        else ratio(result[name], 3)
        for name in _METRICS
    ]
    gaze = result.get("attention", {})
    for part in (gaze, gaze.get("person", {})):
        for name in ("on_occluder", "on_moved_mask"):
            cells.append(ratio(part[name], 3) if value_of(part.get(name)) is not None else "-")
    return cells
