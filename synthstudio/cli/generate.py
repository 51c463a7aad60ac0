"""Commands that generate frames: datasets, previews, occluded photos."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from synthstudio.cli.signatures import (
    Call,
    Output,
    SceneArgument,
    SeedOption,
    WorkersOption,
    command,
    log,
)
from synthstudio.core.progress import frames_text, people_text, waiting

app = typer.Typer()
assets_app = typer.Typer(name="assets", help="Check assets of your own.", no_args_is_help=True)


@command(app)
def demo(
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path("exports/demo"),
    frames: Annotated[int, typer.Option(min=1, help="Number of frames.")] = 24,
    workers: WorkersOption = 2,
) -> Output:
    """Generate 24 frames, audit them, export COCO, draw a contact sheet, write a report."""
    from synthstudio.api.arguments import to_path
    from synthstudio.api.datasets import export
    from synthstudio.api.generation import audit, contact_sheet, generate
    from synthstudio.api.quality import write_report
    from synthstudio.api.recipes import Recipe, scene_file

    out = to_path(out, "--out")  # pages and pictures lie beside the data set
    recipe = Recipe.load(scene_file("quickstart.yaml")).with_(frames=frames)
    # A second call with the same folder and settings reuses what is there.
    dataset = generate(recipe, out / "dataset", workers=workers, resume=True, frames_per_shard=8)
    audited = audit(dataset, workers=workers)
    found = {k: v for k, v in audited.figures.items() if k != "findings"}
    exported = export(dataset, "coco", _unused(out / "coco"))
    contact_sheet(dataset, out / "contact_sheet.png")
    write_report(dataset, out / "report.html", audit=found)
    result = {
        "frames": dataset.summary.frames,
        "people": dataset.summary.people,
        "dataset": str(dataset.path),
        "audit": found,
        "coco": str(exported.annotations),
        "contact_sheet": str(out / "contact_sheet.png"),
        "report": str(out / "report.html"),
    }
    lines = [
        f"{result['frames']} frames with {result['people']} people",
        f"  contact sheet  {result['contact_sheet']}",
        f"  report         {result['report']}",
        f"  dataset        {result['dataset']}",
        f"  COCO file      {result['coco']}",
        f"  audit          {found['state_differs']} of {found['joints']} joint states differ, "
        f"{found['cause_differs']} causes",
        f"Next: synthstudio stats {result['dataset']}",
    ]
    return result, "\n".join(lines)


@command(app, "generation.generate", arguments="", skip="recipe frames_per_shard")
def generate(
    call: Call,
    scene: SceneArgument,
    frames: Annotated[int | None, typer.Option(min=1, help="Override the recipe's frames.")] = None,
    seed: SeedOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Output folder or URL; default: exports/NAME.")
    ] = None,
    part: Annotated[
        str | None, typer.Option(help="Generate one part of the run, e.g. 3/8; then merge.")
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only estimate speed, time and disk space.")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Exit with status 1 if the recipe's targets are missed."),
    ] = False,
) -> Output:
    """Generate a dataset from a recipe."""
    from synthstudio.api import generation
    from synthstudio.api.quality import unmet_targets
    from synthstudio.api.recipes import Recipe

    changes = {k: v for k, v in (("frames", frames), ("seed", seed)) if v is not None}
    recipe = Recipe.load(scene)
    recipe = recipe.with_(**changes) if changes else recipe
    folder = out or Path("exports") / recipe.name
    if plan:
        names = ("assets", "workers", "engine", "device", "renderer")
        return generation.plan(recipe, folder, **{k: call.keywords[k] for k in names})
    dataset = call(recipe, folder, part=_part(part), on_note=lambda note: log(f"note: {note}"))
    made = dataset.summary
    if made.set_aside:
        log(f"damaged shards moved to {made.folder / 'set-aside'}: {len(made.set_aside)}")
    if made.failed:
        log(f"{made.failed} frames failed twice; they are recorded, not stored")
    result = {
        "folder": str(made.folder),
        "frames": made.frames,
        "people": made.people,
        "failed": made.failed,
        "made": made.made,
        "seconds": round(made.seconds, 3),
    }
    missed: list[str] = []
    if recipe.targets.any:
        result["unmet"] = missed = unmet_targets(dataset)
        for sentence in missed:
            log(f"target not met: {sentence}")
    text = (
        f"{frames_text(made.frames)} with {people_text(made.people)} in {made.folder} "
        f"({made.seconds:.0f} s). Next: synthstudio stats {made.folder}"
    )
    return result, text, strict and bool(missed)


@command(app, "generation.draw_preview", arguments="", skip="recipe")
def preview(
    call: Call,
    scene: SceneArgument,
    index: Any = 0,
    out: Any = Path("preview.png"),
    moment: Any = False,
    seed: SeedOption = None,
) -> Output:
    """Draw one frame of a recipe with its joints, boxes and causes of occlusion."""
    from synthstudio.api.recipes import Recipe

    recipe = Recipe.load(scene)
    what = f"{'moment' if moment else 'frame'} {index}"
    with waiting(f"drawing {what}"):
        call(recipe if seed is None else recipe.with_(seed=seed))
    return {"out": str(out), "index": index}, f"{what} drawn in {out}"


@app.command()
def schema() -> None:
    """Print the JSON Schema of recipes, for editors and other tools."""
    from synthstudio.api.recipes import recipe_schema

    typer.echo(json.dumps(recipe_schema(), indent=2, sort_keys=True))


@command(app, "generation.remake", arguments="dataset index")
def frame(call: Call, index: Any) -> Output:
    """Re-render a stored frame and compare it with what is stored."""
    with waiting(f"re-rendering frame {index}"):
        agreement = call()
    result = {
        "index": index,
        "held": agreement.held,
        "joints_px": agreement.joints_px,
        "visibility_fractions": agreement.visibility_fractions,
        "pixels_within_2_levels": agreement.pixels,
    }
    return result, f"frame {index}: {agreement.held}", agreement.held == "different"


@command(app, "generation.occlude")
def occlude(call: Call) -> Output:
    """Occlude people in annotated photos with objects and other people; labels follow."""
    from synthstudio.api.selection import leaks

    dataset = call()
    made, found = dataset.summary, dataset.summary.summary
    for note in made.notes:
        log(f"left out: {note}")
    for count, what in ((made.cropped, "only cropped"), (made.unchanged, "unchanged")):
        if count:
            log(
                f"{count} of {made.photos} photos are {what}: no plausible occluder was found for "
                "their people (`occlude.ground: any` in the recipe is less strict)"
            )
    shared = leaks(dataset, by=("asset", "identity"))
    if shared:
        log(
            f"{len(shared)} cut-outs or pasted people are in more than one split: hold some out "
            "(holdout.occluders, holdout.identities), or split again with synthstudio split "
            "--by group,asset,identity"
        )
    result = {
        "leaks": len(shared),
        "folder": str(found.folder),
        "photos": made.photos,
        "cropped": made.cropped,
        "unchanged": made.unchanged,
        "frames": found.frames,
        "people": found.people,
        "made": found.made,
        "left_out": list(made.notes),
        "seconds": round(found.seconds, 3),
    }
    return result, (
        f"{found.frames} frames of {made.photos} photos with {found.people} people in "
        f"{found.folder} ({found.seconds:.0f} s). Next: synthstudio stats {found.folder}"
    )


@command(app, "generation.render_objects")
def objects(call: Call, out: Any, count: Any) -> Output:
    """Render objects as RGBA pictures, to paste over people while training (docs/transforms.md)."""
    kinds = call()
    text = f"{count} objects of {len(kinds)} kinds in {out}"
    return {"out": str(out), "objects": count, "kinds": kinds}, text


def _part(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    numbers = text.split("/")
    if len(numbers) != 2 or not all(n.isascii() and n.isdigit() and len(n) < 7 for n in numbers):
        raise typer.BadParameter("write it as K/N, e.g. 3/8", param_hint="--part")
    return int(numbers[0]), int(numbers[1])


def _unused(folder: Path) -> Path:
    """The folder, or the first of folder-2, folder-3, ... that does not exist."""
    number, name = 1, folder
    while name.exists():
        number += 1
        name = folder.with_name(f"{folder.name}-{number}")
    return name


@command(assets_app, "generation.check_assets")
def check(call: Call) -> Output:
    """List the MakeHuman assets of a folder: where each is worn, its licence, what is wrong."""
    found = call()
    lines = []
    for one in found:
        about = one["problem"] or one["licence"] or "licence unknown"
        lines.append(f"{one['slot'] or 'unusable':9} {one['name']}  {about}")
    usable = sum(not one["problem"] for one in found)
    return {"assets": found}, "\n".join([*lines, f"{usable} of {len(found)} usable"]), not usable
