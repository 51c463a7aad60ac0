"""Images of data sets and of COCO keypoints files with the rows of their people, and the disk cache
of samples made from them.

The cache key includes all inputs; the first training fills it. A COCO file is checked as by
importers (formats/coco/file.py). Missing labels stay unknown: joints with v=0, causes, fractions,
occluders, 3D joints.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from synthstudio.core.arrays import U8
from synthstudio.core.errors import FormatError, ModelError
from synthstudio.core.images import decode_rgb, read_bytes
from synthstudio.core.places import Place
from synthstudio.core.safe_files import UNREADABLE, file_inside
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset import durable
from synthstudio.dataset.manifest import INDEX_NAME, MANIFEST_NAME
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row, as_numpy
from synthstudio.formats.coco.file import CocoFile, image_folder
from synthstudio.formats.exchange import Skipped
from synthstudio.formats.joints import rules
from synthstudio.training.config import Boxes, Source

Report = Callable[[int, int], None]
_CHOICE = ("index", "split", "variant")
MAX_BOX_SIDES = 4.0
"""The longest side of a person's box, in longer sides of the image."""
MAX_BOX_PX = 12_000.0
"""The same in pixels, since a crop must fit into memory."""
_HINT = "synthstudio validate FILE lists such boxes; --fix COPY takes them from masks."
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
    """A kind of cache: crops of people, or whole frames. `key`: inputs besides samples and
    skeleton. `read` opens the folder that `write` filled. `notes`: for users. `boxes`, `labelled`:
    of its samples."""

    key: bytes
    write: Write
    read: Callable[[Path], Made]
    notes: Callable[[Dataset, Made], tuple[str, ...]] = lambda dataset, made: ()
    boxes: Boxes = "outline"
    labelled: bool = True


@dataclass(frozen=True, kw_only=True)
class Loaded(Generic[Made]):
    """The samples of a source: `key` is a hash of data and sizes; `notes` are for the user."""

    samples: Made
    key: str
    skeleton: Skeleton
    notes: tuple[str, ...] = ()

    def of_epoch(self, epoch: int) -> Made:
        """The samples, the same in each epoch."""
        return self.samples


def load_dataset(
    place: Place,
    kind: Kind[Made],
    *,
    cache: Path,
    skeleton: Skeleton | None = None,
    only: Source | None = None,
) -> Loaded[Made]:
    """A kind of samples of a data set, finished or not, or those in the cache. `skeleton`: convert
    people to it. `only`: a source with splits and variants. DatasetError; ModelError."""
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
    parts = [f"{own.described(target)} converted to {target.title}"]
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
        rgb, people = partial(dataset.rgb_of, frame), dataset.instances(frame["index"])
        yield Sample(frame=frame, people=people, rgb=rgb, boxes=boxes)


def cached_crops(
    cache: Path, key: str, make: Callable[[Path], dict[str, Any]]
) -> tuple[Path, dict[str, Any]]:
    """The cache folder of a key, and its metadata, which `make(folder)` returns if it is new."""
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
    """Name -> array of a cache's folder, `mapped` ones in own files; ModelError if damaged."""
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


