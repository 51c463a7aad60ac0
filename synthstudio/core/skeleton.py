"""Skeletons: joints, edges, flips, sigmas and the anatomical place of each joint.

`SKELETONS` can be drawn and labelled; `FOREIGN` are those of other data sets, which rows are
converted to and imported with (formats/joints.py). Others are custom skeletons, defined in the
data set: rows, data sets and checkpoints store the whole definition (`own_skeleton`) instead of a
name, so each is self-contained. `get_skeleton` resolves all of them.
"""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

from synthstudio.core import whole_body
from synthstudio.core.arrays import F64, I64
from synthstudio.core.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """A set of joints; `get_skeleton(name)` restores it from a stored name."""

    name: str  # as stored in rows, data sets and checkpoints: of a custom one its definition
    title: str  # display name
    joints: tuple[str, ...]
    up: tuple[tuple[str, str], ...]  # (joint, its parent)
    pairs: tuple[tuple[int, int], ...]  # indices of (left, right) joints that mirroring swaps
    known_as: tuple[str, ...]  # the name of each joint in the package's skeletons; "": none's
    sigmas: F64  # (J,) OKS constants
    sigma_source: str
    places: tuple[str, ...]  # anatomical place of each joint
    edges: tuple[tuple[int, int], ...]  # pairs of joint numbers, for drawing and COCO

    @property
    def own(self) -> bool:
        """Whether it is custom, not built-in."""
        return self.name != self.title

    @property
    def flip(self) -> I64:
        """(J,) the index of each joint's mirror image."""
        found = np.arange(len(self.joints))
        for left, right in self.pairs:
            found[left], found[right] = right, left
        return found

    @property
    def parents(self) -> tuple[int | None, ...]:
        """The parent of each joint; None for the root."""
        names = (dict(self.up).get(name) for name in self.joints)
        return tuple(None if name is None else self.joints.index(name) for name in names)

    def same_labels(self, other: Skeleton) -> bool:
        """Whether labels are interchangeable: equal joints in order, mirror and `known_as`."""
        own_key, other_key = (s.joints + s.known_as + tuple(s.flip.tolist()) for s in (self, other))
        return own_key == other_key

    def described(self, beside: Skeleton) -> str:
        """Its title, disambiguated from `beside`, another skeleton."""
        if self.title != beside.title:
            return self.title
        parts = (("joints", "joints"), ("pairs", "pairs"), ("known_as", "same_as"))
        other = [what for field, what in parts if getattr(self, field) != getattr(beside, field)]
        return f"{self.title} with other {' and '.join(other) or 'facts'}"

    def numbers_in(self, other: Skeleton) -> tuple[int | None, ...]:
        """For each joint its index in `other`; None if missing there.

        Names alone are ambiguous: a horse's nose is not a person's. Joints are the same
        if both are `known_as` one, and all are if the labels are interchangeable.
        """
        if self.same_labels(other):
            return tuple(range(len(self.joints)))
        at = {name: j for j, name in enumerate(other.known_as) if name}
        return tuple(at.get(name) for name in self.known_as)

    @property
    def sides(self) -> tuple[str, ...]:
        """For each joint "left", "right" or "middle": left and right differ in colour."""
        found = ["middle"] * len(self.joints)
        for left, right in self.pairs:
            found[left], found[right] = "left", "right"
        return tuple(found)


COLOURS = {"left": (255, 140, 26), "right": (40, 140, 255), "middle": (240, 240, 240)}
"""sRGB by side, distinguishable with every common kind of colour vision."""


def both(*kinds: str) -> tuple[str, ...]:
    """The joints of these kinds, left and right of each: left_eye, right_eye, left_ear ..."""
    return tuple(f"{side}_{kind}" for kind in kinds for side in ("left", "right"))


