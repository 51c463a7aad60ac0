"""Read-only commands on a dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from synthstudio.cli.options import DatasetArgument, JsonOption, WhereOption, log, part
from synthstudio.cli.signatures import Call, Output, command

app = typer.Typer()


@command(app, "generation.audit")
def audit(call: Call, dataset: DatasetArgument, where: WhereOption = "") -> Output:
    """Recompute every joint's visibility by ray casting and count disagreements."""
    found = call(part(dataset, where))
    for line in found.findings[:20]:
        log(line)
    return found.figures, found.summary, not found.passed


@app.command()
def stats(dataset: DatasetArgument, where: WhereOption = "", as_json: JsonOption = False) -> None:
    """Count joints by cause of occlusion, people and poses; compare requested with achieved."""
    from synthstudio.api import quality

    found = quality.stats(part(dataset, where))
    typer.echo(json.dumps(found, sort_keys=True) if as_json else quality.stats_text(found))


@command(app, "quality.coverage")
def coverage(
    call: Call,
    dataset: DatasetArgument,
    sheet: Any,
    recipe: Any,
    where: WhereOption = "",
    as_json: JsonOption = False,
) -> None:
    """Count joints by cause, occluded fraction, view, pose and body; show and fill thin bins."""
    from synthstudio.api.quality import SHEET_SUFFIXES

    if sheet is not None and sheet.suffix.lower() not in SHEET_SUFFIXES:
        raise typer.BadParameter("name it .jpg or .png", param_hint="--sheet")
    found = call(part(dataset, where))
    typer.echo(json.dumps(found.as_json()) if as_json else found.text())
    if sheet is not None:
        log(f"the sheet is in {sheet}")
    if recipe is not None:
        log(f"{recipe}: {found.recipe_note}")


@command(app, "quality.gap")
def gap(
    call: Call,
    dataset: DatasetArgument,
    recipe: Any,
    out: Any = Path("gap.html"),
    where: WhereOption = "",
    as_json: JsonOption = False,
) -> None:
    """Measure how far a dataset is from photos: sizes, truncation, cameras, pixels, poses."""
    found = call(part(dataset, where))
    typer.echo(json.dumps(found.as_json(), sort_keys=True) if as_json else found.text())
    log(f"the page is in {out}")
    if recipe is not None:
        log(f"{recipe}: {found.recipe_note}")


@command(app, "quality.validate")
def validate(
    call: Call,
    path: Annotated[Path, typer.Argument(help="Folder or URL of a dataset, or a COCO file.")],
    images: Any,
    report: Any,
    fix: Any,
    where: WhereOption = "",
) -> Output:
    """Check the labels of a dataset or of any COCO keypoint file for errors."""
    if path.is_dir() and images is not None:
        raise typer.BadParameter("a dataset has its own images", param_hint="--images")
    found = call(part(path, where))
    result, text = found.as_json(), found.text()
    if found.fixed is not None:
        result["repaired"] = {"out": str(fix), "kinds": found.fixed}
        kinds = ", ".join(f"{n} {kind}" for kind, n in found.fixed.items()) or "nothing"
        text += f"\nfixed copy in {fix}: {kinds}"
    if report is not None:
        result["report"] = str(report)
        text += f"\nexamples drawn in {report}"
    return result, text, found.errors > 0


@command(app, "quality.write_report")
def report(
    call: Call, dataset: DatasetArgument, out: Any = Path("report.html"), where: WhereOption = ""
) -> Output:
    """Write one self-contained HTML page about a dataset, with a datasheet."""
    stats = call(part(dataset, where), on_step=log)
    result = {"out": str(out), "frames": stats["frames"], "people": stats["people"]}
    return result, f"{stats['frames']} frames reported in {out}"


@app.command()
def diff(
    a: Annotated[Path, typer.Argument(help="Folder or URL of a dataset.")],
    b: Annotated[Path, typer.Argument(help="Folder of another one.")],
    as_json: JsonOption = False,
) -> None:
    """Compare two datasets: how they were made, counts, distributions, joint rates."""
    from synthstudio.api import quality

    found = quality.diff(a, b)
    typer.echo(json.dumps(found, sort_keys=True) if as_json else quality.diff_text(found))
