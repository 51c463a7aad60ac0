"""Commands that look at a data set and change nothing in it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthstudio.api.progress import counted, progress, progress_steps
from synthstudio.cli.options import (
    DatasetArgument,
    DeviceName,
    DeviceOption,
    JsonOption,
    StoredAssetsOption,
    WorkersOption,
    finish,
    say,
)

if TYPE_CHECKING:
    from synthstudio.dataset.reader import Dataset
    from synthstudio.quality.coverage import Coverage


def audit(
    dataset: DatasetArgument,
    frames: Annotated[int | None, typer.Option(min=1, help="Only the first so many.")] = None,
    assets: StoredAssetsOption = None,
    workers: WorkersOption = 1,
    device: DeviceOption = DeviceName.auto,
    as_json: JsonOption = False,
) -> None:
    """Decide every joint's visibility again by rays and count where it differs."""
    from synthstudio.dataset.reader import Dataset
    from synthstudio.generation import audit as oracle
    from synthstudio.generation import stage
    from synthstudio.generation.photos.audit import is_of_photos

    if is_of_photos(Dataset(dataset)):
        _audit_photos(dataset, frames, assets, device, as_json)
        return
    settings = stage.settings_of(Dataset(dataset), assets=assets, device=device.value)
    with progress("auditing") as report:
        tally = oracle.audit(dataset, settings, frames=frames, workers=workers, on_progress=report)
    for finding in tally.findings[:20]:
        say(
            f"frame {finding.frame}, person {finding.instance}, {finding.joint}: stored "
            f"{finding.stored_cause} {finding.stored[0]:.3f}, again "
            f"{finding.again_cause} {finding.again[0]:.3f}"
        )
    found = {**tally.report(), "findings": [asdict(one) for one in tally.findings]}
    finish(
        found,
        as_json,
        f"{found['joints']} joints of {found['people']} people: state differs in "
        f"{found['state_differs']} ({found['disagreement_rate']:.4%}), cause in "
        f"{found['cause_differs']} ({found['cause_rate']:.4%}); "
        f"{'within' if found['passed'] else 'OUTSIDE'} the goals of 0.01 % and 0.1 %",
    )
    if not found["passed"]:
        raise typer.Exit(1)


def _audit_photos(
    dataset: Path, frames: int | None, assets: Path | None, device: DeviceName, as_json: bool
) -> None:
    """Check a set of photos: annotated people pixel by pixel, pasted ones by rays."""
    from synthstudio.dataset.reader import Dataset
    from synthstudio.generation import audit as oracle
    from synthstudio.generation.photos import audit as photos

    settings = photos.settings_of(Dataset(dataset), assets=assets, device=device.value)
    pasted, started = oracle.Tally(), time.monotonic()
    with progress("auditing") as report:
        tally, found = photos.audit(
            dataset,
            settings,
            lambda built, rows, fresh, joints, frame: oracle.compare(
                built, rows, fresh, joints=joints, frame=frame
            ),
            frames=frames,
            on_frame=lambda done, all_: report(done, all_, done / (time.monotonic() - started)),
        )
    for one in found:
        pasted.add(one)
    for line in tally.findings[:20]:
        say(line)
    told = pasted.report()
    listed = [asdict(one) for one in pasted.findings]
    result = {**tally.report(), "pasted": told, "findings": listed}
    passed = result["passed"] = result["passed"] and told["passed"]
    finish(
        result,
        as_json,
        f"{tally.text()}\n{told['joints']} joints of {told['people']} pasted people by rays: state "
        f"differs in {told['state_differs']}, cause in {told['cause_differs']}",
    )
    if not passed:
        raise typer.Exit(1)


def stats(dataset: DatasetArgument, as_json: JsonOption = False) -> None:
    """Count joints by cause, people and poses; compare what was asked with what came of it."""
    from synthstudio.dataset.reader import Dataset
    from synthstudio.quality import stats as counting

    found = counted_stats(Dataset(dataset))
    typer.echo(json.dumps(found, sort_keys=True) if as_json else counting.text(found))


def counted_stats(dataset: Dataset) -> dict[str, Any]:
    """Count a data set, showing how far it is."""
    from synthstudio.core.skeleton import get_skeleton
    from synthstudio.dataset.rows import pair_rows
    from synthstudio.quality import stats as counting

    frames = dataset.iter_frames(counting.FRAME_COLUMNS)
    samples = pair_rows(frames, dataset.iter_instances(counting.PERSON_COLUMNS))
    with progress("counting") as report:
        counted_samples = counted(samples, dataset.frames, report)
        return counting.stats(counted_samples, get_skeleton(dataset.identity.skeleton))


def coverage(
    dataset: DatasetArgument,
    sheet: Annotated[
        Path | None, typer.Option(help="Write a picture for each bin, a JPG or PNG.")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="Write a recipe for what is thin, e.g. next.yaml.")
    ] = None,
    frames: Annotated[
        int | None, typer.Option(min=1, help="How many frames --write asks for; default a quarter.")
    ] = None,
    at_least: Annotated[
        int | None,
        typer.Option(min=1, help="Fewer are thin; default: half of an even share."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Count joints by cause, fraction, view, pose and body; show and fill what is thin."""
    from synthstudio.dataset.reader import Dataset
    from synthstudio.quality import coverage as counting
    from synthstudio.quality.coverage_text import text

    if sheet is not None and sheet.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise typer.BadParameter("name it .jpg or .png", param_hint="--sheet")
    opened = Dataset(dataset)
    with progress_steps() as step:
        report = step("counting people")
        found = counting.coverage(opened, on_progress=report)
        if sheet is not None:
            _write_sheet(opened, found, sheet, step("drawing the sheet"))
    typer.echo(json.dumps(found.as_json()) if as_json else text(found, at_least=at_least))
    if sheet is not None:
        say(f"the sheet is in {sheet}")
    if write is not None:
        made = _write_next(opened, found, write, frames=frames, at_least=at_least)
        say(f"{write}: {made}")


def _write_sheet(
    dataset: Dataset, found: Coverage, out: Path, report: Callable[[int, int, float], None]
) -> None:
    from synthstudio.core.images import encode_jpeg, encode_png
    from synthstudio.dataset.durable import write_file
    from synthstudio.report.coverage_sheet import sheet

    drawn = sheet(dataset, found, on_progress=report)
    png = out.suffix.lower() == ".png"
    write_file(out, encode_png(drawn) if png else encode_jpeg(drawn, 90))


def _write_next(
    dataset: Dataset, found: Coverage, out: Path, *, frames: int | None, at_least: int | None
) -> str:
    """Write the next recipe; return what it is for and how to go on."""
    from synthstudio.body.pose_library import library
    from synthstudio.dataset.durable import write_file
    from synthstudio.quality.coverage_recipe import as_yaml, is_of_photos, next_recipe

    families = {pose.family for pose in library() if not (pose.holds or pose.leans)}
    made = next_recipe(dataset, found, families=families, frames=frames, at_least=at_least)
    write_file(out, as_yaml(made, found).encode())
    if is_of_photos(dataset):
        return (
            "the same photos with another seed, for what is thin. Next: "
            f"synthstudio occlude ANNOTATIONS --images PHOTOS --recipe {out}"
        )
    return (
        f"{made['frames']} frames with another seed for what is thin. "
        f"Next: synthstudio generate {out}"
    )
