"""What every format's writer takes and every reader gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthstudio.core.errors import DatasetError
from synthstudio.core.images import image_size
from synthstudio.core.safe_paths import file_inside
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.durable import disk_errors
from synthstudio.dataset.manifest import AssetRow
from synthstudio.dataset.rows import Row
from synthstudio.formats.checked import frame_of, reading, size
from synthstudio.formats.coco_entries import is_exported

Picture = tuple[Row, list[Row], bytes]
"""A frame's row named as in the export, those of its people, the bytes of its image."""
Taken = tuple[Row, list[Row], Path | bytes]
"""What a reader found of a frame: its row, those of its people, its image or where it lies."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """An opened file or folder of another tool.

    `samples` come in the order of `numbers`, the frame indices, or where the format knows none of
    `names`, the image files. `notes()` tells, after the last sample, what was not taken over;
    `licence()` is that of the image that came last; `close()` gives back what is held open.
    """

    skeleton: Skeleton
    samples: Iterator[Taken]
    names: Sequence[str] = ()
    numbers: Sequence[int] | None = None
    assets: Sequence[AssetRow] = ()
    notes: Callable[[], list[str]] = field(default=list)
    licence: Callable[[], str] = lambda: ""
    close: Callable[[], None] = lambda: None


def check_free(out: Path) -> None:
    """Refuse a folder that is not free and make the one it lies in; DatasetError, DiskError."""
    with disk_errors(out):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise DatasetError(
                "this needs a folder of its own",
                where=str(out),
                expected="an empty or missing folder",
                then="Choose another --out.",
            )
        out.parent.mkdir(parents=True, exist_ok=True)


def shown(people: Iterable[Row]) -> list[Row]:
    """Return the people who are seen enough to be in a format."""
    return [row for row in people if is_exported(row)]


def image_name(frame: Row) -> str:
    """Return the name that most formats give a frame's image."""
    return f"images/{frame['index']:06d}{Path(frame['file_name']).suffix}"


def save_image(out: Path, picture: Picture) -> None:
    """Write a picture's bytes under its name; OSError."""
    (out / picture[0]["file_name"]).write_bytes(picture[2])


def bare_frame(images: Path, name: Any, skeleton: Skeleton, **more: Any) -> tuple[Row, Path]:
    """Return a row for an image of which only the name is known, and where it lies."""
    path = file_inside(images, name, where=f"image {str(name)[:200]}")
    with reading(f"image {name}"):
        width, height = size(*image_size(path))
        row = frame_of(
            index=0, file_name=name, width=width, height=height, skeleton=skeleton.name, **more
        )
    return row, path


def in_order(names: Iterable[str]) -> list[str]:
    """Return image names by their stems, numbers of more digits last, each once."""
    return sorted(set(names), key=lambda name: (len(Path(name).stem), Path(name).stem, name))


def digits(value: float) -> str:
    """Return a number with 12 digits: closer than a millionth of a pixel."""
    return f"{value:.12g}"
