"""Runs cases on worker processes, keeps a journal to go on from, and every fault as a folder.

FOLDER/sound/            sound inputs (sound.py)
FOLDER/seed-N.jsonl      the journal: a line a case
FOLDER/faults/NAME/      the input of a fault and told.txt, with the command that runs it again

With `grow`, half of a target's cases damage once more the input of a case that reached lines of
the package that none before it had reached.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TextIO

import psutil

from benchmarks.fuzz.cases import Name
from benchmarks.fuzz.judge import MOST_CPU_S, Judge, Verdict, serve, write
from benchmarks.fuzz.sound import sound_inputs
from benchmarks.fuzz.targets import TARGETS

MOST_WALL_S = 1200.0
"""A worker that neither answers nor computes is stuck, on however busy a machine."""
_RENEW_BYTES = 1_300 << 20
"""A worker that holds more than this between cases makes room for a fresh one."""
_LONGEST_CHAIN = 6


@dataclass(kw_only=True)
class Totals:
    """What a campaign came to."""

    cases: int = 0
    whats: Counter[str] = field(default_factory=Counter)
    targets: dict[str, Counter[str]] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    lines: set[str] = field(default_factory=set)
    seconds: float = 0.0
    peak: int = 0
    slowest: tuple[float, str] = (0.0, "")

    def add(self, name: str, verdict: Verdict) -> None:
        target = name.partition(":")[0]
        self.cases += 1
        self.whats[verdict.what] += 1
        self.targets.setdefault(target, Counter())[verdict.what] += 1
        self.targets[target]["ms"] += round(1000 * verdict.seconds)
        self.lines.update(verdict.lines)
        self.seconds += verdict.seconds
        self.peak = max(self.peak, verdict.peak)
        self.slowest = max(self.slowest, (verdict.seconds, name))
        if verdict.is_fault:
            self.faults.setdefault(f"{verdict.what}: {verdict.mark}", []).append(name)


@dataclass(kw_only=True)
class _Worker:
    process: Any
    pipe: Connection
    log: Path
    name: Name | None = None
    cpu: float = 0.0
    began: float = 0.0
    ready: bool = False


class Campaign:
    """So many cases of one seed, over all targets or some."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        cases: int,
        processes: int,
        targets: tuple[str, ...] = (),
        grow: bool = True,
        worker: Any = serve,
    ) -> None:
        """`worker`: what a process runs (judge.serve)."""
        self.folder, self.seed, self.cases, self.grow = folder, seed, cases, grow
        self._serve = worker
        self.processes = processes
        self.sound = sound_inputs(folder)
        self.totals = Totals()
        self._counts: Counter[str] = Counter()
        self._corpus: dict[str, list[Name]] = {}
        self._order = _schedule(targets or tuple(TARGETS))
        self._workers: list[_Worker] = []
        self._journal = folder / f"seed-{seed}.jsonl"

    def run(self, *, say: Any = print, resume: bool = True) -> Totals:
        """Run what is missing; return the totals of all, those of earlier starts included."""
        if not resume:
            self._journal.unlink(missing_ok=True)
        self._read_journal()
        with self._journal.open("a", encoding="utf-8") as journal:
            try:
                self._loop(journal, say)
            finally:
                for worker in self._workers:
                    _stop(worker)
        return self.totals

    def _read_journal(self) -> None:
        if not self._journal.is_file():
            return
        for line in self._journal.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # the last line of one that was killed
            name = Name.parse(row.pop("name"))
            row["lines"], row["asked"] = tuple(row["lines"]), tuple(row["asked"])
            self._keep(name, Verdict(**row))
            self._counts[name.target] = max(self._counts[name.target], name.numbers[-1] + 1)

    def _loop(self, journal: TextIO, say: Any) -> None:
        began, told, first = time.monotonic(), time.monotonic(), self.totals.cases
        given = self.totals.cases
        self._workers = [self._start(k) for k in range(min(self.processes, self.cases - given))]
        while any(w.name is not None or not w.ready for w in self._workers):
            for pipe in wait([w.pipe for w in self._workers], timeout=1.0):
                place = next(k for k, w in enumerate(self._workers) if w.pipe is pipe)
                name, verdict, held = self._answer(self._workers[place])
                if verdict is not None and name is not None:
                    self._record(journal, name, verdict)
                if held > _RENEW_BYTES:
                    _stop(self._workers[place])
                    self._workers[place] = self._start(place)
                elif given < self.cases and self._workers[place].ready:
                    self._give(self._workers[place], self._next(given))
                    given += 1
            for place, worker in enumerate(self._workers):
                overdue = _overdue(worker)
                if overdue is not None and worker.name is not None:
                    self._record(journal, worker.name, overdue)
                    _stop(worker)
                    self._workers[place] = self._start(place)
            if time.monotonic() - told > 30:
                told = time.monotonic()
                done = self.totals.cases - first
                faults = self.totals.faults
                say(
                    f"{self.totals.cases} of {self.cases} cases, {done / (told - began):.1f} a "
                    f"second, {len(self.totals.lines)} lines, faults: "
                    f"{sum(map(len, faults.values()))} of {len(faults)} kinds",
                    flush=True,
                )

    def _start(self, place: int) -> _Worker:
        context = multiprocessing.get_context("spawn")
        mine, theirs = context.Pipe()
        work = str(self.folder / "work" / f"{os.getpid()}-{place}")
        arguments = (theirs, work, str(self.sound), self.seed, self.grow)
        process = context.Process(target=self._serve, args=arguments, daemon=True)
        process.start()
        theirs.close()
        return _Worker(process=process, pipe=mine, log=Path(f"{work}.log"))

    def _next(self, given: int) -> Name:
        target = self._order[given % len(self._order)]
        number = self._counts[target]
        self._counts[target] += 1
        corpus = self._corpus.get(target, [])
        if self.grow and corpus:
            rng = random.Random(f"{self.seed} {target} {number} parent")
            if rng.random() < 0.5:
                # The later ones reached what is harder to reach.
                parent = corpus[max(rng.randrange(len(corpus)), rng.randrange(len(corpus)))]
                return Name(target, (*parent.numbers, number))
        return Name(target, (number,))

    @staticmethod
    def _give(worker: _Worker, name: Name) -> None:
        worker.name, worker.began = name, time.monotonic()
        worker.cpu = sum(psutil.Process(worker.process.pid).cpu_times()[:2])
        worker.pipe.send(name)

    def _answer(self, worker: _Worker) -> tuple[Name | None, Verdict | None, int]:
        """What a worker says: that it is ready, a verdict, or nothing any more."""
        name, worker.name = worker.name, None
        try:
            told = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(10)
            code = worker.process.exitcode
            mark = f"the process died with status {code}"
            said = worker.log.read_text(encoding="utf-8", errors="replace")
            at = max(said.rfind("Fatal Python error"), 0)  # a list of modules ends such a text
            said = said[at : at + 3000] if at else said[-3000:]
            if name is None:
                raise RuntimeError(f"a worker could not start: {mark}\n{said}") from None
            return name, Verdict(what="died", mark=f"{mark} {name.target}", told=said), 1 << 60
        if told == "ready":
            worker.ready = True
            return None, None, 0
        return name, told[0], told[1]

    def _record(self, journal: TextIO, name: Name, verdict: Verdict) -> None:
        verdict.lines = tuple(line for line in verdict.lines if line not in self.totals.lines)
        row = {"name": str(name), **asdict(verdict)}
        if not verdict.is_fault:
            row["told"] = verdict.told[:200]
        journal.write(json.dumps(row) + "\n")
        journal.flush()
        self._keep(name, verdict)
        if verdict.is_fault:
            keep_fault(self.folder, self.sound, self.seed, name, verdict)

    def _keep(self, name: Name, verdict: Verdict) -> None:
        self.totals.add(str(name), verdict)
        fresh = bool(verdict.lines) and len(name.numbers) < _LONGEST_CHAIN
        if self.grow and fresh and not verdict.is_fault:
            self._corpus.setdefault(name.target, []).append(name)


