"""People cut out of a data set once, at the size a network sees, kept as uint8 on disk.

A *window* is what the network sees of a person without augmentation: the amodal box, widened by
PADDING about its centre and to the network's aspect. A *canvas* is MARGIN times the window, at
the window's scale, so that turning, shifting and shrinking find pixels. Letters: N crops, J
joints, Hc, Wc pixels of the canvas.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import ModelError
from synthstudio.core.images import decode_rgb, resample
from synthstudio.core.labels import CAUSES
from synthstudio.core.masks import decode
from synthstudio.core.safe_files import UNREADABLE
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.durable import canonical_json, disk_errors, read_json, whole_folder
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import NO_STATE, Row
from synthstudio.formats.joints import convert_row, rules

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]


class Pictures(Protocol):
    """N pictures that are looked at one by one; an array is one, so are several end to end."""

    def __getitem__(self, row: int) -> U8:
        """Return the picture of a row."""

    def __len__(self) -> int:
        """Return N."""


PADDING = 1.25
MARGIN = 1.5
VERSION = 1
_GREY = 114  # beyond the picture's edge


@dataclass(frozen=True, kw_only=True)
class Crops:
    """N people. Places are pixels of the canvas; `scale` (N,) is canvas pixels a picture's pixel.

    `cover` (N, Hc, Wc) is 255 where something else hides the person; where `fraction` is unknown
    nobody knows, and it is 0. `present` (N, J): 1 in the
    picture, 0 outside, NaN unknown. `corner` (N, 2): the canvas' corner in the picture's pixels.
    `group` (N,) numbers moments, `clean` (N,) the crop of the same person without occluders, or
    -1. `split`, `variant`, `family` are the data set's words. `frame`, `instance` lead back to it.
    """

    images: Pictures  # (N, Hc, Wc, 3)
    cover: Pictures
    xy: F32  # (N, J, 2)
    present: F32
    shares: F32  # (N, J, 5) NaN unknown
    state: U8  # (N, J)
    cause: U8  # (N, J) place in core.labels.CAUSES
    xyz_m: F32  # (N, J, 3) root-relative, camera axes; NaN unknown
    area: F32  # (N,) amodal, square canvas pixels
    side: F32  # (N,) longer side of the amodal box, canvas pixels
    fraction: F32  # (N,) occluded fraction; NaN unknown
    crowd: F32  # (N,) the frame's crowd index
    box: F32  # (N, 4) the amodal box x y w h, pixels of the picture
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
        """Return N."""
        return len(self.images)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Crops and what they were taken from: `key` names the data and the sizes."""

    crops: Crops
    key: str
    skeleton: Skeleton
    source: str
    notes: tuple[str, ...] = ()  # what people should be told of it


def canvas_size(height: int, width: int) -> tuple[int, int]:
    """Return (Hc, Wc) of the canvas of a network's input of `height` x `width` pixels."""
    return round(height * MARGIN), round(width * MARGIN)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A picture with its people's rows; `rgb()` decodes it when it is wanted."""

    frame: Row
    people: list[Row]
    rgb: Callable[[], U8]


def take(
    folder: Path,
    *,
    size: tuple[int, int],
    cache: Path,
    progress: Callable[[int, int], None],
    skeleton: Skeleton | None = None,
) -> Taken:
    """Return the crops of a data set, from the cache or made now. `size`: the network's (H, W).

    `bones`: the skeleton that its people are converted to, if not their own. ModelError when
    nobody in it has a labelled joint.
    """
    dataset = Dataset(folder)
    own = get_skeleton(dataset.identity.skeleton)
    target = skeleton or own
    digest = hashlib.sha256()
    for name in ("dataset.json", "index.json"):
        digest.update((dataset.folder / name).read_bytes())
    digest.update(sizes_key(size))
    if target.name != own.name:
        digest.update(target.name.encode())
    key = digest.hexdigest()

    def make(out: Path) -> dict[str, Any]:
        cut_out(
            samples_of(dataset),
            target,
            size=size,
            total=dataset.people,
            out=out,
            progress=progress,
            where=str(dataset.folder),
        )
        return {}

    kept, _ = cached(cache, key, make)
    return Taken(
        crops=open_crops(kept),
        key=key,
        skeleton=target,
        source=dataset.folder.name,
        notes=unlike(own, target),
    )


def sizes_key(size: tuple[int, int]) -> bytes:
    """Return what names the sizes and this code in a key."""
    return json.dumps([VERSION, PADDING, MARGIN, *size]).encode()


def unlike(own: Skeleton, target: Skeleton) -> tuple[str, ...]:
    """Return what is to be said of people who are converted to another skeleton."""
    if own.name == target.name:
        return ()
    found = rules(own, target)
    lacking = [joint for joint, rule in found.items() if rule.kind == "missing"]
    moved = [f"{j} ({rule.off})" for j, rule in found.items() if rule.kind == "approximation"]
    said = f"{own.name} as {target.name}"
    parts = [f"unknown there: {', '.join(lacking)}"] if lacking else []
    parts += [f"near by: {', '.join(moved)}"] if moved else []
    return ("; ".join([said, *parts]),)


