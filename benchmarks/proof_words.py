"""What the proof tells of ORN's words: visibility, cause, and where its attention lies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - it asks networks
from torch import nn  # noqa: TID253

from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.evaluation.attention import attention_ratios
from synthstudio.evaluation.formatting import ratio, value_of
from synthstudio.evaluation.intervals import Interval
from synthstudio.evaluation.metrics import visibility_metrics
from synthstudio.evaluation.storage import Predictions
from synthstudio.training import diagnostics
from synthstudio.training.batches import Frame
from synthstudio.training.bodies import Silhouettes
from synthstudio.training.data import Chosen

_WORDS = ("AUROC", "AUROC_over_peak", "cause_F1", "cause_F1_over_majority")
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
    people: Chosen,
    frame: Frame,
    answers: Predictions,
    dataset: Path,
    skeleton: Skeleton,
) -> dict[str, Any]:
    """Return the figures of a network that says what is visible; {} for one that does not."""
    told = visibility_metrics(answers, skeleton)
    if not told:
        return {}
    found = diagnostics.gazes(
        net,
        people,
        frame,
        device=torch.device("cpu"),
        bodies=Silhouettes(Dataset(dataset), people.crops, frame),
    )
    return {name: told[name] for name in _WORDS} | {"attention": attention_ratios(found)}


def table(results: Mapping[tuple[str, int], Mapping[str, Any]], arm: str = "c") -> str:
    """Return a line for each seed of an arm, as Markdown; "" without any."""
    lines = []
    for (name, seed), told in sorted(results.items()):
        if name == arm and told.get("words"):
            lines.append(f"| {seed} | " + " | ".join(_cells(told["words"])) + " |")
    if not lines:
        return ""
    head = ["| seed | " + " | ".join(_COLUMNS) + " |", "|---" * (1 + len(_COLUMNS)) + "|"]
    return "\n".join(head + lines)


def _cells(told: Mapping[str, Any]) -> list[str]:
    cells = [
        Interval(**told[name]).text(scale=1, digits=3) if "over" in name else ratio(told[name], 3)
        for name in _WORDS
    ]
    gaze = told["attention"]
    for part in (gaze, gaze.get("person", {})):
        for name in ("on_occluder", "on_moved_mask"):
            cells.append(ratio(part[name], 3) if value_of(part.get(name)) is not None else "-")
    return cells
