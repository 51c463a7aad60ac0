"""The job table: what was ordered, what runs, how it ended. Any server may look after it.

Jobs belong to the machine that started them (`node`); servers on others leave them alone.
"""

from __future__ import annotations

import platform
import signal
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from synthstudio.core.errors import Refused, SynthStudioError
from synthstudio.review.models import JobRow, utc_now
from synthstudio.review.store import Store
from synthstudio.review.values import User, require
from synthstudio.studio.jobs import orders, process
from synthstudio.studio.jobs.orders import Order, check_order, check_resumed, place_of
from synthstudio.studio.jobs.process import Running, frames_on_disk, outcome
from synthstudio.studio.settings import Settings

ACTIVE = ("queued", "running")
RESUMABLE = ("lost", "failed", "cancelled")
MOST_QUEUED = 20
MOST_MESSAGE = 4_000
TERM_AFTER_S, KILL_AFTER_S = 10.0, 20.0
"""Seconds after the first signal of a cancel until the second and the third."""
_CLAIM_S = 15.0
_PG_LOCK = 0x5F10B5
"""Any number that no other program locks by: it stands for "changing the queue of jobs"."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job as pages show it. `done` and `total` count frames; both 0 where nobody can know."""

    id: int
    kind: str
    who: str
    state: str
    out: str
    created: datetime
    started: datetime | None
    ended: datetime | None
    done: int
    total: int
    per_second: float
    message: str
    spec: dict[str, Any]
    stopping: bool

    @property
    def active(self) -> bool:
        """Say whether it waits or runs."""
        return self.state in ACTIVE

    @property
    def resumable(self) -> bool:
        """Say whether `resume` can take it up again."""
        return self.state in RESUMABLE and self.kind == "generate"

    @property
    def seconds_left(self) -> float | None:
        """Return how long it will take at its speed so far, None while that is unknown."""
        return (self.total - self.done) / self.per_second if self.per_second > 0 else None


def add(store: Store, order: Order, settings: Settings, *, who: User) -> Job:
    """Check an order and put it into the queue; Refused or RecipeError when it may not be."""
    check_order(order, settings, who)
    with store.session() as session:
        _take_turn(session)
        waiting = session.scalars(select(JobRow).where(JobRow.state.in_(ACTIVE))).all()
        if len(waiting) >= MOST_QUEUED:
            raise Refused(
                "too many jobs wait",
                where="jobs",
                expected=f"at most {MOST_QUEUED}",
                then="Wait for one to end, or cancel one.",
                reason="invalid",
            )
        if any(row.out == order.out for row in waiting):
            raise Refused(
                "a job writes there already",
                where=order.out,
                then="Choose another name.",
                reason="invalid",
            )
        spec = orders.as_spec(order)
        total = int(spec["recipe"]["frames"]) if "recipe" in spec else 0
        row = JobRow(
            kind=type(order).__name__.lower(),
            who=who.name,
            spec=spec,
            state="queued",
            created=utc_now(),
            progress={"total": total, "node": platform.node()},
            message="",
            out=order.out,
        )
        session.add(row)
        session.flush()
        return _job(row)


def jobs(store: Store, *, limit: int = 50) -> list[Job]:
    """Return the latest jobs, newest first."""
    with store.reading() as session:
        rows = session.scalars(select(JobRow).order_by(JobRow.id.desc()).limit(limit))
        return [_job(row) for row in rows]


def job(store: Store, number: int) -> Job:
    """Return one job; Refused("gone") when there is none."""
    with store.reading() as session:
        return _job(_row(session, number))


def log_folder(settings: Settings, number: int) -> Path:
    """Return where a job's output is kept."""
    return settings.state / "jobs" / str(int(number))


def cancel(store: Store, number: int, *, who: User) -> Job:
    """Ask a job to end; `tend` sees to it. One that has ended stays as it is."""
    require(who, "generate")
    with store.session() as session:
        row = _row(session, number)
        if row.state == "queued":
            _end(row, "cancelled", f"Cancelled by {who.name} before it began.")
        elif row.state == "running" and "stop" not in row.progress:
            row.progress = {**row.progress, "stop": time.time(), "step": 0}
        return _job(row)


