"""Statistics of a data set: people by status, review progress, size, checks and health."""

import functools
import math
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np

from synthstudio.core.last_used import LastUsed
from synthstudio.core.places import Place, Url
from synthstudio.core.progress import people_text
from synthstudio.dataset.durable import file_sha256, read_json
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.shards import SHARD_NAME
from synthstudio.review.history import (
    DECIDED,
    by_status,
    empty_frames,
    events,
    is_decided,
    states,
    without_zeros,
)
from synthstudio.review.risk.findings import CheckRun, Kind
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.queue import Estimate, estimate
from synthstudio.review.risk.review_fields import last_event_id
from synthstudio.review.store import Store
from synthstudio.review.team.second_review import share_of
from synthstudio.review.values import FRAME, MAIN, NO_PEOPLE, Event, ItemState, Pair
from synthstudio.studio.context import OpenSet
from synthstudio.studio.frame_data import UNTOUCHED
from synthstudio.studio.jobs import process
from synthstudio.studio.jobs.process import Running

_MAX_SETS = 500
Name = tuple[str, str]
"""A data set's key in caches: the store's URL and its key."""


@dataclass(frozen=True, kw_only=True)
class People:
    """`status` -> people; `added`: not on disk; `empty_frames`: marked as without people."""

    status: Mapping[str, int]
    added: int
    deleted: int
    empty_frames: int

    @property
    def total(self) -> int:
        return sum(self.status.values())

    @property
    def decided(self) -> int:
        return sum(self.status.get(name, 0) for name in DECIDED)

    @property
    def waiting(self) -> int:
        return self.total - self.decided


def added_note(people: People) -> str:
    how = "added by reviewers: in Review, queue Added by reviewers."
    return f"{people_text(people.added)} {how}" if people.added else ""


_MAX_EVENTS = 200
_NEITHER = ("edit", "comment", "reject_prediction", "resolve", "reopen")
_people_cache: LastUsed[Name, tuple[int, People]] = LastUsed(_MAX_SETS)


def count_people(store: Store, key: str) -> People:
    """The people of a set; counted once, then updated by newer events."""
    at, found = _people_cache.get((store.url, key)) or (-1, None)
    news = events(store, key, after_id=at, limit=_MAX_EVENTS + 1) if found else []
    found = _updated(found, news) if found and len(news) <= _MAX_EVENTS else None
    if found is not None:
        last = news[-1].id if news else at
    else:
        with store.snapshot():
            last, found = last_event_id(store, key), _counted(store, key)
    return _people_cache.put((store.url, key), (last, found))[1]


def _counted(store: Store, key: str) -> People:
    status, rows = by_status(store, key)
    return People(
        status=status,
        added=sum(count for deleted, added, count in rows if added and not deleted),
        deleted=sum(count for deleted, added, count in rows if deleted and not added),
        empty_frames=len(empty_frames(store, key)),
    )


def _updated(people: People, news: list[Event]) -> People | None:
    """The counts after some events; None: recount."""
    status, empty = Counter(people.status), people.empty_frames
    for event in news:
        if event.person.layer != MAIN or event.kind in _NEITHER:
            continue
        if event.kind != "status":
            return None
        before, after = str(event.before["status"]), str(event.after["status"])
        if event.person.instance == FRAME:
            empty += (after == NO_PEOPLE) - (before == NO_PEOPLE)
        else:
            status[before] -= 1
            status[after] += 1
    return replace(people, status=without_zeros(status), empty_frames=empty)


_left_cache: LastUsed[Name, tuple[int, frozenset[int]]] = LastUsed(_MAX_SETS)


