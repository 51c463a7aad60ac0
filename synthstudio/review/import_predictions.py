"""Predictions of a COCO results or keypoints file become a layer of a review."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthstudio.core.errors import FormatError, Refused
from synthstudio.core.safe_json import BEGIN, read_list, read_value
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.formats import checked
from synthstudio.formats.coco.file import id_key, plain_joint_name, read_entries
from synthstudio.formats.exchange import HALF_PX
from synthstudio.review.check import FIRST_THING, labels_of
from synthstudio.review.datasets import content_key
from synthstudio.review.risk.matching import box_of, match, places, standing
from synthstudio.review.risk.predictions import CAUSES_PREDICTED, Prediction, put_predictions
from synthstudio.review.store import Store
from synthstudio.review.values import User, require

PICTURES = "pictures.json"
"""Beside a results file of `predict`: the names of its pictures."""
_PERSON = 1
_MOST_BYTES = 256_000_000


@dataclass(frozen=True, kw_only=True)
class PredictionsImported:
    """What was taken in. `matched`: people of the data set; `found`: people whom it has not got;
    `unknown`: entries of pictures that are no frame."""

    layer: str
    frames: int
    matched: int
    found: int
    unknown: int

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def text(self) -> str:
        line = (
            f"{self.layer}: predictions of {self.matched} people in {self.frames} frames, and of "
            f"{self.found} whom the data set has not got"
        )
        return line + (f"\n{self.unknown} are of no frame." if self.unknown else "")


@dataclass(frozen=True)
class _Entry:
    image: int | str
    """The id of its picture, as JSON."""
    joints: Mapping[str, tuple[float, float, float]]
    causes: Mapping[str, str]
    box: list[float] | None
    score: float
    instance: int | None
    names: tuple[str, ...]
    """The joints of its category."""
    shared: bool
    """Whether one of them is a joint of the data set."""


def import_predictions(
    store: Store,
    dataset: Dataset,
    path: Path,
    *,
    layer: str,
    who: User,
    images: Path | None = None,
) -> PredictionsImported:
    """Store the predictions of a COCO results or keypoints file as `layer`, in place of its old.

    Image ids are those of the file that was imported, of any JSON kind, else numbers of frames, as
    in our exports; what `predict` writes of a data set names frames in pictures.json. With a folder
    of `images`, pictures are known by their bytes and the file's names (those of a results file
    stand in pictures.json beside it). FormatError, also where no joint is one of the data set's;
    Refused: "role", "invalid".
    """
    require(who, "import")
    skeleton = get_skeleton(dataset.identity.skeleton)
    if not path.is_file():
        raise FormatError("there is no such file", where=str(path))
    entries, names = _entries(path, skeleton)
    if entries and not any(entry.shared for entry in entries):
        raise FormatError(
            "the file and the data set share no joint",
            where=str(path),
            expected=", ".join(skeleton.joints)[:300],
            got=", ".join(entries[0].names)[:300],
            then="Give predictions of these joints, or rename those of the file's categories.",
        )
    if images is not None:
        frame_of = _frames_by_bytes(dataset, images, names, path)
    else:
        frame_of = _frames_by_ids(dataset, names)
    by_frame: dict[int, list[_Entry]] = {}
    unknown = 0
    for entry in entries:
        if (frame := frame_of.get(entry.image)) is not None:
            by_frame.setdefault(frame, []).append(entry)
        else:
            unknown += 1
    if not by_frame:
        raise FormatError(
            "no prediction belongs to a frame of the data set",
            where=str(path),
            expected=f"image ids such as {', '.join(map(repr, list(frame_of)[:3]))}",
            got=", ".join(dict.fromkeys(repr(entry.image) for entry in entries[:3])),
            then="Give the folder of the pictures: --images FOLDER.",
        )
    rows = [row for frame, some in sorted(by_frame.items()) for row in _of(dataset, frame, some)]
    put_predictions(store, content_key(dataset), layer, rows, replace=True)
    found = sum(row.instance >= FIRST_THING for row in rows)
    return PredictionsImported(
        layer=layer,
        frames=len(by_frame),
        matched=len(rows) - found,
        found=found,
        unknown=unknown,
    )


def _of(dataset: Dataset, frame: int, entries: list[_Entry]) -> Iterator[Prediction]:
    """The predictions of a frame by whose they are; of nobody's there are from 1,000 on."""
    skeleton = get_skeleton(dataset.identity.skeleton)
    rows = {row["instance"]: row for row in dataset.instances(frame)}
    named = Counter(e.instance for e in entries)
    whose = [e.instance if e.instance in rows and named[e.instance] == 1 else None for e in entries]
    left = [k for k, instance in enumerate(whose) if instance is None]
    people = [
        standing(n, labels_of(row, skeleton.joints), skeleton.joints, row["modal_box_px"])
        for n, row in rows.items()
        if n not in whose
    ]
    px = [places(entries[k].joints, skeleton.joints) for k in left]
    boxes = [entries[k].box or box_of(p) for k, p in zip(left, px, strict=True)]
    number = FIRST_THING
    for k, instance in zip(
        left, match(list(zip(px, boxes, strict=True)), people, skeleton), strict=True
    ):
        whose[k] = instance
    for entry, instance in zip(entries, whose, strict=True):
        if instance is None:
            instance, number = number, number + 1
        yield Prediction(
            frame=frame,
            instance=instance,
            joints=entry.joints,
            score=entry.score,
            causes=entry.causes,
        )


