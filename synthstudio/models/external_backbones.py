"""Backbones of other libraries and custom ones, for any block.

    timm:NAME, torchvision:NAME, transformers:NAME or FOLDER
    MODULE:FUNCTION     called without arguments, returns an nn.Module
    given:CLASS         the module that was passed to `ss.train(model=...)`

Input: images (B, 3, H, W); output: maps, as a tensor, a list, a dict or an output of transformers.
The used maps, their strides and channels are found by one probe. Of maps of equal stride the
last is used; NHWC maps and tokens of a vision transformer are rearranged.
"""

from __future__ import annotations

import copy
import importlib
import json
import os
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from synthstudio.core.errors import ModelError, import_extra
from synthstudio.core.progress import first_names
from synthstudio.models import contract, efficientnet
from synthstudio.models.contract import IMAGE_MEAN, IMAGE_STD, Colour
from synthstudio.models.efficientnet import EfficientNetLite0
from synthstudio.models.layers import resize

RANDOM = "random"
"""Value of `weights` for random initialisation."""
TRUST = "SYNTHSTUDIO_TRUST"
"""Environment variable: trusted MODULE:FUNCTION names, separated by commas, for weights files."""
HEAT_MAP_SCALE = 10.0
"""Factor from heat maps in 0..1 to logits: a peak then has most of the probability."""
_STRIDES = (4, 8, 16, 32, 64, 2, 1, *(s for s in range(3, 64) if s & (s - 1)))
_MAX_EXTRA = 8  # class and register tokens
_LIBRARY_PATHS = (
    "<",  # frozen modules
    *(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "purelib", "platlib")),
    *(f"{path}{os.sep}" for path in (Path(__file__).parents[1], Path(torch.__file__).parent)),
)
"""Prefixes of files that are not the user's."""
_GIVEN: dict[str, nn.Module] = {}


