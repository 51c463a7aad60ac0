"""Images of data sets with the rows of their people, and the disk cache of samples made from them.

The cache key includes all inputs; the first training fills it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from synthstudio.core.arrays import U8
from synthstudio.core.errors import ModelError
from synthstudio.core.images import decode_rgb
from synthstudio.core.places import Place
from synthstudio.core.safe_files import UNREADABLE
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset import durable
from synthstudio.dataset.arrays import as_numpy
from synthstudio.dataset.manifest import INDEX_NAME, MANIFEST_NAME
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row
from synthstudio.formats.joints import rules
from synthstudio.training.config import Boxes, Source

Report = Callable[[int, int], None]
_CHOICE = ("index", "split", "variant")
Made = TypeVar("Made")


class ImageSequence(Protocol):
    """N images by index: an array, a tuple of arrays, or a concatenation."""

    def __getitem__(self, row: int) -> U8: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Sample:
    """An image with the rows of its people; `rgb()` decodes it.

    `labelled`: people without a labelled joint are dropped. `boxes`: kind of boxes to crop by.
    """

    frame: Row
    people: list[Row]
    rgb: Callable[[], U8]
    labelled: bool = True
    boxes: Boxes = "outline"


Write = Callable[[Iterator[Sample], Skeleton, tuple[int, int], Path, str], int]
"""Write the cache of samples, of a skeleton, of at most that many frames and people, to a folder;
return the number of people. The last argument names the samples in messages."""


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[Made]):
    """A kind of cache: crops of people, or whole frames.

    `key`: inputs besides samples and skeleton. `read` opens the folder that `write` filled. `notes`
    on a data set are for users. `boxes`, `labelled`: of its samples.
    """

    key: bytes
    write: Write
    read: Callable[[Path], Made]
    notes: Callable[[Dataset, Made], tuple[str, ...]] = lambda dataset, made: ()
    boxes: Boxes = "outline"
    labelled: bool = True


@dataclass(frozen=True, kw_only=True)
class Loaded(Generic[Made]):
    """The samples of one source: `key` is a hash of the data and the sizes; `notes` are to be
    reported to the user."""

    samples: Made
    key: str
    skeleton: Skeleton
    notes: tuple[str, ...] = ()


def load_dataset(
    place: Place,
    kind: Kind[Made],
    *,
    cache: Path,
    skeleton: Skeleton | None = None,
    only: Source | None = None,
) -> Loaded[Made]:
    """Make a kind of samples of a data set, or read them from the cache.

    `skeleton`: convert people to it. `only`: a source with splits and variants. An
    unfinished data set is used as it is. DatasetError; ModelError as the kind's.
    """
    dataset = Dataset(place, allow_unfinished=True)
    own = get_skeleton(dataset.identity.skeleton)
    target = skeleton or own
    digest = dataset_digest(dataset)
    digest.update(kind.key + (target.name.encode() if target.name != own.name else b""))
    if only is not None:
        digest.update(repr([only.splits, only.variants]).encode())

    def make(out: Path) -> dict[str, Any]:
        people = dataset.people if only is None else _people_of(dataset, only)
        samples = dataset_samples(dataset, kind.boxes, only)
        kind.write(samples, target, (dataset.frames, people), out, str(dataset.place))
        return {}

    folder, _ = cached_crops(cache, digest.hexdigest(), make)
    made = kind.read(folder)
    notes = (*conversion_notes(own, target), *unfinished_notes(dataset), *kind.notes(dataset, made))
    return Loaded(samples=made, key=digest.hexdigest(), skeleton=target, notes=notes)


def conversion_notes(own: Skeleton, target: Skeleton) -> tuple[str, ...]:
    """Report which joints are lost or approximated by converting people to another skeleton."""
    if own.name == target.name:
        return ()
    found = rules(own, target)
    missing = [joint for joint, rule in found.items() if rule.kind == "missing"]
    moved = [f"{j} ({rule.deviation})" for j, rule in found.items() if rule.kind == "approximation"]
    parts = [f"{own.name} converted to {target.name}"]
    parts += [f"missing: {', '.join(missing)}"] if missing else []
    parts += [f"approximated: {', '.join(moved)}"] if moved else []
    return ("; ".join(parts),)


def dataset_samples(dataset: Dataset, boxes: Boxes, only: Source | None = None) -> Iterator[Sample]:
    """The samples of a data set, or only of a source's splits and variants."""
    frames = (frame for frame in dataset.iter_frames() if only is None or only.takes(frame))
    return frame_samples(dataset, frames, boxes)


def _people_of(dataset: Dataset, only: Source) -> int:
    """Number of people in the frames of a source's splits and variants."""
    frames = [row["index"] for row in dataset.iter_frames(_CHOICE) if only.takes(row)]
    columns = (as_numpy(part[0]) for part in dataset.iter_batches("instances", ["frame_index"]))
    return sum(int(np.isin(column, frames).sum()) for column in columns)


def frame_samples(dataset: Dataset, frames: Iterable[Row], boxes: Boxes) -> Iterator[Sample]:
    """The samples of frames of a data set, by their rows."""
    for frame in frames:
        rgb, people = partial(rgb_of, dataset, frame), dataset.instances(frame["index"])
        yield Sample(frame=frame, people=people, rgb=rgb, boxes=boxes)


def rgb_of(dataset: Dataset, frame: Row) -> U8:
    """The picture (H, W, 3) of a frame by its row; DatasetError, or the decoder's errors."""
    return decode_rgb(dataset.image_bytes_of(frame), str(dataset.image_of(frame)))


def cached_crops(
    cache: Path, key: str, make: Callable[[Path], dict[str, Any]]
) -> tuple[Path, dict[str, Any]]:
    """Return the cache folder of a key and its metadata.

    `make(folder)` fills a new one and returns further metadata.
    """
    folder = cache / f"crops-{key[:16]}"
    facts = folder / "facts.json"
    if not facts.is_file():
        with durable.new_parents(folder), _turn(cache):
            if not facts.is_file():
                with durable.whole_folder(folder) as unfinished:
                    metadata = {"key": key, **make(unfinished)}
                    (unfinished / facts.name).write_bytes(durable.canonical_json(metadata))
    return folder, durable.read_json(facts)


@contextmanager
def _turn(cache: Path) -> Iterator[None]:
    """Lock the cache against other trainings."""
    with durable.disk_errors(cache):
        folder = os.open(cache, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def allocate(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """Map a new file whose blocks are allocated: a full disk under a sparse file raises SIGBUS."""
    with durable.disk_errors(path):
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def read_cached(folder: Path, what: str, mapped: tuple[str, ...], fields: set[str]) -> Any:
    """Return name -> array of a cache's folder, `mapped` ones in separate files.

    ModelError if unreadable or if the columns are not `fields`. `what`: name in messages.
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
    """A hash initialised with the current contents of a data set."""
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
        f"unfinished: the {dataset.frames} existing frames are used. If frames are added "
        "later, this training cannot be resumed",
    )
