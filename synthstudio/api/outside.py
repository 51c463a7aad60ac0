"""Networks other than runs: functions, exported files, files of other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from synthstudio.api.arguments import to_path
from synthstudio.api.model import Model
from synthstudio.core.errors import ArgumentError
from synthstudio.formats.coco.results import order_of
from synthstudio.inference import adapters
from synthstudio.inference.onnx_model import SUFFIX, OnnxModel
from synthstudio.models.packaged import DEFAULT, default_model
from synthstudio.training.outside import Network

SUFFIXES = (SUFFIX, ".tflite")


def to_network(
    model: Any, kind: str | None, keypoints: str | Sequence[str] | None, device: str
) -> Network | None:
    """A top-down predictor: of a function, an exported file, "default", or another
    program's file of a `kind`; None: a run. ArgumentError, FormatError, ModelError."""
    joints = None if keypoints is None else order_of(keypoints)
    if callable(model) and not isinstance(model, Model):
        check_options({"kind": kind is not None}, "a file")
        return Network(name=getattr(model, "__name__", "predict"), predict=model, joints=joints)
    if kind is not None:
        path = to_path(model, "model")
        return adapters.open_network(path, kind, joints, device)
    if isinstance(model, Model):
        if isinstance(model.net, OnnxModel):
            return adapters.own(model.net, model.path)
        return None
    path = network_file(model)
    if path.suffix not in SUFFIXES:
        return None
    check_options({"keypoints": joints is not None}, "results, a function or a file with kind")
    name = DEFAULT if str(model) == DEFAULT else ""
    return adapters.own(OnnxModel.load(path, device=device), path, name=name)


def to_networks(
    models: Sequence[Any], kind: str | None, keypoints: str | Sequence[str] | None
) -> tuple[Network, ...]:
    """Predictors (no runs) of different names; ArgumentError."""
    found: dict[str, Network] = {}
    for model in models:
        network = to_network(model, kind, keypoints, "auto")
        if network is None or network.name in found:
            raise ArgumentError(
                "a run is not supported here" if network is None else "duplicate network name",
                where="beside",
                expected='"default", exported files, functions, or files with kind',
                got=str(model)[:80],
            )
        found[network.name] = network
    return tuple(found.values())


def network_file(model: Any) -> Path:
    """The path by which a model is identified."""
    if isinstance(model, Model):
        return model.path
    return default_model() if str(model) == DEFAULT else to_path(model, "model")


def check_options(given: Mapping[str, bool], whose: str) -> None:
    """ArgumentError for options that do not apply to a network."""
    if wrong := [name for name, used in given.items() if used]:
        raise ArgumentError(
            f"this applies to {whose} alone", where=", ".join(wrong), then="Leave it out."
        )
