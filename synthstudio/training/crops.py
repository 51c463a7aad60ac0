"""People cut out of a data set once, at the size a network sees, kept as uint8 on disk.

A *window* is what the network sees of a person without augmentation: the amodal box, widened by
PADDING about its centre and to the network's aspect. A *canvas* is MARGIN times the window, at
the window's scale, so that turning, shifting and shrinking find pixels. Letters: N crops, J
joints, Hc, Wc pixels of the canvas.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import ModelError, explain
from synthstudio.core.images import decode_rgb, resample
from synthstudio.core.skeleton import Skeleton, skeleton
from synthstudio.dataset.durable import canonical_json, whole_folder
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import NO_STATE, Row
from synthstudio.label.masks import decode

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
_BLOCK = 512


@dataclass(frozen=True, kw_only=True)
class Crops:
    """N people. Places are pixels of the canvas; `scale` (N,) is canvas pixels a picture's pixel.

    `cover` (N, Hc, Wc) is 255 where something else hides the person. `present` (N, J): 1 in the
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


def canvas_size(height: int, width: int) -> tuple[int, int]:
    """Return (Hc, Wc) of the canvas of a network's input of `height` x `width` pixels."""
    return round(height * MARGIN), round(width * MARGIN)


def take(
    folder: Path, *, size: tuple[int, int], cache: Path, progress: Callable[[int, int], None]
) -> Taken:
    """Return the crops of a data set, from the cache or made now. `size`: the network's (H, W).

    ModelError when nobody in it has a labelled joint.
    """
    dataset = Dataset(folder)
    key = _key(dataset, size)
    kept = cache / f"crops-{key[:16]}"
    if not (kept / "facts.json").is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(kept) as unfinished:
            unfinished.mkdir()
            _make(dataset, size, unfinished, progress)
            (unfinished / "facts.json").write_bytes(canonical_json({"key": key}))
    return Taken(
        crops=_open(kept),
        key=key,
        skeleton=skeleton(dataset.identity.skeleton),
        source=dataset.folder.name,
    )


def _key(dataset: Dataset, size: tuple[int, int]) -> str:
    """Return a name of all that decides the crops: every file of the set, sizes, this code."""
    digest = hashlib.sha256()
    for name in ("dataset.json", "index.json"):
        digest.update((dataset.folder / name).read_bytes())
    digest.update(json.dumps([VERSION, PADDING, MARGIN, *size]).encode())
    return digest.hexdigest()


def _make(
    dataset: Dataset, size: tuple[int, int], out: Path, progress: Callable[[int, int], None]
) -> None:
    bones = skeleton(dataset.identity.skeleton)
    total = dataset.people
    high, wide = canvas_size(*size)
    images = np.lib.format.open_memmap(
        out / "images.npy", mode="w+", dtype=np.uint8, shape=(max(total, 1), high, wide, 3)
    )
    cover = np.lib.format.open_memmap(
        out / "cover.npy", mode="w+", dtype=np.uint8, shape=(max(total, 1), high, wide)
    )
    rows: list[dict[str, Any]] = []
    moments: dict[str, int] = {}
    pairs: list[tuple[tuple[Any, ...], str]] = []
    for frame, people in _frames(dataset):
        rgb = decode_rgb(dataset.image_bytes_of(frame), str(dataset.image_of(frame)))
        for person in people:
            made = crop(rgb, person, bones, size=size)
            if made is None:
                continue
            images[len(rows)], cover[len(rows)] = made.pop("image"), made.pop("cover")
            group = moments.setdefault(frame["group_id"], len(moments))
            words = {"split": frame["split"], "variant": frame["variant"]}
            words["family"] = person["pose_family"] or ""
            rows.append(made | words | {"group": group, "crowd": _number(frame["crowd_index"])})
            moment = (group, frame["camera_id"], frame["clip_frame"], person["instance"])
            pairs.append((moment, frame["variant"]))
            progress(len(rows), total)
    if not rows:
        raise ModelError(
            explain(
                "nobody here has a labelled joint inside the picture",
                where=str(dataset.folder),
                expected="people with joints",
                got=f"{total} people without any",
            )
        )
    images.flush()
    cover.flush()
    columns: dict[str, Any] = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    clean = {moment: i for i, (moment, variant) in enumerate(pairs) if variant == "clean"}
    columns["clean"] = np.array([clean.get(moment, -1) for moment, _ in pairs], np.int64)
    np.savez(out / "labels.npz", **columns)


