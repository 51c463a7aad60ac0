"""A quick look at a network while it trains: PCK of all, visible and hidden joints."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.evaluation.places import pck
from synthstudio.models.contract import joints_of
from synthstudio.training import batches
from synthstudio.training.augment import NONE
from synthstudio.training.batches import Frame
from synthstudio.training.data import Chosen

F64 = NDArray[np.float64]


def validate(
    net: nn.Module, people: Chosen | None, frame: Frame, *, device: torch.device,
    batch: int = 128, at: float = 0.1,
) -> dict[str, float]:  # fmt: skip
    """Return PCK at `at` times the longer side of the amodal box; empty without people."""
    if people is None:
        return {}
    xy, truth, known = answers(net, people, frame, device=device, batch=batch)
    crops, rows = people.crops, people.rows
    hits = pck(xy, truth, length=crops.side[rows].astype(np.float64), at=at)
    state = crops.state[rows]

    def mean(which: NDArray[np.bool_]) -> float:
        return float(hits[which & known].mean()) if (which & known).any() else float("nan")

    return {
        "pck": mean(np.ones_like(known)),
        "pck_visible": mean(state == STATE_VISIBLE),
        "pck_hidden": mean(state == STATE_HIDDEN),
    }


def answers(
    net: nn.Module, people: Chosen, frame: Frame, *, device: torch.device, batch: int = 128
) -> tuple[F64, F64, NDArray[np.bool_]]:
    """Return answers and truth (R, J, 2) in pixels of the window, and which are known (R, J)."""
    was, scale = net.training, frame.size[1] / frame.cells[1]
    net.eval()
    said, truth, known = [], [], []
    wide_high = np.array([frame.size[1], frame.size[0]])
    with torch.inference_mode():
        for at in range(0, len(people.rows), batch):
            rows = people.rows[at : at + batch]
            made = batches.make(people.crops, rows, frame, NONE, seed=0, step=0)
            found, _ = joints_of(net, made.images.to(device))
            said.append(found.xy.double().cpu().numpy() * scale)
            truth.append(made.labels.xy.double().numpy() * wide_high)
            known.append(made.labels.known.numpy())
    net.train(was)
    return np.concatenate(said), np.concatenate(truth), np.concatenate(known)
