"""People of data sets too large to crop in advance: read shard by shard during training.

Before the first step the tables of all shards are read once: for the number of used people of each,
which is cached. So the order of an epoch follows from (seed, epoch),
and a resumed run continues at its step. People of a shard are numbered in its order,
counting used ones only: of the source's splits and variants, with a labelled joint in the picture.
"""

import functools
import hashlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from synthstudio.core.arrays import I64
from synthstudio.core.errors import ModelError
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.durable import disk_errors
from synthstudio.dataset.reader import Dataset
from synthstudio.training.config import Config
from synthstudio.training.data import crops, samples
from synthstudio.training.data.augment import BatchPart
from synthstudio.training.data.batches import CropSubset, prefetch
from synthstudio.training.devices import World

CropRow = dict[str, Any]
LABELLED = 20_000
"""Number of sampled people, of whole shards spread over all, whose labels represent all people for
the pose bank, the balance of causes and the initial report."""
_ENDLESS = 2**40


@dataclass(frozen=True, kw_only=True)
class Window:
    """The people of a window, in order: person k is number `number[k]` of the shard that is read
    `slot[k]`-th in the epoch. The window's first person is the epoch's `start`-th."""

    start: int
    slot: I64
    number: I64

    @property
    def stop(self) -> int:
        return self.start + len(self.slot)


