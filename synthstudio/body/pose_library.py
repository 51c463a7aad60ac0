"""The authored poses: poses.yaml, poses_contact.yaml for those that hold, carry or lean, and
poses_athletic.yaml for sport, stunts and falls."""

from __future__ import annotations

import dataclasses
import functools
import math
from importlib.resources import files
from typing import Any

import yaml

from synthstudio.body.poses import HAND_ANGLES, LIMITS_RAD
from synthstudio.core.catalogue import KeyPose
from synthstudio.core.errors import RecipeError

ATHLETIC = "poses_athletic.yaml"
FILES = ("poses.yaml", "poses_contact.yaml", ATHLETIC)
"""The first holds what goes for all: `relaxed`, the shapes of hands and `seated_arms`."""
_HANDS = {"left_hand": ("left_",), "right_hand": ("right_",), "both_hands": ("left_", "right_")}
_FLAGS = {"mirrored_ok": True, "stands": True, "dynamic": False}
_ANGLE = "_deg"

Hands = dict[str, dict[str, float]]
"""Shape of a hand -> its angles in radians, names without a side."""


@functools.cache
def library() -> tuple[KeyPose, ...]:
    """Return the authored poses, sorted by name; RecipeError names an entry that is wrong."""
    return read_library({name: _text(name) for name in FILES})


@functools.cache
def hands() -> Hands:
    """Return the shapes that a hand can take, by name."""
    return _hands(_parsed(_text(FILES[0]), FILES[0]), FILES[0])


def _text(name: str) -> str:
    return files("synthstudio.body").joinpath(name).read_text(encoding="utf-8")


def read_library(texts: dict[str, str]) -> tuple[KeyPose, ...]:
    """Read poses from YAML texts by file name: `poses`, and in the first what goes for all.

    `relaxed` has the angles of every pose that names no others, `hands` shapes of a hand,
    `seated_arms` the families whose arms make sense on somebody who sits, kneels or lies. An
    entry of `poses` has `family`, angles in degrees (`NAME_deg`; `both_` stands for left and
    right), and may have
      left_hand, right_hand, both_hands: a shape of `hands`
      needs: seat           mirrored_ok: false
      stands: false         it is not on its feet
      dynamic: true         a moment of a movement, which need not balance
      airborne: upright     nothing is on the floor; tumbling: and the body is turned any way
      holds: {right_hand: [handle]}   where it can hold an object, by which grips
      leans: [counter]      kinds of objects that it leans on
    RecipeError for YAML that cannot be read, a name or key twice, aliases, unknown names and
    angles outside the joint's limits.
    """
    data = {where: _parsed(text, where) for where, text in texts.items()}
    first = next(iter(data))
    shapes = _hands(data[first], first)
    here = f"{first}: relaxed"
    relaxed = angles_of(mapping(data[first].get("relaxed") or {}, here), here)
    out: dict[str, KeyPose] = {}
    for where, one in data.items():
        if where != first and set(one) != {"poses"}:
            raise RecipeError("only the first file has relaxed, hands and seated_arms", where=where)
        for name, entry in mapping(one["poses"], f"{where}: poses").items():
            if name in out:
                raise RecipeError(f"the pose {name} stands twice", where=where)
            here = f"{where}: {name}"
            out[name] = _pose(name, mapping(entry, here), relaxed, shapes, here)
    seated = _names(data[first].get("seated_arms") or [], f"{first}: seated_arms")
    known = {pose.family for pose in out.values()}
    for family in seated:
        if family not in known:
            raise RecipeError(
                "there is no such family",
                where=f"{first}: seated_arms",
                expected=", ".join(sorted(known)),
                got=repr(family)[:60],
            )
    return tuple(
        dataclasses.replace(out[name], seated_arms=out[name].family in seated)
        for name in sorted(out)
    )


def loaded(text: str, where: str) -> Any:
    """Return what YAML without aliases and doubled keys holds; RecipeError for any other."""
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.CSafeLoader)):
            raise yaml.YAMLError("aliases are not allowed")
        return yaml.load(text, Loader=_Strict)
    except yaml.YAMLError as error:
        raise RecipeError(f"not readable as YAML: {error}", where=where) from error


def _parsed(text: str, where: str) -> dict[str, Any]:
    data = loaded(text, where)
    known = {"relaxed", "hands", "seated_arms", "poses"}
    if not isinstance(data, dict) or set(data) - known or "poses" not in data:
        raise RecipeError(
            "not a pose library",
            where=where,
            expected="the keys poses, and in the first file relaxed, hands and seated_arms",
        )
    return data