def cached(
    cache: Path, key: str, make: Callable[[Path], dict[str, Any]]
) -> tuple[Path, dict[str, Any]]:
    """Return the folder of a key's crops and its facts.

    `make(folder)` fills a new one and tells further facts.
    """
    kept = cache / f"crops-{key[:16]}"
    if not (kept / "facts.json").is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(kept) as unfinished:
            unfinished.mkdir()
            facts = {"key": key, **make(unfinished)}
            (unfinished / "facts.json").write_bytes(canonical_json(facts))
    return kept, read_json(kept / "facts.json")


def cut_out(
    samples: Iterable[Sample],
    skeleton: Skeleton,
    *,
    size: tuple[int, int],
    total: int,
    out: Path,
    progress: Callable[[int, int], None],
    where: str,
) -> int:
    """Write the crops of at most `total` people into the folder `out`; return how many they are.

    ModelError for nobody; DiskError when they do not fit on the disk.
    """
    high, wide = canvas_size(*size)
    images = _reserved(out / "images.npy", (max(total, 1), high, wide, 3))
    cover = _reserved(out / "cover.npy", (max(total, 1), high, wide))
    rows: list[dict[str, Any]] = []
    for sample in samples:
        for row in rows_of(sample, skeleton, size=size):
            images[len(rows)], cover[len(rows)] = row.pop("image"), row.pop("cover")
            rows.append(row)
            progress(len(rows), total)
    if not rows:
        raise ModelError(
            "nobody here has a labelled joint inside the picture",
            where=where,
            expected="people with joints",
            got=f"{total} people without any",
        )
    with disk_errors(out):
        images.flush()
        cover.flush()
        np.savez(out / "labels.npz", **_columns(rows))
    return len(rows)