@dataclass(frozen=True, kw_only=True)
class Request:
    """A backbone request: `size` (H, W) of its images, `weights` "" (published), RANDOM or a file,
    `own_head`: the whole network. `stored`: a checkpoint's description; "": to be trained."""

    name: str
    size: tuple[int, int]
    weights: str = ""
    own_head: bool = False
    stored: str = ""

    @property
    def published(self) -> bool:
        """Whether the library's published weights are needed."""
        return not self.stored and not self.weights


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A network with the mean and standard deviation of its images, sRGB from 0 to 1."""

    net: nn.Module
    mean: Colour = IMAGE_MEAN
    std: Colour = IMAGE_STD
    config: Mapping[str, Any] | None = None  # of transformers
    report: Sequence[str] = ()


class External(nn.Module):
    """A loaded network that can be frozen: then without gradients, norms keep statistics."""

    description = ""
    mean: Colour = IMAGE_MEAN
    std: Colour = IMAGE_STD

    def __init__(self, net: nn.Module, *, size: tuple[int, int]) -> None:
        super().__init__()
        self.net, self.size = net, size
        self.freeze(False)

    def tensors(self, images: Tensor) -> list[Tensor]:
        """The network's maps of images; ModelError for other sizes than the probe's."""
        if tuple(images.shape[-2:]) != self.size:
            raise ModelError(
                "unsupported image size for the backbone",
                where="network.size",
                expected=str(self.size),
                got=str(tuple(images.shape[-2:])),
            )
        return _tensors(self.net(images))

    def freeze(self, frozen: bool) -> None:
        self.frozen = frozen
        self.net.requires_grad_(not frozen)
        self.net.train(self.training and not frozen)

    def train(self, mode: bool = True) -> External:
        super().train(mode)
        self.net.train(mode and not self.frozen)
        return self


class Features(External):
    """The maps of a network, each brought to `width` channels by a 1x1 convolution and added from
    coarse to fine (FPN, Lin et al. 2017): (B, width, h, w) at the finest stride from 4 on."""

    def __init__(
        self,
        net: nn.Module,
        *,
        size: tuple[int, int],
        width: int = 48,
        name: str = "backbone",
    ) -> None:
        """`size`: height and width of the probe images. ModelError for a network
        that does not run on them or gives no map of a stride from 1 to 64."""
        super().__init__(net, size=size)
        self.channels = width
        found = _probe(net, size, name)
        levels = {m.stride: m for m in found if m.stride}
        strides = [s for s in levels if s >= 4] or list(levels)[-1:]
        if not strides:
            raise ModelError(
                "the backbone returns no spatial map",
                where=f"network.backbone: {name}, images {size[0]}x{size[1]}",
                expected="(B, C, h, w) with h, w the sides over a stride from 1 to 64",
                got=", ".join(m.shape for m in found) or "no tensor",
                then="Return such maps, before any pooling or classifier.",
            )
        self.levels = [levels[s] for s in sorted(strides)]
        self.laterals = nn.ModuleList(nn.Conv2d(m.channels, width, 1) for m in self.levels)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.tensors(images)
        total = None
        for level, lateral in zip(self.levels[::-1], list(self.laterals)[::-1], strict=True):
            side = lateral(level.of(maps))
            total = side if total is None else side + resize(total, side.shape[-2:])
        features: Tensor = F.relu(self.norm(total))
        return features


class OwnMaps(External):
    """A whole network with its head: its maps (B, J, h, w) of `joints` joints, as logits."""

    def __init__(self, net: nn.Module, joints: int, *, size: tuple[int, int], name: str) -> None:
        super().__init__(net, size=size)
        self.channels = joints
        found = _probe(net, size, name)
        fitting = [m for m in found if m.stride and m.channels == joints]
        if not fitting:
            raise ModelError(
                "the network's head has not one map per joint",
                where=f"network.head: own, network.backbone: {name}",
                expected=f"(B, {joints}, h, w)",
                got=", ".join(m.shape for m in found) or "no tensor",
                then="Use head: kpe or orn, or data with the joints of the network's head.",
            )
        self.map = fitting[-1]
        self.scale = HEAT_MAP_SCALE if self.map.heat else 1.0

    def forward(self, images: Tensor) -> Tensor:
        return self.scale * self.map.of(self.tensors(images))


@dataclass(frozen=True)
class Map:
    """Tensor `number` of a network's output, as (B, C, h, w). `stride` 0: not a spatial map.
    `layout` of its axes: "nchw", "nhwc", or "tokens" of a `grid`. `heat`: from 0 to 1 by name."""

    number: int
    stride: int
    channels: int
    layout: str
    grid: tuple[int, int]
    shape: str
    heat: bool

    def of(self, tensors: Sequence[Tensor]) -> Tensor:
        found = tensors[self.number]
        if self.layout == "nhwc":
            return found.permute(0, 3, 1, 2)
        if self.layout == "tokens":
            cells = self.grid[0] * self.grid[1]
            return found[:, -cells:].transpose(1, 2).reshape(len(found), -1, *self.grid)
        return found


def build(request: Request, *, joints: int, width: int, log: Callable[[str], None]) -> External:
    """The backbone or whole network of a request. ModelError names the fix."""
    loaded = _load(request)
    net, report = loaded.net, list(loaded.report)
    if request.weights not in ("", RANDOM) and not request.stored:
        report = load_weights(net, Path(request.weights))
    made: External
    if request.own_head:
        made = OwnMaps(net, joints, size=request.size, name=request.name)
    else:
        made = Features(net, size=request.size, width=width, name=request.name)
    made.mean, made.std = loaded.mean, loaded.std
    described = {"mean": made.mean, "std": made.std, "config": loaded.config}
    made.description = json.dumps(described, sort_keys=True)
    if report:
        log("\n".join([f"pretrained backbone {request.name}: {report[0]}", *report[1:]]))
    return made


def give(module: nn.Module) -> str:
    """Register a module in this process; returns its name for `network.backbone`."""
    name = f"given:{type(module).__name__}"
    _GIVEN[name] = module
    return name


def call(name: str, *arguments: Any, stored: bool, part: str = "backbone", **named: Any) -> Any:
    """The module returned by MODULE:FUNCTION, also of the working directory. `stored`: for a
    weights file, which may only run functions that this process trains with or TRUST lists.
    `part`: what messages call it. ModelError."""
    trusted = [one for one in os.environ.get(TRUST, "").split(",") if one]
    if stored and name not in trusted:
        raise ModelError(
            "the weights need custom code that is not trusted",
            where=name,
            then=f"To trust it set {TRUST}={name}.",
        )
    module, _, attribute = name.partition(":")
    path = list(sys.path)
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), attribute)
        made = found if isinstance(found, nn.Module) else found(*arguments, **named)
    except Exception as error:
        raise _unloadable(name, "MODULE:FUNCTION that can be called", error, part) from error
    finally:
        sys.path[:] = path
    if name not in trusted:
        os.environ[TRUST] = ",".join([*trusted, name])
    if not isinstance(made, nn.Module):
        raise ModelError("no network", where=name, expected="nn.Module", got=type(made).__name__)
    return made


def _load(request: Request) -> Loaded:
    library, _, what = request.name.partition(":")
    loaders = {
        "synthstudio": _own,
        "timm": _timm,
        "torchvision": _torchvision,
        "transformers": _transformers,
    }
    if library == "given":
        if request.name not in _GIVEN:
            raise ModelError(
                "the weights do not contain the module that this network was trained with",
                where=request.name,
                then="Pass it: ss.Model.load(path, module=module).",
            )
        return Loaded(net=copy.deepcopy(_GIVEN[request.name]))
    if library not in loaders:
        net = call(request.name, stored=bool(request.stored))
        return Loaded(net=copy.deepcopy(net))
    if library != "transformers" and not re.fullmatch(r"[\w.]+", what):
        raise ModelError("not the name of a model", where=request.name, expected=f"{library}:NAME")
    try:
        return loaders[library](what, request)
    except ModelError:
        raise
    except Exception as error:
        raise _unloadable(request.name, f"an available model of {library}", error) from error


def _unloadable(name: str, expected: str, error: Exception, part: str = "backbone") -> ModelError:
    return ModelError(f"cannot load the {part}", where=name, expected=expected, got=_cause(error))


def _cause(error: Exception) -> str:
    """An error, and where in the user's files it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_LIBRARY_PATHS)]
    line = f", {Path(own[-1].filename).name} line {own[-1].lineno}" if own else ""
    return f"{type(error).__name__}: {error}"[:300] + line


