"""Batches of augmented whole frames with their people, decided by (seed, step) alone."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from synthstudio.core.rng import stream
from synthstudio.core.visibility import is_labelled
from synthstudio.models.bottom_up.contract import FramePeople
from synthstudio.training.config import Augment
from synthstudio.training.data import augment as aug
from synthstudio.training.data.augment import Draws
from synthstudio.training.data.batches import NO_PICTURES, InputSpec, Pictures, shuffled
from synthstudio.training.data.crops import MARGIN
from synthstudio.training.data.frame_store import Frames
from synthstudio.training.data.frames import taught_joints
from synthstudio.training.data.parts import BatchPart, as_part
from synthstudio.training.data.style import draw_styles, restyle
from synthstudio.training.data.windows import GREY

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class FrameSubset:
    """Frames and which of them are used: `rows` (R,), and their sampling weights (R,)."""

    frames: Frames
    rows: I64
    weight: F64

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: I64) -> FrameSubset:
        """Fewer of the same frames; `index` counts within this subset."""
        return FrameSubset(frames=self.frames, rows=self.rows[index], weight=self.weight[index])

    def epoch_order(self, seed: int, epoch: int) -> I64:
        return shuffled(self.rows, self.weight, seed=seed, epoch=epoch)


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
    masks: bool = False,
    pictures: Pictures = NO_PICTURES,
) -> FrameBatch:
    """Make the batch of `rows`, or a process's part of it, augmented by the random streams of
    (seed, step).

    `masks`: with what is seen of everybody.
    """
    rng = stream(seed, "augment", step)
    part = as_part(rows)
    rows = part.rows
    draws = part.drawn(aug.draw(augment, rng, count=part.count, size=spec.size))
    photos = pictures.photos
    known = 0 if photos is None else len(photos)
    styles = draw_styles(augment, seed=seed, step=step, count=part.count, photos=known)
    styles = None if styles is None else part.drawn(styles)
    images = []
    for b, row in enumerate(rows):
        image = aug.warp(frames.images[row], _view(draws, b, spec), spec.size)
        image = aug.apply_colour(image, draws.gain[b], float(draws.lift[b]))
        if draws.hole[b, 2]:
            x, y, w, h = (draws.hole[b].reshape(2, 2) * [spec.size[1], spec.size[0]]).ravel()
            image[int(y) : int(y + h), int(x) : int(x + w)] = GREY
        images.append(image if styles is None else restyle(image, styles, b, photos))
    return FrameBatch(
        images=torch.from_numpy(np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))),
        people=[_people(frames, int(row), spec, draws, b, masks) for b, row in enumerate(rows)],
        rows=rows,
    )


def _view(draws: Draws, b: int, spec: InputSpec) -> F64:
    """The matrix from the input's pixels to the frame's: views are of a crop's canvas, which has a
    margin."""
    view = np.array(draws.view[b])
    view[:, 2] -= np.array([spec.size[1], spec.size[0]]) * (MARGIN - 1) / 2
    return view


def _people(
    frames: Frames, row: int, spec: InputSpec, draws: Draws, b: int, masks: bool
) -> FramePeople:
    """The people of a frame as they are seen through a view, left and right swapped by a flip."""
    which, view = frames.people(row), _view(draws, b, spec)
    order = spec.skeleton.flip if draws.flipped[b] else slice(None)
    people, joints = frames.state[which].shape
    xy = aug.transform_points(frames.xy[which].reshape(-1, 2), view)
    xy = xy.reshape(people, joints, 2)[:, order]
    state = frames.state[which][:, order]
    seen = frames.masks_of(row) if masks else None
    if seen is not None:
        warped = [_warp_mask(mask, view, spec.size) for mask in seen]
        seen = np.array(warped, bool).reshape(-1, *spec.size)
    return FramePeople(
        size=spec.size,
        joints_px=taught_joints(xy, state),
        boxes_px=turned_boxes(frames.boxes[which].astype(np.float64), view, xy, state),
        masks=seen,
    )


def turned_boxes(boxes: F64, view: F64, xy: F64, state: U8) -> F64:
    """Boxes (P, 4) of people seen through a view; `xy` (P, J, 2) are their joints there.

    A box that is turned is larger than the person, so the ellipse in it is turned, and the box
    reaches to the joints that lie in the frame.
    """
    linear = np.linalg.inv(view[:, :2])
    centre = (boxes[:, :2] + boxes[:, 2:] / 2 - view[:, 2]) @ linear.T
    half = np.sqrt((boxes[:, None, 2:] ** 2 / 4 * linear**2).sum(-1))
    known = is_labelled(state) & np.isfinite(xy).all(-1)
    low = np.where(known[..., None], xy, np.inf).min(1, initial=np.inf)
    high = np.where(known[..., None], xy, -np.inf).max(1, initial=-np.inf)
    low, high = np.minimum(low, centre - half), np.maximum(high, centre + half)
    return np.concatenate([low, high - low], 1)


def _warp_mask(mask: Bools, view: F64, size: tuple[int, int]) -> Bools:
    index = view.copy()
    index[:, 2] += index[:, :2] @ [0.5, 0.5] - 0.5
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(mask.astype(np.uint8), index, size[::-1], flags=flags) > 0)


def labelled(frames: Frames, rows: I64) -> tuple[I64, Bools]:
    """The people of frames who can be measured, and the joints (P, J) that are known of them.

    As of crops: those with a joint in the frame and a box.
    """
    people = np.concatenate([np.r_[frames.people(int(row))] for row in rows]).astype(np.int64)
    state = frames.state[people]
    known = is_labelled(state) & np.isfinite(frames.xy[people]).all(-1)
    fine = known.any(1) & (frames.boxes[people, 2:] > 0).all(1)
    return people[fine], known[fine]
