"""Libraries of optional extras, imported where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType

from synthstudio.core.errors import ModelError, SynthStudioError


def import_extra(
    module: str, *, extra: str, error: type[SynthStudioError] = ModelError
) -> ModuleType:
    """Import a module of an optional extra; without it `error` names the extra to install."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.split(".")[0] != module.split(".")[0]:
            raise
        raise error(
            f"{missing.name} is not installed",
            then=f'Install it: pip install "synthstudio[{extra}]".',
        ) from missing
