"""Sharded runs of any kind: workers' stages, jobs for an engine, publication of finished shards.

Where jobs run on other machines a shard is staged in a local folder of the worker and sent back
as one file; no shared disk is needed.
"""

import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from synthstudio.core.errors import AssetError, DeviceError
from synthstudio.core.places import Place
from synthstudio.core.progress import OnProgress, first_names
from synthstudio.dataset.shards import OnEvent, RowsOf, StagedShard, pack, unpack_shard, write_shard
from synthstudio.dataset.writer import Session
from synthstudio.generation.engines import Engine
from synthstudio.generation.engines.local import Report
from synthstudio.generation.stage import Settings, assets_of, prepare_caches
from synthstudio.props.assets import AssetTable
from synthstudio.render import runtime


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


def run_shards(
    session: Session,
    make: MakeFrame,
    rows_of: RowsOf,
    *,
    initializer: Callable[[], Any],
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


# Workers on other machines ----------------------------------------------------------------------

_NAMED = 5


def opening(
    engine: Engine, stage: Callable[..., Any], settings: Settings, *rest: Any
) -> Callable[[], Any]:
    """How an engine's workers open `stage(settings, ...)`.

    For remote machines, files and device are checked first.
    """
    if not engine.apart:
        return partial(stage, settings, *rest)
    root = AssetTable(root=settings.assets.root.resolve())  # absolute, for workers
    device = runtime.device_model(settings.device)
    return partial(_open, stage, device, replace(settings, assets=root), *rest)


def _open(stage: Callable[..., Any], device: str, settings: Settings, *rest: Any) -> Any:
    """Open a stage on this node; AssetError or DeviceError names the node and what is missing."""
    _check_assets(settings)
    check_device(settings.device, device)
    prepare_caches(settings)
    return stage(settings, *rest)


def check_device(name: str, model: str) -> None:
    """DeviceError if the device differs from that of the run's machine."""
    if (here := runtime.device_model(name)) != model:
        raise DeviceError(
            "this machine's device differs, so its output would not be byte-identical",
            where=f"node {platform.node()}",
            expected=model,
            got=here,
        )


def _check_assets(settings: Settings) -> None:
    """Check that all files of the recipe's folders exist; each is hashed when opened."""
    root, listed = settings.assets.root, assets_of(settings.catalogue)
    missing = [one.asset.name for one in listed if not (root / one.asset.name).is_file()]
    if missing:
        raise AssetError(
            "files of the run are missing on this machine",
            where=f"node {platform.node()}",
            expected=f"{len(listed)} files below {root}",
            got=f"without {first_names(missing, _NAMED)}",
            then="Nodes need the asset folders at the same path: copy them there or share the "
            "disk.",
        )
