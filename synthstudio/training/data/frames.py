"""Whole frames for bottom-up networks: letter-boxed to one size, with all people.

They are cached on disk; `make_frame_batch` augments them for `train`. Hidden joints are trained, as
everywhere, but people without any visible joint are not: their box is ignored. Letters: N frames of
H x W pixels, P people in all, J joints.
"""

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synthstudio.core.arrays import F32, F64, I64, U8, Bool
from synthstudio.core.labels import STATE_VISIBLE
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.visibility import is_labelled
from synthstudio.dataset.durable import disk_errors
from synthstudio.dataset.rows import NO_STATE, Row
from synthstudio.formats.joints import convert_row
from synthstudio.models.contract import FramePeople
from synthstudio.training.config import Augment
from synthstudio.training.data import augment as aug
from synthstudio.training.data import samples as caching
from synthstudio.training.data.augment import BatchPart, Draws
from synthstudio.training.data.batches import NO_PICTURES, InputSpec, Pictures, Subset, stack_images
from synthstudio.training.data.crops import MARGIN
from synthstudio.training.data.samples import ImageSequence, Kind, Report, Sample
from synthstudio.training.data.windows import Letterbox

VERSION = 2
_NO_BOX = [float("nan")] * 4


def labelled_joints(joints_px: F64, state: U8) -> F64:
    """Joints (P, J, 2), NaN if unknown or if no joint of the person is visible."""
    labelled = (state != NO_STATE) & (state == STATE_VISIBLE).any(1, keepdims=True)
    return np.where(labelled[..., None], joints_px, np.nan)


@dataclass(frozen=True, kw_only=True)
class Frames:
    """N frames and their P people; positions are continuous pixels of the frame.

    The people of frame n are those from `first[n]` to `first[n + 1]`. `boxes` (P, 4) are of whole
    people. `split`, `variant` and `frame` (N,) are the data set's.
    """

    images: ImageSequence  # (N, H, W, 3)
    first: I64  # (N + 1,)
    xy: F32  # (P, J, 2)
    state: U8  # (P, J)
    boxes: F32
    split: NDArray[np.str_]
    variant: NDArray[np.str_]
    frame: I64

    def __len__(self) -> int:
        return len(self.frame)

    def people(self, row: int) -> slice:
        return slice(int(self.first[row]), int(self.first[row + 1]))

    def people_of(self, row: int) -> FramePeople:
        """The people of a frame as targets of bottom-up systems, not augmented."""
        which = self.people(row)
        return FramePeople(
            size=self.images[row].shape[:2],
            joints_px=labelled_joints(self.xy[which].astype(np.float64), self.state[which]),
            boxes_px=self.boxes[which].astype(np.float64),
        )


def frame_kind(
    *, size: tuple[int, int], progress: Report = lambda done, total: None
) -> Kind[Frames]:
    """Whole frames at `size` (H, W). Of COCO files crowd regions are excluded."""

    key = json.dumps(["frames", VERSION, *size]).encode()
    write = functools.partial(_write, size=size, progress=progress)
    return Kind(key=key, write=write, read=open_frames, labelled=False)


def _write(
    samples: Iterable[Sample],
    skeleton: Skeleton,
    counts: tuple[int, int],
    out: Path,
    where: str,
    *,
    size: tuple[int, int],
    progress: Report,
) -> int:
    """Write `counts` (frames, people) into `out`; return how many people. DiskError."""
    images = caching.allocate(out / "images.npy", (max(counts[0], 1), *size, 3))
    first, frames = [0], list[tuple[Any, ...]]()
    people: list[dict[str, Any]] = []
    for sample in samples:
        rgb = sample.rgb()
        letterbox = Letterbox.of(rgb.shape[:2], size)
        images[len(frames)] = letterbox.framed(rgb, size)
        for person in sample.people:
            converted = convert_row(person, sample.frame, skeleton)
            people.append(_labels(converted, letterbox, len(skeleton.joints)))
        first.append(len(people))
        split, variant = (sample.frame[name] or "" for name in ("split", "variant"))
        frames.append((split, variant, sample.frame["index"]))
        progress(len(frames), counts[0])
    names = ("split", "variant", "frame")
    columns: dict[str, Any]
    columns = {name: np.array([row[k] for row in frames]) for k, name in enumerate(names)}
    joints = len(skeleton.joints)
    columns |= {
        "first": np.array(first, np.int64),
        "xy": np.array([p["xy"] for p in people], np.float32).reshape(-1, joints, 2),
        "state": np.array([p["state"] for p in people], np.uint8).reshape(-1, joints),
        "boxes": np.array([p["box"] for p in people], np.float32).reshape(-1, 4),
    }
    with disk_errors(out):
        images.flush()
        np.savez(out / "labels.npz", **columns)
    return len(people)


