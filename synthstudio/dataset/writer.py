"""A data set folder while it is written: who may, what is there, what is left to do."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from synthstudio.core.errors import DatasetError, SynthStudioError, WorkerError
from synthstudio.core.outputs import free_folder
from synthstudio.dataset.durable import (
    TEMPORARY,
    canonical_json,
    disk_errors,
    new_parents,
    read_json,
    remove,
    replace_file,
    sync_folder,
)
from synthstudio.dataset.lock import LOCK_NAME, hold_lock
from synthstudio.dataset.manifest import (
    MANIFEST_NAME,
    Identity,
    identity_differences,
    read_identity,
    structural_differences,
    write_identity,
)
from synthstudio.dataset.shards import (
    SHARDS_DIR,
    OnEvent,
    ShardEntry,
    StagedShard,
    is_shard_name,
    no_event,
    read_entry,
    shard_name,
    verify_shard,
)

INDEX_NAME = "index.json"
MIXED_NAME = "mixed.json"
LOG_NAME = "run.log"
SET_ASIDE_DIR = "set-aside"
_RUN_FILES = (LOCK_NAME, LOG_NAME)

Part = tuple[int, int]
"""(k, n): the k-th of n parts, from 1. Shard s belongs to part s mod n + 1."""


@dataclass
class Session:
    """A held data set folder. Only its methods put anything into place or clear it away."""

    folder: Path
    identity: Identity
    part: Part | None
    on_event: OnEvent
    done: dict[int, ShardEntry] = field(default_factory=dict)
    set_aside: list[str] = field(default_factory=list)

    @property
    def todo(self) -> tuple[int, ...]:
        """Return the shards of this run that are still to be made, rising."""
        return tuple(s for s in shards_of(self.identity, self.part) if s not in self.done)

    def publish(self, staged: StagedShard) -> ShardEntry:
        """Put a shard in its place for good; DiskError, or DatasetError if it does not fit.

        `on_event` hears "before-rename", "after-rename" and, when a shorter shard is replaced,
        "replacing" between the two renames.
        """
        entry = staged.entry
        _check_range(entry, self.identity, staged.temporary)
        target = self.folder / entry.path
        self.on_event("before-rename")
        with disk_errors(target):
            if target.exists():  # the shorter last shard of a run that has grown
                target.rename(target.with_name(f"{TEMPORARY}old-{target.name}"))
                self.on_event("replacing")
            staged.temporary.rename(target)
            sync_folder(target.parent)
            remove(target.with_name(f"{TEMPORARY}old-{target.name}"))
        self.done[entry.shard] = entry
        self.log("shard", shard=entry.shard, frames=entry.frames, people=entry.people)
        self.on_event("after-rename")
        return entry

    def finish(self) -> None:
        """Write index.json, last of all; DatasetError while shards are missing.

        `on_event` hears "before-index".
        """
        if self.todo:
            raise DatasetError(
                "shards are missing",
                where=str(self.folder),
                got=f"{len(self.todo)} of {len(self.todo) + len(self.done)} not made",
                then="Run again with --resume.",
            )
        entries = [self.done[shard] for shard in sorted(self.done)]
        value = {
            "frames": sum(entry.frames for entry in entries),
            "people": sum(entry.people for entry in entries),
            "failed": sum(len(entry.failed) for entry in entries),
            "part": None if self.part is None else list(self.part),
            "mixed": read_mixed(self.folder),
            "shards": [_index_row(entry) for entry in entries],
        }
        self.on_event("before-index")
        data = canonical_json(value)
        path = self.folder / INDEX_NAME
        if not path.is_file() or path.read_bytes() != data:
            replace_file(path, data)
        self.log("finished", frames=value["frames"])

    def log(self, event: str, **facts: Any) -> None:
        """Append a line to run.log: the one file that may hold times, hosts and paths."""
        line = {"time": datetime.now(UTC).isoformat(), "pid": os.getpid(), "event": event, **facts}
        path = self.folder / LOG_NAME
        with disk_errors(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=str) + "\n")


@contextmanager
def open_or_create(
    out: Path,
    identity: Identity,
    *,
    resume: bool = False,
    allow_mixed: bool = False,
    part: Part | None = None,
    keep: bool = True,
    on_event: OnEvent = no_event,
    on_check: Callable[[int, int], None] | None = None,
) -> Iterator[Session]:
    """Hold the folder `out` for writing the data set `identity`, or its `part`.

    A folder that is missing or empty is started. With `resume`, one that was begun is taken up:
    temporaries of a killed run go, every shard is checked (`on_check(done, total)`) and a bad
    one moved to set-aside/. DatasetError: a folder with other things in it, a data set without
    `resume`, another run at work, another identity without `allow_mixed` (which is written
    down), fewer frames than before. DiskError: not writable or full. Without `keep` a
    new folder is taken away when it fails, with whole shards in it too. `on_event` hears
    "before-first-shard".
    """
    _check_part(part)
    out = check_folder(out, resume)
    with new_parents(out / LOCK_NAME), hold_lock(out):
        check_folder(out, resume)
        begun = (out / MANIFEST_NAME).exists()
        session = Session(folder=out, identity=identity, part=part, on_event=on_event)
        _clear_temporaries(out)
        try:
            _begin(session, allow_mixed)
            with disk_errors(out):
                (out / SHARDS_DIR).mkdir(exist_ok=True)
                sync_folder(out)
                _take_stock(session, on_check)
                if session.todo:
                    remove(out / INDEX_NAME)
                    sync_folder(out)
            session.log("started", part=part, resumed=len(session.done), left=len(session.todo))
            on_event("before-first-shard")
            yield session
        except BaseException as error:
            with suppress(SynthStudioError):
                if begun or (session.done and keep) or not _is_refusal(error):
                    session.log("stopped", error=f"{type(error).__name__}: {error}")
                else:
                    _undo(out)
            raise
        finally:
            with suppress(SynthStudioError):
                _clear_temporaries(out)


def _is_refusal(error: BaseException) -> bool:
    """Whether a run cannot go on before something outside is mended: there is nothing to resume."""
    return isinstance(error, SynthStudioError) and not isinstance(error, WorkerError)


def _undo(out: Path) -> None:
    """Take away what a run without a shard has begun, so that the folder is as it was."""
    with disk_errors(out):
        for name in (INDEX_NAME, SHARDS_DIR, MANIFEST_NAME, MIXED_NAME, LOG_NAME, LOCK_NAME):
            remove(out / name)


def is_unfinished(out: Path) -> bool:
    """Whether a run began a data set there and did not end it."""
    return os.path.isfile(out / MANIFEST_NAME) and not os.path.exists(out / INDEX_NAME)  # noqa: PTH110, PTH113


def shards_of(identity: Identity, part: Part | None) -> range:
    """Return the shards that a run, or a part of it, makes."""
    return range(identity.shards) if part is None else range(part[0] - 1, identity.shards, part[1])


def read_mixed(folder: Path) -> list[dict[str, Any]]:
    """Return the notes of runs that went on under another identity; empty for most sets."""
    path = folder / MIXED_NAME
    return list(read_json(path)["mixed"]) if path.is_file() else []


def write_mixed(folder: Path, notes: list[dict[str, Any]]) -> None:
    """Write down that shards of another identity are in this data set, and which."""
    replace_file(folder / MIXED_NAME, canonical_json({"mixed": notes}))


def _index_row(entry: ShardEntry) -> dict[str, Any]:
    row = dataclasses.asdict(entry)
    return {**row, "failed": len(entry.failed), "path": entry.path}


def _check_part(part: Part | None) -> None:
    if part is not None and not 1 <= part[0] <= part[1]:
        raise DatasetError(
            "there is no such part",
            where="--part",
            expected="K/N with K from 1 to N",
            got=f"{part[0]}/{part[1]}",
        )


def check_folder(out: Path, resume: bool) -> Path:
    """The folder that `out` means, if it is free or a data set to go on with; before any write."""
    if not os.path.exists(out / MANIFEST_NAME):  # noqa: PTH110 - also where no name can be so long
        return free_folder(out, own=_RUN_FILES.__contains__)
    if not resume:
        raise DatasetError(
            "a data set is already here",
            where=str(out),
            then="Go on with it by --resume, or choose another --out.",
        )
    return out


def _begin(session: Session, allow_mixed: bool) -> None:
    """Write the identity, or hold it against the one that is there."""
    folder, wanted = session.folder, session.identity
    if not (folder / MANIFEST_NAME).is_file():
        write_identity(folder, wanted)
        return
    had = read_identity(folder)
    # What was begun in an older format is finished in it.
    wanted = dataclasses.replace(
        wanted, format_version=min(had.format_version, wanted.format_version)
    )
    differences = identity_differences(had, wanted)
    if differences:
        if not allow_mixed or structural_differences(had, wanted):
            raise _other_identity(folder, differences, allow_mixed)
        notes = read_mixed(folder)
        if not any(note["differences"] == differences for note in notes):
            write_mixed(folder, [*notes, {"differences": differences}])
    session.identity = dataclasses.replace(had, frames=wanted.frames)
    if wanted.frames != had.frames:
        with disk_errors(folder):
            remove(folder / INDEX_NAME)
            sync_folder(folder)
        write_identity(folder, session.identity)


def _other_identity(folder: Path, differences: list[str], allow_mixed: bool) -> DatasetError:
    listed = "\n  ".join(differences[:20])
    more = f"\n  and {len(differences) - 20} more" if len(differences) > 20 else ""
    then = "Run it as it was begun, or choose another --out."
    if not allow_mixed:
        then = "Run it as it was begun, choose another --out, or mix them with --allow-mixed."
    return DatasetError(
        f"this data set was begun differently:\n  {listed}{more}\n",
        where=str(folder / MANIFEST_NAME),
        then=then,
    )


def _take_stock(session: Session, on_check: Callable[[int, int], None] | None) -> None:
    """Check every shard on disk; whole ones are done, bad ones are moved aside."""
    found = sorted((session.folder / SHARDS_DIR).iterdir())
    mine = set(shards_of(session.identity, session.part))
    for place, path in enumerate(found):
        problems = verify_shard(path) if is_shard_name(path.name) else ["not a shard"]
        if not problems:
            problems = _place(session, path, mine)
        if problems:
            _move_aside(session, path, problems)
        if on_check is not None:
            on_check(place + 1, len(found))


def _place(session: Session, path: Path, mine: set[int]) -> list[str]:
    """Note a whole shard as done, or leave it to be replaced; return why it cannot stay."""
    entry = read_entry(path)
    wanted = session.identity.frames_of(entry.shard)
    if shard_name(entry.shard) != path.name or entry.first != wanted.start:
        return [f"holds shard {entry.shard} from frame {entry.first}"]
    if entry.shard not in mine:
        raise DatasetError(
            "this folder holds shards of another part",
            where=str(path),
            got=f"shard {entry.shard}",
            then="Give every part its own --out and join them with merge.",
        )
    if entry.frames > len(wanted):
        return [f"holds {entry.frames} frames, expected {len(wanted)}"]
    if entry.frames == len(wanted):
        session.done[entry.shard] = entry
    return []


def _check_range(entry: ShardEntry, identity: Identity, path: Path) -> None:
    wanted = identity.frames_of(entry.shard)
    if not 0 <= entry.shard < identity.shards or (entry.first, entry.frames) != (
        wanted.start,
        len(wanted),
    ):
        raise DatasetError(
            "a shard with the wrong frames",
            where=str(path),
            expected=f"frames {wanted.start} to {wanted.stop - 1} in shard {entry.shard}",
            got=f"{entry.frames} frames from {entry.first}",
        )


def _move_aside(session: Session, path: Path, problems: list[str]) -> None:
    aside = session.folder / SET_ASIDE_DIR
    aside.mkdir(exist_ok=True)
    target = aside / f"{path.name}-{time.time_ns()}"
    path.rename(target)
    sync_folder(path.parent)
    session.set_aside.append(path.name)
    session.log("set-aside", shard=path.name, to=target.name, problems=problems[:20])


def _clear_temporaries(folder: Path) -> None:
    for place in (folder, folder / SHARDS_DIR):
        with disk_errors(place):
            for path in sorted(place.glob(f"{TEMPORARY}*")):
                remove(path)
