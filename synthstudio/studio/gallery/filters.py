"""The gallery's filter form and its conversion to and from query text.

The text is authoritative. The form covers the most frequent queries; for any other (or, brackets,
other fields) `form_from_query` returns None and the page shows only the text.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from synthstudio.core.errors import DatasetError
from synthstudio.core.labels import HIDDEN_CAUSES
from synthstudio.core.skeleton import query_name
from synthstudio.dataset.query import (
    GROUPS,
    STATES,
    BoolOp,
    Compare,
    FieldTest,
    JointTest,
    Node,
    Query,
    joints_of,
)
from synthstudio.review.risk.review_fields import ALL_FIELDS

Range = tuple[float, float]
WHOLE: Range = (0.0, 1.0)
RANGES = ("occluded", "truncated", "crowd", "disagreement")
"""Fields from 0 to 1. A range includes its lower end; its upper end only if that is 1."""
CHOICES = ("pose family", "view", "variant", "split", "status", "reviewer", "assigned")
TESTS = (
    "visible",
    "hidden",
    *(f"hidden by {cause}" for cause in HIDDEN_CAUSES),
    "cause = truncated",
    *STATES[2:],
)
"""Conditions on joints. "hidden" is any cause; outside is outside the frame."""
MAX_JOINT_TESTS = 2
_NAMES = {tested: name for name, tested in ALL_FIELDS.items()}
_WORD = re.compile(r"[A-Za-z_][\w-]*")


@dataclass(frozen=True, kw_only=True)
class JointCondition:
    """Joints (a name, or "any wrist") and their condition, one of TESTS."""

    which: str
    test: str


@dataclass(frozen=True, kw_only=True)
class Form:
    """The form's conditions, combined by and. Fields not in a mapping are unrestricted."""

    joints: tuple[JointCondition, ...] = ()
    ranges: Mapping[str, Range] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def joint_choices(joints: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_labels(joints).values())


@lru_cache(maxsize=8)
def _labels(joints: tuple[str, ...]) -> dict[tuple[tuple[int, ...], int], str]:
    found: dict[tuple[tuple[int, ...], int], str] = {}
    for how in ("any", "all"):
        for group in GROUPS:
            places = joints_of(group, "", joints)
            if len(places) > 1:
                found[places, 1 if how == "any" else len(places)] = f"{how} {group}"
    return found | {((j,), 1): query_name(name) for j, name in enumerate(joints)}


def query_text(form: Form) -> str:
    parts = [f"{condition.which} {condition.test}" for condition in form.joints]
    for name in RANGES:
        low, high = form.ranges.get(name, WHOLE)
        parts += [f"{name} >= {low:g}"] if low > 0 else []
        parts += [f"{name} < {high:g}"] if high < 1 else []
    for name in CHOICES:
        values = form.choices.get(name, ())
        if len(values) == 1:
            parts.append(f"{name} = {quote(values[0])}")
        elif values:
            parts.append(f"{name} in ({', '.join(map(quote, values))})")
    return " and ".join(parts)


def quote(value: str) -> str:
    """Return a text quoted for the query language; DatasetError if it has both quotes."""
    if _WORD.fullmatch(value):
        return value
    for mark in "\"'":
        if mark not in value:
            return f"{mark}{value}{mark}"
    raise DatasetError(f"query: {value!r} holds both kinds of quotes; no query can name it.")


def form_from_query(query: Query | None) -> Form | None:
    """Return the form equivalent to a query; None if there is none."""
    if query is None:
        return Form()
    joints: list[JointCondition] = []
    ranges: dict[str, dict[str, float]] = {}
    choices: dict[str, tuple[str, ...]] = {}
    for node in _parts(query.tree):
        if isinstance(node, JointTest):
            condition = _joint(node, query.joints)
            if condition is None or len(joints) == MAX_JOINT_TESTS:
                return None
            joints += [condition] if condition not in joints else []
        elif not isinstance(node, FieldTest):
            return None
        elif (name := _NAMES[node.field]) in RANGES:
            if not _add_end(ranges.setdefault(name, {}), node.compare):
                return None
        elif name not in CHOICES or name in choices or node.compare.op not in ("=", "in"):
            return None
        else:
            choices[name] = tuple(dict.fromkeys(str(value) for value in node.compare.values))
    limits = {k: (ends.get(">=", WHOLE[0]), ends.get("<", WHOLE[1])) for k, ends in ranges.items()}
    return Form(joints=tuple(joints), ranges=limits, choices=choices)


def merged(form: Form, more: Form) -> Form:
    """Both forms' conditions, those of `more` instead of equal ones and of the oldest joints."""
    kept = (one for one in form.joints if one not in more.joints)
    ranges = {k: v for k, v in {**form.ranges, **more.ranges}.items() if v != WHOLE}
    choices = {k: v for k, v in {**form.choices, **more.choices}.items() if v}
    joints = (*kept, *more.joints)[-MAX_JOINT_TESTS:]
    return Form(joints=joints, ranges=ranges, choices=choices)


def _parts(node: Node) -> Iterator[Node]:
    if isinstance(node, BoolOp) and node.how == "and":
        for item in node.items:
            yield from _parts(item)
    else:
        yield node


def _joint(test: JointTest, joints: tuple[str, ...]) -> JointCondition | None:
    which, what = _labels(joints).get((test.joints, test.minimum)), _test_name(test)
    return JointCondition(which=which, test=what) if which and what else None


def _add_end(ends: dict[str, float], compare: Compare) -> bool:
    """Add an end of a range; False if the form cannot express it."""
    value = compare.values[0]
    if compare.op not in (">=", "<") or compare.op in ends or not isinstance(value, float):
        return False
    ends[compare.op] = value
    return 0 < value < 1


def _test_name(test: JointTest) -> str | None:
    if test.kind == "state":
        return test.what
    if test.kind == "cause" and test.compare is not None and test.compare.op == "=":
        cause = str(test.compare.values[0])
        name = f"hidden by {cause}" if cause in HIDDEN_CAUSES else f"cause = {cause}"
        return name if name in TESTS else None
    return None
