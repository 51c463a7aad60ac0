"""How far the review of a data set is: counted once, then kept up with its events."""

from __future__ import annotations

import threading

from synthstudio.review.history import DECIDED, done_and_total, events
from synthstudio.review.risk.review_fields import last_event_id
from synthstudio.review.store import Store
from synthstudio.review.values import MAIN, Event

_MOST = 200
_NEITHER = ("edit", "comment")
_lock = threading.Lock()
_kept: dict[tuple[str, str], tuple[int, dict[str, int]]] = {}


def progress_of(store: Store, dataset: str) -> dict[str, int]:
    """Return {"done", "total"}: people decided on, and all, as of the newest event."""
    name = (store.url, dataset)
    with _lock:
        at, found = _kept.get(name, (-1, {}))
    last = last_event_id(store, dataset)
    if at == last:
        return found
    news = events(store, dataset, after_id=at, limit=_MOST + 1) if found else []
    step = _step(news) if found and len(news) <= _MOST else None
    if step is None:
        done, total = done_and_total(store, dataset)
        found = {"done": done, "total": total}
    else:
        last = news[-1].id if news else last
        found = {"done": found["done"] + step, "total": found["total"]}
    with _lock:
        if _kept.get(name, (-1, {}))[0] <= last:
            _kept[name] = (last, found)
    return found


def _step(news: list[Event]) -> int | None:
    """Return by how many events change the number of people decided on; None: count anew."""
    step = 0
    for event in news:
        if event.person.layer != MAIN or event.kind in _NEITHER:
            continue
        if event.kind != "status":
            return None
        step += (event.after["status"] in DECIDED) - (event.before["status"] in DECIDED)
    return step
