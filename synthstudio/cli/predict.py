"""Commands that use a trained network: predict, export it, and suggest the next recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from synthstudio.cli.options import (
    AskWorkersOption,
    DeviceOption,
    EngineOption,
    JsonOption,
    RuntimeOption,
    WhereOption,
    finish,
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
    sure: Annotated[float, typer.Option(min=0, max=1, help="Minimum score of boxes.")] = 0.5,
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
        min_score=sure,
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
