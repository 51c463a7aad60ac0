"""What a network looks at, how it takes a patch, how long it takes: asked for an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthstudio.core.labels import CAUSES, STATE_HIDDEN
from synthstudio.evaluation.attention import (
    LEAST_SHARE,
    AttentionExample,
    AttentionMass,
    Sensitivity,
    attention_mass,
    occlusion_sensitivity,
)
from synthstudio.evaluation.latency import Latency, latency
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.models.contract import PoseMaps
from synthstudio.models.heatmaps import Decoded, expected_hits, find_peaks
from synthstudio.training import batches, memory
from synthstudio.training.augment import NONE
from synthstudio.training.batches import Batch, Frame
from synthstudio.training.data import Chosen, only

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Report = Callable[[int, int], None]
Bodies = Callable[[I64, F64], F64]
"""Rows of the crops (R,) and how each is seen (R, 2, 3) -> silhouettes (R, h, w), see bodies.py."""
_BATCH = 64
_MOST = 2000
_POSES = 8


def spread(count: int, most: int) -> I64:
    """Return up to `most` places evenly over 0 to count - 1: chosen by no result."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def gazes(
    net: nn.Module,
    people: Chosen,
    frame: Frame,
    *,
    device: torch.device,
    bodies: Bodies | None = None,
    progress: Report = lambda done, total: None,
) -> list[AttentionMass]:
    """Return where the network's attention to pixels lies, for people whom something hides.

    All known joints count, of up to 2,000 people; empty for a network without such attention.
    `bodies`: silhouettes, which crops do not hold; without them nothing is told of the person.
    """
    chosen = only(people, spread(len(people), _MOST))
    found: list[AttentionMass] = []
    for at in range(0, len(chosen), _BATCH):
        made, said = _said(net, chosen, np.arange(at, min(at + _BATCH, len(chosen))), frame, device)
        if "pixels" not in said.attention:
            return []
        cover = made.labels.occluder[:, 0].double().numpy()
        use = cover.mean((1, 2)) >= LEAST_SHARE
        if use.any():
            rows = made.rows[use]
            cell = frame.size[1] / frame.cells[1]
            half = people.crops.box[rows, 2:] * people.crops.scale[rows, None] / cell / 2
            unknown = np.full((len(rows), *frame.cells), np.nan)
            found.append(
                attention_mass(
                    said.attention["pixels"].double().cpu().numpy()[use],
                    cover[use],
                    made.labels.known.numpy()[use],
                    hidden=made.labels.state.numpy()[use] == STATE_HIDDEN,
                    body=unknown if bodies is None else bodies(rows, made.view[use]),
                    half=half.round().astype(np.int64),
                    group=people.crops.group[rows],
                )
            )
        progress(min(at + _BATCH, len(chosen)), len(chosen))
    return found


def examples(
    net: nn.Module, people: Chosen, frame: Frame, *, device: torch.device, count: int = 6
) -> list[AttentionExample]:
    """Return what the network looked at for one hidden joint of a few people, chosen evenly."""
    crops = people.crops
    outer = (CAUSES.index("person"), CAUSES.index("object"))
    hidden = (crops.state[people.rows] == STATE_HIDDEN) & np.isin(crops.cause[people.rows], outer)
    _, first = np.unique(np.where(hidden.any(1), crops.group[people.rows], -1), return_index=True)
    places = np.sort(first[hidden[first].any(1)])
    if not len(places):
        return []
    places = places[spread(len(places), count)]
    made, said = _said(net, people, places, frame, device)
    found = expected_hits(said.maps)
    shares = np.where(hidden[places], crops.shares[made.rows][..., 0], 2.0)
    known = made.labels.known.numpy()
    joints = np.where(known & hidden[places], np.nan_to_num(shares, nan=1.5), 9.0).argmin(1)
    return [
        _example(people, made, said, found, b, int(j), net, frame)
        for b, j in enumerate(joints)
        if known[b, j] and hidden[places[b], j]
    ]


