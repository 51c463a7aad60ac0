"""Export of a network with its decoder: crops of people to joints and causes of occlusion;
or of FCPose's detector: whole pictures to scores and boxes of people.

The file runs without this package: `docs/deployment.md` runs one with ONNX Runtime and NumPy.
"""

import copy
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from synthstudio.core.arrays import F64, Array
from synthstudio.core.errors import ModelError, import_extra
from synthstudio.core.labels import VISIBILITY
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.visibility import VISIBLE_THRESHOLD
from synthstudio.dataset.durable import write_file
from synthstudio.inference.finder import FORMAT as FINDER_FORMAT
from synthstudio.inference.finder import Finder
from synthstudio.inference.model_files import FORMAT, OnnxModel
from synthstudio.inference.predict import PRESENT
from synthstudio.models.bottom_up.fcpose import FCPose
from synthstudio.models.contract import PoseNet
from synthstudio.models.heatmaps import HIT_CELLS, expected_hits, hits, mirrored_maps
from synthstudio.training.config import STRIDE

OPSET = 18
"""The first operator set with the pose bank's sums over indices; onnxruntime 1.14 runs it."""
LIMITS = {"float32": (0.01, 1e-4), "int16": (0.1, 5e-4)}
"""Tolerances of the file's joints (px) and probabilities against PyTorch's, by stored weights."""
_BATCHES, _FINDER_BATCHES = (1, 3, 16), (1, 2)
_PEAKED = 1.5
"""A map has a peak if its maximum is this many times that of a flat map."""
WEIGHTS = ("int16", "float32")
"""How weights are stored in an ONNX file."""
_MIN_NARROWED = 1024
_TAKE_INT32 = {"Expand", "GatherElements", "ScatterElements"}


class WithDecoder(nn.Module):
    """A network with normalisation, flip test, decoder and causes.

    Images (B, 3, H, W), uint8 or floats from 0 to 1, to the tensors of `names`: `joints` (B, J, 2)
    pixels of the crop, `score` (B, J) and, where predicted, `present`, `visibility`, `expected_oks`
    (B, J), `visibility_fractions` (B, J, 4) and `cause` (B, J), an index of core.labels.VISIBILITY.
    """

    order: Tensor

    def __init__(self, net: PoseNet, skeleton: Skeleton, *, flip: bool) -> None:
        super().__init__()
        self.net, self.flip = net, flip
        self.names: tuple[str, ...] = ()
        self.register_buffer("order", torch.from_numpy(skeleton.flip))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        outputs = self.net(images)
        maps = self.maps(images, outputs.maps)
        joints = expected_hits(maps)
        found = {"joints": joints.xy * (images.shape[-1] / maps.shape[-1]), "score": joints.score}
        if outputs.presence is not None:
            found["present"] = outputs.presence.sigmoid()
        if outputs.visibility_fractions is not None:
            fractions = outputs.visibility_fractions.softmax(-1)
            cause = 1 + fractions[..., 1:].argmax(-1)
            cause = torch.where(fractions[..., 0] >= VISIBLE_THRESHOLD, 0, cause)
            if "present" in found:
                cause = torch.where(found["present"] < PRESENT, len(VISIBILITY) - 1, cause)
            found |= {
                "visibility_fractions": fractions,
                "visibility": fractions[..., 0],
                "cause": cause,
            }
        if outputs.quality is not None:
            found["expected_oks"] = outputs.quality.sigmoid()
        self.names = tuple(found)
        return tuple(found.values())

    def maps(self, images: Tensor, maps: Tensor) -> Tensor:
        """The maps (B, J, h, w) to decode, given those of the unflipped images."""
        if not self.flip:
            return maps
        return (maps + mirrored_maps(self.net(images.flip(-1)).maps, self.order)) / 2

    def leads(self, images: Tensor) -> Tensor:
        """Margin (B, J) of each joint's most likely cell over the second."""
        sums = hits(self.maps(images, self.net(images).maps))
        best = sums.flatten(2).topk(2).values
        return best[..., 0] - best[..., 1]


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A written file, and the largest differences of its outputs from PyTorch's."""

    path: Path
    bytes: int
    joints_px: float
    probabilities: float


@dataclass(frozen=True, kw_only=True)
class Info:
    """Metadata and options of a file: for crops of `size` (H, W); with the flip
    test; for floats from 0 to 1 instead of uint8; with weights stored as one of WEIGHTS."""

    size: tuple[int, int]
    name: str
    version: str
    flip: bool = False
    floats: bool = False
    weights: str = "int16"


def export_onnx(net: PoseNet, skeleton: Skeleton, out: Path, about: Info) -> Exported:
    """Write an ONNX file for batches of any length; ModelError when its outputs differ from PyTorch
    by more than LIMITS."""
    whole, crops, model = onnx_program(net, skeleton, about)
    written = narrow(model, weights=about.weights == "int16")
    runtime = OnnxModel.load(written, where=str(out), device="cpu")
    apart = _apart(whole, lambda x: runtime.run(x.numpy()), crops)
    return checked(out, written, *apart, weights=about.weights)


