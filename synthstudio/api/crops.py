"""People cut out of their pictures: `Dataset.torch`, and batches of `ss.stream`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import default_collate

from synthstudio.api.frames import Frame
from synthstudio.core.arrays import I64, U8, Array, Bool
from synthstudio.core.errors import ArgumentError, DatasetError
from synthstudio.core.labels import CAUSES, VISIBILITY
from synthstudio.core.people import People
from synthstudio.dataset.rows import as_numpy
from synthstudio.training.data.windows import crop_and_resize, crop_window

SPLITS = ("train", "val", "test")
_MIN, _MAX = 8, 4096
_COLUMNS = ("frame_index", "state", "modal_box_px")


class PersonCrops(TorchDataset[Any]):
    """One sample a person with at least one joint in the picture; J joints, crops of H x W pixels.

    A sample is a dict that the default collate function stacks:

    - `image` (3, H, W) uint8 RGB: the person's amodal box, widened by a quarter and to the
      crop's aspect; grey beyond the picture's edge.
    - `joints_px` (J, 2) float32: continuous pixels of the crop, NaN where unlabelled.
    - `visible_share` (J,) float32: the share of each joint's surface that is seen, NaN unknown.
    - `state` (J,) uint8: 2 visible, 1 hidden, 0 outside the picture, 255 unlabelled.
    - `cause` (J,) int64: index into `synthstudio.core.labels.CAUSES`.
    - `box_px` (4,) float32: x, y, width, height of the crop in the picture's pixels.
    - `frame` and `instance`: the person's key in the data set.

    The order is that of the data set; nothing is random, so any DataLoader may shuffle it.
    """

    def __init__(
        self,
        dataset: Any,  # synthstudio.Dataset
        *,
        size: tuple[int, int],
        split: str | None,
        transform: Callable[[dict[str, Any]], Any] | None,
    ) -> None:
        self.size = checked_size(size)
        if split is not None and split not in SPLITS:
            raise ArgumentError(
                "unknown split", where="split", expected=", ".join(SPLITS), got=repr(split)[:60]
            )
        self.dataset = dataset
        self.transform = transform
        self._people = _labelled_people(dataset, split)
        self._last: tuple[int, Any, Any] | None = None
        if not len(self._people):
            raise DatasetError(
                "no person with a labelled joint",
                where=str(dataset.path),
                got=f"split {split}" if split else f"{len(dataset)} frames",
                then="Leave out the split, or set one: synthstudio split." if split else "",
            )

    def __len__(self) -> int:
        return len(self._people)

    def __repr__(self) -> str:
        height, width = self.size
        return f"PersonCrops({len(self)} people of {self.dataset.path}, {height} x {width})"

    def __getitem__(self, item: int) -> Any:
        if not isinstance(item, int | np.integer):
            raise ArgumentError("people are taken by number", where="item", got=repr(item)[:60])
        if not -len(self) <= item < len(self):
            raise IndexError(f"person {item} of {len(self)}")
        index, row = (int(v) for v in self._people[item])
        sample = _sample(*self._opened(index), row, self.size) | {"frame": index}
        return sample if self.transform is None else self.transform(sample)

    def _opened(self, index: int) -> tuple[Any, Any]:
        """A frame's picture and people; the last frame is cached for its next person."""
        if self._last is None or self._last[0] != index:
            frame = self.dataset.frame(index)
            self._last = (index, frame.image, frame.people)
        return self._last[1:]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None}


def crop_batches(
    frames: Iterable[Frame], *, size: tuple[int, int], batch: int
) -> Iterator[tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """Crops (n, 3, H, W) and their labels, as `PersonCrops` has them, `batch` at a time."""
    held: list[dict[str, Any]] = []
    for frame in frames:
        for row in np.flatnonzero(_has_joints(frame.people.state, frame.people.boxes_px)).tolist():
            held.append(_sample(frame.image, frame.people, row, size) | {"frame": frame.index})
            if len(held) == batch:
                yield _stacked(held)
                held = []
    if held:
        yield _stacked(held)


def _stacked(samples: list[dict[str, Any]]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    labels = default_collate(samples)
    return labels.pop("image"), labels


def _sample(image: U8, people: People, row: int, size: tuple[int, int]) -> dict[str, Any]:
    box = people.amodal_boxes_px[row]
    x, y, w, h = crop_window(box if np.isfinite(box).all() else people.boxes_px[row], size)
    scale = size[1] / w
    joints = (people.joints_px[row] - [x, y]) * scale
    state = people.state[row]
    joints[state == 255] = np.nan
    crop = crop_and_resize(image, np.array([x, y]), scale, size).transpose(2, 0, 1)
    visible = people.visibility_fractions[row, :, VISIBILITY.index("visible")]
    return {
        "image": torch.from_numpy(np.ascontiguousarray(crop)),
        "joints_px": torch.from_numpy(joints.astype(np.float32)),
        "visible_share": torch.from_numpy(visible.astype(np.float32)),
        "state": torch.from_numpy(state.copy()),
        "cause": torch.tensor([CAUSES.index(name) for name in people.cause[row]]),
        "box_px": torch.tensor([x, y, w, h], dtype=torch.float32),
        "instance": int(people.instance[row]),
    }


def _has_joints(state: U8, box_px: Array) -> Bool:
    """(N,) whether a person has a joint in the picture and a visible box."""
    return np.asarray(np.isin(state, (1, 2)).any(axis=1) & (box_px[:, 2:] > 0).all(axis=1))


def checked_size(size: Any) -> tuple[int, int]:
    try:
        high, wide = (int(v) for v in size)
    except (TypeError, ValueError):
        high = wide = 0
    if not (_MIN <= high <= _MAX and _MIN <= wide <= _MAX):
        raise ArgumentError(
            "the size of crops is height and width in pixels",
            where="size",
            expected=f"two numbers from {_MIN} to {_MAX}",
            got=repr(size)[:60],
        )
    return high, wide


def _labelled_people(dataset: Any, split: str | None) -> I64:
    """(N, 2) frame index and place among its people, of people with a joint in the picture."""
    frames, keeps = [np.zeros(0, np.int64)], [np.zeros(0, np.bool_)]
    for batch in dataset.iter_batches("instances", _COLUMNS):
        frames.append(as_numpy(batch["frame_index"]))
        state = as_numpy(batch["state"].flatten()).reshape(-1, len(dataset.skeleton.joints))
        box = as_numpy(batch["modal_box_px"].flatten()).reshape(-1, 4)
        keeps.append(_has_joints(state, box))
    frame, keep = np.concatenate(frames), np.concatenate(keeps)
    if split is not None:
        rows = dataset.iter_frames(["index", "split"])
        keep &= np.isin(frame, [row["index"] for row in rows if row["split"] == split])
    places = np.arange(len(frame)) - np.searchsorted(frame, frame)  # frames are in rising order
    return np.stack([frame[keep], places[keep]], axis=1)
