"""OCHuman style: ochuman.json and images/.

An image has its `annotations`: bbox x0 y0 x1 y1, `max_iou` with another person's box, `segms`
(polygons), and 19 keypoints x, y, code: 0 missing, 1 visible, 2 self-occluded, 3 occluded by
others. Points are pixel indices, boxes and polygons continuous. To the sidecar: fractions, occluder
ids, 3D, amodal masks; head and neck: see formats/joints.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from synthstudio.core.errors import FormatError
from synthstudio.core.labels import STATE_VISIBLE
from synthstudio.core.masks import decode, mask_polygons
from synthstudio.core.safe_files import plain_name
from synthstudio.core.safe_json import BEGIN, read_members
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.rows import Row
from synthstudio.formats import checked, exchange
from synthstudio.formats.coco.entries import max_iou

FILE_NAME = "ochuman.json"
SKELETON = "ochuman19"
CODES = {"missing": 0, "vis": 1, "self_occluded": 2, "others_occluded": 3}
_FOLDER = "images/"


def to_ochuman(frame: Row, people: Sequence[Row]) -> Row:
    """Return an image's entry; rows are in OCHuman's joints."""
    overlaps = max_iou([row["modal_box_px"] for row in people])
    return {
        "image_id": f"{frame['index']:06d}",
        "file_name": frame["file_name"].removeprefix(_FOLDER),
        "width": frame["width_px"],
        "height": frame["height_px"],
        "annotations": [_entry(row, o) for row, o in zip(people, overlaps, strict=True)],
    }


def _entry(row: Row, overlap: float) -> Row:
    x, y, w, h = row["modal_box_px"]
    keypoints = list[float]()
    for cause, (u, v, state) in zip(row["cause"], checked.points_of(row), strict=True):
        if state:
            code = 1 if state == STATE_VISIBLE else 2 if cause == "self" else 3
            keypoints += [u - exchange.HALF_PX, v - exchange.HALF_PX, code]
        else:
            keypoints += [0, 0, 0]
    segms = None
    if row["modal_counts"] is not None:
        mask = decode({"size": row["mask_size"], "counts": row["modal_counts"]})
        segms = {"outer": mask_polygons(mask), "inner": []}
    return {
        "bbox": [x, y, x + w, y + h],
        "keypoints": keypoints,
        "max_iou": overlap,
        "segms": segms,
    }


def from_ochuman(entries: Sequence[Mapping[str, Any]], frame: Row) -> list[Row]:
    """Undo `to_ochuman` for an image's annotations; those without keypoints are left out."""
    people: list[Row] = []
    for entry in entries:
        if entry.get("keypoints") is None:
            continue
        keypoints = entry["keypoints"]
        if len(keypoints) != 57 or not set(keypoints[2::3]) <= set(CODES.values()):
            raise ValueError("keypoints must be 19 x (x, y, code 0 to 3)")
        codes = [int(c) for c in keypoints[2::3]]
        points = [
            (
                checked.number(x) + exchange.HALF_PX,
                checked.number(y) + exchange.HALF_PX,
                (0, 2, 1, 1)[c],
            )
            for x, y, c in zip(keypoints[::3], keypoints[1::3], codes, strict=True)
        ]
        x0, y0, x1, y1 = (checked.number(v) for v in entry["bbox"])
        box = checked.box([x0, y0, x1 - x0, y1 - y0])
        row = checked.person_of(
            points, frame, len(people) + 1, box_px=box, modal_counts=_mask(entry, frame)
        )
        row["cause"] = [
            "self" if c == 2 else cause for c, cause in zip(codes, row["cause"], strict=True)
        ]
        people.append(row)
    return people


def _mask(entry: Mapping[str, Any], frame: Row) -> str | None:
    segms = entry.get("segms")
    if not segms or not segms["outer"] or segms.get("inner"):
        return None
    return checked.compressed_counts(list(segms["outer"]), (frame["height_px"], frame["width_px"]))


def write(pictures: Iterable[exchange.Picture], out: Path, target: exchange.Target) -> Path:
    """Write ochuman.json; return it. OSError."""
    names = json.dumps(target.skeleton.joints)
    return exchange.write_entries(
        out / FILE_NAME,
        pictures,
        lambda frame, people: [to_ochuman(frame, people)],
        head=f'{{"keypoint_names": {names}, "keypoint_visible": {json.dumps(CODES)},\n"images": [',
        tail="\n]}\n",
    )


def round_trip(frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
    return from_ochuman(to_ochuman(frame, people)["annotations"], frame)


def read(path: Path, images: Path | None, also: Sequence[str]) -> exchange.Opened:
    """Open ochuman.json (or its folder); pictures lie in images/, or `images`. FormatError."""
    file, root = exchange.locate(path, FILE_NAME, images, "images")
    spans: dict[str, tuple[int, int]] = {}
    bare = 0
    for key, span in read_members(file, streamed=("images",)):
        if key == "images" and span is not BEGIN:
            where = f"{file}, byte {span.start}"
            with checked.reading(where):
                name = plain_name(span.value["file_name"], where=where)
                bare += sum(a.get("keypoints") is None for a in span.value["annotations"])
            if name in spans:
                raise FormatError("two images share a name", where=str(file))
            spans[name] = span.start, span.stop
    skeleton = get_skeleton(SKELETON)

    def samples() -> Iterator[exchange.ReadSample]:
        with file.open("rb") as opened:
            for name, at in spans.items():
                value = exchange.parse_range(opened, *at)
                frame, image = exchange.frame_with_image(root, name, skeleton)
                with checked.reading(f"{file}, image {name}"):
                    people = from_ochuman(value["annotations"], frame)
                yield {**frame, "file_name": _FOLDER + name}, people, image

    return exchange.Opened(
        skeleton=skeleton,
        names=[_FOLDER + name for name in spans],
        samples=samples(),
        notes=lambda: [f"{bare} x annotation without keypoints"] if bare else [],
    )
