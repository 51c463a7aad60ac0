"""A FrameSpec as JSON, there and back."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import Any, Literal, Union, get_args, get_origin

from synthstudio.core.errors import RecipeError
from synthstudio.core.spec import FrameSpec

Spec = typing.TypeVar("Spec")


def to_json(spec: Any) -> str:
    """Write a spec as canonical JSON: sorted keys, no blanks, floats that read back equal."""
    return json.dumps(spec, default=_named, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _named(spec: Any) -> dict[str, Any]:
    """A spec's own fields: unlike dataclasses.asdict, without copying what they hold.

    Those of `spec.LATER` only where they are not their default, so specs of before keep their text.
    """
    return {
        field.name: getattr(spec, field.name)
        for field in dataclasses.fields(spec)
        if not field.metadata or getattr(spec, field.name) != field.default
    }


def from_json(text: str) -> FrameSpec:
    """Read what `to_json` wrote of a FrameSpec; RecipeError for anything else."""
    return read_as(FrameSpec, text)


def read_as(kind: type[Spec], text: str) -> Spec:
    """Read what `to_json` wrote of a spec of that kind; RecipeError for anything else."""
    try:
        return typing.cast(Spec, _build(kind, json.loads(text), "spec"))
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"not a stored frame spec: {error}", where="spec") from error


def _build(kind: Any, value: Any, path: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _build_union(kind, value, path)
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(kind, value, path)
    if origin is tuple:
        return _build_tuple(kind, value, path)
    if origin is dict:
        if not isinstance(value, dict):
            raise _wrong(path, "an object", value)
        return {str(k): _build(get_args(kind)[1], v, f"{path}.{k}") for k, v in value.items()}
    if origin is Literal:
        if value not in get_args(kind):
            raise _wrong(path, f"one of {', '.join(map(str, get_args(kind)))}", value)
        return value
    return _build_scalar(kind, value, path)


def _build_union(kind: Any, value: Any, path: str) -> Any:
    options = [option for option in get_args(kind) if option is not type(None)]
    if value is None:
        if len(options) == len(get_args(kind)):
            raise _wrong(path, "a value", value)
        return None
    if len(options) == 1:
        return _build(options[0], value, path)
    for option in options:  # unions of dataclasses are told apart by their field `kind`
        if isinstance(value, dict) and value.get("kind") == _default_kind(option):
            return _build(option, value, path)
    raise _wrong(path, "a known kind", value)


def _default_kind(option: Any) -> Any:
    return next(f.default for f in dataclasses.fields(option) if f.name == "kind")


def _build_dataclass(kind: Any, value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(path, "an object", value)
    hints = _hints(kind)
    unknown = sorted(set(value) - set(hints))
    if unknown:
        raise _wrong(path, f"fields of {kind.__name__}", unknown)
    try:
        return kind(**{k: _build(hints[k], v, f"{path}.{k}") for k, v in value.items()})
    except TypeError as error:
        raise RecipeError(str(error), where=path) from error


def _build_tuple(kind: Any, value: Any, path: str) -> Any:
    inner = get_args(kind)
    if not isinstance(value, list) or (inner[-1] is not Ellipsis and len(value) != len(inner)):
        raise _wrong(path, f"a list of {len(inner)}", value)
    types_ = [inner[0]] * len(value) if inner[-1] is Ellipsis else list(inner)
    return tuple(
        _build(t, v, f"{path}[{i}]") for i, (t, v) in enumerate(zip(types_, value, strict=True))
    )


def _build_scalar(kind: Any, value: Any, path: str) -> Any:
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind is bool or not isinstance(value, bool):
        if isinstance(value, kind):
            return value
    raise _wrong(path, kind.__name__, value)


_HINTS: dict[Any, dict[str, Any]] = {}


def _hints(kind: Any) -> dict[str, Any]:
    if kind not in _HINTS:
        _HINTS[kind] = typing.get_type_hints(kind)
    return _HINTS[kind]


def _wrong(path: str, expected: str, got: Any) -> RecipeError:
    return RecipeError(
        "the stored spec does not fit", where=path, expected=expected, got=repr(got)[:80]
    )
