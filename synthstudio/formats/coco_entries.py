"""The entries of a COCO keypoint file, there and back: pure functions of one row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pycocotools import mask as coco_mask

from synthstudio.core.errors import DatasetError, explain
from synthstudio.core.labels import SHARES, STATE_OUTSIDE, Rle
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.spec import THING_BASE
from synthstudio.dataset.manifest import AssetRow
from synthstudio.dataset.rows import NO_STATE, Row, hidden_by
from synthstudio.formats.outlines import mask_polygons
from synthstudio.label.masks import decode

LEAST_AREA_PX = 16
"""People with fewer modal pixels are no annotation; they stay in the data set."""
CATEGORY_ID = 1
FIXED_DATE = "1970-01-01 00:00:00"
_HALF_PX = 0.5

INFO: dict[str, str] = {
    "description": "synthetic people with exact keypoints and visibility, made by synthstudio",
    "date_created": FIXED_DATE,
    "keypoints": "pixel indices: continuous pixels - 0.5; v 2 visible, 1 hidden, 0 outside the "
    "frame or unlabelled (then 0,0,0)",
    "bbox, segmentation, area": "modal (what is seen): x y w h in continuous pixels, mask, pixels",
    "amodal_bbox, amodal_segmentation, amodal_area": "the person alone; the box may leave the "
    "frame, mask and area are inside it",
    "keypoints_all": "J x (x, y) continuous pixels, also hidden and outside; null before the "
    "near plane",
    "keypoints_3d_camera_m, keypoints_3d_world_m": "J x (x, y, z) metres; camera: x right, y "
    "down, z forward; world: z up",
    "K, world_to_camera": "on images; K projects keypoints_3d_camera_m to keypoints_all",
    "shares": f"J x ({', '.join(SHARES)}), of the surface patch round the joint, sum 1; null: "
    "nobody knows",
    "cause": "J: visible, or what hides most of the patch, or truncated (outside the frame)",
    "ambiguous": "J: visible share between 0.2 and 0.5",
    "hidden_by": "J lists of [instance, share], largest first; people from 1, things from 1000 "
    "(`things` on images)",
    "occluder_id": "J: the largest hider of the winning cause; 0 none",
    "truncated": "part of the person's camera-facing surface is outside the frame",
}
_SAME_NAME = (
    "ambiguous", "cause", "depth_m", "depth_rank", "identity", "occluded_fraction",
    "occluder_id", "origin", "phenotype", "pose", "pose_family", "stature_m",
    "truncated_fraction",
)  # fmt: skip
"""Columns of the instances table that an annotation has under the same name."""


def head(skeleton: Skeleton, assets: Sequence[AssetRow]) -> dict[str, Any]:
    """Return every top-level entry but images and annotations."""
    category = {
        "id": CATEGORY_ID,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.joints),
        "skeleton": [[a + 1, b + 1] for a, b in skeleton.bones],  # COCO counts joints from 1
        "flip": skeleton.flip.tolist(),
        "sigmas": skeleton.sigmas.tolist(),
        "sigma_source": skeleton.sigma_source,
        "places": list(skeleton.places),
        "skeleton_name": skeleton.name,
    }
    licences = [
        {"id": i, "name": a.licence or "not stated", "url": a.source, "asset": a.name,
         "sha256": a.sha256}
        for i, a in enumerate(assets, 1)
    ]  # fmt: skip
    return {"categories": [category], "info": INFO, "licenses": licences}


def is_exported(row: Mapping[str, Any]) -> bool:
    """Say whether enough of a person is seen to be an annotation."""
    return bool(row["modal_area_px"] >= LEAST_AREA_PX)


def image_entry(frame: Mapping[str, Any]) -> Row:
    """Return a frame's entry of `images`."""
    things = zip(frame["thing_instance"], frame["thing_kind"], frame["thing_held_by"], strict=True)
    return {
        "id": frame["index"],
        "file_name": frame["file_name"],
        "width": frame["width_px"],
        "height": frame["height_px"],
        "date_captured": FIXED_DATE,
        "K": _nested(frame["K"], 3),
        "world_to_camera": _nested(frame["world_to_camera"], 4),
        "crowd_index": frame["crowd_index"],
        "group_id": frame["group_id"],
        "seed": frame["seed"],
        "sha256": frame["image_sha256"],
        "split": frame["split"],
        "things": [{"instance": i, "kind": k, "held_by": h} for i, k, h in things],
        "variant": frame["variant"],
    }


