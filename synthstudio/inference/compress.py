"""A network made faster: a smaller pose bank, fewer channels, 8-bit convolutions.

Candidates are chosen on validation people, reported on test people and timed in turn. int8 is
static and per channel (QDQ); weights take 7 bits, since 8-bit products overflow on x86 without
VNNI. The convolutions whose rounding moves joints most stay in float32, as few as keep PCK.
"""

import copy
import heapq
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from synthstudio.core.arrays import F64, I64, Array
from synthstudio.core.errors import ModelError, import_extra
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import Skeleton
from synthstudio.inference import networks
from synthstudio.inference.export import Info, narrow, onnx_program, quiet
from synthstudio.inference.model_files import OnnxModel
from synthstudio.inference.networks import Hits
from synthstudio.models.backbones import ConvPyramid
from synthstudio.models.contract import PoseNet
from synthstudio.models.losses import pose_losses
from synthstudio.models.pose_bank import PoseBank, bank_of
from synthstudio.training import checkpoint
from synthstudio.training.config import NO_AUGMENTATION, Config, Source
from synthstudio.training.data.batches import CropSubset, InputSpec, make_batch
from synthstudio.training.loop import train
from synthstudio.training.networks import build
from synthstudio.training.predictions import people_batches

BANKS = (2000, 500)
"""Sizes of thinner pose banks."""
_NEAR = (-0.3, 1.3)
"""Crop widths: joints further outside are clipped to this in the distance of poses."""
WIDTHS = (0.75, 0.5)
"""Fractions of channels that pruned networks keep."""
_LR = 0.3
"""The learning rate of the fine-tuning, relative to the training's."""
KEPT = (0, 2, 4, 8)
"""Numbers of convolutions kept in float32: the first sufficient one is used."""
MAX_LOST = 1.0
"""Maximum loss of PCK points by 8 bits, of all and of hidden joints."""
_CALIBRATED = 64
_MULTIPLE, _MIN, _BATCH, _SAMPLED = 8, 8, 32, 512  # of pruned channels and their people


@dataclass(frozen=True, kw_only=True)
class CompressionTarget:
    """The target of `compress`: `people` per call, `threads`, and a limit in
    milliseconds per call or millions of multiply-adds a person."""

    target_ms: float | None
    target_mflops: float | None
    people: int
    threads: int
    steps: int
    rounds: int


