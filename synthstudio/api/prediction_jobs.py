"""`predict` by workers: a job is a range of a source's pictures, predicted in its own batches.

So predictions do not depend on the workers. Each worker opens model, source and detector
once, by their paths.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from operator import itemgetter
from pathlib import Path
from typing import Any

from synthstudio.api.model import Model, open_detector
from synthstudio.core.errors import ArgumentError, AssetError
from synthstudio.core.places import Place, resolved
from synthstudio.core.progress import OnProgress
from synthstudio.dataset.durable import file_sha256
from synthstudio.generation.engines.engine import Engine
from synthstudio.generation.engines.local import Report
from synthstudio.inference.predict import Person
from synthstudio.inference.sources import (
    FindPeople,
    Source,
    SourceImage,
    boxes_from_file,
    open_source,
)
from synthstudio.models.packaged import DEFAULT

PICTURES = 32
"""Pictures of a job; the last has fewer."""
Facts = dict[int, dict[str, Any]]
"""Picture number -> its entry of pictures.json."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A prediction request; `weights` may be "default", the package's own."""

    weights: Path | str
    source: Place
    images: Path | None
    boxes: Path | None
    detector: str
    min_score: float
    device: str
    batch: int
    flip: bool
    peaks: int
    where: str = ""

    def model(self) -> Model:
        return Model.load(self.weights, device=self.device)

    def pictures(self) -> Source:
        return open_source(self.source, images=self.images, where=self.where)


class Opened:
    """A request's model and pictures, and its source of boxes as soon as that is used."""

    def __init__(self, request: Request) -> None:
        self.request, self.model, self.source = request, request.model(), request.pictures()

    @cached_property
    def find(self) -> FindPeople | None:
        """The person detector; None: boxes come from source or model."""
        request = self.request
        if request.boxes is not None:
            return boxes_from_file(request.boxes, self.source, min_score=request.min_score)
        if not request.detector:
            return None
        return open_detector(request.detector, device=request.device, min_score=request.min_score)

    def predict(
        self, pictures: Iterator[SourceImage], progress: Callable[[int], None]
    ) -> tuple[list[Person], Facts]:
        """The people of the pictures in order; `progress` as in `Model.persons`."""
        facts: Facts = {}

        def noted() -> Iterator[SourceImage]:
            for picture in pictures:
                high, wide = picture.rgb.shape[:2]
                facts[picture.number] = {"file_name": picture.name, "width": wide, "height": high}
                yield picture

        request = self.request
        people = self.model.persons(
            noted(),
            self.find,
            batch=request.batch,
            flip=request.flip,
            peaks=request.peaks,
            progress=progress,
        )
        return list(people), facts

    @cached_property
    def facts(self) -> dict[str, str]:
        """Fingerprint of a request: the list of pictures, and hashes of files.

        Of photos names and sizes count, of a COCO file its text, of a data set its shards' hashes.
        """
        facts = {"pictures": self.source.key, "weights": file_sha256(self.model.path)}
        if self.request.boxes is not None:
            facts["boxes"] = file_sha256(self.request.boxes)
        detector = Path(self.request.detector).expanduser()
        if self.request.detector and detector.is_file():
            facts["detector"] = file_sha256(detector)
        return facts


def open_verified(facts: dict[str, str], request: Request) -> Opened:
    """Open a request in a worker; AssetError where the `facts` of the run differ.

    A job is a range of the pictures' places, so all must list alike.
    """
    opened = Opened(request)
    if other := sorted(name for name, key in facts.items() if opened.facts.get(name) != key):
        raise _lacking("this worker's files differ from those of the run", "the same", other)
    return opened


@dataclass(frozen=True, kw_only=True)
class PictureJob:
    """A job: pictures by their positions in the source."""

    pictures: range

    def __str__(self) -> str:
        return f"pictures {self.pictures.start} to {self.pictures.stop - 1}"


def answer(opened: Opened, job: PictureJob, report: Report) -> tuple[int, list[Person], Facts]:
    """Predict a job's pictures in a worker; the first one's number comes first."""
    assert opened.source.part is not None  # checked by `predict_in_workers`
    pictures = opened.source.part(job.pictures)
    people, facts = opened.predict(pictures, lambda done: report(1))
    return job.pictures.start, people, facts


def predict_in_workers(
    opened: Opened, engine: Engine, workers: int, progress: OnProgress
) -> tuple[list[Person], Facts]:
    """Predict by the workers of an engine; ArgumentError for a video, WorkerError."""
    request, total = opened.request, opened.source.total
    if opened.source.part is None or total is None:
        raise ArgumentError(
            "a video is decoded by one process",
            where="workers, engine",
            expected="photos, a data set or a COCO file",
            got=str(opened.source.path),
            then="Leave both out: one process takes all cores.",
        )
    answered: list[tuple[int, list[Person], Facts]] = []
    initializer: Callable[..., Opened] = partial(open_verified, opened.facts)
    if engine.apart:
        initializer, request = _opening(request, opened.facts)
    engine.run(
        answer,
        (PictureJob(pictures=range(total)[at : at + PICTURES]) for at in range(0, total, PICTURES)),
        workers=workers,
        initializer=initializer,
        initargs=(request,),
        on_done=answered.append,
        units=range(total),
        on_progress=progress,
    )
    answered.sort(key=itemgetter(0))
    people = [person for _, some, _ in answered for person in some]
    return people, {number: fact for *_, facts in answered for number, fact in facts.items()}


def _opening(request: Request, facts: dict[str, str]) -> tuple[Callable[..., Opened], Request]:
    """The initializer of workers, which may be remote, and its argument."""
    from synthstudio.render import runtime

    detector = request.detector
    if detector and Path(detector).expanduser().exists():
        detector = str(Path(detector).expanduser().resolve())
    there = replace(  # independent of the worker's current folder
        request,
        weights=DEFAULT if request.weights == DEFAULT else Path(request.weights).resolve(),
        source=resolved(request.source),
        images=None if request.images is None else request.images.resolve(),
        boxes=None if request.boxes is None else request.boxes.resolve(),
        detector=detector,
    )
    device = runtime.resolve_device(request.device)  # type: ignore[arg-type]
    return partial(open_on_worker, device, runtime.device_model(device), facts), there


def open_on_worker(device: str, model: str, facts: dict[str, str], request: Request) -> Opened:
    """`open_verified` on this node; errors name the node and what it lacks."""
    from synthstudio.generation.remote_worker import check_device

    check_device(device, model)
    named = [request.weights, request.source, request.images, request.boxes]
    files = [path for path in (*named, Path(request.detector)) if isinstance(path, Path)]
    if missing := [str(path) for path in files if path.is_absolute() and not path.exists()]:
        raise _lacking("this machine lacks files of the run", "all of them", missing)
    return open_verified(facts, request)


def _lacking(what: str, expected: str, got: list[str]) -> AssetError:
    return AssetError(
        what,
        where=f"node {platform.node()}",
        expected=expected,
        got=", ".join(got),
        then="Do not change files while workers start; other nodes need them at the same path.",
    )