class BlockOrder:
    """The order of an epoch: shards are shuffled, then people within windows of shards.

    Of S shards with `counts` (S,) people each; `window`: shards shuffled together. (Seed, epoch)
    decide it, independent of processes and the starting step. If all shards fit into
    one window it equals the order of people in memory.
    """

    def __init__(self, counts: I64, *, window: int, seed: int) -> None:
        self.counts, self.window, self.seed = counts, window, seed
        self.people = int(counts.sum())
        self.windows = -(-len(counts) // window)
        self.shards = functools.lru_cache(2)(self._shards)
        self.starts = functools.lru_cache(2)(self._starts)
        self.of_window = functools.lru_cache(4)(self._of_window)

    def _shards(self, epoch: int) -> I64:
        """The shards (S,) as they are read, rising within each window."""
        order = stream(self.seed, "shards", epoch).permutation(len(self.counts))
        parts = [order[self.slots(w).start : self.slots(w).stop] for w in range(self.windows)]
        return np.concatenate([np.sort(part) for part in parts])

    def slots(self, window: int) -> range:
        """The shards of a window of an epoch, in reading order."""
        first = window * self.window
        return range(first, min(first + self.window, len(self.counts)))

    def _starts(self, epoch: int) -> I64:
        """Where each window of an epoch starts, and where the last one ends (windows + 1,)."""
        sums = np.concatenate([[0], np.cumsum(self.counts[self.shards(epoch)])])
        edges = np.minimum(np.arange(self.windows + 1) * self.window, len(self.counts))
        return np.asarray(sums[edges], np.int64)

    def _of_window(self, epoch: int, window: int) -> Window:
        slots = self.slots(window)
        counts = self.counts[self.shards(epoch)[slots.start : slots.stop]]
        slot = np.repeat(np.arange(slots.start, slots.stop), counts)
        number = np.arange(len(slot)) - np.repeat(np.cumsum(counts) - counts, counts)
        keys = ("order", epoch) if window == 0 else ("order", epoch, window)
        order = stream(self.seed, *keys).permutation(len(slot))
        start = int(self.starts(epoch)[window])
        return Window(start=start, slot=slot[order], number=number[order])

    def windows_of(self, epoch: int, first: int, last: int) -> range:
        """The windows in which the `first`-th to the `last`-th person of an epoch are."""
        starts = self.starts(epoch)
        low, high = np.searchsorted(starts, [first, last], side="right") - 1
        return range(int(low), int(high) + 1)


@dataclass(frozen=True, kw_only=True)
class ShardRef:
    """A shard of the `source`-th source."""

    source: int
    shard: int

    def __str__(self) -> str:
        return f"shard {self.shard}"


class ShardReader:
    """Reads shards of a config's sources, whose data sets it opens once."""

    def __init__(self, config: Config, skeleton: Skeleton) -> None:
        self.sources, self.skeleton = config.train, skeleton
        self.size, self.joints_3d = config.network.size, config.joints_3d
        self._sets: dict[int, Dataset] = {}

    def used(self, ref: ShardRef) -> Iterator[tuple[crops.LabelledPerson, samples.Sample]]:
        """The usable people of a shard, in its order."""
        source = self.sources[ref.source]
        if ref.source not in self._sets:
            self._sets[ref.source] = Dataset(source.dataset, allow_unfinished=True)
        dataset = self._sets[ref.source]
        frames = (f for f in dataset.frames_of_shard(ref.shard) if source.takes(f))
        for sample in samples.frame_samples(dataset, frames, source.boxes):
            for person in crops.labelled_people(
                sample, self.skeleton, size=self.size, joints_3d=self.joints_3d
            ):
                yield person, sample

    def label(self, ref: ShardRef, *, rows: bool) -> tuple[int, int, list[CropRow]]:
        """The numbers of usable people of a shard, and of those without rotation centres but with
        3D joints; on request their labels (`rows`)."""
        people = [person for person, _ in self.used(ref)]
        lacking = sum(
            p.person["joints_camera_m"] is not None and not np.isfinite(p.row["xyz_m"]).any()
            for p in people
        )
        labels = [_in_source(person.row, ref) for person in people] if rows else []
        return len(people), lacking, labels

    def cut(self, ref: ShardRef, numbers: Sequence[int], *, people: int) -> dict[int, CropRow]:
        """The crops of some of the `people` of a shard by their numbers; ModelError if their number
        differs. Each picture is decoded once."""
        if not len(numbers):
            return {}
        used = list(self.used(ref))
        if len(used) != people:
            raise ModelError(
                "a shard changed since its people were counted",
                where=f"{self.sources[ref.source].dataset}, {ref}",
                expected=f"{people} people to learn from",
                got=str(len(used)),
                then="Check the data set with synthstudio validate.",
            )
        made: dict[int, CropRow] = {}
        decoded: tuple[samples.Sample | None, Any] = (None, None)
        for number in sorted(numbers):
            person, sample = used[number]
            if sample is not decoded[0]:
                decoded = (sample, sample.rgb())
            made[number] = _in_source(person.cut_out(decoded[1]), ref)
        return made


def _in_source(row: CropRow, ref: ShardRef) -> CropRow:
    group, *rest = row["moment"]
    return row | {"moment": ((ref.source, group), *rest)}


@dataclass(frozen=True, kw_only=True)
class StreamedPeople:
    """The people of streamed data sets, not cropped yet: `refs` of shards, `counts` (S,) of used
    people. `labels`: of some of them (LABELLED at most), without pictures. `key`: a hash of data
    and sizes."""

    reader: ShardReader
    refs: tuple[ShardRef, ...]
    counts: I64
    labels: CropSubset
    key: str
    notes: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return int(self.counts.sum())

    def first(self, count: int) -> CropSubset:
        """The first `count` people in the order of the data sets, cropped."""
        rows: list[CropRow] = []
        for ref, people in zip(self.refs, self.counts.tolist(), strict=True):
            numbers = range(min(people, count - len(rows)))
            rows += self.reader.cut(ref, numbers, people=people).values()
        return CropSubset.uniform(crops.crops_in_memory(rows))


class StreamReader:
    """The people of one process's batches, requested in rising order. As a window is consumed, the
    shards of the next are read: at most two are held. `close` ends the processes."""

    def __init__(
        self, people: StreamedPeople, config: Config, world: World, *, steps_per_epoch: int
    ) -> None:
        """`steps_per_epoch`: steps of `config` per epoch."""
        self.order = BlockOrder(people.counts, window=config.window, seed=config.seed)
        self.people, self.world, self.batch = people, world, config.batch
        self.workers = config.workers
        self.used = steps_per_epoch * config.batch * config.accumulate
        self._held: dict[int, dict[int, CropRow]] = {}
        self._next = 0
        self._made: Generator[dict[int, CropRow]] | None = None

    def part(self, epoch: int, start: int) -> tuple[CropSubset, BatchPart]:
        """This process's part of the batch that starts with the `start`-th person of an epoch."""
        places = np.arange(start, start + self.batch)[self.world.rank :: self.world.size]
        numbers = self.order.windows_of(epoch, start, start + self.batch - 1)
        windows = [self.order.of_window(epoch, number) for number in numbers]
        begin = epoch * len(self.people.refs)
        progress = (start + self.batch - windows[-1].start) / len(windows[-1].slot)
        ahead = int(progress * min(self.order.window, len(self.people.refs)))
        self._take(
            begin + self.order.slots(numbers[0]).start,
            begin + self.order.slots(numbers[-1]).stop + (ahead if len(numbers) == 1 else 0),
        )
        rows: list[CropRow] = []
        for window in windows:
            inside = places[(places >= window.start) & (places < window.stop)] - window.start
            rows += [
                self._held[begin + slot][number]
                for slot, number in zip(window.slot[inside], window.number[inside], strict=True)
            ]
        subset = CropSubset.uniform(crops.crops_in_memory(rows))
        own = subset.rows
        return subset, BatchPart(rows=own, places=places - start, count=self.batch, beside=own)

    def _take(self, first: int, stop: int) -> None:
        if self._made is None:
            self._next = first
            self._made = prefetch(
                self._cut,
                range(first, _ENDLESS),
                depth=self.workers,
                processes=self.workers if self.workers > 1 else 0,
            )
        self._held = {place: made for place, made in self._held.items() if place >= first}
        while self._next < stop:
            made = next(self._made)
            if self._next >= first:
                self._held[self._next] = made
            self._next += 1

    def _cut(self, place: int) -> dict[int, CropRow]:
        """The people of a shard in this process's batches."""
        epoch, slot = divmod(place, len(self.people.refs))
        window = self.order.of_window(epoch, slot // self.order.window)
        at = window.start + np.arange(len(window.slot))
        own = (at % self.world.size == self.world.rank) & (at < self.used) & (window.slot == slot)
        shard = int(self.order.shards(epoch)[slot])
        return self.people.reader.cut(
            self.people.refs[shard],
            window.number[own].tolist(),
            people=int(self.people.counts[shard]),
        )

    def close(self) -> None:
        if self._made is not None:
            self._made.close()


def open_stream(
    config: Config, *, cache: Path, progress: Callable[[int, int], None]
) -> StreamedPeople:
    """The streamed sets of a config, people counted (cached); ModelError, DatasetError."""
    sets = [Dataset(source.dataset, allow_unfinished=True) for source in config.train]
    skeletons = [get_skeleton(dataset.identity.skeleton) for dataset in sets]
    reader = ShardReader(config, skeletons[0])
    refs = tuple(
        ShardRef(source=k, shard=s) for k, dataset in enumerate(sets) for s in dataset.shard_digests
    )
    digest = hashlib.sha256(b"stream 2")
    for source, dataset in zip(config.train, sets, strict=True):
        digest.update(samples.dataset_digest(dataset).digest())
        digest.update(repr([source.splits, source.variants, source.boxes]).encode())
    digest.update(crops.sizes_key(reader.size, reader.joints_3d))

    def labels(which: Sequence[ShardRef], *, rows: bool) -> list[tuple[int, int, list[CropRow]]]:
        found = []
        for one in prefetch(
            lambda k: reader.label(which[k], rows=rows),
            range(len(which)),
            processes=min(config.workers, len(which)) if config.workers > 1 else 0,
        ):
            found.append(one)
            progress(len(found), len(which))
        return found

    def make(out: Path) -> dict[str, Any]:
        counted = labels(refs, rows=False)
        used = [ref for ref, (people, *_) in zip(refs, counted, strict=True) if people]
        if not used:
            sources = config.train
            wanted = [
                f"splits {s.splits or 'any'}, variants {s.variants or 'any'}" for s in sources
            ]
            raise ModelError(
                "no people are left",
                where=", ".join(source.dataset for source in sources),
                expected=f"people with a labelled joint, of {'; '.join(wanted)}",
                got="none",
            )
        every = max(1, -(-sum(people for people, *_ in counted) // LABELLED))
        rows = [row for *_, some in labels(used[::every], rows=True) for row in some]
        with disk_errors(out):
            np.save(out / "counts.npy", np.array([people for people, *_ in counted], np.int64))
            np.savez(out / "labels.npz", **crops.columns_of(rows))
        lacking = [0] * len(sets)
        for ref, (_, own, _) in zip(refs, counted, strict=True):
            lacking[ref.source] += own
        return {"lacking": lacking}

    key = digest.hexdigest()
    folder, metadata = samples.cached_crops(cache, key, make)
    columns = {f.name for f in fields(crops.Crops)} - {"images", "cover"}
    found = samples.read_cached(
        folder, "count of streamed people", ("counts",), columns | {"counts"}
    )
    counts = np.array(found.pop("counts"))
    people = int(counts.sum())
    if config.batch * config.accumulate > people:
        raise ModelError(
            "fewer people than one step needs",
            where="batch",
            expected=f"at most {people} people, with accumulate",
            got=str(config.batch * config.accumulate),
            then="Halve `batch`, or leave out `stream`.",
        )
    unread = np.empty((len(found["xy"]), 0, 0, 3), np.uint8)  # no pictures before they are read
    made = crops.Crops(images=unread, cover=unread, **found)
    notes = [
        (source.dataset, note)
        for source, dataset, own, lacking in zip(
            config.train, sets, skeletons, metadata["lacking"], strict=True
        )
        for note in (
            *samples.conversion_notes(own, skeletons[0]),
            *samples.unfinished_notes(dataset),
            *crops.centres_note(lacking, people),
        )
    ]
    return StreamedPeople(
        reader=reader,
        refs=refs,
        counts=counts,
        labels=CropSubset.uniform(made),
        key=key,
        notes=tuple(notes),
    )
