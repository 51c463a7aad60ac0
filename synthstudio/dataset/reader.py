"""Reader of a data set: lazy, shard by shard; stored names are not trusted.

Shards at a URL are fetched on access (source.py).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synthstudio.core.arrays import I64, U8
from synthstudio.core.errors import DatasetError, RecipeError
from synthstudio.core.images import decode_rgb
from synthstudio.core.last_used import LastUsed
from synthstudio.core.people import People
from synthstudio.core.places import Place
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.core.spec import FrameSpec, from_json
from synthstudio.dataset.durable import damaged, read_json
from synthstudio.dataset.manifest import INDEX_NAME, MIXED_NAME, Identity, read_identity
from synthstudio.dataset.rows import (
    FRAME_SCHEMA,
    INSTANCE_SCHEMA,
    READ_ERRORS,
    Row,
    as_numpy,
    check_rows,
    check_text,
    people_from_table,
)
from synthstudio.dataset.shards import (
    FRAMES_NAME,
    INSTANCES_NAME,
    SHARD_NAME,
    SOURCES_NAME,
    FailedFrame,
    ShardEntry,
    parse_index,
    read_entry,
    read_failed,
    verify_shard,
)
from synthstudio.dataset.source import open_source
from synthstudio.dataset.writer import Part

Kind = Literal["frames", "instances"]
_FILES: dict[Kind, str] = {"frames": FRAMES_NAME, "instances": INSTANCES_NAME}
_SCHEMAS: dict[Kind, pa.Schema] = {"frames": FRAME_SCHEMA, "instances": INSTANCE_SCHEMA}
_KEYS: dict[Kind, str] = {"frames": "index", "instances": "frame_index"}
_IMAGE = re.compile(r"images/[0-9]{6,}\.(?:jpg|png|webp|bmp)")  # rendered ones are jpg
BATCH_ROWS = 256
KEPT_SHARDS = 4


class Dataset:
    """A data set in a folder or at a URL. Only its small tables are held in memory.

    `place` is the folder or URL; `folder` has dataset.json and index.json locally, and
    `shard_folder` a shard. `allow_unfinished`: also open one without index.json, with the shards
    that exist. `check`: check rows against their schema on reading.
    """

    def __init__(
        self,
        place: Place | str,
        *,
        allow_unfinished: bool = False,
        check: bool = True,
        only: I64 | None = None,
    ) -> None:
        """Open the data set; DatasetError when there is none, it is unfinished or damaged."""
        self.only = only
        """Frame indices, rising, of a part of a data set (`of_frames`); None: the whole."""
        self._source = open_source(place)
        self.place, self.folder = self._source.place, self._source.folder
        self._check = check
        self.identity: Identity = read_identity(self.folder)
        self.finished = (self.folder / INDEX_NAME).is_file()
        self._kept: LastUsed[int, tuple[pa.Table, pa.Table]] = LastUsed(KEPT_SHARDS)
        self._entries: dict[int, ShardEntry] = {}
        self._table: tuple[int, dict[str, dict[str, Any]]] | None = None
        if not self.finished and not allow_unfinished:
            raise DatasetError(
                "this data set is unfinished",
                where=str(self.place),
                expected=f"a file {INDEX_NAME}",
                then="Finish it by running generate again with --resume.",
            )

    def of_frames(self, frames: I64) -> Dataset:
        """Return a view of some stored frames, by rising indices."""
        return Dataset(
            self.place, allow_unfinished=not self.finished, check=self._check, only=frames
        )

    @cached_property
    def _index(self) -> dict[str, Any]:
        if not self.finished:
            return {}
        return read_json(self.folder / INDEX_NAME, self.place / INDEX_NAME)

    @property
    def part(self) -> Part | None:
        """Return (k, n) when this is the k-th of n parts of a run."""
        value = self._index.get("part")
        if value is None:
            return None
        if not (isinstance(value, list) and len(value) == 2 and all(type(v) is int for v in value)):
            raise damaged(self.place / INDEX_NAME, "part as [k, n]", repr(value))
        return (value[0], value[1])

    @property
    def mixed(self) -> list[dict[str, Any]]:
        """Return the notes of shards made under another identity; empty for most data sets."""
        path = self.folder / MIXED_NAME
        return list(read_json(path)["mixed"]) if path.is_file() else []

    @cached_property
    def entries(self) -> tuple[ShardEntry, ...]:
        """Return the shard table; DatasetError when index.json and the shards do not agree."""
        return tuple(self._entry_of_shard(shard) for shard in self._listed)

    @cached_property
    def _listed(self) -> dict[int, ShardEntry]:
        """The rows of index.json by shard, in its order; of an unfinished set, of its shards."""
        if not self.finished:
            found = map(read_entry, self._source.shards())
            self._entries.update({entry.shard: entry for entry in found})
            return dict(self._entries)
        return parse_index(self._index, self.place / INDEX_NAME)

    @property
    def shard_digests(self) -> dict[int, str]:
        """The SHA-256 of each shard's shard.json, which holds that of each of its files.

        Of a view: with the selected frames, for partly selected shards.
        """
        whole = {shard: entry.sha256 for shard, entry in self._listed.items()}
        if self.only is None:
            return whole
        shards = self.only // self.identity.frames_per_shard
        return {
            shard: hashlib.sha256(
                f"{digest} {self.only[shards == shard].tolist()}".encode()
            ).hexdigest()
            for shard, digest in whole.items()
            if (shards == shard).any()
        }

    def shard_folder(self, shard: int) -> Path:
        """A shard's folder; from a URL it is kept until KEPT_SHARDS others were read."""
        return self._source.shard(shard, self._listed[shard].sha256)

    def log(self) -> str:
        """Return the lines of run.log; "" without one."""
        return self._source.log()

    def __len__(self) -> int:
        return self.frames

    @property
    def frames(self) -> int:
        """Return the number of stored frames (without failed ones)."""
        if self.only is not None:
            return len(self.only)
        return sum(row.frames - row.failed for row in self._listed.values())

    @cached_property
    def people(self) -> int:
        if self.only is not None:
            return sum(b.num_rows for b in self.iter_batches("instances", ["frame_index"]))
        return sum(row.people for row in self._listed.values())

    @property
    def labelled(self) -> bool:
        return any(row.people for row in self._listed.values())

    @property
    def failed(self) -> tuple[FailedFrame, ...]:
        """Return the skipped (failed) frames; empty for a view."""
        if self.only is not None:
            return ()
        return tuple(failed for entry in self.entries for failed in self._failed_of(entry))

    def _failed_of(self, entry: ShardEntry) -> tuple[FailedFrame, ...]:
        return read_failed(self.shard_folder(entry.shard)) if entry.failed else ()

    def iter_tables(self, kind: Kind, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows of each shard as a table, in the order of frames."""
        if self.only is None:
            for shard in self._listed:
                yield self._table_of(self._entry_of_shard(shard), kind, columns)
            return
        names = None if columns is None else [_KEYS[kind], *columns]
        for shard in np.unique(self.only // self.identity.frames_per_shard).tolist():
            table = self._table_of(self._entry_of_shard(shard), kind, names)
            kept = table.filter(pa.array(np.isin(as_numpy(table[_KEYS[kind]]), self.only)))
            yield kept if columns is None else kept.select(list(columns))

    def iter_batches(
        self, kind: Kind, columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield record batches in the order of frames, at most BATCH_ROWS rows each."""
        for table in self.iter_tables(kind, columns):
            yield from table.to_batches(BATCH_ROWS)

    def iter_frames(self, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """Yield the rows of frames.parquet in order; one shard is in memory at a time."""
        for batch in self.iter_batches("frames", columns):
            yield from batch.to_pylist()

    def iter_instances(self, columns: Sequence[str] | None = None) -> Iterator[Row]:
        for batch in self.iter_batches("instances", columns):
            yield from batch.to_pylist()

    def frame(self, index: int) -> Row:
        """Return a frame's row; DatasetError when the set does not hold that frame."""
        frames, _ = self._tables(self._entry(index))
        found: list[Row] = _rows_of(frames, "index", index).to_pylist()
        if found:
            return found[0]
        failed = [f.error for f in self._failed_of(self._entry(index)) if f.index == index]
        raise DatasetError(
            "this frame was skipped when the data set was made",
            where=f"{self.place}, frame {index}",
            got=failed[0] if failed else "no row",
        )

    def frames_of_shard(self, shard: int) -> list[Row]:
        """Frame rows of one of `shard_digests`, in order; DatasetError when it is damaged."""
        frames, _ = self._tables(self._entry_of_shard(shard))
        if self.only is not None:
            frames = frames.filter(pa.array(np.isin(as_numpy(frames["index"]), self.only)))
        return frames.to_pylist()

    def instances(self, index: int) -> list[Row]:
        """Return the rows of the people in a frame; DatasetError when it is not held."""
        return self._people_table(index).to_pylist()

    def people_of(self, index: int) -> People:
        """Return the people of a frame as columns; DatasetError when it is not held."""
        return people_from_table(self._people_table(index), self.skeleton)

    @cached_property
    def skeleton(self) -> Skeleton:
        try:
            return get_skeleton(self.identity.skeleton)
        except RecipeError as error:
            raise DatasetError(str(error), where=str(self.place)) from error

    def index_at(self, position: int) -> int:
        """Return the index of the frame at a position from 0 to len - 1; IndexError beyond."""
        ends = self._ends
        if self.only is not None and 0 <= position < len(self.only):
            return int(self.only[position])
        if not 0 <= position < (ends[-1] if len(ends) else 0):
            raise IndexError(f"frame {position} of a data set of {self.frames} frames")
        place = int(np.searchsorted(ends, position, side="right"))
        frames, _ = self._tables(self._entry_of_shard(tuple(self._listed)[place]))
        return int(as_numpy(frames["index"])[position - int(ends[place - 1] if place else 0)])

    @cached_property
    def _ends(self) -> I64:
        return np.cumsum([r.frames - r.failed for r in self._listed.values()], dtype=np.int64)

    def spec(self, index: int) -> FrameSpec:
        """Return the FrameSpec that made a frame; DatasetError when it is damaged."""
        row = self.frame(index)
        try:
            return from_json(row["spec"])
        except RecipeError as error:
            raise DatasetError(str(error), where=f"{self.place}, frame {index}") from error

    def image_path(self, index: int) -> Path:
        return self.image_of(self.frame(index))

    def image_of(self, row: Row) -> Path:
        """Return the path of the image that a frame's row names; DatasetError for any other."""
        entry, name = self._entry(row["index"]), row["file_name"]
        path, where = self.shard_folder(entry.shard) / str(name), self.place / entry.path
        if not isinstance(name, str) or not _IMAGE.fullmatch(name):
            raise damaged(where / FRAMES_NAME, "file_name as images/000000.jpg", repr(name))
        if not path.resolve().is_relative_to(self._source.root.resolve()):
            raise damaged(where / name, "a file inside the data set", str(path.resolve()))
        return path

    def rgb_of(self, row: Row) -> U8:
        """The decoded picture (H, W, 3) of a frame's row; DatasetError, or the decoder's errors."""
        return decode_rgb(self.image_bytes_of(row), str(self.image_of(row)))

    def image_bytes(self, index: int) -> bytes:
        """Return a frame's JPEG; DatasetError when it is missing or changed."""
        return self.image_bytes_of(self.frame(index))

    def image_bytes_of(self, row: Row) -> bytes:
        """Return the JPEG of a frame's row, checked against the hash in its shard.json."""
        path = self.image_of(row)
        entry, name = self._entry(row["index"]), row["file_name"]
        facts, where = self._files(entry).get(name), self.place / entry.path / name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise damaged(where, "the frame's image", str(error.strerror)) from error
        if not facts or hashlib.sha256(data).hexdigest() != facts.get("sha256"):
            raise damaged(where, "the bytes that shard.json names", "other bytes")
        return data

    def _files(self, entry: ShardEntry) -> dict[str, dict[str, Any]]:
        table = self._table
        if table is None or table[0] != entry.shard:
            where = self.place / entry.path / SHARD_NAME
            files = read_json(self.shard_folder(entry.shard) / SHARD_NAME, where).get("files")
            if not isinstance(files, dict):
                raise damaged(where, "files as an object", repr(files))
            self._table = table = (entry.shard, files)
        return table[1]

    def layer_path(self, index: int, layer: str) -> Path:
        """Return the path of a frame's layer; DatasetError when it was not stored."""
        shard = self.shard_folder(self._entry(index).shard)
        path = shard / "layers" / layer / f"{index:06d}.png"
        inside = path.resolve().is_relative_to((shard / "layers").resolve())
        if not inside or not path.is_file():
            raise DatasetError(
                "this layer is not stored",
                where=f"{self.place}, frame {index}",
                got=layer,
                then="Add it to the recipe's layers.",
            )
        return path

    def sources_of_shard(self, shard: int) -> dict[int, Row]:
        """Frame -> original name of its image, its licence, its id and those of its people as JSON;
        {} for generated frames."""
        path = self.shard_folder(shard).absolute() / SOURCES_NAME
        with parquet_errors(path):
            rows = pq.read_table(path).to_pylist() if path.is_file() else []
        return {
            row["index"]: {"people": "{}", "id": str(row["index"]), **row}
            for row in rows
            if self.only is None or row["index"] in self.only
        }

    def source_ids(self) -> dict[int, Any]:
        """Frame -> image id in the imported file; {} if they are equal."""
        found = (self.sources_of_shard(shard) for shard in self.shard_digests)
        out = {index: json.loads(row["id"]) for part in found for index, row in part.items()}
        return out if any(index != name for index, name in out.items()) else {}

    def person_ids(self) -> dict[tuple[int, int], Any]:
        """(frame, instance) -> annotation id in the imported file, where it differs from ours."""
        return {
            (index, int(instance)): name
            for shard in self.shard_digests
            for index, row in self.sources_of_shard(shard).items()
            for instance, name in json.loads(row["people"]).items()
        }

    def verify(self) -> Iterator[str]:
        """Verify all hashes; yield one line per problem."""
        for shard in self._listed:
            try:
                entry = self._entry_of_shard(shard)
                problems = verify_shard(self.shard_folder(shard), sha256=entry.sha256)
                yield from (f"{entry.path}/{problem}" for problem in problems)
            except DatasetError as error:  # without a folder, at a URL
                yield str(error)

    def _entry(self, index: int) -> ShardEntry:
        if self.only is not None and index not in self.only:
            raise DatasetError(
                "the frame is not in this part of the data set",
                where=str(self.place),
                got=str(index),
            )
        shard = index // self.identity.frames_per_shard
        entry = self._entry_of_shard(shard) if shard in self._listed else None
        if entry is None or not entry.first <= index < entry.first + entry.frames:
            raise DatasetError(
                "the frame is not in the data set",
                where=str(self.place),
                expected=f"0 to {self.identity.frames - 1}",
                got=str(index),
            )
        return entry

    def _entry_of_shard(self, shard: int) -> ShardEntry:
        if shard not in self._entries:
            listed, entry = self._listed[shard], read_entry(self.shard_folder(shard))
            if entry != listed:
                raise damaged(self.place / entry.path / SHARD_NAME, str(listed), str(entry))
            self._entries[shard] = entry
        return self._entries[shard]

    def _people_table(self, index: int) -> pa.Table:
        return _rows_of(self._tables(self._entry(index))[1], "frame_index", index)

    def _tables(self, entry: ShardEntry) -> tuple[pa.Table, pa.Table]:
        def read() -> tuple[pa.Table, pa.Table]:
            return self._table_of(entry, "frames"), self._table_of(entry, "instances")

        return self._kept.get_or(entry.shard, read)

    def _table_of(
        self, entry: ShardEntry, kind: Kind, columns: Sequence[str] | None = None
    ) -> pa.Table:
        schema, where = _SCHEMAS[kind], self.place / entry.path / _FILES[kind]
        names = schema.names if columns is None else list(dict.fromkeys(columns))
        path = self.shard_folder(entry.shard).absolute() / _FILES[kind]
        with parquet_errors(where), pq.ParquetFile(path, memory_map=True) as file:
            if not file.schema_arrow.equals(schema):
                raise damaged(where, "this version's columns", ", ".join(file.schema_arrow.names))
            count = entry.people if kind == "instances" else entry.frames - entry.failed
            if self._check and (got := file.metadata.num_rows) != count:
                raise damaged(where, f"{count} rows, as in shard.json", str(got))
            if unknown := sorted(set(names) - set(schema.names)):
                raise DatasetError(
                    f"no such column of {kind}",
                    where=str(where),
                    expected=f"some of {', '.join(schema.names)}",
                    got=", ".join(unknown),
                )
            table = file.read(names, use_threads=False).select(names).combine_chunks()
            if self._check:
                frames = range(entry.first, entry.first + entry.frames)
                check_rows(table, len(self.skeleton.joints), frames, where)
            else:
                check_text(table, where)
            return table

    def __reduce__(self) -> tuple[Any, ...]:
        unfinished = not self.finished
        made = partial(Dataset, allow_unfinished=unfinished, check=self._check, only=self.only)
        return made, (self.place,)


def opened(place: Place | Dataset) -> Dataset:
    """The data set at a place, or the already open one, which may be a view."""
    return place if isinstance(place, Dataset) else Dataset(place)


def _rows_of(table: pa.Table, column: str, value: int) -> pa.Table:
    """The rows of a table sorted by `column` that hold a value."""
    start, stop = np.searchsorted(as_numpy(table.column(column)), [value, value + 1]).tolist()
    return table.slice(start, stop - start)


@contextmanager
def parquet_errors(path: Place) -> Iterator[None]:
    """Turn errors of reading a damaged file into DatasetError."""
    try:
        yield
    except READ_ERRORS as error:
        raise damaged(path, "a Parquet file", str(error)) from error
