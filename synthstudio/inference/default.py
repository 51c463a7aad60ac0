"""The network that comes with the package: `make model` trains and installs it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from synthstudio.core.errors import ModelError

DEFAULT = "default"
"""What names it where a run's folder is expected."""
WEIGHTS = Path(str(files("synthstudio.inference"))) / "weights"
ONNX, TENSORS, CARD = "photos.onnx", "photos.safetensors", "photos.md"
MOST_BYTES = 4_000_000


def default_model() -> Path:
    """The exported network of the package; ModelError when it was built without."""
    path = WEIGHTS / ONNX
    if not path.is_file():
        raise ModelError(
            "this installation comes without a network",
            where=str(path),
            expected=ONNX,
            then="Name a run (synthstudio train makes one), or install a network: make model.",
        )
    return path
