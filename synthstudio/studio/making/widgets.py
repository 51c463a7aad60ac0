"""The form of a recipe as widgets; what a person changed is kept beside them in the session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from synthstudio.core.errors import RecipeError
from synthstudio.recipe.schema.load import dump
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.studio.making import form
from synthstudio.studio.making.form import Field
from synthstudio.studio.making.scenes import Scene
from synthstudio.studio.text import plain


class Draft:
    """A scene with what this session has changed of it."""

    def __init__(self, scene: Scene) -> None:
        """Begin, or go on, with a scene."""
        kept = st.session_state.setdefault("drafts", {})
        mine = kept.setdefault(scene.name, {"edits": {}, "wrong": {}, "turn": 0})
        self.scene = scene
        self.values = dump(scene.recipe)
        self.edits: dict[form.Path, Any] = mine["edits"]
        self.wrong: dict[str, str] = mine["wrong"]
        self.shown: set[str] = set()
        self.root = scene.roots[0] if scene.roots else 0
        self._mine = mine

    def value(self, field: Field) -> Any:
        """Return a field's value as it stands."""
        return self.edits.get(field.path, form.get(self.values, field.path))

    def put(self, field: Field, value: Any) -> None:
        """Take a field's new value; the scene's own is no edit."""
        self.wrong.pop(field.name, None)
        if value == form.get(self.values, field.path):
            self.edits.pop(field.path, None)
        else:
            self.edits[field.path] = value

    def key(self, field: Field) -> str:
        """Return the key of a field's widget."""
        return f"f_{self.scene.name}_{self._mine['turn']}_{field.name}"

    def forget(self) -> None:
        """Go back to the scene's own values."""
        self.edits.clear()
        self.wrong.clear()
        self._mine["turn"] += 1

    def checked(self) -> tuple[Recipe | None, dict[str, str]]:
        """Return the recipe, or None and what is wrong by field."""
        recipe, faults = form.checked(self.scene.recipe, self.edits)
        faults = {**faults, **self.wrong}
        return (None if faults else recipe), faults


def main_fields(draft: Draft, faults: Mapping[str, str], *, most_frames: int) -> None:
    """Show the fields that matter first, two beside each other."""
    fields = form.main_fields(draft.values, most_frames=most_frames)
    for k in range(0, len(fields), 2):
        for column, field in zip(st.columns(2), fields[k : k + 2], strict=False):
            with column:
                _field(draft, field, faults)


def further_fields(draft: Draft, faults: Mapping[str, str]) -> None:
    """Show the other fields of one part of the recipe."""
    names = form.parts(draft.values)
    first = next((n for n in names if any(f.split(".")[0] == n for f in faults)), names[0])
    part = st.selectbox(
        "Part of the recipe", names, index=names.index(first), key=f"part_{draft.scene.name}"
    )
    st.caption("Values as in a recipe: `3`, `[low, high]` or `{normal: {mean: 0.5, sd: 0.1}}`.")
    for field in form.further(draft.values, part):
        _field(draft, field, faults)


def message(text: str) -> None:
    """Say what is wrong, beside the field that it is about."""
    st.markdown(f":red[{plain(text)}]")


def _field(draft: Draft, field: Field, faults: Mapping[str, str]) -> None:
    draft.shown.add(field.name)
    value = draft.value(field)
    _WIDGETS[field.kind](draft, field, value)
    found = {**faults, **draft.wrong}
    for name in found:
        if name.startswith(f"{field.name}."):
            draft.shown.add(name)
    if text := form.of_field(found, field):
        message(text)


def _started(key: str, value: Any) -> str:
    """Return a widget's key, its value set where nobody has set one yet."""
    st.session_state.setdefault(key, value)
    return key


def _whole(draft: Draft, field: Field, value: Any) -> None:
    # Without the widget's own limits: what lies outside them would stay in the browser, and the
    # page would go on with the value before. The recipe says what is wrong.
    key = _started(draft.key(field), int(value))
    draft.put(field, int(st.number_input(field.label, step=1, key=key, help=_help(field))))


def _range(draft: Draft, field: Field, value: Any) -> None:
    if field.path[0] == "targets":  # what may be left out
        key = _started(f"{draft.key(field)}_ask", value is not None)
        if not st.checkbox(f"Ask for: {field.label.lower()}", key=key, help=_help(field)):
            draft.put(field, None)
            return
        value = [field.low, field.high] if value is None else value
    low, high = value if isinstance(value, list) else (value, value)
    number = int if field.step == 1 else float
    ends = (number(field.low), number(field.high))
    key = _started(draft.key(field), (number(low), number(high)))
    chosen: Any = st.slider(field.label, *ends, step=number(field.step), key=key, help=_help(field))
    draft.put(field, value if tuple(chosen) == (low, high) else list(chosen))


def _choices(draft: Draft, field: Field, value: Any) -> None:
    key = _started(draft.key(field), list(value or []))
    chosen = st.multiselect(
        field.label, field.options, key=key, help=_help(field), placeholder="none"
    )
    same = set(chosen) == set(value or [])
    draft.put(field, value if same else [name for name in field.options if name in chosen])


def _text(draft: Draft, field: Field, value: Any) -> None:
    key = _started(draft.key(field), form.as_text(value))
    said = st.text_input(field.label, key=key, max_chars=form.MOST_TEXT, help=_help(field))
    try:
        draft.put(field, form.read_text(said))
    except RecipeError as error:
        draft.wrong[field.name] = str(error)


def _help(field: Field) -> str | None:
    return plain(field.help) or None


_WIDGETS = {"whole": _whole, "range": _range, "choices": _choices, "text": _text}
