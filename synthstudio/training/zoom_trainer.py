"""What a step of ZoomNet learns: a whole body, with windows about its face and hands."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthstudio.core.rng import stream
from synthstudio.models.zoomnet import ZOOMED, ZoomNet, ZoomOutputs, ZoomTargets
from synthstudio.training import checkpoint, devices, networks
from synthstudio.training.config import Config
from synthstudio.training.data.batches import Batch
from synthstudio.training.data.sources import TrainingData
from synthstudio.training.log import draw_batch
from synthstudio.training.people_trainer import PeopleTrainer
from synthstudio.training.trainer import enough_for_norms, first_weights, to_float32

Made = tuple[Batch, ZoomTargets, Tensor]
"""A batch, what it teaches, and the boxes (B, P, 4) that are zoomed to: the true ones, moved a
little."""


class ZoomTrainer(PeopleTrainer[Made]):
    """A run of ZoomNet."""

    net: ZoomNet

    def __init__(
        self,
        config: Config,
        out: Path,
        data: TrainingData,
        device: torch.device,
        world: devices.World,
        *,
        say: Callable[[str], None],
        resume: bool,
    ) -> None:
        super().__init__(config, out, data, device, world, say=say, resume=resume)
        self.model = devices.distribute(self.net, unused=False)

    def build(self, say: Callable[[str], None]) -> ZoomNet:
        config = self.config
        torch.manual_seed(config.seed)
        net = networks.build_zoomnet(config.network, self.data.skeleton)
        if config.init_from:
            path = first_weights(config)
            say(checkpoint.initialize(net, path, skeleton=self.data.skeleton, poses=0))
        networks.use_channels_last(net)
        return net

    def make_batches(self, number: int) -> Made:
        batch, part = self.labelled_batch(number)
        height, width = self.data.spec.size
        joints = batch.labels.xy * torch.tensor([width, height])
        joints = joints.masked_fill(~batch.labels.known[..., None], torch.nan)
        targets = self.net.targets(joints, (height, width))
        drawn = stream(self.config.seed, "zoom", number).uniform(
            -1, 1, (part.count, len(ZOOMED), 4)
        )
        return batch, targets, targets.shifted(torch.from_numpy(drawn[part.places]))

    def backward(self, made: Made) -> dict[str, float]:
        batch, targets, boxes = made
        targets = dataclasses.replace(
            targets, **{k: v.to(self.device) for k, v in vars(targets).items()}
        )
        images = batch.images.to(self.device).contiguous(memory_format=torch.channels_last)
        with (
            enough_for_norms(images, "person"),
            devices.autocast(self.device, self.config.precision),
        ):
            outputs: ZoomOutputs = self.model(images, boxes.to(self.device))
        terms = self.net.losses(to_float32(outputs), targets)
        loss = torch.stack(list(terms.values())).sum()
        torch.autograd.backward(self.scaler.scale(loss / self.config.accumulate))
        return {name: value.item() for name, value in terms.items()}

    def draw(self, made: Made, net: nn.Module) -> NDArray[np.uint8]:
        return draw_batch(made[0], net, self.data.skeleton)
