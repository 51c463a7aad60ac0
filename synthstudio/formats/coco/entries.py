"""Conversion of rows to and from entries of COCO keypoint files: pure functions."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Any

from pydantic_core import to_json

from synthstudio.core.errors import FormatError
from synthstudio.core.labels import FRAME_LABELS, LABELS, VISIBILITY, Label
from synthstudio.core.masks import (
    as_rle,
    box_overlap,
    check_counts,
    counts_box,
    decode,
    mask_polygons,
)
from synthstudio.core.people import hidden_columns
from synthstudio.core.skeleton import Skeleton, definition
from synthstudio.core.spec import OBJECT_BASE
from synthstudio.core.visibility import AMBIGUOUS_FROM, VISIBLE_THRESHOLD
from synthstudio.dataset.manifest import AssetRow
from synthstudio.dataset.rows import NO_STATE, OBJECTS, Row, distortion_of, hidden_by
from synthstudio.formats import checked
from synthstudio.formats.exchange import EXPORTED_BOX, HALF_PX, exportable, inside
from synthstudio.formats.sidecar import merge

FIXED_DATE = "1970-01-01 00:00:00"
INFO: dict[str, str] = {  # meaning of each key in our files
    "description": "synthetic people with exact keypoints and visibility, made by synthstudio",
    "date_created": FIXED_DATE,
    "keypoints": "pixel indices: continuous pixels - 0.5; v 2 visible, 1 hidden, 0 outside the "
    "frame or unlabelled (then 0,0,0)",
    "bbox": "x y w h in continuous pixels; of the part in `boxes`",
    "modal_bbox": "box of the visible part, if not bbox",
    "segmentation, area": "modal (visible part): mask, pixels",
    "amodal_bbox, amodal_segmentation, amodal_area": "the person alone; the box may leave the "
    "frame, mask and area are inside it",
    "keypoints_all": "J x (x, y) continuous pixels, also hidden and outside; null before the "
    "near plane",
    "keypoints_3d_camera_m, keypoints_3d_world_m": "J x (x, y, z) metres, of which keypoints are "
    "the projection, regressed from the body's surface; camera: x right, y down, z forward; "
    "world: z up",
    "keypoints_3d_kinematic_world_m": "J x (x, y, z) metres in the world: rotation centres, "
    "with constant bone lengths; null: unknown",
    "K, world_to_camera": "on images; K projects keypoints_3d_camera_m to keypoints_all",
    "distortion": "on images with lens distortion: k1, k2, p1, p2, OpenCV's distCoeffs, with "
    "which K projects",
    "visibility_fractions": f"J x ({', '.join(VISIBILITY)}), of the surface patch round the joint, "
    "sum 1; null: unknown",
    "cause": "J: visible, the cause that hides most of the patch, or truncated (outside the frame)",
    "ambiguous": f"J: visible share between {AMBIGUOUS_FROM} and {VISIBLE_THRESHOLD}",
    "hidden_by": "J lists of [instance, share], largest first; people from 1, objects from 1000 "
    "(`objects` on images)",
    "instance_number": "the person's number in the image, from 1, as in hidden_by",
    "occluder_id": "J: the largest occluder of the winning cause; 0 none",
    "truncated": "part of the person's camera-facing surface is outside the frame",
    "crowdIndex": "on images, as in CrowdPose: the same as crowd_index",
    "other keys": "columns of the data set's own tables (synthstudio/dataset/rows.py)",
    "max_iou": "as in OCHuman: the largest overlap (IoU) of the person's box with another's",
}
CATEGORY_ID = 1
INSTANCE = LABELS["instance"].coco
"""Key of a person's number. FiftyOne reserves `instance_id` and opens no file with it."""
_COPIED = {
    one.coco: one
    for name, one in LABELS.items()
    if one.coco and name not in ("state", "instance", "modal_box_px", "modal_area_px")
}
"""Keys of an annotation that hold a column."""
_NOT_COPIED = (
    *("index", "file_name", "width_px", "height_px", "skeleton", "layers", "spec"),
    *OBJECTS,
)
_FRAME_COPIED = {
    one.coco or name: one for name, one in FRAME_LABELS.items() if name not in _NOT_COPIED
}
"""Keys of an image that hold a column."""