def _frames(dataset: Dataset) -> Iterator[tuple[Row, list[Row]]]:
    for frame in dataset.iter_frames():
        yield frame, dataset.instances(frame["index"])


def window(box: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return x0 y0 w h of the window about a box x y w h, for a network's (H, W)."""
    centre, extent = box[:2] + box[2:] / 2, np.maximum(box[2:], 1.0) * PADDING
    aspect = size[1] / size[0]
    width = max(extent[0], extent[1] * aspect)
    full = np.array([width, width / aspect])
    return np.concatenate([centre - full / 2, full])


def crop(rgb: U8, person: Row, bones: Skeleton, *, size: tuple[int, int]) -> dict[str, Any] | None:
    """Return one person's row of Crops, without what only the set knows; None without a joint."""
    joints = len(bones.joints)
    xy = np.array(person["joints_px"], np.float64).reshape(joints, 2)
    state = np.array(person["state"], np.uint8)
    box = np.array(person["amodal_box_px"] or person["modal_box_px"], np.float64)
    if not (np.isin(state, (1, 2)) & np.isfinite(xy).all(-1)).any() or not (box[2:] > 0).all():
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
        "xyz_m": _relative(person, bones),
        "area": np.float32((person["amodal_area_px"] or person["modal_area_px"]) * scale**2),
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
    """Return the canvas: the picture from `corner` on, scaled; `fill` beyond its edges."""
    extent = np.array([size[1], size[0]]) / scale
    low = np.floor(corner).astype(int) - 1
    high = np.ceil(corner + extent).astype(int) + 1
    height, width = rgb.shape[:2]
    inside_low, inside_high = np.maximum(low, 0), np.minimum(high, [width, height])
    block = np.full((*(high - low)[::-1], 3), fill, np.uint8)
    if (inside_high > inside_low).all():
        a, b = inside_low - low, inside_high - low
        block[a[1] : b[1], a[0] : b[0]] = rgb[
            inside_low[1] : inside_high[1], inside_low[0] : inside_high[0]
        ]
    at = corner - low
    return resample(block, (*at, *(at + extent)), (size[1], size[0]))


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
    from synthstudio.core.labels import CAUSES

    return np.array([CAUSES.index(name) for name in names], np.uint8)


def _relative(person: Row, bones: Skeleton) -> F32:
    """Return (J, 3) places relative to the middle between the hips; NaN unknown."""
    joints = len(bones.joints)
    hips = [bones.joints.index(n) for n in ("left_hip", "right_hip") if n in bones.joints]
    if person["joints_camera_m"] is None or len(hips) != 2:
        return np.full((joints, 3), np.nan, np.float32)
    places = np.array(person["joints_camera_m"], np.float64).reshape(joints, 3)
    return np.asarray((places - places[hips].mean(0)).astype(np.float32))


def _number(value: float | None) -> np.float32:
    return np.float32(np.nan if value is None else value)


def _open(folder: Path) -> Crops:
    images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    cover = np.load(folder / "cover.npy", mmap_mode="r", allow_pickle=False)
    with np.load(folder / "labels.npz", allow_pickle=False) as labels:
        columns = {name: labels[name] for name in labels.files}
    count = len(columns["xy"])
    wanted = {f.name for f in fields(Crops)} - {"images", "cover"}
    if set(columns) != wanted or len(images) < count:
        raise ModelError(
            explain("the crop cache is damaged", where=str(folder), then="Delete that folder.")
        )
    return Crops(images=images[:count], cover=cover[:count], **columns)
