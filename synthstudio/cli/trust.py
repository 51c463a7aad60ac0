"""Commands that say what is in a data set, whether it is sound, and that choose from it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthstudio.api.progress import progress_steps
from synthstudio.cli.options import DatasetArgument, JsonOption, finish, say

if TYPE_CHECKING:
    from synthstudio.quality.validate import Validated

KeysOption = Annotated[
    str, typer.Option("--by", help="Of group, clip, motion, identity, pose, asset; by commas.")
]


def validate(
    path: Annotated[Path, typer.Argument(help="A data set's folder, or a COCO file.")],
    images: Annotated[
        Path | None, typer.Option(help="A COCO file's pictures; default: its own folder.")
    ] = None,
    no_pictures: Annotated[
        bool, typer.Option("--no-pictures", help="Do not open pictures or check hashes.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Write an HTML page with examples drawn in.")
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option(help="Write a mended copy here: a COCO file, or a data set's folder."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look for errors in labels: ours, or anyone's COCO keypoint file."""
    check = _validate_dataset if path.is_dir() else _validate_coco
    found, mended = check(path, images, not no_pictures, report, fix)
    result = found.findings.as_json()
    text = found.findings.text()
    if mended is not None:
        result["mended"] = {"out": str(fix), "kinds": mended}
        told = ", ".join(f"{n} {kind}" for kind, n in mended.items()) or "nothing"
        text += f"\nmended copy in {fix}: {told}"
    if report is not None:
        result["report"] = str(report)
        text += f"\nexamples drawn in {report}"
    finish(result, as_json, text)
    if found.findings.errors:
        raise typer.Exit(1)


