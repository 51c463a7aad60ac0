"""People of a recipe, rendered while a network learns: held in memory, never written.

A *window* is what one pass goes through: the moments renew * e to renew * e + moments - 1 of pass
e, counted among those of the wanted splits. (Recipe, seed, index) alone decide each, so a pass is
the same for any number of processes and after a kill. While one window is learnt from, what the
next one adds is rendered.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from synthstudio.core.errors import ModelError, SynthStudioError, WorkerError
from synthstudio.core.images import decode_rgb
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.durable import canonical_json
from synthstudio.dataset.rows import frame_row, instance_rows
from synthstudio.generation.engines import local
from synthstudio.generation.pipeline import draw_spec, make_frame
from synthstudio.generation.stage import Settings, Stage, identity_of, prepare, prepare_caches
from synthstudio.recipe.sampling.choose import SPLIT_BLOCK, split_of
from synthstudio.recipe.sampling.clips import frames_of
from synthstudio.recipe.schema.load import load
from synthstudio.recipe.schema.recipe import Recipe
from synthstudio.training.config import Source
from synthstudio.training.crops import Crops, Sample, held, rows_of, sizes_key, unlike

_NAP_S = 0.05
_LOOK_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """Render moment `number`, the `place`-th of the wanted splits; place -1: rest a little."""

    place: int = -1
    number: int = -1

    def __str__(self) -> str:
        """Name the job in messages."""
        return f"moment {self.number}"


@dataclass(frozen=True, kw_only=True)
class Cutting:
    """What a worker needs: it renders a moment and keeps its people's crops."""

    settings: Settings
    variants: tuple[str, ...]
    skeleton: Skeleton
    size: tuple[int, int]


Made = tuple[int, list[dict[str, Any]]]


class Rendered:
    """The people of a recipe, window by window. `close` ends its processes."""

    def __init__(
        self,
        source: Source,
        *,
        splits: Sequence[str],
        size: tuple[int, int],
        workers: int,
        skeleton: Skeleton | None = None,
    ) -> None:
        """Read the recipe and its assets; RecipeError, AssetError. Nothing is rendered yet."""
        path = Path(source.recipe)
        recipe = load(path)
        settings = prepare(recipe, assets=Path(source.assets) if source.assets else path.parent)
        own = get_skeleton(recipe.skeleton)
        self.skeleton = skeleton or own
        self.notes = unlike(own, self.skeleton)
        self.source, self.splits, self.workers = source, tuple(splits), workers
        self.cutting = Cutting(
            settings=settings, variants=source.variants, skeleton=self.skeleton, size=size
        )
        _check_splits(recipe, self.splits, path)
        self.key = self._key(size)
        self._numbers = _Numbers(recipe, self.splits)
        self._made: dict[int, list[dict[str, Any]]] = {}
        self._wanted = range(0)
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    def _key(self, size: tuple[int, int]) -> str:
        source = self.source
        told = asdict(identity_of(self.cutting.settings)) | {
            "source": [source.moments, source.renew, *self.splits],
            "bones": self.skeleton.name,
        }
        return hashlib.sha256(canonical_json(told) + sizes_key(size)).hexdigest()

    def window(
        self, epoch: int, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> Crops:
        """Return the people of a pass; wait until they are rendered. Passes are asked for rising.

        ModelError when nobody in them has a labelled joint; what rendering raised is raised here.
        """
        moments, renew = self.source.moments, self.source.renew or self.source.moments
        mine = range(epoch * renew, epoch * renew + moments)
        with self._changed:
            self._wanted = range(mine.start, mine.stop + renew)
            for place in [p for p in self._made if p < mine.start]:
                del self._made[place]
            self._begin()
            while any(place not in self._made for place in mine):
                if self._error is not None:
                    raise self._error
                if self._closed:
                    raise WorkerError("rendering was ended", where=self.source.recipe)
                self._changed.wait(_LOOK_S)
                progress(sum(place in self._made for place in mine), moments)
            rows = [row for place in mine for row in self._made[place]]
        if not rows:
            raise ModelError(
                "nobody is in these moments",
                where=self.source.recipe,
                expected="people with joints",
                got=f"{moments} moments without any",
            )
        return held(rows)

    def close(self) -> None:
        """End the processes; a moment that is being rendered is finished first."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _begin(self) -> None:
        if self._thread is None:
            prepare_caches(self.cutting.settings)
            self._thread = threading.Thread(target=self._render, name="rendering", daemon=True)
            self._thread.start()

    def _render(self) -> None:
        try:
            local.run(
                render_moment,
                self._jobs(),
                workers=self.workers,
                initializer=Cutter,
                initargs=(self.cutting,),
                on_done=self._store,
            )
        except BaseException as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _jobs(self) -> Iterator[Job]:
        """Yield the moments that are wanted, each once; rests while there are none to do.

        It never waits: whoever asks also hears the workers.
        """
        for place in itertools.count():
            while not self._closed and place >= self._wanted.stop:
                yield Job()
            if self._closed:
                return
            if place >= self._wanted.start:
                yield Job(place=place, number=self._numbers[place])

    def _store(self, made: Made) -> None:
        place, rows = made
        with self._changed:
            if place >= self._wanted.start:
                self._made[place] = rows
            self._changed.notify_all()


class _Numbers:
    """The numbers of the moments of some splits: the n-th of them, in rising order."""

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
            "the recipe has no moments to take",
            where=str(path),
            expected=f"a share of {' or '.join(splits)} in its splits",
            got=str(recipe.splits.model_dump()),
        )


class Cutter:
    """What a worker holds: a stage, and how people are cut out."""

    def __init__(self, cutting: Cutting) -> None:
        """Open the stage."""
        self.cutting, self.stage = cutting, Stage(cutting.settings)


def render_moment(cutter: Cutter, job: Job, report: local.Report) -> Made:
    """Return a moment's place and the rows of its people in the order of its frames."""
    if job.place < 0:
        time.sleep(_NAP_S)
        return -1, []
    recipe, rows = cutter.cutting.settings.recipe, []
    frames = recipe.variants.per_moment * frames_of(recipe)
    for index in range(job.number * frames, (job.number + 1) * frames):
        try:
            rows += _people_of(cutter, index)
        except SynthStudioError as error:
            raise type(error)(f"{recipe.name}, frame {index}: {error}") from error
        report(1)
    return job.place, rows


def _people_of(cutter: Cutter, index: int) -> list[dict[str, Any]]:
    """Return rows as a data set of these frames would give them, to the byte."""
    cutting, spec = cutter.cutting, draw_spec(cutter.stage, index)
    if cutting.variants and spec.variant not in cutting.variants:
        return []
    frame = make_frame(cutter.stage, spec)
    name = f"frame {index}"
    sample = Sample(
        frame=frame_row(frame, name),
        people=instance_rows(frame),
        rgb=lambda: decode_rgb(frame.jpeg, name),
    )
    return rows_of(sample, cutting.skeleton, size=cutting.size)
