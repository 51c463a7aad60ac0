"""A million people through validate, filter, split, stats, coverage, diff and report: time, memory.

    python -m benchmarks.scale_dataset [--people 1000000] [--work DIR] [--only filter,...]

Rows of a real data set (--source) are repeated under new frame numbers; pictures are stubs. Each
step runs in a process of its own, whose peak resident memory is what is reported.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset import filter as filtering
from synthstudio.dataset import splits
from synthstudio.dataset.derive import link_or_copy
from synthstudio.dataset.manifest import Identity
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import FRAME_SCHEMA, INSTANCE_SCHEMA, pair_rows
from synthstudio.dataset.shards import (
    FRAMES_NAME,
    INSTANCES_NAME,
    image_name,
    new_temporary,
    seal,
)
from synthstudio.dataset.writer import open_or_create
from synthstudio.formats.coco.file import RawCoco
from synthstudio.quality import stats, validate
from synthstudio.quality.coverage import coverage
from synthstudio.report import dataset as dataset_report

LIMIT_MB = 1024
_FRAMES_A_SHARD = 64
_LINKS = 30_000  # names of one stub; file systems allow about 65,000
QUERY = "any wrist hidden by person and occluded > 0.3"


def make(source: Path, out: Path, people: int) -> Dataset:
    """Write a data set of at least so many people; the same source gives the same bytes."""
    had = Dataset(source)
    tables = [
        pa.Table.from_batches(list(had.iter_batches(kind))) for kind in ("frames", "instances")
    ]
    frames, instances = (t.combine_chunks() for t in tables)
    own = instances["frame_index"].to_numpy()
    rounds = -(-people // len(own))
    total = rounds * len(frames)
    stub = b"a stub of a picture"
    sha = hashlib.sha256(stub).hexdigest()
    identity = Identity(
        recipe=had.identity.recipe,
        assets=(),
        seed=had.identity.seed,
        skeleton=had.identity.skeleton,
        frames=total,
        frames_per_shard=_FRAMES_A_SHARD,
        versions=had.identity.versions,
        machine=had.identity.machine,
    )
    place = np.searchsorted(frames["index"].to_numpy(), own)
    counts = np.bincount(place, minlength=len(frames))
    first = np.concatenate([[0], np.cumsum(counts)])
    with open_or_create(out, identity) as session:
        for shard in session.todo:
            numbers = np.array(identity.frames_of(shard))
            which = numbers % len(frames)
            rows = np.concatenate([np.arange(first[k], first[k + 1]) for k in which])
            owner = np.repeat(numbers, counts[which])
            temporary = new_temporary(out, shard)
            (temporary / "images").mkdir(parents=True)
            for n in numbers:
                path = temporary / image_name(int(n))
                base = temporary / image_name(int(numbers[0]))
                if n == numbers[0]:
                    path.write_bytes(stub)
                else:
                    link_or_copy(base, path)
            _write(
                temporary / FRAMES_NAME,
                frames.take(which),
                FRAME_SCHEMA,
                {
                    "index": pa.array(numbers),
                    "file_name": pa.array([image_name(int(n)) for n in numbers]),
                    "image_sha256": pa.array([sha] * len(numbers)),
                    "group_id": pa.array([f"g{n}" for n in numbers]),
                    "layers": pa.array([[]] * len(numbers), pa.list_(pa.string())),
                },
            )
            people_table = instances.take(rows)
            names = [
                f"{name}-{n // 50}"
                for name, n in zip(people_table["identity"].to_pylist(), owner, strict=True)
            ]
            _write(
                temporary / INSTANCES_NAME,
                people_table,
                INSTANCE_SCHEMA,
                {"frame_index": pa.array(owner), "identity": pa.array(names)},
            )
            head = {
                "shard": shard,
                "first": int(numbers[0]),
                "frames": len(numbers),
                "people": len(rows),
                "failed": [],
            }
            session.publish(seal(temporary, head))
        session.finish()
    return Dataset(out)


def _write(path: Path, table: pa.Table, schema: pa.Schema, new: dict[str, pa.Array]) -> None:
    import pyarrow.parquet as pq

    columns = {name: new.get(name, table[name]) for name in schema.names}
    made = pa.table({name: columns[name] for name in schema.names}).cast(schema)
    pq.write_table(made, path, compression="zstd", row_group_size=4096)


def _validate(dataset: Dataset, work: Path) -> object:
    skeleton = get_skeleton(dataset.identity.skeleton)
    samples = pair_rows(dataset.iter_frames(), dataset.iter_instances())
    return validate.validate_samples(samples, skeleton).findings.as_json()["kinds"]


def _validate_coco(dataset: Dataset, work: Path) -> object:
    with RawCoco(work / "annotations.json") as source:
        found = validate.validate_coco(
            source.head["categories"], source.images, source.annotations
        ).findings
    return {"people": found.people, "kinds": found.as_json()["kinds"]}


def _export(dataset: Dataset, work: Path) -> object:
    from synthstudio.formats.coco.write import write_coco

    samples = pair_rows(dataset.iter_frames(), dataset.iter_instances())
    skeleton = get_skeleton(dataset.identity.skeleton)
    return write_coco(samples, work / "annotations.json", skeleton=skeleton)


def _count(dataset: Dataset, work: Path) -> object:
    return filtering.count(dataset, filtering.query_of(dataset, QUERY)).as_json()


def _filter(dataset: Dataset, work: Path) -> object:
    made = filtering.filter_dataset(
        dataset, filtering.query_of(dataset, QUERY), work / f"filtered-{os.getpid()}"
    )
    return {"frames": made.frames, "people": made.people}


def _split(dataset: Dataset, work: Path) -> object:
    made = splits.split(dataset, keys=("group", "identity"))
    splits.write_table(made, work / "splits.csv")
    return made.as_json()["splits"]["test"]["share"]


def _coverage(dataset: Dataset, work: Path) -> object:
    return coverage(dataset).people


STEPS: dict[str, Callable[[Dataset, Path], object]] = {
    "filter count": _count,
    "filter": _filter,
    "stats": lambda dataset, _: stats.dataset_stats(dataset)["people"],
    "coverage": _coverage,
    "report facts": lambda dataset, _: dataset_report.gather(dataset).stats["people"],
    "split": _split,
    "validate rows": _validate,
    "export COCO": _export,
    "validate COCO": _validate_coco,
}


def _one(step: str, work: Path) -> None:
    """Run a step in this process and print what it took."""
    began = time.perf_counter()
    result = STEPS[step](Dataset(work / "set"), work)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = {
        "step": step,
        "seconds": round(time.perf_counter() - began, 1),
        "processor": round(time.process_time(), 1),
        "peak_mb": round(peak),
        "result": result,
    }
    print(json.dumps(line), flush=True)


def main() -> None:
    """Make the set if it is not there, then run every step; exit 1 when one needs too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--source", type=Path, help="a data set whose rows are repeated")
    parser.add_argument("--work", type=Path, default=Path("exports/scale"))
    parser.add_argument("--only", default=",".join(STEPS), help="steps, by commas")
    parser.add_argument("--step", help="run one step in this process")
    args = parser.parse_args()
    if args.step:
        _one(args.step, args.work)
        return
    if not (args.work / "set" / "index.json").is_file():
        if args.source is None:
            parser.error("--source is needed to make the set")
        began = time.perf_counter()
        args.work.mkdir(parents=True, exist_ok=True)
        made = make(args.source, args.work / "set", args.people)
        print(
            f"made {made.people} people in {made.frames} frames: "
            f"{time.perf_counter() - began:.0f} s",
            flush=True,
        )
    too_much = []
    for step in args.only.split(","):
        command = [sys.executable, "-m", "benchmarks.scale_dataset", "--step", step]
        run = subprocess.run(
            [*command, "--work", str(args.work)], check=True, capture_output=True, text=True
        )
        line = json.loads(run.stdout)
        print(
            f"{step:<16}{line['seconds']:>9.1f} s  processor{line['processor']:>9.1f} s  "
            f"peak{line['peak_mb']:>6} MB  {line['result']}",
            flush=True,
        )
        if line["peak_mb"] > LIMIT_MB:
            too_much.append(step)
    if too_much:
        sys.exit(f"more than {LIMIT_MB} MB: {', '.join(too_much)}")


if __name__ == "__main__":
    main()
