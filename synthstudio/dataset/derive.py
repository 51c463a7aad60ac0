"""Derived data sets: files and rows of other data sets, renumbered, with their origin.

dataset.json of a derived set has a field `derived`: operation and sources. Beside the
tables of each shard lies origin.parquet: for every frame its source and its index there.
"""

import dataclasses
import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synthstudio.core.arrays import I64, Bool
from synthstudio.core.errors import DatasetError
from synthstudio.core.places import Place
from synthstudio.core.progress import OnProgress, counter
from synthstudio.dataset import shards
from synthstudio.dataset.durable import damaged, disk_errors, file_sha256, read_json
from synthstudio.dataset.manifest import INDEX_NAME, Identity
from synthstudio.dataset.reader import Dataset, parquet_errors
from synthstudio.dataset.rows import Row, as_numpy, people_of_no_frame, spec_fields, write_table
from synthstudio.dataset.source import asset_root
from synthstudio.dataset.writer import Session, check_folder, is_unfinished, open_or_create

ORIGIN_NAME = "origin.parquet"
ORIGIN_SCHEMA = pa.schema(
    [
        pa.field("index", pa.int64(), nullable=False),
        pa.field("source", pa.int32(), nullable=False),
        pa.field("source_index", pa.int64(), nullable=False),
    ]
)
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES)


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Frames and people of one source for a derived set, already changed.

    Tables of FRAME_SCHEMA and INSTANCE_SCHEMA; `index` and `frame_index` are still those in the
    source, rising.
    """

    source: int
    frames: pa.Table
    people: pa.Table

    @property
    def owners(self) -> I64:
        """(people,) row of each person's frame in `frames`."""
        return np.searchsorted(as_numpy(self.frames["index"]), as_numpy(self.people["frame_index"]))


def aligned(
    dataset: Dataset,
    *,
    source: int = 0,
    frame_columns: Sequence[str] | None = None,
    person_columns: Sequence[str] | None = None,
) -> Iterator[Chunk]:
    """Yield a data set in order, a shard at a time, each with all of its people.

    `frame_columns` must have index, `person_columns` frame_index; None: all columns.
    DatasetError for people of no frame, and for rows that are not in the order of the frames.
    """
    tables = zip(
        dataset.iter_tables("frames", frame_columns),
        dataset.iter_tables("instances", person_columns),
        strict=True,
    )
    for frames, people in tables:
        owners, index = as_numpy(people["frame_index"]), as_numpy(frames["index"])
        if (np.diff(index) <= 0).any() or (np.diff(owners) < 0).any():
            raise people_of_no_frame("rows in another order")
        lost = owners[~np.isin(owners, index)]
        if len(lost):
            raise people_of_no_frame(f"{len(lost)} people, as of frame {int(lost[0])}")
        if len(frames):
            yield Chunk(source=source, frames=frames, people=people)


def chosen(chunk: Chunk, keep: Bool) -> Chunk:
    """Return only the frames where `keep` (frames,) is true, with their people."""
    people = chunk.people.filter(pa.array(keep[chunk.owners]))
    return dataclasses.replace(chunk, frames=chunk.frames.filter(pa.array(keep)), people=people)


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it if linking fails."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINK:
            error.filename, error.filename2 = str(target), None
            raise
        shutil.copyfile(source, target)


def lacks_people(derived: Mapping[str, Any]) -> bool:
    """Whether frames of a derived set may lack rows of people (`filter --keep-people`)."""
    sources = (source["identity"].get("derived", {}) for source in derived.get("sources", ()))
    return derived.get("keep") == "people" or any(map(lacks_people, sources))


def source_summary(source: Dataset) -> dict[str, Any]:
    """Return a source's entry in `derived`: its identity, without its location."""
    return {
        "index_sha256": file_sha256(source.folder / INDEX_NAME),
        "frames": source.frames,
        "people": source.people,
        "identity": dataclasses.asdict(source.identity),
        "mixed": source.mixed,
    }


def write_derived(
    out: Place,
    identity: Identity,
    sources: Sequence[Dataset],
    chunks: Iterator[Chunk],
    *,
    resume: bool | None = None,
    on_progress: OnProgress | None = None,
) -> Dataset:
    """Write the frames as data set `out`, numbered from 0; images are linked where possible.

    `chunks` hold `identity.frames` frames. One shard's rows are in memory at a time. An image
    that does not match its row's hash is a DatasetError. Safe to run again with `resume`; None
    continues an unfinished set.
    """
    if resume is None:
        check_folder(out)
        resume = is_unfinished(out)
    with open_or_create(out, identity, resume=resume, keep=False) as session:
        roots = (asset_root(source.log()) for source in sources)
        if root := next(filter(None, roots), None):
            session.log("assets", root=str(root))  # for audits
        todo = set(session.todo)
        portions = _portions(chunks, identity.frames_per_shard)
        report = counter(on_progress, identity.frames)
        for shard in range(identity.shards):
            portion = next(portions, [])
            if shard in todo:
                session.publish(_write_shard(session, shard, sources, portion))
            report(identity.frames_of(shard).stop)
        session.finish()
    return Dataset(out)


def origins(dataset: Dataset) -> Iterator[tuple[int, int, int]]:
    """Yield (index, source, index in that source) of a derived set's frames; empty for others."""
    for entry in dataset.entries:
        path = dataset.shard_folder(entry.shard) / ORIGIN_NAME
        if not path.is_file():
            continue
        with parquet_errors(path):
            table = pq.read_table(path.absolute())
        if not table.schema.equals(ORIGIN_SCHEMA):
            raise damaged(path, "the columns of an origin", ", ".join(table.schema.names))
        yield from zip(*(table[name].to_pylist() for name in ORIGIN_SCHEMA.names), strict=True)


