"""The form of a recipe, made from its schema: fields with limits and help; values in, faults out.

No field that names a folder or a file is in it: what a recipe takes from outside stays as its
scene says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from synthstudio.core.errors import RecipeError
from synthstudio.recipe.schema.load import dump, json_schema, parse
from synthstudio.recipe.schema.recipe import Recipe

Path = tuple[str | int, ...]
Kind = Literal["whole", "range", "choices", "text"]
MOST_TEXT = 400
_FAULT = re.compile(r"^recipe: ([A-Za-z_][\w.]*): (.*)$")
_CLOSED = {
    "name",
    "description",
    "skeleton",
    "folder",
    "categories",
    "holdout",
    "motion",
    "clip",
    "occlude",
    "quotas",
}
_DISTRIBUTIONS = ({"normal"}, {"choice"})
_MANY_PEOPLE = 8
_FIRST = ("people", "camera", "things", "targets", "backdrop", "light", "lens", "variants")


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field on the page. `low`, `high`: of a number or a range; `options`: of choices."""

    path: Path
    label: str
    kind: Kind
    help: str = ""
    low: float = 0
    high: float = 0
    step: float = 1
    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the path as messages say it."""
        return ".".join(map(str, self.path))


def main_fields(recipe: Mapping[str, Any], *, most_frames: int) -> list[Field]:
    """Return the fields that matter first, as fits a recipe's values."""
    count = get(recipe, ("people", "count"))
    ends = count if isinstance(count, list) else [count]
    many = any(isinstance(v, int) and v > _MANY_PEOPLE for v in ends)
    wanted = [
        _field(("frames",), "Frames", "whole", low=1, high=most_frames),
        _field(("seed",), "Seed", "whole", low=0, high=2**31 - 1),
        _field(("image", "width_px"), "Width, px", "whole", low=64, high=4096),
        _field(("image", "height_px"), "Height, px", "whole", low=64, high=4096),
        _field(
            ("people", "count"),
            "People in a frame",
            "range",
            low=0,
            high=64 if many else _MANY_PEOPLE,
        ),
        _field(
            ("targets", "occluded_fraction"),
            "Hidden share of each person",
            "range",
            high=0.95,
            step=0.05,
        ),
        _field(
            ("camera", "distance_m"), "Camera's distance, m", "range", low=0.6, high=20, step=0.1
        ),
        _field(
            ("layers",),
            "Further layers",
            "choices",
            options=("depth", "instance", "part", "normals"),
        ),
    ]
    return [field if _fits(field, get(recipe, field.path)) else _as_text(field) for field in wanted]


def parts(recipe: Mapping[str, Any]) -> list[str]:
    """Return the names of the parts of a recipe that have further fields, the liveliest first."""
    names = [name for name in recipe if any(True for _ in further(recipe, name))]
    return sorted(names, key=lambda n: _FIRST.index(n) if n in _FIRST else len(_FIRST))


def further(recipe: Mapping[str, Any], part: str) -> Iterator[Field]:
    """Yield the fields of one part of a recipe, as text in YAML, without the main ones."""
    main = {field.path for field in main_fields(recipe, most_frames=1)}
    for path in _leaves(recipe.get(part), (part,)):
        if path not in main and not _CLOSED & set(path):
            label = " · ".join(str(p).replace("_", " ") for p in path[1:]) or part
            yield _field(path, label, "text")


def get(values: Mapping[str, Any], path: Path) -> Any:
    """Return the value at a path of plain values; None where there is none."""
    found: Any = values
    for part in path:
        try:
            found = found[part]
        except (KeyError, IndexError, TypeError):
            return None
    return found


def changed(values: Mapping[str, Any], edits: Mapping[Path, Any]) -> dict[str, Any]:
    """Return a copy of plain values with others at some paths."""
    out = yaml.safe_load(yaml.safe_dump(dict(values)))  # a deep copy of plain values
    for path, value in edits.items():
        found = out
        for part in path[:-1]:
            if isinstance(found, dict) and found.get(part) is None:
                found[part] = {}
            found = found[part]
        found[path[-1]] = value
    return dict(out)


