"""A cache that keeps what was used last; safe for threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LastUsed(Generic[K, V]):
    """The last used values by key: so many, or as many as `size` lets in."""

    def __init__(self, maximum: int, size: Callable[[V], int] = lambda value: 1) -> None:
        """`maximum`: of all that is kept together, by `size`."""
        self._most, self._size, self._sum = maximum, size, 0
        self._lock = threading.RLock()
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: K, value: V) -> V:
        """Keep a value in place of the key's last one, unless it is too large; return it."""
        with self._lock:
            self._drop(key)
            if self._size(value) <= self._most:
                self._values[key] = value
                self._sum += self._size(value)
            while self._sum > self._most:
                self._drop(next(iter(self._values)))
        return value

    def get_or(self, key: K, make: Callable[[], V]) -> V:
        """The value of a key, made where there is none; of two made at once all get one."""
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
