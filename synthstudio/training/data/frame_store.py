"""Whole frames cached as uint8 on disk, letter-boxed to a bottom-up network's size.

Letters: N frames of H x W pixels, P people of all of them, J joints.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import FormatError
from synthstudio.core.masks import decode
from synthstudio.core.places import Place
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.durable import disk_errors, file_sha256
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row
from synthstudio.formats.coco.file import CocoFile, image_folder
from synthstudio.formats.joints import convert_row
from synthstudio.training.data.cache import (
    allocate,
    cached_crops,
    damaged_cache,
    dataset_digest,
    read_cached,
    unfinished_notes,
)
from synthstudio.training.data.coco import check_entries, check_images_unchanged, coco_samples
from synthstudio.training.data.crops import (
    ImageSequence,
    Sample,
    conversion_notes,
    dataset_samples,
)
from synthstudio.training.data.frames import framed_mask, whole_boxes
from synthstudio.training.data.letterbox import Letterbox

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Bools = NDArray[np.bool_]
VERSION = 1
_NOBODY = [float("nan")] * 4


@dataclass(frozen=True, kw_only=True)
class Frames:
    """N frames and their P people; places are continuous pixels of the frame.

    The people of frame n are those from `first[n]` to `first[n + 1]`. `masks` (P, ceil(H W / 8))
    are the bits of what is seen of each; they mean something where `masked` (N,). `boxes` (P, 4)
    are of whole people. `split`, `variant` and `frame` (N,) are the data set's.
    """

    images: ImageSequence  # (N, H, W, 3)
    masks: ImageSequence
    first: I64  # (N + 1,)
    xy: F32  # (P, J, 2)
    state: U8  # (P, J)
    boxes: F32
    masked: Bools
    split: NDArray[np.str_]
    variant: NDArray[np.str_]
    frame: I64

    def __len__(self) -> int:
        return len(self.frame)

    def people(self, row: int) -> slice:
        """Where the people of a frame are."""
        return slice(int(self.first[row]), int(self.first[row + 1]))

    def masks_of(self, row: int) -> Bools | None:
        """What is seen of a frame's people (P, H, W); None where nobody knows."""
        if not self.masked[row]:
            return None
        high, wide = self.images[row].shape[:2]
        which = range(self.first[row], self.first[row + 1])
        bits = [np.unpackbits(self.masks[p], count=high * wide) for p in which]
        return np.array(bits, bool).reshape(-1, high, wide)


@dataclass(frozen=True, kw_only=True)
class FramedSource:
    """The frames of one source: `key` is a hash of the data and the size; `notes` are for people
    to read."""

    frames: Frames
    key: str
    skeleton: Skeleton
    notes: tuple[str, ...] = ()


def frame_dataset(
    place: Place,
    *,
    size: tuple[int, int],
    cache: Path,
    progress: Callable[[int, int], None],
    skeleton: Skeleton | None = None,
) -> FramedSource:
    """The frames of a data set at `size` (H, W), made or read from the cache.

    `skeleton`: convert people to it. One that is unfinished is taken as far as it is.
    """
    dataset = Dataset(place, allow_unfinished=True)
    own = get_skeleton(dataset.identity.skeleton)
    target = skeleton or own
    digest = dataset_digest(dataset)
    digest.update(_size_key(size) + (target.name.encode() if target.name != own.name else b""))
    key = digest.hexdigest()

    def make(out: Path) -> dict[str, Any]:
        samples = dataset_samples(dataset, "outline")
        _write(samples, target, size, (dataset.frames, dataset.people), out, progress)
        return {}

    cached, _ = cached_crops(cache, key, make)
    notes = (*conversion_notes(own, target), *unfinished_notes(dataset))
    return FramedSource(frames=open_frames(cached), key=key, skeleton=target, notes=notes)


