"""A query language for people: parser from text to a tree.

    query    = and_ { "or" and_ }           and_ = not_ { "and" not_ }
    not_     = "not" not_ | "(" query ")" | joints test | field compare
    joints   = JOINT | ("any" | "all" | "both" | "no" | "at least" N) ["left" | "right"] GROUP
    test     = "visible" | "hidden" ["by" CAUSE] | "outside" | "unlabelled" | "ambiguous"
             | "cause" compare | SHARE "share" compare
    compare  = ("=" | "!=" | "<" | "<=" | ">" | ">=") VALUE | ["not"] "in" "(" VALUE {"," VALUE} ")"

A value is a number (30% is 0.3), a word, or text in quotes. Unknown values (null, NaN, the
state of an unlabelled joint) match neither a test nor its negation, as in SQL.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn

from synthstudio.core.errors import DatasetError
from synthstudio.core.labels import CAUSES, HIDDEN_CAUSES, LABELS, VISIBILITY
from synthstudio.core.people import VIEWS
from synthstudio.core.skeleton import SIGMAS, joint_kind, query_name

# Fields of queries ------------------------------------------------------------------------------

Table = Literal["person", "frame", "computed", "review"]
Kind = Literal["number", "text", "flag", "list"]


@dataclass(frozen=True, kw_only=True)
class Field:
    """A name of the query language: a column, or one `element` of a list column.

    "computed" columns: the side of the body facing the camera, people in the frame.
    "review" columns are in the studio's store, and only the studio can query them.
    """

    column: str
    table: Table = "person"
    kind: Kind = "number"
    element: int | None = None
    means: str
    values: tuple[str, ...] = ()


VARIANTS = ("base", "clean", "occluder", "appearance", "light", "view")


def _frame(column: str, kind: Kind, means: str, values: tuple[str, ...] = ()) -> Field:
    return Field(column=column, table="frame", kind=kind, means=means, values=values)


_KINDS: dict[str, Kind] = {"string": "text", "bool": "flag"}
FIELDS: dict[str, Field] = {
    **{
        label.query: Field(column=name, kind=_KINDS.get(label.kind, "number"), means=label.means)
        for name, label in LABELS.items()
        if label.query
    },
    "box_width": Field(column="modal_box_px", element=2, means="pixels, of the visible part"),
    "box_height": Field(column="modal_box_px", element=3, means="pixels, of the visible part"),
    "gender": Field(column="phenotype", element=0, means="0 male to 1 female"),
    "age": Field(column="phenotype", element=1, means="0 to 1; 0.67 young adult"),
    "muscle": Field(column="phenotype", element=2, means="0 to 1"),
    "weight": Field(column="phenotype", element=3, means="0 to 1"),
    "tallness": Field(column="phenotype", element=4, means="0 to 1, within one gender"),
    "view": Field(
        column="view", table="computed", kind="text", values=VIEWS, means="side facing the camera"
    ),
    "people": Field(column="people", table="computed", means="people in the frame"),
    "frame": _frame("index", "number", "number of the frame"),
    "seed": _frame("seed", "number", "seed of the run"),
    "width": _frame("width_px", "number", "pixels of the frame"),
    "height": _frame("height_px", "number", "pixels of the frame"),
    "crowd": _frame("crowd_index", "number", "crowd index, 0 to 1"),
    "camera": _frame("camera_id", "number", "camera of the rig, from 0"),
    "clip_frame": _frame("clip_frame", "number", "frame of the clip, from 0"),
    "time": _frame("time_s", "number", "seconds from the clip's start"),
    "split": _frame("split", "text", "train, val or test", ("train", "val", "test")),
    "variant": _frame("variant", "text", "what differs in its moment", VARIANTS),
    "group": _frame("group_id", "text", "frames of one moment"),
    "clip": _frame("clip_id", "text", "name of the clip"),
    "object": _frame("object_kind", "list", "an object in the frame"),
    "layer": _frame("layers", "list", "a stored layer"),
}

_PARTS = {
    **{kind: (kind,) for kind in SIGMAS},
    "toe": ("big_toe", "small_toe"),
    "heel": ("heel",),
    "face": ("nose", "eye", "ear"),
    "arm": ("shoulder", "elbow", "wrist"),
    "leg": ("hip", "knee", "ankle"),
    "foot": ("ankle", "big_toe", "small_toe", "heel"),
}
_PLURALS = {f"{name}s": name for name in _PARTS} | {"feet": "foot", "joints": "joint"}
GROUPS = (*_PARTS, "joint")
"""Groups after any, all, both, no and at least N; also plural, and with left or right."""


def joints_of(word: str, side: str, joints: tuple[str, ...]) -> tuple[int, ...]:
    """Return indices of a group's joints; empty if the word is no group or joint."""
    name = _PLURALS.get(word, word)
    if name not in GROUPS:
        return (joints.index(word),) if word in joints and not side else ()
    parts = _PARTS.get(name)
    return tuple(
        j
        for j, joint in enumerate(joints)
        if joint.startswith(side) and (parts is None or joint_kind(joint) in parts)
    )


