"""Asking a PyTorch network about crops."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor, nn

from synthstudio.core.errors import ArgumentError
from synthstudio.core.skeleton import Skeleton
from synthstudio.inference.predict import F64, U8, CropPredictions, Predictor, few_at_once
from synthstudio.models.contract import predict_maps
from synthstudio.models.heatmaps import expected_hits, find_peaks
from synthstudio.models.zoomnet import ZoomNet
from synthstudio.training import devices

_PEAK_DISTANCE = 2
"""Cells around a peak in which no other one is reported."""


def _ask_zoomnet(net: ZoomNet, device: torch.device) -> Predictor:
    """Joints of a part outside the crop have no place (NaN), the score 0, and the probability that
    the part is there."""

    def ask(crops: U8) -> CropPredictions:
        with _guard(device, crops), torch.inference_mode():
            found = net.find(_images(crops, device))
        xy, score, present = (
            value.double().cpu().numpy() for value in (found.joints_px, found.scores, found.present)
        )
        return CropPredictions(
            xy=xy,
            score=score,
            shares=np.full((*score.shape, 4), np.nan),
            quality=np.full(score.shape, np.nan),
            present=present,
            peaks=np.zeros((*score.shape, 0, 3)),
        )

    return ask


def _guard(device: torch.device, crops: U8) -> AbstractContextManager[None]:
    then = "Choose a smaller --batch."
    return devices.memory_guard(device, got=f"{len(crops)} crops", then=then)


def _images(crops: U8, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2))).to(device)


def ask_network(
    net: nn.Module, skeleton: Skeleton, *, flip: bool = False, peaks: int = 0
) -> Predictor:
    """A predictor on the network's device; ModelError when out of memory or maps are not finite.
    `flip`: test-time flip. `peaks`: separate peaks of each map to report. ArgumentError for
    ZoomNet, which has neither."""
    device = next(net.parameters()).device
    if not getattr(net, "has_joint_maps", True):  # any module of PoseOutputs has
        for asked, word in ((flip, "flip"), (peaks, "peaks")):
            if asked:
                raise ArgumentError(
                    "this network reads face and hands from windows of their own",
                    where=word,
                    expected="a network with one map of the picture for each joint",
                    then=f"Leave out {word}.",
                )
        return _ask_zoomnet(net, device)  # type: ignore[arg-type]
    mirrored = torch.from_numpy(skeleton.flip).to(device) if flip else None

    def ask(crops: U8) -> CropPredictions:
        with _guard(device, crops), torch.inference_mode():
            maps, outputs = predict_maps(net, _images(crops, device), flip=mirrored)
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

        return CropPredictions(
            xy=joints.xy.double().cpu().numpy() * cell,
            score=score,
            shares=array(outputs.shares, lambda v: v.softmax(-1), 4),
            quality=array(outputs.quality, torch.sigmoid),
            present=array(outputs.presence, torch.sigmoid),
            peaks=highest,
        )

    return few_at_once(ask) if device.type == "cpu" else ask
