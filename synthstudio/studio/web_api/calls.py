"""What an operation of the API is given, and what it may ask of its call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from synthstudio.core.errors import Refused
from synthstudio.review.settings import share_of
from synthstudio.review.team.second_review import blinded_among
from synthstudio.review.values import Action, Person, User
from synthstudio.studio.context import Context, OpenSet
from synthstudio.studio.editor.outbox import invalid

MAX_PAGE, PAGE = 500, 100
MAX_NUMBER = 2**31 - 1
Json = dict[str, Any]
Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of an operation. `me`: whose token it was, with what that person may do by it."""

    ctx: Context
    me: User
    path: Mapping[str, Any]
    query: Mapping[str, str]
    body: Any = None

    @property
    def chosen(self) -> OpenSet:
        """Return the data set that the address names."""
        found = self.ctx.sets.get(str(self.path["set"]))
        if found is None:
            raise Refused(
                "this data set is not open here",
                where="set",
                expected="a key of GET /api/v1/sets",
                got=str(self.path["set"])[:64],
                reason="gone",
            )
        return found

    @property
    def person(self) -> Person:
        """Return the person that the address names, whether there or not."""
        key = self.chosen.key
        return Person(dataset=key, frame=self.whole("frame"), instance=self.whole("instance"))

    def whole(self, name: str) -> int:
        """Return a number of the address."""
        return to_whole(self.path[name], name)

    @property
    def limit(self) -> int:
        """Return how many entries a page has at most."""
        return to_whole(self.query.get("limit", PAGE), "limit", least=1, most=MAX_PAGE)

    @property
    def after(self) -> int:
        """Return the number after which a page begins; for frames -1 is before the first."""
        return to_whole(self.query.get("after", 0), "after")

    def hidden(self, people: Collection[Pair]) -> set[Pair]:
        """Return those of whom the reviewers' word may not be told: a second look is blind."""
        chosen = self.chosen
        share = share_of(self.ctx.store, chosen.key, "second_share")
        return blinded_among(self.ctx.store, chosen.table, people, who=self.me, share=share)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """An operation as the server answers it and the document describes it.

    `path`: below /api/v1, with Starlette's converters. `query`: parameter -> what it means.
    `body`, `answer`: JSON schemas; `answer` None: a picture. `action`: what a role must allow.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    name: str
    summary: str
    run: Callable[[Call], Any]
    action: Action = "look"
    query: Mapping[str, str] = field(default_factory=dict)
    body: Json | None = None
    answer: Json | None = field(default_factory=lambda: {"type": "object"})


@dataclass(frozen=True)
class Picture:
    """An answer that is no JSON."""

    data: bytes
    media_type: str


def to_whole(value: object, where: str, *, least: int = 0, most: int = MAX_NUMBER) -> int:
    """Return a whole number of an address; Refused ("invalid") for anything else."""
    text = str(value)
    if text.isascii() and text.isdecimal() and len(text) <= 10 and least <= int(text) <= most:
        return int(text)
    invalid("this is no number of the kind", where, f"a whole number from {least} to {most}", value)


def to_object(value: object, where: str, names: Sequence[str]) -> Json:
    """Return a JSON object that has no other names than these."""
    if not isinstance(value, dict):
        invalid("this is no object", where, "a JSON object", type(value).__name__)
    unknown = sorted(str(name)[:40] for name in set(value) - set(names))
    if unknown:
        invalid("there is no such field", where, ", ".join(names), unknown)
    return value
