"""Build a people table from a data set, a batch of rows at a time, and cache it on disk.

Values go from Arrow's buffers to NumPy; no row becomes a Python object. Memory beyond the
arrays is one batch, 200 bytes per frame for its camera, and the texts.

A table is cached in `CACHE/people-KEY/`, one .npy a column under a manifest of their hashes, and
mapped when read. KEY is a hash of the data set's stored hashes. The table is
written atomically. A damaged one, or one of another release, is deleted and rebuilt.
"""

import contextlib
import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.lib import format as npy

from synthstudio.core.arrays import F64, Array
from synthstudio.core.camera import NEAR_M, Coefficients, distorted
from synthstudio.core.errors import DatasetError, DiskError
from synthstudio.core.labels import ORIGINS
from synthstudio.core.skeleton import Skeleton, get_skeleton
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
from synthstudio.dataset.matching import Batch, people_batches
from synthstudio.dataset.query import Field
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import as_numpy, distortion_of, one_array, table_mismatch
from synthstudio.review.history import content_key
from synthstudio.review.risk.people import PeopleTable, bones_of, column_name, layout, stored_fields

VERSION = 3
"""Version of the columns and their meaning."""
_HEAD = "table.json"
_TEXT = pa.dictionary(pa.int32(), pa.string())
Layout = Mapping[str, tuple[tuple[int, ...], str]]
Names = Mapping[str, pa.Array]
Arrays = Mapping[str, Array]
Texts = dict[str, list[pa.Array]]
_LISTS = ("joints_px", "visibility_fractions", "state", "cause", "ambiguous", "origin")
_CAMERAS = ("K", "spec", "world_to_camera")
_FURTHEST_PX = 60_000.0  # float16 ends at 65,504
log = logging.getLogger(__name__)


def people_table(dataset: Dataset, *, cache: Path | None = None) -> PeopleTable:
    """The table of all people, or mapped from files below `cache`; DatasetError, DiskError."""
    skeleton = get_skeleton(dataset.identity.skeleton)
    shapes = layout(skeleton, dataset.people, dataset.frames)
    content = rows_key(dataset)
    if cache is None:
        arrays = {name: np.empty(shape, kind) for name, (shape, kind) in shapes.items()}
        names = fill(dataset, arrays)
        for array in arrays.values():
            array.flags.writeable = False
    else:
        arrays, names = cached(dataset, cache, content, shapes)
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


def cached(
    dataset: Dataset, folder: Path, key: str, layout: Layout
) -> tuple[dict[str, Array], Names]:
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
        _write(dataset, unfinished, key, layout)
    # Of two concurrent builders the second finds the same bytes.
    found = _read(place, key, layout)
    if found is None:
        raise DiskError(f"{place}: the table of people could not be stored; is the disk full?")
    return found


def _write(dataset: Dataset, folder: Path, key: str, layout: Layout) -> None:
    with disk_errors(folder):
        arrays: dict[str, Array] = {
            name: npy.open_memmap(
                folder / f"{_file(name)}", mode="w+", dtype=np.dtype(kind), shape=shape
            )
            if np.prod(shape)
            else np.empty(shape, kind)
            for name, (shape, kind) in layout.items()
        }
        names = fill(dataset, arrays)
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
    """The file name of a column: names are our own, never a data set's."""
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


def fill(dataset: Dataset, arrays: Arrays) -> Names:
    """Fill arrays of `people.layout`; return the names of the text columns. DatasetError."""
    fields = (*stored_fields("frame"), *stored_fields("person"))
    texts: Texts = {column_name(f): [] for f in fields if f.kind != "number"}
    _fill_frames(dataset, arrays, texts)
    _fill_people(dataset, arrays, texts)
    return {name: _numbered(parts, arrays[name]) for name, parts in texts.items()}


def _numbered(parts: list[pa.Array], places: Array) -> pa.Array:
    """Write the indices of all texts of a column; return the distinct ones."""
    column = one_array(pa.chunked_array(parts, _TEXT).unify_dictionaries())
    places[:] = pc.fill_null(column.indices, -1).to_numpy(zero_copy_only=False)
    return column.dictionary


