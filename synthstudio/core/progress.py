"""Progress of long work, and how it is stopped."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnProgress = Callable[[int, int, float], None]
"""Called with (done, total, rate per second)."""


def counter(on_progress: OnProgress | None, total: int) -> Callable[[int], None]:
    """A function of the number done; the rate is measured from now."""
    started = time.monotonic()

    def report(done: int) -> None:
        if on_progress is not None:
            on_progress(done, total, done / max(1e-6, time.monotonic() - started))

    return report


@contextmanager
def stop_on_signals(stop: list[str]) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into a stop after the step; a second one interrupts."""
    previous = {}

    def handle(number: int, _: object) -> None:
        if stop:
            raise KeyboardInterrupt
        stop.append("interrupted; continue with --resume")

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            previous[number] = signal.signal(number, handle)
        except ValueError:  # not the main thread: its owner handles signals
            continue
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
