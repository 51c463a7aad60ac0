"""Who runs the jobs of a run: processes of this machine or a Ray cluster, called alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from synthstudio.generation.engines import local, ray


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A way to run jobs. `apart`: they may run where this machine's disk is not."""

    run: Callable[..., None]  # called as local.run
    apart: bool = False


LOCAL = Engine(run=local.run)
RAY = Engine(run=ray.run, apart=True)
ENGINES = {"local": LOCAL, "ray": RAY}
"""By the names that commands and configs have for them."""
