"""Run a function over jobs, in this process or in local worker processes.

One worker is the caller's own process, limited to one thread; more are processes of a
`ProcessPoolExecutor` with one thread each, so results do not depend on their number. A worker
imports nothing of the caller's `__main__` (scripts need no guard) and dies with its parent.

On Linux workers are forked from a server of Python's `multiprocessing`, which imports modules
once per parent process, not once per worker. Elsewhere they are spawned.
"""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any, TypeVar

from synthstudio.core.errors import SynthStudioError, WorkerError
from synthstudio.core.progress import OnProgress
from synthstudio.core.threads import one_thread

Job = TypeVar("Job")
Context = TypeVar("Context")
Result = TypeVar("Result")
Report = Callable[[int], None]
"""Called by a job with the number of units (frames) done since the last call."""

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "BLIS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
}
"""Environment variables of a worker, set before imports."""

_POLL_S = 0.1


class Tally:
    """Counts the units of a run; the rate of `on_progress` is from the first ready worker."""

    def __init__(self, on_progress: OnProgress | None = None, units: range = range(0)) -> None:
        self._on_progress, self._range = on_progress, units
        self._units = 0
        self._ready_at: float | None = None

    def ready(self) -> None:
        """A worker has built its context."""
        self._ready_at = self._ready_at or time.monotonic()

    def add(self, units: int) -> None:
        self._units += units
        if self._on_progress is not None:
            seconds = time.monotonic() - (self._ready_at or time.monotonic())
            rate = self._units / seconds if seconds > 0 else 0.0
            self._on_progress(self._range.start + self._units, self._range.stop, rate)


def run(
    work: Callable[[Context, Job, Report], Result],
    jobs: Iterable[Job],
    *,
    workers: int,
    initializer: Callable[[], Context],
    on_done: Callable[[Result], object],
    units: range = range(0),
    on_progress: OnProgress | None = None,
) -> None:
    """Call `work(context, job, report)` for every job and `on_done(result)` here for each.

    Every worker builds its own `context = initializer()` once. With more than one all
    of these must be picklable. Jobs are taken one at a time, results arrive as they are
    ready, in constant memory. `on_done` and `on_progress` run in this process; `units`: those of
    the jobs, for `on_progress`, after those done before the run.

    Raises what a job raised when it is a SynthStudioError, WorkerError with the traceback for
    other exceptions and for a worker that died (naming its job and signal); and re-raises
    KeyboardInterrupt and errors of `on_done`. In each case all workers have exited on return.
    """
    tally = Tally(on_progress, units)
    if workers == 1:
        _run_here(work, jobs, initializer, on_done, tally)
        return
    queue = iter(jobs)
    first = list(islice(queue, workers))
    if first:
        if _FORKED:
            multiprocessing.set_forkserver_preload(_modules(work) + _modules(initializer))
        start = bytes(ForkingPickler.dumps((work, initializer)))
        _run_in_pool(start, first, queue, on_done, tally)


def _run_here(
    work: Callable[[Context, Job, Report], Result],
    jobs: Iterable[Job],
    initializer: Callable[[], Context],
    on_done: Callable[[Result], object],
    tally: Tally,
) -> None:
    context: Context | None = None
    stopped: list[BaseException] = []  # errors of `on_progress`, not of a job

    def report(more: int) -> None:
        try:
            tally.add(more)
        except BaseException as error:
            stopped.append(error)
            raise

    for job in jobs:
        try:
            with one_thread():
                context = initializer() if context is None else context
            tally.ready()
            with one_thread():
                result = work(context, job, report)
        except Exception as error:
            if isinstance(error, SynthStudioError) or error in stopped:
                raise
            raise portable(error) from error
        on_done(result)


# The parent's side ------------------------------------------------------------------------------

_FORKED = sys.platform == "linux"
_one_start = threading.Lock()


def _run_in_pool(
    start: bytes,
    first: list[Job],
    rest: Iterator[Job],
    on_done: Callable[[Result], object],
    tally: Tally,
) -> None:
    context: Any = multiprocessing.get_context("forkserver" if _FORKED else "spawn")
    reports = context.SimpleQueue()
    pool = ProcessPoolExecutor(
        len(first), context, _begin, (dict(os.environ) | ONE_THREAD, reports, start)
    )
    at_work: dict[int, str] = {}
    pending: set[Future[Any]] = set()

    def submit(job: Job) -> None:
        with _starting(pool):  # the pool starts workers on demand
            pending.add(pool.submit(_do, job))

    try:
        for job in first:
            submit(job)
        # Wakes the pool, so that it watches all workers: it lists them before starting one.
        pool.submit(int)
        while pending:
            ended, _ = wait(pending, _POLL_S, FIRST_COMPLETED)
            _hear(reports, at_work, tally)
            for future in ended:
                pending.remove(future)
                result = _result(future)
                # Submit the next job first, so that no worker waits while a result is stored.
                for job in islice(rest, 1):
                    submit(job)
                on_done(result)
    except BrokenProcessPool:
        crew = [*pool._processes.values()]
        for process in crew:  # the pool has not terminated one that it was just starting
            process.terminate()
        pool.shutdown()
        _hear(reports, at_work, Tally())
        raise _died(crew, at_work) from None
    finally:
        for process in [*(pool._processes or {}).values()]:
            process.kill()  # undelivered results are discarded
        pool.shutdown(cancel_futures=True)
        reports.close()


