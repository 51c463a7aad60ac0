"""A data set with what reviewers said laid over its labels, read under its own frame numbers."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthstudio.core.errors import ReviewError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.derive import Chunk, aligned, chosen, told_of
from synthstudio.dataset.durable import canonical_json
from synthstudio.dataset.manifest import Identity
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import INSTANCE_SCHEMA, Row
from synthstudio.review.fold import label_json
from synthstudio.review.history import states
from synthstudio.review.overlay import added_row, laid_over, without_joints
from synthstudio.review.store import Store, dataset_key
from synthstudio.review.values import MAIN, ItemState

Only = Literal["approved", "touched", "all"]
States = Mapping[tuple[int, int], ItemState]
OfFrame = Mapping[int, ItemState]


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """The frames of a data set that go out, with reviewed labels: a formats.labelled.Labelled.

    `frames` (N,): their indices, rising; index, file name and spec of a frame are those of the
    data set. One batch of rows is in memory at a time.
    """

    dataset: Dataset
    identity: Identity
    only: Only
    found: Mapping[int, OfFrame]
    frames: NDArray[np.int64]

    def iter_frames(self, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """Yield the rows of the frames that go out."""
        wanted = None if columns is None else list(dict.fromkeys([*columns, "index"]))
        for batch in self.dataset.iter_batches("frames", wanted):
            keep = np.isin(batch["index"].to_numpy(), self.frames)
            yield from batch.filter(pa.array(keep)).to_pylist()

    def iter_batches(self, kind: Literal["instances"]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the people as reviewers left them."""
        for chunk in self.chunks():
            yield from chunk.people.to_batches()

    def iter_instances(self) -> Iterator[Row]:
        """Yield the same, row by row."""
        for batch in self.iter_batches("instances"):
            yield from batch.to_pylist()

    def image_bytes_of(self, row: Row) -> bytes:
        """Return the JPEG of a frame's row; DatasetError when it is not what was stored."""
        return self.dataset.image_bytes_of(row)

    def chunks(self) -> Iterator[Chunk]:
        """Yield the frames that go out with their people, some hundred at a time."""
        names = get_skeleton(self.dataset.identity.skeleton).joints
        for chunk in aligned(self.dataset):
            part = chosen(chunk, np.isin(chunk.frames["index"].to_numpy(), self.frames))
            columns = part.frames.select(["index", "width_px", "height_px"]).to_pylist()
            people: dict[int, list[Row]] = {row["index"]: [] for row in columns}
            for row in part.people.to_pylist():
                people[row["frame_index"]].append(row)
            new = [
                row
                for frame in columns
                for row in reviewed_people(
                    frame,
                    people[frame["index"]],
                    self.found.get(frame["index"], {}),
                    names,
                    only=self.only,
                )
            ]
            yield dataclasses.replace(part, people=pa.Table.from_pylist(new, INSTANCE_SCHEMA))


def reviewed(
    store: Store, dataset: Dataset, *, only: Only = "approved", layer: str = MAIN
) -> Reviewed:
    """Return a data set as reviewers left it (see overlay.py); states are those of this moment.

    Deleted people are left out, added ones are in it, rejected ones keep box and mask without
    joints. `only`: "all" frames; those with somebody "touched" (approved, edited, commented...);
    or those with somebody "approved", where everybody who is not loses their joints. ReviewError
    when no frame is left.
    """
    found = states(store, dataset_key(dataset), layer=layer)
    derived = {
        "by": "review",
        "only": only,
        "layer": layer,
        "states": _digest(found),
        "sources": [told_of(dataset)],
    }
    return Reviewed(
        dataset=dataset,
        identity=dataclasses.replace(dataset.identity, derived=derived),
        only=only,
        found=by_frame(found),
        frames=_frames(dataset, found, only),
    )


def _frames(dataset: Dataset, found: States, only: Only) -> NDArray[np.int64]:
    held = {row["index"] for row in dataset.iter_frames(["index"])}
    if only == "touched":
        held &= {frame for frame, _ in found}
    elif only == "approved":
        held &= {frame for (frame, _), item in found.items() if _vouched(item)}
    if not held:
        raise ReviewError(
            f"no frame holds anybody who is {only}",
            where=str(dataset.folder),
            then="Review some people first, or use --only all.",
        )
    return np.array(sorted(held), np.int64)


def _vouched(item: ItemState | None) -> bool:
    return item is not None and item.status == "approved" and not item.deleted


def _digest(found: States) -> str:
    """Return a hash of all that decides labels."""
    told = [
        [
            frame,
            instance,
            item.status,
            item.deleted,
            item.added,
            {name: label_json(label) for name, label in item.joints.items()},
        ]
        for (frame, instance), item in sorted(found.items())
    ]
    return hashlib.sha256(canonical_json({"states": told})).hexdigest()


def by_frame(found: States) -> dict[int, dict[int, ItemState]]:
    """Return frame -> instance -> state."""
    frames: dict[int, dict[int, ItemState]] = {}
    for (frame, instance), item in sorted(found.items()):
        frames.setdefault(frame, {})[instance] = item
    return frames


def reviewed_people(
    frame: Mapping[str, Any],
    people: list[Row],
    found: OfFrame,
    names: tuple[str, ...],
    *,
    only: Only = "all",
) -> list[Row]:
    """Return the rows of a frame's people as reviewers left them; added ones come last.

    `frame` has at least index, width_px and height_px; `found` are the states of its people.
    """
    rows = []
    for row in people:
        item = found.get(row["instance"])
        if item is None or not item.deleted:
            rows.append(_reviewed(row, item, names, only))
    on_disk = {row["instance"] for row in people}
    for instance, item in sorted(found.items()):
        if instance not in on_disk and item.added and not item.deleted:
            rows.append(_reviewed(added_row(item, dict(frame), names), item, names, only))
    return rows


def _reviewed(row: Row, item: ItemState | None, names: tuple[str, ...], only: Only) -> Row:
    if item is not None and item.status == "rejected":
        return without_joints(row)
    if only == "approved" and not _vouched(item):
        return without_joints(row)
    return row if item is None else laid_over(row, item, names)