def resume(store: Store, number: int, settings: Settings, *, who: User) -> Job:
    """Put a job that was lost, cancelled or failed back into the queue; it goes on.

    It is checked as a new one, for the frames that are still to be made. Refused, RecipeError.
    """
    require(who, "generate")
    seen = job(store, number)
    if seen.resumable:
        made = frames_on_disk(place_of(settings, seen.out))
        check_resumed(orders.as_order(seen.spec), settings, who, made=made)
    with store.session() as session:
        _take_turn(session)
        row = _row(session, number)
        if not _job(row).resumable:
            raise Refused(
                "this job cannot be resumed",
                where=f"job {number}",
                expected=" or ".join(RESUMABLE),
                got=row.state,
                reason="invalid",
            )
        others = select(JobRow.id).where(JobRow.out == row.out, JobRow.state.in_(ACTIVE))
        if session.scalars(others).first() is not None:
            raise Refused("a job writes there already", where=str(row.out), reason="invalid")
        # Nothing is there when it failed before its first byte: then it begins anew.
        again = (place_of(settings, str(row.out)) / "dataset.json").is_file()
        row.spec = {**row.spec, "resume": again}
        row.progress = {"total": row.progress.get("total", 0), "node": platform.node()}
        row.state, row.message, row.pid, row.started, row.ended = "queued", "", None, None, None
        return _job(row)


def tend(store: Store, settings: Settings) -> list[Job]:
    """Look after all jobs of this machine once: notice ends, cancel, begin; return the changed.

    Servers and threads may call it at the same time: each step is one transaction.
    """
    changed = [
        seen for number in _mine(store, "running") if (seen := _watch(store, number, settings))
    ]
    while (claimed := _claim(store, settings)) is not None:
        changed.append(_begin(store, claimed, settings))
    return changed


def _mine(store: Store, state: str) -> list[int]:
    with store.reading() as session:
        rows = session.scalars(select(JobRow).where(JobRow.state == state).order_by(JobRow.id))
        return [row.id for row in rows if row.progress.get("node") == platform.node()]


def _watch(store: Store, number: int, settings: Settings) -> Job | None:
    """Look at one running job; return it when something changed."""
    before = job(store, number)
    running = _process(store, number, settings)
    if running is None:
        return None  # claimed a moment ago by somebody who is about to begin it
    if process.alive(running):
        return _look(store, before, running, settings)
    return _finish(store, number, running, settings)


def _process(store: Store, number: int, settings: Settings) -> Running | None:
    """Return the process of a job; one that nobody wrote down is searched for."""
    with store.reading() as session:
        row = _row(session, number)
    if row.pid is not None:
        return Running(pid=row.pid, born=float(row.progress.get("born", 0.0)))
    if row.started is not None and (utc_now() - row.started).total_seconds() < _CLAIM_S:
        return None
    found = process.find(orders.command(row.kind, row.spec, settings))
    if found is None:
        return Running(pid=-1, born=0.0)  # its server died before it could begin
    with store.session() as session:
        row = _row(session, number)
        row.pid, row.progress = found.pid, {**row.progress, "born": found.born}
    return found


def _look(store: Store, seen: Job, running: Running, settings: Settings) -> Job | None:
    """Write down how far a job is, and take the next step of a cancel."""
    now, done = time.time(), seen.done
    if seen.kind == "generate":
        done = min(seen.total, frames_on_disk(place_of(settings, seen.out)))
    if done == seen.done and not seen.stopping:
        return None
    with store.session() as session:
        row = _row(session, seen.id)
        if row.state != "running":
            return None
        news: dict[str, Any] = {"done": done}
        if "first" not in row.progress:
            news["first"] = [now, done]
        else:
            at, had = row.progress["first"]
            news["per_second"] = round(max(0, done - had) / max(0.001, now - at), 4)
        if "stop" in row.progress:
            news["step"] = _stop(running, now - row.progress["stop"], row.progress["step"])
        row.progress = {**row.progress, **news}
        return _job(row)


