"""MPII style: annotations.json, a list with an entry a person, and images/.

    image, center, scale     the box's centre, and its height / 200 px
    joints (16, 2)           pixel indices (continuous - 0.5); -1 -1: outside or unlabelled
    joints_vis (16)          1 visible, 0 hidden or missing

Loaders for Matlab's 1-based indices subtract one: add it for them. To the sidecar: boxes,
masks, fractions, causes, 3D, joints missing in MPII, pictures without people.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from synthstudio.core.labels import STATE_VISIBLE
from synthstudio.core.safe_files import plain_name
from synthstudio.core.safe_json import read_list
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.rows import Row
from synthstudio.formats import checked, exchange
from synthstudio.formats.exchange import HALF_PX

FILE_NAME = "annotations.json"
SKELETON = "mpii16"
_STATURE_PX = 200
_FOLDER = "images/"
_ABSENT = [-1.0, -1.0]


def to_mpii(frame: Row, people: Iterable[Row]) -> list[Row]:
    """Return an entry for each person; rows are in MPII's joints."""
    found = []
    for row in people:
        x, y, w, h = row["modal_box_px"]
        points = checked.points_of(row)
        found.append(
            {
                "image": frame["file_name"].removeprefix(_FOLDER),
                "center": [x + w / 2 - HALF_PX, y + h / 2 - HALF_PX],
                "scale": h / _STATURE_PX,
                "joints": [[x - HALF_PX, y - HALF_PX] if v else _ABSENT for x, y, v in points],
                "joints_vis": [int(v == STATE_VISIBLE) for _, _, v in points],
            }
        )
    return found


def from_mpii(entries: Sequence[Mapping[str, Any]], frame: Row) -> list[Row]:
    """Undo `to_mpii` for the people of a frame; ValueError."""
    people = []
    for number, entry in enumerate(entries, 1):
        joints, seen = entry["joints"], entry["joints_vis"]
        if len(joints) != 16 or len(seen) != 16 or not set(seen) <= {0, 1}:
            raise ValueError("expected 16 joints and 16 joints_vis of 0 or 1")
        points = []
        for (x, y), v in zip(joints, seen, strict=True):
            place = checked.number(x), checked.number(y)
            absent = not v and list(place) == _ABSENT
            points.append((place[0] + HALF_PX, place[1] + HALF_PX, 0 if absent else 1 + int(v)))
        people.append(checked.person_of(points, frame, number))
    return people


def write(pictures: Iterable[exchange.Picture], out: Path, target: exchange.Target) -> Path:
    """Write annotations.json; return it. OSError."""
    return exchange.write_entries(out / FILE_NAME, pictures, to_mpii)


def round_trip(frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
    return from_mpii(to_mpii(frame, people), frame)


def read(path: Path, images: Path | None, also: Sequence[str]) -> exchange.Opened:
    """Open annotations.json (or its folder); pictures lie in images/, or `images`. FormatError."""
    file, root = exchange.locate(path, FILE_NAME, images, "images")
    spans: dict[str, array[int]] = {name.removeprefix(_FOLDER): array("q") for name in also}
    for span in read_list(file):
        where = f"{file}, byte {span.start}"
        with checked.reading(where):
            name = plain_name(span.value["image"], where=where)
        spans.setdefault(name, array("q")).extend((span.start, span.stop))
    names, skeleton = exchange.sorted_by_stem(spans), get_skeleton(SKELETON)

    def samples() -> Iterator[exchange.ReadSample]:
        with file.open("rb") as opened:
            for name in names:
                frame, image = exchange.frame_with_image(root, name, skeleton)
                ranges = zip(spans[name][::2], spans[name][1::2], strict=True)
                entries = [exchange.parse_range(opened, start, stop) for start, stop in ranges]
                with checked.reading(f"{file}, image {name}"):
                    people = from_mpii(entries, frame)
                yield {**frame, "file_name": _FOLDER + name}, people, image

    return exchange.Opened(
        skeleton=skeleton, names=[_FOLDER + name for name in names], samples=samples()
    )
