"""Files that are wholly there or not at all, also after a power cut; errors that say why."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from synthstudio.core.errors import DatasetError, DiskError

TEMPORARY = ".tmp-"
"""Every unfinished file or folder has this prefix; the holder of the lock may delete it."""
MAX_JSON_BYTES = 256 * 1024 * 1024

_FREE = "Free some space, then run it again (generate: with --resume)."
_OTHER = "Choose another --out."
_WHY = {
    errno.ENOSPC: ("the disk is full", _FREE),
    errno.EDQUOT: ("the disk quota is used up", _FREE),
    errno.EROFS: ("the file system is read-only", _OTHER),
    errno.EACCES: ("no permission to write here", "Choose another --out or change its owner."),
    errno.ENOTDIR: ("a file is where a folder should be", _OTHER),
    errno.EISDIR: ("a folder is where a file should be", _OTHER),
    errno.EEXIST: ("something is there already", _OTHER),
    errno.EPERM: ("no permission to write here", "Choose another --out or change its owner."),
}


@contextmanager
def disk_errors(where: Path) -> Iterator[None]:
    """Turn an OSError of the body into a DiskError that names `where` and says what to do."""
    try:
        yield
    except OSError as error:
        what, then = _WHY.get(
            error.errno or 0,
            ("writing failed", "Check the disk, then run it again (a generate with --resume)."),
        )
        place = str(error.filename or where)
        raise DiskError(what, where=place, got=str(error), then=then) from error


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make the bytes of `path` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[str]]:
    """Yield a UTF-8 text file that becomes `path` when the body ends well; DiskError on failure.

    A reader sees the old bytes or the new ones.
    """
    with _atomic(path, "w", "utf-8") as file:
        yield file


def replace_file(path: Path, data: bytes) -> None:
    """Write `path` so that a reader sees the old bytes or the new ones; DiskError on failure."""
    with _atomic(path, "wb", None) as file:
        file.write(data)


@contextmanager
def _atomic(path: Path, mode: str, encoding: str | None) -> Iterator[IO[Any]]:
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}")
    with disk_errors(path):
        try:
            with temporary.open(mode, encoding=encoding) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_folder(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_file(path: Path, data: bytes) -> None:
    """Write a file that stands alone, making its folder; DiskError on failure."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, data)


def remove(path: Path) -> None:
    """Delete a file or a folder; one that another process deletes meanwhile is no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        if path.exists():  # a dying worker may have added a file: once more, loudly
            shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: Any) -> bytes:
    """Return the one way to write `value`: sorted keys, two blanks, a newline at the end."""
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; DatasetError when it is missing, too large or damaged."""
    try:
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise damaged(path, f"at most {MAX_JSON_BYTES} bytes", f"{size} bytes")
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, "a JSON object", str(error)) from error
    if not isinstance(value, dict):
        raise damaged(path, "a JSON object", type(value).__name__)
    return value


def damaged(path: Path, expected: str, got: str) -> DatasetError:
    """Return the error for a file of a data set that does not hold what it must."""
    return DatasetError(
        "this file of the data set is damaged",
        where=str(path),
        expected=expected,
        got=got[:200],
        then="Copy the data set again from where it was made, or make it anew.",
    )


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Yield a name beside `out` to make a folder under; it becomes `out` whole, or goes away.

    `out` is missing or an empty folder. DiskError when it cannot be put into place.
    """
    unfinished = out.with_name(f"{TEMPORARY}{out.name}-{secrets.token_hex(4)}")
    try:
        yield unfinished
        with disk_errors(out):
            if out.exists():
                out.rmdir()
            unfinished.rename(out)
            sync_folder(out.parent)
    except BaseException:
        if unfinished.exists():
            remove(unfinished)
        raise
