"""Another tool's folder taken in as a data set. Adding a format is adding it to SOURCES.

What the importers read is not trusted: see core/safe_json.py, safe_npz.py, safe_paths.py, rle.py
and formats/checked.py. Images are decoded once and copied; nothing outside `out` is written.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from synthstudio.core.errors import FormatError
from synthstudio.core.images import decode, read_bytes
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset import manifest
from synthstudio.dataset.durable import disk_errors, whole_folder
from synthstudio.dataset.rows import FRAME_SCHEMA, INSTANCE_SCHEMA, Row, write_parquet
from synthstudio.dataset.shards import (
    FRAMES_NAME,
    INSTANCES_NAME,
    StagedShard,
    new_temporary,
    seal,
)
from synthstudio.dataset.writer import open_or_create
from synthstudio.formats import (
    arrays,
    coco_file,
    cvat,
    huggingface,
    label_studio,
    mpii,
    ochuman,
    round_trip,
    webdataset,
    yolo,
)
from synthstudio.formats.coco_entries import LEAST_AREA_PX
from synthstudio.formats.exchange import Found, Taken, check_free, shown
from synthstudio.formats.joints import convert_frame, convert_row
from synthstudio.formats.sidecar import FOLDER, HEAD_NAME, Sidecar, restore

Reader = Callable[[Path, Path | None, Sequence[str]], Found]
SOURCES_NAME = "sources.parquet"
SOURCES_SCHEMA = pa.schema(
    [
        pa.field("index", pa.int64(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("licence", pa.string(), nullable=False),
    ]
)
"""Beside the tables of a shard: what each image was called, and its licence if it was stated."""
ABSENT = "absent"
_MOST_ABSENT = 64


@dataclass(frozen=True, kw_only=True)
class Source:
    """A format that is read. `echo`: what it would say of people if nobody had touched them."""

    read: Reader
    echo: round_trip.Echo = round_trip.whole
    boxed: bool = True  # it has a box for each person


SOURCES: dict[str, Source] = {
    "coco": Source(read=coco_file.read, echo=round_trip.coco),
    "crowdpose": Source(read=coco_file.read, echo=round_trip.coco),
    "ochuman": Source(read=ochuman.read, echo=round_trip.ochuman_),
    "yolo": Source(read=yolo.read, echo=round_trip.yolo_),
    "cvat": Source(read=cvat.read, echo=round_trip.cvat_, boxed=False),
    "webdataset": Source(read=webdataset.read),
    "huggingface": Source(read=huggingface.read),
    "label-studio": Source(read=label_studio.read, echo=round_trip.label_studio_),
    "mpii": Source(read=mpii.read, echo=round_trip.mpii_, boxed=False),
    "lsp": Source(
        read=functools.partial(
            arrays.read,
            name="joints.npz",
            joints="lsp14",
            columns=arrays.LSP,
            back=arrays.from_lsp,
        ),
        echo=round_trip.lsp,
        boxed=False,
    ),
    "h36m": Source(
        read=functools.partial(
            arrays.read,
            name="poses.npz",
            joints="h36m17",
            columns=arrays.H36M,
            back=arrays.from_h36m,
        ),
        echo=round_trip.h36m,
        boxed=False,
    ),
}


@dataclass(kw_only=True)
class Imported:
    """What an import made; `notes` say what was not taken over."""

    folder: Path
    frames: int = 0
    people: int = 0
    edited: int = 0
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it for --json."""
        return {
            "folder": str(self.folder),
            "frames": self.frames,
            "people": self.people,
            "edited": self.edited,
            "notes": self.notes,
        }

    def text(self) -> str:
        """Return it as lines."""
        return "\n".join(
            [f"{self.frames} images, {self.people} people in {self.folder}", *self.notes]
        )