@dataclass(frozen=True, kw_only=True)
class People:
    """A data set's people: to fine-tune and prune on, to choose by, to report on."""

    dataset: Path
    train: CropSubset | None
    val: CropSubset
    test: CropSubset


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An exported network, its multiply-adds a person, and convolutions kept in float32 of int8."""

    name: str
    data: bytes
    mflops: float
    val: Hits
    test: Hits
    kept: tuple[str, ...] = ()
    ms: list[float] = field(default_factory=list)

    @property
    def p50_ms(self) -> float:
        return float(np.median(self.ms))


def candidates(
    net: PoseNet,
    config: Config,
    skeleton: Skeleton,
    people: People,
    target: CompressionTarget,
    *,
    folder: Path,
    version: str,
    log: Callable[[str], None],
) -> Iterator[Candidate]:
    """Make and score every candidate, the unchanged network first."""
    size = config.network.size
    about = Info(size=size, name=config.name, version=version)
    held = 0 if (bank := bank_of(net)) is None else len(bank.poses)
    batches = people_batches(people.val, InputSpec(size=config.network.size, skeleton=skeleton))
    images = np.concatenate([batch.images.numpy() for batch in batches])

    def hits(model: OnnxModel, of: CropSubset) -> Hits:
        return networks.hits(model, of, size, skeleton)

    def networks_to_try() -> Iterator[tuple[str, PoseNet]]:
        yield "as it is", net
        for count in BANKS:
            if held > count:
                yield f"{count} poses", thinner(net, count)
        for keep in WIDTHS if people.train is not None and target.steps else ():
            smaller, changed = pruned(net, config, skeleton, people.train, keep=keep)  # type: ignore[arg-type]
            start = folder / f"pruned-{keep}.safetensors"
            checkpoint.save_weights(start, smaller, changed, skeleton=skeleton, note="pruned")
            changed = changed.with_network(bank=held)  # not filled up with its own poses
            tuned = fine_tuned(changed, people.dataset, start, target.steps, log=log)
            count = min((b for b in BANKS if b < held), default=0)
            yield f"{keep:.0%} of the channels", tuned
            if count:
                yield f"{keep:.0%} of the channels, {count} poses", thinner(tuned, count)

    for name, made in networks_to_try():
        _, _, program = onnx_program(made, skeleton, about)
        whole = copy.deepcopy(program)
        data = narrow(whole, weights=True)
        model = OnnxModel.load(data, where=name, device="cpu")
        mflops, val = flops(made, size) / 2e6, hits(model, people.val)
        log(f"{name}: {val.percent('all'):.1f} % of the validation people's joints")
        yield Candidate(name=name, data=data, mflops=mflops, val=val, test=hits(model, people.test))
        small, kept = quantized(program, images, lambda m: hits(m, people.val), val)
        model = OnnxModel.load(small, where=name, device="cpu")
        found = hits(model, people.val)
        log(f"{name}, int8: {found.percent('all'):.1f} %")
        yield Candidate(
            name=f"{name}, int8", data=small, mflops=mflops, val=found,
            test=hits(model, people.test), kept=kept,
        )  # fmt: skip


def fine_tuned(
    config: Config, dataset: Path, start: Path, steps: int, *, log: Callable[[str], None]
) -> PoseNet:
    """Train on from a weights file, by the loop that trains all networks."""
    boxes = config.train[0].boxes if config.train else "outline"
    source = Source(dataset=str(dataset.resolve()), splits=("train",), boxes=boxes)
    changed = config.model_copy(
        update={
            "train": (source,), "val": (), "init_from": str(start), "steps": steps,
            "epochs": 1_000_000, "lr": config.lr * _LR, "device": "cpu",
        }
    )  # fmt: skip
    out = start.with_suffix("")
    train(changed, out, cache=start.parent / "crops", log=log)
    net, _, _ = checkpoint.load_network(out / "last.safetensors")
    return net


def pruned(
    net: PoseNet,
    config: Config,
    skeleton: Skeleton,
    people: CropSubset,
    *,
    keep: float,
) -> tuple[PoseNet, Config]:
    """The network with about a fraction `keep` of each level's channels, and its config.

    A channel's effect on the loss is measured to first order (Molchanov et al. 2019): the change
    if the following norms were zero, from gradients on _SAMPLED people at most. ModelError for
    other backbones than the small pyramid.
    """
    if config.network.backbone != "pyramid":
        raise ModelError(
            "only the small pyramid can be pruned",
            where=config.name,
            expected="network.backbone: pyramid",
            got=config.network.backbone,
        )
    effect = effects(net, config, skeleton, people)
    widths = tuple(
        min(width, max(_MIN, round(width * keep / _MULTIPLE) * _MULTIPLE))
        for width in config.network.widths
    )
    chosen = {}
    for name, values in effect.items():
        level = 0 if name == "stem" else int(name.split(".")[0])
        chosen[name] = values.argsort(descending=True)[: widths[level]].sort().values
    smaller = config.with_network(widths=widths)
    made: Any = build(smaller.network, skeleton, bank=bank_of(net))
    made.load_state_dict({k: _cut(k, v, chosen) for k, v in net.state_dict().items()})
    return made.eval(), smaller


def effects(
    net: PoseNet, config: Config, skeleton: Skeleton, people: CropSubset
) -> dict[str, Tensor]:
    """The effect on the loss of each channel: "stem", "LEVEL" a level's output, "LEVEL.BLOCK"
    channels between a block's two convolutions."""
    groups = dict(_norms(net))
    found = {name: torch.zeros(norms[0].num_features) for name, norms in groups.items()}
    spec = InputSpec(size=config.network.size, skeleton=skeleton)
    sigmas = torch.from_numpy(skeleton.sigmas).float()
    net = net.cpu().eval()
    for start in range(0, min(len(people), _SAMPLED), _BATCH):
        rows = people.rows[start : start + _BATCH]
        batch = make_batch(people.crops, rows, spec, NO_AUGMENTATION)
        net.zero_grad()
        terms = pose_losses(net(batch.images), batch.labels, sigmas=sigmas, balance=torch.ones(4))
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        for name, norms in groups.items():
            change = sum(
                p.detach() * p.grad
                for norm in norms
                for p in (norm.weight, norm.bias)
                if p.grad is not None
            )
            found[name] += torch.as_tensor(change).square()
    net.zero_grad()
    return found


