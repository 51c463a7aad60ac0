"""The exported networks that the page Try it offers: given ones, those of the runs folder, ours."""

from __future__ import annotations

import functools
from pathlib import Path

from synthstudio.inference.onnx_model import OnnxModel
from synthstudio.models.packaged import DEFAULT, ONNX, WEIGHTS
from synthstudio.studio.settings import EXPORTED, Settings

MOST = 200


def models(settings: Settings) -> dict[str, Path]:
    """Exported networks by the name that the page shows: a run's folder, or a file's own.

    Links that lead out of the runs folder are left out. The last is the package's own network.
    """
    runs = settings.runs
    found = sorted(runs.glob(f"*/{EXPORTED}"))[:MOST] if runs.is_dir() else []
    own = [p for p in found if p.is_file() and p.resolve().is_relative_to(runs.resolve())]
    named: dict[str, Path] = {}
    package = [path for path in (WEIGHTS / ONNX,) if path.is_file()]
    for path in (*settings.models, *own, *package):
        name = path.parent.name if path.name == EXPORTED else path.stem
        name = DEFAULT if path in package else name
        while name in named:
            name += " (another)"
        named[name] = path
    return named


def load(path: Path) -> OnnxModel:
    """A network, kept until its file changes; ModelError for none."""
    return _load(path, path.stat().st_mtime_ns)


@functools.lru_cache(4)
def _load(path: Path, changed: int) -> OnnxModel:
    return OnnxModel.load(path, device="cpu")
