"""Reading and writing COCO keypoint files. Meaning of keys: `entries.INFO`, in each file.

    samples (frame row, its instance rows) ──► coco_writer ──► a JSON file per split
    file ──► file.CocoFile ──► samples

Image id = frame index; annotation id = frame index x 1000 + instance: the same person has the
same id in every export.
"""

from __future__ import annotations

import heapq
import shutil
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from pathlib import Path
from pprint import pformat
from typing import IO, Any

from synthstudio.core.errors import FormatError, SynthStudioError
from synthstudio.core.safe_files import file_inside
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.durable import atomic_file, disk_errors
from synthstudio.dataset.manifest import AssetRow
from synthstudio.dataset.rows import Row
from synthstudio.formats.coco.entries import (
    REALS,
    annotation_entries,
    dump,
    dump_entry,
    head,
    image_entry,
    instance_row,
)
from synthstudio.formats.coco.file import (
    ANNOTATIONS,
    IMAGES,
    PREFIX,
    CocoFile,
    annotation_files,
    image_folder,
)
from synthstudio.formats.exchange import (
    Opened,
    Picture,
    ReadSample,
    Skipped,
    Target,
)

MMPOSE = "mmpose_dataset.py"
_OTHERS_IDS = "People of imported pictures; image ids are those of the file they came from"
"""Replaces our description, which states that image ids are frame indices."""
_STANDARD = ("id", "bbox", "area", "segmentation", "keypoints")


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """The top-level keys, image entries and annotations of a variant of COCO."""

    head: Callable[[Skeleton, Sequence[AssetRow]], Row]
    image: Callable[[Mapping[str, Any]], Row]
    people: Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]], bool], list[Row]]


def mmpose_metainfo(skeleton: Skeleton) -> str:
    """MMPose's description of the joints: `metainfo=dict(from_file="mmpose_dataset.py")`."""
    names, colour = skeleton.joints, [51, 153, 255]
    info = {
        "dataset_name": skeleton.title,
        "keypoint_info": {
            j: {
                "name": name,
                "id": j,
                "color": colour,
                "type": "",
                "swap": "" if skeleton.flip[j] == j else names[skeleton.flip[j]],
            }
            for j, name in enumerate(names)
        },
        "skeleton_info": {
            k: {"link": (names[a], names[b]), "id": k, "color": colour}
            for k, (a, b) in enumerate(skeleton.edges)
        },
        "joint_weights": [1.0] * len(names),
        "sigmas": skeleton.sigmas.tolist(),
    }
    return f"dataset_info = {pformat(info, sort_dicts=False)}\n"


OWN = Dialect(head=head, image=image_entry, people=annotation_entries)


def write(
    pictures: Iterable[Picture], out: Path, target: Target, *, dialect: Dialect = OWN
) -> Path:
    """Write a file per split; return the file, or the folder of several."""
    folder = out / ANNOTATIONS
    folder.mkdir()
    with ExitStack() as stack:
        writers: dict[str, CocoWriter] = {}

        def writer(split: str) -> CocoWriter:
            if split not in writers:
                path = folder / f"{PREFIX}{split}.json"
                writers[split] = stack.enter_context(coco_writer(path, target, dialect))
            return writers[split]

        for frame, people, _ in pictures:
            name = Path(frame["file_name"])
            writer(name.parent.name).add({**frame, "file_name": name.name}, people)
        if not writers:
            (out / IMAGES / "train").mkdir()
            writer("train")
    if dialect is OWN:
        (out / MMPOSE).write_text(mmpose_metainfo(target.skeleton), encoding="utf-8")
    return folder if len(writers) > 1 else folder / f"{PREFIX}{next(iter(writers))}.json"


