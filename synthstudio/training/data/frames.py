"""Whole frames of a data set for bottom-up networks: letter-boxed to one size, with all people."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from synthstudio.core.images import decode_rgb
from synthstudio.core.labels import STATE_VISIBLE
from synthstudio.core.people import People
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import NO_STATE
from synthstudio.models.bottom_up.contract import FramePeople
from synthstudio.training.data.letterbox import Letterbox
from synthstudio.training.data.windows import crop_and_resize

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]


def frame_people(people: People, size: tuple[int, int], letterbox: Letterbox) -> FramePeople:
    """The labels of a frame as a bottom-up system learns them.

    Hidden joints are taught, as everywhere, but somebody of whom no joint is seen is not: their box
    teaches nothing. Masks are those of what is seen; without a mask of everybody there is none.
    """
    boxes = letterbox.boxes_to_frame(whole_boxes(people.amodal_boxes_px, people.boxes_px))
    masks = None
    if all(people.modal):
        seen = [framed_mask(mask, size, letterbox) for mask in people.masks]
        masks = np.array(seen, bool).reshape(-1, *size)
    return FramePeople(
        size=size,
        joints_px=taught_joints(letterbox.to_frame(people.joints_px), people.state),
        boxes_px=boxes,
        masks=masks,
    )


def taught_joints(joints_px: F64, state: NDArray[np.uint8]) -> F64:
    """Joints (P, J, 2), NaN where nobody knows them or where no joint of the person is seen."""
    taught = (state != NO_STATE) & (state == STATE_VISIBLE).any(1, keepdims=True)
    return np.where(taught[..., None], joints_px, np.nan)


def whole_boxes(amodal: F64, modal: F64) -> F64:
    """Boxes (P, 4) of whole people, or of what is seen of them where that alone is known."""
    return np.where(np.isfinite(amodal).all(1, keepdims=True), amodal, modal)


def framed_mask(mask: Bools, size: tuple[int, int], letterbox: Letterbox) -> Bools:
    """A mask of the image in a frame of `size` (H, W)."""
    levels = np.repeat(mask[..., None] * np.uint8(255), 3, -1)
    framed = crop_and_resize(levels, letterbox.corner, letterbox.scale, size, 0)
    return np.asarray(framed[..., 0] > 127)


@dataclass(frozen=True, kw_only=True)
class WholeFrame:
    """An image (3, H, W) uint8 with the labels of its people; `index` is the frame's number."""

    image: Tensor
    people: FramePeople
    letterbox: Letterbox
    index: int


class WholeFrames(TorchDataset[WholeFrame]):
    """The frames of a data set at `size` (H, W) pixels, in its order; grey beyond the image.

    `split`: "train", "val" or "test" alone. Frames without people are among them: they teach too.
    """

    def __init__(
        self, dataset: Dataset, *, size: tuple[int, int], split: str | None = None
    ) -> None:
        self.dataset, self.size = dataset, size
        rows = dataset.iter_frames(["index", "split"])
        self.indices = [row["index"] for row in rows if split in (None, row["split"])]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: int) -> WholeFrame:
        index = self.indices[place]
        row = self.dataset.frame(index)
        rgb = decode_rgb(self.dataset.image_bytes_of(row), str(self.dataset.image_of(row)))
        letterbox = Letterbox.of(rgb.shape[:2], self.size)
        image = letterbox.framed(rgb, self.size)
        return WholeFrame(
            image=torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))),
            people=frame_people(self.dataset.people_of(index), self.size, letterbox),
            letterbox=letterbox,
            index=index,
        )


def collate(frames: list[WholeFrame]) -> tuple[Tensor, list[FramePeople]]:
    """A batch: images (B, 3, H, W) and the people of each; `collate_fn` of a DataLoader."""
    return torch.stack([f.image for f in frames]), [f.people for f in frames]
