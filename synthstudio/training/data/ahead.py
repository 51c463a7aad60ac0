"""Items by place, made ahead by worker processes: those of a range are held, and no others."""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from synthstudio.core.errors import WorkerError
from synthstudio.generation.engines import local
from synthstudio.generation.engines.engine import LOCAL, Engine

Item = TypeVar("Item")

_IDLE_S = 0.05
_POLL_S = 1.0


@dataclass(frozen=True, kw_only=True)
class _Placed:
    """A job for the item of a place; place -1: idle a little."""

    place: int = -1
    job: Any = None

    def __str__(self) -> str:
        return str(self.job)


class Ahead(Generic[Item]):
    """Items that `make(context, job, report)` makes of `job_of(place)`. `close` ends its processes.

    `make` and `initializer(*initargs)`, which gives a worker's context, are picklable. `where`
    names what is made in messages.
    """

    def __init__(
        self,
        make: Callable[[Any, Any, local.Report], Item],
        job_of: Callable[[int], Any],
        *,
        engine: Engine = LOCAL,
        workers: int,
        initializer: Callable[..., Any],
        initargs: tuple[Any, ...],
        where: str,
    ) -> None:
        self._make, self._job_of, self.where = make, job_of, where
        self._engine = engine
        self._workers, self._initializer, self._initargs = workers, initializer, initargs
        self._items: dict[int, Item] = {}
        self._needed = range(0)
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    def wait(
        self,
        places: range,
        *,
        ahead: int,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[Item]:
        """Wait for the items of `places`, which start no lower than those of the call before.

        Those of lower places are forgotten, and so many `ahead` of their end are begun meanwhile.
        What making an item raises is raised here.
        """
        with self._changed:
            self._needed = range(places.start, places.stop + ahead)
            for place in [p for p in self._items if p < places.start]:
                del self._items[place]
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ahead", daemon=True)
                self._thread.start()
            while any(place not in self._items for place in places):
                if self._error is not None:
                    raise self._error
                if self._closed:
                    raise WorkerError("it was closed meanwhile", where=self.where)
                self._changed.wait(_POLL_S)
                progress(sum(place in self._items for place in places), len(places))
            return [self._items[place] for place in places]

    @property
    def held(self) -> int:
        """How many items are held now."""
        return len(self._items)

    def close(self) -> None:
        """End the processes once they finish the items that they are at."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._engine.run(
                functools.partial(_make_placed, self._make),
                self._jobs(),
                workers=self._workers,
                initializer=self._initializer,
                initargs=self._initargs,
                on_done=self._store,
            )
        except BaseException as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _jobs(self) -> Iterator[_Placed]:
        """Yield the job of each needed place once, and idle jobs while there are none.

        It never blocks: the thread that takes the jobs also collects the workers' results.
        """
        for place in itertools.count(self._needed.start):
            while not self._closed and place >= self._needed.stop:
                yield _Placed()
            if self._closed:
                return
            if place >= self._needed.start:
                yield _Placed(place=place, job=self._job_of(place))

    def _store(self, made: tuple[int, Item | None]) -> None:
        place, item = made
        with self._changed:
            if item is not None and place >= self._needed.start:
                self._items[place] = item
            self._changed.notify_all()


def _make_placed(
    make: Callable[[Any, Any, local.Report], Item],
    context: Any,
    placed: _Placed,
    report: local.Report,
) -> tuple[int, Item | None]:
    if placed.place < 0:
        time.sleep(_IDLE_S)
        return -1, None
    return placed.place, make(context, placed.job, report)