def read(
    path: Path,
    images: Path | None,
    also: Sequence[str],
    *,
    opener: Callable[[Path, Skeleton | None, Skipped, Path | None], CocoFile] = CocoFile,
    skeleton: Skeleton | None = None,
) -> Opened:
    """Open a COCO file, or the folder of an export with a file per split; FormatError.

    Images are in `images`, or where `image_folder` says. `skeleton`: that of its people.
    """
    with ExitStack() as stack:
        files = annotation_files(path) if path.is_dir() else [path]
        left_out = Skipped()
        parts = [stack.enter_context(closing(opener(f, skeleton, left_out, images))) for f in files]
        found = parts[0].skeleton
        if any(part.skeleton.name != found.name for part in parts):
            raise FormatError("the splits have different skeletons", where=str(path))
        ids = sorted(number for part in parts for number in part.ids())
        together = all(part.own and part.numbered for part in parts)
        together = together and all(map(int.__lt__, ids, ids[1:]))
        last = parts[:1]

        def samples() -> Iterator[ReadSample | SynthStudioError]:
            each = [_samples(part, images) for part in parts]
            merged = heapq.merge(*each, key=itemgetter(0)) if together else chain(*each)
            for _, last[0], sample in merged:
                yield sample

        close = stack.pop_all().close
    assets = {row: None for part in parts for row in part.assets}
    return Opened(
        skeleton=found,
        numbers=array("q", ids) if together else range(len(ids)),
        samples=samples(),
        assets=list(assets),
        left_out=left_out,
        source=lambda: last[0].source_row(named=not together),
        close=close,
    )


def _samples(
    file: CocoFile, images: Path | None
) -> Iterator[tuple[int, CocoFile, ReadSample | SynthStudioError]]:
    """Each image's index, its file, and its sample: known by its split's folder and its name."""
    root = images or image_folder(file.path)
    split = "" if root == file.path.parent else file.path.stem.removeprefix(PREFIX)
    in_layout = images is None and split
    for index, found in file.all_samples():
        if isinstance(found, SynthStudioError):
            yield index, file, found
            continue
        frame, people = found
        name = frame["file_name"]
        named = f"{IMAGES}/{split}/{name}" if in_layout else name
        try:
            image = file_inside(root, name, where=f"image {index}")
        except FormatError as error:
            file.left_out["person in a picture that is left out"] += len(people)
            yield index, file, error
            continue
        yield index, file, ({**frame, "file_name": named}, people, image)


def round_trip(frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
    """Return the people as read back; without `extras` only the standard keys."""
    joints = len(get_skeleton(frame["skeleton"]).joints)
    entries = annotation_entries(frame, people)
    if not extras:
        entries = [{name: entry[name] for name in _STANDARD} for entry in entries]
    return [instance_row(entry, frame, n, joints) for n, entry in enumerate(entries, 1)]


@contextmanager
def coco_writer(path: Path, target: Target, dialect: Dialect = OWN) -> Iterator[CocoWriter]:
    """Yield a writer of a COCO file, created if the body succeeds; DiskError."""
    with (
        disk_errors(path),
        tempfile.TemporaryFile("w+", dir=path.parent, encoding="utf-8") as images,
        atomic_file(path) as file,
    ):
        writer = CocoWriter(file=file, images=images, polygons=target.polygons, dialect=dialect)
        file.write('{\n"annotations": [')
        yield writer
        top = dialect.head(target.skeleton, target.assets)
        writer.finish({**top, "info": {**top["info"], **target.contents.notes()}})


@dataclass(kw_only=True)
class CocoWriter:
    """Writes a COCO file with a few frames in memory; deterministic.

    `file_name` is that of the frame rows. `images` buffers entries that follow
    annotations in the file. `polygons` writes modal masks as polygons instead of run-length codes.
    """

    file: IO[str]
    images: IO[str]
    polygons: bool
    dialect: Dialect = OWN
    count: int = 0
    frames: int = 0
    _named: bool = False

    def add(self, frame: Mapping[str, Any], people: Sequence[Mapping[str, Any]]) -> None:
        """Write a frame and its sufficiently visible people; `source_id`: that of its file."""
        image = self.dialect.image(frame)
        entries = self.dialect.people(frame, people, self.polygons)
        if "source_id" in frame:
            image["id"], self._named = frame["source_id"], True
            entries = [{**entry, "image_id": image["id"]} for entry in entries]
        self.images.write((",\n" if self.frames else "\n") + dump(image))
        self.frames += 1
        for entry in entries:
            self.file.write((",\n" if self.count else "\n") + dump_entry(entry, REALS))
            self.count += 1

    def finish(self, head_entries: Row) -> None:
        self.file.write("\n]")
        if self._named:
            info = head_entries["info"]
            head_entries = {**head_entries, "info": {**info, "description": _OTHERS_IDS}}
        for name, value in sorted(head_entries.items()):
            if name == "info":
                self.file.write(',\n"images": [')
                self.images.seek(0)
                shutil.copyfileobj(self.images, self.file, 1 << 13)
                self.file.write("\n]")
            self.file.write(f',\n"{name}": {dump(value)}')
        self.file.write("\n}\n")
