"""Rows of a data set with what reviewers said laid over them. Rows on disk are never changed.

Of a joint that somebody edited: place, state and cause are theirs, `origin` is "human". If the
state or the cause changed, nobody knows its shares any more (NaN), nor who hides it. If its
place changed, nobody knows its place in 3D any more (NaN). Boxes, masks and all other joints
stay. A person whose joints nobody vouches for keeps box and mask, and every joint is unlabelled.


A data set with what reviewers said laid over its labels, read under its own frame numbers.

Reviewed labels as a data set of its own, or in the format of another tool."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthstudio.core.errors import ReviewError
from synthstudio.core.labels import SHARES, STATE_HIDDEN, STATE_VISIBLE
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.derive import Chunk, aligned, chosen, told_of, write_derived
from synthstudio.dataset.durable import canonical_json
from synthstudio.dataset.manifest import Identity
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import INSTANCE_SCHEMA, NO_STATE, Row
from synthstudio.formats.checked import person_of
from synthstudio.formats.export import Exported, export
from synthstudio.review.check import finite_or_none
from synthstudio.review.history import label_to_json, states
from synthstudio.review.store import Store, dataset_key
from synthstudio.review.values import MAIN, ItemState, JointLabel

HUMAN = "human"


def with_edits(row: Row, item: ItemState, names: Sequence[str]) -> Row:
    """Return a person's row with the joints that somebody edited."""
    new = _copied(row)
    for name, label in item.joints.items():
        _put(new, names.index(name), label)
    return new


def without_joints(row: Row) -> Row:
    """Return a person's row with all joints unlabelled: COCO's way to say "do not ask here"."""
    new = _copied(row)
    nobody = JointLabel(x_px=None, y_px=None, state=None, cause="unlabelled")
    for j in range(len(row["state"])):
        _put(new, j, nobody)
    new["origin"] = list(row["origin"])
    return new


def added_row(item: ItemState, frame: Row, names: Sequence[str]) -> Row:
    """Return a row for a person whom somebody added: joints, and a box round those inside."""
    person, size = item.person, (frame["width_px"], frame["height_px"])
    blank = [(math.nan, math.nan, 0)] * len(names)
    inside = [
        (label.x_px, label.y_px)
        for label in item.joints.values()
        if label.state in (STATE_VISIBLE, STATE_HIDDEN)
        and label.x_px is not None
        and label.y_px is not None
    ]
    row = person_of(blank, frame, person.instance, box_px=_box(inside, size))
    return with_edits(row, item, names)


def _box(places: Sequence[tuple[float, float]], size: tuple[int, int]) -> list[float]:
    """Return the box round places, inside a frame of that size: x y w h."""
    if not places:
        return [0.0] * 4
    x, y = ([min(max(p[axis], 0.0), float(size[axis])) for p in places] for axis in (0, 1))
    return [min(x), min(y), max(x) - min(x), max(y) - min(y)]


_LISTS = (
    "joints_px",
    "joints_camera_m",
    "joints_world_m",
    "shares",
    "state",
    "cause",
    "ambiguous",
    "occluder_id",
    "origin",
    "hidden_joint",
    "hidden_instance",
    "hidden_share",
)


def _copied(row: Mapping[str, Any]) -> Row:
    return {**row, **{name: None if row[name] is None else list(row[name]) for name in _LISTS}}


def _put(row: Row, j: int, label: JointLabel) -> None:
    """Write one joint into the lists of a row that is our own copy."""
    state = NO_STATE if label.state is None else label.state
    place = [finite_or_none(value) for value in row["joints_px"][2 * j : 2 * j + 2]]
    if (row["state"][j], row["cause"][j]) != (state, label.cause):
        row["shares"][len(SHARES) * j : len(SHARES) * (j + 1)] = [math.nan] * len(SHARES)
        row["ambiguous"][j], row["occluder_id"][j] = False, 0
        _forget_hiders(row, j)
    if place != [label.x_px, label.y_px]:
        for name in ("joints_camera_m", "joints_world_m"):
            if row[name] is not None:
                row[name][3 * j : 3 * j + 3] = [math.nan] * 3
    new = (label.x_px, label.y_px)
    row["joints_px"][2 * j : 2 * j + 2] = [math.nan if v is None else float(v) for v in new]
    row["state"][j], row["cause"][j], row["origin"][j] = state, label.cause, HUMAN


def _forget_hiders(row: Row, j: int) -> None:
    names = ("hidden_joint", "hidden_instance", "hidden_share")
    kept = [t for t in zip(*(row[name] for name in names), strict=True) if t[0] != j]
    for place, name in enumerate(names):
        row[name] = [entry[place] for entry in kept]


Only = Literal["approved", "touched", "all"]
States = Mapping[tuple[int, int], ItemState]
OfFrame = Mapping[int, ItemState]


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """The frames of a data set that go out, with reviewed labels: a formats.exchange.Labelled.

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
            {name: label_to_json(label) for name, label in item.joints.items()},
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
    return row if item is None else with_edits(row, item, names)


def reviewed_dataset(
    store: Store,
    dataset: Dataset,
    out: Path,
    *,
    only: Only = "approved",
    layer: str = MAIN,
    resume: bool = False,
) -> Dataset:
    """Write a data set with what reviewers said laid over its labels (see reviewed.py).

    The frames of a data set are counted from 0 without gaps, so they are numbered anew; which
    frame each was is in `dataset.select.derive.origins`. The same states give the same bytes.
    ReviewError when no frame is left; DatasetError, DiskError.
    """
    found = reviewed(store, dataset, only=only, layer=layer)
    identity = dataclasses.replace(found.identity, frames=len(found.frames))
    return write_derived(out, identity, [dataset], found.chunks(), resume=resume)


def export_reviewed(
    store: Store,
    dataset: Dataset,
    out: Path,
    *,
    form: str,
    only: Only = "approved",
    layer: str = MAIN,
    skeleton: str | None = None,
) -> Exported:
    """Write reviewed labels in a format of formats/export.py, whole or not at all.

    Frame numbers, ids and names of pictures are those that an export of the data set itself
    has. `bones`: convert to this skeleton. Errors as in `reviewed_dataset`, and FormatError.
    """
    return export(form, reviewed(store, dataset, only=only, layer=layer), out, skeleton=skeleton)
