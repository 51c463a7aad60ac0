"""A shard as one file: a plain tar of what its folder holds. Equal shards, equal bytes.

So a shard travels between machines and lies in an object store, where it appears whole or not.
"""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path, PurePosixPath

from synthstudio.core.errors import DatasetError
from synthstudio.dataset.durable import disk_errors
from synthstudio.dataset.shards import (
    SHARD_NAME,
    SHARDS_DIR,
    StagedShard,
    new_temporary,
    read_entry,
    shard_name,
    sync_shard,
)

SUFFIX = ".tar"
MAX_BYTES = 1 << 32
MAX_FILES = 1 << 20
MAX_NAME_BYTES = 255


def packed_name(shard: int) -> str:
    """The name of a shard's object below its data set's URL."""
    return f"{SHARDS_DIR}/{shard_name(shard)}{SUFFIX}"


def pack(folder: Path) -> bytes:
    """Return the files below a folder as a tar, in the order of their names, without dates.

    OSError when one cannot be read.
    """
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size = path.stat().st_size
            with path.open("rb") as file:
                tar.addfile(entry, file)
    return out.getvalue()


def unpack(data: bytes, folder: Path, *, where: str) -> None:
    """Write what a tar holds below a new folder; DatasetError for what `pack` would not make.

    Nothing is written outside the folder. DiskError when it cannot be written. `where` names the
    tar in messages.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar, disk_errors(folder):
            folder.mkdir(parents=True)
            files: set[PurePosixPath] = set()
            for entry in tar:
                name, path = PurePosixPath(entry.name), folder / entry.name
                below_a_file = not files.isdisjoint(name.parents)
                if not _is_plain(entry) or below_a_file or len(files) == MAX_FILES:
                    raise _damaged(where, entry.name[:200])
                if os.path.lexists(path):
                    raise _damaged(where, entry.name[:200])
                files.add(name)
                file = tar.extractfile(entry)
                assert file is not None  # as of every plain file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file.read())
    except (tarfile.TarError, EOFError) as error:
        raise _damaged(where, str(error)[:200]) from error


def unpack_shard(data: bytes, dataset_dir: Path, shard: int) -> StagedShard:
    """Write a packed shard under a temporary name beside its place, for `Session.publish`.

    DatasetError for another shard's tar, or one without a shard.
    """
    temporary = new_temporary(dataset_dir, shard)
    unpack(data, temporary, where=f"shard {shard}")
    entry = read_entry(temporary)
    if entry.shard != shard:
        raise DatasetError(
            "this is another shard", where=SHARD_NAME, expected=str(shard), got=str(entry.shard)
        )
    with disk_errors(temporary):
        sync_shard(temporary)
    return StagedShard(entry=entry, temporary=temporary)


def _is_plain(entry: tarfile.TarInfo) -> bool:
    """Whether an entry is a file at a place inside, written as `pack` writes it."""
    path = PurePosixPath(entry.name)
    inside = not path.is_absolute() and ".." not in path.parts and path.as_posix() == entry.name
    named = "\0" not in entry.name and len(os.fsencode(entry.name)) <= MAX_NAME_BYTES
    whole = entry.isreg() and not entry.issparse() and entry.size <= MAX_BYTES
    return inside and named and whole


def _damaged(where: str, got: str) -> DatasetError:
    return DatasetError(
        "this packed shard is damaged",
        where=where,
        expected="a tar of plain files, each once, inside its folder",
        got=got,
        then="Copy it again from where it was made, or make it anew.",
    )