def _example(
    people: Chosen,
    made: Batch,
    said: PoseMaps,
    found: Decoded,
    b: int,
    j: int,
    net: nn.Module,
    frame: Frame,
) -> AttentionExample:
    row, size = int(made.rows[b]), np.array([frame.cells[1], frame.cells[0]], np.float64)
    poses, weights = None, None
    bank = getattr(getattr(net, "block", None), "bank", None)
    if isinstance(bank, PoseBank) and "poses" in said.attention:
        top = said.attention["poses"][b].float().topk(min(_POSES, len(bank.poses)))
        poses = bank.poses[top.indices].double().cpu().numpy()
        weights = top.values.double().cpu().numpy()
    pixels = said.attention.get("pixels")
    return AttentionExample(
        picture=made.images[b].numpy().transpose(1, 2, 0).copy(),
        joint=j,
        true=made.labels.xy[b, j].double().numpy(),
        predicted=found.xy[b, j].double().cpu().numpy() / size,
        heatmap=said.maps[b, j].double().cpu().numpy(),
        peaks=_peaks(said.maps[b : b + 1, j : j + 1]) / size,
        cover=made.labels.occluder[b, 0].double().nan_to_num().numpy(),
        pixels=None if pixels is None else pixels[b, j].double().cpu().numpy(),
        poses=poses,
        weights=weights,
        cause=CAUSES[int(people.crops.cause[row, j])],
        frame=int(people.crops.frame[row]),
        instance=int(people.crops.instance[row]),
    )


def _peaks(maps: Tensor) -> F64:
    """Return (K, 2) cells: up to three peaks of a map, a tenth of its highest at least."""
    found = find_peaks(maps, count=3, least=0.1 * float(maps.max()), reach=2)
    xy = found.xy[0, 0].double().cpu().numpy()
    return np.asarray(xy[np.isfinite(xy).all(1)])


def patched(
    net: nn.Module,
    people: Chosen,
    frame: Frame,
    *,
    device: torch.device,
    count: int = 6,
    progress: Report = lambda done, total: None,
) -> list[Sensitivity]:
    """Slide a patch, a quarter of the window wide, over people of whom most is seen.

    Errors are distances in longer sides of the amodal box.
    """
    fraction = np.nan_to_num(people.crops.fraction[people.rows])
    open_ones = np.flatnonzero(fraction <= np.quantile(fraction, 0.5))
    places = open_ones[spread(len(open_ones), count)]
    made, _ = _said(net, people, places, frame, device)
    size = np.array([frame.size[1], frame.size[0]], np.float64)
    cell = frame.size[1] / frame.cells[1]
    patch = max(frame.size[1] // 4, 1)
    out = []
    for b in range(len(places)):
        true = made.labels.xy[b].double().numpy() * size
        side = float(people.crops.side[made.rows[b]])

        def error(pictures: U8, true: F64 = true, side: float = side) -> F64:
            images = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))
            with _enough(device, len(pictures)), torch.inference_mode():
                xy = expected_hits(net(images.to(device)).maps).xy.double().cpu().numpy() * cell
            return np.asarray(np.linalg.norm(xy - true, axis=-1) / side)

        known = made.labels.known[b].numpy()
        if known.any():
            picture = made.images[b].numpy().transpose(1, 2, 0)
            out.append(
                occlusion_sensitivity(
                    error, picture, true, known=known, patch=patch, stride=max(patch // 2, 1)
                )
            )
        progress(b + 1, len(places))
    return out


def timed(
    net: nn.Module, frame: Frame, *, device: torch.device, rounds: int = 30, batch: int = 1
) -> Latency:
    """Time crops of `batch` people to joints: network and decoding, the copy to the device too."""
    images = torch.full((batch, 3, *frame.size), 114, dtype=torch.uint8)

    def call() -> object:
        with _enough(device, batch), torch.inference_mode():
            return expected_hits(net(images.to(device)).maps).xy.cpu()  # waits for the device

    return latency(call, rounds=rounds)


def _said(
    net: nn.Module, people: Chosen, places: I64, frame: Frame, device: torch.device
) -> tuple[Batch, PoseMaps]:
    made = batches.make(people.crops, people.rows[places], frame, NONE, seed=0, step=0)
    with _enough(device, len(places)), torch.inference_mode():
        said: PoseMaps = net(made.images.to(device))
    return made, said


def _enough(device: torch.device, people: int) -> AbstractContextManager[None]:
    return memory.enough(device, got=f"{people} people", then=memory.ELSEWHERE)
