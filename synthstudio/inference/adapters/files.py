"""Files of other programs opened by ONNX Runtime or LiteRT, and what adapters share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthstudio.core.arrays import F32, F64, U8, Array
from synthstudio.core.errors import ModelError, import_extra
from synthstudio.core.threads import threads_allowed
from synthstudio.formats.coco.results import ORDERS, order_of_count
from synthstudio.inference.onnx_model import SUFFIX, open_session, read_model

TFLITE = ".tflite"
PADDING = 1.25
"""Box padding of MMPose and ViTPose (GetBBoxCenterScale)."""
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)
"""ImageNet's mean colour (RGB), as subtracted by MMPose and ViTPose."""


@dataclass(frozen=True, kw_only=True)
class FileModel:
    """An opened file with one input. `shape`: of the input, 0 for free axes; `dtype`: NumPy's
    name; `run`: the input to its outputs by name; `facts`: its metadata."""

    where: str
    shape: tuple[int, ...]
    dtype: str
    run: Callable[[Array], dict[str, Array]]
    facts: Mapping[str, str]

    def refuse(self, expected: str, got: Any) -> ModelError:
        """The error for unexpected inputs or outputs."""
        return ModelError(
            "the file is another kind of network",
            where=self.where,
            expected=expected,
            got=str(got)[:200],
            then="Name its kind: ultralytics, rtmpose, movenet, mediapipe, vitpose or onnx.",
        )

    def planar_size(self) -> tuple[int, int]:
        """(H, W) of an input (B, 3, H, W); ModelError for another."""
        if len(self.shape) != 4 or self.shape[1] != 3 or min(self.shape[2:]) < 1:
            raise self.refuse("an input (B, 3, H, W) of a fixed size", self.shape)
        return self.shape[2], self.shape[3]

    def square_size(self) -> int:
        """N of an input (1, N, N, 3); ModelError for another."""
        size = self.shape[1] if len(self.shape) == 4 else 0
        if self.shape[1:] != (size, size, 3) or size < 1:
            raise self.refuse("an input (1, N, N, 3)", self.shape)
        return size

    def order(self, joints: tuple[str, ...] | None, count: int) -> tuple[str, ...]:
        """The names of `count` joints: those given, or by number; ModelError."""
        order = joints or order_of_count(count)
        if order is None or len(order) != count:
            raise ModelError(
                "the file's joint order is unknown",
                where=self.where,
                expected=f"{count} names, or one of {', '.join(ORDERS)}",
                got="none" if joints is None else f"{len(joints)} names",
                then="Pass keypoints.",
            )
        return order


def open_model(path: Path, device: str) -> FileModel:
    """Open a .onnx or .tflite file; ModelError for a damaged one or several inputs."""
    if path.suffix == TFLITE:
        return _lite(path)
    if path.suffix != SUFFIX:
        raise ModelError("unknown kind of file", where=str(path), expected=f"{SUFFIX} or {TFLITE}")
    session, facts = open_session(
        path, what="pose network", form="", where=str(path), device=device, threads=0
    )
    inputs = session.get_inputs()
    names = [output.name for output in session.get_outputs()]

    def run(value: Array) -> dict[str, Array]:
        try:
            outputs = session.run(names, {inputs[0].name: value})
        except Exception as error:  # no common error class
            raise ModelError(
                "ONNX Runtime cannot run this file", where=str(path), got=str(error)[:200]
            ) from error
        return dict(zip(names, outputs, strict=True))

    dtype = inputs[0].type.removeprefix("tensor(").removesuffix(")")
    model = FileModel(
        where=str(path),
        shape=tuple(d if isinstance(d, int) else 0 for d in inputs[0].shape),
        dtype="float32" if dtype == "float" else dtype,
        run=run,
        facts=facts,
    )
    if len(inputs) != 1:
        raise model.refuse("one input", ", ".join(i.name for i in inputs))
    return model


def _lite(path: Path) -> FileModel:
    runtime = import_extra("ai_edge_litert.interpreter", extra="tflite")
    content = read_model(path)
    try:
        reader = runtime.Interpreter(model_content=content, num_threads=threads_allowed() or None)
        reader.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(
            "LiteRT cannot load this file", where=str(path), got=str(error)[:200]
        ) from error
    (first, *more), outputs = reader.get_input_details(), reader.get_output_details()

    def run(value: Array) -> dict[str, Array]:
        reader.set_tensor(first["index"], value)
        reader.invoke()
        return {o["name"]: reader.get_tensor(o["index"]) for o in outputs}

    dtype = np.dtype(first["dtype"]).name
    shape = tuple(map(int, first["shape"]))
    model = FileModel(where=str(path), shape=shape, dtype=dtype, run=run, facts={})
    if more:
        raise model.refuse("one input", len(more) + 1)
    return model


def each(one: Callable[[U8, F64], F64]) -> Callable[[U8, F64], F64]:
    """A function of an image and boxes (P, 4), from one of an image and a box."""
    return lambda rgb, boxes: np.stack([one(rgb, box) for box in boxes])


def centre_and_scale(box: F64, size: tuple[int, int]) -> tuple[F64, F64]:
    """Centre and extent (x, y) of a box x y w h, widened by PADDING and to the shape of (H, W)."""
    aspect = size[1] / size[0]
    w, h = box[2:] * PADDING
    extent = (w, w / aspect) if w > h * aspect else (h * aspect, h)
    return box[:2] + box[2:] / 2, np.array(extent)


def normalised(crop: Array) -> F32:
    """An RGB crop (H, W, 3) as the input (1, 3, H, W) of networks with ImageNet's normalisation."""
    scaled = (crop.astype(np.float32) - MEAN) / DEVIATION
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])
