"""Commands that make frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthstudio.api.progress import progress, progress_steps, waiting
from synthstudio.cli.options import (
    AssetsOption,
    DatasetArgument,
    DeviceName,
    DeviceOption,
    JsonOption,
    RendererName,
    RendererOption,
    SceneArgument,
    SeedOption,
    StoredAssetsOption,
    WorkersOption,
    finish,
    say,
)

if TYPE_CHECKING:
    from synthstudio.generation.stage import Settings


def demo(
    out: Annotated[Path, typer.Option(help="Where to.")] = Path("exports/demo"),
    frames: Annotated[int, typer.Option(min=1, help="How many frames.")] = 24,
    workers: WorkersOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Generate 24 frames, audit them, export COCO, draw a contact sheet, write a report."""
    from synthstudio.cli import demo

    with progress_steps() as step:
        result = demo.demo(out, frames=frames, workers=workers, step=step)
    finish(result, as_json, demo.summary(result))


def generate(  # noqa: PLR0913 - one parameter per option
    scene: SceneArgument,
    frames: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    seed: SeedOption = None,
    out: Annotated[Path | None, typer.Option(help="Default: exports/NAME.")] = None,
    assets: AssetsOption = None,
    workers: WorkersOption = 1,
    device: DeviceOption = DeviceName.auto,
    renderer: RendererOption = RendererName.raster,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run.")] = False,
    allow_mixed: Annotated[
        bool, typer.Option("--allow-mixed", help="Resume another recipe, version or machine.")
    ] = False,
    part: Annotated[str | None, typer.Option(help="Make one part, e.g. 3/8; then merge.")] = None,
    skip_failed: Annotated[
        bool, typer.Option("--skip-failed", help="Record frames that fail twice and go on.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only measure: frames a second, time and disk.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 when the recipe's targets are not met.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a data set from a recipe."""
    from synthstudio.generation import pipeline
    from synthstudio.generation import plan as planning

    settings = _settings(scene, assets, device, renderer, frames=frames, seed=seed)
    folder = out or Path("exports") / settings.recipe.name
    if plan:
        with progress("measuring") as report:
            estimate = planning.plan(settings, near=folder, workers=workers, on_progress=report)
        finish(estimate.as_json(), as_json, estimate.text())
        return
    with progress(f"generating {settings.recipe.name}") as report:
        made = pipeline.generate(
            settings,
            folder,
            workers=workers,
            resume=resume,
            allow_mixed=allow_mixed,
            part=_part(part),
            skip_failed=skip_failed,
            on_progress=report,
        )
    if made.set_aside:
        say(f"{len(made.set_aside)} damaged shards were moved to {folder / 'set-aside'}")
    if made.failed:
        say(f"{made.failed} frames failed twice and are recorded, not stored")
    result = {
        "folder": str(made.folder),
        "frames": made.frames,
        "people": made.people,
        "failed": made.failed,
        "made": made.made,
        "seconds": round(made.seconds, 3),
    }
    missed: list[str] = []
    if settings.recipe.targets.any:
        result["unmet"] = missed = _unmet(settings, folder)
        for sentence in missed:
            say(f"target not met: {sentence}")
    finish(
        result,
        as_json,
        f"{made.frames} frames with {made.people} people in {made.folder} "
        f"({made.seconds:.0f} s). Next: synthstudio stats {made.folder}",
    )
    if strict and missed:
        raise typer.Exit(1)


def preview(  # noqa: PLR0913 - the options of one command
    scene: SceneArgument,
    index: Annotated[int, typer.Option(min=0, help="Which frame.")] = 0,
    out: Annotated[Path, typer.Option(help="A PNG, JPG or WebP file.")] = Path("preview.png"),
    moment: Annotated[
        bool,
        typer.Option(
            "--moment",
            help="Draw all of moment INDEX: its variants side by side, or its clip as a strip "
            "(as a film where OUT ends in .webp).",
        ),
    ] = False,
    seed: SeedOption = None,
    assets: AssetsOption = None,
    device: DeviceOption = DeviceName.auto,
    renderer: RendererOption = RendererName.raster,
    as_json: JsonOption = False,
) -> None:
    """Draw one frame of a recipe with its joints, boxes and causes."""
    from synthstudio.report import pictures

    settings = _settings(scene, assets, device, renderer, frames=None, seed=seed)
    what = f"{'moment' if moment else 'frame'} {index}"
    with waiting(f"drawing {what}"):
        (pictures.moment if moment else pictures.preview)(settings, index, out)
    finish({"out": str(out), "index": index}, as_json, f"{what} drawn in {out}")


def schema() -> None:
    """Print the JSON Schema of recipes, for editors and other tools."""
    from synthstudio.recipe.schema.load import json_schema

    typer.echo(json.dumps(json_schema(), indent=2, sort_keys=True))


def frame(
    dataset: DatasetArgument,
    index: Annotated[int, typer.Argument(min=0, help="Which frame.")],
    out: Annotated[Path | None, typer.Option(help="Write the image made again here.")] = None,
    drawn: Annotated[
        Path | None, typer.Option(help="Write it with its labels: PNG, JPG or WebP.")
    ] = None,
    assets: StoredAssetsOption = None,
    device: DeviceOption = DeviceName.auto,
    as_json: JsonOption = False,
) -> None:
    """Make one stored frame again and say whether it is the same."""
    from synthstudio.dataset.durable import write_file
    from synthstudio.dataset.reader import Dataset
    from synthstudio.generation import replay, stage
    from synthstudio.report import pictures

    if drawn is not None:
        pictures.check_name(drawn)
    stored = Dataset(dataset, allow_unfinished=True)
    settings = stage.settings_of(stored, assets=assets, device=device.value)
    with waiting(f"making frame {index} again"):
        made, agreement = replay.replay(dataset, index, settings)
    if out is not None:
        write_file(out, made.jpeg)
    if drawn is not None:
        pictures.save_drawn(made, settings.recipe.skeleton, drawn)
    result = {
        "index": index,
        "held": agreement.held,
        "joints_px": agreement.joints_px,
        "shares": agreement.shares,
        "pixels_within_2_levels": agreement.pixels,
    }
    finish(result, as_json, f"frame {index}: {agreement.held}")
    if agreement.held == "different":
        raise typer.Exit(1)


def _settings(
    scene: Path,
    assets: Path | None,
    device: DeviceName,
    renderer: RendererName,
    *,
    frames: int | None,
    seed: int | None,
) -> Settings:
    from synthstudio.generation.stage import prepare
    from synthstudio.recipe.schema.load import dump, load, parse

    recipe = load(scene)
    changes = {k: v for k, v in (("frames", frames), ("seed", seed)) if v is not None}
    if changes:
        recipe = parse({**dump(recipe), **changes}, str(scene))
    return prepare(
        recipe, assets=assets or scene.parent, device=device.value, renderer=renderer.value
    )


def _unmet(settings: Settings, folder: Path) -> list[str]:
    """Return how the data set in a folder misses its recipe's targets, a sentence each."""
    from synthstudio.cli.inspect import counted_stats
    from synthstudio.dataset.reader import Dataset
    from synthstudio.quality.stats import unmet
    from synthstudio.recipe.schema.load import dump

    return unmet(counted_stats(Dataset(folder)), dump(settings.recipe)["targets"])


def _part(text: str | None) -> tuple[int, int] | None:
    """Read K/N."""
    if text is None:
        return None
    numbers = text.split("/")
    if len(numbers) != 2 or not all(n.isascii() and n.isdigit() and len(n) < 7 for n in numbers):
        raise typer.BadParameter("write it as K/N, e.g. 3/8", param_hint="--part")
    return int(numbers[0]), int(numbers[1])
