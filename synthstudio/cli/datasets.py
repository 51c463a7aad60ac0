"""Commands on datasets: look into them, derive new ones, import and export."""

from pathlib import Path
from typing import Annotated, Any

import typer

from synthstudio.cli.signatures import (
    Call,
    DatasetArgument,
    Output,
    WhereOption,
    command,
    log,
    numbers,
    part,
)
from synthstudio.core.progress import frames_text, people_text, waiting

app = typer.Typer()


@command(app, "generation.audit")
def audit(call: Call, dataset: DatasetArgument, where: WhereOption = "") -> Output:
    """Recompute every joint's visibility by ray casting and count disagreements."""
    found = call(part(dataset, where))
    for line in found.findings[:20]:
        log(line)
    return found.figures, found.summary, not found.passed


@command(app)
def stats(dataset: DatasetArgument, where: WhereOption = "") -> Output:
    """Count joints by cause of occlusion, people and poses; compare requested with achieved."""
    from synthstudio.api import quality

    found = quality.stats(part(dataset, where))
    return found, quality.stats_text(found)


@command(app, "quality.coverage")
def coverage(
    call: Call, dataset: DatasetArgument, sheet: Any, recipe: Any, where: WhereOption = ""
) -> Output:
    """Count joints by cause, occluded fraction, view, pose and body; show and fill thin bins."""
    from synthstudio.api.quality import SHEET_SUFFIXES

    if sheet is not None and sheet.suffix.lower() not in SHEET_SUFFIXES:
        raise typer.BadParameter("name it .jpg or .png", param_hint="--sheet")
    found = call(part(dataset, where))
    if sheet is not None:
        log(f"the sheet is in {sheet}")
    if recipe is not None:
        log(f"{recipe}: {found.recipe_note}")
    return found


@command(app, "quality.gap")
def gap(
    call: Call,
    dataset: DatasetArgument,
    recipe: Any,
    out: Any = Path("gap.html"),
    where: WhereOption = "",
) -> Output:
    """Measure how far a dataset is from photos: sizes, truncation, cameras, pixels, poses."""
    found = call(part(dataset, where))
    log(f"the page is in {out}")
    if recipe is not None:
        log(f"{recipe}: {found.recipe_note}")
    return found


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


@command(app)
def diff(
    a: Annotated[Path, typer.Argument(help="Folder or URL of a dataset.")],
    b: Annotated[Path, typer.Argument(help="Folder of another one.")],
) -> Output:
    """Compare two datasets: how they were made, counts, distributions, joint rates."""
    from synthstudio.api import quality

    found = quality.diff(a, b)
    return found, quality.diff_text(found)


@command(app, "selection.filter", arguments="dataset query")
def filter(
    call: Call,
    dataset: Any = None,
    query: Any = "",
    out: Any = None,
    count: Annotated[bool, typer.Option("--count", help="Only count what matches.")] = False,
    fields: Annotated[bool, typer.Option("--fields", help="List the fields of queries.")] = False,
) -> Output:
    """Write the frames with people who match a query as a dataset (docs/query.md)."""
    from synthstudio.api import selection

    if fields:
        found = selection.query_fields()
        width = max(map(len, found))
        return found, "\n".join(f"{name:<{width}}  {text}" for name, text in found.items())
    if not (dataset and query):
        raise typer.BadParameter("a dataset and a query are needed", param_hint="QUERY")
    if count:
        return selection.count(dataset, query)
    if out is None:
        raise typer.BadParameter("pass --out or --count", param_hint="--out")
    made = call()
    result = {"folder": str(made.path), "frames": made.frames, "people": made.num_people}
    return result, f"{frames_text(made.frames)} with {people_text(made.num_people)} in {made.path}"


@command(app, "selection.split", skip="fractions")
def split(
    call: Call,
    dataset: Any,
    by: Any = "group,clip,identity",
    fractions: Annotated[str, typer.Option(help="Fractions of train, val, test.")] = "0.8,0.1,0.1",
    table: Any = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only look for leaks, in --table or as stored.")
    ] = False,
) -> Output:
    """Split a dataset without leaks, with similar occlusion in every split."""
    from synthstudio.api import selection

    if check:
        found = selection.leaks(dataset, by=by, table=table)
        rows = [{"key": k.key, "value": k.value, "frames": k.frames} for k in found]
        lines = [f"{k.key} {k.value}: {k.frames}" for k in found[:20]]
        return {"leaks": rows}, "\n".join([f"{len(found)} leaks by {by}", *lines]), bool(found)
    return call(by=by, fractions=numbers(fractions, float, "--fractions"))


@command(app, "datasets.Dataset.export", arguments="")
def export(
    call: Call, dataset: DatasetArgument, format: Any = "coco", where: WhereOption = ""
) -> Output:
    """Export a dataset in a format that other tools read."""
    from synthstudio.api.datasets import to_dataset

    with waiting(f"exporting {format}"):
        return call(to_dataset(part(dataset, where)))


@command(app, "datasets.import_")
def import_(call: Call, format: Any) -> Output:
    """Import another tool's files as a dataset."""
    with waiting(f"importing {format}"):
        return call().summary


@command(app, "datasets.import_photos")
def import_photos(call: Call) -> Output:
    """Import photos or a video as a dataset to be labelled in review."""
    with waiting("importing photos"):
        return call().summary


@command(app, "recipes.skeleton")
def skeleton(
    call: Call,
    out: Annotated[
        Path | None, typer.Option(help="File, such as horse.yaml, to write the definition to.")
    ] = None,
) -> Output:
    """Check a skeleton of your own, or of a COCO file's category."""
    from synthstudio.api.recipes import save_skeleton
    from synthstudio.core.skeleton import definition

    made = call()
    if out is not None:
        save_skeleton(made, out)
    facts = definition(made)
    none = "none, so training does not mirror pictures"
    lines = [
        f"{facts['name']}: {len(facts['joints'])} joints, {len(facts['limbs'])} limbs",
        f"joints: {', '.join(facts['joints'])}",
        f"pairs: {'; '.join(' and '.join(pair) for pair in facts['pairs']) or none}",
        f"sigmas: {facts['sigma_source']}",
    ]
    return facts, "\n".join(lines)


@command(app, "selection.merge")
def merge(call: Call, parts: Any, sets: Any) -> Output:
    """Merge parts made with --part into the bytes of one run, or whole datasets into a new one."""
    with waiting("merging"):
        made = call()
    result = {"folder": str(made.path), "frames": made.frames, "people": made.num_people}
    what = "datasets" if sets else "parts"
    return result, f"{made.frames} frames of {len(parts)} {what} in {made.path}"
