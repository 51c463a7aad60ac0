"""Diagnostics: hidden joints, sensitivity to an occluding patch, and latency."""

import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from synthstudio.core.arrays import F64, I64, U8
from synthstudio.core.labels import CAUSES, STATE_HIDDEN
from synthstudio.core.skeleton import Skeleton
from synthstudio.evaluation.diagnostics import (
    AttentionExample,
    Sensitivity,
    latency,
    occlusion_sensitivity,
)
from synthstudio.models.contract import PoseOutputs
from synthstudio.models.external_backbones import RANDOM
from synthstudio.models.heatmaps import expected_hits, find_peaks
from synthstudio.models.pose_bank import PoseBank, bank_of
from synthstudio.training import devices, networks
from synthstudio.training.config import NO_AUGMENTATION, Config
from synthstudio.training.data import batches
from synthstudio.training.data.batches import Batch, CropSubset, InputSpec
from synthstudio.training.data.samples import Report

_BATCH = 32
_POSES = 8
_SHOWN = 6
"""Number of people with a stored example and patch map."""
_TIMED = 3


def evenly_spaced(count: int, maximum: int) -> I64:
    """Up to `maximum` indices evenly over 0 to count - 1: a choice independent of any result."""
    return np.unique(np.linspace(0, count - 1, min(count, maximum)).round().astype(np.int64))


def examples(
    net: nn.Module, people: CropSubset, spec: InputSpec, *, device: torch.device
) -> Iterator[AttentionExample]:
    """Attention and maps at one hidden joint of a few people, evenly spaced."""
    crops = people.crops
    external = (CAUSES.index("person"), CAUSES.index("object"))
    hidden = crops.state[people.rows] == STATE_HIDDEN
    hidden &= np.isin(crops.cause[people.rows], external)
    _, first = np.unique(np.where(hidden.any(1), crops.group[people.rows], -1), return_index=True)
    chosen = np.sort(first[hidden[first].any(1)])
    if not len(chosen):
        return
    chosen = chosen[evenly_spaced(len(chosen), _SHOWN)]
    batch, outputs = _predict(net, people, chosen, spec, device)
    decoded = expected_hits(outputs.maps)
    # Per person the least visible hidden joint.
    visible = np.where(hidden[chosen], crops.visibility_fractions[batch.rows][..., 0], 2.0)
    known = batch.labels.known.numpy()
    joints = np.where(known & hidden[chosen], np.nan_to_num(visible, nan=1.5), 9.0).argmin(1)
    bank = bank_of(net)
    size = np.array([spec.cells[1], spec.cells[0]], np.float64)
    for b, j in enumerate(joints.tolist()):
        if not (known[b, j] and hidden[chosen[b], j]):
            continue
        row, poses, weights = int(batch.rows[b]), None, None
        if bank is not None and "poses" in outputs.attention:
            top = outputs.attention["poses"][b].float().topk(min(_POSES, len(bank.poses)))
            poses = bank.poses[top.indices].double().cpu().numpy()
            weights = top.values.double().cpu().numpy()
        yield AttentionExample(
            picture=batch.images[b].numpy().transpose(1, 2, 0).copy(),
            joint=j,
            true=batch.labels.xy[b, j].double().numpy(),
            predicted=decoded.xy[b, j].double().cpu().numpy() / size,
            heatmap=outputs.maps[b, j].double().cpu().numpy(),
            peaks=_peaks(outputs.maps[b : b + 1, j : j + 1]) / size,
            cover=batch.labels.occluder[b, 0].double().nan_to_num().numpy(),
            poses=poses,
            weights=weights,
            cause=CAUSES[int(crops.cause[row, j])],
            frame=int(crops.frame[row]),
            instance=int(crops.instance[row]),
        )


def _peaks(maps: Tensor) -> F64:
    """Cells (K, 2) of up to three peaks of a map, at least a tenth of its highest."""
    found = find_peaks(maps, count=3, minimum=0.1 * float(maps.max()), reach=2)
    xy = found.xy[0, 0].double().cpu().numpy()
    return np.asarray(xy[np.isfinite(xy).all(1)])


