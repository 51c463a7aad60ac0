"""Training steps of each system: top-down networks, ZoomNet, and networks of whole frames."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from synthstudio.core.arrays import F64, U8, Bool
from synthstudio.core.labels import STATE_HIDDEN
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import COLOURS, Skeleton
from synthstudio.models.contract import PoseNet
from synthstudio.models.losses import pose_losses
from synthstudio.models.zoomnet import ZOOMED, ZoomNet, ZoomTargets
from synthstudio.training import devices, poses
from synthstudio.training.data import batches, sources
from synthstudio.training.data.augment import BatchPart
from synthstudio.training.data.batches import Batch, CropSubset
from synthstudio.training.data.frames import FrameBatch, FrameSubset, make_frame_batch
from synthstudio.training.networks import BottomUpNet
from synthstudio.training.predictions import find_people, validate, validate_frames
from synthstudio.training.trainer import Trainer, enough_for_norms, to_float32

Made = TypeVar("Made", bound=tuple[Any, ...])
_PEOPLE_DRAWN, _FRAMES_DRAWN = 12, 4


class PeopleTrainer(Trainer[CropSubset, Made]):
    """A run of a network of one person's picture; its output starts with a Batch."""

    unit = "people"
    model: nn.Module

    def check(self, log: Callable[[str], None]) -> None:
        sources.check_labels(self.data, pasted=bool(self.config.augment.paste), log=log)

    def labelled_batch(self, number: int) -> tuple[Batch, BatchPart]:
        """The augmented people of batch `number`, and their part of the batch."""
        people, part = self.batch_of(number)
        return batches.make_batch(people.crops, part, **self.drawing(number)), part

    def run(self, batch: Batch, more: Any) -> Any:
        """The network's outputs in float32; `more`: what it takes beside the pictures."""
        images = self.images(batch.images)
        with (
            enough_for_norms(images, "person"),
            devices.autocast(self.device, self.config.precision),
        ):
            outputs = self.model(images, more)
        return to_float32(outputs)

    def validate(self, net: nn.Module) -> dict[str, float]:
        return validate(net, self.data.val, self.data.spec, device=self.device)

    def draw(self, made: Made, net: nn.Module) -> U8:
        images, labels = made[0].images[:_PEOPLE_DRAWN], made[0].labels
        with devices.evaluating(net):
            found = net.find(images.to(self.device)).joints_px  # type: ignore[operator]
        joints = labels.xy[: len(images)].double() * torch.tensor(images.shape[:-3:-1])
        joints = joints.masked_fill(~labels.known[: len(images), :, None], torch.nan)
        return draw_samples(
            images,
            joints[:, None].numpy(),
            found[:, None].double().cpu().numpy(),
            self.data.skeleton,
            (labels.state[: len(images), None] == STATE_HIDDEN).numpy(),
        )


class CropTrainer(PeopleTrainer[tuple[Batch]]):
    """A run of a network with a map of one person's picture for each joint."""

    net: PoseNet

    def prepare(self) -> None:
        config, data = self.config, self.data
        if data.later_epoch is None and data.stream is None:  # else from other processes
            self.loaders = devices.batch_makers(self.device, self.world)
        self.model = devices.distribute(self.net, unused=config.network.is_external)
        self.sigmas = torch.from_numpy(data.skeleton.sigmas).float().to(self.device)
        self.balance = torch.from_numpy(data.balance).float().to(self.device)

    def make_batches(self, number: int) -> tuple[Batch]:
        return (self.labelled_batch(number)[0],)

    def backward(self, made: tuple[Batch]) -> dict[str, float]:
        (batch,) = made
        sample = poses.bank_sample(self.net, batch, self.config, step=self.progress.step)
        terms = pose_losses(
            self.run(batch, sample),
            self.to_device(batch.labels),
            sigmas=self.sigmas,
            balance=self.balance,
        )
        return self.add_gradients(terms)


class ZoomTrainer(PeopleTrainer[tuple[Batch, ZoomTargets, Tensor]]):
    """A run of ZoomNet: a batch, its targets, and the boxes (B, P, 4) to zoom to: the true
    ones, jittered."""

    net: ZoomNet

    def prepare(self) -> None:
        self.model = devices.distribute(self.net, unused=False)

    def make_batches(self, number: int) -> tuple[Batch, ZoomTargets, Tensor]:
        batch, part = self.labelled_batch(number)
        height, width = self.data.spec.size
        joints = batch.labels.xy * torch.tensor([width, height])
        joints = joints.masked_fill(~batch.labels.known[..., None], torch.nan)
        targets = self.net.targets(joints, (height, width))
        drawn = stream(self.config.seed, "zoom", number).uniform(
            -1, 1, (part.count, len(ZOOMED), 4)
        )
        return batch, targets, targets.shifted(torch.from_numpy(drawn[part.places]))

    def backward(self, made: tuple[Batch, ZoomTargets, Tensor]) -> dict[str, float]:
        batch, targets, boxes = made
        outputs = self.run(batch, boxes.to(self.device))
        return self.add_gradients(self.net.losses(outputs, self.to_device(targets)))


