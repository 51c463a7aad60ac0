"""Run a function over jobs on a Ray cluster: called like the local engine, and as blind to frames.

A worker is an actor of one thread, and of one core unless the run began the cluster. That is the
one that RAY_ADDRESS names, else one of this machine that begins and ends with the run. Nodes must
be what this machine is (packages, Python, CPU), or no bytes would be the same: another is refused
before its first job.

A lost worker or node costs the jobs that it had: others do them. One that ran out of memory is
done again alone, with one worker fewer: a job of half as many frames would need hardly less, for
what a worker holds is mostly what it started with, and a shard has one table.
"""

from __future__ import annotations

import pickle
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler
from typing import Any

from synthstudio.core.errors import WorkerError
from synthstudio.core.extras import import_extra
from synthstudio.generation.engines import node
from synthstudio.generation.engines.local import (
    Context,
    Job,
    Progress,
    Report,
    Result,
    progress_of,
)
from synthstudio.generation.engines.ray_connection import Connection, connected

LOST_MOST = 4
"""A job that was lost so often is at fault itself."""
NOBODY_S = 300.0
"""So long a run waits for a worker when there is none."""
TELL_S, TELLS_PER_S = 0.5, 200
"""A worker is asked for its progress so seldom, and all together so often at most."""

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
    """Do what `local.run` does, with `workers` actors of a Ray cluster, as many as there is room.

    A job may run anywhere: what it, its result and `initargs` name must be there. At most two
    jobs a worker are under way, one at work and one whose result waits here. Progress counts a
    lost job's units no more.

    WorkerError as from the local engine, but for workers that die: a job that was lost LOST_MOST
    times or does not fit into memory alone, a node that is another kind, nobody for NOBODY_S.
    """
    if workers < 1:
        raise WorkerError(
            "there must be a worker", where="workers", expected="1 or more", got=str(workers)
        )
    queue = iter(jobs)
    first = [job for _, job in zip(range(workers), queue, strict=False)]
    if not first:
        return
    payload = bytes(ForkingPickler.dumps((work, initializer, initargs)))
    with connected(workers) as connection:
        scheduler = _Scheduler(
            _chain(first, queue), len(first), payload, connection, on_done, on_progress
        )
        try:
            scheduler.serve()
        finally:
            scheduler.stop()


def _chain(first: list[Job], rest: Iterator[Job]) -> Iterator[Job]:
    yield from first
    yield from rest


def _actor_class(ray: Any) -> Any:
    """The class of workers. It is defined in here, so that it travels by value.

    So it comes to life on a node without this package as well, and can say so.
    """

    class SynthStudio:
        def facts(self) -> dict[str, str]:
            import platform

            try:
                from synthstudio.generation.engines import node
            except ImportError as error:
                return {"host": platform.node(), "synthstudio": f"absent ({error})"}
            self.worker = node.Worker()
            return {"host": platform.node(), **node.facts()}

        def start(self, payload: bytes) -> bytes:
            return self.worker.start(payload)

        def work(self, job: bytes) -> bytes:
            return self.worker.work(job)

        def units(self) -> int:
            return self.worker.units

    return ray.remote(
        num_cpus=1, max_restarts=0, max_task_retries=0, concurrency_groups={"tell": 1}
    )(SynthStudio)


@dataclass(eq=False)
class _Task:
    job: Any
    lost: int = 0
    alone: bool = False  # since it ran out of memory


@dataclass(eq=False)
class _Member:
    """A worker. `answer` is what it was asked last and `tells` its progress, both Ray's."""

    actor: Any
    answer: Any
    host: str = ""  # known once it has said what it is
    ready: bool = False
    task: _Task | None = None
    tells: Any = None
    units: int = 0


