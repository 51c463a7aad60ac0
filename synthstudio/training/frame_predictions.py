"""People found by a bottom-up system in whole frames, matched with the truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from synthstudio.core.arrays import I64, U8
from synthstudio.core.errors import ModelError
from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row
from synthstudio.evaluation.latency import latency
from synthstudio.evaluation.localization import pck
from synthstudio.evaluation.precision import Detections, match
from synthstudio.evaluation.storage import Predictions
from synthstudio.models.bottom_up.contract import FoundPeople
from synthstudio.training import devices, diagnostics
from synthstudio.training.config import NO_AUGMENTATION
from synthstudio.training.data.batches import CropSubset, InputSpec
from synthstudio.training.data.frames import FrameSubset, labelled, make_frame_batch
from synthstudio.training.data.samples import rgb_of
from synthstudio.training.data.windows import Letterbox
from synthstudio.training.ground_truth import whole_frame_truth, with_found
from synthstudio.training.networks import BottomUpNet

BATCH = 8


@torch.inference_mode()
def find_people(net: nn.Module, images: Tensor) -> list[FoundPeople]:
    """The people of frames (B, 3, H, W) uint8, by a network in evaluation mode on its device.

    ModelError when out of memory or its maps are not finite.
    """
    device = next(net.parameters()).device
    with devices.memory_guard(device, f"{len(images)} frames"):
        found: list[FoundPeople] = net.decode(net(images.to(device)))  # type: ignore[operator]
    return found


def gather(found: list[FoundPeople], images: I64, joints: int) -> Detections:
    """The people of frames with numbers `images` as one table."""
    counts = [len(people) for people in found]
    none, no_scores = np.zeros((0, joints, 2)), np.zeros((0, joints))
    return Detections(
        image=np.repeat(images, counts).astype(np.int64),
        xy=np.concatenate([none, *(p.joints_px for p in found)]),
        joint_score=np.concatenate([no_scores, *(p.scores for p in found)]),
        score=np.concatenate([np.zeros(0), *(p.score for p in found)]),
    )


def validate_frames(
    net: nn.Module, subset: FrameSubset | None, spec: InputSpec, *, device: torch.device
) -> dict[str, float]:
    """PCK@0.1 of all, visible and hidden joints; missed people count. And the number of people
    found per true one."""
    if subset is None:
        return {}
    frames, found = subset.frames, []
    with devices.evaluating(net):
        for start in range(0, len(subset), BATCH):
            rows = subset.rows[start : start + BATCH]
            batch = make_frame_batch(frames, rows, spec, NO_AUGMENTATION)
            found += find_people(net, batch.images)
    people, known = labelled(frames, subset.rows)
    image = np.searchsorted(frames.first, people, side="right") - 1
    table = gather(found, subset.rows, len(spec.skeleton.joints))
    truth, boxes = frames.xy[people].astype(np.float64), frames.boxes[people].astype(np.float64)
    area = boxes[:, 2] * boxes[:, 3] / 2
    place = match(table, image, truth, known, area, sigmas=spec.skeleton.sigmas)
    predicted = np.full(truth.shape, np.nan)
    predicted[place >= 0] = table.xy[place[place >= 0]]
    hits = pck(predicted, truth, length=boxes[:, 2:].max(1), at=0.1)
    state = frames.state[people]
    subsets = {
        "pck": known,
        "pck_visible": known & (state == STATE_VISIBLE),
        "pck_hidden": known & (state == STATE_HIDDEN),
    }
    out = {k: float(hits[s].mean()) if s.any() else float("nan") for k, s in subsets.items()}
    return out | {"found": len(table) / max(len(people), 1)}


Progress = Callable[[int, int], None]
FindFrames = Callable[[Dataset, Sequence[Row], Progress], list[FoundPeople]]
"""The people found in the frames of these rows, one table each, in order."""


def check_joints(net: BottomUpNet) -> None:
    """ModelError for a network that is a person detector without joints."""
    if not net.finds_joints:
        raise ModelError(
            "this network is a person detector without joints",
            where="network.head",
            expected="fcpose",
            got="detector",
            then="Export it, synthstudio export-model, and pass it to another as --detector.",
        )


def find_in_images(
    net: BottomUpNet, images: Sequence[U8], size: tuple[int, int]
) -> list[FoundPeople]:
    """The people of images (H, W, 3) of any sizes, each letter-boxed to `size`, in the image's
    pixels."""
    check_joints(net)
    boxes = [Letterbox.of(rgb.shape[:2], size) for rgb in images]
    framed = np.stack([box.framed(rgb, size) for box, rgb in zip(boxes, images, strict=True)])
    batch = torch.from_numpy(np.ascontiguousarray(framed.transpose(0, 3, 1, 2)))
    found = find_people(net, batch)
    return [
        dataclasses.replace(people, joints_px=box.to_image(people.joints_px))
        for people, box in zip(found, boxes, strict=True)
    ]


def find_in_dataset(
    net: BottomUpNet,
    dataset: Dataset,
    people: CropSubset,
    spec: InputSpec,
    *,
    splits: Sequence[str] = (),
    progress: Progress = lambda done, total: None,
    find: FindFrames | None = None,
) -> tuple[Predictions, Detections]:
    """People found in the frames of a data set (of `splits`, or all), and matched with `people`.

    `find` predicts remotely; default: in this process. Found people are matched with
    true ones by OKS (evaluation/precision.py), so the same people and joints are evaluated as with
    boxes. Joints of missed people are NaN with score 0.
    """
    net.eval()
    frames = [row for row in dataset.iter_frames() if not splits or row["split"] in splits]
    parts: list[FoundPeople] = []
    if find is not None:
        parts = find(dataset, frames, progress)
    for start in range(0, len(frames) if find is None else 0, BATCH):
        images = [rgb_of(dataset, row) for row in frames[start : start + BATCH]]
        parts += find_in_images(net, images, spec.size)
        progress(min(start + BATCH, len(frames)), len(frames))
    joints = len(spec.skeleton.joints)
    found = gather(parts, np.array([row["index"] for row in frames], np.int64), joints)
    sizes = {row["index"]: (row["width_px"], row["height_px"]) for row in frames}
    sides = np.array([sizes[int(f)] for f in people.crops.frame[people.rows]], np.float64)
    table = whole_frame_truth(people.crops, people.rows, sides.reshape(-1, 2), joints)
    sigmas = spec.skeleton.sigmas
    place = match(found, table.frame, table.true_xy, table.known, table.area, sigmas=sigmas)
    return with_found(table, found, place), found


def cost(net: BottomUpNet, spec: InputSpec, dataset: Dataset) -> dict[str, Any]:
    """Latency of the data set's first frame, decoding included."""
    row = next(iter(dataset.iter_frames()))
    image = rgb_of(dataset, row)
    device = next(net.parameters()).device
    one = latency(lambda: find_in_images(net, [image], spec.size))
    many = latency(lambda: find_in_images(net, [image] * BATCH, spec.size), rounds=5)
    return diagnostics.cost(net, device, one=one, many=many, batch=BATCH) | {"of": "frame"}
