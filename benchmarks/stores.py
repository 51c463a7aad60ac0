"""What a store costs against disk: `python -m benchmarks.stores`.

The same frames are generated on disk and in an S3 server on this machine (moto's, in a process of
its own), by turns in one process, then read; printed are the ratios of the medians. moto keeps
objects in memory and checks nothing, so this is what our side takes, not what a network does.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import synthstudio as ss
from benchmarks.local_s3 import BUCKET, local_s3
from benchmarks.proofs import ROOT
from synthstudio.dataset.shards import hashed_files

SCENE = ROOT / "scenes" / "bench.yaml"


def timed(action: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def read(place: str | Path) -> int:
    """Every picture of a data set, checked against its hash; return their bytes."""
    return sum(len(frame.encoded) for frame in ss.Dataset(place))


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    recipe = ss.Recipe.load(SCENE).with_(frames=args.frames)
    took: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch, local_s3(Path(scratch)):
        ss.generate(recipe.with_(frames=8), Path(scratch) / "warm", progress=False)
        for number in range(args.rounds):
            disk, url = Path(scratch) / f"set-{number}", f"s3://{BUCKET}/set-{number}"
            for name, out in (("generate on disk", disk), ("generate in the store", url)):
                run = timed(
                    lambda out=out: ss.generate(recipe, out, workers=args.workers, progress=False)
                )
                took.setdefault(name, []).append(run)
            took.setdefault("read from disk", []).append(timed(lambda disk=disk: read(disk)))
            for name in ("read from the store", "read from the cache"):
                took.setdefault(name, []).append(timed(lambda url=url: read(url)))
            index = hashed_files(disk)["index.json"]
            stored = next(Path(scratch, "cache").glob("*/set-*/index.json"))
            assert index == hashed_files(stored.parent)["index.json"], "other bytes in the store"
            shutil.rmtree(Path(scratch) / "cache")
            shutil.rmtree(disk)
    for name, seconds in took.items():
        base = took["generate on disk" if name.startswith("generate") else "read from disk"]
        ratio = statistics.median(seconds) / statistics.median(base)
        runs = ", ".join(f"{one:.2f}" for one in seconds)
        print(f"{name}: {ratio:.3f} of disk ({runs} s)")


if __name__ == "__main__":
    main()
