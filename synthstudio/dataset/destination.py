"""Destinations of a data set: a local folder, or an object store.

The writer (writer.py) decides; a destination acts, so that no partial data are
ever visible. Only the holder (`hold`) may call mutating methods.
"""

import json
import os
import platform
import secrets
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from synthstudio.core.errors import DatasetError, DiskError, SynthStudioError
from synthstudio.core.places import Place, Url, free_folder
from synthstudio.dataset.durable import (
    LOCK_NAME,
    TEMPORARY,
    canonical_json,
    disk_errors,
    hold_lock,
    new_parents,
    remove,
    replace_file,
    sync,
)
from synthstudio.dataset.manifest import (
    INDEX_NAME,
    LOG_NAME,
    MANIFEST_NAME,
    MIXED_NAME,
    SET_ASIDE_DIR,
)
from synthstudio.dataset.shards import (
    SHARDS_DIR,
    SUFFIX,
    OnEvent,
    StagedShard,
    pack,
    packed_name,
    unpack,
)
from synthstudio.dataset.source import default_cache
from synthstudio.dataset.store import Store

_OWN = (LOCK_NAME, LOG_NAME)
_LOG_EVERY_S = 30.0
_BOOT, _PIDS = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
_HOST_PIDS = "pid:[4026531836]"  # Linux: the same on all machines


class FolderDestination:
    """A folder: a shard is staged beside its place and renamed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def place(self) -> Place:
        return self.folder

    def check_empty(self) -> None:
        """Refuse a folder with other files."""
        self.folder = free_folder(self.folder, own=_OWN.__contains__)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Lock out other runs; DatasetError naming the running one."""
        with new_parents(self.folder / LOCK_NAME), hold_lock(self.folder):
            yield

    def begin(self) -> None:
        with disk_errors(self.folder):
            (self.folder / SHARDS_DIR).mkdir(exist_ok=True)
            sync(self.folder)

    def clear(self) -> None:
        """Delete unfinished files of killed runs."""
        for place in (self.folder, self.folder / SHARDS_DIR):
            with disk_errors(place):
                for path in sorted(place.glob(f"{TEMPORARY}*")):
                    remove(path)

    def undo(self) -> None:
        with disk_errors(self.folder):
            for name in (INDEX_NAME, SHARDS_DIR, MANIFEST_NAME, MIXED_NAME, LOG_NAME, LOCK_NAME):
                remove(self.folder / name)

    def read(self, name: str) -> bytes | None:
        path = self.folder / name
        if not os.path.exists(path):  # noqa: PTH110 - False for such names too
            return None
        with disk_errors(path):
            return path.read_bytes()

    def replace(self, name: str, data: bytes) -> None:
        replace_file(self.folder / name, data)

    def remove(self, name: str) -> None:
        with disk_errors(self.folder):
            remove(self.folder / name)
            sync(self.folder)

    def shards(self) -> list[str]:
        """The names of all entries in the shards folder."""
        with disk_errors(self.folder):
            return sorted(path.name for path in (self.folder / SHARDS_DIR).iterdir())

    def shard_of(self, name: str) -> str:
        """The shard's name of an entry of `shards`."""
        return name

    def examine(self, name: str, judge: Callable[[Path], list[str]]) -> list[str]:
        """Problems that `judge` finds in an entry of `shards`, as a local folder."""
        return judge(self.folder / SHARDS_DIR / name)

    def set_aside(self, name: str) -> str:
        aside = self.folder / SET_ASIDE_DIR
        target = aside / f"{name}-{time.time_ns()}"
        with disk_errors(aside):
            aside.mkdir(exist_ok=True)
            (self.folder / SHARDS_DIR / name).rename(target)
            sync(self.folder / SHARDS_DIR)
        return target.name

    def put(self, staged: StagedShard, on_event: OnEvent) -> None:
        """Publish a shard by renaming; a shorter one is replaced by two renames."""
        target = self.folder / staged.entry.path
        on_event("before-rename")
        with disk_errors(target):
            if target.exists():  # the shorter last shard of a run that has grown
                target.rename(target.with_name(f"{TEMPORARY}old-{target.name}"))
                on_event("replacing")
            staged.temporary.rename(target)
            sync(target.parent)
            remove(target.with_name(f"{TEMPORARY}old-{target.name}"))

    def log(self, line: str, *, now: bool) -> None:
        """Append a line to run.log, `now` or later."""
        path = self.folder / LOG_NAME
        with disk_errors(path), path.open("a", encoding="utf-8") as file:
            file.write(line)


