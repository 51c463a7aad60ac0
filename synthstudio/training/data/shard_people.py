"""What a worker does with one shard: who can be learnt from, and the crops of some of them.

People of a shard are numbered in its order, those alone who are used: of the source's splits and
variants, with a labelled joint in the picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row
from synthstudio.generation.engines import local
from synthstudio.training.config import Joints3D, Source
from synthstudio.training.data.crops import (
    LabelledPerson,
    Sample,
    frame_samples,
    labelled_people,
)
from synthstudio.training.data.sets import open_set

CropRow = dict[str, Any]
Crop = tuple[CropRow, CropRow | None]
"""A person's row of crops.crop_people, and that of the same person without occluders."""


@dataclass(frozen=True, kw_only=True)
class StreamSettings:
    """What a worker needs to read shards. `pairs`: people are wanted without occluders, too."""

    sources: tuple[Source, ...]
    skeleton: Skeleton
    size: tuple[int, int]
    joints_3d: Joints3D
    pairs: bool


@dataclass(frozen=True, kw_only=True)
class ShardRef:
    """A shard of the `source`-th source."""

    source: int
    shard: int

    def __str__(self) -> str:
        return f"shard {self.shard}"


@dataclass(frozen=True, kw_only=True)
class ShardJob:
    """Cut out some of the `people` of a shard."""

    ref: ShardRef
    people: int
    numbers: tuple[int, ...]

    def __str__(self) -> str:
        return str(self.ref)


@dataclass(frozen=True, kw_only=True)
class ShardLabels:
    """How many people of a shard can be used; `lacking`: of how many rotation centres are unknown,
    though 3D joints are not. `rows`: their labels, where they are asked for."""

    people: int
    lacking: int
    rows: list[CropRow]


class ShardReader:
    """A worker's state: the data sets that it has opened."""

    def __init__(self, settings: StreamSettings) -> None:
        self.settings = settings
        self._sets: dict[int, Dataset] = {}

    def samples(self, ref: ShardRef) -> Iterator[Sample]:
        source = self.settings.sources[ref.source]
        if ref.source not in self._sets:
            self._sets[ref.source] = open_set(source.dataset, allow_unfinished=source.unfinished)
        dataset = self._sets[ref.source]
        return frame_samples(dataset, dataset.frames_of_shard(ref.shard), source.boxes)

    def uses(self, ref: ShardRef, frame: Row) -> bool:
        return self.settings.sources[ref.source].takes(frame)

    def people(self, sample: Sample) -> list[LabelledPerson]:
        settings = self.settings
        return labelled_people(
            sample, settings.skeleton, size=settings.size, joints_3d=settings.joints_3d
        )


def label_shard(reader: ShardReader, job: tuple[ShardRef, bool], report: local.Report) -> Any:
    """The ShardLabels of a shard, with its place; `job`: which, and whether labels are wanted."""
    ref, wanted = job
    used = (sample for sample in reader.samples(ref) if reader.uses(ref, sample.frame))
    people = [person for sample in used for person in reader.people(sample)]
    lacking = sum(
        person.person["joints_camera_m"] is not None and not np.isfinite(person.row["xyz_m"]).any()
        for person in people
    )
    rows = [_in_source(person.row, ref) for person in people] if wanted else []
    report(1)
    return ref, ShardLabels(people=len(people), lacking=lacking, rows=rows)


def cut_shard(reader: ShardReader, job: ShardJob, report: local.Report) -> dict[int, Crop]:
    """The crops of the people of a job by their numbers; each picture is decoded once."""
    used: list[tuple[LabelledPerson, Sample]] = []
    clean: dict[Any, tuple[LabelledPerson, Sample]] = {}
    for sample in reader.samples(job.ref):
        use = reader.uses(job.ref, sample.frame)
        is_clean = reader.settings.pairs and sample.frame["variant"] == "clean"
        for person in reader.people(sample) if use or is_clean else ():
            if use:
                used.append((person, sample))
            if is_clean:
                clean[person.row["moment"]] = (person, sample)
    if len(used) != job.people:
        raise ModelError(
            "a shard changed since its people were counted",
            where=f"{reader.settings.sources[job.ref.source].dataset}, {job.ref}",
            expected=f"{job.people} people to learn from",
            got=str(len(used)),
            then="Check the data set with synthstudio validate.",
        )
    wanted = {number: used[number] for number in job.numbers}
    partners = {n: clean.get(person.row["moment"]) for n, (person, _) in wanted.items()}
    made = _cut_out([*wanted.values(), *(p for p in partners.values() if p is not None)], job.ref)
    report(1)
    return {
        number: (made[_who(person)], None if partner is None else made[_who(partner[0])])
        for (number, (person, _)), partner in zip(wanted.items(), partners.values(), strict=True)
    }


def _cut_out(
    people: list[tuple[LabelledPerson, Sample]], ref: ShardRef
) -> dict[tuple[int, int], CropRow]:
    of_frame: dict[int, list[tuple[LabelledPerson, Sample]]] = {}
    for person, sample in people:
        of_frame.setdefault(int(sample.frame["index"]), []).append((person, sample))
    made: dict[tuple[int, int], CropRow] = {}
    for seen in of_frame.values():
        rgb = seen[0][1].rgb()
        for person, _ in seen:
            if _who(person) not in made:
                made[_who(person)] = _in_source(person.cut_out(rgb), ref)
    return made


def _who(person: LabelledPerson) -> tuple[int, int]:
    return int(person.row["frame"]), int(person.row["instance"])


def _in_source(row: CropRow, ref: ShardRef) -> CropRow:
    """The row, whose moment is no other source's."""
    group, *rest = row["moment"]
    return row | {"moment": ((ref.source, group), *rest)}
