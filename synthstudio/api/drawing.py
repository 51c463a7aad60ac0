"""Frames drawn and frames made again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synthstudio.api.arguments import (
    DEVICES,
    PathLike,
    PlaceLike,
    to_choice,
    to_count,
    to_file,
    to_path,
)
from synthstudio.api.datasets import Dataset, to_dataset
from synthstudio.api.generation import settings_for
from synthstudio.api.recipes import Recipe

if TYPE_CHECKING:
    from synthstudio.generation.replay import Agreement


def draw_preview(
    recipe: Recipe | PathLike | dict[str, Any],
    index: int,
    out: PathLike,
    *,
    moment: bool = False,
    assets: PathLike | None = None,
    device: str = "auto",
    renderer: str = "raster",
) -> None:
    """Draw a frame with its labels into a PNG, JPG or WebP file.

    `moment`: all of moment `index`, its variants side by side, or its clip as a strip (as a film
    where `out` ends in .webp).
    """
    from synthstudio.report import pictures

    file = to_file(out, "out")
    pictures.check_name(file)
    settings = settings_for(recipe, assets=assets, device=device, renderer=renderer)
    draw = pictures.moment if moment else pictures.preview
    draw(settings, to_count(index, "index", least=0), file)


def remake(
    dataset: Dataset | PlaceLike,
    index: int,
    *,
    out: PathLike | None = None,
    drawn: PathLike | None = None,
    assets: PathLike | None = None,
    device: str = "auto",
) -> Agreement:
    """Make a stored frame again from its spec and say whether it is the same.

    Args:
        dataset: A generated data set; it may be unfinished.
        index: The frame's.
        out: Write the picture made again here.
        drawn: Write it with its labels drawn in: PNG, JPG or WebP.
        assets: Where its asset folders are now; default: where they were.
    """
    from synthstudio.dataset.durable import write_file
    from synthstudio.generation import replay, stage
    from synthstudio.report import pictures

    image = None if out is None else to_file(out, "out")
    picture = None if drawn is None else to_file(drawn, "drawn")
    if picture is not None:
        pictures.check_name(picture)
    opened = dataset if isinstance(dataset, Dataset) else Dataset(dataset, unfinished=True)
    settings = stage.settings_of(
        opened._stored,
        assets=None if assets is None else to_path(assets, "assets"),
        device=to_choice(device, "device", DEVICES),
    )
    made, agreement = replay.replay(opened.path, to_count(index, "index", least=0), settings)
    if image is not None:
        write_file(image, made.jpeg)
    if picture is not None:
        pictures.save_drawn(made, settings.recipe.skeleton, picture)
    return agreement


def contact_sheet(dataset: Dataset | PlaceLike, out: PathLike) -> None:
    """Write evenly spread frames of a data set with their labels as one picture."""
    from synthstudio.report.pictures import sheet

    sheet(to_dataset(dataset)._stored, to_file(out, "out"))
