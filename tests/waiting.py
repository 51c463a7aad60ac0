"""Waiting for conditions, never for a number of seconds; the limit only ends what hangs."""

import threading
import time
from typing import TypeVar

PATIENCE_S = 120.0
"""The one limit of all waits; pytest's own timeout (pyproject.toml) is longer."""

_T = TypeVar("_T")


def wait_for(condition, what, *, patience_s=PATIENCE_S):
    deadline = time.monotonic() + patience_s
    pause_s = 0.005
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience_s:.0f} s: {what}")
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.1)
    return value


def wait_for_line(process, part):
    """The first line of stdout with `part`; AssertionError if the process ends or is silent."""
    assert process.stdout is not None
    printed = []
    watchdog = threading.Timer(PATIENCE_S, process.kill)
    watchdog.start()
    try:
        for line in process.stdout:
            printed.append(line)
            if part in line:
                return line
    finally:
        watchdog.cancel()
    raise AssertionError(f"no line with {part!r} from {process.args}:\n{''.join(printed)}")
