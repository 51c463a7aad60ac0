"""`ss.generate`, `ss.stream`, `ss.preview`, `ss.audit`, `ss.occlude`: frames and their audit."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, overload

from synthstudio.api import arguments as args
from synthstudio.api.datasets import Dataset, just_made, to_dataset
from synthstudio.api.frames import Frame, made_frame
from synthstudio.api.recipes import Recipe, to_recipe
from synthstudio.core.errors import ArgumentError
from synthstudio.core.places import Place
from synthstudio.core.progress import OnProgress, progress_steps
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.destination import check_free, destination_of
from synthstudio.dataset.durable import write_file
from synthstudio.dataset.shards import no_event

if TYPE_CHECKING:
    import torch

    from synthstudio.generation.audit import Tally
    from synthstudio.generation.photos.audit import PhotoTally
    from synthstudio.generation.plan import Plan
    from synthstudio.generation.replay import Agreement
    from synthstudio.generation.stage import Settings


ASSETS = Path("assets")
Progress = bool | OnProgress
"""True shows a bar on a terminal; a function is called with done, total and rate per second."""


@args.checked
def generate(
    recipe: Recipe | args.PathLike | dict[str, Any],
    out: args.PlaceLike,
    *,
    assets: args.Assets = None,
    workers: args.EngineWorkers = 1,
    engine: args.EngineName = "local",
    device: args.Device = "auto",
    renderer: args.Renderer = "raster",
    resume: bool = False,
    allow_mixed: bool = False,
    part: tuple[int, int] | None = None,
    skip_failed: bool = False,
    frames_per_shard: Annotated[int, args.Option(minimum=1, maximum=4096)] = 64,
    progress: Progress = True,
    on_note: Callable[[str], None] | None = None,
) -> Dataset:
    """Generate a data set from a recipe.

    The bytes depend on the recipe, its seed and the kind of machine; not on `workers`, nor on
    how often the run was killed and resumed, nor on the number of parts.

    Args:
        recipe: A Recipe, the path of its YAML file, or its fields.
        out: A folder that is empty or does not exist, or a URL such as s3://bucket/people.
        assets: Folder with the recipe's asset folders; default: the recipe's own, the one above
            it or `assets`, the first that has all of them.
        workers: Number of processes, at most 256, or of a cluster's workers; the output does not
            depend on it. 1 works in this process; more need no `__main__` guard.
        resume: Continue an interrupted run.
        allow_mixed: Resume even if recipe, version or machine differ.
        part: (k, n) makes the k-th of n parts; join them with `synthstudio merge`.
        skip_failed: Record frames that fail twice and continue.
        frames_per_shard: Frames in a shard, the unit of work and of resuming.
        progress: Show a bar, or call a function.
        on_note: Called before the first frame with each unused file of the recipe's folders, and
            why; also in `run.log`.

    Raises:
        RecipeError, AssetError, DatasetError, DiskError, DeviceError, WorkerError: complete
            shards are kept, and `resume` continues after them.
    """
    place = _free(out, resume)
    from synthstudio.generation import pipeline

    settings = settings_for(recipe, assets=assets, device=device, renderer=renderer)
    with progress_steps(progress) as step:
        summary = pipeline.generate(
            settings,
            place,
            workers=args.to_workers(workers, engine),
            engine=args.to_engine(engine),
            resume=resume,
            allow_mixed=allow_mixed,
            part=_part(part),
            skip_failed=skip_failed,
            frames_per_shard=frames_per_shard,
            on_progress=step(f"generating {settings.recipe.name}"),
            on_note=on_note or no_event,
        )
    return just_made(summary.folder, summary)


@overload
def stream(
    recipe: Recipe | args.PathLike | dict[str, Any],
    *,
    start: int = 0,
    assets: args.Assets = None,
    device: args.Device = "auto",
    renderer: args.Renderer = "raster",
) -> Iterator[Frame]: ...
@overload
def stream(
    recipe: Recipe | args.PathLike | dict[str, Any],
    *,
    batch: int,
    size: tuple[int, int] = (256, 192),
    start: int = 0,
    assets: args.Assets = None,
    device: args.Device = "auto",
    renderer: args.Renderer = "raster",
) -> Iterator[tuple[torch.Tensor, dict[str, torch.Tensor]]]: ...
@args.checked
def stream(
    recipe: Recipe | args.PathLike | dict[str, Any],
    *,
    batch: args.Count | None = None,
    size: tuple[int, int] = (256, 192),
    start: args.Whole = 0,
    assets: args.Assets = None,
    device: args.Device = "auto",
    renderer: args.Renderer = "raster",
) -> Iterator[Frame] | Iterator[tuple[torch.Tensor, dict[str, torch.Tensor]]]:
    """Yield a recipe's frames from index `start` on, without writing to disk.

    The same frames as `generate` stores; with `batch` the same crops as `Dataset.torch` cuts.

    Args:
        recipe: A Recipe, the path of its YAML file, or its fields.
        batch: Yield batches of people (the last may be smaller), not frames: crops (n, 3, H, W)
            uint8 and a dict of their labels (n, ...), as in `PersonCrops`; tensors on the CPU.
        size: Height and width of the crops in pixels.
        start: The first frame's number.
        assets: Folder with the recipe's asset folders, as in `generate`.
        device: What renders: `auto`, `cpu` or `cuda`.
        renderer: `raster` or `pyrender`.

    Raises:
        ArgumentError, RecipeError, AssetError, DeviceError: by the call itself.
    """
    from synthstudio.generation import pipeline

    settings = settings_for(recipe, assets=assets, device=device, renderer=renderer)
    skeleton = get_skeleton(settings.recipe.skeleton)
    frames = (made_frame(made, skeleton) for made in pipeline.stream(settings, start=start))
    if batch is None:
        return frames
    from synthstudio.api.crops import checked_size, crop_batches

    return crop_batches(frames, size=checked_size(size), batch=batch)


@args.checked
def preview(
    recipe: Recipe | args.PathLike | dict[str, Any],
    index: args.Whole = 0,
    *,
    assets: args.Assets = None,
    device: args.Device = "auto",
    renderer: args.Renderer = "raster",
) -> Frame:
    """Make one frame of a recipe; in a notebook it is shown with its labels.

    Raises:
        RecipeError, AssetError, DeviceError: for an invalid recipe, asset or device.
    """
    from synthstudio.generation import pipeline
    from synthstudio.generation.stage import FrameGenerator

    settings = settings_for(recipe, assets=assets, device=device, renderer=renderer)
    stage = FrameGenerator(settings)
    made = pipeline.make_frame(
        stage, pipeline.draw_spec(stage, index), layers=settings.recipe.layers
    )
    return made_frame(made, get_skeleton(settings.recipe.skeleton))


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Result of an audit. `figures` are counts and rates, `findings` the joints that differ."""

    passed: bool
    figures: dict[str, Any]
    findings: tuple[str, ...]
    summary: str

    def __str__(self) -> str:
        return self.summary