def load_coco(
    source: Source, kind: Kind[Made], *, cache: Path, skeleton: Skeleton | None
) -> Loaded[Made]:
    """A kind of samples of a source's COCO keypoints file, or those in the cache. `skeleton`:
    convert people to it. FormatError or AssetError for a bad file or image; ModelError for images
    that changed since, and as the kind's."""
    path = Path(source.coco)
    root = Path(source.images) if source.images else image_folder(path)
    if not path.is_file():
        raise FormatError("no such file", where=str(path), expected="a COCO keypoints file")
    target = "" if skeleton is None else skeleton.name
    target += "" if kind.labelled else " unlabelled"
    sha256 = durable.file_sha256(path)
    digest = hashlib.sha256(f"{sha256} {root.resolve()} {target}".encode() + kind.key)

    def make(out: Path) -> dict[str, Any]:
        with closing(CocoFile(path, images=root)) as opened:
            lengths, people = check_entries(opened, root)
            used = skeleton or opened.skeleton
            samples = coco_samples(opened, root, kind.labelled)
            written = kind.write(samples, used, (len(lengths), people), out, str(path))
            needed = "a labelled joint, a box or an area" if kind.labelled else "a box"
            if written < people:
                opened.left_out[f"a person without {needed}"] = people - written
            notes = [*conversion_notes(opened.skeleton, used)]
            notes += [f"left out: {note}" for note in opened.notes]
        return {"skeleton": used.name, "pictures": lengths, "notes": notes}

    folder, metadata = cached_crops(cache, digest.hexdigest(), make)
    check_images_unchanged(metadata["pictures"], root, folder)
    # The key excludes the images' path, so it is equal on other machines.
    content = [sha256, sorted(metadata["pictures"].items()), metadata["skeleton"]]
    return Loaded(
        samples=kind.read(folder),
        key=hashlib.sha256(repr(content).encode() + kind.key).hexdigest(),
        skeleton=get_skeleton(metadata["skeleton"]),
        notes=tuple(metadata["notes"]),
    )


def check_entries(opened: CocoFile, root: Path) -> tuple[dict[str, int], int]:
    """Check every entry before the first image is decoded; return file lengths and people."""
    lengths, people = {}, 0
    counted, opened.left_out = opened.left_out, Skipped()  # the second pass counts again
    for frame, persons in opened.samples():
        where = f"{opened.path}, image {frame['index']}"
        name = frame["file_name"]
        lengths[name] = file_inside(root, name, where=where).stat().st_size
        people += len(persons)
        for person in persons:
            _check_box(person, frame, where)
    opened.left_out = counted
    return lengths, people


def _check_box(person: Row, frame: Row, where: str) -> None:
    x, y, w, h = person["amodal_box_px"] or person["modal_box_px"]
    if not (w > 0 and h > 0):
        return  # such people are dropped when cropping
    width, height = frame["width_px"], frame["height_px"]
    maximum = min(MAX_BOX_SIDES * max(width, height), MAX_BOX_PX)
    if w > maximum or h > maximum:
        fault = "far too large"
        expected = f"sides of at most {maximum:g} px in an image of {width} x {height}"
    elif x >= width or y >= height or x + w <= 0 or y + h <= 0:
        fault, expected = "outside the image", f"some of it inside {width} x {height}"
    else:
        return
    raise FormatError(
        f"a person's box is {fault}",
        where=where,
        expected=expected,
        got=f"x {x:g}, y {y:g}, {w:g} x {h:g}",
        then=_HINT,
    )


def coco_samples(opened: CocoFile, root: Path, labelled: bool) -> Iterator[Sample]:
    for frame, people in opened.samples():
        path = file_inside(root, frame["file_name"], where=f"image {frame['index']}")

        def rgb(path: Path = path, frame: Row = frame) -> U8:
            image = decode_rgb(read_bytes(path), str(path))
            stated = (frame["height_px"], frame["width_px"])
            if image.shape[:2] != stated:
                raise FormatError(
                    "the image has another size",
                    where=str(path),
                    expected=f"{stated[1]} x {stated[0]}, as in the file",
                    got=f"{image.shape[1]} x {image.shape[0]}",
                    then="Labels are of the upright image.",
                )
            return image

        group = frame["group_id"] or f"image {frame['index']}"
        yield Sample(frame={**frame, "group_id": group}, people=people, rgb=rgb, labelled=labelled)


def check_images_unchanged(lengths: dict[str, int], root: Path, folder: Path) -> None:
    for name, length in lengths.items():
        path = root / name
        now = path.stat().st_size if path.is_file() else None
        if now != length:
            raise ModelError(
                "an image changed since its people were cropped",
                where=str(path),
                expected=f"{length} bytes",
                got="no file" if now is None else f"{now}",
                then=f"Restore it, or delete {folder} to crop again.",
            )
