"""WebDataset shards: 000000.tar, … each with NAME.jpg and NAME.json per frame.

NAME.json is {"frame": row, "people": [rows], "keypoints": names}, the whole rows of dataset/rows.py
with null for NaN, so no sidecar is needed. Headers of members hold no time, owner or host.
"""

import io
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import IO, Any

from synthstudio.core.errors import FormatError
from synthstudio.core.labels import FRAME_LABELS, LABELS
from synthstudio.core.safe_json import parse
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.rows import Row
from synthstudio.formats import checked
from synthstudio.formats.checked import check_sample, from_json_row, to_json_row
from synthstudio.formats.coco.entries import dump
from synthstudio.formats.exchange import Opened, Picture, ReadSample, Target

SHARD_FRAMES = 1000
MAX_JSON_BYTES = 64 * 1024 * 1024
MAX_IMAGE_BYTES = 256 * 1024 * 1024
_MEMBER = re.compile(r"([0-9]{6,12})\.(jpg|png|webp|bmp|json)")


def to_webdataset(frame: Row, people: Iterable[Row]) -> bytes:
    value = {
        "frame": to_json_row({name: frame[name] for name in FRAME_LABELS}),
        "people": [to_json_row({name: row[name] for name in LABELS}) for row in people],
        "keypoints": list(get_skeleton(frame["skeleton"]).joints),
    }
    return dump(value).encode("utf-8")


def from_webdataset(data: bytes, where: str) -> tuple[Row, list[Row]]:
    """Undo `to_webdataset`; FormatError."""
    value = parse(data, where)
    with checked.reading(where):
        frame = from_json_row(value["frame"], FRAME_LABELS)
        people = [from_json_row(row, LABELS) for row in value["people"]]
        check_sample(frame, people)
    return frame, people


def write(pictures: Iterable[Picture], out: Path, target: Target) -> Path:
    """Write the shards into `out`; return it. OSError."""
    rest = iter(pictures)
    for number, first in enumerate(rest):
        with tarfile.open(out / f"{number:06d}.tar", "w", format=tarfile.USTAR_FORMAT) as shard:
            for frame, people, data in chain([first], islice(rest, SHARD_FRAMES - 1)):
                _add(shard, frame["file_name"], data)
                stem = frame["file_name"].partition(".")[0]
                _add(shard, f"{stem}.json", to_webdataset(frame, people))
    return out


def _add(shard: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(data), 0, 0o644
    shard.addfile(member, io.BytesIO(data))


def read(path: Path, images: Path | None, also: Sequence[str]) -> Opened:
    """Open a folder of shards; images are in them. FormatError."""
    shards = sorted(path.glob("*.tar")) if path.is_dir() else [path]
    if not shards:
        raise FormatError("no shards here", where=str(path), expected="*.tar")
    names = (name for shard in shards for name, _ in _pairs(shard, with_bytes=False))
    numbers = [int(name.partition(".")[0]) for name in names]
    if any(b <= a for a, b in pairwise(numbers)):
        raise FormatError("frames are duplicated or out of order", where=str(path))
    kind = _first_skeleton(shards)

    def samples() -> Iterator[ReadSample]:
        for shard in shards:
            for name, (image, data) in _pairs(shard, with_bytes=True):
                where = f"{shard.name}, {name}"
                frame, people = from_webdataset(data, where)
                if frame["index"] != int(name.partition(".")[0]) or (
                    frame["skeleton"] != kind.name
                ):
                    raise FormatError("a frame of another data set", where=where)
                yield frame, people, image

    return Opened(skeleton=kind, samples=samples(), numbers=numbers)


def _first_skeleton(shards: Sequence[Path]) -> Skeleton:
    for shard in shards:
        for name, (_, data) in _pairs(shard, with_bytes=True):
            return get_skeleton(from_webdataset(data, f"{shard.name}, {name}")[0]["skeleton"])
    raise FormatError("the shards are empty", where=str(shards[0]))


def _pairs(shard: Path, *, with_bytes: bool) -> Iterator[tuple[str, tuple[bytes, bytes]]]:
    """Yield the image's name, image and JSON of each sample; or b"" without `with_bytes`."""
    kept: tuple[str, bytes] | None = None
    for name, data in _members(shard, with_bytes=with_bytes):
        found = _MEMBER.fullmatch(name)
        where = f"{shard.name}, {name[:80]}"
        if found is None:
            raise FormatError(
                "no member of a shard", where=where, expected="000000.jpg or 000000.json"
            )
        if found[2] != "json":
            if kept is not None:
                raise FormatError("an image without its JSON", where=where)
            kept = (name, data)
        elif kept is None or kept[0].partition(".")[0] != found[1]:
            raise FormatError("a JSON without its image before it", where=where)
        else:
            yield kept[0], (kept[1], data)
            kept = None
    if kept is not None:
        raise FormatError("an image without its JSON", where=f"{shard.name}, {kept[0]}")


def _members(shard: Path, *, with_bytes: bool) -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes) of plain files only; nothing is unpacked to disk."""
    if not shard.is_file():
        raise FormatError("there is no such file", where=str(shard))
    try:
        with (
            shard.open("rb") as file,
            tarfile.open(fileobj=_Bounded(file), mode="r:", errors="strict") as archive,
        ):
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # it would keep every header
                limit = MAX_JSON_BYTES if member.name.endswith(".json") else MAX_IMAGE_BYTES
                if not member.isreg() or member.issparse() or not 0 <= member.size <= limit:
                    raise FormatError(
                        "not a plain file, or too large",
                        where=f"{shard.name}, {member.name[:80]}",
                        got=f"{member.size} bytes",
                    )
                data = b""
                if with_bytes:
                    opened = archive.extractfile(member)
                    data = opened.read() if opened else b""
                    if len(data) != member.size:
                        raise FormatError("the shard is truncated", where=shard.name)
                yield member.name, data
    except (tarfile.TarError, OSError, ValueError, EOFError, OverflowError) as error:
        raise FormatError(f"not a tar file: {str(error)[:200]}", where=str(shard)) from error


class _Bounded:
    """A file that limits the size of a single read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > MAX_IMAGE_BYTES:
            raise FormatError("a header declares too many bytes", where="tar", got=f"{size} bytes")
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
