"""Interactions of people: meetings.yaml."""

from __future__ import annotations

import dataclasses
import functools
import math
from importlib.resources import files
from typing import Any

from synthstudio.body.pose_library import angles_of, hands, loaded, typed
from synthstudio.body.touching import NAMES
from synthstudio.core.catalogue import Interaction, Role, Touch
from synthstudio.core.errors import RecipeError

FILE = "meetings.yaml"
_PALMS, _WHO = ("left_palm", "right_palm"), ("first", "second")


@functools.cache
def meetings() -> tuple[Interaction, ...]:
    """Return the meetings, sorted by name; RecipeError names an invalid entry."""
    text = files("synthstudio.body").joinpath(FILE).read_text(encoding="utf-8")
    return read_meetings(text, FILE)


def read_meetings(text: str, where: str) -> tuple[Interaction, ...]:
    """Read `meetings` from a YAML text. An entry has

      roles: who does what; of each `poses` it may begin with and angles as in poses.yaml
      second: {ahead_m, left_m, turn_deg}   where the second stands and faces, as the first sees it
      touches: [[first, right_palm, left_blade], [second, left_palm, left_palm, along], ...]
      apart_m: [least, greatest], stand: circle or line, most: 4    for meetings without touches
      looks: true           at one another; mirrored_ok: false
    RecipeError for names that are not known and angles outside the joint's limits.
    """
    entries = loaded(text, where)["meetings"]
    return tuple(_meeting(name, e, f"{where}: {name}") for name, e in sorted(entries.items()))


def _meeting(name: str, entry: dict[str, Any], where: str) -> Interaction:
    second = entry.get("second", {})
    values = {key: value for key, value in entry.items() if key != "second"} | {
        "name": name,
        "roles": [_role(role, where) for role in entry["roles"]],
        "touches": [_touch(touch, where) for touch in entry.get("touches", [])],
        "ahead_m": second.get("ahead_m", 0.0),
        "left_m": second.get("left_m", 0.0),
        "turn_rad": math.radians(second.get("turn_deg", 0.0)),
    }
    own = typed(Interaction, values, where)
    pair = own.stand == "pair"
    odd = set(values) - {field.name for field in dataclasses.fields(Interaction)}
    if odd or pair != (len(own.roles) == 2) or pair == ("apart_m" in entry):
        raise RecipeError(
            "not a meeting",
            where=where,
            expected="two roles and second, or one role, stand (circle or line) and apart_m",
            got=f"{len(own.roles)} roles, {own.stand}, {', '.join(sorted(odd)) or 'no other key'}",
        )
    return own


def _role(entry: dict[str, Any], where: str) -> Role:
    angles = {key: value for key, value in entry.items() if key != "poses"}
    return Role(poses=tuple(entry["poses"]), angles_rad=angles_of(angles, where, hands()))


def _touch(value: list[str], where: str) -> Touch:
    who, palm, on, *fingers = value
    if palm not in _PALMS or on not in (*_PALMS, *NAMES):
        raise RecipeError(
            "not a touch",
            where=where,
            expected=f"{' or '.join(_PALMS)} on one of {', '.join((*_PALMS, *NAMES))}",
            got=repr(value)[:80],
        )
    values = {"of": _WHO.index(who), "palm": palm, "on": on, "fingers": "".join(fingers)}
    return typed(Touch, values, where)
