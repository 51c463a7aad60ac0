"""A thread that manages the jobs while the server runs."""

from __future__ import annotations

import logging
import platform
import signal
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from sqlalchemy import select

from synthstudio.core.errors import SynthStudioError
from synthstudio.review.models import JobRow, utc_now
from synthstudio.review.store import Store
from synthstudio.studio.jobs import job_store, orders, process
from synthstudio.studio.jobs.job_store import Job
from synthstudio.studio.jobs.orders import output_folder
from synthstudio.studio.jobs.process import Running, frames_on_disk, read_outcome
from synthstudio.studio.settings import Settings

EVERY_S = 1.0
TERM_AFTER_S, KILL_AFTER_S = 10.0, 20.0
"""Seconds from a cancel's first signal to the second and the third."""
_CLAIM_S = 15.0


def start(settings: Settings, store: Store, *, every_s: float = EVERY_S) -> threading.Thread:
    """Start managing a store's jobs; a second call returns the same thread."""
    return repeat(store, "jobs", lambda: run_once(store, settings), every_s=every_s)


def run_once(store: Store, settings: Settings) -> list[Job]:
    """One pass over all jobs of this machine: record ends, cancel, start; return the changed.

    Servers and threads may call it concurrently: each step is one transaction.
    """
    changed = [
        seen
        for number in _jobs_here(store, "running")
        if (seen := _check_running(store, number, settings))
    ]
    while (claimed := _claim(store, settings)) is not None:
        changed.append(_start(store, claimed, settings))
    return changed


def _jobs_here(store: Store, state: str) -> list[int]:
    with store.reading() as session:
        rows = session.scalars(select(JobRow).where(JobRow.state == state).order_by(JobRow.id))
        return [row.id for row in rows if row.progress.get("node") == platform.node()]


def _check_running(store: Store, number: int, settings: Settings) -> Job | None:
    """Check one running job; return it if changed."""
    before = job_store.job(store, number)
    running = _process(store, number, settings)
    if running is None:
        return None  # just claimed by another server that will start it
    if process.is_alive(running):
        return _record_progress(store, before, running, settings)
    return _finish(store, number, running, settings)


def _process(store: Store, number: int, settings: Settings) -> Running | None:
    """Return a job's process, as recorded in the job table or by the process itself."""
    with store.reading() as session:
        row = job_store.get_row(session, number)
    if row.pid is not None:
        return Running(pid=row.pid, start_time=float(row.progress.get("start_time", 0.0)))
    if row.started is not None and (utc_now() - row.started).total_seconds() < _CLAIM_S:
        return None
    found = process.recorded(job_store.log_folder(settings, number))
    if found is None or not process.is_alive(found):
        return Running(pid=-1, start_time=0.0)  # its server died before it could begin
    with store.session() as session:
        row = job_store.get_row(session, number)
        row.pid, row.progress = found.pid, {**row.progress, "start_time": found.start_time}
    return found


def _record_progress(store: Store, seen: Job, running: Running, settings: Settings) -> Job | None:
    now, done = time.time(), seen.done
    if seen.kind == "generate":
        done = min(seen.total, frames_on_disk(output_folder(settings, seen.out)))
    if done == seen.done and not seen.stopping:
        return None
    with store.session() as session:
        row = job_store.get_row(session, seen.id)
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
        return job_store.as_job(row)


def _send_due_signal(running: Running, waited_s: float, step: int) -> int:
    """Send the signal that is due; return how many were sent."""
    due = ((0.0, signal.SIGINT), (TERM_AFTER_S, signal.SIGTERM), (KILL_AFTER_S, signal.SIGKILL))
    for number, (after, what) in enumerate(due):
        if step <= number and waited_s >= after:
            process.send_signal(running, what)
            step = number + 1
    return step


def _finish(store: Store, number: int, running: Running, settings: Settings) -> Job | None:
    if running.pid > 0:
        process.kill_leftovers(running)
    with store.session() as session:
        row = job_store.get_row(session, number)
        if row.state != "running" or (row.pid or -1) != running.pid:
            return None  # another server was faster
        ended = read_outcome(
            job_store.log_folder(settings, number), cancelled="stop" in row.progress
        )
        news: dict[str, Any] = {"result": ended.result}
        if row.kind == "generate":
            made = frames_on_disk(output_folder(settings, str(row.out)))
            news["done"] = row.progress["total"] if ended.state == "done" else made
        row.progress = {**row.progress, **news}
        job_store.end_row(row, ended.state, ended.message)
        orders.delete_inputs(row.kind, row.spec, settings)
        return job_store.as_job(row)


def _claim(store: Store, settings: Settings) -> int | None:
    """Start the oldest waiting job of this machine, if another may run."""
    if not _jobs_here(store, "queued"):
        return None  # the usual case must not lock the database every second
    node = platform.node()
    with store.session() as session:
        job_store.lock_queue(session)
        rows = session.scalars(
            select(JobRow).where(JobRow.state.in_(job_store.ACTIVE)).order_by(JobRow.id)
        ).all()
        mine = [row for row in rows if row.progress.get("node") == node]
        queued = [row for row in mine if row.state == "queued"]
        if not queued or len(mine) - len(queued) >= settings.limits.jobs:
            return None
        row = queued[0]
        row.state, row.started, row.pid = "running", utc_now(), None
        return row.id


def _start(store: Store, number: int, settings: Settings) -> Job:
    seen = job_store.job(store, number)
    try:
        line = orders.command(seen.kind, seen.spec, settings)
        orders.write_inputs(seen.kind, seen.spec, settings)
        running = process.start(
            line,
            job_store.log_folder(settings, number),
            extra=orders.environment(seen.kind, seen.spec, settings),
        )
    except (SynthStudioError, OSError) as error:
        with store.session() as session:
            row = job_store.get_row(session, number)
            job_store.end_row(row, "failed", str(error))
            return job_store.as_job(row)
    with store.session() as session:
        row = job_store.get_row(session, number)
        row.pid, row.progress = running.pid, {**row.progress, "start_time": running.start_time}
        return job_store.as_job(row)


LOG = logging.getLogger("synthstudio.studio")
_running: weakref.WeakKeyDictionary[Store, dict[str, threading.Thread]] = (
    weakref.WeakKeyDictionary()
)
_lock = threading.Lock()


def repeat(
    store: Store, name: str, work: Callable[[], object], *, every_s: float
) -> threading.Thread:
    """Start periodic work for a store in a thread; a second call returns the same thread.

    Repeated errors are logged once, and the work is retried.
    """
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
