"""People and images read straight from a COCO keypoints file, cropped or letter-boxed.

The file is checked as by importers (formats/coco/file.py). Missing labels stay unknown:
joints with v=0, causes and shares, occluders, 3D joints.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from synthstudio.core.arrays import U8
from synthstudio.core.errors import FormatError, ModelError
from synthstudio.core.images import decode_rgb, read_bytes
from synthstudio.core.safe_files import file_inside
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.durable import file_sha256
from synthstudio.dataset.rows import Row
from synthstudio.formats.coco.file import CocoFile, image_folder
from synthstudio.formats.exchange import Skipped
from synthstudio.training.data.samples import (
    Kind,
    Loaded,
    Made,
    Sample,
    cached_crops,
    conversion_notes,
)

MAX_BOX_SIDES = 4.0
"""The longest side of a person's box, in longer sides of the image."""
MAX_BOX_PX = 12_000.0
"""The same in pixels, since a crop must fit into memory."""
_HINT = "synthstudio validate FILE lists such boxes; --fix COPY takes them from masks."


def load_coco(
    path: Path,
    images: Path | None,
    kind: Kind[Made],
    *,
    cache: Path,
    skeleton: Skeleton | None = None,
) -> Loaded[Made]:
    """Make a kind of samples of a COCO keypoints file, or read them from the cache.

    `images`: the folder of its images; default: `image_folder`. `skeleton`: convert people to it,
    as in import. FormatError or AssetError for a bad file or image; ModelError for images that
    changed since, and as the kind's.
    """
    root = images or image_folder(path)
    if not path.is_file():
        raise FormatError("no such file", where=str(path), expected="a COCO keypoints file")
    target = "" if skeleton is None else skeleton.name
    target += "" if kind.labelled else " unlabelled"
    digest = hashlib.sha256(f"{file_sha256(path)} {root.resolve()} {target}".encode() + kind.key)

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
    content = [file_sha256(path), sorted(metadata["pictures"].items()), metadata["skeleton"]]
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
        lengths[frame["file_name"]] = (
            file_inside(root, frame["file_name"], where=where).stat().st_size
        )
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
        raise FormatError(
            "a person's box is far too large",
            where=where,
            expected=f"sides of at most {maximum:g} px in an image of {width} x {height}",
            got=f"x {x:g}, y {y:g}, {w:g} x {h:g}",
            then=_HINT,
        )
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise FormatError(
            "a person's box is outside the image",
            where=where,
            expected=f"some of it inside {width} x {height}",
            got=f"x {x:g}, y {y:g}, {w:g} x {h:g}",
            then=_HINT,
        )


def coco_samples(opened: CocoFile, root: Path, labelled: bool) -> Iterator[Sample]:
    for frame, people in opened.samples():
        name = frame["file_name"]
        path = file_inside(root, name, where=f"image {frame['index']}")

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
