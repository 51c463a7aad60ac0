"""Writing session of a data set: lock, finished shards, remaining shards."""

import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from synthstudio.core.errors import DatasetError, SynthStudioError, WorkerError
from synthstudio.core.places import Place
from synthstudio.dataset import manifest, shards
from synthstudio.dataset.destination import Destination, check_free, destination_of
from synthstudio.dataset.durable import canonical_json, parse_json

Part = tuple[int, int]
"""(k, n): the k-th of n parts, from 1. Shard s belongs to part s mod n + 1."""


@dataclass
class Session:
    """A locked destination of a data set. Only its methods publish or remove files."""

    destination: Destination
    identity: manifest.Identity
    part: Part | None
    on_event: shards.OnEvent
    done: dict[int, shards.ShardEntry] = field(default_factory=dict)
    set_aside: list[str] = field(default_factory=list)

    @property
    def place(self) -> Place:
        return self.destination.place

    @property
    def folder(self) -> Path:
        return self.destination.folder

    @property
    def todo(self) -> tuple[int, ...]:
        """Return the shards of this run that are still to be made, rising."""
        return tuple(s for s in shards_of(self.identity, self.part) if s not in self.done)

    def publish(self, staged: shards.StagedShard) -> None:
        """Publish a shard durably; DiskError, or DatasetError if it does not belong here.

        `on_event` receives "before-rename", "after-rename" and, when a shorter shard is replaced in
        a folder, "replacing" between the two renames.
        """
        entry = staged.entry
        wanted = self.identity.frames_of(entry.shard)
        inside = 0 <= entry.shard < self.identity.shards
        if not inside or (entry.first, entry.frames) != (wanted.start, len(wanted)):
            raise DatasetError(
                "a shard with the wrong frames",
                where=str(staged.temporary),
                expected=f"frames {wanted.start} to {wanted.stop - 1} in shard {entry.shard}",
                got=f"{entry.frames} frames from {entry.first}",
            )
        self.destination.put(staged, self.on_event)
        self.done[entry.shard] = entry
        self.log("shard", shard=entry.shard, frames=entry.frames, people=entry.people)
        self.on_event("after-rename")

    def finish(self) -> None:
        """Write index.json, the last step; DatasetError while shards are missing."""
        if self.todo:
            raise DatasetError(
                "shards are missing",
                where=str(self.place),
                got=f"{len(self.todo)} of {len(self.todo) + len(self.done)} not made",
                then="Run again with --resume.",
            )
        entries = [self.done[shard] for shard in sorted(self.done)]
        value = {
            "frames": sum(entry.frames for entry in entries),
            "people": sum(entry.people for entry in entries),
            "failed": sum(entry.failed for entry in entries),
            "part": None if self.part is None else list(self.part),
            "mixed": self.mixed,
            "shards": [{**dataclasses.asdict(entry), "path": entry.path} for entry in entries],
        }
        self.on_event("before-index")
        data = canonical_json(value)
        if self.destination.read(manifest.INDEX_NAME) != data:
            self.destination.replace(manifest.INDEX_NAME, data)
        self.log("finished", frames=value["frames"])

    @property
    def mixed(self) -> list[dict[str, Any]]:
        """Return the notes of resumed runs of another identity; empty for most sets."""
        data = self.destination.read(manifest.MIXED_NAME)
        if data is None:
            return []
        return list(parse_json(data, self.place / manifest.MIXED_NAME)["mixed"])

    def write_mixed(self, notes: list[dict[str, Any]]) -> None:
        self.destination.replace(manifest.MIXED_NAME, canonical_json({"mixed": notes}))

    def log(self, event: str, **facts: Any) -> None:
        """Append a line to run.log: the only file with times, hosts and paths."""
        line = {"time": datetime.now(UTC).isoformat(), "pid": os.getpid(), "event": event, **facts}
        self.destination.log(json.dumps(line, default=str) + "\n", now=event != "shard")


