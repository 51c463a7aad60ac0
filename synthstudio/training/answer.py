"""A network asked about people of a data set: its answers beside the truth, in picture pixels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthstudio.core.visibility import is_ambiguous
from synthstudio.evaluation.storage import Predictions
from synthstudio.models.blocks.bank import PoseBank, fuse
from synthstudio.models.contract import maps_of
from synthstudio.models.heatmaps import (
    Decoded,
    decode_peak,
    expected_hits,
    probabilities,
)
from synthstudio.training import batches, memory
from synthstudio.training.augment import NONE
from synthstudio.training.batches import Batch, Frame
from synthstudio.training.crops import MARGIN
from synthstudio.training.data import Chosen

F64 = NDArray[np.float64]
Decode = Literal["peak", "hits"]
"""The highest peak, or the place with the best chance to be within the tolerance."""
_BATCH = 128


def answer(
    net: nn.Module,
    people: Chosen,
    frame: Frame,
    *,
    device: torch.device,
    decode: Decode = "hits",
    bank: PoseBank | None = None,
    flip: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Predictions:
    """Return what the network says of `people`; the window is the amodal box, nothing changed.

    `bank`: maps are joined with what these poses say first (for blocks that have no bank).
    `flip`: also ask about the mirrored picture (the flip test). Windows may reach beyond
    their pictures, whose sizes crops do not know: `cut_windows`. ModelError when the memory does
    not hold a batch.
    """
    was = net.training
    net.eval()
    parts: dict[str, list[F64]] = {}
    turn = torch.from_numpy(frame.skeleton.flip) if flip else None
    full = memory.enough(device, got=f"{_BATCH} people", then=memory.ELSEWHERE)
    with full, torch.inference_mode():
        for at in range(0, len(people.rows), _BATCH):
            rows = people.rows[at : at + _BATCH]
            made = batches.make(people.crops, rows, frame, NONE, seed=0, step=0)
            for name, value in _asked(net, made, people, frame, turn, decode, bank, device).items():
                parts.setdefault(name, []).append(value)
            progress(min(at + _BATCH, len(people.rows)), len(people.rows))
    net.train(was)
    said = {name: np.concatenate(v) for name, v in parts.items()}
    said["window"] = _windows(people, frame)
    return _table(people, said)


def _asked(
    net: nn.Module,
    made: Batch,
    people: Chosen,
    frame: Frame,
    turn: Tensor | None,
    decode: Decode,
    bank: PoseBank | None,
    device: torch.device,
) -> dict[str, F64]:
    images = made.images.to(device)
    maps, said = maps_of(net, images, flip=None if turn is None else turn.to(device))
    if bank is not None:
        maps = fuse(maps, bank(maps).maps)
    found: Decoded = decode_peak(maps) if decode == "peak" else expected_hits(maps)
    count, joints = found.score.shape
    cell = frame.size[1] / frame.cells[1]
    return {
        "xy": _picture(found.xy.double().cpu().numpy() * cell, people, made.rows, frame),
        "score": found.score.double().cpu().numpy(),
        "peak": probabilities(said.logits[0]).flatten(2).amax(-1).double().cpu().numpy(),
        "present": _plain(said.presence, (count, joints), torch.sigmoid),
        "shares": _plain(said.shares, (count, joints, 4), lambda t: torch.softmax(t, -1)),
        "quality": _plain(said.quality, (count, joints), torch.sigmoid),
        "xyz_m": _plain(said.xyz_m, (count, joints, 3), lambda t: t),
        "known": made.labels.known.numpy().astype(np.float64),
    }


def _plain(said: Tensor | None, shape: tuple[int, ...], use: Callable[[Tensor], Tensor]) -> F64:
    if said is None:
        return np.full(shape, np.nan)
    return np.asarray(use(said.double()).cpu().numpy(), np.float64)


def _picture(xy: F64, people: Chosen, rows: NDArray[np.int64], frame: Frame) -> F64:
    """Return places of the window (R, J, 2) in pixels of the pictures."""
    crops = people.crops
    offset = np.array([frame.size[1], frame.size[0]]) * (MARGIN - 1) / 2
    scale = crops.scale[rows].astype(np.float64)[:, None, None]
    return np.asarray((xy + offset) / scale + crops.corner[rows].astype(np.float64)[:, None])


def cut_windows(answers: Predictions, pictures: F64) -> Predictions:
    """Return answers whose windows end with their pictures; `pictures` (P, 2) width, height."""
    low, high = np.maximum(answers.window[:, :2], 0), np.minimum(answers.window[:, 2:], pictures)
    return dataclasses.replace(answers, window=np.concatenate([low, high], 1))


def _windows(people: Chosen, frame: Frame) -> F64:
    size = np.array([frame.size[1], frame.size[0]], np.float64)
    ends = np.broadcast_to(np.stack([np.zeros(2), size]), (len(people), 2, 2))
    return _picture(ends, people, people.rows, frame).reshape(len(people), 4)


def _table(people: Chosen, said: dict[str, F64]) -> Predictions:
    crops, rows = people.crops, people.rows
    scale = crops.scale[rows].astype(np.float64)
    place = np.full(len(crops) + 1, -1, np.int64)
    place[rows] = np.arange(len(rows))
    shares = crops.shares[rows].astype(np.float64)
    visible = shares[..., 0]
    true_xy = crops.xy[rows].astype(np.float64) / scale[:, None, None]
    side = crops.side[rows] / scale
    return Predictions(
        xy=said["xy"],
        score=said["score"],
        peak=said["peak"],
        present=said["present"],
        shares=said["shares"],
        quality=said["quality"],
        xyz_m=said["xyz_m"],
        true_xy=true_xy + crops.corner[rows].astype(np.float64)[:, None],
        true_shares=shares,
        true_xyz_m=crops.xyz_m[rows].astype(np.float64),
        known=said["known"] > 0,
        state=crops.state[rows],
        cause=crops.cause[rows],
        ambiguous=is_ambiguous(visible),
        area=crops.area[rows] / scale**2,
        side=side,
        box=crops.box[rows].astype(np.float64),
        window=said["window"],
        fraction=crops.fraction[rows].astype(np.float64),
        crowd=crops.crowd[rows].astype(np.float64),
        frame=crops.frame[rows],
        instance=crops.instance[rows],
        group=crops.group[rows],
        clean=place[crops.clean[rows]],
        variant=crops.variant[rows],
        family=crops.family[rows],
    )
