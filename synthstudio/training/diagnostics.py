"""What a network attends to, how it reacts to an occluding patch, and its latency."""

from __future__ import annotations

from collections.abc import Callable

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
from synthstudio.models.contract import PoseOutputs
from synthstudio.models.heatmaps import Decoded, expected_hits, find_peaks
from synthstudio.models.zoomnet import ZoomNet
from synthstudio.training import devices
from synthstudio.training.config import NO_AUGMENTATION
from synthstudio.training.data import batches
from synthstudio.training.data.batches import Batch, CropSubset, InputSpec

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Report = Callable[[int, int], None]
Silhouette = Callable[[I64, F64], F64]
"""Rows of the crops (R,) and their views (R, 2, 3) -> silhouettes (R, h, w), see evaluate.py."""
_BATCH = 64
_MAX_PEOPLE = 2000
_POSES = 8


def evenly_spaced(count: int, most: int) -> I64:
    """Up to `most` indices evenly over 0 to count - 1: a choice independent of any result."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def attention_maps(
    net: nn.Module,
    people: CropSubset,
    spec: InputSpec,
    *,
    device: torch.device,
    silhouettes: Silhouette | None = None,
    progress: Report = lambda done, total: None,
) -> list[AttentionMass]:
    """Attention to pixels of all known joints, for up to 2,000 people who are partly hidden.

    Empty for a network without such attention. `silhouettes`: without them nothing is measured
    within the person.
    """
    chosen = people.take(evenly_spaced(len(people), _MAX_PEOPLE))
    found: list[AttentionMass] = []
    for start in range(0, len(chosen), _BATCH):
        end = min(start + _BATCH, len(chosen))
        batch, outputs = _predict(net, chosen, np.arange(start, end), spec, device)
        if "pixels" not in outputs.attention:
            return []
        cover = batch.labels.occluder[:, 0].double().numpy()
        use = cover.mean((1, 2)) >= LEAST_SHARE
        if use.any():
            rows = batch.rows[use]
            cell = spec.size[1] / spec.cells[1]
            half = people.crops.box[rows, 2:] * people.crops.scale[rows, None] / cell / 2
            unknown = np.full((len(rows), *spec.cells), np.nan)
            found.append(
                attention_mass(
                    outputs.attention["pixels"].double().cpu().numpy()[use],
                    cover[use],
                    batch.labels.known.numpy()[use],
                    hidden=batch.labels.state.numpy()[use] == STATE_HIDDEN,
                    body=unknown if silhouettes is None else silhouettes(rows, batch.view[use]),
                    half=half.round().astype(np.int64),
                    group=people.crops.group[rows],
                )
            )
        progress(end, len(chosen))
    return found


def examples(
    net: nn.Module, people: CropSubset, spec: InputSpec, *, device: torch.device, count: int = 6
) -> list[AttentionExample]:
    """What the network attends to for one hidden joint of a few people, evenly spaced."""
    crops = people.crops
    external = (CAUSES.index("person"), CAUSES.index("object"))
    hidden = crops.state[people.rows] == STATE_HIDDEN
    hidden &= np.isin(crops.cause[people.rows], external)
    _, first = np.unique(np.where(hidden.any(1), crops.group[people.rows], -1), return_index=True)
    chosen = np.sort(first[hidden[first].any(1)])
    if not len(chosen):
        return []
    chosen = chosen[evenly_spaced(len(chosen), count)]
    batch, outputs = _predict(net, people, chosen, spec, device)
    decoded = expected_hits(outputs.maps)
    # Of each person, the hidden joint of which least is visible.
    visible = np.where(hidden[chosen], crops.shares[batch.rows][..., 0], 2.0)
    known = batch.labels.known.numpy()
    joints = np.where(known & hidden[chosen], np.nan_to_num(visible, nan=1.5), 9.0).argmin(1)
    bank = getattr(getattr(net, "block", None), "bank", None)
    return [
        _example(people, batch, outputs, decoded, b, int(j), bank, spec)
        for b, j in enumerate(joints)
        if known[b, j] and hidden[chosen[b], j]
    ]


def _example(
    people: CropSubset,
    batch: Batch,
    outputs: PoseOutputs,
    decoded: Decoded,
    b: int,
    j: int,
    bank: object,
    spec: InputSpec,
) -> AttentionExample:
    row, size = int(batch.rows[b]), np.array([spec.cells[1], spec.cells[0]], np.float64)
    poses, weights = None, None
    if isinstance(bank, PoseBank) and "poses" in outputs.attention:
        top = outputs.attention["poses"][b].float().topk(min(_POSES, len(bank.poses)))
        poses = bank.poses[top.indices].double().cpu().numpy()
        weights = top.values.double().cpu().numpy()
    pixels = outputs.attention.get("pixels")
    return AttentionExample(
        picture=batch.images[b].numpy().transpose(1, 2, 0).copy(),
        joint=j,
        true=batch.labels.xy[b, j].double().numpy(),
        predicted=decoded.xy[b, j].double().cpu().numpy() / size,
        heatmap=outputs.maps[b, j].double().cpu().numpy(),
        peaks=_peaks(outputs.maps[b : b + 1, j : j + 1]) / size,
        cover=batch.labels.occluder[b, 0].double().nan_to_num().numpy(),
        pixels=None if pixels is None else pixels[b, j].double().cpu().numpy(),
        poses=poses,
        weights=weights,
        cause=CAUSES[int(people.crops.cause[row, j])],
        frame=int(people.crops.frame[row]),
        instance=int(people.crops.instance[row]),
    )


def _peaks(maps: Tensor) -> F64:
    """Cells (K, 2) of up to three peaks of a map, at least a tenth of its highest."""
    found = find_peaks(maps, count=3, least=0.1 * float(maps.max()), reach=2)
    xy = found.xy[0, 0].double().cpu().numpy()
    return np.asarray(xy[np.isfinite(xy).all(1)])


def patch_sensitivity(
    net: nn.Module,
    people: CropSubset,
    spec: InputSpec,
    *,
    device: torch.device,
    count: int = 6,
    progress: Report = lambda done, total: None,
) -> list[Sensitivity]:
    """Slide a patch, a quarter of the window wide, over people who are mostly visible.

    Errors are distances in longer sides of the amodal box.
    """
    fraction = np.nan_to_num(people.crops.fraction[people.rows])
    visible = np.flatnonzero(fraction <= np.quantile(fraction, 0.5))
    chosen = visible[evenly_spaced(len(visible), count)]
    batch, _ = _predict(net, people, chosen, spec, device)
    size = np.array([spec.size[1], spec.size[0]], np.float64)
    cell = spec.size[1] / spec.cells[1]
    patch = max(spec.size[1] // 4, 1)
    out = []
    for b in range(len(chosen)):
        true = batch.labels.xy[b].double().numpy() * size
        side = float(people.crops.side[batch.rows[b]])

        def error(images: U8, true: F64 = true, side: float = side) -> F64:
            stacked = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
            xy = expected_hits(_run(net, stacked, device).maps).xy.double().cpu().numpy() * cell
            return np.asarray(np.linalg.norm(xy - true, axis=-1) / side)

        known = batch.labels.known[b].numpy()
        if known.any():
            image = batch.images[b].numpy().transpose(1, 2, 0)
            stride = max(patch // 2, 1)
            out.append(
                occlusion_sensitivity(error, image, true, known=known, patch=patch, stride=stride)
            )
        progress(b + 1, len(chosen))
    return out


def measure_latency(
    net: nn.Module, spec: InputSpec, *, device: torch.device, rounds: int = 30, batch: int = 1
) -> Latency:
    """Time from `batch` uint8 crops to joints: network, decoding, copies to and from the device."""
    images = torch.full((batch, 3, *spec.size), 114, dtype=torch.uint8)

    @torch.inference_mode()
    def call() -> object:
        if isinstance(net, ZoomNet):
            return net.find(images.to(device)).joints_px.cpu()
        return expected_hits(_run(net, images, device).maps).xy.cpu()  # waits for the device

    return latency(call, rounds=rounds)


def _predict(
    net: nn.Module, people: CropSubset, chosen: I64, spec: InputSpec, device: torch.device
) -> tuple[Batch, PoseOutputs]:
    batch = batches.make_batch(people.crops, people.rows[chosen], spec, NO_AUGMENTATION)
    return batch, _run(net, batch.images, device)


@torch.inference_mode()
def _run(net: nn.Module, images: Tensor, device: torch.device) -> PoseOutputs:
    guard = devices.memory_guard(device, got=f"{len(images)} people", then=devices.OTHER_DEVICE)
    with guard:
        outputs: PoseOutputs = net(images.to(device))
    return outputs