class _Scheduler:
    """The run's side: hands out jobs, hears the workers, makes lost ones good."""

    def __init__(
        self,
        jobs: Iterator[Any],
        workers: int,
        payload: bytes,
        connection: Connection,
        on_done: Callable[[Any], object],
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.ray = import_extra("ray", extra="ray", error=WorkerError)
        self.actor = _actor_class(self.ray).options(
            runtime_env={"env_vars": connection.environment}, num_cpus=0 if connection.own else 1
        )
        self.jobs, self.exhausted = jobs, False
        self.lost: deque[_Task] = deque()  # to be done again
        self.alone: deque[_Task] = deque()  # the same, with nobody else at work
        self.wanted = self.workers = workers
        self.payload = self.ray.put(payload)
        self.on_done, self.on_progress = on_done, on_progress
        self.crew: list[_Member] = []
        self.never_ready = 0  # workers that were lost while they started, since one was ready
        self.units = self.done = 0
        self.ready_at: float | None = None
        self.heard_at = self.told_at = time.monotonic()

    def serve(self) -> None:
        """Work until every job is done."""
        self._grow()
        while self._unfinished():
            waiting = {m.answer: m for m in self.crew if m.answer is not None}
            waiting |= {m.tells: m for m in self.crew if m.tells is not None}
            ready, rest = self.ray.wait(list(waiting), num_returns=1, timeout=TELL_S)
            if ready and rest:
                ready += self.ray.wait(rest, num_returns=len(rest), timeout=0)[0]
            for answer in ready:
                if waiting[answer] in self.crew:  # not lost by what was heard before
                    self._hear(waiting[answer], answer)
            self._ask_progress()
            self._check_presence()

    def stop(self) -> None:
        """End all workers at once."""
        for member in self.crew:
            with suppress(self.ray.exceptions.RayError):
                self.ray.kill(member.actor)
        self.crew.clear()

    def _unfinished(self) -> bool:
        """Whether a job is left or under way; also gives jobs to who has none."""
        for member in self.crew:
            if member.ready and member.task is None:
                self._hand_out(member)
        under_way = any(member.task for member in self.crew)
        return under_way or bool(self.lost) or bool(self.alone) or not self.exhausted

    def _grow(self) -> None:
        while len(self.crew) < self.wanted:
            actor = self.actor.remote()
            self.crew.append(_Member(actor=actor, answer=actor.facts.remote()))

    def _hear(self, member: _Member, answer: Any) -> None:
        try:
            heard = self.ray.get(answer)
        except self.ray.exceptions.RayError as error:
            self._miss(member, error)
            return
        self.heard_at = time.monotonic()
        if answer == member.tells:
            member.tells, member.units = None, heard if member.task else 0
            self._say()
        elif not member.host:
            member.host = heard.pop("host")
            _check(heard, member.host)
            member.answer = member.actor.start.remote(self.payload)
        else:
            self._take(member, *pickle.loads(heard))

    def _take(self, member: _Member, kind: str, value: Any) -> None:
        """Take what a worker says of its start or its job."""
        if kind == node.FAILED:
            raise value
        finished, member.task, member.units = member.task, None, 0
        member.answer = None
        if finished is None:
            member.ready, self.never_ready = True, 0
            self.ready_at = self.ready_at or time.monotonic()
        self._hand_out(member)  # first, so that nobody waits while the result is put in place
        if finished is not None:
            result, units = value
            self.units += units
            self.done += 1
            self.on_done(result)
            self._say()

    def _hand_out(self, member: _Member) -> None:
        task = self._next()
        if task is not None:
            member.task = task
            member.answer = member.actor.work.remote(bytes(ForkingPickler.dumps(task.job)))

    def _next(self) -> _Task | None:
        at_work = [m.task for m in self.crew if m.task is not None]
        if self.alone and not at_work:
            return self.alone.popleft()
        if self.alone or any(task.alone for task in at_work):
            return None  # held back until it is done
        if self.lost:
            return self.lost.popleft()
        for job in self.jobs:
            return _Task(job)
        self.exhausted = True
        return None

    def _miss(self, member: _Member, error: Exception) -> None:
        """Make good what a lost worker had: its job, and the worker unless memory is short."""
        self.crew.remove(member)
        with suppress(self.ray.exceptions.RayError):
            self.ray.kill(member.actor)  # it may only be out of reach
        short = isinstance(error, self.ray.exceptions.OutOfMemoryError)
        task = member.task
        if task is None:
            self.never_ready += 1
            if self.never_ready >= LOST_MOST * self.workers or (short and self.wanted == 1):
                raise _never_ready(member.host, error)
        else:
            task.lost += 1
            if short and task.alone:
                raise _too_large(task, member.host)
            if task.lost >= LOST_MOST and not short:
                raise _lost_often(task, member.host, error)
            task.alone = task.alone or short
            (self.alone if task.alone else self.lost).append(task)
        self.wanted = max(1, self.wanted - 1) if short else self.wanted
        self._grow()

    def _ask_progress(self) -> None:
        """Ask all who work how far they are, not too often."""
        now = time.monotonic()
        pause_s = max(TELL_S, len(self.crew) / TELLS_PER_S)
        if self.on_progress is None or now - self.told_at < pause_s:
            return
        self.told_at = now
        for member in self.crew:
            if member.task is not None and member.tells is None:
                member.tells = member.actor.units.options(concurrency_group="tell").remote()

    def _say(self) -> None:
        if self.on_progress is not None:
            units = self.units + sum(member.units for member in self.crew)
            self.on_progress(progress_of(units, self.done, self.ready_at))

    def _check_presence(self) -> None:
        """Give up when nobody has been there for long."""
        if any(member.host for member in self.crew):
            self.heard_at = time.monotonic()
        elif time.monotonic() - self.heard_at > NOBODY_S:
            cores = self.ray.cluster_resources().get("CPU", 0)
            free = self.ray.available_resources().get("CPU", 0)
            raise WorkerError(
                f"no worker was there for {NOBODY_S:.0f} s",
                where="the cluster",
                expected=f"room for {self.wanted} workers of one core each",
                got=f"{cores:.0f} cores, {free:.0f} of them free",
                then=f"Add nodes, or free them. {_RESUME}",
            )


def _check(heard: dict[str, str], host: str) -> None:
    """Refuse a node on which other bytes would be made."""
    ours = node.facts()
    asked = ours if len(heard) > 1 else heard  # one without the package says nothing else
    other = [name for name in sorted(asked) if heard.get(name) != ours[name]]
    if other:
        raise WorkerError(
            "this node is of another kind, and would make other bytes",
            where=f"node {host}",
            expected="; ".join(f"{name} {ours[name]}" for name in other)[:400],
            got="; ".join(f"{name} {heard.get(name, 'absent')}" for name in other)[:400],
            then="Give all nodes the same environment and CPU, or make a part of the run on "
            "each kind with --part. Nothing of that node was kept.",
        )


def _never_ready(host: str, error: Exception) -> WorkerError:
    return WorkerError(
        "workers are lost while they start",
        where=f"node {host}" if host else "the cluster",
        got=_cause(error),
        then="Their logs are below /tmp/ray on their node.",
    )


def _lost_often(task: _Task, host: str, error: Exception) -> WorkerError:
    return WorkerError(
        f"a job was lost {task.lost} times: {str(task.job)[:200]}",
        where=f"node {host}, the last time",
        got=_cause(error),
        then=f"If its nodes are sound, the job kills its worker. {_RESUME}",
    )


def _too_large(task: _Task, host: str) -> WorkerError:
    return WorkerError(
        f"a job does not fit into memory, even alone: {str(task.job)[:200]}",
        where=f"node {host}",
        then=f"Take nodes with more memory or smaller pictures. {_RESUME}",
    )


def _cause(error: Exception) -> str:
    """What Ray says of a death, without what it advises."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next((line for line in lines if "because" in line), lines[0] if lines else "no word")
    return told.split(" Some common causes")[0][:300].rstrip(".")
