"""Photos and videos of an object store, fetched for import."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from synthstudio.core.errors import FormatError
from synthstudio.core.images import MAX_BYTES, SUFFIXES, UNREAD, is_image_header
from synthstudio.core.places import Url
from synthstudio.core.video import VIDEOS
from synthstudio.dataset.durable import disk_errors, scratch_folder
from synthstudio.dataset.store import Store

MAX_PHOTOS = 20_000
MAX_VIDEO_BYTES = 2 * 2**30
MAX_TOTAL_BYTES = 50 * 2**30
"""Of all photos."""
_OTHERS = (
    ".csv",
    ".html",
    ".json",
    ".md",
    ".npz",
    ".parquet",
    ".pdf",
    ".txt",
    ".xml",
    ".yaml",
    ".zip",
)
"""Suffixes recognised without reading first bytes."""
_PIECE_BYTES = 8 * 2**20
_MAX_NAME_BYTES = 255  # of a file or folder, on nearly all disks


@contextmanager
def fetched(url: Url, out: Path) -> Iterator[Path]:
    """Yield a photo, a folder of photos or a video of a store, which is only read.

    It is stored beside `out` and deleted at the end. FormatError, before fetching, if
    there are none, too many or too large ones, or if a name leaves the folder.
    """
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    one = PurePosixPath(url.name).suffix.lower() in (*SUFFIXES, *VIDEOS)
    above = Url(url.scheme, url.path.rpartition("/")[0]) if one else url
    store = Store(above)
    listed = store.sizes("")
    if one:
        chosen = {name: size for name, size in listed.items() if name == url.name}
    else:
        chosen = {name: size for name, size in listed.items() if _holds_a_photo(store, name)}
    _check(url, chosen)
    with scratch_folder(out.with_name(f"{out.name}-fetched")) as folder:
        for name, size in chosen.items():
            with disk_errors(folder):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                with (folder / name).open("wb") as file:
                    for piece in _pieces(store, name, size):
                        file.write(piece)
        yield folder / url.name if one else folder


def _pieces(store: Store, name: str, size: int) -> Iterator[bytes]:
    """The bytes of an object; FormatError if it is gone or its size differs from the listing."""
    for start in range(0, size, _PIECE_BYTES):
        end = min(start + _PIECE_BYTES, size)
        data = store.read(name, part=(start, end + (end == size)))  # has it grown?
        if data is None or len(data) != end - start:
            raise FormatError(
                "changed in the store during the fetch",
                where=f"{store.url}, {name}"[:300],
                expected=f"{size:,} bytes, as listed",
                got="none: deleted" if data is None else "another size",
                then="Import again when no program writes there.",
            )
        yield data


def _holds_a_photo(store: Store, name: str) -> bool:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in SUFFIXES or suffix in (*UNREAD, *VIDEOS, *_OTHERS):
        return suffix in SUFFIXES
    return is_image_header(store.read(name, part=(0, 12)) or b"")


def _check(url: Url, chosen: Mapping[str, int]) -> None:
    if not chosen:
        raise FormatError(
            "no photos found",
            where=str(url),
            expected=f"pictures, or objects that end in {', '.join((*SUFFIXES, *VIDEOS))}",
        )
    if len(chosen) > MAX_PHOTOS:
        raise FormatError(
            "too many photos",
            where=str(url),
            expected=f"at most {MAX_PHOTOS:,}",
            got=f"{len(chosen):,}",
            then="Import a subfolder.",
        )
    for name, size in chosen.items():
        is_video = PurePosixPath(name).suffix.lower() in VIDEOS
        maximum = MAX_VIDEO_BYTES if is_video else MAX_BYTES
        if size > maximum:
            raise FormatError(
                "the object is too large",
                where=f"{url}, {name}"[:300],
                expected=f"at most {maximum:,} bytes",
                got=f"{size:,}",
            )
        _check_name(url, name, chosen)
    if sum(chosen.values()) > MAX_TOTAL_BYTES:
        raise FormatError(
            "too many bytes",
            where=str(url),
            expected=f"at most {MAX_TOTAL_BYTES:,} bytes",
            got=f"{sum(chosen.values()):,}",
            then="Import a subfolder.",
        )


def _check_name(url: Url, name: str, chosen: Collection[str]) -> None:
    parts = name.split("/")
    odd = "\\" in name or any(ord(letter) < 32 or ord(letter) == 127 for letter in name)
    if odd or any(part in ("", ".", "..") for part in parts):
        raise FormatError("unsafe object name", where=str(url), got=repr(name)[:200])
    long = any(len(part.encode("utf-8", "replace")) > _MAX_NAME_BYTES for part in parts)
    above = ("/".join(parts[:count]) for count in range(1, len(parts)))
    if long or any(folder in chosen for folder in above):
        raise FormatError(
            "object name is not a valid file name",
            where=str(url),
            expected=f"parts of at most {_MAX_NAME_BYTES} bytes, no folder named like a photo",
            got=repr(name)[:200],
            then="Give the object another name, or import a folder without it.",
        )