def _norms(net: PoseNet) -> Iterator[tuple[str, list[nn.BatchNorm2d]]]:
    features = net.features
    assert isinstance(features, ConvPyramid)
    yield "stem", [features.stem[1]]  # type: ignore[list-item]
    for level, step in enumerate(features.steps):
        parts: list[Any] = list(step.children())
        first, blocks = parts[0], parts[1:]
        yield str(level), [first[1], *(block.norm for block in blocks)]
        for number, block in enumerate(blocks, 1):
            yield f"{level}.{number}", [block.first[1]]


def _cut(name: str, value: Tensor, chosen: dict[str, Tensor]) -> Tensor:
    parts = name.split(".")
    if parts[0] != "features" or parts[1] not in ("stem", "steps", "laterals") or not value.ndim:
        return value
    out, of = _ends(parts)
    if out is not None:
        value = value[chosen[out]]
    if of is not None and value.ndim == 4:
        value = value[:, chosen[of]]
    return value


def _ends(parts: list[str]) -> tuple[str | None, str | None]:
    """The groups of a convolution's outputs (also its norm's channels) and of its inputs."""
    if parts[1] == "stem":
        return "stem", None
    level = parts[2]
    if parts[1] == "laterals":
        return None, level
    if parts[3] == "0":
        return level, "stem" if level == "0" else str(int(level) - 1)
    inner = f"{level}.{parts[3]}"
    return (inner, level) if parts[4] == "first" else (level, inner)


