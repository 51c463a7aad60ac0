"""Put every fault into every command that writes: `make faults`.

Each case is a run with a fault, a verdict on how it ended, the same command again, and its bytes
held against those of a run without a fault. Commands are judged side by side, each in a process of
its own; the lines and a table go to docs/evidence/faults.log.
"""

import argparse
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from benchmarks.faults import commands
from benchmarks.faults.commands import COMMANDS
from benchmarks.faults.judge import FAULTS, Judge, Outcome

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = tuple(f"synthstudio.{n}" for n in ("studio", "__main__"))


def preload() -> None:
    """Import the package, so that the processes forked for cases do not."""
    import synthstudio

    for found in pkgutil.walk_packages(synthstudio.__path__, "synthstudio."):
        if not found.name.startswith(LEFT_OUT):
            importlib.import_module(found.name)


def judged(name: str, world: Path, moments: int) -> dict[str, Outcome]:
    """Every fault of one command, in this process."""
    preload()
    command = next(c for c in COMMANDS if c.name == name)
    with tempfile.TemporaryDirectory(prefix="faults-") as scratch:
        Path(scratch).chmod(0o755)
        return dict(Judge(command, world, Path(scratch), moments=moments).outcomes())


def judged_apart(name: str, world: Path, moments: int) -> dict[str, Outcome]:
    """Every fault of one command, in a process of its own."""
    words = ["--world", str(world), "--moments", str(moments), "--judge", name]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return {"killed": Outcome(wrong=[f"{name}: {done.stderr[-500:]}"])}
    found = json.loads(done.stdout.splitlines()[-1])
    return {fault: Outcome(**outcome) for fault, outcome in found.items()}


def table(outcomes: dict[str, dict[str, Outcome]]) -> str:
    rows = [f"| command | {' | '.join(FAULTS)} |", f"|---|{'---|' * len(FAULTS)}"]
    for name, found in outcomes.items():
        cells = (found[f].text() if f in found else "" for f in FAULTS)
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=20, help="kills and full disks a command")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="", help="commands whose names begin so, by commas")
    parser.add_argument("--world", type=Path, help="keep the world here, or take it from here")
    parser.add_argument("--judge", help="one command in this process; prints JSON")
    parser.add_argument("--log", type=Path, default=ROOT / "docs" / "evidence" / "faults.log")
    options = parser.parse_args()
    if options.judge:
        found = judged(options.judge, options.world, options.moments)
        print(json.dumps({fault: asdict(outcome) for fault, outcome in found.items()}))
        return 0
    names = [c.name for c in COMMANDS if c.name.startswith(tuple(options.only.split(",")))]
    outcomes: dict[str, dict[str, Outcome]] = {}
    lines: list[str] = []
    with tempfile.TemporaryDirectory(prefix="faults-world-") as temporary:
        Path(temporary).chmod(0o755)
        world = options.world or Path(temporary) / "world"
        if not (world / "review.db").is_file():
            world.mkdir(parents=True, exist_ok=True)
            commands.make(world)
        with ThreadPoolExecutor(options.processes) as pool:
            jobs = {n: pool.submit(judged_apart, n, world, options.moments) for n in names}
            for name, job in jobs.items():
                outcomes[name] = job.result()
                for fault, outcome in outcomes[name].items():
                    lines += [f"{name}: {fault}: {outcome.text()}", *outcome.wrong]
                print("\n".join(lines[-len(outcomes[name]) :]), flush=True)
    every = [outcome for found in outcomes.values() for outcome in found.values()]
    wrong = sum(len(outcome.wrong) for outcome in every)
    cases = sum(sum(outcome.tally.values()) for outcome in every) + wrong
    lines += [table(outcomes), f"{len(outcomes)} commands, {cases} cases: {wrong} wrong"]
    print(lines[-1])
    options.log.write_text("\n".join(lines) + "\n", "utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
