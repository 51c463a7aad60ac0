"""The two sides compared by `gap`, read in the same way: a data set and COCO photos.

Of the data set only labels of a photo's file are used: the visible box, clipped
at the picture's edge, and v of COCO (0 outside or unlabelled, 1 hidden, 2 visible). Data of
rendered rows only (cameras, joints outside) are separate, in `Truth` and `Side.whole_px`.
Letters: P people, J joints, F pictures. Pixels are continuous.
"""

import itertools
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthstudio.core.arrays import F64, I64, U8
from synthstudio.core.errors import AssetError, DatasetError, FormatError
from synthstudio.core.images import decode_rgb, image_size, read_bytes
from synthstudio.core.safe_files import file_inside, plain_name
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.visibility import is_labelled
from synthstudio.dataset.durable import file_sha256
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row, pair_rows
from synthstudio.formats.coco.file import CocoFile
from synthstudio.formats.exchange import exportable, inside

MAX_PEOPLE, MAX_PHOTOS = 20_000, 5_000
"""Maximum frames read; of larger sets every second, third, ... is read."""
MIN_FOUND = 0.5
"""Minimum fraction of photos with people that must be readable."""
_FRAME = (
    *("index", "file_name", "image_sha256", "width_px", "height_px", "group_id"),
    *("K", "world_to_camera"),
)
_PERSON = (
    *("frame_index", "instance", "identity", "joints_px", "joints_camera_m", "joints_world_m"),
    *("state", "modal_box_px", "modal_area_px"),
)
TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")


@dataclass(frozen=True, kw_only=True)
class Truth:
    """(P,) truth of people and cameras of rendered rows; NaN if unknown.

    `pitch_deg` looks up, `roll_deg` turns clockwise seen from behind (core/camera.py); `focal` is
    in heights of the picture; `hip_m` is the height above the floor of the middle of the hips,
    `depth_m` their distance along the view, `trunk_m` from there to the middle of the shoulders.
    """

    pitch_deg: F64
    roll_deg: F64
    camera_m: F64
    focal: F64
    hip_m: F64
    trunk_m: F64
    depth_m: F64


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """P people of F pictures.

    `px` (P, J, 2) is NaN where v is 0, `whole_px` holds every known joint. `group` (P,)
    and `groups` (F,) number moments: pictures of one base, or with equal bytes.
    `who` is an identity or "". `load(k)` decodes picture k.
    """

    name: str
    skeleton: Skeleton
    px: F64
    whole_px: F64
    v: I64  # (P, J)
    box: F64  # (P, 4) x y w h inside the picture
    size: F64  # (P, 2) width and height of the picture
    picture: I64  # (P,) index of the picture
    group: I64
    groups: I64
    who: tuple[str, ...]
    hashes: tuple[str, ...]  # (F,) SHA-256 of the files
    labels: tuple[str, ...]  # (F,) display name of a picture
    load: Callable[[int], U8]
    truth: Truth | None = None
    notes: tuple[str, ...] = ()

    @property
    def people(self) -> int:
        return len(self.box)

    @property
    def pictures(self) -> int:
        return len(self.hashes)

    @property
    def per_picture(self) -> I64:
        return np.bincount(self.picture, minlength=self.pictures)

    def joints(self, names: Sequence[str]) -> I64:
        return np.array([self.skeleton.joints.index(n) for n in names], np.int64)


