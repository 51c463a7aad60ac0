"""Data sets at size: export, import, validate, filter, split, statistics and the table of people.

    python -m benchmarks.scale [--people 1000000] [--source DATASET] [--work DIR] [--only stats,...]

Rows and pictures of a small data set (rendered now unless `--source` names one) are repeated under
new frame numbers. Each step runs in a process of its own; printed are its seconds, its processor
time and its peak resident memory. The exit status is 1 when a step needs more than a gigabyte.
"""

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset import matching, splits
from synthstudio.dataset.derive import link_or_copy
from synthstudio.dataset.manifest import Identity
from synthstudio.dataset.query import parse
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import FRAME_SCHEMA, INSTANCE_SCHEMA, pair_rows
from synthstudio.dataset.shards import FRAMES_NAME, INSTANCES_NAME, image_name, new_temporary, seal
from synthstudio.dataset.writer import open_or_create
from synthstudio.formats.coco.file import annotation_files
from synthstudio.formats.export import export
from synthstudio.formats.imports import import_from
from synthstudio.generation import pipeline
from synthstudio.generation.stage import prepare
from synthstudio.quality import stats, validate
from synthstudio.quality.coverage import coverage
from synthstudio.recipe.schema import load
from synthstudio.review.risk.review_fields import matching_rows
from synthstudio.review.risk.scores import table_signals
from synthstudio.review.risk.table import PeopleTable, people_table

LIMIT_MB, FILTER_LIMIT_MS = 1024, 300
FRAMES_A_SHARD = 64
RECIPE = """
name: bench
frames: 16
seed: 5
image: {width_px: 1280, height_px: 800, supersample: 1}
camera: {distance_m: [3.0, 4.5], height_m: [1.2, 1.6], vertical_fov_deg: [40, 48]}
people: {count: 2, identities: 8, arrangement: {kind: group, spread_m: [0.5, 1.0]}}
objects: [{kind: procedural, count: 1, placement: in_front, hides: [0.25, 0.6]}]
lens: {blur_sigma_px: [0.3, 0.4], motion: 0.0, noise_sigma: [3.0, 4.0]}
"""
QUERIES = (
    "any wrist hidden by person and occluded > 0.3",
    "at least 3 joints hidden and not split = train",
    "no leg hidden by object and people > 2 and depth < 6",
    "any joint visible share < 0.5 and any joint visible share > 0.4",
    "object = floor and pose family = stand",
    "identity != 'nobody' and (occluded in (0, 1) or truncated > 0)",
    "not (any joint ambiguous or any joint outside or any joint unlabelled)",
)


def source_set(folder: Path) -> Path:
    """A small data set of 1 MP frames, rendered once."""
    if not (folder / "source" / "index.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bench.yaml").write_text(RECIPE)
        settings = prepare(load.load(folder / "bench.yaml"), assets=folder, device="cpu")
        pipeline.generate(settings, folder / "source")
    return folder / "source"


