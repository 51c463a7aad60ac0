"""One run at a time: `run.lock` is held by flock, so the kernel frees it however a run ends."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synthstudio.core.errors import DatasetError
from synthstudio.dataset.durable import disk_errors

LOCK_NAME = "run.lock"
_HELD = (errno.EWOULDBLOCK, errno.EACCES)
_PATIENCE_S = 0.4


@contextmanager
def hold_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a data set folder; DatasetError naming the process that has it.

    Children do not inherit the lock: a run whose parent dies is free to be resumed at once.
    The file stays; a refused run that takes it away with its folder leaves a waiting one without.
    """
    path = folder / LOCK_NAME
    with disk_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        _take(descriptor, path)
        with disk_errors(path):
            if not os.path.samestat(os.fstat(descriptor), path.stat()):
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))  # a refused run undid it
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path) -> None:
    try:
        _try_for_a_moment(descriptor)
    except OSError as error:
        if error.errno in _HELD:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise DatasetError(
                "another run is writing to this folder",
                where=str(path.parent),
                got=f"process {holder or 'unknown'}",
                then="Wait for it or stop it, or choose another --out.",
            ) from None
        raise DatasetError(
            "this file system cannot lock files",
            where=str(path),
            got=str(error),
            then="Write to a local disk and copy the data set afterwards.",
        ) from error


def _try_for_a_moment(descriptor: int) -> None:
    """Take the lock; a process that was just killed may need a moment to let go of it."""
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in _HELD or time.monotonic() > end:
                raise
        time.sleep(0.02)
