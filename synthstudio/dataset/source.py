"""Where a data set is read from: its folder, or a URL through a cache of its shards."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

from synthstudio.core.errors import DatasetError
from synthstudio.core.places import Place, Url, parse_place
from synthstudio.dataset.cache import Cache, Held, default_cache
from synthstudio.dataset.durable import damaged
from synthstudio.dataset.manifest import MANIFEST_NAME, no_dataset
from synthstudio.dataset.names import INDEX_NAME, LOG_NAME, MIXED_NAME
from synthstudio.dataset.packed import SUFFIX, packed_name, unpack
from synthstudio.dataset.shards import (
    SHARD_NAME,
    SHARDS_DIR,
    is_shard_name,
    shard_name,
    verify_shard,
)
from synthstudio.dataset.store import Store

KEPT_SHARDS = 4
"""So many shards of a URL that a data set used last stay in the cache for it."""


class Source(Protocol):
    """What a reader needs of the place of a data set."""

    @property
    def place(self) -> Place:
        """The folder or URL, as messages name it."""

    @property
    def folder(self) -> Path:
        """A folder of this machine with dataset.json, and index.json and mixed.json if any."""

    @property
    def root(self) -> Path:
        """The folder that everything that is read lies in."""

    def shard(self, shard: int, sha256: str) -> Path:
        """The folder of a shard on this machine; `sha256` of its shard.json."""

    def shards(self) -> Iterable[Path]:
        """The folders of all shards that are there, in order; of an unfinished set.

        Each stays until the next is asked for.
        """

    def log(self) -> str:
        """The lines of run.log; "" without one."""


def open_source(place: Place | str) -> Source:
    """The source at a folder or URL; DatasetError when there is no data set at the URL."""
    found = parse_place(place)
    return StoreSource(found) if isinstance(found, Url) else FolderSource(found)


def asset_root(log: str) -> Path | None:
    """The asset root of the last run that a run.log tells of, or None."""
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
    """A data set's folder."""

    def __init__(self, folder: Path) -> None:
        self.place: Place = folder
        self.folder = self.root = folder

    def shard(self, shard: int, sha256: str) -> Path:
        """Its folder below shards/."""
        return self.folder / SHARDS_DIR / shard_name(shard)

    def shards(self) -> list[Path]:
        """Those that have a shard's name."""
        names = sorted(path.name for path in (self.folder / SHARDS_DIR).glob("*"))
        return [self.folder / SHARDS_DIR / name for name in names if is_shard_name(name)]

    def log(self) -> str:
        """Of its file."""
        path = self.folder / LOG_NAME
        return path.read_text("utf-8", "replace") if path.is_file() else ""


class StoreSource:
    """A data set at a URL. Its small files are fetched at once, a shard when it is asked for.

    A shard is checked against the hash in the index before it gets its place in the cache, and
    once more when this source takes it from there.
    """

    def __init__(self, url: Url, cache: Cache | None = None) -> None:
        self.place: Place = url
        self.store = Store(url)
        self.cache = cache or default_cache()
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
        self._used: dict[int, Held] = {}
        self._checked: set[tuple[str, int]] = set()

    def shard(self, shard: int, sha256: str) -> Path:
        """Its folder in the cache, fetched if it is not there. It stays for the last users."""
        used = self._used.pop(shard, None)
        if used is None:
            used = self._hold(shard, sha256, None)
        self._used[shard] = used  # the last of them
        for old in list(self._used)[:-KEPT_SHARDS]:
            self._used.pop(old, None)
        return used.folder / shard_name(shard)

    def shards(self) -> Iterator[Path]:
        """All of them are fetched: without an index nothing else says what they hold."""
        names = self.store.names(SHARDS_DIR)
        found = [name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)]
        for name in filter(is_shard_name, found):
            held = self._fetched(int(name))
            yield held.folder / name
            held.close()

    def log(self) -> str:
        """Of its object."""
        return (self.store.read(LOG_NAME) or b"").decode("utf-8", "replace")

    def _fetched(self, shard: int) -> Held:
        """Fetch a shard that no index names; it says itself what it is."""
        data = self._data(shard)
        return self._hold(shard, _digest_inside(data, self._object(shard)), data)

    def _hold(self, shard: int, sha256: str, data: bytes | None) -> Held:
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise damaged(self.folder / INDEX_NAME, "sha256 as 64 hex digits", sha256)
        fill = partial(self._fill, shard=shard, sha256=sha256, data=data)
        is_whole = partial(self._is_whole, shard=shard, sha256=sha256)
        return self.cache.hold(f"shard-{shard:05d}-{sha256}", fill, is_whole)

    def _fill(self, folder: Path, *, shard: int, sha256: str, data: bytes | None) -> None:
        place = self._object(shard)
        inside = folder / shard_name(shard)
        unpack(self._data(shard) if data is None else data, inside, where=str(place))
        problems = verify_shard(inside, sha256=sha256)
        if problems:
            raise DatasetError(
                "this shard is not what the data set says of it",
                where=str(place),
                got="; ".join(problems[:5]),
                then="Run what made the data set again with --resume: it checks every shard.",
            )

    def _is_whole(self, folder: Path, *, shard: int, sha256: str) -> bool:
        """Whether an entry is as it was put there; a folder is read for that only once."""
        inside = folder / shard_name(shard)
        seen = (sha256, folder.stat().st_ino)
        if seen not in self._checked and verify_shard(inside, sha256=sha256):
            return False
        self._checked.add(seen)
        return True

    def _data(self, shard: int) -> bytes:
        data = self.store.read(packed_name(shard))
        if data is None:
            raise damaged(self._object(shard), "the shard that the index names", "no such object")
        return data

    def _object(self, shard: int) -> Url:
        return self.store.url / packed_name(shard)


def _digest_inside(data: bytes, where: Url) -> str:
    """The SHA-256 of the shard.json in a packed shard."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            file = tar.extractfile(SHARD_NAME)
            found = b"" if file is None else file.read()
    except (tarfile.TarError, EOFError, KeyError) as error:
        raise damaged(where, f"a tar with {SHARD_NAME}", str(error)) from error
    return hashlib.sha256(found).hexdigest()
