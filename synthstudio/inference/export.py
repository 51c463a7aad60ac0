"""Exporting a network with its decoder: pictures of people in, joints and what hides them out.

The file needs nothing of this package: `docs/deployment.md` runs one with ONNX Runtime and NumPy.
"""

from __future__ import annotations

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
from numpy.typing import NDArray
from torch import Tensor, nn

from synthstudio.core.errors import ModelError
from synthstudio.core.extras import import_extra
from synthstudio.core.labels import SHARES
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.visibility import VISIBLE_THRESHOLD
from synthstudio.dataset.durable import write_file
from synthstudio.inference.answers import PRESENT
from synthstudio.inference.onnx_model import FORMAT, OnnxModel
from synthstudio.models.contract import PoseNet
from synthstudio.models.heatmaps import expected_hits, mirrored_maps

OPSET = 18
"""The first operator set that sums over indices as the pose bank does; onnxruntime 1.14 runs it."""
MOST_PX, MOST = 0.01, 1e-4
"""How far the file's joints and probabilities may be from PyTorch's."""
_BATCHES = (1, 3, 16)


class WithDecoder(nn.Module):
    """A network with everything between pixels and answers: norms, flip test, decoder, causes.

    Images (B, 3, H, W), uint8 or floats from 0 to 1, to tensors by the names of `names`: `joints`
    (B, J, 2) continuous pixels of the crop, `score` (B, J); of networks that say so `present` (B,
    J), `shares` (B, J, 4), `visibility` (B, J), `cause` (B, J) as a place in core.labels.SHARES,
    and `expected_oks` (B, J).
    """

    order: Tensor

    def __init__(self, net: PoseNet, skeleton: Skeleton, *, flip: bool) -> None:
        super().__init__()
        self.net, self.flip = net, flip
        self.names: tuple[str, ...] = ()
        self.register_buffer("order", torch.from_numpy(skeleton.flip))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        outputs = self.net(images)
        maps = outputs.maps
        if self.flip:
            maps = (maps + mirrored_maps(self.net(images.flip(-1)).maps, self.order)) / 2
        joints = expected_hits(maps)
        found = {"joints": joints.xy * (images.shape[-1] / maps.shape[-1]), "score": joints.score}
        if outputs.presence is not None:
            found["present"] = outputs.presence.sigmoid()
        if outputs.shares is not None:
            shares = outputs.shares.softmax(-1)
            cause = 1 + shares[..., 1:].argmax(-1)
            cause = torch.where(shares[..., 0] >= VISIBLE_THRESHOLD, 0, cause)
            if "present" in found:
                cause = torch.where(found["present"] < PRESENT, len(SHARES) - 1, cause)
            found |= {"shares": shares, "visibility": shares[..., 0], "cause": cause}
        if outputs.quality is not None:
            found["expected_oks"] = outputs.quality.sigmoid()
        self.names = tuple(found)
        return tuple(found.values())


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A written file, and how far its answers were from PyTorch's on made-up crops."""

    path: Path
    bytes: int
    joints_px: float
    probabilities: float


