"""What the last frames were built from: variants of a moment share most of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar, cast

T = TypeVar("T")


class FrameCache:
    """Remembers what was made for this frame and the one before, and nothing older.

    So it never holds more than two frames need, whatever their size. A key must name everything
    that decides its value; a value must not be changed by who gets it.
    """

    def __init__(self, *, on: bool = True) -> None:
        self._on = on
        self._now: dict[Hashable, object] = {}
        self._before: dict[Hashable, object] = {}

    def next_frame(self) -> None:
        """Forget what the frame before the last one needed and the last one did not."""
        self._before, self._now = self._now, {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` made for this key, or what it makes now."""
        if not self._on:
            return make()
        if key not in self._now:
            self._now[key] = self._before[key] if key in self._before else make()
        return cast(T, self._now[key])

    def __len__(self) -> int:
        return len({*self._now, *self._before})
