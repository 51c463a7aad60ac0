"""Batches as pictures: what the network saw, what it was told, what it answered."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from synthstudio.core.images import encode_png
from synthstudio.core.skeleton import COLOURS, Skeleton
from synthstudio.models.contract import joints_of
from synthstudio.training.batches import Batch

U8 = NDArray[np.uint8]
_HIDDEN = 1


def batch_picture(
    batch: Batch, net: nn.Module, skeleton: Skeleton, *, people: int = 12
) -> tuple[U8, bytes]:
    """Return (H, W, 3) and its PNG: labels above, answers below; hidden joints are rings."""
    count = min(people, len(batch.images))
    device = next(net.parameters()).device
    was = net.training
    net.eval()
    with torch.inference_mode():
        found, _ = joints_of(net, batch.images[:count].to(device))
    net.train(was)
    high, wide = batch.images.shape[-2:]
    zoom = max(1, 192 // high)
    cells = batch.labels.occluder.shape[-1]
    said = found.xy.cpu().numpy() * (wide / cells) * zoom
    told = batch.labels.xy[:count].numpy() * [wide * zoom, high * zoom]
    rows = []
    for places, own in ((told, True), (said, False)):
        tiles = []
        for b in range(count):
            picture = batch.images[b].numpy().transpose(1, 2, 0)
            tile = np.repeat(np.repeat(picture, zoom, 0), zoom, 1).copy()
            known = batch.labels.known[b].numpy()
            hidden = batch.labels.state[b].numpy() == _HIDDEN
            tiles.append(
                _drawn(tile, places[b], known if own else known | ~known, hidden, skeleton)
            )
        rows.append(np.concatenate(tiles, 1))
    rgb = np.concatenate(rows, 0)
    return rgb, encode_png(rgb)


def _drawn(
    tile: U8,
    places: NDArray[np.float64],
    known: NDArray[np.bool_],
    hidden: NDArray[np.bool_],
    skeleton: Skeleton,
) -> U8:
    at = np.round(np.nan_to_num(places, nan=-99)).astype(int).clip(-9999, 9999)
    for a, b in skeleton.edges:
        if known[a] and known[b]:
            cv2.line(
                tile, tuple(at[a].tolist()), tuple(at[b].tolist()), (90, 90, 90), 1, cv2.LINE_AA
            )
    for j, side in enumerate(skeleton.sides):
        if known[j]:
            fill = 1 if hidden[j] else -1
            cv2.circle(tile, tuple(at[j].tolist()), 3, COLOURS[side], fill, cv2.LINE_AA)
    return tile
