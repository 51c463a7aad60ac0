"""Person detectors by the names that commands have for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthstudio.api.arguments import to_path
from synthstudio.inference.onnx_model import SUFFIX

if TYPE_CHECKING:
    from synthstudio.inference.sources import FindPeople


def open_detector(name: str, *, device: str, min_score: float) -> FindPeople:
    """An .onnx file that `Model.export` wrote of a run of fcpose, or a transformers detector by
    its name or folder; ModelError when there is none."""
    from synthstudio.inference.finder import Detector, Finder

    if name.endswith(SUFFIX):
        return Finder.load(to_path(name, "detector"), device=device, min_score=min_score)
    from synthstudio.training import devices

    return Detector(name, device=devices.get_device(device), min_score=min_score)
