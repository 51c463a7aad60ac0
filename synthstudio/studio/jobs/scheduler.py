"""A thread that looks after the jobs while the server runs, whether or not anybody looks."""

from __future__ import annotations

import logging
import threading
import weakref

from synthstudio.review.store import Store
from synthstudio.studio.jobs import job_store
from synthstudio.studio.settings import Settings

EVERY_S = 1.0
LOG = logging.getLogger("synthstudio.studio")
_running: weakref.WeakKeyDictionary[Store, threading.Thread] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def start(settings: Settings, store: Store, *, every_s: float = EVERY_S) -> threading.Thread:
    """Begin to look after the jobs of a store; a second call finds the thread of the first."""
    with _lock:
        found = _running.get(store)
        if found is None or not found.is_alive():
            found = threading.Thread(
                target=_look_after, args=(settings, store, every_s), name="jobs", daemon=True
            )
            _running[store] = found
            found.start()
        return found


def _look_after(settings: Settings, store: Store, every_s: float) -> None:
    pause, troubled = threading.Event(), ""
    while True:
        try:
            job_store.tend(store, settings)
            troubled = ""
        except Exception as error:  # the database is busy or away: it comes back
            if str(error) != troubled:
                LOG.warning("jobs: %s", error)
            troubled = str(error)
        pause.wait(every_s)