def _own(name: str, request: Request) -> Loaded:
    if name != "efficientnet_lite0":
        raise ModelError("unknown backbone", where=request.name, expected="efficientnet_lite0")
    if request.published:
        raise ModelError(
            "the package has no weights of this backbone alone",
            where=request.name,
            then="Name a file of them in init_from, or `init_from: random`.",
        )
    return Loaded(net=EfficientNetLite0(), mean=efficientnet.MEAN, std=efficientnet.STD)


def _timm(name: str, request: Request) -> Loaded:
    timm = import_extra("timm", extra="backbones")
    given: dict[str, Any] = {"pretrained": request.published, "features_only": True}
    try:
        net = timm.create_model(name, **given, img_size=request.size)
    except TypeError:  # a network of any size
        net = timm.create_model(name, **given)
    published = timm.get_pretrained_cfg(name)
    if published is None:
        return Loaded(net=net)
    return Loaded(net=net, mean=tuple(published.mean), std=tuple(published.std))


def _torchvision(name: str, request: Request) -> Loaded:
    models = import_extra("torchvision.models", extra="backbones")
    extraction = import_extra("torchvision.models.feature_extraction", extra="backbones")
    net = models.get_model(name, weights="DEFAULT" if request.published else None).eval()
    seen: list[tuple[str, Any]] = []
    stages = dict(net.named_children())
    for outer, child in net.named_children():
        if isinstance(child, nn.Sequential):
            stages |= {f"{outer}.{inner}": module for inner, module in child.named_children()}
    hooks = [
        module.register_forward_hook(lambda _, __, out, stage=stage: seen.append((stage, out)))
        for stage, module in stages.items()
    ]
    with torch.no_grad():
        net(torch.zeros(2, 3, *request.size))
    for hook in hooks:
        hook.remove()
    maps = [(stage, _map(0, out, request.size)) for stage, out in seen if isinstance(out, Tensor)]
    last = {found.stride: stage for stage, found in maps if found.stride}
    return Loaded(net=extraction.create_feature_extractor(net, {v: v for v in last.values()}))


