"""Import of another tool's file or folder as a data set.

Imported files are not trusted: see core/safe_json.py, safe_files.py, masks.py
and formats/checked.py. Images are decoded once and copied; nothing outside `out` is written.
"""

import hashlib
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthstudio.core.errors import AssetError, FormatError, SynthStudioError
from synthstudio.core.images import SUFFIX_OF, decode, read_bytes
from synthstudio.core.places import free_folder
from synthstudio.core.progress import people_text
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset import manifest, shards
from synthstudio.dataset.durable import disk_errors, whole_folder
from synthstudio.dataset.rows import FRAME_SCHEMA, INSTANCE_SCHEMA, Row, write_parquet, write_table
from synthstudio.dataset.writer import open_or_create
from synthstudio.formats import FORMATS, Format, checked, exchange, get_format
from synthstudio.formats.coco.file import ANNOTATIONS
from synthstudio.formats.exchange import MIN_AREA_PX, Opened, ReadSample, Skipped, exportable
from synthstudio.formats.joints import as_exported, convert_row
from synthstudio.formats.sidecar import FOLDER, HEAD_NAME, Sidecar, restore

ABSENT = "absent"
_MAX_ABSENT = 64


@dataclass(kw_only=True)
class Imported:
    """Result of an import. `left_out`: skipped entries by reason, as in `notes`."""

    folder: Path
    frames: int = 0
    people: int = 0
    edited: int = 0
    notes: list[str] = field(default_factory=list)
    left_out: Skipped = field(default_factory=Skipped)

    def as_json(self) -> dict[str, Any]:
        left_out = {what: n for what, n in sorted(self.left_out.items()) if n}
        return {**vars(self), "folder": str(self.folder), "left_out": left_out}

    def text(self) -> str:
        head = f"{self.frames} images, {self.people} people in {self.folder}"
        return "\n".join([head, *self.notes])


def import_from(
    format_name: str,
    path: Path,
    out: Path,
    *,
    images: Path | None = None,
    skeleton: Skeleton | None = None,
) -> Imported:
    """Make the data set `out` from another tool's file or folder, atomically.

    `images`: folder of images, if not beside the file. `skeleton`: that of its joints; default: a
    built-in one, or the one defined by our export. Data that our export put into synthstudio/ are
    restored for entries that are unchanged. FormatError, AssetError: invalid input; DiskError:
    `out` is not free, or writing failed.
    """
    source = get_format(format_name)
    imported = Imported(folder=out)
    free_folder(out)
    sidecar = _open_sidecar(path if path.is_dir() else path.parent, imported)
    names = sidecar.names if sidecar else ()
    wanted = _target_skeleton(format_name, source, sidecar, skeleton)
    more = {} if wanted is None else {"skeleton": wanted}
    opened = source.read(path, images, names, **more)
    return import_opened(opened, sidecar, format_name, imported)


def _target_skeleton(
    format_name: str, source: Format, sidecar: Sidecar | None, skeleton: Skeleton | None
) -> Skeleton | None:
    """The skeleton to read a file with; None: the file defines it. FormatError."""
    stored = sidecar.skeleton if sidecar is not None else None
    if skeleton is None:
        return stored if stored is not None and stored.own and source.own_skeletons else None
    if not source.own_skeletons:
        able = ", ".join(name for name, each in FORMATS.items() if each.own_skeletons)
        raise FormatError(
            "files of this format define their skeleton",
            where="skeleton",
            expected=f"a file of {able}",
            got=format_name,
        )
    if stored is not None and stored.name != skeleton.name:
        raise FormatError(
            "exported from a data set of another skeleton",
            where=FOLDER,
            expected=stored.title,
            got=skeleton.title,
            then="Leave --skeleton out.",
        )
    return skeleton


def import_opened(
    opened: Opened, sidecar: Sidecar | None, format_name: str, imported: Imported
) -> Imported:
    """Make the data set from opened frames, which are closed, as `import_from`."""
    imported.left_out = opened.left_out
    try:
        _write_dataset(opened, sidecar, format_name, imported)
    finally:
        opened.close()
    if imported.edited:
        imported.notes.append(f"Edited or new since the export: {people_text(imported.edited)}.")
    lines = [*opened.notes(), *opened.left_out.lines()]
    imported.notes += [f"Not imported: {note}." for note in lines]
    return imported


