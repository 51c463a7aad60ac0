"""Where a data set is written to: a folder of this machine, or an object store.

The writer (writer.py) decides what is done; a destination does it, so that nothing half-made is
ever in its place.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from synthstudio.core.errors import DatasetError
from synthstudio.core.outputs import free_folder
from synthstudio.core.places import Place
from synthstudio.dataset.durable import (
    TEMPORARY,
    disk_errors,
    new_parents,
    remove,
    replace_file,
    sync_folder,
)
from synthstudio.dataset.lock import LOCK_NAME, hold_lock
from synthstudio.dataset.manifest import MANIFEST_NAME
from synthstudio.dataset.names import INDEX_NAME, LOG_NAME, MIXED_NAME, SET_ASIDE_DIR
from synthstudio.dataset.shards import SHARDS_DIR, OnEvent, StagedShard

_OWN = (LOCK_NAME, LOG_NAME)


class Destination(Protocol):
    """What the writer needs of a place. Only who holds it may call what changes it."""

    @property
    def place(self) -> Place:
        """The folder or URL, as messages name it."""

    @property
    def folder(self) -> Path:
        """The folder of this machine in which shards are staged."""

    def check_free(self, resume: bool) -> None:
        """Refuse a place with other things in it, or with a data set and no `resume`."""

    def hold(self) -> AbstractContextManager[None]:
        """Keep other runs out; DatasetError naming the one that is there."""

    def begin(self) -> None:
        """Make what shards are put into."""

    def clear(self) -> None:
        """Delete what killed runs left unfinished."""

    def undo(self) -> None:
        """Take everything away again."""

    def read(self, name: str) -> bytes | None:
        """The bytes of a small file; None without it."""

    def replace(self, name: str, data: bytes) -> None:
        """Write a small file whole."""

    def remove(self, name: str) -> None:
        """Delete a small file, if there is one."""

    def shards(self) -> list[str]:
        """The names of all that is where shards are."""

    def shard_of(self, name: str) -> str:
        """The name of the shard that one of `shards` would be."""

    def examine(self, name: str, judge: Callable[[Path], list[str]]) -> list[str]:
        """What `judge` finds wrong with one of `shards`, as a folder of this machine."""

    def set_aside(self, name: str) -> str:
        """Move one of `shards` away; return its new name."""

    def put(self, staged: StagedShard, on_event: OnEvent) -> None:
        """Put a shard in its place, whole and for good."""

    def log(self, line: str, *, now: bool) -> None:
        """Append a line to run.log, at the latest in a while if it need not be `now`."""


def already_here(place: Place) -> DatasetError:
    """The error for a place that has a data set already."""
    return DatasetError(
        "a data set is already here",
        where=str(place),
        then="Go on with it by --resume, or choose another --out.",
    )


class FolderDestination:
    """A folder: a shard is staged beside its place and renamed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def place(self) -> Place:
        """The folder itself."""
        return self.folder

    def check_free(self, resume: bool) -> None:
        """Links are followed from here on."""
        if self.read(MANIFEST_NAME) is None:
            self.folder = free_folder(self.folder, own=_OWN.__contains__)
        elif not resume:
            raise already_here(self.folder)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """By run.lock."""
        with new_parents(self.folder / LOCK_NAME), hold_lock(self.folder):
            yield

    def begin(self) -> None:
        """The folder shards/."""
        with disk_errors(self.folder):
            (self.folder / SHARDS_DIR).mkdir(exist_ok=True)
            sync_folder(self.folder)

    def clear(self) -> None:
        """Temporaries, of the folder and of shards/."""
        for place in (self.folder, self.folder / SHARDS_DIR):
            with disk_errors(place):
                for path in sorted(place.glob(f"{TEMPORARY}*")):
                    remove(path)

    def undo(self) -> None:
        """All that a run writes."""
        with disk_errors(self.folder):
            for name in (INDEX_NAME, SHARDS_DIR, MANIFEST_NAME, MIXED_NAME, LOG_NAME, LOCK_NAME):
                remove(self.folder / name)

    def read(self, name: str) -> bytes | None:
        """None also where no name can be so long."""
        path = self.folder / name
        if not os.path.exists(path):  # noqa: PTH110 - False for such names too
            return None
        with disk_errors(path):
            return path.read_bytes()

    def replace(self, name: str, data: bytes) -> None:
        """Under a temporary name first."""
        replace_file(self.folder / name, data)

    def remove(self, name: str) -> None:
        """Safe from a power cut."""
        with disk_errors(self.folder):
            remove(self.folder / name)
            sync_folder(self.folder)

    def shards(self) -> list[str]:
        """The names in shards/."""
        with disk_errors(self.folder):
            return sorted(path.name for path in (self.folder / SHARDS_DIR).iterdir())

    def shard_of(self, name: str) -> str:
        """Its own."""
        return name

    def examine(self, name: str, judge: Callable[[Path], list[str]]) -> list[str]:
        """Where it lies."""
        return judge(self.folder / SHARDS_DIR / name)

    def set_aside(self, name: str) -> str:
        """Into set-aside/."""
        aside = self.folder / SET_ASIDE_DIR
        target = aside / f"{name}-{time.time_ns()}"
        with disk_errors(aside):
            aside.mkdir(exist_ok=True)
            (self.folder / SHARDS_DIR / name).rename(target)
            sync_folder(self.folder / SHARDS_DIR)
        return target.name

    def put(self, staged: StagedShard, on_event: OnEvent) -> None:
        """By renaming; a shorter shard goes between two renames."""
        target = self.folder / staged.entry.path
        on_event("before-rename")
        with disk_errors(target):
            if target.exists():  # the shorter last shard of a run that has grown
                target.rename(target.with_name(f"{TEMPORARY}old-{target.name}"))
                on_event("replacing")
            staged.temporary.rename(target)
            sync_folder(target.parent)
            remove(target.with_name(f"{TEMPORARY}old-{target.name}"))

    def log(self, line: str, *, now: bool) -> None:
        """At once."""
        path = self.folder / LOG_NAME
        with disk_errors(path), path.open("a", encoding="utf-8") as file:
            file.write(line)
