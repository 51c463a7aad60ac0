"""The job table, and the thread that manages its jobs. Any server may manage it.

Jobs belong to the machine that started them (`node`); servers on others leave them alone.
"""

import logging
import platform
import shutil
import signal
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from synthstudio.core.errors import Refused, SynthStudioError
from synthstudio.review.models import ACTIVE, RESUMABLE, JobRow, utc_now
from synthstudio.review.store import Store, advisory_lock
from synthstudio.review.values import User, require
from synthstudio.studio.jobs import orders, process
from synthstudio.studio.jobs.orders import Order, check_order, output_folder
from synthstudio.studio.jobs.process import Running, frames_on_disk
from synthstudio.studio.settings import Settings

MAX_QUEUED = 20
MAX_MESSAGE = 4_000
EVERY_S = 1.0
TERM_AFTER_S, KILL_AFTER_S = 10.0, 20.0
"""Seconds from a cancel's first signal to the second and the third."""
_CLAIM_S = 15.0
_ORPHAN_S = 60.0
"""Age of an upload without a job before it is deleted: files are kept before their job is added."""
LOG = logging.getLogger("synthstudio.studio")
_running: weakref.WeakKeyDictionary[Store, dict[str, threading.Thread]] = (
    weakref.WeakKeyDictionary()
)
_lock = threading.Lock()


def add(store: Store, order: Order, settings: Settings, *, who: User) -> JobRow:
    """Check an order and queue it; Refused or RecipeError if not allowed."""
    check_order(order, settings, who)
    with store.session() as session:
        advisory_lock(session, "jobs")
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
        spec = asdict(order)
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
        return row


def jobs(store: Store, *, limit: int = 50) -> list[JobRow]:
    with store.reading() as session:
        return list(session.scalars(select(JobRow).order_by(JobRow.id.desc()).limit(limit)))


def job(store: Store, number: int) -> JobRow:
    """Return one job; Refused("gone") if unknown."""
    with store.reading() as session:
        return get_row(session, number)


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


def cancel(store: Store, number: int, *, who: User) -> JobRow:
    """Request a job to end, executed by `run_once`. Ended jobs are unchanged."""
    require(who, "generate")
    with store.session() as session:
        row = get_row(session, number)
        if row.state == "queued":
            end_row(row, "cancelled", f"Cancelled by {who.name} before it began.")
        elif row.state == "running" and "stop" not in row.progress:
            row.progress = {**row.progress, "stop": time.time(), "step": 0}
        return row


def resume(store: Store, number: int, settings: Settings, *, who: User) -> JobRow:
    """Queue an ended job again, checked for its missing frames. Refused, RecipeError."""
    require(who, "generate")
    seen = job(store, number)
    if seen.resumable:
        made = frames_on_disk(output_folder(settings, seen.out))
        orders.check_generate(orders.Generate(**seen.spec), settings, made=made)
    with store.session() as session:
        advisory_lock(session, "jobs")
        row = get_row(session, number)
        if not row.resumable:
            raise Refused(
                "this job cannot be resumed",
                where=f"job {number}",
                expected=" or ".join(RESUMABLE),
                got=row.state,
                reason="invalid",
            )
        others = select(JobRow.id).where(JobRow.out == row.out, JobRow.state.in_(ACTIVE))
        if session.scalars(others).first() is not None:
            raise Refused("another job writes to this output", where=row.out, reason="invalid")
        # The output is missing if it failed before the first byte: then it starts anew.
        again = (output_folder(settings, row.out) / "dataset.json").is_file()
        row.spec = {**row.spec, "resume": again}
        row.progress = {"total": row.progress.get("total", 0), "node": platform.node()}
        row.state, row.message, row.pid, row.started, row.ended = "queued", "", None, None, None
        return row


def get_row(session: Session, number: int) -> JobRow:
    row = session.get(JobRow, number)
    if row is None:
        raise Refused("no such job", where=f"job {number}", reason="gone")
    return row


def end_row(row: JobRow, state: str, message: str) -> None:
    row.state, row.ended, row.message = state, utc_now(), message[:MAX_MESSAGE]


def start(settings: Settings, store: Store, *, every_s: float = EVERY_S) -> threading.Thread:
    """Start managing a store's jobs; a second call returns the same thread."""
    return repeat(store, "jobs", lambda: run_once(store, settings), every_s=every_s)


def run_once(store: Store, settings: Settings) -> list[JobRow]:
    """One pass over all jobs of this machine: record ends, cancel, start; return the changed.

    Servers and threads may call it concurrently: each step is one transaction.
    """
    changed: list[JobRow | None] = []
    for number in _jobs_here(store, "running"):
        seen = job(store, number)
        running = _process(store, seen, settings)
        if running is None:
            continue  # just claimed by another server that will start it
        step = _record_progress if process.is_alive(running) else _finish
        changed.append(step(store, seen, running, settings))
    while (claimed := _claim(store, settings)) is not None:
        changed.append(_start(store, claimed, settings))
    _delete_orphans(store, settings)
    return [row for row in changed if row is not None]