def _is_matrix(label: Label) -> bool:
    """Whether a file has the column as lists of reals in a list."""
    return label.kind == "float" and len(label.shape) == 2


REALS = {key for key, label in _COPIED.items() if _is_matrix(label)}
"""Keys of an annotation that hold nearly all of its reals."""
_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)
_UNLIKE_PYTHON = re.compile(r"[eIN]|0\.0000")
"""In JSON of pydantic_core: a number below 1e-4, from 1e16 on, or not finite."""


def head(skeleton: Skeleton, assets: Sequence[AssetRow]) -> dict[str, Any]:
    """Return every top-level entry but images and annotations."""
    own = definition(skeleton) if skeleton.own else None
    kind = own["category"] if own else "person"
    category = {
        "id": CATEGORY_ID,
        "name": kind,
        "supercategory": kind,
        "keypoints": list(skeleton.joints),
        "skeleton": [[a + 1, b + 1] for a, b in skeleton.edges],  # COCO counts joints from 1
        "flip": skeleton.flip.tolist(),
        "sigmas": skeleton.sigmas.tolist(),
        "sigma_source": skeleton.sigma_source,
        "places": list(skeleton.places),
        "skeleton_name": skeleton.title,
        **({"own_skeleton": own} if own else {}),  # an import restores the same skeleton
    }
    licences = [
        {
            "id": i,
            "name": a.licence or "not stated",
            "url": a.source,
            "asset": a.name,
            "sha256": a.sha256,
        }
        for i, a in enumerate(assets, 1)
    ]
    return {"categories": [category], "info": INFO, "licenses": licences}


def image_entry(frame: Mapping[str, Any]) -> Row:
    objects = zip(*(frame[name] for name in OBJECTS), strict=True)
    bent = distortion_of(frame["spec"])
    return {
        "id": frame["index"],
        "file_name": frame["file_name"],
        "width": frame["width_px"],
        "height": frame["height_px"],
        "date_captured": FIXED_DATE,
        "objects": [{"instance": i, "kind": k, "held_by": h} for i, k, h in objects],
        "crowdIndex": frame["crowd_index"],
        **({} if bent is None else {"distortion": bent}),
        **_to_json(frame, _FRAME_COPIED),
    }


def annotation_entries(
    frame: Mapping[str, Any], people: Sequence[Mapping[str, Any]], polygons: bool = False
) -> list[Row]:
    """Return the entries of `annotations` of a frame's sufficiently visible people."""
    kept = exportable(people)
    overlaps = max_iou([row["modal_box_px"] for row in kept])
    return [
        {**_annotation_entry(frame, row, polygons=polygons), "max_iou": overlap}
        for row, overlap in zip(kept, overlaps, strict=True)
    ]


def max_iou(boxes: Sequence[Sequence[float]]) -> list[float]:
    found = [0.0] * len(boxes)
    for i, box in enumerate(boxes):
        for j, other in enumerate(boxes[:i]):
            iou = box_overlap(box, other)
            found[i], found[j] = max(found[i], iou), max(found[j], iou)
    return found


def _annotation_entry(frame: Mapping[str, Any], row: Mapping[str, Any], *, polygons: bool) -> Row:
    size, keypoints = list(row["mask_size"]), _keypoints(row)
    modal, outside = as_rle(row["modal_counts"], size), row["truncated_fraction"]
    boxes = {"bbox": list(row["modal_box_px"])}
    if EXPORTED_BOX in row:
        boxes = {"bbox": row[EXPORTED_BOX], "modal_bbox": boxes["bbox"]}
    return {
        "id": row.get("source_id", annotation_id(frame["index"], row["instance"])),
        "image_id": frame["index"],
        "category_id": CATEGORY_ID,
        "iscrowd": 0,
        **boxes,
        "area": row["modal_area_px"],
        "segmentation": mask_polygons(decode(modal)) if polygons and modal else modal or [],
        "keypoints": keypoints,
        "num_keypoints": sum(v > 0 for v in keypoints[2::3]),
        "state": [None if s == NO_STATE else s for s in row["state"]],
        "hidden_by": [[list(pair) for pair in pairs] for pairs in hidden_by(row)],
        INSTANCE: row["instance"],
        "amodal_segmentation": as_rle(row["amodal_counts"], size),
        "truncated": None if outside is None else outside > 0,
        **_to_json(row, _COPIED),
    }


