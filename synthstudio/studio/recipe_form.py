"""Scenes as starting points, and a recipe's form made from its models, with limits and help.

No field that names a folder or a file is in it: what a recipe takes from outside stays as its
scene says.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import streamlit as st
import yaml

from synthstudio.core.errors import RecipeError
from synthstudio.recipe.schema.distributions import Base
from synthstudio.recipe.schema.load import dump, load, parse
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.studio.context import Context
from synthstudio.studio.jobs.orders import asset_roots, missing_folders
from synthstudio.studio.page_parts import field_error, plain
from synthstudio.studio.settings import Settings
from synthstudio.studio.uploads import folders

Path = tuple[str | int, ...]
Kind = Literal["whole", "range", "choices", "text"]
MAX_TEXT = 4000
_ERROR_LINE = re.compile(r"^recipe: ([A-Za-z_][\w.]*): (.*)$")
_FIXED = {"name", "description", "skeleton", "folder", "categories", "holdout", "motion", "clip"}
_FIXED |= {"occlude", "quotas"}
_DISTRIBUTIONS = ({"normal"}, {"choice"})
_MANY_PEOPLE = 8
_SECTION_ORDER = ("people", "camera", "objects", "targets", "backdrop", "light", "lens", "variants")
FIRST = "quickstart"
MAX = 200
_OWN = "Reset to the scene's values"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A recipe on offer. `roots`: indices of the asset roots with its assets."""

    name: str
    recipe: Recipe
    roots: tuple[int, ...]

    @property
    def usable(self) -> bool:
        return bool(self.roots) and self.recipe.occlude is None

    @property
    def why_not(self) -> str:
        if self.recipe.occlude is not None:
            return "It hides people in your own photos: use the command synthstudio occlude."
        if not self.roots:
            wanted = ", ".join(sorted(set(self.recipe.folders.values())))
            own = set(self.recipe.folders) == {"backgrounds"}
            return (
                f"It takes pictures from {wanted}: start the studio with --assets FOLDER"
                f"{', or keep photos of that name below' if own else ''}."
            )
        return ""


def scenes(settings: Settings) -> tuple[list[Scene], list[str]]:
    """Return the scenes, the easiest first, and the errors of invalid files."""
    found, wrong = [], []
    for path in sorted(settings.scenes.glob("*.yaml"))[:MAX]:
        try:
            recipe, roots = load(path), enumerate(asset_roots(settings))
            fit = tuple(k for k, root in roots if not missing_folders(recipe, root))
            found.append(Scene(name=path.stem, recipe=recipe, roots=fit))
        except RecipeError as error:
            wrong.append(f"{path.name}: {str(error).splitlines()[0]}")
    found.sort(key=lambda scene: (scene.name != FIRST, not scene.usable, scene.name))
    return found, wrong


def background(ctx: Context, scene: Scene) -> Scene:
    found = folders(ctx.settings.uploads)
    here = st.container()  # also if empty, to keep later elements in place
    # One asset root has to have all of its assets.
    others = set(scene.recipe.folders) - {"backgrounds", "hdris"}
    if not found or others or scene.recipe.occlude is not None:
        return scene
    titles = {name: f"Your photos: {name} ({photos:,})" for name, photos in found.items()}
    picked = here.selectbox(
        "Background",
        (_OWN, *titles),
        key=f"background_{scene.name}",
        persist_state="session",
        format_func=lambda n: titles.get(n, n),
    )
    if picked == _OWN:
        return scene
    try:
        return with_photos(scene, picked, ctx.settings)
    except RecipeError as error:
        field_error(f"This scene does not support background photos: {error}")
        return scene