def export_onnx(
    net: PoseNet,
    skeleton: Skeleton,
    out: Path,
    *,
    size: tuple[int, int],
    name: str,
    version: str,
    flip: bool = False,
    floats: bool = False,
) -> Exported:
    """Write an ONNX file for crops of `size` (H, W) in batches of any length.

    `floats`: takes floats from 0 to 1 instead of uint8. ModelError when the file's answers are
    further from PyTorch's than MOST_PX and MOST.
    """
    onnx = import_extra("onnx", extra="onnx")
    import_extra("onnxscript", extra="onnx")
    whole, crops = _ready(net, skeleton, size=size, flip=flip, floats=floats)
    with _quiet():
        program = torch.onnx.export(
            whole,
            (crops[:2],),
            input_names=["images"],
            output_names=list(whole.names),
            opset_version=OPSET,
            dynamic_shapes={"images": {0: torch.export.Dim.DYNAMIC}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model: Any = program.model_proto
    _narrow_indices(model, onnx)
    facts = _facts(skeleton, size=size, name=name, version=version, flip=flip)
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model, full_check=True)
    written: bytes = model.SerializeToString()
    runtime = OnnxModel.parse(written, where=str(out), device="cpu")
    return _checked(out, written, _apart(whole, lambda x: runtime.run(x.numpy()), crops))


def export_torch(
    net: PoseNet,
    skeleton: Skeleton,
    out: Path,
    *,
    size: tuple[int, int],
    name: str,
    version: str,
    flip: bool = False,
    floats: bool = False,
) -> Exported:
    """Write a `torch.export` program, which `torch.export.load` reads without this package.

    ModelError as above.
    """
    whole, crops = _ready(net, skeleton, size=size, flip=flip, floats=floats)
    with _quiet():
        program = torch.export.export(
            whole, (crops[:2],), dynamic_shapes={"images": {0: torch.export.Dim.DYNAMIC}}
        )
    file = io.BytesIO()
    facts = _facts(skeleton, size=size, name=name, version=version, flip=flip)
    facts["outputs"] = json.dumps(whole.names)
    torch.export.save(program, file, extra_files=facts)
    written = file.getvalue()
    file.seek(0)
    module = torch.export.load(file).module()

    def run(images: Tensor) -> dict[str, NDArray[Any]]:
        return dict(zip(whole.names, (v.numpy() for v in module(images)), strict=True))

    return _checked(out, written, _apart(whole, run, crops))


def _checked(out: Path, written: bytes, apart: tuple[float, float]) -> Exported:
    """Write the file, unless its answers are too far `apart` from PyTorch's."""
    joints_px, probabilities = apart
    if joints_px > MOST_PX or probabilities > MOST:
        raise ModelError(
            "the exported network answers otherwise than the trained one",
            where=str(out),
            expected=f"joints within {MOST_PX} px, probabilities within {MOST}",
            got=f"{joints_px:.2g} px, {probabilities:.2g}",
        )
    write_file(out, written)
    return Exported(path=out, bytes=len(written), joints_px=joints_px, probabilities=probabilities)


def _ready(
    net: PoseNet, skeleton: Skeleton, *, size: tuple[int, int], flip: bool, floats: bool
) -> tuple[WithDecoder, Tensor]:
    """A copy of the network on the CPU and made-up crops, which it has seen once.

    Matrices and indices that it keeps are thus real ones, not those of a trace.
    """
    whole = WithDecoder(copy.deepcopy(net).cpu(), skeleton, flip=flip).eval()
    coarse = stream(0, "crops to export with").uniform(size=(max(_BATCHES), 3, 6, 6))
    smooth = nn.functional.interpolate(
        torch.from_numpy(coarse).float(), size, mode="bicubic", align_corners=False
    ).clamp(0, 1)
    crops = smooth if floats else (smooth * 255).round().to(torch.uint8)
    with torch.no_grad():
        whole(crops)
    return whole, crops


def _facts(
    skeleton: Skeleton, *, size: tuple[int, int], name: str, version: str, flip: bool
) -> dict[str, str]:
    return {
        "format": FORMAT,
        "version": version,
        "name": name,
        "skeleton": skeleton.name,
        "joints": json.dumps(skeleton.joints),
        "sigmas": json.dumps([float(s) for s in skeleton.sigmas]),
        "edges": json.dumps(skeleton.edges),
        "size": json.dumps(size),
        "causes": json.dumps(SHARES),
        "flip_test": json.dumps(flip),
    }


def _narrow_indices(model: Any, onnx: Any) -> None:
    """Store the bank's indices in 32 bits, half the bytes; what reads them takes both."""
    taking: dict[str, set[str]] = {}
    for node in model.graph.node:
        for name in node.input:
            taking.setdefault(name, set()).add(node.op_type)
    made = {node.input[0]: node.output[0] for node in model.graph.node if node.op_type == "Expand"}
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.INT64 or np.prod(tensor.dims) < 4096:
            continue
        readers = taking.get(tensor.name, set()) | taking.get(made.get(tensor.name, ""), set())
        if readers <= {"Expand", "GatherElements", "ScatterElements"}:
            values = onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.int32), tensor.name))
    del model.graph.value_info[:]


def _apart(
    whole: WithDecoder, run: Callable[[Tensor], Mapping[str, NDArray[Any]]], crops: Tensor
) -> tuple[float, float]:
    """The largest differences of joints, in pixels, and of everything between 0 and 1."""
    joints = probabilities = 0.0
    for count in _BATCHES:
        with torch.inference_mode():
            ours = dict(zip(whole.names, whole(crops[:count]), strict=True))
            theirs = run(crops[:count])
        for name, value in ours.items():
            if name == "cause":  # a place in a list
                continue
            apart: NDArray[np.float64] = np.abs(value.double().numpy() - theirs[name])
            if name == "joints":
                joints = max(joints, float(apart.max()))
            else:
                probabilities = max(probabilities, float(apart.max()))
    return joints, probabilities


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks about its own insides."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
