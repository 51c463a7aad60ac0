"""Reviewed labels: the rows of a data set with reviewers' edits applied, for export.

Rows on disk are never changed. Position, state and cause of an edited joint are the
editor's and `origin` is "human", or "predicted" for a model's position accepted unchanged. If the
state or the cause changed, its fractions and occluders are unknown (NaN). If its position changed,
its 3D position is unknown (NaN). A drawn mask has its own box and area; other masks,
their boxes and all other joints are kept. Without a mask a box is the drawn one, else
extended to contain edited joints. A person who is not approved keeps box and mask as on
disk; every joint is unlabelled. Tracks are as corrected.
"""

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

from synthstudio.core.arrays import I64
from synthstudio.core.errors import ReviewError
from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE, VISIBILITY
from synthstudio.core.masks import runs
from synthstudio.core.people import HIDDEN
from synthstudio.core.places import Place
from synthstudio.core.progress import first_names
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.derive import Chunk, aligned, chosen, source_summary, write_derived
from synthstudio.dataset.durable import canonical_json
from synthstudio.dataset.manifest import Identity
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import INSTANCE_SCHEMA, KINEMATIC, NO_STATE, Row
from synthstudio.formats.checked import person_of
from synthstudio.formats.exchange import MIN_AREA_PX
from synthstudio.formats.export import Exported, export
from synthstudio.review.check import finite_or_none
from synthstudio.review.history import content_key, states
from synthstudio.review.masks import WHICH, Size, hold_visible, put_masks, sound_counts
from synthstudio.review.risk.predictions import box_of
from synthstudio.review.store import Store
from synthstudio.review.values import (
    FRAME,
    HUMAN,
    MAIN,
    NO_PEOPLE,
    PREDICTED,
    UNLABELLED,
    ItemState,
    JointLabel,
    Pair,
)

_NAMED = 20
Only = Literal["approved", "touched", "all"]
States = Mapping[Pair, ItemState]
FrameStates = Mapping[int, ItemState]


def export_reviewed(
    store: Store,
    dataset: Dataset,
    out: Path,
    *,
    form: str,
    only: Only = "approved",
    skeleton: str | None = None,
) -> Exported:
    """Write reviewed labels in a format; notes list left-out approved people."""
    found = reviewed(store, dataset, only=only)
    exported = export(form, found, out, skeleton=skeleton, boxes="visible")
    unseen = _approved_unseen(found) if exported.left_out else []
    if unseen:
        exported.notes.append(
            f"Approved, but drawn with under {MIN_AREA_PX} visible pixels and left out: "
            f"{first_names(unseen, _NAMED, '; ')}."
        )
    return exported


def _approved_unseen(found: Reviewed) -> list[str]:
    """List the approved people with a drawn visible mask too small for most formats."""
    return [
        item.person.where
        for frame in found.frames.tolist()
        for item in found.states.get(frame, {}).values()
        if _is_approved(item)
        and item.masks is not None
        and "modal" in item.masks
        and int(runs(item.masks["modal"])[1::2].sum()) < MIN_AREA_PX
    ]


def reviewed_dataset(
    store: Store, dataset: Dataset, out: Place, *, only: Only = "approved"
) -> Dataset:
    """Write a data set with the reviewers' labels (see `reviewed`).

    The frames of a data set are numbered from 0 without gaps, so they are renumbered; the
    original frame is in `dataset.derive.origins`. Deterministic in the states.
    ReviewError when no frame is left; DatasetError, DiskError.
    """
    found = reviewed(store, dataset, only=only)
    identity = dataclasses.replace(found.identity, frames=len(found.frames))
    return write_derived(out, identity, [dataset], found.chunks())


