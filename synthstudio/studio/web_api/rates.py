"""How often somebody may ask: a bucket for each token, and for each address without one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from synthstudio.core.last_used import LastUsed

_KEPT = 4_096


@dataclass(frozen=True, kw_only=True)
class Rate:
    """`burst` requests at once, then `per_s` a second."""

    burst: int
    per_s: float


TOKEN = Rate(burst=300, per_s=30.0)
"""Of a token that holds."""
ANONYMOUS = Rate(burst=20, per_s=0.2)
"""Of an address that shows none; more than that are not logged, and answered with 429 alone.

A token that holds is looked up and taken all the same: others may share the address.
"""


class Buckets:
    """Buckets by name, the last used ones kept; safe for threads."""

    def __init__(self, rate: Rate, *, now: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._now, self._lock = rate, now, threading.Lock()
        self._left: LastUsed[str, tuple[float, float]] = LastUsed(_KEPT)

    def take(self, name: str) -> float:
        """Take one; return 0, or the seconds until there is one again."""
        now = self._now()
        with self._lock:
            left, at = self._left.get(name) or (float(self._rate.burst), now)
            left = min(left + (now - at) * self._rate.per_s, float(self._rate.burst))
            wait_s = 0.0 if left >= 1.0 else (1.0 - left) / self._rate.per_s
            self._left.put(name, (left - 1.0 if left >= 1.0 else left, now))
        return wait_s
