"""Commands that use a trained network: predict, export it, and suggest the next recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from synthstudio.cli.options import (
    AskWorkersOption,
    DeviceOption,
    EngineOption,
    JsonOption,
    Runtime,
    RuntimeOption,
    WhereOption,
    finish,
    log,
)
from synthstudio.core.amounts import images_text, people_text


def predict(
    weights: Annotated[
        Path,
        typer.Argument(
            help="Folder of a run, or a .safetensors or .onnx file. Without it, or with "
            "`default`: the network that comes with the package."
        ),
    ],
    source: Annotated[
        Path | None,
        typer.Argument(help="Photo, folder of photos, video, dataset or COCO file."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="New folder for the results; default: SOURCE-people.")
    ] = None,
    boxes: Annotated[
        Path | None, typer.Option(help="Person boxes: COCO annotations or results.")
    ] = None,
    detector: Annotated[
        str,
        typer.Option(
            help="Or a person detector: an .onnx file that export-model wrote of a run of fcpose, "
            "or a name or folder of transformers."
        ),
    ] = "",
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Least score of boxes.")] = 0.5,
    images: Annotated[
        Path | None, typer.Option(help="Images of a COCO file; default: beside it.")
    ] = None,
    where: WhereOption = "",
    draw: Annotated[int, typer.Option(min=0, help="Draw the first N images.")] = 100,
    smooth: Annotated[
        int, typer.Option(min=0, max=99, help="Temporal smoothing window of clips, in frames.")
    ] = 7,
    flip: Annotated[bool, typer.Option("--flip", help="Use flip testing.")] = False,
    peaks: Annotated[
        int, typer.Option(min=0, max=20, help="Also write the N highest peaks of each heatmap.")
    ] = 0,
    batch: Annotated[int, typer.Option(min=1, max=4096, help="Batch size.")] = 64,
    into: Annotated[
        str | None,
        typer.Option(help="Also store in this review store: sqlite:///FILE or postgresql://..."),
    ] = None,
    layer: Annotated[
        str, typer.Option(help="With --into: name of the layer; default: that of the run.")
    ] = "",
    device: DeviceOption = "auto",
    runtime: RuntimeOption = "auto",
    workers: AskWorkersOption = None,
    engine: EngineOption = "local",
    as_json: JsonOption = False,
) -> None:
    """Predict people's joints, what occludes them, and the confidence in both."""
    from synthstudio.api.inference import predict_to_folder

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
    result = predict_to_folder(
        weights,
        source,
        out,
        boxes=boxes,
        detector=detector,
        min_score=min_score,
        images=images,
        where=where,
        draw=draw,
        smooth=smooth,
        flip=flip,
        peaks=peaks,
        batch=batch,
        into=into,
        layer=layer,
        device=device,
        runtime=runtime,
        workers=workers,
        engine=engine,
    )
    text = f"{people_text(result['people'])} in {images_text(result['pictures'])}, in {out}"
    if into is not None:
        text += f"; layer {result['layer']} in the review store"
    finish(result, as_json, text)


def export_model(
    weights: Annotated[Path, typer.Argument(help="Folder of a run, or a .safetensors file.")],
    out: Annotated[
        Path | None, typer.Option(help="New file; default: model.onnx or model.pt2 in the run.")
    ] = None,
    to: Annotated[
        Literal["onnx", "torch"],
        typer.Option("--format", help="For ONNX Runtime, or for torch.export.load."),
    ] = "onnx",
    flip: Annotated[bool, typer.Option("--flip", help="Put flip testing into the file.")] = False,
    floats: Annotated[
        bool, typer.Option("--floats", help="Take floats from 0 to 1 instead of uint8.")
    ] = False,
    stored: Annotated[
        Literal["int16", "float32"],
        typer.Option("--weights", help="How an ONNX file stores them; it computes in float32."),
    ] = "int16",
    as_json: JsonOption = False,
) -> None:
    """Export a network with its decoder to one file that runs without synthstudio."""
    from synthstudio.api.model import Model

    name = "model.onnx" if to == "onnx" else "model.pt2"
    folder = weights if weights.is_dir() else weights.parent
    made = Model.load(weights, device="cpu").export(
        folder / name if out is None else out,
        format=to,
        flip=flip,
        floats=floats,
        weights=stored,
    )
    finish(
        made,
        as_json,
        f"{made['out']}: {made['bytes'] / 1e6:.1f} MB, joints within {made['joints_px']:.1g} px of "
        f"the network's, probabilities within {made['probabilities']:.1g}. "
        "Next: docs/deployment.md",
    )


