"""Commands on networks: train, evaluate and compare them, predict, export, time and compress."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from synthstudio.cli.signatures import (
    Call,
    Output,
    WhereOption,
    command,
    log,
    numbers,
    part,
)
from synthstudio.core.progress import images_text, people_text

app = typer.Typer()
experiment_app = typer.Typer(
    name="experiment", help="Compare training settings.", no_args_is_help=True
)
NONE = "none"


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
    text = "stopped; continue with --resume"
    if fast_dev_run:
        text = "dry run completed; only the crops were kept"
    elif done.finished:
        text = f"trained. Next: synthstudio evaluate {out} DATASET"
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
    line = (
        f"{done.steps} steps{best}, {done.people_per_second:.1f} {done.unit}/s, "
        f"waited {done.wait_share:.1%}: {text}"
    )
    return result, line, not (done.finished or fast_dev_run)


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
    return evaluation.as_json(), "\n".join([text, *evaluation.about.get("notes", ())])


@command(app, "evaluations.compare")
def compare(call: Call, out: Any) -> Output:
    """Compare runs by paired tests on the same people."""
    figures, text = call()
    if out is not None:
        log(f"the page is {out / 'report.html'}")
    return figures, text


@command(app, "robustness.robustness")
def robustness(call: Call) -> Output:
    """Test runs on darkness, glare, crowds and other challenges against the plain scene.

    Challenges are generated once; an interrupted call continues.
    """
    found = call()
    text = found.pop("text")
    return found, f"{text}\nthe page is {found['page']}"


@command(app, "robustness.stress")
def stress(call: Call) -> Output:
    """Stress a network: the same people clean and hidden by four causes at four levels.

    Prints a card of ten lines. Data sets are generated once; an interrupted call continues.
    """
    found = call()
    text = found.pop("text")
    return found, text


@command(app, "inference.predict_to_folder", arguments="")
def predict(
    call: Call,
    weights: Annotated[
        Path,
        typer.Argument(
            help="Folder of a run, or a .safetensors or .onnx file. Without it, or with "
            "`default`: the network that comes with the package."
        ),
    ],
    boxes: Any,
    detector: Any,
    into: Any,
    source: Annotated[
        Path | None, typer.Argument(help="Photo, folder of photos, video, dataset or COCO file.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="New folder for the results; default: ./NAME-people.")
    ] = None,
) -> Output:
    """Predict people's joints, what occludes them, and the confidence in both."""
    if source is None:
        weights, source = Path("default"), weights
    if out is None:
        out = Path(f"{source.resolve().stem}-people")
    if boxes is not None and detector:
        raise typer.BadParameter("give --boxes or --detector, not both", param_hint="--boxes")
    if into is not None and (boxes is not None or detector):
        raise typer.BadParameter(
            "needs the dataset's own boxes: they identify people", param_hint="--into"
        )
    if into is not None and source.exists() and not (source / "dataset.json").is_file():
        raise typer.BadParameter("only for a dataset of synthstudio", param_hint="--into")
    result = call(weights, source, out)
    text = f"{people_text(result['people'])} in {images_text(result['pictures'])}, in {out}"
    if into is not None:
        text += f"; layer {result['layer']} in the review store"
    return result, text


@command(app, "live.run_live", "live.live", arguments="", skip="model finder")
def live(
    call: Call,
    weights: Annotated[
        Path, typer.Argument(help="Folder of a run, a .safetensors or .onnx file, or default.")
    ],
    out: Any,
    source: Annotated[str, typer.Argument(help="Video, or rtsp://... of a stream.")] = "",
    camera: Annotated[
        int | None, typer.Option(min=0, max=99, help="Number of a camera, instead of SOURCE.")
    ] = None,
    boxes: Annotated[
        list[str] | None,
        typer.Option(help="Boxes of people: X,Y,W,H of each, or a COCO file by picture number."),
    ] = None,
    window: Annotated[
        bool | None,
        typer.Option("--window/--no-window", help="Show a window; default: with a display."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object per picture, then a summary.")
    ] = False,
) -> None:
    """Follow people in a camera, a video or a stream; q or Ctrl-C stops."""
    if (camera is None) == (not source):
        raise typer.BadParameter("give a video, a stream or --camera", param_hint="SOURCE")

    def print_line(line: dict[str, Any]) -> None:
        typer.echo(json.dumps(line, sort_keys=True))

    result = call(
        weights,
        source if camera is None else camera,
        boxes=_boxes(boxes),
        window=window,
        on_result=print_line if as_json else None,
    )
    if as_json:
        print_line({"summary": result})
        return
    text = f"{result['pictures']} pictures, {result['missed']} dropped"
    if result["latency_p50_ms"] is not None:
        text += (
            f"; latency {result['latency_p50_ms']:.1f} ms (p95 "
            f"{result['latency_p95_ms']:.1f}), {result['frames_per_s']:.1f} a second"
        )
    log(text + ("" if out is None else f". Video: {out}"))


def _boxes(given: list[str] | None) -> Path | list[list[float]] | None:
    if not given:
        return None
    rows = []
    for text in given:
        try:
            row = [float(part) for part in text.split(",")]
        except ValueError:
            row = []
        if len(row) != 4:
            if len(given) == 1 and row == [] and "," not in text:
                return Path(text)
            raise typer.BadParameter(f"{text}: write it as X,Y,W,H", param_hint="--boxes")
        rows.append(row)
    return rows


@command(app, "model.Model.export", arguments="")
def export_model(
    call: Call,
    run: Annotated[Path, typer.Argument(help="Folder of a run, or a .safetensors file.")],
    format: Any,
    out: Annotated[
        Path | None, typer.Option(help="New file; default: model.onnx or model.pt2 in the run.")
    ] = None,
) -> Output:
    """Export a network with its decoder to one file that runs without synthstudio."""
    from synthstudio.api.model import Model

    name = "model.onnx" if format == "onnx" else "model.pt2"
    folder = run if run.is_dir() else run.parent
    made = call(Model.load(run, device="cpu"), folder / name if out is None else out)
    return made, (
        f"{made['out']}: {made['bytes'] / 1e6:.1f} MB, joints within {made['joints_px']:.1g} px of "
        f"the network's, probabilities within {made['probabilities']:.1g}. "
        "Next: docs/deployment.md"
    )


@command(app, "speed.benchmark")
def benchmark(
    call: Call,
    batches: Annotated[str, typer.Option(help="People in one call, joined by commas.")] = "1,16",
    threads: Annotated[str, typer.Option(help="Threads, joined by commas.")] = "1",
) -> Output:
    """Time networks on this machine: latency, throughput, memory, load time."""
    return call(
        batches=numbers(batches, int, "--batches"), threads=numbers(threads, int, "--threads")
    )


@command(app, "speed.compress", skip="val test")
def compress(call: Call) -> Output:
    """Make a network faster: smaller bank, pruned channels, int8; choose by a target."""
    return call(log=log)


@command(app, "evaluations.suggest")
def suggest(call: Call, out: Any) -> Output:
    """Write a recipe that targets a network's failures."""
    found, text = call()
    text += f"\nrecipe in {out}. Next: synthstudio generate {out}"
    return {"out": str(out), **found}, text


@command(experiment_app, "evaluations.real_photos", arguments="")
def real(call: Call, out: Any, pretrain: Any = NONE) -> Output:
    """Train on photos with and without occlusion and pretraining; evaluate on held-out ones."""
    result, sentences = call(pretrain=None if str(pretrain) == NONE else pretrain)
    if not sentences:
        return result, "stopped; the same command continues"
    return result, "\n".join([*sentences, f"Read {out / 'report.html'}"])