def annotation_id(index: int, instance: int) -> int:
    """Return the id of a person's annotation; never 0, which pycocotools treats as missing."""
    return index * OBJECT_BASE + instance


def frame_row(image: Mapping[str, Any], skeleton: str, index: int) -> Row:
    """Undo `image_entry`; missing values of other files are null, 0 or empty. FormatError."""
    with checked.reading(f"image {str(image.get('id'))[:40]}"):
        size, objects = checked.size(image["width"], image["height"]), image.get("objects", [])
        crowd = image.get("crowd_index", image.get("crowdIndex"))
        # Without the frame's spec the distortion is unknown, so K alone would be wrong.
        K = None if image.get("distortion") else image.get("K")
        row = checked.frame_of(
            checked.text(image["file_name"], 1024),
            size,
            skeleton,
            index=index,
            object_instance=[t["instance"] for t in objects],
            object_kind=[t["kind"] for t in objects],
            object_held_by=[t["held_by"] for t in objects],
            **_from_json({**image, "K": K, "crowd_index": crowd}, _FRAME_COPIED),
        )
        checked.check_frame(row)
        return row


def instance_row(
    entry: Mapping[str, Any], frame: Row, number: int, joints: int, *, as_labelled: bool = False
) -> Row:
    """Undo `annotation_entry`; `number` is the instance if the file has none.

    A person without keypoints has no joints; the box defaults to that of the mask or the
    joints, the area to that of the mask or the box. In an entry of this package with `keypoints`
    edited by another tool, those joints are taken from `keypoints`. `as_labelled`: joints beyond
    the picture keep their v, to be checked. FormatError for an entry that
    contradicts its image or the skeleton.
    """
    with checked.reading(f"annotation {str(entry.get('id'))[:40]}"):
        keypoints, own_entry = entry.get("keypoints") or [0] * (3 * joints), "state" in entry
        points = _points(keypoints, joints)
        around = () if own_entry else points
        size = [frame["height_px"], frame["width_px"]]
        more: Row = {"modal_counts": checked.compressed_counts(entry.get("segmentation"), size)}
        box = _box(entry, more["modal_counts"], around, size, as_labelled)
        more["modal_area_px"] = _area(entry.get("area"), more["modal_counts"], box, size)
        if own_entry:
            more |= _stated(entry)
            number = entry.get(INSTANCE, number)
            own = {"frame_index": frame["index"], "instance": number, "mask_size": size}
            row = checked.complete({**own, "modal_box_px": box, **more}, LABELS)
        else:
            if frame.get("clip_id") is not None and entry.get("track_id") is not None:
                more["track_id"] = checked.integer(entry["track_id"], 0, 2**31 - 1)
            row = checked.person_of(
                points, frame, number, box_px=box, as_labelled=as_labelled, **more
            )
        checked.check_person(row, frame, joints)
        edited = own_entry and entry.get("keypoints")
        return _edited(row, keypoints, as_labelled) if edited else row


def visible_box(entry: Mapping[str, Any], size: Sequence[int]) -> list[float]:
    """The `bbox`; `modal_bbox` where `bbox` is the amodal box in an image (H, W), as exports write
    it. ValueError."""
    box, whole = checked.box(entry["bbox"]), entry.get("amodal_bbox")
    if entry.get("modal_bbox") is not None and whole is not None:
        if box == inside(checked.box(whole), size):
            return checked.box(entry["modal_bbox"])
    return box


def _box(
    entry: Mapping[str, Any],
    counts: str | None,
    points: Sequence[checked.Point],
    size: Sequence[int],
    as_labelled: bool,
) -> list[float]:
    labelled, box = [(x, y) for x, y, v in points if v], entry.get("bbox") or None
    if box is not None:
        box = visible_box(entry, size)
        # Other tools write 0 0 0 0 beside joints alone.
        if as_labelled or min(box[2:]) > 0 or not labelled:
            return box
    if counts is not None and check_counts(counts, size):
        return counts_box(counts, size)
    if not labelled:
        raise ValueError("no bbox, segmentation or labelled joint")
    return checked.around_points(labelled)


