"""Filter a data set by a query into a new data set."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from synthstudio.core.arrays import I64
from synthstudio.core.errors import DatasetError
from synthstudio.core.places import Place
from synthstudio.core.progress import OnProgress
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.arrays import as_numpy
from synthstudio.dataset.derive import (
    Chunk,
    aligned,
    chosen,
    source_summary,
    write_derived,
)
from synthstudio.dataset.matching import batch_of, evaluate, matching_frames, matching_people
from synthstudio.dataset.query import Query, parse
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.writer import is_unfinished


@dataclass(frozen=True, kw_only=True)
class Counted:
    frames: int
    people: int
    all_frames: int
    all_people: int

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def text(self) -> str:
        return (
            f"{self.people} of {self.all_people} people in {self.frames} of "
            f"{self.all_frames} frames match"
        )


def query_of(dataset: Dataset, text: str) -> Query:
    """Return a query for this data set's skeleton; DatasetError points at the fault."""
    return parse(text, get_skeleton(dataset.identity.skeleton).joints)


def part_where(dataset: Dataset, text: str) -> Dataset:
    """Return the frames with people who match; all for "". DatasetError as `query_of`."""
    if not text:
        return dataset
    found = matching_frames(dataset, query_of(dataset, text))
    return dataset.of_frames(np.fromiter(found, np.int64))


def count(dataset: Dataset, query: Query) -> Counted:
    matched = np.fromiter((index for index, _ in matching_people(dataset, query)), np.int64)
    frames = len(np.unique(matched))
    if query.of_frames:  # those without people match too
        frames = sum(1 for _ in matching_frames(dataset, query))
    all_frames, all_people = dataset.frames, dataset.people
    return Counted(frames=frames, people=len(matched), all_frames=all_frames, all_people=all_people)


def filter_dataset(
    dataset: Dataset,
    query: Query,
    out: Place,
    *,
    keep_people: bool = False,
    resume: bool = False,
    on_progress: OnProgress | None = None,
) -> Dataset:
    """Write the frames with a matching person as data set `out`, with everyone in them.

    With `keep_people` only the matching people keep their rows; the others stay in the
    pictures, and as occluders. DatasetError when nothing matches. Held are 8 bytes a chosen frame.
    """
    frames = np.fromiter(matching_frames(dataset, query), np.int64)
    if not len(frames):
        raise DatasetError(
            "nothing matches the query",
            where=str(dataset.place),
            got=query.text if len(query.text) <= 200 else f"{query.text[:200]}...",
            then="Test it with --count.",
        )
    derived = {
        "by": "filter",
        "query": query.text,
        "keep": "people" if keep_people else "frames",
        "sources": [source_summary(dataset)],
    }
    identity = dataclasses.replace(dataset.identity, frames=len(frames), derived=derived)
    found = _chosen(dataset, frames, query if keep_people else None)
    return write_derived(out, identity, [dataset], found, resume=resume, on_progress=on_progress)


def without(
    dataset: Dataset,
    bad: set[int],
    out: Place,
    *,
    on_progress: OnProgress | None = None,
) -> Dataset:
    """Write a data set without some frames, or go on with it; DatasetError if none is left."""
    left = dataset.frames - len(bad)
    if left < 1:
        raise DatasetError(
            "no frame is without errors", where=str(dataset.place), got=f"{len(bad)} bad"
        )
    derived = {"by": "repair", "left_out": sorted(bad), "sources": [source_summary(dataset)]}
    identity = dataclasses.replace(dataset.identity, frames=left, derived=derived)
    rows = dataset.iter_frames(["index"])
    good = np.fromiter((row["index"] for row in rows if row["index"] not in bad), np.int64)
    kept, resume = _chosen(dataset, good, None), is_unfinished(out)
    return write_derived(out, identity, [dataset], kept, resume=resume, on_progress=on_progress)


def _chosen(dataset: Dataset, frames: I64, query: Query | None) -> Iterator[Chunk]:
    for chunk in aligned(dataset):
        part = chosen(chunk, np.isin(as_numpy(chunk.frames["index"]), frames))
        if query is not None and len(part.people):
            keep, _ = evaluate(query.tree, batch_of(part, query.joints))
            part = dataclasses.replace(part, people=part.people.filter(pa.array(keep)))
        yield part
