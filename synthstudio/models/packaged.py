"""The networks that come with the package: `make model` trains and installs them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from synthstudio.core.errors import ModelError

DEFAULT = "default"
"""The package's network in place of a run's folder."""
WEIGHTS = Path(str(files("synthstudio"))) / "inference" / "weights"
ONNX, TENSORS = "photos.onnx", "photos.safetensors"
FINDER, FINDER_TENSORS = "people.onnx", "people.safetensors"
MAX_BYTES = 12_000_000


def default_model() -> Path:
    """The exported network of the package; ModelError when it was built without."""
    return _installed(ONNX)


def default_tensors() -> Path:
    """Its weights, as `load_network` reads them; ModelError when they are missing."""
    return _installed(TENSORS)


def default_finder() -> Path:
    """The exported detector of the package, which finds people in whole pictures; ModelError when
    it was built without."""
    return _installed(FINDER)


def _installed(name: str) -> Path:
    path = WEIGHTS / name
    if not path.is_file():
        raise ModelError(
            "this installation has no packaged network",
            where=str(path),
            expected=name,
            then="Pass a run (synthstudio train), or install the networks: make model.",
        )
    return path