@args.checked
def audit(
    dataset: Dataset | args.PlaceLike,
    *,
    frames: args.Count | None = None,
    assets: args.StoredAssets = None,
    workers: args.EngineWorkers = 1,
    engine: args.EngineName = "local",
    device: args.Device = "auto",
    progress: Progress = True,
) -> Audit:
    """Recompute every joint's visibility by ray casting, in independent code.

    Args:
        dataset: A generated data set, or one made by `occlude`.
        frames: Only the first N frames.

    Returns:
        `passed` is within the goals of 0.01 % of states and 0.1 % of causes.

    Raises:
        DatasetError: for imported data sets, which have no scenes.
    """
    from synthstudio.generation import audit as rendered
    from synthstudio.generation import stage
    from synthstudio.generation.photos import audit as photos

    stored = to_dataset(dataset)._stored
    where = args.optional(args.to_path, assets, "assets")
    processes, chosen = args.to_workers(workers, engine), args.to_engine(engine)
    with progress_steps(progress) as step:
        report = step("auditing")
        if photos.is_of_photos(stored):
            tallies = photos.audit(
                stored, assets=where, device=device, frames=frames, on_progress=report
            )
            return _of_photos(*tallies)
        settings = stage.settings_of(stored, assets=where, device=device)
        tally = rendered.audit(
            stored, settings, frames=frames, workers=processes, engine=chosen, on_progress=report
        )
    figures = tally.report()
    return Audit(
        passed=figures["passed"],
        figures={**figures, "findings": [asdict(one) for one in tally.findings]},
        findings=tuple(
            f"frame {one.frame}, person {one.instance}, {one.joint}: stored {one.stored_cause} "
            f"{one.stored[0]:.3f}, recomputed {one.again_cause} {one.again[0]:.3f}"
            for one in tally.findings
        ),
        summary=f"{figures['joints']} joints of {figures['people']} people: state differs in "
        f"{figures['state_differs']} ({figures['disagreement_rate']:.4%}), cause in "
        f"{figures['cause_differs']} ({figures['cause_rate']:.4%}); "
        f"{'within' if figures['passed'] else 'OUTSIDE'} the goals of 0.01 % and 0.1 %",
    )


