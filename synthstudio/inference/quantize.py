"""Exported networks with convolutions in 8 bits, calibrated on people.

Static, per channel, as pairs of QuantizeLinear and DequantizeLinear. Weights take 7 bits: without
VNNI products of 8 bits overflow on x86. Everything else stays in float32; of the convolutions those
stay whose own rounding moves the joints most, as few as keep the joints found.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.extras import import_extra
from synthstudio.inference.answers import U8
from synthstudio.inference.export import narrow
from synthstudio.inference.onnx_model import OnnxModel
from synthstudio.inference.scoring import Hits

KEPT = (0, 2, 4, 8)
"""How many convolutions stay in float32: the first that is good enough is taken."""
MOST_LOST = 1.0
"""Points of PCK that 8 bits may cost, of all joints and of hidden ones."""
_CALIBRATED = 64


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """The file's bytes, the convolutions kept in float32, and how far each alone moves joints
    (pixels, mean)."""

    data: bytes
    kept: tuple[str, ...]
    moved_px: dict[str, float]


def quantized(model: Any, crops: U8, score: Callable[[OnnxModel], Hits], before: Hits) -> Quantized:
    """Quantize an ONNX model with float32 weights, calibrated on `crops` (P, H, W, 3).

    `score` counts joints found, `before` are those of the float32 model.
    """
    images: NDArray[Any] = np.ascontiguousarray(crops[:_CALIBRATED].transpose(0, 3, 1, 2))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "whole.onnx"
        source.write_bytes(_prepared(model, Path(folder)))
        convolutions = _convolutions(source)
        float_xy = OnnxModel.load(source, device="cpu").run(images)["joints"]

        def made(excluded: list[str]) -> OnnxModel:
            data = _quantize(source, Path(folder), images, excluded)
            return OnnxModel.parse(data, where="int8", device="cpu", threads=1)

        moved = {
            name: float(
                np.abs(
                    made([n for n in convolutions if n != name]).run(images)["joints"] - float_xy
                ).mean()
            )
            for name in convolutions
        }
        worst = sorted(convolutions, key=lambda name: -moved[name])
        for count in KEPT:
            kept = worst[:count]
            data = _quantize(source, Path(folder), images, kept)
            after = score(OnnxModel.parse(data, where="int8", device="cpu"))
            lost = [before.percent(s) - after.percent(s) for s in ("all", "hidden")]
            if not any(points > MOST_LOST for points in lost):
                break
        return Quantized(data=data, kept=tuple(kept), moved_px=moved)


def _prepared(model: Any, folder: Path) -> bytes:
    """The model with norms folded into convolutions, as the quantizer expects it."""
    onnx = import_extra("onnx", extra="onnx")
    import_extra("onnxruntime", extra="onnx")
    from onnxruntime.quantization.shape_inference import quant_pre_process

    before, after = folder / "before.onnx", folder / "prepared.onnx"
    onnx.save(model, before)
    quant_pre_process(before, after, skip_symbolic_shape=True)
    return after.read_bytes()


def _convolutions(source: Path) -> list[str]:
    onnx = import_extra("onnx", extra="onnx")
    return [node.name for node in onnx.load(source).graph.node if node.op_type == "Conv"]


def _quantize(source: Path, folder: Path, images: NDArray[Any], excluded: list[str]) -> bytes:
    onnx = import_extra("onnx", extra="onnx")
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    out, root = folder / "int8.onnx", logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises what was done
    try:
        quantize_static(
            str(source),
            str(out),
            _reader(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=excluded,
            calibration_cache_path=str(folder / "ranges.json"),
        )
    finally:
        root.setLevel(level)
    model = onnx.load(out)
    narrow(model, weights=True)
    written: bytes = model.SerializeToString()
    return written


def _reader(images: NDArray[Any]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.parts: Iterator[Any] = iter(np.array_split(images, max(len(images) // 8, 1)))

        def get_next(self) -> Any:
            part = next(self.parts, None)
            return None if part is None else {"images": part}

    return Reader()
