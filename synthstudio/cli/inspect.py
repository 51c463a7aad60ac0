"""Commands that look at a dataset and change nothing in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from synthstudio.cli.options import (
    DatasetArgument,
    DeviceOption,
    EngineOption,
    EngineWorkersOption,
    JsonOption,
    StoredAssetsOption,
    WhereOption,
    finish,
    log,
    part,
)


def audit(
    dataset: DatasetArgument,
    frames: Annotated[int | None, typer.Option(min=1, help="Only the first N frames.")] = None,
    where: WhereOption = "",
    assets: StoredAssetsOption = None,
    workers: EngineWorkersOption = 1,
    engine: EngineOption = "local",
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Recompute every joint's visibility by ray casting and count disagreements."""
    from synthstudio.api import generation

    found = generation.audit(
        part(dataset, where),
        frames=frames,
        assets=assets,
        workers=workers,
        engine=engine,
        device=device,
    )
    for line in found.findings[:20]:
        log(line)
    finish(found.figures, as_json, found.summary)
    if not found.passed:
        raise typer.Exit(1)


def stats(dataset: DatasetArgument, where: WhereOption = "", as_json: JsonOption = False) -> None:
    """Count joints by cause of occlusion, people and poses; compare requested with achieved."""
    from synthstudio.api import quality

    found = quality.stats(part(dataset, where))
    typer.echo(json.dumps(found, sort_keys=True) if as_json else quality.stats_text(found))


def coverage(
    dataset: DatasetArgument,
    sheet: Annotated[
        Path | None, typer.Option(help="Write an example picture of each bin, a JPG or PNG.")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="Write a recipe that fills thin bins, e.g. next.yaml.")
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(min=1, help="Number of frames of that recipe; default: a quarter."),
    ] = None,
    at_least: Annotated[
        int | None,
        typer.Option(min=1, help="Bins with fewer joints are thin; default: half an even share."),
    ] = None,
    where: WhereOption = "",
    as_json: JsonOption = False,
) -> None:
    """Count joints by cause, occluded fraction, view, pose and body; show and fill thin bins."""
    from synthstudio.api import quality

    if sheet is not None and sheet.suffix.lower() not in quality.SHEET_SUFFIXES:
        raise typer.BadParameter("name it .jpg or .png", param_hint="--sheet")
    found = quality.coverage(
        part(dataset, where), sheet=sheet, recipe=write, frames=frames, at_least=at_least
    )
    typer.echo(json.dumps(found.as_json()) if as_json else found.text())
    if sheet is not None:
        log(f"the sheet is in {sheet}")
    if write is not None:
        log(f"{write}: {found.recipe_note}")


def gap(
    dataset: DatasetArgument,
    photos: Annotated[Path, typer.Option(help="COCO keypoints file of the photos.")],
    images: Annotated[
        Path | None, typer.Option(help="Their pictures; default: the file's own folder.")
    ] = None,
    out: Annotated[Path, typer.Option(help="HTML file.")] = Path("gap.html"),
    write: Annotated[
        Path | None, typer.Option(help="Write its recipe fitted to the photos, e.g. fitted.yaml.")
    ] = None,
    where: WhereOption = "",
    as_json: JsonOption = False,
) -> None:
    """Measure how far a dataset is from photos: sizes, truncation, cameras, pixels, poses."""
    from synthstudio.api import quality

    found = quality.gap(part(dataset, where), photos, images=images, out=out, recipe=write)
    typer.echo(json.dumps(found.as_json(), sort_keys=True) if as_json else found.text())
    log(f"the page is in {out}")
    if write is not None:
        log(f"{write}: {found.recipe_note}")


def validate(
    path: Annotated[Path, typer.Argument(help="Folder or URL of a dataset, or a COCO file.")],
    images: Annotated[
        Path | None, typer.Option(help="Images of the COCO file; default: its own folder.")
    ] = None,
    no_pictures: Annotated[
        bool, typer.Option("--no-pictures", help="Do not open images or check hashes.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write an HTML page with examples drawn.")
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option(help="Write a fixed copy here: a COCO file, or the folder of a dataset."),
    ] = None,
    where: WhereOption = "",
    as_json: JsonOption = False,
) -> None:
    """Check labels for errors: a dataset's, or those of anyone's COCO keypoint file."""
    from synthstudio.api import quality

    if path.is_dir() and images is not None:
        raise typer.BadParameter("a dataset has its own images", param_hint="--images")
    found = quality.validate(
        part(path, where), images=images, pictures=not no_pictures, report=report, fix=fix
    )
    result, text = found.as_json(), found.text()
    if found.fixed is not None:
        result["mended"] = {"out": str(fix), "kinds": found.fixed}
        kinds = ", ".join(f"{n} {kind}" for kind, n in found.fixed.items()) or "nothing"
        text += f"\nfixed copy in {fix}: {kinds}"
    if report is not None:
        result["report"] = str(report)
        text += f"\nexamples drawn in {report}"
    finish(result, as_json, text)
    if found.errors:
        raise typer.Exit(1)


def report(
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option(help="HTML file.")] = Path("report.html"),
    audit: Annotated[
        Path | None, typer.Option(help="Output of audit --json for this dataset.")
    ] = None,
    where: WhereOption = "",
    as_json: JsonOption = False,
) -> None:
    """Write one self-contained HTML page about a dataset, with a datasheet."""
    from synthstudio.api import quality

    stats = quality.write_report(part(dataset, where), out, audit=audit, on_step=log)
    result = {"out": str(out), "frames": stats["frames"], "people": stats["people"]}
    finish(result, as_json, f"{stats['frames']} frames reported in {out}")


def diff(
    a: Annotated[Path, typer.Argument(help="Folder or URL of a dataset.")],
    b: Annotated[Path, typer.Argument(help="Folder of another one.")],
    as_json: JsonOption = False,
) -> None:
    """Compare two datasets: how they were made, counts, distributions, joint rates."""
    from synthstudio.api import quality

    found = quality.diff(a, b)
    typer.echo(json.dumps(found, sort_keys=True) if as_json else quality.diff_text(found))