def _write_dataset(
    opened: Opened, sidecar: Sidecar | None, format_name: str, imported: Imported
) -> None:
    numbers = _frame_indices(opened, sidecar)
    if not len(numbers):
        empty = FormatError("no pictures found", where=format_name)
        raise next(iter(opened.left_out.errors.values()), empty)
    skeleton = sidecar.skeleton if sidecar else opened.skeleton
    identity = manifest.Identity(
        recipe={
            "name": "imported",
            "description": f"People imported from a file of the format {format_name}."
            if format_name in FORMATS
            else "Photos without labels.",
            "imported": {"format": format_name, "of": sidecar.identity if sidecar else None},
        },
        assets=tuple(sidecar.assets if sidecar else opened.assets),
        seed=sidecar.seed if sidecar else 0,
        skeleton=skeleton.name,
        frames=numbers[-1] + 1,
        versions=manifest.package_versions(),
        machine=manifest.machine_kind("cpu"),
    )
    merger = _Merger(FORMATS.get(format_name), sidecar, skeleton, imported)
    out = imported.folder
    with whole_folder(out) as unfinished, open_or_create(unfinished, identity) as session:
        samples = zip(numbers, opened.samples, strict=True)
        pending = next(samples, None)
        for shard in session.todo:
            indices = identity.frames_of(shard)
            frames: list[_Frame] = []
            temporary = shards.new_temporary(unfinished, shard)
            while pending is not None and pending[0] in indices:
                try:
                    frames.append(merger.frame(*pending, temporary, opened.source()))
                except (AssetError, FormatError) as error:
                    if sidecar is not None:
                        raise
                    opened.left_out.add("picture", error)
                    sample = pending[1]
                    if not isinstance(sample, SynthStudioError) and sample[1]:
                        opened.left_out["person in a picture that is left out"] += len(sample[1])
                pending = next(samples, None)
            session.publish(_write_shard(temporary, shard, indices, frames))
        errors = opened.left_out.errors
        if errors and (not imported.frames or ("annotation" in errors and not imported.people)):
            raise next(iter(errors.values()))
        session.finish()


_Frame = tuple[Row, list[Row], Row]
"""A row to store, those of its people, and its row in SOURCES_NAME."""


