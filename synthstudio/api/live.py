"""`ss.live`: people followed in a camera, a video or a network stream, picture by picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from synthstudio.api import arguments as args
from synthstudio.api.inference import of_runtime
from synthstudio.api.model import (
    Model,
    PredictedPeople,
    _boxes,
    _columns,
    _xywh,
    network_file,
    open_detector,
)
from synthstudio.core.arrays import U8
from synthstudio.core.errors import ArgumentError
from synthstudio.core.progress import note, stop_on_signals
from synthstudio.core.skeleton import Skeleton
from synthstudio.inference.finder import find_people
from synthstudio.inference.live import (
    VIDEO_SUFFIXES,
    Clock,
    Follower,
    LiveOptions,
    OneEuro,
    TrackedFrame,
    annotated,
    close_window,
    every_s,
    quit_key,
    show,
    video_out,
    window_missing,
)
from synthstudio.inference.sources import FindPeople, Source, boxes_from_file
from synthstudio.inference.stream import TIMEOUT_S, Stream, StreamSource, stream_source
from synthstudio.inference.write import results

Find = Callable[[U8], Any]
"""A picture (H, W, 3) uint8 RGB to boxes (P, 4) x y w h of its people."""

_SAY_EVERY_S = 5.0


@dataclass(frozen=True, kw_only=True)
class LivePicture:
    """A picture and its people; `people.instance`, from 1, is constant for each person.

    `number` counts all pictures from 0, including dropped ones; `time_s` is since
    the first one, `latency_s` from its arrival to its result. `searched`: people
    were detected, not only tracked.
    """

    number: int
    time_s: float
    latency_s: float
    searched: bool
    image: U8  # (H, W, 3)
    _seen: TrackedFrame
    _skeleton: Skeleton
    _fps: float

    @property
    def people(self) -> PredictedPeople:
        """Its people, as of `ss.predict`."""
        return _columns(self._seen.people, self._skeleton)

    def drawn(self) -> U8:
        """The picture with its people: hidden joints are hollow, in the colour of their cause."""
        return annotated(self._seen, self._skeleton)


@args.checked
def live(
    model: Model | args.PathLike,
    source: int | args.PathLike,
    *,
    boxes: Any = None,
    detector: str = "",
    finder: Find | Any = None,
    min_score: args.Share = 0.5,
    every: args.Whole = 30,
    minimum: args.Share = 0.2,
    smooth: bool = True,
    min_cutoff_hz: Annotated[
        float, args.Option(name="--min-cutoff", minimum=0.01, maximum=1000)
    ] = 1.0,
    beta: Annotated[float, args.Option(minimum=0, maximum=1000)] = 3.0,
    realtime: bool = False,
    timeout_s: Annotated[
        float, args.Option(name="--timeout", minimum=0.1, maximum=3600)
    ] = TIMEOUT_S,
    device: args.Device = "auto",
    runtime: args.Runtime = "auto",
) -> Generator[LivePicture]:
    """Follow people through a camera, a video or a network stream.

    People are detected in the first picture, whenever no one is tracked, and every `every`
    pictures; in between a person's box encloses their joints of the previous picture. Pass one of
    `boxes`, `detector` and `finder`; without any of them the detector that
    comes with the package is used, and if it finds none `model` searches for one person.

    Args:
        model: A network, or as `Model.load` takes it ("default": the package's own).
        source: A camera's number, a video by its path, or rtsp://... Of cameras and streams
            only the newest picture is processed: those in between are dropped.
        boxes: Boxes of people in detection pictures: (P, 4) numbers x, y, width, height,
            or the path of COCO annotations or results by picture number.
        detector: Person detector: the .onnx file of an fcpose run (export-model), or the
            name or folder of a transformers model.
        finder: Function from a picture (H, W, 3) to boxes (P, 4).
        min_score: Minimum score of boxes.
        every: Detect people every N pictures; 0: only when no one is tracked.
        minimum: Confidence below which a person is lost.
        smooth: Smooth joints by the one-euro filter.
        min_cutoff_hz: One-euro minimum cutoff, Hz; lower is steadier.
        beta: One-euro speed coefficient; higher lags less.
        realtime: Play a video at its frame rate, as a camera.
        timeout_s: Seconds to wait for a picture.

    Raises:
        ArgumentError: when more than one of them is given, or a value is out of range.
        DeviceError: for a camera or stream that is missing, stalls or disconnects.
        FormatError: for a video without pictures or of changing size.
    """
    net = model
    if not isinstance(net, Model):
        net = Model.load(of_runtime(network_file(net), runtime), device=device)
    opened = _stream_source(source, realtime)
    find = _finder(net, boxes, detector, finder, source=opened, device=device, min_score=min_score)
    euro = OneEuro(min_cutoff_hz=min_cutoff_hz, beta=beta) if smooth else None
    options = LiveOptions(every=every, minimum=minimum, euro=euro)
    return _pictures(net, Stream(opened, timeout_s=timeout_s), find, options)


def _pictures(
    net: Model, stream: Stream, find: FindPeople, options: LiveOptions
) -> Generator[LivePicture]:
    follower = Follower(net.predictor(), find, size=net.size, options=options)
    with closing(stream):
        for seen in map(follower.step, stream):
            yield LivePicture(
                number=seen.frame.number,
                time_s=seen.frame.time_s,
                latency_s=seen.latency_s,
                searched=seen.searched,
                image=seen.frame.rgb,
                _seen=seen,
                _skeleton=net.skeleton,
                _fps=stream.fps,
            )


@args.checked
def run_live(
    weights: Model | args.PathLike,
    source: int | args.PathLike,
    *,
    out: args.PathLike | None = None,
    window: bool | None = None,
    on_result: Callable[[dict[str, Any]], None] | None = None,
    frames: args.Whole = 0,
    **options: Any,
) -> dict[str, Any]:
    """Follow people as `live` does, and show them: until the end, q or Ctrl-C.

    Args:
        out: A new video to write, with the people drawn.
        window: Show a window; None: if a display is available. q in it or in the terminal quits.
        on_result: Called with each picture's result as plain values.
        frames: Stop after so many pictures; 0: never.
        options: Those of `live`.

    Returns:
        Pictures processed and dropped, p50 and p95 of the milliseconds from a picture's arrival to
        its result, results per second.
    """
    file = None if out is None else _video_file(out)
    pictures = live(weights, source, **options)
    shows = _window(window, quiet=on_result is not None or file is not None)
    recent, total, stop = Clock(), Clock(last=100_000), list[str]()
    searches = people = 0
    with ExitStack() as held:
        held.enter_context(stop_on_signals(stop))
        typed = held.enter_context(quit_key())
        write = None if file is None else held.enter_context(video_out(file))
        if shows:
            held.callback(close_window)
        due = every_s(_SAY_EVERY_S)
        for picture in held.enter_context(closing(pictures)):
            seen = picture._seen
            for clock in (recent, total):
                clock.count(seen)
            searches += seen.searched
            people = max(people, len(seen.people))
            pace = recent.throughput() if write or shows or on_result is None else None
            if on_result is not None:
                on_result(_line(seen))
            elif pace is not None and due():
                note(f"{len(seen.people)} people  {pace.text()}")
            if pace is not None and (write or shows):
                drawn = annotated(seen, picture._skeleton, pace.text())
                if write:
                    write(drawn, seen.frame.number, picture._fps)
                if shows and show(drawn):
                    break
            if stop or typed() or total.pictures == frames:
                break
    pace = total.throughput()
    result = {
        "pictures": pace.pictures,
        "missed": pace.missed,
        "most_people": people,
        "searches": searches,
        "latency_p50_ms": _number(pace.p50_ms),
        "latency_p95_ms": _number(pace.p95_ms),
        "frames_per_s": round(pace.per_second, 2),
    }
    return result | ({} if file is None else {"out": str(file)})


def _line(seen: TrackedFrame) -> dict[str, Any]:
    return {
        "picture": seen.frame.number,
        "time_s": round(seen.frame.time_s, 4),
        "latency_ms": round(seen.latency_s * 1000, 3),
        "searched": seen.searched,
        "people": results(seen.people),
    }


def _number(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def _stream_source(source: int | args.PathLike, realtime: bool) -> StreamSource:
    if isinstance(source, int) and not isinstance(source, bool) and source >= 0:
        return stream_source(source)
    return stream_source(
        args.to_path(source, "source") if "://" not in str(source) else str(source),
        realtime=realtime,
    )


def _video_file(out: args.PathLike) -> Path:
    file = args.to_file(out, "out", new=True)
    if file.suffix.lower() not in VIDEO_SUFFIXES:
        raise ArgumentError(
            "not a video name", where="out", expected=", ".join(VIDEO_SUFFIXES), got=file.name[:80]
        )
    return file


def _window(wanted: bool | None, *, quiet: bool) -> bool:
    """Whether to show a window; notes the reason if not and there is no other output."""
    if wanted is False:
        return False
    why = window_missing()
    if why and (wanted or not quiet):
        note(f"no window: {why}. --out writes a video, --json is for programs")
    return not why


def _finder(
    net: Model,
    boxes: Any,
    detector: str,
    finder: Any,
    *,
    source: StreamSource,
    device: str,
    min_score: float,
) -> FindPeople:
    named = {"boxes": boxes is not None, "a detector": detector, "a finder": finder is not None}
    given = [name for name, value in named.items() if value]
    if not given:
        return find_people(net.predictor(), size=net.size)
    if len(given) > 1:
        raise ArgumentError(
            "pass only one of boxes, detector, finder",
            where="live",
            expected="one of boxes (x,y,w,h of each person, or a file), a "
            "detector, and in Python a finder",
            got=" and ".join(given),
        )
    if detector:
        return open_detector(detector, device=device, min_score=min_score)
    if finder is not None:
        return lambda image: _boxes_of(finder(image.rgb))
    if not args.is_path(boxes):
        fixed = _boxes_of(boxes)
        return lambda image: fixed
    place = Source(kind="video", path=Path(source.name), total=None, read=lambda: iter(()))
    return boxes_from_file(args.to_path(boxes, "boxes"), place, min_score=min_score)


def _boxes_of(value: Any) -> Any:
    xywh = _xywh(value)
    if len(xywh) and not (xywh[:, 2:] > 0).all():
        raise ArgumentError(
            "not boxes",
            where="boxes",
            expected="x, y, width, height, the last two above 0",
            got=args.shown(value),
        )
    return _boxes(xywh)
