"""`make steady`: `make test` five times beside busy loops and five times on an idle machine.

A busy run has twice as many endless loops as there are cores, at nice 0. Each run is a line of
docs/evidence/steady.log with its commit, its time and the time of a loop in Python, which says how
fast the machine was. A red run starts the count anew; a stopped tool goes on after the last line.
What a red run printed is in .cache/steady-TIME.log.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOG = ROOT / "docs" / "evidence" / "steady.log"
SPIN = [sys.executable, "-c", "while True: pass"]
CORES = os.cpu_count() or 1


def processor() -> str:
    """Name of the processor, as Linux says it."""
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return found.group(1) if found else "unknown processor"


def loop() -> float:
    """Seconds of ten million turns of a loop in Python."""
    start = time.perf_counter()
    for _ in range(10_000_000):
        pass
    return time.perf_counter() - start


def run(kind: str) -> str:
    """The line of one run."""
    git = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.check_output(git, cwd=ROOT, text=True).strip()
    speed = loop()
    load = [subprocess.Popen(SPIN) for _ in range(2 * CORES if kind == "busy" else 0)]
    start = time.monotonic()
    try:
        made = subprocess.run(["make", "test"], cwd=ROOT, capture_output=True, text=True)
    finally:
        for process in load:
            process.kill()
            process.wait()
    seconds = time.monotonic() - start
    counts = re.findall(r"^\d+ (?:passed|failed).*$", made.stdout, re.M)
    result = counts[-1] if counts else f"exit status {made.returncode}"
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", made.stdout, re.M)
    if made.returncode:
        kept = ROOT / ".cache" / f"steady-{time.time():.0f}.log"
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(made.stdout + made.stderr, encoding="utf-8")
    state = "red" if made.returncode else "green"
    text = f"{kind:<5} {state:<5} {commit} {seconds:>6.0f} s  loop {speed:.2f} s  {result}"
    return "  ".join([text, *failed])


def main() -> int:
    parser = argparse.ArgumentParser(prog="steady", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each kind (5)")
    options = parser.parse_args()
    head = f"make steady, {CORES} cores, {processor()}"
    lines = LOG.read_text(encoding="utf-8").splitlines() if LOG.exists() else [head]
    for kind in ("busy", "idle"):
        last_red = max((at for at, line in enumerate(lines) if " red " in line), default=0)
        missing = options.runs - sum(line.startswith(kind) for line in lines[last_red:])
        for _ in range(missing):
            lines.append(run(kind))
            sys.stdout.write(lines[-1] + "\n")
            sys.stdout.flush()
            LOG.write_text("\n".join(lines) + "\n", encoding="utf-8")
            if " red " in lines[-1]:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
