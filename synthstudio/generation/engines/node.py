"""What stands on a node of a cluster: says what the node is, holds a context, does jobs.

Answers are pickled here, so that what cannot travel is an error that says so.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from synthstudio.core.threads import one_thread
from synthstudio.dataset.manifest import machine_kind, package_versions
from synthstudio.generation.engines.local import portable

DONE, FAILED = "done", "failed"


def facts() -> dict[str, str]:
    """What decides bytes on this machine, as `dataset.json` says it; its device is not asked."""
    machine = machine_kind("")
    del machine["device"]
    return package_versions() | machine


class Worker:
    """One worker's state. `units` are those that its job has reported so far."""

    def __init__(self) -> None:
        self.units = 0
        self._work: Callable[..., Any] | None = None
        self._context: Any = None

    def start(self, payload: bytes) -> bytes:
        """Build the context of the pickled (work, initializer, initargs)."""

        def begin() -> None:
            self._work, initializer, initargs = pickle.loads(payload)
            self._context = initializer(*initargs)

        return _answer(begin)

    def work(self, job: bytes) -> bytes:
        """Do a pickled job; the answer has its result and its units."""
        self.units = 0

        def do() -> tuple[Any, int]:
            assert self._work is not None  # it was started
            result = self._work(self._context, pickle.loads(job), self._report)
            return result, self.units

        return _answer(do)

    def _report(self, more: int) -> None:
        self.units += more


def _answer(call: Callable[[], Any]) -> bytes:
    try:
        with one_thread():
            value = call()
        return pickle.dumps((DONE, value))
    except BaseException as error:
        return pickle.dumps((FAILED, portable(error)))
