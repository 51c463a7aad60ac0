"""People of a recipe, rendered during training: held in memory, never written.

Epoch e uses the moments renew * e to renew * e + moments - 1, counted among those of the requested
splits. (Recipe, seed, index) alone decide each, so an epoch is the same for any number of
processes and after a kill. While one epoch trains, what the next one adds is rendered.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from synthstudio.core.errors import ModelError, SynthStudioError
from synthstudio.core.images import decode_rgb
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.durable import canonical_json
from synthstudio.dataset.rows import frame_row, instance_rows
from synthstudio.generation.engines import local
from synthstudio.generation.engines.engine import ENGINES
from synthstudio.generation.pipeline import draw_spec, make_frame
from synthstudio.generation.remote_worker import opening
from synthstudio.generation.stage import Settings, Stage, identity_of, prepare, prepare_caches
from synthstudio.recipe.sampling.clips import frames_of
from synthstudio.recipe.sampling.context import SPLIT_BLOCK, split_of
from synthstudio.recipe.schema.load import load
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.training.config import Boxes, Joints3D, Source
from synthstudio.training.data.ahead import Ahead
from synthstudio.training.data.crops import (
    Crops,
    Sample,
    conversion_notes,
    crop_people,
    crops_in_memory,
    sizes_key,
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """Render moment `number`."""

    number: int

    def __str__(self) -> str:
        return f"moment {self.number}"


@dataclass(frozen=True, kw_only=True)
class CropSettings:
    """What a worker needs to render a moment and crop its people."""

    stage: Settings
    variants: tuple[str, ...]
    skeleton: Skeleton
    size: tuple[int, int]
    joints_3d: Joints3D
    boxes: Boxes


class RenderedPeople:
    """The people of a recipe, epoch by epoch. `close` ends its processes."""

    def __init__(
        self,
        source: Source,
        *,
        splits: Sequence[str],
        size: tuple[int, int],
        workers: int,
        skeleton: Skeleton | None = None,
        joints_3d: Joints3D = "kinematic",
    ) -> None:
        """Read the recipe and its assets; RecipeError, AssetError. Nothing is rendered yet."""
        path = Path(source.recipe)
        recipe = load(path)
        settings = prepare(recipe, assets=Path(source.assets) if source.assets else path.parent)
        own = get_skeleton(recipe.skeleton)
        self.skeleton = skeleton or own
        self.notes = conversion_notes(own, self.skeleton)
        self.source, self.splits = source, tuple(splits)
        self.settings = CropSettings(
            stage=settings,
            variants=source.variants,
            skeleton=self.skeleton,
            size=size,
            joints_3d=joints_3d,
            boxes=source.boxes,
        )
        _check_splits(recipe, self.splits, path)
        self.key = self._key(size, joints_3d)
        self._numbers = _MomentNumbers(recipe, self.splits)
        engine = ENGINES[source.engine]
        initializer, initargs = opening(engine, _open_worker, settings, self.settings)
        self._ahead = Ahead(
            render_moment,
            lambda place: Job(number=self._numbers[place]),
            engine=engine,
            workers=workers,
            initializer=initializer,
            initargs=initargs,
            where=source.recipe,
        )
        self._prepared = False

    def _key(self, size: tuple[int, int], joints_3d: Joints3D) -> str:
        source = self.source
        identity = asdict(identity_of(self.settings.stage)) | {
            "source": [source.moments, source.renew, *self.splits],
            "bones": self.skeleton.name,
        }
        return hashlib.sha256(
            canonical_json(identity) + sizes_key(size, joints_3d, source.boxes)
        ).hexdigest()

    def of_epoch(
        self, epoch: int, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> Crops:
        """Wait for the people of an epoch; epochs must be requested in rising order.

        ModelError when nobody in it has a labelled joint; errors of rendering are raised here.
        """
        moments, renew = self.source.moments, self.source.renew or self.source.moments
        places = range(epoch * renew, epoch * renew + moments)
        if not self._prepared:
            prepare_caches(self.settings.stage)
            self._prepared = True
        found = self._ahead.wait(places, ahead=renew, progress=progress)
        rows = [row for moment in found for row in moment]
        if not rows:
            raise ModelError(
                "there is nobody in these moments",
                where=self.source.recipe,
                expected="people with joints",
                got=f"{moments} moments without any",
            )
        return crops_in_memory(rows)

    def close(self) -> None:
        """End the processes once they finish the moment they are rendering."""
        self._ahead.close()


class _MomentNumbers:
    """The numbers of the moments of some splits, in rising order, found lazily."""

    def __init__(self, recipe: Recipe, splits: tuple[str, ...]) -> None:
        self.found: list[int] = []
        self.rest = (n for n in itertools.count() if split_of(recipe, n) in splits)

    def __getitem__(self, place: int) -> int:
        while len(self.found) <= place:
            self.found.append(next(self.rest))
        return self.found[place]


def _check_splits(recipe: Recipe, splits: tuple[str, ...], path: Path) -> None:
    if not any(split_of(recipe, n) in splits for n in range(10 * SPLIT_BLOCK)):
        raise ModelError(
            "the recipe has no moments to use",
            where=str(path),
            expected=f"a share of {' or '.join(splits)} in its splits",
            got=str(recipe.splits.model_dump()),
        )


class CropWorker:
    """A worker's state: the stage, and how people are cropped."""

    def __init__(self, settings: CropSettings) -> None:
        self.settings, self.stage = settings, Stage(settings.stage)


def _open_worker(stage: Settings, settings: CropSettings) -> CropWorker:
    """A worker with the stage's settings as they are where it is."""
    return CropWorker(replace(settings, stage=stage))


def render_moment(worker: CropWorker, job: Job, report: local.Report) -> list[dict[str, Any]]:
    """The rows of a moment's people (crops.crop_people)."""
    recipe, rows = worker.settings.stage.recipe, []
    frames = recipe.variants.per_moment * frames_of(recipe)
    for index in range(job.number * frames, (job.number + 1) * frames):
        try:
            rows += _crop_frame(worker, index)
        except SynthStudioError as error:
            raise type(error)(f"{recipe.name}, frame {index}: {error}") from error
        report(1)
    return rows


def _crop_frame(worker: CropWorker, index: int) -> list[dict[str, Any]]:
    """Crop a frame's people, to the byte as from a data set of these frames."""
    settings, spec = worker.settings, draw_spec(worker.stage, index)
    if settings.variants and spec.variant not in settings.variants:
        return []
    frame = make_frame(worker.stage, spec)
    name = f"frame {index}"
    sample = Sample(
        frame=frame_row(frame, name),
        people=instance_rows(frame),
        rgb=lambda: decode_rgb(frame.jpeg, name),
        boxes=settings.boxes,
    )
    return crop_people(sample, settings.skeleton, size=settings.size, joints_3d=settings.joints_3d)
