"""Commands that train networks, judge them and put them side by side."""

from __future__ import annotations

import json
import os
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthstudio.api.progress import progress_steps
from synthstudio.cli.options import (
    DatasetArgument,
    DeviceName,
    DeviceOption,
    JsonOption,
    WorkersOption,
    finish,
    say,
)

if TYPE_CHECKING:
    from synthstudio.evaluation.compare import Arm
    from synthstudio.training.config import Config
    from synthstudio.training.loop import Trained

CacheOption = Annotated[
    Path | None, typer.Option(help="Where people's crops are kept; default: in the run's folder.")
]


class DecodeName(StrEnum):
    """How a joint's place is read from its map."""

    hits = "hits"
    peak = "peak"


def train(
    config: Annotated[Path, typer.Argument(help="A run's YAML, e.g. scenes/training/nano.yaml.")],
    out: Annotated[Path, typer.Option(help="The run's folder.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run.")] = False,
    fast_dev_run: Annotated[
        bool, typer.Option("--fast-dev-run", help="Two steps and one validation; keeps nothing.")
    ] = False,
    overfit: Annotated[
        int | None,
        typer.Option(min=1, help="Learn the first so many people by heart: no augmentation."),
    ] = None,
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a network on data sets, COCO files, recipes, or all of them."""
    from synthstudio.training import config as configs

    settings = configs.load(config)
    if fast_dev_run and (resume or overfit is not None):
        raise typer.BadParameter(
            "goes with neither --resume nor --overfit", param_hint="--fast-dev-run"
        )
    if fast_dev_run:
        _dry(settings, out, cache, as_json)
        return
    if overfit is not None:
        settings = configs.overfitted(settings, overfit)
    done = _train(settings, out, cache or out / "cache", resume=resume, overfit=overfit)
    end = "trained" if done.finished else "stopped; go on with --resume"
    _finish(done, out, as_json, f"{end}. Next: synthstudio evaluate {out} DATASET")


def _dry(settings: Config, out: Path, cache: Path | None, as_json: bool) -> None:
    short = settings.model_copy(update={"steps": 2, "epochs": 1, "save_every": 1})
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".dry-run-", dir=out.parent) as folder:
        done = _train(short, Path(folder) / "run", cache or out / "cache", dry=True)
    _finish(done, out, as_json, "the dry run went through; nothing was kept but the crops")


def _train(
    settings: Config,
    out: Path,
    cache: Path,
    *,
    resume: bool = False,
    overfit: int | None = None,
    dry: bool = False,
) -> Trained:
    from synthstudio.training.data import sources
    from synthstudio.training.log import progress_bars
    from synthstudio.training.loop import train as run

    def select(data: sources.TrainingData) -> sources.TrainingData:
        if overfit is not None:
            return sources.overfit_subset(data, overfit)
        return sources.fast_dev_run_subset(data, batch=settings.batch) if dry else data

    with progress_steps() as step:
        return run(
            settings,
            out,
            resume=resume,
            cache=cache,
            say=say,
            progress=progress_bars(step),
            select=select,
        )


def _finish(done: Trained, out: Path, as_json: bool, text: str) -> None:
    if os.environ.get("RANK", "0") != "0":  # of torchrun's processes the first one speaks
        return
    told = {
        "folder": str(out),
        "steps": done.steps,
        "epochs": done.epochs,
        "finished": done.finished,
        "best": done.best,
        "waited": round(done.wait_share, 4),
        "people_per_second": round(done.people_per_second, 1),
    }
    best = "" if done.best is None else f", best validation PCK@0.1 {100 * done.best:.1f}"
    finish(
        told,
        as_json,
        f"{done.steps} steps{best}, {done.people_per_second:.0f} people/s, "
        f"waited {done.wait_share:.1%}: {text}",
    )


def train_demo(
    out: Annotated[Path, typer.Option(help="Where to.")] = Path("exports/train_demo"),
    frames: Annotated[
        int | None, typer.Option(min=40, help="How many frames to generate; default: the scene's.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over them; default: the config's.")
    ] = None,
    workers: WorkersOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Generate people, train a nano network on them, judge it: minutes on two cores.

    Started again with the same options it goes on where it was stopped or killed.
    """
    from synthstudio.cli import train_demo

    with progress_steps() as step:
        result = train_demo.train_demo(
            out, frames=frames, epochs=epochs, workers=workers, step=step, say=say
        )
    finish(result, as_json, train_demo.summary(result))
    if not result["finished"]:
        raise typer.Exit(1)


def evaluate(
    run: Annotated[Path, typer.Argument(help="A run's folder, or a .safetensors file.")],
    dataset: DatasetArgument,
    split: Annotated[
        list[str] | None, typer.Option(help="Only frames of this split; may be repeated.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A new folder; default: RUN/evaluations/NAME.")
    ] = None,
    decode: Annotated[
        DecodeName, typer.Option(help="Read the best chance of a hit, or the highest peak.")
    ] = DecodeName.hits,
    flip: Annotated[
        bool, typer.Option("--flip", help="Ask about mirrored pictures too; twice the time.")
    ] = False,
    bank: Annotated[
        bool,
        typer.Option("--bank", help="Join a plain block's maps with poses that it learnt from."),
    ] = False,
    cache: CacheOption = None,
    device: DeviceOption = DeviceName.auto,
    as_json: JsonOption = False,
) -> None:
    """Judge a network on a data set: figures with intervals, and a page to read."""
    from synthstudio.evaluation import storage
    from synthstudio.training.checkpoint import weights_file
    from synthstudio.training.evaluate import EvaluationOptions, headline
    from synthstudio.training.evaluate import evaluate as run_evaluation

    weights = weights_file(run)
    options = EvaluationOptions(
        splits=tuple(split or ()), decode=decode.value, flip=flip, bank=bank
    )
    folder = out or options.default_folder(weights, dataset)
    with progress_steps() as step:
        evaluation = run_evaluation(
            weights,
            dataset,
            folder,
            options=options,
            cache=cache or weights.parent / "cache",
            device=device.value,
            step=step,
        )
    told = storage.json_ready(
        {"folder": str(folder), "about": evaluation.about, "measures": evaluation.metrics}
    )
    finish(told, as_json, f"{headline(evaluation)}. Read {folder / storage.PAGE_FILE}")


def compare(
    arms: Annotated[
        list[str],
        typer.Argument(
            help="Runs or evaluations; the first is what others are compared with. Seeds of one "
            "way to train are joined by commas: A1,A2."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="A new folder for comparison.json and report.html.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Put runs side by side, with paired tests on the same people."""
    from synthstudio.evaluation import compare as comparing
    from synthstudio.evaluation import storage

    read = _arms(arms)
    if out is not None:
        storage.check_free(out)
    rows = comparing.compare(read)
    told = storage.json_ready(comparing.as_json(read, rows))
    if out is not None:
        _write(out, told, read, rows)
        say(f"the page is {out / storage.PAGE_FILE}")
    typer.echo(json.dumps(told, sort_keys=True) if as_json else comparing.text(read, rows))


def _arms(names: list[str]) -> list[Arm]:
    from synthstudio.core.errors import ModelError
    from synthstudio.evaluation import storage
    from synthstudio.evaluation.compare import Arm

    arms: list[Arm] = []
    for name in names:
        parts = name.split(",")
        if not all(part.strip() for part in parts):
            raise ModelError(
                "a way to train has a run without a name",
                where="compare",
                expected="folders of runs or evaluations, seeds joined by commas",
                got=repr(name),
                then="Leave the empty name away.",
            )
        runs = tuple(storage.read(storage.find(Path(part))) for part in parts)
        called = str(runs[0].about.get("name", name))
        if called in (a.name for a in arms):
            called = f"{called} ({len(arms) + 1})"
        arms.append(Arm(name=called, runs=runs))
    return arms


def _write(out: Path, told: dict[str, Any], arms: list[Arm], rows: list[Any]) -> None:
    from synthstudio.dataset.durable import canonical_json, disk_errors, whole_folder
    from synthstudio.evaluation.storage import PAGE_FILE
    from synthstudio.report.comparison import comparison_page

    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with whole_folder(out) as unfinished:
            unfinished.mkdir()
            (unfinished / "comparison.json").write_bytes(canonical_json(told))
            (unfinished / PAGE_FILE).write_bytes(comparison_page(arms, rows))
