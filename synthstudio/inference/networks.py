"""Predictions of PyTorch networks on unlabelled images, of crops or of whole frames; and PCK of any
predictor on labelled people.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from synthstudio.core.arrays import F64, U8, Array
from synthstudio.core.errors import ArgumentError
from synthstudio.core.skeleton import Skeleton
from synthstudio.evaluation.intervals import group_sums, paired_interval
from synthstudio.evaluation.measures import pck
from synthstudio.evaluation.metrics import subsets_of
from synthstudio.inference.predict import CropPredictions, Person, Predictor
from synthstudio.inference.sources import SourceImage
from synthstudio.models.contract import FoundPeople
from synthstudio.training import config as configs
from synthstudio.training import devices
from synthstudio.training.data.batches import CropSubset, InputSpec
from synthstudio.training.data.sources import load_subset
from synthstudio.training.networks import BottomUpNet
from synthstudio.training.predictions import find_in_images, people_batches, predict_images

_MARGIN = 0.1
"""Margin of a box around the joints, relative to their longer extent: joints are inside people."""


def network_predictor(
    net: nn.Module, skeleton: Skeleton, *, flip: bool = False, peaks: int = 0
) -> Predictor:
    """A predictor on the network's device; ModelError when out of memory or not finite. `flip`:
    test-time flip. `peaks`: of each map to report. ArgumentError for ZoomNet with either."""
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


def predict_frames(
    net: BottomUpNet,
    images: Iterable[SourceImage],
    *,
    size: tuple[int, int],
    batch: int = 8,
    progress: Callable[[int], None] = lambda done: None,
) -> Iterator[Person]:
    """Yield all people a system finds, in the images' order, most confident first. `size`: its
    input (H, W). Missing joints: NaN, score 0; no causes. ModelError when out of memory."""
    source, done = iter(images), 0
    while some := list(itertools.islice(source, batch)):
        tables = find_in_images(net, [image.rgb for image in some], size)
        for image, found in zip(some, tables, strict=True):
            yield from (_person(image, found, p) for p in range(len(found)))
        done += len(some)
        progress(done)


def _person(image: SourceImage, found: FoundPeople, p: int) -> Person:
    xy, score = found.joints_px[p], found.scores[p]
    unknown = np.full(len(xy), np.nan)
    return Person(
        image=image.number,
        name=image.name,
        instance=None,
        box=box_of(xy, image.rgb.shape[:2]),
        box_score=float(found.score[p]),
        xy=xy,
        score=score,
        visibility_fractions=np.full((len(xy), 4), np.nan),
        quality=unknown,
        present=unknown,
        found_score=float(found.score[p]),
        sequence=image.sequence,
        time=image.time,
    )


def box_of(xy: F64, image: tuple[int, int]) -> F64:
    """The box x y w h of found joints xy (J, 2), with a margin, clipped to an image (H, W)."""
    low, high = np.nanmin(xy, 0), np.nanmax(xy, 0)
    margin = max(_MARGIN * float((high - low).max()), 1.0)
    limit = np.array(image[::-1], np.float64)
    low, high = (low - margin).clip(0, limit - 1), (high + margin).clip(1, limit)
    return np.asarray(np.concatenate([low, np.maximum(high - low, 1.0)]))


def bottom_up_finder(
    net: BottomUpNet, *, size: tuple[int, int], min_score: float = 0.3
) -> Callable[[U8], F64]:
    """A function from a picture (H, W, 3) to boxes (P, 4) x y w h, for `ss.live(finder=...)`.
    `size`: the network's input (H, W). People need `min_score` and three joints."""

    def find(rgb: U8) -> F64:
        image = SourceImage(number=0, name="picture", rgb=rgb)
        boxes = [
            person.box
            for person in predict_frames(net, [image], size=size)
            if person.confidence >= min_score and np.isfinite(person.xy).all(-1).sum() >= 3
        ]
        return np.array(boxes, np.float64).reshape(-1, 4)

    return find


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
    """The people of a data set with a labelled joint, as crops of `size` with the joints of
    `skeleton`; ModelError for none."""
    source = {"dataset": str(dataset), "splits": splits, "boxes": boxes}
    config = configs.parse({"train": [source], "network": {"size": size}})
    return load_subset(config.train, config, cache, skeleton=skeleton)[0]


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
    moment = people.crops.group[people.rows]
    subsets = subsets_of(known, state).items()
    return Hits(sums={name: group_sums(near, each, moment) for name, each in subsets})