def replaced(table: pa.Table, name: str, values: Any) -> pa.Table:
    place = table.schema.get_field_index(name)
    field = table.schema.field(place)
    return table.set_column(place, field, pa.array(values, field.type))


def respecify(
    frames: pa.Table, changes: Callable[[int, dict[str, Any]], dict[str, Any]]
) -> pa.Table:
    """Return frames whose stored specs have the fields that `changes(place, spec)` gives."""

    def changed(place: int, text: str) -> str:
        spec = spec_fields(text)
        value = {**spec, **changes(place, spec)}
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)

    stored = enumerate(frames["spec"].to_pylist())
    specs = [None if text is None else changed(place, text) for place, text in stored]
    return replaced(frames, "spec", specs)


def _portions(chunks: Iterator[Chunk], size: int) -> Iterator[list[Chunk]]:
    """Regroup chunks into portions of `size` frames; the last may be smaller."""
    portion: list[Chunk] = []
    room = size
    for chunk in chunks:
        while len(chunk.frames):
            part, chunk = _cut(chunk, room)
            portion.append(part)
            room -= len(part.frames)
            if room == 0:
                yield portion
                portion, room = [], size
    if portion:
        yield portion


def _cut(chunk: Chunk, frames: int) -> tuple[Chunk, Chunk]:
    count, held, people = int(np.searchsorted(chunk.owners, frames)), chunk.frames, chunk.people
    first = dataclasses.replace(chunk, frames=held.slice(0, frames), people=people.slice(0, count))
    rest = dataclasses.replace(chunk, frames=held.slice(frames), people=people.slice(count))
    return first, rest


def _write_shard(
    session: Session, shard: int, sources: Sequence[Dataset], portion: Sequence[Chunk]
) -> shards.StagedShard:
    numbers = session.identity.frames_of(shard)
    count = sum(len(chunk.frames) for chunk in portion)
    if count != len(numbers):
        raise DatasetError(
            "the sources changed while they were read",
            where=f"shard {shard}",
            expected=f"{len(numbers)} frames",
            got=str(count),
            then="Run it again.",
        )
    with shards.staging(session.folder, shard) as temporary:
        with disk_errors(temporary):
            (temporary / "images").mkdir(parents=True)
            tables, first = [], numbers.start
            named: list[Row] = []
            for chunk in portion:
                new = range(first, first + len(chunk.frames))
                first = new.stop
                columns = chunk.frames.select(["index", "file_name", "layers"]).to_pylist()
                for frame, index in zip(columns, new, strict=True):
                    _link_files(sources[chunk.source], frame, temporary, index)
                tables.append(_renumbered(chunk, new))
                named += _named_sources(sources[chunk.source], chunk, new)
            frames, people, origin = (
                pa.concat_tables(parts).combine_chunks() for parts in zip(*tables, strict=True)
            )
            write_table(temporary / shards.FRAMES_NAME, frames)
            write_table(temporary / shards.INSTANCES_NAME, people)
            write_table(temporary / ORIGIN_NAME, origin)
            if named:
                write_table(temporary / shards.SOURCES_NAME, shards.sources_table(named))
            staged = shards.seal(temporary, shard, numbers.start, len(frames), len(people))
        _check_images(temporary, frames)
    return staged


def _named_sources(source: Dataset, chunk: Chunk, new: range) -> list[Row]:
    """Original names and ids of a chunk's imported images and people, renumbered."""
    old = as_numpy(chunk.frames["index"])
    found: dict[int, Row] = {}
    for shard in np.unique(old // source.identity.frames_per_shard).tolist():
        found |= source.sources_of_shard(shard)
    pairs = zip(new, old.tolist(), strict=True)
    return [{**found[was], "index": index} for index, was in pairs if was in found]


def _renumbered(chunk: Chunk, new: range) -> tuple[pa.Table, pa.Table, pa.Table]:
    """A chunk's tables renumbered, stored specs too, and the origin of its frames."""
    old, numbers = as_numpy(chunk.frames["index"]), np.array(new, np.int64)
    people = replaced(chunk.people, "frame_index", numbers[chunk.owners])
    frames = replaced(chunk.frames, "index", numbers)
    frames = replaced(frames, "file_name", [shards.image_name(index) for index in new])
    frames = respecify(frames, lambda place, _: {"index": new[place]})
    columns = (numbers, np.full(len(old), chunk.source), old)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, ORIGIN_SCHEMA, strict=True)]
    return frames, people, pa.table(arrays, schema=ORIGIN_SCHEMA)


def _link_files(source: Dataset, frame: Row, temporary: Path, index: int) -> None:
    image = source.image_of(frame)
    if not image.is_file():
        raise damaged(image, "the frame's image", "no such file")
    link_or_copy(image, temporary / shards.image_name(index))
    for layer in frame["layers"]:
        path = source.layer_path(frame["index"], layer)
        link_or_copy(path, temporary / "layers" / layer / f"{index:06d}.png")


def _check_images(temporary: Path, frames: pa.Table) -> None:
    """Compare the images' hashes, computed when sealing, with the rows."""
    files = read_json(temporary / shards.SHARD_NAME)["files"]
    for frame in frames.select(["index", "file_name", "image_sha256"]).to_pylist():
        facts = files.get(frame["file_name"], {})
        if frame["image_sha256"] and facts.get("sha256") != frame["image_sha256"]:
            raise DatasetError(
                "an image of the source has changed",
                where=f"{shards.SHARDS_DIR}, frame {frame['index']} of the new set",
                expected=str(frame["image_sha256"]),
                got=str(facts.get("sha256")),
                then="Check the source with: synthstudio validate.",
            )