def with_photos(scene: Scene, folder: str, settings: Settings) -> Scene:
    """A scene with an uploads folder's photos as its backdrop; RecipeError if it allows none."""
    backdrop = {"kind": "photo", "folder": folder, "ground": "any"}  # no sidecars are uploaded
    values = {**dump(scene.recipe), "backdrop": backdrop}
    root = asset_roots(settings).index(settings.uploads)
    return replace(scene, name=f"{scene.name}-{folder}", recipe=parse(values), roots=(root,))


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of the page. `low`, `high`: of a number or a range; `options`: of choices."""

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
        return ".".join(map(str, self.path))


_NUMBERS: tuple[tuple[Path, str, Kind, float, float, float], ...] = (
    (("frames",), "Frames", "whole", 1, math.inf, 1),
    (("seed",), "Seed", "whole", 0, 2**31 - 1, 1),
    (("image", "width_px"), "Width, px", "whole", 64, 4096, 1),
    (("image", "height_px"), "Height, px", "whole", 64, 4096, 1),
    (("people", "count"), "People in a frame", "range", 0, _MANY_PEOPLE, 1),
    (("targets", "occluded_fraction"), "Occluded fraction", "range", 0, 0.95, 0.05),
    (("camera", "distance_m"), "Camera's distance, m", "range", 0.6, 20, 0.1),
)
_LAYERS: Path = ("layers",)
MAIN = {_LAYERS, *(path for path, *_ in _NUMBERS)}


def main_fields(recipe: Recipe, *, max_frames: int) -> list[Field]:
    values, found = dump(recipe), []
    for path, label, kind, low, high, step in _NUMBERS:
        value = value_at(values, path)
        if path == ("people", "count"):
            many = [v for v in _ends(value) if isinstance(v, int) and v > _MANY_PEOPLE]
            high = 64 if many else high
        high = min(high, max_frames) if path == ("frames",) else high
        field = Field(path=path, label=label, kind=kind, low=low, high=high, step=step)
        found.append(field if _fits(field, value) else replace(field, kind="text"))
    options = ("depth", "instance", "part", "normals")
    found.append(Field(path=_LAYERS, label="Further layers", kind="choices", options=options))
    parts = {path[0] for path in MAIN}
    help_of = {path: text for part in parts for path, text in _all(recipe, str(part))}
    return [replace(field, help=help_of.get(field.path, "")) for field in found]


def sections(recipe: Recipe) -> list[str]:
    names = [name for name in dump(recipe) if any(True for _ in section_fields(recipe, name))]
    return sorted(
        names, key=lambda n: _SECTION_ORDER.index(n) if n in _SECTION_ORDER else len(_SECTION_ORDER)
    )


def section_fields(recipe: Recipe, part: str) -> Iterator[Field]:
    """Yield the fields of one part of a recipe, as text in YAML, without the main ones."""
    for path, text in _all(recipe, part):
        if path not in MAIN and not _FIXED & set(path):
            label = " · ".join(str(p).replace("_", " ") for p in path[1:]) or part
            yield Field(path=path, label=label, kind="text", help=text)


def _all(recipe: Recipe, part: str) -> Iterator[tuple[Path, str]]:
    found = next(n for n, one in Recipe.model_fields.items() if part in (n, one.alias))
    yield from _below(getattr(recipe, found), (part,), Recipe.model_fields[found].description)


def _below(value: Any, path: Path, text: str | None) -> Iterator[tuple[Path, str]]:
    if isinstance(value, Base) and set(type(value).model_fields) not in _DISTRIBUTIONS:
        for name, field in type(value).model_fields.items():
            below = (*path, field.alias or name)
            yield from _below(getattr(value, name), below, field.description)
    elif isinstance(value, tuple) and value and all(isinstance(v, Base) for v in value):
        for k, one in enumerate(value):
            yield from _below(one, (*path, k), text)
    elif value is not None or path[-1] not in _FIXED:
        yield path, " ".join((text or "").split())


def value_at(values: Mapping[str, Any], path: Path) -> Any:
    found: Any = values
    for part in path:
        try:
            found = found[part]
        except (KeyError, IndexError, TypeError):
            return None
    return found


def with_edits(values: Mapping[str, Any], edits: Mapping[Path, Any]) -> dict[str, Any]:
    out = yaml.safe_load(yaml.safe_dump(dict(values)))  # a deep copy of plain values
    for path, value in edits.items():
        found = out
        for part in path[:-1]:
            if isinstance(found, dict) and found.get(part) is None:
                found[part] = {}
            found = found[part]
        found[path[-1]] = value
    return dict(out)


def apply_edits(base: Recipe, edits: Mapping[Path, Any]) -> tuple[Recipe | None, dict[str, str]]:
    """Return the recipe with the edits, or None and the errors by field ("": all of it)."""
    if any(_FIXED & set(path) for path in edits):
        return None, {"": "This field cannot be changed here."}
    try:
        made = parse(with_edits(dump(base), edits))
    except RecipeError as error:
        return None, errors(str(error))
    if made.folders != base.folders:
        return None, {"": "Asset folders cannot be changed here."}
    return made, {}


def errors(message: str) -> dict[str, str]:
    out: dict[str, str] = {}
    for line in message.splitlines():
        found = _ERROR_LINE.match(line)
        field, text = found.groups() if found else ("", line.removeprefix("recipe: "))
        if field == "the recipe":
            field = ""
        out[field] = f"{out[field]} {text}" if field in out else text
    return out


def field_errors(found: Mapping[str, str], field: Field) -> str:
    return " ".join(
        text
        for name, text in found.items()
        if name == field.name or name.startswith(f"{field.name}.")
    )


def to_yaml_line(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return str(text).removesuffix("\n").removesuffix("\n...").strip()


def parse_yaml_line(text: str) -> Any:
    """Return the value of a line of YAML; RecipeError if invalid."""
    if len(text) > MAX_TEXT:
        raise RecipeError(f"Longer than {MAX_TEXT} characters.")
    if "&" in text or "*" in text:
        raise RecipeError("Anchors and aliases are not allowed.")
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecipeError(f"Not a YAML value: {str(error).splitlines()[0]}.") from error


def _ends(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _fits(field: Field, value: Any) -> bool:
    if field.kind == "whole":
        return isinstance(value, int) and field.low <= value <= field.high
    if field.kind == "choices":
        return isinstance(value, list) and set(value) <= set(field.options)
    if value is None:
        return field.path[0] == "targets"
    ends = _ends(value)
    return all(
        isinstance(v, int | float) and not isinstance(v, bool) and field.low <= v <= field.high
        for v in ends
    ) and len(ends) in (1, 2)


class Draft:
    def __init__(self, scene: Scene) -> None:
        kept = st.session_state.setdefault("drafts", {})
        mine = kept.setdefault(scene.name, {"edits": {}, "wrong": {}, "turn": 0})
        self.scene = scene
        self.values = dump(scene.recipe)
        self.edits: dict[Path, Any] = mine["edits"]
        self.wrong: dict[str, str] = mine["wrong"]
        self.shown: set[str] = set()
        self.root = scene.roots[0] if scene.roots else 0
        self._mine = mine

    def value(self, field: Field) -> Any:
        return self.edits.get(field.path, value_at(self.values, field.path))

    def put(self, field: Field, value: Any) -> None:
        self.wrong.pop(field.name, None)
        if value == value_at(self.values, field.path):
            self.edits.pop(field.path, None)
        else:
            self.edits[field.path] = value

    def key(self, field: Field) -> str:
        return f"f_{self.scene.name}_{self._mine['turn']}_{field.name}"

    def forget(self) -> None:
        self.edits.clear()
        self.wrong.clear()
        self._mine["turn"] += 1

    def checked(self) -> tuple[Recipe | None, dict[str, str]]:
        recipe, errors = apply_edits(self.scene.recipe, self.edits)
        errors = {**errors, **self.wrong}
        return (None if errors else recipe), errors


def show_main_fields(draft: Draft, errors: Mapping[str, str], *, max_frames: int) -> None:
    fields = main_fields(draft.scene.recipe, max_frames=max_frames)
    for k in range(0, len(fields), 2):
        for column, field in zip(st.columns(2), fields[k : k + 2], strict=False):
            with column:
                _show_field(draft, field, errors)


def show_further_fields(draft: Draft, errors: Mapping[str, str]) -> None:
    names = sections(draft.scene.recipe)
    first = next((n for n in names if any(f.split(".")[0] == n for f in errors)), names[0])
    part = st.selectbox(
        "Part of the recipe", names, index=names.index(first), key=f"part_{draft.scene.name}"
    )
    st.caption("Values as in a recipe: `3`, `[low, high]` or `{normal: {mean: 0.5, sd: 0.1}}`.")
    for field in section_fields(draft.scene.recipe, part):
        _show_field(draft, field, errors)


def _show_field(draft: Draft, field: Field, errors: Mapping[str, str]) -> None:
    draft.shown.add(field.name)
    value = draft.value(field)
    _WIDGETS[field.kind](draft, field, value)
    found = {**errors, **draft.wrong}
    for name in found:
        if name.startswith(f"{field.name}."):
            draft.shown.add(name)
    if text := field_errors(found, field):
        field_error(text)


def _init_state(key: str, value: Any) -> str:
    st.session_state.setdefault(key, value)
    return key


def _whole(draft: Draft, field: Field, value: Any) -> None:
    # Without the widget's limits: values outside them would stay in the browser, and the page
    # would use the previous value. The recipe's checks report the error.
    key = _init_state(draft.key(field), int(value))
    draft.put(field, int(st.number_input(field.label, step=1, key=key, help=_help(field))))


def _range(draft: Draft, field: Field, value: Any) -> None:
    if field.path[0] == "targets":  # optional fields
        key = _init_state(f"{draft.key(field)}_enabled", value is not None)
        if not st.checkbox(f"Set {field.label.lower()}", key=key, help=_help(field)):
            draft.put(field, None)
            return
        value = [field.low, field.high] if value is None else value
    low, high = value if isinstance(value, list) else (value, value)
    number = int if field.step == 1 else float
    ends = (number(field.low), number(field.high))
    key = _init_state(draft.key(field), (number(low), number(high)))
    chosen: Any = st.slider(field.label, *ends, step=number(field.step), key=key, help=_help(field))
    draft.put(field, value if tuple(chosen) == (low, high) else list(chosen))


def _choices(draft: Draft, field: Field, value: Any) -> None:
    key = _init_state(draft.key(field), list(value or []))
    chosen = st.multiselect(
        field.label, field.options, key=key, help=_help(field), placeholder="none"
    )
    same = set(chosen) == set(value or [])
    draft.put(field, value if same else [name for name in field.options if name in chosen])


def _text(draft: Draft, field: Field, value: Any) -> None:
    key = _init_state(draft.key(field), to_yaml_line(value))
    text = st.text_input(field.label, key=key, max_chars=MAX_TEXT, help=_help(field))
    try:
        draft.put(field, parse_yaml_line(text))
    except RecipeError as error:
        draft.wrong[field.name] = str(error)


def _help(field: Field) -> str | None:
    return plain(field.help) or None


_WIDGETS = {"whole": _whole, "range": _range, "choices": _choices, "text": _text}