def _schedule(targets: tuple[str, ...]) -> list[str]:
    """Targets in the order of their cases, each as often as it weighs, well mixed."""
    places = [
        ((k + 0.5) / TARGETS[name].weight, name)
        for name in targets
        for k in range(TARGETS[name].weight)
    ]
    return [name for _, name in sorted(places)]


def _overdue(worker: _Worker) -> Verdict | None:
    if worker.name is None:
        return None
    try:
        used = sum(psutil.Process(worker.process.pid).cpu_times()[:2]) - worker.cpu
    except psutil.Error:
        return None  # dead: its pipe says so
    if used > MOST_CPU_S:
        told = f"more than {MOST_CPU_S:g} s of processor time"
        return Verdict(what="hang", mark=f"hang {worker.name.target}", told=told, seconds=used)
    if time.monotonic() - worker.began > MOST_WALL_S:
        return Verdict(what="hang", mark=f"stuck {worker.name.target}", told="it waits for ever")
    return None


def _stop(worker: _Worker) -> None:
    process = worker.process
    if process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    worker.pipe.close()


def keep_fault(folder: Path, sound: Path, seed: int, name: Name, verdict: Verdict) -> Path:
    """Keep a fault's input and what became of it; return the folder."""
    kept = folder / "faults" / f"{seed}-{name.target}-{'.'.join(map(str, name.numbers))}"
    shutil.rmtree(kept, ignore_errors=True)
    (kept / "in").mkdir(parents=True)
    write(kept / "in", Judge(work=kept, sound=sound, seed=seed).files(name))
    lines = (verdict.what, verdict.mark, *verdict.asked, verdict.told, replay(seed, name))
    (kept / "told.txt").write_text("\n".join(lines) + "\n", encoding="utf-8", errors="replace")
    return kept


def replay(seed: int, name: Name) -> str:
    return f"python -m benchmarks.fuzz --seed {seed} --only {name}"


def only(folder: Path, seed: int, names: list[Name]) -> Iterator[tuple[Name, Verdict]]:
    """Run these cases again, each in this process."""
    from benchmarks.fuzz.judge import prepare

    prepare()
    judge = Judge(
        work=folder / "work" / f"{os.getpid()}-only", sound=sound_inputs(folder), seed=seed
    )
    home, tmp = Path.cwd(), os.environ.get("TMPDIR")
    for name in names:
        verdict = judge.run(name)
        os.chdir(home)
        tempfile.tempdir = None
        os.environ.pop("TMPDIR")
        os.environ.update({} if tmp is None else {"TMPDIR": tmp})
        yield name, verdict
    shutil.rmtree(judge.work, ignore_errors=True)
