"""The command that follows people in a camera, a video or a network stream."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from synthstudio.cli.options import DeviceOption, RuntimeOption, say


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
    sure: Annotated[float, typer.Option(min=0, max=1, help="Minimum score of boxes.")] = 0.5,
    every: Annotated[
        int,
        typer.Option(min=0, help="Look for people every N pictures; 0: when nobody is followed."),
    ] = 30,
    least: Annotated[
        float, typer.Option(min=0, max=1, help="Confidence below which somebody is lost.")
    ] = 0.2,
    smooth: Annotated[
        bool, typer.Option("--smooth/--no-smooth", help="Steady joints by the one-euro filter.")
    ] = True,
    min_cutoff: Annotated[
        float, typer.Option(min=0.01, max=1000, help="Its cutoff at rest, Hz; lower is steadier.")
    ] = 1.0,
    beta: Annotated[
        float, typer.Option(min=0, max=1000, help="Its hertz for speed; higher lags less.")
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
        min_score=sure,
        every=every,
        least=least,
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
    say(text + ("" if out is None else f". Video: {out}"))


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
