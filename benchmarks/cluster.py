"""Thousands of workers in one process: `python -m benchmarks.cluster` simulates a run past here.

Virtual workers, nodes and an object store stand around the real scheduler: `Cluster.run` is
called like `generation.engines.local.run` and hands out jobs by that engine's own `_Scheduler`,
which hears virtual messages. Jobs are the ranges of frames that a data set's identity gives its
shards. Time is virtual (discrete events), chance comes from `core.rng.stream`: the same seed
gives the same figures on every machine. What the workers do is `work`, which takes no virtual
time of its own; `Machines` says how long a job takes. docs/scale.md has what came out.
"""

from __future__ import annotations

import argparse
import heapq
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from synthstudio.core.errors import WorkerError
from synthstudio.core.rng import stream
from synthstudio.dataset.manifest import FRAMES_PER_SHARD, Identity
from synthstudio.dataset.writer import shards_of
from synthstudio.generation.engines import local

FRAMES_PER_S = {1: 11.638, 2: 20.438}
"""Workers -> frames of scenes/bench.yaml a second, on two cores (docs/evidence/bench.log)."""
PREFIX_WRITES_PER_S = 3500.0
"""What S3 promises at least, for each prefix of a bucket."""
TABLES_OF_A_SHARD = 3  # frames, instances and shard.json beside the pictures
MOST_RESUMED = 1000  # times; a run that is ended more often never gets anywhere
_BLOCK = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Machines:
    """What a run meets. Seconds; shares from 0 to 1; none of it is drawn but by `seed`."""

    frame_s: float = 2 / FRAMES_PER_S[2]  # of one worker while its neighbour works as well
    start_s: float = 30.0  # from the start of a worker to its first frame
    workers_per_node: int = 16
    failures_per_hour: float = 0.01  # of a node
    detect_s: float = 30.0  # from a node's loss until somebody knows
    replace_s: float = 180.0  # from a node's loss until another stands there
    spread: float = 0.1  # of the logarithm of jobs' times, mean 1
    slow_share: float = 0.01  # of workers that are slow for good
    slow_factor: float = 3.0
    retry: bool = True  # without: the first lost worker ends the run, as with the local engine
    prefixes: int = 1
    prefix_writes_per_s: float = PREFIX_WRITES_PER_S
    packed: bool = False  # a shard's pictures in one object
    commit_s: float = 0.001  # the lock holder's, for a shard
    message_s: float = 0.0  # the lock holder's, for each frame that a worker tells of
    seed: int = 1

    def writes(self, frames: int) -> int:
        """How many objects a shard of so many frames is."""
        return (1 if self.packed else frames) + TABLES_OF_A_SHARD

    def limits(self, frames: int) -> dict[str, float]:
        """How many workers keep each shared thing busy, at shards of so many frames."""
        job_s, holder_s = frames * self.frame_s, self.commit_s + frames * self.message_s
        store_s = self.writes(frames) / (self.prefix_writes_per_s * self.prefixes)
        return {
            name: job_s / took_s if took_s else math.inf
            for name, took_s in (("store", store_s), ("lock holder", holder_s))
        }


@dataclass
class Outcome:
    """What came of a run, in virtual seconds."""

    workers: int
    jobs: int = 0
    frames: int = 0
    lost: int = 0  # jobs whose worker was lost under them
    failures: int = 0  # of nodes
    seconds: float = 0.0
    tail_s: float = 0.0  # from the first worker without a job to the end
    store_s: float = 0.0  # waiting for the store, all workers together
    holder_s: float = 0.0  # the lock holder's, busy
    recovery_s: list[float] = field(default_factory=list)  # loss to last lost job done, a failure
    resumed: int = 0  # how often the run was ended by a loss

    def efficiency(self, machines: Machines) -> float:
        """The share of all workers' time that makes frames which are kept."""
        return self.frames * machines.frame_s / (self.workers * self.seconds)


@dataclass(eq=False)
class _Virtual:
    """A worker as the scheduler sees it: its process and its connection at once."""

    number: int
    slow: float
    cluster: Cluster
    alive: bool = True
    starting: bool = True
    known: bool = False  # to the scheduler: starting, at work or lost without anybody's knowing
    life: int = 0  # events of an earlier life no longer count
    job: Any = None
    inbox: deque[tuple[str, Any]] = field(default_factory=deque)
    exitcode: int | None = None

    @property
    def process(self) -> _Virtual:
        return self

    @property
    def connection(self) -> _Virtual:
        return self

    @property
    def pid(self) -> int:
        return self.number

    def poll(self) -> bool:
        return bool(self.inbox)

    def recv(self) -> tuple[str, Any]:
        return self.inbox.popleft()

    def send(self, job: Any) -> None:
        self.cluster.begin(self, job)

    def kill(self) -> None:
        """Be stopped by the scheduler, which has no job left."""
        self.cluster.park(self)

    def join(self, timeout: float) -> None:
        """Have ended already."""

    def close(self) -> None:
        """Have nothing to close."""


