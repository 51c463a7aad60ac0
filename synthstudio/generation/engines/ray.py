"""Run a function over jobs on a Ray cluster: with the interface of the local engine.

A job is a Ray task of one thread, and of one core unless the run began the cluster. Ray retries
tasks of lost workers and nodes and of those that ran out of memory; a worker process keeps the
context of its first job. The cluster is that of RAY_ADDRESS, else a local
one that lives as long as the run. Nodes must equal this machine (packages, Python,
CPU), since bytes depend on these: others are refused before their first job.
"""

from __future__ import annotations

import pickle
import platform
from collections.abc import Callable, Iterable
from itertools import islice
from multiprocessing.reduction import ForkingPickler
from typing import Any
from uuid import uuid4

from synthstudio.core.errors import WorkerError
from synthstudio.core.extras import import_extra
from synthstudio.core.threads import one_thread
from synthstudio.dataset.manifest import machine_kind, package_versions
from synthstudio.generation.engines.local import (
    Context,
    Job,
    Progress,
    Report,
    Result,
    Tally,
    check_workers,
    portable,
)
from synthstudio.generation.engines.ray_connection import connected

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
    initializer: Callable[..., Context],
    initargs: tuple[Any, ...] = (),
    on_done: Callable[[Result], object],
    on_progress: Callable[[Progress], None] | None = None,
) -> None:
    """`local.run` by tasks of a Ray cluster, at most `workers` at a time.

    A job may run on any node, where files of it, its result and `initargs` must exist. Progress
    counts the units of jobs that are done.

    WorkerError as from the local engine, but for dying workers: a job lost more than
    RETRIES times, a different node, a cluster without cores.
    """
    check_workers(workers)
    queue = iter(jobs)
    first = list(islice(queue, workers))
    if not first:
        return
    payload = bytes(ForkingPickler.dumps((work, initializer, initargs)))
    ray, tally = import_extra("ray", extra="ray", error=WorkerError), Tally(on_progress)
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
                    result, units = _answer(ray, answer, pending.pop(answer))
                    # Submit the next job first, so that no worker waits while a result is stored.
                    for job in islice(queue, 1):
                        submit(job)
                    on_done(result)
                    tally.add(units=units, jobs=1)
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
                work, initializer, initargs = pickle.loads(start)
                _held[start] = work, initializer(*initargs)
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
    except ray.exceptions.OutOfMemoryError as error:
        raise WorkerError(
            f"a job does not fit into memory: {str(job)[:200]}",
            where="the cluster",
            got=_cause(error),
            then=f"Use nodes with more memory, or smaller pictures. {_RESUME}",
        ) from error
    except ray.exceptions.RayError as error:
        raise WorkerError(
            f"a job was lost {RETRIES + 1} times: {str(job)[:200]}",
            where="the cluster",
            got=_cause(error),
            then=f"If its nodes are healthy, the job kills its worker. {_RESUME}",
        ) from error
    if kind == FAILED:
        raise value
    if kind == REFUSED:
        raise _other_kind(*value)
    result, units = value
    return result, units


def _other_kind(host: str, heard: dict[str, str]) -> WorkerError:
    """The error for a node whose output would differ."""
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