_CROWD = both("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_CROWD_PAIRS = (both("shoulder"), both("ear"))
_CROWD_MIN = 4


def crowd_joints(joints: Sequence[str]) -> tuple[I64, I64]:
    """The places among `joints` of CrowdPose's 14, as far as they are there.

    (n,) of the limbs; (m, 2) of the shoulders and ears, whose middles are the neck and the head.
    """
    at = {name: place for place, name in enumerate(joints)}
    limbs = [at[name] for name in _CROWD if name in at]
    pairs = [[at[name] for name in pair] for pair in _CROWD_PAIRS if set(pair) <= set(at)]
    return np.array(limbs, np.int64), np.array(pairs, np.int64).reshape(-1, 2)


def crowd_ratio(joints_px: Sequence[F64], boxes_px: Sequence[tuple[F64, F64] | F64]) -> float:
    """The crowd index from each person's joints (n, 2) in the picture and box (least, greatest)."""
    counts = [[np.all((px >= a) & (px < b), axis=1).sum() for px in joints_px] for a, b in boxes_px]
    own = [(row[i], sum(row) - row[i]) for i, row in enumerate(counts)]
    ratios = [min(1.0, other / mine) if mine >= _CROWD_MIN else 0.0 for mine, other in own]
    return float(np.mean(ratios)) if ratios else 0.0


SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072,
    "wrist": 0.062, "hip": 0.107, "knee": 0.087, "ankle": 0.089,
}  # fmt: skip
"""OKS sigma of each kind of joint."""


def joint_kind(name: str) -> str:
    """Name of a joint without its side."""
    return name.removeprefix("left_").removeprefix("right_")