class _Crew(dict[int, _Virtual]):
    """The scheduler's list of workers, from which one is removed without a search."""

    def remove(self, worker: _Virtual) -> None:
        del self[worker.number]


class _Queue(Iterator[Any]):
    """Jobs, those first that were lost."""

    def __init__(self, jobs: Iterable[Any]) -> None:
        self.jobs = iter(jobs)
        self.lost: deque[Any] = deque()
        self.empty = False

    def __next__(self) -> Any:
        if self.lost:
            return self.lost.popleft()
        for job in self.jobs:
            return job
        self.empty = True
        raise StopIteration


class Cluster:
    """An engine whose workers are virtual. `outcome` is of the last run."""

    def __init__(self, machines: Machines) -> None:
        self.machines = machines

    def run(
        self,
        work: Callable[[Any, Any, local.Report], Any],
        jobs: Iterable[Any],
        *,
        workers: int,
        initializer: Callable[..., Any],
        initargs: tuple[Any, ...] = (),
        on_done: Callable[[Any], object],
        on_progress: Callable[[local.Progress], None] | None = None,
    ) -> None:
        """Do what `local.run` does, in virtual time; a job has `frames`, a range.

        Raises WorkerError when a worker is lost and `retry` is off, and when no node comes back.
        """
        queue = iter(jobs)
        first = list(local._take(queue, workers))
        self.outcome = Outcome(workers=workers)
        if not first:
            return
        self.queue = _Queue(local._chain(first, queue))
        self.work, self.context = work, initializer(*initargs)
        self.events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self.number, self.now, self.running = 0, 0.0, 0
        self.free_at = [0.0] * self.machines.prefixes  # the store, by prefix
        self.holder_free_at, self.first_idle = 0.0, math.inf
        self.parked: list[_Virtual] = []
        self.hurt: dict[int, list[int]] = {}  # a lost job -> the failures that lost it
        self.left: list[tuple[float, int]] = []  # of each failure: when, jobs not done again yet
        self.crew = _Crew()
        self.scheduler: Any = local._Scheduler(self.crew, self.queue, on_done, on_progress)  # type: ignore[arg-type]
        self.durations = self._durations()
        self._set_up(len(first))
        while self.running or not self.queue.empty:
            if not self.events:
                raise _nobody(len(self.crew))
            self.now, _, happen, what = heapq.heappop(self.events)
            happen(*what)
        self.outcome.tail_s = max(0.0, self.outcome.seconds - self.first_idle)

    def begin(self, worker: _Virtual, job: Any) -> None:
        """Start a job on a worker at the moment that the holder hands it out."""
        self.running += 1
        took = len(job.frames) * self.machines.frame_s * worker.slow * next(self.durations)
        self._at(self.now + took, self._made, worker, worker.life, job)

    def park(self, worker: _Virtual) -> None:
        """Let a worker go for whom there is no job."""
        worker.known = False
        self.parked.append(worker)
        self.first_idle = min(self.first_idle, self.now)

    def _set_up(self, workers: int) -> None:
        machines = self.machines
        slow = stream(machines.seed, "cluster", "slow").random(workers) < machines.slow_share
        self.all = [
            _Virtual(number=n, slow=machines.slow_factor if s else 1.0, cluster=self)
            for n, s in enumerate(slow)
        ]
        size = machines.workers_per_node
        self.nodes = [self.all[n : n + size] for n in range(0, workers, size)]
        self.deaths = stream(machines.seed, "cluster", "failures")
        for worker in self.all:
            self._start(worker)
        self._next_failure()

    def _start(self, worker: _Virtual) -> None:
        worker.starting = worker.known = True
        self.crew[worker.number] = worker
        self._at(self.now + self.machines.start_s, self._ready, worker, worker.life)

    def _at(self, when: float, happen: Callable[..., None], *what: Any) -> None:
        self.number += 1
        heapq.heappush(self.events, (when, self.number, happen, what))

    def _durations(self) -> Iterator[float]:
        """Factors of mean 1."""
        chance, spread = stream(self.machines.seed, "cluster", "jobs"), self.machines.spread
        while True:
            yield from np.exp(spread * chance.standard_normal(_BLOCK) - spread**2 / 2).tolist()

    def _ready(self, worker: _Virtual, life: int) -> None:
        if worker.life == life:
            worker.inbox.append(("ready", None))
            self.scheduler._hear(worker)

    def _made(self, worker: _Virtual, life: int, job: Any) -> None:
        """The frames are made: write them, behind what the prefix still has to do."""
        if worker.life != life:
            return
        machines, prefix = self.machines, job.shard % self.machines.prefixes
        begins = max(self.now, self.free_at[prefix])
        took = machines.writes(len(job.frames)) / machines.prefix_writes_per_s
        self.free_at[prefix] = begins + took
        self.outcome.store_s += begins + took - self.now
        self._at(begins + took, self._staged, worker, life, job)

    def _staged(self, worker: _Virtual, life: int, job: Any) -> None:
        """A whole shard is in the store: the lock holder hears of it, after what came before."""
        if worker.life != life:
            return
        service = self.machines.commit_s + len(job.frames) * self.machines.message_s
        self.holder_free_at = max(self.now, self.holder_free_at) + service
        self.outcome.holder_s += service
        self._at(self.holder_free_at, self._committed, worker, life, job)
        worker.job = None  # with the holder now: whoever is lost, it counts

    def _committed(self, worker: _Virtual, life: int, job: Any) -> None:
        result = self.work(self.context, job, lambda units: worker.inbox.append(("report", units)))
        self.running -= 1
        self.outcome.jobs += 1
        self.outcome.frames += len(job.frames)
        self.outcome.seconds = self.now
        self._recovered(job)
        worker.inbox.append(("done", result))
        if worker.life == life:
            while worker.inbox:
                self.scheduler._hear(worker)
        else:  # its worker was lost in the meantime
            worker.inbox.clear()
            self.scheduler.jobs += 1
            self.scheduler.on_done(result)

    def _recovered(self, job: Any) -> None:
        for failure in self.hurt.pop(id(job), ()):
            when, left = self.left[failure]
            self.left[failure] = (when, left - 1)
            if left == 1:
                self.outcome.recovery_s.append(self.now - when)

    def _next_failure(self) -> None:
        rate = self.machines.failures_per_hour / 3600 * len(self.nodes)
        if rate and math.isfinite(self.machines.replace_s):
            self._at(self.now + self.deaths.exponential(1 / rate), self._fail, None)
        elif rate:  # nobody comes back: each node has one death
            for node in self.nodes:
                self._at(self.deaths.exponential(len(self.nodes) / rate), self._fail, node)

    def _fail(self, node: list[_Virtual] | None) -> None:
        """Lose a node, any if none is named, with all that its workers had not handed over."""
        if node is None:
            node = self.nodes[int(self.deaths.integers(len(self.nodes)))]
            self._next_failure()
        if not node[0].alive:
            return  # it is away already
        lost, failure = [], len(self.left)
        for worker in node:
            worker.alive, worker.life = False, worker.life + 1
            if worker.job is not None:
                lost.append(worker.job)
                self.hurt.setdefault(id(worker.job), []).append(failure)
        self.parked = [worker for worker in self.parked if worker.alive]
        self.left.append((self.now, len(lost)))
        self.outcome.failures += 1
        self.outcome.lost += len(lost)
        self._at(self.now + self.machines.detect_s, self._noticed, node, lost)
        if math.isfinite(self.machines.replace_s):
            away_s = max(self.machines.replace_s, self.machines.detect_s)
            self._at(self.now + away_s, self._back, node)

    def _noticed(self, node: list[_Virtual], lost: list[Any]) -> None:
        """Hand the lost jobs to others; or end the run by the scheduler's own rule."""
        for worker in node:
            if worker.known and not worker.alive:
                if not self.machines.retry:
                    worker.exitcode = -9
                    self.outcome.lost = self.running
                    self.scheduler._hear(worker)  # raises WorkerError
                self.crew.remove(worker)
                worker.known = False
        self.running -= len(lost)
        self.queue.lost.extend(lost)
        self.queue.empty = self.queue.empty and not lost
        for _ in range(min(len(lost), len(self.parked))):
            self._start(self.parked.pop())

    def _back(self, node: list[_Virtual]) -> None:
        for worker in node:
            worker.alive, worker.job = True, None
            if self.queue.empty:
                self.parked.append(worker)
            else:
                self._start(worker)


