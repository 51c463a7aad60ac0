"""People of a recipe, rendered in memory during training.

Epoch e uses the moments renew * e to renew * e + moments - 1, counted among those of the requested
splits. Each is a function of (recipe, seed, index), so an epoch is the same for any number of
processes and after a kill. New moments of the next epoch are rendered during the current one.
"""

import hashlib
import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from synthstudio.core.errors import ModelError, SynthStudioError, WorkerError
from synthstudio.core.images import decode_rgb
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.durable import canonical_json
from synthstudio.dataset.rows import frame_row, instance_rows
from synthstudio.generation.engines import ENGINES, local
from synthstudio.generation.pipeline import draw_spec, make_frame
from synthstudio.generation.shards import opening
from synthstudio.generation.stage import (
    FrameGenerator,
    Settings,
    identity_of,
    prepare,
    prepare_caches,
)
from synthstudio.recipe.sampling.clips import frames_of
from synthstudio.recipe.sampling.context import SPLIT_BLOCK, split_of
from synthstudio.recipe.schema.load import load
from synthstudio.training.config import Config, Source
from synthstudio.training.data.crops import Crops, crop_people, crops_in_memory, sizes_key
from synthstudio.training.data.samples import Report, Sample, conversion_notes

_IDLE_S = 0.05
_POLL_S = 1.0
People = list[dict[str, Any]]
"""The rows of a moment's people, for `crops_in_memory`."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Render moment `number`, the `place`-th used one; place -1: idle briefly."""

    place: int = -1
    number: int = -1

    def __str__(self) -> str:
        return f"moment {self.number}"


@dataclass(frozen=True, kw_only=True)
class CropSettings:
    """How a worker crops the people of a rendered moment."""

    source: Source
    config: Config
    skeleton: Skeleton


class RenderedPeople:
    """The people of a recipe, rendered by an engine in a thread: those of an epoch and new ones of
    the next. `close` ends its processes."""

    def __init__(
        self, source: Source, config: Config, split: str, skeleton: Skeleton | None, report: Report
    ) -> None:
        """Read the recipe and its assets; RecipeError, AssetError. Nothing is rendered yet.
        `split`: the default. `report`: of the first epoch's people; later ones are rendered during
        steps."""
        path = Path(source.recipe)
        recipe = load(path)
        self.stage_settings = prepare(
            recipe, assets=Path(source.assets) if source.assets else path.parent
        )
        own = get_skeleton(recipe.skeleton)
        self.skeleton = skeleton or own
        self.notes = conversion_notes(own, self.skeleton)
        self.source, self.splits, self.workers = source, source.splits or (split,), config.workers
        self.progress, size = report, config.network.size
        self.settings = CropSettings(source=source, config=config, skeleton=self.skeleton)
        if not any(split_of(recipe, n) in self.splits for n in range(10 * SPLIT_BLOCK)):
            raise ModelError(
                "the recipe has no moments to use",
                where=str(path),
                expected=f"{' or '.join(self.splits)} above 0 in its splits",
                got=str(recipe.splits.model_dump()),
            )
        identity = asdict(identity_of(self.stage_settings)) | {
            "source": [source.moments, source.renew, *self.splits],
            "bones": self.skeleton.name,
        }
        self.key = hashlib.sha256(
            canonical_json(identity) + sizes_key(size, config.joints_3d, source.boxes)
        ).hexdigest()
        self._numbers = (n for n in itertools.count() if split_of(recipe, n) in self.splits)
        self._moments: dict[int, People] = {}
        self._needed = range(0)
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    def of_epoch(self, epoch: int) -> Crops:
        """Wait for the people of an epoch, each later than the last; errors of rendering are raised
        here, ModelError without a labelled joint."""
        moments, renew = self.source.moments, self.source.renew or self.source.moments
        places = range(epoch * renew, epoch * renew + moments)
        if self._thread is None:
            prepare_caches(self.stage_settings)
        with self._changed:
            self._needed = range(places.start, places.stop + renew)
            self._moments = {p: rows for p, rows in self._moments.items() if p >= places.start}
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="rendering", daemon=True)
                self._thread.start()
            while any(place not in self._moments for place in places):
                if self._error is not None:
                    raise self._error
                if self._closed:
                    raise WorkerError("rendering was closed", where=self.source.recipe)
                self._changed.wait(_POLL_S)
                if not epoch:
                    self.progress(sum(place in self._moments for place in places), moments)
            rows = [row for place in places for row in self._moments[place]]
        if not rows:
            raise ModelError(
                "no people in these moments",
                where=self.source.recipe,
                expected="people with joints",
                got=f"{moments} moments without any",
            )
        return crops_in_memory(rows)

    def close(self) -> None:
        """End the processes after their current moment."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        engine = ENGINES[self.source.engine]
        try:
            engine.run(
                render_moment,
                self._jobs(),
                workers=self.workers,
                initializer=opening(engine, CropWorker, self.stage_settings, self.settings),
                on_done=self._store,
            )
        except BaseException as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _jobs(self) -> Iterator[Job]:
        """Each needed place's job once, idle ones in between: the thread that takes them must not
        block."""
        for place, number in enumerate(self._numbers):
            while not self._closed and place >= self._needed.stop:
                yield Job()
            if self._closed:
                return
            if place >= self._needed.start:
                yield Job(place=place, number=number)

    def _store(self, made: tuple[int, People]) -> None:
        place, rows = made
        with self._changed:
            if place >= self._needed.start:
                self._moments[place] = rows
            self._changed.notify_all()


class CropWorker:
    """A worker's state: the stage and crop settings."""

    def __init__(self, stage: Settings, settings: CropSettings) -> None:
        self.settings, self.stage = settings, FrameGenerator(stage)


def render_moment(worker: CropWorker, job: Job, report: local.Report) -> tuple[int, People]:
    """The index of a job and the rows of its moment's people (crops.crop_people)."""
    recipe = worker.stage.settings.recipe
    rows: People = []
    if job.place < 0:
        time.sleep(_IDLE_S)
        return job.place, rows
    frames = recipe.variants.per_moment * frames_of(recipe)
    for index in range(job.number * frames, (job.number + 1) * frames):
        try:
            rows += _crop_frame(worker, index)
        except SynthStudioError as error:
            raise type(error)(f"{recipe.name}, frame {index}: {error.with_options}") from error
        report(1)
    return job.place, rows


def _crop_frame(worker: CropWorker, index: int) -> list[dict[str, Any]]:
    """Crop a frame's people, identical to those of a data set of these frames."""
    settings, spec = worker.settings, draw_spec(worker.stage, index)
    source, config = settings.source, settings.config
    if source.variants and spec.variant not in source.variants:
        return []
    frame = make_frame(worker.stage, spec)
    name = f"frame {index}"
    sample = Sample(
        frame=frame_row(frame, name),
        people=instance_rows(frame),
        rgb=lambda: decode_rgb(frame.jpeg, name),
        boxes=source.boxes,
    )
    size, joints_3d = config.network.size, config.joints_3d
    return crop_people(sample, settings.skeleton, size=size, joints_3d=joints_3d)
