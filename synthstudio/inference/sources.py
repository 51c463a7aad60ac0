"""Images to predict on: a photo, a folder of photos, a video, a data set, a COCO file."""

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np

from synthstudio.core.arrays import F64, U8
from synthstudio.core.errors import AssetError, FormatError
from synthstudio.core.images import SUFFIXES, VIDEOS, is_picture, list_pictures, read_rgb
from synthstudio.core.places import Place, Url
from synthstudio.core.safe_files import file_inside
from synthstudio.core.safe_json import BEGIN, read_list
from synthstudio.core.video import stated_frames, timed_frames
from synthstudio.dataset.durable import file_sha256
from synthstudio.dataset.manifest import MANIFEST_NAME
from synthstudio.dataset.matching import part_where
from synthstudio.dataset.reader import Dataset
from synthstudio.formats import checked
from synthstudio.formats.coco.file import RawCoco, id_key, image_folder, named_file
from synthstudio.formats.coco.results import is_list

Kind = Literal["photos", "video", "dataset", "coco"]
_log = logging.getLogger("synthstudio")
_PERSON = 1
"""The category of people in COCO results files."""


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """Boxes of people: `xywh` (P, 4) continuous pixels, `score` (P,), and the source's `instance`
    (P,). `measured`: true boxes of a synthstudio data set, which may be larger than the image."""

    xywh: F64
    score: F64
    instance: tuple[int, ...] | None = None
    measured: bool = False

    def __len__(self) -> int:
        return len(self.xywh)


@dataclass(frozen=True, kw_only=True)
class SourceImage:
    """One image. `boxes`: people listed by the source. `sequence`: images of one name form a clip,
    in the order of `time` (frames); "" for single images. `time_s`: of a video's frame, from 0.
    `id`: in a COCO file, of any kind."""

    number: int
    name: str
    rgb: U8
    boxes: Boxes | None = None
    sequence: str = ""
    time: int = 0
    time_s: float | None = None
    id: int | str | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """Images that can be read more than once. `total`: None if unknown. `part`: those at given
    positions; None for videos. `key`: equal for equal lists of images."""

    kind: Kind
    path: Place
    total: int | None
    read: Callable[[], Iterator[SourceImage]]
    part: Callable[[range], Iterator[SourceImage]] | None = None
    key: str = ""


def _in_parts(
    kind: Kind, path: Place, total: int, part: Callable[[range], Iterator[SourceImage]], key: object
) -> Source:
    digest = hashlib.sha256(repr(key).encode()).hexdigest()
    return Source(
        kind=kind, path=path, total=total, read=lambda: part(range(total)), part=part, key=digest
    )


def open_source(path: Place | Dataset, *, images: Path | None = None, where: str = "") -> Source:
    """Open the images at `path`; FormatError for an unknown kind of file. `images`: the folder of a
    COCO file's images, by default beside it. `where`: a query of a data set's frames."""
    if isinstance(path, Dataset):
        return _dataset(path)
    known = isinstance(path, Url) or (path / MANIFEST_NAME).is_file()
    if where and not known:
        raise FormatError("queries apply to data sets only", where=str(path))
    if known:
        return _dataset(part_where(Dataset(path), where))
    assert not isinstance(path, Url)
    if path.is_dir():
        return _photos(path, _photos_below(path))
    if not path.is_file():
        raise FormatError(
            "no such file or folder",
            where=str(path),
            expected="a photo, a folder of photos, a video, a data set or a COCO file",
        )
    suffix = path.suffix.lower()
    if suffix in VIDEOS:
        return _video(path)
    if suffix == ".json":
        return _coco(path, images or image_folder(path))
    if suffix in SUFFIXES or is_picture(path):
        return _photos(path, [path])
    raise FormatError(
        "unknown kind of file",
        where=str(path),
        got=suffix or "no suffix",
        expected=", ".join((*SUFFIXES, *VIDEOS, ".json")),
    )


