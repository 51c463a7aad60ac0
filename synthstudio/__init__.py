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
    from synthstudio.api.batches import Batches, batches, with_bank
    from synthstudio.api.crops import PersonCrops
    from synthstudio.api.datasets import Dataset, export, import_, import_photos
    from synthstudio.api.evaluations import Evaluation, compare, evaluate, real_photos, suggest
    from synthstudio.api.frames import Frame
    from synthstudio.api.generation import (
        audit,
        check_assets,
        contact_sheet,
        draw_preview,
        generate,
        occlude,
        plan,
        preview,
        remake,
        render_objects,
        stream,
    )
    from synthstudio.api.live import LivePicture, live
    from synthstudio.api.model import Model, PredictedPeople, predict
    from synthstudio.api.networks import pose_bank, train
    from synthstudio.api.quality import coverage, diff, gap, stats, validate, write_report
    from synthstudio.api.recipes import Recipe, skeleton
    from synthstudio.api.remote import Review
    from synthstudio.api.review import export_reviewed, import_corrections, import_predictions
    from synthstudio.api.robustness import robustness, stress
    from synthstudio.api.selection import filter, leaks, merge, split
    from synthstudio.core.errors import SynthStudioError
    from synthstudio.core.people import People

_HOMES = {
    "api.batches": "Batches batches with_bank",
    "api.crops": "PersonCrops",
    "api.datasets": "Dataset export import_ import_photos",
    "api.evaluations": "Evaluation compare evaluate real_photos suggest",
    "api.frames": "Frame",
    "api.generation": "audit check_assets contact_sheet draw_preview generate occlude plan preview "
    "remake render_objects stream",
    "api.live": "LivePicture live",
    "api.model": "Model PredictedPeople predict",
    "api.networks": "pose_bank train",
    "api.quality": "coverage diff gap stats validate write_report",
    "api.recipes": "Recipe skeleton",
    "api.remote": "Review",
    "api.review": "export_reviewed import_corrections import_predictions",
    "api.robustness": "robustness stress",
    "api.selection": "filter leaks merge split",
    "core.errors": "SynthStudioError",
    "core.people": "People",
}
_HOME = {name: f"{__name__}.{home}" for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
