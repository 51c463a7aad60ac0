"""What people do together: meetings.yaml."""

from __future__ import annotations

import functools
import math
import typing
from importlib.resources import files
from typing import Any

from synthstudio.body.pose_library import angles_of, hands, loaded, mapping, shaped
from synthstudio.body.spots import NAMES
from synthstudio.core.catalogue import Fingers, Interaction, Role, Touch
from synthstudio.core.errors import RecipeError

FILE = "meetings.yaml"
_PALMS = ("left_palm", "right_palm")


@functools.cache
def meetings() -> tuple[Interaction, ...]:
    """Return the meetings, sorted by name; RecipeError names an entry that is wrong."""
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
    entries = mapping(mapping(loaded(text, where), where).get("meetings"), f"{where}: meetings")
    return tuple(
        _meeting(name, mapping(entry, f"{where}: {name}"), f"{where}: {name}")
        for name, entry in sorted(entries.items())
    )


def _meeting(name: str, entry: dict[str, Any], where: str) -> Interaction:
    rest = dict(entry)
    roles = tuple(_role(mapping(role, where), where) for role in rest.pop("roles"))
    touches = tuple(_touch(touch, where) for touch in rest.pop("touches", []))
    second = mapping(rest.pop("second", {}), where)
    apart = rest.pop("apart_m", None)
    own = Interaction(
        name=name,
        roles=roles,
        touches=touches,
        stand=rest.pop("stand", "pair"),
        ahead_m=float(second.get("ahead_m", 0.0)),
        left_m=float(second.get("left_m", 0.0)),
        turn_rad=math.radians(second.get("turn_deg", 0.0)),
        apart_m=(0.0, 0.0) if apart is None else (float(apart[0]), float(apart[1])),
        maximum=int(rest.pop("maximum", 2)),
        looks=bool(rest.pop("looks", False)),
        mirrored_ok=bool(rest.pop("mirrored_ok", True)),
    )
    pair = own.stand == "pair"
    if rest or pair != (len(roles) == 2) or pair == (apart is not None):
        raise RecipeError(
            "not a meeting",
            where=where,
            expected="two roles and second, or one role, stand (circle or line) and apart_m",
            got=f"{len(roles)} roles, {own.stand}, {', '.join(sorted(rest)) or 'no other key'}",
        )
    return own


def _role(entry: dict[str, Any], where: str) -> Role:
    rest = dict(entry)
    poses = tuple(rest.pop("poses"))
    return Role(poses=poses, angles_rad=shaped(rest, hands(), where) | angles_of(rest, where))


def _touch(value: Any, where: str) -> Touch:
    who, palm, on, *fingers = value if isinstance(value, list) and len(value) >= 3 else [""] * 3
    good = who in ("first", "second") and palm in _PALMS and on in (*_PALMS, *NAMES)
    if not good or (fingers and fingers not in (["along"], ["against"])):
        raise RecipeError(
            "not a touch",
            where=where,
            expected=f"first or second, {' or '.join(_PALMS)}, one of "
            f"{', '.join((*_PALMS, *NAMES))}, and perhaps along or against",
            got=repr(value)[:80],
        )
    way = typing.cast(Fingers, fingers[0] if fingers else "")
    return Touch(of=("first", "second").index(who), palm=palm, on=on, fingers=way)
