"""People cropped out of a data set once, at the network's input size, cached as uint8 on disk.

A *window* is the network's input of a person without augmentation: the amodal box, padded by
PADDING about its centre and to the network's aspect ratio. A *canvas* is MARGIN times the window
at the same scale, so that rotations and shifts stay inside. Letters: N crops, J joints, Hc, Wc
pixels of the canvas.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.arrays import F32, F64, I64, U8
from synthstudio.core.errors import ModelError
from synthstudio.core.labels import CAUSES, STATE_OUTSIDE
from synthstudio.core.masks import decode
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.durable import disk_errors
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import KINEMATIC, NO_STATE, Row, kinematic_camera_m
from synthstudio.formats.joints import convert_row
from synthstudio.training.config import Boxes, Joints3D
from synthstudio.training.data import samples as caching
from synthstudio.training.data.samples import ImageSequence, Kind, Report, Sample
from synthstudio.training.data.windows import PADDING, crop_and_resize, crop_window, limb_box

MARGIN = 1.5
VERSION = 2


@dataclass(frozen=True, kw_only=True)
class Crops:
    """N people. Coordinates are canvas pixels; `scale` (N,) is canvas pixels per image pixel.

    `cover` (N, Hc, Wc) is 255 where the person is occluded by others; it is 0 and meaningless where
    `fraction` is unknown. `present` (N, J): 1 inside the image, 0 outside, NaN unknown. `corner`
    (N, 2): the canvas' corner in image pixels. `group` (N,) numbers moments, `clean` (N,) is the
    crop of the same person without occluders, or -1. `split`, `variant`, `family`, `frame` and
    `instance` are the data set's.
    """

    images: ImageSequence  # (N, Hc, Wc, 3)
    cover: ImageSequence
    xy: F32  # (N, J, 2)
    present: F32
    visibility_fractions: F32  # (N, J, 5) NaN unknown
    state: U8  # (N, J)
    cause: U8  # (N, J) index into core.labels.CAUSES
    xyz_m: F32  # (N, J, 3) root-relative, camera axes; NaN unknown
    area: F32  # (N,) amodal, square canvas pixels
    side: F32  # (N,) longer side of the amodal box, canvas pixels
    fraction: F32  # (N,) occluded fraction; NaN unknown
    crowd: F32  # (N,) the frame's crowd index
    box: F32  # (N, 4) the amodal box x y w h, image pixels
    scale: F32
    corner: F32
    group: I64
    clean: I64
    split: NDArray[np.str_]
    variant: NDArray[np.str_]
    family: NDArray[np.str_]
    frame: I64
    instance: I64

    def __len__(self) -> int:
        return len(self.frame)


def canvas_size(height: int, width: int) -> tuple[int, int]:
    """(Hc, Wc) for a network's input of `height` x `width` pixels."""
    return round(height * MARGIN), round(width * MARGIN)


def crop_kind(
    *,
    size: tuple[int, int],
    joints_3d: Joints3D = "kinematic",
    boxes: Boxes = "outline",
    labelled: bool = True,
    progress: Report = lambda done, total: None,
) -> Kind[Crops]:
    """Crops for a network's input of `size` (H, W), with 3D joints `joints_3d`, by `boxes`.
    `labelled`: only people with a labelled joint; ModelError if none is left."""

    def notes(dataset: Dataset, crops: Crops) -> tuple[str, ...]:
        return missing_centres(dataset, crops.xyz_m) if joints_3d == "kinematic" else ()

    return Kind(
        key=sizes_key(size, joints_3d, boxes),
        write=functools.partial(write_crops, size=size, joints_3d=joints_3d, progress=progress),
        read=open_crops,
        notes=notes,
        boxes=boxes,
        labelled=labelled,
    )


def sizes_key(size: tuple[int, int], joints_3d: Joints3D, boxes: Boxes = "outline") -> bytes:
    """The part of a cache key for sizes, 3D joints, boxes and the version of this code."""
    more = ["kinematic"] if joints_3d == "kinematic" else []
    more += [boxes] if boxes != "outline" else []
    return json.dumps([VERSION, PADDING, MARGIN, *size, *more]).encode()


