"""How far the review of a data set is, counted at most every few seconds."""

from __future__ import annotations

import threading
import time

from synthstudio.review.history import counts
from synthstudio.review.store import Store

_KEPT_S = 10.0
_lock = threading.Lock()
_kept: dict[tuple[str, str], tuple[float, dict[str, int]]] = {}


def progress_of(store: Store, dataset: str) -> dict[str, int]:
    """Return {"done", "total"}: people decided on, and all; a few seconds old at most."""
    name = (store.url, dataset)
    with _lock:
        at, found = _kept.get(name, (0.0, {}))
        if found and time.monotonic() - at < _KEPT_S:
            return found
    now = counts(store, dataset)
    decided = sum(now.status.get(status, 0) for status in ("approved", "rejected", "flagged"))
    found = {"done": decided, "total": now.people}
    with _lock:
        _kept[name] = (time.monotonic(), found)
    return found
