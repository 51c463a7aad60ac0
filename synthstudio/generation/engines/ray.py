"""Run a function over jobs on a Ray cluster: with the interface of the local engine.

A job is a Ray task of one thread, and of one core unless the run began the cluster. Ray retries
tasks of lost workers and nodes and of those that ran out of memory; a worker process keeps the
context of its first job. The cluster is that of RAY_ADDRESS, else a local
one that lives as long as the run. Nodes must equal this machine (packages, Python,
CPU), since bytes depend on these: others are refused before their first job.
"""

import logging
import os
import pickle
import platform
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing.reduction import ForkingPickler
from typing import Any
from uuid import uuid4

import psutil

from synthstudio.core.errors import WorkerError, import_extra
from synthstudio.core.progress import OnProgress
from synthstudio.core.threads import one_thread
from synthstudio.dataset.manifest import machine_kind, package_versions
from synthstudio.generation.engines.local import (
    ONE_THREAD,
    Context,
    Job,
    Report,
    Result,
    Tally,
    environment,
    portable,
)

RETRIES = 3
"""A job lost more often is considered faulty."""
NO_WORKER_S = 300.0
"""Wait for a job before checking whether the cluster still has cores."""
_RUN = "SYNTHSTUDIO_RUN"
"""A variable unique to each run, so that Ray starts separate worker processes."""
_CANCEL_S = 30.0
DONE, FAILED, REFUSED = "done", "failed", "refused"
_RESUME = "Finished work is kept where the command has --resume: run again with it."


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
    """`local.run` by tasks of a Ray cluster, at most `workers` at a time.

    A job may run on any node, where files of it, its result and `initializer` must exist. Progress
    counts the units of jobs that are done.

    WorkerError as from the local engine, but for dying workers: a job lost more than
    RETRIES times, a different node, a cluster without cores.
    """
    queue = iter(jobs)
    first = list(islice(queue, workers))
    if not first:
        return
    payload = bytes(ForkingPickler.dumps((work, initializer)))
    ray, tally = import_extra("ray", extra="ray", error=WorkerError), Tally(on_progress, units)
    with connected(workers) as connection:
        task = ray.remote(
            num_cpus=0 if connection.own else 1,
            max_retries=RETRIES,
            runtime_env={"env_vars": connection.environment | {_RUN: uuid4().hex}},
        )(_task())
        start, driver = ray.put(payload), facts()
        pending: dict[Any, Job] = {}

        def submit(job: Job) -> None:
            pending[task.remote(start, driver, bytes(ForkingPickler.dumps(job)))] = job

        for job in first:
            submit(job)
        tally.ready()
        try:
            while pending:
                ended, _ = ray.wait(list(pending), num_returns=1, timeout=NO_WORKER_S)
                if not ended and not connection.own:
                    _check_cores(ray, workers)
                for answer in ended:
                    result, done = _answer(ray, answer, pending.pop(answer))
                    # Submit the next job first, so that no worker waits while a result is stored.
                    for job in islice(queue, 1):
                        submit(job)
                    on_done(result)
                    tally.add(done)
        finally:
            for answer in pending:
                ray.cancel(answer, force=True)
            if pending:  # before the cluster stops: Ray kills a process without one
                ray.wait(list(pending), num_returns=len(pending), timeout=_CANCEL_S)


def facts() -> dict[str, str]:
    """This machine's identity as in `dataset.json`, without its device."""
    machine = machine_kind("")
    del machine["device"]
    return package_versions() | machine


# On a node ---------------------------------------------------------------------------------------


def _task() -> Callable[..., Any]:
    """The function that nodes run. It is local, so that it is pickled by value.

    So it also loads on a node without this package, and can report that.
    """

    def synthstudio(start: bytes, driver: dict[str, str], job: bytes) -> tuple[str, Any]:
        import platform

        try:
            from synthstudio.generation.engines import ray
        except ImportError as error:
            return "refused", (platform.node(), {"synthstudio": f"absent ({error})"})
        return ray.do(start, driver, job)

    return synthstudio


_held: dict[bytes, tuple[Any, Any]] = {}
"""State of a node's worker process: function and context of its run."""


def do(start: bytes, driver: dict[str, str], job: bytes) -> tuple[str, Any]:
    """Run a pickled job on a node: DONE with the result and its units, FAILED or REFUSED."""
    units = 0

    def report(more: int) -> None:
        nonlocal units
        units += more

    try:
        if start not in _held:
            if (here := facts()) != driver:
                return REFUSED, (platform.node(), here)
            _held.clear()
            with one_thread():
                work, initializer = pickle.loads(start)
                _held[start] = work, initializer()
        work, context = _held[start]
        with one_thread():
            result = work(context, pickle.loads(job), report)
        return DONE, (result, units)
    except BaseException as error:
        return FAILED, portable(error)


# Errors ------------------------------------------------------------------------------------------


def _answer(ray: Any, answer: Any, job: Any) -> tuple[Any, int]:
    """The result of a job and its units; raises its error, or the reason for a missing result."""
    try:
        kind, value = ray.get(answer)
    except ray.exceptions.RayTaskError as error:  # the result cannot be pickled
        raise portable(error) from error
    except ray.exceptions.RayError as error:
        what = f"a job was lost {RETRIES + 1} times"
        then = "If its nodes are healthy, the job kills its worker."
        if isinstance(error, ray.exceptions.OutOfMemoryError):
            what = "a job does not fit into memory"
            then = "Use nodes with more memory, or smaller pictures."
        text, then = f"{what}: {str(job)[:200]}", f"{then} {_RESUME}"
        raise WorkerError(text, where="the cluster", got=_cause(error), then=then) from error
    if kind == FAILED:
        raise value
    if kind == REFUSED:
        raise _other_kind(*value)
    result, units = value
    return result, units


