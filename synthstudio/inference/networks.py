"""Asking a PyTorch network about crops."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from synthstudio.core.skeleton import Skeleton
from synthstudio.inference.answers import F64, U8, Answers, Ask
from synthstudio.models.contract import predict_maps
from synthstudio.models.heatmaps import expected_hits, find_peaks
from synthstudio.training import devices

_PEAK_DISTANCE = 2
"""Cells around a peak in which no other one is reported."""


def ask_network(net: nn.Module, skeleton: Skeleton, *, flip: bool = False, peaks: int = 0) -> Ask:
    """Ask a network on its device; ModelError when out of memory or its maps are not finite.

    `flip`: average with predictions on mirrored crops (test-time flip). `peaks`: how many separate
    peaks of each map to report.
    """
    device = next(net.parameters()).device
    mirrored = torch.from_numpy(skeleton.flip).to(device) if flip else None

    def ask(crops: U8) -> Answers:
        guard = devices.memory_guard(
            device, got=f"{len(crops)} crops", then="Choose a smaller --batch."
        )
        with guard, torch.inference_mode():
            images = torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2)))
            maps, outputs = predict_maps(net, images.to(device), flip=mirrored)
            joints = expected_hits(maps)
            tops = find_peaks(maps, count=peaks, reach=_PEAK_DISTANCE) if peaks else None
        cell = crops.shape[2] / maps.shape[-1]
        score = joints.score.double().cpu().numpy()
        highest = np.zeros((*score.shape, 0, 3))
        if tops is not None:
            parts = (tops.xy.double() * cell, tops.score.double()[..., None])
            highest = torch.cat(parts, -1).cpu().numpy()

        def array(value: Tensor | None, activation: Callable[[Tensor], Tensor], *more: int) -> F64:
            if value is None:
                return np.full((*score.shape, *more), np.nan)
            return np.asarray(activation(value.double()).cpu().numpy(), np.float64)

        return Answers(
            xy=joints.xy.double().cpu().numpy() * cell,
            score=score,
            shares=array(outputs.shares, lambda v: v.softmax(-1), 4),
            quality=array(outputs.quality, torch.sigmoid),
            present=array(outputs.presence, torch.sigmoid),
            peaks=highest,
        )

    return ask
