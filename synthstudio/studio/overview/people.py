"""How many people a data set has and how many of them wait: the one count that every page shows.

People are those on disk and those whom reviewers added, without those whom they deleted. Decided
are the approved, rejected and flagged; pending and skipped ones wait. Second looks and what one
person may see of others change nothing of it: a number tells nothing of anybody's labels.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from synthstudio.review.history import DECIDED, by_status
from synthstudio.review.risk.review_fields import last_event_id
from synthstudio.review.store import Store

_MOST = 500
_lock = threading.Lock()
_kept: OrderedDict[tuple[str, str], tuple[int, People]] = OrderedDict()


@dataclass(frozen=True, kw_only=True)
class People:
    """`status` -> how many people; `added`: how many of them are not on disk; `deleted`."""

    status: Mapping[str, int]
    added: int
    deleted: int

    @property
    def total(self) -> int:
        """Return how many there are."""
        return sum(self.status.values())

    @property
    def decided(self) -> int:
        """Return how many are approved, rejected or flagged."""
        return sum(self.status.get(name, 0) for name in DECIDED)

    @property
    def waiting(self) -> int:
        """Return how many still have to be decided on."""
        return self.total - self.decided


def people_of(store: Store, key: str) -> People:
    """Return the count of a data set, made anew after each event in it."""
    event = last_event_id(store, key)
    with _lock:
        kept = _kept.get((store.url, key))
    if kept is not None and kept[0] == event:
        return kept[1]
    made = _counted(store, key)
    with _lock:
        _kept[store.url, key] = (event, made)
        while len(_kept) > _MOST:
            _kept.popitem(last=False)
    return made


def added_words(people: People) -> str:
    """Return what a list of the people on disk leaves out, as a sentence; "" for nothing."""
    if not people.added:
        return ""
    one = people.added == 1
    who = "person whom reviewers added is" if one else "people whom reviewers added are"
    return f"{people.added:,} {who} in Review alone."


def _counted(store: Store, key: str) -> People:
    untouched, rows = by_status(store, key)
    status: Counter[str] = Counter()
    for name, deleted, added, count in rows:
        untouched -= 0 if added else count
        if not deleted:
            status[name] += count
    status["pending"] += untouched
    return People(
        status={name: count for name, count in sorted(status.items()) if count},
        added=sum(count for _, deleted, added, count in rows if added and not deleted),
        deleted=sum(count for _, deleted, added, count in rows if deleted and not added),
    )
