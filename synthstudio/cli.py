"""The command line: a thin function per command. Everything it does is a Python call elsewhere."""

from __future__ import annotations

import json
import logging
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthstudio.core.errors import SynthStudioError
from synthstudio.progress import progress, progress_steps

if TYPE_CHECKING:
    from synthstudio.stage import Settings

INTERRUPTED = 130

app = typer.Typer(
    name="synthstudio",
    help="Make labelled images of partly hidden people. Start with: synthstudio demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class DeviceName(StrEnum):
    """Where kernels run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class RendererName(StrEnum):
    """Who draws the colours; labels always come from the exact rasteriser."""

    raster = "raster"
    pyrender = "pyrender"


class ExportFormat(StrEnum):
    """What other tools read."""

    coco = "coco"


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


def main() -> None:
    """Run the command line; an error of ours is one message and exit status 1."""
    show_notices()
    try:
        app()
    except SynthStudioError as error:
        say(f"error: {error}")
        sys.exit(1)
    except SystemExit as stop:
        if stop.code == INTERRUPTED:  # typer answers Ctrl-C with this status and no word
            say("stopped; what was complete is kept. A run goes on with --resume.")
        raise


def show_notices() -> None:
    """Print what the package logs (a cache that takes a minute to build) to stderr."""
    log = logging.getLogger("synthstudio")
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)


def say(text: str) -> None:
    """Print a line for people: to stderr, so that stdout stays for --json."""
    typer.echo(text, err=True)


def finish(result: dict[str, Any], as_json: bool, text: str) -> None:
    """End a command: one JSON object on stdout, or a line for people."""
    if as_json:
        typer.echo(json.dumps(result, sort_keys=True))
    else:
        say(text)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from synthstudio import __version__

        typer.echo(f"synthstudio {__version__}")
        raise typer.Exit


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where to.")] = Path("exports/demo"),
    frames: Annotated[int, typer.Option(min=1, help="How many frames.")] = 24,
    workers: WorkersOption = 2,
    as_json: JsonOption = False,
) -> None:
    """Generate 24 frames, audit them, export COCO and draw a contact sheet."""
    from synthstudio import demonstration

    with progress_steps() as step:
        result = demonstration.demo(out, frames=frames, workers=workers, step=step)
    finish(result, as_json, demonstration.summary(result))


@app.command()
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
    as_json: JsonOption = False,
) -> None:
    """Make a data set from a recipe."""
    from synthstudio import pipeline, planning

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
    finish(
        result,
        as_json,
        f"{made.frames} frames with {made.people} people in {made.folder} "
        f"({made.seconds:.0f} s). Next: synthstudio stats {made.folder}",
    )


@app.command()
def preview(
    scene: SceneArgument,
    index: Annotated[int, typer.Option(min=0, help="Which frame.")] = 0,
    out: Annotated[Path, typer.Option(help="A PNG file.")] = Path("preview.png"),
    seed: SeedOption = None,
    assets: AssetsOption = None,
    device: DeviceOption = DeviceName.auto,
    renderer: RendererOption = RendererName.raster,
    as_json: JsonOption = False,
) -> None:
    """Draw one frame of a recipe with its joints, boxes and causes."""
    from synthstudio import pictures

    settings = _settings(scene, assets, device, renderer, frames=None, seed=seed)
    pictures.preview(settings, index, out)
    finish({"out": str(out), "index": index}, as_json, f"frame {index} drawn in {out}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of recipes, for editors and other tools."""
    from synthstudio.recipe.load import json_schema

    typer.echo(json.dumps(json_schema(), indent=2, sort_keys=True))


@app.command()
def frame(
    dataset: DatasetArgument,
    index: Annotated[int, typer.Argument(min=0, help="Which frame.")],
    out: Annotated[Path | None, typer.Option(help="Write the image made again here.")] = None,
    drawn: Annotated[Path | None, typer.Option(help="Write it with its labels, a PNG.")] = None,
    assets: StoredAssetsOption = None,
    device: DeviceOption = DeviceName.auto,
    as_json: JsonOption = False,
) -> None:
    """Make one stored frame again and say whether it is the same."""
    from synthstudio import pictures, replay, stage
    from synthstudio.dataset.reader import Dataset

    stored = Dataset(dataset, allow_unfinished=True)
    settings = stage.settings_of(stored, assets=assets, device=device.value)
    made, agreement = replay.replay(dataset, index, settings)
    if out is not None:
        pictures.save(out, made.jpeg)
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


@app.command()
def audit(
    dataset: DatasetArgument,
    frames: Annotated[int | None, typer.Option(min=1, help="Only the first so many.")] = None,
    assets: StoredAssetsOption = None,
    workers: WorkersOption = 1,
    device: DeviceOption = DeviceName.auto,
    as_json: JsonOption = False,
) -> None:
    """Decide every joint's visibility again by rays and count where it differs."""
    from synthstudio import audit as oracle
    from synthstudio import stage
    from synthstudio.dataset.reader import Dataset

    settings = stage.settings_of(Dataset(dataset), assets=assets, device=device.value)
    with progress("auditing") as report:
        tally = oracle.audit(dataset, settings, frames=frames, workers=workers, on_progress=report)
    for finding in tally.findings[:20]:
        say(
            f"frame {finding.frame}, person {finding.instance}, {finding.joint}: stored "
            f"{finding.stored_cause} {finding.stored[0]:.3f}, again "
            f"{finding.again_cause} {finding.again[0]:.3f}"
        )
    found = tally.report()
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


@app.command()
def stats(dataset: DatasetArgument, as_json: JsonOption = False) -> None:
    """Count joints by cause, people, poses and occluded fractions."""
    from synthstudio.core.skeleton import skeleton
    from synthstudio.dataset import stats as counting
    from synthstudio.dataset.reader import Dataset
    from synthstudio.dataset.rows import pair_rows

    opened = Dataset(dataset)
    samples = pair_rows(opened.iter_frames(), opened.iter_instances())
    found = counting.stats(samples, skeleton(opened.identity.skeleton))
    typer.echo(json.dumps(found, sort_keys=True) if as_json else counting.text(found))


@app.command()
def export(
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option(help="A folder for the annotations and images.")],
    form: Annotated[ExportFormat, typer.Option("--format", help="Which.")] = ExportFormat.coco,
    polygons: Annotated[
        bool, typer.Option("--polygons", help="Masks as polygons instead of RLE.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a data set in a format that other tools read."""
    from synthstudio.formats.export import EXPORTERS

    made = EXPORTERS[form.value](dataset, out, polygons=polygons)
    finish(made.as_json(), as_json, made.text())


@app.command()
def merge(
    parts: Annotated[list[Path], typer.Argument(help="The folders of all parts of one run.")],
    out: Annotated[Path, typer.Option(help="The whole data set's folder.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a merge.")] = False,
    allow_mixed: Annotated[
        bool, typer.Option("--allow-mixed", help="Join parts of other versions or machines.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Join parts made with --part into the bytes of one run."""
    from synthstudio.dataset.merge import merge as join

    joined = join(parts, out, resume=resume, allow_mixed=allow_mixed)
    result = {"folder": str(out), "frames": joined.frames, "people": joined.people}
    finish(result, as_json, f"{joined.frames} frames of {len(parts)} parts in {out}")


def _settings(
    scene: Path,
    assets: Path | None,
    device: DeviceName,
    renderer: RendererName,
    *,
    frames: int | None,
    seed: int | None,
) -> Settings:
    from synthstudio.recipe.load import dump, load, parse
    from synthstudio.stage import prepare

    recipe = load(scene)
    changes = {k: v for k, v in (("frames", frames), ("seed", seed)) if v is not None}
    if changes:
        recipe = parse({**dump(recipe), **changes}, str(scene))
    return prepare(
        recipe, assets=assets or scene.parent, device=device.value, renderer=renderer.value
    )


def _part(text: str | None) -> tuple[int, int] | None:
    """Read K/N."""
    if text is None:
        return None
    numbers = text.split("/")
    if len(numbers) != 2 or not all(n.isascii() and n.isdigit() and len(n) < 7 for n in numbers):
        raise typer.BadParameter("write it as K/N, e.g. 3/8", param_hint="--part")
    return int(numbers[0]), int(numbers[1])
