"""Put every fault into every command that writes: `make faults`.

Each case is a run with a fault, a verdict on how it ended, the same command again, and its bytes
held against those of a run without a fault. The log goes to docs/evidence/faults.log, the table
into docs/proofs.md.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from benchmarks.faults import commands
from benchmarks.faults.commands import COMMANDS
from benchmarks.faults.judge import FAULTS, Judge, Outcome

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/proofs.md"
BEGIN, END = "<!-- faults: written by make faults -->", "<!-- end of faults -->"
LEFT_OUT = tuple(f"synthstudio.{n}" for n in ("studio", "__main__"))
SLOW = ("rendering", "network")


def preload() -> None:
    """Import the package, so that the processes forked for cases do not."""
    import synthstudio

    for found in pkgutil.walk_packages(synthstudio.__path__, "synthstudio."):
        if not found.name.startswith(LEFT_OUT):
            importlib.import_module(found.name)


def judge(
    name: str,
    world: Path,
    scratch: Path,
    *,
    moments: int,
    faults: tuple[str, ...] = FAULTS,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Outcome]:
    """Every fault of one command."""
    command = next(c for c in COMMANDS if c.name == name)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        Path(folder).chmod(0o755)
        judging = Judge(command, world, Path(folder), moments=moments)
        found = {}
        for fault, outcome in judging.outcomes(faults):
            found[fault] = outcome
            for line in [f"{name}: {fault}: {outcome.text()}", *outcome.wrong]:
                say(line)
    say(f"{name}: {judging.cases} runs with their cases in {time.monotonic() - began:.0f} s")
    return found


def table(outcomes: dict[str, dict[str, Outcome]]) -> str:
    rows = [f"| command | {' | '.join(FAULTS)} |", f"|---|{'---|' * len(FAULTS)}"]
    for name, found in outcomes.items():
        cells = (found[f].text() if f in found else "" for f in FAULTS)
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=20, help="kills and full disks a command")
    parser.add_argument("--slow-moments", type=int, default=0, help="of those that render or train")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="", help="commands whose names begin so, by commas")
    parser.add_argument("--world", type=Path, help="keep the world here, or take it from here")
    parser.add_argument("--kept", type=Path, default=ROOT / ".cache/faults", help="of each command")
    parser.add_argument("--resume", action="store_true", help="take commands that are kept")
    parser.add_argument("--log", type=Path, default=ROOT / "docs/evidence/faults.log")
    options = parser.parse_args()
    began = time.monotonic()
    starts = tuple(filter(None, options.only.split(",")))
    known = [c.name for c in COMMANDS]
    names = [n for n in known if not starts or n in starts or n.startswith(_beginnings(starts))]
    options.kept.mkdir(parents=True, exist_ok=True)
    if not options.resume:
        for name in names:
            _file(options.kept, name).unlink(missing_ok=True)
    names = [name for name in names if not _file(options.kept, name).is_file()]
    with tempfile.TemporaryDirectory(prefix="synthstudio-faults-") as temporary:
        scratch = Path(temporary)
        scratch.chmod(0o755)
        world = options.world or scratch / "world"
        if names and not (world / "review.db").is_file():
            world.mkdir(parents=True, exist_ok=True)
            commands.make(world)
        if names and options.processes > 1:
            parts = [names[k :: options.processes] for k in range(options.processes)]
            _started(parts, options, world)
        elif names:
            preload()
            _judge_all(names, options, world, scratch)
    return _report(options.kept, options.log, time.monotonic() - began)


def _beginnings(starts: tuple[str, ...]) -> tuple[str, ...]:
    """Those that are no command's whole name: `export` means eleven, `generate` one."""
    return tuple(start for start in starts if start not in {c.name for c in COMMANDS})


def _started(parts: list[list[str]], options: argparse.Namespace, world: Path) -> None:
    """Judge parts of the commands at once, each in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.faults", "--processes", "1", "--resume"]
    words += ["--world", str(world), "--kept", str(options.kept)]
    words += ["--moments", str(options.moments), "--slow-moments", str(options.slow_moments)]
    started = [
        subprocess.Popen([*words, "--log", os.devnull, "--only", ",".join(part)])
        for part in parts
        if part
    ]
    for process in started:
        process.wait()


def _judge_all(names: list[str], options: argparse.Namespace, world: Path, scratch: Path) -> None:
    slow = options.slow_moments or options.moments
    for command in (c for c in COMMANDS if c.name in names):
        lines: list[str] = []
        moments = slow if command.group in SLOW else options.moments
        try:
            found = judge(command.name, world, scratch, moments=moments, say=lines.append)
        except Exception as error:
            broken = Outcome(wrong=[f"{command.name}: {type(error).__name__}: {error}"])
            found = {"killed": broken}
            lines += broken.wrong
        print("\n".join(lines), flush=True)
        kept = {"lines": lines, "found": {f: asdict(o) for f, o in found.items()}}
        _file(options.kept, command.name).write_text(json.dumps(kept), "utf-8")


def _file(kept: Path, name: str) -> Path:
    return kept / f"{name.replace(' ', '_')}.json"


def _report(kept: Path, log: Path, seconds: float) -> int:
    """Write the log, and the table if every command is kept; 1 when anything was wrong."""
    files = [_file(kept, c.name) for c in COMMANDS]
    stored = {
        c.name: json.loads(f.read_text("utf-8"))
        for c, f in zip(COMMANDS, files, strict=True)
        if f.is_file()
    }
    outcomes = {
        name: {f: Outcome(**o) for f, o in value["found"].items()} for name, value in stored.items()
    }
    found = [o for faults in outcomes.values() for o in faults.values()]
    wrong = sum(len(o.wrong) for o in found)
    cases = sum(sum(o.tally.values()) for o in found) + wrong
    last = f"{len(outcomes)} commands, {cases} cases: {wrong} wrong"
    lines = [line for value in stored.values() for line in value["lines"]]
    log.write_text("\n".join([*lines, last]) + "\n", "utf-8")
    print(f"{last} ({seconds / 60:.0f} min)")
    if len(outcomes) == len(COMMANDS):
        text = PAGE.read_text("utf-8")
        before, _, rest = text.partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n{table(outcomes)}\n\n{last}.\n{END}{after}", "utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
