"""The table of people at size: building, opening from its cache, filters, risks, the queue.

    python -m benchmarks.people_table [--source DATASET] [--people 100000] [--work DIR]

Rows of a real data set (by default the small one of benchmarks.studio, made now) are repeated
under new frame numbers (benchmarks.scale_dataset.make). Every part runs in a process of its own;
times are of its CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import scale_dataset
from benchmarks.studio import source_set
from synthstudio.dataset.query import parse
from synthstudio.dataset.reader import Dataset
from synthstudio.review.risk.people import facet, find, joint_facet
from synthstudio.review.risk.queue import control_rows, risk_order
from synthstudio.review.risk.scores import risk
from synthstudio.review.risk.table import people_table

FILTER_LIMIT_MS = 300
QUERIES = (
    "any wrist hidden by person and occluded > 0.3",
    "view = front or view = back",
    "at least 3 joints hidden and not split = train",
    "all face visible",
    "no leg hidden by object and people > 2 and depth < 6",
    "any joint visible share < 0.5 and any joint visible share > 0.4",
    "thing = floor and pose family = stand",
    "identity != 'nobody' and (occluded in (0, 1) or truncated > 0)",
    "not (any joint ambiguous or any joint outside or any joint unlabelled)",
    "all joints object share = 0 and all joints person share = 0",
)


def _build(dataset: Dataset, work: Path) -> dict[str, Any]:
    return {"people": people_table(dataset).people}


def _build_cache(dataset: Dataset, work: Path) -> dict[str, Any]:
    return {"people": people_table(dataset, cache=work / "cache").people}


def _open(dataset: Dataset, work: Path) -> dict[str, Any]:
    return {"people": people_table(dataset, cache=work / "cache").people}


def _filters(dataset: Dataset, work: Path) -> dict[str, Any]:
    table = people_table(dataset, cache=work / "cache")
    found: dict[str, float] = {}
    for text in QUERIES:
        query = parse(text, table.joints)
        found[text] = statistics.median(_ms(lambda q=query: find(table, q)) for _ in range(5))
    slowest = max(found.values())
    return {
        "slowest_ms": round(slowest, 1),
        "fine": slowest < FILTER_LIMIT_MS,
        "ms": {text: round(ms, 1) for text, ms in found.items()},
    }


def _facets(dataset: Dataset, work: Path) -> dict[str, Any]:
    table = people_table(dataset, cache=work / "cache")
    parts: dict[str, Callable[[], object]] = {
        "pose family": lambda: facet(table, "pose family"),
        "occluded": lambda: facet(table, "occluded"),
        "states": lambda: joint_facet(table, "state"),
        "causes": lambda: joint_facet(table, "cause"),
    }
    return {name: round(_ms(part), 1) for name, part in parts.items()}


def _risks(dataset: Dataset, work: Path) -> dict[str, Any]:
    table = people_table(dataset, cache=work / "cache")
    found = risk(table)
    order = risk_order(found)
    return {
        "order_ms": round(_ms(lambda: risk_order(found)), 1),
        "people": len(order.rows),
        "control": len(control_rows(table)),
    }


def _ms(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return (time.process_time() - start) * 1e3


STEPS: dict[str, Callable[[Dataset, Path], dict[str, Any]]] = {
    "build": _build,
    "build cache": _build_cache,
    "open cache": _open,
    "filters": _filters,
    "facets": _facets,
    "risks": _risks,
}


def measure(step: str, folder: Path, work: Path) -> dict[str, Any]:
    """Run one step here; its CPU seconds, its peak memory with the pages of mapped files that the
    system may take back at any time, and its peak without them.
    """
    dataset = Dataset(folder)
    start = time.process_time()
    with Watched() as watched:
        result = STEPS[step](dataset, work)
    seconds = time.process_time() - start
    return {
        "cpu_s": round(seconds, 2),
        "peak_mb": round(_status_kb("VmHWM") / 1024),
        "peak_unmapped_mb": round(watched.most_kb / 1024),
        **result,
    }


class Watched(threading.Thread):
    """Looks often at how much memory this process holds that is no mapped file."""

    def __init__(self) -> None:
        """Prepare to look; `with` begins and ends it."""
        super().__init__(daemon=True)
        self.most_kb, self._over = 0, threading.Event()

    def __enter__(self) -> Watched:
        """Begin to look."""
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Look no more."""
        self._over.set()
        self.join()

    def run(self) -> None:
        """Look until told to stop."""
        while not self._over.wait(0.02):
            self.most_kb = max(self.most_kb, _status_kb("RssAnon"))


def _status_kb(name: str) -> int:
    for line in Path("/proc/self/status").read_text("utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


def main() -> None:
    """Make the set, run every step in a process of its own, print a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path)
    parser.add_argument("--people", type=int, default=100_000)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--step", choices=sorted(STEPS))
    requested = parser.parse_args()
    if requested.step:
        print(json.dumps(measure(requested.step, requested.work / "set", requested.work)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        work = requested.work or Path(temporary)
        if not (work / "set" / "index.json").is_file():
            scale_dataset.make(requested.source or source_set(work), work / "set", requested.people)
        for step in STEPS:
            command = [
                sys.executable,
                "-m",
                "benchmarks.people_table",
                "--step",
                step,
                "--work",
                str(work),
            ]
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, env=os.environ
            )
            print(f"{step:<12}{done.stdout.strip()}", flush=True)


if __name__ == "__main__":
    main()
