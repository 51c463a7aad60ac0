"""Occlusion as a transform, for any training pipeline (docs/transforms.md).

`Occlude` is an albumentations transform, `occlude_people` the same on arrays.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthstudio.transforms.arrays import Occluded, occlude_people
    from synthstudio.transforms.dual import Occlude

_HOMES = {"Occlude": "dual", "Occluded": "arrays", "occlude_people": "arrays"}

__all__ = ["Occlude", "Occluded", "occlude_people"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
