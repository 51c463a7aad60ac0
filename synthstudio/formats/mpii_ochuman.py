"""MPII and OCHuman: a JSON file of entries that name their pictures in images/.

annotations.json (MPII)   a list with an entry a person, as HRNet and MMPose read it
    image, center, scale      the amodal box's centre in the image, and its height / 200 px
    joints (16, 2)            -1 -1: outside or unlabelled
    joints_vis (16)           1 labelled, 0 not: trainers leave these out of the loss
    is_visible (16)           of the original dataset: 1 visible, 0 hidden
ochuman.json (OCHuman)    an entry an image with its `annotations`
    bbox, max_iou             x0 y0 x1 y1, and the overlap with another person's box
    segms                     polygons
    keypoints                 19 x (x, y, code): 0 missing, 1 visible, 2 self-occluded, 3 occluded
                              by others

Points of MPII are pixel indices from 1 (Matlab's, continuous + 0.5; its loaders subtract one), of
OCHuman from 0; boxes and polygons are continuous. To the sidecar: fractions, occluders, 3D, amodal
masks; of MPII also boxes, masks, causes, joints missing in MPII, pictures without people. Head and
neck of OCHuman: see formats/joints.py.
"""

import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from synthstudio.core.errors import FormatError
from synthstudio.core.labels import STATE_VISIBLE
from synthstudio.core.masks import decode, mask_polygons
from synthstudio.core.safe_files import plain_name
from synthstudio.core.safe_json import BEGIN, read_list, read_members
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.rows import Row
from synthstudio.formats import checked, exchange
from synthstudio.formats.coco.entries import max_iou
from synthstudio.formats.exchange import HALF_PX

CODES = {"missing": 0, "vis": 1, "self_occluded": 2, "others_occluded": 3}
_STATURE_PX = 200
_FOLDER = "images/"
_ABSENT = [-1.0, -1.0]
Spans: TypeAlias = "dict[str, array[int]]"
"""Each picture's entries as bytes of the file: start, stop, start, stop, ..."""


def to_mpii(frame: Row, people: Sequence[Row]) -> list[Row]:
    """Return an entry for each person; rows are in MPII's joints."""
    found = []
    for row in people:
        box, points = row["amodal_box_px"] or row["modal_box_px"], checked.points_of(row)
        x, y, w, h = exchange.inside(box, (frame["height_px"], frame["width_px"]))
        found.append(
            {
                "image": frame["file_name"].removeprefix(_FOLDER),
                "center": [x + w / 2 + HALF_PX, y + h / 2 + HALF_PX],
                "scale": h / _STATURE_PX,
                "joints": [[x + HALF_PX, y + HALF_PX] if v else _ABSENT for x, y, v in points],
                "joints_vis": [int(v > 0) for _, _, v in points],
                "is_visible": [int(v == STATE_VISIBLE) for _, _, v in points],
            }
        )
    return found


def from_mpii(entries: Sequence[Mapping[str, Any]], frame: Row) -> list[Row]:
    """Undo `to_mpii` for the people of a frame; a place with `joints_vis` 0, as some tools write
    hidden joints, is one. ValueError."""
    people = []
    for number, entry in enumerate(entries, 1):
        joints, labelled = entry["joints"], entry["joints_vis"]
        seen = entry.get("is_visible", labelled)
        flags = {*labelled, *seen}
        if {len(joints), len(labelled), len(seen)} != {16} or not flags <= {0, 1}:
            raise ValueError("expected 16 joints, and 16 joints_vis and is_visible of 0 or 1")
        points = []
        for (x, y), known, v in zip(joints, labelled, seen, strict=True):
            place = checked.number(x), checked.number(y)
            absent = not known and list(place) == _ABSENT
            state = 0 if absent else 1 + int(known and v)
            points.append((place[0] - HALF_PX, place[1] - HALF_PX, state))
        people.append(checked.person_of(points, frame, number))
    return people


def to_ochuman(frame: Row, people: Sequence[Row]) -> list[Row]:
    """Return one entry, the image's; rows are in OCHuman's joints."""
    overlaps = max_iou([row["modal_box_px"] for row in people])
    image = {
        "image_id": f"{frame['index']:06d}",
        "file_name": frame["file_name"].removeprefix(_FOLDER),
        "width": frame["width_px"],
        "height": frame["height_px"],
        "annotations": [_entry(row, o) for row, o in zip(people, overlaps, strict=True)],
    }
    return [image]


