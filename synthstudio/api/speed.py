"""Benchmark and compression of networks."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from synthstudio import __version__
from synthstudio.api import arguments as args
from synthstudio.api.inference import EXPORTED, of_runtime
from synthstudio.api.model import Model
from synthstudio.core.errors import ArgumentError
from synthstudio.core.progress import progress
from synthstudio.dataset.durable import canonical_json, whole_folder
from synthstudio.evaluation.intervals import table_text
from synthstudio.evaluation.storage import json_ready
from synthstudio.inference import benchmark as measuring
from synthstudio.inference.benchmark import Subject, machine
from synthstudio.inference.model_files import SUFFIX
from synthstudio.models.packaged import DEFAULT, default_model
from synthstudio.report.comparison import benchmark_page

Positive = Annotated[float, args.Option(minimum=0)]
Rounds = Annotated[int, args.Option(minimum=1, maximum=100_000)]


@args.checked
def benchmark(
    models: Sequence[args.PathLike],
    *,
    batches: Sequence[int] = (1, 16),
    threads: Sequence[int] = (1,),
    runtime: args.Runtime = "auto",
    rounds: Rounds = 50,
    dataset: args.PathLike | None = None,
    split: str = "test",
    out: args.PathLike | None = None,
) -> tuple[dict[str, Any], str]:
    """Measure latency and accuracy of networks on this machine's CPU.

    Args:
        models: Runs, .safetensors or .onnx files, or "default".
        batches: Numbers of people in one call.
        threads: Numbers of threads.
        runtime: "torch" or "onnx"; "auto" takes a run's weights and its model.onnx if it has one.
        rounds: Timed calls of each setting.
        dataset: Also measure PCK@0.1 on its people.
        split: Split of the dataset; empty: all.
        out: New folder for benchmark.json and report.html.

    Returns:
        Figures as plain values, and as a text table.
    """
    folder = args.optional(args.to_folder, out, "out")
    subjects = _subjects(models, runtime)
    people = args.optional(args.to_path, dataset, "dataset")
    with progress("timing") as report:
        rows = list(
            measuring.measure(
                subjects,
                batches=[args.to_count(n, "batch", maximum=4096) for n in batches],
                threads=[args.to_count(n, "threads", maximum=256) for n in threads],
                rounds=rounds,
                progress=lambda done, total: report(done, total, 0),
            )
        )
    found = {} if people is None else {s.name: _found(s, people, split) for s in subjects}
    about = measuring.machine()
    figures: dict[str, Any] = {
        "machine": about,
        "rows": [row.as_json() for row in rows],
        "found": found,
    }
    head = ["network", "runtime", "threads", "people", "mean ms", "p50", "p95", "p99"]
    head += ["people/s", "load ms", "memory MB", "file MB"] + (
        ["PCK@0.1", "hidden"] if found else []
    )
    lines = [_line(row, found) for row in rows]
    if folder is not None:
        page = benchmark_page(
            "Latency",
            about["note"],
            ranges=[
                (f"{r.name}, {r.threads} thr., {r.batch} p.", r.time.p50_ms, r.time.p95_ms)
                for r in rows
            ],
            trade=[
                (r.name, r.time.p50_ms, found[r.name]["all"], False)
                for r in rows
                if found and r.batch == min(batches) and r.threads == max(threads)
            ],
            head=head,
            rows=lines,
            about=about,
        )
        with whole_folder(folder) as unfinished:
            (unfinished / "benchmark.json").write_bytes(canonical_json(figures))
            (unfinished / "report.html").write_bytes(page)
    return figures, table_text([head, *lines]) + f"\n{about['note']} (load {about['load']})"


def _subjects(models: Sequence[args.PathLike], runtime: str) -> list[Any]:
    from synthstudio.training.checkpoint import weights_file

    subjects = []
    for given in models:
        path = default_model() if str(given) == DEFAULT else args.to_path(given, "models")
        kinds = [of_runtime(path, runtime)]
        if kinds[0].suffix != SUFFIX:
            exported = path / EXPORTED
            kinds = [weights_file(path)]
            kinds += [exported] if exported.is_file() and runtime != "torch" else []
        subjects += [Subject(name=f"{path.stem}{'.onnx' if k.suffix == SUFFIX else ''}", path=k)
                     for k in kinds]  # fmt: skip
    names = [s.name for s in subjects]
    if doubled := next((n for n in names if names.count(n) > 1), ""):
        raise ArgumentError("two networks have the same name", where="models", got=doubled)
    return subjects


def _found(subject: Any, dataset: Path, split: str) -> dict[str, float]:
    from synthstudio.inference import networks

    model = Model.load(subject.path, device="cpu")
    with tempfile.TemporaryDirectory() as cache:
        people = networks.labelled_people(
            dataset,
            splits=(split,) if split else (),
            size=model.size,
            skeleton=model.skeleton,
            cache=Path(cache),
        )
    hits = networks.hits(model.predictor(), people, model.size, model.skeleton)
    return {name: hits.percent(name) for name in ("all", "visible", "hidden")}


def _line(row: Any, found: dict[str, dict[str, float]]) -> list[str]:
    took = row.time
    cells = [row.name, row.runtime, str(row.threads), str(row.batch)]
    cells += [f"{v:.2f}" for v in (took.mean_ms, took.p50_ms, took.p95_ms, took.p99_ms)]
    cells += [f"{v:.0f}" for v in (row.people_per_second, row.load_ms, row.memory_mb)]
    cells.append(f"{row.file_mb:.2f}")
    if found:
        cells += [f"{found[row.name][name]:.1f}" for name in ("all", "hidden")]
    return cells


@args.checked
def compress(
    run: args.PathLike,
    dataset: args.PathLike,
    out: args.PathLike,
    *,
    target_ms: Positive | None = None,
    target_mflops: Positive | None = None,
    people: Annotated[int, args.Option(minimum=1, maximum=4096)] = 1,
    threads: Annotated[int, args.Option(minimum=1, maximum=256)] = 1,
    fine_tune_steps: args.Whole = 0,
    rounds: Rounds = 50,
    val: Sequence[str] = ("val",),
    test: Sequence[str] = ("test",),
    log: Callable[[str], None] = lambda line: None,
) -> tuple[dict[str, Any], str]:
    """Compress a network, and report the loss of accuracy.

    Args:
        run: Folder of a run, or a .safetensors file.
        dataset: A data set with the splits val (to calibrate and choose by) and test (reported),
            and train, to fine-tune on.
        out: New folder for model.onnx, table and report.
        target_ms: Target median latency of a call, ms.
        target_mflops: Target of millions of multiply-adds a person.
        people: People in a call.
        threads: Threads of a call.
        fine_tune_steps: Steps of training after pruning; 0: prune nothing.
        rounds: Timed calls of each candidate.
        val: Splits to calibrate and choose by; none: all.
        test: Splits to report.

    Returns:
        Figures as plain values, and as a text table.
    """
    from synthstudio.inference import compress as compressing
    from synthstudio.inference.networks import labelled_people
    from synthstudio.training import checkpoint

    place, folder = args.to_path(run, "run"), args.to_folder(out, "out")
    source = args.to_path(dataset, "dataset")
    if place.suffix == SUFFIX:
        raise ArgumentError(
            "an exported network cannot be compressed", where=str(place), then="Pass its run."
        )
    for name, target in (("target_ms", target_ms), ("target_mflops", target_mflops)):
        if target is not None and not 0 < target < 1e9:
            raise ArgumentError(
                "no target", where=name, expected="a number above 0", got=str(target)
            )
    goal = compressing.CompressionTarget(
        target_ms=target_ms,
        target_mflops=target_mflops,
        people=people,
        threads=threads,
        steps=fine_tune_steps,
        rounds=rounds,
    )
    net, config, skeleton = checkpoint.load_network(checkpoint.weights_file(place))
    size, boxes = config.network.size, config.train[0].boxes if config.train else "outline"
    with whole_folder(folder) as unfinished:
        work = unfinished / "candidates"
        work.mkdir()

        def part(splits: Sequence[str]) -> Any:
            return labelled_people(
                source, splits=tuple(splits), size=size, skeleton=skeleton, cache=work / "crops",
                boxes=boxes,
            )  # fmt: skip

        known = compressing.People(
            dataset=source,
            train=part(("train",)) if goal.steps else None,
            val=part(val),
            test=part(test),
        )
        found = list(
            compressing.candidates(
                net, config, skeleton, known, goal, folder=work, version=__version__, log=log
            )
        )
        compressing.time_all(found, goal, size)
        best, why = compressing.picked(found, goal)
        shutil.rmtree(work)
        work.mkdir()
        for number, candidate in enumerate(found):
            (work / f"{number}.onnx").write_bytes(candidate.data)
        (unfinished / EXPORTED).write_bytes(best.data)
        rows = [compressing.as_json(candidate, found[0]) for candidate in found]
        about = machine()
        figures: dict[str, Any] = json_ready(
            {"candidates": rows, "picked": best.name, "why": why, "machine": about}
        )
        head = ["candidate", "ms p50", "p95", "relative", "MB", "M multiply-adds", "val", "test"]
        head += ["test hidden", "against the first (95 %)"]
        lines = [_candidate(row) for row in rows]
        page = benchmark_page(
            f"{config.name}, compressed",
            f"Picked: {best.name} ({why}). {about['note']}.",
            trade=[(c.name, c.p50_ms, c.test.percent("all"), c is best) for c in found],
            head=head,
            rows=lines,
            about=about,
        )
        (unfinished / "compress.json").write_bytes(canonical_json(figures))
        (unfinished / "report.html").write_bytes(page)
    return (
        figures,
        f"{table_text([head, *lines])}\npicked: {best.name} ({why}), {folder / EXPORTED}",
    )


def _candidate(row: dict[str, Any]) -> list[str]:
    whole, hidden = row["test"]["all"], row["test"]["hidden"]
    return [
        row["name"],
        f"{row['p50_ms']:.2f}",
        f"{row['p95_ms']:.2f}",
        f"{row['relative']:.2f}",
        f"{row['bytes'] / 1e6:.2f}",
        f"{row['mflops']:.1f}",
        f"{row['validation']:.1f}",
        f"{whole['percent']:.1f}",
        f"{hidden['percent']:.1f}",
        f"{hidden['gained']:+.1f} hidden ({hidden['low']:+.1f} to {hidden['high']:+.1f})",
    ]