def _transformers(name: str, request: Request) -> Loaded:
    transformers = import_extra("transformers", extra="train")
    described = json.loads(request.stored or "{}")
    if described:
        config = transformers.AutoConfig.for_model(**described["config"])
    else:
        config = transformers.AutoConfig.from_pretrained(name)
    whole = config.model_type == "vitpose"
    backbones = transformers.MODEL_FOR_BACKBONE_MAPPING
    if not whole and type(config) not in backbones:
        raise ModelError(
            f"a {config.model_type} is not a backbone",
            where=name,
            expected="a model of AutoBackbone, or a vitpose",
        )
    kind: Any = transformers.VitPoseForPoseEstimation if whole else backbones[type(config)]
    if not whole and len(config.out_features or ()) < 2:
        config.out_features = config.stage_names
    report: list[str] = []
    if request.published:
        # AutoBackbone.from_pretrained of transformers 5 takes no folder, and always asks its hub.
        net, found = kind.from_pretrained(
            name, config=config, output_loading_info=True, ignore_mismatched_sizes=True
        )
        own = set(net.state_dict())
        if whole and not request.own_head:
            own = {key for key in own if key.startswith("backbone.")}
        report = _checked_report(
            name,
            own,
            missing=own & set(found["missing_keys"]),
            unused=found["unexpected_keys"],
            reshaped=own & {key for key, *_ in found["mismatched_keys"]},
        )
    else:
        net = kind(config)
    processor: Mapping[str, Any] = {}
    if not described:
        with suppress(OSError):  # a folder without its image processor
            processor, _ = transformers.BaseImageProcessor.get_image_processor_dict(name)
    return Loaded(
        net=net.backbone if whole and not request.own_head else net,
        config=config.to_dict(),
        report=report,
        mean=tuple(described.get("mean", processor.get("image_mean", IMAGE_MEAN))),
        std=tuple(described.get("std", processor.get("image_std", IMAGE_STD))),
    )


def load_weights(net: nn.Module, path: Path) -> list[str]:
    """Load a file (.safetensors, or of torch.save) by tensors' names, apart from prefixes and "_"
    for "."; report what matched. ModelError when it is unreadable, or nothing matches."""
    try:
        if path.suffix == ".safetensors":
            held: dict[str, Any] = load_file(path)
        else:
            held = dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        expected = "a .safetensors file, or a state dict of torch.save"
        raise _unloadable(f"init_from: {path}", expected, error) from error
    for key in ("state_dict", "model"):
        held = held[key] if isinstance(held.get(key), dict) else held
    state = net.state_dict()
    tensors = {k: v for k, v in held.items() if isinstance(v, Tensor)}
    own = {key.replace("_", "."): key for key in state}
    parts = {k: [*next(iter(own), "").split(".")[:1], *re.split("[._]", k)] for k in tensors}
    renamed = [{".".join(part[n:]): k for k, part in parts.items()} for n in range(4)]
    names = max(renamed, key=lambda each: len(own.keys() & each.keys()))
    pairs = {own[k]: tensors[names[k]] for k in own if k in names}
    fitting = {k: v for k, v in pairs.items() if v.shape == state[k].shape}
    report = _checked_report(
        str(path),
        set(state),
        missing=set(state) - set(pairs),
        unused=[name for k, name in names.items() if k not in own],
        reshaped=set(pairs) - set(fitting),
    )
    net.load_state_dict(fitting, strict=False)
    return report


def _checked_report(
    where: str, own: set[str], *, missing: set[str], unused: Sequence[str], reshaped: set[str]
) -> list[str]:
    loaded = len(own - missing - reshaped)
    if not loaded:
        raise ModelError(
            "no weight matches the backbone",
            where=where,
            expected=f"names like {min(own)}",
            got=f"names like {min(unused, default='none')}",
            then="Use the published weights unchanged.",
        )
    return matching_report(
        loaded, missing=sorted(missing), unused=sorted(unused), reshaped=sorted(reshaped)
    )


def matching_report(
    loaded: int, *, missing: Sequence[str], unused: Sequence[str], reshaped: Sequence[str]
) -> list[str]:
    """A report of matched weights, in lines; the rest by names of tensors."""
    total = loaded + len({*missing, *reshaped})
    lines = [f"{loaded} of {total} tensors loaded"]
    for title, names in (
        ("not in the file", missing),
        ("not used", unused),
        ("of another shape", reshaped),
    ):
        if names:
            lines.append(f"  {title}: {first_names(names, 5)}")
    return lines


