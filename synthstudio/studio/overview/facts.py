"""Figures of a data set for the page Home: how large, how far reviewed, how wrong."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from synthstudio.dataset.durable import read_json
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.shards import SHARD_NAME
from synthstudio.review.models import EventRow
from synthstudio.review.risk.queue import Estimate, estimate
from synthstudio.review.risk.review_fields import last_event_id
from synthstudio.review.settings import share_of
from synthstudio.review.store import Store
from synthstudio.studio.context import OpenSet
from synthstudio.studio.overview.people import People, people_of

_READ_SHARDS = 100
_sizes: OrderedDict[str, tuple[int, bool]] = OrderedDict()
_known: OrderedDict[tuple[str, str], tuple[int, Facts]] = OrderedDict()
_MOST = 500


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A data set at a glance. `people`: counted as everywhere; `estimate`: if any."""

    frames: int
    people: People
    bytes: int
    is_exact: bool  # of `bytes`
    last: datetime | None
    last_by: str
    estimate: Estimate | None


def facts(store: Store, found: OpenSet) -> Facts:
    """Return the figures of a data set, counted anew after each event in it.

    SynthStudioError when it or the store is damaged.
    """
    event = last_event_id(store, found.key)
    kept = _known.get((store.url, found.key))
    if kept is not None and kept[0] == event:
        return kept[1]
    made = _counted(store, found)
    _known[store.url, found.key] = (event, made)
    while len(_known) > _MOST:
        _known.popitem(last=False)
    return made


def _counted(store: Store, found: OpenSet) -> Facts:
    last, by = last_edit(store, found.key)
    size, exact = stored_bytes(found.key, found.dataset)
    share = share_of(store, found.key, "control_share")
    guess = estimate(store, found.table, share=share) if last is not None else None
    return Facts(
        frames=found.dataset.frames,
        people=people_of(store, found.key),
        bytes=size,
        is_exact=exact,
        last=last,
        last_by=by,
        estimate=guess if guess is not None and guess.n and not math.isnan(guess.rate) else None,
    )


def last_edit(store: Store, key: str) -> tuple[datetime | None, str]:
    """Return when something was last done to a data set, and by whom."""
    with store.reading() as session:
        latest = select(func.max(EventRow.id)).where(EventRow.dataset == key).scalar_subquery()
        row = session.scalars(select(EventRow).where(EventRow.id == latest)).first()
        return (None, "") if row is None else (row.when, row.who)


def stored_bytes(key: str, dataset: Dataset) -> tuple[int, bool]:
    """Return the size of a data set's files, and whether all of its shards were asked."""
    if key not in _sizes:
        entries = dataset.entries
        step = max(1, -(-len(entries) // _READ_SHARDS))
        seen = entries[::step]
        total = 0
        for entry in seen:
            files = read_json(dataset.folder / entry.path / SHARD_NAME).get("files")
            total += sum(int(f["bytes"]) for f in files.values()) if isinstance(files, dict) else 0
        _sizes[key] = (total * len(entries) // max(1, len(seen)), step == 1)
        while len(_sizes) > _MOST:
            _sizes.popitem(last=False)
    return _sizes[key]
