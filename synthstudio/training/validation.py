"""A quick look at a network while it trains: PCK of all, visible and hidden joints."""

from __future__ import annotations

import torch
from torch import nn

from synthstudio.evaluation.localization import pck
from synthstudio.evaluation.metrics import joint_subsets
from synthstudio.training.answer import answer
from synthstudio.training.batches import Frame
from synthstudio.training.data import Chosen


def validate(
    net: nn.Module, people: Chosen | None, frame: Frame, *, device: torch.device, at: float = 0.1
) -> dict[str, float]:
    """Return PCK at `at` times the longer side of the amodal box; empty without people."""
    if people is None:
        return {}
    answers = answer(net, people, frame, device=device)
    hits = pck(answers.xy, answers.true_xy, length=answers.side, at=at)
    found = {}
    for name, which in joint_subsets(answers).items():
        key = "pck" if name == "all" else f"pck_{name}"
        found[key] = float(hits[which].mean()) if which.any() else float("nan")
    return found
