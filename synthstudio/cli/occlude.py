"""The command that hides people in real photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthstudio.api.progress import progress
from synthstudio.cli.options import (
    AssetsOption,
    DeviceName,
    DeviceOption,
    JsonOption,
    SeedOption,
    WorkersOption,
    finish,
    say,
)


def occlude(  # noqa: PLR0913 - one parameter per option
    annotations: Annotated[Path, typer.Argument(help="A COCO keypoint file.")],
    images: Annotated[Path, typer.Option(help="The folder of its photos.")],
    recipe: Annotated[Path, typer.Option(help="A recipe, e.g. scenes/occlude.yaml.")],
    out: Annotated[Path, typer.Option(help="The data set's folder.")],
    each: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Occluded frames of each photo; default: the recipe's."),
    ] = None,
    seed: SeedOption = None,
    assets: AssetsOption = None,
    workers: WorkersOption = 1,
    device: DeviceOption = DeviceName.cpu,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run.")] = False,
    allow_mixed: Annotated[
        bool, typer.Option("--allow-mixed", help="Resume another recipe, version or machine.")
    ] = False,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="Leave out photos that cannot be used.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Hide people in annotated photos behind things and other people; labels follow."""
    from synthstudio.dataset.reader import Dataset
    from synthstudio.dataset.splits import leaks
    from synthstudio.generation.photos.run import occlude as hide
    from synthstudio.generation.stage import prepare
    from synthstudio.recipe.schema.load import dump, load, parse

    wanted = load(recipe)
    changed = dump(wanted)
    changed["occlude"] = dict(changed["occlude"] or {})
    if each is not None:
        changed["occlude"]["each"] = each
    if seed is not None:
        changed["seed"] = seed
    settings = prepare(
        parse(changed, str(recipe)), assets=assets or recipe.parent, device=device.value
    )
    with progress(f"occluding {annotations.name}") as report:
        made = hide(
            settings,
            annotations,
            out,
            images=images,
            workers=workers,
            resume=resume,
            allow_mixed=allow_mixed,
            skip_broken=skip_broken,
            on_progress=report,
        )
    for note in made.notes:
        say(f"left out: {note}")
    found = made.summary
    shared = leaks(Dataset(found.folder), keys=("asset", "identity"))
    if shared:
        say(
            f"{len(shared)} cut-outs or pasted people are in more than one split: hold some out "
            "(holdout.occluders, holdout.identities), or split anew with synthstudio split "
            "--by group,asset,identity"
        )
    result = {
        "leaks": len(shared),
        "folder": str(found.folder),
        "photos": made.photos,
        "frames": found.frames,
        "people": found.people,
        "made": found.made,
        "left_out": list(made.notes),
        "seconds": round(found.seconds, 3),
    }
    finish(
        result,
        as_json,
        f"{found.frames} frames of {made.photos} photos with {found.people} people in "
        f"{found.folder} ({found.seconds:.0f} s). Next: synthstudio stats {found.folder}",
    )
