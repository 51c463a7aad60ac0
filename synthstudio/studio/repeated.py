"""Work that a server does again and again while it runs, whether or not anybody looks."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable

from synthstudio.review.store import Store

LOG = logging.getLogger("synthstudio.studio")
_running: weakref.WeakKeyDictionary[Store, dict[str, threading.Thread]] = (
    weakref.WeakKeyDictionary()
)
_lock = threading.Lock()


def repeat(
    store: Store, name: str, work: Callable[[], object], *, every_s: float
) -> threading.Thread:
    """Begin to do some work for a store in a thread; a second call finds the thread of the first.

    What goes wrong is logged once while it stays, and the work is tried again.
    """
    with _lock:
        own = _running.setdefault(store, {})
        found = own.get(name)
        if found is None or not found.is_alive():
            found = threading.Thread(
                target=_repeat, args=(name, work, every_s), name=name, daemon=True
            )
            own[name] = found
            found.start()
        return found


def _repeat(name: str, work: Callable[[], object], every_s: float) -> None:
    troubled = ""
    while True:
        try:
            work()
            troubled = ""
        except Exception as error:  # the database is busy or away: it comes back
            if str(error) != troubled:
                LOG.warning("%s wait: %s", name, error)
            troubled = str(error)
        time.sleep(every_s)
