"""One shard: written aside with every byte on disk, then renamed; checked by its hashes.

shards/00000/  images/000000.jpg …  layers/NAME/000000.png …
               frames.parquet  instances.parquet  shard.json (counts, hash of every file)
"""

import hashlib
import io
import json
import os
import re
import secrets
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import pyarrow as pa

from synthstudio.core.errors import DatasetError
from synthstudio.core.labels import Frame
from synthstudio.core.places import Place
from synthstudio.core.spec import OBJECT_BASE
from synthstudio.dataset import durable, rows
from synthstudio.dataset.rows import write_parquet

SHARDS_DIR = "shards"
SHARD_NAME = "shard.json"
FRAMES_NAME = "frames.parquet"
SOURCES_NAME = "sources.parquet"
"""Original names of pictures, for imported frames only."""
SOURCES_SCHEMA = pa.schema(
    [
        pa.field("index", pa.int64(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("licence", pa.string(), nullable=False),
    ]
)
"""Beside the tables of a shard: original name and stated licence of each image."""
_SOURCE_IDS = (pa.field("id", pa.string()), pa.field("people", pa.string()))
"""As JSON: the image's id in the imported file, and those of its people by instance. Only in
shards where an id differs from ours."""


def sources_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    own = {
        "id": all(row["id"] in ("null", str(row["index"])) for row in rows),
        "people": all(
            name == row["index"] * OBJECT_BASE + int(instance)
            for row in rows
            for instance, name in json.loads(row["people"]).items()
        ),
    }
    schema = pa.schema([*SOURCES_SCHEMA, *(one for one in _SOURCE_IDS if not own[one.name])])
    return pa.Table.from_pylist([{n: row[n] for n in schema.names} for row in rows], schema)


INSTANCES_NAME = "instances.parquet"
_LAYER = re.compile(r"[a-z][a-z0-9_]{0,31}")
_COUNTS = ("shard", "first", "frames", "people")
_MAX_COUNT = 1 << 53
_FOLDER = re.compile(r"[0-9]{5,}")

OnEvent = Callable[[str], None]


def no_event(name: str) -> None: ...


@dataclass(frozen=True, kw_only=True)
class FailedFrame:
    """A frame that failed and was skipped. `error` is the kind, not the message:
    a message may hold a path, and this is stored in a hashed file.
    """

    index: int
    error: str


@dataclass(frozen=True, kw_only=True)
class ShardEntry:
    """One line of the shard table. `first` is a frame index; `sha256` is that of shard.json.

    `frames` counts the `failed` ones too.
    """

    shard: int
    first: int
    frames: int
    people: int
    failed: int
    sha256: str

    @property
    def path(self) -> str:
        return f"{SHARDS_DIR}/{shard_name(self.shard)}"


@dataclass(frozen=True, kw_only=True)
class StagedShard:
    """A complete shard on disk under a temporary name, not yet published."""

    entry: ShardEntry
    temporary: Path


def shard_name(shard: int) -> str:
    return f"{shard:05d}"


def image_name(index: int) -> str:
    return f"images/{index:06d}.jpg"


def new_temporary(dataset_dir: Path, shard: int) -> Path:
    """Return an unused name for an unfinished shard, beside its later place."""
    name = f"{durable.TEMPORARY}shard-{shard_name(shard)}-{secrets.token_hex(6)}"
    return dataset_dir / SHARDS_DIR / name


@contextmanager
def staging(dataset_dir: Path, shard: int) -> Iterator[Path]:
    """Yield an unused name for an unfinished shard; it is deleted if the body fails."""
    temporary = new_temporary(dataset_dir, shard)
    try:
        yield temporary
    except BaseException:
        with suppress(OSError):  # the original error matters more; the next run cleans up
            durable.remove(temporary)
        raise


class Stored(Protocol):
    """A frame as input of a shard. Of its spec only `index` is read; `layers`: PNG by name."""

    @property
    def spec(self) -> Any: ...

    @property
    def jpeg(self) -> bytes: ...

    @property
    def layers(self) -> dict[str, bytes]: ...


RowsOf = Callable[[Any, str], tuple[rows.Row, list[rows.Row]]]
"""Returns the rows of a frame and its people, given its image's name."""


def rendered_rows(frame: Frame, file_name: str) -> tuple[rows.Row, list[rows.Row]]:
    return rows.frame_row(frame, file_name), rows.instance_rows(frame)


def write_shard(
    dataset_dir: Path,
    shard: int,
    frames: Iterable[Stored | FailedFrame],
    *,
    rows_of: RowsOf = rendered_rows,
    on_event: OnEvent = no_event,
) -> StagedShard:
    """Write a shard under a temporary name, every file and folder synced; any process may.

    `frames` may be lazy: one frame's image is held at a time. `rows_of(frame, file_name)` gives the
    table rows. Only the holder of the lock publishes the result (`Session.publish`). Raises
    DiskError when writing fails and passes on what `frames` raises; both clean up. `on_event`
    receives "frame-written" and "shard-written".
    """
    with staging(dataset_dir, shard) as temporary:
        with durable.disk_errors(temporary):
            (temporary / "images").mkdir(parents=True)
        frame_rows: list[dict[str, Any]] = []
        instance_rows: list[dict[str, Any]] = []
        failed: list[FailedFrame] = []
        indices: list[int] = []
        for frame in frames:
            if isinstance(frame, FailedFrame):
                failed.append(frame)
                indices.append(frame.index)
                continue
            with durable.disk_errors(temporary):
                _write_pictures(temporary, frame)
            indices.append(frame.spec.index)
            row, people = rows_of(frame, image_name(frame.spec.index))
            frame_rows.append(row)
            instance_rows.extend(people)
            on_event("frame-written")
        if not indices or indices != list(range(indices[0], indices[0] + len(indices))):
            raise DatasetError(
                "the frames of a shard must follow one another",
                where=f"shard {shard}",
                expected="at least one frame, indices rising by one",
                got=str(indices)[:80],
            )
        with durable.disk_errors(temporary):
            write_parquet(temporary / FRAMES_NAME, rows.FRAME_SCHEMA, frame_rows)
            write_parquet(temporary / INSTANCES_NAME, rows.INSTANCE_SCHEMA, instance_rows)
            gone = list(map(asdict, failed))
            staged = seal(temporary, shard, indices[0], len(indices), len(instance_rows), gone)
    on_event("shard-written")
    return staged


def seal(
    temporary: Path, shard: int, first: int, frames: int, people: int, failed: Sequence[Any] = ()
) -> StagedShard:
    """Hash every file, write shard.json with the counts and sync all; OSError."""
    paths = {name: temporary / name for name in _walk(temporary)[0]}
    table = {
        name: {"bytes": path.stat().st_size, "sha256": durable.file_sha256(path)}
        for name, path in paths.items()
    }
    value: dict[str, Any] = {"shard": shard, "first": first, "frames": frames, "people": people}
    value |= {"failed": list(failed), "files": table}
    (temporary / SHARD_NAME).write_bytes(durable.canonical_json({**value, "check": _check(value)}))
    sync_shard(temporary)
    return StagedShard(entry=read_entry(temporary), temporary=temporary)


def sync_shard(folder: Path) -> None:
    files, folders = _walk(folder)
    for name in (*files, *folders):
        durable.sync(folder / name)
    durable.sync(folder)


def read_entry(folder: Path) -> ShardEntry:
    """Read a shard's table entry from its shard.json; DatasetError when damaged."""
    return _read(folder)[0]


def read_failed(folder: Path) -> tuple[FailedFrame, ...]:
    """Read the skipped frames from a shard.json; DatasetError when damaged."""
    return _read(folder)[1]


def _read(folder: Path) -> tuple[ShardEntry, tuple[FailedFrame, ...]]:
    path = folder / SHARD_NAME
    value = durable.read_json(path)
    try:
        failed = tuple(
            FailedFrame(index=int(f["index"]), error=str(f["error"])) for f in value["failed"]
        )
        counts = {name: int(value[name]) for name in _COUNTS}
        if min(counts.values()) < 0 or max(counts.values()) > _MAX_COUNT:
            raise ValueError(f"impossible counts: {counts}")
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DatasetError("not the table of a shard", where=str(path), got=repr(error)) from error
    return ShardEntry(**counts, failed=len(failed), sha256=durable.file_sha256(path)), failed


def verify_shard(folder: Path, *, sha256: str | None = None) -> list[str]:
    """Problems of a shard, a line each: files missing, extra or changed; `sha256`: by the index."""
    try:
        read_entry(folder)
        value = durable.read_json(folder / SHARD_NAME)
        table = value["files"]
        if value.pop("check") != _check(value):
            return [f"{SHARD_NAME}: its bytes have changed"]
        files, _ = _walk(folder)
        present = set(files) - {SHARD_NAME}
        problems = [f"{name}: missing" for name in sorted(set(table) - present)]
        problems += [f"{name}: not in {SHARD_NAME}" for name in sorted(present - set(table))]
        for name in sorted(present & set(table)):
            problems += _compare(folder / name, name, table[name])
        if sha256 is not None and durable.file_sha256(folder / SHARD_NAME) != sha256:
            problems.append(f"{SHARD_NAME}: its bytes have changed")
    except (DatasetError, OSError, KeyError, TypeError) as error:
        return [f"{SHARD_NAME}: {error}"]
    return problems


def is_shard_name(name: str) -> bool:
    return bool(_FOLDER.fullmatch(name)) and shard_name(int(name)) == name


def hashed_files(dataset_dir: Path) -> dict[str, str]:
    """Path -> sha256 of every file that (recipe, seed) decides: neither the log nor the lock."""
    found = [p for p in (dataset_dir / SHARDS_DIR).rglob("*") if not p.is_dir()]
    found += [p for p in dataset_dir.glob("*.json") if not p.name.startswith(durable.TEMPORARY)]
    return {p.relative_to(dataset_dir).as_posix(): durable.file_sha256(p) for p in sorted(found)}


def _write_pictures(temporary: Path, frame: Stored) -> None:
    index = frame.spec.index
    (temporary / image_name(index)).write_bytes(frame.jpeg)
    for layer, data in sorted(frame.layers.items()):
        if not _LAYER.fullmatch(layer):
            raise DatasetError(
                "not a layer's name", where=f"frame {index}", expected="a-z, 0-9, _", got=layer
            )
        path = temporary / "layers" / layer / f"{index:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _walk(folder: Path) -> tuple[list[str], list[str]]:
    """Files and folders below `folder`, sorted; anything else (links too) is a file."""
    files: list[str] = []
    folders: list[str] = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        (folders if path.is_dir() and not path.is_symlink() else files).append(name)
    return files, folders


def _check(value: dict[str, Any]) -> str:
    return hashlib.sha256(durable.canonical_json(value)).hexdigest()


def _compare(path: Path, name: str, facts: dict[str, Any]) -> list[str]:
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        return [f"{name}: not a plain file"]
    if found.st_size != facts["bytes"]:
        return [f"{name}: {found.st_size} bytes, expected {facts['bytes']}"]
    if durable.file_sha256(path) != facts["sha256"]:
        return [f"{name}: its bytes have changed"]
    return []


def parse_index(index: Mapping[str, Any], path: Place) -> dict[int, ShardEntry]:
    """The rows of an index.json by shard, in its order; DatasetError when one is damaged."""
    listed = index.get("shards")
    if not isinstance(listed, list):
        raise durable.damaged(path, "shards as a list", repr(listed))
    out: dict[int, ShardEntry] = {}
    for row in listed:
        try:
            counts = {name: int(row[name]) for name in (*_COUNTS, "failed")}
            entry, name = ShardEntry(**counts, sha256=str(row["sha256"])), str(row["path"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise durable.damaged(path, "a row for each shard", repr(error)) from error
        if name != entry.path:
            raise durable.damaged(path, f"path {entry.path}", name)
        out[entry.shard] = entry
    return out


# A shard as one file ------------------------------------------------------------------------------

SUFFIX = ".tar"
MAX_BYTES = 1 << 32
MAX_FILES = 1 << 20
MAX_NAME_BYTES = 255


def packed_name(shard: int) -> str:
    return f"{SHARDS_DIR}/{shard_name(shard)}{SUFFIX}"


def pack(folder: Path) -> bytes:
    """Return the files below a folder as a tar, by their names, without dates; OSError."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size = path.stat().st_size
            with path.open("rb") as file:
                tar.addfile(entry, file)
    return out.getvalue()


def unpack(data: bytes, folder: Path, *, where: str) -> None:
    """Extract a tar below a new folder; DatasetError unless it is as `pack` writes it.

    Nothing is written outside the folder. DiskError when it cannot be written. `where` names the
    tar in messages.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar, durable.disk_errors(folder):
            folder.mkdir(parents=True)
            files: set[PurePosixPath] = set()
            for entry in tar:
                name, path = PurePosixPath(entry.name), folder / entry.name
                below_a_file = not files.isdisjoint(name.parents)
                if not _is_plain(entry) or below_a_file or len(files) == MAX_FILES:
                    raise _damaged_tar(where, entry.name[:200])
                if os.path.lexists(path):
                    raise _damaged_tar(where, entry.name[:200])
                files.add(name)
                file = tar.extractfile(entry)
                assert file is not None  # set for every plain file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.read())
    except (tarfile.TarError, EOFError) as error:
        raise _damaged_tar(where, str(error)[:200]) from error


def unpack_shard(data: bytes, dataset_dir: Path, shard: int) -> StagedShard:
    """Unpack a shard for `Session.publish`; DatasetError for another one's tar, or without one."""
    temporary = new_temporary(dataset_dir, shard)
    unpack(data, temporary, where=f"shard {shard}")
    entry = read_entry(temporary)
    if entry.shard != shard:
        raise DatasetError(
            "this is another shard", where=SHARD_NAME, expected=str(shard), got=str(entry.shard)
        )
    with durable.disk_errors(temporary):
        sync_shard(temporary)
    return StagedShard(entry=entry, temporary=temporary)


def _is_plain(entry: tarfile.TarInfo) -> bool:
    """Whether an entry is a file inside the folder, in `pack`'s form."""
    path = PurePosixPath(entry.name)
    inside = not path.is_absolute() and ".." not in path.parts and path.as_posix() == entry.name
    named = "\0" not in entry.name and len(os.fsencode(entry.name)) <= MAX_NAME_BYTES
    whole = entry.isreg() and not entry.issparse() and entry.size <= MAX_BYTES
    return inside and named and whole


def _damaged_tar(where: str, got: str) -> DatasetError:
    return DatasetError(
        "this packed shard is damaged",
        where=where,
        expected="a tar of plain files, each once, inside its folder",
        got=got,
        then="Run its command again with --resume, or copy it again from where it was made.",
    )
