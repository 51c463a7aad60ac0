"""PCK of any predictor on labelled people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthstudio.core.arrays import F64, Array
from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import Skeleton
from synthstudio.evaluation.intervals import group_sums, paired_interval
from synthstudio.evaluation.measures import pck
from synthstudio.evaluation.metrics import subsets_of
from synthstudio.inference.predict import Predictor
from synthstudio.training import config as configs
from synthstudio.training.data.batches import CropSubset, InputSpec
from synthstudio.training.data.sources import load_subset
from synthstudio.training.predictions import people_batches

AT = 0.1
"""PCK threshold relative to the box's longer side."""


@dataclass(frozen=True, kw_only=True)
class Hits:
    """Joints found and counted (1, G) per moment, by subset: all, visible, hidden."""

    sums: dict[str, tuple[F64, F64]]

    def percent(self, subset: str) -> float:
        """PCK in percent; NaN without joints."""
        found, counts = (part.sum() for part in self.sums[subset])
        return float(100 * found / counts) if counts else float("nan")

    def gained(self, other: Hits, subset: str) -> tuple[float, float, float]:
        """Points of PCK more than `other` on the same people, and its 95 % interval."""
        more = paired_interval(self.sums[subset], other.sums[subset], seed=0)
        return 100 * more.value, 100 * more.low, 100 * more.high


def labelled_people(
    dataset: Path,
    *,
    splits: tuple[str, ...],
    size: tuple[int, int],
    skeleton: Skeleton,
    cache: Path,
    boxes: str = "outline",
) -> CropSubset:
    """The people of a data set as crops of `size`, with the joints of `skeleton`; ModelError for
    none."""
    source = {"dataset": str(dataset), "splits": splits, "boxes": boxes}
    config = configs.parse({"train": [source], "network": {"size": size}})
    people, _ = load_subset(config.train, config, cache, skeleton=skeleton)
    if not len(people) or not np.isfinite(people.crops.xy[people.rows]).any():
        raise ModelError(
            "no labelled person",
            where=str(dataset),
            expected=f"people with joints, in splits {', '.join(splits) or 'of any name'}",
            got=f"{len(people)} people without a joint",
        )
    return people


def hits(net: Predictor, people: CropSubset, size: tuple[int, int], skeleton: Skeleton) -> Hits:
    """Predict all people and count the joints found within AT."""
    columns: list[tuple[Array, ...]] = []
    extent = np.array([size[1], size[0]], np.float64)
    for batch in people_batches(people, InputSpec(size=size, skeleton=skeleton)):
        answer = net(np.ascontiguousarray(batch.images.numpy().transpose(0, 2, 3, 1)))
        truth = batch.labels.xy.double().numpy() * extent
        side = people.crops.side[batch.rows].astype(np.float64)
        near = pck(answer.xy, truth, length=side, at=AT)
        columns.append((near, batch.labels.known.numpy(), batch.labels.state.numpy()))
    near, known, state = map(np.concatenate, zip(*columns, strict=True))
    _, moment = np.unique(people.crops.group[people.rows], return_inverse=True)
    subsets = subsets_of(known, state).items()
    return Hits(sums={name: group_sums(near, each, moment) for name, each in subsets})
