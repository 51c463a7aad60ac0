"""Predictions of a COCO results or keypoints file become a layer of a review."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthstudio.core.errors import FormatError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.formats.coco.results import (
    Result,
    frames_by_bytes,
    frames_by_id,
    read_results,
)
from synthstudio.review.check import FIRST_OBJECT, labels_of
from synthstudio.review.datasets import content_key
from synthstudio.review.risk.matching import box_of, match, places, standing
from synthstudio.review.risk.predictions import Prediction, put_predictions
from synthstudio.review.store import Store
from synthstudio.review.values import User, require


@dataclass(frozen=True, kw_only=True)
class PredictionsImported:
    """Result of an import. `matched`: people of the data set; `found`: people not in it;
    `unknown`: entries of unknown pictures."""

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
            f"{self.found} not in the data set"
        )
        return line + (f"\n{self.unknown} are of no frame." if self.unknown else "")


def import_predictions(
    store: Store,
    dataset: Dataset,
    path: Path,
    *,
    layer: str,
    who: User,
    images: Path | None = None,
) -> PredictionsImported:
    """Store the predictions of a COCO results or keypoints file as `layer`, replacing it.

    Image ids are those of the imported file, of any JSON type, else frame numbers, as
    in our exports; `predict` names frames of a data set in pictures.json. With a folder
    of `images`, pictures are matched by content and the file's names (those of a results file
    are in pictures.json beside it). FormatError, also without common joints;
    Refused: "role", "invalid".
    """
    require(who, "import")
    skeleton = get_skeleton(dataset.identity.skeleton)
    entries, names = read_results(path, skeleton)
    if images is not None:
        frame_of = frames_by_bytes(dataset, images, names, path)
    else:
        frame_of = frames_by_id(dataset, names)
    by_frame: dict[int, list[Result]] = {}
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
            then="Pass the folder of the pictures: --images FOLDER.",
        )
    rows = [row for frame, some in sorted(by_frame.items()) for row in _of(dataset, frame, some)]
    put_predictions(store, content_key(dataset), layer, rows, replace=True)
    found = sum(row.instance >= FIRST_OBJECT for row in rows)
    return PredictionsImported(
        layer=layer,
        frames=len(by_frame),
        matched=len(rows) - found,
        found=found,
        unknown=unknown,
    )


def _of(dataset: Dataset, frame: int, entries: list[Result]) -> Iterator[Prediction]:
    """The predictions of a frame by person; unmatched ones from 1,000 on."""
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
    number = FIRST_OBJECT
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