def _of_photos(tally: PhotoTally, pasted: Tally) -> Audit:
    people = pasted.report()
    figures = {
        **tally.report(),
        "pasted": people,
        "findings": [asdict(one) for one in pasted.findings],
    }
    figures["passed"] = figures["passed"] and people["passed"]
    return Audit(
        passed=figures["passed"],
        figures=figures,
        findings=tuple(map(str, tally.findings)),
        summary=f"{tally.text()}\n{people['joints']} joints of {people['people']} pasted people by "
        f"rays: state differs in {people['state_differs']}, cause in {people['cause_differs']}",
    )


@args.checked
def occlude(
    annotations: args.PathLike,
    images: args.PathLike,
    recipe: Recipe | args.PathLike | dict[str, Any],
    out: args.PlaceLike,
    *,
    each: Annotated[int, args.Option(minimum=1, maximum=1000)] | None = None,
    seed: args.Whole | None = None,
    assets: args.Assets = None,
    workers: args.EngineWorkers = 1,
    engine: args.EngineName = "local",
    device: args.Device = "cpu",
    resume: bool = False,
    allow_mixed: bool = False,
    skip_broken: bool = False,
    progress: Progress = True,
) -> Dataset:
    """Hide people in annotated photos behind objects and other people; labels follow.

    Args:
        annotations: COCO keypoint file.
        images: Folder of its photos.
        recipe: Recipe file with the field `occlude`, e.g. scenes/occlude.yaml.
        out: Folder or URL of the new dataset.
        each: Occluded frames per photo; default: the recipe's.
        seed: Override the recipe's seed.
        resume: Continue an interrupted run.
        allow_mixed: Resume even if recipe, version or machine differ.
        skip_broken: Leave out photos that cannot be used.

    Raises:
        FormatError, AssetError: for what is read; DatasetError, DiskError: for where it goes.
    """
    file, place = args.to_path(annotations, "annotations"), _free(out, resume)
    from synthstudio.generation.photos import run

    chosen = to_recipe(recipe)
    hidden = dict(chosen.to_dict()["occlude"] or {})
    if each is not None:
        hidden["each"] = each
    changes: dict[str, Any] = {"occlude": hidden}
    if seed is not None:
        changes["seed"] = seed
    settings = settings_for(chosen.with_(**changes), assets=assets, device=device)
    with progress_steps(progress) as step:
        made = run.occlude(
            settings,
            file,
            place,
            images=args.to_path(images, "images"),
            workers=args.to_workers(workers, engine),
            engine=args.to_engine(engine),
            resume=resume,
            allow_mixed=allow_mixed,
            skip_broken=skip_broken,
            on_progress=step(f"occluding {file.name}"),
        )
    return just_made(place, made)


