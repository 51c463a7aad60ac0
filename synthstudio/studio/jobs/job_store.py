"""The job table: ordered, running and ended jobs. Any server may manage it.

Jobs belong to the machine that started them (`node`); servers on others leave them alone.
"""

from __future__ import annotations

import platform
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from synthstudio.core.errors import Refused
from synthstudio.review.models import JobRow, utc_now
from synthstudio.review.store import Store
from synthstudio.review.values import User, require
from synthstudio.studio.jobs import orders
from synthstudio.studio.jobs.orders import Order, check_order, check_resumed, output_folder
from synthstudio.studio.jobs.process import frames_on_disk
from synthstudio.studio.settings import Settings

ACTIVE = ("queued", "running")
RESUMABLE = ("lost", "failed", "cancelled")
MAX_QUEUED = 20
MAX_MESSAGE = 4_000
_PG_LOCK = 0x5F10B5
"""An arbitrary lock number, unused by other programs: "changing the queue of jobs"."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job as shown on pages. `done` and `total` count frames; both 0 if unknown."""

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
        return self.state in ACTIVE

    @property
    def resumable(self) -> bool:
        return self.state in RESUMABLE and self.kind == "generate"

    @property
    def seconds_left(self) -> float | None:
        """Return the remaining time at the current speed, None if unknown."""
        return (self.total - self.done) / self.per_second if self.per_second > 0 else None


def add(store: Store, order: Order, settings: Settings, *, who: User) -> Job:
    """Check an order and queue it; Refused or RecipeError if not allowed."""
    check_order(order, settings, who)
    with store.session() as session:
        lock_queue(session)
        waiting = session.scalars(select(JobRow).where(JobRow.state.in_(ACTIVE))).all()
        if len(waiting) >= MAX_QUEUED:
            raise Refused(
                "too many queued jobs",
                where="jobs",
                expected=f"at most {MAX_QUEUED}",
                then="Wait for one to end, or cancel one.",
                reason="invalid",
            )
        if any(row.out == order.out for row in waiting):
            raise Refused(
                "another job writes to this output",
                where=order.out,
                then="Choose another name.",
                reason="invalid",
            )
        spec = orders.order_to_spec(order)
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
        return as_job(row)


def jobs(store: Store, *, limit: int = 50) -> list[Job]:
    with store.reading() as session:
        rows = session.scalars(select(JobRow).order_by(JobRow.id.desc()).limit(limit))
        return [as_job(row) for row in rows]


def job(store: Store, number: int) -> Job:
    """Return one job; Refused("gone") if unknown."""
    with store.reading() as session:
        return as_job(get_row(session, number))


def free_name(store: Store, settings: Settings, base: str) -> str:
    """The first of BASE, BASE-2, ... unused by outputs and jobs; "" if there is none."""
    waiting = {job.out for job in jobs(store) if job.active}
    for number in range(1, 1000):
        name = base if number == 1 else f"{base}-{number}"
        with suppress(Refused):
            orders.check_name_free(settings, name)
            if name not in waiting:
                return name
    return ""


def log_folder(settings: Settings, number: int) -> Path:
    return settings.state / "jobs" / str(int(number))


def cancel(store: Store, number: int, *, who: User) -> Job:
    """Request a job to end, executed by `run_once`. Ended jobs are unchanged."""
    require(who, "generate")
    with store.session() as session:
        row = get_row(session, number)
        if row.state == "queued":
            end_row(row, "cancelled", f"Cancelled by {who.name} before it began.")
        elif row.state == "running" and "stop" not in row.progress:
            row.progress = {**row.progress, "stop": time.time(), "step": 0}
        return as_job(row)


def resume(store: Store, number: int, settings: Settings, *, who: User) -> Job:
    """Queue a lost, cancelled or failed job again; it resumes.

    It is checked like a new one, for the missing frames. Refused, RecipeError.
    """
    require(who, "generate")
    seen = job(store, number)
    if seen.resumable:
        made = frames_on_disk(output_folder(settings, seen.out))
        check_resumed(orders.order_from_spec(seen.spec), settings, who, made=made)
    with store.session() as session:
        lock_queue(session)
        row = get_row(session, number)
        if not as_job(row).resumable:
            raise Refused(
                "this job cannot be resumed",
                where=f"job {number}",
                expected=" or ".join(RESUMABLE),
                got=row.state,
                reason="invalid",
            )
        others = select(JobRow.id).where(JobRow.out == row.out, JobRow.state.in_(ACTIVE))
        if session.scalars(others).first() is not None:
            raise Refused("another job writes to this output", where=str(row.out), reason="invalid")
        # The output is missing if it failed before the first byte: then it starts anew.
        again = (output_folder(settings, str(row.out)) / "dataset.json").is_file()
        row.spec = {**row.spec, "resume": again}
        row.progress = {"total": row.progress.get("total", 0), "node": platform.node()}
        row.state, row.message, row.pid, row.started, row.ended = "queued", "", None, None, None
        return as_job(row)


def lock_queue(session: Session) -> None:
    """Lock out other additions and starts of jobs, so that counts stay valid until the end."""
    if session.get_bind().dialect.name == "postgresql":  # SQLite has one writer at a time anyway
        session.execute(select(func.pg_advisory_xact_lock(_PG_LOCK)))


def get_row(session: Session, number: int) -> JobRow:
    row = session.get(JobRow, number)
    if row is None:
        raise Refused("no such job", where=f"job {number}", reason="gone")
    return row


def end_row(row: JobRow, state: str, message: str) -> None:
    row.state, row.ended, row.message = state, utc_now(), message[:MAX_MESSAGE]


def as_job(row: JobRow) -> Job:
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