def _area(area: Any, counts: str | None, box: Sequence[float], size: Sequence[int]) -> int:
    if area is None or area == 0:
        return checked.area_of(counts, box, size)
    return checked.integer(round(checked.number(area, 1e12)))


def _points(keypoints: Any, joints: int) -> list[checked.Point]:
    if not isinstance(keypoints, list) or len(keypoints) != 3 * joints:
        got = len(keypoints) if isinstance(keypoints, list) else type(keypoints).__name__
        raise ValueError(f"keypoints: expected {3 * joints} numbers; got {got}")
    points = []
    for x, y, v in zip(keypoints[::3], keypoints[1::3], keypoints[2::3], strict=True):
        if v not in (0, 1, 2):
            raise ValueError(f"v must be 0, 1 or 2, not {v!r:.40}")
        place = checked.number(x) + HALF_PX, checked.number(y) + HALF_PX
        points.append((*place, int(v)))
    return points


def _stated(entry: Mapping[str, Any]) -> Row:
    amodal = entry["amodal_segmentation"]
    return {
        "state": [NO_STATE if s is None else s for s in entry["state"]],
        **hidden_columns([(i, s) for i, s in pairs] for pairs in entry["hidden_by"]),
        "amodal_counts": None if amodal is None else amodal["counts"],
        **_from_json(entry, _COPIED),
    }


def _edited(row: Row, keypoints: Sequence[float], as_labelled: bool) -> Row:
    """A row of this package, with joints of changed x, y, v taken from the file."""
    stated, joints = _keypoints(row), len(row["state"])
    if keypoints == stated:
        return row
    height, width = row["mask_size"]
    frame = {"index": 0, "height_px": height, "width_px": width}
    box = row["modal_box_px"]
    edited, unedited = (
        checked.person_of(_points(values, joints), frame, 1, box_px=box, as_labelled=as_labelled)
        for values in (keypoints, stated)
    )
    return merge(edited, unedited, row)


def _to_json(row: Mapping[str, Any], keys: Mapping[str, Label]) -> Row:
    out = checked.to_json_row({key: row[label.name] for key, label in keys.items()})
    for key, label in keys.items():
        if _is_matrix(label) and out[key] is not None:
            flat, each = out[key], int(label.shape[1])
            out[key] = [flat[i : i + each] for i in range(0, len(flat), each)]
    return out


def _from_json(entry: Mapping[str, Any], keys: Mapping[str, Label]) -> Row:
    found = {}
    for key, label in keys.items():
        if key in entry:
            value = entry[key]
            if _is_matrix(label) and value is not None:
                value = list(chain.from_iterable(value))
            found[label.name] = checked.from_json(value, label)
    return found


def _keypoints(row: Mapping[str, Any]) -> list[float]:
    """COCO's flat x, y, v: pixel indices, and zeros for outside or unlabelled joints."""
    out: list[float] = []
    for x, y, v in checked.points_of(row):
        out += [x - HALF_PX, y - HALF_PX, v] if v else [0, 0, 0]
    return out


def bad(what: str, *, where: str, expected: str | None = None, got: object = None) -> FormatError:
    return FormatError(
        what,
        where=where,
        expected=expected,
        got=None if got is None else str(got)[:300],
        then="See https://cocodataset.org/#format-data for the format.",
    )


def dump(value: Any) -> str:
    """Return a value's JSON: sorted keys, no blanks; ValueError for NaN and infinity."""
    return _ENCODER.encode(value)


def dump_entry(entry: Row, reals: Collection[str]) -> str:
    """The same of an entry, faster; under `reals` it has lists of lists of numbers, or None.

    Most of an export's time is spent on the shortest digits of reals: pydantic_core finds the same
    ones as Python, but formats some differently.
    """
    texts = (
        f"{dump(name)}:{_numbers(value) if name in reals else dump(value)}"
        for name, value in sorted(entry.items())
    )
    return "{" + ",".join(texts) + "}"


def _numbers(lists: list[list[float | None]] | None) -> str:
    text = to_json(lists).decode()
    return dump(lists) if _UNLIKE_PYTHON.search(text) else text
