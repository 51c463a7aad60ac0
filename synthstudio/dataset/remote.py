"""A data set in an object store while it is written: a shard is one object, a lease the lock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from synthstudio.core.errors import DatasetError, DiskError
from synthstudio.core.places import Place, Url
from synthstudio.dataset.cache import default_cache
from synthstudio.dataset.destination import already_here
from synthstudio.dataset.durable import TEMPORARY, disk_errors, remove
from synthstudio.dataset.lease import LEASES, Lease, hold_lease
from synthstudio.dataset.manifest import MANIFEST_NAME
from synthstudio.dataset.names import INDEX_NAME, LOG_NAME, MIXED_NAME, SET_ASIDE_DIR
from synthstudio.dataset.packed import SUFFIX, pack, packed_name, unpack
from synthstudio.dataset.shards import SHARDS_DIR, OnEvent, StagedShard
from synthstudio.dataset.store import Store

_LOG_EVERY_S = 30.0


class StoreDestination:
    """An object store: a shard is staged in a scratch folder and put as one object.

    The lease is looked at before every write, so a run that lost it changes nothing more. What is
    under way just then may still arrive: a shard is made only if absent, so it replaces none.
    """

    def __init__(self, url: Url) -> None:
        self.url = url
        self.store = Store(url)
        self._lease: Lease | None = None
        self._folder: Path | None = None
        self._there: set[str] = set()
        self._log: str | None = None
        self._logged = 0.0

    @property
    def place(self) -> Place:
        """The URL."""
        return self.url

    @property
    def folder(self) -> Path:
        """A scratch folder, as long as the lease is held."""
        assert self._folder is not None  # within `hold`
        return self._folder

    def check_free(self, resume: bool) -> None:
        """Leases and logs of runs that were refused are no content."""
        if self.read(MANIFEST_NAME) is None:
            others = sorted(set(self.store.level()) - {LEASES, LOG_NAME})
            if others:
                more = f" and {len(others) - 1} more" if len(others) > 1 else ""
                raise DiskError(
                    "a place of its own is needed",
                    where=str(self.url),
                    expected="a URL below which there is nothing",
                    got=f"{others[0]}{more}",
                    then="Choose another place for it.",
                )
        elif not resume:
            raise already_here(self.url)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """By the lease."""
        with ExitStack() as stack:
            self._folder = stack.enter_context(default_cache().scratch())
            self._lease = stack.enter_context(hold_lease(self.store))
            yield

    def begin(self) -> None:
        """The scratch folder's shards/."""
        with disk_errors(self.folder):
            (self.folder / SHARDS_DIR).mkdir(exist_ok=True)

    def clear(self) -> None:
        """Nothing: an object is whole or not there."""

    def undo(self) -> None:
        """All but the lease, whose numbers only rise."""
        for name in (INDEX_NAME, MANIFEST_NAME, MIXED_NAME, LOG_NAME):
            self.remove(name)
        for name in self.store.names(SHARDS_DIR):
            self.remove(f"{SHARDS_DIR}/{name}")

    def read(self, name: str) -> bytes | None:
        """Of its object."""
        return self.store.read(name)

    def replace(self, name: str, data: bytes) -> None:
        """An object appears whole."""
        self._check()
        self.store.write(name, data)

    def remove(self, name: str) -> None:
        """Of its object."""
        self._check()
        self.store.delete(name)

    def shards(self) -> list[str]:
        """The objects below shards/."""
        found = self.store.names(SHARDS_DIR)
        self._there = set(found)
        return found

    def shard_of(self, name: str) -> str:
        """Without .tar; no other object is a shard."""
        return name.removesuffix(SUFFIX) if name.endswith(SUFFIX) else ""

    def examine(self, name: str, judge: Callable[[Path], list[str]]) -> list[str]:
        """Unpacked for that; one that cannot be is judged already."""
        place = f"{SHARDS_DIR}/{name}"
        data = self.store.read(place) or b""
        folder = self.folder / f"{TEMPORARY}checked" / self.shard_of(name)
        try:
            unpack(data, folder, where=str(self.url / place))
        except DatasetError as error:
            return [str(error)]
        else:
            return judge(folder)
        finally:
            remove(folder.parent)

    def set_aside(self, name: str) -> str:
        """Into set-aside/, as a copy within the store."""
        self._check()
        target = f"{name}-{time.time_ns()}"
        self.store.move(f"{SHARDS_DIR}/{name}", f"{SET_ASIDE_DIR}/{target}")
        self._there.discard(name)
        return target

    def put(self, staged: StagedShard, on_event: OnEvent) -> None:
        """As one object, made only if absent but where a shorter shard is replaced."""
        name = packed_name(staged.entry.shard)
        with disk_errors(staged.temporary):
            data = pack(staged.temporary)
        self._check()
        on_event("before-rename")
        if name.removeprefix(f"{SHARDS_DIR}/") in self._there:
            self.store.write(name, data)
        elif not self.store.create(name, data):
            raise DatasetError(
                "another shard is already in this one's place",
                where=str(self.url / name),
                then="Somebody writes there without a lease: stop it, then --resume.",
            )
        remove(staged.temporary)

    def log(self, line: str, *, now: bool) -> None:
        """Objects do not grow: the whole log is written again, not for every shard."""
        if self._log is None:
            self._log = (self.read(LOG_NAME) or b"").decode("utf-8", "replace")
        self._log += line
        if now or time.monotonic() > self._logged + _LOG_EVERY_S:
            self.replace(LOG_NAME, self._log.encode())
            self._logged = time.monotonic()

    def _check(self) -> None:
        assert self._lease is not None  # within `hold`
        self._lease.check()