def checked(base: Recipe, edits: Mapping[Path, Any]) -> tuple[Recipe | None, dict[str, str]]:
    """Return the recipe with the edits, or None and what is wrong by field ("": all of it)."""
    if any(_CLOSED & set(path) for path in edits):
        return None, {"": "This field cannot be changed here."}
    try:
        made = parse(changed(dump(base), edits))
    except RecipeError as error:
        return None, faults(str(error))
    if made.folders != base.folders:
        return None, {"": "What a recipe takes from folders cannot be changed here."}
    return made, {}


def faults(message: str) -> dict[str, str]:
    """Return the messages of a RecipeError by field."""
    out: dict[str, str] = {}
    for line in message.splitlines():
        found = _FAULT.match(line)
        field, text = found.groups() if found else ("", line.removeprefix("recipe: "))
        if field == "the recipe":
            field = ""
        out[field] = f"{out[field]} {text}" if field in out else text
    return out


def of_field(found: Mapping[str, str], field: Field) -> str:
    """Return what is wrong with a field, or with something inside it."""
    return " ".join(
        text
        for name, text in found.items()
        if name == field.name or name.startswith(f"{field.name}.")
    )


def as_text(value: Any) -> str:
    """Return a value as one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return str(text).removesuffix("\n").removesuffix("\n...").strip()


def read_text(text: str) -> Any:
    """Return the value of a line of YAML; RecipeError for what is none."""
    if len(text) > MOST_TEXT:
        raise RecipeError(f"Longer than {MOST_TEXT} characters.")
    if "&" in text or "*" in text:
        raise RecipeError("Anchors and aliases are not taken.")
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecipeError(f"This is no value in YAML: {str(error).splitlines()[0]}.") from error


def _field(path: Path, label: str, kind: Kind, **more: Any) -> Field:
    return Field(path=path, label=label, kind=kind, help=_description(path), **more)


def _as_text(field: Field) -> Field:
    return Field(path=field.path, label=field.label, kind="text", help=field.help)


def _fits(field: Field, value: Any) -> bool:
    """Say whether a field's widget can show a value."""
    if field.kind == "whole":
        return isinstance(value, int) and field.low <= value <= field.high
    if field.kind == "choices":
        return isinstance(value, list) and set(value) <= set(field.options)
    if value is None:
        return field.path[0] == "targets"
    ends = value if isinstance(value, list) else [value]
    return all(
        isinstance(v, int | float) and not isinstance(v, bool) and field.low <= v <= field.high
        for v in ends
    ) and len(ends) in (1, 2)


def _leaves(value: Any, path: Path) -> Iterator[Path]:
    """Yield the paths of values that are no objects of the schema."""
    if isinstance(value, dict) and set(value) in _DISTRIBUTIONS:
        yield path
    elif isinstance(value, dict) and value and set(value) <= set(_properties(path)):
        for name, below in value.items():
            yield from _leaves(below, (*path, name))
    elif isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
        for k, below in enumerate(value):
            yield from _leaves(below, (*path, k))
    elif value is not None or path[-1] not in _CLOSED:
        yield path


def _description(path: Path) -> str:
    for schema in _at(path[:-1]):
        found = schema.get("properties", {}).get(path[-1])
        if found and "description" in found:
            return str(found["description"])
    return ""


def _properties(path: Path) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for schema in _at(path):
        out |= schema.get("properties", {})
    return out


def _at(path: Path) -> list[dict[str, Any]]:
    """Return the schemas that describe what is at a path, alternatives opened."""
    root = json_schema()
    here = _opened([root], root)
    for part in path:
        if isinstance(part, int):
            found = [s["items"] for s in here if "items" in s]
        else:
            found = [s["properties"][part] for s in here if part in s.get("properties", {})]
        here = _opened(found, root)
    return here


def _opened(schemas: list[dict[str, Any]], root: dict[str, Any]) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for schema in schemas:
        if "$ref" in schema:
            out += _opened([root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]], root)
        members = [m for key in ("anyOf", "oneOf", "allOf") for m in schema.get(key, [])]
        out += _opened(members, root)
        out.append(schema)
    return out
