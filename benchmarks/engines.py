"""What Ray costs beside the local engine: `python -m benchmarks.engines`, on an idle machine.

Both make the same frames with as many workers, turn by turn in one process, first a small run of
each that fills caches. A run's clock starts when its first worker is ready and ends with its last
shard in place: what a start takes is told apart. The ratio is of medians.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.proofs import ROOT, settings_for
from synthstudio.generation import pipeline
from synthstudio.generation.engines.engine import ENGINES, Engine


def timed(
    settings: Any, engine: Engine, workers: int, frames_per_shard: int
) -> tuple[float, float]:
    """Seconds of a whole run, and of them those since its first worker was ready."""
    ready_s: list[float] = []

    def hear(done: int, of: int, per_second: float) -> None:
        ready_s.append(done / per_second if per_second else 0.0)

    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="engines-") as folder:
        pipeline.generate(
            settings,
            Path(folder) / "set",
            workers=workers,
            engine=engine,
            frames_per_shard=frames_per_shard,
            on_progress=hear,
        )
        return time.monotonic() - begun, ready_s[-1]


def main() -> int:
    """Print each run and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", type=Path, default=ROOT / "scenes" / "bench.yaml")
    parser.add_argument("--frames", type=int, default=1536)
    parser.add_argument("--frames-per-shard", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    def settings(frames: int) -> Any:
        return settings_for(args.scene, assets=args.scene.parent, frames=frames)

    for engine in ENGINES.values():
        timed(settings(4 * args.workers), engine, args.workers, 2)
    took: dict[str, list[float]] = {name: [] for name in ENGINES}
    for number in range(args.rounds):
        for name, engine in ENGINES.items():
            whole_s, ready_s = timed(
                settings(args.frames), engine, args.workers, args.frames_per_shard
            )
            took[name].append(ready_s)
            print(f"{number + 1}. {name}: {ready_s:.1f} s, and {whole_s - ready_s:.1f} s to start")
    ratio = statistics.median(took["ray"]) / statistics.median(took["local"])
    print(
        f"{args.frames} frames, {args.workers} workers, {args.rounds} rounds: Ray takes "
        f"{ratio - 1:+.1%} of the local engine's time"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