def frames_left(store: Store, found: OpenSet) -> int:
    """Return how many frames have undecided people, or none and are not marked as empty."""
    table, name = found.table, (store.url, found.key)
    at, left = _left_cache.get(name) or (-1, frozenset())
    news = events(store, found.key, after_id=at, limit=_MAX_EVENTS + 1) if at >= 0 else []
    if at < 0 or len(news) > _MAX_EVENTS:
        last = last_event_id(store, found.key)
        changed = set(table.arrays["frame.index"].astype(np.int64).tolist())
        reviewed = states(store, found.key, masks=False)
        on_disk = table.ids(np.arange(table.people))
    elif news:
        last = news[-1].id
        changed = {event.person.frame for event in news if event.person.layer == MAIN}
        reviewed = states(store, found.key, frames=changed)
        on_disk = table.ids(np.flatnonzero(np.isin(table.frame, list(changed))))
    else:
        return len(left)
    left = (left | changed) - _frames_done(on_disk, reviewed)
    return len(_left_cache.put(name, (last, left))[1])


def _frames_done(on_disk: Iterable[Pair], reviewed: Mapping[Pair, ItemState]) -> set[int]:
    """Frames whose people are all decided, or that are marked as empty."""
    people = {*on_disk, *(pair for pair, one in reviewed.items() if one.added)}
    states_of = ((pair, reviewed.get(pair, UNTOUCHED)) for pair in people)
    here = {pair: one for pair, one in states_of if not one.deleted}
    waiting = {frame for (frame, _), one in here.items() if not is_decided(one)}
    empty = {frame for (frame, _), one in reviewed.items() if one.status == NO_PEOPLE}
    return ({frame for frame, _ in here} | empty) - waiting


_CHECKS: tuple[tuple[Kind, str], ...] = (("validation", "Validation"), ("audit", "Audit"))
COMMAND = "`synthstudio review check DATASET`"


def checks_summary(ran: Mapping[Kind, CheckRun], *, frames: int) -> str:
    """Findings of the checks and their dates, and how to run missing ones; of `frames` in all."""
    if not ran:
        return (
            f"Validation and audit have not been run: {COMMAND} runs both, and their findings come "
            "first here."
        )
    sentences, lacking = [], ""
    for kind, title in _CHECKS:
        run = ran.get(kind)
        if run is None:
            lacking = f"{title} has not been run: {COMMAND} runs it."
            continue
        some = f"the first {run.frames:,} of {frames:,}" if run.frames is not None else "all"
        people = f"findings on {people_text(run.people)}" if run.people else "no findings"
        sentences.append(f"{title} of {some} frames: {people} ({run.at:%d %b %Y %H:%M} UTC).")
    return " ".join([*sentences, lacking]).rstrip()


_READ_SHARDS = 100
_size_cache: LastUsed[str, tuple[int, bool]] = LastUsed(_MAX_SETS)


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """A data set at a glance. `people`: counts as everywhere; `estimate`: if any.

    `frames_left`: with undecided people, or without people and not marked as empty; None if
    every frame has people on disk, or before any review.
    """

    frames: int
    frames_left: int | None
    people: People
    bytes: int
    is_exact: bool  # of `bytes`
    last: datetime | None
    last_by: str
    estimate: Estimate | None


_facts_cache: LastUsed[tuple[Name, int], DatasetFacts] = LastUsed(_MAX_SETS)


def dataset_facts(store: Store, found: OpenSet) -> DatasetFacts:
    """Statistics of a set, kept until its next event; SynthStudioError if damaged."""
    key = (store.url, found.key), last_event_id(store, found.key)
    return _facts_cache.get_or(key, lambda: _facts(store, found))


def _facts(store: Store, found: OpenSet) -> DatasetFacts:
    newest = events(store, found.key, after_id=last_event_id(store, found.key) - 1, limit=1)
    size, exact = stored_bytes(found)
    share = share_of(store, found.key, "control_share")
    guess = estimate(store, found.table, share=share) if newest else None
    in_frames = not found.dataset.people or (newest and _has_empty_frames(found.table))
    return DatasetFacts(
        frames=found.dataset.frames,
        frames_left=frames_left(store, found) if in_frames else None,
        people=count_people(store, found.key),
        bytes=size,
        is_exact=exact,
        last=newest[0].when if newest else None,
        last_by=newest[0].who if newest else "",
        estimate=guess if guess is not None and guess.n and not math.isnan(guess.rate) else None,
    )


