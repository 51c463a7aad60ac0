"""Commands that derive, export and import datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from synthstudio.api.progress import waiting
from synthstudio.cli.options import DatasetArgument, WhereOption, numbers, part
from synthstudio.cli.signatures import Call, Output, command
from synthstudio.core.amounts import frames_text, people_text

app = typer.Typer()


@command(app, "selection.filter", arguments="dataset query")
def filter(
    call: Call,
    dataset: Any,
    query: Any = "",
    out: Any = None,
    count: Annotated[bool, typer.Option("--count", help="Only count what matches.")] = False,
    fields: Annotated[bool, typer.Option("--fields", help="List the fields of queries.")] = False,
) -> Output:
    """Write the frames with people who match a query as a dataset (docs/query.md)."""
    from synthstudio.api import selection

    if fields:
        typer.echo(selection.query_fields())
        return None
    if not query:
        raise typer.BadParameter("a query is needed", param_hint="QUERY")
    if count:
        found = selection.count(dataset, query)
        return found.as_json(), found.text()
    if out is None:
        raise typer.BadParameter("pass --out or --count", param_hint="--out")
    made = call()
    result = {"folder": str(made.path), "frames": made.frames, "people": made.num_people}
    return result, f"{frames_text(made.frames)} with {people_text(made.num_people)} in {made.path}"


@command(app, "selection.split", skip="shares")
def split(
    call: Call,
    dataset: Any,
    by: Annotated[
        str,
        typer.Option(
            "--by",
            help="Keys that no two splits may share, of group, clip, motion, identity, pose, "
            "asset, joined by commas.",
        ),
    ] = "group,clip,identity",
    shares: Annotated[str, typer.Option(help="Fractions of train, val, test.")] = "0.8,0.1,0.1",
    table: Any = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only look for leaks, in --table or as stored.")
    ] = False,
) -> Output:
    """Split a dataset without leaks, with similar occlusion in every split."""
    from synthstudio.api import selection

    keys = [key.strip() for key in by.split(",")]
    if check:
        found = selection.leaks(dataset, by=keys, table=table)
        rows = [{"key": k.key, "value": k.value, "frames": k.frames} for k in found]
        lines = [f"{k.key} {k.value}: {k.frames}" for k in found[:20]]
        return {"leaks": rows}, "\n".join([f"{len(found)} leaks by {by}", *lines]), bool(found)
    made = call(by=keys, shares=numbers(shares, float, "--shares"))
    return made.as_json(), made.text()


@command(app, "datasets.Dataset.export", arguments="")
def export(
    call: Call, dataset: DatasetArgument, format: Any = "coco", where: WhereOption = ""
) -> Output:
    """Export a dataset in a format that other tools read."""
    from synthstudio.api.datasets import to_dataset

    with waiting(f"exporting {format}"):
        made = call(to_dataset(part(dataset, where)))
    return made.as_json(), made.text()


@command(app, "exchange.import_")
def import_(call: Call, format: Any) -> Output:
    """Import another tool's files as a dataset."""
    with waiting(f"importing {format}"):
        made = call().summary
    return made.as_json(), made.text()


@command(app, "exchange.import_photos")
def import_photos(call: Call) -> Output:
    """Import photos or a video as a dataset to be labelled in review."""
    with waiting("importing photos"):
        made = call().summary
    return made.as_json(), made.text()


@command(app, "skeletons.skeleton")
def skeleton(
    call: Call,
    out: Annotated[
        Path | None, typer.Option(help="File, such as horse.yaml, to write the definition to.")
    ] = None,
) -> Output:
    """Check a skeleton of your own, or of a COCO file's category."""
    from synthstudio.api import skeletons

    made = call()
    if out is not None:
        skeletons.save_skeleton(made, out)
    facts = skeletons.skeleton_facts(made)
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
