"""Labelled images of partly hidden people.

    import synthstudio as ss

    ds = ss.generate("scenes/quickstart.yaml", "exports/first", workers=2)
    frame = ds[17]
    frame.people.visible_share  # (P, J): how much of each joint can be seen

Names are imported when they are first used. docs/api.md has an example for each.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from synthstudio.api.batches import batches, with_bank
    from synthstudio.api.datasets import Dataset
    from synthstudio.api.exchange import export, import_
    from synthstudio.api.frames import Frame
    from synthstudio.api.generation import audit, generate, occlude, preview, stream
    from synthstudio.api.live import live
    from synthstudio.api.model import Model, predict
    from synthstudio.api.networks import evaluate, train
    from synthstudio.api.recipes import Recipe
    from synthstudio.api.remote import Review
    from synthstudio.api.skeletons import skeleton
    from synthstudio.core.errors import SynthStudioError
    from synthstudio.core.people import People

_HOMES = {
    "api.batches": ("batches", "with_bank"),
    "api.datasets": ("Dataset",),
    "api.exchange": ("export", "import_"),
    "api.frames": ("Frame",),
    "api.generation": ("audit", "generate", "occlude", "preview", "stream"),
    "api.live": ("live",),
    "api.model": ("Model", "predict"),
    "api.networks": ("evaluate", "train"),
    "api.recipes": ("Recipe",),
    "api.remote": ("Review",),
    "api.skeletons": ("skeleton",),
    "core.errors": ("SynthStudioError",),
    "core.people": ("People",),
}
_HOME = {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names}

__all__ = [
    "Dataset",
    "Frame",
    "Model",
    "People",
    "Recipe",
    "Review",
    "SynthStudioError",
    "audit",
    "batches",
    "evaluate",
    "export",
    "generate",
    "import_",
    "live",
    "occlude",
    "predict",
    "preview",
    "skeleton",
    "stream",
    "train",
    "with_bank",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