@dataclass(frozen=True, kw_only=True)
class Reviewed:
    """The exported frames of a data set, with reviewed labels: a formats.exchange.Labelled.

    `frames` (N,): their indices, rising; index, file name and spec of a frame are those of the
    data set. One batch of rows is in memory at a time.
    """

    dataset: Dataset
    identity: Identity
    only: Only
    states: Mapping[int, FrameStates]
    frames: I64

    def iter_frames(self, columns: Sequence[str] | None = None) -> Iterator[Row]:
        names = None if columns is None else list(dict.fromkeys([*columns, "index"]))
        for batch in self.dataset.iter_batches("frames", names):
            keep = np.isin(batch["index"].to_numpy(), self.frames)
            yield from batch.filter(pa.array(keep)).to_pylist()

    def iter_batches(self, kind: Literal["instances"]) -> Iterator[pa.RecordBatch]:
        for chunk in self.chunks():
            yield from chunk.people.to_batches()

    def iter_instances(self) -> Iterator[Row]:
        for batch in self.iter_batches("instances"):
            yield from batch.to_pylist()

    def person_ids(self) -> Mapping[Pair, Any]:
        return self.dataset.person_ids()

    def source_ids(self) -> Mapping[int, Any]:
        return self.dataset.source_ids()

    def image_bytes_of(self, row: Row) -> bytes:
        """The JPEG of a frame's row; DatasetError if it was changed."""
        return self.dataset.image_bytes_of(row)

    def chunks(self) -> Iterator[Chunk]:
        """Yield the exported frames with their people, some hundred at a time."""
        names = get_skeleton(self.dataset.identity.skeleton).joints
        for chunk in aligned(self.dataset):
            part = chosen(chunk, np.isin(chunk.frames["index"].to_numpy(), self.frames))
            frames = part.frames.select(["index", "width_px", "height_px"]).to_pylist()
            people: dict[int, list[Row]] = {row["index"]: [] for row in frames}
            for row in part.people.to_pylist():
                people[row["frame_index"]].append(row)
            rows = [
                row
                for frame in frames
                for row in reviewed_people(
                    frame,
                    people[frame["index"]],
                    self.states.get(frame["index"], {}),
                    names,
                    only=self.only,
                )
            ]
            yield dataclasses.replace(part, people=pa.Table.from_pylist(rows, INSTANCE_SCHEMA))


def reviewed(store: Store, dataset: Dataset, *, only: Only = "approved") -> Reviewed:
    """A snapshot of a data set as reviewed.

    Deleted people are left out, added ones included, rejected ones keep box and mask without
    joints. `only`: "all" frames; those with a "touched" person (approved, edited, commented...);
    or those with an "approved" one, where all others lose their joints. Frames
    marked as empty are always included. ReviewError if no frame is left.
    """
    found = states(store, content_key(dataset))
    frames = {row["index"] for row in dataset.iter_frames(["index"])}
    if only == "touched":
        frames &= {frame for frame, _ in found}
    elif only == "approved":
        empty = {f for (f, n), item in found.items() if n == FRAME and item.status == NO_PEOPLE}
        frames &= empty | {f for (f, _), item in found.items() if _is_approved(item)}
    if not frames:
        raise ReviewError(
            f"no frame has a person who is {only}, and none is marked as empty",
            where=str(dataset.place),
            then="Review some people first, or use --only all.",
        )
    derived = {
        "by": "review",
        "only": only,
        "layer": MAIN,
        "states": _digest(found),
        "sources": [source_summary(dataset)],
    }
    return Reviewed(
        dataset=dataset,
        identity=dataclasses.replace(dataset.identity, derived=derived),
        only=only,
        states=by_frame(found),
        frames=np.array(sorted(frames), np.int64),
    )


def _is_approved(item: ItemState | None) -> bool:
    return item is not None and item.status == "approved" and not item.deleted


def _digest(found: States) -> str:
    deciding = [
        [
            frame,
            instance,
            item.status,
            item.deleted,
            item.added,
            {name: dataclasses.asdict(label) for name, label in item.joints.items()},
            *([] if item.box is None else [item.box]),
            *([] if item.masks is None else [item.masks]),
            *([] if item.track is None else [{"track": item.track}]),
        ]
        for (frame, instance), item in sorted(found.items())
    ]
    return hashlib.sha256(canonical_json({"states": deciding})).hexdigest()


def by_frame(found: States) -> dict[int, dict[int, ItemState]]:
    frames: dict[int, dict[int, ItemState]] = {}
    for (frame, instance), item in sorted(found.items()):
        frames.setdefault(frame, {})[instance] = item
    return frames


