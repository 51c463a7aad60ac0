"""What an answer of a network costs: time, memory, parameters."""

from __future__ import annotations

import resource
from typing import Any

import torch
from torch import nn

from synthstudio.evaluation.latency import Latency


def cost(
    net: nn.Module, device: torch.device, *, one: Latency, many: Latency, batch: int
) -> dict[str, Any]:
    """Figures as an evaluation keeps them: `one` is the time of a single sample, `many` that of
    `batch` at once."""
    if device.type == "cuda":
        peak, name = torch.cuda.max_memory_allocated(device), torch.cuda.get_device_name(device)
    else:
        peak, name = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "CPU"
    tensors = list(net.state_dict().values())
    return vars(one) | {
        "batch": batch,
        "batch_ms": many.mean_ms / batch,
        "device": name,
        "threads": torch.get_num_threads(),
        "peak_mb": peak / 1e6,
        "peak_of": "accelerator" if device.type == "cuda" else "process",
        "parameters": sum(p.numel() for p in net.parameters()),
        "weights_mb": sum(t.numel() * t.element_size() for t in tensors) / 1e6,
    }