@args.checked
def render_objects(
    out: args.PathLike,
    *,
    count: Annotated[int, args.Option(minimum=1, maximum=100_000)] = 500,
    seed: args.Whole = 0,
    kinds: Annotated[Sequence[str] | None, args.Option(name="--kind")] = None,
    size_px: Annotated[int, args.Option(name="--size", minimum=16, maximum=2048)] = 256,
    device: args.Device = "auto",
    progress: Progress = True,
) -> dict[str, int]:
    """Render objects of the package as RGBA pictures: a bank for `synthstudio.transforms.Occlude`,
    `augment.cutouts` of a training and `occlude.cutouts` of a recipe.

    Args:
        out: New folder.
        count: Number of pictures.
        seed: Random seed.
        kinds: Only these kinds; may be repeated. Default: all that may hide people.
        size_px: Longest side in pixels, at most; each picture is cropped to its object.

    Returns:
        How many there are of each kind.

    Raises:
        RecipeError: for an unknown kind. DiskError: when `out` is not free.
    """
    from synthstudio.generation.photos import objects

    folder = args.to_folder(out, "out")
    with progress_steps(progress) as step:
        found = objects.render_objects(
            folder,
            count=count,
            seed=seed,
            kinds=kinds,
            size_px=size_px,
            device=device,
            on_progress=step("rendering objects"),
        )
    return dict(sorted(found.items()))


@args.checked
def check_assets(folder: args.PathLike) -> list[dict[str, str]]:
    """Read all MakeHuman assets of a folder, as `people.wardrobe.makehuman` does.

    Args:
        folder: Folder with .mhclo files and skins; subfolders and ZIP archives are searched.

    Returns:
        Of each `name`, `slot` (where it is worn; "" if unusable), `licence` by the file's head,
        and `problem` ("" if usable).

    Raises:
        AssetError: for a missing folder.
    """
    from synthstudio.body import makehuman
    from synthstudio.props.assets import scan_garments

    path = args.to_path(folder, "folder").absolute()
    return [
        {
            "name": one.asset.name,
            "slot": one.kind.slot if one.kind else "",
            "licence": one.licence,
            "problem": one.unfit,
        }
        for one in scan_garments(path.parent, path.name, describe=makehuman.describe)
    ]


@args.checked
def plan(
    recipe: Recipe | args.PathLike | dict[str, Any],
    out: args.PlaceLike,
    *,
    assets: args.Assets = None,
    workers: args.EngineWorkers = 1,
    engine: args.EngineName = "local",
    device: args.Device = "auto",
    renderer: args.Renderer = "raster",
    progress: Progress = True,
) -> Plan:
    """Measure frames a second on a sample beside `out` (URL: in TMPDIR), then deleted; scale it.

    Raises:
        RecipeError, AssetError, DeviceError, DiskError: as `generate`.
    """
    from synthstudio.generation import plan as planning

    place = args.to_place(out, "out")
    near = place if isinstance(place, Path) else Path(tempfile.gettempdir()) / place.name
    settings = settings_for(recipe, assets=assets, device=device, renderer=renderer)
    with progress_steps(progress) as step:
        return planning.plan(
            settings,
            near=near,
            workers=args.to_workers(workers, engine),
            engine=args.to_engine(engine),
            on_progress=step("measuring"),
        )


def _free(out: args.PlaceLike, resume: bool) -> Place:
    """Where to write; DatasetError before anything is imported that takes seconds."""
    place = args.to_place(out, "out")
    check_free(destination_of(place), resume)
    return place


