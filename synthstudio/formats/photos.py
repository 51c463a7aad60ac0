"""Photos and videos without labels: frames without people, to be labelled in review.

Those of an object store are fetched first (`fetched`). A photo that browsers display correctly is
copied unchanged. One with an EXIF rotation, of CMYK or with transparency is re-encoded upright as
a JPEG, so that labels match the display. A video is decoded once, from start to end, as one clip.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from synthstudio.core import images
from synthstudio.core.errors import AssetError, FormatError
from synthstudio.core.images import VIDEOS
from synthstudio.core.places import Url
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.video import stated_rate_hz, timed_frames
from synthstudio.dataset.durable import disk_errors, scratch_folder
from synthstudio.dataset.store import Store
from synthstudio.formats import checked
from synthstudio.formats.exchange import Opened, ReadSample, Skipped

MAX_PHOTOS = 20_000
MAX_VIDEO_BYTES = 2 * 2**30
MAX_TOTAL_BYTES = 50 * 2**30
"""Of all photos."""
_OTHERS = (
    ".csv", ".html", ".json", ".md", ".npz", ".parquet", ".pdf", ".txt", ".xml", ".yaml", ".zip",
)  # fmt: skip
"""Suffixes recognised without reading first bytes."""
_PIECE_BYTES = 8 * 2**20
_MAX_NAME_BYTES = 255  # of a file or folder, on nearly all disks
QUALITY = 95
MAX_LISTED = 20
_ROUNDING = 1e-6
_PLAIN = ("RGB", "L")


@dataclass(frozen=True)
class _Photo:
    """A usable photo of `size` (width, height); `anew`: it is re-encoded."""

    path: Path
    name: str
    size: tuple[int, int]
    anew: bool


def open_photos(
    path: Path, skeleton: Skeleton, *, rate_hz: float, every: int | None, out: Path
) -> Opened:
    """Open a photo, a folder of photos or a video as frames without people.

    A video is sampled at `rate_hz`, or at each `every`-th frame. `out`: the set that will
    be made; a video's frames are buffered beside it. Unusable photos are left out and noted;
    FormatError if none is usable.
    """
    if path.is_file() and path.suffix.lower() in VIDEOS:
        return _video(path, skeleton, rate_hz, every, out)
    if path.is_file():
        files, top, left_out = [path], path.parent, Skipped()
    else:
        top = path
        files, others = images.list_pictures(path)
        left_out = Skipped(others)
    if not files:
        raise FormatError(
            "no photos found",
            where=str(path),
            expected=f"files that end in {', '.join((*images.SUFFIXES, *VIDEOS))}",
            got="; ".join(left_out.lines()) or None,
        )
    photos: list[_Photo] = []
    wrong: list[str] = []
    for file in files:
        try:
            photos.append(_looked_at(file, file.relative_to(top).as_posix()))
        except AssetError as error:
            wrong.append(str(error))
    if not photos:
        raise FormatError("no usable photos", where=str(path), got=wrong[0])
    return Opened(
        skeleton=skeleton,
        samples=_samples(photos, skeleton),
        names=[photo.name for photo in photos],
        notes=lambda: _notes(photos, wrong),
        left_out=left_out,
    )


def _looked_at(path: Path, name: str) -> _Photo:
    """Decode a photo completely; AssetError if it is unusable."""
    shown = str(path).encode("utf-8", "backslashreplace").decode()
    if shown != str(path):
        raise AssetError("the file name is not UTF-8", where=shown, then="Rename the file.")
    data = images.read_bytes(path)
    size = images.check_rgb(data, str(path))
    anew = images.decode(
        data,
        str(path),
        lambda image: image.getexif().get(0x0112, 1) != 1 or image.mode not in _PLAIN,
    )
    return _Photo(path, name, size, anew)


def _samples(photos: list[_Photo], skeleton: Skeleton) -> Iterator[ReadSample]:
    for photo in photos:
        data = images.read_bytes(photo.path)
        if photo.anew:
            data = images.encode_jpeg(images.decode_rgb(data, str(photo.path)), QUALITY)
        yield _row(photo.name, photo.size, skeleton), [], data


def _row(
    name: str, size: tuple[int, int], skeleton: Skeleton, **clip: str | int | float | None
) -> dict[str, Any]:
    row = checked.frame_of(name, size, skeleton.name, **clip)
    checked.check_frame(row)
    return row


def _notes(photos: list[_Photo], wrong: list[str]) -> list[str]:
    found = [f"a photo that cannot be used: {text.rstrip('.')}" for text in wrong[:MAX_LISTED]]
    if len(wrong) > MAX_LISTED:
        found.append(f"{len(wrong) - MAX_LISTED} more such photos")
    rotated = sum(photo.anew for photo in photos)
    if rotated:
        found.append(
            f"the bytes of {rotated} photos, which were re-encoded: upright, RGB, JPEG {QUALITY}"
        )
    return found


def _video(path: Path, skeleton: Skeleton, rate_hz: float, every: int | None, out: Path) -> Opened:
    hz = stated_rate_hz(path) if every is None else 0.0
    if every is None and not hz:
        raise FormatError(
            "the video's frame rate is unknown", where=str(path), then="Pass --every 10 instead."
        )
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as waiting:
        folder = waiting.enter_context(scratch_folder(out))
        times_s: dict[str, float] = {}
        due = 0
        for number, (rgb, time_s) in enumerate(timed_frames(path)):
            if every is not None:
                place = number // every
            elif time_s == number / hz:
                place = int(number / (hz / rate_hz))
            else:
                place = int(time_s * rate_hz + _ROUNDING)
            if place >= due:
                file = folder / f"{number:08d}.jpg"
                with disk_errors(file):
                    file.write_bytes(images.encode_jpeg(rgb, QUALITY))
                times_s[file.name] = time_s
                due = place + 1
        kept = waiting.pop_all()

    names = list(times_s)

    def samples() -> Iterator[ReadSample]:
        for place, name in enumerate(names):
            number = name.removesuffix(".jpg")
            row = _row(
                f"{path.name}#{number}",
                images.image_size(folder / name),
                skeleton,
                clip_id=path.name,
                clip_frame=place,
                clip_frames=len(names),
                time_s=times_s[name] if math.isfinite(times_s[name]) else None,
            )
            yield row, [], (folder / name).read_bytes()

    return Opened(skeleton=skeleton, samples=samples(), names=names, close=kept.close)


@contextmanager
def fetched(url: Url, out: Path) -> Iterator[Path]:
    """Yield a photo, a folder of photos or a video of a store, which is only read.

    It is stored beside `out` and deleted at the end. FormatError, before fetching, if
    there are none, too many or too large ones, or if a name leaves the folder.
    """
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    one = PurePosixPath(url.name).suffix.lower() in (*images.SUFFIXES, *VIDEOS)
    store = Store(Url(url.scheme, url.path.rpartition("/")[0]) if one else url)
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
    if suffix in images.SUFFIXES or suffix in (*images.UNREAD, *VIDEOS, *_OTHERS):
        return suffix in images.SUFFIXES
    return images.is_image_header(store.read(name, part=(0, 12)) or b"")


def _check(url: Url, chosen: Mapping[str, int]) -> None:
    if not chosen:
        raise FormatError(
            "no photos found",
            where=str(url),
            expected=f"pictures, or objects that end in {', '.join((*images.SUFFIXES, *VIDEOS))}",
        )
    _at_most("too many photos", str(url), MAX_PHOTOS, len(chosen), then="Import a subfolder.")
    for name, size in chosen.items():
        is_video = PurePosixPath(name).suffix.lower() in VIDEOS
        maximum = MAX_VIDEO_BYTES if is_video else images.MAX_BYTES
        _at_most("the object is too large", f"{url}, {name}"[:300], maximum, size, " bytes")
        _check_name(url, name, chosen)
    total, then = sum(chosen.values()), "Import a subfolder."
    _at_most("too many bytes", str(url), MAX_TOTAL_BYTES, total, " bytes", then)


def _at_most(
    what: str, where: str, maximum: int, got: int, unit: str = "", then: str | None = None
) -> None:
    if got > maximum:
        expected = f"at most {maximum:,}{unit}"
        raise FormatError(what, where=where, expected=expected, got=f"{got:,}", then=then)


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
