"""The authored poses: poses.yaml, poses_contact.yaml for holding, carrying or leaning, and
poses_athletic.yaml for sport, stunts and falls."""

import dataclasses
import functools
import math
from importlib.resources import files
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from synthstudio.body.poses import HAND_ANGLES, LIMITS_RAD
from synthstudio.core.catalogue import KeyPose
from synthstudio.core.errors import RecipeError

ATHLETIC = "poses_athletic.yaml"
FILES = ("poses.yaml", "poses_contact.yaml", ATHLETIC)
"""The first holds the shared entries: `relaxed`, the shapes of hands and `seated_arms`."""
_HANDS = {"left_hand": ("left_",), "right_hand": ("right_",), "both_hands": ("left_", "right_")}
_FIELDS = ("family", "needs", "mirrored_ok", "stands", "dynamic", "airborne", "holds", "leans")
_ANGLE = "_deg"
T = TypeVar("T")

Hands = dict[str, dict[str, float]]
"""Shape of a hand -> its angles in radians, names without a side."""


@functools.cache
def library() -> tuple[KeyPose, ...]:
    """Return the authored poses, sorted by name; RecipeError names an invalid entry."""
    return read_library({name: _text(name) for name in FILES})


@functools.cache
def hands() -> Hands:
    return _hands(loaded(_text(FILES[0]), FILES[0]), FILES[0])


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
    RecipeError for YAML that cannot be read, a name or key twice, unknown names and angles
    outside the joint's limits.
    """
    data = {where: loaded(text, where) for where, text in texts.items()}
    first = next(iter(data))
    shapes, seated = _hands(data[first], first), data[first].get("seated_arms", [])
    relaxed = angles_of(data[first].get("relaxed", {}), f"{first}: relaxed")
    found = [
        _pose(name, entry, relaxed, shapes, where)
        for where, one in data.items()
        for name, entry in one["poses"].items()
    ]
    return tuple(
        dataclasses.replace(pose, seated_arms=pose.family in seated)
        for pose in sorted(found, key=lambda pose: pose.name)
    )


def loaded(text: str, where: str) -> Any:
    """Return the data of YAML without duplicate keys; RecipeError otherwise."""
    try:
        return yaml.load(text, Loader=_Strict)
    except yaml.YAMLError as error:
        raise RecipeError(f"not readable as YAML: {error}", where=where) from error


class _Strict(yaml.CSafeLoader):
    """YAML in which a doubled key is an error, by libyaml: every process reads 270 poses."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value]
        doubled = sorted({key for key in keys if keys.count(key) > 1})
        if doubled:
            raise yaml.YAMLError(f"{', '.join(doubled)} stands twice{node.start_mark}")
        return super().construct_mapping(node, deep)


def typed(kind: type[T], fields: dict[str, Any], where: str) -> T:
    """The dataclass of these fields; RecipeError for a value that is not of its field's type."""
    try:
        return TypeAdapter(kind).validate_python(fields)
    except ValidationError as error:
        fault = error.errors()[0]
        raise RecipeError(
            fault["msg"],
            where=f"{where}: {'.'.join(map(str, fault['loc']))}",
            got=repr(fault["input"])[:60],
        ) from error


def _hands(data: dict[str, Any], where: str) -> Hands:
    out = {}
    for name, entry in sorted(data.get("hands", {}).items()):
        left = angles_of({f"left_{k}": v for k, v in entry.items()}, f"{where}: hands: {name}")
        out[name] = {key.removeprefix("left_"): value for key, value in left.items()}
    return out


def _pose(
    name: str, entry: dict[str, Any], relaxed: dict[str, float], shapes: Hands, where: str
) -> KeyPose:
    here = f"{where}: {name}"
    known = {key: value for key, value in entry.items() if key in _FIELDS}
    rest = {key: value for key, value in entry.items() if key not in known}
    angles = relaxed | angles_of(rest, here, shapes)
    in_air = bool(known.get("airborne"))
    known |= {
        "name": name,
        "angles_rad": dict(sorted(angles.items())),
        "free_hands": _free(entry),
        "athletic": where == ATHLETIC,
        "dynamic": in_air or known.get("dynamic", False),
    }
    if in_air or known.get("needs") == "seat":
        known["stands"] = False
    return typed(KeyPose, known, here)


def _free(entry: dict[str, Any]) -> tuple[str, ...]:
    both = {"both_hands", *(f"both_{angle}_deg" for angle in HAND_ANGLES)} & set(entry)
    sides = () if both or "both_hands" in entry.get("holds", {}) else ("left", "right")
    return tuple(
        side
        for side in sides
        if f"{side}_hand" not in entry
        and f"{side}_hand" not in entry.get("holds", {})
        and not any(f"{side}_{angle}_deg" in entry for angle in HAND_ANGLES)
    )


def angles_of(entry: dict[str, Any], where: str, shapes: Hands | None = None) -> dict[str, float]:
    """Return the angles of one entry in radians, by name; its own go before its hands' shapes."""
    of_hands: dict[str, float] = {}
    out: dict[str, float] = {}
    for key, value in entry.items():
        here = f"{where}: {key}"
        if shapes is not None and key in _HANDS:
            if value not in shapes:
                raise RecipeError(
                    "unknown shape of a hand", where=here, expected=", ".join(shapes), got=value
                )
            of_hands |= {side + k: v for side in _HANDS[key] for k, v in shapes[value].items()}
            continue
        if not key.endswith(_ANGLE) or type(value) not in (int, float):
            raise RecipeError(
                "not an angle", where=here, expected="NAME_deg: a number", got=repr(value)[:60]
            )
        name = key.removesuffix(_ANGLE)
        sides = ("left_", "right_") if name.startswith("both_") else ("",)
        for one in (side + name.removeprefix("both_") for side in sides):
            if one in out:
                raise RecipeError(f"{one} is set twice", where=here)
            out[one] = _within(one, float(value), here)
    return of_hands | out


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
