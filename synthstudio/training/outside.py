"""People straight from a COCO keypoints file: cut out once, from pictures that stay where they are.

Files from outside are read with the importers' care (formats/coco/file.py). What nobody labelled
stays unknown: joints with v=0, causes and shares, what covers a person, places in 3D.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from synthstudio.core.errors import FormatError, ModelError
from synthstudio.core.images import decode_rgb, read_bytes
from synthstudio.core.safe_files import file_inside
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.durable import file_sha256
from synthstudio.dataset.rows import Row
from synthstudio.formats.coco.file import CocoFile
from synthstudio.training.crops import (
    U8,
    Sample,
    Taken,
    cached,
    cut_out,
    open_crops,
    sizes_key,
    unlike,
)

LARGEST = 4.0
"""A box with a side longer than so many longer sides of its picture is no person's."""
LARGEST_PX = 12_000.0
"""Nor is one longer than this: what is cut out has to fit into memory."""
_MEND = "synthstudio validate FILE lists such boxes; --fix COPY takes them from masks."


def take_coco(
    path: Path,
    images: Path | None,
    *,
    size: tuple[int, int],
    cache: Path,
    progress: Callable[[int, int], None],
    skeleton: Skeleton | None = None,
) -> Taken:
    """Return the crops of a COCO keypoints file's people, from the cache or made now.

    `images`: where its pictures lie, if not beside it. `size`: the network's (H, W). `bones`: the
    skeleton that people are converted to, as import does it. FormatError or AssetError: something
    is wrong with the file or a picture; ModelError: nobody in it has a labelled joint, or
    pictures changed since people were cut out of them.
    """
    root = images or path.parent
    if not path.is_file():
        raise FormatError(
            "there is no such file", where=str(path), expected="a COCO keypoints file"
        )
    target = "" if skeleton is None else skeleton.name
    digest = hashlib.sha256(f"{file_sha256(path)} {root.resolve()} {target}".encode())
    digest.update(sizes_key(size))

    def make(out: Path) -> dict[str, Any]:
        with closing(CocoFile(path)) as opened:
            lengths, total = _looked_at(opened, root)
            own = opened.skeleton
            made = skeleton or own
            cut = cut_out(
                _samples(opened, root),
                made,
                size=size,
                total=total,
                out=out,
                progress=progress,
                where=str(path),
            )
            if cut < total:
                opened.left_out["a person without a labelled joint, a box or an area"] = total - cut
            left = [f"left out: {note}" for note in opened.notes]
        return {"skeleton": made.name, "pictures": lengths, "notes": [*unlike(own, made), *left]}

    kept, facts = cached(cache, digest.hexdigest(), make)
    _check_same(facts["pictures"], root, kept)
    # Where the pictures lie is no part of what they are: another machine has the same key.
    said = [file_sha256(path), sorted(facts["pictures"].items()), facts["skeleton"]]
    key = hashlib.sha256(repr(said).encode() + sizes_key(size)).hexdigest()
    return Taken(
        crops=open_crops(kept),
        key=key,
        skeleton=get_skeleton(facts["skeleton"]),
        source=path.name,
        notes=tuple(facts["notes"]),
    )


def _looked_at(opened: CocoFile, root: Path) -> tuple[dict[str, int], int]:
    """Check every entry before the first picture is decoded; return lengths and people."""
    lengths, people, counted = {}, 0, opened.left_out.copy()
    for frame, found in opened.samples():
        where = f"{opened.path}, image {frame['index']}"
        picture = file_inside(root, frame["file_name"], where=where)
        lengths[frame["file_name"]] = picture.stat().st_size
        people += len(found)
        for person in found:
            _check_box(person, frame, where)
    opened.left_out = counted  # the second reading counts again
    return lengths, people


def _check_box(person: Row, frame: Row, where: str) -> None:
    """Refuse a box that lies outside its picture or is far too large to be somebody's."""
    x, y, w, h = person["amodal_box_px"] or person["modal_box_px"]
    if not (w > 0 and h > 0):
        return  # such people are left out when they are cut out
    width, height = frame["width_px"], frame["height_px"]
    most = min(LARGEST * max(width, height), LARGEST_PX)
    if w > most or h > most:
        raise FormatError(
            "a person's box is absurdly large",
            where=where,
            expected=f"sides of at most {most:g} px in a picture of {width} x {height}",
            got=f"x {x:g}, y {y:g}, {w:g} x {h:g}",
            then=_MEND,
        )
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise FormatError(
            "a person's box lies outside the picture",
            where=where,
            expected=f"some of it inside {width} x {height}",
            got=f"x {x:g}, y {y:g}, {w:g} x {h:g}",
            then=_MEND,
        )


def _samples(opened: CocoFile, root: Path) -> Iterator[Sample]:
    for frame, people in opened.samples():
        name = frame["file_name"]
        path = file_inside(root, name, where=f"image {frame['index']}")

        def rgb(path: Path = path, frame: Row = frame) -> U8:
            found = decode_rgb(read_bytes(path), str(path))
            stated = (frame["height_px"], frame["width_px"])
            if found.shape[:2] != stated:
                raise FormatError(
                    "the picture has another size",
                    where=str(path),
                    expected=f"{stated[1]} x {stated[0]}, as the file says",
                    got=f"{found.shape[1]} x {found.shape[0]}",
                    then="Labels are of the upright picture.",
                )
            return found

        group = frame["group_id"] or f"image {frame['index']}"
        yield Sample(frame={**frame, "group_id": group}, people=people, rgb=rgb)


def _check_same(lengths: dict[str, int], root: Path, kept: Path) -> None:
    """ModelError when a picture is gone, or has another length than when it was cut."""
    for name, length in lengths.items():
        path = root / name
        now = path.stat().st_size if path.is_file() else None
        if now != length:
            raise ModelError(
                "a picture changed since people were cut out of it",
                where=str(path),
                expected=f"{length} bytes",
                got="no file" if now is None else f"{now}",
                then=f"Bring it back, or delete {kept} to cut everybody out anew.",
            )