def _entries(path: Path, skeleton: Skeleton) -> tuple[list[_Entry], dict[int | str, str]]:
    """The people of a file, and the names of its pictures by their ids."""
    names: dict[int | str, str] = {}
    with path.open("rb") as file:
        start = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start == b"[":
        values = [(f"{path}, byte {s.start}", s.value) for s in read_list(path) if s is not BEGIN]
        beside = path.with_name(PICTURES)
        head = read_value(beside, limit=_MOST_BYTES) if beside.is_file() else {}
        with checked.reading(str(beside)):
            names = {id_key(e["id"]): str(e["file_name"]) for e in head.get("images", [])}
            categories = head.get("categories", [])
        return [
            _entry(value, where, skeleton, categories, result=True) for where, value in values
        ], names
    categories, values = [], []
    for key, entry in read_entries(path):
        with checked.reading(str(path)):
            if key == "images":
                names[id_key(entry["id"])] = str(entry["file_name"])
            elif key == "categories":
                categories.append(entry)
            elif key == "annotations":
                values.append((f"{path}, annotation {str(entry.get('id'))[:40]}", entry))
    return [
        _entry(v, where, skeleton, categories, result=False)
        for where, v in values
        if not v.get("iscrowd") and v.get("keypoints")
    ], names


def _entry(
    value: Any, where: str, skeleton: Skeleton, categories: list[dict[str, Any]], *, result: bool
) -> _Entry:
    """One person; the third number of a joint is a result's score, else COCO's 0, 1 or 2."""
    with checked.reading(where):
        names = _names(value.get("category_id", _PERSON), categories, skeleton)
        flat = checked.numbers(value["keypoints"], 1e6)
        if len(flat) != 3 * len(names):
            raise ValueError(f"{len(names)} joints have {3 * len(names)} numbers, not {len(flat)}")
        told = (value.get("joints") or {}).get("cause") if result else None
        joints, causes = {}, {}
        for j, name in enumerate(names):
            x, y, third = flat[3 * j : 3 * j + 3]
            if third <= 0 or name not in skeleton.joints:
                continue
            joints[name] = (x + HALF_PX, y + HALF_PX, min(third, 1.0) if result else 1.0)
            cause = told[j] if told else "visible" if not result and third == 2 else None
            if cause in CAUSES_PREDICTED:
                causes[name] = cause
        number = value.get("instance_number")
        box = checked.box(value["bbox"]) if value.get("bbox") is not None else None
        return _Entry(
            image=id_key(value["image_id"]),
            joints=joints,
            causes=causes,
            box=box,
            score=min(max(checked.number(value.get("score", 1.0)), 0.0), 1.0),
            instance=None if number is None else checked.integer(number),
            names=names,
            shared=not set(skeleton.joints).isdisjoint(names),
        )


def _names(category: Any, categories: list[dict[str, Any]], skeleton: Skeleton) -> tuple[str, ...]:
    """The joints of a category; those of the data set where the file does not name them."""
    known = frozenset(skeleton.joints)
    for one in categories:
        if one.get("id") == category and one.get("keypoints"):
            return tuple(
                name if name in known else plain_joint_name(name)
                for name in map(str, one["keypoints"])
            )
    return skeleton.joints


def _frames_by_ids(dataset: Dataset, names: Mapping[int | str, str]) -> dict[int | str, int]:
    """Id -> frame: of the imported file, or the frame's number; `names`: of the pictures."""
    frames = [row["index"] for row in dataset.iter_frames(["index"])]
    of_predict = bool(names) and all(
        isinstance(number, int) and name == f"{number:06d}" for number, name in names.items()
    )
    ids = {} if of_predict else dataset.source_ids()
    return {id_key(ids.get(frame, frame)): frame for frame in frames}


def _frames_by_bytes(
    dataset: Dataset, images: Path, names: Mapping[int | str, str], path: Path
) -> dict[int | str, int]:
    if not names:
        raise FormatError(
            "this file does not say which pictures its numbers mean",
            where=str(path),
            expected=f"a list of images, or {PICTURES} beside it",
            then="Leave out --images if they are numbers of frames.",
        )
    own: dict[str, int] = {}
    for row in dataset.iter_frames(["index", "image_sha256"]):
        own.setdefault(row["image_sha256"], row["index"])
    found = {}
    for number, name in names.items():
        file = images / name
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise Refused("a picture lies in its folder", where=name[:80], reason="invalid")
        if file.is_file():
            frame = own.get(hashlib.sha256(file.read_bytes()).hexdigest())
            if frame is not None:
                found[number] = frame
    return found