def _entry(row: Row, overlap: float) -> Row:
    x, y, w, h = row["modal_box_px"]
    keypoints = list[float]()
    for cause, (u, v, state) in zip(row["cause"], checked.points_of(row), strict=True):
        if state:
            code = 1 if state == STATE_VISIBLE else 2 if cause == "self" else 3
            keypoints += [u - HALF_PX, v - HALF_PX, code]
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
    """Undo `to_ochuman`; annotations without keypoints are left out. ValueError."""
    people: list[Row] = []
    for entry in (one for image in entries for one in image["annotations"]):
        if entry.get("keypoints") is None:
            continue
        keypoints = entry["keypoints"]
        if len(keypoints) != 57 or not set(keypoints[2::3]) <= set(CODES.values()):
            raise ValueError("keypoints must be 19 x (x, y, code 0 to 3)")
        codes = [int(c) for c in keypoints[2::3]]
        points = [
            (checked.number(x) + HALF_PX, checked.number(y) + HALF_PX, (0, 2, 1, 1)[c])
            for x, y, c in zip(keypoints[::3], keypoints[1::3], codes, strict=True)
        ]
        x0, y0, x1, y1 = (checked.number(v) for v in entry["bbox"])
        box = checked.box([x0, y0, x1 - x0, y1 - y0])
        row = checked.person_of(
            points, frame, len(people) + 1, box_px=box, modal_counts=_mask(entry, frame)
        )
        row["cause"] = [
            "self" if c == 2 and cause != "truncated" else cause
            for c, cause in zip(codes, row["cause"], strict=True)
        ]
        people.append(row)
    return people


def _mask(entry: Mapping[str, Any], frame: Row) -> str | None:
    segms = entry.get("segms")
    if not segms or not segms["outer"] or segms.get("inner"):
        return None
    return checked.compressed_counts(list(segms["outer"]), (frame["height_px"], frame["width_px"]))


@dataclass(frozen=True, kw_only=True)
class JsonFormat:
    """The entries of a frame and back; `scan`: entries by picture, and notes on those left out."""

    file_name: str
    skeleton: str
    to_entries: Callable[[Row, Sequence[Row]], list[Row]]
    from_entries: Callable[[Sequence[Mapping[str, Any]], Row], list[Row]]
    scan: Callable[[Path, Sequence[str]], tuple[Spans, list[str]]]
    head: str = "["
    tail: str = "\n]\n"

    def write(
        self, pictures: Iterable[exchange.Picture], out: Path, target: exchange.Target
    ) -> Path:
        """Write the file; return it. OSError."""
        return exchange.write_entries(
            out / self.file_name, pictures, self.to_entries, head=self.head, tail=self.tail
        )

    def read(self, path: Path, images: Path | None, also: Sequence[str]) -> exchange.Opened:
        """Open the file (or its folder); pictures lie in images/, or `images`. FormatError."""
        file, root = exchange.locate(path, self.file_name, images, "images")
        skeleton = get_skeleton(self.skeleton)
        spans, notes = self.scan(file, [name.removeprefix(_FOLDER) for name in also])

        def samples() -> Iterator[exchange.ReadSample]:
            with file.open("rb") as opened:
                for name, ends in spans.items():
                    frame, image = exchange.frame_with_image(root, name, skeleton)
                    ranges = zip(ends[::2], ends[1::2], strict=True)
                    entries = [exchange.parse_range(opened, start, stop) for start, stop in ranges]
                    with checked.reading(f"{file}, image {name}"):
                        people = self.from_entries(entries, frame)
                    yield {**frame, "file_name": _FOLDER + name}, people, image

        return exchange.Opened(
            skeleton=skeleton,
            names=[_FOLDER + name for name in spans],
            samples=samples(),
            notes=lambda: notes,
        )

    def round_trip(self, frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
        return self.from_entries(self.to_entries(frame, people), frame)


def _people_by_picture(file: Path, also: Sequence[str]) -> tuple[Spans, list[str]]:
    spans: Spans = {name: array("q") for name in also}
    for span in read_list(file):
        where = f"{file}, byte {span.start}"
        with checked.reading(where):
            name = plain_name(span.value["image"], where=where)
        spans.setdefault(name, array("q")).extend((span.start, span.stop))
    return {name: spans[name] for name in exchange.sorted_by_stem(spans)}, []


def _pictures(file: Path, also: Sequence[str]) -> tuple[Spans, list[str]]:
    spans: Spans = {}
    bare = 0
    for key, span in read_members(file, streamed=("images",)):
        if key == "images" and span is not BEGIN:
            where = f"{file}, byte {span.start}"
            with checked.reading(where):
                name = plain_name(span.value["file_name"], where=where)
                bare += sum(a.get("keypoints") is None for a in span.value["annotations"])
            if name in spans:
                raise FormatError("two images share a name", where=str(file))
            spans[name] = array("q", (span.start, span.stop))
    return spans, [f"{bare} x annotation without keypoints"] if bare else []


MPII = JsonFormat(
    file_name="annotations.json",
    skeleton="mpii16",
    to_entries=to_mpii,
    from_entries=from_mpii,
    scan=_people_by_picture,
)
_JOINTS = json.dumps(get_skeleton("ochuman19").joints)
OCHUMAN = JsonFormat(
    file_name="ochuman.json",
    skeleton="ochuman19",
    to_entries=to_ochuman,
    from_entries=from_ochuman,
    scan=_pictures,
    head=f'{{"keypoint_names": {_JOINTS}, "keypoint_visible": {json.dumps(CODES)},\n"images": [',
    tail="\n]}\n",
)