def report(
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option(help="An HTML file.")] = Path("report.html"),
    audit: Annotated[
        Path | None, typer.Option(help="What audit --json printed of this set.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write one self-contained HTML page about a data set, with a datasheet."""
    from synthstudio.dataset.durable import read_json
    from synthstudio.dataset.reader import Dataset
    from synthstudio.report.dataset import report as write

    audited = None if audit is None else read_json(audit)
    facts = write(Dataset(dataset), out, audit=audited, on_step=say)
    result = {"out": str(out), "frames": facts.stats["frames"], "people": facts.stats["people"]}
    finish(result, as_json, f"{facts.stats['frames']} frames reported in {out}")


def diff(
    a: Annotated[Path, typer.Argument(help="A data set's folder.")],
    b: Annotated[Path, typer.Argument(help="Another one's.")],
    as_json: JsonOption = False,
) -> None:
    """Compare two data sets: how they were made, counts, distributions, joint rates."""
    from synthstudio.dataset.reader import Dataset
    from synthstudio.quality import diff as comparing

    found = comparing.diff(Dataset(a), Dataset(b))
    typer.echo(json.dumps(found, sort_keys=True) if as_json else comparing.text(found))


def filter(
    dataset: DatasetArgument,
    query: Annotated[
        str, typer.Argument(help='Such as "left_wrist hidden by object and occluded > 0.3".')
    ] = "",
    out: Annotated[Path | None, typer.Option(help="The new data set's folder.")] = None,
    count: Annotated[bool, typer.Option("--count", help="Only count what matches.")] = False,
    keep_people: Annotated[
        bool,
        typer.Option("--keep-people/--frames", help="Keep rows of matching people, or of all."),
    ] = False,
    fields: Annotated[bool, typer.Option("--fields", help="List what may be asked.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a filter.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the frames with people who match a query as a data set (docs/query.md)."""
    from synthstudio.dataset import filter as filtering
    from synthstudio.dataset.query_fields import fields_text
    from synthstudio.dataset.reader import Dataset

    if fields:
        typer.echo(fields_text())
        return
    if not query:
        raise typer.BadParameter("a query is needed", param_hint="QUERY")
    if not count and out is None:
        raise typer.BadParameter("name a folder, or say --count", param_hint="--out")
    source = Dataset(dataset)
    wanted = filtering.query_of(source, query)
    if count or out is None:
        found = filtering.count(source, wanted)
        finish(found.as_json(), as_json, found.text())
        return
    made = filtering.filter_dataset(source, wanted, out, keep_people=keep_people, resume=resume)
    result = {"folder": str(out), "frames": made.frames, "people": made.people}
    finish(result, as_json, f"{made.frames} frames with {made.people} people in {out}")


def split(
    dataset: DatasetArgument,
    by: KeysOption = "group,clip,identity",
    shares: Annotated[str, typer.Option(help="Of train, val and test.")] = "0.8,0.1,0.1",
    seed: Annotated[int, typer.Option(help="Decides between equal choices.")] = 0,
    table: Annotated[Path | None, typer.Option(help="Write a CSV table of splits.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write a data set that says them.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only look for leaks in --table, or as stored.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Split a data set anew so that nothing leaks, alike in how much is hidden."""
    from synthstudio.dataset import splits
    from synthstudio.dataset.reader import Dataset

    source, keys = Dataset(dataset), [key.strip() for key in by.split(",")]
    if check:
        stored = None if table is None else splits.read_table(table)
        found = splits.leaks(source, keys=keys, table=stored)
        rows = [{"key": k.key, "value": k.value, "frames": k.frames} for k in found]
        lines = [f"{k.key} {k.value}: {k.frames}" for k in found[:20]]
        finish({"leaks": rows}, as_json, "\n".join([f"{len(found)} leaks by {by}", *lines]))
        if found:
            raise typer.Exit(1)
        return
    made = splits.split(source, keys=keys, shares=_numbers(shares), seed=seed)
    if table is not None:
        splits.write_table(made, table)
    if out is not None:
        splits.apply(source, made, out)
    finish(made.as_json(), as_json, made.text())


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter("write it as 0.8,0.1,0.1", param_hint="--shares") from error


def _validate_dataset(
    path: Path, images: Path | None, pictures: bool, report: Path | None, fix: Path | None
) -> tuple[Validated, dict[str, int] | None]:
    from synthstudio.dataset.filter import without
    from synthstudio.dataset.reader import Dataset
    from synthstudio.quality import validate as validating
    from synthstudio.report.findings import write_dataset_findings

    if images is not None:
        raise typer.BadParameter("a data set has its own pictures", param_hint="--images")
    dataset = Dataset(path)
    with _steps({"frames": dataset.frames}) as step:
        found = validating.validate_dataset(dataset, pictures=pictures, on_step=step)
    if report is not None:
        write_dataset_findings(found.findings, dataset, report)
    if fix is None:
        return found, None
    without(dataset, found.bad, fix)
    return found, {"frames left out": len(found.bad)}


def _validate_coco(
    path: Path, images: Path | None, pictures: bool, report: Path | None, fix: Path | None
) -> tuple[Validated, dict[str, int] | None]:
    from synthstudio.formats.coco.file import RawCoco
    from synthstudio.quality import validate as validating
    from synthstudio.quality.checks.mend import write_mended
    from synthstudio.report.findings import write_coco_findings

    folder = (images or path.parent) if pictures else None
    if fix is not None and fix.exists():
        raise typer.BadParameter("there is something already", param_hint="--fix")
    with RawCoco(path) as source:
        categories = source.head["categories"]
        with _steps({}) as step:
            found = validating.validate_coco(
                categories, source.images, source.annotations, folder=folder, on_step=step
            )
        if report is not None:
            write_coco_findings(
                found.findings,
                path.name,
                categories,
                source.images(),
                source.annotations(),
                report,
                folder=folder,
            )
        if fix is None:
            return found, None
        done = write_mended(
            source.head, source.images, source.annotations, fix, left_out=found.unusable
        )
    return found, dict(done)


@contextmanager
def _steps(totals: dict[str, int]) -> Iterator[Callable[[str, int], None]]:
    """Show a bar for each kind of entry that is gone through; yield what counts one."""
    began: dict[str, tuple[float, Any]] = {}
    with progress_steps() as begin:

        def step(what: str, done: int) -> None:
            if what not in began:
                began[what] = (time.monotonic(), begin(f"checking {what}"))
            if done % 64 == 0:
                since, report = began[what]
                rate = done / max(1e-6, time.monotonic() - since)
                report(done, totals.get(what, done), rate)

        yield step
