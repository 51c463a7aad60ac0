"""A whole run over annotated photos: like `pipeline.generate`, shard by shard in workers."""

import dataclasses
import json
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from synthstudio.core.errors import AssetError, RecipeError, SynthStudioError, WorkerError
from synthstudio.core.places import Place
from synthstudio.core.progress import OnProgress
from synthstudio.dataset.manifest import FRAMES_PER_SHARD, Identity
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.shards import OnEvent, no_event
from synthstudio.dataset.writer import open_or_create
from synthstudio.generation.engines import LOCAL, Engine
from synthstudio.generation.photos.album import Gathered, gather
from synthstudio.generation.photos.make import (
    PhotoFrame,
    PhotoStage,
    body_skeleton,
    make_frame,
    rows_of,
)
from synthstudio.generation.shards import Summary, opening, run_shards
from synthstudio.generation.stage import PHOTOS, Settings, identity_of, prepare_caches
from synthstudio.recipe.schema.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Occluded:
    """Result of a run; `notes` list left-out annotations.

    `cropped`: photos whose frames have no occluder, only crops; `unchanged`: nor crops.
    """

    summary: Summary
    photos: int
    cropped: int
    unchanged: int
    notes: tuple[str, ...]


def occlude(  # noqa: PLR0913 - the options of one command
    settings: Settings,
    annotations: Path,
    out: Place,
    *,
    images: Path,
    workers: int = 1,
    resume: bool = False,
    allow_mixed: bool = False,
    skip_broken: bool = False,
    frames_per_shard: int = FRAMES_PER_SHARD,
    engine: Engine = LOCAL,
    on_progress: OnProgress | None = None,
    on_event: OnEvent = no_event,
) -> Occluded:
    """Make the data set `out` of the photos in `images` and their COCO `annotations`.

    Each photo yields its clean frame, then `occlude.each` frames in which people are hidden. The
    bytes depend on the recipe, seed, photos, annotations and machine kind: not on `workers` nor
    on interruptions. FormatError, AssetError: invalid
    input; DatasetError, DiskError: invalid output.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="synthstudio-") as scratch:
        found = gather(annotations, images, Path(scratch), skip_broken=skip_broken)
        settings = settings_for(settings, found)
        prepare_caches(settings)
        identity = identity_for(settings, found, annotations.name, frames_per_shard)
        with open_or_create(
            out, identity, resume=resume, allow_mixed=allow_mixed, on_event=on_event
        ) as session:
            session.log("assets", root=str(settings.assets.root.resolve()))
            session.log("photos", root=str(images.resolve()))
            summary = run_shards(
                session,
                _make_frame,
                rows_of,
                initializer=_opening(engine, settings, found, images),
                workers=workers,
                engine=engine,
                on_progress=on_progress,
                started=started,
            )
    pasted, cropped = _changed(Dataset(out))
    return Occluded(
        summary=summary,
        photos=found.count,
        cropped=len(cropped - pasted),
        unchanged=found.count - len(cropped | pasted),
        notes=tuple(found.notes),
    )


def _changed(dataset: Dataset) -> tuple[set[str], set[str]]:
    """The photos with a frame that has an occluder, and with one that is only cropped."""
    pasted, cropped = set[str](), set[str]()
    for row in dataset.iter_frames(["group_id", "spec"]):
        spec = json.loads(row["spec"])
        if spec["pastes"] or spec["crop"]:
            (pasted if spec["pastes"] else cropped).add(row["group_id"])
    return pasted, cropped


def settings_for(settings: Settings, found: Gathered) -> Settings:
    """The settings with the skeleton of the annotations and the number of frames.

    RecipeError for recipe fields that do not apply to photos.
    """
    _check(settings.recipe)
    recipe: Recipe = settings.recipe.model_copy(
        update={
            "skeleton": body_skeleton(found.skeleton),
            "frames": found.count * (1 + settings.recipe.photo_options.each),
        }
    )
    try:
        recipe.targets.check(found.skeleton.joints, cutouts=False)
    except ValueError as error:
        raise RecipeError(str(error), where=recipe.name) from error
    return dataclasses.replace(settings, recipe=recipe)


def _check(recipe: Recipe) -> None:
    options, targets = recipe.photo_options, recipe.targets
    if targets.causes or targets.crowd_index is not None:
        raise RecipeError(
            "photos support targets of fraction and joints only",
            where=f"{recipe.name}: targets",
            got="causes or crowd_index",
            then="Leave them out.",
        )
    if recipe.cutouts and options.cutouts and recipe.cutouts.folder != options.cutouts.folder:
        raise RecipeError(
            "two folders of cut-outs in a recipe",
            where=f"{recipe.name}: occlude.cutouts.folder",
            expected=recipe.cutouts.folder,
            got=options.cutouts.folder,
        )
    if any(objects.placement == "near" for objects in recipe.objects):
        raise RecipeError(
            "photos support objects on the ground only",
            where=f"{recipe.name}: objects",
            got="placement near",
            then="Leave them out.",
        )
    if recipe.cutouts is None and options.cutouts is None and not recipe.objects:
        if not any(options.by.get(kind) for kind in ("person", "near", "frame")):
            raise RecipeError(
                "no occluders",
                where=f"{recipe.name}: occlude.by",
                then="Enable objects, cut-outs or people as occluders.",
            )


def identity_for(settings: Settings, found: Gathered, name: str, frames_per_shard: int) -> Identity:
    base = identity_of(settings, frames_per_shard)
    marked = {
        **base.recipe,
        PHOTOS: {"annotations": name, "sha256": found.sha256, "count": found.count},
    }
    ledger = sorted((*base.assets, *found.assets), key=lambda row: (row.name, row.sha256))
    return dataclasses.replace(
        base, recipe=marked, assets=tuple(ledger), skeleton=found.skeleton.name
    )


def _opening(
    engine: Engine, settings: Settings, found: Gathered, images: Path
) -> Callable[[], PhotoStage]:
    """How an engine's workers open their stage; remote workers receive the album."""
    name = found.skeleton.name
    if engine.apart:
        album = found.album.read_bytes()
        return opening(engine, _open_with_album, settings, images.resolve(), album, name)
    return opening(engine, PhotoStage, settings, images, found.album, name)


def _open_with_album(settings: Settings, images: Path, album: bytes, skeleton: str) -> PhotoStage:
    """Open a stage on a remote machine with the photos and a received album."""
    if not images.is_dir():
        raise AssetError(
            "this machine lacks the photos",
            where=f"node {platform.node()}",
            expected=f"the folder {images}",
            then="Nodes need it at the same path: copy it there or share the disk.",
        )
    with tempfile.NamedTemporaryFile(prefix="synthstudio-") as file:
        file.write(album)
        file.flush()
        return PhotoStage(settings, images, Path(file.name), skeleton)  # which keeps the file open


def _make_frame(stage: PhotoStage, index: int) -> PhotoFrame:
    place, number = divmod(index, 1 + stage.settings.recipe.photo_options.each)
    sample = stage.sample(place)
    try:
        return make_frame(stage, sample, stage.specs(place)[number])
    except SynthStudioError as error:
        raise type(error)(f"frame {index}, {sample.name}: {error.with_options}") from error
    except Exception as error:
        raise WorkerError(
            f"failed with {type(error).__name__}: {error}",
            where=f"frame {index}, {sample.name}",
            then="This is a bug: please report it with the recipe.",
        ) from error