def annotation_entry(
    frame: Mapping[str, Any], row: Mapping[str, Any], *, polygons: bool = False
) -> Row:
    """Return a person's entry of `annotations`; `frame` is the row of the frame it is in."""
    size, keypoints = list(row["mask_size"]), _keypoints(row)
    modal, outside = _rle(size, row["modal_counts"]), row["truncated_fraction"]
    return {
        "id": annotation_id(frame["index"], row["instance"]),
        "image_id": frame["index"],
        "category_id": CATEGORY_ID,
        "iscrowd": 0,
        "bbox": list(row["modal_box_px"]),
        "area": row["modal_area_px"],
        "segmentation": mask_polygons(decode(modal)) if polygons and modal else modal or [],
        "keypoints": keypoints,
        "num_keypoints": sum(v > 0 for v in keypoints[2::3]),
        "keypoints_all": _nested(row["joints_px"], 2),
        "keypoints_3d_camera_m": _nested(row["joints_camera_m"], 3),
        "keypoints_3d_world_m": _nested(row["joints_world_m"], 3),
        "shares": _nested(row["shares"], len(SHARES)),
        "state": [None if s == NO_STATE else s for s in row["state"]],
        "hidden_by": [[list(pair) for pair in pairs] for pairs in hidden_by(row)],
        "instance_id": row["instance"],
        "amodal_area": row["amodal_area_px"],
        "amodal_bbox": row["amodal_box_px"],
        "amodal_segmentation": _rle(size, row["amodal_counts"]),
        "truncated": None if outside is None else outside > 0,
        **{name: row[name] for name in _SAME_NAME},
    }


def annotation_id(index: int, instance: int) -> int:
    """Return the id of a person's annotation; never 0, which pycocotools takes for none."""
    return index * THING_BASE + instance


def frame_row(image: Mapping[str, Any], skeleton: Skeleton) -> Row:
    """Undo `image_entry`; what another's file does not say is null, 0 or empty."""
    things = image.get("things", [])
    return {
        "index": image["id"],
        "seed": image.get("seed", 0),
        "file_name": image["file_name"],
        "image_sha256": image.get("sha256", ""),
        "width_px": image["width"],
        "height_px": image["height"],
        "split": image.get("split", ""),
        "group_id": image.get("group_id", ""),
        "variant": image.get("variant", ""),
        "skeleton": skeleton.name,
        "K": _flat(image.get("K")),
        "world_to_camera": _flat(image.get("world_to_camera")),
        "crowd_index": image.get("crowd_index"),
        "thing_instance": [t["instance"] for t in things],
        "thing_kind": [t["kind"] for t in things],
        "thing_held_by": [t["held_by"] for t in things],
        "layers": [],
        "spec": None,
    }


