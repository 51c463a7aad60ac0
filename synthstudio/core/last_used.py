"""A thread-safe LRU cache."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LastUsed(Generic[K, V]):
    """An LRU cache bounded by number or by total `size`."""

    def __init__(self, maximum: int, size: Callable[[V], int] = lambda value: 1) -> None:
        """`maximum`: of the total, by `size`."""
        self._most, self._size, self._sum = maximum, size, 0
        self._lock = threading.RLock()
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: K, value: V) -> V:
        """Store a value under the key, unless it is too large; return it."""
        with self._lock:
            self._drop(key)
            if self._size(value) <= self._most:
                self._values[key] = value
                self._sum += self._size(value)
            while self._sum > self._most:
                self._drop(next(iter(self._values)))
        return value

    def get_or(self, key: K, make: Callable[[], V]) -> V:
        """The value of a key, made on a miss; concurrent callers get the same one."""
        found = self.get(key)
        if found is None:
            made = make()
            with self._lock:
                found = self.get(key)
                return self.put(key, made) if found is None else found
        return found

    def pop(self, key: K) -> None:
        with self._lock:
            self._drop(key)

    def _drop(self, key: K) -> None:
        if key in self._values:
            self._sum -= self._size(self._values.pop(key))