def _delete_orphans(store: Store, settings: Settings) -> None:
    """Delete uploads without an active job: cancelled, not started, or of a killed server."""
    folder = settings.state / "incoming"
    before = time.time() - _ORPHAN_S
    old = [p for p in folder.iterdir() if p.stat().st_mtime < before] if folder.is_dir() else []
    if not old:
        return
    with store.reading() as session:
        active = session.scalars(select(JobRow.spec).where(JobRow.state.in_(ACTIVE))).all()
    kept = {spec.get("files") for spec in active}
    for place in old:
        if place.name not in kept:
            shutil.rmtree(place, ignore_errors=True)


def _jobs_here(store: Store, state: str) -> list[int]:
    with store.reading() as session:
        rows = session.scalars(select(JobRow).where(JobRow.state == state).order_by(JobRow.id))
        return [row.id for row in rows if row.progress.get("node") == platform.node()]


def _process(store: Store, seen: JobRow, settings: Settings) -> Running | None:
    """A job's process, as recorded in the job table or by the process itself."""
    if seen.pid is not None:
        return Running(pid=seen.pid, start_time=float(seen.progress.get("start_time", 0.0)))
    if seen.started is not None and (utc_now() - seen.started).total_seconds() < _CLAIM_S:
        return None
    found = process.recorded(log_folder(settings, seen.id))
    if found is None or not process.is_alive(found):
        return Running(pid=-1, start_time=0.0)  # its server died before it could begin
    with store.session() as session:
        row = get_row(session, seen.id)
        row.pid, row.progress = found.pid, {**row.progress, "start_time": found.start_time}
    return found


def _record_progress(
    store: Store, seen: JobRow, running: Running, settings: Settings
) -> JobRow | None:
    now, done = time.time(), seen.done
    if seen.kind == "generate":
        done = min(seen.total, frames_on_disk(output_folder(settings, seen.out)))
    if done == seen.done and not seen.stopping:
        return None
    with store.session() as session:
        row = get_row(session, seen.id)
        if row.state != "running":
            return None
        news: dict[str, Any] = {"done": done}
        if "first" not in row.progress:
            news["first"] = [now, done]
        else:
            at, had = row.progress["first"]
            news["per_second"] = round(max(0, done - had) / max(0.001, now - at), 4)
        if "stop" in row.progress:
            news["step"] = _send_due_signal(
                running, now - row.progress["stop"], row.progress["step"]
            )
        row.progress = {**row.progress, **news}
        return row


def _send_due_signal(running: Running, waited_s: float, step: int) -> int:
    """Send the signal that is due; return how many were sent."""
    due = ((0.0, signal.SIGINT), (TERM_AFTER_S, signal.SIGTERM), (KILL_AFTER_S, signal.SIGKILL))
    for number, (after, what) in enumerate(due):
        if step <= number and waited_s >= after:
            process.send_signal(running, what)
            step = number + 1
    return step


def _finish(store: Store, seen: JobRow, running: Running, settings: Settings) -> JobRow | None:
    if running.pid > 0:
        process.kill_leftovers(running)
    with store.session() as session:
        row = get_row(session, seen.id)
        if row.state != "running" or (row.pid or -1) != running.pid:
            return None  # another server was faster
        ended = process.read_outcome(
            log_folder(settings, seen.id), cancelled="stop" in row.progress
        )
        news: dict[str, Any] = {"result": ended.result}
        if row.kind == "generate":
            made = frames_on_disk(output_folder(settings, row.out))
            news["done"] = row.progress["total"] if ended.state == "done" else made
        row.progress = {**row.progress, **news}
        end_row(row, ended.state, ended.message)
        orders.delete_inputs(row.kind, row.spec, settings)
        return row


def _claim(store: Store, settings: Settings) -> int | None:
    """Start the oldest waiting job of this machine, if another may run."""
    if not _jobs_here(store, "queued"):
        return None  # the usual case must not lock the database every second
    node = platform.node()
    with store.session() as session:
        advisory_lock(session, "jobs")
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


def _start(store: Store, number: int, settings: Settings) -> JobRow:
    seen = job(store, number)
    try:
        line = orders.command(seen.kind, seen.spec, settings)
        orders.write_inputs(seen.kind, seen.spec, settings)
        running = process.start(
            line,
            log_folder(settings, number),
            extra=orders.environment(seen.kind, seen.spec, settings),
        )
    except (SynthStudioError, OSError) as error:
        with store.session() as session:
            row = get_row(session, number)
            end_row(row, "failed", str(error))
            return row
    with store.session() as session:
        row = get_row(session, number)
        row.pid, row.progress = running.pid, {**row.progress, "start_time": running.start_time}
        return row


def repeat(
    store: Store, name: str, work: Callable[[], object], *, every_s: float
) -> threading.Thread:
    """Repeat work in a thread, started once a store and name; repeated errors are logged once."""
    with _lock:
        own = _running.setdefault(store, {})
        found = own.get(name)
        if found is None or not found.is_alive():
            found = threading.Thread(
                target=_repeat, args=(name, work, every_s), name=name, daemon=True
            )
            own[name] = found
            found.start()
        return found


def _repeat(name: str, work: Callable[[], object], every_s: float) -> None:
    troubled = ""
    while True:
        try:
            work()
            troubled = ""
        except Exception as error:  # the database is busy or away: retry
            if str(error) != troubled:
                LOG.warning("%s wait: %s", name, error)
            troubled = str(error)
        time.sleep(every_s)
