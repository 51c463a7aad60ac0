"""Ctrl-C and SIGTERM end a training after the step, not within it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


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