def _has_empty_frames(table: PeopleTable) -> bool:
    return not np.isin(table.arrays["frame.index"], table.frame).all()


def stored_bytes(found: OpenSet) -> tuple[int, bool]:
    """Bytes of the files, and whether all shards were counted; 0 at a URL, fetched on demand."""
    dataset = found.dataset

    def counted() -> tuple[int, bool]:
        step = max(1, -(-len(dataset.entries) // _READ_SHARDS))
        seen = dataset.entries[::step]
        total = 0
        for entry in seen:
            files = read_json(dataset.shard_folder(entry.shard) / SHARD_NAME).get("files")
            total += sum(int(f["bytes"]) for f in files.values()) if isinstance(files, dict) else 0
        return total * len(dataset.entries) // max(1, len(seen)), step == 1

    is_remote = isinstance(dataset.place, Url)
    return (0, False) if is_remote else _size_cache.get_or(found.key, counted)


AT_ONCE = 1
MAX_FRAMES = 20_000
"""Larger sets are checked only on request."""


@dataclass(frozen=True, kw_only=True)
class Health:
    """The state of a check. `kinds`: (title, severity, count) of findings by kind, worst first."""

    state: Literal["unknown", "waiting", "checking", "known", "failed"]
    errors: int = 0
    warnings: int = 0
    kinds: tuple[tuple[str, str, int], ...] = ()
    message: str = ""


class HealthChecks:
    """Checks data sets one after another; thread-safe. Results survive the server."""

    def __init__(self, state: Path) -> None:
        self._folder = state / "health"
        self._lock = threading.Lock()
        self._running: dict[str, Running] = {}

    def status(self, key: str, dataset: Dataset, *, begin: bool) -> Health:
        """Return the health of a data set; `begin`: start a check if unknown."""
        folder, place = self._folder / key[:16] / _mark(dataset.folder), dataset.place
        with self._lock:
            ended = [name for name, one in self._running.items() if not process.is_alive(one)]
            for name in ended:
                del self._running[name]
            if str(folder) in self._running:
                return Health(state="checking")
            if (folder / process.OUT_NAME).is_file():
                return _read(folder, place)
            if not begin:
                return Health(state="unknown")
            if len(self._running) >= AT_ONCE:
                return Health(state="waiting")
            line = [sys.executable, "-m", "synthstudio.studio.jobs.workers", "check", str(place)]
            self._running[str(folder)] = process.start(
                [*line, "--json"], folder, extra=process.environment_of(place), outlives=False
            )
            return Health(state="checking")


@functools.lru_cache(4)
def health_checks(state: Path) -> HealthChecks:
    return HealthChecks(state)


def _read(folder: Path, place: Place) -> Health:
    ended = process.read_outcome(folder, cancelled=False)
    if ended.state == "lost":  # the server ended during the check: restart on request
        (folder / process.OUT_NAME).unlink(missing_ok=True)
        return Health(state="unknown")
    if ended.state == "failed":
        # The set's place on this machine belongs only into the log.
        above = f"{place}".removesuffix(place.name)
        return Health(state="failed", message=ended.message.replace(above, ""))
    try:
        kinds = [
            (str(kind["title"]), str(kind["severity"]), int(kind["count"]))
            for kind in ended.result["kinds"].values()
        ]
        kinds.sort(key=lambda kind: (kind[1] != "error", -kind[2]))
        errors, warnings = int(ended.result["errors"]), int(ended.result["warnings"])
        return Health(state="known", errors=errors, warnings=warnings, kinds=tuple(kinds))
    except (KeyError, TypeError, ValueError):
        return Health(state="failed", message="The findings cannot be read.")


def _mark(dataset: Path) -> str:
    """A value that changes with the data set: a part of its index's hash."""
    return file_sha256(dataset / "index.json")[:16]
