"""A stage on a possibly remote machine: checks of its files and device."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable
from functools import partial
from typing import Any

from synthstudio.core.errors import AssetError, DeviceError
from synthstudio.generation.engines.engine import Engine
from synthstudio.generation.stage import Settings, assets_of, prepare_caches
from synthstudio.props.assets import AssetTable
from synthstudio.render import runtime

_NAMED = 5


def opening(
    engine: Engine, stage: Callable[..., Any], settings: Settings, *rest: Any
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The initializer and its arguments by which an engine's workers open `stage(settings, ...)`.

    For remote machines, files and device are checked first.
    """
    if not engine.apart:
        return stage, (settings, *rest)
    root = AssetTable(root=settings.assets.root.resolve())  # absolute, for workers
    opener = partial(_open, stage, runtime.device_model(settings.device))
    return opener, (dataclasses.replace(settings, assets=root), *rest)


def _open(stage: Callable[..., Any], device: str, settings: Settings, *rest: Any) -> Any:
    """Open a stage on this node; AssetError or DeviceError names the node and what is missing."""
    _check_assets(settings)
    check_device(settings.device, device)
    prepare_caches(settings)
    return stage(settings, *rest)


def check_device(name: str, model: str) -> None:
    """DeviceError if the device differs from that of the run's machine."""
    if (here := runtime.device_model(name)) != model:
        raise DeviceError(
            "this machine's device differs, so its output would not be byte-identical",
            where=f"node {platform.node()}",
            expected=model,
            got=here,
        )


def _check_assets(settings: Settings) -> None:
    """Check that all files of the recipe's folders exist; each is hashed when opened."""
    root, listed = settings.assets.root, assets_of(settings.catalogue)
    missing = [one.asset.name for one in listed if not (root / one.asset.name).is_file()]
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise AssetError(
            "files of the run are missing on this machine",
            where=f"node {platform.node()}",
            expected=f"{len(listed)} files below {root}",
            got=f"without {', '.join(missing[:_NAMED])}{more}",
            then="Nodes need the asset folders at the same path: copy them there or share the "
            "disk.",
        )
