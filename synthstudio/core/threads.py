"""One thread for numerical libraries, so that sums do not depend on the number of cores."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

_held: list[None] = []
"""An entry for each body of `one_thread` that runs."""

CPU_BATCH = 8
"""Crops per CPU batch: the features of larger batches do not fit the caches."""


def threads_allowed() -> int:
    """Number of threads for libraries that take one at start; 0: their default.

    One inside `one_thread`, elsewhere OMP_NUM_THREADS.
    """
    if _held:
        return 1
    stated = os.environ.get("OMP_NUM_THREADS", "")
    return int(stated) if stated.isdecimal() and len(stated) < 5 else 0


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit the libraries loaded so far to one thread each while the body runs."""
    cv2 = sys.modules.get("cv2")
    before = cv2.getNumThreads() if cv2 else 1
    _held.append(None)
    with threadpool_limits(limits=1), one_torch_thread():
        if cv2:
            cv2.setNumThreads(1)
        try:
            yield
        finally:
            _held.pop()
            if cv2:
                cv2.setNumThreads(before)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Limit PyTorch, if loaded, to one thread while the body runs."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 1
    if torch:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if torch:
            torch.set_num_threads(before)