class _Learner(nn.Module):
    """A bottom-up system with its losses as one call.

    Under several processes a person's filters may get no gradient in one of them, and PyTorch looks
    for such parameters in a call's outputs.
    """

    def __init__(self, net: BottomUpNet, precision: str) -> None:
        super().__init__()
        self.net, self.precision = net, precision

    def forward(self, images: Tensor, targets: Any) -> dict[str, Tensor]:
        with devices.autocast(images.device, self.precision):
            outputs = self.net(images)
        terms: dict[str, Tensor] = self.net.losses(to_float32(outputs), targets)
        return terms


class FrameTrainer(Trainer[FrameSubset, tuple[FrameBatch, Any]]):
    """A run of a bottom-up system: a batch of frames, and the system's targets for it."""

    unit = "frames"
    net: BottomUpNet

    def check(self, log: Callable[[str], None]) -> None:
        sources.check_frames(self.data, log)

    def prepare(self) -> None:
        self.model = devices.distribute(_Learner(self.net, self.config.precision), unused=True)

    def make_batches(self, number: int) -> tuple[FrameBatch, Any]:
        subset, part = self.batch_of(number)
        drawing = self.drawing(number)
        batch = make_frame_batch(subset.frames, part, **drawing)
        return batch, self.net.targets(batch.people)

    def backward(self, made: tuple[FrameBatch, Any]) -> dict[str, float]:
        batch, targets = made
        images = self.images(batch.images)
        with enough_for_norms(images, "frame"):
            terms = self.model(images, self.to_device(targets))
        return self.add_gradients(terms)

    def validate(self, net: nn.Module) -> dict[str, float]:
        return validate_frames(net, self.data.val, self.data.spec, device=self.device)

    def draw(self, made: tuple[FrameBatch, Any], net: nn.Module) -> U8:
        batch = made[0]
        images = batch.images[:_FRAMES_DRAWN]
        with devices.evaluating(net):
            found = find_people(net, images)
        labelled, predicted = (
            [people.joints_px for people in some] for some in (batch.people[: len(images)], found)
        )
        return draw_samples(images, labelled, predicted, self.data.skeleton)


def draw_samples(
    images: Tensor,
    labelled: Sequence[F64],
    predicted: Sequence[F64],
    skeleton: Skeleton,
    hidden: Sequence[Bool] | None = None,
) -> U8:
    """Image (H, W, 3): samples with their labels in the upper row, predictions below.

    `images` (B, 3, h, w) uint8; of each the joints (P, J, 2) of its people in pixels, NaN unknown.
    Joints that are `hidden` (P, J) are rings.
    """
    zoom = max(1, 192 // images.shape[-2])
    rows = []
    for row_of_people in (labelled, predicted):
        tiles = []
        for b, people in enumerate(row_of_people):
            image = images[b].numpy().transpose(1, 2, 0)
            tile = np.repeat(np.repeat(image, zoom, 0), zoom, 1).copy()
            rings = np.zeros(people.shape[:2], bool) if hidden is None else hidden[b]
            for xy, ring in zip(people * zoom, rings, strict=True):
                _draw_person(tile, xy, ring, skeleton)
            tiles.append(tile)
        rows.append(np.concatenate(tiles, 1))
    return np.concatenate(rows, 0)


def _draw_person(tile: U8, xy: F64, hidden: Bool, skeleton: Skeleton) -> None:
    known: Bool = np.asarray(np.isfinite(xy).all(-1))
    at = np.round(np.nan_to_num(xy, nan=-99)).astype(int).clip(-9999, 9999).tolist()
    for a, b in skeleton.edges:
        if known[a] and known[b]:
            cv2.line(tile, tuple(at[a]), tuple(at[b]), (90, 90, 90), 1, cv2.LINE_AA)
    for j, side in enumerate(skeleton.sides):
        if known[j]:
            fill = 1 if hidden[j] else -1
            cv2.circle(tile, tuple(at[j]), 3, COLOURS[side], fill, cv2.LINE_AA)
