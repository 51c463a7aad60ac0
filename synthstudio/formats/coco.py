"""COCO keypoint files, there and back. What each key means: `coco_entries.INFO`, in each file.

    samples (frame row, its instance rows) ──► export_coco ──► one JSON file
    load_coco ──► from_coco ──► frame rows, instance rows

Image id = frame index; annotation id = frame index x 1000 + instance: the same person has the
same id in every export.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from synthstudio.core.safe_json import BEGIN, read_members
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.durable import TEMPORARY, disk_errors, sync_folder
from synthstudio.dataset.manifest import AssetRow
from synthstudio.dataset.rows import Row, Sample
from synthstudio.formats.coco_entries import (
    REALS,
    annotation_entries,
    bad,
    frame_row,
    head,
    image_entry,
    instance_row,
    unfinished_entries,
)
from synthstudio.formats.coco_text import dump, dump_all

_LISTS = ("images", "annotations", "categories")
_BATCH = 8


@dataclass(frozen=True, kw_only=True)
class CocoCounts:
    """What an export held. `skipped`: people under 16 modal pixels; `largest`: of one image."""

    images: int
    annotations: int
    skipped: int
    largest: int


def to_coco(
    samples: Iterable[Sample],
    skeleton: Skeleton,
    *,
    assets: Sequence[AssetRow] = (),
    polygons: bool = False,
) -> dict[str, Any]:
    """Return the whole file as one object; `export_coco` writes the same without holding it."""
    images, annotations = [], []
    for frame, people in samples:
        images.append(image_entry(frame))
        annotations += annotation_entries(frame, people, polygons=polygons)
    return {"annotations": annotations, "images": images, **head(skeleton, assets)}


def from_coco(data: Mapping[str, Any], skeleton: Skeleton) -> tuple[list[Row], list[Row]]:
    """Return the rows of frames and instances that a COCO object holds.

    What `to_coco` wrote comes back as it was, but for the FrameSpec. In files of others, v=2 is
    `visible`, v=1 hidden by `unknown` and v=0 `unlabelled`, shares are NaN, and what nobody
    said is null; people are numbered in the order of their ids, and iscrowd regions are left
    out. FormatError when the file is not COCO or has other joints than `skeleton`. For files of
    any size: `coco_file.CocoFile`.
    """
    _check_top(data, skeleton)
    joints = len(skeleton.joints)
    frames = {image["id"]: frame_row(image, skeleton) for image in data["images"]}
    people: dict[int, list[Row]] = {index: [] for index in frames}
    for entry in sorted(data["annotations"], key=lambda a: a["id"]):
        if entry.get("iscrowd"):
            continue
        if entry["image_id"] not in frames:
            raise bad("no such image", where=f"annotation {entry['id']}", got=entry["image_id"])
        found = people[entry["image_id"]]
        found.append(instance_row(entry, frames[entry["image_id"]], len(found) + 1, joints))
    order = sorted(frames)
    return [frames[i] for i in order], [row for i in order for row in people[i]]


def export_coco(
    samples: Iterable[Sample],
    out_path: Path,
    *,
    skeleton: Skeleton,
    assets: Sequence[AssetRow] = (),
    polygons: bool = False,
) -> CocoCounts:
    """Write a COCO file whole or not at all, a few frames in memory at a time.

    `file_name` is taken from the frame rows as it stands. The same samples give the same
    bytes. `polygons` writes modal masks as polygons instead of run-length codes. DiskError
    when writing fails.
    """
    temporary = out_path.with_name(f"{TEMPORARY}{out_path.name}-{os.getpid()}")
    with disk_errors(out_path):
        try:
            with (
                temporary.open("w", encoding="utf-8") as file,
                tempfile.TemporaryFile("w+", dir=out_path.parent, encoding="utf-8") as images,
            ):
                counts = _write(file, images, samples, polygons)
                for name, value in sorted(head(skeleton, assets).items()):
                    if name == "info":
                        _append_images(file, images)
                    file.write(f',\n"{name}": {dump(value)}')
                file.write("\n}\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(out_path)
            sync_folder(out_path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    return counts


def load_coco(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file, wholly in memory; FormatError when it is none."""
    data: dict[str, Any] = {}
    for name, span in read_members(path, streamed=_LISTS):
        if span is BEGIN:
            data[name] = []
        elif name in _LISTS:
            data[name].append(span.value)
        else:
            data[name] = span.value
    return data


def _write(file: IO[str], images: IO[str], samples: Iterable[Sample], polygons: bool) -> CocoCounts:
    """Write annotations to `file` and the images, which come later in it, to a second one."""
    count = annotations = skipped = largest = 0
    waiting: list[Row] = []

    def flush() -> None:
        nonlocal annotations
        for text in dump_all(waiting, REALS):
            file.write(",\n" if annotations else "\n")
            file.write(text)
            annotations += 1
        waiting.clear()

    file.write('{\n"annotations": [')
    for frame, people in samples:
        shown = unfinished_entries(frame, people, polygons=polygons)
        images.write((",\n" if count else "\n") + dump(image_entry(frame)))
        waiting += shown
        if len(waiting) >= _BATCH:
            flush()
        count, skipped = count + 1, skipped + len(people) - len(shown)
        largest = max(largest, len(shown))
    flush()
    file.write("\n]")
    return CocoCounts(images=count, annotations=annotations, skipped=skipped, largest=largest)


def _append_images(file: IO[str], images: IO[str]) -> None:
    file.write(',\n"images": [')
    images.seek(0)
    shutil.copyfileobj(images, file, 1 << 13)
    file.write("\n]")


def _check_top(data: Mapping[str, Any], skeleton: Skeleton) -> None:
    for name in _LISTS:
        if not isinstance(data.get(name), list):
            raise bad(f"no list {name}", where="COCO file", got=type(data.get(name)).__name__)
    joints = [tuple(c.get("keypoints", ())) for c in data["categories"]]
    if skeleton.joints not in joints:
        raise bad(
            "no category with the joints of the skeleton",
            where="COCO file: categories",
            expected=", ".join(skeleton.joints),
            got="; ".join(", ".join(names) for names in joints if names) or "none",
        )