def generated_side(dataset: Dataset) -> Side:
    """Read a data set; DatasetError without people.

    People less visible than the export's minimum are left out, as in COCO files, and
    those without a joint in the picture.
    """
    frames: list[Row] = []
    people: list[dict[str, Any]] = []
    hidden = 0
    step = max(1, -(-sum(1 for _ in dataset.iter_instances(["frame_index"])) // MAX_PEOPLE))
    samples = pair_rows(dataset.iter_frames(_FRAME), dataset.iter_instances(_PERSON))
    skeleton = dataset.skeleton
    for number, (frame, rows) in enumerate(samples):
        if number % step:
            continue
        seen = exportable(rows)
        hidden += len(rows) - len(seen)
        for row in seen:
            found = _person(row, frame, len(frames))
            if found is not None:
                people.append({**found, "truth": _truth(row, frame, skeleton)})
        frames.append(frame)
    if not people:
        raise DatasetError(
            "no visible people in this data set",
            where=str(dataset.place),
            expected="frames with people",
            got=f"{len(frames)} frames without",
        )
    notes = [f"one frame of {step} is read."] if step > 1 else []
    notes += [f"{hidden} x person hidden nearly whole: left out."] if hidden else []

    def load(k: int) -> U8:
        where = f"{dataset.place}, frame {frames[k]['index']}"
        return decode_rgb(dataset.image_bytes_of(frames[k]), where)

    labels = [f"frame {frame['index']}" for frame in frames]
    return _side("generated", skeleton, frames, people, notes=notes, labels=labels, load=load)


def photo_side(path: Path, images: Path) -> Side:
    """Read people of a COCO keypoints file and its pictures.

    FormatError for an invalid file, one without people, or with most pictures missing or
    damaged; AssetError without a folder of pictures. A few missing ones are left out
    with their people and noted; so are people without a labelled joint if others have one.
    """
    if not images.is_dir():
        raise AssetError("no such folder", where=str(images), expected="the photos")
    if not path.is_file():
        raise FormatError("no such file", where=str(path), expected="a COCO keypoints file")
    frames: list[Row] = []
    people: list[dict[str, Any]] = []
    lost: Counter[str] = Counter()
    with closing(CocoFile(path, images=images)) as opened:
        step = max(1, -(-len(opened) // MAX_PHOTOS))
        for number, (frame, rows) in enumerate(opened.samples()):
            if number % step:
                continue
            why = _unusable(frame, images)
            if why:
                lost[why] += 1
                continue
            boxed = [_person(row, frame, len(frames)) for row in rows]
            lost["person without a box inside the picture"] += boxed.count(None)
            people += [p for p in boxed if p is not None]
            frames.append(frame)
        skeleton, total, left = opened.skeleton, -(-len(opened) // step), opened.notes
    _check_found(len(frames), total, lost, path, images)
    if not people:
        raise FormatError(
            "no people in the photos",
            where=str(path),
            expected="people with keypoints and a box inside their picture",
            got="; ".join([f"{total} photos", *left]),
        )
    labels = [frame["file_name"] for frame in frames]
    frames = [{"group_id": "", "image_sha256": file_sha256(images / name)} for name in labels]
    remarks = [f"{n} x {what}" for what, n in sorted(lost.items()) if n] + left
    remarks += [f"{step - 1} photos of every {step}"] if step > 1 else []

    def load(k: int) -> U8:
        return decode_rgb(read_bytes(images / labels[k]), str(images / labels[k]))

    notes = [f"{what}: left out." for what in remarks]
    return _side("photos", skeleton, frames, people, notes=notes, labels=labels, load=load)


def _unusable(frame: Mapping[str, Any], images: Path) -> str:
    """Why a photo is unusable, or "". FormatError for an unsafe name."""
    name, where = frame["file_name"], f"image {frame['index']}"
    if not os.path.isfile(images / plain_name(name, where=where)):  # noqa: PTH113 - no OSError
        return "photo whose file is missing"
    try:
        size = image_size(file_inside(images, name, where=where))
    except AssetError:
        return "photo that cannot be read"
    if size != (frame["width_px"], frame["height_px"]):
        return "photo whose size differs from the file's"
    return ""


def _check_found(found: int, total: int, lost: Counter[str], path: Path, images: Path) -> None:
    if found and found >= MIN_FOUND * total:
        return
    got = "; ".join(f"{n} x {what}" for what, n in sorted(lost.items()) if n)
    raise FormatError(
        "most photos are missing" if found else "no usable photos",
        where=str(path),
        expected=f"its {total} pictures below {images}" if total else "a file that lists photos",
        got=got or "no photo",
        then="Pass the folder of the pictures with --images." if total else None,
    )


def _labelled(people: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """People with a labelled joint, as in training; all if no person has one. And a note."""
    some = [p for p in people if (p["v"] > 0).any()]
    if not some:
        return people, ["no person has a labelled joint: only boxes and pixels are compared."]
    lost = len(people) - len(some)
    return some, [f"{lost} x person without a labelled joint: left out."] if lost else []


def _person(
    row: Mapping[str, Any], frame: Mapping[str, Any], picture: int
) -> dict[str, Any] | None:
    """The common data of a person; None without a box inside the picture."""
    wide, high = float(frame["width_px"]), float(frame["height_px"])
    box = inside(row["modal_box_px"], (high, wide))
    if min(box[2:]) < 1:
        return None
    state = np.array(row["state"], np.int64)
    whole = np.array(row["joints_px"], np.float64).reshape(-1, 2)
    v = np.where(is_labelled(state) & np.isfinite(whole).all(axis=1), state, 0)
    return {
        "px": np.where((v > 0)[:, None], whole, np.nan),
        "whole_px": whole,
        "v": v,
        "box": box,
        "size": (wide, high),
        "picture": picture,
        "who": row["identity"] or "",
    }


def _side(
    name: str,
    skeleton: Skeleton,
    frames: list[Row],
    people: list[dict[str, Any]],
    *,
    notes: list[str],
    labels: Sequence[str],
    load: Callable[[int], U8],
) -> Side:
    people, unlabelled = _labelled(people)
    truths = [p["truth"] for p in people if "truth" in p]
    truth = Truth(**{n: np.array([t[n] for t in truths]) for n in truths[0]}) if truths else None
    hashes = tuple(frame["image_sha256"] for frame in frames)
    keys = [frame["group_id"] or frame["image_sha256"] for frame in frames]
    numbers = {key: k for k, key in enumerate(dict.fromkeys(keys))}
    groups = np.array([numbers[key] for key in keys], np.int64)
    names = ("px", "whole_px", "v", "box", "size", "picture")
    columns: dict[str, Any] = {name: np.array([p[name] for p in people]) for name in names}
    return Side(
        name=name,
        skeleton=skeleton,
        **columns,
        group=groups[columns["picture"]],
        groups=groups,
        who=tuple(p["who"] for p in people),
        hashes=hashes,
        labels=tuple(labels),
        load=load,
        truth=truth,
        notes=(*notes, *unlabelled),
    )


def _truth(
    row: Mapping[str, Any], frame: Mapping[str, Any], skeleton: Skeleton
) -> dict[str, float]:
    out = dict.fromkeys(Truth.__dataclass_fields__, float("nan"))
    if frame["K"] is None or frame["world_to_camera"] is None or row["joints_camera_m"] is None:
        return out
    matrix = np.array(frame["world_to_camera"], np.float64).reshape(4, 4)
    rotation = matrix[:3, :3]
    up, centre = rotation[:, 2], -rotation.T @ matrix[:3, 3]
    out["pitch_deg"] = float(np.degrees(np.arcsin(np.clip(up[2], -1, 1))))
    out["roll_deg"] = float(-np.degrees(np.arctan2(up[0], -up[1])))
    out["camera_m"] = float(centre[2])
    out["focal"] = float(frame["K"][4]) / frame["height_px"]
    if not set(TRUNK) <= set(skeleton.joints):
        return out
    at = [skeleton.joints.index(name) for name in TRUNK]
    camera = np.array(row["joints_camera_m"], np.float64).reshape(-1, 3)[at]
    shoulders, hips = camera[:2].mean(axis=0), camera[2:].mean(axis=0)
    out["hip_m"] = float((rotation.T @ (hips - matrix[:3, 3]))[2])
    out["trunk_m"] = float(np.linalg.norm(shoulders - hips))
    out["depth_m"] = float(hips[2])
    return out


def same_group(a: Side, b: Side) -> tuple[I64, I64]:
    """(P,) per side: group numbers, shared by both sides for equal files."""
    of_file: dict[str, int] = {}
    fresh = itertools.count()
    out = []
    for side in (a, b):
        own: dict[int, int] = {}
        for group, sha in zip(side.groups.tolist(), side.hashes, strict=True):
            if group not in own:
                own[group] = of_file[sha] if sha in of_file else next(fresh)
            of_file.setdefault(sha, own[group])
        out.append(np.array([own[g] for g in side.group.tolist()], np.int64))
    return out[0], out[1]