def _labels(person: Row, letterbox: Letterbox, joints: int) -> dict[str, Any]:
    amodal, modal = (
        np.array([person[name] or _NO_BOX], np.float64)
        for name in ("amodal_box_px", "modal_box_px")
    )
    return {
        "xy": letterbox.to_frame(np.array(person["joints_px"], np.float64).reshape(joints, 2)),
        "state": np.array(person["state"], np.uint8),
        "box": letterbox.boxes_to_frame(np.where(np.isfinite(amodal).all(), amodal, modal))[0],
    }


def open_frames(folder: Path) -> Frames:
    """Open cached frames; ModelError when they are damaged."""
    names = {f.name for f in fields(Frames)}
    found = caching.read_cached(folder, "cache of frames", ("images",), names)
    images, count, people = found["images"], len(found["frame"]), len(found["xy"])
    if len(images) < count or found["first"][-1:].tolist() != [people]:
        raise caching.damaged_cache(
            folder,
            "cache of frames",
            f"{len(images)} images of {count} frames with {people} people",
        )
    return Frames(**found | {"images": images[:count]})


@dataclass(frozen=True, kw_only=True)
class FrameSubset(Subset):
    """Frames and which of them are used."""

    frames: Frames


@dataclass(frozen=True, kw_only=True)
class FrameBatch:
    """B frames: `images` (B, 3, H, W) uint8 and their people; `rows` (B,) of the frames."""

    images: torch.Tensor
    people: list[FramePeople]
    rows: I64


def make_frame_batch(
    frames: Frames,
    rows: I64 | BatchPart,
    spec: InputSpec,
    augment: Augment,
    *,
    seed: int = 0,
    step: int = 0,
    pictures: Pictures = NO_PICTURES,
) -> FrameBatch:
    """As `make_batch`, of whole frames."""
    rng = stream(seed, "augment", step)
    part = rows if isinstance(rows, BatchPart) else BatchPart.of(rows)
    rows = part.rows
    draws = part.drawn(aug.draw(augment, rng, count=part.count, size=spec.size))
    draws.view[:, :, 2] -= np.array([spec.size[1], spec.size[0]]) * (MARGIN - 1) / 2  # no canvas
    photos = pictures.photos
    styles = aug.draw_styles(augment, part, seed=seed, step=step, photos=photos)
    images = []
    for b, row in enumerate(rows):
        image = aug.warp(frames.images[row], draws.view[b], spec.size)
        images.append(aug.restyle(aug.recolour(image, draws, b), styles, b, photos))
    return FrameBatch(
        images=stack_images(images),
        people=[_people(frames, int(row), spec, draws, b) for b, row in enumerate(rows)],
        rows=rows,
    )


def _people(frames: Frames, row: int, spec: InputSpec, draws: Draws, b: int) -> FramePeople:
    """The people of a frame transformed by a view, left and right swapped by a flip."""
    which, view = frames.people(row), draws.view[b]
    order = spec.skeleton.flip if draws.flipped[b] else slice(None)
    people, joints = frames.state[which].shape
    xy = aug.transform_points(frames.xy[which].reshape(-1, 2), view)
    xy = xy.reshape(people, joints, 2)[:, order]
    state = frames.state[which][:, order]
    return FramePeople(
        size=spec.size,
        joints_px=labelled_joints(xy, state),
        boxes_px=rotated_boxes(frames.boxes[which].astype(np.float64), view, xy, state),
    )


def rotated_boxes(boxes: F64, view: F64, xy: F64, state: U8) -> F64:
    """Boxes (P, 4) of people transformed by a view, with joints `xy` (P, J, 2) there: of the
    rotated ellipse, since a rotated box is larger than the person, extended to joints in the
    frame."""
    linear = np.linalg.inv(view[:, :2])
    centre = (boxes[:, :2] + boxes[:, 2:] / 2 - view[:, 2]) @ linear.T
    half = np.sqrt((boxes[:, None, 2:] ** 2 / 4 * linear**2).sum(-1))
    known = is_labelled(state) & np.isfinite(xy).all(-1)
    low = np.where(known[..., None], xy, np.inf).min(1, initial=np.inf)
    high = np.where(known[..., None], xy, -np.inf).max(1, initial=-np.inf)
    low, high = np.minimum(low, centre - half), np.maximum(high, centre + half)
    return np.concatenate([low, high - low], 1)


def labelled(frames: Frames, rows: I64) -> tuple[I64, Bool]:
    """The people of frames with a joint in the frame and a box, and their known joints (P, J)."""
    people = np.concatenate([np.r_[frames.people(int(row))] for row in rows]).astype(np.int64)
    known = is_labelled(frames.state[people]) & np.isfinite(frames.xy[people]).all(-1)
    fine = known.any(1) & (frames.boxes[people, 2:] > 0).all(1)
    return people[fine], known[fine]
