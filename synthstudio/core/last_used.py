"""Caches of values: the last ones used, and those of the last two frames."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar, cast

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


class FrameCache:
    """Caches parts of the current and the previous frame: variants of a moment share most.

    A key must include everything that decides its value; values must not be mutated.
    """

    def __init__(self, *, on: bool = True) -> None:
        self._on = on
        self._now: dict[Hashable, object] = {}
        self._before: dict[Hashable, object] = {}

    def next_frame(self) -> None:
        """Drop values that the last frame did not use."""
        self._before, self._now = self._now, {}

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        if not self._on:
            return make()
        if key not in self._now:
            self._now[key] = self._before[key] if key in self._before else make()
        return cast(V, self._now[key])

    def __len__(self) -> int:
        return len({*self._now, *self._before})
