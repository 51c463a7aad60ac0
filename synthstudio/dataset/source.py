"""Sources of a data set: its folder, or a URL through a cache of shards.

CACHE/shards-v1/shard-NUMBER-SHA256/ … one folder per entry, named by content, so that it
never changes; folders appear atomically. Other names are not touched. Processes share it: one
fetches, others wait. A user of an entry locks its folder; only unused entries are evicted,
least recently used first.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import re
import secrets
import tarfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from synthstudio.core.errors import DatasetError, DiskError
from synthstudio.core.last_used import LastUsed
from synthstudio.core.places import Place, Url, parse_place
from synthstudio.dataset import durable
from synthstudio.dataset.manifest import INDEX_NAME, LOG_NAME, MANIFEST_NAME, MIXED_NAME, no_dataset
from synthstudio.dataset.shards import (
    SHARD_NAME,
    SHARDS_DIR,
    SUFFIX,
    is_shard_name,
    packed_name,
    shard_name,
    unpack,
    verify_shard,
)
from synthstudio.dataset.store import Store

FOLDER_SETTING = "SYNTHSTUDIO_CACHE"
BYTES_SETTING = "SYNTHSTUDIO_CACHE_GB"
DEFAULT_FOLDER = Path("~/.cache/synthstudio")
DEFAULT_GB = 10.0
ENTRIES = "shards-v1"
"""The cache's subfolder for entries; its siblings are not ours."""
_ENTRY = re.compile(r"(?:shard|set)-[\w-]+")
_LEFT = re.compile(rf"{re.escape(durable.TEMPORARY)}(?:run-|(?:old-)?(?:shard|set)-)[\w-]+")
_FETCHING = ".get-"
_TRIES = 3
KEPT_SHARDS = 4
"""Recently used shards of a URL that stay cached for an open data set."""


def asset_root(log: str) -> Path | None:
    """The asset root of the last run in a run.log, or None."""
    root = None
    for line in log.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # a line that a kill cut short
        if isinstance(entry, dict) and entry.get("event") == "assets":
            root = Path(str(entry.get("root")))
    return root


class FolderSource:
    def __init__(self, folder: Path) -> None:
        self.place: Place = folder
        self.folder = self.root = folder

    def shard(self, shard: int, sha256: str) -> Path:
        return self.folder / SHARDS_DIR / shard_name(shard)

    def shards(self) -> list[Path]:
        names = sorted(path.name for path in (self.folder / SHARDS_DIR).glob("*"))
        return [self.folder / SHARDS_DIR / name for name in names if is_shard_name(name)]

    def log(self) -> str:
        path = self.folder / LOG_NAME
        return path.read_text("utf-8", "replace") if path.is_file() else ""


class StoreSource:
    """A data set at a URL. Small files are fetched on opening, shards on access.

    A shard is checked against the hash in the index before it enters the cache, and
    again when this source uses it.
    """

    def __init__(self, url: Url) -> None:
        self.place: Place = url
        self.store = Store(url)
        self.cache = default_cache()
        self.root = self.cache.folder
        files = {
            name: data
            for name in (MANIFEST_NAME, INDEX_NAME, MIXED_NAME)
            if (data := self.store.read(name)) is not None
        }
        if MANIFEST_NAME not in files:
            raise no_dataset(url)
        digest = hashlib.sha256(str(url).encode())
        for name, data in sorted(files.items()):
            digest.update(f"\n{name} {len(data)}\n".encode() + data)

        def fill(folder: Path) -> None:
            for name, data in files.items():
                (folder / name).write_bytes(data)

        def is_whole(folder: Path) -> bool:
            return {p.name: p.read_bytes() for p in folder.iterdir()} == files

        self._small = self.cache.hold(f"set-{digest.hexdigest()}", fill, is_whole)
        self.folder = self._small.folder
        self._used: LastUsed[int, Held] = LastUsed(KEPT_SHARDS)
        self._checked: set[tuple[str, int]] = set()

    def shard(self, shard: int, sha256: str) -> Path:
        """Its folder in the cache, fetched if missing. The last ones used are retained."""
        used = self._used.get_or(shard, lambda: self._hold(shard, sha256, None))
        return used.folder / shard_name(shard)

    def shards(self) -> Iterator[Path]:
        """All of them are fetched: without an index their contents are unknown."""
        names = self.store.names(SHARDS_DIR)
        found = [name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)]
        for name in filter(is_shard_name, found):
            data = self._data(int(name))  # its own hash identifies it
            held = self._hold(int(name), _digest_inside(data, self._object(int(name))), data)
            yield held.folder / name
            held.close()

    def log(self) -> str:
        return (self.store.read(LOG_NAME) or b"").decode("utf-8", "replace")

    def _hold(self, shard: int, sha256: str, data: bytes | None) -> Held:
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise durable.damaged(self.folder / INDEX_NAME, "sha256 as 64 hex digits", sha256)
        place, name = self._object(shard), shard_name(shard)

        def fill(folder: Path) -> None:
            unpack(self._data(shard) if data is None else data, folder / name, where=str(place))
            problems = verify_shard(folder / name, sha256=sha256)
            if problems:
                raise DatasetError(
                    "this shard does not match the index",
                    where=str(place),
                    got="; ".join(problems[:5]),
                    then="Run the data set's command again with --resume: it checks every shard.",
                )

        def is_whole(folder: Path) -> bool:  # each folder is verified once
            seen = (sha256, folder.stat().st_ino)
            if seen not in self._checked and verify_shard(folder / name, sha256=sha256):
                return False
            self._checked.add(seen)
            return True

        return self.cache.hold(f"shard-{shard:05d}-{sha256}", fill, is_whole)

    def _data(self, shard: int) -> bytes:
        data = self.store.read(packed_name(shard))
        if data is None:
            raise durable.damaged(
                self._object(shard), "the shard that the index names", "no such object"
            )
        return data

    def _object(self, shard: int) -> Url:
        return self.store.url / packed_name(shard)


