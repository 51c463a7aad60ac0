"""`make steady`: `make test` five times beside busy loops and five times on an idle machine.

A busy run has twice as many endless loops as there are cores, at nice 0. Each run is a line of
docs/evidence/steady.log; one that is stopped goes on after the lines of the same commit. What a
red run printed is in .cache/steady-TIME.log.
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


def run(kind: str) -> tuple[bool, str]:
    """Whether one run passed, and its line."""
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
    text = f"{kind:<5} {seconds:>6.0f} s  {result}  {' '.join(failed)}"
    return made.returncode == 0, text.rstrip()


def main() -> int:
    parser = argparse.ArgumentParser(prog="steady", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each kind (5)")
    options = parser.parse_args()
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True)
    head = f"make steady, commit {commit.strip()}, {CORES} cores, {processor()}"
    lines = LOG.read_text(encoding="utf-8").splitlines() if LOG.exists() else []
    lines = lines if lines[:1] == [head] else [head]
    passed = True
    for kind in ("busy", "idle"):
        missing = options.runs - sum(line.startswith(kind) for line in lines)
        for _ in range(missing):
            good, line = run(kind)
            passed &= good
            lines.append(line)
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
            LOG.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