def instance_row(entry: Mapping[str, Any], frame: Row, number: int, joints: int) -> Row:
    """Undo `annotation_entry`; `number` is the instance where the file does not say it."""
    keypoints = entry.get("keypoints", [])
    if len(keypoints) != 3 * joints:
        raise bad(
            "the list keypoints does not fit the skeleton",
            where=f"annotation {entry['id']}",
            expected=f"{3 * joints} numbers",
            got=str(len(keypoints)),
        )
    size = [frame["height_px"], frame["width_px"]]
    hidden = [(j, i, s) for j, pairs in enumerate(entry.get("hidden_by", ())) for i, s in pairs]
    amodal = entry.get("amodal_segmentation")
    return {
        "frame_index": frame["index"],
        "instance": entry.get("instance_id", number),
        "joints_camera_m": _flat(entry.get("keypoints_3d_camera_m")),
        "joints_world_m": _flat(entry.get("keypoints_3d_world_m")),
        **{name: entry.get(name) for name in _SAME_NAME},
        **(_stated(entry) if "state" in entry else _assumed(keypoints)),
        "hidden_joint": [j for j, _, _ in hidden],
        "hidden_instance": [i for _, i, _ in hidden],
        "hidden_share": [s for _, _, s in hidden],
        "mask_size": size,
        "modal_counts": _counts(entry.get("segmentation"), size),
        "amodal_counts": None if amodal is None else amodal["counts"],
        "modal_box_px": [float(v) for v in entry["bbox"]],
        "amodal_box_px": entry.get("amodal_bbox"),
        "modal_area_px": round(entry["area"]),
        "amodal_area_px": entry.get("amodal_area"),
    }


def _stated(entry: Mapping[str, Any]) -> Row:
    """Return the joint columns of an annotation that this package wrote."""
    return {
        "joints_px": _flat(entry["keypoints_all"]),
        "shares": _flat(entry["shares"]),
        "state": [NO_STATE if s is None else s for s in entry["state"]],
    }


def _assumed(keypoints: Sequence[float]) -> Row:
    """Return the joint columns of an annotation that says no more than x, y, v."""
    seen = [int(v) for v in keypoints[2::3]]
    pairs = zip(keypoints[::3], keypoints[1::3], seen, strict=True)
    px = [(x + _HALF_PX, y + _HALF_PX) if v else (math.nan, math.nan) for x, y, v in pairs]
    return {
        "joints_px": [float(v) for pair in px for v in pair],
        "shares": [math.nan] * (len(SHARES) * len(seen)),
        "state": [v or NO_STATE for v in seen],
        "cause": [("unlabelled", "unknown", "visible")[v] for v in seen],
        "ambiguous": [False] * len(seen),
        "occluder_id": [0] * len(seen),
        "origin": ["human"] * len(seen),
    }


def _counts(segmentation: Any, size: Sequence[int]) -> str | None:
    """Return the compressed code of a mask given as code, plain counts or polygons."""
    if not segmentation:
        return None
    if isinstance(segmentation, dict) and isinstance(segmentation["counts"], str):
        return segmentation["counts"]
    found = coco_mask.frPyObjects(segmentation, *size)
    merged = coco_mask.merge(found) if isinstance(found, list) else found
    return str(merged["counts"].decode("ascii"))


def _keypoints(row: Mapping[str, Any]) -> list[float]:
    """Return COCO's flat x, y, v: pixel indices, and zeros for outside or unlabelled joints."""
    out: list[float] = []
    for state, (x, y) in zip(row["state"], _nested(row["joints_px"], 2) or (), strict=True):
        if state in (STATE_OUTSIDE, NO_STATE):
            out += [0, 0, 0]
        else:
            out += [x - _HALF_PX, y - _HALF_PX, state]
    return out


def _nested(flat: Sequence[float] | None, columns: int) -> list[list[Any]] | None:
    """Return rows of `columns` numbers, NaN as None; None for None."""
    if flat is None:
        return None
    values = [None if v != v else v for v in flat]
    return [values[i : i + columns] for i in range(0, len(values), columns)]


def _flat(nested: Sequence[Sequence[Any]] | None) -> list[float] | None:
    """Undo `_nested`."""
    if nested is None:
        return None
    return [math.nan if v is None else float(v) for row in nested for v in row]


def _rle(size: Sequence[int], counts: str | None) -> Rle | None:
    return None if counts is None else {"size": list(size), "counts": counts}


def bad(what: str, *, where: str, expected: str | None = None, got: object = None) -> DatasetError:
    """Return the error for a file that is no COCO file of ours or anyone's."""
    return DatasetError(
        explain(
            what,
            where=where,
            expected=expected,
            got=None if got is None else str(got),
            then="See https://cocodataset.org/#format-data for the format.",
        )
    )
