"""Top-down networks of other programs, and exported ones of ours.

A predictor is a function of an RGB image (H, W, 3) and boxes (P, 4: x y w h) to joints (P, J, 3: x,
y, score), in continuous pixels. Pre- and postprocessing follow the network's authors.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from synthstudio.core.arrays import F64, U8
from synthstudio.dataset.durable import file_sha256
from synthstudio.inference.adapters import kinds
from synthstudio.inference.adapters.files import open_model
from synthstudio.inference.onnx_model import OnnxModel
from synthstudio.inference.predict import predict
from synthstudio.inference.sources import Boxes, SourceImage
from synthstudio.training.outside import Network


def open_network(
    path: Path, kind: str, joints: tuple[str, ...] | None = None, device: str = "auto"
) -> Network:
    """A .onnx or .tflite file of a `kind`, a function of kinds.py; ModelError for a file
    that cannot be run, or whose inputs and outputs differ from the original's."""
    model = open_model(path, device)
    count, run = kinds.LOADERS[kind](model)
    return Network(
        name=path.stem,
        predict=run,
        joints=model.order(joints, count),
        sha256=file_sha256(path),
        kind=f"{kind} file",
    )


def own(model: OnnxModel, path: Path, *, name: str = "") -> Network:
    """An exported network of ours, with causes of occlusion. `name`: by default its training's."""

    def run(rgb: U8, boxes: F64) -> dict[str, F64]:
        image = SourceImage(number=0, name="image", rgb=rgb)
        given = Boxes(xywh=boxes, score=np.ones(len(boxes)), measured=True)
        people = list(predict(model, [image], lambda _: given, size=model.size))
        names = ("xy", "score", "visibility_fractions", "present", "quality")
        return {name: np.stack([getattr(p, name) for p in people]) for name in names}

    joints = zip(model.skeleton.known_as, model.skeleton.joints, strict=True)
    return Network(
        name=name or model.name or path.stem,
        predict=run,
        joints=tuple(known or joint for known, joint in joints),
        sha256=file_sha256(path),
        kind=f"exported network {model.size[0]}x{model.size[1]}",
    )