def query_fields() -> dict[str, str]:
    """Return each field of the language and its meaning, with its values."""
    return {
        name: field.means + (f" ({', '.join(field.values)})" if field.values else "")
        for name, field in FIELDS.items()
    }


# A query -----------------------------------------------------------------------------------------

Value = float | str
STATES = ("visible", "hidden", "outside", "unlabelled", "ambiguous")
_COMPARE = ("=", "!=", "<=", ">=", "<", ">")
_QUANTIFIERS = ("any", "all", "both", "no")
MAX_CHARS = 10_000
_SHOWN_CHARS = 60
"""Characters of a query that a message shows before and after the fault."""
MAX_DEPTH = 60


@dataclass(frozen=True, kw_only=True)
class Compare:
    """`op` is one of = != < <= > >= in, not in; `values` has one entry unless it is in."""

    op: str
    values: tuple[Value, ...]


@dataclass(frozen=True, kw_only=True)
class FieldTest:
    field: Field
    compare: Compare


@dataclass(frozen=True, kw_only=True)
class JointTest:
    """At least `minimum` of some joints match. `what`: a state, "cause", or a share's name."""

    joints: tuple[int, ...]
    minimum: int
    kind: Literal["state", "cause", "share"]
    what: str
    compare: Compare | None = None


@dataclass(frozen=True, kw_only=True)
class Not:
    item: Node


@dataclass(frozen=True, kw_only=True)
class BoolOp:
    """All of `items` ("and"), or some of them ("or")."""

    how: Literal["and", "or"]
    items: tuple[Node, ...]


Node = FieldTest | JointTest | Not | BoolOp


@dataclass(frozen=True, kw_only=True)
class Query:
    """A parsed query. `joints`: of the skeleton that it was parsed for."""

    text: str
    tree: Node
    joints: tuple[str, ...]

    @property
    def of_frames(self) -> bool:
        """Whether the query has frame fields only: then frames without people match too."""
        return all(isinstance(n, FieldTest) and n.field.table == "frame" for n in leaves(self.tree))


def leaves(node: Node) -> Iterable[FieldTest | JointTest]:
    if isinstance(node, Not):
        yield from leaves(node.item)
    elif isinstance(node, BoolOp):
        for item in node.items:
            yield from leaves(item)
    else:
        yield node


def parse(text: str, joints: tuple[str, ...], *, fields: Mapping[str, Field] = FIELDS) -> Query:
    """Parse a query for a skeleton's joints; DatasetError points at the fault."""
    if len(text) > MAX_CHARS:
        raise DatasetError(f"query: too long; expected at most {MAX_CHARS} characters.")
    parser = _Parser(text, joints, fields)
    tree = parser.query(0)
    parser.end()
    return Query(text=text, tree=tree, joints=joints)


@dataclass(frozen=True)
class _Token:
    text: str
    at: int
    kind: str


