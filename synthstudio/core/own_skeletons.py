"""Custom skeletons: validation of a definition, and its skeleton.

    name: horse                                  # lower-case letters, digits, - and _
    joints: [nose, left_eye, right_eye, tail]    # in the order of rows and files
    limbs: [[nose, left_eye], [nose, right_eye]] # lines that are drawn; they may close rings
    pairs: [[left_eye, right_eye]]               # left and right, which a mirror swaps
    sigmas: {tail: 0.1}                          # OKS constants; default: see `default_sigma`
    sigma_source: measured by us
    same_as: {nose: nose}                        # joints that are those of coco17
    places: {tail: where the tail begins}
    category: horse                              # COCO's name of what has these joints
    figure: {nose: [0.2, 0.4]}                   # position in a drawing, 0 to 1

Only name and joints are needed. Rows, data sets and checkpoints store the whole definition instead
of a built-in skeleton's name, so each is self-contained. Definitions are not trusted. RecipeError
reports one fault at a time.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from synthstudio.core.errors import RecipeError
from synthstudio.core.skeleton_value import COCO17, COCO_SIGMAS, MEDIAN_SIGMA, Skeleton

MAX_JOINTS, MAX_LIMBS, MAX_CHARS = 200, 600, 100_000
SIGMA_RANGE = (0.001, 1.0)
FIELDS = (
    "name",
    "joints",
    "limbs",
    "pairs",
    "sigmas",
    "sigma_source",
    "same_as",
    "places",
    "category",
    "figure",
)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_JOINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,39}")
_NOT_IN_A_QUERY = re.compile(r"[^a-z0-9_-]")
_QUERY_WORDS = ("any", "all", "both", "no", "not", "and", "or", "at", "least", "in")
_IN_BROWSERS = (
    "constructor",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "toLocaleString",
    "toString",
    "valueOf",
)
"""Properties of every JavaScript object, which the editor would confuse with joints."""
_DEFAULT_SOURCE = (
    "COCO's where joints are COCO's; else 0.072, the median of COCO's 17 (not measured)"
)


def is_own(name: str) -> bool:
    """Whether a stored skeleton name is a definition."""
    return name.startswith("{")


def default_sigma(same_as: str | None) -> float:
    """The OKS constant of a joint: COCO's where it is one of its 17, else the median of these."""
    return COCO_SIGMAS[COCO17.index(same_as)] if same_as in COCO17 else MEDIAN_SIGMA


def query_name(joint: str) -> str:
    """A joint's name in queries: lower case, one word without a leading digit."""
    word = _NOT_IN_A_QUERY.sub("_", joint.lower())
    return f"_{word}" if word[0].isdigit() else word


@functools.lru_cache(maxsize=64)
def parse_own(text: str) -> Skeleton:
    """The skeleton of a stored definition (`Skeleton.name`); RecipeError."""
    if len(text) > MAX_CHARS:
        raise _fault("the definition is too long", f"at most {MAX_CHARS:,} characters", len(text))
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _fault("the definition is not JSON", "an object", str(error)) from error
    return own_skeleton(value)


def own_skeleton(value: Any, where: str = "skeleton") -> Skeleton:
    """The skeleton of a definition read from `where`; RecipeError."""
    value = _object(value, where)
    name = value.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        expected = "1 to 40 of a to z, 0 to 9, - and _, with no sign in front"
        raise _fault("invalid skeleton name", expected, name, f"{where}, name")
    joints = _joints(value.get("joints"), where)
    same = _texts(value, "same_as", joints, where, known=COCO17)
    limbs = _two(value, "limbs", joints, where, MAX_LIMBS)
    pairs = _two(value, "pairs", joints, where, MAX_JOINTS // 2)
    _once([j for pair in pairs for j in pair], f"{where}, pairs", "a joint is in two pairs")
    _once(list(same.values()), f"{where}, same_as", "two joints map to the same joint of COCO")
    sigmas = _sigmas(value, joints, same, where)
    source = _text(value, "sigma_source", where, 300) or (
        f"as stated for {', '.join(value['sigmas'])}"[:150] + f"; {_DEFAULT_SOURCE}"
        if value.get("sigmas")
        else _DEFAULT_SOURCE
    )
    places = _texts(value, "places", joints, where)
    kept = {
        "name": name,
        "joints": list(joints),
        "limbs": [list(limb) for limb in limbs],
        "pairs": [list(pair) for pair in pairs],
        "sigmas": dict(zip(joints, sigmas, strict=True)),
        "sigma_source": source,
        "same_as": same,
        "places": places,
        "category": _text(value, "category", where, 80) or name,
        "figure": _figure(value, joints, where),
    }
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), allow_nan=False)
    at = {joint: j for j, joint in enumerate(joints)}
    return Skeleton(
        name=text,
        title=name,
        joints=joints,
        up=_tree(joints, limbs),
        pairs=tuple((at[a], at[b]) for a, b in pairs),
        known_as=tuple(same.get(joint, "") for joint in joints),
        sigmas=np.array(sigmas),
        sigma_source=source,
        places=tuple(places.get(joint, "") for joint in joints),
        edges=tuple((at[a], at[b]) for a, b in limbs),
    )


def definition(skeleton: Skeleton) -> dict[str, Any]:
    """The definition of a custom skeleton with all its fields, in the order of FIELDS."""
    value = json.loads(skeleton.name)
    return {name: value[name] for name in FIELDS}


def _fault(what: str, expected: str, got: Any, where: str = "skeleton") -> RecipeError:
    return RecipeError(what, where=where, expected=expected, got=repr(got)[:120])


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _fault("a skeleton must be a mapping", "name, joints, ...", value, where)
    unknown = [str(key) for key in value if key not in FIELDS]
    if unknown:
        raise _fault("unknown field", ", ".join(FIELDS), unknown[0], where)
    return value


