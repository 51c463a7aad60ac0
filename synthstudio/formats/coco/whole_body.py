"""Reading and writing COCO-WholeBody: COCO's keys for the body, additional keys for its parts.

`keypoints` are the 17 of a body; `foot_kpts` (6), `face_kpts` (68), `lefthand_kpts` and
`righthand_kpts` (21) are x, y, v as those. Each part has `PART_valid`, and all but feet a
`PART_box` x, y, w, h round its labelled points. Annotators label a part only where it is clear
enough, and then whole; here a part is valid if any of its joints is labelled, also if hidden.
The format: github.com/jin-s13/COCO-WholeBody, data_format.md. To the sidecar: everything else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from synthstudio.core import whole_body
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.core.whole_body import SKELETON
from synthstudio.dataset.manifest import AssetRow
from synthstudio.dataset.rows import Row
from synthstudio.formats.checked import around_points
from synthstudio.formats.coco import write as coco
from synthstudio.formats.coco.entries import (
    INFO,
    annotation_entries,
    bad,
    head,
    image_entry,
    instance_row,
)
from synthstudio.formats.coco.file import CocoFile
from synthstudio.formats.exchange import HALF_PX, Opened, Picture, Target

PARTS = {name.replace("_", ""): at for name, at in whole_body.PARTS.items()}
"""Published name of a part -> indices of its joints in the skeleton."""
_BOXED = ("face", "lefthand", "righthand")
_STANDARD = ("id", "image_id", "category_id", "iscrowd", "bbox", "area", "segmentation")
_IMAGE = ("id", "file_name", "width", "height", "date_captured", "split")


def keypoints_key(part: str) -> str:
    return "keypoints" if part == "body" else f"{part}_kpts"


def to_whole_body(
    frame: Mapping[str, Any], people: Sequence[Mapping[str, Any]], polygons: bool = False
) -> list[Row]:
    entries = annotation_entries(frame, people, polygons)
    return [{name: e[name] for name in _STANDARD} | _parts(e["keypoints"]) for e in entries]


def _parts(keypoints: Sequence[float]) -> Row:
    out: Row = {}
    for part, at in PARTS.items():
        own = list(keypoints[3 * at.start : 3 * at.stop])
        out[keypoints_key(part)] = own
        if part == "body":
            out["num_keypoints"] = sum(v > 0 for v in own[2::3])
            continue
        out[f"{part}_valid"] = any(own[2::3])
        if part in _BOXED:
            out[f"{part}_box"] = _box(own)
    return out


def _box(keypoints: Sequence[float]) -> list[float]:
    """x, y, w, h in continuous pixels round the labelled points; zeros without one."""
    points = zip(keypoints[::3], keypoints[1::3], keypoints[2::3], strict=True)
    return around_points([(x + HALF_PX, y + HALF_PX) for x, y, v in points if v])


def joined_keypoints(entry: Mapping[str, Any], *, result: bool = False) -> list[float]:
    """Return x, y, v of all 133 joints; a part that is not valid or, in other files, not there is
    all zeros.

    A fractional v of a part is rounded up: in other files it may be a confidence.
    With `result` (a network's output) v is ignored. ValueError.
    """
    out: list[float] = []
    for part, at in PARTS.items():
        count = at.stop - at.start
        own = entry.get("keypoints") if part == "body" else entry.get(f"{part}_kpts")
        if own is None or entry.get(f"{part}_valid", True) is False:
            own = [0] * (3 * count)
        if not isinstance(own, list) or len(own) != 3 * count:
            raise ValueError(f"{keypoints_key(part)}: {3 * count} numbers x, y, v")
        if set(map(type, own)) - {int, float} or not all(map(math.isfinite, own)):
            raise ValueError(f"{keypoints_key(part)}: invalid number")
        seen = [1] * count if result else [v if part == "body" else math.ceil(v) for v in own[2::3]]
        out += [n for each in zip(own[::3], own[1::3], seen, strict=True) for n in each]
    return out


class _File(CocoFile):
    """A COCO-WholeBody file: its category names the 17 joints of a body, its people have 133."""

    def _skeleton(self) -> Skeleton:
        found = super()._skeleton()
        if found.name not in ("coco17", SKELETON):
            raise bad(
                "keypoints of the category differ from COCO-WholeBody's",
                where=f"{self.path}, categories",
                expected="the 17 of COCO",
                got=found.name,
            )
        return get_skeleton(SKELETON)

    def _person(self, value: dict[str, Any], frame: Row, number: int) -> Row:
        return super()._person(_joined(value), frame, number)


def _joined(entry: Mapping[str, Any]) -> Row:
    try:
        whole = joined_keypoints(entry)
    except (ValueError, KeyError) as error:
        raise bad(str(error), where=f"annotation {str(entry.get('id'))[:40]}") from error
    return {**entry, "keypoints": whole}


def _head(skeleton: Skeleton, assets: Sequence[AssetRow]) -> Row:
    body = head(get_skeleton("coco17"), assets)
    keys = ("id", "name", "supercategory", "keypoints", "skeleton")
    body["categories"] = [{name: body["categories"][0][name] for name in keys}]
    return body | {"info": {name: INFO[name] for name in ("description", "date_created")}}


def _image(frame: Mapping[str, Any]) -> Row:
    entry = image_entry(frame)
    return {name: entry[name] for name in _IMAGE}


_DIALECT = coco.Dialect(head=_head, image=_image, people=to_whole_body)


def write(pictures: Iterable[Picture], out: Path, target: Target) -> Path:
    """Write as COCO does: a file per split. OSError, DiskError."""
    return coco.write(pictures, out, target, dialect=_DIALECT)


def read(path: Path, images: Path | None, also: Sequence[str]) -> Opened:
    """Open a COCO-WholeBody file, or the folder of an export; FormatError."""
    return coco.read(path, images, also, opener=_File)


def round_trip(frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
    entries = map(_joined, to_whole_body(frame, people))
    joints = len(get_skeleton(SKELETON).joints)
    return [instance_row(entry, frame, n, joints) for n, entry in enumerate(entries, 1)]