_TOKENS = re.compile(
    r"(?P<blank>\s+)|(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?:\s*%)?)(?![\w.])"
    r"|(?P<word>[A-Za-z_][\w-]*)|(?P<quoted>\"[^\"]*\"|'[^']*')|(?P<sign>!=|<=|>=|[=<>(),])"
)


class _Parser:
    """Recursive-descent parser; errors point at the token."""

    def __init__(self, text: str, joints: tuple[str, ...], fields: Mapping[str, Field]) -> None:
        self.text, self.fields, self.place = text, fields, 0
        self.joints = tuple(map(query_name, joints))
        self.tokens = self._split()

    def _split(self) -> list[_Token]:
        found: list[_Token] = []
        at = 0
        while at < len(self.text):
            match = _TOKENS.match(self.text, at)
            if match is None:
                self.fail(_Token(self.text[at], at, "sign"), "is not valid here")
            if match.lastgroup != "blank":
                found.append(_Token(match.group(), at, str(match.lastgroup)))
            at = match.end()
        return [*found, _Token("", len(self.text), "end")]

    @property
    def now(self) -> _Token:
        return self.tokens[self.place]

    def take(self, *words: str) -> str:
        """Return the next word or sign if it is one of these and step over it, else ""."""
        low = self.now.text.lower()
        if self.now.kind in ("word", "sign") and low in words:
            self.place += 1
            return low
        return ""

    def need(self, *words: str) -> str:
        return self.take(*words) or self.fail(self.now, "is not valid here", words)

    def end(self) -> None:
        if self.now.kind != "end":
            self.fail(self.now, "is not valid here (signs in a text need quotes)", ("and", "or"))

    def fail(self, token: _Token, what: str, known: Iterable[str] = ()) -> NoReturn:
        """Raise DatasetError with a caret at the token, and suggestions."""
        names = list(dict.fromkeys(known))
        near = difflib.get_close_matches(token.text.lower(), names, n=3, cutoff=0.6)
        problem = (
            f"{token.text[:_SHOWN_CHARS]!r} {what}" if token.text else "the query ends too early"
        )
        hint = ""
        if near:
            hint = f" Did you mean {' or '.join(near)}?"
        elif names:
            listed = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
            hint = f" Expected {'one of ' if len(names) > 1 else ''}{listed}."
        start = max(0, token.at - _SHOWN_CHARS)
        line = self.text[start : token.at + 2 * _SHOWN_CHARS]
        line = "".join(c if c.isprintable() else " " for c in line)
        caret = " " * (token.at - start) + "^" * max(1, min(len(token.text), _SHOWN_CHARS))
        raise DatasetError(f"query: {problem}.{hint}\n  {line}\n  {caret}")

    def query(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            self.fail(self.now, "is nested too deep")
        return self._chain("or", depth)

    def _chain(self, how: Literal["and", "or"], depth: int) -> Node:
        def inner() -> Node:
            return self._chain("and", depth) if how == "or" else self._not(depth)

        items = [inner()]
        while self.take(how):
            items.append(inner())
        return items[0] if len(items) == 1 else BoolOp(how=how, items=tuple(items))

    def _not(self, depth: int) -> Node:
        rotated = False
        while self.take("not"):
            rotated = not rotated
        if self.take("("):
            node = self.query(depth + 1)
            self.need(")")
        else:
            node = self._test()
        return Not(item=node) if rotated else node

    def _test(self) -> Node:
        token = self.now
        if token.kind != "word":
            self.fail(token, "does not start a test", self._begin())
        word = token.text.lower()
        if word in (*_QUANTIFIERS, "at"):
            return self._joints()
        if word in self.joints and not (word in self.fields and self._compares()):
            self.place += 1
            return self._joint_test((self.joints.index(word),), 1)
        if word == "pose" and self.tokens[self.place + 1].text.lower() == "family":
            self.place += 1
            word = "pose family"
        word = {"pose_family": "pose family"}.get(word, word)
        if word in self.fields:
            self.place += 1
            return FieldTest(field=self.fields[word], compare=self._compare(self.fields[word]))
        if joints_of(word, "", self.joints):
            self.fail(token, f"are several joints: write any {word}, or all {word}")
        self.fail(token, "is not a joint or field", self._begin())

    def _compares(self) -> bool:
        """Whether a comparison follows: then the word is a field, not a joint."""
        after = [token.text.lower() for token in self.tokens[self.place + 1 : self.place + 3]]
        return after[0] in (*_COMPARE, "in") or after == ["not", "in"]

    def _begin(self) -> list[str]:
        return [*self.fields, *self.joints, *_QUANTIFIERS, "at least", "not"]

    def _joints(self) -> Node:
        count: int | None = None
        how = self.need(*_QUANTIFIERS, "at")
        if how == "at":
            self.need("least")
            number = self.now
            if number.kind != "number" or not number.text.isdigit():
                self.fail(number, "is not a count")
            self.place, count = self.place + 1, int(number.text)
        side = self.take("left", "right")
        token = self.now
        found = joints_of(token.text.lower(), f"{side}_" if side else "", self.joints)
        if not found:
            self.fail(
                token,
                "is not a group of the skeleton's joints",
                [*GROUPS, *(f"{g}s" for g in GROUPS)],
            )
        self.place += 1
        if how == "both" and len(found) != 2:
            self.fail(token, f"are {len(found)} joints, not two: write all")
        minimum = {"any": 1, "no": 1, "at": count or 0}.get(how, len(found))
        test = self._joint_test(found, minimum)
        return Not(item=test) if how == "no" else test

    def _joint_test(self, joints: tuple[int, ...], minimum: int) -> JointTest:
        test = functools.partial(JointTest, joints=joints, minimum=minimum)
        token = self.now
        word = token.text.lower() if token.kind == "word" else ""
        follows = self.tokens[min(self.place + 1, len(self.tokens) - 1)].text.lower()
        if word in VISIBILITY and follows == "share":
            self.place += 2
            number = Field(column="visibility_fractions", means="a share")
            return test(kind="share", what=word, compare=self._compare(number))
        self.place += 1
        if word == "cause":
            causes = Field(column="cause", kind="text", means="a cause", values=CAUSES)
            return test(kind="cause", what="cause", compare=self._compare(causes))
        if word == "hidden" and self.take("by"):
            by = Compare(op="=", values=(self.need(*HIDDEN_CAUSES),))
            return test(kind="cause", what="cause", compare=by)
        if word in STATES:
            return test(kind="state", what=word)
        self.place -= 1
        known = (*STATES, "hidden by", "cause", *(f"{share} share" for share in VISIBILITY))
        self.fail(token, "is not a test of joints", known)

    def _compare(self, field: Field) -> Compare:
        rotated = bool(self.take("not"))
        token = self.now
        op = self.need(*(("in",) if rotated else (*_COMPARE, "in")))
        if op == "in":
            self.need("(")
            values = [self._value(field)]
            while self.take(","):
                values.append(self._value(field))
            self.need(")")
            return Compare(op="not in" if rotated else "in", values=tuple(values))
        if field.kind != "number" and op not in ("=", "!="):
            self.fail(token, "compares numbers; this is text", ("=", "!=", "in"))
        return Compare(op=op, values=(self._value(field),))

    def _value(self, field: Field) -> Value:
        token = self.now
        if token.kind not in ("number", "word", "quoted"):
            self.fail(token, "is not a value")
        self.place += 1
        text = token.text[1:-1] if token.kind == "quoted" else token.text
        if field.kind == "number":
            if token.kind != "number":
                self.fail(token, f"is not a number: this is {field.means}")
            return float(text[:-1]) / 100 if text.endswith("%") else float(text)
        known = ("yes", "no") if field.kind == "flag" else field.values
        if known and text not in known:
            self.fail(token, "is not one of its values", known)
        return text
