"""Crops on disk by a key of all that decides them: made once, whichever training comes first."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from synthstudio.core.errors import ModelError
from synthstudio.core.safe_files import UNREADABLE
from synthstudio.dataset.durable import (
    canonical_json,
    disk_errors,
    new_parents,
    read_json,
    whole_folder,
)
from synthstudio.dataset.manifest import INDEX_NAME, MANIFEST_NAME
from synthstudio.dataset.reader import Dataset


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


def read_cached(folder: Path, what: str, mapped: tuple[str, ...], fields: set[str]) -> Any:
    """Return name -> array of a cache's folder, `mapped` ones in files of their own.

    ModelError when something cannot be read or the rest are not `fields`. `what`: its name.
    """
    try:
        arrays = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in mapped
        }
        with (folder / "labels.npz").open("rb") as file, np.load(file, allow_pickle=False) as saved:
            columns = {name: saved[name] for name in saved.files}
    except UNREADABLE as error:
        raise damaged_cache(folder, what, str(error)) from error
    if set(columns) != fields - set(mapped):
        raise damaged_cache(folder, what, f"columns {', '.join(sorted(columns))}")
    return arrays | columns


def damaged_cache(folder: Path, what: str, got: str) -> ModelError:
    return ModelError(
        f"the {what} is damaged", where=str(folder), got=got[:200], then="Delete that folder."
    )


def dataset_digest(dataset: Dataset) -> hashlib._Hash:
    """A hash, begun with everything that a data set holds now."""
    digest = hashlib.sha256((dataset.folder / MANIFEST_NAME).read_bytes())
    if dataset.finished:
        digest.update((dataset.folder / INDEX_NAME).read_bytes())
    else:
        digest.update(repr(sorted(dataset.shard_digests.items())).encode())
    return digest


def unfinished_notes(dataset: Dataset) -> tuple[str, ...]:
    if dataset.finished:
        return ()
    return (
        f"unfinished: the {dataset.frames} frames that are there are used. When there are more "
        "of them, this training cannot be resumed",
    )
