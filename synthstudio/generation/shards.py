"""Sharded runs of any kind: jobs for an engine, and publication of finished shards.

Where jobs run on other machines a shard is staged in a local folder of the worker and sent back
as one file; no shared disk is needed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from synthstudio.core.places import Place
from synthstudio.core.progress import OnProgress
from synthstudio.dataset.shards import OnEvent, RowsOf, StagedShard, pack, unpack_shard, write_shard
from synthstudio.dataset.writer import Session
from synthstudio.generation.engines.engine import Engine
from synthstudio.generation.engines.local import Report


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Result of a run. `frames` and `people` count the whole data set without failed frames."""

    folder: Place  # or its URL
    frames: int
    people: int
    failed: int
    made: int  # frames made by this run, not those of an earlier one
    set_aside: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ShardJob:
    folder: Path
    shard: int
    frames: range
    on_event: OnEvent

    def __str__(self) -> str:
        return f"shard {self.shard} (frames {self.frames.start} to {self.frames.stop - 1})"


MakeFrame = Callable[[Any, int], Any]
"""A frame, or a `FailedFrame`, of a worker's context and an index."""


def run_shards(  # noqa: PLR0913 - the parts of any run
    session: Session,
    make: MakeFrame,
    rows_of: RowsOf,
    *,
    initializer: Callable[..., Any],
    initargs: tuple[Any, ...],
    workers: int,
    engine: Engine,
    on_progress: OnProgress | None,
    started: float,
) -> Summary:
    """Make and publish a session's missing shards, then finish it; `started` is monotonic."""
    taken_over = sum(entry.frames for entry in session.done.values())
    jobs = [
        ShardJob(
            folder=session.folder,
            shard=shard,
            frames=session.identity.frames_of(shard),
            on_event=session.on_event,
        )
        for shard in session.todo
    ]
    to_make = sum(len(job.frames) for job in jobs)
    work: Callable[..., Any] = make_shard
    take: Callable[[Any], object] = session.publish
    if engine.apart:
        work, take = packed_shard, partial(publish_packed, session)
    engine.run(
        partial(work, make, rows_of),
        jobs,
        workers=workers,
        initializer=initializer,
        initargs=initargs,
        on_done=take,
        units=range(taken_over, taken_over + to_make),
        on_progress=on_progress,
    )
    session.finish()
    entries = session.done.values()
    failed = sum(entry.failed for entry in entries)
    return Summary(
        folder=session.place,
        frames=sum(entry.frames for entry in entries) - failed,
        people=sum(entry.people for entry in entries),
        failed=failed,
        made=to_make,
        set_aside=tuple(session.set_aside),
        seconds=time.monotonic() - started,
    )


def make_shard(
    make: MakeFrame, rows_of: RowsOf, context: Any, job: ShardJob, report: Report
) -> StagedShard:
    """Make one shard's frames in a worker and stage them; the parent publishes the shard."""

    def frames() -> Iterator[Any]:
        for index in job.frames:
            yield make(context, index)
            report(1)

    return write_shard(job.folder, job.shard, frames(), rows_of=rows_of, on_event=job.on_event)


def packed_shard(
    make: MakeFrame, rows_of: RowsOf, context: Any, job: ShardJob, report: Report
) -> tuple[int, bytes]:
    """Make a shard in a temporary folder of this worker; its number and itself, packed."""
    with tempfile.TemporaryDirectory(prefix="synthstudio-") as scratch:
        staged = make_shard(make, rows_of, context, replace(job, folder=Path(scratch)), report)
        return job.shard, pack(staged.temporary)


def publish_packed(session: Session, packed: tuple[int, bytes]) -> None:
    shard, data = packed
    session.publish(unpack_shard(data, session.folder, shard))