def _nobody(workers: int) -> WorkerError:
    return WorkerError(
        "no node is left and none comes back",
        where="the cluster",
        got=f"{workers} workers that nobody hears of",
        then="Finished work is kept: run again with --resume.",
    )


@dataclass(frozen=True, kw_only=True)
class Job:
    """A shard to make."""

    shard: int
    frames: range


def jobs_of(frames: int, frames_per_shard: int = FRAMES_PER_SHARD) -> list[Job]:
    """The jobs of a run, by the rules of the data set that it makes."""
    identity = Identity(
        recipe={},
        seed=1,
        skeleton="coco23",
        frames=frames,
        frames_per_shard=frames_per_shard,
        versions={},
        machine={},
    )
    return [Job(shard=s, frames=identity.frames_of(s)) for s in shards_of(identity, None)]


def simulate(machines: Machines, workers: int, jobs: list[Job]) -> Outcome:
    """Run the jobs, again for what is left where a loss ends a run; WorkerError if none are made.

    WorkerError as well unless each was done exactly once.
    """
    done: list[int] = []
    made, left = Outcome(workers=workers), jobs
    while left:
        cluster = Cluster(replace(machines, seed=machines.seed + made.resumed))
        try:
            cluster.run(
                lambda _, job, report: job.shard,
                left,
                workers=workers,
                initializer=lambda: None,
                on_done=done.append,
            )
        except WorkerError:
            if machines.retry or made.resumed == MOST_RESUMED:
                raise
            made = _together(made, cluster.outcome, resumed=made.resumed + 1, until=cluster.now)
            kept = set(done)
            left = [job for job in left if job.shard not in kept]
        else:
            made, left = _together(made, cluster.outcome, resumed=made.resumed), []
    if sorted(done) != [job.shard for job in jobs]:
        raise WorkerError(
            "shards were lost or made twice",
            where="the simulation",
            expected=str(len(jobs)),
            got=f"{len(done)}, {len(set(done))} of them different",
        )
    return made


