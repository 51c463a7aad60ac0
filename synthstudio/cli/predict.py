"""Commands that use a trained network: predict, export it, and suggest the next recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from synthstudio.cli.signatures import Call, Output, command, log, numbers
from synthstudio.core.progress import images_text, people_text

app = typer.Typer()


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
        Path | None, typer.Option(help="New folder for the results; default: SOURCE-people.")
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
    figures, text = call(
        batches=numbers(batches, int, "--batches"), threads=numbers(threads, int, "--threads")
    )
    return figures, text


@command(app, "speed.compress", skip="val test")
def compress(call: Call) -> Output:
    """Make a network faster: smaller bank, pruned channels, int8; choose by a target."""
    figures, text = call(log=log)
    return figures, text


@command(app, "evaluations.suggest")
def suggest(call: Call, out: Any) -> Output:
    """Write a recipe that targets a network's failures."""
    found, text = call()
    text += f"\nrecipe in {out}. Next: synthstudio generate {out}"
    return {"out": str(out), **found}, text
