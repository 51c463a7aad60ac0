"""Who runs the jobs of a run: processes of this machine or a Ray cluster, called alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from synthstudio.generation.engines import local, ray


class Run(Protocol):
    """What `local.run` says of itself."""

    def __call__(
        self,
        work: Callable[[Any, Any, local.Report], Any],
        jobs: Iterable[Any],
        *,
        workers: int,
        initializer: Callable[..., Any],
        initargs: tuple[Any, ...] = (),
        on_done: Callable[[Any], object],
        on_progress: Callable[[local.Progress], None] | None = None,
    ) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A way to run jobs. `apart`: they may run where this machine's disk is not."""

    run: Run
    apart: bool = False


LOCAL = Engine(run=local.run)
RAY = Engine(run=ray.run, apart=True)
ENGINES = {"local": LOCAL, "ray": RAY}
"""By the names that commands and configs have for them."""
