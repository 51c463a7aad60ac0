"""Predictions written to a folder, by this process or by workers."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any

from synthstudio.api import arguments as args
from synthstudio.api.model import Model, check_smooth, open_detector
from synthstudio.core.errors import ArgumentError, AssetError
from synthstudio.core.places import Place
from synthstudio.core.progress import OnProgress, counter, progress
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.durable import file_sha256, whole_folder
from synthstudio.dataset.reader import Dataset
from synthstudio.generation.engines import Engine
from synthstudio.generation.engines.local import Report
from synthstudio.inference import sources, write
from synthstudio.inference.model_files import SUFFIX
from synthstudio.inference.predict import Person, smoothed
from synthstudio.inference.sources import FindPeople, Source, SourceImage
from synthstudio.inference.write import check_skeleton, draw_into, store_predictions
from synthstudio.models.packaged import DEFAULT, default_model

EXPORTED = "model.onnx"
"""The exported network in a run's folder."""


@args.checked
def predict_to_folder(
    weights: args.PathLike,
    source: args.PlaceLike,
    out: args.PathLike,
    *,
    boxes: args.PathLike | None = None,
    detector: str = "",
    min_score: args.Share = 0.5,
    images: args.PathLike | None = None,
    where: Annotated[str, args.Option(metavar="QUERY")] = "",
    draw: args.Whole = 100,
    smooth: Annotated[int, args.Option(minimum=0, maximum=99)] = 7,
    flip: bool = False,
    peaks: Annotated[int, args.Option(minimum=0, maximum=20)] = 0,
    batch: Annotated[int, args.Option(minimum=1, maximum=4096)] = 64,
    into: str | None = None,
    layer: str = "",
    device: args.Device = "auto",
    runtime: args.Runtime = "auto",
    workers: args.PoolWorkers = None,
    engine: args.EngineName = "local",
) -> dict[str, Any]:
    """Find the joints of people and write them: COCO results and drawn pictures.

    Args:
        weights: A run's folder, a .safetensors file, an exported .onnx file, or "default" for the
            network that comes with the package.
        source: A photo, a folder of photos, a video, a data set or a COCO file.
        out: A new folder.
        boxes: COCO annotations or results with the people's boxes. Neither boxes nor a detector
            applies to a bottom-up system.
        detector: Person detector: the .onnx file of an fcpose run (export-model), or the
            name or folder of a transformers model.
        min_score: Minimum score of boxes.
        images: Images of a COCO file; default: beside it.
        where: Only frames with people who match, e.g. "occluded > 0.3" (docs/query.md).
        draw: Draw the first N images.
        smooth: Temporal smoothing window of clips: an odd number of frames, whatever their rate;
            0: none.
        flip: Use flip testing.
        peaks: Also write the N highest peaks of each heatmap.
        batch: Batch size.
        into: Also store in this review store: sqlite:///FILE or postgresql://...
        layer: With `into`: name of the layer; default: that of the run.
        runtime: "onnx": the .onnx file that `Model.export` wrote, model.onnx in a run's folder;
            "torch": the weights; "auto": by the path.

    Returns:
        Counts, and where the results are.
    """
    folder = args.to_folder(out, "out")
    if boxes is not None and detector:
        raise ArgumentError("give boxes or a detector, not both", where="boxes")
    check_smooth(smooth)
    packaged = str(weights) == DEFAULT
    path = of_runtime(default_model() if packaged else args.to_path(weights, "weights"), runtime)
    request = Request(
        weights=DEFAULT if packaged else path,
        source=args.to_place(source, "source"),
        images=args.optional(args.to_path, images, "images"),
        boxes=args.optional(args.to_path, boxes, "boxes"),
        detector=detector,
        min_score=min_score,
        device=device,
        batch=batch,
        flip=flip,
        peaks=peaks,
        where=where,
    )
    pool = args.to_worker_pool(workers, engine)
    opened = Opened(request)
    model, pictures, skeleton = opened.model, opened.source, opened.model.skeleton
    if into is not None:
        given = boxes is not None or bool(detector) or model.sees_frames
        _check_into(into, pictures, skeleton, given=given)
    with progress("predicting") as report:
        if pool is None:
            people, facts = opened.predict(pictures.read(), counter(report, pictures.total))
        else:
            people, facts = predict_in_workers(opened, *pool, report)
    if request.boxes is not None:
        sources.check_found(len(people), request.boxes)
    people = smoothed(people, frames=smooth)
    with whole_folder(folder) as unfinished:
        write.write_results(unfinished, people, facts, skeleton)
        _draw(pictures, people, skeleton, unfinished, draw)
    result: dict[str, Any] = {"out": str(folder), "pictures": len(facts), "people": len(people)}
    if into is not None:
        name = layer or model.name
        result |= {"layer": name, "stored": _store(into, pictures.path, name, people, skeleton)}
    return result


