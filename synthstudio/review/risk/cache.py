"""A people table on disk: one .npy a column, mapped when read, under a manifest of their hashes.

A table is cached in `CACHE/people-KEY/`, where KEY is a hash of what the data set's own files say
of its bytes. It is written aside and renamed. One that is damaged, or that another release wrote,
is thrown away and built again.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.lib import format as npy

from synthstudio.core.errors import DatasetError, DiskError
from synthstudio.dataset.durable import (
    canonical_json,
    disk_errors,
    file_sha256,
    read_json,
    remove,
    replace_file,
    whole_folder,
)
from synthstudio.dataset.manifest import MANIFEST_NAME
from synthstudio.dataset.reader import Dataset
from synthstudio.review.risk.people import Array

VERSION = 1
"""Raised whenever the columns or their meaning change."""
_HEAD = "table.json"
Layout = Mapping[str, tuple[tuple[int, ...], str]]
Names = Mapping[str, pa.Array]
Fill = Callable[[Mapping[str, Array]], Names]
log = logging.getLogger(__name__)


def content_key(dataset: Dataset) -> str:
    """Return a hash of everything that decides the rows of a data set, without reading them."""
    told = [VERSION, file_sha256(dataset.folder / MANIFEST_NAME)]
    told += [f"{entry.shard} {entry.sha256}" for entry in dataset.entries]
    return hashlib.sha256(repr(told).encode()).hexdigest()


def in_memory(layout: Layout, fill: Fill) -> tuple[dict[str, Array], Names]:
    """Return a table's arrays, held in memory."""
    arrays = {name: np.empty(shape, kind) for name, (shape, kind) in layout.items()}
    names = fill(arrays)
    for array in arrays.values():
        array.flags.writeable = False
    return arrays, names


def cached(folder: Path, key: str, layout: Layout, fill: Fill) -> tuple[dict[str, Array], Names]:
    """Return a table's arrays, mapped from below `folder`, where they are written if need be.

    DiskError when it cannot be written.
    """
    place = folder / f"people-{key[:24]}"
    found = _read(place, key, layout)
    if found is not None:
        return found
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if place.exists():
            remove(place)
    with contextlib.suppress(DiskError), whole_folder(place) as unfinished:
        with disk_errors(unfinished):
            unfinished.mkdir()
        _write(unfinished, key, layout, fill)
    # Two that build at once: the second finds the place taken, by the same bytes.
    found = _read(place, key, layout)
    if found is None:
        raise DiskError(f"{place}: the table of people could not be stored; is the disk full?")
    return found


def _write(folder: Path, key: str, layout: Layout, fill: Fill) -> None:
    with disk_errors(folder):
        arrays: dict[str, Array] = {
            name: npy.open_memmap(
                folder / f"{_file(name)}", mode="w+", dtype=np.dtype(kind), shape=shape
            )
            if np.prod(shape)
            else np.empty(shape, kind)
            for name, (shape, kind) in layout.items()
        }
        names = fill(arrays)
        for name, array in arrays.items():
            if isinstance(array, np.memmap):
                array.flush()
            else:
                np.save(folder / _file(name), array, allow_pickle=False)
        del arrays
        hashes = {name: file_sha256(folder / _file(name)) for name in layout}
    replace_file(
        folder / "names.json",
        canonical_json({name: values.to_pylist() for name, values in names.items()}),
    )
    head = {
        "version": VERSION,
        "key": key,
        "arrays": hashes,
        "names": file_sha256(folder / "names.json"),
    }
    replace_file(folder / _HEAD, canonical_json(head))


def _file(name: str) -> str:
    """Return the file name of a column: names are our own, never a data set's."""
    return name.replace("[", "-").replace("]", "") + ".npy"


def _read(folder: Path, key: str, layout: Layout) -> tuple[dict[str, Array], Names] | None:
    """Return what is cached; None when it is missing, damaged or of another release."""
    if not folder.is_dir() or folder.is_symlink():
        return None
    try:
        head = read_json(folder / _HEAD)
        _same(head.get("version"), VERSION)
        _same(head.get("key"), key)
        _same(sorted(head["arrays"]), sorted(layout))
        _same(file_sha256(folder / "names.json"), head["names"])
        told = read_json(folder / "names.json")
        names = {name: pa.array(values, pa.string()) for name, values in told.items()}
        arrays = {
            name: _column(folder / _file(name), head["arrays"][name], shape, kind)
            for name, (shape, kind) in layout.items()
        }
    except (DatasetError, OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        log.warning("%s: this table of people is damaged and is built again: %s", folder, error)
        return None
    return arrays, names


def _column(path: Path, sha256: str, shape: tuple[int, ...], kind: str) -> Array:
    _same(file_sha256(path), sha256)
    array: Any = np.load(path, mmap_mode="r" if np.prod(shape) else None, allow_pickle=False)
    _same((array.shape, array.dtype), (shape, np.dtype(kind)))
    array.flags.writeable = False
    return array


def _same(got: object, expected: object) -> None:
    if got != expected:
        raise ValueError(f"expected {str(expected)[:80]}, got {str(got)[:80]}")
