"""Folders that were fetched from elsewhere, kept on this machine's disk up to so many bytes.

CACHE/shards-v1/shard-NUMBER-SHA256/ … one folder an entry, named by what it holds, so that it
never changes; a folder appears whole. Nothing of another name is touched. Processes share it: one
fetches, others wait. Who uses an entry holds a lock on its folder, and only what nobody uses goes,
the longest unused first.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from synthstudio.core.errors import DatasetError, DiskError
from synthstudio.dataset.durable import TEMPORARY, disk_errors, remove, whole_folder

FOLDER_SETTING = "SYNTHSTUDIO_CACHE"
BYTES_SETTING = "SYNTHSTUDIO_CACHE_GB"
DEFAULT_FOLDER = Path("~/.cache/synthstudio")
DEFAULT_GB = 10.0
ENTRIES = "shards-v1"
"""The folder of the cache that entries lie in; whatever else lies beside it is not ours."""
_ENTRY = re.compile(r"(?:shard|set)-[\w-]+")
_LEFT = re.compile(rf"{re.escape(TEMPORARY)}(?:run-|(?:old-)?(?:shard|set)-)[\w-]+")
_FETCHING = ".get-"
_TRIES = 3


class Held:
    """An entry in use: it stays until this is closed or forgotten."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self.folder = folder
        self._close = weakref.finalize(self, os.close, descriptor)

    def close(self) -> None:
        """Use it no more."""
        self._close()


class Cache:
    """The entries in a folder, of `most_bytes` together and those in use."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder = folder
        self.most_bytes = most_bytes
        self._sizes: dict[str, int] = {}
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def hold(
        self, name: str, fill: Callable[[Path], None], is_whole: Callable[[Path], bool]
    ) -> Held:
        """The entry `name`; where there is none, `fill(folder)` makes it.

        One that is not whole, as a full disk or a power cut may leave it, is made again.
        DiskError; what `fill` raises leaves nothing behind.
        """
        path = self.folder / name
        for _ in range(_TRIES):
            with disk_errors(path):
                held = _in_use(path)
                if held is not None and is_whole(path):
                    with suppress(OSError):  # a folder of somebody else's: it only looks older
                        os.utime(path)
                    return held
                if held is not None:
                    held.close()
                with _alone(self.folder / f"{_FETCHING}{name}"):
                    if path.exists() and not is_whole(path):
                        self._drop(path)
                    if not path.exists():
                        with whole_folder(path) as unfinished:
                            fill(unfinished)
                self._trim(name)
        raise DiskError(
            "the cache does not keep what is put into it",
            where=str(path),
            then=f"Check its disk, or choose another folder by {FOLDER_SETTING}; more than "
            f"{self.most_bytes / 1e9:g} GB by {BYTES_SETTING}.",
        )

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield an empty folder that goes in the end; that of a killed process goes later."""
        while True:
            path = self.folder / f"{TEMPORARY}run-{secrets.token_hex(6)}"
            with disk_errors(path):
                path.mkdir(mode=0o700)
            held = _in_use(path)
            if held is not None:  # else a cleaner was faster
                break
        try:
            yield path
        finally:
            with suppress(OSError):  # the next process that trims will do it
                remove(path)
            held.close()

    def _trim(self, kept: str) -> None:
        """Let go of the longest unused entries until the rest fits, and of what kills left."""
        entries: list[tuple[float, str]] = []
        for path in self.folder.iterdir():
            with suppress(OSError):  # another process lets go of it
                if _LEFT.fullmatch(path.name):
                    self._let_go(path)
                elif _ENTRY.fullmatch(path.name) and path.is_dir():
                    entries.append((path.stat().st_mtime, path.name))
        self._sizes = {name: self._size(name) for _, name in entries}
        total = sum(self._sizes.values())
        for _, name in sorted(entries):
            if total <= self.most_bytes:
                return
            if name != kept and self._let_go(self.folder / name):
                total -= self._sizes.pop(name)

    def _size(self, name: str) -> int:
        """The bytes of an entry; asked of the disk once, since none changes."""
        if name not in self._sizes:
            found = 0
            with suppress(OSError):  # another process lets go of it
                found = sum(p.stat().st_size for p in (self.folder / name).rglob("*"))
            return found
        return self._sizes[name]

    def _let_go(self, path: Path) -> bool:
        """Delete a folder that nobody uses, and say whether it did."""
        with suppress(OSError), _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB) as there:
            if there:
                self._drop(path)
            return there
        return False

    def _drop(self, path: Path) -> None:
        """Take an entry away at once, then delete it."""
        gone = path
        if not path.name.startswith(TEMPORARY):
            gone = path.with_name(f"{TEMPORARY}old-{path.name}-{secrets.token_hex(6)}")
            path.rename(gone)
        with suppress(OSError):  # a worker whose parent was killed may still write to it
            remove(gone)


def default_cache() -> Cache:
    """The cache of this user: SYNTHSTUDIO_CACHE (~/.cache/synthstudio), of SYNTHSTUDIO_CACHE_GB."""
    text = os.environ.get(BYTES_SETTING, "")
    try:
        gb = float(text) if text else DEFAULT_GB
    except ValueError:
        gb = -1.0
    if not 0 <= gb < 1e9:
        raise DatasetError(
            "the size of the cache is no number",
            where=BYTES_SETTING,
            expected=f"gigabytes, e.g. {DEFAULT_GB:g}",
            got=text,
        )
    folder = Path(os.environ.get(FOLDER_SETTING) or DEFAULT_FOLDER).expanduser()
    return Cache(folder / ENTRIES, int(gb * 1e9))


def _in_use(path: Path) -> Held | None:
    """A hold on a folder, or None where there is none."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        held = Held(path, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if _still(path, descriptor):
            return held
        held.close()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock file that exists only while somebody holds or waits for it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not _still(path, descriptor):
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return
        finally:
            os.close(descriptor)


@contextmanager
def _locked(path: Path, how: int) -> Iterator[bool]:
    """Lock a folder, and say whether it is still there; BlockingIOError when it is in use."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how)
        yield _still(path, descriptor)
    finally:
        os.close(descriptor)


def _still(path: Path, descriptor: int) -> bool:
    """Whether a path still leads to what was opened."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