def thinner(net: PoseNet, count: int) -> PoseNet:
    """A copy with `count` representative poses of the bank, each with its mirror image."""
    made = copy.deepcopy(net)
    bank = bank_of(made)
    assert bank is not None
    half = len(bank.poses) // 2
    near = bank.poses[:half].clamp(*_NEAR).flatten(1).double().numpy()
    rows = torch.from_numpy(representatives(near, max(count // 2, 1)))
    rows = torch.cat([rows, rows + half])
    xyz = None if bank.xyz_m is None else bank.xyz_m[rows]
    made.block.bank = PoseBank(bank.poses[rows], xyz, sharpness=bank.sharpness)
    return made


def representatives(points: F64, count: int) -> I64:
    """Rows (ascending) of `count` representatives of points (N, D): groups are halved across
    their first principal axis, the largest first; each gives the point nearest its mean."""
    groups = [(-len(points), 0, np.arange(len(points)))]
    while len(groups) < min(count, len(points)):
        _, number, rows = heapq.heappop(groups)
        offsets = points[rows] - points[rows].mean(0)
        axis = np.linalg.eigh(offsets.T @ offsets)[1][:, -1]
        order = rows[np.argsort(offsets @ axis, kind="stable")]
        for side, part in enumerate((order[: len(order) // 2], order[len(order) // 2 :])):
            heapq.heappush(groups, (-len(part), 2 * number + 1 + side, part))
    apart = [((points[rows] - points[rows].mean(0)) ** 2).sum(1) for *_, rows in groups]
    return np.sort([rows[far.argmin()] for (*_, rows), far in zip(groups, apart, strict=True)])


def flops(net: PoseNet, size: tuple[int, int]) -> int:
    """Operations for a person, of convolutions and products of matrices."""
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        net(torch.zeros(1, 3, *size))
    return int(counted.get_total_flops())


def quantized(
    model: Any, images: Array, score: Callable[[OnnxModel], Hits], before: Hits
) -> tuple[bytes, tuple[str, ...]]:
    """Quantize an ONNX model with float32 weights, calibrated on `images` (P, 3, H, W): the bytes,
    and convolutions kept in float32. `score` counts hits, `before` are the float32 model's."""
    onnx = import_extra("onnx", extra="onnx")
    import_extra("onnxruntime", extra="onnx")
    from onnxruntime.quantization.shape_inference import quant_pre_process

    images = images[:_CALIBRATED]
    with tempfile.TemporaryDirectory() as folder:
        float_file, source = Path(folder) / "before.onnx", Path(folder) / "whole.onnx"
        onnx.save(model, float_file)
        quant_pre_process(float_file, source, skip_symbolic_shape=True)  # folds norms
        nodes = onnx.load(source).graph.node
        convolutions = [node.name for node in nodes if node.op_type == "Conv"]
        float_xy = OnnxModel.load(source, device="cpu").run(images)["joints"]

        def made(excluded: list[str]) -> OnnxModel:
            data = _quantize(source, Path(folder), images, excluded)
            return OnnxModel.load(data, where="int8", device="cpu", threads=1)

        moved = {
            name: np.abs(
                made([n for n in convolutions if n != name]).run(images)["joints"] - float_xy
            ).mean()
            for name in convolutions
        }
        worst = sorted(convolutions, key=lambda name: -moved[name])
        for count in KEPT:
            kept = worst[:count]
            data = _quantize(source, Path(folder), images, kept)
            after = score(OnnxModel.load(data, where="int8", device="cpu"))
            lost = [before.percent(s) - after.percent(s) for s in ("all", "hidden")]
            if not any(points > MAX_LOST for points in lost):
                break
        return data, tuple(kept)


def _quantize(source: Path, folder: Path, images: Array, excluded: list[str]) -> bytes:
    onnx = import_extra("onnx", extra="onnx")
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    out = folder / "int8.onnx"
    batches = ({"images": some} for some in np.array_split(images, max(len(images) // 8, 1)))
    reader: Any = SimpleNamespace(get_next=lambda: next(batches, None))
    with quiet("root"):  # it recommends preprocessing that is done already
        quantize_static(
            str(source),
            str(out),
            reader,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=excluded,
            calibration_cache_path=str(folder / "ranges.json"),
        )
    model = onnx.load(out)
    return narrow(model, weights=True)


def time_all(found: list[Candidate], target: CompressionTarget, size: tuple[int, int]) -> None:
    """Time every candidate in each round, so that other load affects all equally."""
    crops = stream(0, "crops").integers(0, 255, (target.people, *size, 3), dtype=np.uint8)
    models = [
        OnnxModel.load(c.data, where=c.name, device="cpu", threads=target.threads) for c in found
    ]
    for number in range(target.rounds + 1):
        for candidate, model in zip(found, models, strict=True):
            model(crops)  # wakes sleeping threads
            began = time.perf_counter()
            model(crops)
            if number:
                candidate.ms.append(1000 * (time.perf_counter() - began))


def picked(found: list[Candidate], target: CompressionTarget) -> tuple[Candidate, str]:
    """The most accurate candidate within the target, and how it met or missed the target."""
    best = sorted(found, key=lambda c: -c.val.percent("all"))
    if target.target_ms is None and target.target_mflops is None:
        return best[0], "no target: the most accurate"

    def over(candidate: Candidate) -> float:
        parts = [0.0]
        if target.target_ms is not None:
            parts.append(candidate.p50_ms / target.target_ms - 1)
        if target.target_mflops is not None:
            parts.append(candidate.mflops / target.target_mflops - 1)
        return max(parts)

    fitting = [c for c in best if over(c) <= 0]
    if fitting:
        return fitting[0], "the most accurate within the target"
    nearest = min(best, key=over)
    return nearest, f"none meets the target: the nearest is {over(nearest):.0%} above it"


def as_json(candidate: Candidate, first: Candidate) -> dict[str, Any]:
    test: dict[str, Any] = {}
    for subset in ("all", "visible", "hidden"):
        value, low, high = candidate.test.gained(first.test, subset)
        test[subset] = {
            "percent": candidate.test.percent(subset), "gained": value, "low": low, "high": high
        }  # fmt: skip
    return {
        "name": candidate.name,
        "p50_ms": candidate.p50_ms,
        "p95_ms": float(np.quantile(candidate.ms, 0.95)),
        "relative": candidate.p50_ms / first.p50_ms,
        "bytes": len(candidate.data),
        "mflops": candidate.mflops,
        "validation": candidate.val.percent("all"),
        "test": test,
        "kept_in_float32": list(candidate.kept),
    }
