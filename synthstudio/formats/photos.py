"""Photos and videos without labels: frames without people, to be labelled in review.

A photo that browsers display correctly is copied unchanged. One with an EXIF rotation, of CMYK or
with transparency is re-encoded upright as a JPEG, so that labels match the display. A video is
decoded once, from start to end, as one clip.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthstudio.core import images
from synthstudio.core.errors import AssetError, FormatError
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.video import VIDEOS, stated_rate_hz, timed_frames
from synthstudio.dataset.durable import disk_errors, scratch_folder
from synthstudio.formats import checked
from synthstudio.formats.exchange import Opened, ReadSample, Skipped

QUALITY = 95
RATE_HZ = 1.0
MAX_LISTED = 20
_ROUNDING = 1e-6
_PLAIN = ("RGB", "L")


@dataclass(frozen=True)
class _Photo:
    """A usable photo; `anew`: it is re-encoded."""

    path: Path
    name: str
    width_px: int
    height_px: int
    anew: bool


def open_photos(
    path: Path, skeleton: Skeleton, *, rate_hz: float = RATE_HZ, every: int | None = None, out: Path
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
    data = images.read_bytes(path)
    width, height = images.check_rgb(data, str(path))
    anew = images.decode(
        data,
        str(path),
        lambda image: image.getexif().get(0x0112, 1) != 1 or image.mode not in _PLAIN,
    )
    return _Photo(path, name, width, height, anew)


def _samples(photos: list[_Photo], skeleton: Skeleton) -> Iterator[ReadSample]:
    for photo in photos:
        data = images.read_bytes(photo.path)
        if photo.anew:
            data = images.encode_jpeg(images.decode_rgb(data, str(photo.path)), QUALITY)
        yield _row(photo.name, photo.width_px, photo.height_px, skeleton), [], data


def _row(
    name: str, width: int, height: int, skeleton: Skeleton, **clip: str | int | float | None
) -> dict[str, Any]:
    row = checked.frame_of(
        index=0, file_name=name, width=width, height=height, skeleton=skeleton.name, **clip
    )
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
    hz = 0.0 if every is not None else _rate_hz(path)
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
            width, height = images.image_size(folder / name)
            number = name.removesuffix(".jpg")
            row = _row(
                f"{path.name}#{number}",
                width,
                height,
                skeleton,
                clip_id=path.name,
                clip_frame=place,
                clip_frames=len(names),
                time_s=times_s[name] if math.isfinite(times_s[name]) else None,
            )
            yield row, [], (folder / name).read_bytes()

    return Opened(skeleton=skeleton, samples=samples(), names=names, close=kept.close)


def _rate_hz(path: Path) -> float:
    stated = stated_rate_hz(path)
    if not stated:
        raise FormatError(
            "the video's frame rate is unknown",
            where=str(path),
            then="Pass --every 10 instead.",
        )
    return stated
