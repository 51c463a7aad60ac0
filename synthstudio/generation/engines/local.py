"""Run a function over jobs, here or in worker processes of this machine. Knows no frames.

One worker is the caller's own process, held to one thread; more are processes with one thread
each, so no result depends on how many there are. A worker imports nothing of the caller's
`__main__` (scripts need no guard) and dies with its parent, at once.

On Linux workers are forked from a server of Python's `multiprocessing`, which the first run starts
and which imports what workers need: once a process that makes data, not once a worker. Elsewhere
they are spawned.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, Generic, TypeVar

from synthstudio.core.errors import SynthStudioError, WorkerError
from synthstudio.core.threads import one_thread

Job = TypeVar("Job")
Context = TypeVar("Context")
Result = TypeVar("Result")
Report = Callable[[int], None]
"""A job calls it with the number of units (frames) done since its last call."""

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "BLIS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
}
"""What a worker's environment says before anything is imported there."""

_FORKED = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
_ORPHANED = 70  # exit code of a worker whose parent has died
_JOIN_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is. `per_second` counts from when the first worker was ready."""

    units: int
    jobs: int
    seconds: float
    per_second: float


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    job: Any = None  # what it works on, for messages
    starting: bool = True


def run(
    work: Callable[[Context, Job, Report], Result],
    jobs: Iterable[Job],
    *,
    workers: int,
    initializer: Callable[..., Context],
    initargs: tuple[Any, ...] = (),
    on_done: Callable[[Result], object],
    on_progress: Callable[[Progress], None] | None = None,
) -> None:
    """Call `work(context, job, report)` for every job and `on_done(result)` here for each.

    Every worker builds its own `context = initializer(*initargs)` once. With more than one all
    of these must be picklable. Jobs are taken one at a time, results come in the order they are
    ready, so memory does not grow with the number of jobs. `on_done` and `on_progress` run in
    this process.

    Raises what a job raised when it is a SynthStudioError, WorkerError with the traceback for
    other exceptions and for a worker that died (naming its job and signal); and passes on
    KeyboardInterrupt and what `on_done` raises. In each case all workers are gone on return.
    """
    if workers < 1:
        raise WorkerError(
            "there must be a worker", where="workers", expected="1 or more", got=str(workers)
        )
    if workers == 1:
        _run_here(work, jobs, lambda: initializer(*initargs), on_done, on_progress)
        return
    start = bytes(ForkingPickler.dumps((work, initializer, initargs)))
    payload = pickle.dumps((dict(os.environ) | ONE_THREAD, start))
    if _FORKED and not _server_runs():
        multiprocessing.set_forkserver_preload([_module(work), _module(initializer)])
    queue = iter(jobs)
    first = list(_take(queue, workers))
    crew: list[_Worker] = []
    with _kept(payload) as file:
        try:
            for _ in first:
                _start(crew, file)
            _Scheduler(crew, _chain(first, queue), on_done, on_progress).serve()
        finally:
            _stop(crew)


def _run_here(
    work: Callable[[Context, Job, Report], Result],
    jobs: Iterable[Job],
    initializer: Callable[[], Context],
    on_done: Callable[[Result], object],
    on_progress: Callable[[Progress], None] | None,
) -> None:
    context: Context | None = None
    units, done, ready_at = 0, 0, 0.0

    stopped: list[BaseException] = []  # what `on_progress` raises is the caller's, not the job's

    def report(more: int) -> None:
        nonlocal units
        units += more
        if on_progress is not None:
            try:
                on_progress(progress_of(units, done, ready_at))
            except BaseException as error:
                stopped.append(error)
                raise

    for job in jobs:
        try:
            if context is None:
                with one_thread():
                    context = initializer()
                ready_at = time.monotonic()
            with one_thread():
                result = work(context, job, report)
        except SynthStudioError:
            raise
        except Exception as error:
            if error in stopped:
                raise
            raise portable(error) from error
        done += 1
        on_done(result)
        report(0)


def progress_of(units: int, jobs: int, ready_at: float | None) -> Progress:
    seconds = time.monotonic() - (ready_at or time.monotonic())
    rate = units / seconds if seconds > 0 else 0.0
    return Progress(units=units, jobs=jobs, seconds=seconds, per_second=rate)


class _Scheduler(Generic[Job, Result]):
    """The parent's side: hands out jobs and hears the workers."""

    def __init__(
        self,
        crew: list[_Worker],
        queue: Iterator[Job],
        on_done: Callable[[Result], object],
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.crew = crew
        self.queue = queue
        self.on_done = on_done
        self.on_progress = on_progress
        self.units = 0
        self.jobs = 0
        self.ready_at: float | None = None

    def serve(self) -> None:
        """Work until no worker is left with a job."""
        while self.crew:
            by_handle: dict[Any, _Worker] = {}
            for worker in self.crew:
                by_handle[worker.connection] = worker
                by_handle[worker.process.sentinel] = worker
            for worker in {id(w): w for w in map(by_handle.get, wait(by_handle)) if w}.values():
                self._hear(worker)

    def _hear(self, worker: _Worker) -> None:
        """Take one message of a worker; a worker that ended without one has died."""
        try:
            if not worker.connection.poll():
                raise EOFError
            kind, value = worker.connection.recv()
        except (EOFError, OSError):
            raise _died(worker) from None
        if kind == "failed":
            raise value
        if kind == "report":
            self.units += value
        if kind == "ready":
            worker.starting = False
            self.ready_at = self.ready_at or time.monotonic()
        if kind == "done":
            self.jobs += 1
            self.on_done(value)
        if kind != "ready" and self.on_progress is not None:
            self.on_progress(progress_of(self.units, self.jobs, self.ready_at))
        if kind != "report":
            self._hand_out(worker)

    def _hand_out(self, worker: _Worker) -> None:
        worker.job = None
        for job in self.queue:
            worker.job = job
            with suppress(BrokenPipeError, ConnectionResetError):  # its death is heard next
                worker.connection.send(job)
            return
        self.crew.remove(worker)
        _stop([worker])


def _take(queue: Iterator[Job], count: int) -> Iterator[Job]:
    for _, job in zip(range(count), queue, strict=False):
        yield job


def _chain(first: list[Job], rest: Iterator[Job]) -> Iterator[Job]:
    yield from first
    yield from rest


@contextmanager
def _kept(payload: bytes) -> Iterator[Path]:
    """Keep what workers start with in a file.

    As an argument it would go through a pipe that the parent fills before it listens: for a
    child that dies before it reads, the parent would wait for ever.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="synthstudio-"))
        file = folder / "start"
        file.write_bytes(payload)
    except OSError as error:
        raise WorkerError(
            "what workers start with cannot be written",
            where="the temporary folder",
            got=str(error),
            then="Make room there, or name another one in TMPDIR.",
        ) from error
    try:
        yield file
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _server_runs() -> bool:
    """Whether this process has a server that workers are forked from."""
    return getattr(forkserver._forkserver, "_forkserver_pid", None) is not None


def _module(function: Any) -> str:
    """The name of the module that a function, or what a partial one calls, is from."""
    while isinstance(function, partial):
        function = function.func
    return str(function.__module__)


def _start(crew: list[_Worker], file: Path) -> None:
    """Add one worker: one thread a library, deaf to Ctrl-C, which the parent answers."""
    context: Any = multiprocessing.get_context("forkserver" if _FORKED else "spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_worker_main, args=(theirs, file), daemon=True)
    with environment(ONE_THREAD), _interrupts_held(), _no_main():
        process.start()
        theirs.close()  # so that the worker's death is an end of file here
        crew.append(_Worker(process=process, connection=ours))


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


@contextmanager
def _no_main() -> Iterator[None]:
    """Hide the caller's `__main__`: a spawned process would import it, that is run a script again.

    Nothing that a worker needs is defined there.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold SIGINT back: the child inherits the mask and is silent until it ignores Ctrl-C."""
    resource_tracker.ensure_running()  # it would lift the mask while it starts itself
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _stop(crew: list[_Worker]) -> None:
    """End workers at once: what they have not handed over is not wanted."""
    for worker in crew:
        worker.process.kill()
    for worker in crew:
        worker.process.join(_JOIN_S)
        worker.connection.close()


def _died(worker: _Worker) -> WorkerError:
    worker.process.join(_JOIN_S)
    code = worker.process.exitcode
    got = f"exit code {code}"
    if code is not None and code < 0:
        got = f"killed by {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            got += " (by hand, or because memory ran out)"
    at = "while it started" if worker.starting else f"at job {str(worker.job)[:200]}"
    return WorkerError(
        f"a worker process died {at}",
        where=f"worker {worker.process.pid}",
        got=got,
        then="Finished work is kept where the command has --resume: run again with it, or with "
        "fewer --workers.",
    )


def _worker_main(connection: Connection, file: Path) -> None:
    """Work in a child until the parent ends it."""
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    try:
        variables, start = pickle.loads(file.read_bytes())
        os.environ.clear()  # a server has those of the time when it was started
        os.environ.update(variables)
        work, initializer, initargs = pickle.loads(start)
        context = initializer(*initargs)
        connection.send(("ready", None))
        while True:
            job = _next_job(connection)
            result = work(context, job, lambda units: connection.send(("report", units)))
            connection.send(("done", result))
    except BaseException as error:
        connection.send(("failed", portable(error)))
        _next_job(connection)  # the parent reads the message, then ends this process


def _next_job(connection: Connection) -> Any:
    try:
        return connection.recv()
    except (EOFError, OSError):
        os._exit(_ORPHANED)


def portable(error: BaseException) -> SynthStudioError:
    """Return the error as one that can cross to the parent with its message."""
    if isinstance(error, SynthStudioError):
        return type(error)(str(error))
    text = "".join(traceback.format_exception(error))
    return WorkerError(
        f"a job failed with {type(error).__name__}: {error}",
        where="a worker process",
        then=f"This is a fault of the program; its traceback:\n{text}",
    )


def _die_with_parent() -> None:
    """Make this process end when its parent does, whatever it is busy with.

    The kernel ends it with the server that forked it, which ends with the parent.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is None or not parent.is_alive():
        os._exit(_ORPHANED)
    threading.Thread(target=_watch_parent, name="watch-parent", daemon=True).start()


def _watch_parent() -> None:
    """Wait for the end of file that a dead parent leaves, where there is no death signal."""
    process = multiprocessing.parent_process()
    if process is not None:
        process.join()
    os._exit(_ORPHANED)