def import_from(form_name: str, path: Path, out: Path, *, images: Path | None = None) -> Imported:
    """Make the data set `out` of another tool's file or folder, whole or not at all.

    `images`: where the pictures lie, if not beside the file. What our own export put into
    synthstudio/ is taken back for everything that the file still says. FormatError, AssetError:
    something is wrong with what is read; DatasetError: `out` is not free; DiskError.
    """
    made = Imported(folder=out)
    check_free(out)
    sidecar = _sidecar(path if path.is_dir() else path.parent, made)
    found = SOURCES[form_name].read(path, images, sidecar.names if sidecar else ())
    try:
        _fill(found, sidecar, form_name, made)
    finally:
        found.close()
    if made.edited:
        made.notes.append(f"{made.edited} people differ from what was exported: edits are kept.")
    made.notes += [f"Not taken over: {note}." for note in found.notes()]
    return made


def _fill(found: Found, sidecar: Sidecar | None, form_name: str, made: Imported) -> None:
    """Write the data set `made.folder` from what was found."""
    numbers = _numbers(found, sidecar)
    if not len(numbers):
        raise FormatError("there are no pictures in it", where=form_name)
    joints = sidecar.skeleton if sidecar else found.skeleton
    identity = manifest.Identity(
        recipe={
            "name": "imported",
            "description": f"People taken in from a file of the format {form_name}.",
            "imported": {"format": form_name, "of": sidecar.identity if sidecar else None},
        },
        assets=tuple(sidecar.assets if sidecar else found.assets),
        seed=sidecar.seed if sidecar else 0,
        skeleton=joints.name,
        frames=numbers[-1] + 1,
        versions=manifest.package_versions(),
        machine=manifest.machine_kind("cpu"),
    )
    taker = _Taker(SOURCES[form_name], sidecar, joints, made)
    out = made.folder
    with whole_folder(out) as unfinished, open_or_create(unfinished, identity) as session:
        frames = zip(numbers, found.samples, strict=True)
        kept = next(frames, None)
        for shard in session.todo:
            wanted = identity.frames_of(shard)
            mine: list[_Frame] = []
            temporary = new_temporary(unfinished, shard)
            while kept is not None and kept[0] in wanted:
                mine.append(taker.take(*kept, temporary, licence=found.licence()))
                kept = next(frames, None)
            session.publish(_write_shard(temporary, shard, wanted, mine))
        session.finish()


IMPORTERS: dict[str, Callable[..., Imported]] = {
    name: functools.partial(import_from, name) for name in SOURCES
}
"""Format -> (path, out, *, images) -> what was made."""


@dataclass(frozen=True)
class _Frame:
    """A frame as it is stored; `source` is its row in SOURCES_NAME."""

    row: Row
    people: list[Row]
    source: Row


@dataclass(frozen=True)
class _Taker:
    """Puts together what the file says and what the sidecar holds."""

    source: Source
    sidecar: Sidecar | None
    joints: Skeleton
    made: Imported

    def take(self, index: int, taken: Taken, shard: Path, *, licence: str) -> _Frame:
        """Return the frame under its new index; its image is checked and saved in `shard`."""
        said, people, image = taken
        name = said["file_name"]
        stored = self.sidecar.frame(name) if self.sidecar else None
        if self.sidecar and stored is not None:
            frame, people = stored, self._restored(said, people, stored, self.sidecar)
        else:
            frame, people = said, self._back(people, said)
        data = image if isinstance(image, bytes) else read_bytes(image)
        suffix = _check_image(data, (said["width_px"], said["height_px"]), name)
        row = convert_frame(frame, self.joints) | {
            "index": index,
            "file_name": f"images/{index:06d}{suffix}",
            "image_sha256": hashlib.sha256(data).hexdigest(),
            "layers": [],
            "group_id": frame["group_id"] or f"{index:06d}",
        }
        path = shard / row["file_name"]
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        self.made.frames += 1
        self.made.people += len(people)
        people = [{**person, "frame_index": index} for person in people]
        return _Frame(row, people, {"index": index, "name": name, "licence": licence})

    def _back(self, people: Sequence[Row], frame: Row) -> list[Row]:
        """Return rows of the file's skeleton in that of the data set."""
        return [convert_row(row, frame, self.joints) for row in people]

    def _restored(self, said: Row, people: list[Row], frame: Row, sidecar: Sidecar) -> list[Row]:
        size = [(row["width_px"], row["height_px"]) for row in (said, frame)]
        if size[0] != size[1]:
            raise FormatError(
                "the picture's size is not that of the sidecar",
                where=said["file_name"],
                expected=str(size[1]),
                got=str(size[0]),
            )
        whole = [_is_whole(row) for row in people]
        if all(whole) and said["skeleton"] == self.joints.name:
            hidden = sidecar.people(frame, below_px=LEAST_AREA_PX)
        else:
            stored = sidecar.people(frame)
            visible = shown(stored)
            hidden = [row for row in stored if not any(row is other for other in visible)]
            target = get_skeleton(said["skeleton"])
            converted = [convert_row(row, frame, target) for row in visible]
            # Annotated people of a photo say no more than x, y and v: one who does is enough.
            echo = self.source.echo(convert_frame(frame, target), converted, any(whole))
            people, edited = restore(
                self._back(people, said), self._back(echo, said), visible, boxed=self.source.boxed
            )
            self.made.edited += edited
        return sorted([*people, *hidden], key=lambda row: row["instance"])


