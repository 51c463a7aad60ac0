"""People in photos without labels: their boxes are used, their joints are not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthstudio.core.rng import stream
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.rows import NO_STATE
from synthstudio.training.config import NO_AUGMENTATION, Config
from synthstudio.training.data import batches
from synthstudio.training.data.batches import Batch, CropSubset, InputSpec, Pictures
from synthstudio.training.data.coco import crop_coco
from synthstudio.training.data.crops import CroppedSource, Crops
from synthstudio.training.data.parts import BatchPart
from synthstudio.training.devices import ALONE, World

_BODY = 0.7
"""The ellipse that stands for somebody's joints when something is pasted over them, in boxes."""


@dataclass(frozen=True, kw_only=True)
class Unlabelled:
    """The same people twice: as they are, for the teacher, and augmented."""

    plain: Batch
    augmented: Batch


def load_unlabelled(config: Config, skeleton: Skeleton, *, cache: Path) -> CroppedSource:
    """The people of `config.adapt`; see `crop_unlabelled`."""
    adapt = config.adapt
    return crop_unlabelled(adapt.coco, adapt.images, config, cache=cache, skeleton=skeleton)


def crop_unlabelled(
    coco: str,
    images: str,
    config: Config,
    *,
    cache: Path,
    skeleton: Skeleton | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> CroppedSource:
    """The people of a COCO file, whatever their labels, which are taken from them.

    FormatError, AssetError or ModelError for a bad file, a broken photo or nobody.
    """
    source = crop_coco(
        Path(coco),
        Path(images) if images else None,
        size=config.network.size,
        cache=cache,
        progress=progress,
        skeleton=skeleton,
        joints_3d=config.joints_3d,
        labelled=False,
    )
    return dataclasses.replace(source, crops=_unlabelled(source.crops))


def _unlabelled(crops: Crops) -> Crops:
    """Crops without labels; joints stand on an ellipse in the box, so that pastes find people."""
    joints = crops.xy.shape[1]
    angle = np.arange(joints) * 2 * np.pi / joints
    around = np.stack([np.cos(angle), np.sin(angle)], -1)
    centre = (crops.box[:, :2] + crops.box[:, 2:] / 2 - crops.corner) * crops.scale[:, None]
    extent = crops.box[:, 2:] * crops.scale[:, None]
    xy = centre[:, None] + around * extent[:, None] * _BODY / 2
    return dataclasses.replace(
        crops,
        xy=xy.astype(np.float32),
        state=np.full_like(crops.state, NO_STATE),
        present=np.full_like(crops.present, np.nan),
        shares=np.full_like(crops.shares, np.nan),
        fraction=np.full_like(crops.fraction, np.nan),
        xyz_m=np.full_like(crops.xyz_m, np.nan),
    )


def make_unlabelled(
    people: CropSubset,
    spec: InputSpec,
    config: Config,
    *,
    number: int,
    pictures: Pictures,
    world: World = ALONE,
) -> Unlabelled:
    """The people of batch `number`, or a process's part of them; (seed, number) decide who they are
    and how they look."""
    per_pass = max(len(people) // config.batch, 1)
    which, place = divmod(number, per_pass)
    order = stream(config.seed, "unlabelled", which).permutation(people.rows)
    rows = order[np.arange(place * config.batch, (place + 1) * config.batch) % len(order)]
    part = BatchPart.of(rows, rank=world.rank, size=world.size)
    augmented = batches.make_batch(
        people.crops,
        part,
        spec,
        config.augment,
        seed=config.seed + 1,  # not as the labelled batch of the same number
        step=number,
        pictures=pictures,
    )
    plain = batches.make_batch(people.crops, part.rows, spec, NO_AUGMENTATION)
    return Unlabelled(plain=plain, augmented=augmented)
