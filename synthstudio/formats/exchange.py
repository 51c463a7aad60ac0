"""Types that every format's `write` takes and `read` returns."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, Protocol, TypeVar

import pyarrow as pa

from synthstudio.core.errors import SynthStudioError
from synthstudio.core.images import image_size
from synthstudio.core.safe_files import file_inside
from synthstudio.core.safe_json import parse
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.manifest import AssetRow, Identity
from synthstudio.dataset.rows import Row
from synthstudio.formats.checked import frame_of, reading, size

MIN_AREA_PX = 16
"""Minimum modal pixels of an exported person; others stay in the data set."""
MAX_REASONS = 30
SPLITS = {"train": "train", "val": "val", "validation": "val", "valid": "val", "test": "test"}
"""Splits by their names in other tools, in small letters."""
HALF_PX = 0.5
"""Offset of pixel indices from continuous pixels."""
_Person = TypeVar("_Person", bound=Mapping[str, Any])
Picture = tuple[Row, list[Row], bytes]
"""A frame's row named as in the export, those of its people, the bytes of its image."""
ReadSample = tuple[Row, list[Row], Path | bytes]
"""A frame's row, those of its people, and its image or the path of it."""


class Skipped(Counter[str]):
    """Counts of skipped entries by reason, with the first of each: place, expected, got."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.first: dict[str, str] = {}
        self.errors: dict[str, SynthStudioError] = {}

    def add(self, kind: str, error: SynthStudioError) -> None:
        """Count an invalid entry by its error; beyond MAX_REASONS only by kind."""
        reason = f"{kind}: {error.what.removeprefix('invalid entry: ')}"
        if reason not in self and len(self) >= MAX_REASONS:
            reason = f"{kind}: other reasons"
        self[reason] += 1
        place = [str(error.where)[:200], *([error.details[:200]] if error.details else [])]
        self.first.setdefault(reason, "; ".join(place))
        self.errors.setdefault(kind, error)

    def lines(self) -> list[str]:
        places = {reason: f" (first: {place})" for reason, place in self.first.items()}
        return [f"{n} x {what}{places.get(what, '')}" for what, n in sorted(self.items()) if n]


class Labelled(Protocol):
    """Frames by rising index, their people and images, repeatedly; as `dataset.reader.Dataset`."""

    @property
    def identity(self) -> Identity: ...

    def iter_frames(self, columns: Sequence[str] | None = None) -> Iterator[Row]: ...

    def iter_instances(self) -> Iterator[Row]: ...

    def iter_batches(self, kind: Literal["instances"]) -> Iterator[pa.RecordBatch]: ...

    def image_bytes_of(self, row: Row) -> bytes: ...


KEPT_NUMBER = "kept_number"
"""Key of a read row: the number by which the file keeps the person, if it does."""
EXPORTED_BOX = "exported_box_px"
"""Key of an exported row: the box to write, if not the modal one."""
_BOXES = {
    "visible": "visible part of each person",
    "amodal": "whole person with hidden parts, clipped to the image",
}
_JOINTS = {"all": "hidden joints are labelled (v=1)", "visible": "hidden joints are unlabelled"}


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Options of exported people. `boxes` "visible" or "amodal", `joints` "all" or "visible";
    without `hidden_faces` the face joints that the own body hides are unlabelled. ValueError."""

    boxes: str = "visible"
    joints: str = "all"
    hidden_faces: bool = True

    def __post_init__(self) -> None:
        known = self.boxes in _BOXES and self.joints in _JOINTS
        if not known or not isinstance(self.hidden_faces, bool):
            raise ValueError(f"{self.boxes!r:.40}, {self.joints!r:.40}, {self.hidden_faces!r:.40}")

    def notes(self) -> dict[str, str]:
        boxes, joints = _BOXES[self.boxes], _JOINTS[self.joints]
        return {"boxes": f"{self.boxes}: {boxes}", "joints": f"{self.joints}: {joints}"}


def inside(box: Sequence[float], size: Sequence[float]) -> list[float]:
    """The part of a box x y w h that lies in an image (H, W)."""
    x0, y0 = max(0.0, box[0]), max(0.0, box[1])
    x1, y1 = min(size[1], box[0] + box[2]), min(size[0], box[1] + box[3])
    return [x0, y0, max(0.0, x1 - x0), max(0.0, y1 - y0)]


@dataclass(frozen=True, kw_only=True)
class Target:
    """Skeleton of all rows, licence ledger; `polygons`: COCO masks as polygons, not run lengths;
    `notes`: what a writer has to say."""

    skeleton: Skeleton
    contents: Contents = field(default_factory=Contents)
    assets: Sequence[AssetRow] = ()
    polygons: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Opened:
    """An opened file or folder of another tool.

    `samples` come in the order of `numbers`, the frame indices, or if the format has none of
    `names`, the image files; an unusable picture is an error instead. `left_out` counts
    skipped entries by reason, `notes()` lists remarks, both complete after the
    last sample; `source()` has the current image's licence, its id in the file, and those of its
    people by instance, as `shards.sources_table` takes them; `close()` releases resources.
    """

    skeleton: Skeleton
    samples: Iterator[ReadSample | SynthStudioError]
    names: Sequence[str] = ()
    left_out: Skipped = field(default_factory=Skipped)
    numbers: Sequence[int] | None = None
    assets: Sequence[AssetRow] = ()
    notes: Callable[[], list[str]] = field(default=list)
    source: Callable[[], Row] = lambda: {"licence": "", "id": "null", "people": "{}"}
    close: Callable[[], None] = lambda: None


def exportable(people: Iterable[_Person]) -> list[_Person]:
    return [row for row in people if row["modal_area_px"] >= MIN_AREA_PX]


def write_entries(
    path: Path,
    pictures: Iterable[Picture],
    entries_of: Callable[[Row, list[Row]], Iterable[Row]],
    *,
    head: str = "[",
    tail: str = "\n]\n",
    ensure_ascii: bool = True,
) -> Path:
    """Write a JSON list of the entries of all pictures; OSError."""
    separator = "\n"
    with path.open("w", encoding="utf-8") as file:
        file.write(head)
        for frame, people, _ in pictures:
            for entry in entries_of(frame, people):
                text = json.dumps(entry, separators=(",", ":"), ensure_ascii=ensure_ascii)
                file.write(separator + text)
                separator = ",\n"
        file.write(tail)
    return path


def locate(path: Path, name: str, images: Path | None, folder: str = "") -> tuple[Path, Path]:
    """Return the annotation file `path` or `path`/`name`, and the folder its images are in."""
    file = path / name if path.is_dir() else path
    return file, images or file.parent / folder


def frame_with_image(images: Path, name: Any, skeleton: Skeleton, **more: Any) -> tuple[Row, Path]:
    """Return a row for an image known only by name, and its path."""
    path = file_inside(images, name, where=f"image {str(name)[:200]}")
    with reading(f"image {name}"):
        return frame_of(name, size(*image_size(path)), skeleton.name, **more), path


def parse_range(file: IO[bytes], start: int, stop: int, *, nan: bool = False) -> Any:
    """Return the JSON value at bytes `start` to `stop`; FormatError."""
    file.seek(start)
    return parse(file.read(stop - start), f"{file.name}, byte {start}", nan=nan)


def sorted_by_stem(names: Iterable[str]) -> list[str]:
    """Return image names by their stems, numbers of more digits last, each once."""
    return sorted(set(names), key=lambda name: (len(Path(name).stem), Path(name).stem, name))


def format_number(value: float) -> str:
    """Return a number with 12 digits: closer than a millionth of a pixel."""
    return f"{value:.12g}"