def patch_sensitivity(
    net: nn.Module,
    people: CropSubset,
    spec: InputSpec,
    *,
    device: torch.device,
    progress: Report = lambda done, total: None,
) -> Iterator[Sensitivity]:
    """Slide a patch, a quarter of the window wide, over mostly visible people."""
    fraction = np.nan_to_num(people.crops.fraction[people.rows])
    visible = np.flatnonzero(fraction <= np.quantile(fraction, 0.5))
    chosen = visible[evenly_spaced(len(visible), _SHOWN)]
    batch, _ = _predict(net, people, chosen, spec, device)
    size = np.array([spec.size[1], spec.size[0]], np.float64)
    cell = spec.size[1] / spec.cells[1]
    patch = max(spec.size[1] // 4, 1)
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
            yield occlusion_sensitivity(
                error, image, true, known=known, patch=patch, stride=max(patch // 2, 1)
            )
        progress(b + 1, len(chosen))


def _predict(
    net: nn.Module, people: CropSubset, chosen: I64, spec: InputSpec, device: torch.device
) -> tuple[Batch, PoseOutputs]:
    batch = batches.make_batch(people.crops, people.rows[chosen], spec, NO_AUGMENTATION)
    return batch, _run(net, batch.images, device)


@torch.inference_mode()
def _run(net: nn.Module, images: Tensor, device: torch.device) -> PoseOutputs:
    with devices.memory_guard(device, f"{len(images)} people"):
        outputs: PoseOutputs = net(images.to(device))
    return outputs


def crop_cost(net: Any, spec: InputSpec, *, device: torch.device) -> dict[str, Any]:
    """Cost from uint8 crops to joints: network, decoding, copies to and from the device."""
    images = torch.full((_BATCH, 3, *spec.size), 114, dtype=torch.uint8)

    @torch.inference_mode()
    def run(count: int) -> object:
        with devices.memory_guard(device, f"{count} people"):
            return net.find(images[:count].to(device)).joints_px.cpu()  # waits for the device

    return cost(net, device, run, batch=_BATCH)


def cost(
    net: nn.Module, device: torch.device, run: Callable[[int], object], *, batch: int
) -> dict[str, Any]:
    """Latency figures of an evaluation; `run` takes the number of samples, 1 or `batch`."""
    one, many = latency(lambda: run(1)), latency(lambda: run(batch), rounds=5)
    if device.type == "cuda":
        peak, name = torch.cuda.max_memory_allocated(device), torch.cuda.get_device_name(device)
    else:
        peak, name = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "CPU"
    tensors = list(net.state_dict().values())
    return vars(one) | {
        "batch": batch,
        "batch_ms": many.mean_ms / batch,
        "device": name,
        "threads": torch.get_num_threads(),
        "peak_mb": peak / 1e6,
        "peak_of": "accelerator" if device.type == "cuda" else "process",
        "parameters": sum(p.numel() for p in net.parameters()),
        "weights_mb": sum(t.numel() * t.element_size() for t in tensors) / 1e6,
    }


def step_seconds(config: Config, skeleton: Skeleton) -> float:
    """Time the fastest of a few steps, forward and back; data and optimizer are not counted."""
    device, network = devices.get_device(config.device), config.network
    held = min(network.bank, network.bank_sample) or network.bank
    with torch.random.fork_rng(devices=[]):
        bank = PoseBank(torch.rand(held, len(skeleton.joints), 2)) if held else None
        net = networks.build(network, skeleton, bank=bank, weights=RANDOM).to(device).train()
        images = torch.rand(config.batch, 3, *network.size, device=device)
    seconds = []
    for _ in range(_TIMED):
        began = time.monotonic()
        with devices.autocast(device, config.precision):
            outputs = net(images.contiguous(memory_format=torch.channels_last))
        loss = torch.stack([stage.float().logsumexp((2, 3)).sum() for stage in outputs.logits])
        torch.autograd.backward(loss.sum())
        loss.tolist()  # waits for a GPU
        seconds.append(time.monotonic() - began)
    return config.accumulate * min(seconds)
