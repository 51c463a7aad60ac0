"""Predictor of a PyTorch network on crops."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import nn

from synthstudio.core.arrays import U8
from synthstudio.core.errors import ArgumentError
from synthstudio.core.skeleton import Skeleton
from synthstudio.inference.predict import CropPredictions, Predictor
from synthstudio.training import devices
from synthstudio.training.predictions import predict_images


def network_predictor(
    net: nn.Module, skeleton: Skeleton, *, flip: bool = False, peaks: int = 0
) -> Predictor:
    """A predictor on the network's device; ModelError when out of memory or maps are not finite.
    `flip`: test-time flip. `peaks`: separate peaks of each map to report. ArgumentError for
    ZoomNet, which supports neither."""
    device = next(net.parameters()).device
    for requested, word in ((flip, "flip"), (peaks, "peaks")):
        if requested and not getattr(net, "has_joint_maps", True):  # any module of PoseOutputs has
            raise ArgumentError(
                "this network predicts face and hands from separate windows",
                where=word,
                expected="a network with one map per joint",
                then=f"Leave out {word}.",
            )

    def predict(crops: U8) -> CropPredictions:
        images = torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2)))
        with devices.memory_guard(device, f"{len(crops)} crops", "Choose a smaller --batch."):
            found = predict_images(net, images.to(device), skeleton, flip=flip, peaks=peaks)
        found.setdefault("peaks", np.zeros((*found["score"].shape, 0, 3)))
        names = [field.name for field in dataclasses.fields(CropPredictions)]
        return CropPredictions(**{name: found[name] for name in names})

    return predict
