"""Commands that train several ways and say what helped."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from synthstudio.api.progress import progress_steps
from synthstudio.cli.options import JsonOption, WorkersOption, finish, say

app = typer.Typer(
    name="experiment", help="Train several ways, and say what helped.", no_args_is_help=True
)
NONE = "none"


class SizeName(StrEnum):
    """How large the networks are."""

    nano = "nano"
    small = "small"
    base = "base"


@app.command("real")
def real(
    annotations: Annotated[Path, typer.Option(help="A COCO keypoint file.")],
    images: Annotated[Path, typer.Option(help="The folder of its photos.")],
    out: Annotated[
        Path, typer.Option(help="The experiment's folder; the same call there goes on.")
    ],
    pretrain: Annotated[
        str, typer.Option(help="A generated data set to pretrain on, or none.")
    ] = NONE,
    cutouts: Annotated[
        Path | None,
        typer.Option(help="A folder of things cut out, with transparency; some are held out."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, help="Trainings of each way.")] = 3,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of each training; default: the size's.")
    ] = None,
    size: Annotated[SizeName, typer.Option(help="How large the networks are.")] = SizeName.nano,
    seed: Annotated[int, typer.Option(min=0, help="Parts the photos and draws what hides.")] = 0,
    workers: WorkersOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Train on your photos with and without occluded copies and pretraining; judge on others."""
    from synthstudio.evaluation import storage
    from synthstudio.experiment import figures, page
    from synthstudio.experiment.config import Asked
    from synthstudio.experiment.run import real as run

    asked = Asked(
        annotations=annotations,
        images=images,
        out=out,
        cutouts=cutouts,
        seeds=seeds,
        pretrain=None if pretrain == NONE else Path(pretrain),
        steps=steps,
        size=size.value,
        seed=seed,
        workers=workers,
    )
    with progress_steps() as step:
        made = run(asked, say=say, step=step)
    told = {"folder": str(out), "finished": made.findings is not None, "photos": made.facts}
    if made.findings is None:
        finish(told, as_json, "stopped; the same command goes on")
        return
    told |= figures.as_json(made.findings)
    lines = [*page.sentences(made.findings), f"Read {out / 'report.html'}"]
    finish(storage.json_ready(told), as_json, "\n".join(lines))