def _result(future: Future[Any]) -> Any:
    try:
        return future.result()
    except (SynthStudioError, BrokenProcessPool):
        raise
    except Exception as error:  # a job or result that cannot be pickled
        raise portable(error) from error


def _hear(reports: Any, at_work: dict[int, str], tally: Tally) -> None:
    """Handle reports of workers: the job they start, or finished units."""
    while not reports.empty():
        pid, report = reports.get()
        if isinstance(report, str):
            at_work[pid] = report
            tally.ready()
        else:
            tally.add(report)


def _died(crew: Sequence[BaseProcess], at_work: dict[int, str]) -> WorkerError:
    """The error for a worker that died; the pool has terminated the others."""
    dead = next((p for p in crew if p.exitcode not in (None, 0, -signal.SIGTERM)), crew[0])
    got = f"exit code {dead.exitcode}"
    if dead.exitcode is not None and dead.exitcode < 0:
        got = f"killed by {signal.Signals(-dead.exitcode).name}"
        if dead.exitcode == -signal.SIGKILL:
            got += " (by a user, or out of memory)"
    job = at_work.get(dead.pid or 0)
    return WorkerError(
        f"a worker process died {'while it started' if job is None else f'at job {job[:200]}'}",
        where=f"worker {dead.pid}",
        got=got,
        then="Finished work is kept where the command has --resume: run again with it, or with "
        "fewer --workers.",
    )


@contextmanager
def _starting(pool: ProcessPoolExecutor) -> Iterator[None]:
    """Context while workers start: one thread per library, no Ctrl-C, no `__main__`; WorkerError.

    The parent handles Ctrl-C: children inherit the mask until they ignore the signal. A
    spawned process would import `__main__`, that is, run a script again.
    """
    resource_tracker.ensure_running()  # it would reset the mask while starting
    with _one_start, ExitStack() as after, environment(ONE_THREAD):
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        after.callback(signal.pthread_sigmask, signal.SIG_SETMASK, before)
        after.callback(sys.modules.__setitem__, "__main__", sys.modules["__main__"])
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            yield
        except OSError as error:
            if pool._broken:  # by another worker, while this one started
                raise BrokenProcessPool from error
            raise WorkerError("cannot start workers", got=str(error)) from error


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables of this process while the body runs."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _modules(function: Any) -> list[str]:
    """The modules of a function, or of all functions of a partial."""
    if isinstance(function, partial):
        return [name for one in (function.func, *function.args) for name in _modules(one)]
    return [function.__module__] if callable(function) else []


# A worker's side --------------------------------------------------------------------------------

_worker: dict[str, Any] = {}
"""State of a worker process: `reports`, `start` and, once built, `work` and `context`."""


def _begin(variables: dict[str, str], reports: Any, start: bytes) -> None:
    """Initialise a worker process; fallible parts are left to its first job."""
    threading.Thread(target=_watch_parent, name="watch-parent", daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.clear()  # the fork server has those of its start
    os.environ.update(variables)
    _worker.update(reports=reports, start=start)


def _do(job: Any) -> Any:
    reports, pid = _worker["reports"], os.getpid()
    try:
        if "work" not in _worker:
            work, initializer = pickle.loads(_worker["start"])
            _worker.update(context=initializer(), work=work)
        reports.put((pid, str(job)))
        return _worker["work"](_worker["context"], job, lambda units: reports.put((pid, units)))
    except BaseException as error:
        raise portable(error) from None


def _watch_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def portable(error: BaseException) -> SynthStudioError:
    """Return a picklable error with the same message."""
    if isinstance(error, SynthStudioError):
        return type(error)(error.with_options)
    text = "".join(traceback.format_exception(error))
    return WorkerError(
        f"a job failed with {type(error).__name__}: {error}",
        where="a worker process",
        then=f"This is a bug; its traceback:\n{text}",
    )
