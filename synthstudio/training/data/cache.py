"""Crops on disk by a key of all that decides them: made once, whichever training comes first."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from synthstudio.dataset.durable import (
    canonical_json,
    disk_errors,
    new_parents,
    read_json,
    whole_folder,
)


def cached_crops(
    cache: Path, key: str, make: Callable[[Path], dict[str, Any]]
) -> tuple[Path, dict[str, Any]]:
    """Return the cache folder of a key and its metadata.

    `make(folder)` fills a new one and returns further metadata.
    """
    folder = cache / f"crops-{key[:16]}"
    facts = folder / "facts.json"
    if not facts.is_file():
        with new_parents(folder), _turn(cache):
            if not facts.is_file():
                with whole_folder(folder) as unfinished:
                    metadata = {"key": key, **make(unfinished)}
                    (unfinished / facts.name).write_bytes(canonical_json(metadata))
    return folder, read_json(facts)


@contextmanager
def _turn(cache: Path) -> Iterator[None]:
    """Wait while another training cuts people out, perhaps the same ones."""
    with disk_errors(cache):
        folder = os.open(cache, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def allocate(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """Map a new file whose blocks are allocated: a full disk behind a sparse one is a SIGBUS."""
    with disk_errors(path):
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array
