"""Pairs of people: of the same pose in other looks, of the same looks in another pose.

Pictures of one moment with other clothes, light or view show the same pose; pictures that recipes
of equal `streams` draw show the same clothes in other poses (docs/research). Who shows
which pose in which clothes stands in the frames' specs. Of photos, where nobody tells, the pair is
one person in two augmentations. Letters: N people, B of a batch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import ModelError
from synthstudio.core.rng import Generator, stream
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.training.config import Config, Source
from synthstudio.training.data.crops import CroppedSource, Crops
from synthstudio.training.data.sources import concatenate, load_subset
from synthstudio.training.data.unlabelled import crop_unlabelled

I64 = NDArray[np.int64]
_ALIKE = ("phenotype", "pose", "yaw_rad")
_WORN = ("identity", "look", "outfit")


@dataclass(frozen=True, kw_only=True, eq=False)
class PosePeople:
    """N people to learn from. `pose` and `look` (N,) number poses of bodies, and who wears what.

    Of photos each person is there twice, alone with their pose.
    """

    crops: Crops
    rows: I64  # (N,) of the crops
    pose: I64
    look: I64
    skeleton: Skeleton

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: I64 | NDArray[np.bool_]) -> PosePeople:
        return replace(self, rows=self.rows[index], pose=self.pose[index], look=self.look[index])


def pose_people(
    sources: Sequence[Source],
    config: Config,
    *,
    cache: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> PosePeople:
    """The people of data sets with what tells their poses and looks apart, or those of photos.

    ModelError for other sources, for both together, and for people of whom no spec tells.
    """
    if any(source.coco for source in sources):
        return _photo_people(sources, config, cache, progress)
    poses: list[str] = []
    looks: list[str] = []
    for source in sources:
        if not source.dataset:
            raise ModelError(
                "only data sets tell who shows the same pose",
                where=source.name,
                expected="dataset, or coco alone: photos",
                then="Generate the recipe into a folder first.",
            )
        crops = load_subset((source,), config, cache, progress)[0].crops
        keys = _keys(Dataset(source.dataset))
        for person in zip(crops.frame.tolist(), crops.instance.tolist(), strict=True):
            pose, look = keys[person]
            poses.append(pose)
            looks.append(look)
    people, skeleton = load_subset(sources, config, cache, progress)
    return PosePeople(
        crops=people.crops,
        rows=people.rows,
        pose=_numbered(poses)[people.rows],
        look=_numbered(looks)[people.rows],
        skeleton=skeleton,
    )


def _photo_people(
    sources: Sequence[Source],
    config: Config,
    cache: Path,
    progress: Callable[[int, int], None],
) -> PosePeople:
    """Everybody in photos, labelled or not, twice: nobody else is known to show their pose, so the
    pair is two augmentations of one picture (SimCLR, Chen et al. 2020)."""
    if others := [source.name for source in sources if not source.coco]:
        raise ModelError(
            "photos and data sets are not learnt from together",
            where=", ".join(others),
            expected="all sources coco, or all dataset",
            then="Pretrain on the one, then on the other with init_from.",
        )

    def crop(source: Source, skeleton: Skeleton | None = None) -> CroppedSource:
        return crop_unlabelled(
            source.coco, source.images, config, cache=cache, skeleton=skeleton, progress=progress
        )

    first = crop(sources[0])
    skeleton = first.skeleton
    crops = concatenate([first.crops, *(crop(source, skeleton).crops for source in sources[1:])])
    rows = np.repeat(np.arange(len(crops)), 2)
    return PosePeople(crops=crops, rows=rows, pose=rows, look=rows, skeleton=skeleton)


def _keys(dataset: Dataset) -> dict[tuple[int, int], tuple[str, str]]:
    """Hashes of the pose and of the looks of each (frame, instance); people of a spec alone."""
    found = {}
    for frame in dataset.iter_frames(["index", "spec"]):
        if frame["spec"] is None:
            raise ModelError(
                "nobody knows who shows the same pose",
                where=f"{dataset.place}, frame {frame['index']}",
                expected="rendered frames, which have a spec",
                got="none",
            )
        for place, person in enumerate(json.loads(frame["spec"])["people"], 1):
            found[frame["index"], place] = (_hash(person, _ALIKE), _hash(person, _WORN))
    return found


def _hash(person: dict[str, Any], fields: Sequence[str]) -> str:
    told = json.dumps([person[name] for name in fields], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _numbered(keys: Sequence[str]) -> I64:
    return np.unique(np.array(keys), return_inverse=True)[1].astype(np.int64)


def shuffled(people: PosePeople, *, seed: int = 0) -> PosePeople:
    """The same people, each with somebody's pose: what pairs without meaning teach."""
    order = stream(seed, "shuffled poses").permutation(len(people))
    return replace(people, pose=people.pose[order])


@dataclass(frozen=True, kw_only=True)
class Quads:
    """B rows, four after one another: somebody, the same pose in other looks, the first one's
    looks in another pose, that pose in other looks. `partner` (B,) is each one's place of the same
    pose."""

    rows: I64
    partner: I64


class PairSampler:
    """Draws batches of people so that each has its pose once more, and its clothes in another.

    ModelError when no pose is shown twice.
    """

    def __init__(self, people: PosePeople) -> None:
        self.people = people
        self.by_pose, self.by_look = _rows_by(people.pose), _rows_by(people.look)
        twice = np.array([len(self.by_pose[int(p)]) > 1 for p in people.pose])
        self.able = np.flatnonzero(twice)
        if len(np.unique(people.pose[self.able])) < 2:
            raise ModelError(
                "no two poses are shown twice",
                expected="variants appearance, light or view of two moments at least",
                got=f"{len(people)} people in {len(np.unique(people.pose))} poses",
                then="Generate with `variants` (docs/research/representations.md).",
            )

    def draw(self, rng: Generator, batch: int) -> Quads:
        rows: list[int] = []
        for _ in range(max(batch // 4, 2)):
            first = self._any(self.able, rng)
            other = self._other_pose(first, rng)
            rows += [first, self._partner(first, rng), other, self._partner(other, rng)]
        return Quads(rows=np.array(rows), partner=np.arange(len(rows)) ^ 1)

    def _partner(self, row: int, rng: Generator) -> int:
        """Somebody in the pose of `row`, in other looks where there are."""
        same = self.by_pose[int(self.people.pose[row])]
        dressed = same[self.people.look[same] != self.people.look[row]]
        return self._any(dressed if len(dressed) else same[same != row], rng)

    def _other_pose(self, row: int, rng: Generator) -> int:
        """Somebody in another pose, in the looks of `row` where there are."""
        people = self.people
        same = self.by_look[int(people.look[row])]
        for rows in (np.intersect1d(same, self.able), self.able):
            rows = rows[people.pose[rows] != people.pose[row]]
            if len(rows):
                break
        return self._any(rows, rng)

    @staticmethod
    def _any(rows: I64, rng: Generator) -> int:
        return int(rows[rng.integers(len(rows))])


def _rows_by(number: I64) -> dict[int, I64]:
    order = np.argsort(number, kind="stable")
    names, starts = np.unique(number[order], return_index=True)
    return dict(zip(names.tolist(), np.split(order, starts[1:]), strict=True))
