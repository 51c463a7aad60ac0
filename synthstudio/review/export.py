"""Reviewed labels as a data set of its own, and from there in every format."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from synthstudio.core.errors import ReviewError, explain
from synthstudio.core.skeleton import skeleton
from synthstudio.dataset.durable import canonical_json, disk_errors
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import INSTANCE_SCHEMA, Row
from synthstudio.dataset.select.derive import Chunk, aligned, chosen, told_of, write_derived
from synthstudio.formats.exchange import check_free
from synthstudio.formats.export import EXPORTERS, Exported
from synthstudio.review.fold import label_json
from synthstudio.review.history import states
from synthstudio.review.overlay import added_row, laid_over, without_joints
from synthstudio.review.store import Store, dataset_key
from synthstudio.review.values import MAIN, ItemState

Only = Literal["approved", "touched", "all"]
States = Mapping[tuple[int, int], ItemState]
OfFrame = Mapping[int, ItemState]


def reviewed_dataset(
    store: Store,
    dataset: Dataset,
    out: Path,
    *,
    only: Only = "approved",
    layer: str = MAIN,
    resume: bool = False,
) -> Dataset:
    """Write a data set with what reviewers said laid over its labels (see overlay.py).

    Deleted people are left out, added ones are in it, rejected ones keep box and mask without
    joints. `only`: "all" frames; those with somebody "touched" (approved, edited, commented...);
    or those with somebody "approved", where everybody who is not loses their joints. The same
    states give the same bytes. ReviewError when no frame is left; DatasetError, DiskError.
    """
    found = states(store, dataset_key(dataset), layer=layer)
    frames = _frames(dataset, found, only)
    derived = {
        "by": "review",
        "only": only,
        "layer": layer,
        "states": _digest(found),
        "sources": [told_of(dataset)],
    }
    identity = dataclasses.replace(dataset.identity, frames=len(frames), derived=derived)
    chunks = _chunks(dataset, by_frame(found), frames, only)
    return write_derived(out, identity, [dataset], chunks, resume=resume)


def export_reviewed(
    store: Store,
    dataset: Dataset,
    out: Path,
    *,
    form: str,
    only: Only = "approved",
    layer: str = MAIN,
    bones: str | None = None,
) -> Exported:
    """Write reviewed labels in a format of formats/export.py, whole or not at all.

    `bones`: convert to this skeleton. Errors as in `reviewed_dataset`, and FormatError.
    """
    check_free(out)
    with disk_errors(out):
        # Beside the output: on one disk images need no copy.
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.resolve().parent))
    try:
        reviewed_dataset(store, dataset, work / "set", only=only, layer=layer)
        return EXPORTERS[form](work / "set", out, bones=bones)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _frames(dataset: Dataset, found: States, only: Only) -> set[int]:
    """Return the frames that go into the reviewed set."""
    held = {row["index"] for row in dataset.iter_frames(["index"])}
    if only == "touched":
        held &= {frame for frame, _ in found}
    elif only == "approved":
        held &= {frame for (frame, _), item in found.items() if _vouched(item)}
    if not held:
        raise ReviewError(
            explain(f"no frame holds anybody who is {only}", where=str(dataset.folder),
                    then="Review some people first, or use --only all.")
        )  # fmt: skip
    return held


def _vouched(item: ItemState | None) -> bool:
    return item is not None and item.status == "approved" and not item.deleted


def _digest(found: States) -> str:
    """Return a hash of all that decides labels."""
    told = [
        [frame, instance, item.status, item.deleted, item.added,
         {name: label_json(label) for name, label in item.joints.items()}]
        for (frame, instance), item in sorted(found.items())
    ]  # fmt: skip
    return hashlib.sha256(canonical_json({"states": told})).hexdigest()


def by_frame(found: States) -> dict[int, dict[int, ItemState]]:
    """Return frame -> instance -> state."""
    frames: dict[int, dict[int, ItemState]] = {}
    for (frame, instance), item in sorted(found.items()):
        frames.setdefault(frame, {})[instance] = item
    return frames


def _chunks(
    dataset: Dataset, found: Mapping[int, OfFrame], frames: set[int], only: Only
) -> Iterator[Chunk]:
    wanted = np.array(sorted(frames), np.int64)
    names = skeleton(dataset.identity.skeleton).joints
    for chunk in aligned(dataset):
        part = chosen(chunk, np.isin(chunk.frames["index"].to_numpy(), wanted))
        columns = part.frames.select(["index", "width_px", "height_px"]).to_pylist()
        people: dict[int, list[Row]] = {row["index"]: [] for row in columns}
        for row in part.people.to_pylist():
            people[row["frame_index"]].append(row)
        new = [
            row
            for frame in columns
            for row in reviewed_people(
                frame, people[frame["index"]], found.get(frame["index"], {}), names, only=only
            )
        ]
        table = pa.Table.from_pylist(new, schema=INSTANCE_SCHEMA)
        yield dataclasses.replace(part, people=table)


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
