"""COCO keypoint files, there and back. What each key means: `info.INFO`, in each file.

    samples (frame row, its instance rows) ──► write_coco ──► one JSON file
    file ──► file.CocoFile ──► samples

Image id = frame index; annotation id = frame index x 1000 + instance: the same person has the
same id in every export.
"""

from __future__ import annotations

import shutil
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from synthstudio.core.safe_files import file_inside
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.durable import atomic_file, disk_errors
from synthstudio.dataset.manifest import AssetRow
from synthstudio.dataset.rows import Row, Sample
from synthstudio.formats.coco.entries import (
    REALS,
    annotation_entries,
    head,
    image_entry,
    instance_row,
    unfinished_entries,
)
from synthstudio.formats.coco.file import FILE_NAME, CocoFile
from synthstudio.formats.coco.text import dump, dump_all
from synthstudio.formats.exchange import (
    Opened,
    Picture,
    ReadSample,
    Target,
    locate,
    save_image,
)

_BATCH = 8
_STANDARD = ("id", "bbox", "area", "segmentation", "keypoints")


def write(pictures: Iterable[Picture], out: Path, target: Target) -> Path:
    """Write annotations.json and images/; return the former. OSError, DiskError."""
    (out / "images").mkdir()

    def samples() -> Iterator[Sample]:
        for picture in pictures:
            save_image(out, picture)
            yield picture[:2]

    path = out / FILE_NAME
    write_coco(
        samples(),
        path,
        skeleton=target.skeleton,
        assets=target.assets,
        polygons=target.polygons,
    )
    return path


def read(path: Path, images: Path | None, also: Sequence[str]) -> Opened:
    """Open a COCO file (or its folder); images are beside it, or below `images`. FormatError."""
    file, root = locate(path, FILE_NAME, images)
    opened = CocoFile(file)
    ids = array("q", opened.ids())

    def samples() -> Iterator[ReadSample]:
        for frame, people in opened.samples():
            where = f"image {frame['index']}"
            yield frame, people, file_inside(root, frame["file_name"], where=where)

    return Opened(
        skeleton=opened.skeleton,
        numbers=ids if opened.ours else range(len(ids)),
        samples=samples(),
        assets=opened.assets,
        notes=lambda: opened.notes,
        licence=lambda: opened.licence,
        close=opened.close,
    )


def round_trip(frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
    """Return the people as read back; without `extras` only what any tool keeps of them."""
    joints = len(get_skeleton(frame["skeleton"]).joints)
    entries = annotation_entries(frame, people)
    if not extras:
        entries = [{name: entry[name] for name in _STANDARD} for entry in entries]
    return [instance_row(entry, frame, n, joints) for n, entry in enumerate(entries, 1)]


def write_coco(
    samples: Iterable[Sample],
    out_path: Path,
    *,
    skeleton: Skeleton,
    assets: Sequence[AssetRow] = (),
    polygons: bool = False,
) -> int:
    """Write a COCO file whole or not at all, a few frames in memory at a time.

    `file_name` is taken from the frame rows as it stands. The same samples give the same bytes.
    `polygons` writes modal masks as polygons instead of run-length codes. Returns the number of
    annotations. DiskError when writing fails.
    """
    with (
        disk_errors(out_path),
        tempfile.TemporaryFile("w+", dir=out_path.parent, encoding="utf-8") as images,
        atomic_file(out_path) as file,
    ):
        count = _write_annotations(file, images, samples, polygons)
        for name, value in sorted(head(skeleton, assets).items()):
            if name == "info":
                _append_images(file, images)
            file.write(f',\n"{name}": {dump(value)}')
        file.write("\n}\n")
    return count


def _write_annotations(
    file: IO[str], images: IO[str], samples: Iterable[Sample], polygons: bool
) -> int:
    """Write annotations to `file`, and the images, which come later in it, to a second file."""
    count = 0
    batch: list[Row] = []

    def flush() -> None:
        nonlocal count
        for text in dump_all(batch, REALS):
            file.write(",\n" if count else "\n")
            file.write(text)
            count += 1
        batch.clear()

    file.write('{\n"annotations": [')
    for number, (frame, people) in enumerate(samples):
        images.write((",\n" if number else "\n") + dump(image_entry(frame)))
        batch += unfinished_entries(frame, people, polygons=polygons)
        if len(batch) >= _BATCH:
            flush()
    flush()
    file.write("\n]")
    return count


def _append_images(file: IO[str], images: IO[str]) -> None:
    file.write(',\n"images": [')
    images.seek(0)
    shutil.copyfileobj(images, file, 1 << 13)
    file.write("\n]")
