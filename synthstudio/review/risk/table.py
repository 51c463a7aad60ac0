"""Build a people table from a data set, a batch of rows at a time, and cache it on disk.

people_table(dataset, cache=…) ─► PeopleTable ─► find(table, query): rows that match
                                             └─► facet, joint_facet: counts for plots

Values go from Arrow's buffers to NumPy; no row becomes a Python object. What is held beside the
arrays themselves is one batch, 200 bytes a frame for its camera, and the texts.

A table is cached in `CACHE/people-KEY/`, one .npy a column under a manifest of their hashes, and
mapped when read. KEY is a hash of what the data set's own files say of its bytes. The table is
written aside and renamed. One that is damaged, or of another release, is deleted and built again.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.lib import format as npy

from synthstudio.core.bins import VIEWS
from synthstudio.core.camera import NEAR_M
from synthstudio.core.distortion import Coefficients, distorted
from synthstudio.core.errors import DatasetError, DiskError
from synthstudio.core.labels import CAUSES, SHARES
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.arrays import as_numbers, word_codes
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
from synthstudio.dataset.matching import as_text, camera_places, view_codes
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import distortion_of
from synthstudio.review.datasets import content_key
from synthstudio.review.risk.people import (
    F64,
    I64,
    ORIGINS,
    Array,
    PeopleTable,
    bones_of,
    layout,
    number_columns,
    text_columns,
)

VERSION = 1
"""Raised whenever the columns or their meaning change."""
_HEAD = "table.json"
Layout = Mapping[str, tuple[tuple[int, ...], str]]
Names = Mapping[str, pa.Array]
Fill = Callable[[Mapping[str, Array]], Names]
_LISTS = ("joints_px", "shares", "state", "cause", "ambiguous", "origin")
_SPACE = ("joints_camera_m", "joints_world_m")
_FURTHEST_PX = 60_000.0  # float16 ends at 65,504
log = logging.getLogger(__name__)


def people_table(dataset: Dataset, *, cache: Path | None = None) -> PeopleTable:
    """The table of all people of a data set.

    `cache`: a folder in which tables are kept as files that are mapped, not read: with it a
    table takes next to no memory (about 1.2 kB a person otherwise), and opening it again costs
    its hashes. DatasetError when the rows do not fit; DiskError when the cache cannot be written.
    """
    skeleton = get_skeleton(dataset.identity.skeleton)
    shapes = layout(skeleton, dataset.people, dataset.frames)
    filled = functools.partial(fill, dataset, skeleton)
    content = rows_key(dataset)
    if cache is None:
        arrays, names = in_memory(shapes, filled)
    else:
        arrays, names = cached(cache, content, shapes, filled)
    return PeopleTable(
        key=content_key(dataset),
        content=content,
        skeleton_name=skeleton.name,
        arrays=arrays,
        names=names,
    )


def rows_key(dataset: Dataset) -> str:
    """A hash of everything that decides the rows of a data set, without reading them."""
    parts = [VERSION, file_sha256(dataset.folder / MANIFEST_NAME)]
    parts += [f"{shard} {digest}" for shard, digest in dataset.shard_digests.items()]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def in_memory(layout: Layout, fill: Fill) -> tuple[dict[str, Array], Names]:
    arrays = {name: np.empty(shape, kind) for name, (shape, kind) in layout.items()}
    names = fill(arrays)
    for array in arrays.values():
        array.flags.writeable = False
    return arrays, names


def cached(folder: Path, key: str, layout: Layout, fill: Fill) -> tuple[dict[str, Array], Names]:
    """A table's arrays, mapped from below `folder`, written there first if need be; DiskError."""
    place = folder / f"people-{key[:24]}"
    found = _read(place, key, layout)
    if found is not None:
        return found
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if place.exists():
            remove(place)
    with contextlib.suppress(DiskError), whole_folder(place) as unfinished:
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
    """The cached table; None when it is missing, damaged or of another release."""
    if not folder.is_dir() or folder.is_symlink():
        return None
    try:
        head = read_json(folder / _HEAD)
        _check_equal(head.get("version"), VERSION)
        _check_equal(head.get("key"), key)
        _check_equal(sorted(head["arrays"]), sorted(layout))
        _check_equal(file_sha256(folder / "names.json"), head["names"])
        texts = read_json(folder / "names.json")
        names = {name: pa.array(values, pa.string()) for name, values in texts.items()}
        arrays = {
            name: _column(folder / _file(name), head["arrays"][name], shape, kind)
            for name, (shape, kind) in layout.items()
        }
    except (DatasetError, OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        log.warning("%s: this table of people is damaged and is built again: %s", folder, error)
        return None
    return arrays, names


def _column(path: Path, sha256: str, shape: tuple[int, ...], kind: str) -> Array:
    _check_equal(file_sha256(path), sha256)
    array: Any = np.load(path, mmap_mode="r" if np.prod(shape) else None, allow_pickle=False)
    _check_equal((array.shape, array.dtype), (shape, np.dtype(kind)))
    array.flags.writeable = False
    return array


def _check_equal(got: object, expected: object) -> None:
    if got != expected:
        raise ValueError(f"expected {str(expected)[:80]}, got {str(got)[:80]}")


def fill(dataset: Dataset, skeleton: Skeleton, arrays: Mapping[str, Array]) -> Names:
    """Fill arrays of `people.layout`; return the names of the text columns.

    DatasetError when the tables do not fit each other or their counts.
    """
    texts = _Texts()
    cameras = _fill_frames(dataset, arrays, texts)
    _fill_people(dataset, skeleton, arrays, texts, cameras)
    row = arrays["frame_row"]
    counts = np.bincount(row, minlength=len(arrays["frame.index"]))
    arrays["person.people"][:] = counts[row]
    names = texts.finish(arrays)
    names["person.view"] = pa.array(VIEWS)
    return names


@dataclass(frozen=True, kw_only=True)
class _Cameras:
    """The cameras of F frames, NaN where there are none."""

    K: F64  # (F, 9)
    world_to_camera: F64  # (F, 16)
    distortion: dict[int, Coefficients] = field(default_factory=dict)  # of bent frames


class _Texts:
    """Columns of text, gathered in Arrow's own form and numbered at the end."""

    def __init__(self) -> None:
        self._parts: dict[str, list[pa.Array]] = {
            name: [] for table in ("person", "frame") for name in text_columns(table)
        }

    def add(self, name: str, column: pa.Array) -> None:
        self._parts[name].append(as_text(column).dictionary_encode())

    def finish(self, arrays: Mapping[str, Array]) -> dict[str, pa.Array]:
        names: dict[str, pa.Array] = {}
        kind = pa.dictionary(pa.int32(), pa.string())
        for name, parts in self._parts.items():
            column = pa.chunked_array(parts, kind).unify_dictionaries().combine_chunks()
            column = column if isinstance(column, pa.DictionaryArray) else column.chunk(0)
            arrays[name][:] = pc.fill_null(column.indices, -1).to_numpy(zero_copy_only=False)
            names[name] = column.dictionary
        return names


def _fill_frames(dataset: Dataset, arrays: Mapping[str, Array], texts: _Texts) -> _Cameras:
    numbers, names = number_columns("frame"), text_columns("frame")
    index = arrays["frame.index"]
    cameras = _Cameras(
        K=np.full((len(index), 9), np.nan), world_to_camera=np.full((len(index), 16), np.nan)
    )
    stored = {column for column, _ in numbers.values()} | set(names.values())
    done = 0
    for batch in dataset.iter_batches("frames", sorted(stored | {"K", "spec", "world_to_camera"})):
        here = _rows(done, batch, len(index), "frames")
        for name, (column, _) in numbers.items():
            arrays[name][here] = as_numbers(batch[column])
        for name, column in names.items():
            texts.add(name, batch[column])
        for name, into in (("K", cameras.K), ("world_to_camera", cameras.world_to_camera)):
            known, values = _optional(batch[name], into.shape[1], name)
            into[here][known] = values
        for k, spec in enumerate(batch["spec"].to_pylist(), done):
            if (bent := distortion_of(spec)) is not None:
                cameras.distortion[k] = bent[0], bent[1]
        done += len(batch)
    if done != len(index):
        raise _misfit("frames", f"{len(index)} rows, as index.json says", str(done))
    if (np.diff(index) <= 0).any():
        raise _misfit("frames", "frame indices that rise", "others")
    return cameras


def _fill_people(
    dataset: Dataset,
    skeleton: Skeleton,
    arrays: Mapping[str, Array],
    texts: _Texts,
    cameras: _Cameras,
) -> None:
    numbers, names = number_columns("person"), text_columns("person")
    stored = {column for column, _ in numbers.values()} | set(names.values()) | set(_LISTS)
    columns = ["frame_index", "instance", *sorted(stored | set(_SPACE) - {"instance"})]
    total, done, last = len(arrays["frame"]), 0, -1
    for batch in dataset.iter_batches("instances", list(dict.fromkeys(columns))):
        here = _rows(done, batch, total, "instances")
        frame = batch["frame_index"].to_numpy()
        place = _frame_rows(arrays["frame.index"], frame, last)
        arrays["frame"][here], arrays["frame_row"][here] = frame, place
        arrays["instance"][here] = batch["instance"].to_numpy()
        for name, (column, element) in numbers.items():
            values = batch[column]
            arrays[name][here] = as_numbers(
                values if element is None else pc.list_element(values, element)
            )
        for name, column in names.items():
            texts.add(name, batch[column])
        _fill_joints(batch, skeleton, arrays, here)
        _fill_space(batch, skeleton, arrays, here, cameras, place)
        done, last = done + len(batch), int(frame[-1]) if len(frame) else last
    if done != total:
        raise _misfit("instances", f"{total} rows, as index.json says", str(done))


def _frame_rows(index: F64, frame: I64, last: int) -> I64:
    """Row of each person's frame; DatasetError when people are out of order."""
    place = np.searchsorted(index, frame)
    fits = (place < len(index)) & (index[np.minimum(place, len(index) - 1)] == frame)
    rises = len(frame) == 0 or (frame[0] >= last and (np.diff(frame) >= 0).all())
    if not fits.all() or not rises:
        raise _misfit("instances", "people of stored frames, in the order of the frames", "others")
    return place


def _fill_joints(
    batch: pa.RecordBatch, skeleton: Skeleton, arrays: Mapping[str, Array], here: slice
) -> None:
    joints = len(skeleton.joints)

    def planes(name: str, each: int, kind: Any = None) -> Array:
        flat = _flat(batch[name], joints * each, name)
        values = flat if kind is None else flat.astype(kind)
        return values.reshape(len(batch), joints * each).T

    px = planes("joints_px", 2, np.float32)
    arrays["px"][:, here] = np.where(np.isfinite(px), px, np.nan)
    arrays["shares"][:, here] = planes("shares", len(SHARES))
    for name in ("state", "ambiguous"):
        arrays[name][:, here] = planes(name, 1)
    for name, words in (("cause", CAUSES), ("origin", ORIGINS)):
        _flat_length(batch[name], joints, name)
        arrays[name][:, here] = word_codes(batch[name], words).reshape(len(batch), joints).T


def _fill_space(
    batch: pa.RecordBatch,
    skeleton: Skeleton,
    arrays: Mapping[str, Array],
    here: slice,
    cameras: _Cameras,
    place: I64,
) -> None:
    """Fill what 3D decides: bones, where joints are seen, the view."""
    joints = len(skeleton.joints)
    known, flat = _optional(batch["joints_camera_m"], 3 * joints, "joints_camera_m")
    at = np.full((len(batch), joints, 3), np.nan)
    at[known] = flat.reshape(-1, joints, 3)
    pairs = np.array(bones_of(skeleton.known_as), np.int64).reshape(-1, 2)
    length = np.sqrt(((at[:, pairs[:, 0]] - at[:, pairs[:, 1]]) ** 2).sum(axis=2))
    arrays["bone_m"][:, here] = length.T
    lens = [cameras.distortion.get(k) for k in place.tolist()]
    seen = _projected(at, cameras.K[place].reshape(-1, 3, 3), lens)
    px = arrays["px"][:, here].astype(np.float64).reshape(joints, 2, -1).transpose(2, 0, 1)
    rendered = np.equal(arrays["origin"][:, here].T, ORIGINS.index("rendered"))
    flip = skeleton.flip
    for name, projected in (("off_px", seen), ("mirror_px", seen[:, flip])):
        off = np.sqrt(((projected - px) ** 2).sum(axis=2))
        arrays[name][:, here] = np.where(rendered, np.minimum(off, _FURTHEST_PX), np.nan).T
    _flat_length(batch["joints_world_m"], 3 * joints, "joints_world_m")
    cameras_m = camera_places(cameras.world_to_camera[place])
    arrays["person.view"][here] = view_codes(batch["joints_world_m"], skeleton.known_as, cameras_m)


def _projected(at: F64, K: F64, lens: list[Coefficients | None]) -> F64:
    """(N, J, 2) pixels of camera points (N, J, 3); NaN before the near plane."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        at = at.copy() if any(lens) else at
        for n, bent in enumerate(lens):
            if bent is not None:
                at[n, :, :2] = distorted(bent, at[n, :, :2] / at[n, :, 2:]) * at[n, :, 2:]
        flat = np.einsum("nij,nkj->nki", K, at)
        near = at[:, :, 2:] >= NEAR_M
        return np.where(near, flat[:, :, :2] / at[:, :, 2:], np.nan)


def _optional(column: pa.Array, each: int, name: str) -> tuple[Array, F64]:
    """(N,) which rows hold a list, and (N held, each) their numbers."""
    known = column.is_valid().to_numpy(zero_copy_only=False)
    return known, _flat(column, each, name).reshape(int(known.sum()), each)


def _flat(column: pa.Array, each: int, name: str) -> Array:
    """The entries of all lists in a row; DatasetError unless each holds `each`."""
    _flat_length(column, each, name)
    return column.flatten().to_numpy(zero_copy_only=False)


def _flat_length(column: pa.Array, each: int, name: str) -> None:
    lengths = pc.drop_null(pc.list_value_length(column)).to_numpy()
    if (lengths != each).any():
        got = str(int(lengths[lengths != each][0]))
        raise _misfit("instances", f"{each} entries of {name} in each row", got)


def _rows(done: int, batch: pa.RecordBatch, total: int, table: str) -> slice:
    if done + len(batch) > total:
        raise _misfit(table, f"{total} rows, as index.json says", "more")
    return slice(done, done + len(batch))


def _misfit(table: str, expected: str, got: str) -> DatasetError:
    return DatasetError(
        "the tables of the data set do not fit",
        where=table,
        expected=expected,
        got=got,
        then="Check the data set with: synthstudio validate.",
    )
