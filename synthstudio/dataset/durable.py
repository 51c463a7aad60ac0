"""Atomic, durable writes of files and folders, with typed disk errors."""

import errno
import fcntl
import hashlib
import json
import math
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from synthstudio.core.errors import DatasetError
from synthstudio.core.places import TEMPORARY as TEMPORARY
from synthstudio.core.places import Place, free_folder, plain_file
from synthstudio.core.places import disk_errors as disk_errors

MAX_JSON_BYTES = 256 * 1024 * 1024
_MAX_NAME_BYTES = 200
_TOKEN = 8
LOCK_NAME = "run.lock"
_HELD = (errno.EWOULDBLOCK, errno.EACCES)
_PATIENCE_S = 0.4


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[str]]:
    """Yield a UTF-8 text file that becomes `path` when the body ends well; DiskError."""
    with whole_file(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:
        yield file


def replace_file(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write `path` as `whole_file` does; DiskError."""
    with whole_file(path, private=private) as unfinished:
        unfinished.write_bytes(data)


@contextmanager
def whole_file(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Yield an empty file to fill; it becomes `path` when the body ends well. DiskError.

    A reader sees the old bytes or the new ones. `private`: readable by its owner only (mode 600).
    """
    path = plain_file(path)
    make = partial(Path.touch, mode=0o600) if private else Path.touch
    with disk_errors(path), _started(path, path.parent, make) as unfinished:
        yield unfinished
        sync(unfinished)
        unfinished.replace(path)


@contextmanager
def scratch_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` while that is made; deleted at the end. DiskError."""
    with (
        disk_errors(path),
        _started(path.with_name(f"{path.name}.scratch"), path.parent, Path.mkdir) as folder,
    ):
        yield folder
        remove(folder)


def write_file(path: Path, data: bytes) -> None:
    """Write a single file, making its folder; DiskError on failure."""
    with new_parents(plain_file(path)):
        replace_file(path, data)


@contextmanager
def _started(path: Path, place: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    """Yield what `make` made in `place` under a temporary name for `path`; deleted on errors.

    It is locked while the body runs, which renames it at the end. Leftovers of killed writers of
    `path` are not locked, and are deleted first.
    """
    kept = os.fsencode(path.name)[:_MAX_NAME_BYTES].decode("utf-8", "ignore")
    for left in sorted(place.glob(f"{TEMPORARY}*")):
        if left.name[:-_TOKEN] == f"{TEMPORARY}{kept}-":
            with suppress(OSError), exclusive_lock(left):
                remove(left)
    with ExitStack() as held:
        while True:
            unfinished = place / f"{TEMPORARY}{kept}-{secrets.token_hex(_TOKEN // 2)}"
            make(unfinished)
            with suppress(FileNotFoundError, BlockingIOError):  # deleted by another process
                if held.enter_context(exclusive_lock(unfinished, needed=False)):
                    break
        try:
            yield unfinished
            sync(path.parent)
        except BaseException:
            if unfinished.exists():
                remove(unfinished)
            raise


@contextmanager
def exclusive_lock(path: Path, *, needed: bool = True) -> Iterator[bool]:
    """Lock a file or folder exclusively; return whether it still exists.

    BlockingIOError when it is in use. A disk that has no locks is an OSError only if one is
    `needed`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if needed or isinstance(error, BlockingIOError):
                raise
        yield is_same_file(path, descriptor)
    finally:
        os.close(descriptor)


def is_same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def new_parents(path: Path) -> Iterator[None]:
    """Make the folders above `path`; new empty ones are deleted if the body fails."""
    new = [p for p in path.parents if not p.exists()]
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for folder in new:
            with suppress(OSError):  # another process has put files there
                folder.rmdir()
        raise


def remove(path: Path) -> None:
    """Delete a file or folder; concurrent deletion is no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        if path.exists():  # a dying worker may have added a file: once more, loudly
            shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: Any) -> bytes:
    """Return canonical JSON of `value`: sorted keys, indent 2, a final newline."""
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")


def json_ready(value: Any) -> Any:
    """Plain values of dicts, lists, arrays and numbers, with None for NaN and infinity."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(k): json_ready(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path, where: Place | None = None) -> dict[str, Any]:
    """Read a JSON object; DatasetError, naming `where`, if it is missing, too large or damaged."""
    where = path if where is None else where
    try:
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise damaged(where, f"at most {MAX_JSON_BYTES} bytes", f"{size} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise damaged(where, "a JSON object", str(error)) from error
    return parse_json(data, where)


def parse_json(data: bytes, where: Place) -> dict[str, Any]:
    """Parse a JSON object of a data set; DatasetError if it is invalid or too large."""
    if len(data) > MAX_JSON_BYTES:
        raise damaged(where, f"at most {MAX_JSON_BYTES} bytes", f"{len(data)} bytes")
    try:
        value = json.loads(data, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        raise damaged(where, "a JSON object", str(error)) from error
    if not isinstance(value, dict):
        raise damaged(where, "a JSON object", type(value).__name__)
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def damaged(path: Place, expected: str, got: str) -> DatasetError:
    return DatasetError(
        "this file of the data set is damaged",
        where=str(path),
        expected=expected,
        got=got[:200],
        then="Run its command again with --resume, or copy it again from where it was made.",
    )


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it becomes `out` atomically, or is deleted. DiskError.

    `out` is missing or empty, links followed. An empty folder that cannot be replaced, the
    current one or a mount point, receives the files at the end instead.
    """
    target = free_folder(out)
    with new_parents(target), disk_errors(out):
        inside = target.is_dir() and (
            target.samefile(Path.cwd()) or os.path.ismount(target) or any(target.iterdir())
        )
        with _started(target, target if inside else target.parent, Path.mkdir) as unfinished:
            yield unfinished
            if inside:
                for path in sorted(unfinished.iterdir()):
                    path.rename(target / path.name)
                unfinished.rmdir()
                sync(target)
            else:
                unfinished.rename(target)  # over an empty folder too, in one step


@contextmanager
def hold_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a data set folder; DatasetError naming the process that has it.

    Children do not inherit the lock: after its parent dies a run can be resumed at once.
    The file stays; a refused run may delete it with its folder while another waits.
    """
    path = folder / LOCK_NAME
    with disk_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        _take(descriptor, path)
        with disk_errors(path):
            if not is_same_file(path, descriptor):
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))  # deleted by a refused run
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path) -> None:
    """Take the lock; a killed process may release it with a delay."""
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _HELD:
                raise DatasetError(
                    "this file system cannot lock files",
                    where=str(path),
                    got=str(error),
                    then="Write to a local disk and copy the data set afterwards.",
                ) from error
            if time.monotonic() > end:
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
                raise DatasetError(
                    "another run is writing to this folder",
                    where=str(path.parent),
                    got=f"process {holder or 'unknown'}",
                    then="Wait for it or stop it, or choose another --out.",
                ) from None
        time.sleep(0.02)