class StoreDestination:
    """An object store: a shard is staged in a scratch folder and uploaded as one object.

    An object run.lock names the writer. It is checked before every write, so a run whose marker
    is gone writes nothing more; a shard is created only if absent, so a late one replaces none.
    """

    folder: Path
    """A scratch folder, while the place is held."""

    def __init__(self, url: Url) -> None:
        self.place: Place = url
        self.store = Store(url)
        self._marker = b""
        self._there: set[str] = set()
        self._log: str | None = None
        self._logged = 0.0

    def check_empty(self) -> None:
        """Markers and logs of refused runs do not count as content."""
        others = sorted(set(self.store.level()) - {*_OWN})
        if others:
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            raise DiskError(
                "invalid output location",
                where=str(self.place),
                expected="a URL without objects below it",
                got=f"{others[0]}{more}",
                then="Choose another location.",
            )

    @contextmanager
    def hold(self) -> Iterator[None]:
        """By a marker created only if absent; the marker of a dead local process is removed."""
        with default_cache().scratch() as self.folder:
            self._marker = _marker()
            while not self.store.create(LOCK_NAME, self._marker):
                there = self.store.read(LOCK_NAME)
                if there is not None and not _has_ended(there):
                    raise self._held(there)
                self.store.delete(LOCK_NAME)
            try:
                self._try_conditions()
                yield
            finally:
                with suppress(SynthStudioError):  # else delete the marker by hand
                    if self.store.read(LOCK_NAME) == self._marker:
                        self.store.delete(LOCK_NAME)

    def begin(self) -> None:
        with disk_errors(self.folder):
            (self.folder / SHARDS_DIR).mkdir(exist_ok=True)

    def clear(self) -> None:
        """Nothing to do: uploads are atomic."""

    def undo(self) -> None:
        """Delete everything but the marker."""
        for name in (INDEX_NAME, MANIFEST_NAME, MIXED_NAME, LOG_NAME):
            self.remove(name)
        for name in self.store.names(SHARDS_DIR):
            self.remove(f"{SHARDS_DIR}/{name}")

    def read(self, name: str) -> bytes | None:
        return self.store.read(name)

    def replace(self, name: str, data: bytes) -> None:
        self._check()
        self.store.write(name, data)

    def remove(self, name: str) -> None:
        self._check()
        self.store.delete(name)

    def shards(self) -> list[str]:
        found = self.store.names(SHARDS_DIR)
        self._there = set(found)
        return found

    def shard_of(self, name: str) -> str:
        """Without .tar; no other object is a shard."""
        return name.removesuffix(SUFFIX) if name.endswith(SUFFIX) else ""

    def examine(self, name: str, judge: Callable[[Path], list[str]]) -> list[str]:
        """Judged after unpacking; failure to unpack is a problem itself."""
        place = f"{SHARDS_DIR}/{name}"
        data = self.store.read(place) or b""
        folder = self.folder / f"{TEMPORARY}checked" / self.shard_of(name)
        try:
            unpack(data, folder, where=str(self.place / place))
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
        """As one object, created only if absent unless a shorter shard is replaced."""
        name = packed_name(staged.entry.shard)
        with disk_errors(staged.temporary):
            data = pack(staged.temporary)
        self._check()
        on_event("before-rename")
        if name.removeprefix(f"{SHARDS_DIR}/") in self._there:
            self.store.write(name, data)
        elif not self.store.create(name, data):
            raise DatasetError(
                "another shard already exists here",
                where=str(self.place / name),
                then="Another program writes there without a marker: stop it, then --resume.",
            )
        remove(staged.temporary)

    def log(self, line: str, *, now: bool) -> None:
        """Objects cannot be appended to: the whole log is rewritten, not for every shard."""
        if self._log is None:
            self._log = (self.read(LOG_NAME) or b"").decode("utf-8", "replace")
        self._log += line
        if now or time.monotonic() > self._logged + _LOG_EVERY_S:
            self.replace(LOG_NAME, self._log.encode())
            self._logged = time.monotonic()

    def _check(self) -> None:
        """DatasetError when the marker is another run's, or was deleted."""
        there = self.store.read(LOCK_NAME)
        if there != self._marker:
            raise DatasetError(
                "another run took over this data set, so this one stopped writing",
                where=str(self.place),
                got=_owner(there) if there else "no run.lock",
                then="Published shards are kept; use --resume after the other run has ended.",
            )

    def _try_conditions(self) -> None:
        """DatasetError for a store that cannot exclude a second run."""
        if self.store.create(LOCK_NAME, b"other bytes"):
            self.store.delete(LOCK_NAME)
            raise DatasetError(
                "this store does not support conditional writes: a second run could write here",
                where=str(self.place),
                then="Write to a folder and copy it, or to a store with If-None-Match.",
            )

    def _held(self, marker: bytes) -> DatasetError:
        return DatasetError(
            "another run is writing to this place",
            where=str(self.place),
            got=_owner(marker),
            then="Wait for it or stop it, or choose another --out. If it was killed on another "
            f"machine, delete the object {self.place / LOCK_NAME}.",
        )


Destination = FolderDestination | StoreDestination


def destination_of(place: Place) -> Destination:
    return StoreDestination(place) if isinstance(place, Url) else FolderDestination(place)


def check_free(
    destination: Destination,
    resume: bool,
    then: str = "Continue it with --resume, or choose another --out.",
) -> None:
    """Refuse a place with other files, or with a data set and no `resume`."""
    if destination.read(MANIFEST_NAME) is None:
        destination.check_empty()
    elif not resume:
        raise DatasetError(
            "a data set already exists here",
            where=str(destination.place),
            then=then,
        )


def _marker() -> bytes:
    """An identifier of this process, unique across machines."""
    return canonical_json(
        {
            "owner": f"process {os.getpid()} on {platform.node() or 'an unnamed machine'}",
            "machine": _machine(),
            "process": [os.getpid(), psutil.Process().create_time()],
            "token": secrets.token_hex(16),
        }
    )


def _machine() -> list[str]:
    """Name, boot and PID namespace; without /proc the name is the boot."""
    name = f"{platform.node()} {uuid.getnode():x}"
    try:
        return [name, _BOOT.read_text().strip(), str(_PIDS.readlink())]
    except OSError:
        return [name, name, ""]


def _owner(marker: bytes) -> str:
    try:
        return str(json.loads(marker)["owner"])[:200]
    except (ValueError, KeyError, TypeError):
        return "an unknown run"


def _has_ended(marker: bytes) -> bool:
    """Whether a marker is of a dead process of this machine, seen from its PID namespace."""
    try:
        value = json.loads(marker)
        pid, began = value["process"]
        (there, *numbers), (here, *own) = value["machine"], _machine()
        if numbers != own:  # after a restart of the machine no process of its own is left
            return there == here and numbers[1] == own[1] == _HOST_PIDS
        process = psutil.Process(int(pid))
        return process.create_time() != began or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except (ValueError, KeyError, TypeError, IndexError):
        return False