def _digest_inside(data: bytes, where: Url) -> str:
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            file = tar.extractfile(SHARD_NAME)
            found = b"" if file is None else file.read()
    except (tarfile.TarError, EOFError, KeyError) as error:
        raise durable.damaged(where, f"a tar with {SHARD_NAME}", str(error)) from error
    return hashlib.sha256(found).hexdigest()


Source = FolderSource | StoreSource


def open_source(place: Place | str) -> Source:
    """The source at a folder or URL; DatasetError when there is no data set at the URL."""
    found = parse_place(place)
    return StoreSource(found) if isinstance(found, Url) else FolderSource(found)


# The cache of shards -----------------------------------------------------------------------------


class Held:
    """An entry in use: not evicted until this is closed or garbage-collected."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self.folder = folder
        self._close = weakref.finalize(self, os.close, descriptor)

    def close(self) -> None:
        self._close()


class Cache:
    """The entries in a folder, at most `max_bytes` in total plus those in use."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._sizes: dict[str, int] = {}
        with durable.disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def hold(
        self, name: str, fill: Callable[[Path], None], is_whole: Callable[[Path], bool]
    ) -> Held:
        """The entry `name`; if missing, `fill(folder)` makes it.

        An incomplete one, after a full disk or a power cut, is made again.
        DiskError; errors of `fill` leave no files.
        """
        path = self.folder / name
        for _ in range(_TRIES):
            with durable.disk_errors(path):
                held = _in_use(path)
                if held is not None and is_whole(path):
                    with suppress(OSError):  # a folder of another user: its time is not updated
                        os.utime(path)
                    return held
                if held is not None:
                    held.close()
                with _alone(self.folder / f"{_FETCHING}{name}"):
                    if path.exists() and not is_whole(path):
                        self._drop(path)
                    if not path.exists():
                        with durable.whole_folder(path) as unfinished:
                            fill(unfinished)
                self._trim(name)
        raise DiskError(
            "entries of the cache disappear",
            where=str(path),
            then=f"Check its disk, or choose another folder by {FOLDER_SETTING}; more than "
            f"{self.max_bytes / 1e9:g} GB by {BYTES_SETTING}.",
        )

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield a temporary folder; that of a killed process is deleted later."""
        while True:
            path = self.folder / f"{durable.TEMPORARY}run-{secrets.token_hex(6)}"
            with durable.disk_errors(path):
                path.mkdir(mode=0o700)
            held = _in_use(path)
            if held is not None:  # else deleted by another process
                break
        try:
            yield path
        finally:
            with suppress(OSError):  # the next process that trims will do it
                durable.remove(path)
            held.close()

    def _trim(self, kept: str) -> None:
        """Evict least recently used entries until the rest fits, and leftovers of killed runs."""
        entries: list[tuple[float, str]] = []
        for path in self.folder.iterdir():
            with suppress(OSError):  # another process deletes it
                if _LEFT.fullmatch(path.name):
                    self._let_go(path)
                elif _ENTRY.fullmatch(path.name) and path.is_dir():
                    entries.append((path.stat().st_mtime, path.name))
        self._sizes = {name: self._sizes.get(name) or self._size(name) for _, name in entries}
        total = sum(self._sizes.values())
        for _, name in sorted(entries):
            if total <= self.max_bytes:
                return
            if name != kept and self._let_go(self.folder / name):
                total -= self._sizes.pop(name)

    def _size(self, name: str) -> int:
        """The bytes of an entry; measured once, since entries do not change."""
        with suppress(OSError):  # another process deletes it
            return sum(p.stat().st_size for p in (self.folder / name).rglob("*"))
        return 0

    def _let_go(self, path: Path) -> bool:
        """Delete an unused folder; return whether it was deleted."""
        with suppress(OSError), durable.exclusive_lock(path) as there:
            if there:
                self._drop(path)
            return there
        return False

    def _drop(self, path: Path) -> None:
        gone = path
        if not path.name.startswith(durable.TEMPORARY):
            gone = path.with_name(f"{durable.TEMPORARY}old-{path.name}-{secrets.token_hex(6)}")
            path.rename(gone)
        with suppress(OSError):  # a worker whose parent was killed may still write to it
            durable.remove(gone)


def default_cache() -> Cache:
    """The user's cache: SYNTHSTUDIO_CACHE (~/.cache/synthstudio) of SYNTHSTUDIO_CACHE_GB."""
    text = os.environ.get(BYTES_SETTING, "")
    try:
        gb = float(text) if text else DEFAULT_GB
    except ValueError:
        gb = -1.0
    if not 0 <= gb < 1e9:
        raise DatasetError(
            "the cache size is not a number",
            where=BYTES_SETTING,
            expected=f"gigabytes, e.g. {DEFAULT_GB:g}",
            got=text,
        )
    folder = Path(os.environ.get(FOLDER_SETTING) or DEFAULT_FOLDER).expanduser()
    return Cache(folder / ENTRIES, int(gb * 1e9))


def _in_use(path: Path) -> Held | None:
    """A lock on a folder, or None if it does not exist."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        held = Held(path, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if durable.is_same_file(path, descriptor):
            return held
        held.close()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock file that exists only while it is held or awaited."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not durable.is_same_file(path, descriptor):
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return
        finally:
            os.close(descriptor)
