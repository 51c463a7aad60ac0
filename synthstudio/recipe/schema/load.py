"""YAML to Recipe. All faults are one RecipeError that lists file, line, field and value."""

import difflib
import functools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from synthstudio.core.errors import RecipeError
from synthstudio.core.safe_yaml import compose
from synthstudio.recipe.schema.recipe import Recipe

_SHOWN = 12
R = TypeVar("R", bound=Recipe)
Path_ = tuple[str | int, ...]


def load(path: Path | str) -> Recipe:
    """Read a recipe from a YAML file; RecipeError with all of its faults."""
    return load_as(Recipe, path)


def load_as(kind: type[R], path: Path | str) -> R:
    """As `load`, for a subclass of Recipe."""
    path = Path(path)
    data, node = compose(path)
    return _validate(data, str(path), node, kind)


def parse(data: Any, where: str = "recipe") -> Recipe:
    """Build a recipe from plain values, as of `dump`; RecipeError if invalid."""
    return parse_as(Recipe, data, where)


def parse_as(kind: type[R], data: Any, where: str = "recipe") -> R:
    """As `parse`, for a subclass of Recipe."""
    return _validate(data, where, None, kind)


def parse_stored(kind: type[R], data: dict[str, Any], where: str, version: str) -> R:
    """As `parse`, for the output of `dump`; RecipeError if another version wrote it."""
    recipe = parse_as(kind, data, where)
    if dump(recipe) != data:
        raise RecipeError(
            "this recipe was stored by another version of synthstudio, with other fields",
            where=where,
            got=f"version {version or 'unknown'}",
            then="Generate the data set again, or read it with that version.",
        )
    return recipe


def dump(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain JSON values with all defaults filled in; input of `parse`."""
    return recipe.model_dump(mode="json", by_alias=True)


@functools.cache
def json_schema() -> dict[str, Any]:
    """The JSON Schema of recipes, for completion and checks in editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Recipe.model_json_schema(),
        "title": "synthstudio recipe",
    }


def _validate(data: Any, where: str, node: yaml.Node | None, kind: type[R]) -> R:
    if not isinstance(data, dict):
        raise RecipeError(
            "a recipe is a mapping",
            where=where,
            expected="fields like `name: my-scene`",
            got="an empty file" if data is None else type(data).__name__,
            then="scenes/README.md lists the fields.",
        )
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        lines = [_fault(fault, data, where, node) for fault in faults[:_SHOWN]]
        if len(faults) > _SHOWN:
            lines.append(f"and {len(faults) - _SHOWN} more.")
        raise RecipeError("\n".join(dict.fromkeys(lines))) from None


def _fault(fault: ErrorDetails, data: Any, where: str, node: yaml.Node | None) -> str:
    """Format one fault: file, line, field path, value, next step."""
    path = _path(fault, data)
    text = fault["msg"].removeprefix("Value error, ").removeprefix("Input ")[:_LONGEST]
    got: Any = fault["input"]
    if fault["type"] == "tuple_type":
        text = "a list is needed: begin each entry with `- `"
    if fault["type"] == "value_error":
        path, text, got = _named(path, text, data, got)
    line = _line(node, path)
    field = ".".join(map(str, path)) or "the recipe"
    at = f"{where}:{line}: {field}" if line else f"{where}: {field}"
    if fault["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(path[-1]), _siblings(path[:-1]), n=1, cutoff=0.6)
        hint = f"Did you mean {near[0]!r}?" if near else "scenes/README.md lists the fields."
        return str(RecipeError("unknown field", where=at, then=hint))
    if fault["type"] == "missing":
        return str(RecipeError("this field is needed", where=at, then="Add it."))
    return str(RecipeError(text, where=at, got=None if got is _NOTHING else _printable(got)))


_NOTHING = object()
_LONGEST = 400
"""Maximum length of a fault, which may quote the file."""
_FIELD = re.compile(r"([a-z]\w*(?:\.[a-z]\w*)*)(: | )")


def _named(path: Path_, text: str, data: Any, got: Any) -> tuple[Path_, str, Any]:
    """Location, message and value of a fault involving several fields.

    Its message begins with the name of the field to mend; the value of the whole part of the
    recipe would not help.
    """
    found = _FIELD.match(text)
    named = tuple(found[1].split(".")) if found else ()
    if found is None or named[0] not in _siblings(path):
        return path, text, _NOTHING if not path else got
    value = functools.reduce(_member, (*path, *named), data)
    sentence = text[found.end() :] if found[2] == ": " else text
    return (*path, *named), sentence, _NOTHING if isinstance(value, dict) else value


def _printable(value: Any) -> str:
    if not isinstance(value, str | int | float | list | tuple | dict | bool | None):
        return type(value).__name__
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _path(fault: ErrorDetails, data: Any) -> Path_:
    """The fault's place in the data: pydantic's without the names of union members."""
    out: list[str | int] = []
    value = data
    for part in fault["loc"]:
        if (found := _member(value, part)) is not _NOTHING:
            value = found
            out.append(part)
    if fault["type"] == "missing":
        out.append(fault["loc"][-1])
    return tuple(out)


def _member(value: Any, part: str | int) -> Any:
    """A member of plain values, whose keys a fault names as text; _NOTHING without it."""
    if isinstance(value, dict):
        return next((v for key, v in value.items() if str(key) == str(part)), _NOTHING)
    inside = isinstance(value, list) and isinstance(part, int) and part < len(value)
    return value[part] if inside else _NOTHING


def _line(node: yaml.Node | None, path: Path_) -> int | None:
    """The line (from 1) of the field at `path`, or of its nearest known parent."""
    if node is None:
        return None
    line = node.start_mark.line + 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pairs = [(k, v) for k, v in node.value if str(k.value) == str(part)]
            if not pairs:
                return line
            line, node = pairs[0][0].start_mark.line + 1, pairs[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line


def _siblings(path: Path_) -> list[str]:
    schema = json_schema()
    here = _open([schema], schema)
    for part in path:
        if isinstance(part, int):
            found = [s["items"] for s in here if "items" in s]
        else:
            found = [s["properties"][part] for s in here if part in s.get("properties", {})]
        here = _open(found, schema)
    return sorted({name for s in here for name in s.get("properties", {})})


def _open(schemas: Iterable[dict[str, Any]], root: dict[str, Any]) -> list[dict[str, Any]]:
    """Resolve references and alternatives of JSON Schema to the objects behind them."""
    out: list[dict[str, Any]] = []
    for schema in schemas:
        if "$ref" in schema:
            out += _open([root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]], root)
        members = [*schema.get("anyOf", []), *schema.get("oneOf", []), *schema.get("allOf", [])]
        out += _open(members, root)
        out.append(schema)
    return out