def _put(fields: list[Field], batch: Batch, here: slice, arrays: Arrays, texts: Texts) -> None:
    for field in fields:
        name, column = column_name(field), batch.field(field)
        if column.names is None:
            arrays[name][here] = column.values
        else:
            indices = pa.array(column.values, pa.int32(), mask=column.values < 0)
            coded = pa.DictionaryArray.from_arrays(indices, column.names.cast(pa.string()))
            texts[name].append(coded)


def _fill_frames(dataset: Dataset, arrays: Arrays, texts: Texts) -> None:
    index, done, fields = arrays["frame.index"], 0, stored_fields("frame")
    for batch in dataset.iter_batches("frames", sorted({field.column for field in fields})):
        here = slice(done, done + len(batch))
        table = pa.Table.from_batches([batch])
        _put(fields, Batch(table, table, ()), here, arrays, texts)
        done += len(batch)
    if (np.diff(index) <= 0).any():
        raise table_mismatch("frames", "frame indices that rise", "others")


def _fill_people(dataset: Dataset, arrays: Arrays, texts: Texts) -> None:
    skeleton, fields = get_skeleton(dataset.identity.skeleton), stored_fields("person")
    columns = {field.column for field in fields if field.table == "person"}
    columns |= {*_LISTS, "joints_camera_m", "joints_world_m"}
    done = 0
    for batch in people_batches(dataset, columns, set(_CAMERAS), skeleton.joints):
        here = slice(done, done + batch.people)
        frame = as_numpy(batch.table["frame_index"])
        arrays["frame"][here] = frame
        arrays["frame_row"][here] = np.searchsorted(arrays["frame.index"], frame)
        arrays["instance"][here] = as_numpy(batch.table["instance"])
        _put(fields, batch, here, arrays, texts)
        for name in _LISTS:
            arrays[name.removeprefix("joints_")][:, here] = batch.planes(name)
        px = arrays["px"][:, here]
        px[~np.isfinite(px)] = np.nan
        _fill_space(batch, skeleton, arrays, here)
        done += batch.people


def _fill_space(batch: Batch, skeleton: Skeleton, arrays: Arrays, here: slice) -> None:
    """Fill the columns from 3D: bones, and projections of joints."""
    joints = len(skeleton.joints)
    at = batch.optional("joints_camera_m", 3 * joints).reshape(-1, joints, 3)
    pairs = np.array(bones_of(skeleton.known_as), np.int64).reshape(-1, 2)
    length = np.sqrt(((at[:, pairs[:, 0]] - at[:, pairs[:, 1]]) ** 2).sum(axis=2))
    arrays["bone_m"][:, here] = length.T
    frames = as_numpy(batch.table["frame_index"]).tolist()
    specs = dict(zip(frames, batch.frames["spec"].to_pylist(), strict=True))
    bent = {frame: distortion_of(spec) for frame, spec in specs.items()}
    lenses = [None if (lens := bent[f]) is None else (lens[0], lens[1]) for f in frames]
    seen = _projected(at, batch.optional("K", 9).reshape(-1, 3, 3), lenses)
    px = arrays["px"][:, here].astype(np.float64).reshape(joints, 2, -1).transpose(2, 0, 1)
    rendered = np.equal(arrays["origin"][:, here].T, ORIGINS.index("rendered"))
    for name, projected in (("off_px", seen), ("mirror_px", seen[:, skeleton.flip])):
        off = np.sqrt(((projected - px) ** 2).sum(axis=2))
        arrays[name][:, here] = np.where(rendered, np.minimum(off, _FURTHEST_PX), np.nan).T


def _projected(at: F64, K: F64, lenses: Sequence[Coefficients | None]) -> F64:
    """(N, J, 2) pixels of camera points (N, J, 3); NaN before the near plane."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        at = at.copy() if any(lenses) else at
        for n, lens in enumerate(lenses):
            if lens is not None:
                at[n, :, :2] = distorted(lens, at[n, :, :2] / at[n, :, 2:]) * at[n, :, 2:]
        flat = np.einsum("nij,nkj->nki", K, at)
        near = at[:, :, 2:] >= NEAR_M
        return np.where(near, flat[:, :, :2] / at[:, :, 2:], np.nan)
