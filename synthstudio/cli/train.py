"""Commands that train networks, evaluate them and compare them."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any

import typer

from synthstudio.cli.signatures import Call, JsonOption, Output, WhereOption, command, log, part

app = typer.Typer()


@command(app, "networks.train_demo", arguments="", skip="config")
def train_demo(call: Call) -> Output:
    """Generate people, train a nano network on them and evaluate it: minutes on two cores.

    The same command continues an interrupted run.
    """
    from synthstudio.api.networks import demo_text

    result = call(log=log)
    return result, demo_text(result), not result["finished"]


@command(app, "networks.fit", skip="model")
def train(
    call: Call, out: Any, resume: Any, fast_dev_run: Any, overfit: Any, engine: Any
) -> Output:
    """Train a network on datasets, COCO files, recipes, or a mix of them."""
    if engine == "ray" and (fast_dev_run or overfit is not None):
        raise typer.BadParameter(
            "goes with neither --fast-dev-run nor --overfit", param_hint="--engine ray"
        )
    if fast_dev_run and (resume or overfit is not None):
        raise typer.BadParameter(
            "goes with neither --resume nor --overfit", param_hint="--fast-dev-run"
        )
    done = call(log=log)
    if os.environ.get("RANK", "0") != "0":  # only the first of torchrun's processes reports
        return None
    end = "trained" if done.finished else "stopped; continue with --resume"
    text = f"{end}. Next: synthstudio evaluate {out} DATASET"
    if fast_dev_run:
        text = "dry run completed; only the crops were kept"
    result = {
        "folder": str(out),
        "steps": done.steps,
        "epochs": done.epochs,
        "finished": done.finished,
        "best": done.best,
        "waited": round(done.wait_share, 4),
        f"{done.unit}_per_second": round(done.people_per_second, 1),
    }
    best = "" if done.best is None else f", best validation PCK@0.1 {100 * done.best:.1f}"
    return result, (
        f"{done.steps} steps{best}, {done.people_per_second:.1f} {done.unit}/s, "
        f"waited {done.wait_share:.1%}: {text}"
    )


@command(app, "networks.pretrain")
def pretrain(call: Call) -> Output:
    """Pretrain on pairs of the same pose, or photos, without joint labels (`init_from`)."""
    result = call(log=log)
    text = f"{result['steps']} steps"
    if found := result["retrieval"]:
        text += f", retrieval@1 {found['hits']:.1%} of people, chance {found['chance']:.1%}"
    return result, f"{text}. Next: init_from: {result['weights']}"


@command(app, "networks.pose_bank", arguments="model sources")
def pose_bank(call: Call, out: Any) -> Output:
    """Replace a trained network's pose bank, without training."""
    _, figures = call()
    text = f"{figures['note']}; before, {figures['before']} poses"
    return figures, f"{text}. Next: synthstudio evaluate {out} DATASET"


@command(app, "evaluations.evaluate", arguments="", skip="predict")
def evaluate(
    call: Call,
    model: Annotated[
        str,
        typer.Argument(
            help="A run, .safetensors or exported .onnx file, `default`, or with --as another "
            "program's file; with --predictions the dataset."
        ),
    ],
    predictions: Any,
    dataset: Annotated[str, typer.Argument(help="Folder or URL of a dataset.")] = "",
    where: WhereOption = "",
) -> Output:
    """Evaluate a network on a dataset: metrics with confidence intervals, and a report.

    synthstudio networks: evaluate RUN DATASET. Others: evaluate FILE DATASET --as movenet, or
    evaluate --predictions results.json DATASET. --decode to --cache, --workers and --engine are
    for runs.
    """
    from synthstudio.api.evaluations import headline

    if (predictions is None) != bool(dataset):
        raise typer.BadParameter("Pass MODEL and DATASET, or --predictions FILE and DATASET.")
    evaluation = call(None if predictions is not None else model, part(dataset or model, where))
    text = f"{headline(evaluation)}. Read {evaluation.folder}/report.html"
    return evaluation.as_json(), text


@command(app, "evaluations.compare")
def compare(call: Call, out: Any, as_json: JsonOption = False) -> None:
    """Compare runs by paired tests on the same people."""
    figures, text = call()
    if out is not None:
        log(f"the page is {out / 'report.html'}")
    typer.echo(json.dumps(figures, sort_keys=True) if as_json else text)


@command(app, "robustness.robustness")
def robustness(call: Call, as_json: JsonOption = False) -> Output:
    """Test runs on darkness, glare, crowds and other challenges against the plain scene.

    Challenges are generated once; an interrupted call continues.
    """
    found = call()
    text = found.pop("text")
    if not as_json:
        typer.echo(text)
    return found, f"the page is {found['page']}"


@command(app, "robustness.stress")
def stress(call: Call) -> Output:
    """Stress a network: the same people clean and hidden by four causes at four levels.

    Prints a card of ten lines. Data sets are generated once; an interrupted call continues.
    """
    found = call()
    text = found.pop("text")
    return found, text


experiment_app = typer.Typer(
    name="experiment", help="Compare training settings.", no_args_is_help=True
)
NONE = "none"


@command(experiment_app, "evaluations.real_photos", arguments="")
def real(call: Call, out: Any, pretrain: Any = NONE) -> Output:
    """Train on photos with and without occlusion and pretraining; evaluate on held-out ones."""
    result, sentences = call(pretrain=None if str(pretrain) == NONE else pretrain)
    if not sentences:
        return result, "stopped; the same command continues"
    return result, "\n".join([*sentences, f"Read {out / 'report.html'}"])
