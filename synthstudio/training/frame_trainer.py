"""What a step of a bottom-up system learns: whole frames with everybody in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthstudio.training import checkpoint, devices, networks
from synthstudio.training.config import Config
from synthstudio.training.data.frame_batches import FrameBatch, FrameSubset, make_frame_batch
from synthstudio.training.data.frame_sources import FrameData, check_frames, load_frames
from synthstudio.training.found import draw_frames, validate_frames
from synthstudio.training.networks import BottomUpNet
from synthstudio.training.trainer import Trainer, enough_for_norms, first_weights, to_float32

Made = tuple[FrameBatch, Any]
"""A batch and the system's targets for it."""


class _Learner(nn.Module):
    """A system with its losses as one call: under several processes a person's filters may get no
    gradient in one of them, and PyTorch looks for such parameters in what a call returns."""

    def __init__(self, net: BottomUpNet, precision: str) -> None:
        super().__init__()
        self.net, self.precision = net, precision

    def forward(self, images: Tensor, targets: Any) -> dict[str, Tensor]:
        with devices.autocast(images.device, self.precision):
            outputs = self.net(images)
        terms: dict[str, Tensor] = self.net.losses(to_float32(outputs), targets)
        return terms


class FrameTrainer(Trainer[FrameSubset, Made]):
    """A run of a bottom-up system."""

    unit = "frames"
    load = staticmethod(load_frames)
    net: BottomUpNet

    def __init__(
        self,
        config: Config,
        out: Path,
        data: FrameData,
        device: torch.device,
        world: devices.World,
        *,
        say: Callable[[str], None],
        resume: bool,
    ) -> None:
        self.data = data
        self.masks = config.network.system == "personlab"
        check_frames(data, masks=self.masks, say=say)
        super().__init__(config, out, data, device, world, say=say, resume=resume)
        learner = _Learner(self.net, config.precision)
        self.model = devices.distribute(learner, unused=True)

    def build(self, say: Callable[[str], None]) -> BottomUpNet:
        config = self.config
        torch.manual_seed(config.seed)
        weight = config.losses.map
        net = networks.build_system(config.network, self.data.skeleton, map_weight=weight)
        if config.init_from:
            path = first_weights(config)
            say(checkpoint.initialize(net, path, skeleton=self.data.skeleton, poses=0))
        networks.use_channels_last(net)
        return net

    def order(self, epoch: int) -> tuple[FrameSubset, NDArray[np.int64]]:
        frames = self.data.of_epoch(epoch)
        return frames, frames.epoch_order(self.config.seed, epoch)

    def make_batches(self, number: int) -> Made:
        subset, rows, augment = self.batch_of(number)
        batch = make_frame_batch(
            subset.frames,
            rows,
            self.data.spec,
            augment,
            seed=self.config.seed,
            step=number,
            masks=self.masks,
            pictures=self.data.pictures,
        )
        return batch, self.net.targets(batch.people)

    def backward(self, made: Made) -> dict[str, float]:
        batch, targets = made
        values = {k: v.to(self.device) for k, v in vars(targets).items()}
        images = batch.images.to(self.device).contiguous(memory_format=torch.channels_last)
        with enough_for_norms(images, "frame"):
            terms = self.model(images, dataclasses.replace(targets, **values))
        loss = torch.stack(list(terms.values())).sum()
        torch.autograd.backward(self.scaler.scale(loss / self.config.accumulate))
        return {name: value.item() for name, value in terms.items()}

    def validate(self, net: nn.Module) -> dict[str, float]:
        return validate_frames(net, self.data.val, self.data.spec, device=self.device)

    def draw(self, made: Made, net: nn.Module) -> NDArray[np.uint8]:
        return draw_frames(made[0], net, self.data.skeleton)
