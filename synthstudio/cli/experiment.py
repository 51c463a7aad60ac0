"""Commands that train several ways and say what helped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from synthstudio.cli.options import JsonOption, WorkersOption, finish

app = typer.Typer(
    name="experiment", help="Train several ways and compare them.", no_args_is_help=True
)
NONE = "none"


@app.command("real")
def real(
    annotations: Annotated[Path, typer.Option(help="COCO keypoint file.")],
    images: Annotated[Path, typer.Option(help="Folder of its photos.")],
    out: Annotated[
        Path, typer.Option(help="Folder of the experiment; the same command there continues it.")
    ],
    pretrain: Annotated[
        str, typer.Option(help="Generated dataset to pretrain on, or none.")
    ] = NONE,
    cutouts: Annotated[
        Path | None,
        typer.Option(help="Folder of cut-out objects with alpha; some are held out."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Training runs per arm.")] = 3,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of each training; default: the size's.")
    ] = None,
    size: Annotated[
        Literal["nano", "small", "base"], typer.Option(help="Size of the networks.")
    ] = "nano",
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the photo split and of the occluders.")
    ] = 0,
    flip: Annotated[bool, typer.Option("--flip", help="Use flip testing; twice the time.")] = False,
    workers: WorkersOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Train on photos with and without occlusion and pretraining; evaluate on held-out ones."""
    from synthstudio.api.experiments import real_photos

    result, sentences = real_photos(
        annotations,
        images,
        out,
        pretrain=None if pretrain == NONE else pretrain,
        cutouts=cutouts,
        seeds=seeds,
        steps=steps,
        size=size,
        seed=seed,
        flip=flip,
        workers=workers,
    )
    if not sentences:
        finish(result, as_json, "stopped; the same command continues")
        return
    finish(result, as_json, "\n".join([*sentences, f"Read {out / 'report.html'}"]))