def _probe(net: nn.Module, size: tuple[int, int], name: str) -> list[Map]:
    """A network's output tensors for blank images of `size`; ModelError when it fails."""
    output = _output(net, size, "backbone", name)
    heat = getattr(output, "heatmaps", None) is not None
    return [_map(k, found, size, heat=heat) for k, found in enumerate(_tensors(output))]


def check_head(
    name: str, features: nn.Module, block: nn.Module, joints: int, *, size: tuple[int, int]
) -> None:
    """ModelError unless a head of the user's gives PoseOutputs with one map per joint."""
    output = _output(nn.Sequential(features, _Last(), block), size, "head", name)
    maps = output.logits if isinstance(output, contract.PoseOutputs) else ()
    shapes = [tuple(found.shape) for found in maps or _tensors(output)]
    if not maps or any(len(shape) != 4 or shape[1] != joints for shape in shapes):
        raise ModelError(
            "the network's head has not one map per joint",
            where=f"network.head: {name}",
            expected=f"PoseOutputs with logits (B, {joints}, h, w)",
            got=", ".join([type(output).__name__, *map(str, shapes)]),
        )


class _Last(nn.Module):
    """A backbone's features for its head."""

    def forward(self, found: Any) -> Tensor:
        last: Tensor = found.last if isinstance(found, contract.StagedFeatures) else found
        return last


def _output(net: nn.Module, size: tuple[int, int], part: str, name: str) -> Any:
    """A network's output for blank images of `size`; ModelError when it fails."""
    was = net.training
    try:
        with torch.no_grad():
            return net.eval()(torch.zeros(2, 3, *size))
    except Exception as error:
        raise ModelError(
            f"the {part} fails on these images",
            where=f"network.{part}: {name}, network.size: {list(size)}",
            expected=f"a network of images (B, 3, {size[0]}, {size[1]})",
            got=_cause(error),
            then=f"Change network.size, or wrap the {part} to accept this.",
        ) from error
    finally:
        net.train(was)


def _tensors(output: Any) -> list[Tensor]:
    for name in ("feature_maps", "heatmaps", "last_hidden_state"):  # of transformers
        if getattr(output, name, None) is not None:
            return _tensors(getattr(output, name))
    if isinstance(output, Mapping):
        return _tensors(list(output.values()))
    if isinstance(output, list | tuple):
        return [tensor for one in output for tensor in _tensors(one)]
    return [output] if isinstance(output, Tensor) else []


def _map(number: int, found: Tensor, size: tuple[int, int], *, heat: bool = False) -> Map:
    stride, channels, layout, grid = 0, 0, "", (0, 0)
    if found.ndim == 4:
        stride, channels, layout, grid = _grid(found, size)
    elif found.ndim == 3:
        layout, channels = "tokens", found.shape[2]
        extra = {s: found.shape[1] - (size[0] // s) * (size[1] // s) for s in _STRIDES if s > 1}
        fitting = {s: more for s, more in extra.items() if 0 <= more <= _MAX_EXTRA}
        stride = min(fitting, key=lambda s: fitting[s], default=0)
        if stride:
            grid = (size[0] // stride, size[1] // stride)
    return Map(number, stride, channels, layout, grid, str(tuple(found.shape)), heat)


def _grid(found: Tensor, size: tuple[int, int]) -> tuple[int, int, str, tuple[int, int]]:
    """Stride, channels, layout, grid of a map; stride 0: none. Integer strides before fractional
    ones, NCHW before NHWC."""
    for whole in (True, False):
        for layout, (h, w, c) in (("nchw", (2, 3, 1)), ("nhwc", (1, 2, 3))):
            grid = (found.shape[h], found.shape[w])
            for stride in _STRIDES:
                if all(
                    cells * stride == side
                    or (not whole and 0 < cells in (side // stride, -(-side // stride)))
                    for cells, side in zip(grid, size, strict=True)
                ):
                    return stride, found.shape[c], layout, grid
    return 0, 0, "", (0, 0)