@dataclass(frozen=True)
class _Merger:
    source: Format | None
    """None: not our export, so no sidecar."""
    sidecar: Sidecar | None
    skeleton: Skeleton
    imported: Imported

    def frame(
        self, index: int, sample: ReadSample | SynthStudioError, shard: Path, source: Row
    ) -> _Frame:
        """Return the frame under its new index; its image is checked and saved in `shard`."""
        if isinstance(sample, SynthStudioError):
            raise sample
        read, people, image = sample
        name = read["file_name"]
        stored = self.sidecar.frame(name) if self.sidecar else None
        if self.sidecar and stored is not None:
            numbers = [row["instance"] for row in people]
            frame, people = stored, self._restored(read, people, stored, self.sidecar)
            of = dict(zip(numbers, (row["instance"] for row in people), strict=False))
            ids = json.loads(source["people"]).items()
            source |= {"people": json.dumps({of.get(int(n), n): one for n, one in ids})}
            people.sort(key=lambda row: row["instance"])
        else:
            frame, people = read, self._converted(people, read)
        data = image if isinstance(image, bytes) else read_bytes(image)
        suffix = _check_image(data, (read["width_px"], read["height_px"]), name)
        row = frame | {
            "skeleton": self.skeleton.name,
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
        self.imported.frames += 1
        self.imported.people += len(people)
        people = [{**person, "frame_index": index} for person in people]
        for person in people:
            person.pop(exchange.KEPT_NUMBER, None)
        return row, people, {"index": index, "name": name, **source}

    def _converted(self, people: Sequence[Row], frame: Row) -> list[Row]:
        return [convert_row(row, frame, self.skeleton) for row in people]

    def _restored(self, read: Row, people: list[Row], frame: Row, sidecar: Sidecar) -> list[Row]:
        """Return the rows of the people read, in their order, then of those left out."""
        size = [(row["width_px"], row["height_px"]) for row in (read, frame)]
        if size[0] != size[1]:
            raise FormatError(
                "the picture's size differs from the sidecar's",
                where=read["file_name"],
                expected=str(size[1]),
                got=str(size[0]),
            )
        complete = [_is_complete(row) for row in people]
        contents = sidecar.contents
        all_joints = contents.hidden_faces and contents.joints == "all"
        same = read["skeleton"] == self.skeleton.name and all_joints
        if all(complete) and same:
            left_out = sidecar.people(frame, below_px=MIN_AREA_PX)
        else:
            stored = sidecar.people(frame)
            exported = exportable(stored)
            left_out = [row for row in stored if not any(row is other for other in exported)]
            target = get_skeleton(read["skeleton"])
            high_wide = (frame["height_px"], frame["width_px"])
            converted = [
                as_exported(convert_row(row, frame, target), high_wide, target, contents)
                for row in exported
            ]
            assert self.source is not None
            # Annotated people of a photo have only x, y and v: one with more is enough.
            with checked.reading(f"the sidecar's rows of {frame['file_name']}"):
                unedited = self.source.round_trip(
                    {**frame, "skeleton": target.name}, converted, any(complete)
                )
            people, edited = restore(
                self._converted(people, read),
                self._converted(unedited, read),
                exported,
                sigmas=self.skeleton.sigmas,
                last=max((row["instance"] for row in stored), default=0),
                has_boxes=self.source.has_boxes,
            )
            self.imported.edited += edited
        return [*people, *left_out]


def _is_complete(row: Row) -> bool:
    return row["origin"] != ["human"] * len(row["origin"]) or not all(
        map(math.isnan, row["visibility_fractions"])
    )


def _check_image(data: bytes, size: tuple[int, int], name: str) -> str:
    """The suffix of a picture's kind; AssetError, or FormatError for another size."""
    found, rotated, kind = decode(data, name, _image_properties)
    upright = (found[1], found[0]) if rotated else found
    if upright != size:
        raise FormatError(
            "the picture has another size",
            where=name,
            expected=f"{size[0]} x {size[1]}",
            got=f"{upright[0]} x {upright[1]}" + (", upright by its EXIF" if rotated else ""),
            then="Labels are of the upright picture." if rotated else None,
        )
    return SUFFIX_OF[kind]


def _image_properties(image: Any) -> tuple[tuple[int, int], bool, str]:
    """Size, whether EXIF turns it on its side, and kind; decode all, JPEG at 1/8."""
    size, kind = image.size, str(image.format)
    rotated = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    image.draft(None, (1, 1))
    image.load()
    return size, rotated, kind


def _open_sidecar(folder: Path, imported: Imported) -> Sidecar | None:
    """Open the sidecar in a folder, or beside one of annotations; another version is only noted."""
    if folder.name == ANNOTATIONS:
        folder = folder.parent
    if not (folder / FOLDER / HEAD_NAME).is_file():
        return None
    try:
        return Sidecar(folder)
    except FormatError as error:
        imported.notes.append(f"The sidecar was not used: {error}")
        return None


def _frame_indices(opened: Opened, sidecar: Sidecar | None) -> Sequence[int]:
    """A rising frame index for each sample: the known ones, unless they are far apart."""
    count = len(opened.names if opened.numbers is None else opened.numbers)
    known = opened.numbers
    if known is None and sidecar is not None:
        known = [i for name in opened.names if (i := sidecar.index_of(name)) is not None]
    if known is None or len(known) != count or (count and known[-1] >= 2 * count + _MAX_ABSENT):
        return range(count)
    return known if all(a < b for a, b in itertools.pairwise(known)) else range(count)


def _write_shard(
    temporary: Path, shard: int, indices: range, frames: Sequence[_Frame]
) -> shards.StagedShard:
    rows, sources = [row for row, _, _ in frames], [source for _, _, source in frames]
    present = {row["index"] for row in rows}
    people = [person for _, found, _ in frames for person in found]
    absent = [{"index": i, "error": ABSENT} for i in indices if i not in present]
    with disk_errors(temporary):
        (temporary / "images").mkdir(parents=True, exist_ok=True)
        write_parquet(temporary / shards.FRAMES_NAME, FRAME_SCHEMA, rows)
        write_parquet(temporary / shards.INSTANCES_NAME, INSTANCE_SCHEMA, people)
        write_table(temporary / shards.SOURCES_NAME, shards.sources_table(sources))
        return shards.seal(temporary, shard, indices.start, len(indices), len(people), absent)
