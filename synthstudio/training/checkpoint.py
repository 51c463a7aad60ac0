"""A run on disk: one safetensors file holds all that decides the rest of it.

    RUN/config.yaml     as it was understood
    RUN/best.safetensors, last.safetensors     weights to use; their metadata holds the config
    RUN/state.safetensors                      weights, averages, optimiser, place: to go on from
    RUN/log.csv, events.*                      what was measured

Files are replaced whole, so a kill at any moment leaves the one before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.durable import disk_errors, replace_file
from synthstudio.models.contract import PoseNet
from synthstudio.training import config as configs
from synthstudio.training.config import Config
from synthstudio.training.networks import build, empty_bank, told_backbone

FORMAT = "synthstudio-pose-1"


@dataclass(kw_only=True)
class Place:
    """Where a run stands. `best`: the validation of `best_epoch`; `data` names the people."""

    step: int = 0
    best: float = float("-inf")
    best_epoch: int = -1
    epoch: int = 0
    seconds: float = 0.0
    data: str = ""


def save_weights(
    path: Path, net: nn.Module, config: Config, *, skeleton: Skeleton, note: str
) -> None:
    """Write a network that `load_network` reads; DiskError on failure."""
    told = {
        "format": FORMAT,
        "config": json.dumps(configs.dump(config)),
        "skeleton": skeleton.name,
        "note": note,
        "backbone": told_backbone(net),
    }
    with disk_errors(path):
        replace_file(path, save(_plain(net.state_dict()), metadata=_one(told)))


def load_network(path: Path) -> tuple[PoseNet, Config, Skeleton]:
    """Return the network of a weights file, in evaluation mode.

    ModelError when the file is damaged, of another kind, or does not fit its own config. Nothing
    but the file is read: one that only names a backbone is refused.
    """
    tensors, told = read(path)
    try:
        config = configs.parse(json.loads(told.get("config", "null")), str(path))
    except (ValueError, RecursionError) as error:
        raise _lacks("a config", path, str(error)) from error
    skeleton = get_skeleton(told["skeleton"])
    bank, backbone = empty_bank(tensors), told.get("backbone", "")
    if config.network.pretrained and not backbone:
        raise _lacks("the description of its backbone", path, config.network.pretrained)
    net = build(config.network, skeleton, bank=bank, backbone=backbone)
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(
            "the weights do not fit their own config",
            where=str(path),
            got=str(error).splitlines()[1].strip()[:200],
        ) from error
    return net.eval(), config, skeleton


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors and the metadata of a file of ours; ModelError for any other."""
    try:
        with safe_open(path, framework="pt") as file:
            told = _several(file.metadata())
            if told.get("format") != FORMAT:
                raise ModelError(
                    "this file holds no pose network of ours",
                    where=str(path),
                    expected=FORMAT,
                    got=str(told.get("format")),
                )
            if "skeleton" not in told:
                raise _lacks("the name of a skeleton", path)
            return {name: file.get_tensor(name) for name in file.keys()}, told  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(
            "the checkpoint cannot be read",
            where=str(path),
            got=str(error)[:200],
            then="Take another one, or train again.",
        ) from error


def _lacks(what: str, path: Path, got: str | None = None) -> ModelError:
    return ModelError(
        "the checkpoint does not say all that it must",
        where=str(path),
        expected=what,
        got=None if got is None else got[:200],
        then="Take another one, or train again.",
    )


def save_state(
    path: Path,
    *,
    net: nn.Module,
    ema: nn.Module | None,
    optimiser: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    place: Place,
    config: Config,
    skeleton: Skeleton,
) -> None:
    """Write everything that decides the rest of a run; DiskError on failure."""
    tensors = {f"net.{k}": v for k, v in net.state_dict().items()}
    if ema is not None:
        tensors |= {f"ema.{k}": v for k, v in ema.state_dict().items()}
    moments = optimiser.state_dict()["state"]
    for number, state in moments.items():
        tensors |= {f"optimiser.{number}.{k}": torch.as_tensor(v) for k, v in state.items()}
    tensors["torch_rng"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["cuda_rng"] = torch.cuda.get_rng_state()
    told = {
        "format": FORMAT,
        "config": json.dumps(configs.dump(config)),
        "skeleton": skeleton.name,
        "place": json.dumps(vars(place)),
        "scaler": json.dumps(scaler.state_dict()),
    }
    with disk_errors(path):
        replace_file(path, save(_plain(tensors), metadata=_one(told)))


def load_state(
    path: Path,
    *,
    net: nn.Module,
    ema: nn.Module | None,
    optimiser: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> Place:
    """Put a run back where it stood; ModelError when the file does not fit."""
    tensors, told = read(path)
    try:
        net.load_state_dict(_under(tensors, "net."))
        if ema is not None:
            ema.load_state_dict(_under(tensors, "ema."))
        _load_optimiser(optimiser, _under(tensors, "optimiser."))
        place = Place(**json.loads(told["place"]))
        scaler.load_state_dict(json.loads(told["scaler"]))
        torch.set_rng_state(tensors["torch_rng"])
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        raise ModelError(
            "the saved state does not fit this run",
            where=str(path),
            got=str(error).splitlines()[0][:200],
            then="Start anew in another folder.",
        ) from error
    if "cuda_rng" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda_rng"])
    return place


def _load_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    whole = optimiser.state_dict()
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, key = name.split(".", 1)
        moments.setdefault(int(number), {})[key] = value
    whole["state"] = moments
    optimiser.load_state_dict(whole)


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _one(told: dict[str, str]) -> dict[str, str]:
    """Return metadata of a single entry: safetensors writes several in no fixed order."""
    return {"synthstudio": json.dumps(told, sort_keys=True)}


def _several(metadata: Any) -> dict[str, str]:
    try:
        told = json.loads((metadata or {}).get("synthstudio", "{}"))
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in told.items()} if isinstance(told, dict) else {}


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors that own their memory, on the CPU: what safetensors asks for."""
    return {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