def _other_kind(host: str, heard: dict[str, str]) -> WorkerError:
    driver = facts()
    compared = driver if len(heard) > 1 else heard  # a node without the package reports only that
    other = [name for name in sorted(compared) if heard.get(name) != driver[name]]
    return WorkerError(
        "this node differs, so its output would not be byte-identical",
        where=f"node {host}",
        expected="; ".join(f"{name} {driver[name]}" for name in other)[:400],
        got="; ".join(f"{name} {heard.get(name, 'absent')}" for name in other)[:400],
        then="Use the same environment and CPU on all nodes, or make a part of the run on "
        "each kind with --part. Nothing of that node was kept.",
    )


def _check_cores(ray: Any, workers: int) -> None:
    """WorkerError when the cluster has no cores left."""
    if ray.cluster_resources().get("CPU", 0) < 1:
        raise WorkerError(
            f"no worker available for {NO_WORKER_S:.0f} s",
            where="the cluster",
            expected=f"room for {workers} workers of one core each",
            got="no cores",
            then=f"Add nodes. {_RESUME}",
        )


def _cause(error: Exception) -> str:
    """Ray's reason for a dead worker, without its advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = next((line for line in lines if "because" in line), lines[0] if lines else "unknown")
    return reason.split(" Some common causes")[0][:300].rstrip(".")


# The cluster -------------------------------------------------------------------------------------

_LOCAL = "local"
_OWN = "SYNTHSTUDIO_RAY_OWN"
"""Set in workers of a local cluster that a run started."""
_END_S = 10.0
_REACH_S = 20.0
_DRIVER_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no telemetry
    "RAY_task_oom_retries": "3",  # default: unlimited
}
_ENVIRONMENT = {
    **ONE_THREAD,
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a worker sees the GPU without owning it
}


@dataclass(eq=False)
class Connection:
    """`environment`: variables of workers. `own`: a local cluster that a run started; then no
    worker reserves a core. `children`: the processes that Ray started with it."""

    environment: dict[str, str]
    own: bool
    children: list[psutil.Process]
    kept: ExitStack  # resources released with it
    users: int = 0


_lock = threading.Lock()
_shared: list[Connection] = []
"""The connection of this process, shared by its runs, if any."""


@contextmanager
def connected(workers: int) -> Iterator[Connection]:
    """Join a cluster. One started here stops with the last run of this process that uses it."""
    ray = import_extra("ray", extra="ray", error=WorkerError)
    with _lock:
        if not _shared and ray.is_initialized():  # by the caller, who keeps it
            own = bool(os.environ.get(_OWN))
            connection = Connection(dict(_ENVIRONMENT), own, [], ExitStack())
        else:
            if not _shared:
                _shared.append(_connect(ray, workers))
            connection = _shared[0]
        connection.users += 1
    try:
        yield connection
    finally:
        with _lock:
            connection.users -= 1
            if not connection.users and connection in _shared:
                _shared.clear()
                _disconnect(connection)


def _connect(ray: Any, workers: int) -> Connection:
    address = os.environ.get("RAY_ADDRESS") or _LOCAL
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    # Linux kills Ray's processes when the thread that started them ends (PR_SET_PDEATHSIG).
    keeper = ThreadPoolExecutor(1, "ray")
    with ExitStack() as stack:
        stack.callback(keeper.shutdown)
        stack.enter_context(environment(_DRIVER_ENVIRONMENT))
        stack.enter_context(_quiet(ray))
        stack.callback(ray.shutdown)
        with _own_signals():
            keeper.submit(_join, ray, address, workers).result()
        search_path = os.pathsep.join(map(os.path.abspath, sys.path))
        own = {"PYTHONPATH": search_path, _OWN: "1"} if address == _LOCAL else {}
        found = psutil.Process().children(recursive=True) if own else []
        children = [child for child in found if child.pid not in before]
        return Connection({**_ENVIRONMENT, **own}, bool(own), children, stack.pop_all())


def _disconnect(connection: Connection) -> None:
    """Leave the cluster; one that was started here has stopped on return."""
    every = list(connection.children)
    for process in connection.children:
        with suppress(psutil.Error):
            every += process.children(recursive=True)
    connection.kept.close()
    _, left = psutil.wait_procs(every, _END_S)
    for child in left:
        with suppress(psutil.Error):
            child.kill()


def _join(ray: Any, address: str, workers: int) -> None:
    if address.startswith("ray://"):
        raise WorkerError(
            "a run must run on a node of the cluster, not as a Ray client",
            where="RAY_ADDRESS",
            expected="HOST:PORT of the cluster's head, or auto on one of its nodes",
            got=address,
        )
    own = {"num_cpus": workers, "include_dashboard": False} if address == _LOCAL else {}
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **own)
    except Exception as error:  # Ray raises many types without a common base
        raise WorkerError(
            "cannot join the cluster",
            where="a cluster of this machine" if address == _LOCAL else f"RAY_ADDRESS={address}",
            got=str(error).strip()[:500],
            then="Check `ray status` on its head. Without RAY_ADDRESS a run starts a cluster "
            "of this machine.",
        ) from error


def _knock(address: str) -> None:
    """Check that HOST:PORT accepts connections, since Ray retries for minutes; OSError."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), _REACH_S).close()


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """Keep Ray's messages on dead workers off stdout, which is for --json."""
    worker = ray._private.worker
    before, worker._worker_logs_enabled = worker._worker_logs_enabled, False
    try:
        yield
    finally:
        worker._worker_logs_enabled = before


@contextmanager
def _own_signals() -> Iterator[None]:
    """Restore the SIGTERM handler, which Ray replaces on start."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
