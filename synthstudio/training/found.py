"""The people that a bottom-up system finds in whole frames, beside the truth where it is known."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.core.skeleton import Skeleton
from synthstudio.evaluation.localization import pck
from synthstudio.evaluation.precision import Found, match
from synthstudio.models.bottom_up.contract import FoundPeople
from synthstudio.training import devices
from synthstudio.training.config import NO_AUGMENTATION
from synthstudio.training.data.batches import InputSpec
from synthstudio.training.data.frame_batches import (
    FrameBatch,
    FrameSubset,
    labelled,
    make_frame_batch,
)
from synthstudio.training.log import draw_person

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
_BATCH = 8
_DRAWN = 4


@torch.inference_mode()
def find_people(net: nn.Module, images: Tensor) -> list[FoundPeople]:
    """The people of frames (B, 3, H, W) uint8, by a network in evaluation mode on its device.

    ModelError when out of memory or its maps are not finite.
    """
    device = next(net.parameters()).device
    guard = devices.memory_guard(device, got=f"{len(images)} frames", then=devices.OTHER_DEVICE)
    with guard:
        found: list[FoundPeople] = net.decode(net(images.to(device)))  # type: ignore[operator]
    return found


def gather(found: list[FoundPeople], images: NDArray[np.int64], joints: int) -> Found:
    """The people of frames with numbers `images` as one table."""
    counts = [len(people) for people in found]
    none, nobody = np.zeros((0, joints, 2)), np.zeros((0, joints))
    return Found(
        image=np.repeat(images, counts).astype(np.int64),
        xy=np.concatenate([none, *(p.joints_px for p in found)]),
        joint_score=np.concatenate([nobody, *(p.scores for p in found)]),
        score=np.concatenate([np.zeros(0), *(p.score for p in found)]),
    )


def validate_frames(
    net: nn.Module, subset: FrameSubset | None, spec: InputSpec, *, device: torch.device
) -> dict[str, float]:
    """PCK@0.1 of all, visible and hidden joints; who was not found is a miss. And how many people
    are found for each true one."""
    if subset is None:
        return {}
    was_training = net.training
    net.eval()
    frames, found = subset.frames, []
    for start in range(0, len(subset), _BATCH):
        rows = subset.rows[start : start + _BATCH]
        batch = make_frame_batch(frames, rows, spec, NO_AUGMENTATION)
        found += find_people(net, batch.images)
    net.train(was_training)
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


def draw_frames(batch: FrameBatch, net: nn.Module, skeleton: Skeleton) -> U8:
    """Frames of a batch with their labels above and the people found below (H, W, 3)."""
    count = min(_DRAWN, len(batch.images))
    was_training = net.training
    net.eval()
    found = find_people(net, batch.images[:count])
    net.train(was_training)
    rows = []
    for everybody in ([p.joints_px for p in batch.people[:count]], [p.joints_px for p in found]):
        tiles = []
        for b, people in enumerate(everybody):
            tile = batch.images[b].numpy().transpose(1, 2, 0).copy()
            for xy in people:
                known = np.isfinite(xy).all(-1)
                tile = draw_person(tile, xy, known, np.zeros_like(known), skeleton)
            tiles.append(tile)
        rows.append(np.concatenate(tiles, 1))
    return np.concatenate(rows, 0)
