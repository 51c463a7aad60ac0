"""What all networks of one person's picture share in training: whose pictures they learn from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from synthstudio.training import devices
from synthstudio.training.config import Config
from synthstudio.training.data import batches, sources
from synthstudio.training.data.batches import Batch, CropSubset
from synthstudio.training.data.parts import BatchPart
from synthstudio.training.data.sources import TrainingData
from synthstudio.training.data.streamed import StreamReader
from synthstudio.training.predictions import validate
from synthstudio.training.trainer import Made, Trainer


class PeopleTrainer(Trainer[CropSubset, Made]):
    """A run of a network of one person's picture."""

    unit = "people"
    load = staticmethod(sources.load_data)

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
        self.data = data
        sources.check_labels(data, pasted=bool(config.augment.paste), say=say)
        super().__init__(config, out, data, device, world, say=say, resume=resume)
        self.reader = None
        if data.stream is not None:
            steps = self.steps_per_epoch
            self.reader = StreamReader(data.stream, config, world, steps_per_epoch=steps)

    def order(self, epoch: int) -> tuple[CropSubset, NDArray[np.int64]]:
        people = self.data.of_epoch(epoch)
        last = (epoch + 1) * self.steps_per_epoch
        max_fraction = curriculum_fraction(self.config, last, self.total)
        return people, people.epoch_order(self.config.seed, epoch, max_fraction=max_fraction)

    def part_of(self, epoch: int, step: int, part: int) -> tuple[CropSubset, BatchPart]:
        if self.reader is None:
            return super().part_of(epoch, step, part)
        start = (step * self.config.accumulate + part) * self.config.batch
        return self.reader.part(epoch, start)

    def close(self) -> None:
        super().close()
        if self.reader is not None:
            self.reader.close()

    def labelled_batch(self, number: int) -> tuple[Batch, BatchPart]:
        """The augmented people of batch `number`, and which part of the batch they are."""
        people, rows, augment = self.batch_of(number)
        batch = batches.make_batch(
            people.crops,
            rows,
            self.data.spec,
            augment,
            seed=self.config.seed,
            step=number,
            paired=bool(self.config.losses.agreement),
            pictures=self.data.pictures,
        )
        return batch, rows

    def validate(self, net: nn.Module) -> dict[str, float]:
        return validate(net, self.data.val, self.data.spec, device=self.device)


def curriculum_fraction(config: Config, step: int, total: int) -> float:
    """The highest occluded fraction in an epoch that ends with `step`."""
    if not config.curriculum:
        return 1.0
    return min(1.0, 0.1 + step / (config.curriculum * total))