def repeated(source: Path, out: Path, people: int) -> Dataset:
    """A data set of at least so many people: rows and pictures of `source`, repeated."""
    if (out / "index.json").is_file():
        return Dataset(out)
    had = Dataset(source)
    frames, instances = (
        pa.Table.from_batches(list(had.iter_batches(kind))).combine_chunks()
        for kind in ("frames", "instances")
    )
    own = np.searchsorted(frames["index"].to_numpy(), instances["frame_index"].to_numpy())
    counts = np.bincount(own, minlength=len(frames))
    first = np.concatenate([[0], np.cumsum(counts)])
    images = [had.image_path(k) for k in frames["index"].to_pylist()]
    sha = [hashlib.sha256(path.read_bytes()).hexdigest() for path in images]
    identity = Identity(
        recipe=had.identity.recipe,
        assets=(),
        seed=had.identity.seed,
        skeleton=had.identity.skeleton,
        frames=-(-people // len(own)) * len(frames),
        frames_per_shard=FRAMES_A_SHARD,
        versions=had.identity.versions,
        machine=had.identity.machine,
    )
    with open_or_create(out, identity) as session:
        for shard in session.todo:
            numbers = np.array(identity.frames_of(shard))
            which = numbers % len(frames)
            rows = np.concatenate([np.arange(first[k], first[k + 1]) for k in which])
            owner = np.repeat(numbers, counts[which])
            temporary = new_temporary(out, shard)
            (temporary / "images").mkdir(parents=True)
            for n, k in zip(numbers.tolist(), which.tolist(), strict=True):
                link_or_copy(images[k], temporary / image_name(n))
            new = {
                "index": pa.array(numbers),
                "file_name": pa.array([image_name(int(n)) for n in numbers]),
                "image_sha256": pa.array([sha[k] for k in which]),
                "group_id": pa.array([f"g{n}" for n in numbers]),
                "layers": pa.array([[]] * len(numbers), pa.list_(pa.string())),
            }
            _write(temporary / FRAMES_NAME, frames.take(which), FRAME_SCHEMA, new)
            table = instances.take(rows)
            pairs = zip(table["identity"].to_pylist(), owner, strict=True)
            names = pa.array([f"{name}-{n // 50}" for name, n in pairs])
            new = {"frame_index": pa.array(owner), "identity": names}
            _write(temporary / INSTANCES_NAME, table, INSTANCE_SCHEMA, new)
            session.publish(seal(temporary, shard, int(numbers[0]), len(numbers), len(rows)))
        session.finish()
    return Dataset(out)


def _write(path: Path, table: pa.Table, schema: pa.Schema, new: dict[str, pa.Array]) -> None:
    made = pa.table({name: new.get(name, table[name]) for name in schema.names}).cast(schema)
    pq.write_table(made, path, compression="zstd", row_group_size=4096)


# Steps ------------------------------------------------------------------------------------


def _export(dataset: Dataset, work: Path) -> object:
    export("coco", dataset.folder, work / "coco")
    return f"{annotation_files(work / 'coco')[0].stat().st_size / 1e6:.0f} MB"


def _import(dataset: Dataset, work: Path) -> object:
    """Import what was exported and export it again: nobody is missing, the same bytes."""
    made = import_from("coco", work / "coco", work / "imported")
    assert made.people == dataset.people and not made.edited, made
    export("coco", work / "imported", work / "again")
    one, two = (annotation_files(work / name)[0] for name in ("coco", "again"))
    with one.open("rb") as a, two.open("rb") as b:
        digests = {hashlib.file_digest(file, "sha256").digest() for file in (a, b)}
    assert len(digests) == 1, "the bytes differ"
    return made.people


def _validate(dataset: Dataset, work: Path) -> object:
    skeleton = get_skeleton(dataset.identity.skeleton)
    samples = pair_rows(dataset.iter_frames(), dataset.iter_instances())
    return validate.validate_samples(samples, skeleton).findings.as_json()["kinds"]


def _filter(dataset: Dataset, work: Path) -> object:
    query = matching.query_of(dataset, QUERIES[0])
    return matching.filter_dataset(dataset, query, work / f"filtered-{os.getpid()}").people


def _split(dataset: Dataset, work: Path) -> object:
    made = splits.split(dataset, keys=("group", "identity"))
    return made.as_json()["splits"]["test"]["share"]


def _table(dataset: Dataset, work: Path) -> PeopleTable:
    return people_table(dataset, cache=work / "cache")


def _queries(dataset: Dataset, work: Path) -> object:
    table = _table(dataset, work)
    queries = [parse(text, table.joints) for text in QUERIES]
    calls = [lambda query=query: matching_rows(table, query, {}) for query in queries]
    took = [statistics.median(_ms(call) for _ in range(5)) for call in calls]
    return {"slowest_ms": round(max(took), 1), "fine": max(took) < FILTER_LIMIT_MS}


def _ms(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return (time.process_time() - start) * 1e3


STEPS: dict[str, Callable[[Dataset, Path], object]] = {
    "stats": lambda dataset, _: stats.dataset_stats(dataset)["people"],
    "coverage": lambda dataset, _: coverage(dataset).people,
    "filter": _filter,
    "split": _split,
    "validate": _validate,
    "export": _export,
    "import": _import,
    "table": lambda dataset, _: people_table(dataset).people,
    "cached": lambda dataset, work: _table(dataset, work).people,
    "opened": lambda dataset, work: _table(dataset, work).people,
    "queries": _queries,
    "risks": lambda dataset, work: len(table_signals(_table(dataset, work))),
}


def run_step(step: str, work: Path) -> None:
    """Run a step in this process and print what it took."""
    began, computed = time.perf_counter(), time.process_time()
    result = STEPS[step](Dataset(work / "set"), work)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    took = {"seconds": time.perf_counter() - began, "processor": time.process_time() - computed}
    print(json.dumps({**took, "peak_mb": peak, "result": result}))


def main() -> int:
    """Make the set if it is not there, then run every step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--source", type=Path, help="a data set whose rows are repeated")
    parser.add_argument("--work", type=Path, help="kept; default: a temporary folder")
    parser.add_argument("--only", default=",".join(STEPS), help="steps, by commas")
    parser.add_argument("--step", choices=STEPS, help="run one step in this process")
    options = parser.parse_args()
    if options.step:
        run_step(options.step, options.work)
        return 0
    too_much = []
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        made = repeated(options.source or source_set(work), work / "set", options.people)
        print(f"{made.people} people in {made.frames} frames", flush=True)
        for step in options.only.split(","):
            words = [sys.executable, "-m", "benchmarks.scale", "--step", step, "--work", str(work)]
            done = subprocess.run(words, check=True, capture_output=True, text=True)
            line: dict[str, Any] = json.loads(done.stdout)
            print(
                f"{step:<9}{line['seconds']:>9.1f} s  processor{line['processor']:>9.1f} s  "
                f"peak{line['peak_mb']:>6.0f} MB  {line['result']}",
                flush=True,
            )
            too_much += [step] if line["peak_mb"] > LIMIT_MB else []
    print(f"more than {LIMIT_MB} MB: {', '.join(too_much) or 'nothing'}")
    return int(bool(too_much))


if __name__ == "__main__":
    sys.exit(main())