def _text(value: Mapping[str, Any], field: str, where: str, limit: int) -> str:
    found = value.get(field, "")
    if not isinstance(found, str) or len(found) > limit or not found.isprintable():
        raise _fault("invalid text", f"one line of {limit} characters", found, f"{where}, {field}")
    return found


def _joints(value: Any, where: str) -> tuple[str, ...]:
    where = f"{where}, joints"
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_JOINTS:
        got = len(value) if isinstance(value, list) else value
        raise _fault("invalid list of joints", f"1 to {MAX_JOINTS} names", got, where)
    for name in value:
        if not isinstance(name, str) or not _JOINT.fullmatch(name) or name != name.strip():
            expected = "1 to 40 letters, digits, blanks, _ . and -, a letter or digit first"
            raise _fault("invalid joint name", expected, name, where)
        if name.lower() in _QUERY_WORDS:
            raise _fault("reserved word of queries", "another name", name, where)
        if name in _IN_BROWSERS:
            raise _fault("reserved word of JavaScript", "another name", name, where)
    _once(value, where, "duplicate joint name")
    _once([query_name(n) for n in value], where, "duplicate joint name in queries")
    return tuple(value)


def _once(names: list[str], where: str, what: str) -> None:
    double = next((name for k, name in enumerate(names) if name in names[:k]), None)
    if double is not None:
        raise _fault(what, "each once", double, where)


def _two(
    value: Mapping[str, Any], field: str, joints: tuple[str, ...], where: str, limit: int
) -> list[tuple[str, str]]:
    """The entries of `limbs` or `pairs`, each two different joints, none twice."""
    found, where = value.get(field, []), f"{where}, {field}"
    if not isinstance(found, list) or len(found) > limit:
        got = len(found) if isinstance(found, list) else found
        raise _fault("invalid list", f"at most {limit} entries of two joints", got, where)
    seen = set[frozenset[str]]()
    out = []
    for entry in found:
        if not isinstance(entry, list) or len(entry) != 2:
            raise _fault("an entry must have two joints", "[one, other]", entry, where)
        for joint in entry:
            _check_joint(joint, joints, where)
        one, other = entry
        if one == other:
            raise _fault("an entry repeats a joint", "two different joints", one, where)
        if frozenset(entry) in seen:
            raise _fault("duplicate entry", "each entry once", entry, where)
        seen.add(frozenset(entry))
        out.append((one, other))
    return out


def _check_joint(joint: Any, joints: tuple[str, ...], where: str) -> None:
    if not isinstance(joint, str) or joint not in joints:
        raise _fault("unknown joint", ", ".join(joints)[:300], joint, where)


def _mapping(
    value: Mapping[str, Any], field: str, joints: tuple[str, ...], where: str
) -> dict[str, Any]:
    found = value.get(field, {})
    if not isinstance(found, dict):
        raise _fault("not a mapping of joints", "{joint: value}", found, f"{where}, {field}")
    for joint in found:
        _check_joint(joint, joints, f"{where}, {field}")
    return found


def _texts(
    value: Mapping[str, Any],
    field: str,
    joints: tuple[str, ...],
    where: str,
    *,
    known: tuple[str, ...] = (),
) -> dict[str, str]:
    """A text for some joints, one of `known` if that is not empty, in the order of the joints."""
    found = _mapping(value, field, joints, where)
    for joint, text in found.items():
        at = f"{where}, {field}, {joint}"
        if known and text not in known:
            raise _fault("unknown joint of coco17", ", ".join(known), text, at)
        if not isinstance(text, str) or len(text) > 120 or not text.isprintable():
            raise _fault("invalid text", "one line of 120 characters", text, at)
    return {joint: found[joint] for joint in joints if joint in found}


def _sigmas(
    value: Mapping[str, Any], joints: tuple[str, ...], same: Mapping[str, str], where: str
) -> list[float]:
    found = _mapping(value, "sigmas", joints, where)
    low, high = SIGMA_RANGE
    for joint, number in found.items():
        if type(number) not in (int, float) or not low <= number <= high:  # NaN is not
            at = f"{where}, sigmas, {joint}"
            raise _fault("invalid OKS constant", f"a number from {low} to {high}", number, at)
    return [float(found.get(joint, default_sigma(same.get(joint)))) for joint in joints]


def _figure(
    value: Mapping[str, Any], joints: tuple[str, ...], where: str
) -> dict[str, list[float]]:
    found = _mapping(value, "figure", joints, where)
    for joint, place in found.items():
        numbers = place if isinstance(place, list) else []
        if len(numbers) != 2 or not all(type(n) in (int, float) and 0 <= n <= 1 for n in numbers):
            at = f"{where}, figure, {joint}"
            raise _fault("invalid position", "[x, y], each from 0 to 1", place, at)
    return {j: [round(float(n), 4) for n in found[j]] for j in joints if j in found}


def _tree(joints: tuple[str, ...], limbs: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """(joint, parent) of a breadth-first traversal of the limbs."""
    beside: dict[str, list[str]] = {joint: [] for joint in joints}
    for one, other in limbs:
        beside[one].append(other)
        beside[other].append(one)
    parent: dict[str, str | None] = {}
    for root in joints:
        if root in parent:
            continue
        parent[root] = None
        waiting = [root]
        for joint in waiting:
            for near in beside[joint]:
                if near not in parent:
                    parent[near] = joint
                    waiting.append(near)
    return tuple((j, up) for j in joints if (up := parent[j]) is not None)