def settings_for(
    recipe: Any,
    *,
    assets: args.Assets = None,
    device: args.Device = "auto",
    renderer: args.Renderer = "raster",
) -> Settings:
    """Settings to render a recipe's frames, with all assets checked."""
    from synthstudio.generation.stage import prepare

    chosen = to_recipe(recipe)
    return prepare(
        chosen,
        assets=_asset_root(chosen) if assets is None else args.to_path(assets, "assets"),
        device=device,
        renderer=renderer,
    )


def _asset_root(recipe: Recipe) -> Path:
    """First of the recipe's folder, the folder above it and `assets` that has all it names."""
    roots = (recipe.folder, recipe.folder.parent, ASSETS)
    names = recipe.folders.values()
    complete = (root for root in roots if all((root / name).is_dir() for name in names))
    return next(complete, recipe.folder)


def _part(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    if not isinstance(value, Sequence) or len(value) != 2:
        raise ArgumentError(
            "not a part", where="part", expected="(k, n), e.g. (3, 8)", got=args.shown(value)
        )
    return args.to_count(value[0], "part"), args.to_count(value[1], "part")


@args.checked
def draw_preview(
    recipe: Recipe | args.PathLike | dict[str, Any],
    index: args.Whole,
    out: args.PathLike,
    *,
    moment: bool = False,
    assets: args.Assets = None,
    device: args.Device = "auto",
    renderer: args.Renderer = "raster",
) -> None:
    """Draw a frame with its labels into a PNG, JPG or WebP file.

    Args:
        recipe: A Recipe, the path of its YAML file, or its fields.
        index: Index of the frame.
        out: PNG, JPG or WebP file.
        moment: Draw moment `index`: all its variants side by side, or its clip as a strip (as an
            animation if `out` ends in .webp).

    Raises:
        RecipeError, AssetError: for an invalid recipe or asset. DiskError: for `out`.
    """
    from synthstudio.report import pictures

    file = args.to_file(out, "out")
    settings = settings_for(recipe, assets=assets, device=device, renderer=renderer)
    draw = pictures.moment if moment else pictures.preview
    draw(settings, index, file)


@args.checked
def remake(
    dataset: Dataset | args.PlaceLike,
    index: args.Whole,
    *,
    out: args.PathLike | None = None,
    drawn: args.PathLike | None = None,
    assets: args.StoredAssets = None,
    device: args.Device = "auto",
) -> Agreement:
    """Re-render a stored frame from its spec and compare it with the stored one.

    Args:
        dataset: Folder or URL of a dataset; it may be unfinished.
        index: Index of the frame.
        out: Write the re-rendered image here.
        drawn: Write it with its labels drawn: PNG, JPG or WebP.

    Raises:
        DatasetError: for photos and imports, which have no spec.
    """
    from synthstudio.generation import replay, stage
    from synthstudio.report import pictures

    image = args.optional(args.to_file, out, "out")
    picture = args.optional(args.to_file, drawn, "drawn")
    if picture is not None:
        pictures.check_name(picture)
    opened = dataset if isinstance(dataset, Dataset) else Dataset(dataset, unfinished=True)
    settings = stage.settings_of(
        opened._stored,
        assets=args.optional(args.to_path, assets, "assets"),
        device=device,
    )
    made, agreement = replay.replay(opened.path, index, settings)
    if image is not None:
        write_file(image, made.jpeg)
    if picture is not None:
        pictures.save_drawn(made, settings.recipe.skeleton, picture)
    return agreement


def contact_sheet(dataset: Dataset | args.PlaceLike, out: args.PathLike) -> None:
    """Write evenly spread frames of a data set with their labels as one picture.

    Raises:
        DatasetError: for a data set that is damaged. DiskError: for `out`.
    """
    from synthstudio.report.pictures import sheet

    sheet(to_dataset(dataset)._stored, args.to_file(out, "out"))