def _stop(running: Running, waited_s: float, step: int) -> int:
    """Send the signal that is due; return how many were sent."""
    due = ((0.0, signal.SIGINT), (TERM_AFTER_S, signal.SIGTERM), (KILL_AFTER_S, signal.SIGKILL))
    for number, (after, what) in enumerate(due):
        if step <= number and waited_s >= after:
            process.send(running, what)
            step = number + 1
    return step


def _finish(store: Store, number: int, running: Running, settings: Settings) -> Job | None:
    """Write down how a job ended."""
    if running.pid > 0:
        process.sweep(running)
    with store.session() as session:
        row = _row(session, number)
        if row.state != "running" or (row.pid or -1) != running.pid:
            return None  # another server was faster
        ended = outcome(log_folder(settings, number), cancelled="stop" in row.progress)
        news: dict[str, Any] = {"result": ended.result}
        if row.kind == "generate":
            made = frames_on_disk(place_of(settings, str(row.out)))
            news["done"] = row.progress["total"] if ended.state == "done" else made
        row.progress = {**row.progress, **news}
        _end(row, ended.state, ended.message)
        return _job(row)


def _claim(store: Store, settings: Settings) -> int | None:
    """Take the oldest job of this machine that waits, if another may run."""
    if not _mine(store, "queued"):
        return None  # the usual case must not take the writer's turn every second
    node = platform.node()
    with store.session() as session:
        _take_turn(session)
        rows = session.scalars(
            select(JobRow).where(JobRow.state.in_(ACTIVE)).order_by(JobRow.id)
        ).all()
        mine = [row for row in rows if row.progress.get("node") == node]
        queued = [row for row in mine if row.state == "queued"]
        if not queued or len(mine) - len(queued) >= settings.limits.jobs:
            return None
        row = queued[0]
        row.state, row.started, row.pid = "running", utc_now(), None
        return row.id


def _begin(store: Store, number: int, settings: Settings) -> Job:
    """Start the process of a job that was claimed."""
    seen = job(store, number)
    try:
        line = orders.command(seen.kind, seen.spec, settings)
        orders.prepare(seen.kind, seen.spec, settings)
        running = process.start(
            line, log_folder(settings, number), extra=orders.environment(seen.kind, settings)
        )
    except (SynthStudioError, OSError) as error:
        with store.session() as session:
            row = _row(session, number)
            _end(row, "failed", str(error))
            return _job(row)
    with store.session() as session:
        row = _row(session, number)
        row.pid, row.progress = running.pid, {**row.progress, "born": running.born}
        return _job(row)


def _take_turn(session: Session) -> None:
    """Wait until nobody else adds or begins jobs: what was counted stays so until the end."""
    if session.get_bind().dialect.name == "postgresql":  # SQLite has one writer at a time anyway
        session.execute(select(func.pg_advisory_xact_lock(_PG_LOCK)))


def _row(session: Session, number: int) -> JobRow:
    row = session.get(JobRow, number)
    if row is None:
        raise Refused("there is no such job", where=f"job {number}", reason="gone")
    return row


def _end(row: JobRow, state: str, message: str) -> None:
    row.state, row.ended, row.message = state, utc_now(), message[:MOST_MESSAGE]


def _job(row: JobRow) -> Job:
    progress = row.progress
    return Job(
        id=row.id,
        kind=row.kind,
        who=row.who,
        state=row.state,
        out=str(row.out),
        created=row.created,
        started=row.started,
        ended=row.ended,
        done=int(progress.get("done", 0)),
        total=int(progress.get("total", 0)),
        per_second=float(progress.get("per_second", 0.0)),
        message=row.message,
        spec=row.spec,
        stopping="stop" in progress and row.state == "running",
    )
