"""Stored recipes of before a field existed: what the field then was, though nobody could say it.

A set's recipe is written without fields of those values, so sets of before keep their bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

PARTS = ("streams", "light", "cutouts", "people", "occlude", "backdrop")
"""Fields of a recipe that have changed, or some of their own fields."""
_BACKDROP = {"ground": "any", "mirrored": 0.5}
_BEFORE: dict[str, dict[str, Any]] = {
    "light": {"from_photo": False},
    "cutouts": {"size": "share"},
    "occlude": {"ground": "any"},
}
_OFF = {"lens": {"exposure_s": 0.0, "readout_s": 0.0}}
"""Fields of later with the defaults that they have had since: nothing is written where it is so."""
_POSES = {"untangle": False, "arms": "any"}


def as_begun(fields: dict[str, Any], stored: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a recipe's fields, those that `stored` lacks with the values they had before.

    `stored` is what a set's dataset.json holds; by default the fields themselves.
    """
    out = _copied(fields)
    lacking = _copied(fields if stored is None else stored)
    if "streams" not in lacking:
        out["streams"] = ""
    old = {path: part for path, part, _ in _parts(lacking)}
    for path, part, values in _parts(out):
        part.update({k: v for k, v in values.items() if k not in old.get(path, {})})
    return out


def as_stored(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe's fields without those that say what was the case before they existed."""
    out = _copied(fields)
    if out.get("streams") == "":
        del out["streams"]
    off = [(part, out[part], values) for part, values in _OFF.items() if part in out]
    for _, part, values in (*_parts(out), *off):
        for name in [k for k, v in values.items() if part.get(k) == v]:
            del part[name]
    return out


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _copied(v) for k, v in value.items()}
    return [_copied(v) for v in value] if isinstance(value, list | tuple) else value


def _parts(fields: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield name, fields and values of before of every part that has gained fields.

    A recipe may leave out `light` and `people`; then they are added, empty.
    """
    for name, values in _BEFORE.items():
        if name == "light" and fields.get(name) is None:
            fields[name] = {}
        if isinstance(fields.get(name), dict):
            yield name, fields[name], values
    people = fields.setdefault("people", {})
    if isinstance(people, dict) and isinstance(people.setdefault("poses", {}), dict):
        yield "poses", people["poses"], _POSES
    behind = fields.get("backdrop")
    choices = behind.get("choices") if isinstance(behind, dict) else None
    listed = choices if isinstance(choices, list) else []
    for share in (behind, *(c.get("backdrop") for c in listed if isinstance(c, dict))):
        if isinstance(share, dict) and share.get("kind") == "photo":
            yield "photo", share, _BACKDROP