def _photos_below(folder: Path) -> list[Path]:
    files, left_out = list_pictures(folder)
    for what, count in sorted(left_out.items()):
        _log.warning("%s: left out: %d x %s", folder, count, what)
    if not files:
        raise FormatError(
            "no photos in this folder",
            where=str(folder),
            expected=f"files that end in {', '.join(SUFFIXES)}",
        )
    return files


def _photos(path: Path, files: list[Path]) -> Source:
    """The photos at `path`: one, or those of a folder."""
    folder = path if path.is_dir() else path.parent
    names = [file.relative_to(folder).as_posix() for file in files]
    unread: set[int] = set()

    def part(places: range) -> Iterator[SourceImage]:
        for number in places:
            try:
                rgb = read_rgb(files[number])
            except AssetError as error:
                if number not in unread:
                    _log.warning("left out: %s", error)
                unread.add(number)
                if len(unread) == len(files):
                    raise
                continue
            yield SourceImage(number=number, name=names[number], rgb=rgb)

    sizes = [file.stat().st_size for file in files]
    return _in_parts("photos", path, len(files), part, list(zip(names, sizes, strict=True)))


def _video(path: Path) -> Source:
    for _ in timed_frames(path):  # raises unless the first frame can be decoded
        break
    stated = stated_frames(path)

    def read() -> Iterator[SourceImage]:
        for number, (rgb, time_s) in enumerate(timed_frames(path)):
            yield SourceImage(
                number=number,
                name=f"{path.name}#{number:06d}",
                rgb=rgb,
                sequence="video",
                time=number,
                time_s=time_s if math.isfinite(time_s) else None,
            )

    return Source(kind="video", path=path, total=stated or None, read=read)


def _dataset(dataset: Dataset) -> Source:
    labelled = dataset.labelled  # else people are not annotated yet

    def part(places: range) -> Iterator[SourceImage]:
        for position in places:
            index = dataset.index_at(position)
            frame = dataset.frame(index)
            people = dataset.instances(index)
            boxes = [p["amodal_box_px"] or p["modal_box_px"] for p in people]
            numbers = [
                k
                for k, box in enumerate(boxes)
                if box and box[2] > 0 and box[3] > 0 and people[k]["amodal_area_px"] != 0
            ]  # area 0: fully outside
            clip = frame["clip_id"]
            yield SourceImage(
                number=index,
                name=f"{index:06d}",
                rgb=dataset.rgb_of(frame),
                boxes=Boxes(
                    xywh=np.array([boxes[k] for k in numbers], np.float64).reshape(-1, 4),
                    score=np.ones(len(numbers)),
                    instance=tuple(people[k]["instance"] for k in numbers),
                    measured=True,
                )
                if labelled
                else None,
                sequence="" if clip is None else f"{clip} {frame['camera_id']} {frame['variant']}",
                time=0 if clip is None else frame["clip_frame"],
            )

    return _in_parts(
        "dataset", dataset.place, dataset.frames, part, sorted(dataset.shard_digests.items())
    )


def _coco(path: Path, root: Path) -> Source:
    names, boxes = coco_boxes(path)
    if not names:
        raise FormatError("the file lists no images", where=str(path))
    listed = list(names.items())
    numbered = all(isinstance(key, int) and abs(key) <= _MAX_NUMBER for key in names)

    def part(places: range) -> Iterator[SourceImage]:
        for place in places:
            key, name = listed[place]
            file = file_inside(root, named_file(name, root), where=f"{path}, image {key}")
            yield SourceImage(
                number=int(key) if numbered else place,
                name=name,
                rgb=read_rgb(file),
                boxes=boxes.get(key, _NO_PEOPLE),
                id=key,
            )

    return _in_parts("coco", path, len(names), part, file_sha256(path))


_MAX_NUMBER = 2**53
_NO_PEOPLE = Boxes(xywh=np.zeros((0, 4)), score=np.zeros(0), instance=())