def of_runtime(weights: Path, runtime: str) -> Path:
    """The exported network for ONNX Runtime, the weights for torch; ArgumentError without it."""
    if runtime == "torch" and weights.suffix == SUFFIX:
        raise ArgumentError(
            "an .onnx file needs ONNX Runtime", where="runtime", expected="auto or onnx"
        )
    if runtime != "onnx" or weights.suffix == SUFFIX:
        return weights
    if not (exported := weights / EXPORTED).is_file():
        raise ArgumentError(
            "this run has not been exported",
            where=str(weights),
            expected=EXPORTED,
            then=f"Export it: synthstudio export-model {weights}.",
        )
    return exported


def _draw(
    source: Source, people: list[Person], skeleton: Skeleton, out: Path, maximum: int
) -> None:
    by_picture: dict[int, list[Person]] = {}
    for person in people:
        by_picture.setdefault(person.image, []).append(person)
    for picture in islice(source.read(), maximum):
        draw_into(out, picture, by_picture.get(picture.number, []), skeleton)


def _check_into(into: str, source: Source, skeleton: Skeleton, *, given: bool) -> None:
    """Check before predicting that the predictions can be stored."""
    from synthstudio.review.store import open_store

    if source.kind != "dataset":
        raise ArgumentError("only for a data set of synthstudio", where="into", got=source.kind)
    if given:
        raise ArgumentError("needs the data set's own boxes, which identify people", where="into")
    check_skeleton(Dataset(source.path), skeleton)
    open_store(into).close()


def _store(url: str, source: Place, layer: str, people: list[Person], skeleton: Skeleton) -> int:
    from synthstudio.review.store import open_store

    with closing(open_store(url)) as store:
        return store_predictions(store, Dataset(source), layer, people, skeleton)


# Workers -----------------------------------------------------------------------------------------
#
# A job is a range of a source's pictures, predicted in its own batches, so predictions do not
# depend on the workers. Each worker opens model, source and detector once, by their paths.

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

    def pictures(self) -> Source:
        return sources.open_source(self.source, images=self.images, where=self.where)


class Opened:
    """A request's model and pictures, and its source of boxes as soon as that is used."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.model = Model.load(request.weights, device=request.device)
        self.source = request.pictures()

    @cached_property
    def find(self) -> FindPeople | None:
        """The person detector; None: boxes come from source or model."""
        request = self.request
        if request.boxes is not None:
            return sources.boxes_from_file(request.boxes, self.source, min_score=request.min_score)
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
                about = {"file_name": picture.name, "width": wide, "height": high}
                if picture.time_s is not None:
                    about["time_s"] = round(picture.time_s, 6)
                facts[picture.number] = about
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
        initializer=partial(initializer, request),
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

    # Independent of the worker's current folder.
    there: Any = {name: v.resolve() for name, v in vars(request).items() if isinstance(v, Path)}
    detector = Path(request.detector).expanduser()
    if request.detector and detector.exists():
        there["detector"] = str(detector.resolve())
    device = runtime.resolve_device(request.device)  # type: ignore[arg-type]
    opener = partial(open_on_worker, device, runtime.device_model(device), facts)
    return opener, replace(request, **there)


def open_on_worker(device: str, model: str, facts: dict[str, str], request: Request) -> Opened:
    """`open_verified` on this node; errors name the node and what it lacks."""
    from synthstudio.generation.shards import check_device

    check_device(device, model)
    named = (*vars(request).values(), Path(request.detector))
    files = [path for path in named if isinstance(path, Path)]
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