@contextmanager
def open_or_create(
    out: Place,
    identity: manifest.Identity,
    *,
    resume: bool = False,
    allow_mixed: bool = False,
    part: Part | None = None,
    keep: bool = True,
    on_event: shards.OnEvent = shards.no_event,
) -> Iterator[Session]:
    """Hold the folder or URL `out` for writing the data set `identity`, or its `part`.

    A missing or empty location is started. With `resume` an unfinished data set is continued:
    temporary files of a killed run are deleted, every shard is checked,
    bad ones are moved to set-aside/. DatasetError: a folder with other files, a data set without
    `resume`, a running writer, another identity without `allow_mixed` (which is recorded), fewer
    frames than before. DiskError: not writable or full. Without `keep` a new folder is deleted on
    failure, complete shards included. `on_event` receives "before-first-shard".
    """
    if part is not None and not 1 <= part[0] <= part[1]:
        raise DatasetError(
            "no such part",
            where="--part",
            expected="K/N with K from 1 to N",
            got=f"{part[0]}/{part[1]}",
        )
    destination = destination_of(out)
    check_free(destination, resume)
    with destination.hold():
        check_free(destination, resume)
        started = destination.read(manifest.MANIFEST_NAME) is not None
        session = Session(destination=destination, identity=identity, part=part, on_event=on_event)
        destination.clear()
        try:
            _begin(session, allow_mixed)
            destination.begin()
            _take_stock(session)
            if session.todo:
                destination.remove(manifest.INDEX_NAME)
            session.log("started", part=part, resumed=len(session.done), left=len(session.todo))
            on_event("before-first-shard")
            yield session
        except BaseException as error:
            with suppress(SynthStudioError):
                # A refusal needs a fix outside the run, so that resuming is pointless.
                refused = isinstance(error, SynthStudioError) and not isinstance(error, WorkerError)
                if started or (session.done and keep) or not refused:
                    session.log("stopped", error=f"{type(error).__name__}: {error}")
                else:
                    destination.undo()
            raise
        finally:
            with suppress(SynthStudioError):
                destination.clear()


def check_folder(place: Place) -> None:
    """For commands without --resume: refuse what is neither free nor an unfinished data set."""
    check_free(destination_of(place), is_unfinished(place), "Choose another location.")


def is_unfinished(place: Place) -> bool:
    found = destination_of(place)
    return (
        found.read(manifest.MANIFEST_NAME) is not None and found.read(manifest.INDEX_NAME) is None
    )


def shards_of(identity: manifest.Identity, part: Part | None) -> range:
    return range(identity.shards) if part is None else range(part[0] - 1, identity.shards, part[1])


def _begin(session: Session, allow_mixed: bool) -> None:
    destination, wanted = session.destination, session.identity
    data = destination.read(manifest.MANIFEST_NAME)
    if data is None:
        destination.replace(manifest.MANIFEST_NAME, manifest.to_bytes(wanted))
        return
    where = session.place / manifest.MANIFEST_NAME
    had = manifest.identity_of(parse_json(data, where), where)
    differences = manifest.identity_differences(had, wanted)
    if differences:
        if not allow_mixed or manifest.structural_differences(had, wanted):
            raise _other_identity(session.place, differences, allow_mixed)
        notes = session.mixed
        if not any(note["differences"] == differences for note in notes):
            session.write_mixed([*notes, {"differences": differences}])
    session.identity = dataclasses.replace(had, frames=wanted.frames)
    if wanted.frames != had.frames:
        destination.remove(manifest.INDEX_NAME)
        destination.replace(manifest.MANIFEST_NAME, manifest.to_bytes(session.identity))


def _other_identity(place: Place, differences: list[str], allow_mixed: bool) -> DatasetError:
    listed = "\n  ".join(differences[:20])
    more = f"\n  and {len(differences) - 20} more" if len(differences) > 20 else ""
    then = "Use the original settings, or choose another --out."
    if not allow_mixed:
        then = "Use the original settings, choose another --out, or mix with --allow-mixed."
    return DatasetError(
        f"this data set was started with other settings:\n  {listed}{more}\n",
        where=str(place / manifest.MANIFEST_NAME),
        then=then,
    )


def _take_stock(session: Session) -> None:
    """Verify existing shards; complete ones are done, bad ones are moved aside."""
    destination = session.destination
    mine = set(shards_of(session.identity, session.part))
    for name in destination.shards():
        problems = ["not a shard"]
        if shards.is_shard_name(destination.shard_of(name)):
            problems = destination.examine(name, partial(_judged, session, mine, name))
        if problems:
            target = destination.set_aside(name)
            session.set_aside.append(name)
            session.log("set-aside", shard=name, to=target, problems=problems[:20])


def _judged(session: Session, mine: set[int], name: str, folder: Path) -> list[str]:
    """Mark a complete shard as done, or as to be replaced; return its problems."""
    if problems := shards.verify_shard(folder):
        return problems
    entry = shards.read_entry(folder)
    wanted = session.identity.frames_of(entry.shard)
    named = session.destination.shard_of(name)
    if shards.shard_name(entry.shard) != named or entry.first != wanted.start:
        return [f"holds shard {entry.shard} from frame {entry.first}"]
    if entry.shard not in mine:
        raise DatasetError(
            "this folder holds shards of another part",
            where=f"{session.place}/{entry.path}",
            got=f"shard {entry.shard}",
            then="Give every part its own --out and join them with merge.",
        )
    if entry.frames > len(wanted):
        return [f"holds {entry.frames} frames, expected {len(wanted)}"]
    if entry.frames == len(wanted):
        session.done[entry.shard] = entry
    return []