def reviewed_people(
    frame: Mapping[str, Any],
    people: list[Row],
    found: FrameStates,
    names: tuple[str, ...],
    *,
    only: Only = "all",
) -> list[Row]:
    """The rows of a frame's people as reviewed; added ones come last."""
    rows, size = [], (frame["height_px"], frame["width_px"])
    for row in people:
        item = found.get(row["instance"])
        if item is None or not item.deleted:
            rows.append(_reviewed(row, item, names, size, only))
    on_disk = {row["instance"] for row in people}
    for instance, item in sorted(found.items()):
        if instance not in on_disk and item.added and not item.deleted:
            blank = [(math.nan, math.nan, 0)] * len(names)
            row = person_of(blank, dict(frame), instance, box_px=[0.0] * 4)
            rows.append(_reviewed(with_edits(row, item, names, size), item, names, size, only))
    return rows


def _reviewed(
    row: Row, item: ItemState | None, names: tuple[str, ...], size: Size, only: Only
) -> Row:
    if item is not None and item.status == "rejected":
        return without_joints(row, item)
    if only == "approved" and not _is_approved(item):
        return without_joints(row, item)
    return row if item is None else with_edits(row, item, names, size)


def with_edits(row: Row, item: ItemState, names: Sequence[str], size: Size) -> Row:
    """A person's row with edits applied; `size`: height and width of the picture."""
    new = _copied(row)
    if item.track is not None:
        new["track_id"] = item.track
    for name, label in item.joints.items():
        _put(new, names.index(name), label)
    put_masks(new, item.masks or {}, size)
    for which in WHICH:
        box = row[f"{which}_box_px"]
        if box is not None and sound_counts(new, which, size) is None:
            grown = item.box or _grown(box, item, size)
            new[f"{which}_box_px"] = list(grown)
            if grown != list(box):
                new[f"{which}_area_px"] = round(grown[2] * grown[3])
    if any(new[f"{which}_box_px"] != row[f"{which}_box_px"] for which in WHICH):
        hold_visible(new)
    return new


def _grown(box: Sequence[float], item: ItemState, size: Size) -> list[float]:
    """A box (x, y, width, height) that contains the edited joints too, as far as in the frame.

    An empty box becomes that of the joints.
    """
    places = [
        (min(max(at[0], 0.0), size[1]), min(max(at[1], 0.0), size[0]))
        for label in item.joints.values()
        if label.state in (STATE_VISIBLE, STATE_HIDDEN) and (at := label.place) is not None
    ]
    if not places:
        return list(box)
    corners = [(box[0], box[1]), (box[0] + box[2], box[1] + box[3])]
    return box_of(np.array([*places] + (corners if box[2] > 0 and box[3] > 0 else [])))


def without_joints(row: Row, item: ItemState | None) -> Row:
    """A person's row with all joints unlabelled: COCO's way to say "do not evaluate these"."""
    new = _copied(row)
    for j in range(len(row["state"])):
        _put(new, j, UNLABELLED)
    new["origin"] = list(row["origin"])
    if item is not None and item.track is not None:
        new["track_id"] = item.track
    return new


def _copied(row: Row) -> Row:
    return {name: list(v) if isinstance(v, list) else v for name, v in row.items()}


def _put(row: Row, j: int, label: JointLabel) -> None:
    state = NO_STATE if label.state is None else label.state
    old = [finite_or_none(value) for value in row["joints_px"][2 * j : 2 * j + 2]]
    new = [label.x_px, label.y_px]
    if (row["state"][j], row["cause"][j]) != (state, label.cause):
        count = len(VISIBILITY)
        row["visibility_fractions"][count * j : count * (j + 1)] = [math.nan] * count
        row["ambiguous"][j], row["occluder_id"][j] = False, 0
        keep = [k for k, joint in enumerate(row["hidden_joint"]) if joint != j]
        row.update({name: [row[name][k] for k in keep] for name in HIDDEN})
    if old != new:
        for name in ("joints_camera_m", "joints_world_m", KINEMATIC):
            if row[name] is not None:
                row[name][3 * j : 3 * j + 3] = [math.nan] * 3
    origin = PREDICTED if label.origin == PREDICTED else HUMAN
    row["joints_px"][2 * j : 2 * j + 2] = [math.nan if v is None else float(v) for v in new]
    row["state"][j], row["cause"][j], row["origin"][j] = state, label.cause, origin
