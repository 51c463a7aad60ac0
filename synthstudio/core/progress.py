"""How long work says how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable

OnProgress = Callable[[int, int, float], None]
"""Called with how many are done, how many there are and how many are done a second."""


def counter(on_progress: OnProgress | None, total: int) -> Callable[[int], None]:
    """What to call with how many are done; the rate counts from now."""
    started = time.monotonic()

    def report(done: int) -> None:
        if on_progress is not None:
            on_progress(done, total, done / max(1e-6, time.monotonic() - started))

    return report