COCO17 = ("nose", *both("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"))
COCO_SIGMAS = tuple(SIGMAS[joint_kind(name)] for name in COCO17)
COCO_SOURCE = "COCO keypoint evaluation (cocodataset.org/#keypoints-eval)"
MEDIAN_SIGMA = sorted(COCO_SIGMAS)[len(COCO_SIGMAS) // 2]
"""Default sigma of joints without measured annotator variance."""


# Built-in skeletons -------------------------------------------------------------------------------


def _left(*kinds: str) -> tuple[str, ...]:
    return tuple(f"left_{kind}" for kind in kinds)


def _right(*kinds: str) -> tuple[str, ...]:
    return tuple(f"right_{kind}" for kind in kinds)


_FOOT = ("big_toe", "small_toe", "heel")
_FEET = _left(*_FOOT) + _right(*_FOOT)
_ARM = ("shoulder", "elbow", "wrist")
_LEG = ("hip", "knee", "ankle")
_ABOVE = {
    "ear": "eye", "shoulder": "ear", "elbow": "shoulder", "wrist": "elbow", "hip": "shoulder",
    "knee": "hip", "ankle": "knee", **dict.fromkeys(_FOOT, "ankle"),
}  # fmt: skip
_LIMBS = {
    f"{side}_{kind}": f"{side}_{parent}"
    for kind, parent in _ABOVE.items()
    for side in ("left", "right")
}
_PARENTS = {**dict.fromkeys(both("eye"), "nose"), **_LIMBS}
# Edges drawn in addition to those to parents: COCO's own skeleton has these too.
_CROSS = (("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"), ("left_eye", "right_eye"))
_PLACES = {
    "nose": "tip of the nose",
    "eye": "centre of the eyeball's front",
    "ear": "tragus of the ear",
    "shoulder": "centre of the glenohumeral joint",
    "elbow": "centre of the elbow joint, between the epicondyles",
    "wrist": "centre of the wrist joint",
    "hip": "centre of the femoral head",
    "knee": "centre of the knee joint",
    "ankle": "centre of the ankle joint, between the malleoli",
    "big_toe": "tip of the big toe",
    "small_toe": "tip of the small toe",
    "heel": "back of the heel",
    "pelvis": "between the hip joints",
    "spine": "half way from the pelvis to the thorax",
    "thorax": "between the shoulder joints",
    "neck": "base of the neck",
    "upper_neck": "where the neck meets the head",
    "head_top": "crown of the head",
} | whole_body.places()
_FOOT_SIGMAS = (0.068, 0.066, 0.066, 0.092, 0.094, 0.094)


def side_pairs(joints: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Indices of left joints and their twins, each once, also with duplicate names."""
    names = {name: j for j, name in enumerate(joints)}
    lefts = [(j, names.get("right_" + n[5:])) for n, j in names.items() if n.startswith("left_")]
    return tuple((left, right) for left, right in lefts if right is not None)


def _make(
    name: str,
    joints: tuple[str, ...],
    sigmas: tuple[float, ...],
    source: str,
    *,
    parents: dict[str, str] = _PARENTS,
    cross: tuple[tuple[str, str], ...] = _CROSS,
    undrawn: dict[str, str] | None = None,
) -> Skeleton:
    """`undrawn`: joint -> a parent without an edge."""
    hung = undrawn or {}
    up = tuple((j, (parents | hung)[j]) for j in joints if j in parents or j in hung)
    pairs = [(parent, j) for j, parent in up if j not in hung] + list(cross)
    return Skeleton(
        name=name,
        title=name,
        joints=joints,
        up=up,
        pairs=side_pairs(joints),
        known_as=joints,
        sigmas=np.array(sigmas),
        sigma_source=source,
        places=tuple(_PLACES[joint_kind(j)] for j in joints),
        edges=tuple((joints.index(a), joints.index(b)) for a, b in pairs),
    )


SKELETONS = {
    "coco17": _make("coco17", COCO17, COCO_SIGMAS, COCO_SOURCE),
    "coco23": _make(
        "coco23",
        COCO17 + _FEET,
        COCO_SIGMAS + _FOOT_SIGMAS,
        COCO_SOURCE + "; feet: COCO-WholeBody (Jin et al. 2020)",
    ),
    "coco133": _make(
        "coco133",
        COCO17 + _FEET + whole_body.FACE + whole_body.LEFT_HAND + whole_body.RIGHT_HAND,
        COCO_SIGMAS + _FOOT_SIGMAS + whole_body.FACE_SIGMAS + 2 * whole_body.HAND_SIGMAS,
        "COCO-WholeBody (Jin et al. 2020), evaluation/myeval_wholebody.py",
        parents=_PARENTS | whole_body.parents(),
        cross=_CROSS + whole_body.closing(),
        undrawn=dict.fromkeys(whole_body.FACE_ROOTS, "nose"),
    ),
}
JOINTS = tuple(dict.fromkeys(name for each in SKELETONS.values() for name in each.joints))
"""All joints of SKELETONS, each once: those that the body models."""

# A trunk or head joint takes the sigma of the joints it is near.
_SIGMAS = SIGMAS | dict.fromkeys(("pelvis", "spine"), SIGMAS["hip"])
_SIGMAS |= dict.fromkeys(("thorax", "neck", "upper_neck", "head_top"), SIGMAS["shoulder"])
_BY_KIND = "COCO's for limbs; trunk and head as the nearest limb joint's (CrowdPose's choice)"


def _foreign(name: str, joints: tuple[str, ...], trunk: dict[str, str]) -> Skeleton:
    limbs = {j: p for j, p in _LIMBS.items() if j.endswith((*_ARM[1:], *_LEG[1:]))}
    sigmas = tuple(_SIGMAS[joint_kind(j)] for j in joints)
    return _make(name, joints, sigmas, _BY_KIND, parents=limbs | trunk, cross=())


_FROM_NECK = {"head_top": "neck", **dict.fromkeys(both("shoulder", "hip"), "neck")}
_FROM_PELVIS = dict.fromkeys(both("hip"), "pelvis") | dict.fromkeys(both("shoulder"), "thorax")
_LEGS_ACROSS = _right(*reversed(_LEG)) + _left(*_LEG)
_ARMS_ACROSS = _right(*reversed(_ARM)) + _left(*_ARM)
_COLUMN = ("spine", "thorax", "nose", "head_top")  # each hangs on the one before
_FACE = ("right_ear", "left_ear", "nose", "right_eye", "left_eye")

FOREIGN = {
    "body12": _foreign(
        "body12",
        COCO17[5:],
        {
            "right_shoulder": "left_shoulder",
            "left_hip": "left_shoulder",
            "right_hip": "right_shoulder",
        },
    ),
    "crowdpose14": _foreign("crowdpose14", (*both(*_ARM, *_LEG), "head_top", "neck"), _FROM_NECK),
    "mpii16": _foreign(
        "mpii16",
        (*_LEGS_ACROSS, "pelvis", "thorax", "upper_neck", "head_top", *_ARMS_ACROSS),
        {"thorax": "pelvis", "upper_neck": "thorax", "head_top": "upper_neck", **_FROM_PELVIS},
    ),
    "ochuman19": _foreign(
        "ochuman19",
        (*_right(*_ARM), *_left(*_ARM), *_right(*_LEG), *_left(*_LEG), "head_top", "neck", *_FACE),
        {**_FROM_NECK, "nose": "neck", **{j: _PARENTS[j] for j in both("eye", "ear")}},
    ),
    "lsp14": _foreign("lsp14", (*_LEGS_ACROSS, *_ARMS_ACROSS, "neck", "head_top"), _FROM_NECK),
    "h36m17": _foreign(
        "h36m17",
        ("pelvis", *_right(*_LEG), *_left(*_LEG), *_COLUMN, *_left(*_ARM), *_right(*_ARM)),
        dict(zip(_COLUMN, ("pelvis", *_COLUMN), strict=False)) | _FROM_PELVIS,
    ),
}


def get_skeleton(name: str) -> Skeleton:
    """The built-in skeleton of that name, or the custom one of that definition; RecipeError."""
    if is_own(name):
        return parse_own(name)
    found = SKELETONS.get(name) or FOREIGN.get(name)
    if found is None:
        known = " or ".join([*SKELETONS, *FOREIGN])
        raise RecipeError("unknown skeleton", where="skeleton", expected=known, got=name[:80])
    return found


# Custom skeletons ---------------------------------------------------------------------------------

MAX_JOINTS, MAX_LIMBS, MAX_CHARS = 200, 600, 100_000
SIGMA_RANGE = (0.001, 1.0)
FIELDS = (
    "name", "joints", "limbs", "pairs", "sigmas", "sigma_source", "same_as", "places", "category",
    "figure",
)  # fmt: skip
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_JOINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,39}")
_NOT_IN_A_QUERY = re.compile(r"[^a-z0-9_-]")
_QUERY_WORDS = ("any", "all", "both", "no", "not", "and", "or", "at", "least", "in")
_IN_BROWSERS = (
    "constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString",
    "toString", "valueOf",
)  # fmt: skip
"""Properties of every JavaScript object, which the editor would confuse with joints."""
_DEFAULT_SOURCE = (
    "the package's where joints are its own; else 0.072, the median of COCO's 17 (not measured)"
)
KNOWN_SIGMAS = {
    name: float(sigma)
    for each in (*SKELETONS.values(), *FOREIGN.values())
    for name, sigma in zip(each.joints, each.sigmas, strict=True)
}
"""All joints of the package's skeletons, which `same_as` names, and their OKS constants."""


def is_own(name: str) -> bool:
    """Whether a stored skeleton name is a definition."""
    return name.startswith("{")


def default_sigma(same_as: str | None) -> float:
    """The OKS constant of a joint: KNOWN_SIGMAS', else the median of COCO's 17."""
    return KNOWN_SIGMAS.get(same_as or "", MEDIAN_SIGMA)


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
    """The skeleton of a definition read from `where`; RecipeError reports one fault at a time.

        name: horse                                  # lower-case letters, digits, - and _
        joints: [nose, left_eye, right_eye, tail]    # in the order of rows and files
        limbs: [[nose, left_eye], [nose, right_eye]] # lines that are drawn; they may close rings
        pairs: [[left_eye, right_eye]]               # left and right, which a mirror swaps
        sigmas: {tail: 0.1}                          # OKS constants; default: see `default_sigma`
        sigma_source: measured by us
        same_as: {nose: nose}                        # joints of the package's skeletons
        places: {tail: where the tail begins}
        category: horse                              # COCO's name of what has these joints
        figure: {nose: [0.2, 0.4]}                   # position in a drawing, 0 to 1

    Only name and joints are needed. Definitions are not trusted.
    """
    value = _object(value, where)
    name = value.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        expected = "1 to 40 of a to z, 0 to 9, - and _, with no sign in front"
        raise _fault("invalid skeleton name", expected, name, f"{where}, name")
    joints = _joints(value.get("joints"), where)
    same = _by_joint(value, "same_as", joints, where)
    limbs = _two(value, "limbs", joints, where, MAX_LIMBS)
    pairs = _two(value, "pairs", joints, where, MAX_JOINTS // 2)
    _once([j for pair in pairs for j in pair], f"{where}, pairs", "a joint is in two pairs")
    _once(list(same.values()), f"{where}, same_as", "two joints are the same joint")
    stated = _by_joint(value, "sigmas", joints, where)
    sigmas = [float(stated.get(joint, default_sigma(same.get(joint)))) for joint in joints]
    source = _text(value, "sigma_source", where, 300) or (
        f"as stated for {', '.join(value['sigmas'])}"[:150] + f"; {_DEFAULT_SOURCE}"
        if value.get("sigmas")
        else _DEFAULT_SOURCE
    )
    places = _by_joint(value, "places", joints, where)
    category = _text(value, "category", where, 80) or name
    figure = _by_joint(value, "figure", joints, where)
    kept = {
        "name": name,
        "joints": list(joints),
        "limbs": [list(limb) for limb in limbs],
        "pairs": [list(pair) for pair in pairs],
        "sigmas": dict(zip(joints, sigmas, strict=True)),
        "sigma_source": source,
        "same_as": same,
        "places": places,
        "category": category,
        "figure": {j: [round(float(n), 4) for n in place] for j, place in figure.items()},
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
    if not _is_line(found, limit):
        raise _fault("invalid text", f"one line of {limit} characters", found, f"{where}, {field}")
    return found


def _joints(value: Any, where: str) -> tuple[str, ...]:
    where = f"{where}, joints"
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_JOINTS:
        got = len(value) if isinstance(value, list) else value
        raise _fault("invalid list of joints", f"1 to {MAX_JOINTS} names", got, where)
    for name in value:
        if not isinstance(name, str) or not _JOINT.fullmatch(name) or name != name.strip():
            expected = "1 to 40 of A to Z, a to z, 0 to 9, blank, _ . and -, no sign first"
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


def _is_line(text: Any, limit: int = 120) -> TypeGuard[str]:
    return isinstance(text, str) and len(text) <= limit and text.isprintable()


def _is_sigma(number: Any) -> bool:
    low, high = SIGMA_RANGE
    return type(number) in (int, float) and low <= number <= high  # NaN is not


def _is_position(place: Any) -> bool:
    numbers = place if isinstance(place, list) else []
    return len(numbers) == 2 and all(type(n) in (int, float) and 0 <= n <= 1 for n in numbers)


_BY_JOINT: dict[str, tuple[Callable[[Any], bool], str, str]] = {
    "same_as": (
        lambda name: isinstance(name, str) and name in KNOWN_SIGMAS,
        "unknown joint",
        f"a joint of {', '.join((*SKELETONS, *FOREIGN))}",
    ),
    "sigmas": (_is_sigma, "invalid OKS constant", "a number from {} to {}".format(*SIGMA_RANGE)),
    "places": (_is_line, "invalid text", "one line of 120 characters"),
    "figure": (_is_position, "invalid position", "[x, y], each from 0 to 1"),
}
"""Fields that map joints to values: their check, and its message."""


def _by_joint(
    value: Mapping[str, Any], field: str, joints: tuple[str, ...], where: str
) -> dict[str, Any]:
    """The values of a field of `_BY_JOINT`, in the order of the joints."""
    found, where = value.get(field, {}), f"{where}, {field}"
    is_valid, what, expected = _BY_JOINT[field]
    if not isinstance(found, dict):
        raise _fault("not a mapping of joints", "{joint: value}", found, where)
    for joint in found:
        _check_joint(joint, joints, where)
    for joint, one in found.items():
        if not is_valid(one):
            raise _fault(what, expected, one, f"{where}, {joint}")
    return {joint: found[joint] for joint in joints if joint in found}


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


# Joints' names in the spellings of other tools: their side and the joint they denote --------------

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SIDES = {"left": "left", "l": "left", "right": "right", "r": "right"}
_FUSED = re.compile(r"(left|right)(.+)|(.+)(left|right)")
_SAME = {"head": "headtop", "tophead": "headtop"}


def side_of(name: str) -> tuple[str, str] | None:
    """(`left` or `right`, the rest) of a name: left_eye, LeftEye, LEye, eye.L, lefteye, EyeLeft."""
    words = [word.lower() for word in _WORDS.findall(name)]
    sides = [word for word in words if word in _SIDES]
    if len(sides) == 1:
        return _SIDES[sides[0]], "".join(word for word in words if word not in _SIDES)
    fused = _FUSED.fullmatch("".join(words)) if not sides else None
    if fused is None:
        return None
    return (fused[1], fused[2]) if fused[1] else (fused[4], fused[3])


def mirror_pairs(joints: Sequence[str]) -> list[list[str]]:
    """[left, right] joints by their names, in the order of the left ones.

    A single letter before small ones (leye, reye) counts where both names are there.
    """
    sides = {name: side_of(name) for name in joints}
    known = {name.lower() for name in joints}
    for name in joints:
        low = name.lower()
        if sides[name] is None and low[:1] in ("l", "r") and len(low) > 2:
            if {f"l{low[1:]}", f"r{low[1:]}"} <= known:
                sides[name] = _SIDES[low[0]], low[1:]
    count = Counter(side for side in sides.values() if side)
    at = {side: name for name, side in sides.items() if side and count[side] == 1}
    return [
        [name, at["right", side[1]]]
        for name, side in sides.items()
        if side and side[0] == "left" and count[side] == 1 and ("right", side[1]) in at
    ]


def lacks_pairs(skeleton: Skeleton) -> bool:
    """Whether mirroring is unsafe: no pair is known, or a joint with a side has none."""
    paired = {skeleton.joints[j] for pair in skeleton.pairs for j in pair}
    return not paired or any(side_of(name) and name not in paired for name in skeleton.joints)


def spelled(names: Iterable[str], skeleton: Skeleton) -> Mapping[str, str]:
    """Name -> joint for `names` that match a joint of the skeleton in any spelling."""
    by_key = {_key(joint): joint for joint in skeleton.joints}
    found = {}
    for name in names:
        key = _key(name)
        if key not in by_key and name[:1].lower() in ("l", "r"):
            key = f"{_SIDES[name[0].lower()]} {name[1:].lower()}"
        if key in by_key:
            found[name] = by_key[key]
    return found


def same_joints(names: Sequence[str], skeleton: Skeleton) -> Mapping[str, str] | None:
    """`spelled` where `names` are the skeleton's joints in any order, each once, or None."""
    found = spelled(names, skeleton)
    same = len(names) == len(skeleton.joints) and set(found.values()) == set(skeleton.joints)
    return found if same else None


def known_joints(
    names: Sequence[str], among: Iterable[Skeleton]
) -> tuple[Skeleton, Mapping[str, str]] | None:
    """The first skeleton with these joints; exact spelling and order take precedence."""
    skeletons = list(among)
    for skeleton in skeletons:
        if skeleton.joints == tuple(names):
            return skeleton, {name: name for name in names}
    found = ((s, same_joints(names, s)) for s in skeletons)
    return next(((s, same) for s, same in found if same is not None), None)


def _key(name: str) -> str:
    side, plain = side_of(name), re.sub(r"[^a-z0-9]", "", name.lower())
    return f"{side[0]} {side[1]}" if side else _SAME.get(plain, plain)
