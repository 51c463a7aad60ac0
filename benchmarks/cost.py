"""What a million people cost, and how well that is foretold: `python -m benchmarks.cost`.

Core-seconds from frames a second that were measured (docs/evidence/bench.log), bytes from a data
set, the share of time that is lost from the simulation of `benchmarks.cluster`, dollars from
prices that are inputs. `--check` foretells runs of this machine at 1, 2 and 4 workers and times
them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.cluster import FRAMES_PER_S, WAYS, Machines, jobs_of, simulate
from benchmarks.proofs import ROOT

PEOPLE = 1_000_000
PEOPLE_A_FRAME = 2  # of scenes/bench.yaml
FRAME_BYTES = 48_070
"""Of scenes/bench.yaml, tables included: 64 frames in one shard."""
PRICES = ("c7i.large=0.08925/2", "c7g.large=0.0725/2")
"""Dollars an hour on demand (Linux, us-east-1) / virtual cores; docs/scale.md says where from."""
THOUSAND_WRITES = 0.005  # dollars, S3 in us-east-1
GIGABYTE_MONTH = 0.023  # dollars, the same


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a million people take."""

    core_s: float  # paid for, whether a frame came of it or not
    size_bytes: float
    objects: float

    def dollars(self, core_hour: float) -> tuple[float, float, float]:
        """Machines, writes, a month of storage."""
        return (
            self.core_s / 3600 * core_hour,
            self.objects / 1000 * THOUSAND_WRITES,
            self.size_bytes / 1e9 * GIGABYTE_MONTH,
        )


def million(machines: Machines, frames_per_shard: int, efficiency: float) -> Cost:
    """The cost of a million people, if so much of the cores' time makes frames."""
    frames = PEOPLE / PEOPLE_A_FRAME
    return Cost(
        core_s=frames * machines.frame_s / efficiency,
        size_bytes=frames * FRAME_BYTES,
        objects=frames / frames_per_shard * machines.writes(frames_per_shard),
    )


def core_hour(price: str) -> tuple[str, float]:
    """Return the name and the dollars a core-hour of NAME=DOLLARS/CORES."""
    try:
        name, numbers = price.split("=")
        dollars, cores = numbers.split("/")
        return name, float(dollars) / int(cores)
    except (ValueError, ZeroDivisionError):
        raise SystemExit(f"--price wants NAME=DOLLARS/CORES, got {price}") from None


def foretold_s(frames: int, workers: int, per_shard: int, alone: Machines, cores: int) -> float:
    """Seconds of a run on one machine of so many cores, from what one worker alone takes."""
    busy = min(workers, cores)
    neighbours = 1.0 if busy < 2 else 2 * FRAMES_PER_S[1] / FRAMES_PER_S[2]
    frame_s = alone.frame_s * neighbours * workers / busy
    return simulate(replace(alone, frame_s=frame_s), workers, jobs_of(frames, per_shard)).seconds


def took_s(out: Path, frames: int, workers: int, per_shard: int) -> float:
    """Seconds of a run, in a process of its own."""
    start = time.monotonic()
    numbers = [str(number) for number in (frames, workers, per_shard)]
    subprocess.run([sys.executable, "-c", _RUN, str(out), *numbers], check=True, cwd=ROOT)
    return time.monotonic() - start


_RUN = """
import sys
from pathlib import Path
from benchmarks.proofs import ROOT, settings_for
from synthstudio.generation.pipeline import generate
frames, workers, per_shard = map(int, sys.argv[2:])
settings = settings_for(ROOT / "scenes" / "bench.yaml", assets=ROOT / "scenes", frames=frames)
generate(settings, Path(sys.argv[1]), workers=workers, frames_per_shard=per_shard)
"""


def check(frames: int, per_shard: int, workers: list[int]) -> None:
    """Foretell runs from two short ones of one worker, then time them."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        short, long = (took_s(folder / f"s{n}", frames // n, 1, per_shard) for n in (4, 2))
        frame_s = max(1e-9, (long - short) / (frames // 2 - frames // 4))
        alone = Machines(
            frame_s=frame_s,
            start_s=max(0.0, long - frames // 2 * frame_s),
            failures_per_hour=0,
            spread=0,
            slow_share=0,
            prefix_writes_per_s=float("inf"),
            commit_s=0,
        )
        cores = len(os.sched_getaffinity(0))
        rate = f"{1 / frame_s:.2f} frames/s, {alone.start_s:.1f} s to start"
        print(f"{cores} cores; a worker alone: {rate}")
        print("| workers | foretold | took | error |\n|---|---|---|---|")
        for count in workers:
            told = foretold_s(frames, count, per_shard, alone, cores)
            out = folder / f"w{count}"
            took = took_s(out, frames, count, per_shard)
            print(f"| {count} | {told:.1f} s | {took:.1f} s | {told / took - 1:+.1%} |", flush=True)
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        print(f"{frames} frames: {size / frames:,.0f} bytes a frame")


def main() -> int:
    """Print the table of costs, or the check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--price", nargs="+", default=PRICES, metavar="NAME=DOLLARS/CORES")
    parser.add_argument("--workers", type=int, nargs="+", default=[1000], help="also for --check")
    parser.add_argument("--check", type=int, metavar="FRAMES", help="time runs of so many frames")
    parser.add_argument("--frames-per-shard", type=int, default=16, help="of the check's runs")
    args = parser.parse_args()
    if args.check:
        check(args.check, args.frames_per_shard, args.workers)
        return 0
    print(
        "| way | workers | instance | core-hours | GB | objects | machines | writes "
        "| a month of storage |\n|---|---|---|---|---|---|---|---|---|"
    )
    for way, (frames, other) in WAYS.items():
        machines = replace(Machines(), **other)
        for workers in args.workers:
            made = simulate(machines, workers, jobs_of(workers * 40 * frames, frames))
            cost = million(machines, frames, made.efficiency(machines))
            for name, dollars in map(core_hour, args.price):
                paid = " | ".join(f"${part:.2f}" for part in cost.dollars(dollars))
                print(
                    f"| {way} | {workers:,} | {name} | {cost.core_s / 3600:.1f} "
                    f"| {cost.size_bytes / 1e9:.1f} | {cost.objects:,.0f} | {paid} |",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