def coco_boxes(path: Path) -> tuple[dict[int | str, str], dict[int | str, Boxes]]:
    """File names and person boxes of a COCO file by image id, without crowds and categories other
    than "person" (if there is one). FormatError for any other file."""
    names: dict[int | str, str] = {}
    found: dict[int | str, list[tuple[list[float], float, int]]] = {}
    file = RawCoco(path)
    people = [  # of unchecked types
        c.get("id")
        for c in file.head["categories"]
        if isinstance(c, dict) and c.get("name") == "person"
    ]
    for entry in file.images():
        with checked.reading(f"{path}: images"):
            names[id_key(entry["id"])] = checked.text(entry["file_name"])
    for number, entry in enumerate(file.annotations()):
        with checked.reading(f"{path}: annotation {number}"):
            if entry.get("iscrowd") or (people and entry.get("category_id") not in people):
                continue
            key = id_key(entry["id"])
            row = read_box(entry, key if isinstance(key, int) else number)
            found.setdefault(id_key(entry["image_id"]), []).append(row)
    return names, {image: make_boxes(rows) for image, rows in found.items()}


def make_boxes(rows: list[tuple[list[float], float, int]]) -> Boxes:
    """Columns from (box, score, annotation id) of an image's people."""
    boxes, scores, numbers = zip(*rows, strict=True)
    return Boxes(xywh=np.array(boxes), score=np.array(scores), instance=numbers)


def read_box(entry: dict[str, Any], number: int) -> tuple[list[float], float, int]:
    """An entry's box, its score (by default 1) and a number; ValueError, KeyError for bad ones."""
    box, score = checked.box(entry["bbox"]), checked.number(entry.get("score", 1.0), 1)
    if not (box[2] > 0 and box[3] > 0 and score >= 0):
        raise ValueError("a box needs an area, and a score from 0 to 1")
    return box, score, number


FindPeople = Callable[[SourceImage], Boxes]


def source_boxes(image: SourceImage) -> Boxes:
    """The image's own boxes; the whole image if it has none."""
    if image.boxes is not None:
        return image.boxes
    height, width = image.rgb.shape[:2]
    return Boxes(xywh=np.array([[0.0, 0.0, width, height]]), score=np.ones(1))


def boxes_from_file(path: Path, source: Source, *, min_score: float = 0.0) -> FindPeople:
    """Look boxes up in COCO annotations (by file name, or frame number for videos and data sets) or
    results (`image_id`: COCO id, frame number, or index of the photo). FormatError."""
    if not path.is_file():
        raise FormatError("no such file", where=str(path))
    if is_list(path):
        by_number, by_name = _results(path), dict[str, Boxes | None]()
    else:
        names, by_number = coco_boxes(path)
        by_name = {name: by_number.get(number) for number, name in names.items()}
    named = bool(by_name) and source.kind in ("photos", "coco")
    ends = Counter(PurePosixPath(name).name for name in by_name)
    by_end = {
        PurePosixPath(n).name: b for n, b in by_name.items() if ends[PurePosixPath(n).name] == 1
    }

    def find(image: SourceImage) -> Boxes:
        found = by_number.get(image.number if image.id is None else image.id)
        if named:
            found = by_name.get(image.name) or by_end.get(PurePosixPath(image.name).name)
        found = found or _NO_PEOPLE
        use = np.flatnonzero(found.score >= min_score)
        return Boxes(xywh=found.xywh[use], score=found.score[use])

    return find


def _results(path: Path) -> dict[int | str, Boxes]:
    found: dict[int | str, list[tuple[list[float], float, int]]] = {}
    for number, span in enumerate(s for s in read_list(path) if s is not BEGIN):
        entry: Any = span.value
        with checked.reading(f"{path}: entry {number}"):
            if entry.get("category_id", _PERSON) == _PERSON:
                found.setdefault(id_key(entry["image_id"]), []).append(read_box(entry, number))
    return {image: make_boxes(rows) for image, rows in found.items()}


def check_found(count: int, path: Path) -> None:
    """FormatError when a file of boxes has none for the images."""
    if not count:
        raise FormatError(
            "no box of this file matches an image",
            where=str(path),
            expected="the images' file names or numbers, and scores above --min-score",
        )
