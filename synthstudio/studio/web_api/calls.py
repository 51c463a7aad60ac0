"""The caller, the data set, and shared dependencies of operations."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from synthstudio.core.errors import Refused
from synthstudio.review.team.second_review import blinded_among, share_of
from synthstudio.review.values import MAIN, Action, Pair, Person, User, may, require
from synthstudio.studio.components import API
from synthstudio.studio.context import Context, OpenSet

BASE = API
MAX_PAGE, PAGE = 500, 100
MAX_NUMBER = 2**31 - 1
Json = dict[str, Any]
Number = Annotated[int, Path(ge=0, le=MAX_NUMBER)]


@dataclass(frozen=True, kw_only=True)
class Call:
    """The caller. `browser`: the browser's name for our pages, "" for a program."""

    ctx: Context
    me: User
    browser: str = ""


@dataclass(frozen=True, kw_only=True)
class SetCall(Call):
    chosen: OpenSet

    def hidden(self, people: Collection[Pair], layer: str = MAIN) -> set[Pair]:
        """Return people whose review must be hidden: a second review is blind."""
        if layer != MAIN or not people or may(self.me.role, "adjudicate"):
            return set()
        store, chosen = self.ctx.store, self.chosen
        with store.snapshot():
            share = share_of(store, chosen.key, "second_share")
            return blinded_among(store, chosen.table, people, who=self.me, share=share)

    def person(self, frame: int, instance: int, layer: str = MAIN) -> Person:
        return Person(dataset=self.chosen.key, frame=frame, instance=instance, layer=layer)

    def frame(self, index: int) -> int:
        """Return a frame's number; Refused("gone") if the data set has no such frame."""
        if index >= self.chosen.dataset.frames:
            raise Refused("the data set does not hold this frame", where=str(index), reason="gone")
        return index


async def call_of(request: Request) -> Call:
    found: Call = request.state.call
    return found


def on_set(call: Call, key: str) -> SetCall:
    """Return a call on the data set of this key; Refused("gone") if not open."""
    found = call.ctx.sets.get(key)
    if found is None:
        raise Refused(
            "this data set is not open here",
            where="set",
            expected="a key of GET /api/v1/sets",
            got=key[:64],
            reason="gone",
        )
    return SetCall(ctx=call.ctx, me=call.me, browser=call.browser, chosen=found)


async def set_call_of(call: Annotated[Call, Depends(call_of)], set: str) -> SetCall:
    return on_set(call, set)


AnyCall = Annotated[Call, Depends(call_of)]
OnSet = Annotated[SetCall, Depends(set_call_of)]


def needs(action: Action) -> Any:
    """Return the dependency of an operation restricted by role."""

    async def check(call: AnyCall) -> None:
        require(call.me, action)

    return Depends(check)


class Page(BaseModel):
    """A page of a list."""

    model_config = ConfigDict(extra="forbid")
    limit: int = Field(PAGE, ge=1, le=MAX_PAGE)
    after: int | None = Field(None, ge=0, le=MAX_NUMBER, description="next of the page before")


Paged = Annotated[Page, Query()]
