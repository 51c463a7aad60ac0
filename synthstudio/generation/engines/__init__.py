"""Execution engines: local processes or a Ray cluster, with the same interface."""

from collections.abc import Callable
from dataclasses import dataclass

from synthstudio.generation.engines import local, ray


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An execution engine. `apart`: jobs may run without access to this machine's disk."""

    run: Callable[..., None]  # interface of local.run
    apart: bool = False


LOCAL = Engine(run=local.run)
RAY = Engine(run=ray.run, apart=True)
ENGINES = {"local": LOCAL, "ray": RAY}
"""By their names in commands and configs."""