def frame_coco(
    path: Path,
    images: Path | None,
    *,
    size: tuple[int, int],
    cache: Path,
    progress: Callable[[int, int], None],
    skeleton: Skeleton | None = None,
) -> FramedSource:
    """The images of a COCO keypoints file at `size` (H, W), made or read from the cache.

    Errors as `crop_coco`'s. Crowd regions are not among its people.
    """
    root = images or image_folder(path)
    if not path.is_file():
        raise FormatError(
            "there is no such file", where=str(path), expected="a COCO keypoints file"
        )
    target = "" if skeleton is None else skeleton.name
    digest = hashlib.sha256(f"{file_sha256(path)} {root.resolve()} {target}".encode())
    digest.update(_size_key(size))

    def make(out: Path) -> dict[str, Any]:
        with closing(CocoFile(path, images=root)) as opened:
            lengths, people = check_entries(opened, root)
            used = skeleton or opened.skeleton
            samples = coco_samples(opened, root, False)
            _write(samples, used, size, (len(lengths), people), out, progress)
            notes = [*conversion_notes(opened.skeleton, used)]
            notes += [f"left out: {note}" for note in opened.notes]
        return {"skeleton": used.name, "pictures": lengths, "notes": notes}

    folder, metadata = cached_crops(cache, digest.hexdigest(), make)
    check_images_unchanged(metadata["pictures"], root, folder)
    content = [file_sha256(path), sorted(metadata["pictures"].items()), metadata["skeleton"]]
    return FramedSource(
        frames=open_frames(folder),
        key=hashlib.sha256(repr(content).encode() + _size_key(size)).hexdigest(),
        skeleton=get_skeleton(metadata["skeleton"]),
        notes=tuple(metadata["notes"]),
    )


def _size_key(size: tuple[int, int]) -> bytes:
    return json.dumps(["frames", VERSION, *size]).encode()


def _write(
    samples: Iterable[Sample],
    skeleton: Skeleton,
    size: tuple[int, int],
    counts: tuple[int, int],
    out: Path,
    progress: Callable[[int, int], None],
) -> None:
    """Write `counts` (frames, people) into the folder `out`; DiskError when they do not fit."""
    images = allocate(out / "images.npy", (max(counts[0], 1), *size, 3))
    masks = allocate(out / "masks.npy", (max(counts[1], 1), -(-size[0] * size[1] // 8)))
    frames: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    for sample in samples:
        rgb = sample.rgb()
        letterbox = Letterbox.of(rgb.shape[:2], size)
        images[len(frames)] = letterbox.framed(rgb, size)
        seen = [_mask(person, size, letterbox) for person in sample.people]
        for person, mask in zip(sample.people, seen, strict=True):
            if mask is not None:
                masks[len(people)] = np.packbits(mask)
            converted = convert_row(person, sample.frame, skeleton)
            people.append(_labels(converted, letterbox, len(skeleton.joints)))
        frames.append(
            {
                "first": len(people),
                "masked": all(mask is not None for mask in seen),
                "split": sample.frame["split"] or "",
                "variant": sample.frame["variant"] or "",
                "frame": sample.frame["index"],
            }
        )
        progress(len(frames), counts[0])
    names = ("masked", "split", "variant", "frame")
    columns: dict[str, Any] = {name: np.array([f[name] for f in frames]) for name in names}
    joints = len(skeleton.joints)
    columns |= {
        "first": np.array([0, *(f["first"] for f in frames)], np.int64),
        "xy": np.array([p["xy"] for p in people], np.float32).reshape(-1, joints, 2),
        "state": np.array([p["state"] for p in people], np.uint8).reshape(-1, joints),
        "boxes": np.array([p["box"] for p in people], np.float32).reshape(-1, 4),
    }
    with disk_errors(out):
        images.flush()
        masks.flush()
        np.savez(out / "labels.npz", **columns)


def _mask(person: Row, size: tuple[int, int], letterbox: Letterbox) -> Bools | None:
    if person["modal_counts"] is None:
        return None
    shape = [int(v) for v in person["mask_size"]]
    return framed_mask(decode({"size": shape, "counts": person["modal_counts"]}), size, letterbox)


def _labels(person: Row, letterbox: Letterbox, joints: int) -> dict[str, Any]:
    amodal, modal = (
        np.array([person[name] or _NOBODY], np.float64)
        for name in ("amodal_box_px", "modal_box_px")
    )
    xy = np.array(person["joints_px"], np.float64).reshape(joints, 2)
    return {
        "xy": letterbox.to_frame(xy),
        "state": np.array(person["state"], np.uint8),
        "box": letterbox.boxes_to_frame(whole_boxes(amodal, modal))[0],
    }


def open_frames(folder: Path) -> Frames:
    """Open cached frames; ModelError when they are damaged."""
    names = {f.name for f in fields(Frames)}
    found = read_cached(folder, "cache of frames", ("images", "masks"), names)
    images, masks = found["images"], found["masks"]
    count, people = len(found["frame"]), len(found["xy"])
    if len(images) < count or len(masks) < people or found["first"][-1:].tolist() != [people]:
        raise damaged_cache(
            folder,
            "cache of frames",
            f"{len(images)} images of {count} frames with {people} people",
        )
    return Frames(**found | {"images": images[:count], "masks": masks[:people]})
