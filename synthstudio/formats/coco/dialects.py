"""COCO keypoint files and COCO-WholeBody as formats. Meaning of keys: `entries.INFO`, in each file.

    samples (frame row, its instance rows) ──► coco_writer ──► a JSON file per split
    file ──► file.CocoFile ──► samples

Image id = frame index; annotation id = frame index x 1000 + instance: the same person has the
same id in every export.

COCO-WholeBody has COCO's keys for the body and additional ones for its parts. `keypoints` are the
17 of a body; `foot_kpts` (6), `face_kpts` (68), `lefthand_kpts` and `righthand_kpts` (21) are
x, y, v as those. Each part has `PART_valid`, and all but feet a `PART_box` x, y, w, h round its
labelled points. Annotators label a part only where it is clear enough, and then whole; here a part
is valid if any of its joints is labelled, also if hidden. The format:
github.com/jin-s13/COCO-WholeBody, data_format.md. To the sidecar: everything else.
"""

from __future__ import annotations

import heapq
import math
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

from synthstudio.core import whole_body
from synthstudio.core.errors import FormatError, SynthStudioError
from synthstudio.core.safe_files import file_inside
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.core.whole_body import SKELETON
from synthstudio.dataset.durable import atomic_file, disk_errors
from synthstudio.dataset.manifest import AssetRow
from synthstudio.dataset.rows import Row
from synthstudio.formats.checked import around_points
from synthstudio.formats.coco.entries import (
    INFO,
    REALS,
    annotation_entries,
    bad,
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
    split_of,
)
from synthstudio.formats.exchange import HALF_PX, Opened, Picture, ReadSample, Skipped, Target

