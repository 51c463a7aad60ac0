"""Runs cases in child processes, keeps a journal to go on from, and every fault as a folder.

FOLDER/sound/            sound inputs (sound.py)
FOLDER/seed-N.jsonl      the journal: a line a case
FOLDER/faults/NAME/      the input of a fault and report.txt, with the command that runs it again
"""

import faulthandler
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.fuzz.cases import Name
from benchmarks.fuzz.judge import Judge, Verdict, limit, prepare, write
from benchmarks.fuzz.sound import sound_inputs
from benchmarks.fuzz.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
MAX_CPU_S, MAX_WALL_S = 60.0, 1200.0
"""A case that computes for longer, or waits for longer on however busy a machine, hangs."""
BATCH = 100
"""Cases of one child process; what it holds in memory goes with it."""


@dataclass(kw_only=True)
class Totals:
    """What a campaign came to."""

    cases: int = 0
    whats: Counter[str] = field(default_factory=Counter)
    targets: dict[str, Counter[str]] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0
    peak: int = 0
    slowest: tuple[float, str] = (0.0, "")

    def add(self, name: Name, verdict: Verdict) -> None:
        self.cases += 1
        self.whats[verdict.what] += 1
        counts = self.targets.setdefault(name.target, Counter())
        counts[verdict.what] += 1
        counts["ms"] += round(1000 * verdict.seconds)
        self.seconds += verdict.seconds
        self.peak = max(self.peak, verdict.peak)
        self.slowest = max(self.slowest, (verdict.seconds, str(name)))
        if verdict.is_fault:
            self.faults.setdefault(f"{verdict.what}: {verdict.mark}", []).append(str(name))


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """So many cases of one seed, over all targets or some."""

    folder: Path
    seed: int
    cases: int
    processes: int = 1
    targets: tuple[str, ...] = tuple(TARGETS)

    @property
    def journal(self) -> Path:
        return self.folder / f"seed-{self.seed}.jsonl"

    def names(self) -> list[Name]:
        """The cases in order: each target as often as it weighs, well mixed."""
        places = [
            ((k + 0.5) / TARGETS[name].weight, name)
            for name in self.targets
            for k in range(TARGETS[name].weight)
        ]
        order, counts, found = [name for _, name in sorted(places)], Counter[str](), []
        for k in range(self.cases):
            target = order[k % len(order)]
            found.append(Name(target, counts[target]))
            counts[target] += 1
        return found

    def judged(self) -> dict[Name, Verdict]:
        """What the journal holds."""
        found = {}
        for line in self.journal.read_text().splitlines() if self.journal.is_file() else ():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # the last line of one that was killed
            name = Name.parse(row.pop("name"))
            found[name] = Verdict(**row)
        return found

    def run(self, *, log: Callable[[str], object] = print) -> Totals:
        """Run what is missing; return the totals of all, those of earlier starts included."""
        sound, names, judged = sound_inputs(self.folder), self.names(), self.judged()
        left = [name for name in names if name not in judged]
        batches = [left[k : k + BATCH] for k in range(0, len(left), BATCH)]
        with ThreadPoolExecutor(self.processes) as pool, self.journal.open("a") as journal:
            for found in pool.map(lambda batch: run_batch(self.folder, self.seed, batch), batches):
                for name, verdict in found.items():
                    journal.write(json.dumps({"name": str(name), **asdict(verdict)}) + "\n")
                    journal.flush()
                    if verdict.is_fault:
                        keep_fault(self.folder, sound, self.seed, name, verdict)
                judged |= found
                faults = sum(verdict.is_fault for verdict in judged.values())
                log(f"{len(judged)} of {len(names)} cases, {faults} faults")
        totals = Totals()
        for name in names:
            totals.add(name, judged[name])
        return totals


def run_batch(folder: Path, seed: int, names: Sequence[Name]) -> dict[Name, Verdict]:
    """Run cases in a child process, and in another one after each that ends it."""
    found: dict[Name, Verdict] = {}
    while left := [name for name in names if name not in found]:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
            work = [sys.executable, "-m", "benchmarks.fuzz.campaign", str(folder), str(seed), place]
            done = subprocess.run(
                [*work, *map(str, left)], cwd=ROOT, capture_output=True, text=True, check=False
            )
            lines = Path(place, "verdicts").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        found |= {Name.parse(row.pop("name")): Verdict(**row) for row in rows}
        if len(rows) == len(left):
            break
        victim, status = left[len(rows)], -done.returncode
        what = "hang" if status == signal.SIGPROF or "Timeout (" in done.stderr else "died"
        mark = f"{what} {victim.target}, status {status}"
        found[victim] = Verdict(what=what, mark=mark, log=done.stderr[-3000:])
    return found


def serve(folder: Path, seed: int, place: Path, names: list[Name]) -> None:
    """Be the child process: a line of JSON for each case that ended."""
    with (place / "verdicts").open("w") as file:
        faulthandler.enable()
        prepare()
        judge = Judge(work=place / "case", sound=folder / "sound", seed=seed)
        limit()
        for name in names:
            signal.setitimer(signal.ITIMER_PROF, MAX_CPU_S)
            faulthandler.dump_traceback_later(MAX_WALL_S, exit=True)
            verdict = judge.run(name)
            file.write(json.dumps({"name": str(name), **asdict(verdict)}) + "\n")
            file.flush()


def keep_fault(folder: Path, sound: Path, seed: int, name: Name, verdict: Verdict) -> Path:
    """Keep a fault's input and what became of it; return the folder."""
    kept = folder / "faults" / f"{seed}-{name.target}-{name.number}"
    shutil.rmtree(kept, ignore_errors=True)
    (kept / "in").mkdir(parents=True)
    write(kept / "in", Judge(work=kept, sound=sound, seed=seed).files(name))
    lines = (verdict.what, verdict.mark, *verdict.calls, verdict.log, replay(seed, name))
    (kept / "report.txt").write_text("\n".join(lines) + "\n", encoding="utf-8", errors="replace")
    return kept


def replay(seed: int, name: Name | str) -> str:
    return f"python -m benchmarks.fuzz --seed {seed} --only {name}"


def only(folder: Path, seed: int, names: list[Name]) -> Iterator[tuple[Name, Verdict]]:
    """Run these cases again, each in this process."""
    prepare()
    work, sound = folder / "work" / f"{os.getpid()}-only", sound_inputs(folder)
    judge = Judge(work=work, sound=sound, seed=seed)
    home, tmp = Path.cwd(), os.environ.get("TMPDIR")
    for name in names:
        verdict = judge.run(name)
        os.chdir(home)
        tempfile.tempdir = None
        os.environ.pop("TMPDIR")
        os.environ.update({} if tmp is None else {"TMPDIR": tmp})
        yield name, verdict
    shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), [*map(Name.parse, sys.argv[4:])])
