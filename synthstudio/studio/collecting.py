"""Full garbage collections that stay short.

Streamlit collects all garbage after every run of a page and holds the interpreter meanwhile: with
tables and libraries in memory that took a quarter of a second, longer than storing an edit. What
survived a slow collection is therefore set aside (`gc.freeze`) and not looked at again for a
while; it is still freed as soon as nothing refers to it.
"""

from __future__ import annotations

import gc
import time

SLOW_S = 0.015
AGAIN_S = 1800.0
"""So long what was set aside stays unlooked at."""
_FULL = 2


class Keeper:
    """Watches collections; one for a process."""

    def __init__(self) -> None:
        """Begin with nothing set aside."""
        self._began = 0.0
        self._thawed = time.monotonic()

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        """Take note of a collection, as `gc.callbacks` tells it."""
        if info["generation"] != _FULL:
            return
        now = time.monotonic()
        if phase == "start":
            if now - self._thawed > AGAIN_S:
                self._thawed = now
                gc.unfreeze()
            self._began = time.thread_time()
        elif time.thread_time() - self._began > SLOW_S:
            gc.freeze()


def keep_short() -> None:
    """Begin to keep collections of this process short; once is enough."""
    if not any(isinstance(each, Keeper) for each in gc.callbacks):
        gc.callbacks.append(Keeper())
