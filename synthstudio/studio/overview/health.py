"""The health of a data set: what `synthstudio validate` finds, asked once, in its own process."""

from __future__ import annotations

import functools
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from synthstudio.dataset.durable import file_sha256
from synthstudio.studio.jobs import process
from synthstudio.studio.jobs.outcome import printed
from synthstudio.studio.jobs.process import Running

AT_ONCE = 1
MOST_FRAMES = 20_000
"""Larger sets are checked only when somebody asks."""


@dataclass(frozen=True, kw_only=True)
class Health:
    """What is known. `kinds`: (title, severity, count) of each kind of finding, worst first."""

    state: Literal["unknown", "waiting", "checking", "known", "failed"]
    errors: int = 0
    warnings: int = 0
    kinds: tuple[tuple[str, str, int], ...] = ()
    message: str = ""


class Clinic:
    """Checks data sets one after another; safe for threads. Results outlive the server."""

    def __init__(self, state: Path) -> None:
        """`state`: the studio's folder."""
        self._folder = state / "health"
        self._lock = threading.Lock()
        self._running: dict[str, Running] = {}

    def look(self, key: str, dataset: Path, *, begin: bool) -> Health:
        """Return what is known of a data set; `begin`: have it checked if nothing is known."""
        folder = self._folder / key[:16] / _mark(dataset)
        with self._lock:
            self._forget_ended()
            running = self._running.get(str(folder))
            if running is not None:
                return Health(state="checking")
            if (folder / process.OUT_NAME).is_file():
                return _read(folder, dataset)
            if not begin:
                return Health(state="unknown")
            if len(self._running) >= AT_ONCE:
                return Health(state="waiting")
            line = [sys.executable, "-m", "synthstudio", "validate", str(dataset), "--json"]
            self._running[str(folder)] = process.start(line, folder)
            return Health(state="checking")

    def _forget_ended(self) -> None:
        for name in [n for n, running in self._running.items() if not process.alive(running)]:
            del self._running[name]


@functools.lru_cache(4)
def clinic(state: Path) -> Clinic:
    """Return the clinic of a studio, the same for all of its sessions."""
    return Clinic(state)


def _read(folder: Path, dataset: Path) -> Health:
    found = printed(folder / process.OUT_NAME)
    if found is None:
        said = process.tail(folder / process.ERR_NAME, lines=4)
        if not said:  # the server ended while it was checked: begin again when asked
            (folder / process.OUT_NAME).unlink(missing_ok=True)
            return Health(state="unknown")
        # Where the set lies on this machine is nobody's business but the log's beside it.
        said = said.removeprefix("error: ").replace(f"{dataset.parent}/", "")
        return Health(state="failed", message=said)
    try:
        return _health(found)
    except (KeyError, TypeError, ValueError):
        return Health(state="failed", message="The findings cannot be read.")


def _health(found: dict[str, Any]) -> Health:
    kinds = [
        (str(kind["title"]), str(kind["severity"]), int(kind["count"]))
        for kind in found["kinds"].values()
    ]
    kinds.sort(key=lambda kind: (kind[1] != "error", -kind[2]))
    return Health(
        state="known",
        errors=int(found["errors"]),
        warnings=int(found["warnings"]),
        kinds=tuple(kinds),
    )


def _mark(dataset: Path) -> str:
    """Return what changes when the data set does: a part of its index's hash."""
    return file_sha256(dataset / "index.json")[:16]
