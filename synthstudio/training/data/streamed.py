"""People of data sets too large to cut out before: read shard by shard while a network learns.

Before the first step the tables of all shards are read once: they say how many people of each are
used, which is kept in the cache. So the place of everybody in an epoch follows from (seed, epoch),
and a run that goes on at a step reads on where it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.durable import disk_errors
from synthstudio.dataset.reader import Dataset
from synthstudio.generation.engines import local
from synthstudio.training.config import Config
from synthstudio.training.data.ahead import Ahead
from synthstudio.training.data.batches import CropSubset
from synthstudio.training.data.block_order import BlockOrder
from synthstudio.training.data.cache import cached_crops, dataset_digest, read_cached
from synthstudio.training.data.crops import (
    Crops,
    columns_of,
    conversion_notes,
    crops_in_memory,
    sizes_key,
)
from synthstudio.training.data.joints_3d import centres_note
from synthstudio.training.data.parts import BatchPart
from synthstudio.training.data.sets import open_set
from synthstudio.training.data.shard_people import (
    Crop,
    ShardJob,
    ShardLabels,
    ShardReader,
    ShardRef,
    StreamSettings,
    cut_shard,
    label_shard,
)
from synthstudio.training.devices import World

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
LABELLED = 20_000
"""The labels of about so many people, of whole shards spread over all, stand for everybody where
all are asked for: the pose bank, the balance of causes, what is said before the first step."""


@dataclass(frozen=True, kw_only=True)
class StreamedPeople:
    """The people of streamed data sets, of whom none is cut out yet.

    `refs`: the shards; `counts` (S,) how many people of each are used. `labels`: those of some of
    them (of all, where there are no more than LABELLED), without pictures. `key` is a hash of the
    data and the sizes.
    """

    settings: StreamSettings
    refs: tuple[ShardRef, ...]
    counts: I64
    labels: CropSubset
    key: str
    notes: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return int(self.counts.sum())

    def first(self, count: int) -> CropSubset:
        """The first `count` people in the order of the data sets, cut out."""
        reader = ShardReader(self.settings)
        rows: list[dict[str, Any]] = []
        for ref, people in zip(self.refs, self.counts.tolist(), strict=True):
            numbers = tuple(range(min(people, count - len(rows))))
            if numbers:
                job = ShardJob(ref=ref, people=people, numbers=numbers)
                made = cut_shard(reader, job, lambda done: None)
                rows += [made[number][0] for number in numbers]
        crops = crops_in_memory(rows)
        return CropSubset(crops=crops, rows=np.arange(len(rows)), weight=np.ones(len(rows)))


class StreamReader:
    """The people of one process's batches, cut out by worker processes ahead of their use.

    Windows must be asked for in rising order. `close` ends the processes.
    """

    def __init__(
        self, people: StreamedPeople, config: Config, world: World, *, steps_per_epoch: int
    ) -> None:
        """`steps_per_epoch`: so many steps of `config` are one epoch."""
        self.order = BlockOrder(people.counts, window=config.window, seed=config.seed)
        self.people, self.world, self.batch = people, world, config.batch
        self.used = steps_per_epoch * config.batch * config.accumulate
        self._ahead: Ahead[dict[int, Crop]] = Ahead(
            cut_shard,
            self._job,
            workers=config.workers,
            initializer=ShardReader,
            initargs=(people.settings,),
            where=", ".join(source.dataset for source in people.settings.sources),
        )

    def part(self, epoch: int, start: int) -> tuple[CropSubset, BatchPart]:
        """This process's part of the batch that begins with the `start`-th person of an epoch."""
        places = np.arange(start, start + self.batch)[self.world.rank :: self.world.size]
        windows = self.order.windows_of(epoch, start, start + self.batch - 1)
        slots = range(self.order.slots(windows[0]).start, self.order.slots(windows[-1]).stop)
        first = epoch * len(self.people.refs)
        shards = min(self.order.window, len(self.people.refs))
        beyond = self.order.slots(windows[0]).stop + shards - slots.stop
        wanted = range(first + slots.start, first + slots.stop)
        made = self._ahead.wait(wanted, ahead=max(beyond, 0))
        crops: list[Crop] = []
        for number in windows:
            window = self.order.of_window(epoch, number)
            inside = places[(places >= window.start) & (places < window.stop)] - window.start
            crops += [
                made[slot - slots.start][who]
                for slot, who in zip(window.slot[inside], window.number[inside], strict=True)
            ]
        rows = [row for row, _ in crops]
        partners = [partner for _, partner in crops if partner is not None]
        own = np.arange(len(rows))
        subset = CropSubset(
            crops=crops_in_memory([*rows, *partners]), rows=own, weight=np.ones(len(rows))
        )
        part = BatchPart(rows=own, places=places - start, count=self.batch, beside=own)
        return subset, part

    def _job(self, place: int) -> ShardJob:
        """Whom of a shard this process's batches need; `place` counts shards over all epochs."""
        epoch, slot = divmod(place, len(self.people.refs))
        window = self.order.of_window(epoch, slot // self.order.window)
        at = window.start + np.arange(len(window.slot))
        own = (at % self.world.size == self.world.rank) & (at < self.used) & (window.slot == slot)
        shard = int(self.order.shards(epoch)[slot])
        return ShardJob(
            ref=self.people.refs[shard],
            people=int(self.people.counts[shard]),
            numbers=tuple(np.sort(window.number[own]).tolist()),
        )

    @property
    def shards_held(self) -> int:
        """How many shards' people are in memory now."""
        return self._ahead.held

    def close(self) -> None:
        self._ahead.close()


def open_stream(
    config: Config, *, cache: Path, progress: Callable[[int, int], None]
) -> StreamedPeople:
    """Open the streamed data sets of a config and count their people, or read that from the cache.

    ModelError when nobody is left to learn from, or fewer people than a step takes; DatasetError
    for a damaged or unfinished set.
    """
    sets = [open_set(s.dataset, allow_unfinished=s.unfinished) for s in config.train]
    skeletons = [get_skeleton(dataset.identity.skeleton) for dataset in sets]
    settings = StreamSettings(
        sources=config.train,
        skeleton=skeletons[0],
        size=config.network.size,
        joints_3d=config.joints_3d,
        pairs=bool(config.losses.agreement),
    )
    refs = tuple(
        ShardRef(source=k, shard=s) for k, dataset in enumerate(sets) for s in dataset.shard_digests
    )
    key = _key(settings, sets)

    def make(out: Path) -> dict[str, Any]:
        found = _look(settings, refs, False, config.workers, progress)
        used = [ref for ref in refs if found[ref].people]
        if not used:
            raise _nobody(settings)
        every = max(1, -(-sum(found[ref].people for ref in used) // LABELLED))
        shown = _look(settings, used[::every], True, config.workers, progress)
        labelled = [row for ref in used[::every] for row in shown[ref].rows]
        with disk_errors(out):
            np.save(out / "counts.npy", np.array([found[ref].people for ref in refs], np.int64))
            np.savez(out / "labels.npz", **columns_of(labelled))
        lacking = [0] * len(sets)
        for ref in refs:
            lacking[ref.source] += found[ref].lacking
        return {"lacking": lacking}

    folder, metadata = cached_crops(cache, key, make)
    columns = {f.name for f in fields(Crops)} - {"images", "cover"}
    found = read_cached(folder, "count of streamed people", ("counts",), columns | {"counts"})
    counts = np.array(found.pop("counts"))
    _check_step(config, int(counts.sum()))
    unread = _Unread(len(found["xy"]))
    crops = Crops(images=unread, cover=unread, **found)
    notes = [
        (source.dataset, note)
        for source, own, lacking in zip(config.train, skeletons, metadata["lacking"], strict=True)
        for note in (
            *conversion_notes(own, settings.skeleton),
            *centres_note(lacking, int(counts.sum())),
        )
    ]
    everybody = np.arange(len(unread))
    return StreamedPeople(
        settings=settings,
        refs=refs,
        counts=counts,
        labels=CropSubset(crops=crops, rows=everybody, weight=np.ones(len(unread))),
        key=key,
        notes=tuple(notes),
    )


def _check_step(config: Config, people: int) -> None:
    if config.batch * config.accumulate > people:
        raise ModelError(
            "there are fewer people than one step takes",
            where="batch",
            expected=f"at most {people} people, with accumulate",
            got=str(config.batch * config.accumulate),
            then="Halve `batch`, or leave out `stream`.",
        )


def _key(settings: StreamSettings, sets: Sequence[Dataset]) -> str:
    digest = hashlib.sha256(b"stream 2")
    for source, dataset in zip(settings.sources, sets, strict=True):
        digest.update(dataset_digest(dataset).digest())
        digest.update(repr([source.splits, source.variants, source.boxes]).encode())
    digest.update(sizes_key(settings.size, settings.joints_3d))
    return digest.hexdigest()


def _look(
    settings: StreamSettings,
    refs: Sequence[ShardRef],
    labels: bool,
    workers: int,
    progress: Callable[[int, int], None],
) -> dict[ShardRef, ShardLabels]:
    """What each of some shards has, with or without the labels of its people."""
    found: dict[ShardRef, ShardLabels] = {}

    def done(result: tuple[ShardRef, ShardLabels]) -> None:
        found[result[0]] = result[1]
        progress(len(found), len(refs))

    local.run(
        label_shard,
        [(ref, labels) for ref in refs],
        workers=min(workers, len(refs)),
        initializer=ShardReader,
        initargs=(settings,),
        on_done=done,
    )
    return found


def _nobody(settings: StreamSettings) -> ModelError:
    chosen = [
        f"splits {s.splits or 'any'}, variants {s.variants or 'any'}" for s in settings.sources
    ]
    return ModelError(
        "no people are left to use",
        where=", ".join(source.dataset for source in settings.sources),
        expected=f"people with a labelled joint, of {'; '.join(chosen)}",
        got="none",
    )


@dataclass(frozen=True)
class _Unread:
    """Pictures of people of whom labels alone are known."""

    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> U8:
        raise AssertionError("streamed people have no pictures before they are read")
