"""Options shared by commands, and their output."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

T = TypeVar("T")
SceneArgument = Annotated[Path, typer.Argument(help="Recipe file, or a name: quickstart.")]
DatasetArgument = Annotated[Path, typer.Argument(help="Folder or URL of a dataset.")]
SeedOption = Annotated[int | None, typer.Option(help="Override the recipe's seed.")]
WorkersOption = Annotated[
    int, typer.Option(min=1, max=256, help="Number of processes; the output does not depend on it.")
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
    """Print a message to stderr; stdout is for --json."""
    with suppress(OSError):  # stderr is full or closed
        typer.echo(text, err=True)


def finish(result: dict[str, Any], as_json: bool, text: str) -> None:
    """Print a command's result: one JSON object on stdout, or text."""
    if as_json:
        typer.echo(json.dumps(result, sort_keys=True))
    else:
        log(text)


def numbers(text: str, kind: Callable[[str], T], option: str) -> list[T]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        wrong = f"numbers joined by commas, not {text!r}"
        raise typer.BadParameter(wrong, param_hint=option) from error
