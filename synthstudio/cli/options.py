"""What commands share: their options and how they speak."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from synthstudio.formats.registry import FORMATS


class DeviceName(StrEnum):
    """Where kernels run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class RendererName(StrEnum):
    """Who draws the colours; labels always come from the exact rasteriser."""

    raster = "raster"
    pyrender = "pyrender"


ExportFormat = StrEnum(  # type: ignore[misc]
    "ExportFormat", {name.replace("-", "_"): name for name in FORMATS}
)
"""Formats of other tools."""
DEFAULT_FORMAT = ExportFormat("coco")


class BonesName(StrEnum):
    """Skeletons that joints are converted to."""

    coco17 = "coco17"
    mpii16 = "mpii16"
    crowdpose14 = "crowdpose14"
    h36m17 = "h36m17"
    lsp14 = "lsp14"
    ochuman19 = "ochuman19"


SceneArgument = Annotated[Path, typer.Argument(help="A recipe, e.g. scenes/quickstart.yaml.")]
DatasetArgument = Annotated[Path, typer.Argument(help="A data set's folder.")]
AssetsOption = Annotated[
    Path | None,
    typer.Option(help="The folder that the recipe's asset folders are in; default: the recipe's."),
]
StoredAssetsOption = Annotated[
    Path | None,
    typer.Option(help="Where its asset folders are now; default: where they were."),
]
SeedOption = Annotated[int | None, typer.Option(help="Instead of the recipe's seed.")]
DeviceOption = Annotated[DeviceName, typer.Option(help="Where kernels run.")]
RendererOption = Annotated[RendererName, typer.Option(help="Who draws the colours.")]
WorkersOption = Annotated[
    int,
    typer.Option(
        min=1, max=256, help="Processes, each makes shards of 64 frames; no byte depends on it."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def say(text: str) -> None:
    """Print a line for people: to stderr, so that stdout stays for --json."""
    typer.echo(text, err=True)


def finish(result: dict[str, Any], as_json: bool, text: str) -> None:
    """End a command: one JSON object on stdout, or a line for people."""
    if as_json:
        typer.echo(json.dumps(result, sort_keys=True))
    else:
        say(text)
