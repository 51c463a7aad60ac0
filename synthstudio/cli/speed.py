"""Commands about how fast networks are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthstudio.cli.options import JsonOption, Runtime, finish, say


def _numbers(text: str, hint: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(
            f"whole numbers joined by commas, not {text!r}", param_hint=hint
        ) from error


def benchmark(
    models: Annotated[
        list[Path], typer.Argument(help="Runs, .safetensors or .onnx files, or `default`.")
    ],
    batches: Annotated[str, typer.Option(help="People in one call, joined by commas.")] = "1,16",
    threads: Annotated[str, typer.Option(help="Threads, joined by commas.")] = "1",
    runtime: Annotated[
        Runtime, typer.Option(help="auto: a run's weights, and its model.onnx if it has one.")
    ] = "auto",
    rounds: Annotated[int, typer.Option(min=1, help="Timed calls of each setting.")] = 50,
    dataset: Annotated[
        Path | None, typer.Option(help="Also count the joints found of its people (PCK@0.1).")
    ] = None,
    split: Annotated[str, typer.Option(help="Split of the dataset; empty: all.")] = "test",
    out: Annotated[
        Path | None, typer.Option(help="New folder for benchmark.json and report.html.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Time networks on this machine: latency, throughput, memory, load time."""
    from synthstudio.api import speed

    figures, text = speed.benchmark(
        models,
        batches=_numbers(batches, "--batches"),
        threads=_numbers(threads, "--threads"),
        runtime=runtime,
        rounds=rounds,
        dataset=dataset,
        split=split,
        out=out,
    )
    finish(figures, as_json, text)


def compress(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or a .safetensors file.")],
    dataset: Annotated[
        Path, typer.Option(help="Dataset with splits val and test, and train to fine-tune on.")
    ],
    out: Annotated[Path, typer.Option(help="New folder for model.onnx, table and report.")],
    target_ms: Annotated[
        float | None, typer.Option(min=0, help="Median milliseconds of a call to reach.")
    ] = None,
    target_mflops: Annotated[
        float | None, typer.Option(min=0, help="Or millions of multiply-adds a person.")
    ] = None,
    people: Annotated[int, typer.Option(min=1, max=4096, help="People in a call.")] = 1,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Threads of a call.")] = 1,
    fine_tune_steps: Annotated[
        int, typer.Option(min=0, help="Steps of training after pruning; 0: prune nothing.")
    ] = 0,
    rounds: Annotated[int, typer.Option(min=1, help="Timed calls of each candidate.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Make a network faster: thinner bank, pruned channels, int8; pick one by a target."""
    from synthstudio.api import speed

    figures, text = speed.compress(
        run,
        dataset,
        out,
        target_ms=target_ms,
        target_mflops=target_mflops,
        people=people,
        threads=threads,
        fine_tune_steps=fine_tune_steps,
        rounds=rounds,
        say=say,
    )
    finish(figures, as_json, text)