def write_crops(
    samples: Iterable[Sample],
    skeleton: Skeleton,
    counts: tuple[int, int],
    out: Path,
    where: str,
    *,
    size: tuple[int, int],
    joints_3d: Joints3D,
    progress: Report,
) -> int:
    """Write the crops of at most counts[1] people; return how many. ModelError, DiskError."""
    (height, width), total = canvas_size(*size), counts[1]
    images = caching.allocate(out / "images.npy", (max(total, 1), height, width, 3))
    cover = caching.allocate(out / "cover.npy", (max(total, 1), height, width))
    rows: list[dict[str, Any]] = []
    for sample in samples:
        for row in crop_people(sample, skeleton, size=size, joints_3d=joints_3d):
            images[len(rows)], cover[len(rows)] = row.pop("image"), row.pop("cover")
            rows.append(row)
            progress(len(rows), total)
    if not rows:
        raise ModelError(
            "no person has a labelled joint inside the image",
            where=where,
            expected="people with joints",
            got=f"{total} people without any",
        )
    with disk_errors(out):
        images.flush()
        cover.flush()
        np.savez(out / "labels.npz", **columns_of(rows))
    return len(rows)


def crops_in_memory(rows: Sequence[dict[str, Any]]) -> Crops:
    """Crops of the rows of `crop_people`, in their order; images are not copied."""
    rest = [{k: v for k, v in row.items() if k not in ("image", "cover")} for row in rows]
    return Crops(
        images=tuple(row["image"] for row in rows),
        cover=tuple(row["cover"] for row in rows),
        **columns_of(rest),
    )


def crop_people(
    sample: Sample, skeleton: Skeleton, *, size: tuple[int, int], joints_3d: Joints3D
) -> list[dict[str, Any]]:
    """One row per person of an image, for `crops_in_memory`."""
    if not sample.people:
        return []
    rgb = sample.rgb()
    people = labelled_people(sample, skeleton, size=size, joints_3d=joints_3d)
    return [person.cut_out(rgb) for person in people]


def labelled_people(
    sample: Sample, skeleton: Skeleton, *, size: tuple[int, int], joints_3d: Joints3D
) -> list[LabelledPerson]:
    """The people of an image who can be cropped, before its picture is decoded."""
    frame, out = sample.frame, []
    for person in sample.people:
        converted = convert_row(person, frame, skeleton)
        found = label_person(converted, sample, skeleton, size)
        if found is None:
            continue
        found.row.update(
            xyz_m=root_relative(converted, frame, skeleton, joints_3d),
            split=frame["split"],
            variant=frame["variant"],
            family=person["pose_family"] or "",
            crowd=_number(frame["crowd_index"]),
            moment=(frame["group_id"], frame["camera_id"], frame["clip_frame"], person["instance"]),
        )
        out.append(found)
    return out


def columns_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The columns of Crops without images; `moment` becomes `group` and `clean`."""
    moments = [row["moment"] for row in rows]
    groups: dict[str, int] = {}
    for moment in moments:
        groups.setdefault(moment[0], len(groups))
    plain = [name for name in rows[0] if name != "moment"]
    columns: dict[str, Any] = {name: np.stack([row[name] for row in rows]) for name in plain}
    clean = {
        m: i
        for i, (m, row) in enumerate(zip(moments, rows, strict=True))
        if row["variant"] == "clean"
    }
    columns["group"] = np.array([groups[m[0]] for m in moments], np.int64)
    columns["clean"] = np.array([clean.get(m, -1) for m in moments], np.int64)
    return columns


@dataclass(frozen=True, kw_only=True)
class LabelledPerson:
    """A person's row of Crops without pictures, which follow from `person` and `size` (H, W)."""

    row: dict[str, Any]
    person: Row
    corner: F64
    scale: float
    size: tuple[int, int]

    def cut_out(self, rgb: U8) -> dict[str, Any]:
        """The row with the person's crop of an image (H, W, 3)."""
        canvas, mask = canvas_size(*self.size), _cover(self.person)
        image = crop_and_resize(rgb, self.corner, self.scale, canvas)
        cover = crop_and_resize(mask, self.corner, self.scale, canvas, fill=0)[..., 0]
        return {"image": image, "cover": cover, **self.row}


