"""What commands share: their options and how they speak."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from synthstudio.api.exchange import FORMATS, SKELETONS

Engine = Literal["local", "ray"]
Runtime = Literal["auto", "torch", "onnx"]
FormatName = Literal[FORMATS]  # type: ignore[valid-type]
SKELETON_NAMES = f"{', '.join(SKELETONS)}, or the file of your own"


SceneArgument = Annotated[Path, typer.Argument(help="Recipe file, or a name: quickstart.")]
DatasetArgument = Annotated[Path, typer.Argument(help="Folder or URL of a dataset.")]
ReviewedArgument = Annotated[Path, typer.Argument(help="Folder of a dataset.")]
AssetsOption = Annotated[
    Path | None,
    typer.Option(
        help="Root of the recipe's asset folders; default: the recipe's own folder, else ./assets."
    ),
]
StoredAssetsOption = Annotated[
    Path | None,
    typer.Option(help="Where its asset folders are now, if they have moved."),
]
SeedOption = Annotated[int | None, typer.Option(help="Override the recipe's seed.")]
DeviceOption = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Device to run on.")]
RendererOption = Annotated[
    Literal["raster", "pyrender"],
    typer.Option(help="Renderer of the colours; labels always come from the exact rasteriser."),
]
WorkersOption = Annotated[
    int,
    typer.Option(min=1, max=256, help="Number of processes; the output does not depend on it."),
]
EngineWorkersOption = Annotated[
    int,
    typer.Option(
        min=1,
        help="Number of processes, at most 256, or of a cluster's workers; the output "
        "does not depend on it.",
    ),
]
AskWorkersOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of processes of one thread each, at most 256, or of a cluster's workers; the "
        "output does not depend on it. Default: one process with all threads, or one worker of a "
        "cluster.",
    ),
]
EngineOption = Annotated[
    Engine,
    typer.Option(
        help="Execution engine: local processes, or a Ray cluster (RAY_ADDRESS, else one "
        "of this machine)."
    ),
]
FormatOption = Annotated[FormatName, typer.Option("--format", help="Format.")]
RuntimeOption = Annotated[
    Runtime, typer.Option(help="onnx: the run's exported network; auto: by the file.")
]
WhereOption = Annotated[
    str,
    typer.Option(
        metavar="QUERY",
        help='Only frames with people who match, e.g. "occluded > 0.3" (docs/query.md).',
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object to stdout.")]


def part(dataset: Path | str, where: str) -> Any:
    """A dataset, or its frames that match `where`."""
    from synthstudio.api.datasets import Dataset

    return Dataset(dataset).query(where) if where else dataset


def log(text: str) -> None:
    """Print a line for people: to stderr, so that stdout stays for --json."""
    with suppress(OSError):  # nobody can be told: stderr is full or gone
        typer.echo(text, err=True)


def finish(result: dict[str, Any], as_json: bool, text: str) -> None:
    """End a command: one JSON object on stdout, or a line for people."""
    if as_json:
        typer.echo(json.dumps(result, sort_keys=True))
    else:
        log(text)
