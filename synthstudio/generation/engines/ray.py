"""Run a function over jobs on a Ray cluster: called like the local engine, and as blind to frames.

A job is a Ray task of one thread, and of one core unless the run began the cluster. Ray retries
tasks of lost workers and nodes and of those that ran out of memory; a worker process keeps the
context that its first job built. The cluster is the one that RAY_ADDRESS names, else one of this
machine that begins and ends with the run. Nodes must be what this machine is (packages, Python,
CPU), or no bytes would be the same: another is refused before its first job.
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
"""A job that was lost more often is at fault itself."""
NOBODY_S = 300.0
"""So long a run waits for a job before it looks whether the cluster still has cores."""
_RUN = "SYNTHSTUDIO_RUN"
"""A variable of each run's own, by which Ray gives it worker processes of its own."""
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
    """Do what `local.run` does, by tasks of a Ray cluster, at most `workers` at a time.

    A job may run anywhere: what it, its result and `initargs` name must be there. Progress
    counts the units of jobs that are done.

    WorkerError as from the local engine, but for workers that die: a job that was lost more than
    RETRIES times, a node that is another kind, a cluster without cores.
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
        start, ours = ray.put(payload), facts()
        pending: dict[Any, Job] = {}

        def submit(job: Job) -> None:
            pending[task.remote(start, ours, bytes(ForkingPickler.dumps(job)))] = job

        for job in first:
            submit(job)
        tally.ready()
        try:
            while pending:
                ended, _ = ray.wait(list(pending), num_returns=1, timeout=NOBODY_S)
                if not ended and not connection.own:
                    _check_cores(ray, workers)
                for answer in ended:
                    result, units = _answer(ray, answer, pending.pop(answer))
                    # First the next job, so that nobody waits while a result is put in place.
                    for job in islice(queue, 1):
                        submit(job)
                    on_done(result)
                    tally.add(units=units, jobs=1)
        finally:
            for answer in pending:
                ray.cancel(answer, force=True)
            if pending:  # before the cluster ends: Ray ends a process that reports to none
                ray.wait(list(pending), num_returns=len(pending), timeout=_CANCEL_S)


def facts() -> dict[str, str]:
    """What decides bytes on this machine, as `dataset.json` says it; its device is not asked."""
    machine = machine_kind("")
    del machine["device"]
    return package_versions() | machine


# On a node ---------------------------------------------------------------------------------------


def _task() -> Callable[..., Any]:
    """What a node runs. It is defined in here, so that it travels by value.

    So it comes to life on a node without this package as well, and can say so.
    """

    def synthstudio(start: bytes, ours: dict[str, str], job: bytes) -> tuple[str, Any]:
        import platform

        try:
            from synthstudio.generation.engines import ray
        except ImportError as error:
            return "refused", (platform.node(), {"synthstudio": f"absent ({error})"})
        return ray.do(start, ours, job)

    return synthstudio


_held: dict[bytes, tuple[Any, Any]] = {}
"""Of a node's worker process: the function and the context of the run that it works for."""


def do(start: bytes, ours: dict[str, str], job: bytes) -> tuple[str, Any]:
    """Do a pickled job on a node: DONE with the result and its units, FAILED or REFUSED."""
    units = 0

    def report(more: int) -> None:
        nonlocal units
        units += more

    try:
        if start not in _held:
            if (here := facts()) != ours:
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
    """The result of a job and its units; raises what it raised, or why there is none."""
    try:
        kind, value = ray.get(answer)
    except ray.exceptions.RayTaskError as error:  # the result cannot travel
        raise portable(error) from error
    except ray.exceptions.OutOfMemoryError as error:
        raise WorkerError(
            f"a job does not fit into memory: {str(job)[:200]}",
            where="the cluster",
            got=_cause(error),
            then=f"Take nodes with more memory or smaller pictures. {_RESUME}",
        ) from error
    except ray.exceptions.RayError as error:
        raise WorkerError(
            f"a job was lost {RETRIES + 1} times: {str(job)[:200]}",
            where="the cluster",
            got=_cause(error),
            then=f"If its nodes are sound, the job kills its worker. {_RESUME}",
        ) from error
    if kind == FAILED:
        raise value
    if kind == REFUSED:
        raise _other_kind(*value)
    result, units = value
    return result, units


def _other_kind(host: str, heard: dict[str, str]) -> WorkerError:
    """The error for a node on which other bytes would be made."""
    ours = facts()
    asked = ours if len(heard) > 1 else heard  # one without the package says nothing else
    other = [name for name in sorted(asked) if heard.get(name) != ours[name]]
    return WorkerError(
        "this node differs, so its output would not be byte-identical",
        where=f"node {host}",
        expected="; ".join(f"{name} {ours[name]}" for name in other)[:400],
        got="; ".join(f"{name} {heard.get(name, 'absent')}" for name in other)[:400],
        then="Give all nodes the same environment and CPU, or make a part of the run on "
        "each kind with --part. Nothing of that node was kept.",
    )


def _check_cores(ray: Any, workers: int) -> None:
    """WorkerError when the cluster has shrunk to nothing."""
    if ray.cluster_resources().get("CPU", 0) < 1:
        raise WorkerError(
            f"no worker was there for {NOBODY_S:.0f} s",
            where="the cluster",
            expected=f"room for {workers} workers of one core each",
            got="no cores",
            then=f"Add nodes. {_RESUME}",
        )


def _cause(error: Exception) -> str:
    """What Ray says of a death, without what it advises."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next((line for line in lines if "because" in line), lines[0] if lines else "no word")
    return told.split(" Some common causes")[0][:300].rstrip(".")
