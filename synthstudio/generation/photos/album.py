"""Annotated photos, checked once and stored on disk for random access by workers.

Annotations are read by the common importer (formats/coco/file.py).
"""

import hashlib
import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from synthstudio.core.errors import AssetError, FormatError, SynthStudioError
from synthstudio.core.images import check_rgb, read_bytes
from synthstudio.core.safe_files import file_inside, plain_name
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.durable import file_sha256
from synthstudio.dataset.manifest import AssetRow
from synthstudio.dataset.rows import Row
from synthstudio.formats.coco.file import CocoFile
from synthstudio.props.assets import credits

ALBUM_NAME = "album.sqlite"
_SHOWN = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """A photo and its annotations as rows of the tables."""

    name: str  # below the folder of photos
    sha256: str
    frame: Row
    people: list[Row]


@dataclass(kw_only=True)
class Gathered:
    """The annotated photos. `notes` count left-out entries."""

    album: Path
    count: int
    skeleton: Skeleton
    sha256: str
    assets: list[AssetRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Album:
    """Samples on disk by index."""

    def __init__(self, path: Path) -> None:
        self._base = sqlite3.connect(f"file:{path}?mode=ro", uri=True)

    def sample(self, place: int) -> Sample:
        row = self._base.execute("SELECT value FROM samples WHERE place = ?", (place,)).fetchone()
        return Sample(**json.loads(row[0]))


def gather(annotations: Path, images: Path, folder: Path, *, skip_broken: bool = False) -> Gathered:
    """Read and check every annotation and photo; the album is written to `folder`.

    Photos without an annotated person are left out and counted. A photo that is missing, broken,
    too large or of another size than annotated is an AssetError naming the first few, or
    with `skip_broken` left out and counted. A file name outside `images` is always a
    FormatError, as are invalid annotations.
    """
    if not images.is_dir():
        raise AssetError("no such folder", where=str(images), expected="the photos")
    with closing(CocoFile(annotations, images=images)) as opened:
        made = Gathered(
            album=folder / ALBUM_NAME,
            count=0,
            skeleton=opened.skeleton,
            sha256=file_sha256(annotations),
        )
        made.album.unlink(missing_ok=True)
        with closing(sqlite3.connect(made.album)) as base:
            base.execute("CREATE TABLE samples (place INTEGER PRIMARY KEY, value TEXT)")
            _store_samples(base, opened, images, made, skip_broken)
            base.commit()
        made.assets += opened.assets
        made.notes += opened.notes
    if not made.count:
        raise FormatError(
            "no photo with an annotated person",
            where=str(annotations),
            got="; ".join(made.notes) or "no people",
        )
    return made


def _store_samples(
    base: sqlite3.Connection, opened: CocoFile, images: Path, made: Gathered, skip: bool
) -> None:
    faults: list[str] = []
    left_out: Counter[str] = Counter()
    own = credits(images)
    for frame, people in opened.samples():
        if not people:
            left_out["photo without annotated people"] += 1
            continue
        name = plain_name(frame["file_name"], where=f"image {frame['index']}")
        try:
            sha256 = _checked(images, name, (frame["width_px"], frame["height_px"]))
        except SynthStudioError as error:
            faults.append(str(error))
            left_out["photo that cannot be used"] += 1
            continue
        sample = {"name": name, "sha256": sha256, "frame": frame, "people": people}
        base.execute("INSERT INTO samples VALUES (?, ?)", (made.count, json.dumps(sample)))
        made.count += 1
        more = own.get(name, ("", ""))
        made.assets.append(
            AssetRow(
                sha256=sha256,
                name=name,
                licence=opened.licence or more[0],
                source=opened.source or more[1],
                category="photo",
            )
        )
    made.notes += [f"{n} x {what}" for what, n in sorted(left_out.items())]
    if faults and not skip:
        more_text = f"\nand {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise AssetError(
            "\n".join(faults[:_SHOWN])
            + more_text
            + "\nFix them, or leave such photos out with --skip-broken."
        )
    made.notes += faults[:_SHOWN]


def _checked(images: Path, name: str, size: tuple[int, int]) -> str:
    """The hash of a photo, after checks of decoding and annotated size."""
    data = read_bytes(file_inside(images, name, where=name))
    found = check_rgb(data, name)
    if found != size:
        rotated = found == (size[1], size[0])
        raise AssetError(
            "the photo has another size than its annotations",
            where=name,
            expected=f"{size[0]} x {size[1]}",
            got=f"{found[0]} x {found[1]}" + (", turned by its EXIF" if rotated else ""),
            then="Annotations are of the upright photo: fix its EXIF or the annotations."
            if rotated
            else None,
        )
    return hashlib.sha256(data).hexdigest()
