"""Sharded runs of any kind: jobs for an engine, and publication of finished shards.

Where jobs run on other machines a shard is staged in a local folder of the worker and sent back
as one file; no shared disk is needed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from synthstudio.core.places import Place
from synthstudio.core.progress import OnProgress
from synthstudio.dataset.shards import OnEvent, StagedShard, pack, unpack_shard
from synthstudio.dataset.writer import Session
from synthstudio.generation.engines.engine import Engine
from synthstudio.generation.engines.local import Progress, Report


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
    """One shard as a job."""

    folder: Path
    shard: int
    frames: range
    skip_failed: bool
    on_event: OnEvent

    def __str__(self) -> str:
        return f"shard {self.shard} (frames {self.frames.start} to {self.frames.stop - 1})"


MakeShard = Callable[[Any, ShardJob, Report], StagedShard]


def run_shards(  # noqa: PLR0913 - the parts of any run
    session: Session,
    make: MakeShard,
    *,
    initializer: Callable[..., Any],
    initargs: tuple[Any, ...],
    workers: int,
    engine: Engine,
    skip_failed: bool,
    on_progress: OnProgress | None,
    on_event: OnEvent,
    started: float,
) -> Summary:
    """Make and publish a session's missing shards, then finish it; `started` is monotonic."""
    taken_over = sum(entry.frames for entry in session.done.values())
    jobs = [
        ShardJob(
            folder=session.folder,
            shard=shard,
            frames=session.identity.frames_of(shard),
            skip_failed=skip_failed,
            on_event=on_event,
        )
        for shard in session.todo
    ]
    to_make = sum(len(job.frames) for job in jobs)

    def progress(now: Progress) -> None:
        if on_progress is not None:
            on_progress(taken_over + now.units, taken_over + to_make, now.per_second)

    work: Callable[..., Any] = make
    take: Callable[[Any], object] = session.publish
    if engine.apart:
        work, take = partial(packed_shard, make), partial(publish_packed, session)
    engine.run(
        work,
        jobs,
        workers=workers,
        initializer=initializer,
        initargs=initargs,
        on_done=take,
        on_progress=progress,
    )
    session.finish()
    entries = session.done.values()
    failed = sum(len(entry.failed) for entry in entries)
    return Summary(
        folder=session.place,
        frames=sum(entry.frames for entry in entries) - failed,
        people=sum(entry.people for entry in entries),
        failed=failed,
        made=to_make,
        set_aside=tuple(session.set_aside),
        seconds=time.monotonic() - started,
    )


@dataclass(frozen=True, kw_only=True)
class PackedShard:
    """A packed shard from a remote worker."""

    shard: int
    data: bytes  # dataset.packed


def packed_shard(make: MakeShard, context: Any, job: ShardJob, report: Report) -> PackedShard:
    """Make a shard in a temporary folder of this worker, and pack it."""
    with tempfile.TemporaryDirectory(prefix="synthstudio-") as scratch:
        staged = make(context, replace(job, folder=Path(scratch)), report)
        return PackedShard(shard=job.shard, data=pack(staged.temporary))


def publish_packed(session: Session, packed: PackedShard) -> None:
    """Unpack and publish a remote worker's shard."""
    session.publish(unpack_shard(packed.data, session.folder, packed.shard))