def _is_whole(row: Row) -> bool:
    """Say whether a row knows more than x, y and v."""
    return row["origin"] != ["human"] * len(row["origin"]) or not all(
        map(math.isnan, row["shares"])
    )


def _check_image(data: bytes, size: tuple[int, int], name: str) -> str:
    """Return the suffix of a picture's kind; AssetError, or FormatError for another size."""
    found, turned, kind = decode(data, name, _facts)
    upright = (found[1], found[0]) if turned else found
    if upright != size:
        raise FormatError(
            "the picture has another size",
            where=name,
            expected=f"{size[0]} x {size[1]}",
            got=f"{found[0]} x {found[1]}" + (", to be turned by its EXIF" if turned else ""),
            then="Labels are of the upright picture." if turned else None,
        )
    return {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp"}[kind]


def _facts(image: Any) -> tuple[tuple[int, int], bool, str]:
    """Return size, whether EXIF turns it on its side, and kind; decode all, JPEG at 1/8."""
    size, kind = image.size, str(image.format)
    turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    image.draft(None, (1, 1))
    image.load()
    return size, turned, kind


def _sidecar(folder: Path, made: Imported) -> Sidecar | None:
    """Open the sidecar in a folder; one of another version is told of and not used."""
    if not (folder / FOLDER / HEAD_NAME).is_file():
        return None
    try:
        return Sidecar(folder)
    except FormatError as error:
        made.notes.append(f"The sidecar was not used: {error}")
        return None


def _numbers(found: Found, sidecar: Sidecar | None) -> Sequence[int]:
    """Return a rising frame index for each sample: those known, unless they are far apart."""
    count = len(found.numbers) if found.numbers is not None else len(found.names)
    known = found.numbers
    if known is None and sidecar is not None:
        indices = [sidecar.index_of(name) for name in found.names]
        known = [i for i in indices if i is not None]
    rising = (
        known is not None
        and len(known) == count
        and all(a < b for a, b in itertools.pairwise(known))
    )
    if known is None or not rising or (count and known[-1] >= 2 * count + _MOST_ABSENT):
        return range(count)
    return known


def _write_shard(
    temporary: Path, shard: int, wanted: range, frames: Sequence[_Frame]
) -> StagedShard:
    """Write the tables beside the images; indices without a frame are noted as absent."""
    present = {frame.row["index"] for frame in frames}
    people = [row for frame in frames for row in frame.people]
    head = {
        "shard": shard,
        "first": wanted.start,
        "frames": len(wanted),
        "people": len(people),
        "failed": [{"index": i, "error": ABSENT} for i in wanted if i not in present],
    }
    sources = [frame.source for frame in frames]
    with disk_errors(temporary):
        (temporary / "images").mkdir(parents=True, exist_ok=True)
        write_parquet(temporary / FRAMES_NAME, FRAME_SCHEMA, [frame.row for frame in frames])
        write_parquet(temporary / INSTANCES_NAME, INSTANCE_SCHEMA, people)
        write_parquet(temporary / SOURCES_NAME, SOURCES_SCHEMA, sources)
        return seal(temporary, head)
