"""One thread for numerical libraries, so that sums do not depend on how many cores there are."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

_held: list[None] = []
"""An entry for each body of `one_thread` that runs."""

CPU_BATCH = 16
"""On a CPU more crops at once take longer each: their features no longer fit its caches."""


def threads_allowed() -> int:
    """How many threads to ask for where a library takes a number when it begins; 0: its own choice.

    One inside `one_thread`, elsewhere what OMP_NUM_THREADS says.
    """
    if _held:
        return 1
    stated = os.environ.get("OMP_NUM_THREADS", "")
    return int(stated) if stated.isdecimal() and len(stated) < 5 else 0


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold the libraries that are loaded by now to one thread each while the body runs."""
    torch, cv2 = sys.modules.get("torch"), sys.modules.get("cv2")
    before = (torch.get_num_threads() if torch else 1, cv2.getNumThreads() if cv2 else 1)
    _held.append(None)
    with threadpool_limits(limits=1):
        if torch:
            torch.set_num_threads(1)
        if cv2:
            cv2.setNumThreads(1)
        try:
            yield
        finally:
            _held.pop()
            if torch:
                torch.set_num_threads(before[0])
            if cv2:
                cv2.setNumThreads(before[1])