def onnx_program(net: PoseNet, skeleton: Skeleton, about: Info) -> tuple[WithDecoder, Tensor, Any]:
    """A network with its decoder, synthetic crops, and the ONNX model with weights in float32."""
    whole, crops = _ready(net, skeleton, about)
    model = program_of(whole, crops, list(whole.names), _facts(skeleton, about))
    return whole, crops, model


def program_of(whole: nn.Module, images: Tensor, names: list[str], facts: Mapping[str, str]) -> Any:
    """The ONNX model of a module for batches of any length, with the names of its outputs and with
    metadata. `images`: at least two, which it has seen once."""
    onnx = import_extra("onnx", extra="onnx")
    import_extra("onnxscript", extra="onnx")
    with exporting():
        program = torch.onnx.export(
            whole,
            (images[:2].clone(),),  # a view would bring the symbols of its base
            input_names=["images"],
            output_names=names,
            opset_version=OPSET,
            dynamic_shapes={"images": {0: torch.export.Dim.DYNAMIC}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model: Any = program.model_proto
    for node in model.graph.node:  # source lines: 300 kB
        del node.metadata_props[:]
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model, full_check=True)
    return model


def export_torch(net: PoseNet, skeleton: Skeleton, out: Path, about: Info) -> Exported:
    """Write a `torch.export` program with float32 weights, independent of this package.
    ModelError as above."""
    whole, crops = _ready(net, skeleton, about)
    with exporting():
        program = torch.export.export(
            whole, (crops[:2].clone(),), dynamic_shapes={"images": {0: torch.export.Dim.DYNAMIC}}
        )
    file = io.BytesIO()
    facts = _facts(skeleton, about) | {"outputs": json.dumps(whole.names)}
    torch.export.save(program, file, extra_files=facts)
    written = file.getvalue()
    file.seek(0)
    module = torch.export.load(file).module()

    def run(images: Tensor) -> dict[str, Array]:
        return dict(zip(whole.names, (v.numpy() for v in module(images)), strict=True))

    return checked(out, written, *_apart(whole, run, crops))


def checked(
    out: Path, written: bytes, joints_px: float, probabilities: float, weights: str = "float32"
) -> Exported:
    """Write the file; ModelError when its outputs differ too much from PyTorch's."""
    pixels, limit = LIMITS[weights]
    if joints_px > pixels or probabilities > limit:
        raise ModelError(
            "outputs of the exported network differ from the trained one's",
            where=str(out),
            expected=f"joints within {pixels} px, probabilities within {limit}",
            got=f"{joints_px:.2g} px, {probabilities:.2g}",
            then="Export it with --weights float32, or report a bug if that fails.",
        )
    write_file(out, written)
    return Exported(path=out, bytes=len(written), joints_px=joints_px, probabilities=probabilities)


def _ready(net: PoseNet, skeleton: Skeleton, about: Info) -> tuple[WithDecoder, Tensor]:
    """A copy of the network on the CPU, run once on synthetic crops so that cached matrices are
    constants, not traced; and the crops."""
    whole = WithDecoder(copy.deepcopy(net).cpu(), skeleton, flip=about.flip).eval()
    coarse = stream(0, "crops to export with").uniform(size=(max(_BATCHES), 3, 6, 6))
    smooth = nn.functional.interpolate(
        torch.from_numpy(coarse).float(), about.size, mode="bicubic", align_corners=False
    ).clamp(0, 1)
    crops = smooth if about.floats else (smooth * 255).round().to(torch.uint8)
    with torch.no_grad():
        whole(crops)
    return whole, crops


def _facts(skeleton: Skeleton, about: Info) -> dict[str, str]:
    return {
        "format": FORMAT,
        "version": about.version,
        "name": about.name,
        "skeleton": skeleton.name,
        "joints": json.dumps(skeleton.joints),
        "sigmas": json.dumps([float(s) for s in skeleton.sigmas]),
        "edges": json.dumps(skeleton.edges),
        "size": json.dumps(about.size),
        "causes": json.dumps(VISIBILITY),
        "flip_test": json.dumps(about.flip),
    }


def narrow(model: Any, *, weights: bool) -> bytes:
    """The model's file, with the bank's indices and, on request, the weights in 16 bits, widened
    when the file is loaded. Weights are multiples of a step per entry of their first axis (1/65534
    of its range)."""
    onnx = import_extra("onnx", extra="onnx")
    taking: dict[str, set[str]] = {}
    for node in model.graph.node:
        for name in node.input:
            taking.setdefault(name, set()).add(node.op_type)
    made = {node.input[0]: node.output[0] for node in model.graph.node if node.op_type == "Expand"}
    kinds, helper = onnx.TensorProto, onnx.helper
    nodes, added = [], []
    for tensor in model.graph.initializer:
        if np.prod(tensor.dims) < _MIN_NARROWED:
            continue
        name, values = tensor.name, onnx.numpy_helper.to_array(tensor)
        readers = taking.get(name, set()) | taking.get(made.get(name, ""), set())
        if tensor.data_type == kinds.INT64 and readers <= _TAKE_INT32:
            stored = values.astype(
                np.uint16 if 0 <= values.min() <= values.max() < 2**16 else np.int32
            )
            nodes.append(helper.make_node("Cast", [f"{name}.16"], [name], to=kinds.INT32))
        elif tensor.data_type == kinds.FLOAT and weights and values.ndim > 1:
            step = np.abs(values).max(tuple(range(1, values.ndim)), keepdims=True) / 32767
            stored = np.round(values / np.where(step > 0, step, 1)).astype(np.int16)
            added.append(onnx.numpy_helper.from_array(step.astype(np.float32), f"{name}.step"))
            nodes.append(
                helper.make_node("Cast", [f"{name}.16"], [f"{name}.whole"], to=kinds.FLOAT)
            )
            nodes.append(helper.make_node("Mul", [f"{name}.whole", f"{name}.step"], [name]))
        else:
            continue
        tensor.CopyFrom(onnx.numpy_helper.from_array(stored, f"{name}.16"))
    model.graph.initializer.extend(added)
    for place, node in enumerate(nodes):
        model.graph.node.insert(place, node)
    del model.graph.value_info[:]
    written: bytes = model.SerializeToString()
    return written


def _apart(
    whole: WithDecoder, run: Callable[[Tensor], Mapping[str, Array]], crops: Tensor
) -> tuple[float, float]:
    """Largest differences of joints (px) and of everything from 0 to 1. Joints of flat maps, or
    with two cells about equally likely, are not compared: the last digit decides."""
    joints = probabilities = 0.0
    anywhere = np.pi * HIT_CELLS**2 * STRIDE**2 / np.prod(crops.shape[2:])
    for count in _BATCHES:
        with torch.inference_mode():
            native = dict(zip(whole.names, whole(crops[:count]), strict=True))
            leads = whole.leads(crops[:count]).numpy()
            exported = run(crops[:count])
        scores = np.abs(native["score"].numpy() - exported["score"])
        peaked = (native["score"].numpy() > _PEAKED * anywhere) & (leads > 2 * scores.max())
        for name, value in native.items():
            if name == "cause":  # a place in a list
                continue
            apart: F64 = np.abs(value.double().numpy() - exported[name])
            if name == "joints":
                joints = max(joints, float(apart[peaked].max(initial=0)))
            else:
                probabilities = max(probabilities, float(apart.max()))
    return joints, probabilities


@contextmanager
def quiet(name: str = "torch.onnx") -> Iterator[None]:
    """Suppress an exporter's warnings on its internals, and its logger's."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def exporting() -> Iterator[None]:
    """`quiet`; ModelError where PyTorch cannot export the network."""
    try:
        with quiet():
            yield
    except Exception as error:  # of PyTorch, or of a network from outside
        cause = error.__cause__ or error
        first = str(cause).strip().partition("\n")[0]
        raise ModelError(
            "the network cannot be exported",
            expected="operations that torch.export can follow",
            got=f"{type(cause).__name__}: {first[:300]}",
            then="Let shapes decide sizes, not values of tensors.",
        ) from error


class Detections(nn.Module):
    """Images (B, 3, H, W) uint8 to scores (B, N) and boxes (B, N, 4: x0 y0 x1 y1) px."""

    def __init__(self, net: FCPose) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.net.detections(self.net(images))


def export_finder(net: FCPose, _: Skeleton, out: Path, about: Info) -> Exported:
    """Write the detector alone as an ONNX file for images of `about.size` in batches of any length.
    ModelError for the flip test or floats, and as `export_onnx`."""
    if about.flip or about.floats:
        raise ModelError(
            "the file of a detector takes uint8 and has no flip test",
            where=str(out),
            then="Leave these out.",
        )
    whole = Detections(copy.deepcopy(net).cpu()).eval()
    shape = (max(_FINDER_BATCHES), *about.size, 3)
    pixels = stream(0, "pictures to export with").integers(0, 256, shape, dtype=np.uint8)
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    with torch.no_grad():
        whole(images)
    model = program_of(whole, images, ["scores", "boxes"], {
        "format": FINDER_FORMAT, "version": about.version, "name": about.name,
        "size": json.dumps(about.size),
    })  # fmt: skip
    written = narrow(model, weights=about.weights == "int16")
    finder = Finder.load(written, where=str(out), device="cpu")
    apart = [0.0, 0.0]
    for count in _FINDER_BATCHES:
        with torch.inference_mode():
            native = [each.double().numpy() for each in whole(images[:count])]
        exported = finder.detections(pixels[:count])
        for k in (0, 1):
            apart[k] = max(apart[k], float(np.abs(native[k] - exported[k]).max()))
    return checked(out, written, apart[1], apart[0])