def _together(a: Outcome, b: Outcome, *, resumed: int, until: float | None = None) -> Outcome:
    """A run and what came after it; `until` is when that ended, if not with its last shard."""
    sums = ("jobs", "frames", "lost", "failures", "store_s", "holder_s", "recovery_s")
    return Outcome(
        workers=a.workers,
        seconds=a.seconds + (b.seconds if until is None else until),
        tail_s=b.tail_s,
        resumed=resumed,
        **{name: getattr(a, name) + getattr(b, name) for name in sums},
    )


WAYS: dict[str, tuple[int, dict[str, Any]]] = {
    "64 frames a shard, 1 prefix": (64, {}),
    "64 frames a shard, 64 prefixes": (64, {"prefixes": 64}),
    "64 frames packed, 1 prefix": (64, {"packed": True}),
    "1,024 frames packed, 1 prefix": (1024, {"packed": True}),
    "the same, a loss ends the run": (1024, {"packed": True, "retry": False}),
}
"""Name -> frames a shard and what else differs."""


def line(way: str, frames: int, machines: Machines, outcome: Outcome) -> str:
    """A row of the table."""
    limits = machines.limits(frames)
    first = min(limits, key=lambda name: limits[name])
    recovery = f"{max(outcome.recovery_s):.0f} s" if outcome.recovery_s else "-"
    return (
        f"| {way} | {outcome.workers:,} | {outcome.efficiency(machines):.1%} "
        f"| {outcome.seconds:,.0f} s | {outcome.tail_s:,.0f} s | {outcome.failures} "
        f"| {outcome.lost} | {recovery} | {first} at {limits[first]:,.0f} |"
    )


def main() -> int:
    """Print a table of ways by numbers of workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--shards-each", type=int, default=40, help="jobs a worker, on average")
    for name, default in (
        (name, getattr(Machines(), name))
        for name in ("start_s", "failures_per_hour", "detect_s", "replace_s", "spread",
                     "slow_share", "slow_factor", "commit_s", "message_s", "seed")
    ):  # fmt: skip
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    args = vars(parser.parse_args())
    sizes, each = args.pop("workers"), args.pop("shards_each")
    print(
        "| way | workers | efficiency | run | tail | nodes lost | jobs lost | longest recovery "
        "| full first, at workers |\n|---|---|---|---|---|---|---|---|---|"
    )
    for way, (frames, other) in WAYS.items():
        machines = replace(Machines(**args), **other)
        for workers in sizes:
            jobs = jobs_of(workers * each * frames, frames)
            print(line(way, frames, machines, simulate(machines, workers, jobs)), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
