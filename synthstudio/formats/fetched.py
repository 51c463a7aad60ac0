"""Photos and videos of an object store, brought to this machine to be looked at and taken in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from synthstudio.core.errors import FormatError
from synthstudio.core.images import MAX_BYTES, SUFFIXES
from synthstudio.core.places import Url
from synthstudio.core.video import VIDEOS
from synthstudio.dataset.durable import disk_errors, scratch_folder
from synthstudio.dataset.store import Store

MOST_PHOTOS = 20_000
MOST_VIDEO_BYTES = 2 * 2**30
MOST_BYTES = 50 * 2**30
"""Of all photos."""


@contextmanager
def fetched(url: Url, out: Path) -> Iterator[Path]:
    """Yield a photo, a folder of photos or a video as it lies in a store, read and never written.

    It waits beside `out` and goes in the end. FormatError, before anything is fetched, where
    there are none, more or larger ones than are taken, or where a name leaves the folder.
    """
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    one = PurePosixPath(url.name).suffix.lower() in (*SUFFIXES, *VIDEOS)
    above = Url(url.scheme, url.path.rpartition("/")[0]) if one else url
    store = Store(above)
    listed = store.sizes("")
    chosen = {n: b for n, b in listed.items() if (n == url.name if one else _is_photo(n))}
    _check(url, chosen)
    with scratch_folder(out.with_name(f"{out.name}-fetched")) as folder:
        for name in chosen:
            data = store.read(name)
            if data is None:
                raise FormatError("a photo has gone from the store meanwhile", where=f"{url}")
            with disk_errors(folder):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)
        yield folder / url.name if one else folder


def _is_photo(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def _check(url: Url, chosen: Mapping[str, int]) -> None:
    if not chosen:
        raise FormatError(
            "there are no photos here",
            where=str(url),
            expected=f"objects that end in {', '.join((*SUFFIXES, *VIDEOS))}",
        )
    if len(chosen) > MOST_PHOTOS:
        raise FormatError(
            "more photos than are fetched at once",
            where=str(url),
            expected=f"at most {MOST_PHOTOS:,}",
            got=f"{len(chosen):,}",
            then="Take a folder below it.",
        )
    for name, size in chosen.items():
        most = MAX_BYTES if _is_photo(name) else MOST_VIDEO_BYTES
        if size > most:
            raise FormatError(
                "this is larger than what is fetched",
                where=f"{url}, {name}"[:300],
                expected=f"at most {most:,} bytes",
                got=f"{size:,}",
            )
        odd = "\\" in name or any(ord(letter) < 32 or ord(letter) == 127 for letter in name)
        if odd or any(part in ("", ".", "..") for part in name.split("/")):
            raise FormatError(
                "this name is none of a file below the folder", where=str(url), got=repr(name)[:200]
            )
    if sum(chosen.values()) > MOST_BYTES:
        raise FormatError(
            "more than is fetched at once",
            where=str(url),
            expected=f"at most {MOST_BYTES:,} bytes",
            got=f"{sum(chosen.values()):,}",
            then="Take a folder below it.",
        )
