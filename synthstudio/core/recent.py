"""A cache of scene parts of the last frames: variants of a moment share most of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar, cast

T = TypeVar("T")


class FrameCache:
    """Caches values of the current and the previous frame.

    So it never holds more than two frames need. A key must include everything
    that decides its value; values must not be mutated.
    """

    def __init__(self, *, on: bool = True) -> None:
        self._on = on
        self._now: dict[Hashable, object] = {}
        self._before: dict[Hashable, object] = {}

    def next_frame(self) -> None:
        """Drop values that the last frame did not use."""
        self._before, self._now = self._now, {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        if not self._on:
            return make()
        if key not in self._now:
            self._now[key] = self._before[key] if key in self._before else make()
        return cast(T, self._now[key])

    def __len__(self) -> int:
        return len({*self._now, *self._before})
