"""Commands that join data sets and write them for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthstudio.api.progress import waiting
from synthstudio.cli.options import (
    DEFAULT_FORMAT,
    BonesName,
    DatasetArgument,
    ExportFormat,
    JsonOption,
    finish,
)


def export(
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option(help="A folder for the annotations and images.")],
    form: Annotated[ExportFormat, typer.Option("--format", help="Which.")] = DEFAULT_FORMAT,
    polygons: Annotated[
        bool, typer.Option("--polygons", help="Masks as polygons instead of RLE.")
    ] = False,
    skeleton: Annotated[
        BonesName | None, typer.Option("--skeleton", help="Convert the joints to this one.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a data set in a format that other tools read."""
    from synthstudio.formats.export import export as write

    with waiting(f"exporting {form.value}"):
        wanted = None if skeleton is None else skeleton.value
        made = write(form.value, dataset, out, polygons=polygons, skeleton=wanted)
    finish(made.as_json(), as_json, made.text())


def import_(
    path: Annotated[Path, typer.Argument(help="The file or folder of another tool.")],
    out: Annotated[Path, typer.Option(help="The data set's folder.")],
    form: Annotated[ExportFormat, typer.Option("--format", help="Which.")] = DEFAULT_FORMAT,
    images: Annotated[
        Path | None, typer.Option(help="Where the pictures lie; default: beside the file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Take in what another tool has written as a data set."""
    from synthstudio.formats.imports import import_from

    with waiting(f"importing {form.value}"):
        made = import_from(form.value, path, out, images=images)
    finish(made.as_json(), as_json, made.text())


def merge(
    parts: Annotated[list[Path], typer.Argument(help="All parts of one run, or with --sets sets.")],
    out: Annotated[Path, typer.Option(help="The whole data set's folder.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a merge.")] = False,
    allow_mixed: Annotated[
        bool, typer.Option("--allow-mixed", help="Join parts of other versions or machines.")
    ] = False,
    sets: Annotated[
        bool, typer.Option("--sets", help="Join whole sets of any runs into a new one.")
    ] = False,
    drop_doubled: Annotated[
        bool, typer.Option("--drop-doubled", help="With --sets: leave out pictures had before.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Join parts made with --part into the bytes of one run, or whole sets into a new one."""
    from synthstudio.dataset.merge import merge as join
    from synthstudio.dataset.merge import merge_sets
    from synthstudio.dataset.reader import Dataset

    with waiting("merging"):
        if sets:
            opened = [Dataset(path) for path in parts]
            joined = merge_sets(opened, out, drop_doubled=drop_doubled, resume=resume)
        else:
            joined = join(parts, out, resume=resume, allow_mixed=allow_mixed)
    result = {"folder": str(out), "frames": joined.frames, "people": joined.people}
    what = "sets" if sets else "parts"
    finish(result, as_json, f"{joined.frames} frames of {len(parts)} {what} in {out}")