def suggest(
    evaluation: Annotated[Path, typer.Argument(help="Folder of an evaluation.")],
    out: Annotated[Path, typer.Option(help="New recipe file.")],
    like: Annotated[
        Path | None, typer.Option(help="Recipe to start from, e.g. that of the training data.")
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Number of frames of the recipe.")] = 200,
    as_json: JsonOption = False,
) -> None:
    """Write a recipe for more of what a network fails at."""
    from synthstudio.api import inference

    found, text = inference.suggest(evaluation, out, like=like, frames=frames)
    finish(
        {"out": str(out), **found},
        as_json,
        f"{text}\nrecipe in {out}. Next: synthstudio generate {out}",
    )


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
        float | None, typer.Option(min=0, help="Target of the median latency of a call, ms.")
    ] = None,
    target_mflops: Annotated[
        float | None, typer.Option(min=0, help="Or target of millions of multiply-adds a person.")
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
        log=log,
    )
    finish(figures, as_json, text)


def live(
    weights: Annotated[
        Path, typer.Argument(help="Folder of a run, a .safetensors or .onnx file, or default.")
    ],
    source: Annotated[str, typer.Argument(help="Video, or rtsp://... of a stream.")] = "",
    camera: Annotated[
        int | None, typer.Option(min=0, max=99, help="Or a camera, by its number.")
    ] = None,
    boxes: Annotated[
        list[str] | None,
        typer.Option(help="Where people are: X,Y,W,H of each, or a COCO file by picture number."),
    ] = None,
    detector: Annotated[
        str,
        typer.Option(
            help="Or a person detector: an .onnx file that export-model wrote of a run of fcpose, "
            "or a name or folder of transformers."
        ),
    ] = "",
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Least score of boxes.")] = 0.5,
    every: Annotated[
        int,
        typer.Option(min=0, help="Look for people every N pictures; 0: when nobody is followed."),
    ] = 30,
    minimum: Annotated[
        float, typer.Option(min=0, max=1, help="Confidence below which somebody is lost.")
    ] = 0.2,
    smooth: Annotated[
        bool, typer.Option("--smooth/--no-smooth", help="Steady joints by the one-euro filter.")
    ] = True,
    min_cutoff: Annotated[
        float,
        typer.Option(min=0.01, max=1000, help="One-euro minimum cutoff, Hz; lower is steadier."),
    ] = 1.0,
    beta: Annotated[
        float,
        typer.Option(
            min=0,
            max=1000,
            help="One-euro speed coefficient; higher lags less.",
        ),
    ] = 3.0,
    realtime: Annotated[
        bool, typer.Option("--realtime", help="Let a video come at its own pace, as a camera.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds to wait for a picture.")
    ] = 10.0,
    frames: Annotated[int, typer.Option(min=0, help="Stop after N pictures; 0: never.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Video to write, with the people drawn.")] = None,
    window: Annotated[
        bool | None,
        typer.Option("--window/--no-window", help="Show a window; default: if there can be one."),
    ] = None,
    device: DeviceOption = "auto",
    runtime: RuntimeOption = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object a picture, then one of all.")
    ] = False,
) -> None:
    """Follow people in a camera, a video or a stream; q or Ctrl-C ends it."""
    from synthstudio.api.live import run_live

    if (camera is None) == (not source):
        raise typer.BadParameter("give a video, a stream or --camera", param_hint="SOURCE")

    def tell(line: dict[str, Any]) -> None:
        typer.echo(json.dumps(line, sort_keys=True))

    result = run_live(
        weights,
        source if camera is None else camera,
        boxes=_boxes(boxes),
        detector=detector,
        min_score=min_score,
        every=every,
        minimum=minimum,
        smooth=smooth,
        min_cutoff_hz=min_cutoff,
        beta=beta,
        realtime=realtime,
        timeout_s=timeout,
        frames=frames,
        out=out,
        window=window,
        device=device,
        runtime=runtime,
        tell=tell if as_json else None,
    )
    if as_json:
        tell({"summary": result})
        return
    text = f"{result['pictures']} pictures, {result['missed']} missed"
    if result["latency_p50_ms"] is not None:
        text += (
            f"; answers after {result['latency_p50_ms']:.1f} ms (p95 "
            f"{result['latency_p95_ms']:.1f}), {result['frames_per_s']:.1f} a second"
        )
    log(text + ("" if out is None else f". Video: {out}"))


def _boxes(given: list[str] | None) -> Path | list[list[float]] | None:
    """Numbers, or the file that is named."""
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
