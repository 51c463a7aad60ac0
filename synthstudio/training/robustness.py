"""What a network predicts of the first people of a challenge's frames, or of its clips.

A clip stands for one exposure: its frames are averaged in linear light, as a shutter that stays
open does, and labels are those of the middle one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.errors import ModelError
from synthstudio.core.images import decode_rgb, linear_to_srgb_u8, srgb_to_linear
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row
from synthstudio.evaluation.storage import Predictions
from synthstudio.training import checkpoint, devices
from synthstudio.training.data.batches import CropSubset, InputSpec
from synthstudio.training.data.crops import crop_people, crops_in_memory
from synthstudio.training.data.samples import Sample
from synthstudio.training.ground_truth import clip_windows
from synthstudio.training.predictions import predict_subset

U8 = NDArray[np.uint8]
FIRST = 1
"""The instance of a frame's first person."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One exposure: its labels' frame, the first person there, and what the camera saw."""

    frame: Row
    people: list[Row]
    rgb: Callable[[], U8]


def exposures(dataset: Dataset, *, moments: int, blurred: bool) -> Iterator[Shown]:
    """The first moments of a data set; of clips the average, or unless `blurred` the middle frame.

    ModelError when there are fewer.
    """
    length = _clip_length(dataset)
    if len(dataset) < moments * length:
        raise ModelError(
            "the challenge has too few frames",
            where=str(dataset.place),
            expected=f"{moments * length}",
            got=str(len(dataset)),
            then="Generate the rest of it, or ask for fewer frames.",
        )
    for place in range(moments):
        rows = [dataset.frame(place * length + k) for k in range(length)]
        middle = rows[length // 2]
        seen = rows if blurred else [middle]
        people = [p for p in dataset.instances(middle["index"]) if p["instance"] == FIRST]

        def rgb(seen: list[Row] = seen) -> U8:
            return averaged([_decoded(dataset, row) for row in seen])

        yield Shown(frame=middle, people=people, rgb=rgb)


def _decoded(dataset: Dataset, row: Row) -> U8:
    return decode_rgb(dataset.image_bytes_of(row), str(dataset.image_of(row)))


def _clip_length(dataset: Dataset) -> int:
    return int(dataset.frame(0)["clip_frames"] or 1)


def averaged(pictures: Sequence[U8]) -> U8:
    """The mean of pictures (H, W, 3) in linear light: what one exposure over all of them shows."""
    if len(pictures) == 1:
        return pictures[0]
    return linear_to_srgb_u8(np.mean([srgb_to_linear(p) for p in pictures], axis=0))


def predict_challenge(
    weights: Path,
    dataset: Dataset,
    *,
    moments: int,
    blurred: bool,
    device: str = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Predictions:
    """What a network predicts of the first people of a data set's first moments.

    ModelError when nobody is in the pictures, or the data set has another skeleton that cannot be
    converted.
    """
    on = devices.get_device(device)
    net, config, skeleton = checkpoint.load_network(weights)
    rows: list[dict[str, Any]] = []
    for place, shown in enumerate(exposures(dataset, moments=moments, blurred=blurred)):
        sample = Sample(frame=shown.frame, people=shown.people, rgb=shown.rgb)
        made = crop_people(sample, skeleton, size=config.network.size, joints_3d=config.joints_3d)
        rows += [row | {"frame": np.int64(place)} for row in made]
        progress(place + 1, moments)
    if not rows:
        raise ModelError("nobody is in these pictures", where=str(dataset.place))
    crops = crops_in_memory(rows)
    everybody = CropSubset(crops=crops, rows=np.arange(len(crops)), weight=np.ones(len(crops)))
    spec = InputSpec.of(config.network, skeleton)
    found = predict_subset(net.to(on), everybody, spec, device=on)
    size = dataset.frame(0)
    sizes = np.tile([float(size["width_px"]), float(size["height_px"])], (len(crops), 1))
    return clip_windows(found, sizes)