def _reserved(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """Return an array in a new file whose bytes the disk holds already.

    A page of a file with holes that finds the disk full kills the process.
    """
    with disk_errors(path):
        made = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return made


def held(rows: Sequence[dict[str, Any]]) -> Crops:
    """Return crops in memory of what `rows_of` gave, in this order; nothing is copied."""
    pictures: dict[str, Any] = {
        name: tuple(row[name] for row in rows) for name in ("image", "cover")
    }
    rest = [{k: v for k, v in row.items() if k not in pictures} for row in rows]
    return Crops(images=pictures["image"], cover=pictures["cover"], **_columns(rest))


def samples_of(dataset: Dataset) -> Iterator[Sample]:
    """Yield the pictures of a data set."""
    for frame in dataset.iter_frames():

        def rgb(frame: Row = frame) -> U8:
            return decode_rgb(dataset.image_bytes_of(frame), str(dataset.image_of(frame)))

        yield Sample(frame=frame, people=dataset.instances(frame["index"]), rgb=rgb)


def rows_of(sample: Sample, skeleton: Skeleton, *, size: tuple[int, int]) -> list[dict[str, Any]]:
    """Return a row for each person of a picture who has a labelled joint, for `held`."""
    if not sample.people:
        return []
    frame, rgb, out = sample.frame, sample.rgb(), []
    for person in sample.people:
        row = crop(rgb, convert_row(person, frame, skeleton), skeleton, size=size)
        if row is None:
            continue
        moment = (frame["group_id"], frame["camera_id"], frame["clip_frame"], person["instance"])
        out.append(
            row
            | {
                "split": frame["split"],
                "variant": frame["variant"],
                "family": person["pose_family"] or "",
                "crowd": _number(frame["crowd_index"]),
                "moment": moment,
            }
        )
    return out


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the columns of Crops without pictures: `moment` becomes `group` and `clean`."""
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


def window(box: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return x0 y0 w h of the window about a box x y w h, for a network's (H, W)."""
    centre, extent = box[:2] + box[2:] / 2, np.maximum(box[2:], 1.0) * PADDING
    aspect = size[1] / size[0]
    width = max(extent[0], extent[1] * aspect)
    full = np.array([width, width / aspect])
    return np.concatenate([centre - full / 2, full])


def crop(
    rgb: U8, person: Row, skeleton: Skeleton, *, size: tuple[int, int]
) -> dict[str, Any] | None:
    """Return one person's row of Crops, without what only the set knows; None without a joint."""
    joints = len(skeleton.joints)
    xy = np.array(person["joints_px"], np.float64).reshape(joints, 2)
    state = np.array(person["state"], np.uint8)
    box = np.array(person["amodal_box_px"] or person["modal_box_px"], np.float64)
    area = person["amodal_area_px"] or person["modal_area_px"]
    if not (np.isin(state, (1, 2)) & np.isfinite(xy).all(-1)).any() or not (box[2:] > 0).all():
        return None
    if not area:  # distances are measured by its root
        return None
    x0, y0, w, h = window(box, size)
    scale = size[1] / w
    corner = np.array([x0, y0]) - np.array([w, h]) * (MARGIN - 1) / 2
    high, wide = canvas_size(*size)
    return {
        "image": cut(rgb, corner, scale, (high, wide)),
        "cover": cut(_cover(person), corner, scale, (high, wide), fill=0)[..., 0],
        "xy": ((xy - corner) * scale).astype(np.float32),
        "present": _present(state),
        "shares": np.array(person["shares"], np.float32).reshape(joints, 5),
        "state": state,
        "cause": _causes(person["cause"]),
        "xyz_m": _relative(person, skeleton),
        "area": np.float32(area * scale**2),
        "box": box.astype(np.float32),
        "side": np.float32(box[2:].max() * scale),
        "fraction": _number(person["occluded_fraction"]),
        "scale": np.float32(scale),
        "corner": corner.astype(np.float32),
        "frame": np.int64(person["frame_index"]),
        "instance": np.int64(person["instance"]),
    }


def cut(
    rgb: U8, corner: NDArray[np.float64], scale: float, size: tuple[int, int], fill: int = _GREY
) -> U8:
    """Return the canvas: the picture from `corner` on, scaled; `fill` beyond its edges.

    Across first, then down, as `resample` would: rows beyond the picture stay `fill` until then,
    so that a window far larger than its picture needs no memory for them.
    """
    extent = np.array([size[1], size[0]]) / scale
    low = np.floor(corner).astype(int) - 1
    wide, high = (int(v) for v in np.ceil(corner + extent).astype(int) + 1 - low)
    height, width = rgb.shape[:2]
    x0, x1 = (int(np.clip(v, 0, width)) for v in (low[0], low[0] + wide))
    y0, y1 = (int(np.clip(v, 0, height)) for v in (low[1], low[1] + high))
    if x0 >= x1 or y0 >= y1:
        return np.full((*size, 3), fill, np.uint8)
    at = corner - low
    rows = np.full((y1 - y0, wide, 3), fill, np.uint8)
    rows[:, x0 - low[0] : x1 - low[0]] = rgb[y0:y1, x0:x1]
    block = np.full((high, size[1], 3), fill, np.uint8)
    block[y0 - low[1] : y1 - low[1]] = resample(
        rows, (at[0], 0, at[0] + extent[0], y1 - y0), (size[1], y1 - y0)
    )
    return resample(block, (0, at[1], size[1], at[1] + extent[1]), (size[1], size[0]))


def _cover(person: Row) -> U8:
    """Return (H, W, 3) 255 where the person is hidden by something else."""
    size = [int(v) for v in person["mask_size"]]
    modal, amodal = person["modal_counts"], person["amodal_counts"]
    if modal is None or amodal is None:
        return np.zeros((*size, 3), np.uint8)
    seen, whole = (decode({"size": size, "counts": c}) for c in (modal, amodal))
    return np.repeat(((whole & ~seen) * np.uint8(255))[..., None], 3, -1)


def _present(state: U8) -> F32:
    unknown = np.where(state == NO_STATE, np.nan, 1.0)
    return np.where(state == 0, 0.0, unknown).astype(np.float32)


def _causes(names: list[str]) -> U8:
    return np.array([CAUSES.index(name) for name in names], np.uint8)


def _relative(person: Row, skeleton: Skeleton) -> F32:
    """Return (J, 3) places relative to the middle between the hips; NaN unknown."""
    joints = len(skeleton.joints)
    hips = [skeleton.joints.index(n) for n in ("left_hip", "right_hip") if n in skeleton.joints]
    if person["joints_camera_m"] is None or len(hips) != 2:
        return np.full((joints, 3), np.nan, np.float32)
    places = np.array(person["joints_camera_m"], np.float64).reshape(joints, 3)
    return np.asarray((places - places[hips].mean(0)).astype(np.float32))


def _number(value: float | None) -> np.float32:
    return np.float32(np.nan if value is None else value)


def open_crops(folder: Path) -> Crops:
    """Return the crops that lie in a folder; ModelError when they are damaged."""
    try:
        images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
        cover = np.load(folder / "cover.npy", mmap_mode="r", allow_pickle=False)
        with (folder / "labels.npz").open("rb") as file, np.load(file, allow_pickle=False) as told:
            columns = {name: told[name] for name in told.files}
    except UNREADABLE as error:
        raise _damaged(folder, str(error)) from error
    wanted = {f.name for f in fields(Crops)} - {"images", "cover"}
    if set(columns) != wanted:
        raise _damaged(folder, f"columns {', '.join(sorted(columns))}")
    count = len(columns["xy"])
    if min(len(images), len(cover)) < count:
        raise _damaged(folder, f"{min(len(images), len(cover))} pictures of {count} people")
    return Crops(images=images[:count], cover=cover[:count], **columns)


def _damaged(folder: Path, got: str) -> ModelError:
    return ModelError(
        "the crop cache is damaged", where=str(folder), got=got[:200], then="Delete that folder."
    )
