"""Leases while people are at the editor: kept while it is used, given back once decided."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from synthstudio.core.errors import Refused
from synthstudio.review.leases import SECOND, release, renew
from synthstudio.review.store import Store
from synthstudio.review.values import Person, User, may
from synthstudio.studio.editor.outbox import Answer, Message

EVERY_S = 60.0
_DECIDED = ("approved", "rejected", "flagged")
log = logging.getLogger(__name__)


@dataclass
class Held:
    """Of whom a session renewed its leases, and when (monotonic seconds)."""

    at: float = -EVERY_S
    people: frozenset[Person] = field(default_factory=frozenset)


def keep(
    store: Store,
    held: Held,
    window: Sequence[Person],
    *,
    who: User,
    edited: Iterable[Person] = (),
) -> None:
    """Renew `who`'s leases on the people of a window: once a minute, or for new ones in `edited`.

    It makes no lease where `who` had none. One that somebody else took meanwhile stays lost: the
    edit is then refused. A busy store is tried again next time.
    """
    new = set(edited) - held.people
    if not may(who.role, "claim") or (not new and time.monotonic() - held.at < EVERY_S):
        return
    people = [*dict.fromkeys([*window, *new])]
    try:
        renew(store, people, who=who)
    except Refused as error:
        log.warning("leases of %s were not renewed: %s", who.name, error)
        return
    held.at, held.people = time.monotonic(), frozenset(people)


def let_go(store: Store, held: Held, message: Message, answer: Answer, *, who: User) -> None:
    """Give back the leases of people whom this message decided on.

    Those of second looks end by themselves: without one, nobody could take a decision back.
    """
    done = {(client, seq) for client, seq, _, _ in answer.done}
    people = [
        said.op.person
        for said in message.ops
        if said.name in done
        and said.op.person.layer != SECOND
        and (said.op.kind == "delete" or said.op.status in _DECIDED)
    ]
    if not people or not may(who.role, "claim"):
        return
    try:
        release(store, [*dict.fromkeys(people)], who=who)
    except Refused as error:
        log.warning("leases of %s were not given back: %s", who.name, error)
        return
    held.people -= frozenset(people)