class _Strict(yaml.CSafeLoader):
    """YAML in which a doubled key is an error, by libyaml: every process reads 270 poses."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value]
        doubled = sorted({key for key in keys if keys.count(key) > 1})
        if doubled:
            raise yaml.YAMLError(f"{', '.join(doubled)} stands twice{node.start_mark}")
        return super().construct_mapping(node, deep)


def mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise RecipeError("wrong kind", where=where, expected="named entries", got=repr(value)[:60])
    return value


def _hands(data: dict[str, Any], where: str) -> Hands:
    shapes = mapping(data.get("hands") or {}, f"{where}: hands")
    out = {}
    for name in sorted(shapes):
        here = f"{where}: hands: {name}"
        entry = mapping(shapes[name], here)
        left = angles_of({f"left_{key}": value for key, value in entry.items()}, here)
        out[name] = {key.removeprefix("left_"): value for key, value in left.items()}
        if set(out[name]) - set(HAND_ANGLES):
            raise RecipeError(
                "not an angle of a hand",
                where=here,
                expected=", ".join(HAND_ANGLES),
                got=", ".join(sorted(set(out[name]) - set(HAND_ANGLES))),
            )
    return out


def _pose(
    name: str, entry: dict[str, Any], relaxed: dict[str, float], shapes: Hands, where: str
) -> KeyPose:
    rest = dict(entry)
    family, needs = rest.pop("family", None), rest.pop("needs", "floor")
    flags = {flag: rest.pop(flag, usual) for flag, usual in _FLAGS.items()}
    good = all(isinstance(value, bool) for value in flags.values())
    airborne = rest.pop("airborne", "")
    good = good and needs in ("floor", "seat") and airborne in ("", "upright", "tumbling")
    if not isinstance(family, str) or not good:
        raise RecipeError(
            f"wrong family, needs, airborne, {', '.join(_FLAGS)}",
            where=where,
            expected="family: a name; needs: floor or seat; airborne: upright or tumbling; the "
            "others: true or false",
            got=f"{family!r}, {needs!r}, {airborne!r}, {', '.join(map(repr, flags.values()))}",
        )
    flags["stands"] = flags["stands"] and needs == "floor" and not airborne
    flags["dynamic"] = flags["dynamic"] or bool(airborne)
    holds = mapping(rest.pop("holds", {}), f"{where}: holds")
    for hand in sorted(set(holds) - set(_HANDS)):
        raise RecipeError(
            "unknown hand", where=f"{where}: holds", expected=", ".join(_HANDS), got=hand
        )
    leans = _names(rest.pop("leans", []), f"{where}: leans")
    angles = relaxed | shaped(rest, shapes, where) | angles_of(rest, where)
    return KeyPose(
        name=name,
        family=family,
        angles_rad=dict(sorted(angles.items())),
        needs=needs,
        holds={hand: _names(grips, f"{where}: holds: {hand}") for hand, grips in holds.items()},
        leans=leans,
        free_hands=_free(entry),
        athletic=where.startswith(ATHLETIC),
        airborne=airborne,
        **flags,
    )


def _free(entry: dict[str, Any]) -> tuple[str, ...]:
    """Return the sides of which an entry says nothing about the hand's shape."""
    both = {"both_hands", *(f"both_{angle}_deg" for angle in HAND_ANGLES)} & set(entry)
    sides = () if both or "both_hands" in entry.get("holds", {}) else ("left", "right")
    return tuple(
        side
        for side in sides
        if f"{side}_hand" not in entry
        and f"{side}_hand" not in entry.get("holds", {})
        and not any(f"{side}_{angle}_deg" in entry for angle in HAND_ANGLES)
    )


def _names(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise RecipeError(
            "wrong kind", where=where, expected="a list of names", got=repr(value)[:60]
        )
    return tuple(value)


def shaped(rest: dict[str, Any], shapes: Hands, where: str) -> dict[str, float]:
    """Take the shapes of hands out of an entry and return their angles."""
    out: dict[str, float] = {}
    for key, sides in _HANDS.items():
        if key not in rest:
            continue
        shape = rest.pop(key)
        if shape not in shapes:
            raise RecipeError(
                "unknown shape of a hand",
                where=f"{where}: {key}",
                expected=", ".join(shapes) or "none is defined",
                got=repr(shape)[:60],
            )
        out |= {side + angle: value for side in sides for angle, value in shapes[shape].items()}
    return out


def angles_of(entry: dict[str, Any], where: str) -> dict[str, float]:
    """Return the angles of one entry in radians, by name."""
    out: dict[str, float] = {}
    for key, value in entry.items():
        if (
            not key.endswith(_ANGLE)
            or isinstance(value, bool)
            or not isinstance(value, int | float)
        ):
            raise RecipeError(
                "not an angle",
                where=f"{where}: {key}",
                expected="NAME_deg: a number",
                got=repr(value)[:60],
            )
        name = key.removesuffix(_ANGLE)
        sides = ("left_", "right_") if name.startswith("both_") else ("",)
        for one in (side + name.removeprefix("both_") for side in sides):
            if one in out:
                raise RecipeError(f"{one} is set twice", where=f"{where}: {key}")
            out[one] = _within(one, float(value), f"{where}: {key}")
    return out


def _within(name: str, degrees: float, where: str) -> float:
    if name not in LIMITS_RAD:
        raise RecipeError(
            "unknown angle", where=where, expected=f"one of {', '.join(LIMITS_RAD)}", got=name
        )
    low, high = (math.degrees(x) for x in LIMITS_RAD[name])
    if not low - 1e-9 <= degrees <= high + 1e-9:
        raise RecipeError(
            "outside the joint's limits",
            where=where,
            expected=f"{low:.0f} to {high:.0f} degrees",
            got=f"{degrees:g}",
        )
    return math.radians(degrees)
