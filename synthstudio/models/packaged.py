"""What comes with the package: sizes of backbones by name, and trained networks. Without PyTorch.

Sizes of HRNet, stacked hourglass and ViT are the published ones, and `nano` for crops of 96x72 on
two CPU cores, about as many operations as the small pyramid (docs/research). The networks are
trained and installed by `make model`.
"""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from synthstudio.core.errors import ModelError


@dataclass(frozen=True, kw_only=True)
class HRNetSize:
    """`width`: channels of the stride-4 branch; each lower branch has twice as many.

    `modules`: of the stages two to four; `depth`: residual blocks of a branch in each; `stem`:
    channels of the two convolutions before stage one, which has `first` bottlenecks, `narrow`
    channels wide inside.
    """

    width: int
    modules: tuple[int, int, int] = (1, 4, 3)
    depth: int = 4
    stem: int = 64
    first: int = 4
    narrow: int = 64


@dataclass(frozen=True, kw_only=True)
class HourglassSize:
    """`channels` of the hourglasses; of the first convolution (`stem`); of the first residual."""

    channels: int
    stem: int
    early: int


@dataclass(frozen=True, kw_only=True)
class ViTSize:
    """`channels` of a token in `depth` layers with `heads` heads; `patch` pixels a token, of a
    picture with `padding` around it; `drop_path`: the last layer's drop probability;
    `decoder`: channels of the classic decoder."""

    channels: int
    depth: int
    heads: int
    drop_path: float
    patch: int = 16
    padding: int = 2
    decoder: int = 256


HRNETS = {
    "nano": HRNetSize(width=16, modules=(1, 2, 2), depth=1, stem=16, first=2, narrow=8),
    "w32": HRNetSize(width=32),
    "w48": HRNetSize(width=48),
}
HOURGLASSES = {
    "nano": HourglassSize(channels=56, stem=16, early=32),
    "base": HourglassSize(channels=256, stem=64, early=128),
}
VITS = {
    "nano": ViTSize(channels=64, depth=6, heads=4, drop_path=0.0, patch=8, padding=0, decoder=64),
    "small": ViTSize(channels=384, depth=12, heads=12, drop_path=0.1),
    "base": ViTSize(channels=768, depth=12, heads=12, drop_path=0.3),
}


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