MMPOSE = "mmpose_dataset.py"
_OTHERS_IDS = "People of imported pictures; image ids are those of the file they came from"
"""Replaces our description, which states that image ids are frame indices."""
_READ_BACK = ("id", "bbox", "area", "segmentation", "keypoints")


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """A variant of COCO: its top-level keys, image entries and annotations, and who reads them."""

    head: Callable[[Skeleton, Sequence[AssetRow]], Row]
    image: Callable[[Mapping[str, Any]], Row]
    people: Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]], bool], list[Row]]
    opener: type[CocoFile] = CocoFile
    mmpose: bool = False

    def write(self, pictures: Iterable[Picture], out: Path, target: Target) -> Path:
        """Write a file per split; return the file, or the folder of several. OSError, DiskError."""
        folder = out / ANNOTATIONS
        folder.mkdir()
        with ExitStack() as stack:
            writers: dict[str, CocoWriter] = {}

            def writer(split: str) -> CocoWriter:
                if split not in writers:
                    path = folder / f"{PREFIX}{split}.json"
                    writers[split] = stack.enter_context(coco_writer(path, target, self))
                return writers[split]

            for frame, people, _ in pictures:
                name = Path(frame["file_name"])
                writer(name.parent.name).add({**frame, "file_name": name.name}, people)
            if not writers:
                (out / IMAGES / "train").mkdir()
                writer("train")
        if self.mmpose:
            (out / MMPOSE).write_text(mmpose_metainfo(target.skeleton), encoding="utf-8")
        return folder if len(writers) > 1 else folder / f"{PREFIX}{next(iter(writers))}.json"

    def read(
        self,
        path: Path,
        images: Path | None,
        also: Sequence[str],
        *,
        skeleton: Skeleton | None = None,
    ) -> Opened:
        """Open a COCO file, or the folder of an export with a file per split; FormatError.

        Images are in `images`, or where `image_folder` says. `skeleton`: that of its people.
        """
        with ExitStack() as stack:
            files = annotation_files(path) if path.is_dir() else [path]
            left_out = Skipped()
            parts = [
                stack.enter_context(closing(self.opener(f, skeleton, left_out, images)))
                for f in files
            ]
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

    def round_trip(self, frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
        """Return the people as read back; without `extras` only the standard keys."""
        joints = len(get_skeleton(frame["skeleton"]).joints)
        entries = [self.opener.joined(entry) for entry in self.people(frame, people, False)]
        if not extras:
            entries = [{name: entry[name] for name in _READ_BACK} for entry in entries]
        return [instance_row(entry, frame, n, joints) for n, entry in enumerate(entries, 1)]


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
        people = [row | file.kept.get(row["instance"], {}) for row in people]
        stated = frame["split"] if file.own else frame["split"] or split_of(file.path)
        yield index, file, ({**frame, "file_name": named, "split": stated}, people, image)


@contextmanager
def coco_writer(path: Path, target: Target, dialect: Dialect) -> Iterator[CocoWriter]:
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
    dialect: Dialect
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


OWN = Dialect(head=head, image=image_entry, people=annotation_entries, mmpose=True)


# COCO-WholeBody -----------------------------------------------------------------------------------

PARTS = {name.replace("_", ""): at for name, at in whole_body.PARTS.items()}
"""Published name of a part -> indices of its joints in the skeleton."""
_BOXED = ("face", "lefthand", "righthand")
_STANDARD = (
    "id", "image_id", "category_id", "iscrowd", "bbox", "area", "segmentation",
    "modal_bbox", "amodal_bbox",  # the second tells whether `bbox` was edited
)  # fmt: skip
_IMAGE = ("id", "file_name", "width", "height", "date_captured", "split")


def keypoints_key(part: str) -> str:
    return "keypoints" if part == "body" else f"{part}_kpts"


def to_whole_body(
    frame: Mapping[str, Any], people: Sequence[Mapping[str, Any]], polygons: bool = False
) -> list[Row]:
    entries = annotation_entries(frame, people, polygons)
    own = [{name: e[name] for name in _STANDARD if name in e} for e in entries]
    return [row | _parts(e["keypoints"]) for row, e in zip(own, entries, strict=True)]


def _parts(keypoints: Sequence[float]) -> Row:
    out: Row = {}
    for part, at in PARTS.items():
        own = list(keypoints[3 * at.start : 3 * at.stop])
        out[keypoints_key(part)] = own
        if part == "body":
            out["num_keypoints"] = sum(v > 0 for v in own[2::3])
            continue
        out[f"{part}_valid"] = any(own[2::3])
        if part in _BOXED:
            points = zip(own[::3], own[1::3], own[2::3], strict=True)
            around = around_points([(x + HALF_PX, y + HALF_PX) for x, y, v in points if v])
            out[f"{part}_box"] = around
    return out


def joined_keypoints(entry: Mapping[str, Any], *, result: bool = False) -> list[float]:
    """Return x, y, v of all 133 joints; a part that is not valid or, in other files, not there is
    all zeros.

    A fractional v of a part is rounded up: in other files it may be a confidence.
    With `result` (a network's output) it is kept. ValueError.
    """
    out: list[float] = []
    for part, at in PARTS.items():
        count = at.stop - at.start
        own = entry.get("keypoints") if part == "body" else entry.get(f"{part}_kpts")
        if own is None or entry.get(f"{part}_valid", True) is False:
            own = [0] * (3 * count)
        if not isinstance(own, list) or len(own) != 3 * count:
            raise ValueError(f"{keypoints_key(part)}: {3 * count} numbers x, y, v")
        if set(map(type, own)) - {int, float} or not all(map(math.isfinite, own)):
            raise ValueError(f"{keypoints_key(part)}: invalid number")
        seen = own[2::3] if result or part == "body" else map(math.ceil, own[2::3])
        out += [n for each in zip(own[::3], own[1::3], seen, strict=True) for n in each]
    return out


class _WholeBodyFile(CocoFile):
    """A COCO-WholeBody file: its category names the 17 joints of a body, its people have 133."""

    def _skeleton(self) -> Skeleton:
        found = super()._skeleton()
        if found.name not in ("coco17", SKELETON):
            raise bad(
                "keypoints of the category differ from COCO-WholeBody's",
                where=f"{self.path}, categories",
                expected="the 17 of COCO",
                got=found.name,
            )
        return get_skeleton(SKELETON)

    @staticmethod
    def joined(entry: Row) -> Row:
        try:
            whole = joined_keypoints(entry)
        except (ValueError, KeyError) as error:
            raise bad(str(error), where=f"annotation {str(entry.get('id'))[:40]}") from error
        return {**entry, "keypoints": whole}


def _head(skeleton: Skeleton, assets: Sequence[AssetRow]) -> Row:
    body = head(get_skeleton("coco17"), assets)
    keys = ("id", "name", "supercategory", "keypoints", "skeleton")
    body["categories"] = [{name: body["categories"][0][name] for name in keys}]
    return body | {"info": {name: INFO[name] for name in ("description", "date_created")}}


def _image(frame: Mapping[str, Any]) -> Row:
    entry = image_entry(frame)
    return {name: entry[name] for name in _IMAGE}


WHOLE_BODY = Dialect(head=_head, image=_image, people=to_whole_body, opener=_WholeBodyFile)
