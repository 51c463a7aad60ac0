"""A stage on a machine that may be another: what its files and its device must be there."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable
from functools import partial
from typing import Any

from synthstudio.core.errors import AssetError, DeviceError
from synthstudio.generation.engines.engine import Engine
from synthstudio.generation.stage import Settings, prepare_caches
from synthstudio.props.assets import AssetTable
from synthstudio.render import runtime

_NAMED = 5


def opening(
    engine: Engine, stage: Callable[..., Any], settings: Settings, *rest: Any
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The initializer and its arguments by which an engine's workers open `stage(settings, ...)`.

    Where they may be on other machines, it is first checked what those lack.
    """
    if not engine.apart:
        return stage, (settings, *rest)
    root = AssetTable(root=settings.assets.root.resolve())  # whatever the current folder is there
    opener = partial(_open, stage, runtime.device_model(settings.device))
    return opener, (dataclasses.replace(settings, assets=root), *rest)


def _open(stage: Callable[..., Any], device: str, settings: Settings, *rest: Any) -> Any:
    """Open a stage here; AssetError or DeviceError names this machine and what it lacks."""
    _check_assets(settings)
    check_device(settings.device, device)
    prepare_caches(settings)
    return stage(settings, *rest)


def check_device(name: str, model: str) -> None:
    """DeviceError where "cpu" or "cuda:0" is not what it is on the machine of the run."""
    if (here := runtime.device_model(name)) != model:
        raise DeviceError(
            "this machine's device differs, so its output would not be byte-identical",
            where=f"node {platform.node()}",
            expected=model,
            got=here,
        )


def _check_assets(settings: Settings) -> None:
    """Look whether all files of the recipe's folders are here; each is hashed when it is opened."""
    root, catalogue = settings.assets.root, settings.catalogue
    listed: tuple[Any, ...] = (
        *catalogue.backgrounds, *catalogue.hdris, *catalogue.cutouts, *catalogue.meshes,
        *catalogue.places, *catalogue.motions,
    )  # fmt: skip
    missing = [one.asset.name for one in listed if not (root / one.asset.name).is_file()]
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise AssetError(
            "this machine lacks files of the run",
            where=f"node {platform.node()}",
            expected=f"{len(listed)} files below {root}",
            got=f"without {', '.join(missing[:_NAMED])}{more}",
            then="Nodes need the asset folders at the same path: copy them there or share the "
            "disk.",
        )
