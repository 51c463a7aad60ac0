"""Cache of frames and their people as needed by the editor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from synthstudio.core.errors import DatasetError
from synthstudio.core.last_used import LastUsed
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.arrays import READ_ERRORS
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row
from synthstudio.dataset.shards import FRAMES_NAME, INSTANCES_NAME
from synthstudio.review.check import Base, base_in, labels_of
from synthstudio.review.values import ItemState, JointLabel, Person

_KEPT_FRAMES = 600
UNTOUCHED = ItemState(person=Person(dataset="", frame=0, instance=0))
_FRAME_FIELDS = (
    "index",
    "width_px",
    "height_px",
    "variant",
    "layers",
    "object_instance",
    "object_kind",
    "clip_id",
)
_PERSON_FIELDS = (
    "frame_index",
    "instance",
    "track_id",
    "joints_px",
    "joints_camera_m",
    "visibility_fractions",
    "state",
    "cause",
    "origin",
    "hidden_joint",
    "hidden_instance",
    "hidden_share",
    "mask_size",
    "modal_counts",
    "amodal_counts",
    "modal_box_px",
    "amodal_box_px",
    "occluded_fraction",
    "truncated_fraction",
    "pose",
    "depth_m",
)


@dataclass(frozen=True, kw_only=True)
class FrameRows:
    """A frame and its people, as needed by the editor. `made`: cached labels as JSON."""

    frame: Row
    people: Mapping[int, Row]
    made: dict[int, dict[str, Any]] = field(default_factory=dict)
    bases: dict[int, Base] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        return self.frame["height_px"], self.frame["width_px"]


class Frames:
    """A cache of recent frames; thread-safe."""

    def __init__(self, dataset: Dataset, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self._dataset = dataset
        self._kept: LastUsed[int, FrameRows] = LastUsed(_KEPT_FRAMES)

    def get(self, frame: int) -> FrameRows:
        """Return a frame; DatasetError if not in the data set."""
        return self._kept.get_or(frame, lambda: _read(self._dataset, frame))

    def base_of(self, person: Person) -> Base:
        """Return a person's labels on disk; DatasetError for an unknown frame."""
        found, number = self.get(person.frame), person.instance
        if number not in found.bases:
            base = base_in(found.frame, found.people, number, self.skeleton.joints)
            if number not in found.people:
                return base  # numbers in requests are arbitrary
            found.bases[number] = base
        return found.bases[number]


def people_now(
    found: FrameRows, states: Mapping[tuple[int, int], ItemState], joints: tuple[str, ...]
) -> Iterator[tuple[int, ItemState, dict[str, JointLabel]]]:
    """Number, state and labels of all people in a frame, on disk or added, including deleted."""
    frame = found.frame["index"]
    added = [n for (f, n), state in states.items() if f == frame and state.added]
    for number in dict.fromkeys([*found.people, *added]):
        state, row = states.get((frame, number), UNTOUCHED), found.people.get(number)
        labels = labels_of(row, joints) if row is not None else {}
        yield number, state, labels | dict(state.joints)


def _read(dataset: Dataset, frame: int) -> FrameRows:
    """Read one frame and its people; the reader itself would build rows of the whole shard."""
    rows: list[Row] = []
    with suppress(KeyError):  # no such shard
        shard = dataset.shard_folder(frame // dataset.identity.frames_per_shard)
        rows = _read_rows(shard / FRAMES_NAME, _FRAME_FIELDS, frame)
    if len(rows) != 1:
        raise DatasetError(
            "the data set does not hold this frame", where=str(dataset.place), got=str(frame)
        )
    people = _read_rows(shard / INSTANCES_NAME, _PERSON_FIELDS, frame)
    return FrameRows(frame=rows[0], people={row["instance"]: row for row in people})


def _read_rows(path: Path, columns: Sequence[str], frame: int) -> list[Row]:
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(columns=list(columns), use_threads=False)
        rows: list[Row] = table.filter(pc.equal(table[columns[0]], frame)).to_pylist()
    except FileNotFoundError:
        return []
    except (*READ_ERRORS, KeyError) as error:
        raise DatasetError(
            f"this table cannot be read: {error}",
            where=str(path),
            then="Check the data set with: synthstudio validate.",
        ) from error
    return rows
