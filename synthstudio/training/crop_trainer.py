"""What a step of a top-down network learns: pictures of one person each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthstudio.core.labels import STATE_HIDDEN
from synthstudio.models.blocks.bank import BankSample
from synthstudio.models.contract import PoseNet, PoseOutputs
from synthstudio.models.losses import Labels, Weights, agreement_loss, pose_losses
from synthstudio.training import adaptation, checkpoint, devices, networks, poses
from synthstudio.training.config import Config
from synthstudio.training.data import unlabelled
from synthstudio.training.data.batches import Batch
from synthstudio.training.data.sources import TrainingData
from synthstudio.training.data.unlabelled import Unlabelled
from synthstudio.training.log import draw_batch
from synthstudio.training.people_trainer import PeopleTrainer
from synthstudio.training.trainer import enough_for_norms, first_weights, to_float32

Made = tuple[Batch, Unlabelled | None]
"""A batch with labels, and one without where there are such people."""


def build_for_training(
    config: Config, data: TrainingData, *, say: Callable[[str], None]
) -> PoseNet:
    """The network of a config with a pose bank of the training people, on the CPU."""
    bank = None
    if config.network.block == "orn":
        bank = poses.bank_for(config, data.train, data.skeleton)
        if config.network.bank:
            say(poses.about_bank(bank, data.train))
    torch.manual_seed(config.seed)
    net = networks.build_network(config.network, data.skeleton, bank=bank, say=say)
    if config.init_from:
        path, most = first_weights(config), config.network.bank
        say(checkpoint.initialize(net, path, skeleton=data.skeleton, poses=most))
    networks.use_channels_last(net)
    networks.set_share_balance(net, data.balance)
    return net


class CropTrainer(PeopleTrainer[Made]):
    """A run of a top-down network."""

    net: PoseNet

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
        self.labels_are_learnt = True
        if data.later_epoch is None and data.stream is None:  # those come from other processes
            self.loaders = devices.batch_makers(device, world)
        self.model = devices.distribute(self.net, unused=bool(config.network.pretrained))
        self.weights = Weights(**config.losses.model_dump())
        self.sigmas = torch.from_numpy(data.skeleton.sigmas).float().to(device)
        self.balance = torch.from_numpy(data.balance).float().to(device)

    def build(self, say: Callable[[str], None]) -> PoseNet:
        return build_for_training(self.config, self.data, say=say)

    def make_batches(self, number: int) -> Made:
        batch, _ = self.labelled_batch(number)
        if self.data.unlabelled is None:
            return batch, None
        without = unlabelled.make_unlabelled(
            self.data.unlabelled,
            self.data.spec,
            self.config,
            number=number,
            pictures=self.data.pictures,
            world=self.world,
        )
        return batch, without

    def backward(self, made: Made) -> dict[str, float]:
        batch, without = made
        with adaptation.statistics_kept(self.net, kept=without is not None):
            losses = self._backward_labelled(batch)
        if without is not None:
            losses["adapt"] = self._backward_unlabelled(
                without, losses["map"] / max(self.weights.map, 1e-9)
            )
        return losses

    def _backward_labelled(self, batch: Batch) -> dict[str, float]:
        labels = Labels(**{k: v.to(self.device) for k, v in vars(batch.labels).items()})
        sample = poses.bank_sample(self.net, batch, self.config, step=self.progress.step)
        images = batch.images.to(self.device).contiguous(memory_format=torch.channels_last)
        outputs = self._forward(self.model, images, sample)
        terms = pose_losses(
            outputs, labels, weights=self.weights, sigmas=self.sigmas, balance=self.balance
        )
        if batch.clean is not None and batch.paired is not None and self.ema is not None:
            with torch.no_grad():
                teacher = self._forward(self.ema, batch.clean.to(self.device)).logits[-1]
            paired = batch.paired.to(self.device)[:, None]
            hidden = labels.known & (labels.state == STATE_HIDDEN) & paired
            agreement = agreement_loss(outputs.logits[-1], teacher, hidden)
            terms["agreement"] = self.weights.agreement * agreement
        values = torch.stack(list(terms.values()))
        torch.autograd.backward(self.scaler.scale(values.sum() / self.config.accumulate))
        return dict(zip(terms, values.tolist(), strict=True))

    def _backward_unlabelled(self, people: Unlabelled, labelled: float) -> float:
        """What the average of the weights says of photos teaches; before `adapt.start` only the
        norms' statistics learn from them. `labelled`: the map loss of labelled people."""
        adapt, teacher = self.config.adapt, self.ema or self.net
        sample = poses.bank_sample(self.net, people.augmented, self.config, step=self.progress.step)
        images = people.augmented.images.to(self.device)
        outputs = self._forward(
            self.model, images.contiguous(memory_format=torch.channels_last), sample
        )
        turn = (self.progress.step / self.total - adapt.start) / 0.1
        if turn <= 0:
            return 0.0
        self.labels_are_learnt = adaptation.labels_are_learnt(
            labelled, self.data.spec, f"{self.out}, step {self.progress.step}"
        )
        with torch.no_grad():
            told = self._forward(teacher, people.plain.images.to(self.device))
        labels = adaptation.pseudo_labels(told, people, self.data.spec, adapt.keep)
        labels = Labels(**{k: v.to(self.device) for k, v in vars(labels).items()})
        loss = adaptation.pseudo_loss(outputs.logits, labels, self.weights.stages)
        loss = min(turn, 1.0) * adapt.weight * loss
        torch.autograd.backward(self.scaler.scale(loss / self.config.accumulate))
        return float(loss.item())

    def _forward(
        self, net: nn.Module, images: Tensor, sample: BankSample | None = None
    ) -> PoseOutputs:
        with (
            enough_for_norms(images, "person"),
            devices.autocast(self.device, self.config.precision),
        ):
            outputs: PoseOutputs = net(images, sample)
        return to_float32(outputs)

    @property
    def save_is_due(self) -> bool:
        return super().save_is_due and self.labels_are_learnt  # a diverging run keeps what was good

    def draw(self, made: Made, net: nn.Module) -> NDArray[np.uint8]:
        return draw_batch(made[0], net, self.data.skeleton)
