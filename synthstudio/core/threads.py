"""One thread for numerical libraries, so that sums do not depend on how many cores there are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold the libraries that are loaded by now to one thread each while the body runs."""
    torch, cv2 = sys.modules.get("torch"), sys.modules.get("cv2")
    before = (torch.get_num_threads() if torch else 1, cv2.getNumThreads() if cv2 else 1)
    with threadpool_limits(limits=1):
        if torch:
            torch.set_num_threads(1)
        if cv2:
            cv2.setNumThreads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before[0])
            if cv2:
                cv2.setNumThreads(before[1])