def label_person(
    person: Row, sample: Sample, skeleton: Skeleton, size: tuple[int, int]
) -> LabelledPerson | None:
    """A person's labels in a sample's image, without 3D and the frame's columns; None without a
    box, and of `labelled` samples also without a labelled joint or an area."""
    joints, image = len(skeleton.joints), (sample.frame["height_px"], sample.frame["width_px"])
    xy = np.array(person["joints_px"], np.float64).reshape(joints, 2)
    state = np.array(person["state"], np.uint8)
    box = np.array(person["amodal_box_px"] or person["modal_box_px"], np.float64)
    area = person["amodal_area_px"] or person["modal_area_px"]
    known = np.isin(state, (1, 2)) & np.isfinite(xy).all(-1)
    if sample.boxes == "limbs" and (limbs := limb_box(xy, known, skeleton, image)) is not None:
        box = limbs
    if not (box[2:] > 0).all():
        return None
    if sample.labelled and not (known.any() and area):  # errors are measured relative to its root
        return None
    area = area or float(box[2:].prod()) / 2
    x0, y0, w, h = crop_window(box, size)
    scale = size[1] / w
    corner = np.array([x0, y0]) - np.array([w, h]) * (MARGIN - 1) / 2
    row = {
        "xy": ((xy - corner) * scale).astype(np.float32),
        "present": np.where(
            state == NO_STATE, np.nan, np.where(state == STATE_OUTSIDE, 0.0, 1.0)
        ).astype(np.float32),
        "visibility_fractions": np.array(person["visibility_fractions"], np.float32).reshape(
            joints, 5
        ),
        "state": state,
        "cause": np.array([CAUSES.index(name) for name in person["cause"]], np.uint8),
        "area": np.float32(area * scale**2),
        "box": box.astype(np.float32),
        "side": np.float32(box[2:].max() * scale),
        "fraction": _number(person["occluded_fraction"]),
        "scale": np.float32(scale),
        "corner": corner.astype(np.float32),
        "frame": np.int64(person["frame_index"]),
        "instance": np.int64(person["instance"]),
    }
    return LabelledPerson(row=row, person=person, corner=corner, scale=scale, size=size)


def _cover(person: Row) -> U8:
    """Mask (H, W, 3): 255 where the person is hidden by something else."""
    size = [int(v) for v in person["mask_size"]]
    modal, amodal = person["modal_counts"], person["amodal_counts"]
    if modal is None or amodal is None:
        return np.zeros((*size, 3), np.uint8)
    visible, full = (decode({"size": size, "counts": c}) for c in (modal, amodal))
    return np.repeat(((full & ~visible) * np.uint8(255))[..., None], 3, -1)


def _number(value: float | None) -> np.float32:
    return np.float32(np.nan if value is None else value)


def open_crops(folder: Path) -> Crops:
    """Open cached crops; ModelError when they are damaged."""
    names = {f.name for f in fields(Crops)}
    found = caching.read_cached(folder, "crop cache", ("images", "cover"), names)
    images, cover = found["images"], found["cover"]
    count = len(found["xy"])
    if min(len(images), len(cover)) < count:
        raise caching.damaged_cache(
            folder, "crop cache", f"{min(len(images), len(cover))} images of {count} people"
        )
    return Crops(**found | {"images": images[:count], "cover": cover[:count]})


def root_relative(person: Row, frame: Row, skeleton: Skeleton, joints_3d: Joints3D) -> F32:
    """3D joints (J, 3) in camera axes, relative to the midpoint of the hips; NaN unknown."""
    hips = [skeleton.joints.index(n) for n in ("left_hip", "right_hip") if n in skeleton.joints]
    places = person["joints_camera_m"]
    if joints_3d == "kinematic":
        xyz = kinematic_camera_m(person, frame)
    else:
        xyz = np.full(3 * len(person["state"]), np.nan) if places is None else np.array(places)
        xyz = xyz.astype(np.float64).reshape(-1, 3)
    if len(hips) != 2:
        return np.full(xyz.shape, np.nan, np.float32)
    return np.asarray((xyz - xyz[hips].mean(0)).astype(np.float32))


def missing_centres(dataset: Dataset, xyz_m: F32) -> tuple[str, ...]:
    """A note on people (N, J, 3) with 3D joints, but without rotation centres."""
    missing = int((~np.isfinite(xyz_m)).all((1, 2)).sum())
    columns = ["joints_camera_m", KINEMATIC]
    if not missing or not any(
        (batch[0].is_valid().to_numpy(False) & batch[1].is_null().to_numpy(False)).any()
        for batch in dataset.iter_batches("instances", columns)
    ):
        return ()
    return centres_note(missing, len(xyz_m))


def centres_note(missing: int, people: int) -> tuple[str, ...]:
    """A note on `missing` people without rotation centres; none if 0."""
    if not missing:
        return ()
    return (
        f"{missing} of {people} people lack {KINEMATIC}: they are ignored in 3D training and "
        "metrics. Generate the set again, or set joints_3d: regressed",
    )
